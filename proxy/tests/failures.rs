//! What clients see when nodes fail, freeze, or answer out of turn.
#![cfg(test)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_proxy::config::Config;
use support::{Act, Client, FakeNode, Setup, free_port, quick, say, start_proxy, text, wait_for};

#[test]
fn a_write_whose_reply_is_lost_is_an_error_and_never_repeated() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, _| Act::Hang);
    let mut client = setup.client();
    let reply = text(&client.call("INCR a"));
    assert!(
        reply.contains("may or may not have been executed"),
        "{reply}"
    );
    setup.nodes[0].answer(|_, _| say(":7\r\n"));
    assert_eq!(text(&client.call("INCR a")), "7");
    assert_eq!(setup.nodes[0].seen(), ["INCR a", "INCR a"]);
}

#[test]
fn a_read_whose_reply_is_lost_is_repeated() {
    let setup = Setup::new(1, quick());
    let mut losses = 3;
    setup.nodes[0].answer(move |_, _| {
        losses -= 1;
        if losses > 0 {
            Act::Hang
        } else {
            say("$1\r\nv\r\n")
        }
    });
    assert_eq!(text(&setup.client().call("GET a")), "v");
    assert_eq!(setup.nodes[0].seen().len(), 3);
}

#[test]
fn a_read_is_not_repeated_once_a_later_write_may_have_run() {
    let setup = Setup::new(1, quick());
    // Both arrive before the connection is lost.
    setup.nodes[0].answer(|_, words| match words[0].as_str() {
        "SET" => Act::Hang,
        _ => Act::Ignore,
    });
    let mut client = setup.client();
    client.send("GET a");
    client.send("SET a 1");
    let (read, write) = (text(&client.receive()), text(&client.receive()));
    assert!(read.starts_with("-ERR"), "{read}");
    assert!(write.starts_with("-ERR"), "{write}");
    assert_eq!(setup.nodes[0].seen(), ["GET a", "SET a 1"]);
}

#[test]
fn what_was_not_sent_waits_for_its_node_even_if_it_is_a_write() {
    let port = free_port();
    let map = Arc::new(std::sync::Mutex::new(vec![(0, 16_383, port)]));
    // One node tells the map and owns nothing; the owner is down.
    let seed = FakeNode::start_on(0, Arc::clone(&map), |_, _| say("+OK\r\n"));
    let proxy = start_proxy(quick(), &[seed.port]);
    let mut client = Client::connect(&proxy);
    client.send("INCR a");
    client.send("INCR a");
    wait_for("a refused connection", || {
        let counters = proxy.shared().counters();
        counters[0].upstream_cx_connect_fail.read() > 0
    });
    let mut count = 0;
    let owner = FakeNode::start_on(port, map, move |_, _| {
        count += 1;
        say(format!(":{count}\r\n"))
    });
    assert_eq!(text(&client.receive()), "1");
    assert_eq!(text(&client.receive()), "2");
    assert_eq!(owner.seen(), ["INCR a", "INCR a"]);
}

#[test]
fn a_node_that_ends_every_connection_is_not_connected_to_for_each_request() {
    let mut config = quick();
    config.request_timeout = Duration::from_secs(1);
    config.retry_backoff_max = Duration::from_millis(100);
    let setup = Setup::new(1, config);
    setup.nodes[0].answer(|_, _| Act::Hang);
    let mut clients: Vec<Client> = (0..20).map(|_| setup.client()).collect();
    for client in &mut clients {
        client.send("GET a");
    }
    for client in &mut clients {
        let reply = text(&client.receive());
        assert!(reply.starts_with("-ERR"), "{reply}");
    }
    // One every 50 to 100 ms, after the first few.
    let made = setup.proxy.shared().counters()[0].upstream_cx_total.read();
    assert!((5..=30).contains(&made), "{made} connections");
}

#[test]
fn a_node_that_stays_away_is_told_within_the_deadline() {
    let mut config = quick();
    config.request_timeout = Duration::from_millis(300);
    let map = Arc::new(std::sync::Mutex::new(vec![(0, 16_383, free_port())]));
    let seed = FakeNode::start_on(0, map, |_, _| say("+OK\r\n"));
    let proxy = start_proxy(config, &[seed.port]);
    let clock = Monotonic::new();
    let start = clock.now();
    let reply = text(&Client::connect(&proxy).call("SET a 1"));
    assert!(reply.contains("was not executed"), "{reply}");
    assert!(clock.nanos_between(start, clock.now()) < 2_000_000_000);
}

