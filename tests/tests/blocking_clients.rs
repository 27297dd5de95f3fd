//! Blocked clients: many at once, their timeouts, how they end, what is shown and counted of them.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slotilla_tests::{
    Client, Cluster, Deadline, Kind, Server, Value, encode, one_node_cluster, slot_of, wait_until,
};

fn send(client: &mut Client, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut request = Vec::new();
    encode(&mut request, &words);
    client.send(&request);
}

fn info(server: &Server, field: &str) -> i64 {
    server.info(field).unwrap().parse().unwrap()
}

/// A client that is blocked in a command.
fn blocked(server: &Server, line: &str) -> Client {
    let before = info(server, "blocked_clients");
    let mut client = server.client();
    send(&mut client, line);
    wait_until(line, || info(server, "blocked_clients") > before);
    client
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

#[test]
fn clients_of_all_threads_are_served_in_the_order_in_which_they_came() {
    const CLIENTS: usize = 24;
    let server = Server::start(Kind::Node, &[("io-threads", "4")]);
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|n| {
            blocked(
                &server,
                if n % 2 == 0 {
                    "blpop q 0"
                } else {
                    "blpop q other 0"
                },
            )
        })
        .collect();
    let numbers: Vec<String> = (0..CLIENTS + 2).map(|n| n.to_string()).collect();
    let words = [vec!["rpush".to_owned(), "q".to_owned()], numbers].concat();
    assert_eq!(server.client().call(&words).integer(), CLIENTS as i64 + 2);
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read().items(), [bulk("q"), bulk(&n.to_string())]);
    }
    assert_eq!(info(&server, "blocked_clients"), 0);
    assert_eq!(server.client().call(&["llen", "q"]).integer(), 2);
}

/// What one consumer does; gives the elements that it got.
fn consume(server: &Server, how: usize, left: &AtomicUsize) -> Vec<String> {
    let mut client = server.client();
    let mut got = Vec::new();
    let command = match how % 5 {
        0 => "blpop a b c 0.05",
        1 => "brpop c a b 0.03",
        2 => "blmpop 0.02 2 b c left count 3",
        3 => "blmove a b left right 0.01",
        _ => "brpoplpush c a 0.04",
    };
    while left.load(Ordering::Relaxed) > 0 {
        let reply = client.line(command);
        if reply.is_null() || how % 5 > 2 {
            continue;
        }
        let [_, element] = reply.items() else {
            panic!("{reply}");
        };
        let elements: Vec<String> = match element {
            Value::Array(several) => several.iter().map(Value::text).collect(),
            one => vec![one.text()],
        };
        left.fetch_sub(elements.len(), Ordering::Relaxed);
        got.extend(elements);
    }
    got
}

#[test]
fn every_element_is_delivered_once() {
    const PRODUCERS: usize = 4;
    const CONSUMERS: usize = 10;
    const EACH: usize = 1500;
    let server = Server::start(Kind::Node, &[("io-threads", "4")]);
    let left = AtomicUsize::new(PRODUCERS * EACH);
    let deadline = Deadline::after(Duration::from_secs(60));
    let got: Vec<Vec<String>> = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|n| {
                let (server, left) = (&server, &left);
                scope.spawn(move || consume(server, n, left))
            })
            .collect();
        for producer in 0..PRODUCERS {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for n in 0..EACH {
                    let (key, element) = (["a", "b", "c"][n % 3], format!("{producer}-{n}"));
                    match n % 4 {
                        0 => {
                            let commands: Vec<Vec<&str>> = vec![
                                vec!["multi"],
                                vec!["rpush", key, &element],
                                // At the gate, now and then.
                                vec![if n % 40 == 0 { "dbsize" } else { "ping" }],
                                vec!["exec"],
                            ];
                            let replies = client.pipeline(&commands);
                            assert_eq!(replies[3].items().len(), 2);
                        }
                        1 => {
                            // Comes to be in another way.
                            let spare = format!("spare-{producer}");
                            client.call(&["rpush", &spare, &element]);
                            client.call(&["lmove", &spare, key, "left", "left"]);
                        }
                        _ => assert!(client.call(&["lpush", key, &element]).integer() > 0),
                    }
                }
            });
        }
        consumers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert!(!deadline.is_over());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for element in got.into_iter().flatten() {
        *counts.entry(element).or_default() += 1;
    }
    assert_eq!(counts.len(), PRODUCERS * EACH);
    assert!(counts.values().all(|count| *count == 1), "delivered twice");
    assert_eq!(server.client().call(&["dbsize"]).integer(), 0);
    assert_eq!(info(&server, "blocked_clients"), 0);
}

