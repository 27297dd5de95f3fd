//! What replicas cost their primary: its processor time per write with none, one and two.

use std::time::Duration;

use serde::Serialize;

use super::pair;
use super::sink::Sink;
use crate::compare::Bench;
use crate::compare::node::fill;
use crate::compare::process::wait_for;
use crate::compare::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, Plan, drive};
use crate::procfs::Usage;
use crate::workload::{Answers, Kind, Mix, Order, Shape, Work};
use crate::{interrupt, note};

/// Replicas of each primary.
pub(in crate::compare) const REPLICAS: [usize; 3] = [0, 1, 2];

/// Clients, and the writes that each sends at once.
pub(super) const CONNECTIONS: usize = 50;
pub(super) const PIPELINE: usize = 16;
/// A round of the other suites is so many here: what disturbs a machine lasts longer than one of
/// them, and then it disturbs all primaries alike.
const ROUNDS: usize = 3;
/// Writes of one round to one primary.
const WRITES: u64 = 500_000;
const WRITES_QUICK: u64 = 50_000;
/// How often it is seen whether replicas have everything.
const LOOK: Duration = Duration::from_micros(500);

/// What one make of server takes.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Cost {
    pub(in crate::compare) subject: String,
    /// Microseconds of the primary's processor time per write, for each number of [`REPLICAS`], one
    /// for each round.
    pub(in crate::compare) cpu_us: [Vec<f64>; REPLICAS.len()],
}

/// A primary and those who take its stream.
struct Stage {
    primary: Subject,
    sinks: Vec<Sink>,
}

/// Measures all makes in turns, each with as many primaries as there are numbers of replicas.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Cost>> {
    let shape = super::written(bench);
    let mut stages = Vec::new();
    for name in super::subjects(bench) {
        let set = |replicas| set(bench, name, replicas, &shape);
        let of_name: Vec<Stage> = REPLICAS.into_iter().map(set).collect::<Outcome<_>>()?;
        let cost = Cost {
            subject: name.to_owned(),
            cpu_us: Default::default(),
        };
        stages.push((cost, of_name));
    }
    for round in 0..bench.options.rounds * ROUNDS {
        for (cost, stages) in &mut stages {
            // Each round begins with another.
            let order = (0..REPLICAS.len()).map(|turn| (turn + round) % REPLICAS.len());
            for place in order {
                let (Some(stage), Some(found)) =
                    (stages.get_mut(place), cost.cpu_us.get_mut(place))
                else {
                    continue;
                };
                let cpu_us = write(bench, stage, &shape)?;
                note(&format!(
                    "  {} with {} replicas: {cpu_us:.3} µs",
                    cost.subject,
                    stage.sinks.len()
                ));
                found.push(cpu_us);
            }
        }
    }
    Ok(stages.into_iter().map(|(cost, _)| cost).collect())
}

fn set(bench: &Bench, name: &str, replicas: usize, shape: &Shape) -> Outcome<Stage> {
    note(&format!("starting {name} with {replicas} replicas"));
    let primary = pair::start(bench, name, &bench.layout.subject)?;
    fill(&primary, shape)?;
    let attach = |_| Sink::attach(primary.address);
    let sinks: Vec<Sink> = (0..replicas).map(attach).collect::<Outcome<_>>()?;
    Ok(Stage { primary, sinks })
}

/// Writes to a primary, and waits until all replicas have it; its time per write.
fn write(bench: &Bench, stage: &mut Stage, shape: &Shape) -> Outcome<f64> {
    let Stage { primary, sinks } = stage;
    let pid = primary.pid();
    let writes = if bench.options.quick {
        WRITES_QUICK
    } else {
        WRITES
    };
    let plan = plan(primary, shape, Extent::Commands(writes));
    let before = Usage::of(pid)?;
    let report = drive(plan).map_err(|failure| failure.of(&primary.name, "SET"))?;
    let due = pair::written(&mut primary.client()?)?;
    for sink in sinks.iter_mut() {
        await_sink(primary, sink, due)?;
    }
    let used = Usage::of(pid)?.since(before);
    Ok(used.cpu_ns as f64 / 1e3 / report.commands.max(1) as f64)
}

fn await_sink(primary: &mut Subject, sink: &mut Sink, due: u64) -> Outcome<()> {
    // Mostly it has it already, and then there is nothing to wait for.
    for _ in 0..100 {
        interrupt::check()?;
        sink.check()?;
        if sink.offset() >= due {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    let what = format!("a replica has all that {} wrote", primary.name);
    wait_for(&what, &mut [&mut primary.process], || {
        sink.check()?;
        match sink.offset() {
            has if has >= due => Ok(()),
            has => Err(Failure::Subject(format!("it has {has} of {due} bytes"))),
        }
    })
}

/// SETs of random keys, as fast as they are answered.
pub(super) fn plan(primary: &Subject, shape: &Shape, extent: Extent) -> Plan {
    Plan {
        target: primary.address,
        connections: CONNECTIONS,
        pipeline: PIPELINE,
        work: Work::Keys {
            mix: Mix::only(Kind::Set),
            shape: shape.clone(),
            answers: Answers::Values,
        },
        order: Order::Random(fastrand::Rng::with_seed(1)),
        extent,
        watch: vec![primary.pid()],
    }
}
