//! Pub/Sub beside a real redis-server: several clients run the same script, and everything that
//! arrives at any of them must be the same.
#![cfg(test)]

use slotilla_tests::{Client, Kind, Server, Value, encode, one_node_cluster};

const CLIENTS: usize = 3;

/// One server's clients.
struct Side {
    clients: Vec<Client>,
    barrier: u64,
}

impl Side {
    fn new(server: &Server) -> Self {
        Self {
            clients: (0..CLIENTS).map(|_| server.client()).collect(),
            barrier: 0,
        }
    }

    fn send(&mut self, client: usize, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut request = Vec::new();
        encode(&mut request, &words);
        self.clients[client].send(&request);
    }

    /// All that has come to a client before the answer to a PING sent now.
    fn arrived(&mut self, client: usize) -> Vec<Value> {
        self.barrier += 1;
        let token = format!("barrier-{}", self.barrier);
        self.send(client, &format!("ping {token}"));
        let is_pong = |value: &Value| match value {
            Value::Bulk(text) => text == token.as_bytes(),
            Value::Array(items) => items
                .last()
                .is_some_and(|last| *last == Value::Bulk(token.clone().into_bytes())),
            _ => false,
        };
        let mut all = Vec::new();
        loop {
            let value = self.clients[client].read();
            if is_pong(&value) {
                sort_patterns(&mut all);
                return all;
            }
            // The reply to HELLO tells the client's number, which is each server's own.
            let greeting = Value::Bulk(b"server".to_vec());
            let is_greeting = match &value {
                Value::Map(pairs) => pairs[0].0 == greeting,
                Value::Array(items) => items.first() == Some(&greeting),
                _ => false,
            };
            if !is_greeting {
                all.push(value);
            }
        }
    }
}

/// A message that several patterns match comes once for each, in no order that Redis promises.
fn sort_patterns(all: &mut [Value]) {
    let is_pattern = |value: &Value| match value {
        Value::Array(items) | Value::Push(items) => {
            items.first() == Some(&Value::Bulk(b"pmessage".to_vec()))
        }
        _ => false,
    };
    for run in all.chunk_by_mut(|a, b| is_pattern(a) && is_pattern(b)) {
        run.sort_by_key(|value| format!("{value:?}"));
    }
}

/// Runs a script on both servers. A line is a client's number and a command; after each, all that
/// has arrived anywhere is compared. `0~` sends the command and waits for nothing yet: inside MULTI,
/// and while replies are off.
fn compare(redis: &Server, node: &Server, title: &str, script: &str) {
    let (mut theirs, mut ours) = (Side::new(redis), Side::new(node));
    let mut silent = [false; CLIENTS];
    let mut log = Vec::new();
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        log.push(line);
        let (who, command) = line.split_once(' ').unwrap();
        let waits = !who.ends_with('~');
        let who: usize = who.trim_end_matches('~').parse().unwrap();
        theirs.send(who, command);
        ours.send(who, command);
        silent[who] = !waits;
        if !waits {
            continue;
        }
        // The one who spoke first: when it has its answer, the others have their messages.
        let others = (0..CLIENTS).filter(|other| *other != who);
        for client in std::iter::once(who).chain(others) {
            if !silent[client] {
                let (a, b) = (theirs.arrived(client), ours.arrived(client));
                assert_eq!(
                    b,
                    a,
                    "{title}: client {client} (ours, theirs), after\n{}",
                    log.join("\n"),
                );
            }
        }
    }
}

