//! Commands of more than about a millisecond: they hold up the clients of their own slot, in order,
//! and nobody else. By the order of events: no test looks at a clock.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, wait_for, wait_until};

/// Members of the set that long commands work on.
const MEMBERS: usize = 10_000;
/// How often a long command is told that set: it takes about a second.
const TIMES: usize = if cfg!(debug_assertions) { 100 } else { 1000 };

/// A node with a thread for clients and one set whose slot is that of `{long}`.
fn node(settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("io-threads", "1")];
    all.extend_from_slice(settings);
    let node = Server::start(Kind::Node, &all);
    fill(&node);
    node
}

fn fill(node: &Server) {
    let mut add = vec!["sadd".to_owned(), "{long}set".to_owned()];
    add.extend((0..MEMBERS).map(|n| format!("member:{n}")));
    assert_eq!(node.client().call(&add), Value::Integer(MEMBERS as i64));
}

/// The command that takes long, and writes `{long}to`.
fn long_command() -> Vec<&'static str> {
    let mut command = vec!["sunionstore", "{long}to"];
    command.extend(std::iter::repeat_n("{long}set", TIMES));
    command
}

fn waiting(node: &Server) -> usize {
    node.info("blocked_clients").unwrap().parse().unwrap()
}

/// Sends a command, and waits until its client waits: it takes long, or meets a slot that is out.
fn held<A: AsRef<[u8]>>(node: &Server, command: &[A]) -> Client {
    let before = waiting(node);
    let mut client = node.client();
    let mut bytes = Vec::new();
    slotilla_tests::encode(&mut bytes, command);
    client.send(&bytes);
    wait_until("the client to be held up", || waiting(node) > before);
    client
}

fn held_line(node: &Server, line: &str) -> Client {
    held(node, &line.split(' ').collect::<Vec<_>>())
}

fn simple(text: &str) -> Value {
    Value::Simple(text.to_owned())
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

const DONE: Value = Value::Integer(MEMBERS as i64);

#[test]
fn clients_of_other_slots_are_served_meanwhile() {
    let node = node(&[]);
    let mut other = node.client();
    other.ok(&["set", "other", "1"]);
    let mut long = held(&node, &long_command());
    for _ in 0..100 {
        assert_eq!(other.line("get other"), bulk("1"));
    }
    // On the one thread that serves clients.
    assert_eq!(waiting(&node), 1);
    assert_eq!(long.read(), DONE);
    assert_eq!(long.line("scard {long}to"), DONE);
    let info = other.line("info commandstats").text();
    let line = info
        .lines()
        .find(|line| line.starts_with("cmdstat_sunionstore"));
    assert!(line.unwrap().contains("calls=1,"), "{line:?}");
    let slow = other.line("slowlog get 10");
    let slowest = &slow.items()[0].items()[3].items()[0];
    assert_eq!(slowest.text().to_lowercase(), "sunionstore");
}

#[test]
fn in_a_cluster_as_well() {
    let node = one_node_cluster(Kind::Node, &[("io-threads", "1")]);
    fill(&node);
    let mut other = node.client();
    let mut long = held(&node, &long_command());
    for _ in 0..100 {
        other.ok(&["set", "other", "1"]);
    }
    let mut same = held_line(&node, "scard {long}to");
    assert_eq!(other.line("cluster countkeysinslot 1"), Value::Integer(0));
    assert_eq!(waiting(&node), 2);
    assert_eq!((long.read(), same.read()), (DONE, DONE));
}

#[test]
fn clients_of_the_same_slot_are_served_in_the_order_in_which_they_came() {
    let node = node(&[("io-threads", "2")]);
    let mut long = held(&node, &long_command());
    let mut clients: Vec<Client> = (0..8)
        .map(|n| held_line(&node, &format!("rpush {{long}}list {n}")))
        .collect();
    assert_eq!(long.read(), DONE);
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read(), Value::Integer(n as i64 + 1));
    }
    let list = long.line("lrange {long}list 0 -1");
    let expected: Vec<Value> = (0..8).map(|n: i32| bulk(&n.to_string())).collect();
    assert_eq!(list.items(), expected);
}

