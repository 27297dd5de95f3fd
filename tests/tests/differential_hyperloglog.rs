//! Random commands on HyperLogLogs, sent to our node and to a real redis-server 7.0.15, alone and
//! through the proxy: every reply must be the same, and so must the bytes of the keys, corrupted
//! ones included.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, pick, seed};
use slotilla_tests::{Client, Cluster, Deadline, Kind, Server};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 15;
const KEYS: usize = 5;

/// Commands, each argument a kind: `k` a key, `k*` several, `e*` elements, `E*` many of them, `h`
/// bytes that begin as a HyperLogLog does, `b` a few bytes, `p` a place in a string, `s` a size.
const SHAPES: &[&str] = &[
    "pfadd k e*",
    "pfadd k e*",
    "pfadd k e*",
    "pfadd k e*",
    "pfadd k E*",
    "pfadd k",
    "pfcount k",
    "pfcount k",
    "pfcount k*",
    "pfmerge k k*",
    "pfmerge k k*",
    "pfmerge k",
    "pfdebug encoding k",
    "pfdebug decode k",
    "pfdebug todense k",
    "pfdebug getreg k",
    "pfdebug bogus k",
    "del k",
    "copy k k replace",
    "expire k 10000",
    "pfadd",
    "pfcount",
    "pfdebug getreg",
];
/// Those that may make a HyperLogLog a corrupted one.
const CORRUPTING: &[&str] = &[
    "set k h",
    "set k h",
    "set k b",
    "set k 12345",
    "setrange k p b",
    "setrange k p b",
    "append k b",
];
const SIZES: &[&str] = &["0", "18", "100", "500", "3000", "3000", "20000"];

struct Generator {
    random: Rng,
    may_configure: bool,
}

impl Generator {
    fn word(&mut self, from: &[&str]) -> Vec<u8> {
        pick(&mut self.random, from).as_bytes().to_vec()
    }

    fn key(&mut self) -> Vec<u8> {
        format!("{{t}}{}", self.random.usize(0..KEYS)).into_bytes()
    }

