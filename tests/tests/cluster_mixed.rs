//! Our nodes and real redis-servers in one cluster, and on each other's nodes.conf.
#![cfg(test)]

use slotilla_tests::{Client, Cluster, Kind, Server, redis_cli, wait_until};
use std::collections::{BTreeMap, BTreeSet};

/// Each node's slots as one node tells them: by name.
fn owners(node: &Server) -> BTreeMap<String, Vec<String>> {
    let nodes = node.client().call(&["CLUSTER", "NODES"]).text();
    let lines = nodes.lines().map(|line| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        (words[0].clone(), words[8..].to_vec())
    });
    lines.collect()
}

fn all_agree(nodes: &[Server]) -> bool {
    let first = owners(&nodes[0]);
    first.len() == nodes.len() && nodes.iter().all(|node| owners(node) == first)
}

#[test]
fn a_mixed_cluster_agrees_on_slots_and_serves_them() {
    let kinds = [Kind::Redis, Kind::Node, Kind::Redis, Kind::Node];
    let cluster = Cluster::start_mixed(&kinds, &[]);
    wait_until("all agree", || all_agree(&cluster.nodes));
    for key in 0..50 {
        let key = format!("key:{key}");
        let through = &cluster.nodes[key.len() % 4];
        assert_eq!(
            redis_cli(through.port(), &["-c", "SET", &key, &key]).out,
            "OK"
        );
        let owner = cluster.node_of(&key);
        assert_eq!(owner.client().call(&["GET", &key]).text(), key);
    }
    let address = cluster.nodes[0].address();
    for node in &cluster.nodes {
        let check = node.cli(&["--cluster", "check", &address]);
        assert!(check.success, "{check:?}");
        assert!(
            check
                .out
                .contains("[OK] All nodes agree about slots configuration.")
        );
    }
}

