//! The proxy in front of Valkey's nodes, which know more commands and scan slot by slot.
#![cfg(test)]

use std::collections::BTreeSet;

use slotilla_tests::{Cluster, Kind};

#[test]
fn a_plain_client_uses_a_cluster_of_valkey() {
    let cluster = Cluster::start(Kind::Valkey, 3);
    let proxy = cluster.proxy(&[]);
    let mut client = proxy.client();
    let keys: BTreeSet<String> = (0..100).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        client.ok(&["SET", key, "v"]);
    }
    assert_eq!(client.line("DBSIZE").integer(), 100);
    let wanted: Vec<&str> = ["MGET"]
        .into_iter()
        .chain(keys.iter().map(String::as_str))
        .collect();
    assert!(
        client
            .call(&wanted)
            .items()
            .iter()
            .all(|value| value.text() == "v")
    );
    client.line("HELLO 3");
    let found: BTreeSet<String> = client.scan(&["COUNT", "5"]).into_iter().collect();
    assert_eq!(found, keys);
    client.ok(&["FLUSHALL"]);
    assert_eq!(client.line("DBSIZE").integer(), 0);
}
