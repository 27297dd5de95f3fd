//! The nodes that this one knows, itself included.

use super::link::LinkId;
use slotilla_common::bus::{IpText, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a node lies in [`NodeTable`]. It is given to another node once this one is removed, so
/// whoever removes a node also removes its key from slots and links.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NodeKey(u32);

/// How a node is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// The address, in text.
    pub ip: IpText,
    /// The client port.
    pub port: u16,
    /// The bus port.
    pub cport: u16,
    /// The plaintext port, where `port` is the TLS port; else 0.
    pub other_port: u16,
}

impl Address {
    /// Nowhere.
    pub const NONE: Self = Self {
        ip: IpText::EMPTY,
        port: 0,
        cport: 0,
        other_port: 0,
    };
}

/// What is known of a node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name; a random one while it is in handshake.
    pub(super) id: NodeId,
    pub(super) flags: NodeFlags,
    pub(super) address: Address,
    pub(super) hostname: String,
    /// Its primary, if it is a replica and says whose.
    pub(super) primary: Option<NodeId>,
    pub(super) config_epoch: u64,
    /// Its slots; `None` is none, since most nodes of a big cluster are replicas.
    slots: Option<SlotSet>,
    slot_count: u16,
    /// Its slots as ranges, for readers; made when it is asked for.
    ranges: Option<Arc<[(Slot, Slot)]>>,
    pub(super) created_ms: i64,
    /// When the ping that is still unanswered was sent; else 0.
    pub(super) ping_sent_ms: i64,
    pub(super) pong_received_ms: i64,
    /// When anything at all came from it.
    pub(super) data_received_ms: i64,
    pub(super) fail_time_ms: i64,
    /// Its replication offset, as it said last.
    pub(super) offset: u64,
    /// The link that we dialled.
    pub(super) link: Option<LinkId>,
    /// The link that it dialled.
    pub(super) inbound: Option<LinkId>,
    /// Which primaries hold it for failing, and when they said so last.
    pub(super) fail_reports: Vec<(NodeId, i64)>,
    /// It has been seen using extensions, so it may be sent some.
    pub(super) knows_extensions: bool,
}

impl Node {
    pub(super) const fn new(id: NodeId, flags: NodeFlags, address: Address, now_ms: i64) -> Self {
        Self {
            id,
            flags,
            address,
            hostname: String::new(),
            primary: None,
            config_epoch: 0,
            slots: None,
            slot_count: 0,
            ranges: None,
            created_ms: now_ms,
            ping_sent_ms: 0,
            pong_received_ms: 0,
            data_received_ms: 0,
            fail_time_ms: 0,
            offset: 0,
            link: None,
            inbound: None,
            fail_reports: Vec::new(),
            knows_extensions: false,
        }
    }

    pub(super) fn slot_count(&self) -> u16 {
        self.slot_count
    }

    pub(super) fn slots(&self) -> SlotSet {
        self.slots.clone().unwrap_or_default()
    }

    /// Its slots as ranges.
    pub(super) fn ranges(&self) -> Arc<[(Slot, Slot)]> {
        match &self.ranges {
            Some(ranges) => Arc::clone(ranges),
            None => self.slots().ranges().into(),
        }
    }

    /// Keeps the ranges, so that asking for them is free until they change.
    pub(super) fn keep_ranges(&mut self) {
        if self.ranges.is_none() {
            self.ranges = Some(self.ranges());
        }
    }

    /// Whether its slots are exactly `claimed`.
    pub(super) fn has_exactly(&self, claimed: &SlotSet) -> bool {
        match &self.slots {
            Some(slots) => slots == claimed,
            None => claimed.is_empty(),
        }
    }

    /// Only [`super::ownership`] calls this and the next, which keeps the table of owners.
    pub(super) fn add_slot(&mut self, slot: Slot) {
        self.ranges = None;
        if self.slots.get_or_insert_default().insert(slot) {
            self.slot_count = self.slot_count.saturating_add(1);
        }
    }

    pub(super) fn remove_slot(&mut self, slot: Slot) {
        self.ranges = None;
        if self.slots.as_mut().is_some_and(|slots| slots.remove(slot)) {
            self.slot_count = self.slot_count.saturating_sub(1);
        }
        if self.slot_count == 0 {
            self.slots = None;
        }
    }

    pub(super) fn is(&self, flags: NodeFlags) -> bool {
        self.flags.any(flags)
    }

    pub(super) fn is_primary(&self) -> bool {
        self.is(NodeFlags::PRIMARY)
    }

    /// A primary that has slots: one of those whose majority decides.
    pub(super) fn is_voter(&self) -> bool {
        self.is_primary() && self.slot_count > 0
    }
}

/// All known nodes, by key and by name. Iteration is in the order of keys, so a replay from a
/// seed sees the same order.
#[derive(Debug, Default)]
pub(super) struct NodeTable {
    nodes: Vec<Option<Node>>,
    by_id: BTreeMap<NodeId, NodeKey>,
}

impl NodeKey {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeTable {
    pub(super) fn insert(&mut self, node: Node) -> NodeKey {
        let free = self.nodes.iter().position(Option::is_none);
        let index = free.unwrap_or(self.nodes.len());
        // Four billion nodes would need more memory than a key has values.
        let key = NodeKey(u32::try_from(index).unwrap_or(u32::MAX));
        self.by_id.insert(node.id, key);
        match self.nodes.get_mut(index) {
            Some(place) => *place = Some(node),
            None => self.nodes.push(Some(node)),
        }
        key
    }

    pub(super) fn remove(&mut self, key: NodeKey) -> Option<Node> {
        let node = self.nodes.get_mut(key.index())?.take()?;
        self.by_id.remove(&node.id);
        Some(node)
    }

    /// Gives a node its real name. The caller knows that nobody else has it.
    pub(super) fn rename(&mut self, key: NodeKey, id: NodeId) {
        let Some(node) = self.nodes.get_mut(key.index()).and_then(Option::as_mut) else {
            return;
        };
        self.by_id.remove(&node.id);
        node.id = id;
        self.by_id.insert(id, key);
    }

    pub(super) fn get(&self, key: NodeKey) -> Option<&Node> {
        self.nodes.get(key.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: NodeKey) -> Option<&mut Node> {
        self.nodes.get_mut(key.index())?.as_mut()
    }

    pub(super) fn key_of(&self, id: NodeId) -> Option<NodeKey> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn by_id(&self, id: NodeId) -> Option<&Node> {
        self.get(self.key_of(id)?)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeKey, &Node)> {
        (0u32..)
            .zip(&self.nodes)
            .filter_map(|(key, node)| Some((NodeKey(key), node.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeKey, &mut Node)> {
        (0u32..)
            .zip(&mut self.nodes)
            .filter_map(|(key, node)| Some((NodeKey(key), node.as_mut()?)))
    }

    /// The keys of all nodes, for loops that change nodes.
    pub(super) fn keys(&self) -> Vec<NodeKey> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// A node drawn at random.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<NodeKey> {
        if self.by_id.is_empty() {
            return None;
        }
        // The table is nearly dense, so few draws miss.
        loop {
            let key = NodeKey(rng.u32(..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)));
            if self.get(key).is_some() {
                return Some(key);
            }
        }
    }
}
