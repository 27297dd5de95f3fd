//! Keyspace notifications beside a real redis-server: after each command the same events must have
//! come, in the same order.
#![cfg(test)]

use std::collections::BTreeSet;

use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, wait_for, wait_until};

/// A server, a client that acts and one that hears of it.
struct Side {
    server: Server,
    actor: Client,
    listener: Client,
}

impl Side {
    fn new(server: Server) -> Self {
        let (actor, mut listener) = (server.client(), server.client());
        listener.line("psubscribe __key*");
        Self {
            server,
            actor,
            listener,
        }
    }

    fn notify(&mut self, classes: &str) {
        self.actor
            .ok(&["config", "set", "notify-keyspace-events", classes]);
    }

    /// What has been heard up to now, as `channel message`.
    fn heard(&mut self) -> Vec<String> {
        self.listener.send(b"ping\r\n");
        let mut heard = Vec::new();
        loop {
            let value = self.listener.read();
            match value.items() {
                [pong, _] => {
                    assert_eq!(pong.text(), "pong");
                    return heard;
                }
                [_, _, channel, text] => {
                    heard.push(format!("{} {}", channel.text(), text.text()));
                }
                _ => panic!("{value}"),
            }
        }
    }

    fn run(&mut self, line: &str) -> (Value, Vec<String>) {
        (self.actor.line(line), self.heard())
    }
}

fn pair() -> [Side; 2] {
    [Kind::Redis, Kind::Node]
        .map(|kind| Side::new(Server::start(kind, &[("enable-debug-command", "yes")])))
}

/// Replies in an order of each server's own, or drawn at random, are not compared here.
const VARYING: [&str; 2] = ["spop", "scan"];

fn compare(sides: &mut [Side; 2], script: &str) {
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let [theirs, ours] = sides.each_mut().map(|side| side.run(line));
        assert_eq!(ours.1, theirs.1, "events (ours, theirs) after {line}");
        if !VARYING.iter().any(|name| line.starts_with(name)) {
            assert_eq!(ours.0, theirs.0, "replies (ours, theirs) of {line}");
        }
    }
}

