//! Proxies, each with one thread, in front of three primaries.

use serde::Serialize;

use super::Bench;
use super::measure::{Comparison, Workload, compare};
use super::proxies;
use super::syscalls::{self, Calls};
use crate::failure::Outcome;
use crate::workload::{Kind, Shape};

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["nutcracker", "envoy", "proxy"];

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) primaries: String,
    pub(super) comparisons: Vec<Comparison>,
    pub(super) calls: Calls,
}

/// Runs the suite.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let shape = Shape {
        keys: bench.options.keys,
        ..Shape::default()
    };
    let wanted = SUBJECTS.iter().filter(|name| bench.options.wants(name));
    let names: Vec<&str> = wanted.copied().collect();
    let mut proxies = proxies::start(bench, &names, &shape)?;
    let mut comparisons = Vec::new();
    for workload in workloads() {
        let found = compare(&workload, &mut proxies.subjects, &shape, &bench.options)?;
        comparisons.push(found);
    }
    let calls = syscalls::count(bench, &mut proxies.subjects, &shape)?;
    Ok(Results {
        primaries: bench.options.primaries.clone(),
        comparisons,
        calls,
    })
}

fn workloads() -> Vec<Workload> {
    let of = |kind, pipeline, connections| Workload {
        kind,
        pipeline,
        connections,
    };
    let mut workloads = Vec::new();
    for (pipeline, connections) in [(1, 50), (1, 500), (16, 50), (64, 50)] {
        workloads.push(of(Kind::Set, pipeline, connections));
        workloads.push(of(Kind::Get, pipeline, connections));
    }
    workloads.push(of(Kind::MGet, 1, 50));
    workloads.push(of(Kind::MSet, 1, 50));
    workloads
}
