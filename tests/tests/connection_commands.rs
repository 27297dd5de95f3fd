//! PING, HELLO, AUTH, SELECT, CLIENT, DEBUG and their errors: a node and a real redis-server get
//! the same requests and must give the same replies.
#![cfg(test)]

use slotilla_tests::{Client, Kind, Server, Value, wait_until};

const PLAIN: &[(&str, &str)] = &[("cluster-enabled", "no"), ("enable-debug-command", "yes")];

fn pair(settings: &[(&str, &str)]) -> (Server, Server) {
    (
        Server::start(Kind::Redis, settings),
        Server::start(Kind::Node, settings),
    )
}

fn assert_same(lines: &[&str], settings: &[(&str, &str)]) {
    let (redis, node) = pair(settings);
    let (mut theirs, mut ours) = (redis.client(), node.client());
    for line in lines {
        let (expected, given) = (theirs.line(line), ours.line(line));
        assert_eq!(given, expected, "{line}\nlog:\n{}", node.log());
    }
}

#[rustfmt::skip] // Read like a script, several requests a line.
const SIMPLE: &[&str] = &[
    "ping", "PING hello", "ping a b", "echo x", "echo", "select 1", "select 15", "select 16",
    "select abc", "select 99999999999", "select -1", "select 0", "foo", "foo bar baz", "auth a",
    "auth a b", "auth a b c", "auth default b", "client getname", "client setname x",
    "client getname", "client setname \"a b\"", "client setname \"\"", "client getname", "client",
    "client foo", "client foo bar", "client setinfo lib-name x", "client id x", "client getredir",
    "client trackinginfo", "client caching yes", "client unblock 999", "client unblock abc",
    "client unblock 1 foo", "client no-evict on", "client no-evict off", "client no-evict foo",
    "client reply foo", "client pause abc", "client pause -1", "client pause 1 foo",
    "client pause", "client list type foo", "client list id", "client list id x",
    "client list foo bar", "client kill foo", "client kill 1.1.1.1:1", "client kill id 0",
    "client kill id abc", "client kill type foo", "client kill addr 1:2",
    "client kill user nobody", "client kill skipme maybe", "client kill laddr 1:2 skipme no",
    "client kill id 9999999", "client unpause", "client unpause x", "shutdown foo",
    "shutdown save nosave", "shutdown abort", "time x", "monitor x", "debug", "debug nosuch",
    "debug sleep", "debug sleep 0", "debug protocol foo", "debug protocol",
    "debug set-active-expire 1", "debug object nokey", "debug populate x",
    "debug populate 3 p -1", "debug log x", "reset", "get", "set a", "info a b c d nosuch",
];

#[test]
fn simple_commands_and_their_errors() {
    assert_same(SIMPLE, PLAIN);
}

#[test]
fn every_type_of_reply_in_both_protocols() {
    let kinds = "string integer double bignum null array set map attrib push verbatim true false";
    let (redis, node) = pair(PLAIN);
    for protocol in ["2", "3"] {
        for kind in kinds.split(' ') {
            // A fresh connection for each: a push and its reply are two values.
            let raw = |server: &Server| {
                let mut client = server.client();
                client.call(&["hello", protocol]);
                client.send(format!("debug protocol {kind}\r\nquit\r\n").as_bytes());
                client.read_to_close()
            };
            assert_eq!(raw(&node), raw(&redis), "{kind} in RESP{protocol}");
        }
    }
}

#[test]
fn hello_greets_and_refuses_as_redis_does() {
    assert_same(
        &[
            "hello abc",
            "hello 4",
            "hello 1",
            "hello 2 foo",
            "hello 3 setname",
            "hello 2 setname",
            "hello 2 auth a",
            "hello 3 auth default",
            "hello 2 setname \"a b\"",
            "hello 3 auth nobody x",
            "hello 2 extra words here",
        ],
        PLAIN,
    );
    let (redis, node) = pair(PLAIN);
    for line in [
        "hello",
        "hello 3",
        "hello 3 setname joe",
        "hello 2 auth default any setname x",
    ] {
        let greet = |server: &Server| {
            let mut client = server.client();
            let greeting = client.line(line);
            let name = client.line("client getname");
            let fields = ["server", "version", "proto", "mode", "role", "modules"];
            (fields.map(|field| greeting.entry(field)), name)
        };
        assert_eq!(greet(&node), greet(&redis), "{line}");
    }
}