/// What is compared, on a server alone and on a cluster of one.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "channels",
        "0 subscribe a b a\n1 publish a one\n1 publish b two\n1 publish c three\n\
         0 unsubscribe a\n1 publish a four\n1 publish b five\n0 unsubscribe b\n0 get x\n\
         0 unsubscribe\n0 unsubscribe nosuch\n0 unsubscribe x y z",
    ),
    (
        "patterns",
        "0 psubscribe a* a? *\n1 psubscribe a*\n2 publish ab x\n2 publish b y\n0 punsubscribe a*\n\
         2 publish ab z\n0 punsubscribe\n0 punsubscribe\n2 publish ab nobody\n1 punsubscribe nosuch\n\
         1 punsubscribe a*\n2 pubsub numpat",
    ),
    (
        "channels and patterns count together, shard channels apart",
        "0 subscribe a\n0 psubscribe p\n0 ssubscribe s\n0 subscribe b\n0 sunsubscribe\n0 punsubscribe\n\
         0 ssubscribe {s}1 {s}2\n0 unsubscribe a\n0 sunsubscribe {s}1\n0 sunsubscribe nosuch\n0 unsubscribe b\n\
         0 unsubscribe\n0 sunsubscribe {s}2\n0 sunsubscribe\n0 get x",
    ),
    (
        "shard channels",
        "0 ssubscribe s\n1 spublish s one\n1 publish s no\n1 spublish t no\n1 pubsub shardchannels\n\
         1 pubsub shardnumsub s t\n1 pubsub channels\n0 sunsubscribe s\n1 spublish s no\n1 pubsub shardchannels",
    ),
    (
        "pubsub",
        "0 subscribe abc abd b\n1 subscribe b\n1 psubscribe x* y*\n2 psubscribe x*\n2 punsubscribe\n\
         2 pubsub numpat\n2 pubsub numsub abc b nosuch b\n2 pubsub numsub\n2 pubsub channels abc\n\
         2 pubsub channels ab[d-z]\n2 pubsub channels nosuch*\n2 pubsub shardchannels *\n2 pubsub shardnumsub",
    ),
    (
        "mistakes",
        "0 subscribe\n0 psubscribe\n0 ssubscribe\n0 publish a\n0 publish a b c\n0 spublish a\n0 pubsub\n\
         0 pubsub channels a b\n0 pubsub shardchannels a b\n0 pubsub numpat x\n0 pubsub nosuch\n\
         0 pubsub help x\n0 client kill type pubsub x\n0 client list type nosuch",
    ),
    (
        "what a subscriber may run in RESP2",
        "0 subscribe a\n0 get x\n0 set x y\n0 publish a x\n0 multi\n0 exec\n0 hello 3\n0 client list\n\
         0 nosuch\n0 get\n0 mget a b\n0 ping\n0 ping hi\n0 ping a b\n0 psubscribe b\n0 ssubscribe c\n\
         0 reset\n0 get x\n0 ping\n1 publish a x\n1 pubsub channels",
    ),
    (
        "a shard subscriber is one too",
        "0 ssubscribe c\n0 get x\n0 ping hi\n0 sunsubscribe\n0 get x",
    ),
    (
        "in RESP3 all may be run, and pushes come between",
        "0 hello 3\n0 subscribe a\n0 psubscribe a*\n0 ssubscribe s\n0 set x 1\n0 publish a self\n\
         0 spublish s self\n1 publish a other\n0 get x\n0 ping\n0 ping hi\n0 unsubscribe\n0 punsubscribe\n\
         0 sunsubscribe\n0 unsubscribe\n0 punsubscribe\n0 sunsubscribe\n0 unsubscribe nosuch",
    ),
    (
        "each hears in its own protocol, from HELLO on",
        "0 subscribe a\n1 hello 3\n1 subscribe a\n2 publish a x\n1 hello 2\n2 publish a y\n1 get x\n\
         1 unsubscribe\n1 get x",
    ),
    (
        "transactions",
        "0~ multi\n0~ subscribe a\n0~ psubscribe p\n0~ ssubscribe s\n0~ get x\n0~ ping\n0 exec\n\
         1 publish a x\n0 get x\n0 unsubscribe\n0 punsubscribe\n0~ multi\n0~ unsubscribe\n\
         0~ publish a x\n0~ pubsub numsub a\n0~ pubsub channels\n0 exec",
    ),
    (
        "transactions in RESP3",
        "0 hello 3\n0~ multi\n0~ subscribe a\n0~ publish a hey\n0~ psubscribe a*\n0~ publish a twice\n\
         0~ unsubscribe a\n0~ set x 1\n0 exec\n1 publish a x\n0~ multi\n0~ publish a y\n0 discard\n\
         0~ multi\n0~ publish a y\n0~ spublish s y\n0 exec",
    ),
    (
        "a subscription between MULTI and EXEC of another",
        "0~ multi\n0~ publish a x\n1 subscribe a\n0 exec\n1 unsubscribe",
    ),
    (
        "replies that are off do not silence messages",
        "0~ client reply off\n0~ subscribe a\n0~ set x 1\n0~ unsubscribe\n\
         0 client reply on\n0 hello 3\n0~ client reply off\n0~ subscribe a\n0 client reply on\n1 publish a one\n0~ client reply off\n0~ subscribe a\n0~ publish a self\n0~ get x\n\
         0~ psubscribe a*\n0~ publish a self\n0 client reply on\n0~ client reply skip\n0 unsubscribe a\n\
         0~ client reply skip\n0 publish a self",
    ),
    (
        "reset forgets without a word",
        "0 hello 3\n0 subscribe a\n0 psubscribe b\n0 ssubscribe c\n0 reset\n1 publish a x\n1 publish b x\n\
         1 spublish c x\n1 pubsub channels\n1 pubsub numpat\n1 pubsub shardchannels\n0 get x",
    ),
];

#[test]
fn clients_get_the_same_from_both() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[("io-threads", "3")]),
    );
    for (title, script) in SCRIPTS {
        compare(&redis, &node, title, script);
    }
}

