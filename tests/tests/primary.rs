//! A node as the primary of a redis-server, of Valkey and of a node: full copies, the stream under
//! load, links that are cut, replicas that say nothing or take nothing.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::differential::seed;
use slotilla_tests::replication::{
    Cutter, Writers, assert_same, await_link, await_step, fill, replicate,
};
use slotilla_tests::{Client, Kind, Server, wait_for};

const LIMIT: Duration = Duration::from_secs(30);
const KINDS: [Kind; 3] = [Kind::Redis, Kind::Valkey, Kind::Node];

fn node(settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("repl-diskless-sync-delay", "0")];
    all.extend(settings);
    Server::start(Kind::Node, &all)
}

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).unwrap().parse().unwrap()
}

#[test]
fn replicas_of_every_make_have_all_data() {
    let seed = seed();
    let node = node(&[]);
    fill(&node, seed);
    let mut expected = 0;
    for kind in KINDS {
        for load in ["disabled", "swapdb"] {
            let replica = Server::start(kind, &[("repl-diskless-load", load)]);
            replica.client().ok(&["set", "old", "1"]);
            replicate(&replica, node.port());
            assert_same(&node, &replica);
            expected += 1;
            assert_eq!(number(&node, "sync_full"), expected, "{kind:?} {load}");
        }
    }
}

#[test]
fn what_clients_write_reaches_all_replicas() {
    let seed = seed();
    let node = node(&[("io-threads", "2"), ("repl-backlog-size", "64mb")]);
    fill(&node, seed);
    let writers = Writers::start(node.port(), 4, seed);
    writers.await_more(500);
    // They come while clients write, each at its own time.
    let replicas = KINDS.map(|kind| {
        let replica = Server::start(kind, &[]);
        replicate(&replica, node.port());
        await_link(&replica);
        writers.await_more(1000);
        replica
    });
    let _written = writers.stop();
    for replica in &replicas {
        assert_same(&node, replica);
    }
    assert_eq!(node.info("connected_slaves").unwrap(), "3");
    assert_eq!(number(&node, "sync_full"), 3);
}

#[test]
fn a_link_that_is_cut_goes_on_where_it_was() {
    let seed = seed();
    let node = node(&[("repl-backlog-size", "64mb")]);
    fill(&node, seed);
    for kind in KINDS {
        let way = Cutter::start(node.port());
        let replica = Server::start(kind, &[]);
        replicate(&replica, way.port());
        await_link(&replica);
        let before = number(&node, "sync_partial_ok");
        let full = number(&node, "sync_full");
        let writers = Writers::start(node.port(), 3, seed);
        for cuts in 1..=5 {
            writers.await_more(300);
            way.cut();
            wait_for("what is missing to be asked for", LIMIT, || {
                (number(&node, "sync_partial_ok") >= before + cuts).then_some(())
            });
        }
        let _written = writers.stop();
        assert_same(&node, &replica);
        assert_eq!(number(&node, "sync_full"), full, "{kind:?}");
    }
}

#[test]
fn what_is_no_longer_in_the_backlog_is_sent_anew() {
    let node = node(&[("repl-backlog-size", "16kb")]);
    let way = Cutter::start(node.port());
    let replica = Server::start(Kind::Redis, &[]);
    replicate(&replica, way.port());
    await_link(&replica);
    assert_eq!(number(&node, "sync_full"), 1);
    let mut client = node.client();
    // It stays away for longer than the backlog goes back.
    replica.client().line("replicaof 127.0.0.1 1");
    wait_for("the replica to go", LIMIT, || {
        (node.info("connected_slaves")? == "0").then_some(())
    });
    for n in 0..300 {
        client.ok(&["set", &format!("key:{n}"), &"x".repeat(1000)]);
    }
    replicate(&replica, way.port());
    assert_same(&node, &replica);
    assert_eq!(number(&node, "sync_full"), 2);
}

#[test]
fn who_waits_for_a_copy_together_gets_one() {
    let node = Server::start(Kind::Node, &[("repl-diskless-sync-delay", "2")]);
    fill(&node, seed());
    let replicas = [Kind::Redis, Kind::Node, Kind::Redis].map(|kind| Server::start(kind, &[]));
    for replica in &replicas {
        replicate(replica, node.port());
    }
    for replica in &replicas {
        assert_same(&node, replica);
    }
    let copies = node.log().matches("Starting BGSAVE for SYNC").count();
    assert_eq!(copies, 1, "{}", node.log());
}

