//! Transactions beside a real redis-server: several clients in turn get the same replies.
//!
//! The random run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test`
//! repeats it.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Client, Deadline, Kind, Server, Value, one_node_cluster, wait_until};

const CLIENTS: usize = 3;

/// The same clients of a server and of our node.
struct Pair {
    theirs: Vec<Client>,
    ours: Vec<Client>,
    log: Vec<String>,
    context: String,
}

impl Pair {
    fn new(redis: &Server, node: &Server, context: &str) -> Self {
        let clients = |server: &Server| (0..CLIENTS).map(|_| server.client()).collect();
        Self {
            theirs: clients(redis),
            ours: clients(node),
            log: Vec::new(),
            context: context.to_owned(),
        }
    }

    /// Has a client of each server send a command; the reply, which must be the same.
    fn call(&mut self, client: usize, line: &str) -> Value {
        self.log.push(format!("{client}: {line}"));
        let theirs = self.theirs[client].line(line);
        let ours = self.ours[client].line(line);
        let from = self.log.len().saturating_sub(60);
        assert_eq!(
            ours,
            theirs,
            "{} (ours, theirs), after\n{}",
            self.context,
            self.log[from..].join("\n"),
        );
        ours
    }

    /// The script's lines, each begun by its client's number.
    fn script(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (client, command) = line.split_once(' ').unwrap();
            self.call(client.parse().unwrap(), command);
        }
    }

    /// Everything as at the start.
    fn reset(&mut self) {
        self.log.clear();
        for client in 0..CLIENTS {
            self.call(client, "reset");
        }
        self.call(0, "flushall");
    }
}

