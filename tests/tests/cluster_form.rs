//! A cluster of our nodes, made and inspected with redis-cli, as its users do.
#![cfg(test)]

use slotilla_tests::{Cluster, Kind, Output, Server, Value, slot_of, wait_until};

const SETTINGS: [(&str, &str); 2] = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];

/// `redis-cli --cluster` with these arguments, against a node.
fn cluster_cli(node: &Server, args: &[&str]) -> Output {
    node.cli(&[&["--cluster"], args].concat())
}

#[test]
fn redis_cli_creates_and_checks_a_cluster_of_three_fresh_nodes() {
    let nodes: Vec<Server> = (0..3)
        .map(|_| Server::start(Kind::Node, &SETTINGS))
        .collect();
    let addresses: Vec<String> = nodes.iter().map(Server::address).collect();
    let mut args = vec!["create"];
    args.extend(addresses.iter().map(String::as_str));
    args.push("--cluster-yes");
    let made = cluster_cli(&nodes[0], &args);
    assert!(made.success, "{made:?}");
    assert!(
        made.out.contains("[OK] All 16384 slots covered."),
        "{made:?}"
    );
    for node in &nodes {
        let address = node.address();
        let check = cluster_cli(node, &["check", &address]);
        assert!(check.success, "{check:?}");
        assert!(
            check
                .out
                .contains("[OK] All nodes agree about slots configuration.")
        );
        assert!(check.out.contains("[OK] All 16384 slots covered."));
        let info = cluster_cli(node, &["info", &address]);
        assert!(
            info.success && info.out.contains("[OK] 0 keys in 3 primaries.")
                || info.out.contains("[OK] 0 keys in 3 masters."),
            "{info:?}"
        );
    }
    wait_until("all nodes are up", || {
        let infos = nodes.iter().map(|node| node.cli(&["CLUSTER", "INFO"]).out);
        infos
            .into_iter()
            .all(|info| info.contains("cluster_state:ok"))
    });
    // A client that follows redirects finds every key from any node.
    for (place, key) in ["a", "b", "c", "centos", "foo"].iter().enumerate() {
        let node = &nodes[place % 3];
        assert_eq!(node.cli(&["-c", "SET", key, key]).out, "OK");
        let other = &nodes[(place + 1) % 3];
        assert_eq!(other.cli(&["-c", "GET", key]).out, *key);
    }
}

