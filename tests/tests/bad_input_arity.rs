//! Every command with too few and too many arguments: refused in redis-server's words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use slotilla_common::command::{COMMANDS, Spec};
use slotilla_tests::{Cluster, Kind, Server, Value};

/// Argument vectors whose length the command's arity forbids.
fn wrong_calls(spec: &Spec) -> Vec<Vec<String>> {
    let name: Vec<String> = spec.name.split('|').map(str::to_owned).collect();
    let arity = i64::from(spec.arity);
    let mut lengths = vec![arity.abs() - 1];
    if arity > 0 {
        lengths.push(arity + 1);
    }
    let call = |len: i64| {
        let mut words = name.clone();
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len >= words.len())?;
        words.resize(len, "1".to_owned());
        Some(words)
    };
    lengths.into_iter().filter_map(call).collect()
}

/// Whether the server has the command, by its own answer to a call that must be refused.
fn has(reply: &Value) -> bool {
    !reply
        .error()
        .is_some_and(|text| text.starts_with("ERR unknown"))
}

fn compare(ours: &Server) {
    let redis = Server::start(Kind::Redis, &[]);
    let (mut redis, mut ours) = (redis.client(), ours.client());
    let (mut calls, mut faults) = (0, Vec::new());
    for spec in &COMMANDS {
        // Redis answers EXEC for a transaction, even where there is none.
        if spec.name == "exec" {
            continue;
        }
        for call in wrong_calls(spec) {
            let (expected, got) = (redis.call(&call), ours.call(&call));
            calls += usize::from(has(&got));
            if has(&got) && expected != got {
                faults.push(format!("{}: redis {expected}, ours {got}", call.join(" ")));
            }
        }
    }
    assert!(calls > 80, "only {calls} calls were tried");
    assert!(
        faults.is_empty(),
        "{} of {calls}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn a_node_refuses_a_wrong_number_of_arguments_as_redis_does() {
    compare(&Server::start(Kind::Node, &[]));
}

#[test]
fn a_proxy_refuses_a_wrong_number_of_arguments_as_redis_does() {
    let cluster = Cluster::start(Kind::Redis, 3);
    compare(&cluster.proxy(&[]));
}
