//! Blocking commands beside a real redis-server 7.0.15: several connections play the same script on
//! both, and each must get the same, in the same order.
#![cfg(test)]

use slotilla_tests::stage::compare;
use slotilla_tests::{Kind, Server, one_node_cluster};

/// RESP2 and RESP3.
const BOTH: &[&str] = &["2", "3"];

/// Scripts as [`stage`](slotilla_tests::stage) plays them.
const SCRIPTS: &[&str] = &[
    // What is there is taken at once, from the first key that has something.
    "b: rpush k 1 2 3
     b: rpush l 4
     a: blpop k 0
     a: brpop none k l 0
     a: blpop none l k 0
     a: blmpop 0 2 none k left count 10
     b: rpush k 1 2 3
     a: blmpop 0 1 k right
     a: blmove k l left right 0
     a: blmove k k left left 0
     a: brpoplpush k l 0
     b: zadd z 1 a 2 b 3 c 4 d
     a: bzpopmin none z 0
     a: bzpopmax z 0
     a: bzmpop 0 2 none z max count 5
     b: lrange l 0 -1",
    // One element of three; the rest stays.
    "a! brpop k 0
     b: lpush k 1 2 3
     a?
     b: lrange k 0 -1
     a: blpop k 0
     a: blpop k 0
     b: exists k",
    "a! blpop k 0
     b: rpush k 1
     a?
     b: type k
     a! blmpop 0 1 k left count 2
     b: rpush k 1 2 3
     a?
     a! bzpopmin z 0
     b: zadd z 2 b 1 a
     a?
     b: del z
     a! bzpopmax none z 0
     b: zincrby z -7.25 c
     a?
     b: zrange z 0 -1 withscores
     a! bzmpop 0 2 none z min count 2
     b: zadd z 1 a 2 b 3 c
     a?
     b: zrange z 0 -1",
    // First come, first served, whatever each wants.
    "a! blpop k 0
     c! brpop k 0
     d! blmpop 0 1 k left count 2
     e! blmove k l left right 0
     f! blpop l 0
     b: rpush k 1 2 3 4 5 6
     a?
     c?
     d?
     e?
     f?
     b: lrange k 0 -1
     b: exists l",
    // Several keys, one pop; the same key twice.
    "a! blpop k l m 0
     b: rpush l 1
     a?
     b: rpush k 2
     b: llen k
     c! blpop n n n 0
     b: rpush n 1 2
     c?
     b: llen n",
    // Keys become ready in the order in which they are made, not of the arguments.
    "a! blpop k l 0
     b: multi
     b: rpush l 1
     b: rpush k 2
     b: exec
     a?
     b: exists l k",
    "a! blpop k l 0
     b: multi
     b: set k x
     b: rpush l 1
     b: del k
     b: rpush k 2
     b: exec
     a?
     b: exists l k",
    "a! blpop k l 0
     b: multi
     b: rpush k 1
     b: del k
     b: rpush l 2
     b: rpush k 3
     b: exec
     a?
     b: exists k l",
    // What a transaction leaves is what counts.
    "a! blpop k 0
     b: multi
     b: lpush k 1
     b: del k
     b: exec
     a-
     b: multi
     b: lpush k 1
     b: set k x
     b: exec
     a-
     b: del k
     b: multi
     b: lpush k a
     b: lpush k b
     b: lpush k c
     b: exec
     a?
     b: lrange k 0 -1",
    "a! bzpopmin z 0
     b: multi
     b: zadd z 0 foo
     b: del z
     b: exec
     a-
     b: multi
     b: zadd z 0 foo
     b: zrem z foo
     b: zadd z 1 bar
     b: dbsize
     b: exec
     a?",
    "a! blpop k 0
     b: multi
     b: lpush k 1
     b: lpop k
     b: dbsize
     b: exec
     a-
     b: multi
     b: lpush k 1
     b: keys *
     b: exec
     a?",
    // Inside a transaction nothing waits.
    "a: multi
     a: blpop k 0
     a: brpop k 1
     a: blmove k l left right 0
     a: brpoplpush k l 0
     a: blmpop 0 1 k left
     a: bzpopmin k 0
     a: bzpopmax k 0
     a: bzmpop 0 1 k min
     a: rpush k 1 2 3 4
     a: blpop k 0
     a: blmove k l left right 0
     a: brpoplpush k k 0
     a: blmpop 0 1 k left
     a: blpop k 0
     a: blpop k nan
     a: exec",
    // Chains.
    "a! blmove k l left left 0
     c! blmove l m right right 0
     d! blmove m k left right 0
     e! blpop k 0
     b: rpush k 1
     a?
     c?
     d?
     e?
     b: exists k l m",
    "a! brpoplpush k l 0
     c! brpoplpush l k 0
     b: rpush k 1
     a?
     c?
     b: lrange k 0 -1
     b: exists l",
    "a! blmove k k left right 0
     c! blmove k k right left 0
     d! blpop k 0
     b: rpush k 1
     a?
     c?
     d?
     b: exists k",
    "a! blmove k l left right 0
     c! blpop l 0
     b: multi
     b: rpush k 1 2
     b: rpush m 3
     b: exec
     a?
     c?
     b: lrange k 0 -1",
    "a! blpop l 0
     b: rpush k 1 2
     b: lmove k l left right
     a?
     a! blpop l 0
     b: rpoplpush k l
     a?
     b: exists k l",
    // The wrong type, at the call and where an element is to go.
    "b: set s x
     a: blpop s 0
     a: blpop none s 0
     a: brpoplpush none s 0.01
     a: bzpopmin s 0
     a: blmpop 0 2 none s left
     a: bzmpop 0 2 none s max
     b: rpush k 1
     a: blmove k s left right 0
     b: lrange k 0 -1
     a: blpop k s 0
     a! blmove k s left right 0
     c! blpop k 0
     b: rpush k 1 2
     a?
     c?
     b: lrange k 0 -1",
    // A value of another type wakes nobody; neither does one written over another.
    "a! blpop k 0
     c! bzpopmin k 0
     b: set k x
     b: del k
     b: sadd k x
     b: del k
     b: hset k f x
     a-
     c-
     b: del k
     b: zadd k 1 x
     c?
     a-
     b: exists k
     b: rpush k 1
     a?",
    "a! bzpopmin k 0
     b: zadd src 1 a 2 b
     b: set k x
     b: zunionstore k 1 src
     a-
     b: zadd k 3 c
     a-
     b: del k
     b: zunionstore k 1 src
     a?",
    // All that makes a key.
    "a! bzpopmin z 0
     b: zadd src 1 a 2 b
     b: zinterstore z 1 src
     a?
     b: del z
     a! bzpopmin z 0
     b: zdiffstore z 1 src
     a?
     b: del z
     a! bzpopmax z 0
     b: zrangestore z src 0 -1
     a?
     b: del z
     a! bzpopmax z 0
     b: geoadd z 13.361389 38.115556 Palermo
     a?
     b: geoadd g 13.361389 38.115556 Palermo
     a! bzpopmax z 0
     b: geosearchstore z g fromlonlat 13 38 byradius 200 km
     a?
     a! bzpopmax z 0
     b: copy src z
     a?",
    "a! blpop k 0
     b: rpush l 1 2
     b: rename l k
     a?
     b: lrange k 0 -1
     b: del k
     a! blpop k 0
     b: rpush l 1 2
     b: set k x
     b: rename l k
     a?
     b: del k
     a! blpop k 0
     b: rpush l 3
     b: renamenx l k
     a?
     a! blpop k 0
     b: rpush l 4
     b: copy l k
     a?
     b: exists k l",
    "a! blpop k 0
     b: linsert k before x y
     b: lpushx k x
     b: lset k 0 x
     a-
     b: rpush k 1
     a?",
    // A key whose time comes, or has come.
    "a! blpop k 0
     b: multi
     b: rpush k 1
     b: pexpire k -1
     b: exec
     a-
     b: multi
     b: rpush k 1
     b: pexpire k 100000
     b: exec
     a?",
    // What follows a blocked command waits for it.
    "a! blpop k 0
     a> set after 1
     a> get after
     a> blpop l 0
     a> ping
     b: exists after
     b: rpush k 1
     a?
     a?
     a?
     a-
     b: rpush l 2
     a?
     a?",
    "a: client reply off
     a! blpop k 0
     b: rpush k 1
     a: client reply on
     a> client reply skip
     a! blpop k 0
     b: rpush k 2
     a: ping",
    "a! blpop k 0
     a> reset
     a> ping
     b: client unblock @a
     a?
     a?
     a?",
    "a! blpop k 0
     a> multi
     a> rpush k x
     a> blpop k 0
     a> exec
     b: rpush k 1
     a?
     a?
     a?
     a?
     a?",
    // WATCH hears of what somebody else's wait does.
    "c: watch k
     a! blpop k 0
     b: rpush k 1
     a?
     c: multi
     c: ping
     c: exec",
    "c: watch l
     a! blmove k l left right 0
     b: rpush k 1
     a?
     c: multi
     c: ping
     c: exec",
    // CLIENT UNBLOCK.
    "a! blpop k 0
     c! blmove k l left right 1000
     d! bzmpop 0 1 z min
     b: client unblock @a
     a?
     b: client unblock @c timeout
     c?
     b: client unblock @d error
     d?
     b: client unblock @d error
     b: client unblock @b
     b: client unblock 123456789
     b: client unblock x
     b: client unblock @a what
     b: rpush k 1
     b: lrange k 0 -1
     b: client unblock -1",
    "a! blpop k 0
     c! blpop k 0
     b: multi
     b: rpush k 1
     b: client unblock @a error
     b: exec
     a?
     c?",
    // Timeouts and other errors.
    "a: blpop k -1
     a: blpop k -0.5
     a: blpop k nan
     a: blpop k abc
     a: blpop k 1e400
     a: blpop k -1e400
     a: blpop k inf
     a: blpop k 0x7fffffffffffffff
     a: blpop k 9223372036854776
     a: blpop k 0x1x
     a: blpop k 1,5
     a: blpop k 0.001
     a: blpop k 1e-400
     a: blpop k 0x1p-9
     a: brpop k 0.01
     a: blmove k l left right 0.01
     a: brpoplpush k l 0.01
     a: blmpop 0.01 2 k l left
     a: bzpopmin k 0.01
     a: bzpopmax k 0.01
     a: bzmpop 0.01 1 k max count 3
     a: blmove k l left foo nan
     a: blmove k l foo right -1
     a: blmove k l left right -1
     a: blmpop nan 0 k left
     a: blmpop nan 1 k foo
     a: blmpop -1 1 k left count 0
     a: blmpop -1 1 k left count 1
     a: blmpop 0 1 k left count 1 count 2
     a: blmpop 0 1 k left foo
     a: bzmpop nan 1 k foo
     a: bzmpop 0 x k min
     a: bzmpop 0 2 k min
     a: bzmpop 0 1 k min count
     a: bzmpop 0 1 k min count 1 count 2
     a: bzmpop inf 1 k min count 1
     a: blpop k
     a: brpoplpush k l
     a: bzpopmin k
     a! blpop k -0
     a> ping
     b: rpush k 1
     a?
     a?
     a! blpop k 9e15
     b: rpush k 2
     a?
     a! blpop k -1e-9
     b: rpush k 3
     a?",
];

