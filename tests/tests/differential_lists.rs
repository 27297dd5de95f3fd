//! Random commands on lists, sent to our node and to a real redis-server 7.0.15: every reply must
//! be the same, and so must everything that can be seen of the keys afterwards.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, pick, seed};
use slotilla_tests::{Client, Cluster, Deadline, Kind, Server};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 60;

/// Commands, each argument a kind: `k` a key, `e` an element (`e*` several), `i` an index, `n`
/// something that may be a number, `w` an end, `b` BEFORE or AFTER, `o` an option or an argument
/// of one (`O` up to three), `l` a limit of the packed size. Anything else is itself.
const SHAPES: &[&str] = &[
    "lpush k e*",
    "rpush k e*",
    "rpush k e*",
    "rpush k e e e e e e e e e e e e",
    "lpushx k e*",
    "rpushx k e*",
    "lpop k",
    "rpop k",
    "lpop k i",
    "rpop k i",
    "lpop k n",
    "lpop k i i",
    "llen k",
    "lindex k i",
    "lindex k n",
    "lset k i e",
    "lset k i e",
    "lset k n e",
    "linsert k b e e",
    "linsert k b e e",
    "linsert k o e e",
    "lrange k i i",
    "lrange k n i",
    "lrange k 0 -1",
    "lrem k i e",
    "lrem k n e",
    "ltrim k i i",
    "ltrim k 0 n",
    "ltrim k 1 -2",
    "lpos k e",
    "lpos k e count i",
    "lpos k e rank i",
    "lpos k e rank i count 0 maxlen i",
    "lpos k e O",
    "lmove k k w w",
    "lmove k k o w",
    "rpoplpush k k",
    "lmpop 1 k w",
    "lmpop 2 k k w count i",
    "lmpop n k k w",
    "lmpop 2 k k O",
    "type k",
    "object encoding k",
    "exists k",
    "copy k k replace",
    "copy k k",
    "rename k k",
    "renamenx k k",
    "touch k k",
    "set k e nx",
    "set k e",
    "get k",
    "append k e",
    "incr k",
    "strlen k",
    "mget k k",
    "getset k e",
    "setbit k 1 1",
    "pfadd k e",
    "hset k e e",
    "hlen k",
    "sadd k e",
    "scard k",
    "sintercard 2 k k",
    "zadd k 1 e",
    "zcard k",
    "zintercard 2 k k",
    "geopos k e",
    "del k",
    "del k",
    "unlink k",
    "expire k 1000",
    "ttl k",
    "pexpireat k 1",
    "persist k",
    "watch k",
    "unwatch",
    "multi",
    "exec",
    "exec",
    "lpush k",
    "lpos k",
    "lrange k i",
    "debug quicklist-packed-threshold l",
    "debug quicklist-packed-threshold n",
    "debug listpack k",
    "config set list-max-listpack-size l",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "-3",
    "",
    "x",
    "1.5",
    " 1",
    "007",
    "9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775807",
    "9223372036854775808",
];
const OPTIONS: &[&str] = &[
    "left", "RIGHT", "count", "COUNT", "rank", "maxlen", "before", "after", "bogus", "0", "1",
    "-1", "2", "-2", "", "x",
];

struct Generator(Rng);

