//! A node as the replica of a redis-server and of Valkey: full copies of every form, the stream under
//! load, links that are cut, restarts, and roles that change.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::differential::seed;
use slotilla_tests::replication::{
    Cutter, Writers, assert_same, await_link, await_step, fill, fingerprint, replicate,
};
use slotilla_tests::{Kind, Server, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

fn primary(kind: Kind, settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("repl-diskless-sync-delay", "0")];
    all.extend(settings);
    Server::start(kind, &all)
}

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).unwrap().parse().unwrap()
}

#[test]
fn all_data_comes_in_every_form_and_into_every_place() {
    let seed = seed();
    for kind in [Kind::Redis, Kind::Valkey] {
        for diskless in ["yes", "no"] {
            let primary = primary(kind, &[("repl-diskless-sync", diskless)]);
            fill(&primary, seed);
            for load in ["disabled", "on-empty-db", "swapdb"] {
                for filled in [false, true] {
                    let node = Server::start(Kind::Node, &[("repl-diskless-load", load)]);
                    if filled {
                        let mut client = node.client();
                        client.ok(&["set", "old", "1"]);
                        client.ok(&["select", "3"]);
                        client.ok(&["set", "old", "2"]);
                    }
                    replicate(&node, primary.port());
                    assert_same(&primary, &node);
                    let reply = node.client().call(&["EXISTS", "old"]);
                    assert_eq!(reply.integer(), 0, "{kind:?} {diskless} {load}");
                    let files = std::fs::read_dir(node.dir()).unwrap().flatten();
                    let left = files.filter(|file| file.file_name() != "output.log");
                    assert_eq!(left.count(), 0, "{kind:?} {diskless} {load}");
                }
            }
        }
    }
}

#[test]
fn a_stream_of_every_command_leaves_both_with_the_same() {
    let seed = seed();
    for kind in [Kind::Redis, Kind::Valkey] {
        let primary = primary(kind, &[]);
        let node = Server::start(Kind::Node, &[("io-threads", "4")]);
        let writers = Writers::start(primary.port(), 4, seed);
        writers.await_more(2_000);
        replicate(&node, primary.port());
        await_link(&node);
        writers.await_more(30_000);
        let written = writers.stop();
        assert_same(&primary, &node);
        println!("{kind:?}: {written} commands");
        assert_eq!(number(&node, "unexpected_error_replies"), 0);
    }
}

#[test]
fn links_that_are_cut_go_on_where_they_were() {
    let seed = seed();
    let primary = primary(Kind::Redis, &[("repl-backlog-size", "64mb")]);
    let node = Server::start(Kind::Node, &[]);
    let cutter = Cutter::start(primary.port());
    fill(&primary, seed);
    replicate(&node, cutter.port());
    await_link(&node);
    let writers = Writers::start(primary.port(), 3, seed);
    for round in 0..12 {
        writers.await_more(300);
        let before = number(&primary, "sync_partial_ok");
        match round % 3 {
            0 => cutter.cut(),
            1 => {
                primary.client().line("client kill type replica");
            }
            _ => {
                node.client().line("client kill type master");
            }
        }
        wait_for("the stream to go on", LIMIT, || {
            (number(&primary, "sync_partial_ok") > before).then_some(())
        });
    }
    let _written = writers.stop();
    assert_same(&primary, &node);
    assert_eq!(number(&primary, "sync_full"), 1);
}

#[test]
fn a_copy_that_breaks_off_leaves_what_was_there() {
    let primary = primary(Kind::Redis, &[("rdbcompression", "no")]);
    let mut client = primary.client();
    for n in 0..200 {
        client.ok(&["set", &format!("k{n}"), &"x".repeat(10_000)]);
    }
    for load in ["disabled", "swapdb"] {
        let node = Server::start(Kind::Node, &[("repl-diskless-load", load)]);
        node.client().ok(&["set", "old", "1"]);
        let before = fingerprint(&node);
        let cutter = Cutter::start(primary.port());
        cutter.cut_after(1_500_000);
        replicate(&node, cutter.port());
        wait_for("two cuts", LIMIT, || (cutter.cuts() >= 2).then_some(()));
        let now = wait_for("an answer", LIMIT, || {
            let answer = node.client().call(&["GET", "old"]);
            answer.error().is_none().then_some(answer)
        });
        assert_eq!(now.text(), "1", "{load}");
        let keys = wait_for("an answer", LIMIT, || {
            let answer = node.client().call(&["DBSIZE"]);
            answer.error().is_none().then_some(answer)
        });
        assert_eq!(keys.integer(), 1, "{load}");
        assert_eq!(before.1, "# Keyspace db0:keys=1,expires=0");
        cutter.cut_after(0);
        assert_same(&primary, &node);
    }
}