/// The same where keys may lie in several slots and databases.
const SCRIPTS_ALONE: &[&str] = &[
    "a! blpop k 0
     b: select 1
     b: rpush k 1
     a-
     b: move k 0
     a?
     b: exists k
     b: rpush k 2 3
     b: copy k k db 0
     b: select 0
     b: lrange k 0 -1",
    "a: select 9
     a! blpop k 0
     c! bzpopmin z 0
     b: rpush k 1 2
     b: zadd z 1 a
     a-
     c-
     b: swapdb 0 9
     a?
     c-
     b: swapdb 0 9
     c?
     b: dbsize",
    "a: select 9
     a! blmove k l left right 0
     c: select 9
     c! blpop l 0
     b: multi
     b: rpush k 1 2
     b: swapdb 9 0
     b: swapdb 9 0
     b: exec
     a-
     b: multi
     b: swapdb 9 0
     b: exec
     a?
     c?
     b: select 9
     b: lrange k 0 -1",
    // A wake-up that a second one follows in a slot before and one behind.
    "a! blmove a b left right 0
     c! blmove b c left right 0
     d! blmove c a left right 0
     e! blpop z a 0
     b: rpush a 1
     a?
     c?
     d?
     e?
     b: dbsize",
    "b: rpush l 3 1 2
     a! blpop k 0
     c! blmove k m right left 0
     b: sort l store k
     a?
     c?
     b: lrange k 0 -1
     d! blpop k2 0
     b: mset w3 1 w1 2 w2 3
     b: sort l by w* get # store k2
     d?
     b: del k2
     d! blpop k2 0
     b: multi
     b: sort l by w* store k2
     b: lpop k2
     b: exec
     d?
     b: lrange k2 0 -1",
];

