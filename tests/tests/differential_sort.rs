//! Random SORTs of lists, sets and sorted sets, by their elements and by what keys and hashes say
//! of them, sent to our node and to a real redis-server 7.0.15: every reply must be the same.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, pick, seed};
use slotilla_tests::{Deadline, Kind, Server, Value, one_node_cluster};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 60;

/// Elements whose numbers and texts are in different orders. None is out of range: Redis never
/// clears `errno` before it reads a number, so one such makes its later sorts fail too.
const ELEMENTS: &[&str] = &[
    "1",
    "2",
    "3",
    "10",
    "20",
    "-1",
    "1.5",
    "1e2",
    "007",
    "0",
    "-0",
    "3.0",
    "+4",
    " 5",
    "0x10",
    "inf",
    "-inf",
    "9007199254740993",
    "9007199254740992",
];
const ODD: &[&str] = &[
    "", "a", "b", "B", "nan", "1x", "1 ", "é", "infinity", "-", "*", "  ",
];
const PATTERNS: &[&str] = &[
    "w_*", "w_*", "w_*", "h_*->f", "h_*->f", "h_*->g", "h_*->", "w_*_x", "#", "*", "nosort", "",
    "list*", "->*", "*->f",
];

struct Generator(Rng);

impl Generator {
    fn element(&mut self) -> String {
        // Numbers alone, mostly: one other would make most sorts fail.
        let odd = self.0.u8(0..40) == 0;
        pick(&mut self.0, if odd { ODD } else { ELEMENTS }).to_owned()
    }

    fn source(&mut self) -> String {
        let kind = pick(
            &mut self.0,
            &["list", "list", "set", "ints", "zset", "none", "text"],
        );
        format!("{kind}{}", self.0.u8(0..2))
    }

    fn fill(&mut self) -> Command {
        let n = self.0.u8(0..2);
        let element = self.element();
        let line: Vec<String> = match self.0.u8(0..12) {
            0..=2 => vec!["rpush".into(), format!("list{n}"), element],
            3 => vec!["sadd".into(), format!("set{n}"), element],
            4 => vec!["sadd".into(), format!("ints{n}"), self.0.i8(..).to_string()],
            5 => vec![
                "zadd".into(),
                format!("zset{n}"),
                self.0.i8(..).to_string(),
                element,
            ],
            6 | 7 => vec!["set".into(), format!("w_{element}"), self.element()],
            8 => vec![
                "hset".into(),
                format!("h_{element}"),
                "f".into(),
                self.element(),
            ],
            9 => vec![
                "hset".into(),
                format!("h_{element}"),
                "g".into(),
                self.element(),
            ],
            10 => vec!["set".into(), format!("text{n}"), "x".into()],
            _ => vec!["del".into(), self.source()],
        };
        line.into_iter().map(String::into_bytes).collect()
    }

    fn sort(&mut self) -> Command {
        let mut words = vec!["sort".to_owned(), self.source()];
        for _ in 0..self.0.u8(0..5) {
            match self.0.u8(0..16) {
                0 | 1 => words.push("alpha".into()),
                2 | 3 => words.push("DESC".into()),
                4 => words.push("asc".into()),
                5..=7 => {
                    let (from, count) = (self.0.i8(-2..12), self.0.i8(-2..12));
                    words.extend(["limit".into(), from.to_string(), count.to_string()]);
                }
                8..=10 => {
                    let pattern = pick(&mut self.0, PATTERNS);
                    words.extend(["BY".into(), pattern.into()]);
                }
                11..=13 => {
                    let pattern = pick(&mut self.0, PATTERNS);
                    words.extend(["get".into(), pattern.into()]);
                }
                14 => words.extend(["store".into(), format!("list{}", self.0.u8(0..4))]),
                _ => {
                    let word = pick(
                        &mut self.0,
                        &[
                            "bogus",
                            "limit",
                            "limit 1",
                            "limit x 1",
                            "by",
                            "get",
                            "store",
                        ],
                    );
                    words.extend(word.split(' ').map(str::to_owned));
                }
            }
        }
        if self.0.u8(0..10) == 0 {
            words[0] = "sort_ro".into();
        }
        words.into_iter().map(String::into_bytes).collect()
    }
}

