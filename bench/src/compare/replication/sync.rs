//! Full syncs: how long they take, what clients of the primary feel, and how much memory it takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use slotilla_common::clock::Monotonic;

use super::paced::{self, Felt, Traffic};
use super::pair;
use crate::client::{Client, info_field};
use crate::compare::Bench;
use crate::compare::memory::await_steady;
use crate::compare::node::fill;
use crate::compare::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::Latency;
use crate::note;
use crate::procfs::{MachineTime, cpu_seconds_with_children, family_bytes};
use crate::workload::Shape;

/// Random writes a second beside the copy: none, and as many as the goal for memory is set for.
const WRITES: &[u64] = &[0, 20_000];
/// How long the clients ask before a copy begins.
const BEFORE: Duration = Duration::from_secs(2);
const BEFORE_QUICK: Duration = Duration::from_millis(300);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Full syncs from one make of server to another.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Synced {
    pub(in crate::compare) primary: String,
    pub(in crate::compare) replica: String,
    /// Random writes a second that were asked for meanwhile.
    pub(in crate::compare) writes: u64,
    /// One for each round.
    pub(in crate::compare) copies: Vec<Copy>,
}

/// One full sync.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Copy {
    /// From REPLICAOF until the replica has what the primary has.
    pub(in crate::compare) seconds: f64,
    /// Processor time of the primary and its child, for all that it did meanwhile.
    pub(in crate::compare) primary_cpu_seconds: f64,
    pub(in crate::compare) before: Latency,
    pub(in crate::compare) meanwhile: Latency,
    /// Seconds after its beginning at which a client waited longest.
    pub(in crate::compare) longest_at: f64,
    pub(in crate::compare) writes_per_second: f64,
    /// The part of a processor that the hypervisor took.
    pub(in crate::compare) stolen: f64,
    pub(in crate::compare) memory: Memory,
}

/// Memory of the primary and its child, in bytes.
#[derive(Debug, Default, Serialize)]
pub(in crate::compare) struct Memory {
    pub(in crate::compare) steady: u64,
    pub(in crate::compare) peak: u64,
    /// By the primary's own count, at most: what it kept because it changed, and the stream that the
    /// replica had not taken.
    pub(in crate::compare) kept: u64,
    pub(in crate::compare) unsent: u64,
}

/// Measures all pairs: each make with itself, and each with redis as the replica.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Synced>> {
    let mut found = Vec::new();
    for name in super::subjects(bench) {
        let mut replicas = vec![name];
        if name != "redis" && bench.options.wants("redis") {
            replicas.push("redis");
        }
        found.extend(from(bench, name, &replicas)?);
    }
    Ok(found)
}

/// Measures copies from one primary, which is filled once.
fn from(bench: &Bench, name: &str, replicas: &[&str]) -> Outcome<Vec<Synced>> {
    let shape = super::copied(bench);
    note(&format!("filling {name} with {} keys", shape.keys));
    let mut primary = pair::start(bench, name, &bench.layout.all)?;
    fill(&primary, &shape)?;
    let new = |replica: &&str, writes| Synced {
        primary: name.to_owned(),
        replica: (*replica).to_owned(),
        writes,
        copies: Vec::new(),
    };
    let each = |replica| WRITES.iter().map(move |writes| new(replica, *writes));
    let mut found: Vec<Synced> = replicas.iter().flat_map(each).collect();
    for _ in 0..bench.options.rounds {
        for synced in &mut found {
            let copy = copy(bench, &mut primary, synced, &shape)?;
            note(&format!(
                "  {name} to {} beside {} writes/s: {:.2} s, p99 {:.2} ms, longest {:.0} ms after \
                 {:.1} s, {:.0} MB above {:.0}, {:.0} % stolen",
                synced.replica,
                synced.writes,
                copy.seconds,
                copy.meanwhile.p99_us / 1e3,
                copy.meanwhile.max_us / 1e3,
                copy.longest_at,
                (copy.memory.peak - copy.memory.steady) as f64 / 1e6,
                copy.memory.steady as f64 / 1e6,
                copy.stolen * 100.0,
            ));
            synced.copies.push(copy);
        }
    }
    Ok(found)
}

fn copy(bench: &Bench, primary: &mut Subject, of: &Synced, shape: &Shape) -> Outcome<Copy> {
    let mut replica = pair::start(bench, &of.replica, &bench.layout.all)?;
    if !bench.options.quick {
        await_steady(primary, 5)?;
    }
    let traffic = Traffic {
        target: primary.address,
        shape,
        writes_per_second: of.writes,
    };
    let clock = Monotonic::new();
    let process = primary.pid();
    let address = primary.address;
    let (measured, felt) = paced::beside(&traffic, |stage| {
        thread::sleep(if bench.options.quick {
            BEFORE_QUICK
        } else {
            BEFORE
        });
        let steady = family_bytes(process)?;
        let (worked, most) = watch(process, address, || {
            let cpu_before = cpu_seconds_with_children(process)?;
            let machine_before = MachineTime::now()?;
            stage.begin();
            let start = clock.now();
            pair::follow(&replica, primary)?;
            pair::await_equal(primary, &mut replica)?;
            let nanos = clock.nanos_between(start, clock.now());
            let cpu_seconds = cpu_seconds_with_children(process)? - cpu_before;
            let stolen = MachineTime::now()?.stolen_seconds_since(machine_before);
            Ok((nanos as f64 / 1e9, cpu_seconds, stolen))
        })?;
        let memory = Memory {
            steady,
            peak: most.peak.max(steady),
            ..most
        };
        Ok((worked, memory))
    })?;
    let ((seconds, primary_cpu_seconds, stolen_seconds), memory) = measured;
    let stolen = stolen_seconds / seconds.max(1e-9);
    // The writes have ended: the rest of them is on its way.
    pair::await_equal(primary, &mut replica)?;
    pair::compare(primary, &replica, shape)?;
    let Felt {
        before,
        meanwhile,
        longest_at,
        writes_per_second,
    } = felt;
    Ok(Copy {
        seconds,
        primary_cpu_seconds,
        before,
        meanwhile,
        longest_at,
        writes_per_second,
        stolen,
        memory,
    })
}

/// Looks at a server's memory until `work` is done; what was most.
fn watch<R>(
    pid: u32,
    address: SocketAddr,
    work: impl FnOnce() -> Outcome<R>,
) -> Outcome<(R, Memory)> {
    let (is_over, client) = (AtomicBool::new(false), Client::connect(address)?);
    let (worked, seen) = thread::scope(|scope| {
        let looks = scope.spawn(|| look_until(&is_over, pid, client));
        let worked = work();
        is_over.store(true, Ordering::Relaxed);
        (worked, looks.join())
    });
    let seen = seen.map_err(|_| Failure::WrongAnswer("a look at memory panicked".to_owned()))?;
    Ok((worked?, seen?))
}

fn look_until(is_over: &AtomicBool, pid: u32, mut client: Client) -> Outcome<Memory> {
    let mut most = Memory::default();
    while !is_over.load(Ordering::Relaxed) {
        most.peak = most.peak.max(family_bytes(pid)?);
        let info = client.text("INFO")?;
        let number = |field| info_field(&info, field).and_then(|text| text.parse().ok());
        let (kept, unsent) = (
            number("current_cow_peak").unwrap_or(0),
            number("mem_total_replication_buffers").unwrap_or(0),
        );
        most.kept = most.kept.max(kept);
        most.unsent = most.unsent.max(unsent);
        thread::sleep(LOOK_EVERY);
    }
    Ok(most)
}
