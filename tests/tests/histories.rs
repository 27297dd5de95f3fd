//! Data that goes from one server to the next and the next, and histories that outlive their primary:
//! replicas of replicas, promotions, restarts. Each time what is missing is sent, and not all data.
#![cfg(test)]

use std::time::Duration;

use slotilla_common::clock;
use slotilla_tests::differential::seed;
use slotilla_tests::replication::{
    Cutter, Writers, assert_same, await_link, await_step, fill, replicate, start_eager,
    stop_replicating,
};
use slotilla_tests::{Kind, Server, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
const KINDS: [Kind; 3] = [Kind::Redis, Kind::Valkey, Kind::Node];

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).unwrap().parse().unwrap()
}

/// Waits until a server has served so many requests for what is missing.
fn await_partial(server: &Server, count: u64) {
    wait_for("what is missing to be asked for", LIMIT, || {
        (number(server, "sync_partial_ok") >= count).then_some(())
    });
}

#[test]
fn replicas_of_a_replica_have_what_its_primary_has() {
    let seed = seed();
    for kind in [Kind::Redis, Kind::Node] {
        let primary = start_eager(kind, &[]);
        fill(&primary, seed);
        let way = Cutter::start(primary.port());
        let middle = start_eager(Kind::Node, &[("io-threads", "2")]);
        replicate(&middle, way.port());
        await_link(&middle);
        let writers = Writers::start(primary.port(), 3, seed);
        writers.await_more(500);
        let below = Cutter::start(middle.port());
        let last = KINDS.map(|kind| {
            let replica = start_eager(kind, &[]);
            replicate(&replica, below.port());
            await_link(&replica);
            writers.await_more(300);
            replica
        });
        for cut in [&way, &below, &way, &below] {
            cut.cut();
            writers.await_more(300);
        }
        let _written = writers.stop();
        assert_same(&primary, &middle);
        for replica in &last {
            assert_same(&primary, replica);
        }
        assert_eq!(number(&primary, "sync_full"), 1, "{kind:?}");
        assert_eq!(number(&middle, "sync_full"), 3, "{kind:?}");
        assert_eq!(number(&middle, "connected_slaves"), 3);
        let id = primary.info("master_replid").unwrap();
        assert_eq!(last[2].info("master_replid").unwrap(), id);
    }
}

#[test]
fn a_copy_begins_in_the_database_that_the_stream_is_in() {
    let primary = start_eager(Kind::Redis, &[]);
    let middle = start_eager(Kind::Node, &[]);
    replicate(&middle, primary.port());
    let mut client = primary.client();
    client.ok(&["select", "5"]);
    client.ok(&["set", "first", "1"]);
    await_step(&primary, &middle);
    let last = [Kind::Redis, Kind::Node].map(|kind| {
        let replica = start_eager(kind, &[]);
        replicate(&replica, middle.port());
        await_link(&replica);
        replica
    });
    client.ok(&["set", "second", "2"]);
    for replica in &last {
        assert_same(&primary, replica);
    }
    // What the node does itself is in database 0, wherever its primary was.
    stop_replicating(&middle);
    middle.client().ok(&["set", "third", "3"]);
    for replica in &last {
        assert_same(&middle, replica);
        let mut client = replica.client();
        assert_eq!(client.line("get third").text(), "3");
    }
    assert_eq!(number(&middle, "sync_full"), 2);
}

#[test]
fn a_replica_that_takes_over_is_followed_by_all_without_a_copy() {
    let seed = seed();
    for kind in KINDS {
        println!("beside {kind:?}");
        let old = start_eager(kind, &[]);
        fill(&old, seed);
        let new = start_eager(Kind::Node, &[]);
        let siblings = [Kind::Node, kind].map(|kind| start_eager(kind, &[]));
        for replica in siblings.iter().chain([&new]) {
            replicate(replica, old.port());
            await_link(replica);
        }
        let writers = Writers::start(old.port(), 3, seed);
        writers.await_more(1000);
        let _written = writers.stop();
        // Nothing happens there any more, nor do keys expire.
        old.client().ok(&["client", "pause", "30000", "write"]);
        for replica in siblings.iter().chain([&new]) {
            await_step(&old, replica);
        }
        stop_replicating(&new);
        assert_eq!(
            new.info("master_replid2").unwrap(),
            old.info("master_replid").unwrap()
        );
        let writers = Writers::start(new.port(), 3, seed + 1);
        writers.await_more(300);
        for follower in siblings.iter().chain([&old]) {
            replicate(follower, new.port());
            await_link(follower);
            writers.await_more(100);
        }
        old.client().ok(&["client", "unpause"]);
        let _written = writers.stop();
        for follower in siblings.iter().chain([&old]) {
            assert_same(&new, follower);
        }
        assert_eq!(number(&new, "sync_full"), 0, "{}", new.log());
        assert_eq!(number(&new, "sync_partial_ok"), 3);
        // And back again.
        stop_replicating(&old);
        replicate(&new, old.port());
        assert_same(&old, &new);
        assert_eq!(number(&new, "master_sync_in_progress"), 0);
        if kind == Kind::Node {
            assert_eq!(number(&old, "sync_partial_ok"), 1, "{}", old.log());
        }
    }
}

