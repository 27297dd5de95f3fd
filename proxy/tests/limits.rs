//! What happens at the limits, and that nobody else notices.
#![cfg(test)]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;

use support::{Act, Client, Setup, quick, say, text, wait_for};

#[test]
fn a_client_may_write_its_whole_pipeline_before_it_reads() {
    let mut config = quick();
    config.request_timeout = std::time::Duration::from_secs(60);
    let setup = Setup::new(2, config);
    for node in &setup.nodes {
        node.answer(|_, _| say("+abcdefgh\r\n"));
    }
    let mut client = setup.client();
    const COUNT: usize = 100_000;
    let one = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n";
    client.send_bytes(&one.repeat(COUNT / 2));
    let mut replies = vec![0; COUNT * 11];
    client.stream().read_exact(&mut replies).unwrap();
    assert!(replies.chunks(11).all(|reply| reply == b"+abcdefgh\r\n"));
}

#[test]
fn a_client_that_never_reads_is_closed_and_counted() {
    let mut config = quick();
    config.client_output_max = 256 * 1024;
    let setup = Setup::new(1, config);
    let big = format!("$100000\r\n{}\r\n", "x".repeat(100_000));
    setup.nodes[0].answer(move |_, _| say(&big));
    let greedy = setup.client();
    let mut stream = greedy.stream();
    let request = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(100);
    let writer = std::thread::spawn(move || {
        // The proxy closes at some time; writing then fails, which is what is wanted.
        while stream.write_all(&request).is_ok() {}
    });
    wait_for("the client to be closed", || {
        setup.proxy.shared().counters()[0].output_overflows.read() == 1
    });
    writer.join().unwrap();
    setup.nodes[0].answer(|_, _| say("+fine\r\n"));
    assert_eq!(text(&setup.client().call("GET a")), "fine");
}

#[test]
fn one_reply_may_be_longer_than_what_a_client_may_leave_unread() {
    let mut config = quick();
    config.client_output_max = 256 * 1024;
    let setup = Setup::new(1, config);
    let giant = "x".repeat(20_000_000);
    let reply = format!("${}\r\n{giant}\r\n", giant.len());
    setup.nodes[0].answer(move |_, words| match words[1].as_str() {
        "a" => say(&reply),
        _ => say("+small\r\n"),
    });
    let mut client = setup.client();
    for key in ["a", "b"] {
        client.send(&format!("GET {key}"));
    }
    // Another client is served although this one has not read a byte.
    assert_eq!(text(&setup.client().call("GET b")), "small");
    assert_eq!(text(&client.receive()).len(), giant.len());
    assert_eq!(text(&client.receive()), "small");
    let shared = setup.proxy.shared();
    wait_for("nothing unread", || {
        shared.output_bytes.load(Ordering::Relaxed) == 0
    });
    assert_eq!(shared.counters()[0].output_overflows.read(), 0);
}

#[test]
fn what_all_clients_leave_unread_is_bounded_and_the_hungriest_is_closed() {
    let mut config = quick();
    config.maxmemory_clients = 48_000_000;
    let setup = Setup::new(1, config);
    let giant = "x".repeat(20_000_000);
    let reply = format!("${}\r\n{giant}\r\n", giant.len());
    setup.nodes[0].answer(move |_, _| say(&reply));
    let shared = setup.proxy.shared();
    let unread = || shared.output_bytes.load(Ordering::Relaxed);
    let mut exempt = setup.client();
    assert_eq!(text(&exempt.call("CLIENT NO-EVICT ON")), "OK");
    exempt.send("GET a");
    wait_for("the first reply", || unread() > 10_000_000);
    let mut greedy = setup.client();
    greedy.send("GET a");
    wait_for("the second reply", || unread() > 25_000_000);
    greedy.send("GET a");
    let evicted = || shared.counters()[0].evicted_clients.read();
    wait_for("one client to be closed", || evicted() == 1);
    wait_for("its memory", || unread() < 25_000_000);
    assert_eq!(text(&exempt.receive()).len(), giant.len());
    wait_for("nothing unread", || unread() == 0);
    assert_eq!(evicted(), 1);
}

