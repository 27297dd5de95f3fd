//! Commands that concern the whole cluster, while it is not known, or fails.
#![cfg(test)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::slot::Slot;
use slotilla_proxy::config::Config;
use support::{
    Act, Client, FakeNode, Setup, Words, free_port, quick, say, start_proxy, text, wait_for,
};

/// Each command, and the reply of a cluster whose nodes have one key each. (SCAN tells but one
/// node's, then a cursor.)
const WIDE: [(&str, &str); 6] = [
    ("KEYS *", "[key]"),
    ("DBSIZE", "1"),
    ("SCAN 0", "[0 [key]]"),
    ("RANDOMKEY", "key"),
    ("FLUSHALL", "OK"),
    ("FLUSHDB", "OK"),
];

/// A node with one key.
fn with_a_key(_: usize, words: &Words) -> Act {
    say(match words[0].as_str() {
        "KEYS" => "*1\r\n$3\r\nkey\r\n",
        "DBSIZE" => ":1\r\n",
        "SCAN" => "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n",
        "RANDOMKEY" => "$3\r\nkey\r\n",
        _ => "+OK\r\n",
    })
}

fn without_keys(_: usize, words: &Words) -> Act {
    say(match words[0].as_str() {
        "KEYS" => "*0\r\n",
        "DBSIZE" => ":0\r\n",
        "SCAN" => "*2\r\n$1\r\n0\r\n*0\r\n",
        "RANDOMKEY" => "$-1\r\n",
        _ => "+OK\r\n",
    })
}

fn count(node: &FakeNode, line: &str) -> usize {
    node.seen().iter().filter(|seen| *seen == line).count()
}

fn patient() -> Config {
    Config {
        request_timeout: Duration::from_secs(10),
        ..quick()
    }
}

/// A new node that has taken over all that the second of two nodes had; the proxy is not told.
fn successor(setup: &Setup, handler: fn(usize, &Words) -> Act) -> FakeNode {
    let new = FakeNode::start_on(0, Arc::clone(&setup.map), handler);
    setup.map.lock().unwrap()[1].2 = new.port;
    new
}

#[test]
fn without_a_slot_map_commands_wait_for_it() {
    let port = free_port();
    let proxy = start_proxy(patient(), &[port]);
    let mut clients: Vec<Client> = WIDE.iter().map(|_| Client::connect(&proxy)).collect();
    for (client, (line, _)) in clients.iter_mut().zip(WIDE) {
        client.send(line);
    }
    let counters = proxy.shared().counters();
    wait_for("all to wait", || counters[0].retries.read() >= 6);
    let map = Arc::new(Mutex::new(vec![(0, 16_383, port)]));
    let _node = FakeNode::start_on(port, map, with_a_key);
    for (client, (line, reply)) in clients.iter_mut().zip(WIDE) {
        assert_eq!(text(&client.receive()), reply, "{line}");
    }
}

#[test]
fn without_a_slot_map_commands_wait_no_longer_than_the_deadline_and_in_a_bounded_queue() {
    let config = Config {
        request_timeout: Duration::from_millis(300),
        ..quick()
    };
    let clock = Monotonic::new();
    let proxy = start_proxy(config.clone(), &[free_port()]);
    for (line, _) in WIDE {
        let start = clock.now();
        let reply = text(&Client::connect(&proxy).call(line));
        assert!(reply.starts_with("-CLUSTERDOWN"), "{line}: {reply}");
        let waited = clock.nanos_between(start, clock.now());
        assert!((50_000_000..2_000_000_000).contains(&waited), "{waited}");
    }
    let config = Config {
        request_timeout: Duration::from_secs(3600),
        retry_queue_max: 0,
        ..config
    };
    let proxy = start_proxy(config, &[free_port()]);
    for (line, _) in WIDE {
        let reply = text(&Client::connect(&proxy).call(line));
        assert!(reply.starts_with("-CLUSTERDOWN"), "{line}: {reply}");
    }
}

#[test]
fn what_waits_for_the_slot_map_keeps_its_order() {
    let port = free_port();
    let proxy = start_proxy(patient(), &[port]);
    let mut client = Client::connect(&proxy);
    let lines = ["SET a 1", "FLUSHALL", "SET a 2", "SET b 1", "DBSIZE"];
    client.send_all(&lines);
    let map = Arc::new(Mutex::new(vec![(0, 16_383, port)]));
    let node = FakeNode::start_on(port, map, with_a_key);
    for reply in ["OK", "OK", "OK", "OK", "1"] {
        assert_eq!(text(&client.receive()), reply);
    }
    let seen = node.seen();
    let place = |line: &str| seen.iter().position(|seen| seen == line).unwrap();
    let places = lines.map(place);
    assert!(places[0] < places[1] && places[1] < places[2], "{seen:?}");
    assert!(places[1] < places[3] && places[2] < places[4], "{seen:?}");
    assert_eq!(seen.len(), lines.len());
}

