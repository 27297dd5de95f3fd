//! What a node tells of its replication, beside a redis-server 7.0.15.
#![cfg(test)]

use slotilla_tests::{Kind, Server};

/// INFO's section, with what differs by nature replaced.
fn section(server: &Server) -> Vec<String> {
    let text = server.client().line("info replication").text();
    let is_name = |value: &str| value.len() == 40 && value.bytes().all(|b| b.is_ascii_hexdigit());
    let lines = text.lines().map(|line| match line.split_once(':') {
        Some((field, value)) if is_name(value) && value.bytes().any(|b| b != b'0') => {
            format!("{field}:<name>")
        }
        _ => line.to_owned(),
    });
    lines.collect()
}

#[test]
fn a_primary_without_replicas_tells_what_redis_tells() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    assert_eq!(section(&node), section(&redis));
    for line in ["role", "role x"] {
        assert_eq!(
            node.client().line(line),
            redis.client().line(line),
            "{line}"
        );
    }
    let name = |server: &Server| server.info("master_replid").unwrap();
    let before = name(&node);
    assert_eq!(name(&node), before);
    node.client().ok(&["debug", "change-repl-id"]);
    assert_ne!(name(&node), before);
}