#[test]
fn who_goes_while_blocked_takes_nothing_along() {
    let server = Server::start(Kind::Node, &[("io-threads", "4")]);
    let mut control = server.client();
    let clients: Vec<Client> = (0..20)
        .map(|n| {
            blocked(
                &server,
                if n % 2 == 0 {
                    "blpop q 0"
                } else {
                    "blmove q r left left 9"
                },
            )
        })
        .collect();
    assert_eq!(info(&server, "clients_in_timeout_table"), 10);
    drop(clients);
    // Nobody has to say anything to them for that.
    wait_until("the clients to be forgotten", || {
        info(&server, "blocked_clients") == 0 && info(&server, "connected_clients") == 2
    });
    assert_eq!(info(&server, "clients_in_timeout_table"), 0);
    assert_eq!(control.call(&["rpush", "q", "1", "2"]).integer(), 2);
    assert_eq!(control.call(&["llen", "q"]).integer(), 2);
    assert_eq!(control.call(&["exists", "r"]).integer(), 0);
}

#[test]
fn who_is_killed_while_elements_come_takes_none_along() {
    let server = Server::start(Kind::Node, &[("io-threads", "4")]);
    let mut control = server.client();
    for round in 0..200 {
        let mut client = server.client();
        let id = client.call(&["client", "id"]).to_string();
        send(&mut client, "blpop q 0");
        let killed = control.call(&["client", "kill", "id", &id]).integer();
        assert_eq!(killed, 1, "round {round}");
        assert_eq!(control.call(&["rpush", "q", "x"]).integer(), 1);
        assert_eq!(control.call(&["lpop", "q"]), bulk("x"), "round {round}");
        assert_eq!(client.read_to_close(), b"");
    }
}

#[test]
fn timeouts_are_kept() {
    let server = Server::start(Kind::Node, &[("io-threads", "2"), ("timeout", "1")]);
    // Idle for longer than `timeout`, and not closed.
    let mut idle = blocked(&server, "blpop idle 0");
    let deadline = Deadline::after(Duration::from_millis(2500));
    std::thread::scope(|scope| {
        for n in 0..30u64 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..4 {
                    let milliseconds = 1 + (n * 37 + round * 11) % 300;
                    let seconds = format!("{}", milliseconds as f64 / 1000.0);
                    let keys = [format!("k{n}"), format!("l{n}")];
                    let start = Deadline::after(Duration::from_secs(60));
                    let reply = client.call(&["blpop", &keys[0], &keys[1], &seconds]);
                    let took = start.elapsed();
                    assert_eq!(reply, Value::NullArray);
                    assert!(
                        took >= Duration::from_millis(milliseconds),
                        "{took:?} {seconds}"
                    );
                    // On a machine that does other things.
                    assert!(
                        took < Duration::from_millis(milliseconds + 2000),
                        "{took:?}"
                    );
                }
            });
        }
    });
    wait_until("the clients to go", || {
        info(&server, "blocked_clients") == 1
    });
    wait_until("an idle client to be closed", || deadline.is_over());
    assert_eq!(info(&server, "blocked_clients"), 1);
    assert_eq!(server.client().call(&["rpush", "idle", "1"]).integer(), 1);
    assert_eq!(idle.read().items(), [bulk("idle"), bulk("1")]);
    // It has not been idle all that time.
    assert_eq!(idle.call(&["ping"]), Value::Simple("PONG".into()));
}

#[test]
fn a_pause_holds_back_what_would_wait_but_no_timeout() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let mut control = server.client();
        let mut timed = blocked(&server, "blpop k 0.5");
        let mut other = blocked(&server, "blpop k 0");
        control.ok(&["client", "pause", "100000", "write"]);
        let mut late = blocked(&server, "blpop l 0.001");
        let mut pusher = blocked(&server, "rpush k 1");
        assert_eq!(timed.read(), Value::NullArray, "{kind:?}");
        assert_eq!(info(&server, "blocked_clients"), 3, "{kind:?}");
        control.ok(&["client", "unpause"]);
        assert_eq!(pusher.read(), Value::Integer(1), "{kind:?}");
        assert_eq!(other.read().items(), [bulk("k"), bulk("1")], "{kind:?}");
        assert_eq!(late.read(), Value::NullArray, "{kind:?}");
    }
}

#[test]
fn what_a_blocked_client_sends_is_bounded() {
    let limit = [("client-query-buffer-limit", "1mb")];
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &limit);
        let mut within = blocked(&server, "blpop k 0");
        let mut beyond = blocked(&server, "blpop k 0");
        let ping = b"*1\r\n$4\r\nPING\r\n";
        within.send(&ping.repeat(30_000));
        // It may be closed before all is sent.
        let _sent = beyond.try_send(&ping.repeat(150_000));
        assert_eq!(beyond.read_to_close(), b"", "{kind:?}");
        wait_until("the client to be forgotten", || {
            info(&server, "blocked_clients") == 1
        });
        assert_eq!(server.client().call(&["rpush", "k", "1", "2"]).integer(), 2);
        assert_eq!(within.read().items(), [bulk("k"), bulk("1")]);
        for _ in 0..30_000 {
            assert_eq!(within.read(), Value::Simple("PONG".into()));
        }
        assert_eq!(server.client().call(&["llen", "k"]).integer(), 1);
    }
}

/// One line of INFO about a command, without its times.
fn counts(server: &Server, command: &str) -> Vec<String> {
    let line = server
        .info(&format!("cmdstat_{command}"))
        .unwrap_or_default();
    let fields = line.split(',').filter(|field| !field.starts_with("usec"));
    fields.map(str::to_owned).collect()
}

