//! Random commands on hashes and sets, sent to our node and to a real redis-server 7.0.15: every
//! reply must be the same, save for order where Redis promises none, and so must everything that
//! can be seen of the keys afterwards.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, seed};
use slotilla_tests::{Cluster, Deadline, Kind, Server, Value};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 50;
const MANY: &str = "1000000";
/// No set here is as large.
const MANY_MEMBERS: i64 = 1_000_000;

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "5",
    "-5",
    "100",
    "007",
    "-0",
    "+1",
    " 1",
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
    "1e5000",
    "9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775807",
    "9223372036854775808",
    "-9000000000000000000",
    "99999999999999999999999",
];

/// Commands, each argument a kind: `h` a key of a hash, mostly; `s` one of a set, mostly; `k` any;
/// `f` a field, `m` a member, `v` a value (with `*` several), `n` a number, `c` a count, `o` a few
/// options, `l` a limit of an encoding. Anything else is itself.
const SHAPES: &[&str] = &[
    "hset h f v",
    "hset h f v",
    "hset h f v f v f v",
    "hset h f v f",
    "hset h BIG",
    "hset h f f f f",
    "hmset h f v f v",
    "hmset h f v f",
    "hsetnx h f v",
    "hget h f",
    "hmget h f*",
    "hgetall h",
    "hdel h f*",
    "hdel h f",
    "hincrby h f n",
    "hincrby h f n",
    "hincrbyfloat h f n",
    "hincrbyfloat h f n",
    "hset h f n",
    "hstrlen h f",
    "hlen h",
    "hexists h f",
    "hkeys h",
    "hvals h",
    "hrandfield h",
    "hrandfield h c",
    "hrandfield h c withvalues",
    "hrandfield h r",
    "hrandfield h 1000000 withvalues",
    "hrandfield h n withvalues",
    "hrandfield h c bogus",
    "hrandfield h c withvalues c",
    "hscan h 0 count 1000000",
    "hscan h 0 match p count 1000000",
    "hscan h n o",
    "hscan h 0 o",
    "hscan k 0 o o",
    "sadd s m",
    "sadd s m*",
    "sadd s m*",
    "sadd s i i i",
    "sadd s BIGSET",
    "srem s m",
    "srem s m*",
    "sismember s m",
    "smismember s m*",
    "scard s",
    "smembers s",
    "spop s 1000000",
    "spop s 0",
    "spop s b",
    "spop s 1 1",
    "srandmember s",
    "srandmember s c",
    "srandmember s 1000000",
    "srandmember s r",
    "srandmember s 1 1",
    "smove s s m",
    "smove s s i",
    "smove k k m",
    "sinter s s",
    "sinter s s s",
    "sinter k",
    "sintercard 2 s s",
    "sintercard 2 s s limit c",
    "sintercard 1 s",
    "sintercard n s s",
    "sintercard 2 s s limit n",
    "sintercard 1 s o",
    "sinterstore s s s",
    "sinterstore k s s",
    "sunion s s s",
    "sunion s",
    "sunionstore s s s",
    "sunion s s s s s s s s s s s s",
    "sunionstore k s",
    "sdiff s s",
    "sdiff s s s",
    "sdiff s",
    "sdiff s s s s s s s",
    "sdiffstore s s s",
    "sdiffstore s s s s s s",
    "sdiffstore k s",
    "sscan s 0 count 1000000",
    "sscan s 0 match p count 1000000",
    "sscan s n o",
    "sscan k 0 o o",
    "config set hash-max-listpack-entries l",
    "config set hash-max-ziplist-value l",
    "config set set-max-intset-entries l",
    "type k",
    "object encoding k",
    "object encoding h",
    "object encoding s",
    "del k",
    "del h",
    "del s",
    "del h",
    "del s",
    "unlink k",
    "copy k k",
    "copy h h replace",
    "copy s s replace",
    "rename h h",
    "rename s s",
    "renamenx k k",
    "exists k",
    "expire k 100000",
    "persist k",
    "memory usage k samples 0",
    "memory usage k",
    "move k 2",
    "set k v",
    "get k",
    "append h v",
    "incr s",
    "getset h v",
    "strlen h",
    "setrange s 1 v",
    "getrange h 0 1",
    "mget h s",
    "incrbyfloat h 1",
    "getdel h",
    "getex s",
    "lcs h s",
    "decr s",
    "setnx h v",
    "set h v get",
    "getset s v",
    "scan 0 type hash count 1000000",
    "scan 0 type set count 1000000",
    "debug listpack x",
    "debug listpack none",
    "hset",
    "sadd s",
    "hget h",
];

