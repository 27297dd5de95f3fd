//! One thread's own copy of the slot map, which it may correct at once when a node says MOVED,
//! and what it knows of slots on the move.

use std::collections::{BTreeSet, HashMap};

use slotilla_common::clock::Tick;
use slotilla_common::slot::Slot;

use super::map::{Address, Fingerprint, NODES_MAX, SlotMap};

/// A node's place in this thread's list.
pub type NodeIndex = u16;

const NOBODY: NodeIndex = NodeIndex::MAX;

/// What is known of a slot's rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Calm {
    /// The slot stays where it is.
    Stable,
    /// Its owner changed, or requests on it had to wait: a client's request must not pass
    /// another of its requests that is out on another connection.
    Moved,
    /// It is being migrated, key by key: a client's requests on it go one at a time.
    Migrating,
}

/// The map of one thread.
#[derive(Debug)]
pub struct LocalMap {
    /// For each slot its owner.
    owners: Vec<NodeIndex>,
    calm: Vec<Calm>,
    /// Until when any slot is not stable, if one is.
    unstable_until: Option<Tick>,
    addresses: Vec<Address>,
    by_address: HashMap<Address, NodeIndex>,
    /// Owners of slots in the order of their numbers, for SCAN and for sending to all.
    primaries: Vec<(u16, NodeIndex)>,
    /// For nodes that lost slots: who got them. Kept of those that are no primaries any more.
    heirs: HashMap<NodeIndex, BTreeSet<NodeIndex>>,
    /// For slots that nobody owns: who did last, and so whose heir the next owner is.
    orphans: HashMap<Slot, NodeIndex>,
    version: u64,
    fingerprint: Fingerprint,
}

impl Default for LocalMap {
    fn default() -> Self {
        let slots = usize::from(Slot::COUNT);
        Self {
            owners: vec![NOBODY; slots],
            calm: vec![Calm::Stable; slots],
            unstable_until: None,
            addresses: Vec::new(),
            by_address: HashMap::new(),
            primaries: Vec::new(),
            heirs: HashMap::new(),
            orphans: HashMap::new(),
            version: 0,
            fingerprint: Fingerprint::default(),
        }
    }
}

impl LocalMap {
    /// The owner of `slot`.
    #[must_use]
    #[inline]
    pub fn owner(&self, slot: Slot) -> Option<NodeIndex> {
        match self.owners.get(slot.index()) {
            Some(&NOBODY) | None => None,
            Some(node) => Some(*node),
        }
    }

    /// Whether any slot is not stable: the one thing that the hot path asks.
    #[must_use]
    #[inline]
    pub fn is_unstable(&self) -> bool {
        self.unstable_until.is_some()
    }

    /// How stable `slot` is.
    #[must_use]
    pub fn calm(&self, slot: Slot) -> Calm {
        self.calm.get(slot.index()).copied().unwrap_or(Calm::Stable)
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, node: NodeIndex) -> Option<&Address> {
        self.addresses.get(usize::from(node))
    }

    /// The primaries as (number, node), in the order of their numbers.
    #[must_use]
    pub fn primaries(&self) -> &[(u16, NodeIndex)] {
        &self.primaries
    }

    /// Whether the last map taken over has `node` as a primary with slots.
    #[must_use]
    pub fn is_primary(&self, node: NodeIndex) -> bool {
        self.primaries.iter().any(|(_, primary)| *primary == node)
    }

    /// The primaries that own the slots of a former one, directly or through others. None while
    /// any of its slots has no owner yet.
    #[must_use]
    pub fn heirs(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut found = BTreeSet::new();
        let mut to_visit = vec![node];
        while let Some(former) = to_visit.pop() {
            if self.orphans.values().any(|last| *last == former) {
                return Vec::new();
            }
            for heir in self.heirs.get(&former).into_iter().flatten() {
                if found.insert(*heir) && !self.is_primary(*heir) {
                    to_visit.push(*heir);
                }
            }
        }
        found.retain(|heir| self.is_primary(*heir));
        found.into_iter().collect()
    }