#[test]
fn clients_of_a_cluster_get_the_same_from_both() {
    let redis = one_node_cluster(Kind::Redis, &[]);
    let node = one_node_cluster(Kind::Node, &[("io-threads", "3")]);
    for (title, script) in SCRIPTS {
        compare(&redis, &node, title, script);
    }
    let crossing = "0 ssubscribe a b\n0 ssubscribe {a}1 {a}2\n0 sunsubscribe a b\n0 sunsubscribe {a}1\n0 sunsubscribe\n0 hello 3\n\
         0 ssubscribe a b\n0~ multi\n0~ spublish a x\n0~ spublish b x\n0~ publish b x\n0 exec";
    compare(&redis, &node, "shard channels of several slots", crossing);
}

/// What two servers say that must say the same.
fn both(servers: &[Server; 2], ask: impl Fn(&Server) -> Vec<Value>) {
    let [theirs, ours] = servers.each_ref().map(ask);
    assert_eq!(ours, theirs);
}

#[test]
fn a_slot_that_leaves_tells_its_subscribers() {
    let servers = [Kind::Redis, Kind::Node].map(|kind| one_node_cluster(kind, &[]));
    both(&servers, |server| {
        let (mut subscriber, mut third) = (server.client(), server.client());
        let mut admin = server.client();
        subscriber.line("hello 3");
        third.line("ssubscribe {a}1");
        let mut heard: Vec<Value> = ["subscribe x", "ssubscribe {a}1", "ssubscribe b"]
            .map(|line| subscriber.line(line))
            .into();
        admin.line("spublish {a}1 before");
        let slot = admin.line("cluster keyslot a").integer();
        admin.line(&format!("cluster delslots {slot}"));
        heard.extend((0..2).map(|_| subscriber.read()));
        heard.extend((0..2).map(|_| third.read()));
        // It is no subscriber any more, so it may run what it likes.
        heard.push(third.line("ping"));
        heard.push(third.line("spublish {a}1 x"));
        heard.push(third.line("ssubscribe {a}1"));
        heard.push(subscriber.line("sunsubscribe"));
        heard.push(admin.line("pubsub shardchannels"));
        heard
    });
}

#[test]
fn shard_channels_of_a_cluster_that_is_down() {
    let servers = [Kind::Redis, Kind::Node].map(|kind| one_node_cluster(kind, &[]));
    both(&servers, |server| {
        let (mut subscriber, mut admin) = (server.client(), server.client());
        subscriber.line("ssubscribe a");
        admin.ok(&["cluster", "delslots", "0"]);
        slotilla_tests::wait_until("the cluster to be down", || {
            admin
                .line("cluster info")
                .text()
                .contains("cluster_state:fail")
        });
        let mut heard = Vec::new();
        for (when_down, reads) in [("yes", "no"), ("no", "no"), ("no", "yes"), ("yes", "yes")] {
            let key = "cluster-allow-pubsubshard-when-down";
            admin.ok(&["config", "set", key, when_down]);
            admin.ok(&["config", "set", "cluster-allow-reads-when-down", reads]);
            let wanted = if reads == "yes" { "$-1" } else { "CLUSTERDOWN" };
            slotilla_tests::wait_until("reads to pass or not", || {
                let reply = admin.line("get a");
                reply.is_null() == (wanted == "$-1")
            });
            for line in ["spublish a x", "publish a x", "ssubscribe a", "get a"] {
                heard.push(server.client().line(line));
            }
            heard.push(admin.line("spublish {3560}x x"));
        }
        heard
    });
}

#[test]
fn a_subscriber_shows_in_client_list_and_can_be_picked_by_type() {
    let mut seen = Vec::new();
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let (mut subscriber, mut watcher) = (server.client(), server.client());
        subscriber
            .send(b"client setname s\r\nsubscribe a b\r\npsubscribe c d e\r\nssubscribe f\r\n");
        for _ in 0..7 {
            subscriber.read();
        }
        let normal = watcher.line("client list type normal").text();
        let line = watcher.line("client list type pubsub").text();
        let fields = line.split_whitespace().filter(|word| {
            let names = ["name", "flags", "sub", "psub", "ssub", "resp", "cmd"];
            names.contains(&word.split_once('=').unwrap().0)
        });
        let info = ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"];
        seen.push((
            fields.map(str::to_owned).collect::<Vec<_>>(),
            line.lines().count(),
            normal.lines().count(),
            info.map(|field| server.info(field)),
            watcher.line("client kill type pubsub"),
        ));
        assert!(subscriber.read_to_close().is_empty());
        slotilla_tests::wait_until("its subscriptions to end", || {
            server.info("pubsub_patterns") == Some("0".to_owned())
        });
    }
    assert_eq!(seen[1], seen[0]);
}
