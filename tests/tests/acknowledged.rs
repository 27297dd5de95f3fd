//! `replica-ack-writes`: what a write's reply waits for, and what a client is told when that does not
//! come.
#![cfg(test)]

use slotilla_tests::acknowledged::{
    LIMIT, LONG, SHORT, await_online, is_silent, number, primary, replica_of, unconfirmed,
};
use slotilla_tests::replication::{await_link, await_step, replicate, stop_replicating};
use slotilla_tests::{Client, Deadline, Kind, Server, Value, wait_for};

#[test]
fn a_write_is_answered_once_a_replica_has_it() {
    for kind in [Kind::Node, Kind::Redis] {
        let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
        let mut client = node.client();
        let refused = client.line("set a 0");
        assert_eq!(
            refused.error(),
            Some(
                "NOREPLICAS Not enough replicas to confirm a write: 0 of 1 are connected. It was \
                 not done."
            )
        );
        assert_eq!(client.line("get a"), Value::NullBulk);
        let mut replica = replica_of(&node, kind);
        client.ok(&["set", "a", "1"]);
        // Nobody else has to ask it to be told.
        assert_eq!(replica.client().line("get a").text(), "1");
        replica.process().freeze();
        client.send(b"set a 2\r\n");
        assert!(is_silent(&mut client), "{kind:?}");
        // Those who only read go on, and so do writes that wait for nobody.
        let mut other = node.client();
        assert_eq!(other.line("get a").text(), "2");
        other.ok(&["client", "ack-writes", "0"]);
        other.ok(&["set", "b", "1"]);
        assert_eq!(number(&node, "replica_ack_waiting_clients"), 1);
        let (_, metrics) = node.admin("/metrics");
        assert!(metrics.contains("slotilla_node_replica_ack_waiting_clients 1"));
        replica.process().thaw();
        assert_eq!(client.read().text(), "OK");
        assert_eq!(number(&node, "replica_ack_waiting_clients"), 0);
        assert_eq!(number(&node, "replica_ack_unconfirmed"), 0);
        assert_eq!(number(&node, "replica_ack_refused"), 1);
    }
}

#[test]
fn what_is_unconfirmed_is_told_in_its_place() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)]);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    client.ok(&["set", "s", "x"]);
    replica.process().freeze();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lines = [
        "get s",
        "set a 1",
        "get a",
        "lpush s x",
        "del none",
        "echo e",
        "incr a",
        "multi",
        "set b 1",
        "get b",
        "exec",
        "multi",
        "get b",
        "exec",
        "ping",
    ];
    let unsure = Value::Error(unconfirmed(0, 1));
    let replies = client.pipeline(&lines.map(words));
    let text = |text: &str| Value::Bulk(text.into());
    let simple = |text: &str| Value::Simple(text.into());
    let queued = simple("QUEUED");
    let expected = [
        text("x"),
        unsure.clone(),
        text("1"),
        // It has done nothing, and fails for what was there before.
        Value::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into()),
        // It has done nothing, but tells of what others may have done.
        unsure.clone(),
        text("e"),
        unsure.clone(),
        simple("OK"),
        queued.clone(),
        queued.clone(),
        unsure.clone(),
        simple("OK"),
        queued,
        Value::Array(vec![text("1")]),
        simple("PONG"),
    ];
    for ((line, reply), expected) in lines.iter().zip(&replies).zip(&expected) {
        assert_eq!(reply, expected, "{line}");
    }
    assert_eq!(number(&node, "replica_ack_unconfirmed"), 4);
    // The client goes on, and what was unconfirmed is sure once the replica has it.
    assert_eq!(client.line("set a 1 nx"), unsure);
    replica.process().thaw();
    wait_for("the replica to confirm", LIMIT, || {
        (client.line("set a 1 nx") == Value::NullBulk).then_some(())
    });
    assert_eq!(replica.client().line("get a").text(), "2");
}

#[test]
fn who_wants_no_replies_gets_no_error_either() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)]);
    let mut replica = replica_of(&node, Kind::Node);
    replica.process().freeze();
    let mut client = node.client();
    client.send(
        b"client reply skip\r\nset a 1\r\nclient reply off\r\nset a 2\r\nclient reply on\r\n",
    );
    assert_eq!(client.read().text(), "OK");
    assert_eq!(client.line("get a").text(), "2");
}