#[test]
fn blocked_commands_are_counted_as_redis_counts_them() {
    let mut seen = Vec::new();
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[("slowlog-log-slower-than", "0")]);
        let mut control = server.client();
        control.ok(&["set", "s", "x"]);
        // Of one that CLIENT UNBLOCK has ended, Redis has forgotten the arguments.
        let logged = |control: &mut Client| {
            let log = control.call(&["slowlog", "get", "-1"]);
            let names = log
                .items()
                .iter()
                .map(|entry| entry.items()[3].items().first());
            names
                .filter(|name| name.is_none_or(|n| n.text().starts_with('b')))
                .count()
        };
        let percentiles = |server: &Server| {
            let commands = ["blpop", "blmove", "bzpopmin"];
            commands.map(|c| {
                server
                    .info(&format!("latency_percentiles_usec_{c}"))
                    .is_some()
            })
        };
        let errors = |server: &Server| {
            let names = ["WRONGTYPE", "UNBLOCKED"];
            names.map(|name| server.info(&format!("errorstat_{name}")))
        };
        let mut shown = Vec::new();
        let mut look = |control: &mut Client| {
            shown.push(format!(
                "{:?} {:?} {:?} {:?} {} {:?}",
                counts(&server, "blpop"),
                counts(&server, "blmove"),
                counts(&server, "bzpopmin"),
                errors(&server),
                logged(control),
                percentiles(&server),
            ));
        };
        let mut first = blocked(&server, "blpop k 0");
        let mut second = blocked(&server, "blmove k s left right 0");
        let mut third = blocked(&server, "bzpopmin z 0");
        let id = third_id(&mut control);
        look(&mut control);
        control.call(&["rpush", "k", "1", "2"]);
        first.read();
        assert!(second.read().error().is_some());
        look(&mut control);
        assert_eq!(
            control.call(&["client", "unblock", &id, "error"]).integer(),
            1
        );
        assert!(third.read().error().is_some());
        look(&mut control);
        send(&mut third, "bzpopmin z 0");
        wait_until("a client to unblock", || {
            control.call(&["client", "unblock", &id]).integer() == 1
        });
        assert_eq!(third.read(), Value::NullArray);
        assert_eq!(third.line("bzpopmin z 0.01"), Value::NullArray);
        look(&mut control);
        seen.push(shown);
    }
    assert_eq!(seen[0], seen[1]);
}

/// The id of the client whose last command is BZPOPMIN.
fn third_id(control: &mut Client) -> String {
    let list = control.call(&["client", "list"]).text();
    let line = list.lines().find(|line| line.contains("cmd=bzpopmin"));
    let id = line.and_then(|line| line.split_whitespace().next());
    id.and_then(|id| id.strip_prefix("id=")).unwrap().to_owned()
}

#[test]
fn a_slot_that_is_taken_away_tells_as_redis_tells() {
    for coverage in ["yes", "no"] {
        let mut told = Vec::new();
        for kind in [Kind::Redis, Kind::Node] {
            let settings = [("cluster-require-full-coverage", coverage)];
            let server = one_node_cluster(kind, &settings);
            let mut client = blocked(&server, "blpop {t}k {t}l 0");
            let mut other = blocked(&server, "bzpopmax {u}k 0");
            let slot = slot_of("{t}").to_string();
            server.client().ok(&["cluster", "delslots", &slot]);
            let mut replies = vec![client.read()];
            if coverage == "yes" {
                replies.push(other.read());
            } else {
                assert_eq!(
                    server.client().call(&["zadd", "{u}k", "1", "m"]).integer(),
                    1
                );
                replies.push(other.read());
            }
            replies.push(client.line("blpop {t}k 0"));
            told.push(replies);
        }
        assert_eq!(told[0], told[1], "cluster-require-full-coverage {coverage}");
    }
}

#[test]
fn a_slot_that_moves_redirects_those_who_wait() {
    let cluster = Cluster::start_mixed(&[Kind::Node, Kind::Redis], &[]);
    let [ours, theirs] = cluster.nodes.as_slice() else {
        panic!("two nodes");
    };
    let key = (0..100)
        .map(|n| format!("k{n}"))
        .find(|key| cluster.node_of(key).port() == ours.port())
        .unwrap();
    let slot = slot_of(&key).to_string();
    let mut client = blocked(ours, &format!("blmove {key} {key} left right 0"));
    let mut taker = theirs.client();
    // What it has imported it takes with an epoch of its own, so its claim is believed.
    let from = ours.client().call(&["cluster", "myid"]).text();
    taker.ok(&["cluster", "setslot", &slot, "importing", &from]);
    let id = taker.call(&["cluster", "myid"]).text();
    taker.ok(&["cluster", "setslot", &slot, "node", &id]);
    let moved = format!("MOVED {slot} {}", theirs.address());
    assert_eq!(client.read(), Value::Error(moved));
    assert_eq!(info(ours, "blocked_clients"), 0);
}
