//! What DEBUG, INFO and CLIENT tell of the same data and the same commands, beside a real
//! redis-server 7.0.15.
#![cfg(test)]

use std::collections::BTreeSet;

use slotilla_tests::{Client, Kind, Server, encode, wait_until};

const SETTINGS: &[(&str, &str)] = &[("cluster-enabled", "no"), ("enable-debug-command", "yes")];

fn servers() -> [Server; 2] {
    [Kind::Redis, Kind::Node].map(|kind| Server::start(kind, SETTINGS))
}

/// Has both run these lines, and compares the replies.
fn run(clients: &mut [Client; 2], lines: &[&str]) {
    for line in lines {
        let [theirs, ours] = clients.each_mut().map(|client| client.line(line));
        assert_eq!(ours, theirs, "{line}");
    }
}

/// Keys of all types, small and large, with and without an expiry.
const DATA: &[&str] = &[
    "set text some",
    "set number -123",
    "set real 0.1",
    "append appended 12",
    "append appended 34",
    "setbit bits 100 1",
    "pfadd counted a b c",
    "rpush list a b 1 -2 3000000000",
    "sadd ints 1 2 3",
    "sadd words a b 1",
    "hset hash f v 1 2",
    "zadd sorted 1 a 2.5 b inf c -inf d 0.1 e 1e30 f 12345678901234567890 g",
    "geoadd places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "pexpire list 1000000",
    "expire text 1000",
];

/// As many elements as no compact form holds.
fn large() -> Vec<Vec<String>> {
    let commands = [("rpush", 1), ("sadd", 1), ("hset", 2), ("zadd", 2)];
    let large = commands.map(|(command, per_element)| {
        let mut words = vec![command.to_owned(), format!("large-{command}")];
        for n in 0..1000 {
            words.extend((0..per_element).map(|_| format!("{n}")));
        }
        words
    });
    large.into()
}

#[test]
fn the_same_data_has_the_same_digest() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    run(&mut clients, &["debug digest", "debug digest-value no"]);
    run(&mut clients, DATA);
    for command in large() {
        let [theirs, ours] = clients.each_mut().map(|client| client.call(&command));
        assert_eq!(ours, theirs);
    }
    let keys = clients[0].line("keys *");
    for key in keys.items() {
        let [theirs, ours] = clients
            .each_mut()
            .map(|client| client.call(&[b"debug", &b"digest-value"[..], key.bytes()]));
        assert_eq!(ours, theirs, "{key:?}");
    }
    run(
        &mut clients,
        &[
            "debug digest",
            "select 3",
            "set text some",
            "debug digest",
            "debug digest-value text number text",
            "swapdb 0 3",
            "debug digest",
            "select 0",
            "persist text",
            "debug digest",
            "flushall",
            "debug digest",
        ],
    );
}

#[test]
fn memory_usage_is_told_of_keys_of_all_types() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    run(&mut clients, DATA);
    let ours = &mut clients[1];
    for command in large() {
        ours.call(&command);
    }
    let usage = |ours: &mut Client, key: &[u8]| {
        let all = ours.call(&[b"memory", &b"usage"[..], key, b"samples", b"0"]);
        assert_eq!(all, ours.call(&[b"memory", &b"usage"[..], key]));
        all.integer()
    };
    let keys = ours.line("keys *");
    assert_eq!(keys.items().len(), 16);
    for key in keys.items() {
        let key = key.bytes();
        let bytes = usage(ours, key);
        // What a thousand elements take, and what a few.
        let range = if key.starts_with(b"large-") {
            2_000..200_000
        } else {
            16..400
        };
        assert!(range.contains(&bytes), "{}: {bytes}", key.escape_ascii());
    }
    run(
        &mut clients,
        &[
            "memory usage no",
            "memory usage",
            "memory usage text samples",
            "memory usage text samples -1",
            "memory usage text samples x",
            "memory usage text other 1",
        ],
    );
}

