//! CLUSTER's replies and error texts, line by line beside a real redis-server's.
#![cfg(test)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotilla_tests::{
    Client, Kind, Server, Value, one_node_cluster, slot_of, wait_for, wait_until,
};

/// What is sent to both, in this order. `ME` is the node's own name, `YOU` one that nobody has.
const SCRIPT: &str = include_str!("cluster_commands.txt");

const YOU: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

struct Subject {
    server: Server,
    client: Client,
    id: String,
}

impl Subject {
    fn start(kind: Kind, enabled: &str) -> Self {
        let server = Server::start(kind, &[("cluster-enabled", enabled)]);
        let mut client = server.client();
        let id = match client.call(&["CLUSTER", "MYID"]) {
            Value::Error(_) => YOU.to_owned(),
            id => id.text(),
        };
        Self { server, client, id }
    }

    /// The reply to a line of the script, without what must differ.
    fn answer(&mut self, line: &str) -> String {
        let words = line.split(' ').map(|word| match word {
            "ME" => self.id.as_str(),
            "YOU" => YOU,
            word => word,
        });
        let words: Vec<&str> = words.collect();
        let reply = rendered(&self.client.call(&words));
        let port = self.server.port().to_string();
        let bus = (self.server.port() + 10_000).to_string();
        reply
            .replace(&self.id, "ME")
            .replace(&bus, "BUS")
            .replace(&port, "PORT")
    }
}

/// A reply with its types, readable.
fn rendered(reply: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(rendered).collect::<Vec<_>>().join(" ");
    match reply {
        Value::Bulk(bytes) => format!("${}", String::from_utf8_lossy(bytes)),
        Value::Verbatim(kind, bytes) => format!("={kind}:{}", String::from_utf8_lossy(bytes)),
        Value::Array(items) => format!("*[{}]", all(items)),
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| [rendered(key), rendered(value)].join(":"));
            format!("%[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn compare(protocol: &str, enabled: &str) {
    let mut redis = Subject::start(Kind::Redis, enabled);
    let mut ours = Subject::start(Kind::Node, enabled);
    for subject in [&mut redis, &mut ours] {
        subject.client.call(&["HELLO", protocol]);
    }
    if enabled == "yes" {
        // Before that, redis-server does not count sizes.
        wait_until("both have judged their cluster", || {
            let infos = [&redis, &ours].map(|subject| {
                let info = subject.server.client().call(&["CLUSTER", "INFO"]);
                info.text().contains("cluster_size:0")
            });
            infos == [true, true]
        });
    }
    let mut differences = Vec::new();
    for line in SCRIPT.lines().filter(|line| !line.starts_with('#')) {
        let (expected, got) = (redis.answer(line), ours.answer(line));
        if expected != got {
            differences.push(format!("{line}\n  redis: {expected}\n  ours:  {got}"));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn replies_are_those_of_redis_in_resp2() {
    compare("2", "yes");
}

#[test]
fn replies_are_those_of_redis_in_resp3() {
    compare("3", "yes");
}

#[test]
fn a_node_alone_says_that_it_is_in_no_cluster() {
    compare("2", "no");
}

/// A full node does not hide that another one should run a command, or nobody can.
#[test]
fn a_full_node_redirects_before_it_refuses() {
    let uncovered = [("cluster-require-full-coverage", "no")];
    let replies = [Kind::Redis, Kind::Node].map(|kind| {
        let server = one_node_cluster(kind, &uncovered);
        let mut client = server.client();
        let slot = slot_of("a").to_string();
        client.ok(&["CLUSTER", "DELSLOTS", &slot]);
        client.ok(&["CONFIG", "SET", "maxmemory", "1"]);
        let commands: [&[&str]; 5] = [
            &["SET", "a", "1"],
            &["SET", "b", "1"],
            &["MSET", "b", "1", "c", "1"],
            &["MSET", "{a}1", "1", "{a}2", "1"],
            &["MSET", "{b}1", "1", "{b}2", "1"],
        ];
        commands.map(|command| rendered(&client.call(command)))
    });
    let [redis, node] = replies;
    assert_eq!(node, redis);
}

/// Raises a flag when it goes, after a panic too.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// While somebody writes, a node is emptied and loses all its slots: no key is left in a slot that
/// nobody serves.
#[test]
fn no_key_slips_into_a_node_that_loses_its_slots() {
    let node = one_node_cluster(Kind::Node, &[("io-threads", "2")]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // On the other thread. One, or the moment would hardly ever come on a busy machine.
        scope.spawn(|| {
            let mut writer = node.client();
            while !over.load(Ordering::Relaxed) {
                // Refused while the slots are nobody's.
                writer.call(&["SET", "key", "1"]);
            }
        });
        let _over = Raised(&over);
        let mut admin = node.client();
        for round in 0..10 {
            let lose: &[&str] = match round % 2 {
                0 => &["CLUSTER", "FLUSHSLOTS"],
                _ => &["CLUSTER", "RESET", "HARD"],
            };
            wait_for("the right moment", Duration::from_secs(60), || {
                let replies = admin.pipeline(&[vec!["FLUSHALL"], lose.to_vec()]);
                let is_done = replies.iter().all(|reply| reply.error().is_none());
                is_done.then_some(())
            });
            let left = admin.call(&["DBSIZE"]).integer();
            assert_eq!(left, 0, "keys after {lose:?}");
            admin.ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
            wait_until("the cluster to be up", || {
                admin
                    .call(&["CLUSTER", "INFO"])
                    .text()
                    .contains("cluster_state:ok")
            });
            wait_until("somebody to write again", || {
                admin.call(&["DBSIZE"]).integer() > 0
            });
        }
    });
}
