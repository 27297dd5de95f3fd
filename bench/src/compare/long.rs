//! Long commands: what clients of other keys feel while one client unites or deletes huge sets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use slotilla_common::clock::Monotonic;
use slotilla_common::resp::Value;

use super::Bench;
use super::subject::{Subject, start_server};
use crate::client::{Client, shown};
use crate::failure::{Failure, Outcome};
use crate::note;

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["redis", "valkey", "node-2"];

/// Clients that each send a GET after the other, one at each of these moments.
const PROBES: usize = 4;
const PROBE_EVERY_NANOS: u64 = 500_000;
/// Members that one SADD adds.
const PER_SADD: usize = 1000;
/// How often the long command is repeated.
const UNIONS: usize = 5;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    /// Members of the set that is united.
    pub(super) united: usize,
    /// Members of the set that is deleted.
    pub(super) deleted: usize,
    pub(super) rows: Vec<Row>,
}

/// What GETs felt meanwhile.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) meanwhile: &'static str,
    /// How long the long command took.
    pub(super) command_ms: f64,
    pub(super) gets: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) most_ms: f64,
}

/// Runs the suite: one subject after the other, each fresh.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let quick = bench.options.quick;
    let mut results = Results {
        united: if quick { 100_000 } else { 1_000_000 },
        deleted: if quick { 1_000_000 } else { 10_000_000 },
        rows: Vec::new(),
    };
    for name in SUBJECTS.iter().filter(|name| bench.options.wants(name)) {
        note(&format!("long commands: {name}"));
        let subject = start_server(name, &bench.layout, bench.dir())?;
        let mut client = subject.client()?;
        client.text("SET other 1")?;
        fill(&mut client, "{long}set", results.united)?;
        let quiet = bench.options.measured;
        let rest = |_: &mut Client| {
            thread::sleep(quiet);
            Ok(())
        };
        results.rows.push(probe(&subject, "nothing", 1, rest)?);
        let unite = |client: &mut Client| {
            for _ in 0..UNIONS {
                answer(
                    client,
                    "SUNIONSTORE {long}to {long}set {long}set",
                    results.united,
                )?;
            }
            Ok(())
        };
        results
            .rows
            .push(probe(&subject, "SUNIONSTORE", UNIONS, unite)?);
        fill(&mut client, "{long}huge", results.deleted)?;
        let delete = |client: &mut Client| {
            answer(client, "DEL {long}huge", 1)?;
            Ok(())
        };
        results.rows.push(probe(&subject, "DEL", 1, delete)?);
    }
    Ok(results)
}

fn fill(client: &mut Client, key: &str, members: usize) -> Outcome<()> {
    for start in (0..members).step_by(PER_SADD) {
        let mut command = vec!["SADD".to_owned(), key.to_owned()];
        command.extend((start..members.min(start + PER_SADD)).map(|n| format!("member:{n:010}")));
        client.call(&command)?;
    }
    answer(client, &format!("SCARD {key}"), members)
}

/// Sends a command that must answer with this number.
fn answer(client: &mut Client, line: &str, expected: usize) -> Outcome<()> {
    let words: Vec<&str> = line.split(' ').collect();
    match client.call(&words)? {
        Value::Integer(number) if usize::try_from(number) == Ok(expected) => Ok(()),
        other => Err(Failure::WrongAnswer(format!("{line}: {}", shown(&other)))),
    }
}

/// Does `work`, so many commands, and measures GETs from its start until a while after its end: what
/// is freed in the background is freed then.
fn probe(
    subject: &Subject,
    meanwhile: &'static str,
    commands: usize,
    work: impl FnOnce(&mut Client) -> Outcome<()>,
) -> Outcome<Row> {
    const AFTER: Duration = Duration::from_millis(500);
    let mut client = subject.client()?;
    let (stop, clock) = (AtomicBool::new(false), Monotonic::new());
    let (done, nanos) = thread::scope(|scope| {
        let probes: Vec<_> = (0..PROBES)
            .map(|_| scope.spawn(|| get_until(subject, &clock, &stop)))
            .collect();
        let start = clock.now();
        let worked = work(&mut client);
        let nanos = clock.nanos_between(start, clock.now());
        if worked.is_ok() {
            thread::sleep(AFTER);
        }
        stop.store(true, Ordering::Relaxed);
        let done: Vec<_> = probes
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        worked.map(|()| (done, nanos))
    })?;
    let mut all = histogram()?;
    for probe in done {
        let found = probe.map_err(|_| Failure::WrongAnswer("a probe panicked".to_owned()))??;
        // Of the same bounds, so it fits.
        all.add(found).unwrap_or_default();
    }
    let ms = |nanos: u64| nanos as f64 / 1e6;
    Ok(Row {
        subject: subject.name.clone(),
        meanwhile,
        command_ms: ms(nanos) / commands as f64,
        gets: all.len(),
        p50_ms: ms(all.value_at_quantile(0.5)),
        p99_ms: ms(all.value_at_quantile(0.99)),
        most_ms: ms(all.max()),
    })
}

/// Up to a minute, which is more than a reply may take.
fn histogram() -> Outcome<Histogram<u64>> {
    let found = Histogram::new_with_bounds(1, 60_000_000_000, 3);
    found.map_err(|error| Failure::WrongAnswer(format!("a histogram: {error}")))
}

/// Sends a GET at each moment of a timetable. One that is late because the one before it took long
/// counts from when it should have been sent: so a pause is felt by all that fall into it.
fn get_until(subject: &Subject, clock: &Monotonic, stop: &AtomicBool) -> Outcome<Histogram<u64>> {
    let mut client = subject.client()?;
    let mut found = histogram()?;
    let start = clock.now();
    let elapsed = || clock.nanos_between(start, clock.now());
    let mut due = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = elapsed();
        let sent = if now < due {
            thread::sleep(Duration::from_nanos(due - now));
            // What it overslept is not the server's.
            elapsed()
        } else {
            due
        };
        if client.text("GET other")? != "1" {
            return Err(Failure::WrongAnswer("GET other".to_owned()));
        }
        found.saturating_record(elapsed() - sent);
        due += PROBE_EVERY_NANOS;
    }
    Ok(found)
}
