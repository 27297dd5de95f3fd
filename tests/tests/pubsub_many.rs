//! Pub/Sub over many threads: what everybody gets, in what order, and what those cost who do not
//! read.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::{Client, Cluster, Deadline, Kind, Server, Value, wait_until};

const PUBLISHERS: usize = 4;
const MESSAGES: usize = 2000;

fn node(settings: &[(&str, &str)]) -> Server {
    Server::start(Kind::Node, &[&[("io-threads", "4")], settings].concat())
}

/// The last two words of a message: channel and text.
fn message(value: &Value) -> (String, String) {
    match value {
        Value::Array(items) | Value::Push(items) => match items.as_slice() {
            [.., channel, text] => (channel.text(), text.text()),
            _ => panic!("no message: {value}"),
        },
        _ => panic!("no message: {value}"),
    }
}

/// Subscribes to the channels of one publisher each, to the one of all, or to a pattern.
fn subscriber(node: &Server, number: usize) -> Client {
    let mut client = node.client();
    if number % 2 == 1 {
        client.line("hello 3");
    }
    client.line(match number % 3 {
        0 => "subscribe all",
        1 => "psubscribe al[l]",
        _ => "psubscribe *",
    });
    client
}

#[test]
fn all_see_one_order_and_each_publisher_in_its_own() {
    let node = node(&[]);
    let subscribers: Vec<Client> = (0..9).map(|number| subscriber(&node, number)).collect();
    let seen: Vec<Vec<String>> = std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut client = node.client();
            scope.spawn(move || {
                let publish = |n: usize| {
                    let text = format!("{publisher} {n}");
                    vec!["publish".to_owned(), "all".to_owned(), text]
                };
                for start in (0..MESSAGES).step_by(100) {
                    let batch: Vec<_> = (start..start + 100).map(publish).collect();
                    for reply in client.pipeline(&batch) {
                        assert_eq!(reply.integer(), 9);
                    }
                }
            });
        }
        let readers: Vec<_> = subscribers
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    let texts = (0..PUBLISHERS * MESSAGES).map(|_| message(&client.read()).1);
                    texts.collect::<Vec<_>>()
                })
            })
            .collect();
        readers.into_iter().map(|r| r.join().unwrap()).collect()
    });
    for all in &seen {
        assert_eq!(
            all, &seen[0],
            "all see the messages of a channel in one order"
        );
    }
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let numbers = seen[0].iter().filter_map(|text| text.strip_prefix(&prefix));
        assert!(numbers.eq((0..MESSAGES).map(|n| n.to_string())));
    }
}

#[test]
fn subscribers_come_and_go_while_messages_fly() {
    let node = node(&[]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = node.client();
                while !is_over() {
                    client.line("publish c x");
                }
            });
        }
        let comers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mut client = node.client();
                        client.send(b"subscribe c\r\nunsubscribe c\r\nping end\r\n");
                        // The answer comes before the messages, and none after the other answer.
                        let mut kinds = Vec::new();
                        loop {
                            match client.read() {
                                Value::Array(items) => kinds.push(items[0].text()),
                                Value::Bulk(end) if end == b"end" => break,
                                other => panic!("{other}"),
                            }
                        }
                        assert_eq!(kinds.first().unwrap(), "subscribe");
                        assert_eq!(kinds.last().unwrap(), "unsubscribe");
                        let between = &kinds[1..kinds.len() - 1];
                        assert!(between.iter().all(|kind| kind == "message"), "{kinds:?}");
                        // Half of them leave without a word.
                        client.send(b"subscribe c d\r\npsubscribe c*\r\n");
                    }
                })
            })
            .collect();
        for comer in comers {
            comer.join().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    wait_until("all subscriptions to end", || {
        ["pubsub_channels", "pubsub_patterns"].map(|field| node.info(field))
            == [Some("0".to_owned()), Some("0".to_owned())]
    });
}

fn used_memory(node: &Server) -> usize {
    node.info("used_memory").unwrap().parse().unwrap()
}

