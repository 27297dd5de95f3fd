//! Replication and snapshots: full syncs, BGSAVE and load, what replicas cost their primary, whether
//! they keep up, and what it costs to wait for them.

mod acked;
mod apply;
mod cost;
mod paced;
mod pair;
mod save;
mod sink;
mod sync;

use serde::Serialize;

use super::Bench;
use super::report;
use crate::failure::Outcome;
use crate::say;
use crate::workload::Shape;

pub(super) use acked::Acked;
pub(super) use apply::{Applied, Lag};
pub(super) use cost::{Cost, REPLICAS};
pub(super) use save::Saved;
#[cfg(test)]
pub(super) use save::Took;
#[cfg(test)]
pub(super) use sync::Memory;
pub(super) use sync::{Copy, Synced};

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["redis", "valkey", "node"];

/// The parts of the suite.
pub(super) const PARTS: &[&str] = &["sync", "save", "cost", "apply", "acked"];

/// Keys of the parts that measure a stream of writes; fewer if the suite has fewer.
const KEYS_WRITTEN: u64 = 1_000_000;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Results {
    /// Full syncs.
    pub(super) synced: Vec<Synced>,
    /// BGSAVE, and load at the start.
    pub(super) saved: Vec<Saved>,
    /// What replicas cost their primary.
    pub(super) cost: Vec<Cost>,
    /// Whether a replica keeps up.
    pub(super) applied: Vec<Applied>,
    /// Writes that wait for a replica.
    pub(super) acked: Vec<Acked>,
}

/// Runs the suite; each part prints its table when it is through.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let wants = |part: &str| bench.options.wants_part(part);
    let mut results = Results::default();
    say(&report::replication_head(bench.options.replication_keys))?;
    if wants("sync") {
        results.synced = sync::run(bench)?;
        say(&report::replication_sync(&results.synced))?;
    }
    if wants("save") {
        results.saved = save::run(bench)?;
        say(&report::replication_save(&results.saved))?;
    }
    if wants("cost") {
        results.cost = cost::run(bench)?;
        say(&report::replication_cost(&results.cost))?;
    }
    if wants("apply") {
        results.applied = apply::run(bench)?;
        say(&report::replication_apply(&results.applied))?;
    }
    if wants("acked") {
        results.acked = acked::run(bench)?;
        say(&report::replication_acked(&results.acked))?;
    }
    Ok(results)
}

/// The subjects that take part.
fn subjects(bench: &Bench) -> impl Iterator<Item = &'static str> {
    let wanted = SUBJECTS.iter().filter(|name| bench.options.wants(name));
    wanted.copied()
}

/// Keys and values of the parts that copy, save and load.
fn copied(bench: &Bench) -> Shape {
    Shape {
        keys: bench.options.replication_keys,
        ..Shape::default()
    }
}

/// Keys and values of the parts that measure a stream of writes.
fn written(bench: &Bench) -> Shape {
    Shape {
        keys: bench.options.replication_keys.min(KEYS_WRITTEN),
        ..Shape::default()
    }
}
