//! Clients that wait for keys while others listen, or listen themselves, beside a real redis-server.
#![cfg(test)]

use slotilla_tests::stage::compare;
use slotilla_tests::{Kind, Server};

/// What listeners hear of clients that are served.
const EVENTS: &[&str] = &[
    "e: psubscribe __key*
     a! blpop k 0
     b: rpush k 1
     a?
     e*
     a! brpop none k 0
     b: lpush k 1 2
     a?
     e*
     b: del k
     a! blmpop 0 1 k left count 2
     b: rpush k 1 2 3
     a?
     e*",
    "e: psubscribe __key*
     a! blmove k l left right 0
     b: rpush k 1
     a?
     e*
     a! blmove k l right left 0
     b: rpush k 1 2
     a?
     e*
     b: del k
     a! brpoplpush k k 0
     b: rpush k 1 2
     a?
     e*
     b: del k
     b: set s x
     e*
     a! blmove k s left left 0
     b: rpush k 1
     a?
     e*",
    "e: psubscribe __key*
     a! bzpopmin z 0
     b: zadd z 1 a 2 b
     a?
     e*
     b: del z
     a! bzpopmax z 0
     b: zincrby z 2 a
     a?
     e*
     a! bzmpop 0 2 none z max count 5
     b: geoadd z 13 38 a 15 37 b
     a?
     e*",
    // One after the other, and one that makes another's key ready.
    "e: psubscribe __key*
     a! blpop k 0
     c! blmove k l left right 0
     d! blpop l 0
     f! brpop k 0
     b: rpush k 1 2 3 4
     a?
     c?
     d?
     f?
     e*",
    // Those of a transaction come first.
    "e: psubscribe __key*
     a! blpop k l 0
     c! blpop k 0
     b: multi
     b: rpush l 1
     b: rpush k 2
     b: set s x
     b: rpush k 3
     b: exec
     a?
     c?
     e*",
    // Keys that come to be by other commands.
    "b: rpush l 3 1
     e: psubscribe __key*
     a! blpop k 0
     b: sort l store k
     a?
     e*
     b: del k
     a! brpop k 0
     b: copy l k
     a?
     e*
     b: del k
     a! blpop k 0
     b: rename l k
     a?
     e*
     b: zadd y 1 m
     a! bzpopmin z 0
     b: zunionstore z 1 y
     a?
     e*",
    "e: psubscribe __key*
     a! blpop k 0
     b: select 9
     b: rpush k 1
     b: move k 0
     a?
     e*
     b: rpush k 2
     a! blpop k 0
     b: swapdb 0 9
     a?
     e*",
];

/// What clients hear that wait and listen, which only RESP3 lets them.
const LISTENERS: &[&str] = &[
    "a: subscribe c
     a: psubscribe d*
     a! blpop k 0
     a-
     b: publish c one
     a?
     b: publish d1 two
     a?
     a-
     b: rpush k 1
     a?
     a-
     b: publish c three
     a?",
    // Its reply comes between what was published before it was served and after.
    "a: subscribe c
     a! blpop k 0
     b> publish c one ; rpush k 1 ; publish c two
     b?
     b?
     b?
     a?
     a?
     a?
     a! bzpopmin z 0
     b> multi ; zadd z 1 x ; publish c one ; exec ; publish c two
     b?
     b?
     b?
     b?
     b?
     a?
     a?
     a?",
    "a: subscribe c
     a! blmpop 0 1 k left
     b> publish c one ; client unblock @a ; publish c two
     b?
     b?
     b?
     a?
     a?
     a?
     a! brpoplpush k l 0
     b> publish c one ; client unblock @a error ; publish c two
     b?
     b?
     b?
     a?
     a?
     a?
     a! blpop k 2
     b: publish c one
     a?
     a?
     b: publish c two
     a?",
    // Of the key that it waits for.
    "a: subscribe __keyevent@0__:rpush __keyevent@0__:lpop __keyevent@0__:del
     a?
     a?
     a! blpop k 0
     b: rpush k 1
     a?
     a?
     a?
     a?
     a*",
    // What it moves has arrived before it hears, and leaves after.
    "a: psubscribe __keyevent*
     a! blmove k l left right 0
     b: rpush k 1
     a?
     a?
     a?
     a?
     a*
     a! brpoplpush m m 0
     b: rpush m 1 2
     a?
     a?
     a?
     a?
     a*
     b: set s x
     a?
     a! blmove k s left left 0
     b: rpush k 1
     a?
     a?
     a*",
    // What follows the command waits with it.
    "a: subscribe c
     a! blpop k 0 ; unsubscribe c ; ping
     b: publish c one
     a?
     b: rpush k 1
     a?
     a?
     a?
     b: publish c two
     a-",
    "a: subscribe c
     a: ssubscribe s
     a! blpop k 0 ; reset ; ping
     b: publish c one
     a?
     b: spublish s one
     a?
     b: rpush k 1
     a?
     a?
     a?
     a-
     b: publish c two
     b: spublish s two",
    "a: subscribe c
     a! blpop k 0 ; quit ; ping
     b: publish c one
     a?
     b: rpush k 1
     a?
     a?
     a.
     b: publish c two",
    // Who is closed takes nothing along.
    "a: subscribe c
     a! blpop k 0
     f! blpop k 0
     b: client kill type pubsub
     a.
     b: publish c one
     f-
     b: rpush k 1
     f?
     b: exists k",
    "a: subscribe c
     a: client reply off
     a! blpop k 0
     b: publish c one
     a?
     b: rpush k 1
     b: publish c two
     a?
     a-",
];

#[test]
fn who_is_served_is_told_of() {
    let settings = [("notify-keyspace-events", "KEAn")];
    let theirs = Server::start(Kind::Redis, &settings);
    let ours = Server::start(Kind::Node, &[settings[0], ("io-threads", "4")]);
    compare(&theirs, &ours, &["2", "3"], EVENTS);
}

#[test]
fn who_waits_hears_what_it_listens_to() {
    let settings = [("notify-keyspace-events", "KEA")];
    let theirs = Server::start(Kind::Redis, &settings);
    let ours = Server::start(Kind::Node, &[settings[0], ("io-threads", "4")]);
    compare(&theirs, &ours, &["3"], LISTENERS);
}
