//! Bytes per element of each type, small and large.

use serde::Serialize;

use super::line::fill;
use crate::compare::Bench;
use crate::compare::memory::{Memory, await_steady};
use crate::compare::subject::start_server;
use crate::failure::{Failure, Outcome};
use crate::note;

/// Readings of the same memory after which it is taken for settled.
const STEADY: usize = 5;

/// One row of the table.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Elements {
    pub(in crate::compare) what: String,
    pub(in crate::compare) subjects: Vec<Bytes>,
}

/// What an element takes, beyond what the empty server did.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Bytes {
    pub(in crate::compare) subject: String,
    /// By the server's own count.
    pub(in crate::compare) used: f64,
    /// By the kernel's.
    pub(in crate::compare) resident: f64,
}

/// Something that a server is filled with.
struct Load {
    what: &'static str,
    /// Sent with each number below `commands`.
    line: String,
    commands: u64,
    /// What the bytes are divided by.
    elements: u64,
    /// How many keys there are then.
    keys: u64,
}

/// Fills fresh servers, one load after the other.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Elements>> {
    let scale = if bench.options.quick { 20 } else { 1 };
    let loads = loads(1_000_000 / scale);
    loads.iter().map(|load| measure(bench, load)).collect()
}

fn measure(bench: &Bench, load: &Load) -> Outcome<Elements> {
    let wanted = super::SUBJECTS
        .iter()
        .filter(|name| bench.options.wants(name));
    let subjects = wanted.map(|name| {
        note(&format!("memory of {}: {name}", load.what));
        let subject = start_server(name, &bench.layout, bench.dir())?;
        let before = Memory::of(&subject)?;
        fill(&subject, &load.line, load.commands, load.commands)?;
        let keys = subject.client()?.integer("DBSIZE")?;
        if u64::try_from(keys) != Ok(load.keys) {
            let (what, expected) = (load.what, load.keys);
            let text = format!("{name} has {keys} keys with {what}, not {expected}");
            return Err(Failure::WrongAnswer(text));
        }
        await_steady(&subject, STEADY)?;
        let after = Memory::of(&subject)?;
        let elements = load.elements as f64;
        Ok(Bytes {
            subject: (*name).to_owned(),
            used: (after.used - before.used) / elements,
            resident: (after.resident - before.resident) / elements,
        })
    });
    Ok(Elements {
        what: load.what.to_owned(),
        subjects: subjects.collect::<Outcome<_>>()?,
    })
}

/// What servers are filled with; `many` is how much of it.
fn loads(many: u64) -> Vec<Load> {
    let hash: String = (0..5).map(|at| format!(" field{at} 0123456789")).collect();
    let words: String = (0..10).map(|at| format!(" element:{at}.")).collect();
    let scored: String = (0..10).map(|at| format!(" {at}.5 element:{at}.")).collect();
    let integers = |count: u64| {
        (0..count)
            .map(|at| format!(" {}", 1000 + at))
            .collect::<String>()
    };
    let keys = |what, line, commands, per_key| Load {
        what,
        line,
        commands,
        elements: commands * per_key,
        keys: commands,
    };
    let one = |what, line: &str| Load {
        what,
        line: line.to_owned(),
        commands: many,
        elements: many,
        keys: 1,
    };
    vec![
        keys(
            "hashes of 5 × 10 bytes, per hash",
            format!("HSET key:0000{{n}}{hash}"),
            many / 4,
            1,
        ),
        one(
            "a hash of 1M fields of 16 and values of 10",
            "HSET hash field:00{n} 0123456789",
        ),
        keys(
            "lists of 10 × 10 bytes",
            format!("RPUSH key:0000{{n}}{words}"),
            many / 10,
            10,
        ),
        one("a list of 1M × 10 bytes", "RPUSH list e:{n}"),
        keys(
            "sets of 10 × 10 bytes",
            format!("SADD key:0000{{n}}{words}"),
            many / 10,
            10,
        ),
        one("a set of 1M × 16 bytes", "SADD set member:0{n}"),
        keys(
            "sets of 10 integers",
            format!("SADD key:0000{{n}}{}", integers(10)),
            many / 10,
            10,
        ),
        keys(
            "sets of 500 integers",
            format!("SADD key:0000{{n}}{}", integers(500)),
            many / 20,
            500,
        ),
        keys(
            "sorted sets of 10 × 10 bytes",
            format!("ZADD key:0000{{n}}{scored}"),
            many / 10,
            10,
        ),
        one(
            "a sorted set of 1M × 16 bytes",
            "ZADD scores {r} member:0{n}",
        ),
    ]
}
