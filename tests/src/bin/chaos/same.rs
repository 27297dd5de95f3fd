//! Whether two servers have the same data.

use std::collections::BTreeMap;

use slotilla_tests::replication::all_values;
use slotilla_tests::{Client, Kind, Server, Value};

/// So many keys are asked about in one write.
const BATCH: usize = 500;
/// So many differences are shown.
const SHOWN: usize = 6;

/// Database and key; the value's digest and when it expires.
type Data = BTreeMap<(usize, String), (String, i64)>;

/// How many keys both have, or in what they differ.
pub(crate) fn compare(one: &Server, other: &Server) -> Result<u64, String> {
    // Valkey's digest is another where scores are written otherwise.
    let look = match (one.kind(), other.kind()) {
        (Kind::Valkey, _) | (_, Kind::Valkey) => values,
        _ => digests,
    };
    let (first, second) = (look(one), look(other));
    if first == second {
        return Ok(first.len() as u64);
    }
    let all = first.keys().chain(second.keys());
    let mut differing: Vec<_> = all
        .filter(|key| first.get(key) != second.get(key))
        .collect();
    differing.sort();
    differing.dedup();
    let count = differing.len();
    let shown = differing.iter().take(SHOWN).map(|key| {
        format!(
            "  database {} key {}: {:?} and {:?}",
            key.0,
            key.1,
            first.get(key),
            second.get(key)
        )
    });
    Err(format!(
        "{count} keys differ, of {} and {}:\n{}",
        first.len(),
        second.len(),
        shown.collect::<Vec<_>>().join("\n")
    ))
}

fn values(server: &Server) -> Data {
    let all = all_values(server).into_iter();
    all.map(|(key, (items, expiry))| (key, (items.join(" "), expiry)))
        .collect()
}

fn digests(server: &Server) -> Data {
    let mut data = Data::new();
    let mut client = server.client();
    for db in 0..16 {
        client.ok(&["select", &db.to_string()]);
        let mut keys = client.scan(&["count", "1000"]);
        keys.sort();
        keys.dedup();
        for keys in keys.chunks(BATCH) {
            data.extend(digests_of(&mut client, db, keys));
        }
    }
    data
}

fn digests_of(client: &mut Client, db: usize, keys: &[String]) -> Data {
    let commands: Vec<Vec<&str>> = keys
        .iter()
        .flat_map(|key| [vec!["debug", "digest-value", key], vec!["pexpiretime", key]])
        .collect();
    let replies = client.pipeline(&commands);
    let pairs = keys.iter().zip(replies.chunks(2));
    let pairs = pairs.filter_map(|(key, replies)| {
        let digest = match &replies[0] {
            Value::Array(items) => items.first().map(Value::text),
            other => Some(format!("{other:?}")),
        };
        let expiry = replies[1].integer();
        // -2: its time has come since it was found.
        (expiry != -2).then(|| ((db, key.clone()), (digest.unwrap_or_default(), expiry)))
    });
    pairs.collect()
}
