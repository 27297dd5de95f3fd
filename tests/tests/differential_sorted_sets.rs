//! Random commands on sorted sets, sent to our node and to a real redis-server 7.0.15: every reply
//! must be the same, and so must everything that can be seen of the keys afterwards.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, seed};
use slotilla_tests::{Deadline, Kind, Server, Value};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 50;

const SCORES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "1.5",
    "0.1",
    "-0.3",
    "-0",
    "+7",
    "1e3",
    "1e17",
    "4.6e18",
    "1e19",
    "1e300",
    "5e-324",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "0x10",
    "0x1.8p1",
    "1e400",
    "1e-400",
    "abc",
    "",
    " 1",
    "1 ",
    "123456.789",
    "9007199254740993",
    "9223372036854775807",
];

const OPTIONS: &[&str] = &[
    "nx",
    "XX",
    "gt",
    "LT",
    "ch",
    "INCR",
    "withscores",
    "WITHSCORES",
    "rev",
    "BYSCORE",
    "bylex",
    "limit",
    "weights",
    "AGGREGATE",
    "sum",
    "min",
    "MAX",
    "count",
    "match",
    "bogus",
    "",
    "0",
    "1",
    "2",
    "-1",
    "*",
];

/// Commands, each argument a kind: `k` a key (`k*` two), `l` a key whose members all have the score
/// 0, `m` a member, `M` one or more, `p` pairs of score and member, `z` the same with the score 0,
/// `s` a score, `r` a rank or a count, `e` an end of a range of scores, `x` one of a range of
/// bytes, `o` an option, `O` up to three.
const SHAPES: &[&str] = &[
    "zadd k p",
    "zadd k p",
    "zadd k p",
    "zadd k O p",
    "zadd k nx p",
    "zadd k xx ch p",
    "zadd k gt ch p",
    "zadd k lt p",
    "zadd k incr s m",
    "zadd k nx incr s m",
    "zadd k xx incr s m",
    "zadd k gt incr s m",
    "zadd k lt incr s m",
    "zadd k s",
    "zadd l z",
    "zadd l z",
    "zadd l z",
    "zincrby k s m",
    "zincrby k s m",
    "zrem k M",
    "zrem l M",
    "zcard k",
    "zscore k m",
    "zscore k m",
    "zmscore k M",
    "zrank k m",
    "zrevrank k m",
    "zcount k e e",
    "zlexcount l x x",
    "zrange k r r",
    "zrange k r r withscores",
    "zrange k r r rev",
    "zrange k e e byscore",
    "zrange k e e byscore withscores limit r r",
    "zrange k e e rev withscores byscore",
    "zrange k e e byscore rev limit r r",
    "zrange l x x bylex",
    "zrange l x x bylex limit r r",
    "zrange l x x bylex rev limit r r",
    "zrange k r r O",
    "zrange k e e byscore O",
    "zrange l x x bylex O",
    "zrevrange k r r",
    "zrevrange k r r withscores",
    "zrevrange k r r O",
    "zrangebyscore k e e",
    "zrangebyscore k e e withscores",
    "zrangebyscore k e e limit r r withscores",
    "zrangebyscore k e e O",
    "zrevrangebyscore k e e",
    "zrevrangebyscore k e e limit r r",
    "zrevrangebyscore k e e withscores",
    "zrangebylex l x x",
    "zrangebylex l x x limit r r",
    "zrangebylex l x x O",
    "zrevrangebylex l x x",
    "zrevrangebylex l x x limit r r",
    "zrangestore k k r r",
    "zrangestore k k r r rev",
    "zrangestore k k e e byscore limit r r",
    "zrangestore k l x x bylex",
    "zrangestore k k r r O",
    "zremrangebyrank k r r",
    "zremrangebyscore k e e",
    "zremrangebylex l x x",
    "zpopmin k",
    "zpopmax k",
    "zpopmin k r",
    "zpopmax k r",
    "zpopmin k r r",
    "zmpop 1 k min",
    "zmpop 2 k k max count r",
    "zmpop 2 k k min count 3",
    "zmpop r k k o",
    "zmpop 1 k min O",
    "zrandmember k",
    "zrandmember k 1000",
    "zrandmember k 1000 withscores",
    "zrandmember k r",
    "zrandmember k r withscores",
    "zrandmember k -9223372036854775808",
    "zrandmember k 9223372036854775807 withscores",
    "zrandmember k r o",
    "zunion 2 k k",
    "zunion 2 k k withscores",
    "zunion 3 k k k weights s s s withscores",
    "zunion 2 k k aggregate min withscores",
    "zunion 2 k k aggregate max weights 2 -1 withscores",
    "zinter 2 k k",
    "zinter 2 k k withscores",
    "zinter 2 k k weights s s withscores",
    "zinter 3 k k k aggregate max withscores",
    "zinter 2 k k weights inf 0 aggregate min withscores",
    "zdiff 2 k k",
    "zdiff 1 k withscores",
    "zdiff 3 k k k withscores",
    "zdiff 2 k k O",
    "zunion 2 k k O",
    "zinter r k k O",
    "zunionstore k 2 k k",
    "zunionstore k 2 k k weights s s aggregate max",
    "zunionstore k r k k O",
    "zinterstore k 2 k k",
    "zinterstore k 2 k k weights 1 2 aggregate sum",
    "zinterstore k 2 k k withscores",
    "zdiffstore k 2 k k",
    "zdiffstore k 2 k k weights 1 2",
    "zintercard 2 k k",
    "zintercard 2 k k limit r",
    "zintercard r k O",
    "zscan k 0 count 100000",
    "zscan k 0 match m1* count 100000",
    "zscan k 0 match * count 100000",
    "zscan k x",
    "zscan k 0 O",
    "set k v",
    "del k",
    "del k*",
    "rename k k",
    "copy k k",
    "copy k k replace",
    "type k",
    "object encoding k",
    "get k",
    "append k v",
    "scan 0 type zset count 100000",
    "zadd",
    "zadd k",
    "zadd k 1",
    "zscore k",
    "zrange k 0",
    "zunion",
    "zunionstore k",
];