/// Whether the order is left open: that of a set that is not sorted, and of texts that are equal.
fn is_open(command: &Command) -> bool {
    let is = |word: &Vec<u8>, text: &str| word.eq_ignore_ascii_case(text.as_bytes());
    let by: Vec<&Vec<u8>> = command
        .windows(2)
        .filter(|two| is(&two[0], "by"))
        .map(|two| &two[1])
        .collect();
    let is_alpha = command.iter().any(|word| is(word, "alpha"));
    let is_unsorted = by.iter().any(|pattern| !pattern.contains(&b'*'));
    is_unsorted && command[1].starts_with(b"set") || !by.is_empty() && is_alpha
}

/// Sorted, or a mere count if there is a limit: which elements it lets through is open too.
fn shape(command: &Command, reply: &Value) -> Vec<String> {
    let limited = command
        .iter()
        .any(|word| word.eq_ignore_ascii_case(b"limit"));
    let shown = |item: &Value| {
        if limited {
            String::new()
        } else {
            item.to_string()
        }
    };
    match reply {
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(shown).collect();
            items.sort();
            items
        }
        other => vec![other.to_string()],
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
    let mut generator = Generator(Rng::with_seed(seed));
    let deadline = Deadline::after(TIME);
    let (mut batches, mut sorted) = (0, 0);
    while !deadline.is_over() {
        let fills: Vec<Command> = (0..PER_BATCH).map(|_| generator.fill()).collect();
        pair.run(&fills);
        for _ in 0..PER_BATCH {
            let command = generator.sort();
            let stores = command.iter().any(|word| word == b"store");
            if !is_open(&command) {
                pair.run(std::slice::from_ref(&command));
            } else if !stores {
                let theirs = pair.theirs.call(&command);
                let ours = pair.ours.call(&command);
                let (a, b) = (shape(&command, &theirs), shape(&command, &ours));
                let shown = slotilla_tests::differential::show(&command);
                assert_eq!(a, b, "seed {seed}: {shown}");
                sorted += usize::from(matches!(theirs, Value::Array(_)));
            }
        }
        let mut looks: Vec<Command> = Vec::new();
        for key in 0..4 {
            let words = [
                "lrange".to_owned(),
                format!("list{key}"),
                "0".into(),
                "-1".into(),
            ];
            looks.push(words.map(String::into_bytes).to_vec());
        }
        pair.run(&looks);
        batches += 1;
        if batches % 5 == 0 {
            pair.run(&[vec![b"flushall".to_vec()]]);
        }
    }
    assert!(
        batches > 5 && sorted > 5,
        "only {batches} batches in the time"
    );
}

#[test]
fn random_sorts_get_the_same_replies_in_resp2() {
    compare("2");
}

#[test]
fn random_sorts_get_the_same_replies_in_resp3() {
    compare("3");
}

fn pair(redis: &Server, node: &Server) -> Pair {
    Pair {
        theirs: redis.client(),
        ours: node.client(),
        seed: 0,
    }
}