struct Generator(Rng);

impl Generator {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.usize(..from.len())]
    }

    fn key(&mut self, kind: &str) -> Vec<u8> {
        let kind = match (kind, self.0.u8(0..25)) {
            ("k", _) | (_, 0) => self.pick(&["h", "s", "x"]),
            (own, _) => own,
        };
        format!("{{t}}{kind}{}", self.0.u8(0..5)).into_bytes()
    }

    fn element(&mut self) -> Vec<u8> {
        match self.0.u8(0..16) {
            0 => self.pick(NUMBERS).as_bytes().to_vec(),
            1 => self.0.i64(..).to_string().into_bytes(),
            2 => vec![b'x'; self.0.usize(60..70)],
            3 => (0..self.0.usize(0..20)).map(|_| self.0.u8(..)).collect(),
            4 => self.0.i32(..).to_string().into_bytes(),
            5..9 => format!("e{}", self.0.u8(0..40)).into_bytes(),
            _ => self.0.i64(-20..40).to_string().into_bytes(),
        }
    }

    fn several(&mut self, out: &mut Command, count: usize) {
        for _ in 0..count {
            let element = self.element();
            out.push(element);
        }
    }

    fn argument(&mut self, kind: &str, out: &mut Command) {
        let text = match kind {
            "h" | "s" | "k" => self.key(kind),
            "f" | "m" | "v" => self.element(),
            "f*" | "m*" => {
                let more = self.0.usize(0..6);
                self.several(out, more);
                self.element()
            }
            "BIG" => {
                let pairs = self.0.usize(1..700);
                self.several(out, 2 * pairs);
                return;
            }
            "BIGSET" => {
                let (from, to) = (self.0.i64(-600..0), self.0.i64(0..600));
                let all_ints = self.0.bool();
                for n in from..to {
                    out.push(n.to_string().into_bytes());
                }
                if all_ints {
                    b"1".to_vec()
                } else {
                    self.element()
                }
            }
            "i" => self.0.i64(-20..40).to_string().into_bytes(),
            "n" => self.pick(NUMBERS).as_bytes().to_vec(),
            // No number that a server would pop so many members for: which ones is not told.
            "b" => loop {
                let number = self.pick(NUMBERS);
                if !number
                    .parse()
                    .is_ok_and(|n: i64| (1..MANY_MEMBERS).contains(&n))
                {
                    break number.as_bytes().to_vec();
                }
            },
            // No number that redis-server would fill the memory with replies for.
            "r" => loop {
                let number = self.pick(NUMBERS);
                if !number
                    .parse()
                    .is_ok_and(|n: i64| n < -1000 && n != i64::MIN)
                {
                    break number.as_bytes().to_vec();
                }
            },
            "c" => self.0.i64(-30..30).to_string().into_bytes(),
            "l" => self
                .pick(&["0", "3", "10", "64", "512"])
                .as_bytes()
                .to_vec(),
            "p" => self
                .pick(&["*", "1*", "e?", "*x", "[0-9]", "-*", ""])
                .as_bytes()
                .to_vec(),
            "o" => {
                for _ in 0..self.0.u8(0..4) {
                    let option = self.pick(&[
                        "count", "MATCH", "limit", "type", "1", "0", "-1", "abc", "10", "*",
                    ]);
                    out.push(option.as_bytes().to_vec());
                }
                return;
            }
            word => word.as_bytes().to_vec(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new();
        let shape = self.pick(SHAPES);
        // Big ones now and then.
        let shape = if shape.contains("BIG") && self.0.u8(0..8) > 0 {
            "hset h f v"
        } else {
            shape
        };
        for kind in shape.split(' ') {
            self.argument(kind, &mut command);
        }
        command
    }
}

fn counts<T: std::fmt::Debug>(items: &[T]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(format!("{item:?}")).or_default() += 1;
    }
    counts
}

