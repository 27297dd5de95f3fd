//! Random commands on strings and keys, sent to our node and to a real redis-server 7.0.15: every
//! reply must be the same, and so must everything that can be seen of the keys afterwards.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use slotilla_common::clock;
use slotilla_tests::differential::{Command, Pair, seed};
use slotilla_tests::{Deadline, Kind, Server, Value};

const TIME: Duration = Duration::from_secs(8);
const PER_BATCH: usize = 50;
const DATABASES: usize = 3;
/// Times are told in milliseconds at best, and two servers are not asked at the same one.
const SLACK_MS: i64 = 3000;

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-10",
    "100",
    "007",
    "-0",
    "+1",
    " 1",
    "1 ",
    "",
    "abc",
    "1.5",
    "3.0e3",
    "inf",
    "-inf",
    "nan",
    "0x10",
    "1e400",
    "0.1",
    "-0.3",
    "1e-9",
    "123456.789",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4611686018427387904",
    "18446744073709551615",
    "99999999999999999999999",
    "5e-324",
    "1e17",
    "0.30000000000000004",
];

const OPTIONS: &[&str] = &[
    "nx",
    "XX",
    "get",
    "GET",
    "ex",
    "PX",
    "exat",
    "PXAT",
    "keepttl",
    "persist",
    "gt",
    "LT",
    "replace",
    "db",
    "match",
    "COUNT",
    "type",
    "idx",
    "LEN",
    "minmatchlen",
    "WITHMATCHLEN",
    "async",
    "sync",
    "samples",
    "bogus",
    "",
    "-1",
    "0",
];

/// Commands, each argument a kind: `k` a key (`k*` several), `v` a value, `n` a number, `N` one that
/// is no time in the near future (a key must not expire at one server first), `i` an index, `t` a
/// time, `a` one since 1970, `o` an option, `O` up to four, `P` the same with numbers among them,
/// `d` a database, `c` a short string of few letters.
const SHAPES: &[&str] = &[
    "set k v",
    "set k v",
    "set k n",
    "set k v O",
    "set k v ex t",
    "set k v px t",
    "set k v exat a",
    "set k v pxat a",
    "set k v get",
    "set k v nx get",
    "set k v xx keepttl",
    "set k v O t O",
    "setex k t v",
    "setex k N v",
    "psetex k t v",
    "psetex k N v",
    "setnx k v",
    "getset k v",
    "get k",
    "getdel k",
    "getex k",
    "getex k O",
    "getex k persist",
    "getex k ex t",
    "getex k pxat a",
    "getex k O t",
    "mget k*",
    "mset k v k n",
    "mset k v k",
    "mset k v k v",
    "msetnx k v k v",
    "append k v",
    "append k n",
    "append k c",
    "strlen k",
    "getrange k i i",
    "getrange k n n",
    "substr k i i",
    "setrange k i v",
    "setrange k n v",
    "setrange k i c",
    "incr k",
    "decr k",
    "incrby k n",
    "decrby k n",
    "incrby k i",
    "incrbyfloat k n",
    "incrbyfloat k n",
    "lcs k k",
    "lcs k k P",
    "lcs k k idx withmatchlen",
    "lcs k k idx minmatchlen i",
    "lcs k k len",
    "set k c",
    "set k c",
    "del k*",
    "unlink k*",
    "exists k*",
    "touch k*",
    "type k",
    "expire k t",
    "expire k N",
    "expire k t o",
    "expire k t O",
    "pexpire k t",
    "pexpire k N",
    "expireat k a",
    "expireat k N",
    "pexpireat k a",
    "pexpireat k N O",
    "ttl k",
    "pttl k",
    "expiretime k",
    "pexpiretime k",
    "persist k",
    "rename k k",
    "renamenx k k",
    "copy k k",
    "copy k k P",
    "copy k k db d",
    "copy k k db d replace",
    "copy k k db n",
    "move k d",
    "move k n",
    "object encoding k",
    "object refcount k",
    "object idletime k",
    "object freq k",
    "object o k",
    "memory usage k",
    "memory usage k samples n",
    "memory usage k P",
    "select d",
    "select n",
    "dbsize",
    "randomkey",
    "keys c",
    "keys *",
    "scan 0 count 100000",
    "scan 0 match c count 100000",
    "scan 0 type string count 100000",
    "scan 0 type hash count 100000",
    "scan n",
    "scan 0 P",
    "swapdb d d",
    "swapdb d n",
    "set",
    "get",
    "get k k",
    "incr",
    "lcs k",
    "expire k",
    "object encoding",
    "scan",
    "flushall o o",
    "flushdb bogus",
];