struct Generator {
    random: Rng,
    members: usize,
}

impl Generator {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.usize(..from.len())]
    }

    fn key(&mut self) -> Vec<u8> {
        let n = self.random.u8(0..24);
        match n {
            0 => b"string".to_vec(),
            1 => b"nothing".to_vec(),
            n => format!("{}{}", if n < 20 { "k" } else { "l" }, n % 4).into_bytes(),
        }
    }

    fn member(&mut self) -> Vec<u8> {
        let n = self.random.usize(0..self.members);
        match n % 9 {
            0 => format!("{n}"),
            1 => format!("-{n}"),
            2 if n > 40 => format!("a long name of a member: {n:060}"),
            3 => format!("m{n}\r\n\u{fc}"),
            _ => format!("m{n}"),
        }
        .into_bytes()
    }

    fn score(&mut self) -> Vec<u8> {
        match self.random.u8(0..12) {
            0 => self.pick(SCORES).to_owned(),
            1 => self.pick(&["inf", "-inf", "1e17", "-0", "0.1"]).to_owned(),
            2 => format!("{}", self.random.f64() * 100.0),
            _ => format!("{}", f64::from(self.random.i8(-20..20)) / 4.0),
        }
        .into_bytes()
    }

    fn byte_end(&mut self) -> Vec<u8> {
        match self.random.u8(0..12) {
            0..3 => b"-".to_vec(),
            3..6 => b"+".to_vec(),
            6 => self.pick(&["", "m", "[", "(", "-x", "+x"]).into(),
            n => {
                let mut end = if n < 9 { b"[".to_vec() } else { b"(".to_vec() };
                end.extend(self.member());
                end
            }
        }
    }

    fn argument(&mut self, kind: &str, out: &mut Command) {
        let text = match kind {
            "k" => self.key(),
            "k*" => {
                let key = self.key();
                out.push(key);
                self.key()
            }
            "l" => format!("l{}", self.random.u8(0..4)).into_bytes(),
            "m" => self.member(),
            "M" => {
                for _ in 0..self.random.u8(0..4) {
                    let member = self.member();
                    out.push(member);
                }
                self.member()
            }
            "p" | "z" => {
                for _ in 0..self.random.u8(1..6) {
                    let score = if kind == "z" {
                        b"0".to_vec()
                    } else {
                        self.score()
                    };
                    let member = self.member();
                    out.extend([score, member]);
                }
                return;
            }
            "s" => self.score(),
            "r" => match self.random.u8(0..16) {
                0 => self
                    .pick(&["", "abc", "1.5", "9223372036854775807", "-0"])
                    .into(),
                _ => self.random.i64(-6..9).to_string().into_bytes(),
            },
            "e" => {
                let mut end = if self.random.u8(0..3) == 0 {
                    b"(".to_vec()
                } else {
                    Vec::new()
                };
                end.extend(match self.random.u8(0..6) {
                    0 => b"-inf".to_vec(),
                    1 => b"+inf".to_vec(),
                    _ => self.score(),
                });
                end
            }
            "x" => self.byte_end(),
            "o" => self.pick(OPTIONS).into(),
            "O" => {
                for _ in 0..self.random.u8(0..4) {
                    let option = self.pick(OPTIONS);
                    out.push(option.into());
                }
                return;
            }
            word => word.into(),
        };
        out.push(text);
    }

    fn command(&mut self) -> Command {
        let mut command = Command::new();
        for kind in self.pick(SHAPES).split(' ') {
            self.argument(kind, &mut command);
        }
        // Where members have several scores, what a range of bytes gives is not told.
        let is_by_bytes = command
            .iter()
            .any(|word| word.eq_ignore_ascii_case(b"bylex"));
        let writes_keys_of_zeros = command.get(1).is_some_and(|key| key.starts_with(b"l"))
            && !command[0].starts_with(b"zr")
            && !is(&command, "zadd");
        let reads_others = is_by_bytes
            && command
                .iter()
                .any(|word| word.len() == 2 && word.starts_with(b"k"))
            && !is(&command, "zrangestore");
        let store_reads_others = is(&command, "zrangestore")
            && is_by_bytes
            && command.get(2).is_some_and(|key| !key.starts_with(b"l"));
        let spoils_zeros = command.len() > 2
            && command[1..]
                .iter()
                .any(|word| word.len() == 2 && word.starts_with(b"l"))
            && [
                "zincrby",
                "zunionstore",
                "zinterstore",
                "zdiffstore",
                "zrangestore",
                "rename",
                "copy",
                "zadd",
            ]
            .iter()
            .any(|name| is(&command, name))
            && !(is(&command, "zadd") && command[2..].iter().step_by(2).all(|score| score == b"0"));
        let store_from_zeros =
            is(&command, "zrangestore") && command.get(1).is_some_and(|key| key.starts_with(b"k"));
        if reads_others
            || store_reads_others
            || (writes_keys_of_zeros && spoils_zeros)
            || (spoils_zeros && !store_from_zeros)
        {
            return self.command();
        }
        command
    }
}

