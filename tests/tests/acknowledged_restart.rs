//! `replica-ack-writes` and the restart of a primary: it may lack what its replicas have confirmed, and
//! serves nothing before it has that.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::acknowledged::{
    LIMIT, LONG, RECORD, await_online, number, primary, replica_of,
};
use slotilla_tests::replication::{Cutter, assert_same, await_link, await_step, replicate};
use slotilla_tests::{Client, Deadline, Kind, Server, Value, wait_for};

/// What a primary says that has restarted, if it serves nothing.
fn refusal(client: &mut Client) -> Option<String> {
    let reply = client.line("get a");
    reply.error().map(str::to_owned)
}

fn serves_nothing(server: &Server) -> String {
    let mut client = server.client();
    let refusal = refusal(&mut client).expect("nothing is served");
    assert!(
        refusal.starts_with("MASTERDOWN This primary has restarted"),
        "{refusal}"
    );
    for line in ["set a 9", "dbsize", "flushall", "blpop l 0"] {
        let reply = client.line(line);
        assert!(
            reply
                .error()
                .is_some_and(|text| text.starts_with("MASTERDOWN ")),
            "{reply}"
        );
    }
    assert_eq!(client.line("ping").text(), "PONG");
    refusal
}

#[test]
fn a_primary_that_comes_back_empty_has_what_it_had_confirmed() {
    for kind in [Kind::Node, Kind::Redis] {
        let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
        let replicas = [replica_of(&node, kind), replica_of(&node, Kind::Node)];
        let mut client = node.client();
        for number in 0..500 {
            client.ok(&["set", &format!("k:{number}"), "1"]);
        }
        client.ok(&["set", "a", "1"]);
        node.kill();
        let node = node.restart();
        // Twice: what it has got it has in memory alone.
        let mut node = await_back(node, &replicas);
        node.kill();
        let node = await_back(node.restart(), &replicas);
        assert_eq!(node.client().line("dbsize").integer(), 501, "{kind:?}");
    }
}

fn await_back(node: Server, replicas: &[Server]) -> Server {
    wait_for("it to serve", LIMIT, || {
        let mut client = node.client();
        match client.line("get a") {
            Value::Error(text) => {
                let known = text.starts_with("MASTERDOWN ") || text.starts_with("LOADING ");
                assert!(known, "{text}");
                None
            }
            reply => {
                assert_eq!(reply.text(), "1");
                Some(())
            }
        }
    });
    await_online(&node, replicas.len() as u64);
    node.client().ok(&["set", "a", "1"]);
    for replica in replicas {
        await_step(&node, replica);
        assert_eq!(replica.client().line("dbsize").integer(), 501);
    }
    node
}

#[test]
fn too_few_replicas_are_not_believed() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let first = replica_of(&node, Kind::Node);
    let way = Cutter::start(node.port());
    let second = Server::start(Kind::Node, &[]);
    replicate(&second, way.port());
    await_online(&node, 2);
    let mut replicas = [first, second];
    // Only the first has it.
    replicas[1].process().freeze();
    way.cut();
    await_online(&node, 1);
    node.client().ok(&["set", "a", "1"]);
    replicas[0].process().freeze();
    node.kill();
    let node = node.restart();
    replicas[1].process().thaw();
    wait_for("one to be heard", LIMIT, || {
        serves_nothing(&node)
            .contains("has heard from 1 of 2")
            .then_some(())
    });
    assert_eq!(replicas[1].client().line("get a"), Value::NullBulk);
    replicas[0].process().thaw();
    wait_for("it to serve", LIMIT, || {
        (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
    });
    await_online(&node, 2);
    await_step(&node, &replicas[1]);
    assert_eq!(replicas[1].client().line("get a").text(), "1");
}

/// More replicas are to confirm from now on, and what fewer have confirmed has not come to the others.
#[test]
fn what_was_confirmed_by_fewer_is_not_forgotten() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let replicas = [(); 2].map(|()| replica_of(&node, Kind::Node));
    await_online(&node, 2);
    let [mut first, mut second] = replicas;
    second.process().freeze();
    let mut client = node.client();
    // Far more than is under way in a connection.
    client.ok(&["set", "big", &"v".repeat(64 << 20)]);
    client.ok(&["set", "a", "1"]);
    client.ok(&["config", "set", "replica-ack-writes", "2"]);
    first.process().freeze();
    node.kill();
    let node = node.restart();
    second.process().thaw();
    wait_for("one to be heard", LIMIT, || {
        serves_nothing(&node)
            .contains("has heard from 1 of 2")
            .then_some(())
    });
    assert_eq!(second.client().line("get a"), Value::NullBulk);
    first.process().thaw();
    wait_for("it to serve", LIMIT, || {
        (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
    });
}

