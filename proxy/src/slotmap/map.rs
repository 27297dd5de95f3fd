//! Who owns which slot: one immutable picture of the cluster, shared by all threads.

use std::collections::HashMap;
use std::fmt;

use slotilla_common::slot::Slot;
use slotilla_common::topology::Topology;

/// Where a node takes clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// IP address or hostname.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
}

impl Address {
    /// Reads `host:port`; an IPv6 address may stand in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return None;
        }
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A number that a primary keeps as long as the proxy runs; SCAN cursors carry it.
pub type NodeNumber = u16;

/// A slot that nobody owns, in [`SlotMap::owners`].
pub(super) const NOBODY: u16 = u16::MAX;

/// The picture.
#[derive(Debug, Clone, Default)]
pub struct SlotMap {
    /// Grows with each change. Zero: nothing is known yet.
    pub version: u64,
    /// The primaries that own slots, by number.
    pub primaries: Vec<(NodeNumber, Address)>,
    /// Replicas: not sent to, but asked for a newer picture.
    pub replicas: Vec<Address>,
    /// For each slot its owner's place in `primaries`, or [`NOBODY`].
    owners: Vec<u16>,
}

impl SlotMap {
    /// The owner of `slot`.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&Address> {
        let place = *self.owners.get(slot.index())?;
        self.primaries
            .get(usize::from(place))
            .map(|(_, address)| address)
    }

    /// Slots that have an owner.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.owners.iter().filter(|place| **place != NOBODY).count()
    }

    /// Whether every slot has an owner.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.covered() == usize::from(Slot::COUNT)
    }

    /// Whether both say the same, whatever their versions.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.replicas == other.replicas
            && self.primaries == other.primaries
            && self.owners == other.owners
    }
}

/// Gives each primary its number and builds the pictures.
#[derive(Debug, Default)]
pub struct MapBuilder {
    numbers: HashMap<Address, NodeNumber>,
    by_number: Vec<Address>,
}

/// Numbers there are: a SCAN cursor has 10 bits for them.
pub const NODES_MAX: usize = 1024;

impl MapBuilder {
    /// The picture that the node known as `asked` paints. Nodes whose host it does not know
    /// are left out, and their slots with them.
    #[must_use]
    pub fn build(&mut self, topology: &Topology, asked: &str, version: u64) -> SlotMap {
        let mut owners = vec![None; usize::from(Slot::COUNT)];
        let mut primaries: Vec<(NodeNumber, Address)> = Vec::new();
        let mut replicas = Vec::new();
        for shard in &topology.shards {
            let resolve = |node: &slotilla_common::topology::Node| {
                let (host, port) = node.endpoint.resolve(asked)?;
                Some(Address { host, port })
            };
            replicas.extend(shard.replicas.iter().filter_map(resolve));
            let Some(address) = resolve(&shard.primary) else {
                continue;
            };
            let Some(number) = self.number(&address, &primaries) else {
                continue;
            };
            if !primaries.iter().any(|(known, _)| *known == number) {
                primaries.push((number, address));
            }
            for range in &shard.slots {
                let range = range.start().index()..=range.end().index();
                if let Some(part) = owners.get_mut(range) {
                    part.fill(Some(number));
                }
            }
        }
        primaries.sort_unstable();
        replicas.sort_unstable();
        replicas.dedup();
        let place = |number: Option<NodeNumber>| {
            let place = number.and_then(|n| primaries.binary_search_by_key(&n, |p| p.0).ok());
            place.and_then(|p| u16::try_from(p).ok()).unwrap_or(NOBODY)
        };
        let owners = owners.into_iter().map(place).collect();
        SlotMap {
            version,
            primaries,
            replicas,
            owners,
        }
    }

    /// The number of `address`. When all are taken, that of a node no longer in the cluster is
    /// reused.
    fn number(
        &mut self,
        address: &Address,
        in_use: &[(NodeNumber, Address)],
    ) -> Option<NodeNumber> {
        if let Some(number) = self.numbers.get(address) {
            return Some(*number);
        }
        let place = if self.by_number.len() < NODES_MAX {
            self.by_number.push(address.clone());
            self.by_number.len() - 1
        } else {
            let is_free = |old: &Address| in_use.iter().all(|(_, used)| used != old);
            let place = self.by_number.iter().position(is_free)?;
            let slot = self.by_number.get_mut(place)?;
            self.numbers.remove(slot);
            *slot = address.clone();
            place
        };
        let number = NodeNumber::try_from(place).ok()?;
        self.numbers.insert(address.clone(), number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::redirect::{Endpoint, Host};
    use slotilla_common::topology::{Node, Shard};

    fn shard(first: u64, last: u64, host: Host, port: u16) -> Shard {
        let slot = |n| Slot::from_wire(n).unwrap();
        Shard {
            slots: vec![slot(first)..=slot(last)],
            primary: Node {
                id: None,
                endpoint: Endpoint { host, port },
            },
            replicas: vec![],
        }
    }

    fn host(name: &str) -> Host {
        Host::from_wire(name)
    }

    fn owner(map: &SlotMap, slot: u64) -> Option<String> {
        map.owner(Slot::from_wire(slot).unwrap())
            .map(ToString::to_string)
    }

    #[test]
    fn addresses_are_read_with_and_without_brackets() {
        for (text, shown) in [
            ("10.0.0.1:7000", "10.0.0.1:7000"),
            ("cache.example:1", "cache.example:1"),
            ("[::1]:7000", "[::1]:7000"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "host",
            "host:",
            "host:0",
            "host:65536",
            ":7000",
            "a b:1",
            "[]:1",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_unnamed_host_is_the_one_asked_and_an_unknown_one_is_left_out() {
        let topology = Topology {
            shards: vec![
                shard(0, 99, Host::Same, 7000),
                shard(100, 199, Host::Unknown, 7001),
                shard(200, 16383, host("b"), 7002),
            ],
        };
        let map = MapBuilder::default().build(&topology, "a", 1);
        assert_eq!(owner(&map, 5).as_deref(), Some("a:7000"));
        assert_eq!(owner(&map, 150), None);
        assert_eq!(owner(&map, 300).as_deref(), Some("b:7002"));
        assert_eq!((map.covered(), map.is_complete()), (16284, false));
    }

    #[test]
    fn a_node_keeps_its_number_while_others_come_and_go() {
        let mut builder = MapBuilder::default();
        let first = builder.build(
            &Topology {
                shards: vec![shard(0, 9, host("a"), 1), shard(10, 19, host("b"), 1)],
            },
            "x",
            1,
        );
        let second = builder.build(
            &Topology {
                shards: vec![shard(0, 9, host("c"), 1), shard(10, 19, host("b"), 1)],
            },
            "x",
            2,
        );
        let numbers = |map: &SlotMap| -> Vec<_> {
            map.primaries
                .iter()
                .map(|(number, address)| (*number, address.to_string()))
                .collect()
        };
        assert_eq!(numbers(&first), [(0, "a:1".into()), (1, "b:1".into())]);
        assert_eq!(numbers(&second), [(1, "b:1".into()), (2, "c:1".into())]);
        assert!(!first.says_the_same(&second));
    }

    #[test]
    fn numbers_are_reused_when_addresses_churn_for_ever() {
        let mut builder = MapBuilder::default();
        for n in 0..3 * NODES_MAX {
            let topology = Topology {
                shards: vec![shard(0, 16383, host(&format!("pod-{n}")), 1)],
            };
            let map = builder.build(&topology, "x", 1);
            assert!(map.is_complete());
            assert!(usize::from(map.primaries[0].0) < NODES_MAX);
        }
    }
}