/// What is compared command by command.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "a plain one",
        "0 multi\n0 set a 1\n0 incr a\n0 get nosuch\n0 ping\n0 exec\n1 get a",
    ),
    ("an empty one", "0 multi\n0 exec\n0 exec\n0 discard"),
    ("nested", "0 multi\n0 multi\n0 set a 1\n0 exec\n1 get a"),
    (
        "watch inside",
        "0 multi\n0 watch a\n0 set a 1\n0 exec\n1 get a",
    ),
    ("discard", "0 multi\n0 set a 1\n0 discard\n0 exec\n1 get a"),
    (
        "discard ends watching",
        "0 watch a\n0 multi\n0 discard\n1 set a 1\n0 multi\n0 ping\n0 exec",
    ),
    (
        "an unknown command",
        "0 multi\n0 nosuch x\n0 set a 1\n0 exec\n1 get a\n0 exec",
    ),
    (
        "a wrong arity",
        "0 multi\n0 set a\n0 set a 1\n0 exec\n1 get a",
    ),
    ("an unknown subcommand", "0 multi\n0 client nosuch\n0 exec"),
    (
        "a wrong exec",
        "0 multi\n0 set a 1\n0 exec now\n0 exec\n1 get a\n0 exec now",
    ),
    (
        "wrong others",
        "0 multi x\n0 multi\n0 discard x\n0 exec\n0 multi\n0 multi x\n0 exec\n0 watch\n0 unwatch x",
    ),
    (
        "not allowed inside",
        "0 multi\n0 shutdown\n0 set a 1\n0 exec\n1 get a",
    ),
    (
        "errors while it runs",
        "0 set a x\n0 multi\n0 incr a\n0 set b 1\n0 getrange b\n0 exec\n0 multi\n0 incr a\n0 set b 1\n0 set b 1 nx xx\n0 exec\n1 get b",
    ),
    (
        "reset inside",
        "0 watch a\n0 multi\n0 set a 1\n0 reset\n0 exec\n1 set a 2\n0 multi\n0 exec",
    ),
    (
        "several databases",
        "0 multi\n0 select 3\n0 set z 1\n0 select 99\n0 move z 4\n0 exec\n0 select 4\n0 get z\n0 multi\n0 copy z y db 5\n0 select 5\n0 get y\n0 select 0\n0 get y\n0 exec",
    ),
    (
        "the whole keyspace",
        "0 mset a 1 b 2 c 3\n0 multi\n0 dbsize\n0 del a\n0 dbsize\n0 flushall\n0 dbsize\n0 set d 4\n0 keys *\n0 randomkey\n0 scan 0\n0 exec\n1 dbsize",
    ),
    (
        "swapdb inside",
        "0 set a 1\n0 multi\n0 swapdb 0 1\n0 get a\n0 set a 2\n0 select 1\n0 get a\n0 flushdb\n0 exec\n0 swapdb 0 1\n0 get a",
    ),
    (
        "pause inside",
        "0 multi\n0 client pause 1 write\n0 get a\n0 exec\n0 client unpause",
    ),
    (
        "config inside",
        "0 multi\n0 config set maxmemory-samples 7\n0 config get maxmemory-samples\n0 exec\n0 config set maxmemory-samples 5",
    ),
    (
        "hello inside",
        "0 multi\n0 hello 2 setname me\n0 client getname\n0 exec\n0 multi\n0 set a 1\n0 get b\n0 hello 9\n0 exec",
    ),
    ("monitor inside", "0 multi\n0 monitor\n0 ping\n0 exec"),
    (
        "lcs inside",
        "0 mset {t}a ohmytext {t}b mynewtext\n0 multi\n0 lcs {t}a {t}b\n0 lcs {t}a {t}b len\n0 exec",
    ),
    (
        "unwatch inside",
        "0 watch a\n0 multi\n0 unwatch\n0 exec\n0 watch a\n1 set a 1\n0 multi\n0 unwatch\n0 exec",
    ),
    ("asleep", "0 multi\n0 debug sleep 0\n0 exec"),
    (
        "watched and untouched",
        "0 set a 1\n0 watch a\n1 get a\n1 exists a\n1 type a\n1 set b 1\n0 multi\n0 get a\n0 exec",
    ),
    (
        "set to the same",
        "0 set a 1\n0 watch a\n1 set a 1\n0 multi\n0 get a\n0 exec\n0 multi\n0 get a\n0 exec",
    ),
    (
        "touched by oneself",
        "0 watch a\n0 set a 1\n0 multi\n0 get a\n0 exec",
    ),
    (
        "touched by another's exec",
        "0 watch a\n1 multi\n1 set a 1\n0 multi\n0 get a\n1 exec\n0 exec",
    ),
    ("deleted", "0 set a 1\n0 watch a\n1 del a\n0 multi\n0 exec"),
    (
        "deleted though absent",
        "0 watch a\n1 del a\n0 multi\n0 ping\n0 exec",
    ),
    (
        "unwatched",
        "0 watch a\n1 set a 1\n0 unwatch\n0 multi\n0 ping\n0 exec",
    ),
    (
        "several watched",
        "0 watch a b c\n0 watch b d\n1 set d 1\n0 multi\n0 ping\n0 exec",
    ),
    (
        "watched by several",
        "0 watch a\n1 watch a\n2 watch b\n2 set a 1\n0 multi\n0 ping\n0 exec\n1 multi\n1 ping\n1 exec\n2 multi\n2 ping\n2 exec",
    ),
    (
        "aborted both ways",
        "0 watch a\n1 set a 1\n0 multi\n0 nosuch\n0 exec",
    ),
    (
        "watching once touched",
        "0 watch a\n1 set a 1\n0 watch b\n0 multi\n0 ping\n0 exec",
    ),
    (
        "expire is a change",
        "0 set a 1\n0 watch a\n1 expire a 100\n0 multi\n0 ping\n0 exec\n0 watch a\n1 persist a\n0 multi\n0 ping\n0 exec\n0 watch a\n1 persist a\n0 multi\n0 ping\n0 exec",
    ),
    (
        "getex and touch are none",
        "0 set a 1\n0 watch a\n1 getex a\n1 touch a\n0 multi\n0 ping\n0 exec\n0 watch a\n1 getex a ex 100\n0 multi\n0 ping\n0 exec",
    ),
    (
        "failed writes are none",
        "0 set a x\n0 watch a b\n1 incr a\n1 set a 1 nx\n1 set b 1 xx\n1 renamenx a a\n1 msetnx a 1 b 1\n0 multi\n0 ping\n0 exec",
    ),
    (
        "renamed",
        "0 set a 1\n0 watch a\n1 rename a b\n0 multi\n0 ping\n0 exec\n0 watch c\n1 rename b c\n0 multi\n0 ping\n0 exec",
    ),
    (
        "flushed",
        "0 set a 1\n0 watch a\n1 flushall\n0 multi\n0 ping\n0 exec\n0 watch a\n1 flushall\n0 multi\n0 ping\n0 exec\n0 set a 1\n0 watch a\n1 flushdb async\n0 multi\n0 ping\n0 exec",
    ),
    (
        "flushed elsewhere",
        "0 set a 1\n0 watch a\n1 select 1\n1 set a 1\n1 flushdb\n0 multi\n0 ping\n0 exec",
    ),
    (
        "another database's key",
        "0 watch a\n1 select 1\n1 set a 1\n0 multi\n0 ping\n0 exec\n0 watch a\n0 select 1\n0 set a 2\n0 multi\n0 ping\n0 exec",
    ),
    (
        "moved there and away",
        "0 set a 1\n0 watch a\n1 move a 1\n0 multi\n0 ping\n0 exec\n0 watch a\n1 select 1\n1 move a 0\n0 multi\n0 ping\n0 exec",
    ),
    (
        "swapped",
        "0 set a 1\n0 watch a\n1 swapdb 0 1\n0 multi\n0 ping\n0 exec\n0 watch a\n1 swapdb 0 1\n0 multi\n0 ping\n0 exec\n0 watch b\n1 swapdb 0 1\n0 multi\n0 ping\n0 exec",
    ),
    (
        "an expiry in the past",
        "0 set a 1\n0 watch a\n1 pexpire a -1\n0 multi\n0 ping\n0 exec",
    ),
    (
        "expired when watched",
        "0 debug set-active-expire 0\n0 set a 1 pxat 1\n0 watch a\n1 get a\n0 multi\n0 ping\n0 exec\n0 debug set-active-expire 1",
    ),
];

