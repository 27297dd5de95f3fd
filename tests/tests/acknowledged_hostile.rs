//! `replica-ack-writes` and those who would have it confirm what is not so: replicas that lie or are
//! counted twice, records that are damaged or of another history, disks that take none.
#![cfg(test)]

use std::fs;

use slotilla_tests::acknowledged::{
    LIMIT, LONG, RECORD, SHORT, await_online, await_waiting, claim_to_be_replica, is_silent,
    number, online, primary, replica_of, too_few, unconfirmed,
};
use slotilla_tests::append_only::limit_files;
use slotilla_tests::replication::{await_step, replicate};
use slotilla_tests::{Client, Kind, Server, wait_for};

/// Nobody listens there.
const PORTS: [u16; 2] = [1, 2];

fn ack(replica: &mut Client, offset: &str) {
    let mut request = Vec::new();
    slotilla_tests::encode(&mut request, &["REPLCONF", "ACK", offset]);
    replica.send(&request);
}

fn end(primary: &Server) -> String {
    primary.info("master_repl_offset").unwrap()
}

/// A link that has broken on one side stays here for a while, and its replica comes again.
#[test]
fn a_replica_with_two_connections_counts_once() {
    let node = primary(&[("replica-ack-writes", "2"), ("replica-ack-timeout", SHORT)]);
    let mut first = claim_to_be_replica(&node, Some(PORTS[0]));
    let mut second = claim_to_be_replica(&node, Some(PORTS[0]));
    ack(&mut first, &end(&node));
    ack(&mut second, &end(&node));
    await_online(&node, 1);
    let mut client = node.client();
    assert_eq!(client.line("set a 1").error(), Some(&*too_few(1, 2)));
    // One of its connections has more than the other: the replica has that.
    client.ok(&["client", "ack-writes", "1"]);
    client.send(b"set a 1\r\n");
    await_waiting(&node, 1);
    ack(&mut second, &end(&node));
    assert_eq!(client.read().text(), "OK");
    let mut third = claim_to_be_replica(&node, Some(PORTS[1]));
    ack(&mut third, &end(&node));
    await_online(&node, 2);
    client.ok(&["client", "ack-writes", "2"]);
    client.send(b"set a 2\r\n");
    await_waiting(&node, 1);
    ack(&mut first, &end(&node));
    ack(&mut second, &end(&node));
    assert_eq!(client.read().error(), Some(&*unconfirmed(1, 2)));
}

/// After a restart of the primary it could not be asked for what it has.
#[test]
fn a_replica_that_nobody_could_find_again_confirms_nothing() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)]);
    let mut replica = claim_to_be_replica(&node, None);
    ack(&mut replica, &end(&node));
    wait_for("its answer to be heard", LIMIT, || {
        let line = node.info("slave0")?;
        line.contains(&format!("offset={}", end(&node)))
            .then_some(())
    });
    assert_eq!(node.client().line("set a 1").error(), Some(&*too_few(0, 1)));
    assert_eq!(online(&node), 0);
}

#[test]
fn what_a_replica_cannot_have_confirms_nothing() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut replica = claim_to_be_replica(&node, Some(PORTS[0]));
    ack(&mut replica, &end(&node));
    await_online(&node, 1);
    let before = end(&node);
    let mut client = node.client();
    client.send(b"set a 1\r\n");
    await_waiting(&node, 1);
    for offset in [
        "0",
        "-5",
        &before,
        "99999999999999999999999",
        "18446744073709551616",
        "1e30",
        "x",
        "",
    ] {
        ack(&mut replica, offset);
    }
    // Those of whoever is no replica mean nothing, and have no answer.
    let mut other = node.client();
    ack(&mut other, &end(&node));
    assert_eq!(other.line("ping").text(), "PONG");
    assert!(is_silent(&mut client));
    ack(&mut replica, &end(&node));
    assert_eq!(client.read().text(), "OK");
    // What is said to be far beyond the end is no more than the end was then.
    ack(&mut replica, "18446744073709551615");
    wait_for("it to be heard", LIMIT, || {
        let line = node.info("slave0")?;
        line.contains(&format!("offset={}", end(&node)))
            .then_some(())
    });
    client.send(b"set a 2\r\n");
    assert!(is_silent(&mut client));
    // Nor does it go back.
    ack(&mut replica, &end(&node));
    ack(&mut replica, "1");
    assert_eq!(client.read().text(), "OK");
    let mut third = node.client();
    third.send(b"set a 3\r\n");
    assert!(is_silent(&mut third));
    drop(replica);
    await_online(&node, 0);
    assert_eq!(number(&node, "replica_ack_waiting_clients"), 1);
}

