//! Random tests of every parser that reads bytes from outside: mutations of the kept corpus,
//! for one second each, or `SLOTILLA_FUZZ_SECONDS`. `SLOTILLA_FUZZ_SEED` repeats a run.
#![cfg(test)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Deadline, binaries};
use targets::{TARGETS, Target};

/// Inputs are kept below this, or mutations would make them grow without end.
const INPUT_MAX: usize = 8192;
/// Inputs kept in memory because their outcome was new.
const KEPT_MAX: usize = 4096;

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"*",
    b"$",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"-1",
    b"0",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"4294967296",
    b"1048577",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\"",
    b"'",
    b"\\x",
    b" ",
    b"[",
    b"%1\r\n",
];

fn run(name: &str) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, parse): &Target = target.expect("a known target");
    let seed = number("SLOTILLA_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SLOTILLA_FUZZ_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut inputs = corpus(name);
    let mut outcomes = HashSet::new();
    for input in &inputs {
        outcomes.insert(parse(input));
    }
    let seconds = number("SLOTILLA_FUZZ_SECONDS").unwrap_or(1);
    let deadline = Deadline::after(Duration::from_secs(seconds));
    let mut runs = 0_u64;
    while !deadline.is_over() {
        for _ in 0..100 {
            let input = mutated(&inputs, &mut random);
            runs += 1;
            let outcome = catch_unwind(AssertUnwindSafe(|| parse(&input)));
            let Ok(outcome) = outcome else {
                let file = keep_failure(name, &input);
                panic!("{name} failed on input {runs} of seed {seed}, kept as {file}");
            };
            if outcomes.insert(outcome) && inputs.len() < KEPT_MAX {
                inputs.push(input);
            }
        }
    }
    println!("{name}: {runs} inputs, {} outcomes", outcomes.len());
    assert!(runs >= 100 && outcomes.len() > 1, "nothing was tried");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = binaries::root().join("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    // By name: a seed repeats a run on every file system.
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutated(inputs: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = inputs[random.usize(..inputs.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        match random.u8(..8) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 => input.insert(at, random.u8(..)),
            3 => input.truncate(at),
            4 => {
                let end = random.usize(at..=input.len().min(at + 64));
                input.drain(at..end);
            }
            5 => {
                let token = TOKENS[random.usize(..TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
            6 => {
                let end = random.usize(at..=input.len().min(at + 256));
                let copy = input[at..end].to_vec();
                let to = random.usize(..=input.len());
                input.splice(to..to, copy);
            }
            _ => {
                let other = &inputs[random.usize(..inputs.len())];
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(INPUT_MAX);
    input
}

/// Where the input that failed can be found again.
fn keep_failure(name: &str, input: &[u8]) -> String {
    let folder = binaries::target_dir().join("fuzz-failures");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}-{}", fastrand::u64(..)));
    fs::write(&file, input).unwrap();
    file.display().to_string()
}

#[test]
fn requests() {
    run("request");
}

#[test]
fn replies() {
    run("reply");
}

#[test]
fn bus_messages() {
    run("bus");
}

#[test]
fn node_configurations() {
    run("redis_conf");
}

#[test]
fn nodes_conf() {
    run("nodes_conf");
}

#[test]
fn hyperloglogs() {
    run("hyperloglog");
}

#[test]
fn listpacks() {
    run("listpack");
}

#[test]
fn intsets() {
    run("intset");
}

#[test]
fn snapshots() {
    run("rdb");
}

#[test]
fn values() {
    run("dump");
}

#[test]
fn handshakes() {
    run("handshake");
}

#[test]
fn streams() {
    run("stream");
}