#[test]
fn replies_come_in_the_order_of_the_requests() {
    let node = node(&[]);
    let mut client = node.client();
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    let replies = client.pipeline(&[
        words("set other 1"),
        words("set {long}x before"),
        long_command(),
        words("get {long}x"),
        words("scard {long}to"),
        words("incr other"),
        long_command(),
        words("get other"),
    ]);
    let (ok, two) = (simple("OK"), Value::Integer(2));
    let expected = [
        ok.clone(),
        ok,
        DONE,
        bulk("before"),
        DONE,
        two,
        DONE,
        bulk("2"),
    ];
    assert_eq!(replies, expected);
    // Nothing is heard of what CLIENT REPLY silences.
    let quiet = [
        words("client reply off"),
        long_command(),
        words("client reply on"),
    ];
    let mut bytes = Vec::new();
    quiet
        .iter()
        .for_each(|command| slotilla_tests::encode(&mut bytes, command));
    client.send(&bytes);
    assert_eq!(client.read(), simple("OK"));
    assert_eq!(client.line("echo next"), bulk("next"));
}

#[test]
fn what_a_client_asked_for_that_has_gone_still_happens() {
    let node = node(&[]);
    let long = held(&node, &long_command());
    let behind = held_line(&node, "set {long}behind 1");
    drop(long);
    drop(behind);
    // In line for the slot behind both.
    let mut client = node.client();
    assert_eq!(client.line("scard {long}to"), DONE);
    wait_until("the connections to end", || {
        node.info("connected_clients").unwrap() == "2"
    });
    assert_eq!(client.line("get {long}behind"), bulk("1"));
    // One that is killed is gone at once, and what waits has not run.
    let long = held(&node, &long_command());
    let behind = held_line(&node, "set {long}killed 1");
    assert_eq!(
        client.line("client kill type normal skipme yes"),
        Value::Integer(2)
    );
    let mut gone = [long, behind];
    gone.iter_mut()
        .for_each(|client| assert_eq!(client.read_to_close(), b""));
    assert_eq!(client.line("scard {long}to"), DONE);
    assert_eq!(client.line("exists {long}killed"), Value::Integer(0));
    assert_eq!(waiting(&node), 0);
}

/// A transaction that takes long, then one that meets its slot while it is out.
#[test]
fn transactions_are_long_or_wait_as_a_whole() {
    let node = node(&[]);
    let (mut other, mut long) = (node.client(), node.client());
    let mut watcher = node.client();
    watcher.ok(&["watch", "{long}to"]);
    watcher.ok(&["multi"]);
    watcher.line("set {long}watched 1");
    let mut behind = node.client();
    behind.ok(&["multi"]);
    behind.line("get {long}x");
    behind.line("incr elsewhere");
    other.ok(&["set", "{long}x", "0"]);
    long.ok(&["multi"]);
    for command in [
        vec!["incr", "{long}x"],
        long_command(),
        vec!["incr", "{long}x"],
    ] {
        assert_eq!(long.call(&command), simple("QUEUED"));
    }
    long.send(b"EXEC\r\n");
    wait_until("EXEC to take long", || waiting(&node) == 1);
    behind.send(b"EXEC\r\n");
    watcher.send(b"EXEC\r\n");
    wait_until("both to wait", || waiting(&node) == 3);
    // What waits keeps a slot that is in.
    let mut kept = held_line(&node, "get elsewhere");
    for _ in 0..20 {
        other.ok(&["set", "other", "1"]);
    }
    assert_eq!(waiting(&node), 4);
    let done = [Value::Integer(1), DONE, Value::Integer(2)];
    assert_eq!(long.read().items(), done);
    assert_eq!(behind.read().items(), [bulk("2"), Value::Integer(1)]);
    assert!(watcher.read().is_null());
    assert_eq!(kept.read(), bulk("1"));
    assert!(long.line("client info").text().contains("multi=-1"));
    // One that needs the whole keyspace waits until nothing is out.
    let mut again = held(&node, &long_command());
    behind.ok(&["multi"]);
    behind.line("dbsize");
    behind.send(b"EXEC\r\n");
    wait_until("EXEC to wait", || waiting(&node) == 2);
    other.ok(&["set", "other", "2"]);
    assert_eq!(again.read(), DONE);
    assert_eq!(behind.read().items(), [Value::Integer(5)]);
}

#[test]
fn what_needs_the_whole_keyspace_waits_and_holds_nobody_up() {
    let node = node(&[]);
    let mut other = node.client();
    for command in ["flushall", "client pause 0 write"] {
        fill_again(&node);
        let mut long = held(&node, &long_command());
        let mut before = held_line(&node, "scard {long}set");
        let mut flush = held_line(&node, command);
        // A second long command waits for it, and all else goes on.
        let mut second = held_line(&node, "sunion {long}set {long}set");
        for _ in 0..20 {
            other.ok(&["set", "other", "1"]);
        }
        assert_eq!(waiting(&node), 4);
        assert_eq!((long.read(), before.read()), (DONE, DONE));
        assert_eq!(flush.read(), simple("OK"));
        let members = if command == "flushall" { 0 } else { MEMBERS };
        assert_eq!(second.read().items().len(), members);
    }
}