#[test]
fn requests_in_flight_are_bounded_by_not_reading_on() {
    let mut config = quick();
    config.client_in_flight_max = 10;
    let setup = Setup::new(1, config);
    setup.nodes[0].answer(|_, _| Act::Ignore);
    let mut client = setup.client();
    for _ in 0..25 {
        client.send("GET a");
    }
    wait_for("ten requests", || setup.nodes[0].seen().len() == 10);
    let counters = &setup.proxy.shared().counters()[0];
    wait_for("the client to wait", || counters.in_flight_full.read() > 0);
    let mut other = setup.client();
    assert_eq!(text(&other.call("PING")), "PONG");
    assert_eq!(setup.nodes[0].seen().len(), 10);
    setup.nodes[0].answer(|_, _| say("+later\r\n"));
    setup.nodes[0].shout(&b"+first\r\n".repeat(10));
    for _ in 0..10 {
        assert_eq!(text(&client.receive()), "first");
    }
    for _ in 0..15 {
        assert_eq!(text(&client.receive()), "later");
    }
}

#[test]
fn a_full_queue_to_a_node_holds_its_clients_back_and_loses_nothing() {
    let mut config = quick();
    config.upstream_queue_max = 64 * 1024;
    let setup = Setup::new(1, config);
    setup.nodes[0].answer(|_, words| say(format!("+{}\r\n", words[1])));
    let mut clients: Vec<Client> = (0..8).map(|_| setup.client()).collect();
    let value = "v".repeat(20_000);
    for (place, client) in clients.iter_mut().enumerate() {
        for n in 0..20 {
            client.send(&format!("SET k{place}-{n} {value}"));
        }
    }
    for (place, client) in clients.iter_mut().enumerate() {
        for n in 0..20 {
            assert_eq!(text(&client.receive()), format!("k{place}-{n}"));
        }
    }
    assert!(
        setup.proxy.shared().counters()[0]
            .upstream_queue_full
            .read()
            > 0
    );
}

#[test]
fn commands_without_keys_are_held_back_as_well() {
    for command in ["PUBLISH c", "EVAL 1 0", "SCRIPT LOAD", "SCAN 0 MATCH"] {
        let mut config = quick();
        config.upstream_queue_max = 64 * 1024;
        let setup = Setup::new(1, config);
        setup.nodes[0].answer(|_, words| match words[0].as_str() {
            "SCAN" => say("*2\r\n$1\r\n0\r\n*0\r\n"),
            _ => say("+done\r\n"),
        });
        let mut clients: Vec<Client> = (0..8).map(|_| setup.client()).collect();
        let argument = "v".repeat(20_000);
        for client in &mut clients {
            for _ in 0..20 {
                client.send(&format!("{command} {argument}"));
            }
        }
        for client in &mut clients {
            for _ in 0..20 {
                let reply = text(&client.receive());
                assert!(reply == "done" || reply == "[0 []]", "{command}: {reply}");
            }
        }
        let counters = &setup.proxy.shared().counters()[0];
        assert!(counters.upstream_queue_full.read() > 0, "{command}");
    }
}

#[test]
fn requests_that_wait_for_their_turn_count_as_waiting() {
    const COUNT: usize = 20;
    let mut config = quick();
    config.retry_queue_max = 64 * 1024;
    let setup = Setup::new(2, config);
    let moved = format!("-MOVED 3300 127.0.0.1:{}\r\n", setup.nodes[1].port);
    let mut seen = 0;
    // The first has to come later, so the others, sent elsewhere, must not pass it.
    setup.nodes[0].answer(move |_, _| {
        seen += 1;
        match seen {
            1..=COUNT => Act::Ignore,
            _ => say(["-LOADING x\r\n", &moved.repeat(COUNT)].concat()),
        }
    });
    setup.nodes[1].answer(|_, _| say("+done\r\n"));
    let mut client = setup.client();
    client.send("SET b 1");
    let value = "v".repeat(20_000);
    for _ in 0..COUNT {
        client.send(&format!("SET b {value}"));
    }
    assert_eq!(text(&client.receive()), "done");
    let replies: Vec<String> = (0..COUNT).map(|_| text(&client.receive())).collect();
    let given_up = replies
        .iter()
        .filter(|r| r.starts_with("-CLUSTERDOWN"))
        .count();
    let done = replies.iter().filter(|reply| *reply == "done").count();
    assert_eq!((given_up + done, done <= 3), (COUNT, true), "{replies:?}");
    let overflows = setup.proxy.shared().counters()[0]
        .retry_queue_overflows
        .read();
    assert_eq!(overflows, given_up as u64);
}

