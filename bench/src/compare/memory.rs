//! Memory: bytes per key, and of connections that say nothing.

use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::Bench;
use super::node::fill;
use super::proxies;
use super::subject::{Subject, start_server};
use crate::failure::Outcome;
use crate::load::{drive, sequential};
use crate::workload::{Kind, Shape};
use crate::{hold, interrupt, note, stats};

/// Who takes part.
pub(super) const SUBJECTS: &[&str] = &["redis", "valkey", "node", "nutcracker", "envoy", "proxy"];

const SERVERS: &[&str] = &["redis", "valkey", "node"];
const PROXIES: &[&str] = &["nutcracker", "envoy", "proxy"];

/// Keys that exist while connections are counted.
const KEYS_BEHIND_CONNECTIONS: u64 = 10_000;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) keys: u64,
    pub(super) per_key: Vec<PerKey>,
    pub(super) connections: usize,
    pub(super) per_connection: Vec<PerConnection>,
}

/// What keys take, beyond what the empty server did.
#[derive(Debug, Serialize)]
pub(super) struct PerKey {
    pub(super) subject: String,
    /// By the server's own count.
    pub(super) used_bytes: f64,
    /// By the kernel's.
    pub(super) resident_bytes: f64,
}

/// What idle connections take, beyond what the process did before.
#[derive(Debug, Serialize)]
pub(super) struct PerConnection {
    pub(super) subject: String,
    /// At once after their GET.
    pub(super) resident_bytes_at_once: f64,
    /// When the process had ceased to give memory back.
    pub(super) resident_bytes: f64,
}

/// Runs the suite: one subject after the other, each fresh.
pub(super) fn run(bench: &Bench) -> Outcome<Results> {
    let mut results = Results {
        keys: bench.options.memory_keys,
        per_key: Vec::new(),
        connections: bench.options.idle_connections,
        per_connection: Vec::new(),
    };
    let wanted = |name: &&&str| bench.options.wants(name);
    for name in SERVERS.iter().filter(wanted) {
        results.per_key.push(per_key(bench, name)?);
        results.per_connection.push(of_server(bench, name)?);
    }
    let shape = shape_behind_connections();
    for name in PROXIES.iter().filter(wanted) {
        let proxies = proxies::start(bench, &[name], &shape)?;
        for proxy in &proxies.subjects {
            results.per_connection.push(per_connection(bench, proxy)?);
        }
    }
    Ok(results)
}

fn per_key(bench: &Bench, name: &str) -> Outcome<PerKey> {
    let shape = Shape {
        keys: bench.options.memory_keys,
        value_size: 32,
        ..Shape::default()
    };
    note(&format!("memory of {} keys: {name}", shape.keys));
    let subject = start_server(name, &bench.layout, bench.dir())?;
    let before = Memory::of(&subject)?;
    // Reading every key back also lets a table that is being rehashed finish.
    fill(&subject, &shape)?;
    settle(&subject)?;
    let after = Memory::of(&subject)?;
    let keys = shape.keys as f64;
    Ok(PerKey {
        subject: name.to_owned(),
        used_bytes: (after.used - before.used) / keys,
        resident_bytes: (after.resident - before.resident) / keys,
    })
}

/// What a subject takes.
pub(super) struct Memory {
    pub(super) used: f64,
    pub(super) resident: f64,
}

impl Memory {
    pub(super) fn of(subject: &Subject) -> Outcome<Self> {
        let used = subject.client()?.info("memory", "used_memory")?;
        Ok(Self {
            used: used.parse().unwrap_or(0.0),
            resident: subject.resident_bytes()? as f64,
        })
    }
}

fn of_server(bench: &Bench, name: &str) -> Outcome<PerConnection> {
    let subject = start_server(name, &bench.layout, bench.dir())?;
    let shape = shape_behind_connections();
    drive(sequential(subject.address, Kind::Set, shape))?;
    per_connection(bench, &subject)
}

fn per_connection(bench: &Bench, subject: &Subject) -> Outcome<PerConnection> {
    let shape = shape_behind_connections();
    let count = bench.options.idle_connections;
    note(&format!("memory of {count} connections: {}", subject.name));
    settle(subject)?;
    let before = subject.resident_bytes()? as f64;
    let held = hold::open(subject.address, count, &shape)?;
    let at_once = subject.resident_bytes()? as f64;
    settle(subject)?;
    let after = subject.resident_bytes()? as f64;
    drop(held);
    Ok(PerConnection {
        subject: subject.name.clone(),
        resident_bytes_at_once: (at_once - before) / count as f64,
        resident_bytes: (after - before) / count as f64,
    })
}

fn shape_behind_connections() -> Shape {
    Shape {
        keys: KEYS_BEHIND_CONNECTIONS,
        ..Shape::default()
    }
}

/// Waits until a process's memory stays as it is for six seconds, a minute at most. Redis looks
/// every five seconds whether a client's reply buffer can be smaller.
fn settle(subject: &Subject) -> Outcome<()> {
    await_steady(subject, 30)
}

/// Waits until a process's memory stays as it is for so many readings, five of them a second; a
/// minute at most.
pub(super) fn await_steady(subject: &Subject, steady: usize) -> Outcome<()> {
    let mut readings = Vec::new();
    for _ in 0..300 {
        interrupt::check()?;
        readings.push(subject.resident_bytes()? as f64);
        let last = readings.get(readings.len().saturating_sub(steady)..);
        if readings.len() >= steady && stats::spread(last.unwrap_or_default()) < 0.001 {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