fn fill_again(node: &Server) {
    node.client().ok(&["flushall"]);
    fill(node);
}

#[test]
fn commands_that_walk_over_all_keys_wait_for_what_is_out_alone() {
    let node = node(&[("enable-debug-command", "yes")]);
    let mut other = node.client();
    other.ok(&["set", "other", "1"]);
    for line in [
        "keys *",
        "scan 0 count 10000",
        "debug digest",
        "debug object {long}set",
    ] {
        let mut long = held(&node, &long_command());
        let mut walks = held_line(&node, line);
        assert_eq!(other.line("get other"), bulk("1"));
        assert_eq!(
            other.line("dbsize").integer(),
            2 + i64::from(line != "keys *")
        );
        assert!(other.line("info keyspace").text().contains("db0"));
        assert_eq!(waiting(&node), 2, "{line}");
        assert_eq!(long.read(), DONE);
        assert!(!matches!(walks.read(), Value::Error(_)), "{line}");
    }
    // What is found elsewhere is told, with the cursor at what is out.
    let mut long = held(&node, &long_command());
    let mut seen = other.scan(&["count", "100"]);
    seen.sort();
    assert_eq!(seen, ["other", "{long}set", "{long}to"]);
    assert_eq!(long.read(), DONE);
}

#[test]
fn a_node_with_a_long_command_under_way_ends_when_it_is_told_to() {
    let mut node = node(&[]);
    let mut long = held(&node, &long_command());
    let mut behind = held_line(&node, "get {long}x");
    assert!(node.terminate().success());
    assert_eq!(long.read_to_close(), b"");
    assert_eq!(behind.read_to_close(), b"");
}

#[test]
fn long_commands_beyond_the_bound_wait_for_a_place() {
    let node = node(&[("long-command-threads", "1")]);
    let mut other = node.client();
    let members: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}")).collect();
    let mut add = vec!["sadd", "second"];
    add.extend(members.iter().map(String::as_str));
    assert_eq!(other.call(&add), DONE);
    let count = |name: &str| {
        let (_, page) = node.admin("/metrics");
        let line = page.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let before = count("slotilla_node_long_commands_total");
    let mut first = held(&node, &long_command());
    let mut second = held_line(&node, "sunionstore to second second");
    wait_for("the figures", Duration::from_secs(10), || {
        let running = count("slotilla_node_long_commands_running");
        let waits = count("slotilla_node_slot_waiters");
        (running == 1.0 && waits == 1.0).then_some(())
    });
    other.ok(&["set", "other", "1"]);
    assert_eq!((first.read(), second.read()), (DONE, DONE));
    assert_eq!(count("slotilla_node_long_commands_total"), before + 2.0);
}

#[test]
fn monitors_see_a_long_command_before_what_waited_for_it() {
    let node = node(&[]);
    let mut monitor = node.client();
    monitor.ok(&["monitor"]);
    let mut long = held(&node, &long_command());
    let mut behind = held_line(&node, "get {long}to2");
    assert_eq!(long.read(), DONE);
    assert!(behind.read().is_null());
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = monitor.read().text();
        if !line.contains("\"info\"") && !line.contains("\"INFO\"") {
            seen.push(line);
        }
    }
    assert!(
        seen[0].contains("sunionstore") && seen[1].contains("{long}to2"),
        "{seen:?}"
    );
}

/// What wakes clients that wait for keys, and breaks watches, does so from a long command as well.
#[test]
fn a_long_command_wakes_who_waits_for_what_it_makes() {
    let node = node(&[]);
    let mut pops = held_line(&node, "blpop {long}sorted 0");
    let mut other_pops = held_line(&node, "bzpopmin {long}zset 0");
    let mut watcher = node.client();
    watcher.ok(&["watch", "{long}sorted"]);
    let mut client = node.client();
    let stored = client.line("sort {long}set alpha desc store {long}sorted");
    assert_eq!(stored, DONE);
    let last = format!("member:{}", MEMBERS - 1);
    assert_eq!(pops.read().items(), [bulk("{long}sorted"), bulk(&last)]);
    assert_eq!(
        client.line("llen {long}sorted"),
        Value::Integer(MEMBERS as i64 - 1)
    );
    let stored = client.line("zunionstore {long}zset 2 {long}set {long}set");
    assert_eq!(stored, DONE);
    let popped = [bulk("{long}zset"), bulk("member:0"), bulk("2")];
    assert_eq!(other_pops.read().items(), popped);
    watcher.ok(&["multi"]);
    assert!(watcher.line("exec").is_null());
}

