//! One workload on several subjects, in turns.

use serde::Serialize;

use super::options::Options;
use super::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, LoadReport, Plan, drive};
use crate::workload::{Kind, Mix, Order, Shape, Work};
use crate::{note, stats};

/// What is asked, and by how many.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    pub(super) kind: Kind,
    pub(super) pipeline: usize,
    pub(super) connections: usize,
}

impl Workload {
    /// Its name in the tables.
    pub(super) fn name(&self) -> String {
        let command = match self.kind {
            Kind::Get => "GET",
            Kind::Set => "SET",
            Kind::MGet => "MGET of 10 keys",
            Kind::MSet => "MSET of 10 keys",
        };
        let (pipeline, connections) = (self.pipeline, self.connections);
        format!("{command}, pipeline {pipeline}, {connections} connections")
    }

    /// The run of it on a subject.
    pub(super) fn plan(&self, subject: &Subject, shape: &Shape, extent: Extent) -> Plan {
        let mut watch = vec![subject.pid()];
        watch.extend(&subject.upstream);
        Plan {
            target: if self.pipeline > 1 {
                subject.pipelined_address
            } else {
                subject.address
            },
            connections: self.connections,
            pipeline: self.pipeline,
            work: Work::Keys {
                mix: Mix::only(self.kind),
                shape: shape.clone(),
                answers: subject.answers,
            },
            order: Order::Random(fastrand::Rng::with_seed(1)),
            extent,
            watch,
        }
    }
}

/// What one run found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    /// Commands per second.
    pub(super) per_second: f64,
    /// Microseconds of the subject's processor time per command.
    pub(super) cpu_us: f64,
    pub(super) user_us: f64,
    pub(super) system_us: f64,
    /// The same of the primaries behind it, together.
    pub(super) upstream_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) resident_bytes: u64,
    /// Processors that the subject kept busy.
    pub(super) busy: f64,
    /// Processors that the generator kept busy.
    pub(super) generator_busy: f64,
    /// The part of the run in which the subject could run, but had to wait for a processor.
    pub(super) waited: f64,
    /// Processors that anybody else kept busy.
    pub(super) others: f64,
    /// Processors that the hypervisor kept to itself.
    pub(super) stolen: f64,
}

impl Sample {
    pub(super) fn new(report: &LoadReport, resident_bytes: u64) -> Outcome<Self> {
        let Some((subject, upstream)) = report.watched.split_first() else {
            return Err(Failure::Subject("nobody was watched".to_owned()));
        };
        let seconds = report.seconds;
        let upstream_seconds: f64 = upstream.iter().map(|node| node.cpu_seconds).sum();
        let known = subject.cpu_seconds + upstream_seconds + report.generator_cpu_seconds;
        Ok(Self {
            per_second: report.commands_per_second,
            cpu_us: subject.cpu_us,
            user_us: subject.user_us,
            system_us: subject.system_us,
            upstream_us: upstream.iter().map(|node| node.cpu_us).sum(),
            p50_us: report.latency.p50_us,
            p99_us: report.latency.p99_us,
            resident_bytes,
            busy: subject.cpu_seconds / seconds,
            generator_busy: report.generator_cpu_seconds / seconds,
            waited: subject.waited_seconds / seconds,
            others: (report.machine_cpu_seconds - known).max(0.0) / seconds,
            stolen: report.stolen_seconds / seconds,
        })
    }
}

/// All rounds of a workload on one subject.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) samples: Vec<Sample>,
}

