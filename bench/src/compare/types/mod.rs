//! Types: redis-benchmark's list of commands, costly commands on large values, bytes per element.

mod benchmark;
mod large;
mod line;
mod memory;

use serde::Serialize;

use super::Bench;
use super::check;
use super::measure::Comparison;
use super::report;
use super::subject::{Subject, start_server};
use crate::failure::Outcome;
use crate::{note, say};
use benchmark::Keys;

pub(super) use memory::{Bytes, Elements};

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["redis", "valkey", "node"];

/// The parts of the suite.
pub(super) const PARTS: &[&str] = &["default", "random", "large", "memory"];

/// A round of the other suites is so many here: what disturbs a machine lasts longer than one of
/// them, and then it disturbs all servers alike.
const ROUNDS: usize = 3;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Results {
    /// redis-benchmark's list, by default and with random keys.
    pub(super) benchmark: Vec<(String, Vec<Comparison>)>,
    /// Costly commands.
    pub(super) large: Vec<Comparison>,
    /// Bytes per element.
    pub(super) memory: Vec<Elements>,
}

impl Results {
    /// All that was timed.
    pub(super) fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        let benchmark = self.benchmark.iter().flat_map(|(_, lines)| lines);
        benchmark.chain(&self.large)
    }
}

/// Runs the suite; each part prints its table when it is through.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let wants = |part: &str| bench.options.wants_part(part);
    let mut results = Results::default();
    say(&report::types_head())?;
    for (part, keys) in [("default", Keys::Fixed), ("random", Keys::Random)] {
        if wants(part) {
            let found = benchmark::run(bench, &mut start(bench)?, keys)?;
            say(&report::types_benchmark(&keys.describe(), &found))?;
            results.benchmark.push((keys.describe(), found));
        }
    }
    if wants("large") {
        results.large = large::run(bench, &mut start(bench)?)?;
        say(&report::types_large(&results.large))?;
    }
    if wants("memory") {
        results.memory = memory::run(bench)?;
        say(&report::types_memory(&results.memory))?;
    }
    Ok(results)
}

fn start(bench: &Bench) -> Outcome<Vec<Subject>> {
    let wanted = SUBJECTS.iter().filter(|name| bench.options.wants(name));
    let start = |name: &&str| {
        note(&format!("starting {name}"));
        let subject = start_server(name, &bench.layout, bench.dir())?;
        check::right_answers(&subject)?;
        Ok(subject)
    };
    wanted.map(start).collect()
}