#[test]
fn what_a_blocked_client_is_served_waits_too() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)]);
    let mut replica = replica_of(&node, Kind::Node);
    let mut popper = node.client();
    popper.send(b"blpop l 0\r\nblpop m 0.01\r\nping\r\n");
    wait_for("it to be blocked", LIMIT, || {
        (number(&node, "blocked_clients") == 1).then_some(())
    });
    replica.process().freeze();
    let mut client = node.client();
    client.send(b"rpush l x\r\n");
    let unsure = Value::Error(unconfirmed(0, 1));
    assert_eq!(client.read(), unsure);
    assert_eq!(popper.read(), unsure);
    // Who was not served has written nothing.
    assert_eq!(popper.read(), Value::NullArray);
    assert_eq!(popper.read().text(), "PONG");
    replica.process().thaw();
    popper.send(b"blpop l 0\r\n");
    wait_for("the replica to confirm", LIMIT, || {
        (client.line("rpush l y") == Value::Integer(1)).then_some(())
    });
    assert_eq!(popper.read().to_string(), "[l, y]");
}

#[test]
fn a_long_command_waits_and_so_does_what_came_before() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", SHORT)]);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    let members: Vec<String> = (0..200_000).map(|n| n.to_string()).collect();
    for part in members.chunks(20_000) {
        let words = ["sadd", "big"].into_iter();
        let words: Vec<&str> = words.chain(part.iter().map(String::as_str)).collect();
        wait_for("it to be confirmed", LIMIT, || {
            client.call(&words).error().is_none().then_some(())
        });
    }
    await_step(&node, &replica);
    replica.process().freeze();
    client.send(b"set a 1\r\nsunionstore other big big\r\nget a\r\n");
    let unsure = Value::Error(unconfirmed(0, 1));
    assert_eq!(client.read(), unsure);
    assert_eq!(client.read(), unsure);
    assert_eq!(client.read().text(), "1");
}

#[test]
fn a_connection_says_what_its_own_writes_wait_for() {
    let node = primary(&[("replica-ack-timeout", SHORT)]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["client", "ack-writes", "majority"]);
    let error = |reply: Value| reply.error().unwrap_or_default().to_owned();
    assert!(error(client.line("set a 2")).starts_with("NOREPLICAS "));
    let mut replica = replica_of(&node, Kind::Node);
    client.ok(&["set", "a", "2"]);
    client.ok(&["client", "ack-writes", "2"]);
    assert_eq!(
        error(client.line("set a 3")),
        "NOREPLICAS Not enough replicas to confirm a write: 1 of 2 are connected. It was not done."
    );
    assert_eq!(client.line("get a").text(), "2");
    client.line("multi");
    assert!(error(client.line("set a 3")).starts_with("NOREPLICAS "));
    assert!(error(client.line("exec")).starts_with("EXECABORT "));
    client.ok(&["client", "ack-writes", "1"]);
    replica.process().freeze();
    assert_eq!(error(client.line("set a 3")), unconfirmed(0, 1));
    client.ok(&["client", "ack-writes", "default"]);
    client.ok(&["set", "a", "4"]);
    client.ok(&["client", "ack-writes", "1"]);
    assert_eq!(client.line("reset").text(), "RESET");
    client.ok(&["set", "a", "5"]);
    for wrong in ["x", "-1", "33", ""] {
        assert_eq!(
            error(client.call(&["client", "ack-writes", wrong])),
            "ERR argument must be a number of replicas between 0 and 32, majority or default"
        );
    }
    assert_eq!(
        error(client.line("config set replica-ack-writes 33")),
        "ERR CONFIG SET failed (possibly related to argument 'replica-ack-writes') - argument must \
         be a number of replicas between 0 and 32, or majority"
    );
}

#[test]
fn a_majority_counts_those_that_were_there() {
    let node = primary(&[
        ("replica-ack-writes", "majority"),
        ("replica-ack-timeout", SHORT),
    ]);
    let mut replicas: Vec<Server> = (0..3).map(|_| replica_of(&node, Kind::Node)).collect();
    let mut client = node.client();
    let wanted = |client: &mut Client| client.line("set a 1").error().map(str::to_owned);
    // Two of three, with the primary, are three of four.
    assert_eq!(number(&node, "replica_ack_wanted"), 2);
    assert_eq!(wanted(&mut client), None);
    replicas[0].process().freeze();
    assert_eq!(wanted(&mut client), None);
    replicas[1].process().freeze();
    assert_eq!(wanted(&mut client), Some(unconfirmed(1, 2)));
    replicas[0].kill();
    replicas[1].kill();
    await_online(&node, 1);
    assert_eq!(number(&node, "replica_ack_known"), 3);
    assert!(wanted(&mut client).unwrap().starts_with("NOREPLICAS "));
    // Somebody says that they do not come back.
    client.ok(&["config", "set", "replica-ack-writes", "majority"]);
    assert_eq!(wanted(&mut client), None);
}

