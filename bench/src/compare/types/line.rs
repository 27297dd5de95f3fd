//! One line of a table: a command, sent to every subject in turn.

use slotilla_common::resp::Value;

use crate::client::{Client, shown};
use crate::compare::measure::{Comparison, Row, Sample};
use crate::compare::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, Plan, drive};
use crate::note;
use crate::workload::{Order, Reply, Template, Work};

/// Clients, and how many of them ask for what takes long: one round of all would take seconds.
const CONNECTIONS: usize = 50;
const CONNECTIONS_LONG: usize = 4;
const PIPELINE: usize = 16;

/// A command that is measured.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) template: Template,
    /// Whether the reply is the same each time; then its bytes are compared.
    pub(super) is_constant: bool,
    /// How often it is sent in a round.
    pub(super) requests: u64,
    connections: usize,
    samples: Vec<Vec<Sample>>,
}

impl Line {
    pub(super) fn new(name: &'static str, template: Template, requests: u64) -> Self {
        Self {
            name,
            template,
            is_constant: false,
            requests,
            connections: CONNECTIONS,
            samples: Vec::new(),
        }
    }

    /// The same with a reply that is the same each time.
    pub(super) fn constant(self) -> Self {
        Self {
            is_constant: true,
            ..self
        }
    }

    /// The same from few connections.
    pub(super) fn long(self) -> Self {
        Self {
            connections: CONNECTIONS_LONG,
            ..self
        }
    }

    /// Asks every subject once and compares what they answer, elements in any order.
    pub(super) fn check(&self, subjects: &[Subject]) -> Outcome<()> {
        let mut first: Option<Value> = None;
        for subject in subjects {
            let (value, _) = ask(&mut subject.client()?, &self.template)?;
            let value = sorted(value);
            let first = first.get_or_insert_with(|| value.clone());
            if matches!(value, Value::Error(_)) || *first != value {
                let (name, line) = (&subject.name, self.name);
                let (value, first) = (shown(&value), shown(first));
                let text = format!("{name} answered {value} to {line}, not {first}");
                return Err(Failure::WrongAnswer(text));
            }
        }
        Ok(())
    }

    /// Measures every subject once; each `round` begins with another.
    pub(super) fn measure(&mut self, subjects: &mut [Subject], round: usize) -> Outcome<()> {
        let count = subjects.len();
        self.samples.resize(count, Vec::new());
        for turn in 0..count {
            let place = (turn + round) % count;
            if let Some(subject) = subjects.get_mut(place) {
                let sample = self.sample(subject)?;
                if let Some(samples) = self.samples.get_mut(place) {
                    samples.push(sample);
                }
            }
        }
        Ok(())
    }

    fn sample(&self, subject: &mut Subject) -> Outcome<Sample> {
        let template = self.template.clone();
        let template = if self.is_constant {
            let (_, reply) = ask(&mut subject.client()?, &template)?;
            template.replies(Reply::Same(reply))
        } else {
            template
        };
        let plan = Plan {
            target: subject.address,
            connections: self.connections,
            pipeline: PIPELINE,
            work: Work::Template(template),
            order: Order::Random(fastrand::Rng::with_seed(1)),
            extent: Extent::Commands(self.requests),
            watch: vec![subject.pid()],
        };
        let report = match drive(plan) {
            Ok(report) => report,
            Err(failure) => {
                // A subject that has ended says why itself.
                subject.process.check()?;
                return Err(failure.of(&subject.name, self.name));
            }
        };
        let sample = Sample::new(&report, subject.resident_bytes()?)?;
        note(&format!(
            "  {}: {:<8} {:>9.0}/s {:>8.3} µs",
            self.name, subject.name, sample.per_second, sample.cpu_us
        ));
        Ok(sample)
    }

    /// What all rounds found.
    pub(super) fn finish(self, subjects: &[Subject]) -> Comparison {
        let rows = subjects.iter().zip(self.samples);
        let rows = rows.map(|(subject, samples)| Row {
            subject: subject.name.clone(),
            samples,
        });
        Comparison {
            workload: self.name.to_owned(),
            rows: rows.collect(),
        }
    }
}

/// One reply, with the number 7 in all places, and its bytes.
fn ask(client: &mut Client, template: &Template) -> Outcome<(Value, Vec<u8>)> {
    client.raw(&template.request_of(7))
}

/// Sends a command for each number below `count`, one after the other on one connection, so that
/// all subjects come to hold the same.
pub(super) fn fill(subject: &Subject, line: &str, range: u64, count: u64) -> Outcome<()> {
    let plan = Plan {
        target: subject.address,
        connections: 1,
        pipeline: 100,
        work: Work::Template(Template::new(line, range)),
        order: Order::Sequential(0),
        extent: Extent::Commands(count),
        watch: Vec::new(),
    };
    drive(plan).map_err(|failure| failure.of(&subject.name, line))?;
    Ok(())
}

/// A reply with its elements in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut elements) => {
            elements.sort_by_cached_key(|element| format!("{element:?}"));
            Value::Array(elements)
        }
        other => other,
    }
}