/// The one that has most takes over, gives the history another name, and then cannot be copied. Asked
/// again, it still has most.
#[test]
fn a_replica_that_has_taken_over_in_vain_is_known_again() {
    let mut node = primary(&[
        ("replica-ack-writes", "1"),
        ("replica-ack-timeout", LONG),
        ("repl-timeout", "1"),
    ]);
    // It is taken from after a while, in which it goes.
    let first = Server::start(Kind::Node, &[("repl-diskless-sync-delay", "60")]);
    replicate(&first, node.port());
    await_online(&node, 1);
    let way = Cutter::start(node.port());
    let second = Server::start(Kind::Node, &[]);
    replicate(&second, way.port());
    await_online(&node, 2);
    let mut replicas = [first, second];
    replicas[1].process().freeze();
    way.cut();
    await_online(&node, 1);
    node.client().ok(&["set", "a", "1"]);
    node.kill();
    let node = node.restart();
    replicas[1].process().thaw();
    let mut client = replicas[0].client();
    let role = |server: &Server| server.info("role");
    wait_for("it to take over", LIMIT, || {
        (role(&replicas[0])? == "master").then_some(())
    });
    wait_for("somebody to ask for its data", LIMIT, || {
        (replicas[0].info("connected_slaves")? == "1").then_some(())
    });
    client.ok(&["config", "set", "requirepass", "secret"]);
    client.line("client kill type replica");
    wait_for("the attempt to end", LIMIT, || {
        node.log()
            .contains("it cannot be reached any more")
            .then_some(())
            .or_else(|| (role(&node)? == "master").then_some(()))
    });
    client.ok(&["config", "set", "repl-diskless-sync-delay", "0"]);
    client.ok(&["config", "set", "requirepass", ""]);
    wait_for("it to serve", LIMIT, || {
        let reply = node.client().line("get a");
        assert!(!reply.is_null(), "a confirmed write is lost");
        (reply == Value::Bulk("1".into())).then_some(())
    });
    await_online(&node, 2);
    await_step(&node, &replicas[1]);
    assert_eq!(replicas[1].client().line("get a").text(), "1");
}

#[test]
fn somebody_may_say_that_what_is_there_counts() {
    for order in ["replicaof no one", "config set replica-ack-writes 0"] {
        let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
        let mut replica = replica_of(&node, Kind::Node);
        node.client().ok(&["set", "a", "1"]);
        replica.kill();
        node.kill();
        let mut node = node.restart();
        serves_nothing(&node);
        assert_eq!(node.client().line(order).text(), "OK");
        assert_eq!(node.client().line("get a"), Value::NullBulk);
        node.kill();
        // It has said so for good.
        let node = node.restart();
        assert_eq!(node.client().line("get a"), Value::NullBulk);
    }
}

#[test]
fn a_record_that_is_damaged_stops_all_too() {
    let mut node = primary(&[("replica-ack-writes", "1")]);
    node.kill();
    std::fs::write(node.dir().join("replica-acks.state"), "x").unwrap();
    let node = node.restart();
    assert!(serves_nothing(&node).contains("cannot read which those are"));
    assert!(
        node.log().contains("replica-acks.state is damaged"),
        "{}",
        node.log()
    );
}

