//! What the proxy does when nodes say: elsewhere, or later.
#![cfg(test)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slotilla_common::slot::Slot;
use support::{Setup, quick, say, start_proxy, text, wait_for};

fn slot(key: &str) -> u16 {
    Slot::of_key(key.as_bytes()).number()
}

#[test]
fn moved_is_followed_and_learned() {
    let setup = Setup::new(2, quick());
    // "b" is the first node's, says the map; the node knows better.
    let other = setup.nodes[1].port;
    let moved = format!("-MOVED {} 127.0.0.1:{other}\r\n", slot("b"));
    setup.nodes[0].answer(move |_, _| say(&moved));
    setup.nodes[1].answer(|_, _| say("$5\r\nvalue\r\n"));
    setup.all_to(other);
    let mut client = setup.client();
    assert_eq!(text(&client.call("GET b")), "value");
    assert_eq!(text(&client.call("GET b")), "value");
    assert_eq!(setup.nodes[0].seen(), ["GET b"]);
    assert_eq!(setup.nodes[1].seen(), ["GET b", "GET b"]);
}

#[test]
fn moved_to_a_node_that_nobody_has_told_of_is_followed() {
    let setup = Setup::new(1, quick());
    let map = Arc::clone(&setup.map);
    let new = support::FakeNode::start_on(0, map, |_, _| say(":42\r\n"));
    // An empty host is that of the node that was asked.
    let moved = format!("-MOVED {} :{}\r\n", slot("b"), new.port);
    setup.nodes[0].answer(move |_, _| say(&moved));
    assert_eq!(text(&setup.client().call("INCR b")), "42");
}

#[test]
fn asking_comes_before_the_command_and_the_map_stays() {
    let setup = Setup::new(2, quick());
    let ask = format!("-ASK {} 127.0.0.1:{}\r\n", slot("b"), setup.nodes[1].port);
    setup.nodes[0].answer(move |_, _| say(&ask));
    setup.nodes[1].answer(|_, words| match words[0].as_str() {
        "ASKING" => say("+OK\r\n"),
        _ => say("$1\r\nx\r\n"),
    });
    let mut client = setup.client();
    for _ in 0..2 {
        assert_eq!(text(&client.call("GET b")), "x");
    }
    assert_eq!(setup.nodes[0].seen(), ["GET b", "GET b"]);
    assert_eq!(
        setup.nodes[1].seen(),
        ["ASKING", "GET b", "ASKING", "GET b"]
    );
}

