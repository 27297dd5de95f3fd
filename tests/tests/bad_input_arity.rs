//! Every command with too few and too many arguments: refused in redis-server's words.
#![cfg(test)]

use slotilla_common::command::{COMMANDS, Spec};
use slotilla_tests::{Cluster, Kind, Server, Value};

/// Argument vectors whose length the command's arity forbids.
fn wrong_calls(spec: &Spec) -> Vec<Vec<String>> {
    let name: Vec<String> = spec.name.split('|').map(str::to_owned).collect();
    let wanted = usize::from(spec.arity.unsigned_abs());
    let mut lengths: Vec<usize> = (name.len()..wanted).collect();
    if spec.arity > 0 {
        lengths.extend([wanted + 1, wanted + 2, wanted + 100]);
    }
    let call = |len| {
        let mut words = name.clone();
        words.resize(len, "1".to_owned());
        words
    };
    lengths.into_iter().map(call).collect()
}

/// Calls whose length the arity allows and the command itself does not.
const HALF_CALLS: &[&str] = &[
    "PING 1 2",
    "AUTH 1 2 3",
    "MSET a",
    "MSET a 1 b",
    "MSETNX a 1 b",
    "COMMAND LIST FILTERBY",
    "COMMAND LIST FILTERBY MODULE",
    "COMMAND LIST FILTERBY MODULE a b",
    "CLIENT KILL TYPE",
    "CLIENT KILL ID 1 TYPE",
    "CLIENT LIST TYPE",
    "CLIENT LIST TYPE normal x",
    "CLIENT LIST x",
    "CLIENT UNBLOCK 1 2 3",
    "CLIENT UNBLOCK 1 x",
    "CLIENT UNBLOCK x ERROR",
    "HELLO 2 AUTH",
    "HELLO 2 AUTH a",
    "HELLO 2 SETNAME",
    "SCAN 0 COUNT",
    "SCAN 0 1",
    "SET a",
    "SET a 1 EX",
    "GETEX a EX",
    "FLUSHALL SYNC x",
    "FLUSHALL x",
    "XREAD COUNT 1",
    "LCS a",
    "ZINCRBY z nx a",
    "ZINCRBY z INCR a",
    "ZINCRBY z x a",
];

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
    let half = HALF_CALLS
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect());
    let wrong = COMMANDS.iter().flat_map(wrong_calls).chain(half);
    for call in wrong {
        let (expected, got) = (redis.call(&call), ours.call(&call));
        // Redis has none of our own.
        if call.get(1).is_some_and(|word| word == "ack-writes") {
            continue;
        }
        calls += usize::from(has(&got));
        if has(&got) && expected != got {
            faults.push(format!("{}: redis {expected}, ours {got}", call.join(" ")));
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