#[test]
fn a_frozen_node_fails_its_own_requests_only() {
    let mut config = quick();
    config.request_timeout = Duration::from_millis(300);
    let setup = Setup::new(2, config);
    setup.nodes[0].answer(|_, _| Act::Ignore);
    setup.nodes[1].answer(|_, _| say("$4\r\nfine\r\n"));
    let (mut stuck, mut free) = (setup.client(), setup.client());
    // "b" is the first node's, "a" the second's.
    stuck.send("GET b");
    assert_eq!(text(&free.call("GET a")), "fine");
    let reply = text(&stuck.receive());
    assert!(reply.contains("request-timeout"), "{reply}");
    // The next goes over a new connection once the node answers again.
    setup.nodes[0].answer(|_, _| say("$4\r\nback\r\n"));
    wait_for("the node to be back", || {
        text(&setup.client().call("GET b")) == "back"
    });
    assert_eq!(text(&stuck.call("GET b")), "back");
}

#[test]
fn a_request_sent_again_keeps_its_deadline_behind_younger_ones() {
    let setup = Setup::new(
        1,
        Config {
            retry_backoff_max: Duration::from_millis(20),
            ..quick()
        },
    );
    let mut is_frozen = false;
    setup.nodes[0].answer(move |_, words| {
        is_frozen |= words[1] == "young";
        if is_frozen {
            Act::Ignore
        } else {
            say("-LOADING x\r\n")
        }
    });
    let (mut old, mut young) = (setup.client(), setup.client());
    old.send("GET old");
    // Half of its time, more or less.
    wait_for("some attempts", || setup.nodes[0].seen().len() > 50);
    young.send("GET young");
    assert!(text(&old.receive()).contains("request-timeout"));
    assert_eq!(
        setup.proxy.shared().counters()[0]
            .upstream_rq_timeout
            .read(),
        1
    );
    assert!(text(&young.receive()).contains("request-timeout"));
}

#[test]
fn a_late_reply_goes_to_nobody() {
    let mut config = quick();
    config.request_timeout = Duration::from_millis(200);
    let setup = Setup::new(1, config);
    // Silent for "slow" only; other replies keep the connection alive.
    setup.nodes[0].answer(|_, words| match words[1].as_str() {
        "slow" => Act::Ignore,
        _ => say("$4\r\nlate\r\n$4\r\ngood\r\n"),
    });
    let mut client = setup.client();
    assert!(text(&client.call("GET slow")).starts_with("-ERR"));
    // The connection may have been given up by now; then "late" would be unexpected.
    let reply = text(&client.call("GET fast"));
    assert!(reply == "good" || reply == "late", "{reply}");
}

#[test]
fn a_push_in_the_middle_of_a_pipeline_is_no_reply() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, words| match words[0].as_str() {
        "HELLO" => say("%1\r\n+proto\r\n:3\r\n"),
        _ => say(format!(
            ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n${}\r\n{}\r\n>1\r\n+noise\r\n",
            words[1].len(),
            words[1]
        )),
    });
    let mut client = setup.client();
    client.call("HELLO 3");
    for key in ["k1", "k2", "k3"] {
        client.send(&format!("GET {key}"));
    }
    for key in ["k1", "k2", "k3"] {
        assert_eq!(text(&client.receive()), key);
    }
}

#[test]
fn nulls_come_in_the_protocol_of_the_client() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|connection, words| {
        let _ = connection;
        match words[0].as_str() {
            "HELLO" => say("%1\r\n+proto\r\n:3\r\n"),
            _ => say("_\r\n"),
        }
    });
    let mut client = setup.client();
    client.call("HELLO 3");
    client.send("GET a");
    let mut raw = [0; 3];
    std::io::Read::read_exact(&mut client.stream(), &mut raw).unwrap();
    assert_eq!(&raw, b"_\r\n");
}

#[test]
fn an_early_error_leaves_the_other_replies_where_they_belong() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, words| say(format!("+{}\r\n", words[1])));
    let mut client = setup.client();
    client.send("GET k1");
    client.send("NOSUCH k2");
    client.send("GET k3");
    client.send("GET");
    client.send("GET k4");
    client.send_bytes(b"*1\r\nx\r\n");
    client.send("GET k5");
    assert_eq!(text(&client.receive()), "k1");
    assert!(text(&client.receive()).starts_with("-ERR unknown command 'NOSUCH'"));
    assert_eq!(text(&client.receive()), "k3");
    assert!(text(&client.receive()).starts_with("-ERR wrong number of arguments for 'get'"));
    assert_eq!(text(&client.receive()), "k4");
    assert_eq!(
        text(&client.receive()),
        "-ERR Protocol error: expected '$', got 'x'"
    );
    assert!(client.try_receive().is_none());
}