/// What it says before it has all data is about other data.
#[test]
fn what_a_replica_says_during_its_copy_confirms_nothing() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut client = node.client();
    client.ok(&["client", "ack-writes", "0"]);
    let value = "v".repeat(1 << 20);
    for number in 0..32 {
        client.ok(&["set", &format!("big:{number}"), &value]);
    }
    let mut replica = node.client();
    replica.ok(&["replconf", "listening-port", "1"]);
    replica.ok(&["replconf", "capa", "eof", "capa", "psync2"]);
    replica.send(b"psync ? -1\r\n");
    let answer = replica.read_text_line();
    assert!(answer.starts_with("+FULLRESYNC "), "{answer}");
    let before: u64 = answer.rsplit(' ').next().unwrap().parse().unwrap();
    // It has read none of the data.
    ack(&mut replica, "18446744073709551615");
    wait_for("it to be heard", LIMIT, || {
        let line = node.info("slave0")?;
        line.contains("state=wait_bgsave").then_some(())
    });
    client.ok(&["set", "a", "1"]);
    ack(&mut replica, "18446744073709551615");
    let mark = loop {
        let line = replica.read_text_line();
        if let Some(mark) = line.strip_prefix("$EOF:") {
            break mark.to_owned();
        }
    };
    let mut data = Vec::new();
    while !data.ends_with(mark.as_bytes()) {
        data.extend(replica.read_bytes(1));
    }
    ack(&mut replica, &before.to_string());
    await_online(&node, 1);
    let line = node.info("slave0").unwrap();
    assert!(line.contains(&format!("offset={before},")), "{line}");
    let mut other = node.client();
    other.send(b"set a 1 nx\r\n");
    assert!(
        is_silent(&mut other),
        "the replica has not said that it has it"
    );
    ack(&mut replica, &end(&node));
    assert!(other.read().is_null());
}

fn refusal(server: &Server) -> String {
    let reply = server.client().line("get a");
    let text = reply.error().unwrap_or_else(|| panic!("{reply}"));
    assert!(
        text.starts_with("MASTERDOWN This primary has restarted"),
        "{text}"
    );
    text.to_owned()
}

/// Whatever is wrong with it, nothing is served before somebody says so, and then all goes on.
#[test]
fn a_record_that_cannot_be_read_stops_all() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let replica = replica_of(&node, Kind::Node);
    node.client().ok(&["set", "a", "1"]);
    let whole = fs::read(node.dir().join(RECORD)).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let cut = whole[..whole.len() - 1].to_vec();
    let mut node = node;
    for (damage, order) in [
        (Some(Vec::new()), "config set replica-ack-writes 0"),
        (Some(cut), "replicaof no one"),
        (Some(flipped), "config set replica-ack-writes 0"),
        (None, "replicaof no one"),
    ] {
        drop_replica(&replica);
        node.kill();
        let path = node.dir().join(RECORD);
        let _old = fs::remove_file(&path);
        match &damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::create_dir(&path).unwrap(),
        }
        node = node.restart();
        assert!(refusal(&node).contains("cannot read which those are"));
        replicate(&replica, node.port());
        // It is turned away, and keeps what it has.
        assert_eq!(replica.client().line("get a").text(), "1");
        assert!(node.log().contains(RECORD), "{}", node.log());
        let mut client = node.client();
        client.ok(&order.split(' ').collect::<Vec<_>>());
        assert!(client.line("get a").is_null());
        client.ok(&["config", "set", "replica-ack-writes", "1"]);
        if damage.is_none() {
            wait_for("it to be told why nobody counts", LIMIT, || {
                node.log()
                    .contains("No replica confirms writes")
                    .then_some(())
            });
            assert_eq!(client.line("set a 1").error(), Some(&*too_few(0, 1)));
            fs::remove_dir(&path).unwrap();
        }
        await_online(&node, 1);
        client.ok(&["set", "a", "1"]);
        await_step(&node, &replica);
        assert!(path.is_file());
    }
}