#[test]
fn clients_are_redirected_as_redis_does_it() {
    let cluster = Cluster::start(Kind::Node, 3);
    let owner = cluster.node_of("centos");
    assert_eq!(slot_of("centos"), 467);
    for node in &cluster.nodes {
        let reply = node.client().call(&["GET", "centos"]);
        if node.port() == owner.port() {
            assert!(reply.is_null(), "{reply}");
        } else {
            let moved = format!("MOVED 467 127.0.0.1:{}", owner.port());
            assert_eq!(reply.error(), Some(moved.as_str()));
        }
        let crossing = node.client().call(&["MGET", "centos", "foo"]);
        assert_eq!(
            crossing.error(),
            Some("CROSSSLOT Keys in request don't hash to the same slot")
        );
    }
    // One slot less, and by default the whole cluster is down, on every node.
    owner.client().ok(&["CLUSTER", "DELSLOTS", "467"]);
    wait_until("the owner is down", || {
        let reply = owner.client().call(&["GET", "foo"]);
        reply.error() == Some("CLUSTERDOWN The cluster is down")
    });
    let reply = owner.client().call(&["GET", "centos"]);
    assert_eq!(reply.error(), Some("CLUSTERDOWN Hash slot not served"));
    owner
        .client()
        .ok(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    wait_until("the owner is up without full coverage", || {
        let reply = owner.client().call(&["GET", "{x}467"]);
        reply.error().is_none_or(|text| text.starts_with("MOVED "))
    });
    owner.client().ok(&["CLUSTER", "ADDSLOTS", "467"]);
    assert!(owner.client().call(&["GET", "centos"]).is_null());
}

#[test]
fn a_forgotten_node_is_gone_and_can_be_met_again() {
    let cluster = Cluster::start(Kind::Node, 3);
    let newcomer = Server::start(Kind::Node, &SETTINGS);
    let id = newcomer.client().call(&["CLUSTER", "MYID"]).text();
    let meeting_place = cluster.nodes[0].port().to_string();
    newcomer
        .client()
        .ok(&["CLUSTER", "MEET", "127.0.0.1", &meeting_place]);
    let known = |node: &Server| {
        node.client()
            .call(&["CLUSTER", "NODES"])
            .text()
            .contains(&id)
    };
    wait_until("all know the newcomer", || cluster.nodes.iter().all(known));
    let gone = cluster_cli(&newcomer, &["del-node", &cluster.nodes[0].address(), &id]);
    assert!(gone.success, "{gone:?}");
    assert!(!cluster.nodes.iter().any(known), "forgotten by all");
    let own = newcomer.client().call(&["CLUSTER", "NODES"]).text();
    assert_eq!(own.lines().count(), 1, "reset: {own}");
    // The administrator's word is stronger than the minute of oblivion.
    newcomer
        .client()
        .ok(&["CLUSTER", "MEET", "127.0.0.1", &meeting_place]);
    wait_until("the first node knows it again", || known(&cluster.nodes[0]));
}

#[test]
fn what_a_node_says_of_its_cluster_is_one_truth() {
    let cluster = Cluster::start(Kind::Node, 3);
    let mut client = cluster.nodes[0].client();
    let slots = client.call(&["CLUSTER", "SLOTS"]);
    assert_eq!(slots.items().len(), 3);
    let shards = client.call(&["CLUSTER", "SHARDS"]);
    let nodes = client.call(&["CLUSTER", "NODES"]).text();
    for (range, node) in slots.items().iter().zip(&cluster.nodes) {
        let [start, end, primary] = range.items() else {
            panic!("{range}");
        };
        let [ip, port, id, metadata] = primary.items() else {
            panic!("{primary}");
        };
        assert_eq!(
            (ip.text().as_str(), port.integer()),
            ("127.0.0.1", i64::from(node.port()))
        );
        assert_eq!(metadata.items().len(), 0);
        let id = id.text();
        assert_eq!(node.client().call(&["CLUSTER", "MYID"]).text(), id);
        let line = nodes.lines().find(|line| line.starts_with(&id)).unwrap();
        assert!(
            line.ends_with(&format!(" connected {start}-{end}")),
            "{line}"
        );
        let shard = shards.items().iter().find(|shard| {
            let members = shard.entry("nodes").unwrap();
            members.items()[0].entry("id").unwrap().text() == id
        });
        let range = shard.unwrap().entry("slots").unwrap();
        assert_eq!(range.items(), [start.clone(), end.clone()]);
    }
    client.call(&["HELLO", "3"]);
    // Each node makes its links when it has heard of the others; those to this one come last.
    wait_until("a link to and from each other node", || {
        client.call(&["CLUSTER", "LINKS"]).items().len() == 4
    });
    let links = client.call(&["CLUSTER", "LINKS"]);
    for link in links.items() {
        assert!(matches!(link, Value::Map(_)));
        let direction = link.entry("direction").unwrap().text();
        assert!(["to", "from"].contains(&direction.as_str()));
    }
}

#[test]
fn a_host_name_reaches_all_and_can_be_preferred() {
    let cluster = Cluster::start(Kind::Node, 2);
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    first
        .client()
        .ok(&["CONFIG", "SET", "cluster-announce-hostname", "one.example"]);
    wait_until("the other knows the name", || {
        let nodes = second.client().call(&["CLUSTER", "NODES"]).text();
        nodes.contains(",one.example ")
    });
    second.client().ok(&[
        "CONFIG",
        "SET",
        "cluster-preferred-endpoint-type",
        "hostname",
    ]);
    let moved = second.client().call(&["GET", "centos"]);
    let expected = format!("MOVED 467 one.example:{}", first.port());
    assert_eq!(moved.error(), Some(expected.as_str()));
}
