//! What keeps data on a node of a cluster: the append-only file, and replicas that confirm writes.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::append_only::{ALWAYS, check, settle};

use slotilla_tests::replication::{await_step, replicate};
use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, slot_of, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

fn words(client: &mut Client, line: &str) {
    assert_eq!(client.line(line).text(), "OK", "{line}");
}

#[test]
fn a_cluster_node_has_what_it_answered_and_its_slots_after_a_kill() {
    let mut node = one_node_cluster(Kind::Node, ALWAYS);
    let mut client = node.client();
    let sets: Vec<_> = (0..300)
        .map(|number| vec!["set".to_owned(), format!("k:{number}"), number.to_string()])
        .collect();
    let replies = client.pipeline(&sets);
    assert!(replies.iter().all(|reply| reply.error().is_none()));
    client.line("multi");
    client.line("rpush {t}:list a b");
    client.line("incr {t}:count");
    assert_eq!(client.line("exec").items().len(), 2);
    // One that comes in, by RESTORE-ASKING.
    let source = one_node_cluster(Kind::Node, &[]);
    let mut from = source.client();
    from.ok(&["set", "moved", "1"]);
    from.ok(&[
        "migrate",
        "127.0.0.1",
        &node.port().to_string(),
        "moved",
        "0",
        "10000",
    ]);
    assert_eq!(from.line("get moved"), Value::NullBulk);
    settle(&node);
    let slots = |client: &mut Client| client.line("cluster slots").items()[0].items()[..2].to_vec();
    let before = slots(&mut client);
    let name = client.line("cluster myid").text();
    node.kill();
    check(node.dir());
    for _ in 0..2 {
        node = node.restart();
        let mut client = node.client();
        wait_for("it to serve", LIMIT, || {
            (client.line("get k:0").error().is_none()).then_some(())
        });
        assert_eq!(client.line("cluster myid").text(), name);
        assert_eq!(slots(&mut client), before);
        assert_eq!(client.line("dbsize").integer(), 303);
        assert_eq!(client.line("get moved").text(), "1");
        assert_eq!(client.line("lrange {t}:list 0 -1").to_string(), "[a, b]");
        assert_eq!(client.line("get k:299").text(), "299");
        words(&mut client, "set k:0 0");
        node.kill();
    }
}

/// In a cluster others take over: there is no record, and a restart asks nobody.
#[test]
fn a_cluster_node_s_writes_wait_for_replicas_and_it_serves_after_a_restart() {
    let settings = [
        ("replica-ack-writes", "1"),
        ("replica-ack-timeout", "300"),
        ("repl-diskless-sync-delay", "0"),
    ];
    let mut node = one_node_cluster(Kind::Node, &[ALWAYS, &settings].concat());
    let mut client = node.client();
    let refused = client.line("set a 1");
    assert!(
        refused
            .error()
            .is_some_and(|text| text.starts_with("NOREPLICAS ")),
        "{refused}"
    );
    let mut replica = Server::start(Kind::Node, &[]);
    replicate(&replica, node.port());
    wait_for("the replica to count", LIMIT, || {
        (client.line("set a 1").error().is_none()).then_some(())
    });
    await_step(&node, &replica);
    assert_eq!(replica.client().line("get a").text(), "1");
    replica.process().freeze();
    let unsure = client.line("set a 2");
    assert!(
        unsure
            .error()
            .is_some_and(|text| text.starts_with("UNCONFIRMED ")),
        "{unsure}"
    );
    // A slot that another has, or nobody, is told at once.
    client.ok(&["cluster", "delslots", &slot_of("b").to_string()]);
    wait_for("the cluster to be down", LIMIT, || {
        let reply = client.line("set b 1");
        reply.error()?.starts_with("CLUSTERDOWN ").then_some(())
    });
    client.ok(&["cluster", "addslots", &slot_of("b").to_string()]);
    replica.process().thaw();
    wait_for("it to be confirmed", LIMIT, || {
        (client.line("set a 3").error().is_none()).then_some(())
    });
    assert!(!node.dir().join("replica-acks.state").exists());
    node.kill();
    let node = node.restart();
    let mut client = node.client();
    wait_for("it to serve", LIMIT, || {
        (client.line("get a") == Value::Bulk("3".into())).then_some(())
    });
}