#[test]
fn several_connections_get_what_they_get_of_redis() {
    let theirs = Server::start(Kind::Redis, &[]);
    let ours = Server::start(Kind::Node, &[("io-threads", "4")]);
    compare(&theirs, &ours, BOTH, SCRIPTS);
    compare(&theirs, &ours, BOTH, SCRIPTS_ALONE);
}

#[test]
fn the_same_on_a_cluster_of_one_node() {
    let theirs = one_node_cluster(Kind::Redis, &[]);
    let ours = one_node_cluster(Kind::Node, &[("io-threads", "4")]);
    // All in one slot: the names behind the tag are those of the scripts.
    let tagged: Vec<String> = SCRIPTS.iter().map(|script| tag(script)).collect();
    let tagged: Vec<&str> = tagged.iter().map(String::as_str).collect();
    compare(&theirs, &ours, BOTH, &tagged);
    let across = "a: blpop k l 0
        a: blmove k l left right 0
        a: bzmpop 0 2 k l min
        a: multi
        a: brpoplpush k l 0
        a: exec";
    compare(&theirs, &ours, BOTH, &[across]);
}

/// Gives every key of a script one hash tag.
/// In a transaction nothing waits, but what is no timeout is refused.
#[test]
#[rustfmt::skip] // Read like a list, several a line.
fn the_same_timeouts_are_refused() {
    let servers = [Kind::Redis, Kind::Node].map(|kind| Server::start(kind, &[]));
    let mut clients = servers.each_ref().map(Server::client);
    for timeout in [
        "0", "-0", "+1", "1", "0.001", "-0.0001", "-0.001", "-0.0011", "-0.002", "-1", "-1e-30",
        "1e-4000", "9223372036854774", "9223372036854775", "9223372036854775.1",
        "9223372036854775.807", "9223372036854775.8071", "9223372036854775.8075",
        "9223372036854775.8", "9223372036854775.808", "9223372036854776", "9223372036854775807",
        "1e18", "-1e18", "1e300", "1e4000", "inf", "-inf", "nan", "0x10", "0x1.8p1", "", " 1", "1x",
        "99999999999999999999", "18446744073709551616", "3e-5000", "1e5000",
    ] {
        let commands: [&[&str]; 6] = [
            &["multi"],
            &["blpop", "none", timeout],
            &["bzpopmax", "none", timeout],
            &["blmove", "none", "none", "left", "right", timeout],
            &["bzmpop", timeout, "1", "none", "min"],
            &["exec"],
        ];
        let [theirs, ours] = clients
            .each_mut()
            .map(|client| commands.map(|words| client.call(words)));
        assert_eq!(ours, theirs, "{timeout:?}");
    }
}

fn tag(script: &str) -> String {
    const KEYS: &[&str] = &["k", "l", "m", "n", "s", "z", "g", "src", "none", "after"];
    let lines = script.lines().map(|line| {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| {
                if KEYS.contains(&word) {
                    format!("{word}{{t}}")
                } else {
                    word.to_owned()
                }
            })
            .collect();
        words.join(" ")
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n")
}