/// It shares its copy with one that stays, and there is nothing to send for long.
#[test]
fn a_replica_that_goes_in_the_middle_of_a_copy_is_gone_at_once() {
    for start in ["PSYNC ? -1\r\n", "SYNC\r\n"] {
        let node = Server::start(
            Kind::Node,
            &[
                ("repl-diskless-sync-delay", "60"),
                ("repl-diskless-sync-max-replicas", "2"),
                // Longer than anybody here waits.
                ("rdb-key-save-delay", "60000000"),
            ],
        );
        node.client().ok(&["set", "a", "1"]);
        let mut replicas = [node.client(), node.client()];
        for replica in &mut replicas {
            replica.send(b"REPLCONF capa eof\r\n");
            replica.read();
        }
        let [mut one, mut other] = replicas;
        one.send(start.as_bytes());
        other.send(b"PSYNC ? -1\r\n");
        wait_for("the copy", LIMIT, || {
            let begun = number(&node, "rdb_bgsave_in_progress") == 1;
            (begun && number(&node, "connected_slaves") == 2).then_some(())
        });
        drop(one);
        wait_for("one to be gone", LIMIT, || {
            (number(&node, "connected_slaves") == 1).then_some(())
        });
        assert_eq!(number(&node, "rdb_bgsave_in_progress"), 1);
    }
}

/// One that takes a file is told all the while that somebody is here.
#[test]
fn who_is_sent_no_data_yet_hears_of_the_primary() {
    let node = node(&[("rdb-key-save-delay", "60000000")]);
    node.client().ok(&["set", "a", "1"]);
    let mut tool = node.client();
    tool.send(b"SYNC\r\n");
    wait_for("the copy", LIMIT, || {
        (number(&node, "rdb_bgsave_in_progress") == 1).then_some(())
    });
    for _ in 0..4 {
        assert_eq!(tool.read_text_line(), "");
    }
}

/// As tools have it that know nothing of replication but SYNC.
#[test]
fn a_length_comes_first_for_who_knows_no_mark() {
    let node = node(&[]);
    node.client().ok(&["set", "a", "1"]);
    let mut tool = node.client();
    tool.send(b"SYNC\r\n");
    let length = loop {
        let line = tool.read_text_line();
        if let Some(length) = line.strip_prefix('$') {
            break length.parse::<usize>().unwrap();
        }
        assert_eq!(line, "");
    };
    let data = tool.read_bytes(length);
    assert!(data.starts_with(b"REDIS0010"));
    let mut client = node.client();
    for line in [
        "set b 2", "set c 3", "select 3", "set d 4", "select 0", "set e 5",
    ] {
        client.line(line);
    }
    // A SELECT stands where the database changes, and at the beginning.
    let expected = [
        "[SELECT, 0]",
        "[set, b, 2]",
        "[set, c, 3]",
        "[SELECT, 3]",
        "[set, d, 4]",
        "[SELECT, 0]",
        "[set, e, 5]",
    ];
    let read: Vec<String> = expected.iter().map(|_| tool.read().to_string()).collect();
    assert_eq!(read, expected);
}