#[test]
fn whoever_is_met_brings_the_others() {
    // Two clusters of one make each, without a slot in common, joined by one MEET.
    let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];
    let kinds = [Kind::Redis, Kind::Redis, Kind::Node, Kind::Node];
    let nodes: Vec<Server> = kinds
        .iter()
        .map(|kind| Server::start(*kind, &settings))
        .collect();
    let meet = |from: &Server, to: &Server| {
        let port = to.port().to_string();
        from.client().ok(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    };
    meet(&nodes[0], &nodes[1]);
    meet(&nodes[2], &nodes[3]);
    for (node, slots) in nodes.iter().zip([
        ["0", "4095"],
        ["4096", "8191"],
        ["8192", "12287"],
        ["12288", "16383"],
    ]) {
        node.client()
            .ok(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
    }
    for pair in nodes.chunks(2) {
        wait_until("each pair has met", || all_agree(pair));
    }
    meet(&nodes[2], &nodes[0]);
    wait_until("all four agree", || all_agree(&nodes));
    wait_until("all are up", || {
        let infos = nodes
            .iter()
            .map(|node| node.client().call(&["CLUSTER", "INFO"]).text());
        infos
            .into_iter()
            .all(|info| info.contains("cluster_state:ok"))
    });
    // Those that collided settle it: no two keep the same config epoch.
    wait_until("each has a config epoch of its own", || {
        let lines = nodes[3].client().call(&["CLUSTER", "NODES"]).text();
        let epochs = lines.lines().map(|line| line.split(' ').nth(6).unwrap());
        epochs.collect::<BTreeSet<_>>().len() == 4
    });
}

#[test]
fn conflicting_claims_end_with_one_owner() {
    let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];
    let nodes = [Kind::Redis, Kind::Node].map(|kind| Server::start(kind, &settings));
    for node in &nodes {
        node.client()
            .ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    }
    let port = nodes[0].port().to_string();
    nodes[1]
        .client()
        .ok(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    wait_until("one owner of all slots", || {
        let owners = owners(&nodes[0]);
        let sets = owners.values().filter(|slots| **slots == ["0-16383"]);
        all_agree(&nodes) && sets.count() == 1
    });
}

#[test]
fn messages_of_each_reach_the_subscribers_of_all() {
    let kinds = [Kind::Redis, Kind::Node, Kind::Redis, Kind::Node];
    let cluster = Cluster::start_mixed(&kinds, &[]);
    wait_until("all agree", || all_agree(&cluster.nodes));
    // A link that is not up yet carries no message.
    wait_until("all are linked to all", || {
        cluster.nodes.iter().all(|node| {
            let lines = node.client().call(&["CLUSTER", "NODES"]).text();
            lines.matches(" connected").count() == kinds.len()
        })
    });
    let mut subscribers: Vec<Client> = cluster.nodes.iter().map(Server::client).collect();
    for client in &mut subscribers {
        client.line("subscribe c");
        client.line("psubscribe *");
    }
    let binary = b"a\r\n\0\xff".to_vec();
    for (number, node) in cluster.nodes.iter().enumerate() {
        let mut publisher = node.client();
        for n in 0..100 {
            let text = [format!("{number}-{n}").into_bytes(), binary.clone()].concat();
            // What is told are the receivers on the node itself.
            let replies = publisher.call(&[b"publish".to_vec(), b"c".to_vec(), text]);
            assert_eq!(replies.integer(), 2);
        }
    }
    for (place, client) in subscribers.iter_mut().enumerate() {
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for _ in 0..kinds.len() * 200 {
            let message = client.read();
            let [kind, .., text] = message.items() else {
                panic!("{message}");
            };
            let text = String::from_utf8_lossy(text.bytes()).into_owned();
            let (number, rest) = text.split_once('-').unwrap();
            let key = format!("{} {number}", kind.text());
            heard.entry(key).or_default().push(rest.to_owned());
        }
        assert_eq!(heard.len(), 2 * kinds.len(), "at node {place}");
        let expected: Vec<String> = (0..100)
            .map(|n| format!("{n}{}", String::from_utf8_lossy(&binary)))
            .collect();
        assert!(heard.values().all(|texts| *texts == expected), "at {place}");
    }
    // A shard channel has one owner, and no other node hears of it.
    for channel in ["a", "b", "c", "d", "e", "f"] {
        let owner = cluster.node_of(channel);
        for node in &cluster.nodes {
            let reply = node.client().call(&["SSUBSCRIBE", channel]);
            let moved = reply.error().is_some_and(|text| text.starts_with("MOVED "));
            assert_eq!(moved, node.port() != owner.port(), "{reply}");
            let reply = node.client().call(&["SPUBLISH", channel, "x"]);
            assert_eq!(reply.error().is_some(), node.port() != owner.port());
        }
    }
}

#[test]
fn a_dead_redis_server_is_found_out_and_forgiven() {
    let kinds = [Kind::Redis, Kind::Node, Kind::Redis, Kind::Node];
    let mut cluster = Cluster::start_mixed(&kinds, &[]);
    let mut dead = cluster.nodes.remove(2);
    let id = dead.client().call(&["CLUSTER", "MYID"]).text();
    dead.kill();
    let flags = |node: &Server| {
        let nodes = node.client().call(&["CLUSTER", "NODES"]).text();
        let line = nodes.lines().find(|line| line.starts_with(&id)).unwrap();
        line.split(' ').nth(2).unwrap().to_owned()
    };
    wait_until("all agree that it is dead", || {
        cluster
            .nodes
            .iter()
            .all(|node| flags(node) == "master,fail")
    });
    let reply = cluster.nodes[1].client().call(&["GET", "centos"]);
    assert!(reply.error().unwrap().starts_with("CLUSTERDOWN"), "{reply}");
    cluster.nodes.insert(2, dead.restart());
    wait_until("all agree that it is alive", || {
        cluster
            .nodes
            .iter()
            .all(|node| !flags(node).contains("fail"))
    });
    cluster.wait_ok();
}

#[test]
fn each_reads_the_others_nodes_conf() {
    let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];
    for (writer, reader) in [(Kind::Node, Kind::Redis), (Kind::Redis, Kind::Node)] {
        let mut cluster = Cluster::start_mixed(&[writer, Kind::Redis, Kind::Node], &[]);
        wait_until("all agree", || all_agree(&cluster.nodes));
        let before = owners(&cluster.nodes[0]);
        let id = cluster.nodes[0].client().call(&["CLUSTER", "MYID"]).text();
        cluster.nodes[0].client().ok(&["CLUSTER", "SAVECONFIG"]);
        let mut old = cluster.nodes.remove(0);
        old.kill();
        // The other make takes the file over, at another address.
        let file = std::fs::read(old.dir().join("nodes.conf")).unwrap();
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::write(dir.path().join("nodes.conf"), file).unwrap();
        let dir_text = dir.path().to_string_lossy().into_owned();
        let heir = Server::start(reader, &[&settings[..], &[("dir", &dir_text)]].concat());
        assert_eq!(heir.client().call(&["CLUSTER", "MYID"]).text(), id);
        assert_eq!(owners(&heir), before, "{reader:?} reads {writer:?}'s file");
        cluster.nodes.insert(0, heir);
        wait_until("the cluster takes the heir for the node", || {
            all_agree(&cluster.nodes)
        });
        cluster.wait_ok();
    }
}
