//! What a node tells of its replication, beside a redis-server 7.0.15.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::replication::{await_link, replicate};
use slotilla_tests::{Kind, Server, wait_for};

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

/// A figure of MEMORY STATS.
fn stats(server: &Server, name: &str) -> i64 {
    let reply = server.client().line("memory stats");
    let items = reply.items();
    let mut pairs = items.chunks(2);
    let pair = pairs.find(|pair| pair[0].text() == name);
    pair.unwrap()[1].integer()
}

/// What the log keeps for a replica that does not read, and for replicas to come.
#[test]
fn what_is_kept_for_replicas_is_told() {
    const WRITTEN: i64 = 30_000_000;
    const LIMIT: Duration = Duration::from_secs(20);
    let names = [
        ("replication.backlog", "mem_replication_backlog"),
        ("clients.slaves", "mem_clients_slaves"),
        ("aof.buffer", "mem_aof_buffer"),
    ];
    let settings = [("repl-backlog-size", "100000"), ("repl-timeout", "600")];
    for kind in [Kind::Redis, Kind::Node] {
        let primary = Server::start(kind, &settings);
        let figures = || {
            names.map(|(stat, info)| {
                let stat = stats(&primary, stat);
                let info: i64 = primary.info(info).unwrap().parse().unwrap();
                (stat, info)
            })
        };
        assert_eq!(figures()[1], (0, 0), "{kind:?}");
        let mut replica = Server::start(Kind::Node, &[]);
        replicate(&replica, primary.port());
        await_link(&replica);
        replica.process().freeze();
        let mut client = primary.client();
        for _ in 0..WRITTEN / 1_000_000 {
            client.ok(&["set", "key", &"x".repeat(1_000_000)]);
        }
        let [(backlog, backlog_info), (replicas, replicas_info), aof] = figures();
        assert_eq!((replicas, aof), (replicas_info, (0, 0)), "{kind:?}");
        assert_eq!(backlog, backlog_info, "{kind:?}");
        assert!((100_000..200_000).contains(&backlog), "{kind:?}: {backlog}");
        // The sockets have taken some.
        let kept = WRITTEN / 3..WRITTEN + 2_000_000;
        assert!(kept.contains(&replicas), "{kind:?}: {replicas}");
        if kind == Kind::Redis {
            continue;
        }
        let named = format!(
            "{{replica=\"127.0.0.1:{}\",state=\"online\"}} ",
            replica.port()
        );
        let figure = |name: &str| {
            let (_, text) = primary.admin("/metrics");
            let line = text.lines().find_map(|line| {
                line.strip_prefix("slotilla_node_replica_")?
                    .strip_prefix(name)?
                    .strip_prefix(&named)
                    .map(str::to_owned)
            });
            line.unwrap_or_else(|| panic!("{name}{named}: {text}"))
                .parse::<f64>()
                .unwrap()
        };
        wait_for("what it has not read", LIMIT, || {
            (figure("unread_bytes") > WRITTEN as f64 / 3.0).then_some(())
        });
        wait_for("its silence", LIMIT, || {
            (figure("lag_seconds") >= 2.0).then_some(())
        });
        let end: f64 = primary.info("master_repl_offset").unwrap().parse().unwrap();
        assert!(figure("offset") < end - WRITTEN as f64 / 3.0);
        replica.process().thaw();
        wait_for("the replica to have read all", LIMIT, || {
            (figure("offset") >= end && figure("unread_bytes") == 0.0).then_some(())
        });
    }
}