fn drop_replica(replica: &Server) {
    replica.client().ok(&["replicaof", "no", "one"]);
}

/// Its replicas know nothing of the history that the record is about.
#[test]
fn a_record_of_another_history_gives_nobody_s_data_away() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let other = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let replica = replica_of(&other, Kind::Node);
    node.kill();
    fs::copy(other.dir().join(RECORD), node.dir().join(RECORD)).unwrap();
    let node = node.restart();
    // Of another one, it is not asked.
    let own = Server::start(Kind::Node, &[]);
    replicate(&own, node.port());
    own.client()
        .ok(&["config", "set", "replica-read-only", "no"]);
    own.client().ok(&["set", "a", "own"]);
    assert!(refusal(&node).contains("has heard from 0 of 1"));
    // The one that is named has other data.
    other.client().ok(&["debug", "change-repl-id"]);
    drop_replica(&replica);
    replica.client().ok(&["debug", "change-repl-id"]);
    replica.client().ok(&["set", "a", "1"]);
    replicate(&replica, node.port());
    wait_for("it to be told", LIMIT, || {
        let log = node.log();
        log.contains("no replica has any of what they had confirmed")
            .then_some(())
    });
    refusal(&node);
    assert_eq!(replica.client().line("get a").text(), "1");
    assert_eq!(own.client().line("get a").text(), "own");
}

/// A node whose own configuration does not ask for it any more.
#[test]
fn a_record_counts_whatever_the_setting() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut replica = replica_of(&node, Kind::Node);
    node.client().ok(&["set", "a", "1"]);
    replica.process().freeze();
    node.kill();
    node.set("replica-ack-writes", None);
    let node = node.restart();
    refusal(&node);
    node.client()
        .ok(&["config", "set", "replica-ack-writes", "0"]);
    assert!(node.client().line("get a").is_null());
}

#[test]
fn a_disk_that_is_full_confirms_nothing() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    limit_files(&mut node, "16");
    let replica = Server::start(Kind::Node, &[]);
    replicate(&replica, node.port());
    wait_for("the replica to have said something", LIMIT, || {
        let line = node.info("slave0")?;
        line.contains("state=online").then_some(())
    });
    await_step(&node, &replica);
    let mut client = node.client();
    assert_eq!(client.line("set a 1").error(), Some(&*too_few(0, 1)));
    assert!(!node.dir().join(RECORD).exists());
    limit_files(&mut node, "unlimited");
    await_online(&node, 1);
    client.ok(&["set", "a", "1"]);
    // Those who are known need no other record; those who are new do.
    limit_files(&mut node, "16");
    client.ok(&["set", "a", "2"]);
    let record = fs::read(node.dir().join(RECORD)).unwrap();
    let second = Server::start(Kind::Node, &[]);
    replicate(&second, node.port());
    wait_for("it to be online", LIMIT, || {
        let line = node.info("slave1")?;
        line.contains("state=online").then_some(())
    });
    await_online(&node, 0);
    assert_eq!(fs::read(node.dir().join(RECORD)).unwrap(), record);
    limit_files(&mut node, "unlimited");
    await_online(&node, 2);
    client.ok(&["set", "a", "3"]);
}