fn is(command: &[Vec<u8>], name: &str) -> bool {
    command[0].eq_ignore_ascii_case(name.as_bytes())
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    items.sort();
    items
}

/// Whether two replies to `command` mean the same: some commands give members in no order.
fn agree(command: &[Vec<u8>], theirs: &Value, ours: &Value) -> bool {
    if theirs == ours {
        return true;
    }
    if is(command, "zrandmember") && command.len() == 2 {
        return theirs.is_null() == ours.is_null() && theirs.error() == ours.error();
    }
    let (Value::Array(a), Value::Array(b)) = (theirs, ours) else {
        return false;
    };
    if is(command, "zrandmember") {
        let is_whole = command[2] == b"1000";
        return a.len() == b.len() && (!is_whole || sorted(a) == sorted(b));
    }
    let is_scan = (is(command, "zscan") || is(command, "scan")) && a.len() == 2 && b.len() == 2;
    let is_whole = command.last() == Some(&b"100000".to_vec());
    is_scan && (!is_whole || sorted(a[1].items()) == sorted(b[1].items()))
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
        "zrange KEY 0 -1 withscores",
        "zrevrange KEY 0 -1",
    ]);
    run(pair, &commands);
}

fn compare(protocol: &str, settings: &[(&str, &str)], members: usize) {
    let seed = seed();
    let redis = Server::start(Kind::Redis, settings);
    let node = Server::start(Kind::Node, settings);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed,
    };
    pair.speak(protocol);
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        members,
    };
    let deadline = Deadline::after(TIME);
    let mut batches = 0;
    while !deadline.is_over() {
        let commands: Vec<Command> = (0..PER_BATCH).map(|_| generator.command()).collect();
        run(&mut pair, &commands);
        batches += 1;
        if batches % 5 == 0 {
            compare_state(&mut pair);
        }
        // Whatever was set must not make every later command fail alike.
        if batches % 25 == 0 {
            run(&mut pair, &[vec![b"flushall".to_vec()]]);
        }
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

const SMALL: &[(&str, &str)] = &[
    ("zset-max-listpack-entries", "8"),
    ("zset-max-listpack-value", "20"),
];

#[test]
fn random_commands_get_the_same_replies_in_resp2() {
    compare("2", &[], 60);
}

#[test]
fn random_commands_get_the_same_replies_in_resp3() {
    compare("3", &[], 60);
}

#[test]
fn sets_that_become_big_get_the_same_replies_in_resp2() {
    compare("2", SMALL, 60);
}

#[test]
fn sets_that_become_big_get_the_same_replies_in_resp3() {
    compare("3", SMALL, 300);
}

/// A listpack keeps no sign of a zero, a tree does; what has been in a listpack has lost it.
const ZEROS: &[&str] = &[
    "zadd a -0 m 0 n",
    "zadd a 0 m -0 n",
    "zincrby a -0 m",
    "zincrby new -0 m",
    "zadd new incr -0 n",
    "zunion 1 a weights -1 withscores",
    "zunion 2 a new weights -1 1 aggregate min withscores",
    "zunion 2 a new weights 1 -1 aggregate min withscores",
    "zunion 2 new a weights -1 1 aggregate max withscores",
    "zunion 2 new a weights 1 -1 aggregate max withscores",
    "zunion 2 new a weights -1 -1 withscores",
    "zinter 2 new a weights -1 1 aggregate min withscores",
    "zinter 2 a new weights -1 1 aggregate max withscores",
    "sadd plain m n",
    "sadd numbers 1 2",
    "zunion 2 plain a weights -0 1 withscores",
    "zunion 2 plain a weights -0 1 aggregate min withscores",
    "zinter 2 a plain weights 1 -0 aggregate min withscores",
    "zunion 1 numbers weights -0 withscores",
    "zunionstore stored 2 plain numbers weights -0 -0",
    "zadd l1 -0 {long}1 -0 m -0 n 0 o",
    "zadd l2 -0 m -0 {long}2 -0 n",
    "zrange l1 0 -1 withscores",
    "zrange l2 0 -1 withscores",
    "zadd l1 0 m",
    "zincrby l1 0 n",
    "zincrby l1 -0 o",
    "zadd l1 xx gt ch 0 m -0 o",
    "zincrby l1 1 m",
    "zincrby l1 -1 m",
    "zincrby l2 -0 n",
    "zunion 2 l1 l2 withscores",
    "zunion 2 l1 l2 aggregate min withscores",
    "zunion 2 l2 l1 aggregate max withscores",
    "zunion 2 l1 a aggregate min withscores",
    "zinter 2 l1 a aggregate max withscores",
    "zdiff 2 l1 a withscores",
    "zdiffstore d 2 l1 l2",
    "zunionstore u 2 l1 l2 weights -1 1 aggregate min",
    "zinterstore i 2 l1 l2 weights -1 -1",
    "copy l1 copied",
    "zrangestore r1 l1 0 -1",
    "zrangestore r2 l1 0 -1 rev",
    "zrangestore r3 l1 -1 1 byscore",
    "zrangestore r4 l1 1 -1 byscore rev",
    "zrangestore r5 l1 1 2",
    "zadd l3 -0 {long}3 -0 a -0 b -0 c -0 d -0 e -0 f -0 g -0 h -0 i",
    "zrangestore r6 l3 1 -1",
    "zrangestore r7 l3 0 0 byscore",
    "zrangestore r8 l3 0 0 byscore limit 1 9",
    "zrangestore r9 l3 - + bylex",
    "zrangestore r10 l3 + (a bylex rev",
    "zpopmax l1 2",
];

#[test]
fn zeros_have_the_sign_that_they_have_in_redis() {
    let redis = Server::start(Kind::Redis, SMALL);
    let node = Server::start(Kind::Node, SMALL);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: 0,
    };
    for line in ZEROS {
        let line = line.replace("{long}", &"x".repeat(30));
        let command = line.split(' ').map(|word| word.as_bytes().to_vec());
        run(&mut pair, &[command.collect()]);
        compare_state(&mut pair);
    }
}