fn flat(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

/// Whether two replies to `command` mean the same.
fn agree(command: &[Vec<u8>], theirs: &Value, ours: &Value) -> bool {
    if theirs == ours {
        return true;
    }
    if std::mem::discriminant(theirs) != std::mem::discriminant(ours) {
        return false;
    }
    let name = command[0].to_ascii_lowercase();
    let last_is_many = command.last().is_some_and(|word| word == MANY.as_bytes());
    match name.as_slice() {
        b"hgetall" => counts(&theirs.pairs()) == counts(&ours.pairs()),
        b"hkeys" | b"hvals" | b"smembers" | b"sinter" | b"sunion" | b"sdiff" | b"spop" => {
            counts(theirs.items()) == counts(ours.items())
        }
        b"hscan" | b"sscan" | b"scan" => {
            let (a, b) = (flat(theirs), flat(ours));
            let same = a.len() == 2 && b.len() == 2 && a[0] == b[0];
            match name.as_slice() {
                // What is in a table may be told in parts, which differ.
                _ if !last_is_many => a.len() == 2 && b.len() == 2,
                b"hscan" => same && counts(&a[1].pairs()) == counts(&b[1].pairs()),
                _ => same && counts(a[1].items()) == counts(b[1].items()),
            }
        }
        b"hrandfield" | b"srandmember" => match (theirs, ours) {
            (Value::Array(a), Value::Array(b)) => {
                let all = command[2] == MANY.as_bytes();
                let shape = |items: &[Value]| {
                    items
                        .iter()
                        .map(|item| flat(item).len())
                        .collect::<Vec<_>>()
                };
                let pairs = |value: &Value| match value.items() {
                    [Value::Array(_), ..] => counts(value.items()),
                    _ if command.len() == 4 => counts(&value.pairs()),
                    items => counts(items),
                };
                shape(a) == shape(b) && (!all || pairs(theirs) == pairs(ours))
            }
            (Value::Bulk(_), Value::Bulk(_)) => true,
            _ => false,
        },
        b"memory" => theirs.integer() > 0 && ours.integer() > 0,
        _ => false,
    }
}

fn run(pair: &mut Pair, commands: &[Command]) {
    pair.run_as(commands, agree);
}

/// Compares what can be seen of every key.
fn compare_state(pair: &mut Pair) {
    run(pair, &[vec![b"dbsize".to_vec()]]);
    let commands = pair.of_every_key(&[
        "type KEY",
        "object encoding KEY",
        "hgetall KEY",
        "smembers KEY",
        &format!("hscan KEY 0 count {MANY}"),
        &format!("sscan KEY 0 count {MANY}"),
    ]);
    run(pair, &commands);
}

fn compare(protocol: &str) {
    let seed = seed();
    let settings = [("enable-debug-command", "yes")];
    let redis = Server::start(Kind::Redis, &settings);
    let node = Server::start(Kind::Node, &settings);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed,
    };
    pair.speak(protocol);
    let mut generator = Generator(Rng::with_seed(seed));
    let deadline = Deadline::after(TIME);
    let mut batches = 0;
    while !deadline.is_over() {
        let commands: Vec<Command> = (0..PER_BATCH).map(|_| generator.command()).collect();
        run(&mut pair, &commands);
        batches += 1;
        if batches % 5 == 0 {
            compare_state(&mut pair);
        }
        // Limits that made every value a table must not stay.
        if batches % 20 == 0 {
            run(
                &mut pair,
                &[
                    vec![b"flushall".to_vec()],
                    ["config", "set", "hash-max-listpack-entries", "128"]
                        .map(|w| w.as_bytes().to_vec())
                        .to_vec(),
                    ["config", "set", "hash-max-listpack-value", "64"]
                        .map(|w| w.as_bytes().to_vec())
                        .to_vec(),
                    ["config", "set", "set-max-intset-entries", "512"]
                        .map(|w| w.as_bytes().to_vec())
                        .to_vec(),
                ],
            );
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

/// What a draw takes or tells: never the same as elsewhere, so looked at alone.
#[test]
fn what_is_popped_was_there_and_is_gone() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    let mut random = Rng::with_seed(3);
    for name in ["m", ""] {
        let mut left: BTreeSet<String> = (0..2000).map(|n| format!("{name}{n}")).collect();
        let adds = left
            .iter()
            .map(|member| vec!["SADD", "s", member])
            .collect::<Vec<_>>();
        client.pipeline(&adds);
        while !left.is_empty() {
            let count = random.usize(1..200);
            let reply = client.call(&["SPOP", "s", &count.to_string()]);
            assert_eq!(reply.items().len(), count.min(left.len()));
            for member in reply.items() {
                assert!(left.remove(&member.text()), "{member} was not there");
            }
            assert_eq!(client.call(&["SCARD", "s"]).integer(), left.len() as i64);
            let drawn = client.call(&["SRANDMEMBER", "s", "20"]);
            let distinct: BTreeSet<String> = drawn.items().iter().map(Value::text).collect();
            assert_eq!(distinct.len(), left.len().min(20));
            assert!(distinct.is_subset(&left));
        }
        assert_eq!(client.call(&["EXISTS", "s"]).integer(), 0);
    }
}

/// Beyond it Redis would fill the memory, so it is not asked for that.
#[test]
fn what_is_drawn_with_repetition_is_bounded() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut clients = [redis.client(), node.client()];
    for client in &mut clients {
        client.line("hset h f v");
        client.line("sadd s m");
        client.line("zadd z 1 m");
        client.line("set text x");
    }
    for (command, key) in [
        ("hrandfield", "h"),
        ("srandmember", "s"),
        ("zrandmember", "z"),
    ] {
        for (key, count) in [
            ("none", "-16777217"),
            ("none", "-9223372036854775807"),
            ("text", "-9223372036854775807"),
            ("text", "-9223372036854775808"),
            (key, "-9223372036854775808"),
            (key, "9223372036854775807"),
            (key, "-3"),
        ] {
            let [theirs, ours] = clients
                .each_mut()
                .map(|client| client.call(&[command, key, count]));
            assert_eq!(ours, theirs, "{command} {key} {count}");
        }
        let refused = clients[1].call(&[command, key, "-16777217"]);
        let expected =
            "ERR value is out of range, value must between -16777216 and 9223372036854775807";
        assert_eq!(refused.error(), Some(expected));
    }
}
/// HSCAN's and SSCAN's promise, with a collection that grows and shrinks meanwhile.
#[test]
fn a_scan_meets_all_that_stays() {
    let node = Server::start(Kind::Node, &[]);
    let (mut scanner, mut writer) = (node.client(), node.client());
    for (scan, add, remove) in [("HSCAN", "HSET", "HDEL"), ("SSCAN", "SADD", "SREM")] {
        let all = |from: usize, to: usize, name: &str| -> Vec<Vec<String>> {
            let command = |n: usize| {
                let mut command = vec![name.to_owned(), scan.to_owned(), format!("e{n}")];
                command.extend((name == "HSET").then(|| "v".to_owned()));
                command
            };
            (from..to).map(command).collect()
        };
        writer.pipeline(&all(0, 3000, add));
        for count in ["100", "7"] {
            let (mut cursor, mut seen, mut turn) = ("0".to_owned(), BTreeSet::new(), 0usize);
            loop {
                let reply = scanner.call(&[scan, scan, &cursor, "COUNT", count]);
                let parts = reply.items();
                seen.extend(parts[1].items().iter().map(Value::text));
                cursor = parts[0].text();
                if cursor == "0" {
                    break;
                }
                let change = if turn.is_multiple_of(2) { add } else { remove };
                writer.pipeline(&all(10_000, 10_300, change));
                turn += 1;
            }
            let missed = (0..3000)
                .filter(|n| !seen.contains(&format!("e{n}")))
                .count();
            assert_eq!(missed, 0, "{scan} with count {count}");
        }
    }
}

/// Commands on one key are handed on; those on several need a common slot.
#[test]
fn hashes_and_sets_work_through_the_proxy() {
    let cluster = Cluster::start(Kind::Node, 2);
    let proxy = cluster.proxy(&[]);
    let mut client = proxy.client();
    let cases = [
        ("HSET h a 1 b 2", "2"),
        ("HINCRBY h a 5", "6"),
        ("HMGET h a b c", "[6, 2, (nil)]"),
        ("HSCAN h 0", "[0, [a, 6, b, 2]]"),
        ("SADD {t}1 1 2 3", "3"),
        ("SADD {t}2 2 3 4", "3"),
        ("SINTERSTORE {t}d {t}1 {t}2", "2"),
        ("SMEMBERS {t}d", "[2, 3]"),
        ("SUNIONSTORE {t}d {t}1 {t}2", "4"),
        ("SDIFF {t}1 {t}2", "[1]"),
        ("SMOVE {t}1 {t}2 1", "1"),
        ("SINTERCARD 2 {t}1 {t}2", "2"),
        ("TYPE {t}d", "set"),
        (
            "SINTERSTORE d {t}1 {t}2",
            "(error) CROSSSLOT Keys in request don't hash to the same slot",
        ),
        (
            "SADD h x",
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("DEL h {t}d", "2"),
    ];
    for (line, answer) in cases {
        assert_eq!(client.line(line).to_string(), answer, "{line}");
    }
}