/// Some of them copy another one since they have confirmed writes, and do not ask by themselves.
#[test]
fn a_replica_of_a_replica_is_asked() {
    for kind in [Kind::Node, Kind::Redis] {
        let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
        let first = replica_of(&node, kind);
        let second = replica_of(&node, kind);
        node.client().ok(&["set", "a", "1"]);
        await_step(&node, &second);
        // By a way that tells nobody where it leads.
        let way = Cutter::start(first.port());
        replicate(&second, way.port());
        await_link(&second);
        await_online(&node, 1);
        node.kill();
        let node = node.restart();
        wait_for("it to serve", LIMIT, || {
            (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
        });
        await_online(&node, 1);
        node.client().ok(&["set", "a", "2"]);
        assert_same(&node, &first);
        assert_same(&first, &second);
        let port = way.port().to_string();
        assert_eq!(second.info("master_port").unwrap(), port, "{kind:?}");
    }
}

/// One that has gone to another primary may have had good reason, and is left alone.
#[test]
fn a_replica_of_somebody_else_is_left_alone() {
    let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let replicas = [replica_of(&node, Kind::Node), replica_of(&node, Kind::Node)];
    node.client().ok(&["set", "a", "1"]);
    for replica in &replicas {
        await_step(&node, replica);
    }
    node.kill();
    // Somebody has seen to it.
    replicas[0].client().ok(&["replicaof", "no", "one"]);
    replicate(&replicas[1], replicas[0].port());
    await_link(&replicas[1]);
    let node = node.restart();
    let before = number(&replicas[0], "total_connections_received");
    replicas[0].client().ok(&["set", "a", "2"]);
    await_step(&replicas[0], &replicas[1]);
    // It looks around twice.
    let _later = wait_until_later(1500);
    assert!(serves_nothing(&node).contains("has heard from 0 of 2"));
    assert_eq!(replicas[0].info("role").unwrap(), "master");
    assert_eq!(replicas[1].client().line("get a").text(), "2");
    assert!(number(&replicas[0], "total_connections_received") > before);
}

/// Nothing can be waited for: nothing is to happen.
fn wait_until_later(ms: u64) -> Option<()> {
    Deadline::after(Duration::from_millis(ms)).wait(|| None)
}

/// The one that has most has taken over, and the primary is gone before it has copied it.
#[test]
fn a_primary_that_is_killed_again_goes_on_where_it_was() {
    for (kind, loses_name) in [
        (Kind::Node, false),
        (Kind::Redis, false),
        (Kind::Node, true),
    ] {
        let mut node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
        // It is taken from after a while, in which the primary goes.
        let replica = Server::start(kind, &[("repl-diskless-sync-delay", "60")]);
        replicate(&replica, node.port());
        await_online(&node, 1);
        let mut client = node.client();
        client.ok(&["set", "a", "1"]);
        node.kill();
        let record = node.dir().join(RECORD);
        let before = std::fs::read_to_string(&record).unwrap();
        let mut node = node.restart();
        wait_for("it to take over", LIMIT, || {
            (replica.info("role")? == "master").then_some(())
        });
        let taken = format!(
            "taken 127.0.0.1:{} 127.0.0.1 {}\n",
            replica.port(),
            node.port()
        );
        let text = std::fs::read_to_string(&record).unwrap();
        assert!(text.contains(&taken), "{text}");
        if !loses_name {
            wait_for("its data to be asked for", LIMIT, || {
                (replica.info("connected_slaves")? == "1").then_some(())
            });
        }
        node.kill();
        if loses_name {
            // As if it had been killed before it has heard how the history is called now.
            let (body, _) = before.split_once("checksum ").unwrap();
            let text = body.replacen("replica ", &format!("{taken}replica "), 1);
            let checksum = slotilla_common::rdb::crc64(text.as_bytes());
            std::fs::write(&record, format!("{text}checksum {checksum:016x}\n")).unwrap();
        }
        let mut writer = replica.client();
        writer.send(b"set a 2\r\n");
        replica
            .client()
            .ok(&["config", "set", "repl-diskless-sync-delay", "0"]);
        let node = node.restart();
        // It is held up until it is a replica again, and then it is told so.
        let refused = writer.read();
        assert!(
            refused
                .error()
                .is_some_and(|text| text.starts_with("READONLY ")),
            "{refused}"
        );
        wait_for("it to serve", LIMIT, || {
            (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
        });
        await_online(&node, 1);
        node.client().ok(&["set", "a", "3"]);
        assert_same(&node, &replica);
        assert_eq!(replica.info("role").unwrap(), "slave");
        assert!(!std::fs::read_to_string(&record).unwrap().contains("taken "));
    }
}

/// A client has its own writes confirmed by fewer: all of those have to be heard that may have them.
#[test]
fn what_a_client_has_had_confirmed_by_fewer_is_not_lost() {
    let mut node = primary(&[("replica-ack-writes", "2"), ("replica-ack-timeout", LONG)]);
    let replicas = [(); 2].map(|()| replica_of(&node, Kind::Node));
    await_online(&node, 2);
    let [mut first, mut second] = replicas;
    second.process().freeze();
    let mut client = node.client();
    client.ok(&["client", "ack-writes", "1"]);
    // Far more than is under way in a connection.
    client.ok(&["set", "big", &"v".repeat(64 << 20)]);
    client.ok(&["set", "a", "1"]);
    first.process().freeze();
    node.kill();
    let node = node.restart();
    second.process().thaw();
    wait_for("one to be heard", LIMIT, || {
        serves_nothing(&node)
            .contains("has heard from 1 of 2")
            .then_some(())
    });
    first.process().thaw();
    wait_for("it to serve", LIMIT, || {
        (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
    });
}

const FLUSHED: [(&str, &str); 4] = [
    ("replica-ack-writes", "1"),
    ("replica-ack-timeout", LONG),
    ("appendonly", "yes"),
    ("appendfsync", "always"),
];

fn record(node: &Server) -> String {
    std::fs::read_to_string(node.dir().join(RECORD)).unwrap()
}

fn await_flushed(node: &Server, is_flushed: bool) {
    let line = "\nflushed appendonlydir/appendonly.aof\n";
    wait_for("the record to tell what the file has", LIMIT, || {
        (record(node).contains(line) == is_flushed).then_some(())
    });
}

/// Its own file has all that it has answered: it need not hear from anybody.
#[test]
fn a_primary_whose_file_has_all_serves_at_once() {
    let mut node = primary(&FLUSHED);
    let mut replica = replica_of(&node, Kind::Node);
    node.client().ok(&["set", "a", "1"]);
    await_flushed(&node, true);
    for value in ["1", "2", "3"] {
        replica.process().freeze();
        node.kill();
        node = node.restart();
        assert_eq!(node.client().line("get a").text(), value);
        // Twice: those who have confirmed are still known.
        assert!(record(&node).contains(&format!("replica 127.0.0.1:{}", replica.port())));
        replica.process().thaw();
        await_online(&node, 1);
        let next: u32 = value.parse().unwrap();
        node.client().ok(&["set", "a", &(next + 1).to_string()]);
        await_flushed(&node, true);
    }
    await_step(&node, &replica);
    assert_eq!(replica.client().line("get a").text(), "4");
}

/// What was answered meanwhile need not be on disk.
#[test]
fn a_primary_whose_file_may_lack_something_waits() {
    for (how, undo) in [
        ("appendfsync everysec", "appendfsync always"),
        ("appendfsync no", "appendfsync always"),
        ("appendonly no", "appendonly yes"),
    ] {
        let mut node = primary(&FLUSHED);
        let mut replica = replica_of(&node, Kind::Node);
        node.client().ok(&["set", "a", "1"]);
        await_flushed(&node, true);
        let set = |node: &Server, what: &str| {
            let line = format!("config set {what}");
            assert_eq!(node.client().line(&line).error(), None);
        };
        set(&node, how);
        await_flushed(&node, false);
        node.client().ok(&["set", "a", "2"]);
        replica.process().freeze();
        node.kill();
        node = node.restart();
        serves_nothing(&node);
        replica.process().thaw();
        wait_for("it to serve", LIMIT, || {
            (node.client().line("get a") == Value::Bulk("2".into())).then_some(())
        });
        await_online(&node, 1);
        // It has its data from another now, which its file has as soon as that is written anew.
        await_flushed(&node, true);
        set(&node, how);
        await_flushed(&node, false);
        node.client().ok(&["set", "a", "3"]);
        set(&node, undo);
        await_flushed(&node, true);
        replica.process().freeze();
        node.kill();
        let node = node.restart();
        assert_eq!(node.client().line("get a").text(), "3", "{how}");
    }
}

/// The file is not the one that the record speaks of, or is not there.
#[test]
fn a_primary_without_its_file_waits() {
    for damage in ["gone", "off", "other"] {
        let mut node = primary(&FLUSHED);
        let mut replica = replica_of(&node, Kind::Node);
        node.client().ok(&["set", "a", "1"]);
        await_flushed(&node, true);
        replica.process().freeze();
        node.kill();
        match damage {
            "gone" => std::fs::remove_dir_all(node.dir().join("appendonlydir")).unwrap(),
            "off" => node.set("appendonly", Some("no")),
            _ => node.set("appendfilename", Some("other.aof")),
        }
        let mut node = node.restart();
        serves_nothing(&node);
        // Nor does it believe in what it has made since.
        node.kill();
        let node = node.restart();
        serves_nothing(&node);
        replica.process().thaw();
        wait_for("it to serve", LIMIT, || {
            (node.client().line("get a") == Value::Bulk("1".into())).then_some(())
        });
    }
}

/// What it is told to do less sure is not done before the record says so.
#[test]
fn the_file_is_flushed_until_the_record_says_otherwise() {
    let mut node = primary(&FLUSHED);
    let mut replica = replica_of(&node, Kind::Node);
    node.client().ok(&["set", "a", "1"]);
    await_flushed(&node, true);
    let obstacle = node.dir().join("temp-replica-acks.state");
    std::fs::create_dir(&obstacle).unwrap();
    let mut client = node.client();
    let refused = client.line("config set appendonly no");
    assert_eq!(
        refused.error(),
        Some(
            "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn \
             off AOF. Check server logs."
        )
    );
    client.ok(&["config", "set", "appendfsync", "everysec"]);
    client.ok(&["set", "a", "2"]);
    wait_for("it to be told", LIMIT, || {
        node.log().contains("cannot be written to").then_some(())
    });
    await_flushed(&node, true);
    std::fs::remove_dir(&obstacle).unwrap();
    await_flushed(&node, false);
    std::fs::create_dir(&obstacle).unwrap();
    client.ok(&["config", "set", "appendfsync", "always"]);
    client.ok(&["set", "a", "3"]);
    await_flushed(&node, false);
    replica.process().freeze();
    node.kill();
    let node = node.restart();
    serves_nothing(&node);
}
