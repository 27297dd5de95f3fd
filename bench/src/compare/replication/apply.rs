//! Whether a replica keeps up with its primary: how far behind it is at full load, and how fast it
//! is by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use slotilla_common::clock::Monotonic;

use super::cost::plan;
use super::pair;
use crate::compare::Bench;
use crate::compare::node::fill;
use crate::compare::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, drive};
use crate::workload::Shape;
use crate::{note, stats};

/// How often the two are asked how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// At full load it takes as many measurements' time.
const LOADED: u32 = 3;
/// Writes that a frozen replica has before it.
const WRITES: u64 = 1_000_000;
const WRITES_QUICK: u64 = 100_000;

/// What one make of server does.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Applied {
    pub(in crate::compare) subject: String,
    /// At full load.
    pub(in crate::compare) lag: Lag,
    /// Writes a second of a primary whose replica takes nothing, and of a replica whose primary is
    /// asked for nothing; one for each round.
    pub(in crate::compare) produced: Vec<f64>,
    pub(in crate::compare) applied: Vec<f64>,
}

/// How far a replica is behind.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Lag {
    pub(in crate::compare) writes_per_second: f64,
    /// Bytes, at each look.
    pub(in crate::compare) bytes: Vec<u64>,
    /// Bytes of the log that come to a write.
    pub(in crate::compare) per_write: f64,
    /// From the last write until the replica had it.
    pub(in crate::compare) after_seconds: f64,
}

/// Measures all, one after the other.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Applied>> {
    super::subjects(bench)
        .map(|name| measure(bench, name))
        .collect()
}

fn measure(bench: &Bench, name: &str) -> Outcome<Applied> {
    let shape = super::written(bench);
    note(&format!("starting {name} and its replica"));
    let mut primary = pair::start(bench, name, &bench.layout.subject)?;
    let mut replica = pair::start(bench, name, &bench.layout.primaries)?;
    fill(&primary, &shape)?;
    pair::follow(&replica, &primary)?;
    pair::await_equal(&mut primary, &mut replica)?;
    let lag = lag(bench, &mut primary, &mut replica, &shape)?;
    let mut found = Applied {
        subject: name.to_owned(),
        lag,
        produced: Vec::new(),
        applied: Vec::new(),
    };
    for _ in 0..bench.options.rounds {
        let (produced, applied) = race(bench, &mut primary, &mut replica, &shape)?;
        found.produced.push(produced);
        found.applied.push(applied);
    }
    pair::compare(&primary, &replica, &shape)?;
    note(&format!(
        "  {name}: produces {:.0}/s, applies {:.0}/s; at full load {:.0} MB behind at most",
        stats::median(&found.produced),
        stats::median(&found.applied),
        found.lag.bytes.iter().max().copied().unwrap_or(0) as f64 / 1e6
    ));
    Ok(found)
}

/// Writes as fast as can be while the replica applies.
fn lag(bench: &Bench, primary: &mut Subject, replica: &mut Subject, shape: &Shape) -> Outcome<Lag> {
    let extent = Extent::Time {
        warm_up: bench.options.warm_up,
        measured: bench.options.measured * LOADED,
    };
    let (clock, is_over) = (Monotonic::new(), AtomicBool::new(false));
    let begun = pair::written(&mut primary.client()?)?;
    let (report, bytes) = thread::scope(|scope| {
        let looks = scope.spawn(|| lags_until(primary, replica, &is_over));
        let report = drive(plan(primary, shape, extent));
        is_over.store(true, Ordering::Relaxed);
        (report, looks.join())
    });
    let start = clock.now();
    let report = report.map_err(|failure| failure.of(&primary.name, "SET"))?;
    pair::await_equal(primary, replica)?;
    let after_nanos = clock.nanos_between(start, clock.now());
    let panicked = |_| Failure::WrongAnswer("a look at offsets panicked".to_owned());
    let written = pair::written(&mut primary.client()?)? - begun;
    // What was written while it warmed up counts by its time.
    let total_seconds = bench.options.warm_up.as_secs_f64() + report.seconds;
    let writes = report.commands_per_second * total_seconds;
    Ok(Lag {
        writes_per_second: report.commands_per_second,
        bytes: bytes.map_err(panicked)??,
        per_write: written as f64 / writes.max(1.0),
        after_seconds: after_nanos as f64 / 1e9,
    })
}

fn lags_until(primary: &Subject, replica: &Subject, is_over: &AtomicBool) -> Outcome<Vec<u64>> {
    let (mut asked, mut told) = (primary.client()?, replica.client()?);
    let mut lags = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        // The primary first: so what is written between the two is not counted as a lag.
        let due = pair::written(&mut asked)?;
        lags.push(due.saturating_sub(pair::applied(&mut told)?));
        thread::sleep(LOOK_EVERY);
    }
    Ok(lags)
}

/// Writes while the replica stands still, and then has it run: how many writes a second each does.
fn race(
    bench: &Bench,
    primary: &mut Subject,
    replica: &mut Subject,
    shape: &Shape,
) -> Outcome<(f64, f64)> {
    let writes = if bench.options.quick {
        WRITES_QUICK
    } else {
        WRITES
    };
    let frozen = Frozen::new(replica.pid())?;
    let report = drive(plan(primary, shape, Extent::Commands(writes)));
    let report = report.map_err(|failure| failure.of(&primary.name, "SET"))?;
    let clock = Monotonic::new();
    drop(frozen);
    let start = clock.now();
    pair::await_equal(primary, replica)?;
    let seconds = clock.nanos_between(start, clock.now()) as f64 / 1e9;
    Ok((
        report.commands_per_second,
        report.commands as f64 / seconds.max(1e-9),
    ))
}

/// A process that stands still until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(pid: u32) -> Outcome<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::Missing("a process id".to_owned()))?;
        kill_process(pid, Signal::STOP)
            .map_err(|error| Failure::io("stop a replica")(error.into()))?;
        Ok(Self(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It is there: its id is ours until it has been waited for.
        let _continued = kill_process(self.0, Signal::CONT);
    }
}
