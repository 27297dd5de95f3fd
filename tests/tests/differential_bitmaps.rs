//! Random commands on bitmaps, sent to our node and to a real redis-server 7.0.15, alone and
//! through the proxy: every reply must be the same, and so must the bytes and encodings of the
//! keys.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, pick, seed};
use slotilla_tests::{Client, Cluster, Deadline, Kind, Server};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 30;
const KEYS: usize = 6;
/// Small enough that strings of the greatest length are quick.
const LIMIT: (&str, &str) = ("proto-max-bulk-len", "1048576");

/// Commands, each argument a kind: `k` a key, `k*` several, `v` a value, `o` an offset in bits, `b`
/// a bit, `i` an index, `u` a unit of ranges, `f` up to four subcommands of BITFIELD, `g` those
/// that read, `n` the name of an operation.
const SHAPES: &[&str] = &[
    "set k v",
    "set k v",
    "setbit k o b",
    "setbit k o b",
    "setbit k o b",
    "getbit k o",
    "getbit k o",
    "bitcount k",
    "bitcount k i i",
    "bitcount k i i u",
    "bitcount k i",
    "bitcount k i i u i",
    "bitpos k b",
    "bitpos k b i",
    "bitpos k b i i",
    "bitpos k b i i u",
    "bitpos k b i i u",
    "bitpos k b i i u i",
    "bitop n k k*",
    "bitop n k k*",
    "bitop not k k",
    "bitfield k f",
    "bitfield k f",
    "bitfield k f",
    "bitfield k g",
    "bitfield_ro k g",
    "bitfield_ro k f",
    "bitfield k",
    "append k v",
    "setrange k i v",
    "incr k",
    "del k",
    "expire k 10000",
    "persist k",
    "setbit k",
    "bitop and k",
    "getbit k",
];

const OFFSETS: &[&str] = &[
    "-1",
    "x",
    "",
    "8388607",
    "8388608",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "#0",
    "#1",
    "1.5",
    "+1",
    " 1",
    "01",
];

const FIELD_OFFSETS: &[&str] = &[
    "#0",
    "#1",
    "#2",
    "#17",
    "#-1",
    "#",
    "#x",
    "##1",
    "-1",
    "8388607",
    "8388608",
    "#9223372036854775807",
    "#2305843009213693952",
    "#4611686018427387905",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "65535",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775807",
    "4611686018427387904",
    "x",
    "",
    "1.0",
];

const SHAPES_OF_FIELDS: &[&str] = &[
    "u1", "i1", "u2", "i5", "u8", "i8", "u13", "i16", "u31", "u32", "i33", "u63", "i63", "i64",
    "u64", "i65", "u0", "i0", "x8", "8", "u", "U8",
];

struct Generator(Rng);

impl Generator {
    fn one_in(&mut self, n: u32) -> bool {
        self.0.u32(0..n) == 0
    }

    fn word(&mut self, from: &[&str]) -> Vec<u8> {
        pick(&mut self.0, from).as_bytes().to_vec()
    }

    fn key(&mut self) -> Vec<u8> {
        format!("{{t}}{}", self.0.usize(0..KEYS)).into_bytes()
    }

    /// Runs of few bytes, so that there is something to look for behind them.
    fn value(&mut self) -> Vec<u8> {
        if self.one_in(4) {
            return self.0.i64(-100..100_000).to_string().into_bytes();
        }
        let longest = if self.one_in(6) { 1200 } else { 30 };
        let mut value = Vec::new();
        for _ in 0..self.0.usize(0..5) {
            let byte = match self.0.u8(0..5) {
                0 | 1 => 0,
                2 | 3 => 0xff,
                _ => self.0.u8(..),
            };
            value.extend(std::iter::repeat_n(byte, self.0.usize(0..longest)));
        }
        value
    }

    fn offset(&mut self) -> Vec<u8> {
        match self.0.u8(0..20) {
            0 => self.word(OFFSETS),
            1..4 => self.0.u32(0..9000).to_string().into_bytes(),
            _ => self.0.u32(0..100).to_string().into_bytes(),
        }
    }

    fn index(&mut self) -> Vec<u8> {
        match self.0.u8(0..20) {
            0 => self.word(NUMBERS),
            1..4 => self.0.i32(-5000..5000).to_string().into_bytes(),
            _ => self.0.i32(-70..70).to_string().into_bytes(),
        }
    }

    fn number(&mut self) -> Vec<u8> {
        match self.0.u8(0..4) {
            0 => self.word(NUMBERS),
            1 => self.0.i64(..).to_string().into_bytes(),
            _ => self.0.i64(-300..300).to_string().into_bytes(),
        }
    }

