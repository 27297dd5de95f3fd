//! `slotilla-bench compare`: servers and proxies side by side, in one run, on one machine.

mod check;
mod cluster;
mod layout;
mod long;
mod machine;
mod measure;
mod memory;
mod node;
mod noise;
mod options;
mod process;
mod programs;
mod proxies;
mod proxy;
mod replication;
mod report;
mod subject;
mod syscalls;
mod types;

use std::fs;
use std::path::Path;

use serde::Serialize;

pub(crate) use options::FLAGS;

use crate::args::Args;
use crate::failure::{Failure, Outcome};
use crate::{affinity, hold, note, say};
use layout::Layout;
use machine::Machine;
use noise::Calibration;
use options::{Options, Suite};

/// Everything that a comparison works with.
#[derive(Debug)]
struct Bench {
    options: Options,
    layout: Layout,
    /// Of this comparison alone; removed at its end.
    dir: tempfile::TempDir,
}

impl Bench {
    fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// What a comparison found, for `--json`.
#[derive(Debug, Serialize)]
struct Results {
    machine: Machine,
    options: Options,
    layout: Layout,
    /// Processors that others used before the first measurement.
    others_before: f64,
    calibrated_before: Vec<Calibration>,
    calibrated_after: Vec<Calibration>,
    node: Option<node::Results>,
    memory: Option<memory::Results>,
    types: Option<types::Results>,
    proxy: Option<proxy::Results>,
    long: Option<long::Results>,
    replication: Option<replication::Results>,
}

/// The `compare` subcommand.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let options = Options::from_args(args)?;
    let programs = programs_of(&options)?;
    if args.has("check") {
        return Ok(());
    }
    if cfg!(debug_assertions) {
        note("WARNING: this generator was built without optimisation: use bench/compare");
    }
    require(&programs)?;
    let layout = Layout::new()?;
    let others_before = noise::await_quiet(options.force)?;
    affinity::pin(&[layout.generator])?;
    affinity::go_first();
    hold::allow_open_files(options.idle_connections as u64 + 1000)?;
    let dir = tempfile::Builder::new().prefix("slotilla-bench-").tempdir();
    let bench = Bench {
        options,
        layout,
        dir: dir.map_err(Failure::io("create a temporary directory"))?,
    };
    let results = measure(&bench, others_before)?;
    if let Some(file) = &bench.options.json {
        let json = serde_json::to_string_pretty(&results);
        let json = json.map_err(|error| Failure::io("write JSON")(error.into()))?;
        fs::write(file, json).map_err(Failure::io(format!("write {}", file.display())))?;
    }
    Ok(())
}

/// Runs the suites; each prints its tables when it is through.
fn measure(bench: &Bench, others_before: f64) -> Outcome<Results> {
    let options = &bench.options;
    let mut results = Results {
        machine: Machine::describe(options),
        options: options.clone(),
        layout: bench.layout.clone(),
        others_before,
        calibrated_before: noise::calibrate(&bench.layout)?,
        calibrated_after: Vec::new(),
        node: None,
        memory: None,
        types: None,
        proxy: None,
        long: None,
        replication: None,
    };
    say(&report::head(&results))?;
    for suite in &options.suites {
        match suite {
            Suite::Node => {
                let found = node::run(bench)?;
                say(&report::node(&found))?;
                results.node = Some(found);
            }
            Suite::Memory => {
                let found = memory::run(bench)?;
                say(&report::memory(&found))?;
                results.memory = Some(found);
            }
            Suite::Types => {
                results.types = Some(types::run(bench)?);
            }
            Suite::Proxy => {
                let found = proxy::run(bench)?;
                say(&report::proxy(&found))?;
                results.proxy = Some(found);
            }
            Suite::Long => {
                let found = long::run(bench)?;
                say(&report::long(&found))?;
                results.long = Some(found);
            }
            Suite::Replication => {
                results.replication = Some(replication::run(bench)?);
            }
        }
    }
    results.calibrated_after = noise::calibrate(&bench.layout)?;
    say(&report::noise(&results))?;
    Ok(results)
}

/// The programs that the suites need.
fn programs_of(options: &Options) -> Outcome<Vec<&str>> {
    let mut needed: Vec<&str> = Vec::new();
    for suite in &options.suites {
        needed.extend(match suite {
            Suite::Node => node::SUBJECTS,
            Suite::Memory => memory::SUBJECTS,
            Suite::Types => types::SUBJECTS,
            Suite::Proxy => proxy::SUBJECTS,
            Suite::Long => long::SUBJECTS,
            Suite::Replication => replication::SUBJECTS,
        });
    }
    needed.retain(|name| options.wants(name));
    if needed.is_empty() {
        let text = "--subjects: none of them takes part in these suites".to_owned();
        return Err(Failure::Usage(text));
    }
    let has_proxies = needed.iter().any(|name| proxy::SUBJECTS.contains(name));
    if has_proxies {
        needed.push(&options.primaries);
    }
    Ok(needed)
}

/// Refuses before anything is started if one of the programs is missing.
fn require(programs: &[&str]) -> Outcome<()> {
    for name in programs {
        match *name {
            "redis" => drop(programs::system("redis-server")?),
            "valkey" => drop(programs::valkey()?),
            "node" | "node-2" => drop(programs::ours("slotilla-node")?),
            "nutcracker" => drop(programs::system("nutcracker")?),
            "envoy" => drop(programs::envoy()?),
            "proxy" => drop(programs::ours("slotilla-proxy")?),
            _ => {}
        }
    }
    Ok(())
}