#[test]
fn replies_of_a_client_that_left_are_given_to_nobody_else() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, _| Act::Ignore);
    let mut leaver = setup.client();
    for _ in 0..3 {
        leaver.send("GET gone");
    }
    wait_for("three requests", || setup.nodes[0].seen().len() == 3);
    drop(leaver);
    let mut stayer = setup.client();
    stayer.send("GET here");
    wait_for("four requests", || setup.nodes[0].seen().len() == 4);
    setup.nodes[0].shout(b"+gone1\r\n+gone2\r\n+gone3\r\n+here\r\n");
    assert_eq!(text(&stayer.receive()), "here");
}

#[test]
fn a_slow_node_does_not_change_the_order_of_replies() {
    let setup = Setup::new(2, quick());
    setup.nodes[0].answer(|_, _| Act::Ignore);
    setup.nodes[1].answer(|_, _| say("+fast\r\n"));
    let mut client = setup.client();
    client.send("GET b");
    client.send("GET a");
    client.send("PING");
    // A reply to a request that has not come would be nobody's.
    for node in &setup.nodes {
        wait_for("the request", || !node.seen().is_empty());
    }
    setup.nodes[0].shout(b"+slow\r\n");
    assert_eq!(text(&client.receive()), "slow");
    assert_eq!(text(&client.receive()), "fast");
    assert_eq!(text(&client.receive()), "PONG");
}

#[test]
fn a_part_that_fails_fails_the_whole_command() {
    let setup = Setup::new(2, quick());
    setup.nodes[0].answer(|_, _| say("*1\r\n$1\r\n1\r\n"));
    setup.nodes[1].answer(|_, _| say("-OOM command not allowed\r\n"));
    let mut client = setup.client();
    assert_eq!(text(&client.call("MGET b a")), "-OOM command not allowed");
    setup.nodes[0].answer(|_, _| say("+OK\r\n"));
    assert_eq!(
        text(&client.call("MSET b 1 a 1")),
        "-OOM command not allowed"
    );
    setup.nodes[0].answer(|_, _| say(":1\r\n"));
    assert_eq!(text(&client.call("DEL b a")), "-OOM command not allowed");
}

#[test]
fn a_random_key_is_of_a_node_that_answers_and_its_absence_is_never_made_up() {
    let setup = Setup::new(2, quick());
    setup.nodes[0].answer(|_, _| say("-NOPERM no\r\n"));
    setup.nodes[1].answer(|_, words| match words[0].as_str() {
        "DBSIZE" => say(":1\r\n"),
        _ => say("$3\r\nkey\r\n"),
    });
    let mut client = setup.client();
    for _ in 0..10 {
        assert_eq!(text(&client.call("RANDOMKEY")), "key");
    }
    setup.nodes[1].answer(|_, _| say(":0\r\n"));
    assert_eq!(text(&client.call("RANDOMKEY")), "-NOPERM no");
    setup.nodes[0].answer(|_, _| say(":0\r\n"));
    assert_eq!(text(&client.call("RANDOMKEY")), "nil");
    let lost = start_proxy(quick(), &[free_port()]);
    let reply = text(&Client::connect(&lost).call("RANDOMKEY"));
    assert!(reply.starts_with("-CLUSTERDOWN"), "{reply}");
}

#[test]
fn a_node_that_talks_rubbish_loses_its_connection_and_nothing_else() {
    let setup = Setup::new(2, quick());
    setup.nodes[0].answer(|_, _| say("what?\r\n"));
    setup.nodes[1].answer(|_, _| say("+fine\r\n"));
    let mut client = setup.client();
    assert!(text(&client.call("SET b 1")).starts_with("-ERR"));
    assert_eq!(text(&client.call("SET a 1")), "fine");
    setup.nodes[0].answer(|_, _| say("+again\r\n"));
    assert_eq!(text(&client.call("SET b 1")), "again");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, _| say("+one\r\n"));
    let mut client = setup.client();
    assert_eq!(text(&client.call("GET a")), "one");
    setup.nodes[0].shout(b"+stray\r\n");
    wait_for("the connection to end", || {
        setup.proxy.shared().counters()[0].upstream_cx_lost.read() == 1
    });
    assert_eq!(text(&client.call("GET a")), "one");
}