/// Elements of the collections that these commands work on.
const MANY: i64 = 100_000;

/// Commands that take long, each with how many elements or bytes its reply has, or what it is.
#[rustfmt::skip] // A command, a line.
const LONG: &[(&str, i64)] = &[
    ("lrange {long}list 0 -1", MANY),
    ("lrem {long}list 0 e5", 1),
    ("linsert {long}list before e99999 x", MANY),
    ("lpos {long}list e99998", MANY - 3),
    ("zrange {long}zset 0 -1", MANY),
    ("zrangebyscore {long}zset -inf +inf", MANY),
    ("zrevrangebylex {long}zset + -", MANY),
    ("zrangestore {long}copy {long}zset 0 -1", MANY),
    ("zremrangebyrank {long}copy 0 -2", MANY - 1),
    ("zinter 2 {long}zset {long}zset", MANY),
    ("zdiff 1 {long}zset", MANY),
    ("hgetall {long}hash", 2 * MANY),
    ("hkeys {long}hash", MANY),
    ("hrandfield {long}hash -50000", 50_000),
    ("hscan {long}hash 0 count 100000", 2),
    ("copy {long}hash {long}hash2", 1),
    ("sort {long}list alpha", MANY),
    ("spop {long}set 9999", 9999),
    ("getrange {long}text 0 -1", 10_000_000),
    ("get {long}text", 10_000_000),
    ("bitop not {long}text2 {long}text", 10_000_000),
    ("bitcount {long}text2", 80_000_000 - 4),
    ("ltrim {long}list -1 -1", 0),
    ("zpopmin {long}zset 99999", 2 * (MANY - 1)),
];

/// The same, which may run again and again.
const READS: &[&str] = &["lrange", "get", "sort", "hgetall", "zrange"];

fn fill_collections(client: &mut Client) {
    for range in 0..10 {
        let mut commands = ["rpush {long}list", "zadd {long}zset", "hset {long}hash"]
            .map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for number in range * MANY / 10..(range + 1) * MANY / 10 {
            commands[0].push(format!("e{number}"));
            commands[1].extend([number.to_string(), format!("e{number}")]);
            commands[2].extend([format!("e{number}"), number.to_string()]);
        }
        client.pipeline(&commands);
    }
    client.line("geoadd {long}geo 13 38 Palermo 15 37 Catania");
    client.line("setrange {long}text 9999999 x");
}