#[test]
fn what_hello_has_read_holds_whatever_follows() {
    let (redis, node) = pair(PLAIN);
    for line in [
        "hello 3 setname joe nonsense",
        "hello 3 setname joe auth nobody x",
    ] {
        let tried = |server: &Server| {
            let mut client = server.client();
            [line, "client getname"].map(|line| client.line(line))
        };
        let (expected, given) = (tried(&redis), tried(&node));
        assert_eq!(given, expected, "{line}");
        assert_eq!(expected[1].text(), "joe");
    }
}

#[test]
fn errors_quote_the_bytes_that_were_sent() {
    const ODD: &[u8] = b"\xff\xc3 \xc3\xa9\0more";
    let (redis, node) = pair(PLAIN);
    let commands: &[&[&[u8]]] = &[
        &[ODD],
        &[b"nosuch", ODD, ODD],
        &[b"client", ODD],
        &[b"object", ODD],
        &[b"debug", ODD],
        &[b"hello", b"2", ODD],
        &[b"config", b"set", ODD, b"1"],
        &[b"client", b"kill", b"type", ODD],
        &[b"client", b"kill", b"user", ODD],
        &[b"client", b"list", b"type", ODD],
        &[b"expire", b"key", b"1", ODD],
        &[b"function", b"list", ODD],
        &[b"latency", b"graph", ODD],
        &[b"pubsub", b"channels", b"a", ODD],
        &[b"pfdebug", ODD, b"counted"],
    ];
    let mut clients = [redis.client(), node.client()];
    for command in commands {
        let [expected, given] = clients.each_mut().map(|client| {
            client.call(&["pfadd", "counted", "a"]);
            client.call(command)
        });
        assert_eq!(given, expected);
        assert!(expected.error().is_some(), "{expected}");
    }
    // Within a transaction too, which they spoil.
    for client in &mut clients {
        client.ok(&["multi"]);
        let error = client.call(&[b"nosuch", ODD]);
        assert!(
            error.error().unwrap().contains("\\xff\\xc3 \u{e9}"),
            "{error}"
        );
        let end = client.call(&[&b"exec"[..], ODD]);
        assert!(end.error().unwrap().starts_with("EXECABORT"), "{end}");
    }
}

#[test]
fn a_pause_whose_end_no_integer_holds_is_over() {
    let (redis, node) = pair(PLAIN);
    for server in [&redis, &node] {
        let mut client = server.client();
        for pause in ["9223372036854775807", "9223372036854775000"] {
            client.ok(&["client", "pause", pause, "write"]);
            client.ok(&["set", "a", pause]);
        }
        client.ok(&["client", "pause", "9223370000000000000", "write"]);
        client.ok(&["client", "unpause"]);
        client.ok(&["set", "a", "b"]);
        let error = client.line("client pause 9223372036854775808 write");
        assert_eq!(
            error.error(),
            Some("ERR timeout is not an integer or out of range")
        );
    }
}

#[test]
fn nothing_but_the_password_opens_the_door() {
    let settings = &[("cluster-enabled", "no"), ("requirepass", "secret")];
    assert_same(
        &[
            "get a",
            "ping",
            "foo",
            "hello 3",
            "hello",
            "client id",
            "auth wrong",
            "auth secret x",
            "auth nobody secret",
            "hello 3 auth default wrong",
            "get a",
            "auth secret",
            "get a",
            "reset",
            "get a",
            "auth default secret",
            "ping",
            "quit",
        ],
        settings,
    );
}