#[test]
fn who_does_not_read_is_closed_at_the_hard_limit_and_others_hear_on() {
    let node = node(&[("client-output-buffer-limit", "pubsub 4mb 0 0")]);
    let (mut slow, mut quick, mut publisher) = (node.client(), node.client(), node.client());
    slow.line("subscribe c");
    quick.line("subscribe c");
    let text = "x".repeat(100_000);
    let deadline = Deadline::after(Duration::from_secs(60));
    let mut receivers = 2;
    while receivers == 2 {
        assert!(!deadline.is_over(), "it is never closed");
        receivers = publisher.call(&["publish", "c", &text]).integer();
        assert_eq!(message(&quick.read()).1.len(), text.len());
    }
    assert_eq!(receivers, 1);
    // Cut off in the middle of what its socket had taken.
    slow.read_to_close();
    assert!(
        node.log()
            .contains("client-output-buffer-limit allows 4194304 bytes")
    );
    assert!(used_memory(&node) < 30_000_000);
}

#[test]
fn who_does_not_read_is_closed_when_the_soft_limit_lasts() {
    let node = node(&[("client-output-buffer-limit", "pubsub 0 1mb 1")]);
    let (mut slow, mut publisher) = (node.client(), node.client());
    slow.line("subscribe c");
    let text = "x".repeat(1_000_000);
    for _ in 0..20 {
        assert_eq!(publisher.call(&["publish", "c", &text]).integer(), 1);
    }
    wait_until("it to be closed", || {
        publisher.line("publish c x").integer() == 0
    });
    assert!(node.log().contains("allows 1048576 bytes for 1 seconds"));
}

#[test]
fn what_many_are_slow_to_read_is_kept_once() {
    const SLOW: usize = 20;
    let node = node(&[("client-output-buffer-limit", "pubsub 0 0 0")]);
    let mut slow: Vec<Client> = (0..SLOW).map(|_| node.client()).collect();
    for client in &mut slow {
        client.line("subscribe c");
    }
    let mut publisher = node.client();
    let before = used_memory(&node);
    let text = "x".repeat(100_000);
    for _ in 0..200 {
        publisher.call(&["publish", "c", &text]);
    }
    let used = used_memory(&node) - before;
    assert!(used < 60_000_000, "{used} bytes for 20,000,000 of messages");
    for client in &mut slow {
        for _ in 0..200 {
            assert_eq!(message(&client.read()).1.len(), text.len());
        }
    }
    wait_until("nothing to be kept", || {
        used_memory(&node) < before + 5_000_000
    });
}

/// A figure of `/metrics` without labels.
fn metric(node: &Server, name: &str) -> f64 {
    let (_, text) = node.admin("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}"))
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn a_node_that_takes_no_messages_costs_no_memory_and_keeps_its_link() {
    const DROPPED: &str = "slotilla_node_bus_messages_dropped_total";
    let settings = [("cluster-node-timeout", "60000")];
    let kinds = [Kind::Node, Kind::Node];
    let mut cluster = Cluster::start_mixed(&kinds, &settings);
    let mut listener = cluster.nodes[1].client();
    listener.line("subscribe end");
    listener.set_reply_limit(Duration::from_millis(100));
    cluster.nodes[1].process().freeze();
    let mut publisher = cluster.nodes[0].client();
    let text = "x".repeat(1_000_000);
    let deadline = Deadline::after(Duration::from_secs(60));
    let mut sent = 0;
    while metric(&cluster.nodes[0], DROPPED) == 0.0 {
        assert!(!deadline.is_over(), "none is dropped of {sent}");
        publisher.call(&["publish", "c", &text]);
        sent += 1;
    }
    assert!(used_memory(&cluster.nodes[0]) < 300_000_000);
    assert_eq!(
        metric(
            &cluster.nodes[0],
            "slotilla_node_bus_links_overflowed_total"
        ),
        0.0
    );
    cluster.nodes[1].process().thaw();
    // What waited goes out, and then there is room again.
    wait_until("a message to arrive", || {
        publisher.line("publish end x");
        listener.try_read().is_ok()
    });
    cluster.wait_ok();
}