/// How many long commands there have been.
fn begun(node: &Server) -> f64 {
    let (_, page) = node.admin("/metrics");
    let name = "slotilla_node_long_commands_total";
    let line = page.lines().find(|line| line.starts_with(name));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Every command that may take long does so on a thread of its own, by itself and in a transaction,
/// and answers what it does when it is short.
#[test]
fn long_commands_answer_what_short_ones_do() {
    let node = node(&[]);
    let mut client = node.client();
    fill_collections(&mut client);
    let size = |value: &Value| match value {
        Value::Integer(number) => *number,
        Value::Bulk(bytes) => bytes.len() as i64,
        Value::Simple(_) => 0,
        other => other.items().len() as i64,
    };
    for (line, reply) in LONG {
        let commands = [vec!["multi"], line.split(' ').collect(), vec!["exec"]];
        if READS.contains(&commands[1][0]) {
            let before = begun(&node);
            let replies = client.pipeline(&commands);
            assert_eq!(
                size(&replies[2].items()[0]),
                *reply,
                "{line} in a transaction"
            );
            assert!(begun(&node) > before, "{line} in a transaction");
        }
        let before = begun(&node);
        assert_eq!(size(&client.line(line)), *reply, "{line}");
        assert!(begun(&node) > before, "{line}");
    }
    // And what is short stays.
    let before = begun(&node);
    for line in [
        "lrange {long}list 0 10",
        "zrange {long}zset 0 5",
        "hget {long}hash e1",
    ] {
        client.line(line);
    }
    let search = "geosearch {long}geo fromlonlat 15 37 byradius 300 km";
    assert_eq!(client.line(search).items().len(), 2);
    assert!((begun(&node) - before).abs() < 0.5);
}

#[test]
fn counts_beyond_measure_are_no_estimate() {
    let node = node(&[]);
    let mut client = node.client();
    for command in ["spop", "srandmember"] {
        for count in ["-5", "-9223372036854775807", "-9223372036854775808"] {
            client.call(&[command, "{long}set", count]);
        }
    }
    assert_eq!(
        client.call(&["scard", "{long}set"]),
        Value::Integer(MEMBERS as i64)
    );
}

/// What a command writes into a slot that goes meanwhile is not acknowledged; what it reads is. What
/// waits for the slot has done nothing.
#[test]
fn writes_into_a_slot_that_goes_meanwhile_are_refused() {
    let node = one_node_cluster(Kind::Node, &[("io-threads", "1")]);
    fill(&node);
    let mut admin = node.client();
    let slot = admin.line("cluster keyslot {long}set").integer();
    let unserved = Value::Error("CLUSTERDOWN Hash slot not served".to_owned());
    for writes in [true, false] {
        let mut command = long_command();
        if !writes {
            command.drain(..2);
            command.insert(0, "sunion");
        }
        let mut long = held(&node, &command);
        let mut behind = held_line(&node, "set {long}behind 1");
        admin.ok(&["cluster", "delslots", &slot.to_string()]);
        if writes {
            assert_eq!(long.read(), unserved);
        } else {
            assert_eq!(long.read().items().len(), MEMBERS);
        }
        assert_eq!(behind.read(), unserved);
        assert_eq!(long.line("get {long}behind"), unserved);
        admin.ok(&["cluster", "addslots", &slot.to_string()]);
        wait_until("the cluster to be up", || {
            let info = node.client().line("cluster info").text();
            info.contains("cluster_state:ok")
        });
        assert_eq!(long.line("scard {long}set"), DONE);
        assert_eq!(long.line("exists {long}behind"), Value::Integer(0));
    }
}

/// Memory is full while the slot is out: keys go that are in, and the command ends.
#[test]
fn what_is_out_is_not_evicted() {
    let node = node(&[("maxmemory-policy", "allkeys-random")]);
    let mut other = node.client();
    let value = "v".repeat(64 * 1024);
    let mut long = held(&node, &long_command());
    let used: u64 = node.info("used_memory").unwrap().parse().unwrap();
    let room = (used + (4 << 20)).to_string();
    other.ok(&["config", "set", "maxmemory", &room]);
    let evicted = || node.info("evicted_keys").unwrap() != "0";
    for number in 0..1_000 {
        other.ok(&["set", &format!("filler:{number}"), &value]);
        if number > 70 && evicted() {
            break;
        }
    }
    assert_eq!(waiting(&node), 1, "it was out all the time");
    assert!(evicted());
    assert_eq!(long.read(), DONE);
}

/// Messages come before the reply of a long transaction, its own and those of others, and none is
/// lost, not even if the slot is.
#[test]
fn messages_to_the_client_of_a_long_transaction_come_before_its_reply() {
    let node = one_node_cluster(Kind::Node, &[("io-threads", "1")]);
    fill(&node);
    let (mut client, mut other) = (node.client(), node.client());
    client.line("hello 3");
    client.send(b"SUBSCRIBE news\r\n");
    assert_eq!(client.read().items()[0], bulk("subscribe"));
    let slot = other.line("cluster keyslot {long}set").integer();
    for loses_the_slot in [false, true] {
        client.ok(&["multi"]);
        let body = [
            vec!["publish", "news", "own"],
            long_command(),
            vec!["unsubscribe", "none"],
        ];
        for command in body {
            assert_eq!(client.call(&command), simple("QUEUED"));
        }
        let before = waiting(&node);
        client.send(b"EXEC\r\n");
        wait_until("EXEC to take long", || waiting(&node) > before);
        assert_eq!(other.line("publish news others"), Value::Integer(1));
        if loses_the_slot {
            other.ok(&["cluster", "delslots", &slot.to_string()]);
        }
        let mut heard = [client.read(), client.read()].map(|push| {
            assert!(matches!(push, Value::Push(_)), "{push:?}");
            push.items()[2].text()
        });
        heard.sort();
        assert_eq!(heard, ["others", "own"]);
        let reply = client.read();
        if loses_the_slot {
            let unserved = "CLUSTERDOWN Hash slot not served";
            assert_eq!(reply, Value::Error(unserved.to_owned()));
        } else {
            assert_eq!(reply.items()[..2], [Value::Integer(1), DONE]);
        }
    }
}
