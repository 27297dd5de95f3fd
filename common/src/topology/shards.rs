//! CLUSTER SHARDS (Redis 7): one map per shard, flat arrays in RESP2.
//!
//! ```text
//! [ {slots: [0, 5460, …], nodes: [ {id, port, ip, endpoint, hostname?, role, health}, … ]}, … ]
//! ```

use super::{Node, Shard, Topology, TopologyError, elements, port, slot_range, text};
use crate::redirect::{Endpoint, Host};
use crate::resp::Value;

/// Understands the reply of CLUSTER SHARDS, in RESP2 or RESP3.
///
/// Shards without slots or without a primary are left out. Should two nodes call themselves
/// primary (one of them failed), the one that is online counts.
///
/// # Errors
/// [`TopologyError`] if this is an error reply or has no such form.
pub fn parse_shards(reply: &Value) -> Result<Topology, TopologyError> {
    let mut topology = Topology::default();
    for shard in elements(reply)? {
        let (Some(ranges), Some(nodes)) = (shard.field(b"slots"), shard.field(b"nodes")) else {
            return Err(TopologyError::Malformed("a shard without slots or nodes"));
        };
        let mut slots = Vec::new();
        for pair in elements(ranges)?.chunks(2) {
            let [start, end] = pair else {
                return Err(TopologyError::Malformed("a slot range without end"));
            };
            slots.push(slot_range(start, end)?);
        }
        let mut primary: Option<Told> = None;
        let mut replicas = Vec::new();
        for value in elements(nodes)? {
            let Some(told) = node(value)? else {
                continue;
            };
            match &primary {
                _ if !told.is_primary => replicas.push(told.node),
                Some(known) if known.is_online || !told.is_online => {}
                _ => primary = Some(told),
            }
        }
        if let Some(primary) = primary.filter(|_| !slots.is_empty()) {
            topology.shards.push(Shard {
                slots,
                primary: primary.node,
                replicas,
            });
        }
    }
    Ok(topology)
}

/// A node with what is told beside its address.
struct Told {
    node: Node,
    is_primary: bool,
    is_online: bool,
}

fn node(value: &Value) -> Result<Option<Told>, TopologyError> {
    let field = |name: &[u8]| value.field(name);
    let role = field(b"role")
        .and_then(text)
        .ok_or(TopologyError::Malformed("a node without role"))?;
    // Without TLS there is no tls-port, and the other way round.
    let Some(port) = field(b"port").or_else(|| field(b"tls-port")).and_then(port) else {
        return Ok(None);
    };
    let host = match field(b"endpoint").or_else(|| field(b"ip")) {
        None => return Err(TopologyError::Malformed("a node without endpoint")),
        Some(endpoint) => match endpoint.without_attributes() {
            Value::Null => Host::Same,
            name => Host::from_wire(text(name).ok_or(TopologyError::Malformed("a node's host"))?),
        },
    };
    Ok(Some(Told {
        node: Node {
            id: field(b"id").and_then(text).map(Into::into),
            endpoint: Endpoint { host, port },
        },
        is_primary: matches!(role, "master" | "primary"),
        is_online: field(b"health").and_then(text) == Some("online"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Protocol, ReplyWriter};

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    fn node_value(id: &str, endpoint: Value, port: i64, role: &str, health: &str) -> Value {
        Value::Map(vec![
            (bulk("id"), bulk(id)),
            (bulk("port"), Value::Integer(port)),
            (bulk("ip"), bulk("10.0.0.1")),
            (bulk("endpoint"), endpoint),
            (bulk("role"), bulk(role)),
            (bulk("replication-offset"), Value::Integer(5)),
            (bulk("health"), bulk(health)),
        ])
    }

    fn shard(slots: &[i64], nodes: Vec<Value>) -> Value {
        let slots = slots.iter().copied().map(Value::Integer).collect();
        Value::Map(vec![
            (bulk("slots"), Value::Array(slots)),
            (bulk("nodes"), Value::Array(nodes)),
        ])
    }

    #[test]
    fn maps_and_flat_arrays_say_the_same() {
        let reply = Value::Array(vec![
            shard(
                &[0, 5, 10, 20],
                vec![
                    node_value("b", bulk("h"), 7001, "replica", "online"),
                    node_value("a", Value::Null, 7000, "master", "online"),
                ],
            ),
            shard(
                &[],
                vec![node_value("c", bulk("h"), 7002, "master", "online")],
            ),
        ]);
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut wire = Vec::new();
            reply.write(&mut ReplyWriter::new(&mut wire, protocol));
            let (value, _) = crate::resp::decode(&wire).unwrap().unwrap();
            let topology = parse_shards(&value).unwrap();
            let [only] = &topology.shards[..] else {
                panic!("{topology:?}");
            };
            assert_eq!(only.primary.endpoint.host, Host::Same);
            assert_eq!(only.primary.endpoint.port, 7000);
            assert_eq!(only.replicas[0].id.as_deref(), Some("b"));
            assert_eq!(topology.slots_covered(), 17);
        }
    }

    #[test]
    fn of_two_primaries_the_one_online_counts() {
        for order in [["failed", "online"], ["online", "failed"]] {
            let nodes = order
                .iter()
                .map(|health| node_value(health, bulk("h"), 7000, "master", health))
                .collect();
            let topology = parse_shards(&Value::Array(vec![shard(&[0, 1], nodes)])).unwrap();
            assert_eq!(topology.shards[0].primary.id.as_deref(), Some("online"));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let nodes = vec![node_value("a", bulk("h"), 7000, "master", "online")];
        let cases = [
            Value::Simple(b"OK".to_vec()),
            Value::Array(vec![Value::Integer(1)]),
            Value::Array(vec![shard(&[0], nodes.clone())]),
            Value::Array(vec![shard(&[5, 4], nodes)]),
            Value::Array(vec![shard(&[0, 1], vec![Value::Map(vec![])])]),
        ];
        for case in cases {
            assert!(matches!(
                parse_shards(&case),
                Err(TopologyError::Malformed(_))
            ));
        }
    }
}