#[test]
fn replies_can_be_turned_off() {
    let (redis, node) = pair(PLAIN);
    let input = b"client reply off\r\nping\r\nset a b\r\nclient reply on\r\nping\r\n\
        client reply skip\r\nping one\r\nping two\r\nclient reply skip\r\nclient reply skip\r\n\
        ping three\r\nping four\r\nnosuch\r\nclient reply skip\r\nnosuch\r\nping five\r\nquit\r\n";
    let talk = |server: &Server| {
        let mut client = server.client();
        client.send(input);
        String::from_utf8(client.read_to_close()).unwrap()
    };
    assert_eq!(talk(&node), talk(&redis));
}

#[test]
fn a_killed_client_is_gone_and_one_that_kills_itself_hears_it_first() {
    let (_redis, node) = pair(PLAIN);
    let (mut killer, mut victim) = (node.client(), node.client());
    let id = victim.line("client id").integer().to_string();
    assert_eq!(killer.call(&["client", "kill", "id", &id]).integer(), 1);
    assert!(victim.read_to_close().is_empty());
    let mine = killer.line("client id").integer().to_string();
    assert_eq!(killer.call(&["client", "kill", "id", &mine]).integer(), 0);
    killer.send(format!("client kill id {mine} skipme no\r\nping\r\n").as_bytes());
    assert_eq!(killer.read_to_close(), b":1\r\n");
    wait_until("both to be forgotten", || {
        node.client().line("client list").text().lines().count() == 1
    });
}

#[test]
fn a_pause_holds_writes_back_until_it_ends() {
    let (_redis, node) = pair(PLAIN);
    let (mut boss, mut writer) = (node.client(), node.client());
    boss.ok(&["client", "pause", "100000", "write"]);
    assert!(writer.line("get a").is_null());
    writer.send(b"set a 1\r\nget a\r\n");
    assert!(boss.line("get a").is_null());
    boss.ok(&["client", "unpause"]);
    assert_eq!(writer.read().text(), "OK");
    assert_eq!(writer.read().text(), "1");
}

#[test]
fn a_reply_to_be_skipped_is_skipped_after_a_pause_too() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, PLAIN);
        let (mut boss, mut client) = (server.client(), server.client());
        boss.ok(&["client", "pause", "100000", "write"]);
        client.send(b"CLIENT REPLY SKIP\r\nSET k v\r\nPING\r\n");
        wait_until("the client to wait", || blocked(&mut boss) == 1);
        assert!(boss.line("client list").text().contains(" flags=b "));
        boss.ok(&["client", "unpause"]);
        assert_eq!(client.read().text(), "PONG", "{kind:?}");
        assert_eq!(boss.line("get k").text(), "v", "{kind:?}");
        assert_eq!(blocked(&mut boss), 0, "{kind:?}");
    }
}

/// How many clients wait, as INFO says.
fn blocked(watcher: &mut Client) -> usize {
    let info = watcher.line("info clients").text();
    let mut lines = info.lines();
    let count = lines.find_map(|line| line.strip_prefix("blocked_clients:"));
    count.unwrap().parse().unwrap()
}

#[test]
fn a_client_that_is_paused_is_not_idle() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[("timeout", "1")]);
        let (mut boss, mut paused) = (server.client(), server.client());
        boss.ok(&["client", "pause", "100000", "write"]);
        paused.send(b"SET k v\r\n");
        wait_until("a client to wait", || blocked(&mut boss) == 1);
        let mut idle = server.client();
        assert_eq!(idle.line("ping").text(), "PONG");
        wait_until("one that is idle for less long to be closed", || {
            boss.line("client list").text().lines().count() == 2
        });
        boss.ok(&["client", "unpause"]);
        assert_eq!(paused.read().text(), "OK", "{kind:?}");
    }
}

