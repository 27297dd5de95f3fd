//! Replies that wait for replicas, and what comes between: protocols, subscriptions, clients that are
//! killed, nodes that stop or change their role, the append-only file, other slots.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotilla_tests::acknowledged::{
    LIMIT, LONG, SHORT, await_online, await_waiting, is_silent, number, primary, replica_of,
    too_few, unconfirmed,
};
use slotilla_tests::append_only::with;
use slotilla_tests::replication::{await_step, replicate, stop_replicating};
use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, wait_for};

const PATIENT: [(&str, &str); 2] = [("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)];
const HASTY: [(&str, &str); 2] = [("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)];

fn starts(reply: &Value, with: &str) {
    let text = reply.error().unwrap_or_default();
    assert!(text.starts_with(with), "{reply}");
}

/// In RESP3 a client that subscribes may write: its messages come in the order in which things were
/// done.
#[test]
fn messages_come_behind_the_replies_that_wait() {
    for settings in [PATIENT, HASTY] {
        let node = primary(&settings);
        node.client()
            .ok(&["config", "set", "notify-keyspace-events", "KA"]);
        let mut replica = replica_of(&node, Kind::Node);
        let mut client = node.client();
        client.line("hello 3");
        client.send(b"subscribe news __keyspace@0__:a\r\n");
        for _ in 0..2 {
            assert!(matches!(client.read(), Value::Push(_)));
        }
        replica.process().freeze();
        client.send(b"set a 1\r\nget a\r\n");
        await_waiting(&node, 1);
        node.client().line("publish news x");
        let is_patient = settings == PATIENT;
        if is_patient {
            assert!(is_silent(&mut client));
            replica.process().thaw();
            assert_eq!(client.read().text(), "OK");
        } else {
            assert_eq!(client.read().error(), Some(&*unconfirmed(0, 1)));
        }
        let mut read = || match client.read() {
            Value::Push(items) => items.last().unwrap().text(),
            reply => reply.text(),
        };
        let rest: Vec<String> = (0..3).map(|_| read()).collect();
        // All that came in one turn was done before the news were.
        assert_eq!(rest, ["set", "1", "x"], "{is_patient}");
        assert_eq!(client.line("ping").text(), "PONG");
    }
}

#[test]
fn what_waits_is_silent_or_an_error_for_those_who_want_no_replies() {
    let node = primary(&HASTY);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    replica.process().freeze();
    // Each waits, and none is heard; nor is the one that is skipped.
    client.send(b"client reply off\r\nset a 1\r\nset a 2\r\nclient reply on\r\nset a 3\r\n");
    assert_eq!(client.read().text(), "OK");
    assert_eq!(client.read().error(), Some(&*unconfirmed(0, 1)));
    client.send(b"set a 4\r\nclient reply skip\r\nset a 5\r\nset a 6\r\nget a\r\n");
    assert_eq!(client.read().error(), Some(&*unconfirmed(0, 1)));
    assert_eq!(client.read().error(), Some(&*unconfirmed(0, 1)));
    assert_eq!(client.read().text(), "6");
    // Behind HELLO 3 errors are the same.
    client.line("hello 3");
    let replies = client.pipeline(&[
        vec!["multi"],
        vec!["set", "a", "7"],
        vec!["get", "a"],
        vec!["exec"],
        vec!["hgetall", "none"],
    ]);
    assert_eq!(replies[3].error(), Some(&*unconfirmed(0, 1)));
    assert_eq!(replies[4], Value::Map(Vec::new()));
}

#[test]
fn a_client_that_is_killed_waits_no_longer() {
    let node = primary(&PATIENT);
    let mut replica = replica_of(&node, Kind::Node);
    replica.process().freeze();
    let mut client = node.client();
    let id = client.line("client id").integer();
    client.send(b"set a 1\r\nget a\r\n");
    await_waiting(&node, 1);
    let killed = node.client().line(&format!("client kill id {id}"));
    assert_eq!(killed, Value::Integer(1));
    assert_eq!(client.read_to_close(), b"");
    await_waiting(&node, 0);
    // One that goes by itself, too.
    let mut client = node.client();
    client.send(b"set a 2\r\n");
    await_waiting(&node, 1);
    let mut last = node.client();
    last.send(b"set a 3\r\nquit\r\nset a 4\r\n");
    await_waiting(&node, 2);
    replica.process().thaw();
    assert_eq!(last.read_to_close(), b"+OK\r\n+OK\r\n");
    assert_eq!(client.read().text(), "OK");
    assert_eq!(client.line("get a").text(), "3");
}

/// Whoever is told nothing does not know; but nobody is told of success.
#[test]
fn a_node_that_stops_confirms_nothing_that_is_not_so() {
    for command in [
        "shutdown",
        "shutdown nosave",
        "shutdown now",
        "shutdown force",
    ] {
        let mut node = primary(&[PATIENT.as_slice(), &[("shutdown-timeout", "1")]].concat());
        let mut replica = replica_of(&node, Kind::Node);
        node.client().ok(&["set", "a", "0"]);
        replica.process().freeze();
        let mut client = node.client();
        client.send(b"set a 1\r\n");
        await_waiting(&node, 1);
        let mut other = node.client();
        other.send(format!("{command}\r\n").as_bytes());
        let heard = client.read_to_close();
        assert!(
            !heard.starts_with(b"+"),
            "{command}: {}",
            heard.escape_ascii()
        );
        let _gone = other.read_to_close();
        let status = node.process().wait_exit(LIMIT);
        assert!(status.success(), "{command}: {status}");
        let node = node.restart();
        starts(&node.client().line("get a"), "MASTERDOWN ");
        replica.process().thaw();
        let value = wait_for("it to serve", LIMIT, || {
            let reply = node.client().line("get a");
            reply.error().is_none().then(|| reply.text())
        });
        // It had been sent, and what is sent a replica takes in, but it had not said so.
        assert!(["0", "1"].contains(&value.as_str()), "{value}");
        await_online(&node, 1);
        node.client().ok(&["set", "a", "2"]);
    }
}

/// Who stops in good order lets its replicas have all.
#[test]
fn what_waits_is_with_the_replicas_before_a_node_stops() {
    let mut node = primary(&[PATIENT.as_slice(), &[("shutdown-timeout", "20")]].concat());
    let mut replica = replica_of(&node, Kind::Node);
    replica.process().freeze();
    let mut client = node.client();
    client.send(b"set a 1\r\n");
    await_waiting(&node, 1);
    let mut other = node.client();
    other.send(b"shutdown\r\n");
    wait_for("it to wait", LIMIT, || {
        node.log()
            .contains("Waiting for replicas before shutting down")
            .then_some(())
    });
    replica.process().thaw();
    // The node may be gone before it has sent that.
    let heard = client.read_to_close();
    assert!([b"+OK\r\n".as_slice(), b""].contains(&&*heard), "{heard:?}");
    let status = node.process().wait_exit(LIMIT);
    assert!(status.success(), "{status}");
    assert_eq!(replica.client().line("get a").text(), "1");
}

#[test]
fn failover_tells_what_the_new_primary_has() {
    let node = primary(&[("replica-ack-writes", "2"), ("replica-ack-timeout", LONG)]);
    let first = replica_of(&node, Kind::Node);
    let mut second = replica_of(&node, Kind::Node);
    second.process().freeze();
    let mut client = node.client();
    client.send(b"set a 1\r\n");
    await_waiting(&node, 1);
    let target = first.port().to_string();
    node.client().ok(&["failover", "to", "127.0.0.1", &target]);
    starts(
        &client.read(),
        "UNCONFIRMED The write was done here, but this node has become",
    );
    starts(&client.line("set a 2"), "READONLY ");
    second.process().thaw();
    wait_for("the first to be the primary", LIMIT, || {
        (first.info("role")? == "master").then_some(())
    });
    // It wants none, so its writes wait for nobody.
    wait_for("it to take writes", LIMIT, || {
        first
            .client()
            .line("set a 3")
            .error()
            .is_none()
            .then_some(())
    });
    await_step(&first, &node);
    assert_eq!(node.client().line("get a").text(), "3");
}

/// What one replica has that takes over is confirmed before the role changes.
#[test]
fn what_was_confirmed_is_there_after_failover() {
    for round in 0..5 {
        let node = primary(&PATIENT);
        let replica = Server::start(Kind::Node, &PATIENT);
        replicate(&replica, node.port());
        await_online(&node, 1);
        let port = node.port();
        let writer = std::thread::spawn(move || {
            let mut client = Client::connect(port);
            let mut confirmed = 0;
            for number in 1..100_000 {
                let reply = client.line(&format!("set n {number}"));
                match reply.error() {
                    None => confirmed = number,
                    Some(error) => {
                        let kind = error.split(' ').next().unwrap();
                        assert!(["UNCONFIRMED", "READONLY"].contains(&kind), "{error}");
                        break;
                    }
                }
            }
            confirmed
        });
        wait_for("something to be written", LIMIT, || {
            let reply = node.client().line("get n");
            (!reply.is_null() && reply.text().parse::<u64>().unwrap() > 50).then_some(())
        });
        let target = replica.port().to_string();
        node.client()
            .ok(&["failover", "to", "127.0.0.1", &target, "timeout", "10000"]);
        wait_for("the replica to be the primary", LIMIT, || {
            (replica.info("role")? == "master").then_some(())
        });
        let confirmed: u64 = writer.join().unwrap();
        let there: u64 = replica.client().line("get n").text().parse().unwrap();
        assert!(there >= confirmed, "round {round}: {there} < {confirmed}");
        // The old one is a replica that confirms.
        await_online(&replica, 1);
        replica.client().ok(&["set", "n", "0"]);
        await_step(&replica, &node);
    }
}

/// The same words in the same places.
#[test]
fn wait_ends_as_in_redis_when_the_node_is_demoted() {
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[("repl-diskless-sync-delay", "0")]);
        let mut waiter = server.client();
        waiter.send(b"set a 1\r\nwait 1 0\r\nget a\r\n");
        wait_for("it to be blocked", LIMIT, || {
            (server.info("blocked_clients")? == "1").then_some(())
        });
        server.client().ok(&["replicaof", "127.0.0.1", "1"]);
        let told: Vec<Value> = (0..2).map(|_| waiter.read()).collect();
        let rest = waiter.read_to_close_or_reply();
        stop_replicating(&server);
        (told, rest)
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

trait Rest {
    /// What comes next: a reply, or the end.
    fn read_to_close_or_reply(&mut self) -> Option<Value>;
}

impl Rest for Client {
    fn read_to_close_or_reply(&mut self) -> Option<Value> {
        self.set_reply_limit(Duration::from_secs(2));
        self.try_read().ok()
    }
}

/// WAIT says the same wherever it stands.
#[test]
fn wait_in_pipelines_is_as_in_redis() {
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[("repl-diskless-sync-delay", "0")]);
        let mut replica = Server::start(Kind::Redis, &[]);
        replicate(&replica, server.port());
        wait_for("it to be online", LIMIT, || {
            server.info("slave0")?.contains("online").then_some(())
        });
        let mut client = server.client();
        let mut told = Vec::new();
        let mut say = |client: &mut Client, lines: &[&str]| {
            let words = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            told.extend(client.pipeline(&words.collect::<Vec<_>>()));
        };
        say(&mut client, &["set a 1", "wait 1 0", "get a", "wait 0 0"]);
        say(
            &mut client,
            &["set a 2", "wait 2 50", "set a 3", "wait 1 5000", "get a"],
        );
        say(
            &mut client,
            &["multi", "set a 4", "wait 5 0", "exec", "wait 1 5000"],
        );
        replica.process().freeze();
        say(&mut client, &["set a 5", "wait 1 20", "wait 1 20", "get a"]);
        say(
            &mut client,
            &["wait -1 10", "wait 1 -1", "wait x 1", "wait 1 x", "wait 1"],
        );
        say(
            &mut client,
            &["client reply skip", "wait 1 20", "get a"].map(|line| line)[2..],
        );
        client.send(b"client reply off\r\nset a 6\r\nwait 1 20\r\nclient reply on\r\nget a\r\n");
        told.extend([client.read(), client.read()]);
        told
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

/// WAIT behind a write that waits already: it begins when that has ended.
#[test]
fn wait_may_follow_a_write_that_waits() {
    let node = primary(&HASTY);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    let replies = client.pipeline(&[vec!["set", "a", "1"], vec!["wait", "1", "1000"]]);
    assert_eq!(replies[1], Value::Integer(1));
    replica.process().freeze();
    let words = ["set a 2", "wait 1 50", "set a 3", "get a", "wait 0 0"];
    let words = words.map(|line| line.split(' ').collect::<Vec<_>>());
    let replies = client.pipeline(&words);
    let unsure = Value::Error(unconfirmed(0, 1));
    let none = Value::Integer(0);
    let expected = [
        unsure.clone(),
        none.clone(),
        unsure,
        Value::Bulk("3".into()),
        none,
    ];
    assert_eq!(replies, expected);
}

/// Both ends of a push hear of it once it is sure.
#[test]
fn a_push_and_the_pop_that_it_serves_are_both_confirmed() {
    let node = primary(&PATIENT);
    let mut replica = replica_of(&node, Kind::Node);
    let mut popper = node.client();
    let mut mover = node.client();
    popper.send(b"blpop l 0\r\n");
    mover.send(b"blmove m n left right 0\r\nget none\r\n");
    wait_for("them to be blocked", LIMIT, || {
        (number(&node, "blocked_clients") == 2).then_some(())
    });
    replica.process().freeze();
    let mut client = node.client();
    client.send(b"multi\r\nrpush l x\r\nrpush m y\r\nexec\r\n");
    await_waiting(&node, 3);
    for waiter in [&mut popper, &mut mover, &mut client] {
        assert!(is_silent(waiter));
    }
    replica.process().thaw();
    for _ in 0..3 {
        assert!(matches!(client.read(), Value::Simple(_)));
    }
    assert_eq!(client.read().to_string(), "[1, 1]");
    assert_eq!(popper.read().to_string(), "[l, x]");
    assert_eq!(mover.read().text(), "y");
    assert!(mover.read().is_null());
    await_step(&node, &replica);
    assert_eq!(replica.client().line("lrange n 0 -1").to_string(), "[y]");
}

/// What counts is what is wanted when it is done.
#[test]
fn a_client_that_has_blocked_before_waits_as_well() {
    let node = primary(&[("replica-ack-timeout", SHORT)]);
    let mut replica = replica_of_quiet(&node);
    let mut popper = node.client();
    popper.send(b"blpop l 0\r\n");
    wait_for("it to be blocked", LIMIT, || {
        (number(&node, "blocked_clients") == 1).then_some(())
    });
    node.client()
        .ok(&["config", "set", "replica-ack-writes", "1"]);
    await_online(&node, 1);
    replica.process().freeze();
    assert_eq!(
        node.client().line("rpush l x").error(),
        Some(&*unconfirmed(0, 1))
    );
    assert_eq!(popper.read().error(), Some(&*unconfirmed(0, 1)));
}

fn replica_of_quiet(primary: &Server) -> Server {
    let replica = Server::start(Kind::Node, &[]);
    replicate(&replica, primary.port());
    wait_for("it to be online", LIMIT, || {
        primary.info("slave0")?.contains("online").then_some(())
    });
    replica
}

/// Whatever happens to the file, what was confirmed is there.
#[test]
fn the_append_only_file_may_come_and_go_meanwhile() {
    let node = primary(&with(&PATIENT));
    let replica = replica_of(&node, Kind::Node);
    let port = node.port();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = Client::connect(port);
                let (mut number, mut confirmed) = (0_u64, 0);
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let reply = client.line(&format!("set w:{writer} {number}"));
                    match reply.error() {
                        None => confirmed = number,
                        Some(error) => assert!(
                            error.starts_with("UNCONFIRMED ")
                                || error.starts_with("NOREPLICAS ")
                                || error.starts_with("LOADING "),
                            "{error}"
                        ),
                    }
                }
                confirmed
            })
        })
        .collect();
    let mut client = node.client();
    for round in 0..6 {
        let done = match round % 3 {
            0 => client.line("debug loadaof"),
            1 => client.line("config set appendonly no"),
            _ => client.line("config set appendonly yes"),
        };
        assert_eq!(done.error(), None, "{round}");
        if round % 3 == 2 {
            wait_for("the file to be on", LIMIT, || {
                (node.info("aof_enabled")? == "1" && node.info("aof_rewrite_in_progress")? == "0")
                    .then_some(())
            });
        }
        await_online(&node, 1);
        let mut last = node.client();
        wait_for("writes to go on", LIMIT, || {
            last.line("set last 1").error().is_none().then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    let confirmed: Vec<u64> = writers.into_iter().map(|one| one.join().unwrap()).collect();
    await_step(&node, &replica);
    for (writer, confirmed) in confirmed.into_iter().enumerate() {
        let key = format!("get w:{writer}");
        for server in [&node, &replica] {
            let there: u64 = server.client().line(&key).text().parse().unwrap();
            assert!(there >= confirmed, "{there} < {confirmed}");
        }
    }
}

/// A client that should write elsewhere is told so, whatever this node lacks.
#[test]
fn a_cluster_s_clients_are_redirected_first() {
    let node = one_node_cluster(Kind::Node, &[("replica-ack-writes", "1")]);
    let mut client = node.client();
    client.ok(&["cluster", "delslots", "15495"]);
    client.ok(&["config", "set", "cluster-require-full-coverage", "no"]);
    wait_for("the rest to be served", LIMIT, || {
        client.line("get b").error().is_none().then_some(())
    });
    let lost = client.line("get a");
    starts(&lost, "CLUSTERDOWN Hash slot not served");
    assert_eq!(client.line("set a 1"), lost);
    assert_eq!(client.line("set b 1").error(), Some(&*too_few(0, 1)));
    client.ok(&["config", "set", "min-replicas-to-write", "1"]);
    assert_eq!(client.line("set a 1"), lost);
    starts(
        &client.line("set b 1"),
        "NOREPLICAS Not enough good replicas",
    );
}