#[test]
fn every_rule_is_redis_s() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    for protocol in ["2", "3"] {
        for (name, script) in SCRIPTS {
            let mut pair = Pair::new(&redis, &node, &format!("{name}, RESP{protocol}"));
            pair.reset();
            for (theirs, ours) in pair.theirs.iter_mut().zip(&mut pair.ours) {
                // Its reply has the client's number.
                for client in [theirs, ours] {
                    assert!(client.call(&["hello", protocol]).error().is_none());
                }
            }
            if *name == "hello inside" {
                hello_inside(&mut pair);
            } else {
                pair.script(script);
            }
        }
    }
}

/// As the script, but for the number of the client.
fn hello_inside(pair: &mut Pair) {
    let (_, script) = SCRIPTS
        .iter()
        .find(|(name, _)| *name == "hello inside")
        .unwrap();
    for line in script.lines() {
        let command = line.strip_prefix("0 ").unwrap();
        let shown = |client: &mut Client| {
            let text = format!("{:?}", client.line(command));
            let digit = |c: &char| !c.is_ascii_digit();
            text.chars().filter(digit).collect::<String>()
        };
        let (theirs, ours) = (shown(&mut pair.theirs[0]), shown(&mut pair.ours[0]));
        assert_eq!(ours, theirs, "{command}");
    }
}

