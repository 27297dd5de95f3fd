//! The proxy in front of real redis-server nodes: a client that knows nothing of clusters sees
//! one Redis server.
#![cfg(test)]

use std::collections::BTreeSet;

use slotilla_common::command::{COMMANDS, FanOut};
use slotilla_tests::{Client, Cluster, Kind, Server, Value};

fn cluster() -> (Cluster, Server) {
    let cluster = Cluster::start(Kind::Redis, 3);
    let proxy = cluster.proxy(&[]);
    (cluster, proxy)
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(ToString::to_string).collect(),
        other => panic!("no array: {other}"),
    }
}

#[test]
fn a_plain_client_uses_the_whole_cluster() {
    let (cluster, proxy) = cluster();
    let mut client = proxy.client();
    let keys: Vec<String> = (0..300).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        client.ok(&["SET", key, &format!("value of {key}")]);
    }
    for node in &cluster.nodes {
        let Value::Integer(size) = node.client().line("DBSIZE") else {
            panic!("no size");
        };
        assert!(size > 50, "a node has {size} of 300 keys");
    }
    assert_eq!(client.line("DBSIZE"), Value::Integer(300));

    let wanted: Vec<&str> = ["MGET"]
        .into_iter()
        .chain(keys.iter().map(String::as_str))
        .collect();
    let values = strings(&client.call(&wanted));
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(value, format!("value of {key}"));
    }

    let all: BTreeSet<String> = keys.iter().cloned().collect();
    let listed: BTreeSet<String> = strings(&client.line("KEYS *")).into_iter().collect();
    assert_eq!(listed, all);
    let scanned: BTreeSet<String> = client.scan(&["COUNT", "7"]).into_iter().collect();
    assert_eq!(scanned, all);
    let some = client.scan(&["MATCH", "key:1*", "TYPE", "string"]);
    let some: BTreeSet<String> = some.into_iter().collect();
    assert_eq!(some.len(), 111);
    let drawn = client.line("RANDOMKEY").to_string();
    assert!(all.contains(&drawn), "{drawn}");

    assert_eq!(
        client.line("EXISTS key:1 key:2 key:3 none"),
        Value::Integer(3)
    );
    assert_eq!(client.line("TOUCH key:1 none"), Value::Integer(1));
    assert_eq!(client.line("DEL key:1 key:2 none"), Value::Integer(2));
    assert_eq!(client.line("UNLINK key:3 key:4"), Value::Integer(2));
    client.ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
    assert_eq!(
        client
            .line("MGET a nil b c")
            .to_string()
            .matches('1')
            .count(),
        1
    );
    client.ok(&["FLUSHALL"]);
    assert_eq!(client.line("DBSIZE"), Value::Integer(0));
    assert_eq!(strings(&client.line("KEYS *")).len(), 0);
}

#[test]
fn commands_of_every_type_are_forwarded_when_their_keys_share_a_slot() {
    let (_cluster, proxy) = cluster();
    let mut client = proxy.client();
    for (line, reply) in [
        ("RPUSH {l}1 a b c", "3"),
        ("LMOVE {l}1 {l}2 LEFT RIGHT", "a"),
        ("SADD s x y", "2"),
        ("ZADD z 1 one 2 two", "2"),
        ("ZRANGESTORE {z}to {z}from 0 -1", "0"),
        ("HSET h f v", "1"),
        ("XADD x 1-1 f v", "1-1"),
        ("PFADD p a b", "1"),
        ("BITCOUNT h2", "0"),
        ("SETBIT bits 7 1", "0"),
        ("GEOADD g 13.361389 38.115556 Palermo", "1"),
        ("EVAL return{KEYS[1],ARGV[1]} 1 k v", "[k, v]"),
        ("OBJECT ENCODING h", "listpack"),
        ("SORT {l}1 ALPHA LIMIT 0 1", "[b]"),
        ("EXPIRE h 100", "1"),
        ("TYPE h", "hash"),
        ("RENAME {l}2 {l}3", "OK"),
        ("XREAD COUNT 1 STREAMS x 0", ""),
        ("XREAD STREAMS block 0", "(nil)"),
        ("XGROUP CREATE block block 0 MKSTREAM", "OK"),
        ("XREADGROUP GROUP block block STREAMS block >", "(nil)"),
        ("FCALL nofunction 1 k", ""),
    ] {
        let got = client.line(line).to_string();
        if !reply.is_empty() {
            assert_eq!(normal(&got), normal(reply), "{line}");
        }
    }
    let Value::Integer(bytes) = client.line("MEMORY USAGE h") else {
        panic!("no usage");
    };
    assert!(bytes > 0);
}