#[test]
fn a_replica_that_is_killed_no_longer_counts() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    replica.process().freeze();
    client.send(b"set a 2\r\n");
    assert!(is_silent(&mut client));
    replica.kill();
    await_online(&node, 0);
    let mut other = node.client();
    assert!(other.line("set b 1").error().is_some());
    // It may come back, with what it lacks: then what waits is answered.
    let replica = replica.restart();
    replicate(&replica, node.port());
    assert_eq!(client.read().text(), "OK");
    assert_eq!(replica.client().line("get a").text(), "2");
}

#[test]
fn whoever_becomes_a_replica_confirms_nothing() {
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut replica = replica_of(&node, Kind::Node);
    let mut client = node.client();
    replica.process().freeze();
    client.send(b"set a 1\r\n");
    assert!(is_silent(&mut client));
    node.client().ok(&["replicaof", "127.0.0.1", "1"]);
    let reply = client.read();
    assert!(
        reply.error().unwrap().starts_with("UNCONFIRMED "),
        "{reply}"
    );
    stop_replicating(&node);
    assert!(
        client
            .line("set a 1")
            .error()
            .unwrap()
            .starts_with("NOREPLICAS ")
    );
}

#[test]
fn one_question_is_for_all_who_wait() {
    const CLIENTS: usize = 200;
    let node = primary(&[("replica-ack-writes", "1"), ("replica-ack-timeout", LONG)]);
    let mut replica = replica_of(&node, Kind::Node);
    let questions = || {
        let (_, metrics) = node.admin("/metrics");
        let name = "slotilla_node_replica_ack_questions_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    replica.process().freeze();
    let before = questions();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| node.client()).collect();
    let await_waiting = |count: usize| {
        wait_for("clients to wait", LIMIT, || {
            (number(&node, "replica_ack_waiting_clients") == count as u64).then_some(())
        });
    };
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(if number % 2 == 0 {
            b"incr a\r\n"
        } else {
            b"wait 1 0\r\n"
        });
        if number == 0 {
            // Before there is anything to wait for nobody waits.
            await_waiting(1);
        }
    }
    await_waiting(CLIENTS);
    replica.process().thaw();
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = client.read();
        assert_eq!(reply.error(), None, "{number}");
    }
    let asked = questions() - before;
    assert!(asked <= 3, "{asked} questions");
}

#[test]
fn waits_are_ended_by_client_unblock_as_in_redis() {
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[("repl-diskless-sync-delay", "0")]);
        let mut waiter = server.client();
        let id = waiter.line("client id").integer().to_string();
        let mut client = server.client();
        let mut told = Vec::new();
        for reason in ["", "timeout", "error"] {
            waiter.send(b"wait 1 0\r\n");
            wait_for("it to be blocked", LIMIT, || {
                (server.info("blocked_clients")? == "1").then_some(())
            });
            told.push(client.line(&format!("client unblock {id} {reason}")));
            told.push(waiter.read());
            told.push(client.line(&format!("client unblock {id} {reason}")));
        }
        told
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

/// `min-replicas-to-write` follows at once.
#[test]
fn enough_replicas_are_noticed_at_once() {
    let node = primary(&[]);
    let mut replica = replica_of_any(&node);
    let mut client = node.client();
    for _ in 0..20 {
        client.ok(&["config", "set", "min-replicas-to-write", "2"]);
        assert!(client.line("set a 1").error().is_some());
        client.ok(&["config", "set", "min-replicas-to-write", "1"]);
        client.ok(&["set", "a", "1"]);
    }
    replica.kill();
    let deadline = Deadline::after(LIMIT);
    while node.info("connected_slaves").unwrap() != "0" {
        assert!(!deadline.is_over());
    }
    assert!(client.line("set a 1").error().is_some());
}

fn replica_of_any(primary: &Server) -> Server {
    let replica = Server::start(Kind::Redis, &[]);
    replicate(&replica, primary.port());
    await_link(&replica);
    wait_for("it to be online", LIMIT, || {
        primary
            .info("slave0")?
            .contains("state=online")
            .then_some(())
    });
    replica
}
