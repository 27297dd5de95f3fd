//! The support library against servers that are known to work.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::{Cluster, Kind, Server, Value, redis_benchmark, wait_for};

#[test]
fn a_redis_server_answers_and_its_tools_reach_it() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    client.ok(&["SET", "centos", "7.4"]);
    assert_eq!(server.cli(&["GET", "centos"]).out, "7.4");
    assert_eq!(server.info("redis_version").unwrap(), "7.0.15");
    let run = redis_benchmark(server.port(), &["-q", "-n", "1000", "-t", "set"]);
    assert!(
        run.success && run.out.contains("requests per second"),
        "{run:?}"
    );
}

#[test]
fn a_restarted_server_keeps_its_port_and_directory() {
    let mut server = Server::start(
        Kind::Redis,
        &[("appendonly", "yes"), ("appendfsync", "always")],
    );
    server.client().ok(&["SET", "kept", "yes"]);
    let port = server.port();
    server.kill();
    assert!(!server.answers());
    let server = server.restart();
    assert_eq!(server.port(), port);
    assert_eq!(server.client().call(&["GET", "kept"]).text(), "yes");
}

#[test]
fn a_frozen_server_answers_once_it_is_thawed() {
    let mut server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    client.set_reply_limit(Duration::from_millis(200));
    server.process().freeze();
    assert!(client.try_call(&["PING"]).is_err());
    server.process().thaw();
    client.set_reply_limit(Duration::from_secs(10));
    assert_eq!(client.read(), Value::Simple("PONG".into()));
}

#[test]
fn both_peers_make_a_cluster() {
    for kind in [Kind::Redis, Kind::Valkey] {
        let cluster = Cluster::start(kind, 3);
        cluster.client_of("centos").ok(&["SET", "centos", "7.4"]);
        let owner = cluster.node_of("centos").port().to_string();
        let other = cluster
            .nodes
            .iter()
            .find(|node| node.port().to_string() != owner)
            .unwrap();
        let reply = other.client().call(&["GET", "centos"]);
        assert_eq!(reply, Value::Error(format!("MOVED 467 127.0.0.1:{owner}")));
        assert_eq!(cluster.key_slot("centos"), 467);
    }
}

#[test]
fn a_killed_node_is_noticed() {
    let mut cluster = Cluster::start(Kind::Redis, 3);
    cluster.nodes[2].kill();
    wait_for("the cluster to fail", Duration::from_secs(20), || {
        let info = cluster.nodes[0].client().call(&["CLUSTER", "INFO"]).text();
        info.contains("cluster_state:fail").then_some(())
    });
}