#[test]
fn replies_beyond_their_limits_are_errors_and_counted() {
    let mut config = quick();
    config.merged_reply_max = 64 * 1024;
    config.upstream_reply_max = 256 * 1024;
    let setup = Setup::new(2, config);
    let reply = |len: usize| format!("*1\r\n${len}\r\n{}\r\n", "x".repeat(len));
    for node in &setup.nodes {
        node.answer(move |_, words| match words[0].as_str() {
            "KEYS" => say(reply(40_000)),
            _ => say("+fine\r\n"),
        });
    }
    let counters = &setup.proxy.shared().counters()[0];
    let mut client = setup.client();
    let error = text(&client.call("KEYS *"));
    assert!(error.contains("merged-reply-max"), "{error}");
    assert_eq!(counters.merged_overflows.read(), 1);
    // A write, so that it is not asked for again.
    setup.nodes[0].answer(move |_, _| say(reply(1_000_000)));
    let error = text(&client.call("LPOP b 1"));
    assert!(error.contains("connection to the node was lost"), "{error}");
    assert_eq!(counters.upstream_reply_overflows.read(), 1);
    assert_eq!(text(&client.call("SET a 1")), "fine");
}

#[test]
fn one_client_too_many_is_told_so() {
    let mut config = quick();
    config.maxclients = 2;
    let setup = Setup::new(1, config);
    let (mut first, mut second) = (setup.client(), setup.client());
    assert_eq!(text(&first.call("PING")), "PONG");
    assert_eq!(text(&second.call("PING")), "PONG");
    let mut third = setup.client();
    assert_eq!(text(&third.receive()), "-ERR max number of clients reached");
    assert!(third.try_receive().is_none());
    drop(first);
    wait_for("room", || setup.proxy.shared().clients() == 1);
    assert_eq!(text(&setup.client().call("PING")), "PONG");
}

#[test]
fn a_client_that_half_closes_still_gets_its_replies() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, _| Act::Ignore);
    let mut client = setup.client();
    client.send("GET a");
    client.send("PING");
    client.stream().shutdown(Shutdown::Write).unwrap();
    wait_for("the request", || setup.nodes[0].seen().len() == 1);
    setup.nodes[0].shout(b"+value\r\n");
    assert_eq!(text(&client.receive()), "value");
    assert_eq!(text(&client.receive()), "PONG");
    assert!(client.try_receive().is_none());
}

#[test]
fn a_request_beyond_the_query_limit_closes_the_client() {
    let mut config = quick();
    config.client_query_buffer_limit = 64 * 1024;
    config.proto_max_bulk_len = 64 * 1024;
    let setup = Setup::new(1, config);
    let client = setup.client();
    let mut stream = client.stream();
    stream.write_all(b"*1000\r\n").unwrap();
    // Fails at the latest when the proxy has closed.
    while stream.write_all(b"$1000\r\n").is_ok()
        && stream.write_all(&[b'x'; 1000]).is_ok()
        && stream.write_all(b"\r\n").is_ok()
    {}
    assert_eq!(setup.proxy.shared().counters()[0].query_overflows.read(), 1);
}

#[test]
fn a_browsers_post_closes_the_client_without_a_reply() {
    let setup = Setup::new(1, quick());
    setup.nodes[0].answer(|_, _| say("+fine\r\n"));
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n",
        "PING\r\nhost: x\r\nPING\r\n",
    ] {
        let mut client = setup.client();
        client.send_bytes(request.as_bytes());
        assert!(client.try_receive().is_none(), "{request}");
    }
    let counters = &setup.proxy.shared().counters()[0];
    assert_eq!(counters.downstream_protocol_errors.read(), 2);
    assert_eq!(text(&setup.client().call("GET a")), "fine");
}

#[test]
fn every_request_may_come_in_single_bytes() {
    let setup = Setup::new(2, quick());
    setup.nodes[0].answer(|_, words| say(format!("+{}\r\n", words[1])));
    setup.nodes[1].answer(|_, words| say(format!("+{}\r\n", words[1])));
    let mut client = setup.client();
    for byte in b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET 'b'\r\n*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$0\r\n\r\n"
    {
        client.send_bytes(&[*byte]);
    }
    for key in ["a", "b", "c"] {
        assert_eq!(text(&client.receive()), key);
    }
}

#[test]
fn a_silent_client_is_closed_after_the_timeout_key() {
    let mut config = quick();
    config.timeout = 1;
    let setup = Setup::new(1, config);
    let mut client = setup.client();
    assert_eq!(text(&client.call("PING")), "PONG");
    assert!(client.try_receive().is_none());
}
