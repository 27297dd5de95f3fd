//! The hub without a server around it.

use super::*;
use crate::server::client::{Introduction, Registry};

const NO_LIMIT: OutputLimit = OutputLimit {
    hard_bytes: 0,
    soft_bytes: 0,
    soft_seconds: 0,
};

fn clients(count: usize) -> Vec<Arc<Client>> {
    let registry = Registry::default();
    let admit = |_| {
        registry.admit(Introduction {
            addr: "127.0.0.1:5".into(),
            laddr: "127.0.0.1:6".into(),
            fd: 9,
            unix_socket: false,
        })
    };
    (0..count).map(admit).collect()
}

fn mail(client: &Client) -> String {
    let mut out = Vec::new();
    client.take_mail(&mut out, usize::MAX);
    String::from_utf8(out).unwrap()
}

#[test]
fn messages_reach_who_listens_and_nobody_else() {
    let hub = Hub::default();
    let clients = clients(3);
    assert_eq!(hub.publish(b"c", b"lost", NO_LIMIT), 0);
    assert_eq!(hub.subscribe(&clients[0], Topic::Channel, b"c"), 1);
    assert_eq!(hub.subscribe(&clients[0], Topic::Channel, b"c"), 1);
    assert_eq!(hub.subscribe(&clients[0], Topic::Pattern, b"?"), 2);
    assert_eq!(hub.subscribe(&clients[1], Topic::ShardChannel, b"c"), 1);
    assert_eq!(hub.publish(b"c", b"x", NO_LIMIT), 2);
    assert_eq!(hub.publish_to_shard(b"c", b"y", NO_LIMIT), 1);
    let to_first = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n\
         *4\r\n$8\r\npmessage\r\n$1\r\n?\r\n$1\r\nc\r\n$1\r\nx\r\n";
    assert_eq!(mail(&clients[0]), to_first);
    assert_eq!(
        mail(&clients[1]),
        "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\ny\r\n"
    );
    assert_eq!(mail(&clients[2]), "");
    assert_eq!(hub.unsubscribe(&clients[0], Topic::Channel, b"c"), 1);
    assert_eq!(hub.publish(b"c", b"x", NO_LIMIT), 1);
    assert_eq!((hub.channels(Topic::Channel), hub.patterns()), (0, 1));
}

#[test]
fn a_client_that_goes_leaves_nothing() {
    let hub = Hub::default();
    let clients = clients(1);
    for n in 0..100 {
        let name = format!("n{n}");
        for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
            hub.subscribe(&clients[0], topic, name.as_bytes());
        }
    }
    assert!(clients[0].has(flag::PUBSUB));
    assert_eq!(&*clients[0].subscriptions(Topic::Pattern)[7], b"n7");
    hub.forget(&clients[0]);
    assert!(!clients[0].has(flag::PUBSUB));
    assert_eq!(clients[0].subscription_counts(), Counts::default());
    assert!(hub.is_silent());
    assert_eq!(hub.channels(Topic::ShardChannel), 0);
    assert_eq!(Arc::strong_count(&clients[0]), 1);
}

#[test]
fn a_slot_that_leaves_takes_its_channels_along() {
    let hub = Hub::default();
    let clients = clients(1);
    for name in [&b"{a}1"[..], b"{a}2", b"b"] {
        hub.subscribe(&clients[0], Topic::ShardChannel, name);
    }
    hub.leave_slot(Slot::of_key(b"a"), NO_LIMIT);
    let told = mail(&clients[0]);
    assert_eq!(told.matches("sunsubscribe").count(), 2, "{told}");
    assert!(
        told.contains(":2\r\n") && told.ends_with(":1\r\n"),
        "{told}"
    );
    assert_eq!(&*hub.names(Topic::ShardChannel, None)[0], b"b");
    assert_eq!(hub.subscribers(Topic::ShardChannel, b"{a}1"), 0);
    assert!(clients[0].has(flag::PUBSUB));
    hub.leave_slot(Slot::of_key(b"b"), NO_LIMIT);
    assert!(!clients[0].has(flag::PUBSUB));
}

#[test]
fn who_does_not_read_is_closed_at_the_limit_and_costs_no_more() {
    let hub = Hub::default();
    let clients = clients(2);
    for client in &clients {
        hub.subscribe(client, Topic::Channel, b"c");
    }
    let limit = OutputLimit {
        hard_bytes: 10_000,
        ..NO_LIMIT
    };
    for _ in 0..100 {
        assert_eq!(hub.publish(b"c", &[b'x'; 1000], limit), 2);
        mail(&clients[1]);
        assert!(clients[0].mail_bytes() < 10_000);
    }
    assert!(clients[0].has(flag::KILLED) && !clients[1].has(flag::KILLED));
    assert_eq!(clients[0].mail_bytes(), 0);
}