/// Commands by type. Each begins with an empty server.
const SCRIPTS: &[&str] = &[
    // Strings.
    "set a 1
     set a 2 ex 100
     set a 3 keepttl
     set a 3 nx
     set b 3 xx
     set b 3 get
     set b 4 get
     set b 4 get px 100000
     set a 4 exat 1
     get a
     set a 4 pxat 33177117420000
     setnx a 5
     setnx c 5
     setex a 100 x
     psetex d 100000 x
     setex a 0 x
     getset a y
     getset e y
     mset a 1 b 2 f 3
     msetnx a 1 g 2
     msetnx g 2 h 2
     append a x
     append i x
     append i y
     append nosuch-empty x
     setrange a 0 zz
     setrange j 2 zz
     setrange a 1 zzzz
     incr a
     incr k
     decr k
     incrby k 5
     decrby k 2
     incrbyfloat k 1.5
     incrbyfloat l 1.5
     getdel k
     getdel k
     getex l
     getex l ex 100
     getex l persist
     getex l persist
     getex l exat 1
     getex l
     get nosuch
     mget a nosuch b nosuch2
     strlen nosuch
     getrange nosuch 0 1
     substr nosuch 0 1
     lcs nosuch a",
    // Keys.
    "mset a 1 b 2 c 3 d 4
     del a nosuch b
     del nosuch
     unlink c
     unlink c
     rename d e
     rename d e
     rename e e
     set f 1
     rename e f
     renamenx f g
     set h 1
     renamenx h g
     renamenx nosuch g
     copy g i
     copy g i
     copy g i replace
     copy nosuch i
     copy g i db 3
     move g 4
     move g 4
     set g 1
     move g 4
     expire h 100
     pexpire h 100000
     expireat h 33177117420
     pexpireat h 33177117420000
     expire h 10 gt
     expire h 10 nx
     persist h
     persist h
     expire h -1
     expire h -1
     set h 1
     pexpireat h 1
     exists nosuch g
     touch nosuch g
     type nosuch
     ttl nosuch
     pttl nosuch
     expiretime nosuch
     pexpiretime nosuch
     object encoding nosuch
     object refcount nosuch
     object idletime nosuch
     object freq nosuch
     dump-nosuch
     scan 0
     swapdb 0 5
     flushdb
     set a 1
     flushall",
    // Bits and HyperLogLogs.
    "setbit a 3 1
     setbit a 3 1
     setbit a 3 0
     setbit a 100 0
     setbit b 3 0
     getbit nosuch 1
     bitcount nosuch
     bitpos nosuch 1
     bitop and c a b
     bitop or c a nosuch
     bitop not c nosuch
     bitop xor c nosuch nosuch2
     bitfield a set u8 0 200
     bitfield a set u8 0 200
     bitfield a get u8 0
     bitfield d get u8 0
     bitfield d set u8 0 0
     bitfield e overflow fail incrby u2 0 5
     bitfield a overflow fail incrby u2 0 5
     bitfield_ro nosuch get u8 0
     pfadd h
     pfadd h
     pfadd h a b c
     pfadd h a
     pfcount h
     pfcount h
     pfcount h nosuch
     pfcount nosuch
     pfmerge i h
     pfmerge i h nosuch
     pfmerge j
     pfdebug encoding h
     pfdebug todense h
     pfselftest",
    // Hashes.
    "hset a f 1
     hset a f 1
     hset a f 1 g 2
     hmset a h 3
     hsetnx a f 1
     hsetnx a i 1
     hsetnx b i 1
     hincrby a f 1
     hincrby c f 1
     hincrbyfloat a f 1.5
     hincrbyfloat d f 1
     hincrby a f x
     hdel a f nosuch
     hdel a nosuch
     hdel nosuch f
     hdel a g h i
     hget nosuch f
     hmget nosuch f
     hgetall nosuch
     hkeys nosuch
     hvals nosuch
     hlen nosuch
     hstrlen nosuch f
     hexists nosuch f
     hrandfield nosuch
     hscan nosuch 0",
    // Sets.
    "sadd a 1 2 3
     sadd a 1
     sadd a 1 4
     srem a 1 nosuch
     srem a nosuch
     srem nosuch x
     smove a b 2
     smove a b nosuch
     smove a a 3
     smove nosuch b 3
     sadd b 3
     smove a b 3
     smove a b 4
     sadd c x y z
     spop c
     spop c 0
     spop c 5
     spop c
     spop c 5
     sadd a 1 2 3
     sadd b 2 3 4
     sinterstore c a b
     sinterstore c a b
     sinterstore c a nosuch
     sinterstore c a nosuch
     sunionstore c a b
     sunionstore c nosuch nosuch2
     sdiffstore c a b
     sdiffstore c a a
     sinter a nosuch
     sintercard 2 a nosuch
     sunion a nosuch
     sdiff nosuch a
     scard nosuch
     sismember nosuch a
     smismember nosuch a
     smembers nosuch
     srandmember nosuch
     sscan nosuch 0",
    // Lists, and blocking commands that find something.
    "lpush a 1 2 3
     lpush a 4
     rpush a 5 6
     lpushx a 7
     rpushx a 8
     lpushx nosuch 1
     rpushx nosuch 1
     linsert a before 5 x
     linsert a after nosuch x
     linsert nosuch after 5 x
     lset a 0 y
     lset a 100 y
     lset nosuch 0 y
     lrem a 0 y
     lrem a 0 nosuch
     lrem nosuch 0 x
     lpop a
     rpop a
     lpop a 0
     rpop a 2
     lpop nosuch
     rpop nosuch 2
     ltrim a 0 -1
     ltrim a 1 -1
     ltrim a 5 4
     ltrim a 0 0
     rpush a 1
     lrem a -1 1
     rpush a 1
     lpop a
     rpush a 1 2
     rpop a 5
     rpush a 1 2 3 4 5 6
     lmove a a left right
     lmove a b left right
     lmove a b right left
     rpoplpush a b
     rpoplpush a a
     rpoplpush nosuch b
     lmove nosuch b left left
     lmpop 2 nosuch a left
     lmpop 1 a right count 5
     lmpop 1 a right count 5
     rpush c 1
     rpoplpush c d
     rpoplpush d d
     lmove d d left right
     set s x
     lmove d s left right
     rpoplpush s d
     lpush s x
     blpop nosuch d 0
     rpush a 1 2 3 4 5 6
     blpop a 0
     brpop a nosuch 0
     blmove a b left right 0
     brpoplpush a b 0
     brpoplpush a a 0
     blmpop 0 1 a left count 9
     zadd z 1 a 2 b 3 c 4 d
     bzpopmin z 0
     bzpopmax nosuch z 0
     bzmpop 0 2 nosuch z min count 9
     llen nosuch
     lindex nosuch 0
     lrange nosuch 0 1
     lpos nosuch x
     multi
     blpop nosuch 0
     blmove nosuch a left left 0
     bzpopmin nosuch 0
     exec",
    "rpush l 3 1 2
     sort l
     sort_ro nosuch
     sort nosuch
     sort l store a
     sort l store a
     sort l store l
     sort l limit 5 1 store a
     sort nosuch store a
     sort nosuch store l
     rpush l 2 1
     mset w_1 2 o_1 x
     hset h_1 f 5
     sort l by w_* get # get o_* store b
     sort l by h_*->f get h_*->f
     sort l by nosuch store b
     set s x
     sort l store s
     sort s store l",
    // Sorted sets and places.
    "zadd a 1 x
     zadd a 1 x
     zadd a 2 x 3 y
     zadd a nx 5 x
     zadd a xx ch 6 x
     zadd a incr 1 x
     zadd a nx incr 1 x
     zadd nosuch xx 1 x
     zincrby a 2 x
     zincrby a 0 x
     zincrby b 2 x
     zrem a nosuch
     zrem a x nosuch
     zrem a y
     zrem a y
     zadd a 1 a 2 b 3 c 4 d 5 e 6 f
     zremrangebyrank a 0 0
     zremrangebyrank a 100 200
     zremrangebyscore a 2 2
     zremrangebyscore a 200 300
     zadd l 0 a 0 b 0 c
     zremrangebylex l [a [a
     zremrangebylex l [a [a
     zremrangebylex l - +
     zremrangebyrank nosuch 0 0
     zpopmin a
     zpopmax a
     zpopmin a 0
     zpopmin nosuch
     zpopmin a 10
     zadd a 1 a 2 b
     zmpop 2 nosuch a min
     zmpop 1 a max count 5
     zmpop 1 a max count 5
     zadd a 1 a 2 b
     zadd b 2 b 3 c
     zunionstore c 2 a b
     zunionstore c 2 a b
     zunionstore c 2 nosuch nosuch2
     zunionstore c 2 nosuch nosuch2
     zinterstore c 2 a b
     zinterstore c 2 a nosuch
     zdiffstore c 2 a b
     zdiffstore c 2 a a
     zrangestore c a 0 -1
     zrangestore c a 5 6
     zrangestore c nosuch 0 1
     zunion 2 a nosuch
     zinter 2 nosuch a
     zintercard 2 nosuch a
     zdiff 2 nosuch a
     zcard nosuch
     zcount nosuch 0 1
     zscore nosuch a
     zmscore nosuch a
     zrank nosuch a
     zrevrank nosuch a
     zrange nosuch 0 1
     zrevrange nosuch 0 1
     zrangebyscore nosuch 0 1
     zrangebylex nosuch - +
     zlexcount nosuch - +
     zrandmember nosuch
     zscan nosuch 0
     geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
     geoadd g 13.361389 38.115556 Palermo
     geoadd g xx ch 13.4 38.1 Palermo
     georadius g 15 37 200 km store h
     georadius g 15 37 1 m store h
     georadius g 15 37 1 m store h
     georadius nosuch 15 37 1 m store h
     georadiusbymember g Palermo 200 km storedist h
     georadiusbymember nosuch Palermo 200 km storedist h
     geosearchstore h g fromlonlat 15 37 byradius 200 km
     geosearchstore h nosuch fromlonlat 15 37 byradius 200 km
     geosearch nosuch fromlonlat 15 37 byradius 200 km
     geopos nosuch a
     geodist nosuch a b
     geohash nosuch a",
    // Transactions, and what is no command's doing.
    "multi
     set a 1
     incr a
     exec
     publish c x
     debug set-active-expire 0",
];

#[test]
fn each_write_command_tells_what_redis_tells() {
    let mut sides = pair();
    for side in &mut sides {
        side.notify("KEAnm");
    }
    for script in SCRIPTS {
        compare(&mut sides, "flushall");
        compare(&mut sides, script);
    }
    // No write command that the node has is left out.
    let commands = sides[1].actor.line("command");
    let writes = commands.items().iter().filter(|command| {
        let flags = command.items()[2].items();
        flags.iter().any(|flag| flag.text() == "write")
    });
    let first_words: BTreeSet<&str> = SCRIPTS
        .iter()
        .flat_map(|script| script.lines())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    // What takes a payload or another server is tried in dump_restore.rs and migrate.rs.
    let elsewhere = ["migrate", "restore", "restore-asking"];
    let left_out: Vec<String> = writes
        .map(|command| command.items()[0].text())
        .filter(|name| !first_words.contains(name.as_str()) && !elsewhere.contains(&&**name))
        .collect();
    assert_eq!(left_out, Vec::<String>::new(), "never tried here");
}

#[test]
fn only_the_classes_that_are_wanted_are_told() {
    let mut sides = pair();
    let script = "set a 1
         get nosuch
         expire a 100
         hset h f 1
         sadd s x
         zadd z 1 x
         hdel h f
         del a
         flushall";
    for classes in [
        "", "A", "K", "E", "K$", "Eg", "KEs", "Kh", "Ez", "KEn", "Km", "KA", "EA", "$ghsz", "KEgx",
    ] {
        for side in &mut sides {
            side.notify(classes);
        }
        compare(&mut sides, script);
    }
}

#[test]
fn databases_stand_in_the_channel_and_a_cluster_has_one() {
    let mut sides = pair();
    for side in &mut sides {
        side.notify("KEA");
    }
    compare(
        &mut sides,
        "select 7\nset a 1\nmove a 8\ncopy a b\nselect 0\nset a 1",
    );
    let cluster = |kind| {
        Side::new(one_node_cluster(
            kind,
            &[("notify-keyspace-events", "KEAnm")],
        ))
    };
    let mut sides = [Kind::Redis, Kind::Node].map(cluster);
    compare(
        &mut sides,
        "set a 1\nget nosuch\nhset {a}h f 1\nrename a {a}b\ndel {a}b",
    );
}

#[test]
fn keys_behind_one_of_the_wrong_type_are_not_missed() {
    let mut sides = pair();
    for side in &mut sides {
        side.notify("KEm");
    }
    let lines = [
        "zinterstore d 3 no1 h no2",
        "zunion 2 h no1",
        "zdiff 3 no1 no2 h",
        "sinter no1 h no2",
    ];
    compare(&mut sides, &format!("hset h f 1\n{}", lines.join("\n")));
}

/// Waits for `count` messages, in any order.
fn hear(side: &mut Side, count: usize) -> BTreeSet<String> {
    let mut heard = BTreeSet::new();
    wait_until("the events", || {
        heard.extend(side.heard());
        heard.len() >= count
    });
    heard
}

#[test]
fn keys_that_expire_are_told_of_whoever_finds_out() {
    let mut sides = pair();
    let mut all = Vec::new();
    for side in &mut sides {
        side.notify("Exn");
        // Nobody but who asks for it.
        side.actor.line("debug set-active-expire 0");
        side.run("psetex again 1 x");
        side.run("psetex lazy 1 x");
        // The later one's time has come, and so has the earlier one's.
        wait_until("it to expire", || {
            side.actor.line("exists lazy").integer() == 0
        });
        let mut heard = vec![hear(side, 1)];
        side.actor.ok(&["set", "again", "y"]);
        heard.push(hear(side, 2));
        side.run("psetex swept 1 x");
        side.actor.line("debug set-active-expire 1");
        heard.push(hear(side, 1));
        all.push(heard);
    }
    assert_eq!(all[1], all[0]);
}

#[test]
fn keys_that_make_room_are_told_of() {
    let mut sides = pair();
    let all = sides.each_mut().map(|side| {
        side.actor.ok(&["mset", "a", "1", "b", "2", "c", "3"]);
        side.notify("Ee");
        side.actor.ok(&[
            "config",
            "set",
            "maxmemory-policy",
            "allkeys-random",
            "maxmemory",
            "1",
        ]);
        wait_for("the keys to go", std::time::Duration::from_secs(20), || {
            side.actor.line("set d 4");
            (side.actor.line("dbsize").integer() == 0).then_some(())
        });
        hear(side, 3)
    });
    assert_eq!(all[1], all[0]);
    let evicted = sides[1].server.info("evicted_keys").unwrap();
    assert!(evicted.parse::<u64>().unwrap() >= 3);
}