struct Generator {
    random: Rng,
    /// Times to live are never the same twice: whether one is greater must not depend on when
    /// each server was asked.
    times: i64,
}

impl Generator {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.usize(..from.len())]
    }

    fn key(&mut self) -> Vec<u8> {
        match self.random.u8(0..20) {
            0 => b"".to_vec(),
            1 => b"\x00\xff key\r\n".to_vec(),
            n => format!("{}{}", if n < 8 { "{t}" } else { "k" }, n % 6).into_bytes(),
        }
    }

    fn short(&mut self) -> Vec<u8> {
        let len = self.random.usize(0..12);
        (0..len)
            .map(|_| b"abk?*[]-\\1t{}"[self.random.usize(0..13)])
            .collect()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.u8(0..10) {
            0 => self.pick(NUMBERS).as_bytes().to_vec(),
            1 => self.random.i64(..).to_string().into_bytes(),
            2 => vec![b'x'; self.random.usize(40..50)],
            3 => vec![b'y'; self.random.usize(1000..1100)],
            4 => (0..self.random.usize(0..60))
                .map(|_| self.random.u8(..))
                .collect(),
            _ => self.short(),
        }
    }

    /// In the future whether it is seconds or milliseconds, from now or from 1970.
    fn time(&mut self) -> i64 {
        self.times += 1;
        2_000_000_000_000 + self.times * 10_000 + self.random.i64(0..1000) * 1_000_000_000
    }

    fn options(&mut self, numbers: &[&str], out: &mut Command) {
        for _ in 0..self.random.u8(0..4) {
            let from = if self.random.u8(0..4) == 0 {
                numbers
            } else {
                OPTIONS
            };
            out.push(self.pick(from).as_bytes().to_vec());
        }
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
            "v" => self.value(),
            "c" => self.short(),
            "n" => self.pick(NUMBERS).as_bytes().to_vec(),
            "i" => self.random.i64(-30..30).to_string().into_bytes(),
            "t" => self.time().to_string().into_bytes(),
            "a" => (clock::unix_ms() + self.time()).to_string().into_bytes(),
            "N" => loop {
                let number = self.pick(NUMBERS);
                if !number
                    .parse::<i64>()
                    .is_ok_and(|n| (1..1_000_000).contains(&n))
                {
                    break number.as_bytes().to_vec();
                }
            },
            "d" => self.random.usize(0..DATABASES).to_string().into_bytes(),
            "o" => self.pick(OPTIONS).as_bytes().to_vec(),
            "O" => return self.options(OPTIONS, out),
            "P" => return self.options(&["1", "2", "5", "100000"], out),
            word => word.as_bytes().to_vec(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new();
        for kind in self.pick(SHAPES).split(' ') {
            self.argument(kind, &mut command);
        }
        command
    }
}

fn is(command: &[Vec<u8>], name: &str) -> bool {
    command[0].eq_ignore_ascii_case(name.as_bytes())
}

fn sorted(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(|item| format!("{item:?}")).collect()
}

/// Whether two replies to `command` mean the same.
fn agree(command: &[Vec<u8>], theirs: &Value, ours: &Value) -> bool {
    if theirs == ours {
        return true;
    }
    let (Value::Integer(a), Value::Integer(b)) = (theirs, ours) else {
        return agree_unordered(command, theirs, ours);
    };
    let slack = match command[0].to_ascii_lowercase().as_slice() {
        b"pttl" | b"pexpiretime" => SLACK_MS,
        b"ttl" | b"expiretime" => SLACK_MS / 1000,
        b"object" if command[1].eq_ignore_ascii_case(b"idletime") => 5,
        // Redis does not share the small integers that COPY made.
        b"object" => return (*a, *b) == (1, i64::from(i32::MAX)),
        b"memory" => return *a > 0 && *b > 0,
        _ => return false,
    };
    *a >= 0 && *b >= 0 && (a - b).abs() <= slack
}