    /// The version of the last map taken over; zero if there was none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The fingerprint of the last map taken over.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Notes that `slot` is not at rest before `until`.
    pub fn disturb(&mut self, slot: Slot, calm: Calm, until: Tick) {
        if let Some(known) = self.calm.get_mut(slot.index()) {
            *known = calm.max(*known);
        }
        self.unstable_until = Some(self.unstable_until.map_or(until, |known| known.max(until)));
    }

    /// Lets all slots come to rest once the time is over.
    pub fn settle(&mut self, now: Tick) {
        if self.unstable_until.is_some_and(|until| until <= now) {
            self.calm.fill(Calm::Stable);
            self.unstable_until = None;
        }
    }

    /// The place of the node at `address`, new if need be. When the list is full, the place of
    /// a node that owns nothing and is not `busy` is reused; `None` if there is none.
    pub fn node(
        &mut self,
        address: &Address,
        busy: impl Fn(NodeIndex) -> bool,
    ) -> Option<NodeIndex> {
        if let Some(node) = self.by_address.get(address) {
            return Some(*node);
        }
        let place = if self.addresses.len() < NODES_MAX {
            self.addresses.push(address.clone());
            self.addresses.len() - 1
        } else {
            let is_free = |place: &usize| {
                let node = NodeIndex::try_from(*place).unwrap_or(NOBODY);
                !busy(node) && !self.owners.contains(&node)
            };
            let place = (0..self.addresses.len()).find(is_free)?;
            let old = self.addresses.get_mut(place)?;
            self.by_address.remove(old);
            *old = address.clone();
            let old = NodeIndex::try_from(place).ok()?;
            self.heirs.remove(&old);
            self.orphans.retain(|_, last| *last != old);
            place
        };
        let node = NodeIndex::try_from(place).ok()?;
        self.by_address.insert(address.clone(), node);
        Some(node)
    }

    /// A node said that `slot` is owned by `node`.
    pub fn moved(&mut self, slot: Slot, node: NodeIndex, until: Tick) {
        let Some(owner) = self.owners.get_mut(slot.index()) else {
            return;
        };
        if *owner != node {
            let former = std::mem::replace(owner, node);
            self.inherits(slot, former, node);
            self.disturb(slot, Calm::Moved, until);
        }
    }

    /// Takes over a new map. Slots that change owner are disturbed until `until`.
    pub fn take_over(&mut self, map: &SlotMap, until: Tick, busy: impl Fn(NodeIndex) -> bool) {
        self.version = map.version;
        self.fingerprint = map.fingerprint;
        self.primaries.clear();
        for (number, address) in &map.primaries {
            if let Some(node) = self.node(address, &busy) {
                self.primaries.push((*number, node));
            }
        }
        for slot in Slot::all() {
            let new = map
                .owner(slot)
                .and_then(|address| self.by_address.get(address).copied())
                .unwrap_or(NOBODY);
            let Some(owner) = self.owners.get_mut(slot.index()) else {
                continue;
            };
            if *owner != new {
                let former = std::mem::replace(owner, new);
                self.inherits(slot, former, new);
                if former != NOBODY {
                    self.disturb(slot, Calm::Moved, until);
                }
            }
        }
        let primaries: Vec<NodeIndex> = self.primaries.iter().map(|(_, node)| *node).collect();
        self.heirs.retain(|node, _| !primaries.contains(node));
    }