#[test]
fn keys_that_are_split_by_a_migration_are_fetched_one_by_one() {
    let setup = Setup::new(2, quick());
    let ask = format!(
        "-ASK {} 127.0.0.1:{}\r\n",
        slot("{b}1"),
        setup.nodes[1].port
    );
    setup.nodes[0].answer(move |_, words| match words.join(" ").as_str() {
        "MGET {b}1" => say("*1\r\n$3\r\nold\r\n"),
        "MGET {b}2" => say(&ask),
        _ => say("-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
    });
    setup.nodes[1].answer(|_, words| match words.join(" ").as_str() {
        "ASKING" => say("+OK\r\n"),
        "MGET {b}2" => say("*1\r\n$3\r\nnew\r\n"),
        other => panic!("{other}"),
    });
    let mut client = setup.client();
    assert_eq!(text(&client.call("MGET {b}1 {b}2 {b}1")), "[old new old]");
}

#[test]
fn keys_are_not_sent_one_by_one_behind_what_the_client_sent_next() {
    for refusal in [
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".to_owned(),
        format!("-ASK {} 127.0.0.1:1\r\n", slot("b")),
    ] {
        let setup = Setup::new(2, quick());
        setup.nodes[0].answer(move |_, words| match words[0].as_str() {
            "MSET" => say(&refusal),
            _ => say("+OK\r\n"),
        });
        let mut client = setup.client();
        let both = ["MSET {b}1 old {b}2 old", "SET {b}1 new"];
        client.send_all(&both);
        let reply = text(&client.receive());
        assert!(
            reply.starts_with("-TRYAGAIN") || reply.starts_with("-CLUSTERDOWN"),
            "{reply}"
        );
        assert_eq!(text(&client.receive()), "OK");
        assert_eq!(setup.nodes[0].seen(), both);
    }
}

#[test]
fn commands_in_parts_wait_for_a_node_in_their_order_and_not_for_each_other() {
    let try_again = "-TRYAGAIN Multiple keys request during rehashing of slot\r\n";
    // All three are refused, and one of them once more, when it has been its turn to be split.
    for (refusal, mut refusals) in [("-LOADING x\r\n", 3), (try_again, 4)] {
        let setup = Setup::new(2, quick());
        setup.nodes[0].answer(move |_, words| {
            // While a slot moves, single keys are served.
            if words.len() == 3 && refusal == try_again {
                return say("+OK\r\n");
            }
            refusals -= 1;
            say(if refusals >= 0 { refusal } else { "+OK\r\n" })
        });
        let mut client = setup.client();
        let lines = ["1", "2", "3"].map(|n| format!("MSET {{b}}x {n} {{b}}y {n} a {n}"));
        client.send_all(&lines);
        for _ in 0..lines.len() {
            assert_eq!(text(&client.receive()), "OK");
        }
        // The last one that wrote it is the last one that was sent.
        let seen = setup.nodes[0].seen();
        let last = seen.iter().rev().find(|line| line.contains("{b}x"));
        assert!(last.unwrap().contains("{b}x 3"), "{seen:?}");
    }
}

#[test]
fn later_means_later_and_not_an_error() {
    for refusal in [
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
    ] {
        let setup = Setup::new(1, quick());
        let mut refusals = 5;
        setup.nodes[0].answer(move |_, _| {
            refusals -= 1;
            if refusals > 0 {
                say(refusal)
            } else {
                say(":1\r\n")
            }
        });
        // A write that may not be split: it was refused, so it may be repeated.
        assert_eq!(text(&setup.client().call("RENAMENX {a}1 {a}2")), "1");
        assert_eq!(setup.nodes[0].seen().len(), 5);
    }
}

#[test]
fn what_stays_refused_is_told_when_the_time_is_over() {
    let mut config = quick();
    config.request_timeout = std::time::Duration::from_millis(200);
    let setup = Setup::new(1, config);
    setup.nodes[0].answer(|_, _| say("-CLUSTERDOWN The cluster is down\r\n"));
    let reply = text(&setup.client().call("GET a"));
    assert_eq!(reply, "-CLUSTERDOWN The cluster is down");
}

#[test]
fn nodes_that_send_a_request_round_for_ever_leak_no_address() {
    let mut config = quick();
    config.retries_max = 20;
    let setup = Setup::new(2, config);
    for (place, node) in setup.nodes.iter().enumerate() {
        let other = setup.nodes[1 - place].port;
        let moved = format!("-MOVED {} 127.0.0.1:{other}\r\n", slot("b"));
        node.answer(move |_, _| say(&moved));
    }
    let reply = text(&setup.client().call("GET b"));
    assert!(reply.starts_with("-CLUSTERDOWN"), "{reply}");
    assert!(!reply.contains("127.0.0.1"), "{reply}");
}

#[test]
fn ten_thousand_redirections_ask_for_the_map_a_few_times() {
    let mut config = quick();
    config.refresh_interval_min = std::time::Duration::from_millis(250);
    // Ten thousand at once take their time on a busy machine.
    config.request_timeout = std::time::Duration::from_secs(60);
    let setup = Setup::new(2, config);
    let other = setup.nodes[1].port;
    setup.nodes[0]
        .answer(move |_, words| say(format!("-MOVED {} 127.0.0.1:{other}\r\n", slot(&words[1]))));
    let before: usize = setup.nodes.iter().map(support::FakeNode::looks).sum();
    let mut client = setup.client();
    let keys: Vec<String> = (0..10_000)
        .map(|n| format!("k{n}"))
        .filter(|key| slot(key) < 8192)
        .collect();
    let mut replies = client.stream();
    let reading = std::thread::spawn({
        let count = keys.len();
        move || {
            let mut read = 0;
            let mut chunk = [0; 4096];
            while read < count * 5 {
                let got = std::io::Read::read(&mut replies, &mut chunk).unwrap();
                assert!(got > 0);
                let only_ok = chunk[..got].iter().all(|b| b"+OK\r\n".contains(b));
                assert!(only_ok, "{}", chunk[..got].escape_ascii());
                read += got;
            }
        }
    });
    for key in &keys {
        client.send(&format!("SET {key} v"));
    }
    reading.join().unwrap();
    let looks: usize = setup.nodes.iter().map(support::FakeNode::looks).sum();
    // Two nodes are asked at a look, and the test may take some seconds on a busy machine.
    assert!(looks - before <= 60, "{} looks", looks - before);
}

#[test]
fn a_moved_slot_keeps_the_order_of_each_client() {
    let setup = Setup::new(2, quick());
    // The old owner sits on the first write.
    let answered = Arc::new(AtomicUsize::new(0));
    setup.nodes[0].answer(|_, words| match words[0].as_str() {
        "HELLO" => say("%1\r\n+proto\r\n:3\r\n"),
        "GET" => say("+OLD\r\n"),
        _ => support::Act::Ignore,
    });
    let seen_by_new = Arc::clone(&answered);
    setup.nodes[1].answer(move |_, words| {
        if words[0] == "HELLO" {
            return say("%1\r\n+proto\r\n:3\r\n");
        }
        seen_by_new.fetch_add(1, Ordering::SeqCst);
        say("+OK\r\n")
    });
    let mut client = setup.client();
    client.send("SET b 1");
    wait_for("the first write", || setup.nodes[0].seen().len() == 1);
    setup.all_to(setup.nodes[1].port);
    setup.proxy.shared().refresher.ask();
    // In RESP3 it has connections of its own, so the write that waits does not hold it up.
    let mut other = setup.client();
    other.call("HELLO 3");
    wait_for("the new map", || text(&other.call("GET b")) == "OK");
    client.send("SET b 2");
    // Another client is free to go to the new owner.
    assert_eq!(text(&other.call("GET b")), "OK");
    assert!(!setup.nodes[1].seen().contains(&"SET b 2".to_owned()));
    setup.nodes[0].shout(b"+FIRST\r\n");
    assert_eq!(text(&client.receive()), "FIRST");
    assert_eq!(text(&client.receive()), "OK");
    assert!(setup.nodes[1].seen().contains(&"SET b 2".to_owned()));
}

#[test]
fn a_proxy_whose_seed_is_down_starts_and_serves_when_it_comes() {
    let port = support::free_port();
    let proxy = start_proxy(quick(), &[port]);
    let mut client = support::Client::connect(&proxy);
    assert_eq!(text(&client.call("PING")), "PONG");
    client.send("GET a");
    let map = Arc::new(std::sync::Mutex::new(vec![(0, 16_383, port)]));
    let _node = support::FakeNode::start_on(port, map, |_, _| say("$1\r\n1\r\n"));
    assert_eq!(text(&client.receive()), "1");
}
