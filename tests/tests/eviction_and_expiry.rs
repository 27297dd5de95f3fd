//! Keys that go though nobody deletes them: evicted to make room, or expired.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::{Client, Deadline, Kind, Server, Value, wait_until};

const LIMIT: usize = 12 << 20;
const KEYS: usize = 20_000;
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

fn node(policy: &str) -> Server {
    let limit = LIMIT.to_string();
    Server::start(
        Kind::Node,
        &[
            ("maxmemory", &limit),
            ("maxmemory-policy", policy),
            ("enable-debug-command", "yes"),
        ],
    )
}

fn field(server: &Server, name: &str) -> usize {
    let text = server.info(name).unwrap_or_default();
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

/// Sets keys from number `from` on, each with a kilobyte; how many were refused.
fn fill(client: &mut Client, from: usize, keys: usize, expiring: bool) -> usize {
    const BATCH: usize = 500;
    let value = "v".repeat(1000);
    let mut refused = 0;
    for start in (from..from + keys).step_by(BATCH) {
        let commands: Vec<Vec<String>> = (start..(start + BATCH).min(from + keys))
            .map(|n| {
                let mut words = vec!["SET".to_owned(), format!("key:{n}"), value.clone()];
                if expiring {
                    words.extend(["EX".to_owned(), "1000".to_owned()]);
                }
                words
            })
            .collect();
        for reply in client.pipeline(&commands) {
            match reply.error() {
                None => {}
                Some(text) => {
                    assert_eq!(text, OOM);
                    refused += 1;
                }
            }
        }
    }
    refused
}

#[test]
fn every_policy_keeps_memory_within_the_limit() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let node = node(policy);
        let mut client = node.client();
        let refused = fill(&mut client, 0, KEYS, policy.starts_with("volatile"));
        assert_eq!(refused, 0, "{policy}");
        let used = field(&node, "used_memory");
        // One reply of INFO, and buffers on their way, are more than a command in flight.
        assert!(used < LIMIT + (1 << 20), "{policy}: {used} used");
        assert!(used > LIMIT / 2, "{policy}: {used} used");
        let left = client.call(&["DBSIZE"]).integer();
        let evicted = field(&node, "evicted_keys");
        assert_eq!(
            evicted + usize::try_from(left).unwrap_or(0),
            KEYS,
            "{policy}"
        );
    }
}

#[test]
fn without_a_victim_writes_are_refused_and_reads_are_not() {
    for policy in ["noeviction", "volatile-lru"] {
        let node = node(policy);
        let mut client = node.client();
        let refused = fill(&mut client, 0, KEYS, false);
        assert!(refused > 5000, "{policy}: {refused} refused");
        assert_eq!(field(&node, "evicted_keys"), 0, "{policy}");
        assert_eq!(client.call(&["STRLEN", "key:0"]), Value::Integer(1000));
        assert_eq!(client.call(&["SET", "x", "1"]).error(), Some(OOM));
        assert_eq!(client.call(&["EXPIRE", "key:0", "100"]), Value::Integer(1));
        // What frees memory is let through.
        let batch: Vec<Vec<String>> = (0..2000)
            .map(|n| vec!["DEL".to_owned(), format!("key:{n}")])
            .collect();
        client.pipeline(&batch);
        client.ok(&["SET", "x", "1"]);
    }
}

#[test]
fn a_lower_limit_takes_effect_at_once() {
    let node = node("allkeys-random");
    let mut client = node.client();
    fill(&mut client, 0, 8000, false);
    assert_eq!(field(&node, "evicted_keys"), 0);
    client.ok(&["CONFIG", "SET", "maxmemory", "6mb"]);
    wait_until("memory within the new limit", || {
        client.ok(&["SET", "x", "1"]);
        field(&node, "used_memory") < 7 << 20
    });
}

#[test]
fn expired_keys_go_though_nobody_asks_for_them() {
    let node = Server::start(Kind::Node, &[("enable-debug-command", "yes")]);
    let mut client = node.client();
    let set = |db: &str, from: usize, to: usize| -> Vec<Vec<String>> {
        let select = vec!["SELECT".to_owned(), db.to_owned()];
        let sets = (from..to).map(|n| {
            let words = ["SET", &format!("{{t{}}}{n}", n % 3), "v", "PX", "300"];
            words.map(str::to_owned).to_vec()
        });
        std::iter::once(select).chain(sets).collect()
    };
    client.pipeline(&set("0", 0, 20_000));
    client.pipeline(&set("3", 0, 5000));
    client.ok(&["SET", "stays", "v", "EX", "1000"]);
    let deadline = Deadline::after(Duration::from_secs(20));
    let mut left = i64::MAX;
    while left != 1 {
        assert!(!deadline.is_over(), "{left} keys are left");
        left = client.call(&["DBSIZE"]).integer();
    }
    client.ok(&["SELECT", "0"]);
    wait_until("database 0 to be empty", || {
        client.call(&["DBSIZE"]).integer() == 0
    });
    assert_eq!(field(&node, "expired_keys"), 25_000);
}

#[test]
fn active_expiry_can_be_switched_off() {
    let node = Server::start(Kind::Node, &[("enable-debug-command", "yes")]);
    let mut client = node.client();
    client.ok(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    client.ok(&["SET", "k", "v", "PX", "1"]);
    wait_until("the key to be past its time", || {
        client.call(&["RANDOMKEY"]).is_null() || client.call(&["KEYS", "*"]).items().is_empty()
    });
    client.ok(&["SET", "other", "v", "PX", "1"]);
    // An access deletes it, and only that.
    wait_until("the other key to be deleted by its reader", || {
        client.call(&["GET", "other"]).is_null()
    });
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(0));
}