#[test]
fn replicas_of_a_replica_that_takes_over_go_on() {
    let seed = seed();
    let old = start_eager(Kind::Redis, &[]);
    fill(&old, seed);
    let new = start_eager(Kind::Node, &[]);
    replicate(&new, old.port());
    await_link(&new);
    let below = [Kind::Redis, Kind::Node].map(|kind| {
        let replica = start_eager(kind, &[]);
        replicate(&replica, new.port());
        await_link(&replica);
        replica
    });
    let writers = Writers::start(old.port(), 3, seed);
    writers.await_more(500);
    // In the middle of what is written.
    stop_replicating(&new);
    let _written = writers.stop();
    let writers = Writers::start(new.port(), 3, seed);
    writers.await_more(500);
    let _written = writers.stop();
    for replica in &below {
        assert_same(&new, replica);
    }
    assert_eq!(number(&new, "sync_full"), 2);
    await_partial(&new, 2);
}

#[test]
fn a_primary_that_restarts_is_gone_on_with() {
    let seed = seed();
    let mut primary = start_eager(Kind::Node, &[("save", "3600 1000000")]);
    fill(&primary, seed);
    let replicas = KINDS.map(|kind| {
        let replica = start_eager(kind, &[]);
        replicate(&replica, primary.port());
        await_link(&replica);
        replica
    });
    let mut client = primary.client();
    for key in 0..200 {
        client.ok(&["set", &format!("going:{key}"), "1", "px", "300"]);
    }
    for replica in &replicas {
        await_step(&primary, replica);
    }
    let gone_ms = clock::unix_ms() + 300;
    assert!(primary.terminate().success(), "{}", primary.log());
    wait_until("the keys' time to be over", || clock::unix_ms() > gone_ms);
    let primary = primary.restart();
    for replica in &replicas {
        await_link(replica);
    }
    // Keys that went meanwhile go everywhere.
    let writers = Writers::start(primary.port(), 2, seed);
    writers.await_more(300);
    let _written = writers.stop();
    for replica in &replicas {
        assert_same(&primary, replica);
        let left = replica.client().line("get going:1");
        assert!(left.is_null(), "{left:?}");
    }
    assert_eq!(number(&primary, "sync_full"), 0, "{}", primary.log());
    assert_eq!(number(&primary, "sync_partial_ok"), 3);
    // As a server tells that has not loaded them.
    assert!(number(&primary, "rdb_last_load_keys_expired") >= 200);
    primary.client().ok(&["config", "resetstat"]);
    assert_eq!(number(&primary, "sync_partial_ok"), 0);
}

#[test]
fn a_replica_that_turns_to_another_primary_keeps_its_own_replicas_until_it_has_the_data() {
    let first = start_eager(Kind::Node, &[]);
    first.client().ok(&["set", "a", "first"]);
    let second = start_eager(Kind::Node, &[]);
    second.client().ok(&["debug", "populate", "100", "k", "10"]);
    second
        .client()
        .ok(&["config", "set", "rdb-key-save-delay", "1000000"]);
    let middle = start_eager(Kind::Node, &[]);
    replicate(&middle, first.port());
    await_link(&middle);
    let last = start_eager(Kind::Node, &[]);
    replicate(&last, middle.port());
    await_link(&last);
    replicate(&middle, second.port());
    wait_for("the copy to begin", LIMIT, || {
        (number(&second, "rdb_bgsave_in_progress") == 1).then_some(())
    });
    assert_eq!(number(&middle, "connected_slaves"), 1);
    // The second one gives nothing: it goes on with the first, and nobody was cut off.
    replicate(&middle, first.port());
    await_link(&middle);
    first.client().ok(&["set", "a", "second"]);
    assert_same(&first, &middle);
    assert_same(&first, &last);
    assert_eq!(number(&first, "sync_full"), 1);
    assert_eq!(number(&first, "sync_partial_ok"), 1);
    assert_eq!(number(&middle, "sync_full"), 1);
    assert_eq!(number(&middle, "sync_partial_ok"), 0);
    let log = last.log();
    assert!(!log.contains("Connection with master lost"), "{log}");
    // Once there is other data, they begin anew.
    second
        .client()
        .ok(&["config", "set", "rdb-key-save-delay", "0"]);
    replicate(&middle, second.port());
    await_link(&middle);
    assert_same(&second, &last);
}

