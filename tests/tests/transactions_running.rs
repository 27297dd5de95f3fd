//! Transactions of many clients at once, what is shown and counted of them, and their bounds.
#![cfg(test)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotilla_tests::{Client, Deadline, Kind, Server, Value, one_node_cluster, wait_until};

/// Pairs of keys that are always changed together are always seen equal.
fn no_half_is_seen(node: &Server, first: &str, second: &str) {
    let stop = AtomicBool::new(false);
    let changed = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = node.client();
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let commands: Vec<Vec<&str>> = vec![
                            vec!["multi"],
                            vec!["incr", first],
                            vec!["incr", second],
                            vec!["exec"],
                        ];
                        let replies = client.pipeline(&commands);
                        let both = replies[3].items();
                        assert_eq!(both[0], both[1], "half of a transaction");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut client = node.client();
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let mut commands: Vec<Vec<&str>> =
                            vec![vec!["multi"], vec!["get", first], vec!["get", second]];
                        if reader == 1 {
                            // At the gate.
                            commands.push(vec!["dbsize"]);
                        }
                        commands.push(vec!["exec"]);
                        let replies = client.pipeline(&commands);
                        let both = replies.last().unwrap().items();
                        assert_eq!(both[0], both[1], "half of a transaction was seen");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let deadline = Deadline::after(Duration::from_secs(2));
        wait_until("the time to be over", || deadline.is_over());
        stop.store(true, Ordering::Relaxed);
        let seen: usize = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert!(seen > 100, "{seen} looks");
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum::<usize>()
    });
    let count = node.client().call(&["get", first]).text();
    assert_eq!(count, changed.to_string(), "increments were lost");
}

#[test]
fn nobody_sees_half_of_a_transaction_on_two_slots() {
    let node = Server::start(Kind::Node, &[("io-threads", "2")]);
    no_half_is_seen(&node, "a", "b");
}

#[test]
fn nobody_sees_half_of_a_transaction_in_a_cluster() {
    let node = one_node_cluster(Kind::Node, &[("io-threads", "2")]);
    no_half_is_seen(&node, "{t}a", "{t}b");
}

/// Optimistic locking, as everybody does it: no increment is lost, and somebody always gets on.
#[test]
fn increments_by_watch_get_and_set_are_not_lost() {
    let node = Server::start(Kind::Node, &[("io-threads", "2")]);
    node.client().ok(&["set", "count", "0"]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = node.client();
                let mut done = 0;
                while done < 200 {
                    client.ok(&["watch", "count"]);
                    let next = client
                        .call(&["get", "count"])
                        .text()
                        .parse::<u64>()
                        .unwrap()
                        + 1;
                    client.ok(&["multi"]);
                    client.call(&["set", "count", &next.to_string()]);
                    done += usize::from(!client.call(&["exec"]).is_null());
                }
            });
        }
    });
    assert_eq!(node.client().call(&["get", "count"]).text(), "600");
}

/// Plain ones, one with an error while it runs, aborted and broken ones.
const COUNTED: &[&str] = &[
    "config resetstat",
    "config set slowlog-log-slower-than 0",
    "slowlog reset",
    "multi",
    "set a x",
    "get a",
    "select 1",
    "incr {a}",
    "set b",
    "exec",
    "multi",
    "set a x",
    "incr a",
    "exec",
    "watch a",
    "set a y",
    "multi",
    "get a",
    "exec",
    "exec",
    "multi x",
];

/// Both servers do the same and show the same.
fn alike(shown: impl Fn(&Server) -> Vec<String>) {
    let start = |kind| Server::start(kind, &[]);
    assert_eq!(shown(&start(Kind::Node)), shown(&start(Kind::Redis)));
}

fn send_all(client: &mut Client, lines: &[&str]) {
    for line in lines {
        client.line(line);
    }
}

#[test]
fn what_is_counted_is_what_redis_counts() {
    alike(|server| {
        let mut client = server.client();
        send_all(&mut client, COUNTED);
        let log = client.line("slowlog get 100");
        let commands = log.items().iter().map(|entry| entry.items()[3].to_string());
        let mut all: Vec<String> = commands.collect();
        let info = client.line("info all").text();
        let counted = |line: &&str| line.starts_with("cmdstat_") || line.starts_with("errorstat_");
        let calls = |line: &str| {
            let fields = line.split(',').filter(|field| !field.starts_with("usec"));
            fields.collect::<Vec<_>>().join(",")
        };
        let mut counts: Vec<String> = info.lines().filter(counted).map(calls).collect();
        counts.sort();
        all.extend(counts);
        all
    });
}