    /// Notes whose heir the new owner of a slot is. A slot may be without owner for a while.
    fn inherits(&mut self, slot: Slot, former: NodeIndex, heir: NodeIndex) {
        if heir == NOBODY {
            self.orphans.insert(slot, former);
            return;
        }
        let former = match former {
            NOBODY => self.orphans.remove(&slot),
            node => Some(node),
        };
        if let Some(former) = former.filter(|former| *former != heir) {
            self.heirs.entry(former).or_default().insert(heir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::clock::Monotonic;
    use slotilla_common::redirect::{Endpoint, Host};
    use slotilla_common::topology::{Node, Shard, Topology};

    fn slot(number: u64) -> Slot {
        Slot::from_wire(number).unwrap()
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn map(shards: &[(u64, u64, &str)]) -> SlotMap {
        let shards = shards
            .iter()
            .map(|(first, last, host)| Shard {
                slots: vec![slot(*first)..=slot(*last)],
                primary: Node {
                    id: None,
                    endpoint: Endpoint {
                        host: Host::from_wire(host),
                        port: 1,
                    },
                },
                replicas: vec![],
            })
            .collect();
        SlotMap::paint(&Topology { shards }, "x", 1)
    }

    fn owner(local: &LocalMap, number: u64) -> Option<String> {
        let node = local.owner(slot(number))?;
        local.address(node).map(ToString::to_string)
    }

    #[test]
    fn a_first_map_disturbs_nothing_and_a_changed_one_what_changed() {
        let now = Monotonic::new().now();
        let mut local = LocalMap::default();
        assert_eq!(local.owner(slot(0)), None);
        let first = map(&[(0, 99, "a"), (100, 199, "b")]);
        local.take_over(&first, now, |_| false);
        assert_eq!(owner(&local, 99).as_deref(), Some("a:1"));
        assert!(!local.is_unstable());
        let second = map(&[(0, 49, "a"), (50, 199, "b")]);
        local.take_over(&second, now, |_| false);
        assert_eq!(owner(&local, 50).as_deref(), Some("b:1"));
        assert_eq!(local.calm(slot(50)), Calm::Moved);
        assert_eq!(local.calm(slot(49)), Calm::Stable);
    }

    #[test]
    fn the_slots_of_a_former_primary_have_heirs() {
        let now = Monotonic::new().now();
        let mut local = LocalMap::default();
        let mut take_over = |shards: &[(u64, u64, &str)], moved: Option<(u64, &str)>| {
            if let Some((number, host)) = moved {
                let node = local.node(&address(host), |_| false).unwrap();
                local.moved(slot(number), node, now);
            }
            local.take_over(&map(shards), now, |_| false);
            let a = local.node(&address("a:1"), |_| false).unwrap();
            let heirs = local.heirs(a).into_iter();
            let heirs: Vec<String> = heirs
                .map(|heir| local.address(heir).unwrap().host.to_string())
                .collect();
            heirs.join(" ")
        };
        assert_eq!(take_over(&[(0, 99, "a"), (100, 199, "b")], None), "");
        // What moves while it remains one is nobody's inheritance.
        let (a, b) = ((0, 98, "a"), (99, 199, "b"));
        assert_eq!(take_over(&[a, b], Some((99, "b:1"))), "");
        let shards = [(0, 1, "c"), (2, 98, "d"), b];
        assert_eq!(take_over(&shards, Some((0, "c:1"))), "c d");
        assert_eq!(take_over(&[(0, 1, "c"), (2, 199, "b")], None), "b c");
        assert_eq!(take_over(&[(0, 99, "a"), (100, 199, "b")], None), "");
        // Its slots may be nobody's for a while.
        assert_eq!(take_over(&[b], None), "");
        assert_eq!(take_over(&[(0, 1, "d"), b], Some((2, "c:1"))), "");
        assert_eq!(take_over(&[(0, 9, "c"), (10, 98, "d"), b], None), "b c d");
    }

    #[test]
    fn a_redirect_corrects_one_slot_at_once() {
        let clock = Monotonic::new();
        let now = clock.now();
        let mut local = LocalMap::default();
        let node = local.node(&address("c:1"), |_| false).unwrap();
        local.moved(slot(7), node, now);
        assert_eq!(owner(&local, 7).as_deref(), Some("c:1"));
        assert_eq!(local.calm(slot(7)), Calm::Moved);
        local.disturb(slot(7), Calm::Migrating, now);
        local.disturb(slot(7), Calm::Moved, now);
        assert_eq!(local.calm(slot(7)), Calm::Migrating);
        local.settle(clock.now());
        assert!(!local.is_unstable());
        assert_eq!(local.calm(slot(7)), Calm::Stable);
    }

    #[test]
    fn places_of_idle_nodes_are_reused_when_all_are_taken() {
        let mut local = LocalMap::default();
        for n in 0..NODES_MAX {
            let address = address(&format!("pod-{n}:1"));
            assert!(local.node(&address, |_| true).is_some());
        }
        let new = address("new:1");
        assert_eq!(local.node(&new, |_| true), None);
        assert_eq!(local.node(&new, |node| node != 5), Some(5));
        assert_eq!(local.address(5), Some(&new));
        assert_eq!(local.node(&address("pod-5:1"), |_| true), None);
    }
}
