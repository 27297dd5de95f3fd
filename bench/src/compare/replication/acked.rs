//! What it costs to answer writes only once a replica has them.

use serde::Serialize;
use slotilla_common::resp::Value;

use super::cost::plan;
use super::pair;
use crate::client::shown;
use crate::compare::Bench;
use crate::compare::node::fill;
use crate::compare::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, LoadReport, drive};
use crate::note;
use crate::workload::Shape;

/// How many replicas must have a write before it is answered; none, and one.
const KEY: &str = "replica-ack-writes";
const ACKS: [&str; 2] = ["0", "1"];

/// What one make of server does.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Acked {
    pub(in crate::compare) subject: String,
    /// Of writes that nobody acknowledges, and of those that one replica does, one for each round;
    /// none if the server cannot do so.
    pub(in crate::compare) reports: Option<[Vec<LoadReport>; 2]>,
}

/// Measures all, one after the other.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Acked>> {
    super::subjects(bench)
        .map(|name| measure(bench, name))
        .collect()
}

fn measure(bench: &Bench, name: &str) -> Outcome<Acked> {
    let shape = super::written(bench);
    let mut primary = pair::start(bench, name, &bench.layout.subject)?;
    if !can_wait(&primary)? {
        return Ok(Acked {
            subject: name.to_owned(),
            reports: None,
        });
    }
    note(&format!("starting {name} and its replica"));
    let mut replica = pair::start(bench, name, &bench.layout.primaries)?;
    fill(&primary, &shape)?;
    pair::follow(&replica, &primary)?;
    pair::await_equal(&mut primary, &mut replica)?;
    let mut reports: [Vec<LoadReport>; 2] = Default::default();
    for _ in 0..bench.options.rounds {
        for (acks, reports) in ACKS.iter().zip(&mut reports) {
            let report = write(bench, &primary, acks, &shape)?;
            note(&format!(
                "  {name}, {acks} acknowledgements: {:.0}/s",
                report.commands_per_second
            ));
            reports.push(report);
            // What the replica is behind is not to be the next one's load.
            pair::await_equal(&mut primary, &mut replica)?;
        }
    }
    Ok(Acked {
        subject: name.to_owned(),
        reports: Some(reports),
    })
}

/// Whether a server knows the key.
fn can_wait(subject: &Subject) -> Outcome<bool> {
    match subject.client()?.call(&["CONFIG", "GET", KEY])? {
        Value::Array(found) => Ok(!found.is_empty()),
        other => {
            let text = format!("{}: CONFIG GET answered {}", subject.name, shown(&other));
            Err(Failure::WrongAnswer(text))
        }
    }
}

fn write(bench: &Bench, primary: &Subject, acks: &str, shape: &Shape) -> Outcome<LoadReport> {
    let reply = primary.client()?.call(&["CONFIG", "SET", KEY, acks])?;
    if reply != Value::Simple(b"OK".to_vec()) {
        let text = format!("{}: CONFIG SET {KEY}: {}", primary.name, shown(&reply));
        return Err(Failure::WrongAnswer(text));
    }
    let extent = Extent::Time {
        warm_up: bench.options.warm_up,
        measured: bench.options.measured,
    };
    drive(plan(primary, shape, extent)).map_err(|failure| failure.of(&primary.name, "SET"))
}