#[test]
fn expiry_by_time_breaks_a_watch_unless_it_was_over() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    for active in ["0", "1"] {
        let mut pair = Pair::new(&redis, &node, &format!("active expiry {active}"));
        pair.reset();
        pair.call(2, &format!("debug set-active-expire {active}"));
        pair.script("0 set a 1 px 30\n0 set b 1\n0 watch a\n1 watch b\n0 multi\n0 set c 1\n1 multi\n1 set d 1");
        // GETs by a third client would delete it: PEXPIRETIME says when it is over.
        for client in [&mut pair.theirs[2], &mut pair.ours[2]] {
            let at = client.line("pexpiretime a").integer();
            wait_until("the key's time to come", || {
                slotilla_common::clock::unix_ms() > at + 1
            });
        }
        pair.script("0 exec\n1 exec\n1 mget a b c d");
        pair.call(2, "debug set-active-expire 0");
        pair.script("0 set e 1 px 20");
        for client in [&mut pair.theirs[2], &mut pair.ours[2]] {
            let at = client.line("pexpiretime e").integer();
            wait_until("the key's time to come", || {
                slotilla_common::clock::unix_ms() > at + 1
            });
        }
        // Its deletion is no change, but what follows is.
        pair.script("0 watch e\n1 get e\n0 multi\n0 ping\n0 exec");
        pair.script("0 watch e\n1 get e\n1 set e 2\n0 multi\n0 ping\n0 exec");
        pair.call(2, "debug set-active-expire 1");
    }
}

/// All that comes until the answer to `echo end`.
fn heard(client: &mut Client, lines: &[&str]) -> Vec<Value> {
    for line in lines.iter().chain(&["client reply on", "echo end"]) {
        client.send(format!("{line}\r\n").as_bytes());
    }
    let mut all = Vec::new();
    loop {
        let value = client.read();
        if value == Value::Bulk(b"end".to_vec()) {
            return all;
        }
        all.push(value);
    }
}

#[test]
fn a_client_that_wants_no_replies_gets_what_redis_sends() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    for lines in [
        &["client reply off", "multi", "set a 1", "exec"][..],
        &["client reply skip", "multi", "set a 1", "exec"],
        &["multi", "set a 1", "client reply skip", "exec"],
        &[
            "client reply off",
            "multi",
            "client reply on",
            "ping",
            "exec",
            "ping",
        ],
        &["client reply off", "multi", "ping", "nosuch", "exec"],
    ] {
        let (mut theirs, mut ours) = (redis.client(), node.client());
        let theirs = heard(&mut theirs, lines);
        assert_eq!(heard(&mut ours, lines), theirs, "{lines:?}");
    }
    // Here the header is sent, and not all that it announces: the bytes tell.
    for lines in [
        "multi\r\nclient reply off\r\nping\r\nclient reply on\r\nping\r\nexec\r\nquit\r\n",
        "multi\r\nclient reply skip\r\nping\r\nexec\r\nping\r\nping\r\nquit\r\n",
        "multi\r\nping\r\nquit\r\n",
        "client reply skip\r\nmulti\r\nping\r\nexec\r\nquit\r\n",
    ] {
        let bytes = |server: &Server| {
            let mut client = server.client();
            client.send(lines.as_bytes());
            String::from_utf8(client.read_to_close()).unwrap()
        };
        assert_eq!(bytes(&node), bytes(&redis), "{lines}");
    }
}

const SHAPES: &[&str] = &[
    "multi",
    "multi",
    "multi",
    "exec",
    "exec",
    "exec",
    "exec",
    "discard",
    "watch k",
    "watch k k",
    "watch k",
    "watch k",
    "unwatch",
    "set k n",
    "set k n",
    "set k n xx",
    "set k n nx get",
    "get k",
    "get k",
    "incr k",
    "append k n",
    "del k",
    "del k k",
    "mset k n k n",
    "msetnx k n k n",
    "mget k k",
    "rename k k",
    "renamenx k k",
    "copy k k",
    "copy k k db d replace",
    "move k d",
    "expire k 1000",
    "pexpire k -1",
    "persist k",
    "getex k ex 1000",
    "getdel k",
    "setrange k 0 n",
    "exists k k",
    "strlen k",
    "type k",
    "select d",
    "select d",
    "select 99",
    "flushdb",
    "flushall",
    "swapdb d d",
    "dbsize",
    "ping",
    "echo n",
    "nosuch k",
    "get",
    "set k",
    "reset",
    "exec x",
    "incrby k n",
    "lcs k k",
    "object encoding k",
    "unlink k",
    "touch k k",
    "setnx k n",
    "config get maxmemory-samples",
];

