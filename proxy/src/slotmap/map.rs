//! Who owns which slot: one immutable picture of the cluster, shared by all threads.

use std::fmt;

use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;
use slotilla_common::topology::{Node, Topology};

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
    /// Of all primaries and their slots.
    pub fingerprint: Fingerprint,
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

/// Numbers there are: a SCAN cursor has 10 bits for them.
pub const NODES_MAX: usize = 1024;

impl SlotMap {
    /// The picture that the node known as `asked` paints. Nodes whose host it does not know
    /// are left out, and their slots with them.
    #[must_use]
    pub fn paint(topology: &Topology, asked: &str, version: u64) -> Self {
        let resolve = |node: &Node| {
            let (host, port) = node.endpoint.resolve(asked)?;
            Some(Address { host, port })
        };
        let shards = &topology.shards;
        let mut replicas: Vec<Address> = shards
            .iter()
            .flat_map(|shard| shard.replicas.iter().filter_map(resolve))
            .collect();
        replicas.sort_unstable();
        replicas.dedup();
        let named = shards.iter().filter_map(|shard| {
            let address = resolve(&shard.primary)?;
            let name = match &shard.primary.id {
                Some(id) => id.to_string(),
                None => address.to_string(),
            };
            Some((name, address))
        });
        let primaries = numbered(named.collect());
        let mut owners = vec![NOBODY; usize::from(Slot::COUNT)];
        for shard in shards {
            let address = resolve(&shard.primary);
            let place = primaries
                .iter()
                .position(|p| Some(&p.1) == address.as_ref());
            let Some(place) = place.and_then(|place| u16::try_from(place).ok()) else {
                continue;
            };
            for range in &shard.slots {
                let range = range.start().index()..=range.end().index();
                if let Some(part) = owners.get_mut(range) {
                    part.fill(place);
                }
            }
        }
        let mut map = Self {
            version,
            fingerprint: Fingerprint::default(),
            primaries,
            replicas,
            owners,
        };
        for place in 0..map.primaries.len() {
            let owned = map.owned(place);
            let number = map.primaries.get(place).map_or(0, |(number, _)| *number);
            map.fingerprint.add_slots(number, &owned);
            // No slot on the move, as far as this tells.
            map.fingerprint.add(number, b"");
        }
        map
    }

    /// The slots of the primary at `place`.
    #[must_use]
    pub fn owned(&self, place: usize) -> SlotSet {
        let mut slots = SlotSet::new();
        for (slot, owner) in Slot::all().zip(&self.owners) {
            if usize::from(*owner) == place {
                slots.insert(slot);
            }
        }
        slots
    }
}

/// Gives every primary the same number as any other proxy does that knows the same primaries:
/// the hash of its name, or the next that is free.
fn numbered(mut named: Vec<(String, Address)>) -> Vec<(NodeNumber, Address)> {
    named.sort_unstable();
    named.dedup_by(|a, b| a.1 == b.1);
    let mut taken = vec![None; NODES_MAX];
    for (name, address) in named.into_iter().take(NODES_MAX) {
        let mut hash = Fingerprint::default();
        hash.add(0, name.as_bytes());
        let wanted = usize::try_from(hash.0).unwrap_or(0) % NODES_MAX;
        let free = (0..NODES_MAX)
            .map(|step| (wanted + step) % NODES_MAX)
            .find(|place| taken.get(*place).is_some_and(Option::is_none));
        if let Some(place) = free.and_then(|place| taken.get_mut(place)) {
            *place = Some(address);
        }
    }
    let numbers = taken.into_iter().zip(0..);
    numbers
        .filter_map(|(address, number)| Some((number, address?)))
        .collect()
}

/// A hash of who owns what: FNV-1a, since all proxies of all versions have to agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Takes in the slots of the primary of this number.
    pub fn add_slots(&mut self, number: NodeNumber, slots: &SlotSet) {
        for (first, last) in slots.ranges() {
            let [a, b] = first.number().to_be_bytes();
            let [c, d] = last.number().to_be_bytes();
            self.add(number, &[a, b, c, d]);
        }
    }

    /// Takes in something else about the primary of this number.
    pub fn add(&mut self, number: NodeNumber, what: &[u8]) {
        let number = number.to_be_bytes();
        for byte in number.iter().chain(what).chain(b"\n") {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// As much of it as fits a SCAN cursor.
    #[must_use]
    pub fn short(self) -> u8 {
        let [a, b, c, d, e, f, g, h] = self.0.to_be_bytes();
        a ^ b ^ c ^ d ^ e ^ f ^ g ^ h
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
        let map = SlotMap::paint(&topology, "a", 1);
        assert_eq!(owner(&map, 5).as_deref(), Some("a:7000"));
        assert_eq!(owner(&map, 150), None);
        assert_eq!(owner(&map, 300).as_deref(), Some("b:7002"));
        assert_eq!((map.covered(), map.is_complete()), (16284, false));
    }

    /// Three primaries, each with a third of the slots.
    fn thirds(names: [&str; 3]) -> SlotMap {
        let bounds = [(0, 4999), (5000, 9999), (10_000, 16_383)];
        let shards = names.iter().zip(bounds);
        SlotMap::paint(
            &Topology {
                shards: shards
                    .map(|(name, (first, last))| shard(first, last, host(name), 1))
                    .collect(),
            },
            "x",
            1,
        )
    }

    fn number(map: &SlotMap, name: &str) -> Option<NodeNumber> {
        let primaries = &map.primaries;
        let found = primaries.iter().find(|(_, address)| &*address.host == name);
        found.map(|(number, _)| *number)
    }

    #[test]
    fn a_node_has_the_same_number_whoever_learned_of_it_when() {
        let (one, other) = (thirds(["a", "b", "c"]), thirds(["c", "d", "b"]));
        assert_eq!(number(&one, "b"), number(&other, "b"));
        assert_eq!(number(&one, "c"), number(&other, "c"));
        // Once and for all: other proxies may run other versions.
        assert_eq!(number(&one, "b"), Some(2));
    }

    #[test]
    fn a_fingerprint_tells_who_owns_what() {
        let short = |names| thirds(names).fingerprint.short();
        assert_eq!(short(["a", "b", "c"]), short(["a", "b", "c"]));
        assert_ne!(short(["a", "b", "c"]), short(["b", "a", "c"]));
        assert_ne!(short(["a", "b", "c"]), short(["a", "b", "d"]));
    }

    #[test]
    fn as_many_nodes_as_there_are_numbers_get_one_each() {
        let shards = (0..16_384)
            .map(|n| shard(n, n, host(&format!("pod-{}", n % 1024)), 1))
            .collect();
        let map = SlotMap::paint(&Topology { shards }, "x", 1);
        assert!(map.is_complete());
        assert!(map.primaries.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