impl Row {
    /// The median of one figure over the rounds.
    pub(super) fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        stats::median(&self.samples.iter().map(figure).collect::<Vec<_>>())
    }

    /// The part of the subject's time that it spent in its own code, over all rounds: the
    /// kernel samples it, and one round is too short for a good sample.
    pub(super) fn user_share(&self) -> f64 {
        let user: f64 = self.samples.iter().map(|sample| sample.user_us).sum();
        let total: f64 = self.samples.iter().map(|sample| sample.cpu_us).sum();
        if total > 0.0 { user / total } else { 0.0 }
    }

    /// The largest of one figure over the rounds.
    pub(super) fn largest(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(figure).fold(0.0, f64::max)
    }

    /// How far the rounds' processor times per command lie apart.
    pub(super) fn spread(&self) -> f64 {
        stats::spread(&self.samples.iter().map(|s| s.cpu_us).collect::<Vec<_>>())
    }
}

/// All subjects on one workload.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    pub(super) workload: String,
    pub(super) rows: Vec<Row>,
}

impl Comparison {
    /// The row of a subject.
    pub(super) fn row(&self, subject: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.subject == subject)
    }
}

/// Runs a workload on every subject in turn, round after round. Each round begins with another
/// subject, so that none always follows the same one.
pub(super) fn compare(
    workload: &Workload,
    subjects: &mut [Subject],
    shape: &Shape,
    options: &Options,
) -> Outcome<Comparison> {
    let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
    let extent = Extent::Time {
        warm_up: options.warm_up,
        measured: options.measured,
    };
    for round in 0..options.rounds {
        for turn in 0..subjects.len() {
            let place = (turn + round) % subjects.len();
            let (Some(subject), Some(samples)) = (subjects.get_mut(place), samples.get_mut(place))
            else {
                continue;
            };
            let plan = workload.plan(subject, shape, extent);
            let report = drive(plan).map_err(|failure| explain(failure, subject, workload))?;
            let sample = Sample::new(&report, subject.resident_bytes()?)?;
            note(&format!(
                "  {}, round {}: {:<10} {:>9.0}/s {:>7.3} µs",
                workload.name(),
                round + 1,
                subject.name,
                sample.per_second,
                sample.cpu_us
            ));
            samples.push(sample);
        }
    }
    let rows = subjects.iter().zip(samples).map(|(subject, samples)| Row {
        subject: subject.name.clone(),
        samples,
    });
    Ok(Comparison {
        workload: workload.name(),
        rows: rows.collect(),
    })
}

/// Says who failed at what; a subject that has ended says why itself.
pub(super) fn explain(failure: Failure, subject: &mut Subject, workload: &Workload) -> Failure {
    if let Err(ended) = subject.process.check() {
        return ended;
    }
    failure.of(&subject.name, &workload.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Latency, Watched};

    fn watched(cpu_seconds: f64) -> Watched {
        Watched {
            pid: 1,
            cpu_us: cpu_seconds * 10.0,
            user_us: cpu_seconds * 4.0,
            system_us: cpu_seconds * 6.0,
            cpu_seconds,
            waited_seconds: 0.02,
        }
    }

    #[test]
    fn what_nobody_known_used_was_used_by_others() {
        let report = LoadReport {
            commands: 200_000,
            seconds: 2.0,
            commands_per_second: 100_000.0,
            latency: Latency {
                p50_us: 1.0,
                p99_us: 2.0,
                p999_us: 3.0,
                max_us: 4.0,
            },
            generator_cpu_seconds: 1.0,
            machine_cpu_seconds: 3.6,
            stolen_seconds: 0.2,
            watched: vec![watched(1.5), watched(0.25), watched(0.25)],
        };
        let sample = Sample::new(&report, 7).unwrap();
        let same = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} {right}");
        same(sample.busy, 0.75);
        same(sample.generator_busy, 0.5);
        same(sample.others, 0.3);
        same(sample.stolen, 0.1);
        same(sample.waited, 0.01);
        same(sample.upstream_us, 5.0);
    }

    #[test]
    fn workloads_are_named_as_a_reader_would() {
        let workload = Workload {
            kind: Kind::MGet,
            pipeline: 1,
            connections: 50,
        };
        let name = "MGET of 10 keys, pipeline 1, 50 connections";
        assert_eq!(workload.name(), name);
    }
}