/// The characters that matter, however a list is shown.
fn normal(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric() || *c == '-')
        .collect()
}

#[test]
fn what_cannot_go_through_the_proxy_is_refused_with_the_reason() {
    let (cluster, proxy) = cluster();
    let mut client = proxy.client();
    for (line, part) in [
        ("RENAME a b", "CROSSSLOT"),
        ("SUNION a b", "CROSSSLOT"),
        ("MSETNX a 1 b 2", "CROSSSLOT"),
        ("MULTI", "transactions need a connection"),
        ("WATCH a", "transactions need a connection"),
        ("BLPOP a 0", "needs a connection of its own"),
        ("XREAD BLOCK 0 STREAMS x $", "needs a connection of its own"),
        (
            "XREADGROUP GROUP g c COUNT 1 block 0 STREAMS x >",
            "needs a connection of its own",
        ),
        ("SUBSCRIBE c", "subscriptions need a connection"),
        ("MONITOR", "needs a connection"),
        ("CLUSTER SLOTS", "hides the cluster"),
        ("CLUSTER NODES", "hides the cluster"),
        ("READONLY", "hides the cluster"),
        ("SHUTDOWN", "does not go through the proxy"),
        ("SELECT 1", "DB index is out of range"),
        (
            "SELECT 2147483648",
            "value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("CLIENT LIST ID 1 x", "ERR Invalid client ID"),
        (
            "NOSUCH a b",
            "unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
        ),
        ("GET", "wrong number of arguments for 'get' command"),
        ("MSET a 1 b", "wrong number of arguments for 'mset' command"),
        (
            "CONFIG NOSUCH x",
            "unknown subcommand 'NOSUCH'. Try CONFIG HELP.",
        ),
        ("SCAN x", "invalid cursor"),
        ("SCAN 99999999999999999999", "invalid cursor"),
    ] {
        match client.line(line) {
            Value::Error(text) => assert!(text.contains(part), "{line}: {text}"),
            other => panic!("{line}: {other}"),
        }
    }
    for node in &cluster.nodes {
        let refused = client.line("CLUSTER SHARDS").to_string();
        assert!(!refused.contains(&node.port().to_string()), "{refused}");
    }
}

#[test]
fn what_clients_send_on_connect_is_answered_as_a_single_server_does() {
    let (_cluster, proxy) = cluster();
    let mut client = proxy.client();
    let hello = client.line("HELLO 3").to_string();
    for part in ["redis", "7.0.15", "standalone", "master"] {
        assert!(hello.contains(part), "{hello}");
    }
    let info = client.line("INFO").to_string();
    for part in [
        "redis_version:7.0.15",
        "redis_mode:standalone",
        "loading:0",
        "role:master",
    ] {
        assert!(info.contains(part), "no {part} in {info}");
    }
    assert!(
        !client
            .line("INFO replication")
            .to_string()
            .contains("redis_version")
    );
    let error = client.line("CLIENT SETINFO LIB-NAME x").to_string();
    assert!(
        error.contains("unknown subcommand 'SETINFO'. Try CLIENT HELP."),
        "{error}"
    );
    client.ok(&["CLIENT", "SETNAME", "app"]);
    assert_eq!(client.line("CLIENT GETNAME").to_string(), "app");
    assert!(client.line("CLIENT LIST").to_string().contains("name=app"));
    assert!(client.line("CLIENT INFO").to_string().contains("resp=3"));
    client.ok(&["CLIENT", "NO-EVICT", "ON"]);
    client.ok(&["SELECT", "0"]);
    assert_eq!(client.line("ECHO hi").to_string(), "hi");
    assert_eq!(client.line("CLUSTER KEYSLOT centos"), Value::Integer(467));
    assert_eq!(client.line("RESET").to_string(), "RESET");
    assert!(client.line("CLIENT INFO").to_string().contains("resp=2"));
    let Value::Integer(count) = client.line("COMMAND COUNT") else {
        panic!("no count");
    };
    assert!(count > 150);
    assert_eq!(
        client.line("COMMAND GETKEYS MSET a 1 b 2").to_string(),
        "[a, b]"
    );
    client.ok(&["QUIT"]);
    assert!(client.read_to_close().is_empty());
}

#[test]
fn all_that_the_table_says_the_proxy_answers_it_answers() {
    let (_cluster, proxy) = cluster();
    for spec in COMMANDS.iter().filter(|spec| spec.fan_out == FanOut::Local) {
        if !spec.subcommands().is_empty() && spec.name != "command" {
            continue;
        }
        let mut words: Vec<&str> = spec.name.split('|').collect();
        words.resize(spec.arity.unsigned_abs().into(), "0");
        // Silence would be the right answer.
        if spec.name == "client|reply" {
            words[2] = "ON";
        }
        let reply = proxy.client().call(&words).to_string();
        assert!(!reply.contains("support"), "{words:?}: {reply}");
    }
}

#[test]
fn replies_can_be_switched_off() {
    let (_cluster, proxy) = cluster();
    let mut client = proxy.client();
    client.send(b"CLIENT REPLY OFF\r\nSET a 1\r\nMGET a b\r\nPING\r\nCLIENT REPLY ON\r\nGET a\r\n");
    assert_eq!(client.read().to_string(), "OK");
    assert_eq!(client.read().to_string(), "1");
    client.send(b"CLIENT REPLY SKIP\r\nSET a 2\r\nGET a\r\n");
    assert_eq!(client.read().to_string(), "2");
}

#[test]
fn clients_can_be_listed_and_killed_across_threads() {
    let cluster = Cluster::start(Kind::Redis, 1);
    let proxy = cluster.proxy(&[("io-threads", "2")]);
    let mut clients: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    let ids: Vec<String> = clients
        .iter_mut()
        .map(|client| client.line("CLIENT ID").to_string())
        .collect();
    let mut killer = proxy.client();
    let list = killer.line("CLIENT LIST").to_string();
    for id in &ids {
        assert!(list.contains(&format!("id={id} ")), "{list}");
    }
    let one = killer.call(&["CLIENT", "LIST", "ID", "-1", "0", &ids[0]]);
    assert_eq!(one.to_string().lines().count(), 1, "{one}");
    assert_eq!(
        killer.call(&["CLIENT", "KILL", "ID", &ids[0]]),
        Value::Integer(1)
    );
    assert!(clients[0].try_call(&["PING"]).is_err());
    let Value::Integer(killed) = killer.line("CLIENT KILL TYPE normal SKIPME yes") else {
        panic!("no count");
    };
    assert!(killed >= 3);
    for client in &mut clients[1..] {
        assert!(client.try_call(&["PING"]).is_err());
    }
    assert_eq!(killer.line("PING").to_string(), "PONG");
}

#[test]
fn the_password_is_asked_for_and_limits_hold_before_it() {
    let cluster = Cluster::start(Kind::Redis, 1);
    let proxy = cluster.proxy(&[("requirepass", "secret")]);
    let mut client = proxy.client();
    assert!(
        client
            .line("GET a")
            .to_string()
            .contains("NOAUTH Authentication required.")
    );
    assert_eq!(
        client.line("EXEC").error(),
        Some("EXECABORT Transaction discarded because of: NOAUTH Authentication required.")
    );
    assert!(client.line("AUTH wrong").to_string().contains("WRONGPASS"));
    assert!(client.line("HELLO 3").to_string().contains("NOAUTH"));
    client.ok(&["AUTH", "secret"]);
    client.ok(&["SET", "a", "1"]);
    let mut other = proxy.client();
    assert!(
        other
            .line("HELLO 2 AUTH default secret")
            .to_string()
            .contains("7.0.15")
    );
    assert_eq!(other.line("GET a").to_string(), "1");
    let mut stranger = proxy.client();
    stranger.send(b"*11\r\n");
    let refused = stranger.read_to_close();
    assert_eq!(
        refused,
        b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    );
}

#[test]
fn the_proxy_gives_the_nodes_their_password() {
    let cluster = Cluster::start(Kind::Redis, 2);
    for node in &cluster.nodes {
        node.client().ok(&[
            "CONFIG",
            "SET",
            "requirepass",
            "inner",
            "masterauth",
            "inner",
        ]);
    }
    let proxy = cluster.proxy(&[("upstream-password", "inner")]);
    let mut client = proxy.client();
    client.ok(&["MSET", "a", "1", "b", "2"]);
    client.line("HELLO 3");
    assert_eq!(normal(&client.line("MGET a b").to_string()), "12");
}

#[test]
fn inline_requests_and_both_protocols_work_for_health_checks_and_people() {
    let (_cluster, proxy) = cluster();
    let mut client = proxy.client();
    client.send(
        b"PING\r\nSET \"a key\" 'a value'\r\nGET 'a key'\r\n\r\ninfo replication\r\nQUIT\r\n",
    );
    assert_eq!(client.read().to_string(), "PONG");
    assert_eq!(client.read().to_string(), "OK");
    assert_eq!(client.read().to_string(), "a value");
    assert!(client.read().to_string().contains("role:master"));
    assert_eq!(client.read().to_string(), "OK");
    assert!(client.read_to_close().is_empty());
}
