//! MIGRATE between our node and a real redis-server 7.0.15, both ways: keys arrive as they were,
//! are deleted when they have, and whatever goes wrong is said in Redis's words.
#![cfg(test)]

use std::io::Write;
use std::net::TcpListener;

use slotilla_tests::differential::Command;
use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, wait_until};

fn words(line: &str) -> Command {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// A value of each type, small and big.
fn fill(client: &mut Client) {
    for (count, size) in [(3, 5), (2000, 70)] {
        let element = |n: usize| format!("{n}:{}", "e".repeat(size));
        for (line, has_value) in [
            ("rpush list", false),
            ("sadd set", false),
            ("hset hash", true),
        ] {
            let mut command = words(&format!("{line}:{count}"));
            for n in 0..count {
                command.push(element(n).into_bytes());
                if has_value {
                    command.push(n.to_string().into_bytes());
                }
            }
            assert_eq!(client.call(&command).error(), None);
        }
        let mut command = words(&format!("zadd zset:{count}"));
        for n in 0..count {
            command.extend([format!("{n}.5").into_bytes(), element(n).into_bytes()]);
        }
        assert_eq!(client.call(&command).error(), None);
        client.ok(&["set", &format!("string:{count}"), &"s".repeat(count * size)]);
    }
    client.ok(&["set", "expires", "v", "px", "100000000"]);
}

fn keys(client: &mut Client) -> Vec<String> {
    let keys = client.line("keys *");
    let mut keys: Vec<String> = keys.items().iter().map(Value::text).collect();
    keys.sort();
    keys
}

fn digests(client: &mut Client) -> Vec<(String, String)> {
    let keys = keys(client);
    let digest = |key: String| {
        let digest = client.call(&["debug", "digest-value", &key]);
        (key, digest.items()[0].text())
    };
    keys.into_iter().map(digest).collect()
}

/// MIGRATE of these keys.
fn migrate(from: &mut Client, to: &Server, keys: &[String], options: &str) -> Value {
    let line = format!("migrate 127.0.0.1 {} | 0 10000 {options}", to.port());
    let mut command = words(line.trim_end());
    command[3] = Vec::new();
    command.push(b"keys".to_vec());
    command.extend(keys.iter().map(|key| key.clone().into_bytes()));
    from.call(&command)
}

fn carry(from: &Server, to: &Server) {
    let (mut there, mut here) = (from.client(), to.client());
    let expected = digests(&mut there);
    let all: Vec<String> = expected.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(
        migrate(&mut there, to, &all, "copy"),
        Value::Simple("OK".into())
    );
    assert_eq!(digests(&mut here), expected);
    assert_eq!(keys(&mut there), all);
    assert_eq!(
        migrate(&mut there, to, &all, "replace"),
        Value::Simple("OK".into())
    );
    assert_eq!(digests(&mut here), expected);
    assert!(keys(&mut there).is_empty());
    let ttl = here.line("pttl expires").integer();
    assert!((1..=100_000_000).contains(&ttl), "{ttl}");
    assert_eq!(
        migrate(&mut there, to, &all, ""),
        Value::Simple("NOKEY".into())
    );
}

#[test]
fn keys_go_both_ways() {
    let (ours, theirs) = (
        Server::start(Kind::Node, &[]),
        Server::start(Kind::Redis, &[]),
    );
    fill(&mut ours.client());
    carry(&ours, &theirs);
    carry(&theirs, &ours);
    assert_eq!(ours.info("migrate_cached_sockets").as_deref(), Some("1"));
    // To another of ours, and out of a cluster.
    let other = Server::start(Kind::Node, &[]);
    carry(&ours, &other);
    let cluster = one_node_cluster(Kind::Node, &[]);
    fill(&mut cluster.client());
    let mut client = cluster.client();
    theirs.client().ok(&["flushall"]);
    for key in keys(&mut client) {
        let reply = migrate(&mut client, &theirs, &[key], "");
        assert_eq!(reply, Value::Simple("OK".into()));
    }
    assert_eq!(keys(&mut theirs.client()).len(), 11);
}

#[test]
fn what_goes_wrong_is_said_as_redis_says_it() {
    let stories = [Kind::Redis, Kind::Node].map(|kind| {
        let (source, target) = (Server::start(kind, &[]), Server::start(Kind::Redis, &[]));
        let (mut client, mut there) = (source.client(), target.client());
        let mut story = Vec::new();
        for line in [
            "set a 1",
            "set b 2",
            "P a 0 1000 bogus",
            "P a 0 1000 auth",
            "P a 0 1000 auth2 x",
            "P a 0 1000 keys a",
            "P | 0 1000 keys",
            "P | 0 1000 keys none",
            "P a x 1000",
            "P a 0 x",
            "P none x 1000",
            "P none 0 1000",
            "P a 0 1000 copy",
            // Redis sends the key all the same, so it has to be there already.
            "P a 0 1000 auth pw",
            "P a 0 1000 auth2 u pw",
            "P a 0 1000 copy",
            "P a 0 -5 copy replace",
            "P | 0 0 keys a b none",
            "exists a",
            "exists b",
            "P | 0 0 REPLACE KEYS a b none a",
            "P a 0 0 REPLACE",
            "P | 0 0",
            "exists a",
            "set a 1",
            "P a 3 100 COPY",
            "P a 3 100 COPY",
            "P a 0 100 COPY REPLACE",
            "P a 0 9223372036854775807 COPY REPLACE",
        ] {
            let full = line.replace("P ", &format!("migrate 127.0.0.1 {} ", target.port()));
            let command = words(&full);
            let command = command
                .into_iter()
                .map(|word| if word == b"|" { Vec::new() } else { word });
            let command: Command = command.collect();
            story.push(format!("{line}: {:?}", client.call(&command)));
        }
        story.push(format!("{:?}", there.line("dbsize")));
        there.ok(&["config", "set", "requirepass", "secret"]);
        for options in ["", " auth wrong", " auth secret", " auth2 default secret"] {
            client.line("set a 1");
            let line = format!(
                "migrate 127.0.0.1 {} a 0 1000 replace{options}",
                target.port()
            );
            story.push(format!("{:?}", client.line(&line)));
        }
        for (host, port) in [("127.0.0.1", "1"), ("127.0.0.1", "x"), ("no host", "1")] {
            client.line("set a 1");
            let reply = client.call(&["migrate", host, port, "a", "0", "1000"]);
            story.push(format!("{reply:?}"));
        }
        story
    });
    assert_eq!(stories[0], stories[1]);
}

#[test]
fn changes_are_counted_and_told_as_by_redis() {
    let sides = [Kind::Redis, Kind::Node].map(|kind| {
        let source = Server::start(kind, &[("notify-keyspace-events", "KEAmn")]);
        let target = Server::start(Kind::Redis, &[]);
        let (mut client, mut listener) = (source.client(), source.client());
        listener.line("psubscribe __key*");
        let mut story = Vec::new();
        for line in ["set a 1", "P a copy", "P a", "P a replace", "P a", "P none"] {
            let target = format!("migrate 127.0.0.1 {}", target.port());
            let line = match line
                .strip_prefix("P ")
                .and_then(|rest| rest.split(' ').next())
            {
                Some(key) => format!("{target} {key} 0 1000{}", &line[2 + key.len()..]),
                None => line.to_owned(),
            };
            story.push(format!("{:?}", client.line(&line)));
            listener.send(b"ping\r\n");
            while let [_, _, channel, text] = listener.read().items() {
                story.push(format!("{} {}", channel.text(), text.text()));
            }
            story.push(source.info("rdb_changes_since_last_save").unwrap());
        }
        story.push(source.info("keyspace_hits").unwrap());
        story.push(source.info("keyspace_misses").unwrap());
        story
    });
    assert!(sides[0].iter().any(|told| told.ends_with(":a del")));
    assert_eq!(sides[0], sides[1]);
}

#[test]
fn nothing_is_written_to_another_database_than_the_one_named() {
    let (ours, theirs) = (
        Server::start(Kind::Node, &[]),
        Server::start(Kind::Redis, &[]),
    );
    let mut client = ours.client();
    client.line("set a 1");
    for db in ["77", "-1"] {
        let reply = client.line(&format!("migrate 127.0.0.1 {} a {db} 1000", theirs.port()));
        let expected = "ERR Target instance replied with error: ERR DB index is out of range";
        assert_eq!(reply.error(), Some(expected));
    }
    assert_eq!(theirs.client().line("dbsize"), Value::Integer(0));
    assert_eq!(client.line("exists a"), Value::Integer(1));
}

#[test]
fn a_target_that_is_silent_holds_up_nobody_else() {
    let node = Server::start(Kind::Node, &[("io-threads", "1")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (mut client, mut other) = (node.client(), node.client());
    client.line("set a 1");
    other.line("set b 2");
    client.send(format!("migrate 127.0.0.1 {port} a 0 1500\r\n").as_bytes());
    wait_until("the command to be away", || {
        node.info("blocked_clients").as_deref() == Some("1")
    });
    for _ in 0..100 {
        assert_eq!(other.line("get b").text(), "2");
    }
    assert_eq!(node.info("blocked_clients").as_deref(), Some("1"));
    let expected = "IOERR error or timeout reading to target instance";
    assert_eq!(client.read().error(), Some(expected));
    assert_eq!(other.line("get a").text(), "1");
    assert_eq!(node.info("migrate_cached_sockets").as_deref(), Some("0"));
}

/// So many run at one time as there are places for long commands: whoever closes one makes room.
#[test]
fn a_client_that_is_closed_gives_its_place_up() {
    const PLACES: usize = 4;
    let node = Server::start(Kind::Node, &[("io-threads", "1")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (mut client, mut next) = (node.client(), node.client());
    let figure = |name: &str| {
        let (_, metrics) = node.admin("/metrics");
        let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.to_owned())
    };
    let running =
        |count: usize| figure("slotilla_node_long_commands_running") == Some(count.to_string());
    let mut away: Vec<(Client, String)> = (0..PLACES)
        .map(|number| {
            let mut client = node.client();
            let id = client.line("client id").integer().to_string();
            client.line(&format!("set key:{number} 1"));
            client.send(format!("migrate 127.0.0.1 {port} key:{number} 0 600000\r\n").as_bytes());
            (client, id)
        })
        .collect();
    wait_until("all places to be taken", || running(PLACES));
    client.ok(&["set", "next", "1"]);
    next.send(format!("migrate 127.0.0.1 {port} next 0 100\r\n").as_bytes());
    wait_until("it to wait for a place", || {
        figure("slotilla_node_slot_waiters").as_deref() == Some("1")
    });
    let (_closed, id) = away.remove(0);
    assert_eq!(client.line(&format!("client kill id {id}")).integer(), 1);
    let expected = "IOERR error or timeout reading to target instance";
    assert_eq!(next.read().error(), Some(expected));
    wait_until("its place to be free", || running(PLACES - 1));
    for (_, id) in &away {
        client.line(&format!("client kill id {id}"));
    }
    wait_until("all places to be free", || running(0));
    assert_eq!(client.line("dbsize").integer(), PLACES as i64 + 1);
    assert_eq!(client.line("get key:0").text(), "1");
}

#[test]
fn in_a_transaction_it_holds_up_nobody_else_either() {
    let node = Server::start(Kind::Node, &[("io-threads", "1")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (mut client, mut other) = (node.client(), node.client());
    client.line("set a 1");
    other.line("set b 2");
    client.line("multi");
    let target = port.to_string();
    let migrate = [
        "migrate",
        "127.0.0.1",
        &target,
        "",
        "0",
        "1500",
        "keys",
        "a",
        "c",
    ];
    assert_eq!(client.call(&migrate), Value::Simple("QUEUED".into()));
    client.send(b"exec\r\n");
    wait_until("the transaction to be away", || {
        node.info("blocked_clients").as_deref() == Some("1")
    });
    assert_eq!(other.line("get b").text(), "2");
    assert_eq!(node.info("blocked_clients").as_deref(), Some("1"));
    let expected = "IOERR error or timeout reading to target instance";
    assert_eq!(client.read().items()[0].error(), Some(expected));
    assert_eq!(other.line("get a").text(), "1");
}

/// A target that is something else, which greets whoever connects, or answers too much.
#[test]
fn a_target_that_is_no_node_gets_no_key() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    for (said, expected) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "reading"),
        (b"\r\n", "reading"),
        (b"$-1\r\n", "reading"),
        (b"+OK", "reading"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = said.to_vec();
        let other = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(&said).unwrap();
            // Until the node closes it.
            let _closed = std::io::copy(&mut socket, &mut std::io::sink());
        });
        client.line("set k 1");
        let reply = client.line(&format!("migrate 127.0.0.1 {port} k 0 300"));
        let expected = format!("IOERR error or timeout {expected} to target instance");
        assert_eq!(reply.error(), Some(&*expected));
        assert_eq!(client.line("get k").text(), "1");
        other.join().unwrap();
    }
    // More replies than were asked for.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"+OK\r\n+OK\r\n").unwrap();
        let _closed = std::io::copy(&mut socket, &mut std::io::sink());
    });
    let reply = client.line(&format!("migrate 127.0.0.1 {port} k 0 300"));
    assert_eq!(reply, Value::Simple("OK".into()));
    assert_eq!(node.info("migrate_cached_sockets").as_deref(), Some("0"));
    other.join().unwrap();
}

#[test]
fn a_kept_connection_that_was_cut_is_made_again() {
    let (ours, theirs) = (
        Server::start(Kind::Node, &[]),
        Server::start(Kind::Redis, &[]),
    );
    let mut client = ours.client();
    for n in 0..3 {
        client.line(&format!("set key:{n} {n}"));
        let reply = migrate(&mut client, &theirs, &[format!("key:{n}")], "");
        assert_eq!(reply, Value::Simple("OK".into()));
        let killed = theirs.client().line("client kill type normal skipme yes");
        assert_eq!(killed.error(), None);
    }
    assert_eq!(theirs.client().line("dbsize"), Value::Integer(3));
    assert_eq!(ours.info("migrate_cached_sockets").as_deref(), Some("1"));
}
