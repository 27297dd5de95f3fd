//! CLUSTER SLOTS: one entry per range of slots, its primary first.
//!
//! ```text
//! [ [0, 5460, [endpoint, port, id, [hostname, h, …]], replica, …], … ]
//! ```
//! The endpoint is an address, a hostname, `?`, empty, or null; the last two mean the host
//! that was asked. The node's last element came with Redis 7 and the id with Redis 4.

use super::{Node, Shard, Topology, TopologyError, elements, port, slot_range, text};
use crate::redirect::{Endpoint, Host};
use crate::resp::Value;

/// Understands the reply of CLUSTER SLOTS.
///
/// Nodes without a usable port (a replica that just joined) are left out; a range without a
/// primary is left out too, since nobody serves it.
///
/// # Errors
/// [`TopologyError`] if this is an error reply or has no such form.
pub fn parse_slots(reply: &Value) -> Result<Topology, TopologyError> {
    let mut topology = Topology::default();
    for entry in elements(reply)? {
        let [start, end, nodes @ ..] = elements(entry)? else {
            return Err(TopologyError::Malformed("a slot range without ends"));
        };
        let slots = vec![slot_range(start, end)?];
        let mut nodes = nodes.iter().map(node);
        let Some(Some(primary)) = nodes.next().transpose()? else {
            continue;
        };
        let mut replicas = Vec::new();
        for replica in nodes {
            replicas.extend(replica?);
        }
        topology.shards.push(Shard {
            slots,
            primary,
            replicas,
        });
    }
    Ok(topology)
}

fn node(value: &Value) -> Result<Option<Node>, TopologyError> {
    let [endpoint, node_port, rest @ ..] = elements(value)? else {
        return Err(TopologyError::Malformed("a node without address"));
    };
    let host = match endpoint.without_attributes() {
        Value::Null => Host::Same,
        value => Host::from_wire(text(value).ok_or(TopologyError::Malformed("a node's host"))?),
    };
    let Some(port) = port(node_port) else {
        return Ok(None);
    };
    Ok(Some(Node {
        id: rest.first().and_then(text).map(Into::into),
        endpoint: Endpoint { host, port },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::decode;

    fn parse(reply: &[u8]) -> Result<Topology, TopologyError> {
        parse_slots(&decode(reply).unwrap().unwrap().0)
    }

    fn host(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: Host::from_wire(host),
            port,
        }
    }

    #[test]
    fn ranges_primaries_and_replicas_are_found() {
        // As a redis-server 7.0.15 answers, ids shortened.
        let topology = parse(
            b"*2\r\n*4\r\n:0\r\n:5460\r\n\
              *4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$3\r\nid0\r\n*0\r\n\
              *4\r\n$9\r\n127.0.0.1\r\n:7003\r\n$3\r\nid3\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n\
              *3\r\n:5461\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$3\r\nid1\r\n",
        )
        .unwrap();
        let [first, second] = &topology.shards[..] else {
            panic!("{topology:?}");
        };
        assert_eq!(first.primary.endpoint, host("127.0.0.1", 7000));
        assert_eq!(first.replicas[0].endpoint, host("127.0.0.1", 7003));
        assert_eq!(first.replicas[0].id.as_deref(), Some("id3"));
        assert_eq!(second.slots[0].end().number(), 16_383);
        assert_eq!(topology.slots_covered(), 16_384);
    }

    #[test]
    fn endpoints_may_be_null_empty_or_unknown() {
        for (wire, expected) in [
            (&b"$-1\r\n"[..], Host::Same),
            (b"_\r\n", Host::Same),
            (b"$0\r\n\r\n", Host::Same),
            (b"$1\r\n?\r\n", Host::Unknown),
            (b"$1\r\nh\r\n", Host::Name("h".into())),
        ] {
            let reply = [b"*1\r\n*3\r\n:1\r\n:2\r\n*2\r\n", wire, b":7000\r\n"].concat();
            let topology = parse(&reply).unwrap();
            assert_eq!(topology.shards[0].primary.endpoint.host, expected);
        }
    }

    #[test]
    fn ranges_that_nobody_serves_are_left_out() {
        let none: &[&[u8]] = &[
            b"*0\r\n",
            b"*1\r\n*2\r\n:1\r\n:2\r\n",
            b"*1\r\n*3\r\n:1\r\n:2\r\n*2\r\n$1\r\nh\r\n:0\r\n",
        ];
        for reply in none {
            assert_eq!(parse(reply), Ok(Topology::default()));
        }
    }

    #[test]
    fn errors_and_other_forms_are_told_apart() {
        let disabled = b"-ERR This instance has cluster support disabled\r\n";
        assert!(matches!(parse(disabled), Err(TopologyError::Refused(_))));
        let malformed: &[&[u8]] = &[
            b"+OK\r\n",
            b"*1\r\n:1\r\n",
            b"*1\r\n*1\r\n:1\r\n",
            b"*1\r\n*2\r\n:2\r\n:1\r\n",
            b"*1\r\n*2\r\n:0\r\n:16384\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:5\r\n:6\r\n",
        ];
        for reply in malformed {
            let outcome = parse(reply);
            assert!(
                matches!(outcome, Err(TopologyError::Malformed(_))),
                "{outcome:?}"
            );
        }
    }
}