/// Thousands of members, so that tree and table have several levels and segments.
#[test]
fn a_large_set_is_the_same_throughout() {
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let mut pair = Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: seed(),
    };
    let mut random = Rng::with_seed(pair.seed);
    let command = |line: String| -> Command {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    for round in 0..6 {
        let changes: Vec<Command> = (0..5000)
            .map(|_| {
                let member = random.u32(0..20_000);
                // Every other round takes away more than it adds.
                match random.u8(0..10) {
                    0..=3 => command(format!("zrem big member:{member}")),
                    4..=6 if round % 2 == 1 => command(format!("zrem big member:{member}")),
                    8 => command(format!("zincrby big {} member:{member}", random.i8(..))),
                    _ => command(format!("zadd big {} member:{member}", random.u32(0..5000))),
                }
            })
            .collect();
        run(&mut pair, &changes);
        let mut looks: Vec<Command> = (0..300)
            .flat_map(|_| {
                let (a, b) = (random.u32(0..5000), random.u32(0..5000));
                let member = random.u32(0..20_000);
                [
                    format!("zrank big member:{member}"),
                    format!("zcount big {a} ({b}"),
                    format!("zrange big {a} {b} withscores"),
                    format!("zrevrangebyscore big {a} {b} limit 3 10"),
                ]
            })
            .map(command)
            .collect();
        looks.push(command("zremrangebyrank big 100 900".to_owned()));
        looks.push(command("zremrangebyscore big 2000 (2200".to_owned()));
        looks.push(command("zpopmax big 50".to_owned()));
        looks.push(command("zscan big 0 count 100000".to_owned()));
        looks.push(command("copy big copy replace".to_owned()));
        looks.push(command(
            "zunionstore big 2 big copy weights 0.5 0.25".to_owned(),
        ));
        looks.push(command("zrange big 0 -1 withscores".to_owned()));
        run(&mut pair, &looks);
        compare_state(&mut pair);
    }
}