/// The fields of DEBUG OBJECT that do not depend on where and when.
fn kept(client: &mut Client, key: &str) -> Vec<String> {
    let line = client.call(&["debug", "object", key]).text();
    let words = line.split_whitespace();
    words
        .filter(|word| word.starts_with("encoding:") || word.starts_with("ql_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_size_of_nothing_leaves_the_values_of_populate_as_they_are() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    let lines = [
        "debug populate 3 a 0",
        "debug populate 3 b",
        "debug populate 3 c 2",
        "debug populate 3 d 20",
    ];
    run(&mut clients, &lines);
    run(&mut clients, &["mget a:0 b:1 c:2 d:0", "debug digest"]);
}

#[test]
fn lists_are_kept_in_as_many_pieces() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    for size in ["-5", "-4", "-3", "-2", "-1", "1", "3", "128"] {
        for (length, count) in [(3, 3000), (100, 500), (5000, 30)] {
            let element = "x".repeat(length);
            let mut request = Vec::new();
            encode(&mut request, &["del", "k"]);
            encode(
                &mut request,
                &["config", "set", "list-max-listpack-size", size],
            );
            for _ in 0..count {
                encode(&mut request, &["rpush", "k", &element]);
            }
            let [theirs, ours] = clients.each_mut().map(|client| {
                client.send(&request);
                for _ in 0..count + 2 {
                    assert_eq!(client.read().error(), None);
                }
                kept(client, "k")
            });
            assert_eq!(ours, theirs, "{size}, {count} of {length} bytes");
        }
    }
}

/// Ours has no chains to tell of.
#[test]
fn the_tables_of_a_database_have_as_many_elements() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    let errors = [
        "debug htstats",
        "debug htstats x",
        "debug htstats -1",
        "debug htstats 16",
    ];
    run(&mut clients, &errors);
    run(
        &mut clients,
        &["debug htstats 15", "mset a 1 b 2 c 3", "expire a 1000"],
    );
    run(&mut clients, &["select 9", "set a 1"]);
    for line in ["debug htstats 0", "debug htstats 9", "debug htstats 15"] {
        let [theirs, ours] = clients.each_mut().map(|client| {
            let text = client.line(line).text();
            let lines = text.lines().map(str::to_owned);
            let is_shared = |line: &String| {
                line.starts_with(|c| "[HN".contains(c)) || line.contains("elements")
            };
            lines.filter(is_shared).collect::<Vec<_>>()
        });
        assert_eq!(ours, theirs, "{line}");
    }
}

#[test]
fn long_elements_have_nodes_of_their_own_while_they_are_long() {
    const LONG: &str = "a-hundred-bytes-that-are-really-not-so-many-as-it-says-in-this-name";
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    run(&mut clients, &["debug quicklist-packed-threshold 50"]);
    let cases: &[&[&str]] = &[
        &["lset l 1 LONG", "lset l 1 b", "lset l 0 LONG", "lset l 0 a"],
        &[
            "lset l -1 LONG",
            "lset l -1 c",
            "lset l 1 LONG",
            "lset l -1 LONG",
            "lset l 1 x",
        ],
        &[
            "lset l 0 LONG",
            "lset l 1 LONG",
            "lset l 0 a",
            "lset l 1 b",
            "lset l 2 LONG",
        ],
        &[
            "lset l 1 LONG",
            "lset l 1 LONGER",
            "linsert l before LONGER x",
            "linsert l after LONGER y",
            "lset l 2 b",
        ],
        &[
            "lset l 0 LONG",
            "lset l 1 LONG",
            "lset l 2 LONG",
            "lset l 2 c",
            "lset l 1 b",
            "lset l 0 a",
        ],
    ];
    let sizes = ["-2", "1", "2"];
    for (case, size) in cases.iter().flat_map(|case| sizes.map(|size| (case, size))) {
        // A list of Redis keeps the limit that it was made with.
        let limit = format!("config set list-max-listpack-size {size}");
        run(&mut clients, &[&limit, "del l", "rpush l a b c"]);
        for line in *case {
            let line = line.replace("LONG", LONG);
            run(&mut clients, &[&line, "lrange l 0 -1"]);
            let [theirs, ours] = clients.each_mut().map(|client| {
                let kept = kept(client, "l").into_iter();
                kept.filter(|word| word.starts_with("ql_nodes"))
                    .collect::<Vec<_>>()
            });
            assert_eq!(ours, theirs, "{line} of {case:?}, {size}");
            assert_eq!(ours.len(), 1);
        }
    }
}