#[test]
fn a_node_that_restarts_goes_on_from_its_snapshot() {
    let seed = seed();
    let primary = primary(Kind::Redis, &[]);
    let port = primary.port().to_string();
    let replicaof = format!("127.0.0.1 {port}");
    let node = Server::start(Kind::Node, &[("replicaof", &replicaof)]);
    fill(&primary, seed);
    primary.client().line("select 4");
    await_step(&primary, &node);
    let mut client = primary.client();
    client.ok(&["select", "9"]);
    client.ok(&["set", "last", "1"]);
    await_step(&primary, &node);
    node.client().ok(&["save"]);
    // The stream goes on in the database that it was in.
    client.ok(&["set", "after", "1"]);
    let node = node.restart();
    assert_same(&primary, &node);
    assert_eq!(number(&primary, "sync_full"), 1);
    assert_eq!(number(&primary, "sync_partial_ok"), 1);
    let log = node.log();
    assert!(
        log.contains("Successful partial resynchronization with master."),
        "{log}"
    );
}

#[test]
fn a_snapshot_of_a_replica_has_its_offset_while_it_is_written_to() {
    let seed = seed();
    let primary = primary(Kind::Redis, &[("repl-backlog-size", "64mb")]);
    let replicaof = format!("127.0.0.1 {}", primary.port());
    let mut node = Server::start(Kind::Node, &[("replicaof", &replicaof)]);
    await_link(&node);
    for round in 0..3 {
        let writers = Writers::start(primary.port(), 3, seed.wrapping_add(round));
        writers.await_more(2_000);
        node.client().ok(&["save"]);
        node = node.restart();
        writers.await_more(500);
        let _written = writers.stop();
        assert_same(&primary, &node);
    }
    assert_eq!(number(&primary, "sync_full"), 1);
}

#[test]
fn a_replica_refuses_what_redis_refuses() {
    let (primary, redis) = (primary(Kind::Redis, &[]), Server::start(Kind::Redis, &[]));
    let node = Server::start(Kind::Node, &[]);
    primary.client().ok(&["set", "a", "1"]);
    let both = [&redis, &node];
    for server in both {
        replicate(server, primary.port());
        await_link(server);
    }
    let compare = |lines: &[&str]| {
        let mut clients = both.map(Server::client);
        for line in lines {
            let [theirs, ours] = clients.each_mut().map(|client| client.line(line));
            assert_eq!(ours, theirs, "{line}");
        }
    };
    #[rustfmt::skip]
    let lines = [
        "get a", "set a 2", "del a", "flushall", "publish c x", "blpop l 1", "ping", "multi", "get a",
        "set a 2", "exec", "multi", "get a", "exec", "replicaof a b c", "replicaof a x",
        "replicaof a 65536", "role x", "config set replicaof x", "spop s", "sort a store b", "expire a 9",
        "client list type master x", "client kill type master x", "restore a 0 x",
    ];
    compare(&lines);
    let port = primary.port().to_string();
    compare(&[
        &format!("replicaof 127.0.0.1 {port}"),
        "config get replicaof",
    ]);
    for server in both {
        server
            .client()
            .ok(&["config", "set", "replica-serve-stale-data", "no"]);
    }
    compare(&["get a"]);
    drop(primary);
    for server in both {
        wait_for("the link to be down", LIMIT, || {
            (server.info("master_link_status")? == "down").then_some(())
        });
    }
    compare(&[
        "get a", "set a 1", "ping", "multi", "get a", "exec", "select 1", "dbsize",
    ]);
    for server in both {
        server
            .client()
            .ok(&["config", "set", "replica-read-only", "no"]);
        server
            .client()
            .ok(&["config", "set", "replica-serve-stale-data", "yes"]);
    }
    compare(&[
        "get a",
        "set b 1",
        "replicaof no one",
        "get b",
        "set b 2",
        "replicaof no one",
    ]);
}