#[test]
fn what_a_primary_tells_of_its_replicas_is_what_redis_tells() {
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let primary = Server::start(kind, &[("repl-diskless-sync-delay", "0")]);
        let replica = Server::start(Kind::Redis, &[]);
        let port = replica.port().to_string();
        let mut client = primary.client();
        client.ok(&["set", "a", "1"]);
        replicate(&replica, primary.port());
        await_link(&replica);
        client.ok(&["set", "b", "1"]);
        await_step(&primary, &replica);
        let mask = |text: String| text.replace(&port, "PORT");
        let state = || {
            let line = primary.info("slave0")?;
            line.contains("state=online").then_some(line)
        };
        let line = mask(wait_for("the replica to be online", LIMIT, state));
        let line: Vec<&str> = line.split(',').take(3).collect();
        let listed = client.call(&["client", "list", "type", "replica"]).text();
        let flags = listed
            .split(' ')
            .find(|field| field.starts_with("flags="))
            .unwrap()
            .to_owned();
        let role = client.line("role").items().len();
        let refused = [
            "replconf",
            "replconf a",
            "replconf foo bar",
            "replconf listening-port x",
            "replconf capa eof capa psync2",
            "psync ? x",
        ]
        .map(|line| client.line(line).to_string());
        let killed = client.line("client kill type replica").integer();
        (line.join(","), flags, role, refused, killed)
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

#[test]
fn writes_need_as_many_replicas_as_they_are_to() {
    let node = node(&[
        ("min-replicas-to-write", "1"),
        ("min-replicas-max-lag", "3"),
    ]);
    let mut client = node.client();
    let refused = |client: &mut Client| {
        let reply = client.line("set a 1");
        reply
            .error()
            .is_some_and(|text| text == "NOREPLICAS Not enough good replicas to write.")
    };
    wait_for("writes to be refused", LIMIT, || {
        refused(&mut client).then_some(())
    });
    let mut replica = Server::start(Kind::Redis, &[]);
    replicate(&replica, node.port());
    wait_for("writes to be taken", LIMIT, || {
        (!refused(&mut client)).then_some(())
    });
    // What is set holds for the next command.
    for (wanted, is_refused) in [("2", true), ("1", false), ("2", true), ("0", false)] {
        client.ok(&["config", "set", "min-replicas-to-write", wanted]);
        assert_eq!(refused(&mut client), is_refused, "{wanted}");
    }
    // And for a transaction whose writes were taken before.
    client.line("multi");
    client.line("set a 2");
    let mut other = node.client();
    other.ok(&["config", "set", "min-replicas-to-write", "2"]);
    assert_eq!(
        client.line("exec").error(),
        Some(
            "EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to \
             write."
        )
    );
    client.ok(&["config", "set", "min-replicas-to-write", "1"]);
    assert_eq!(client.line("get a").text(), "1");
    replica.kill();
    wait_for("writes to be refused", LIMIT, || {
        refused(&mut client).then_some(())
    });
}

/// As in Redis, where that is a background save, too.
#[test]
fn a_full_copy_shows_as_a_save() {
    let node = node(&[("rdb-key-save-delay", "10000")]);
    fill(&node, seed());
    assert_eq!(number(&node, "rdb_bgsave_in_progress"), 0);
    let replica = Server::start(Kind::Redis, &[]);
    replicate(&replica, node.port());
    wait_for("the copy to be told", LIMIT, || {
        (number(&node, "rdb_bgsave_in_progress") == 1).then_some(())
    });
    node.client()
        .ok(&["config", "set", "rdb-key-save-delay", "0"]);
    assert_same(&node, &replica);
    wait_for("the copy to end", LIMIT, || {
        (number(&node, "rdb_bgsave_in_progress") == 0).then_some(())
    });
}

/// Whoever takes nothing is closed; nobody else notices.
#[test]
fn a_replica_that_takes_nothing_is_closed() {
    let limit = ("client-output-buffer-limit", "replica 4mb 4mb 60");
    let node = node(&[limit, ("repl-backlog-size", "16kb")]);
    let mut deaf = node.client();
    deaf.send(b"REPLCONF capa eof\r\nPSYNC ? -1\r\nREPLCONF ACK 0\r\n");
    wait_for("the replica", LIMIT, || {
        node.info("slave0")?.contains("state=").then_some(())
    });
    let mut client = node.client();
    let value = "x".repeat(100_000);
    wait_for("the replica to be closed", LIMIT, || {
        deaf.try_send(b"REPLCONF ACK 0\r\n").ok();
        for _ in 0..10 {
            client.ok(&["set", "a", &value]);
        }
        (node.info("connected_slaves")? == "0").then_some(())
    });
    let memory = number(&node, "used_memory");
    assert!(memory < 64 << 20, "{memory} bytes are in use");
}

#[test]
fn wait_answers_as_in_redis() {
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let primary = Server::start(kind, &[("repl-diskless-sync-delay", "0")]);
        let mut client = primary.client();
        let alone = [
            "wait 0 0",
            "wait 1 50",
            "wait x 1",
            "wait 1 x",
            "wait 1 -1",
            "wait -1 0",
        ]
        .map(|line| client.line(line).to_string());
        let mut replica = Server::start(Kind::Redis, &[]);
        replicate(&replica, primary.port());
        await_link(&replica);
        client.ok(&["set", "a", "1"]);
        let one = client.line("wait 1 10000").to_string();
        let mut theirs = replica.client();
        let there = theirs.line("get a").text();
        client.ok(&["set", "a", "2"]);
        let two = client.line("wait 2 200").to_string();
        client.ok(&["multi"]);
        client.line("set a 3");
        client.line("wait 2 0");
        let inside = client.line("exec").to_string();
        let at_replica = theirs.line("wait 1 0").to_string();
        // Nobody is left to say that it has it.
        replica.kill();
        wait_for("the replica to go", LIMIT, || {
            (primary.info("connected_slaves")? == "0").then_some(())
        });
        client.ok(&["set", "a", "4"]);
        let none = client.line("wait 1 50").to_string();
        (
            alone,
            one,
            there,
            two,
            inside.split(',').next().map(str::to_owned),
            at_replica,
            none,
        )
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

/// Who waits for ever, and goes, is no longer there.
#[test]
fn a_client_that_goes_while_it_waits_is_gone() {
    let node = node(&[]);
    let mut waiter = node.client();
    waiter.send(b"WAIT 5 0\r\n");
    wait_for("the waiter", LIMIT, || {
        let blocked = node.client().call(&["client", "list"]).text();
        blocked.contains("cmd=wait").then_some(())
    });
    drop(waiter);
    wait_for("it to be gone", LIMIT, || {
        let listed = node.client().call(&["client", "list"]).text();
        (!listed.contains("cmd=wait")).then_some(())
    });
}

/// What it has then is no history that its replicas could follow.
#[test]
fn who_becomes_a_replica_lets_its_replicas_go() {
    let seed = seed();
    let (first, node) = (node(&[]), node(&[]));
    fill(&first, seed);
    node.client().ok(&["set", "own", "1"]);
    let replica = Server::start(Kind::Redis, &[]);
    replicate(&replica, node.port());
    assert_same(&node, &replica);
    // What they have is its data no longer: they get what it gets.
    replicate(&node, first.port());
    assert_same(&first, &node);
    assert_same(&first, &replica);
    assert!(replica.client().line("get own").is_null());
    node.client().line("replicaof no one");
    node.client().ok(&["set", "own", "2"]);
    assert_same(&node, &replica);
    assert_eq!(replica.client().line("get own").text(), "2");
    assert_eq!(number(&node, "sync_full"), 2, "{}", node.log());
}

#[test]
fn a_replica_that_wants_an_answer_is_closed() {
    let node = node(&[]);
    for (request, name, is_of_keys) in [
        ("ping", "ping", false),
        ("slowlog get", "slowlog|get", false),
        ("xinfo help", "xinfo|help", false),
        ("replconf capa eof", "replconf", false),
        ("no-such-command", "<unknown>", false),
        ("get foo", "get", true),
    ] {
        for ask in ["sync", "psync ? -1"] {
            let mut replica = node.client();
            // What has no answer is fine.
            let sent = format!("{ask}\r\n\r\nreplconf ack 0\r\nreplconf getack *\r\n{request}\r\n");
            replica.send(sent.as_bytes());
            let _data = replica.read_to_close();
        }
        let log = node.log();
        let told = format!("Replica generated a reply to command '{name}', disconnecting it: id=");
        assert_eq!(log.matches(&told).count(), 2, "{log}");
        let refused = format!(
            "== CRITICAL == This master is sending an error to its replica: 'Replica can't interact \
             with the keyspace' after processing the command '{name}'"
        );
        assert_eq!(log.contains(&refused), is_of_keys, "{log}");
    }
}

#[test]
fn a_wrong_offset_is_refused_and_told() {
    let node = node(&[]);
    let reply = node.client().line("psync ? offset");
    let refusal = "ERR value is not an integer or out of range";
    assert_eq!(reply.error(), Some(refusal));
    let log = node.log();
    let told =
        "Replica 127.0.0.1:<unknown-replica-port> asks for synchronization but with a wrong offset";
    assert!(log.contains(told), "{log}");
}