impl Generator {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        pick(&mut self.0, from)
    }

    fn element(&mut self) -> Vec<u8> {
        match self.0.u8(0..12) {
            0 => self.0.i64(..).to_string().into_bytes(),
            1 => vec![b'x'; self.0.usize(0..300)],
            2 => vec![b'y'; self.0.usize(2000..9000)],
            3 => (0..self.0.usize(0..40)).map(|_| self.0.u8(..)).collect(),
            // Few different ones, so that LREM, LPOS and LINSERT find them.
            n => (n % 5).to_string().into_bytes(),
        }
    }

    fn argument(&mut self, kind: &str, out: &mut Command) {
        let text = match kind {
            "k" => format!("list{}", self.0.u8(0..6)).into_bytes(),
            "e" => self.element(),
            "e*" => {
                for _ in 0..self.0.u8(0..6) {
                    let element = self.element();
                    out.push(element);
                }
                self.element()
            }
            "i" => self.0.i64(-12..12).to_string().into_bytes(),
            "n" => self.pick(NUMBERS).as_bytes().to_vec(),
            "w" => self.pick(&["left", "RIGHT", "Left"]).as_bytes().to_vec(),
            "b" => self.pick(&["before", "AFTER"]).as_bytes().to_vec(),
            "o" => self.pick(OPTIONS).as_bytes().to_vec(),
            "l" => self
                .pick(&["-1", "-2", "1", "3", "100"])
                .as_bytes()
                .to_vec(),
            "O" => {
                for _ in 0..self.0.u8(0..4) {
                    let option = self.pick(OPTIONS).as_bytes().to_vec();
                    out.push(option);
                }
                return;
            }
            word => word.as_bytes().to_vec(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Vec::new();
        for kind in self.pick(SHAPES).split(' ') {
            self.argument(kind, &mut command);
        }
        command
    }
}

fn command(line: &str) -> Command {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Compares what can be seen of every key.
fn compare_state(pair: &mut Pair) {
    pair.run(&[command("unwatch"), command("multi"), command("discard")]);
    let listed = |client: &mut Client, line: &str| {
        let reply = client.line(line);
        let keys = reply.items().last().map(slotilla_tests::Value::items);
        let mut keys: Vec<String> = keys
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        keys.sort();
        keys
    };
    for kind in ["list", "string"] {
        let line = format!("scan 0 type {kind} count 100000");
        let (theirs, ours) = (
            listed(&mut pair.theirs, &line),
            listed(&mut pair.ours, &line),
        );
        assert_eq!(theirs, ours, "seed {}: {line}", pair.seed);
    }
    let mut commands = vec![command("dbsize")];
    for key in 0..6 {
        for look in ["type", "object encoding", "llen", "ttl"] {
            commands.push(command(&format!("{look} list{key}")));
        }
        commands.push(command(&format!("lrange list{key} 0 -1")));
        commands.push(command(&format!("lindex list{key} 7")));
    }
    pair.run(&commands);
}

fn compare(protocol: &str, size: &str) {
    let seed = seed();
    let settings = [
        ("list-max-listpack-size", size),
        ("enable-debug-command", "yes"),
    ];
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
        let commands: Vec<_> = (0..PER_BATCH).map(|_| generator.command()).collect();
        pair.run(&commands);
        batches += 1;
        if batches % 5 == 0 {
            compare_state(&mut pair);
        }
        if batches % 30 == 0 {
            pair.run(&[command("flushall")]);
        }
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    compare("2", "-2");
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    compare("3", "-1");
}

#[test]
fn so_they_do_with_few_elements_a_node() {
    compare("2", "3");
}

#[test]
fn ranks_at_the_end_of_the_range_count_as_in_redis() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: 0,
    };
    pair.run(&[command("rpush l a b a c a")]);
    for rank in [
        "-9223372036854775808",
        "-9223372036854775807",
        "9223372036854775807",
    ] {
        for options in ["", " count 0", " count 2", " count 0 maxlen 3"] {
            pair.run(&[command(&format!("lpos l a rank {rank}{options}"))]);
        }
    }
}

/// Tens of thousands of elements, so that there are many listpacks, changed all over.
#[test]
fn a_long_list_is_the_same_throughout() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: seed(),
    };
    let mut random = Rng::with_seed(pair.seed);
    for round in 0..2 {
        let pushes: Vec<Command> = (0..1500)
            .map(|_| {
                let end = if random.bool() { "l" } else { "r" };
                let words = (0..10).map(|_| format!("element:{}", random.u32(0..40_000)));
                command(&format!(
                    "{end}push big {}",
                    words.collect::<Vec<_>>().join(" ")
                ))
            })
            .collect();
        pair.run(&pushes);
        let changes: Vec<Command> = (0..200)
            .map(|_| {
                let (at, to) = (random.i32(-20_000..20_000), random.u8(..));
                let element = random.u32(0..40_000);
                let line = match random.u8(0..8) {
                    0 => format!("lset big {at} changed:{element}"),
                    1 => format!("linsert big before element:{element} new:{element}"),
                    2 => format!("linsert big after element:{element} new:{element}"),
                    3 => format!("lrem big {} element:{element}", random.i8(-2..3)),
                    4 => format!(
                        "lpos big element:{element} rank {} count 0",
                        random.i8(1..3)
                    ),
                    5 => format!("lpos big element:{element} rank -1 maxlen 5000"),
                    6 => format!("lindex big {at}"),
                    _ => format!("lrange big {at} {}", at.saturating_add(to.into())),
                };
                command(&line)
            })
            .collect();
        pair.run(&changes);
        let trim = random.u32(0..1500);
        pair.run(&[
            command("lpop big 700"),
            command("rpop big 700"),
            command(&format!("ltrim big {trim} -{trim}")),
            command("copy big copy replace"),
            command(&format!("lrem copy 0 element:{round}")),
            command("lrange copy 0 -1"),
            command("lrange big 0 -1"),
        ]);
    }
}

/// Commands on one key are handed on; those on several need a common slot.
#[test]
fn lists_work_through_the_proxy() {
    let cluster = Cluster::start(Kind::Node, 2);
    let proxy = cluster.proxy(&[]);
    let mut client = proxy.client();
    let cases = [
        ("RPUSH l a b c", "3"),
        ("LPOP l 2", "[a, b]"),
        ("RPUSH {t}1 1 2 3", "3"),
        ("LMOVE {t}1 {t}2 LEFT RIGHT", "1"),
        ("LMPOP 2 {t}0 {t}1 RIGHT COUNT 5", "[{t}1, [3, 2]]"),
        ("TYPE {t}2", "list"),
        ("OBJECT ENCODING {t}2", "quicklist"),
        (
            "RPOPLPUSH {t}2 l",
            "(error) CROSSSLOT Keys in request don't hash to the same slot",
        ),
        (
            "GET l",
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("DEL l {t}2", "2"),
    ];
    for (line, answer) in cases {
        assert_eq!(client.line(line).to_string(), answer, "{line}");
    }
}