    fn field(&mut self, only_reads: bool, out: &mut Command) {
        if self.one_in(25) {
            out.push(self.word(&["bogus", "get", "set", "incrby", "overflow", ""]));
            return;
        }
        if !only_reads && self.one_in(2) {
            out.push(b"overflow".to_vec());
            out.push(self.word(&[
                "wrap", "SAT", "fail", "sat", "FAIL", "WRAP", "wrap", "saturate",
            ]));
        }
        let names: &[&str] = if only_reads {
            &["get"]
        } else {
            &["get", "SET", "incrby"]
        };
        let name = self.word(names);
        let reads = name.eq_ignore_ascii_case(b"get");
        out.push(name);
        let wide = !self.one_in(10);
        out.push(if wide {
            let (sign, most) = if self.0.bool() { ("i", 64) } else { ("u", 63) };
            format!("{sign}{}", self.0.u8(1..=most)).into_bytes()
        } else {
            self.word(SHAPES_OF_FIELDS)
        });
        out.push(if self.one_in(4) {
            self.word(FIELD_OFFSETS)
        } else {
            self.offset()
        });
        if !reads {
            out.push(self.number());
        }
    }

    fn argument(&mut self, kind: &str, out: &mut Command) {
        let text = match kind {
            "k" => self.key(),
            "k*" => {
                for _ in 0..self.0.u8(0..4) {
                    let key = self.key();
                    out.push(key);
                }
                self.key()
            }
            "v" => self.value(),
            "o" => self.offset(),
            "b" => self.word(&["0", "1", "0", "1", "0", "1", "2", "-1", "x", ""]),
            "i" => self.index(),
            "u" => self.word(&["BIT", "bit", "BYTE", "byte", "BIT", "bits"]),
            "n" => self.word(&["AND", "or", "XOR", "not", "and", "OR", "nand"]),
            "f" | "g" => {
                for _ in 0..self.0.u8(1..5) {
                    self.field(kind == "g", out);
                }
                return;
            }
            word => word.as_bytes().to_vec(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new();
        for kind in pick(&mut self.0, SHAPES).split(' ') {
            self.argument(kind, &mut command);
        }
        command
    }
}

/// What can be seen of every key.
fn look() -> Vec<Command> {
    let of_key = |n: usize| {
        let key = format!("{{t}}{n}");
        [
            vec!["get".into(), key.clone().into()],
            vec!["strlen".into(), key.clone().into()],
            vec!["object".into(), "encoding".into(), key.clone().into()],
            vec!["exists".into(), key.into()],
        ]
    };
    (0..KEYS).flat_map(of_key).collect()
}

fn compare(protocol: &str, theirs: Client, ours: Client) {
    let seed = seed();
    let mut pair = Pair { theirs, ours, seed };
    pair.speak(protocol);
    let mut generator = Generator(Rng::with_seed(seed));
    let deadline = Deadline::after(TIME);
    let mut batches = 0;
    while !deadline.is_over() {
        let mut commands: Vec<Command> = (0..PER_BATCH).map(|_| generator.command()).collect();
        commands.extend(look());
        pair.run(&commands);
        batches += 1;
        // Whatever has grown long must not make every later command slow.
        if batches % 20 == 0 {
            pair.run(&[vec![b"flushall".to_vec()]]);
        }
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    let redis = Server::start(Kind::Redis, &[LIMIT]);
    let node = Server::start(Kind::Node, &[LIMIT]);
    compare("2", redis.client(), node.client());
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    let redis = Server::start(Kind::Redis, &[LIMIT]);
    let node = Server::start(Kind::Node, &[LIMIT]);
    compare("3", redis.client(), node.client());
}

#[test]
fn random_commands_get_the_same_replies_through_the_proxy() {
    let redis = Server::start(Kind::Redis, &[LIMIT]);
    let cluster = Cluster::start_mixed(&[Kind::Node; 2], &[LIMIT]);
    let proxy = cluster.proxy(&[]);
    compare("2", redis.client(), proxy.client());
}

#[test]
fn keys_of_several_slots_are_refused() {
    let redis = Cluster::start(Kind::Redis, 1);
    let cluster = Cluster::start(Kind::Node, 1);
    let proxy = cluster.proxy(&[]);
    let theirs = redis.nodes[0].client();
    for ours in [cluster.nodes[0].client(), proxy.client()] {
        let mut pair = Pair {
            theirs: theirs
                .socket()
                .peer_addr()
                .map(|at| Client::connect(at.port()))
                .unwrap(),
            ours,
            seed: 0,
        };
        let words = |line: &str| {
            line.split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect()
        };
        pair.run(
            &[
                "bitop and a b c",
                "bitop or {a}1 {a}2 {a}3",
                "bitop not a b",
            ]
            .map(words),
        );
    }
}