fn random_line(random: &mut Rng) -> String {
    let shape = SHAPES[random.usize(..SHAPES.len())];
    let words = shape.split(' ').map(|word| match word {
        "k" => ["a", "b", "{a}c", "d"][random.usize(..4)].to_owned(),
        "n" => random.u32(..20).to_string(),
        "d" => random.u32(..2).to_string(),
        other => other.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn random_clients_in_turn_get_the_same_replies() {
    let seed = slotilla_tests::differential::seed();
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut random = Rng::with_seed(seed);
    let mut pair = Pair::new(&redis, &node, &format!("seed {seed}"));
    let deadline = Deadline::after(Duration::from_secs(6));
    let (mut ran, mut broken, mut commands) = (0, 0, 0);
    while !deadline.is_over() {
        let line = random_line(&mut random);
        let reply = pair.call(random.usize(..CLIENTS), &line);
        if line == "exec" {
            ran += usize::from(matches!(&reply, Value::Array(replies) if !replies.is_empty()));
            broken += usize::from(reply.is_null());
        }
        commands += 1;
    }
    assert!(
        ran > 20 && broken > 5,
        "{ran} ran, {broken} broken of {commands} commands"
    );
}

#[test]
fn a_cluster_redirects_at_queueing_and_at_exec() {
    let (redis, node) = (
        one_node_cluster(Kind::Redis, &[]),
        one_node_cluster(Kind::Node, &[]),
    );
    let mut pair = Pair::new(&redis, &node, "cluster");
    pair.script(
        "0 multi\n0 set {a}1 x\n0 set {a}2 y\n0 mget {a}1 {a}2\n0 exec
         0 multi\n0 mset a 1 b 2\n0 ping\n0 exec
         0 multi\n0 set a 1\n0 set b 2\n0 exec\n0 exec\n0 mget a\n0 mget b
         0 watch a b
         0 watch a\n0 watch b\n0 multi\n0 set c 1\n1 set b 1\n0 exec
         0 multi\n0 set c 1\n0 dbsize\n0 keys c\n0 flushall\n0 dbsize\n0 exec
         0 multi\n0 select 1\n0 select 0\n0 exec
         0 multi\n0 cluster keyslot a\n0 cluster countkeysinslot 1\n0 exec
         1 set {s}1 x\n0 multi\n0 get {s}1\n2 cluster delslots 2656\n0 exec\n0 exec
         0 multi\n0 get {s}1\n0 exec",
    );
    wait_until("both to be down", || {
        [&mut pair.theirs[2], &mut pair.ours[2]]
            .iter_mut()
            .all(|client| client.line("get elsewhere").error().is_some())
    });
    pair.script("0 multi\n0 get a\n0 ping\n0 exec\n0 watch a");
    // What the cluster thread does may stand in a transaction too.
    pair.script("0 multi\n0 cluster addslots 2656\n0 ping\n0 cluster addslots 2656\n0 exec");
}

#[test]
fn full_memory_refuses_what_is_queued_and_exec() {
    let settings = [("maxmemory-policy", "noeviction")];
    let (redis, node) = (
        Server::start(Kind::Redis, &settings),
        Server::start(Kind::Node, &settings),
    );
    let mut pair = Pair::new(&redis, &node, "full");
    pair.script("0 multi\n0 set a 1\n1 multi\n1 get a\n2 config set maxmemory 1");
    pair.script("0 exec\n0 exec\n1 exec\n1 multi\n1 get a\n1 exec\n1 multi\n1 discard\n1 watch a");
    pair.script(
        "0 multi\n0 ping\n0 exec\n0 unwatch\n2 config set maxmemory 0\n0 multi\n0 set a 1\n0 exec",
    );
}

#[test]
fn a_password_is_asked_for_before_queueing() {
    let settings = [("requirepass", "p")];
    let (redis, node) = (
        Server::start(Kind::Redis, &settings),
        Server::start(Kind::Node, &settings),
    );
    let mut pair = Pair::new(&redis, &node, "password");
    pair.script(
        "0 multi\n0 exec\n0 auth p\n0 multi\n0 auth q\n0 auth p\n0 get a\n0 reset\n0 exec\n0 get a",
    );
}