    fn elements(&mut self, most: usize, out: &mut Command) {
        // Of a small range some are there already.
        let range = *self.random.choice(&[30, 1000, u64::MAX]).unwrap_or(&1);
        for _ in 0..self.random.usize(0..most) {
            let number = self.random.u64(0..range);
            out.push(match self.random.u8(0..3) {
                0 => number.to_le_bytes().to_vec(),
                1 => number.to_string().into_bytes(),
                _ => format!("element:{number}:{}", "x".repeat((number % 9) as usize)).into_bytes(),
            });
        }
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.random.usize(1..most))
            .map(|_| self.random.u8(..))
            .collect()
    }

    /// The header of a sparse one, mostly, and any runs.
    fn hyperloglog(&mut self) -> Vec<u8> {
        let mut bytes = b"HYLL\x01\0\0\0".to_vec();
        bytes.extend(self.random.u64(..).to_le_bytes());
        match self.random.u8(0..4) {
            0 => bytes.extend(self.bytes(10)),
            1 => bytes.extend(b"\x7f\xff"),
            2 => bytes.extend(b"\x80\x81\x82\x83\x83\x83\x00\x3f\x7f\xa0"),
            _ => {
                bytes[4] = self.random.u8(0..3);
                bytes.extend(self.bytes(40));
            }
        }
        bytes
    }

    fn place(&mut self) -> Vec<u8> {
        let most = *self.random.choice(&[20, 40, 13_000]).unwrap_or(&1);
        self.random.usize(0..most).to_string().into_bytes()
    }

    fn argument(&mut self, kind: &str, out: &mut Command) {
        let text = match kind {
            "k" => self.key(),
            "k*" => {
                for _ in 0..self.random.u8(0..4) {
                    let key = self.key();
                    out.push(key);
                }
                self.key()
            }
            "e*" => return self.elements(20, out),
            "E*" => return self.elements(800, out),
            "h" => self.hyperloglog(),
            "b" => self.bytes(4),
            "p" => self.place(),
            word => word.as_bytes().to_vec(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new();
        if self.may_configure && self.random.u8(0..30) == 0 {
            command.extend([b"config".to_vec(), b"set".to_vec()]);
            command.push(b"hll-sparse-max-bytes".to_vec());
            command.push(self.word(SIZES));
            return command;
        }
        self.shape(SHAPES, &mut command);
        command
    }

    fn corrupting(&mut self) -> Command {
        let mut command = Command::new();
        self.shape(CORRUPTING, &mut command);
        command
    }

    fn shape(&mut self, shapes: &[&str], command: &mut Command) {
        for kind in pick(&mut self.random, shapes).split(' ') {
            self.argument(kind, command);
        }
    }
}

/// What can be seen of every key.
fn look() -> impl Iterator<Item = Command> {
    (0..KEYS).flat_map(|n| {
        let key = format!("{{t}}{n}");
        [
            vec!["get".into(), key.clone().into()],
            vec!["object".into(), "encoding".into(), key.into()],
        ]
    })
}

/// Completes runs that are cut short: redis-server reads what lies behind the string there, which
/// is not the same every time.
fn complete(pair: &mut Pair) {
    for n in 0..KEYS {
        let key = format!("{{t}}{n}");
        let value = pair.ours.call(&["get", &key]);
        if !value.is_null() && is_cut_short(value.bytes()) {
            pair.run(&[vec!["append".into(), key.into(), b"\0".to_vec()]]);
        }
    }
}

fn is_cut_short(bytes: &[u8]) -> bool {
    let mut at = 16;
    while at < bytes.len() {
        at += if bytes[at] >> 6 == 1 { 2 } else { 1 };
    }
    at > bytes.len() && bytes.len() > 16
}

fn compare(protocol: &str, theirs: Client, ours: Client, may_configure: bool) {
    let seed = seed();
    let mut pair = Pair { theirs, ours, seed };
    pair.speak(protocol);
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        may_configure,
    };
    let deadline = Deadline::after(TIME);
    let mut batches = 0;
    while !deadline.is_over() {
        let mut commands = Vec::new();
        for _ in 0..generator.random.usize(1..PER_BATCH) {
            commands.push(generator.command());
            commands.extend(look());
        }
        commands.push(generator.corrupting());
        pair.run(&commands);
        complete(&mut pair);
        batches += 1;
        // What is corrupted must not make every later command fail alike.
        if batches % 7 == 0 {
            pair.run(&[vec![b"flushall".to_vec()]]);
        }
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    compare("2", redis.client(), node.client(), true);
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    compare("3", redis.client(), node.client(), true);
}

#[test]
fn random_commands_get_the_same_replies_through_the_proxy() {
    let redis = Server::start(Kind::Redis, &[]);
    let cluster = Cluster::start(Kind::Node, 2);
    let proxy = cluster.proxy(&[]);
    compare("2", redis.client(), proxy.client(), false);
}

/// One HyperLogLog grows from nothing to dense, and its bytes are Redis's at every step.
#[test]
fn a_growing_one_has_the_same_bytes_at_every_step() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let seed = seed();
    let mut random = Rng::with_seed(seed);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed,
    };
    let mut commands: Vec<Command> = Vec::new();
    for step in 0..2500 {
        let element = random.u64(..).to_le_bytes().to_vec();
        commands.push(vec!["pfadd".into(), "k".into(), element]);
        commands.push(vec!["get".into(), "k".into()]);
        if step % 100 == 0 {
            commands.push(vec!["pfcount".into(), "k".into()]);
            commands.push(vec!["pfmerge".into(), "copy".into(), "k".into()]);
            commands.push(vec!["get".into(), "copy".into()]);
            commands.push(vec!["pfcount".into(), "copy".into(), "k".into()]);
        }
        if commands.len() > 100 {
            pair.run(&std::mem::take(&mut commands));
        }
    }
    let encoding = pair.ours.line("PFDEBUG ENCODING k");
    assert_eq!(encoding.to_string(), "dense", "2500 elements did not fit");
}

#[test]
fn the_self_test_passes() {
    let node = Server::start(Kind::Node, &[]);
    node.client().ok(&["PFSELFTEST"]);
}

/// To those who watch it: it is the same value.
#[test]
fn what_is_made_dense_was_not_changed_for_watchers() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: 0,
    };
    for dense in ["getreg", "todense"] {
        let lines = format!(
            "del k|pfadd k a b|watch k|pfdebug {dense} k|pfdebug encoding k|\
             multi|pfcount k|exec|multi|exec"
        );
        let words = |line: &str| line.split(' ').map(Vec::from).collect();
        let commands: Vec<Command> = lines.split('|').map(words).collect();
        pair.run(&commands);
    }
}
