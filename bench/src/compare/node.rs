//! Servers by themselves: the floor and our node with one thread and with two, the peers.

use serde::Serialize;

use super::Bench;
use super::check;
use super::measure::{Comparison, Workload, compare};
use super::subject::{Subject, start_server};
use crate::failure::{Failure, Outcome};
use crate::load::{drive, sequential};
use crate::note;
use crate::workload::{Answers, Kind, Shape};

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["floor", "floor-2", "redis", "valkey", "node", "node-2"];

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) comparisons: Vec<Comparison>,
}

/// Runs the suite.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let shape = Shape {
        keys: bench.options.keys,
        ..Shape::default()
    };
    let mut subjects = Vec::new();
    for name in SUBJECTS.iter().filter(|name| bench.options.wants(name)) {
        note(&format!("starting {name}, filling {} keys", shape.keys));
        let subject = start_server(name, &bench.layout, bench.dir())?;
        check::right_answers(&subject)?;
        fill(&subject, &shape)?;
        subjects.push(subject);
    }
    let mut comparisons = Vec::new();
    for pipeline in [1, 16, 64] {
        for kind in [Kind::Set, Kind::Get] {
            let workload = Workload {
                kind,
                pipeline,
                connections: 50,
            };
            let found = compare(&workload, &mut subjects, &shape, &bench.options)?;
            comparisons.push(found);
        }
    }
    Ok(Results { comparisons })
}

/// Sets every key, reads every key back, and counts them.
pub(super) fn fill(subject: &Subject, shape: &Shape) -> Outcome<()> {
    if subject.answers == Answers::AlwaysOk {
        return Ok(());
    }
    drive(sequential(subject.address, Kind::Set, shape.clone()))?;
    drive(sequential(subject.address, Kind::Get, shape.clone()))?;
    let keys = subject.client()?.integer("DBSIZE")?;
    if u64::try_from(keys) == Ok(shape.keys) {
        return Ok(());
    }
    let (name, expected) = (&subject.name, shape.keys);
    let text = format!("{name} counts {keys} keys after {expected} were set");
    Err(Failure::WrongAnswer(text))
}