#[test]
fn later_means_later_for_one_part_and_the_others_are_not_repeated() {
    for refusal in [
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
    ] {
        for (line, _) in WIDE {
            let setup = Setup::new(2, patient());
            setup.nodes[0].answer(with_a_key);
            let mut refusals = 3;
            setup.nodes[1].answer(move |connection, words| {
                refusals -= 1;
                if refusals > 0 {
                    say(refusal)
                } else {
                    without_keys(connection, words)
                }
            });
            let reply = text(&setup.client().call(line));
            assert!(!reply.starts_with('-'), "{line}: {reply}");
            if !line.starts_with("SCAN") && line != "RANDOMKEY" {
                assert_eq!(count(&setup.nodes[0], line), 1, "{line}");
                assert_eq!(count(&setup.nodes[1], line), 3, "{line}");
            }
        }
    }
}

#[test]
fn reads_whose_connection_was_lost_are_repeated_and_writes_are_not() {
    for (line, reply) in [("KEYS *", "[key]"), ("DBSIZE", "1")] {
        let setup = Setup::new(2, patient());
        setup.nodes[0].answer(with_a_key);
        let mut losses = 3;
        setup.nodes[1].answer(move |connection, words| {
            losses -= 1;
            if losses > 0 {
                Act::Hang
            } else {
                without_keys(connection, words)
            }
        });
        assert_eq!(text(&setup.client().call(line)), reply);
        assert_eq!(count(&setup.nodes[1], line), 3, "{line}");
    }
    let setup = Setup::new(2, patient());
    setup.nodes[1].answer(|_, _| Act::Hang);
    let reply = text(&setup.client().call("FLUSHALL"));
    let doubt = "may or may not have been executed";
    assert!(reply.contains(doubt), "{reply}");
    assert_eq!(count(&setup.nodes[1], "FLUSHALL"), 1);
}

#[test]
fn a_write_that_was_not_sent_waits_for_its_node() {
    let port = free_port();
    let map = Arc::new(Mutex::new(Vec::new()));
    let seed = FakeNode::start_on(0, Arc::clone(&map), without_keys);
    *map.lock().unwrap() = vec![(0, 99, seed.port), (100, 16_383, port)];
    let proxy = start_proxy(patient(), &[seed.port]);
    wait_for("a map", || proxy.shared().map.load().is_complete());
    let mut client = Client::connect(&proxy);
    client.send("FLUSHALL");
    let counters = proxy.shared().counters();
    wait_for("an attempt", || {
        counters[0].upstream_cx_connect_fail.read() > 0
    });
    let node = FakeNode::start_on(port, map, without_keys);
    assert_eq!(text(&client.receive()), "OK");
    assert_eq!(
        (node.seen(), seed.seen().len()),
        (vec!["FLUSHALL".into()], 1)
    );
}

#[test]
fn what_a_demoted_primary_does_not_write_its_successor_does() {
    for line in ["FLUSHALL", "FLUSHDB ASYNC"] {
        let setup = Setup::new(2, patient());
        setup.nodes[1]
            .answer(|_, _| say("-READONLY You can't write against a read only replica.\r\n"));
        let new = successor(&setup, without_keys);
        assert_eq!(text(&setup.client().call(line)), "OK");
        assert_eq!(count(&new, line), 1);
        assert_eq!(count(&setup.nodes[0], line), 1);
    }
}

#[test]
fn the_slots_of_a_demoted_primary_may_go_to_several() {
    let setup = Setup::new(2, patient());
    setup.nodes[1].answer(|_, _| say("-READONLY no\r\n"));
    let new = FakeNode::start_on(0, Arc::clone(&setup.map), without_keys);
    let old = setup.nodes[0].port;
    *setup.map.lock().unwrap() = vec![(0, 9_999, old), (10_000, 16_383, new.port)];
    let mut client = setup.client();
    assert_eq!(text(&client.call("FLUSHALL")), "OK");
    assert_eq!(count(&new, "FLUSHALL"), 1);
    // Once for its own slots, and once for those that it got.
    assert_eq!(count(&setup.nodes[0], "FLUSHALL"), 2);
    assert_eq!(text(&client.call("FLUSHALL")), "OK");
    assert_eq!(count(&setup.nodes[0], "FLUSHALL"), 3);
}