fn commands(lines: &[&str]) -> Vec<Command> {
    let words = |line: &&str| {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    lines.iter().map(words).collect()
}

/// Numbers out of range are none: each asked of a server of its own, as `errno` stays.
#[test]
fn what_is_out_of_range_cannot_be_sorted_by() {
    let node = Server::start(Kind::Node, &[]);
    for number in [
        "1e400",
        "-1e400",
        "1e-400",
        "1e-310",
        "0x1p-1070",
        "0x1p-1080",
        "0e-999",
    ] {
        let redis = Server::start(Kind::Redis, &[]);
        let lines = [
            "flushall".to_owned(),
            format!("rpush k {number}"),
            "sort k".to_owned(),
        ];
        pair(&redis, &node).run(&commands(&lines.each_ref().map(String::as_str)));
    }
}

/// Patterns lead to other slots than those that a transaction has locked.
/// Redis sorts no packed sorted set, and leaves it unpacked.
#[test]
fn a_sorted_set_that_was_sorted_is_no_listpack() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = pair(&redis, &node);
    for sort in [
        "sort z",
        "sort z desc limit 1 1",
        "sort z alpha limit 0 0",
        "sort z by nosort",
        "sort z by nosort store list",
        "sort z by w_* get # get h_*->f",
        "sort_ro z alpha",
        "sort_ro z by nosort",
        "sort z limit x 1",
    ] {
        pair.run(&commands(&["del z", "zadd z 1 1 2 2 3 30"]));
        pair.run(&commands(&[
            "watch z",
            sort,
            "object encoding z",
            "zadd z 4 4",
            "object encoding z",
        ]));
        pair.run(&commands(&[
            "zrange z 0 -1 withscores",
            "debug digest-value z",
        ]));
        pair.run(&commands(&[
            "unwatch", "watch z", sort, "multi", "zcard z", "exec",
        ]));
    }
}

#[test]
fn sorts_by_patterns_work_inside_transactions() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    pair(&redis, &node).run(&commands(&[
        "rpush l a b c",
        "mset w_a 3 w_b 1 w_c 2 o_a x o_b y",
        "watch w_a",
        "multi",
        "sort l by w_* get o_* get #",
        "set w_a 0",
        "sort l by w_* store d",
        "sort l limit x",
        "sort l",
        "lrange d 0 -1",
        "exec",
        "watch d",
        "sort l by w_* desc store d",
        "multi",
        "ping",
        "exec",
        "lrange d 0 -1",
        "sort none by w_* store d",
        "exists d",
        "sort l alpha store store desc",
        "sort l alpha store limit store by",
        "mget store",
        "lrange store 0 -1",
        "lrange limit 0 -1",
        "lrange by 0 -1",
    ]));
}

/// Whoever sorts by keys while others write sees one moment of all of them.
#[test]
fn a_sort_by_patterns_sees_one_moment() {
    let node = Server::start(Kind::Node, &[("io-threads", "2")]);
    let (mut sorter, mut writer) = (node.client(), node.client());
    sorter.line("rpush l a b c d");
    let both = |n: usize| format!("mset w_a {n} w_b {n}\r\n");
    writer.line("mset w_a 0 w_b 0");
    for round in 0..300 {
        writer.send(both(round).as_bytes());
        let reply = sorter.line("sort l by nosort get w_*");
        let weights: Vec<String> = reply.items().iter().map(Value::to_string).collect();
        assert_eq!(weights[0], weights[1], "half of an MSET was seen");
        writer.read();
    }
}

/// In a cluster the keys of patterns may be anywhere, so Redis refuses them.
#[test]
fn a_cluster_refuses_patterns_in_the_words_of_redis() {
    let (theirs, ours) = (
        one_node_cluster(Kind::Redis, &[]),
        one_node_cluster(Kind::Node, &[]),
    );
    let mut pair = pair(&theirs, &ours);
    pair.run(&commands(&[
        "rpush {a}l 3 1 2",
        "set s x",
        "sort {a}l",
        "sort {a}l by nosort desc",
        "sort {a}l by {a}w*",
        "sort {a}l by #",
        "sort {a}l get #",
        "sort {a}l get {a}w*",
        "sort_ro {a}l get #",
        "sort_ro {a}l by *",
        "sort {a}l by w* bogus",
        "sort {a}l limit x 1 by w*",
        "sort {a}l store {a}d",
        "lrange {a}d 0 -1",
        "sort {a}l store d",
        "sort_ro {a}l store {a}d",
        "sort s by w*",
        "sort s",
        "multi",
        "sort {a}l desc",
        "sort {a}l get #",
        "exec",
    ]));
}