#[test]
fn what_a_replica_tells_of_itself_is_what_redis_tells() {
    let primary = primary(Kind::Redis, &[]);
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let fields = |server: &Server| {
        let text = server.client().call(&["INFO", "replication"]).text();
        let passing = [
            "master_last_io_seconds_ago",
            "repl_backlog",
            "master_replid",
            "master_link_down",
        ];
        let lines = text.lines().map(|line| {
            let is_passing = passing.iter().any(|name| line.starts_with(name));
            let shown = if is_passing {
                line.split(':').next()
            } else {
                Some(line)
            };
            shown.unwrap_or_default().to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    let compare = || {
        assert_eq!(fields(&node), fields(&redis));
        let role = |server: &Server| server.client().call(&["ROLE"]);
        assert_eq!(role(&node), role(&redis));
    };
    for server in [&redis, &node] {
        replicate(server, primary.port());
        await_link(server);
    }
    primary.client().ok(&["set", "a", "1"]);
    for server in [&redis, &node] {
        await_step(&primary, server);
    }
    compare();
    for server in [&redis, &node] {
        server.client().ok(&["replicaof", "no", "one"]);
    }
    compare();
}

#[test]
fn keys_whose_time_has_come_are_hidden_until_the_primary_says_so() {
    let primary = primary(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    replicate(&node, primary.port());
    await_link(&node);
    let mut client = primary.client();
    client.ok(&["debug", "set-active-expire", "0"]);
    client.line("set a 1 px 50");
    client.line("set b 1");
    await_step(&primary, &node);
    wait_for("a to be hidden", LIMIT, || {
        node.client().call(&["GET", "a"]).is_null().then_some(())
    });
    assert_eq!(node.client().call(&["DBSIZE"]).integer(), 2, "it is there");
    // The primary says so when somebody looks.
    assert!(client.call(&["GET", "a"]).is_null());
    assert_same(&primary, &node);
    assert_eq!(node.client().call(&["DBSIZE"]).integer(), 1);
    assert_eq!(number(&node, "expired_keys"), 0);
}

#[test]
fn a_primary_that_wants_a_password_gets_it() {
    let primary = primary(Kind::Redis, &[("requirepass", "secret")]);
    let node = Server::start(Kind::Node, &[]);
    replicate(&node, primary.port());
    wait_for("a refusal", LIMIT, || {
        node.log().contains("NOAUTH").then_some(())
    });
    node.client().ok(&["config", "set", "masterauth", "wrong"]);
    wait_for("a refusal", LIMIT, || {
        node.log()
            .contains("Unable to AUTH to MASTER")
            .then_some(())
    });
    node.client().ok(&["config", "set", "masterauth", "secret"]);
    await_link(&node);
    let mut client = primary.client();
    client.ok(&["auth", "secret"]);
    client.ok(&[
        "acl",
        "setuser",
        "copier",
        "on",
        ">other",
        "+psync",
        "+replconf",
        "+ping",
    ]);
    node.client().ok(&[
        "config",
        "set",
        "masterauth",
        "other",
        "masteruser",
        "copier",
    ]);
    node.client().line("client kill type master");
    wait_for("the other user's link", LIMIT, || {
        let replicas = client.call(&["CLIENT", "LIST", "TYPE", "replica"]);
        replicas.text().contains("user=copier").then_some(())
    });
    await_link(&node);
}

#[test]
fn who_waits_is_told_when_the_role_changes() {
    let primary = primary(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let mut waiting = node.client();
    let mut request = Vec::new();
    slotilla_tests::encode(&mut request, &["blpop", "l", "0"]);
    waiting.send(&request);
    wait_for("a client that waits", LIMIT, || {
        (node.info("blocked_clients")? == "1").then_some(())
    });
    replicate(&node, primary.port());
    let told = waiting.read();
    assert!(
        told.error().unwrap().starts_with("UNBLOCKED force unblock"),
        "{told:?}"
    );
    await_link(&node);
}

#[test]
fn a_primary_that_waits_for_its_replica_is_told_at_once() {
    let primary = primary(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    replicate(&node, primary.port());
    await_link(&node);
    let mut client = primary.client();
    for n in 0..20 {
        client.ok(&["set", "a", &n.to_string()]);
        assert_eq!(client.call(&["WAIT", "1", "10000"]).integer(), 1);
        assert_eq!(node.client().call(&["GET", "a"]).text(), n.to_string());
    }
    assert_eq!(number(&primary, "sync_full"), 1);
}