#[test]
fn who_watches_all_commands_sees_them_when_they_run() {
    alike(|server| {
        let (mut client, mut monitor) = (server.client(), server.client());
        monitor.ok(&["monitor"]);
        send_all(&mut client, COUNTED);
        client.line("ping");
        let mut all = Vec::new();
        loop {
            let line = monitor.read_text_line();
            let words = line.split_once("] ").map(|(_, words)| words.to_owned());
            all.extend(words);
            if line.ends_with("\"ping\"") {
                return all;
            }
        }
    });
}

#[test]
fn client_list_shows_who_is_in_the_midst_of_one() {
    alike(|server| {
        let (mut client, mut other) = (server.client(), server.client());
        let mut all = Vec::new();
        for line in [
            "watch a", "multi", "set a 1", "ping", "exec", "watch a", "set a 1", "multi", "ping",
            "discard", "multi", "nosuch", "ping",
        ] {
            client.line(line);
            let id = client_id(&mut client, &mut other);
            let list = other.call(&["client", "list", "id", &id]).text();
            let shown = |word: &&str| {
                ["multi=", "flags=", "cmd="]
                    .iter()
                    .any(|f| word.starts_with(f))
            };
            all.extend(list.split(' ').filter(shown).map(str::to_owned));
        }
        all
    });
}

/// The id of a client that may be between MULTI and EXEC, and cannot be asked.
fn client_id(client: &mut Client, other: &mut Client) -> String {
    let port = client.socket().local_addr().unwrap().port();
    let list = other.line("client list").text();
    let line = list
        .lines()
        .find(|line| line.contains(&format!("addr=127.0.0.1:{port} ")))
        .unwrap();
    line.split(' ')
        .next()
        .unwrap()
        .strip_prefix("id=")
        .unwrap()
        .to_owned()
}

#[test]
fn the_queue_is_counted_bounded_and_freed() {
    let node = Server::start(Kind::Node, &[("client-query-buffer-limit", "1mb")]);
    let (mut client, mut other) = (node.client(), node.client());
    let held = |client: &mut Client, other: &mut Client| {
        let id = client_id(client, other);
        let list = other.call(&["client", "list", "id", &id]).text();
        let mut words = list.split(' ');
        let field = words
            .find_map(|word| word.strip_prefix("multi-mem="))
            .unwrap();
        field.parse::<usize>().unwrap()
    };
    let value = "v".repeat(100_000);
    client.ok(&["watch", &value]);
    assert!(held(&mut client, &mut other) > 100_000);
    client.ok(&["unwatch"]);
    client.ok(&["multi"]);
    for _ in 0..5 {
        client.call(&["set", "k", &value]);
    }
    assert!((500_000..2_000_000).contains(&held(&mut client, &mut other)));
    client.ok(&["discard"]);
    assert_eq!(held(&mut client, &mut other), 0);
    client.ok(&["multi"]);
    for n in 0..20 {
        if client.try_call(&["set", "k", &value]).is_err() {
            assert!((9..13).contains(&n), "closed after {n}");
            return;
        }
    }
    panic!("a queue of 2 MB was taken");
}

#[test]
fn a_transaction_waits_for_the_end_of_a_pause() {
    let node = Server::start(Kind::Node, &[]);
    let (mut writer, mut reader, mut other) = (node.client(), node.client(), node.client());
    for (client, command) in [(&mut writer, "set a 1"), (&mut reader, "get a")] {
        client.line("multi");
        client.line(command);
    }
    other.line("client pause 100000 write");
    assert_eq!(reader.line("exec"), Value::Array(vec![Value::NullBulk]));
    writer.send(b"exec\r\n");
    wait_until("EXEC to wait", || {
        other.line("client list").text().contains("flags=xb")
    });
    assert!(other.line("get a").is_null());
    other.line("client unpause");
    assert_eq!(
        writer.read(),
        Value::Array(vec![Value::Simple("OK".into())])
    );
    reader.line("multi");
    reader.line("get a");
    other.line("client pause 100000 all");
    reader.send(b"exec\r\n");
    wait_until("EXEC to wait", || {
        other.line("client list").text().contains("flags=xb")
    });
    other.line("client unpause");
    assert_eq!(
        reader.read(),
        Value::Array(vec![Value::Bulk(b"1".to_vec())])
    );
}

#[test]
fn an_eviction_breaks_a_watch() {
    let node = Server::start(Kind::Node, &[("maxmemory-policy", "allkeys-lru")]);
    let (mut client, mut other) = (node.client(), node.client());
    client.ok(&["set", "a", "1"]);
    client.ok(&["watch", "a"]);
    other.ok(&["config", "set", "maxmemory", "1"]);
    assert!(other.call(&["set", "b", "1"]).error().is_some());
    other.ok(&["config", "set", "maxmemory", "0"]);
    assert!(other.call(&["get", "a"]).is_null());
    client.ok(&["multi"]);
    client.line("ping");
    assert_eq!(client.line("exec"), Value::NullArray);
}
