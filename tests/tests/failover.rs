//! FAILOVER between nodes and redis-servers: the role changes hands without a lost write or a copy; and
//! a primary that stops lets its replicas have all it has.
#![cfg(test)]

use std::time::Duration;

use rustix::process::Signal;
use slotilla_tests::differential::seed;
use slotilla_tests::replication::{Writers, assert_same, await_link, fill, replicate, start_eager};
use slotilla_tests::{Kind, Server, Value, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// A primary of this kind, and two replicas of those.
fn three(kinds: [Kind; 3]) -> [Server; 3] {
    let servers = kinds.map(|kind| start_eager(kind, &[]));
    for replica in &servers[1..] {
        replicate(replica, servers[0].port());
        await_link(replica);
    }
    servers
}

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).unwrap().parse().unwrap()
}

fn await_state(server: &Server, field: &str, wanted: &str) {
    wait_for(&format!("{field} to be {wanted}"), LIMIT, || {
        (server.info(field)? == wanted).then_some(())
    });
}

#[test]
fn the_role_changes_hands_under_load() {
    let seed = seed();
    let all = [
        [Kind::Node, Kind::Node, Kind::Node],
        [Kind::Node, Kind::Redis, Kind::Node],
        [Kind::Redis, Kind::Node, Kind::Node],
    ];
    for kinds in all {
        println!("{kinds:?}");
        let [old, new, other] = three(kinds);
        fill(&old, seed);
        let writers = Writers::start(old.port(), 3, seed);
        writers.await_more(500);
        let port = new.port().to_string();
        old.client().ok(&["failover", "to", "127.0.0.1", &port]);
        await_state(&old, "role", "slave");
        await_state(&new, "role", "master");
        await_state(&old, "master_failover_state", "no-failover");
        let _written = writers.stop();
        replicate(&other, new.port());
        let writers = Writers::start(new.port(), 3, seed);
        writers.await_more(500);
        let _written = writers.stop();
        assert_same(&new, &old);
        assert_same(&new, &other);
        assert_eq!(number(&new, "sync_full"), 0, "{}", new.log());
    }
}

#[test]
fn failover_refuses_what_redis_refuses() {
    let lines = |port: u16| {
        let to = format!("failover to 127.0.0.1 {port}");
        [
            "failover".to_owned(),
            "failover abort".to_owned(),
            "failover abort timeout".to_owned(),
            "failover timeout 0".to_owned(),
            "failover timeout x".to_owned(),
            "failover timeout 10 timeout 10".to_owned(),
            "failover to 127.0.0.1".to_owned(),
            "failover to 127.0.0.1 1".to_owned(),
            "failover to 127.0.0.1 x".to_owned(),
            "failover force".to_owned(),
            "failover force timeout 10".to_owned(),
            format!("{to} force"),
            "failover what".to_owned(),
            "psync x 1 failover".to_owned(),
        ]
    };
    let answers = [Kind::Redis, Kind::Node].map(|kind| {
        let alone = start_eager(kind, &[]);
        let mut answers: Vec<Value> = lines(1)
            .iter()
            .map(|line| alone.client().line(line))
            .collect();
        let replica = start_eager(kind, &[]);
        replicate(&replica, alone.port());
        await_link(&replica);
        let on_replica = lines(1);
        answers.extend(on_replica.iter().map(|line| replica.client().line(line)));
        let with_replica = lines(replica.port());
        let with_replica = &with_replica[1..];
        answers.extend(with_replica.iter().map(|line| alone.client().line(line)));
        answers
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_replica_that_does_not_catch_up_is_waited_for_as_long_as_told() {
    let [old, mut new, other] = three([Kind::Node; 3]);
    new.process().freeze();
    old.client().ok(&["set", "a", "1"]);
    let port = new.port().to_string();
    let to = ["failover", "to", "127.0.0.1", port.as_str()];
    old.client().ok(&[&to[..], &["timeout", "200"]].concat());
    await_state(&old, "master_failover_state", "no-failover");
    assert!(old.log().contains("Replica never caught up before timeout"));
    old.client().ok(&["set", "a", "2"]);
    // It is given up; writes were held meanwhile.
    old.client().ok(&to);
    await_state(&old, "master_failover_state", "waiting-for-sync");
    let again = old.client().call(&to);
    assert_eq!(again.error(), Some("ERR FAILOVER already in progress."));
    let held = old.client().line("replicaof no one");
    assert_eq!(
        held.error(),
        Some("ERR REPLICAOF not allowed while failing over.")
    );
    let port = old.port();
    let writer = std::thread::spawn(move || {
        slotilla_tests::Client::connect(port).ok(&["set", "a", "3"]);
    });
    // CLIENT UNPAUSE ends another pause than that.
    old.client().ok(&["client", "unpause"]);
    assert_eq!(old.client().line("get a").text(), "2");
    old.client().ok(&["failover", "abort"]);
    writer.join().unwrap();
    assert_eq!(old.client().line("get a").text(), "3");
    new.process().thaw();
    assert_same(&old, &new);
    assert_same(&old, &other);
}

#[test]
fn a_primary_that_stops_waits_for_its_replicas() {
    let seed = seed();
    for kind in [Kind::Redis, Kind::Node] {
        let mut primary = start_eager(Kind::Node, &[("save", "3600 1000000")]);
        let mut replica = start_eager(kind, &[]);
        replicate(&replica, primary.port());
        await_link(&replica);
        replica.process().freeze();
        fill(&primary, seed);
        // It goes on if told so.
        let mut client = primary.client();
        let ended = std::thread::spawn(move || client.line("shutdown"));
        wait_for("the shutdown to wait", LIMIT, || {
            let log = primary.log();
            log.contains("Waiting for replicas before shutting down.")
                .then_some(())
        });
        let left: u64 = number(&primary, "shutdown_in_milliseconds");
        assert!((1..=10_000).contains(&left), "{left}");
        primary.client().ok(&["shutdown", "abort"]);
        assert_eq!(primary.info("shutdown_in_milliseconds"), None);
        let ended = ended.join().unwrap();
        assert_eq!(
            ended.error(),
            Some("ERR Errors trying to SHUTDOWN. Check logs.")
        );
        primary.client().ok(&["set", "late", "1"]);
        primary.process().signal(Signal::TERM);
        wait_for("the shutdown to wait", LIMIT, || {
            let log = primary.log();
            let waits = log.matches("Waiting for replicas before shutting down.");
            (waits.count() == 2).then_some(())
        });
        replica.process().thaw();
        assert!(primary.process().wait_exit(LIMIT).success());
        let log = primary.log();
        assert!(
            log.contains("1 of 1 replicas are in sync when shutting down."),
            "{log}"
        );
        let primary = primary.restart();
        assert_same(&primary, &replica);
        assert_eq!(number(&primary, "sync_full"), 0, "{kind:?}");
    }
}

#[test]
fn a_replica_that_takes_nothing_is_not_waited_for_longer_than_told() {
    let mut primary = start_eager(Kind::Node, &[("shutdown-timeout", "1")]);
    let mut replica = start_eager(Kind::Node, &[]);
    replicate(&replica, primary.port());
    await_link(&replica);
    replica.process().freeze();
    primary.client().ok(&["set", "a", "1"]);
    assert!(primary.terminate().success());
    let log = primary.log();
    assert!(
        log.contains("0 of 1 replicas are in sync when shutting down."),
        "{log}"
    );
    assert!(log.contains("Lagging replica 127.0.0.1:"), "{log}");
    replica.process().thaw();
}