/// A section of INFO, sorted, without times.
fn section(client: &mut Client, name: &str) -> Vec<String> {
    let text = client.call(&["info", name]).text();
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("usec=") {
            Some((before, after)) => {
                let after = after.split_once(",rejected").map_or("", |(_, after)| after);
                format!("{before}rejected{after}")
            }
            None => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines
}

/// Commands that run, fail, are refused, wait, and are part of transactions.
const COUNTED: &[&str] = &[
    "set a 1",
    "get a",
    "get",
    "lpush a x",
    "nosuch",
    "config nosuch",
    "client list type nosuch",
    "incr a",
    "hset h f v",
    "hincrby h f 1",
    "object encoding a",
    "debug error MYERR",
    "debug aof-flush-sleep",
    "debug aof-flush-sleep 0 1",
    "debug aof-flush-sleep abc",
    "debug replicate",
    "debug replicate word",
    "multi",
    "set a 2",
    "lpush a x",
    "get",
    "exec",
    "multi",
    "set a 2",
    "lpush a x",
    "geoadd g 0 0 m",
    "expire g 0",
    "exec",
    "exec",
    "watch a",
    "multi",
    "discard",
    "blpop none 0.01",
    "blpop a 0.01",
    "rpush l 1",
    "blpop l 0",
    "sort h",
    "subscribe c",
    "unsubscribe c",
];

#[test]
fn commands_and_errors_are_counted_alike() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    run(&mut clients, &["config resetstat"]);
    run(&mut clients, COUNTED);
    for name in ["commandstats", "errorstats"] {
        let [theirs, ours] = clients.each_mut().map(|client| section(client, name));
        assert_eq!(ours, theirs);
        assert!(ours.len() > 3, "{ours:?}");
    }
    // The percentiles are ours, the commands are the same.
    run(
        &mut clients,
        &["config set latency-tracking-info-percentiles 99.9"],
    );
    let [theirs, ours] = clients.each_mut().map(|client| {
        let lines = section(client, "latencystats").into_iter();
        let without_values = |line: String| {
            let fields = line.split(',').map(|field| field.rsplit_once('='));
            let fields: Vec<&str> = fields.flatten().map(|(name, _)| name).collect();
            fields.join(",")
        };
        lines.map(without_values).collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    assert!(ours.len() > 10, "{ours:?}");
}

#[test]
fn the_same_sections_and_fields_are_told() {
    let servers = servers();
    let mut clients = servers.each_ref().map(Server::client);
    run(&mut clients, &["config resetstat", "set k v"]);
    for request in [
        "info",
        "info all",
        "info default",
        "info everything",
        "info modules",
        "info default commandstats",
        "info all nosuch",
        "info nosuch",
        "INFO CPU sErVeR cpu",
    ] {
        let [theirs, ours] = clients.each_mut().map(|client| {
            let text = client.line(request).text();
            let names = text.lines().filter_map(|line| line.split(':').next());
            let names = names.filter(|name| !OWN_FIELDS.contains(name));
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        let [theirs, ours] = [theirs, ours].map(in_sections);
        assert_eq!(ours, theirs, "{request}");
    }
}

/// Fields that Redis does not have.
const OWN_FIELDS: &[&str] = &["slotilla_version", "io_threads"];

/// The names, those of commands sorted: Redis tells them in no order.
fn in_sections(names: Vec<String>) -> Vec<String> {
    let (of_commands, mut others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| {
        name.starts_with("cmdstat_") || name.starts_with("latency_percentiles_usec_")
    });
    let of_commands: BTreeSet<String> = of_commands.into_iter().collect();
    others.extend(of_commands);
    others
}

/// Clients of all kinds, by name, and one that looks.
fn crowd(server: &Server) -> (Client, Vec<(&'static str, Client)>) {
    let mut crowd = Vec::new();
    for (name, command) in [
        ("idle", "ping"),
        ("waits", "blpop none 0"),
        ("listens", "subscribe c"),
        ("matches", "psubscribe p*"),
        ("queues", "multi"),
        ("watches", "monitor"),
    ] {
        let mut client = server.client();
        client.line(&format!("client setname {name}"));
        client.send(format!("{command}\r\n").as_bytes());
        if name != "waits" {
            client.read();
        }
        crowd.push((name, client));
    }
    let mut control = server.client();
    wait_until("one waits", || {
        control.line("client list").text().contains("flags=b")
    });
    (control, crowd)
}

/// What CLIENT LIST with these options says of each client that does not depend on where and when,
/// sorted: Redis turns its list of clients round as time goes by.
fn listed(control: &mut Client, options: &str) -> Vec<String> {
    let fields = [
        "name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "resp",
    ];
    let text = control.line(&format!("client list {options}")).text();
    let shown = |line: &str| {
        let words = line.split(' ').filter(|word| {
            let name = word.split('=').next().unwrap_or_default();
            fields.contains(&name)
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut list: Vec<String> = text.lines().map(shown).collect();
    list.sort();
    list
}

/// The filter with `@name` put for what it is of the client of this name.
fn resolve(control: &mut Client, filter: &str) -> String {
    let list = control.line("client list").text();
    let words: Vec<&str> = filter.split(' ').collect();
    let resolved = words.iter().enumerate().map(|(at, word)| {
        let Some(name) = word.strip_prefix('@') else {
            return (*word).to_owned();
        };
        let named = format!("name={name}");
        let mut lines = list.lines().map(|line| line.split(' '));
        let mut line = lines
            .find(|line| line.clone().any(|word| word == named))
            .unwrap();
        let field = format!("{}=", words[at - 1]);
        line.find_map(|word| word.strip_prefix(&field))
            .unwrap()
            .to_owned()
    });
    resolved.collect::<Vec<_>>().join(" ")
}

/// Waits until so many clients are there, and tells of them.
fn once_there_are(control: &mut Client, count: usize) -> Vec<String> {
    let mut list = Vec::new();
    wait_until("those that have gone to be forgotten", || {
        list = listed(control, "");
        list.len() == count
    });
    list
}

#[test]
fn clients_are_listed_and_killed_by_every_filter() {
    let servers = servers();
    for filter in [
        "type normal",
        "type pubsub",
        "type master",
        "type replica",
        "user default",
        "skipme yes",
        "type normal skipme yes user default",
        "type pubsub id @listens",
        "type normal id @listens",
        "id @waits",
        "addr @queues",
        "addr @queues type pubsub",
        "laddr @idle",
        "laddr @idle type pubsub",
    ] {
        let [theirs, ours] = servers.each_ref().map(|server| {
            let (mut control, crowd) = crowd(server);
            let all = once_there_are(&mut control, crowd.len() + 1);
            let of_type = ["normal", "pubsub", "master", "replica"]
                .map(|kind| listed(&mut control, &format!("type {kind}")));
            let filter = resolve(&mut control, filter);
            let killed = control.line(&format!("client kill {filter}")).integer();
            let left = once_there_are(&mut control, all.len() - usize::try_from(killed).unwrap());
            drop(crowd);
            once_there_are(&mut control, 1);
            (all, of_type, killed, left)
        });
        assert_eq!(ours, theirs, "{filter}");
    }
}