#[test]
fn a_replica_turns_from_a_primary_while_its_data_comes_in() {
    let slow = start_eager(Kind::Node, &[]);
    slow.client().ok(&["debug", "populate", "1000", "k", "10"]);
    let mut client = slow.client();
    client.ok(&["config", "set", "rdb-key-save-delay", "100000"]);
    for settings in [&[("appendonly", "yes")][..], &[]] {
        let replica = start_eager(Kind::Node, settings);
        replicate(&replica, slow.port());
        wait_for("the data to come in", LIMIT, || {
            let refused = replica.client().line("get x");
            let error = refused.error().map(str::to_owned);
            error.filter(|text| text.starts_with("LOADING"))
        });
        let mut client = replica.client();
        client.ok(&["replicaof", "no", "one"]);
        wait_for("clients to be served", LIMIT, || {
            client.line("set own 1").error().is_none().then_some(())
        });
        assert_eq!(client.line("dbsize").integer(), 1);
        assert_eq!(replica.info("role").unwrap(), "master");
        if !settings.is_empty() {
            let replica = replica.restart();
            assert_eq!(replica.client().line("keys *").items().len(), 1);
        }
    }
}

#[test]
fn a_primary_that_went_back_in_time_is_not_gone_on_with() {
    let primary = start_eager(Kind::Node, &[("save", "")]);
    primary.client().ok(&["set", "a", "1"]);
    let replicas = [Kind::Redis, Kind::Node].map(|kind| {
        let replica = start_eager(kind, &[]);
        replicate(&replica, primary.port());
        await_link(&replica);
        replica
    });
    primary.client().ok(&["save"]);
    primary.client().ok(&["set", "b", "1"]);
    for replica in &replicas {
        await_step(&primary, replica);
    }
    // It is killed, and comes back without b.
    let primary = primary.restart();
    primary.client().ok(&["set", "c", "1"]);
    for replica in &replicas {
        assert_same(&primary, replica);
        assert_eq!(replica.client().line("keys *").items().len(), 2);
    }
    assert_eq!(number(&primary, "sync_full"), 2);
}

#[test]
fn the_file_has_what_was_done_in_every_role() {
    let seed = seed();
    let settings = [("appendonly", "yes"), ("appendfsync", "always")];
    let other = start_eager(Kind::Redis, &[]);
    let mut node = start_eager(Kind::Node, &settings);
    fill(&node, seed);
    let reader = start_eager(Kind::Node, &[]);
    replicate(&reader, node.port());
    for round in 0..3 {
        let writers = Writers::start(node.port(), 3, seed + round);
        writers.await_more(300);
        let _written = writers.stop();
        // A replica that is written to itself has that in its file, and tells nobody.
        replicate(&other, node.port());
        assert_same(&node, &other);
        stop_replicating(&other);
        replicate(&node, other.port());
        assert_same(&other, &node);
        let writers = Writers::start(other.port(), 3, seed + 10 + round);
        writers.await_more(300);
        let _written = writers.stop();
        assert_same(&other, &node);
        node.client()
            .ok(&["config", "set", "replica-read-only", "no"]);
        node.client().ok(&["set", "own", &round.to_string()]);
        stop_replicating(&node);
        assert_eq!(
            node.client().line("incr rounds").integer(),
            round as i64 + 1
        );
        node = node.restart();
        let mut client = node.client();
        let text = |client: &mut slotilla_tests::Client, line: &str| client.line(line).text();
        assert_eq!(text(&mut client, "get rounds"), (round + 1).to_string());
        assert_eq!(text(&mut client, "get own"), round.to_string());
        client.ok(&["set", "own", "-"]);
        other.client().ok(&["set", "own", "-"]);
        other
            .client()
            .ok(&["set", "rounds", &(round + 1).to_string()]);
        assert_same_data(&other, &node);
    }
}

fn assert_same_data(one: &Server, other: &Server) {
    wait_for("both to have the same", LIMIT, || {
        let look = slotilla_tests::replication::fingerprint;
        (look(one) == look(other)).then_some(())
    });
}