fn agree_unordered(command: &[Vec<u8>], theirs: &Value, ours: &Value) -> bool {
    if is(command, "randomkey") {
        return theirs.is_null() == ours.is_null();
    }
    let (Value::Array(a), Value::Array(b)) = (theirs, ours) else {
        return false;
    };
    if is(command, "keys") {
        return sorted(a) == sorted(b);
    }
    // A scan that was given a cursor or a count may stop anywhere.
    is(command, "scan")
        && a.len() == 2
        && b.len() == 2
        && (command.get(1) != Some(&b"0".to_vec())
            || command.last() != Some(&b"100000".to_vec())
            || sorted(a[1].items()) == sorted(b[1].items()))
}

fn run(pair: &mut Pair, commands: &[Command]) {
    pair.run_as(commands, agree);
}

/// Compares what can be seen of every key.
fn compare_state(pair: &mut Pair) {
    let words = |line: &[&[u8]]| line.iter().map(|word| word.to_vec()).collect::<Command>();
    for db in 0..DATABASES {
        let db = db.to_string();
        run(
            pair,
            &[
                words(&[b"select", db.as_bytes()]),
                words(&[b"dbsize"]),
                words(&[b"keys", b"*"]),
            ],
        );
        let commands = pair.of_every_key(&["get KEY", "object encoding KEY", "pexpiretime KEY"]);
        run(pair, &commands);
    }
}

fn compare(protocol: &str) {
    let seed = seed();
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed,
    };
    pair.speak(protocol);
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        times: 0,
    };
    let deadline = Deadline::after(TIME / 2);
    let mut batches = 0;
    while !deadline.is_over() {
        let commands: Vec<Command> = (0..PER_BATCH).map(|_| generator.command()).collect();
        run(&mut pair, &commands);
        batches += 1;
        if batches % 10 == 0 {
            compare_state(&mut pair);
        }
        // Whatever was set must not make every later command fail alike.
        if batches % 25 == 0 {
            run(&mut pair, &[vec![b"flushall".to_vec()]]);
        }
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    compare("2");
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    compare("3");
}

/// SCAN's promise, with a server in the middle of growing and shrinking.
#[test]
fn a_scan_meets_every_key_that_stays() {
    let node = Server::start(Kind::Node, &[]);
    let (mut scanner, mut writer) = (node.client(), node.client());
    let key = |n: usize| {
        if n.is_multiple_of(2) {
            format!("{{t}}{n}")
        } else {
            format!("key{n}")
        }
    };
    let all = |from: usize, to: usize, name: &str| -> Vec<Vec<String>> {
        (from..to)
            .map(|n| {
                let mut command = vec![name.to_owned(), key(n)];
                if name == "SET" {
                    command.push("v".to_owned());
                }
                command
            })
            .collect()
    };
    writer.pipeline(&all(0, 5000, "SET"));
    for (round, count) in [1000, 10, 37].into_iter().enumerate() {
        let (mut cursor, mut seen, mut turn) = ("0".to_owned(), BTreeSet::new(), 0usize);
        loop {
            let reply = scanner.call(&["SCAN", &cursor, "COUNT", &count.to_string()]);
            let parts = reply.items();
            seen.extend(parts[1].items().iter().map(Value::text));
            cursor = parts[0].text();
            if cursor == "0" {
                break;
            }
            assert!(cursor.parse::<u64>().unwrap() < 1 << 42);
            let name = if turn.is_multiple_of(2) { "SET" } else { "DEL" };
            let from = 5000 + round * 10;
            writer.pipeline(&all(from, from + 300, name));
            turn += 1;
        }
        let missed = (0..5000).filter(|n| !seen.contains(&key(*n))).count();
        assert_eq!(missed, 0, "with count {count}");
    }
}