#[test]
fn slots_that_are_nobodys_for_a_while_go_to_their_next_owner() {
    let setup = Setup::new(2, patient());
    let mut client = setup.client();
    assert_eq!(text(&client.call("FLUSHALL")), "OK");
    setup.nodes[1].answer(|_, _| say("-READONLY no\r\n"));
    let lost = setup.map.lock().unwrap().pop().unwrap();
    let looks = setup.nodes[0].looks();
    client.send("FLUSHALL");
    // Two looks: the proxy has seen the first one's answer.
    wait_for("the map without the second node", || {
        setup.nodes[0].looks() > looks + 1
    });
    let new = FakeNode::start_on(0, Arc::clone(&setup.map), without_keys);
    let (first, last, _) = lost;
    setup.map.lock().unwrap().push((first, last, new.port));
    assert_eq!(text(&client.receive()), "OK");
    assert_eq!(count(&new, "FLUSHALL"), 1);
    assert_eq!(count(&setup.nodes[0], "FLUSHALL"), 2);
}

#[test]
fn who_stays_read_only_is_told_when_the_time_is_over() {
    let config = Config {
        request_timeout: Duration::from_millis(300),
        ..quick()
    };
    let setup = Setup::new(2, config);
    setup.nodes[1].answer(|_, _| say("-READONLY no\r\n"));
    let before = setup.nodes[0].looks();
    assert_eq!(text(&setup.client().call("FLUSHALL")), "-READONLY no");
    assert!(count(&setup.nodes[1], "FLUSHALL") > 1);
    assert!(setup.nodes[0].looks() > before);
    // What a script without keys says is its own result.
    for node in &setup.nodes {
        node.answer(|_, _| say("-READONLY script\r\n"));
    }
    let reply = text(&setup.client().call("EVAL x 0"));
    assert_eq!(reply, "-READONLY script");
    let runs: usize = setup.nodes.iter().map(|n| count(n, "EVAL x 0")).sum();
    assert_eq!(runs, 1);
}

#[test]
fn a_flush_does_not_come_behind_what_its_client_sent_next() {
    // The second node's.
    let slot = Slot::of_key(b"a").number();
    for lets_pass in [true, false] {
        let setup = Setup::new(2, patient());
        let new = successor(&setup, without_keys);
        let moved = format!("-MOVED {slot} 127.0.0.1:{}\r\n", new.port);
        setup.nodes[1].answer(move |_, words| match words[0].as_str() {
            "SET" if lets_pass => say("+OK\r\n"),
            "SET" => say(&moved),
            _ => say("-READONLY no\r\n"),
        });
        let mut client = setup.client();
        client.send_all(&["FLUSHALL", "SET a 1"]);
        let replies = [client.receive(), client.receive()].map(|reply| text(&reply));
        if lets_pass {
            // It would remove what was written after it.
            assert_eq!(replies, ["-READONLY no", "OK"]);
            assert_eq!(count(&new, "FLUSHALL"), 0);
        } else {
            assert_eq!(replies, ["OK", "OK"]);
            assert_eq!(new.seen(), ["FLUSHALL", "SET a 1"]);
        }
    }
}

#[test]
fn reads_go_to_the_successor_of_a_node_that_died() {
    for (line, reply) in [("KEYS *", "[key]"), ("DBSIZE", "1"), ("RANDOMKEY", "key")] {
        let setup = Setup::new(2, patient());
        setup.nodes[0].answer(without_keys);
        let old = FakeNode::start_on(0, Arc::clone(&setup.map), |_, _| Act::Hang);
        setup.map.lock().unwrap()[1].2 = old.port;
        setup.proxy.shared().refresher.ask();
        let map = || setup.proxy.shared().map.load();
        wait_for("the map", || {
            map().primaries.iter().any(|p| p.1.port == old.port)
        });
        let mut client = setup.client();
        client.send(line);
        wait_for("an attempt", || !old.seen().is_empty());
        let new = successor(&setup, with_a_key);
        assert_eq!(text(&client.receive()), reply, "{line}");
        assert!(!new.seen().is_empty());
    }
}

#[test]
fn a_scan_goes_on_when_the_node_that_it_is_on_dies() {
    let setup = Setup::new(2, patient());
    let died = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&died);
    setup.nodes[0].answer(without_keys);
    setup.nodes[1].answer(move |_, _| {
        its.fetch_add(1, Ordering::SeqCst);
        Act::Hang
    });
    let mut client = setup.client();
    let (mut cursor, mut told, mut new) = ("0".to_owned(), Vec::new(), None);
    for _ in 0..20 {
        client.send(&format!("SCAN {cursor}"));
        let reply = loop {
            // It dies at the first request, and a successor comes.
            if new.is_none() && died.load(Ordering::SeqCst) > 0 {
                new = Some(successor(&setup, with_a_key));
            }
            if let Some(reply) = client.receive_within(Duration::from_millis(20)) {
                break reply;
            }
        };
        let parts = reply.as_elements().unwrap_or_else(|| panic!("{reply:?}"));
        told.push(text(&parts[1]));
        cursor = text(&parts[0]);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(cursor, "0");
    assert!(told.contains(&"[key]".to_owned()), "{told:?}");
}