#[test]
fn requests_of_a_client_that_left_during_a_pause_never_run() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, PLAIN);
        let (mut boss, mut client) = (server.client(), server.client());
        let clients = |boss: &mut Client| boss.line("client list").text().lines().count();
        boss.ok(&["client", "pause", "100000", "write"]);
        client.send(b"PING\r\nSET k v\r\n");
        assert_eq!(client.read().text(), "PONG");
        assert_eq!(clients(&mut boss), 2, "{kind:?}");
        drop(client);
        wait_until("it to be gone", || clients(&mut boss) == 1);
        boss.ok(&["client", "unpause"]);
        assert!(boss.line("get k").is_null(), "{kind:?}");
    }
}

/// While clients are paused, nothing changes the data: not expiry, and not eviction.
fn a_pause_freezes_the_data(server: &Server, end: &dyn Fn(&mut Client)) {
    let kind = server.kind();
    let (mut client, mut writer) = (server.client(), server.client());
    client.ok(&["set", "stays", "1"]);
    client.ok(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    client.ok(&["client", "pause", "3000", "write"]);
    writer.send(b"set waits 1 px 100000\r\n");
    client.ok(&["config", "set", "maxmemory", "1"]);
    assert_eq!(client.line("dbsize").integer(), 1, "{kind:?}");
    client.ok(&["config", "set", "maxmemory", "0"]);
    end(&mut client);
    assert_eq!(writer.read().text(), "OK");
    assert_eq!(client.line("dbsize").integer(), 2, "{kind:?}");

    client.ok(&["set", "goes", "1", "px", "300"]);
    client.ok(&["client", "pause", "3000", "write"]);
    wait_until("a key's time to come", || client.line("get goes").is_null());
    assert_eq!(client.line("exists goes").integer(), 0, "{kind:?}");
    assert_eq!(client.line("dbsize").integer(), 3, "{kind:?}");
    let expired = client.line("info stats").text();
    assert!(
        expired.contains("\nexpired_keys:0\r"),
        "{kind:?}: {expired}"
    );
    end(&mut client);
    wait_until("it to be deleted", || client.line("dbsize").integer() == 2);
}

#[test]
fn a_pause_freezes_the_data_until_it_is_ended() {
    let (redis, node) = pair(PLAIN);
    for server in [redis, node] {
        a_pause_freezes_the_data(&server, &|client| client.ok(&["client", "unpause"]));
    }
}

#[test]
fn a_pause_freezes_the_data_until_its_time_is_over() {
    let (redis, node) = pair(PLAIN);
    for server in [redis, node] {
        // What ends it is the time that it was given.
        a_pause_freezes_the_data(&server, &|_| ());
    }
}

#[test]
fn a_monitor_sees_commands_as_redis_shows_them() {
    let (redis, node) = pair(PLAIN);
    let watch = |server: &Server| {
        let (mut monitor, mut client) = (server.client(), server.client());
        monitor.ok(&["monitor"]);
        client.call(&[b"set".as_slice(), b"k\x00\xff\n\"", b"v \\"]);
        client.line("auth x");
        client.line("ping");
        client.line("config get port");
        client.line("select 3");
        client.line("get k");
        let mut lines = Vec::new();
        while lines.len() < 4 {
            let line = monitor.read_text_line();
            let (_, rest) = line.split_once(" [").unwrap();
            let (db, rest) = rest.split_once(' ').unwrap();
            let (_, command) = rest.split_once("] ").unwrap();
            lines.push(format!("{db} {command}"));
        }
        lines
    };
    assert_eq!(watch(&node), watch(&redis));
}

#[test]
fn client_list_has_redis_s_fields() {
    let (redis, node) = pair(PLAIN);
    let fields = |client: &mut Client| {
        let line = client.line("client info").text();
        line.split(' ')
            .map(|field| field.split('=').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&mut node.client()), fields(&mut redis.client()));
    for line in ["client list", "client info"] {
        let shown = node.client().line(line);
        assert!(
            matches!(&shown, Value::Bulk(text) if text.ends_with(b"resp=2\n")),
            "{line}: {shown}"
        );
    }
}
