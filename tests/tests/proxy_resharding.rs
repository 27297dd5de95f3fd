//! Slots that move under load: no client of the proxy sees an error, a lost or a stale value.
#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use slotilla_tests::{Client, Cluster, Kind, Server, Value, slot_of};

/// Names of the nodes.
fn id(node: &Server) -> String {
    node.client().line("CLUSTER MYID").to_string()
}

/// Moves a slot with its keys from one node to another, key by key, as redis-cli does.
fn migrate(from: &Server, to: &Server, others: &[Server], slot: u16) {
    let (from_id, to_id, slot_text) = (id(from), id(to), slot.to_string());
    to.client()
        .ok(&["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &from_id]);
    from.client()
        .ok(&["CLUSTER", "SETSLOT", &slot_text, "MIGRATING", &to_id]);
    let port = to.port().to_string();
    loop {
        let keys = from
            .client()
            .call(&["CLUSTER", "GETKEYSINSLOT", &slot_text, "3"]);
        let Value::Array(keys) = keys else {
            panic!("no keys");
        };
        if keys.is_empty() {
            break;
        }
        for key in keys {
            let key = key.to_string();
            let reply = from
                .client()
                .call(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            assert!(
                reply.to_string() == "OK" || reply.to_string() == "NOKEY",
                "{reply}"
            );
        }
    }
    for node in [to, from].into_iter().chain(others) {
        node.client()
            .ok(&["CLUSTER", "SETSLOT", &slot_text, "NODE", &to_id]);
    }
}

/// Increments counters and writes pairs for as long as it is told, and checks every reply.
fn work(mut client: Client, tag: &str, number: usize, go_on: &AtomicBool) -> usize {
    let mut count = 0usize;
    let key = |name: &str| format!("{{{tag}}}{name}:{number}");
    let (counter, left, right) = (key("counter"), key("left"), key("right"));
    let elsewhere = format!("elsewhere:{number}");
    while go_on.load(Ordering::Relaxed) {
        count += 1;
        let text = count.to_string();
        let increment = client.call(&["INCR", &counter]);
        assert_eq!(increment.to_string(), text, "INCR {counter}");
        client.ok(&["MSET", &left, &text, &right, &text]);
        let pair = client.call(&["MGET", &left, &right]).to_string();
        assert_eq!(pair, format!("[{text}, {text}]"));
        // Pipelined: the second must see the first.
        let replies = client.pipeline(&[
            vec!["SET".to_owned(), left.clone(), format!("p{text}")],
            vec!["GET".to_owned(), left.clone()],
        ]);
        assert_eq!(replies[0].to_string(), "OK");
        assert_eq!(replies[1].to_string(), format!("p{text}"));
        // The same over two slots, each command in parts.
        let keys = [left.as_str(), right.as_str(), elsewhere.as_str()];
        let set = |value: &str| -> Vec<String> {
            let pairs = keys.iter().flat_map(|key| [*key, value]);
            ["MSET"]
                .into_iter()
                .chain(pairs)
                .map(str::to_owned)
                .collect()
        };
        let get = ["MGET"]
            .into_iter()
            .chain(keys)
            .map(str::to_owned)
            .collect();
        let replies = client.pipeline(&[set("old"), set(&text), get]);
        assert_eq!(replies[0].to_string(), "OK");
        assert_eq!(replies[1].to_string(), "OK");
        assert_eq!(replies[2].to_string(), format!("[{text}, {text}, {text}]"));
    }
    count
}

/// Iterates over all keys for as long as it is told; every iteration must tell all of these.
fn scan(mut client: Client, keys: &BTreeSet<String>, go_on: &AtomicBool) -> usize {
    let mut iterations = 0;
    while go_on.load(Ordering::Relaxed) {
        let told: BTreeSet<String> = client.scan(&["COUNT", "5"]).into_iter().collect();
        let missing: Vec<&String> = keys.difference(&told).collect();
        assert!(missing.is_empty(), "iteration {iterations}: {missing:?}");
        iterations += 1;
    }
    iterations
}

#[test]
fn slots_move_under_load_and_no_client_notices() {
    let cluster = Cluster::start(Kind::Redis, 3);
    let proxy = cluster.proxy(&[("io-threads", "2")]);
    let go_on = Arc::new(AtomicBool::new(true));
    let tags = ["a", "b", "c"];
    let keys: BTreeSet<String> = (0..60)
        .map(|n| format!("{{{}}}stays:{n}", tags[n % 3]))
        .collect();
    let mut client = proxy.client();
    for key in &keys {
        client.ok(&["SET", key, "1"]);
    }
    let scanner = {
        let go_on = Arc::clone(&go_on);
        thread::spawn(move || scan(client, &keys, &go_on))
    };
    let workers: Vec<_> = (0..6)
        .map(|number| {
            let client = proxy.client();
            let go_on = Arc::clone(&go_on);
            thread::spawn(move || work(client, tags[number % 3], number, &go_on))
        })
        .collect();
    for round in 0..4 {
        for tag in tags {
            let slot = slot_of(tag);
            let owner = cluster
                .nodes
                .iter()
                .position(|node| owns(node, slot))
                .expect("an owner");
            let target = (owner + 1 + round % 2) % 3;
            migrate(
                &cluster.nodes[owner],
                &cluster.nodes[target],
                &cluster.nodes,
                slot,
            );
            // Gossip that was under way may undo it for a moment.
            let new = cluster.nodes[target].port();
            slotilla_tests::wait_until("all nodes to agree on the owner", || {
                cluster
                    .nodes
                    .iter()
                    .all(|node| owner_port(node, slot) == Some(new))
            });
        }
    }
    go_on.store(false, Ordering::Relaxed);
    for worker in workers {
        assert!(worker.join().unwrap() > 10);
    }
    assert!(scanner.join().unwrap() > 0);
}

/// The port of the slot's owner, as this node sees it.
fn owner_port(node: &Server, slot: u16) -> Option<u16> {
    let reply = node.client().line("CLUSTER SLOTS");
    let entry = reply.items().iter().find(|entry| {
        let entry = entry.items();
        (entry[0].integer()..=entry[1].integer()).contains(&i64::from(slot))
    });
    entry.and_then(|entry| u16::try_from(entry.items()[2].items()[1].integer()).ok())
}

/// Whether the node itself says that it owns the slot.
fn owns(node: &Server, slot: u16) -> bool {
    owner_port(node, slot) == Some(node.port())
}

#[test]
fn a_node_that_is_killed_costs_its_own_requests_only_and_serves_again() {
    let mut cluster = Cluster::start(Kind::Redis, 3);
    for node in &cluster.nodes {
        node.client()
            .ok(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let proxy = cluster.proxy(&[("request-timeout", "500ms")]);
    let mut client = proxy.client();
    client.ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
    let dead = cluster
        .nodes
        .iter()
        .position(|node| owns(node, slot_of("a")))
        .unwrap();
    cluster.nodes[dead].kill();
    let refused = client.line("SET a 2").to_string();
    assert!(refused.contains("error"), "{refused}");
    for key in ["b", "c"] {
        if !slot_is_of(&cluster, dead, key) {
            assert_ne!(client.call(&["GET", key]).to_string(), "(nil)");
        }
    }
    assert!(client.line("MGET a b c").to_string().contains("error"));
    assert!(client.line("DBSIZE").to_string().contains("error"));
    let node = cluster.nodes.remove(dead).restart();
    cluster.nodes.insert(dead, node);
    slotilla_tests::wait_for(
        "the node to serve again",
        std::time::Duration::from_secs(20),
        || (client.line("SET a 3").to_string() == "OK").then_some(()),
    );
}

fn slot_is_of(cluster: &Cluster, place: usize, key: &str) -> bool {
    std::ptr::eq(cluster.node_of(key), &cluster.nodes[place])
}
