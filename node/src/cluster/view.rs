//! What readers see of the cluster: an immutable picture, published by the cluster thread.
//!
//! CLUSTER SLOTS, NODES, SHARDS and INFO, redirects and metrics are answered from it without
//! asking the thread. It is up to date in what redirects need; in times and counters it may be
//! one tick behind.

use super::node::{Address, Node, NodeKey};
use super::state::Core;
use slotilla_common::bus::{Kind, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use std::sync::{Arc, OnceLock};

/// What one node knew of the cluster at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Whether the cluster takes commands.
    pub is_up: bool,
    /// This node's name.
    pub my_id: NodeId,
    /// All known nodes, this one included.
    pub nodes: Vec<NodeView>,
    /// The open links, for CLUSTER LINKS.
    pub links: Vec<LinkView>,
    /// Slots of ours on their way to another node.
    pub migrating: Vec<(Slot, NodeId)>,
    /// Slots on their way to us.
    pub importing: Vec<(Slot, NodeId)>,
    /// The greatest epoch seen.
    pub current_epoch: u64,
    /// The epoch of the last vote that this node gave.
    pub last_vote_epoch: u64,
    /// How many primaries have slots.
    pub size: usize,
    /// Messages and links.
    pub stats: Stats,
    /// Replies that only depend on owners, addresses and roles, kept until one of these
    /// changes.
    pub replies: Arc<ReplyCache>,
    owners: Arc<[u16]>,
}

/// What a view says of one node.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// What it is.
    pub flags: NodeFlags,
    /// How it is reached.
    pub address: Address,
    /// Its host name, or nothing.
    pub hostname: String,
    /// Its primary.
    pub primary: Option<NodeId>,
    /// When the ping that is still unanswered was sent, in Unix milliseconds; else 0.
    pub ping_sent_ms: i64,
    /// When its last pong came.
    pub pong_received_ms: i64,
    /// Its config epoch; a replica's primary's.
    pub config_epoch: u64,
    /// Whether our link to it is up.
    pub is_linked: bool,
    /// Its replication offset.
    pub offset: u64,
    /// Its slots, as ranges.
    pub slots: Arc<[(Slot, Slot)]>,
    /// How many primaries reported it as failing.
    pub fail_reports: usize,
}

/// What a view says of a link.
#[derive(Debug, Clone, Copy)]
pub struct LinkView {
    /// Whether we dialled it.
    pub is_outbound: bool,
    /// The node at the other end.
    pub node: NodeId,
    /// When it was made.
    pub created_ms: i64,
    /// For the shell, which knows how much is waiting to be sent.
    pub link: super::LinkId,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    sent: [u64; Kind::ALL.len()],
    received: [u64; Kind::ALL.len()],
    /// Links closed because more was waiting than `cluster-link-sendbuf-limit`.
    pub links_overflowed: u64,
}

/// Encoded replies, one for each of the caller's variants.
#[derive(Debug, Default)]
pub struct ReplyCache([OnceLock<Box<[u8]>>; ReplyCache::VARIANTS]);

impl ReplyCache {
    /// How many variants there can be: two protocols, three kinds of endpoint.
    pub const VARIANTS: usize = 6;

    /// The reply of that variant, made by `make` if nobody has asked for it yet.
    pub fn reply(&self, variant: usize, make: impl FnOnce() -> Vec<u8>) -> Option<&[u8]> {
        let place = self.0.get(variant)?;
        Some(place.get_or_init(|| make().into_boxed_slice()))
    }
}

/// In [`View::owners`]: nobody.
const NOBODY: u16 = u16::MAX;

impl Stats {
    pub(super) fn count_sent(&mut self, kind: Kind) {
        if let Some(count) = self.sent.get_mut(kind as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn count_received(&mut self, kind: Kind) {
        if let Some(count) = self.received.get_mut(kind as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Messages sent, by type.
    pub fn sent(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.sent)
    }

    /// Messages received, by type.
    pub fn received(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.received)
    }
}

impl Default for View {
    fn default() -> Self {
        Self {
            is_up: false,
            my_id: NodeId::ZERO,
            nodes: Vec::new(),
            links: Vec::new(),
            migrating: Vec::new(),
            importing: Vec::new(),
            current_epoch: 0,
            last_vote_epoch: 0,
            size: 0,
            stats: Stats::default(),
            replies: Arc::default(),
            owners: Arc::from(vec![NOBODY; usize::from(Slot::COUNT)]),
        }
    }
}

impl View {
    /// The owner of a slot.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&NodeView> {
        let index = self.owners.get(slot.index())?;
        self.nodes.get(usize::from(*index))
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// This node.
    #[must_use]
    pub fn myself(&self) -> Option<&NodeView> {
        self.node(self.my_id)
    }

    /// The replicas of a primary.
    pub fn replicas_of(&self, primary: NodeId) -> impl Iterator<Item = &NodeView> {
        let replicas = self.nodes.iter();
        replicas.filter(move |node| node.primary == Some(primary))
    }

    /// Where a slot is migrating to, or importing from, as redirects by ASK need it.
    #[must_use]
    pub fn migrating_to(&self, slot: Slot) -> Option<&NodeView> {
        let (_, to) = self.migrating.iter().find(|(open, _)| *open == slot)?;
        self.node(*to)
    }

    /// Slots that are assigned; and of these, whose owner is well, suspected, failing.
    #[must_use]
    pub fn slot_health(&self) -> [usize; 4] {
        let mut health = [0usize; 4];
        for node in &self.nodes {
            let count = node.slot_count();
            let [assigned, ok, suspected, failing] = &mut health;
            *assigned = assigned.saturating_add(count);
            let place = if node.flags.any(NodeFlags::FAIL) {
                failing
            } else if node.flags.any(NodeFlags::PFAIL) {
                suspected
            } else {
                ok
            };
            *place = place.saturating_add(count);
        }
        health
    }
}

impl NodeView {
    /// How many slots it has.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        let lengths = self
            .slots
            .iter()
            .map(|(start, end)| end.index().saturating_sub(start.index()).saturating_add(1));
        lengths.sum()
    }

    /// Whether it is a primary.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.flags.any(NodeFlags::PRIMARY)
    }
}

impl Core {
    /// The picture of now. What has not changed since the last one is shared with it.
    pub(super) fn make_view(&self) -> View {
        View {
            owners: self.make_owners(),
            replies: Arc::default(),
            ..self.refresh_view()
        }
    }

    /// As [`Core::make_view`], where owners, addresses and roles are those of the last view.
    pub(super) fn refresh_view(&self) -> View {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|(key, node)| self.node_view(key, node)).collect();
        let open = |slots: &std::collections::BTreeMap<Slot, NodeId>| {
            slots.iter().map(|(slot, id)| (*slot, *id)).collect()
        };
        View {
            is_up: self.judge.is_up(),
            my_id: self.id(),
            nodes,
            links: self.link_views(),
            migrating: open(&self.slots.migrating),
            importing: open(&self.slots.importing),
            current_epoch: self.current_epoch,
            last_vote_epoch: self.last_vote_epoch,
            size: self.judge.size,
            stats: self.stats,
            replies: Arc::clone(&self.view.replies),
            owners: Arc::clone(&self.view.owners),
        }
    }

    fn make_owners(&self) -> Arc<[u16]> {
        let keys = self.nodes.keys();
        let last = keys.last().map_or(0, |key| key.index());
        let mut places = vec![NOBODY; last.saturating_add(1)];
        for (place, key) in (0..NOBODY).zip(&keys) {
            if let Some(entry) = places.get_mut(key.index()) {
                *entry = place;
            }
        }
        let place_of = |owner: &Option<NodeKey>| {
            let place = owner.and_then(|key| places.get(key.index()));
            place.copied().unwrap_or(NOBODY)
        };
        self.slots.owners().iter().map(place_of).collect()
    }

    fn node_view(&self, key: NodeKey, node: &Node) -> NodeView {
        let primary = node.primary.and_then(|id| self.nodes.by_id(id));
        let link = node.link.and_then(|link| self.links.get(&link));
        NodeView {
            id: node.id,
            flags: node.flags,
            address: node.address,
            hostname: node.hostname.clone(),
            primary: node.primary,
            ping_sent_ms: node.ping_sent_ms,
            pong_received_ms: node.pong_received_ms,
            config_epoch: primary.unwrap_or(node).config_epoch,
            is_linked: key == self.myself || link.is_some_and(|link| link.is_connected),
            offset: if key == self.myself {
                self.offset
            } else {
                node.offset
            },
            slots: node.ranges(),
            fail_reports: node.fail_reports.len(),
        }
    }

    fn link_views(&self) -> Vec<LinkView> {
        let ends = self.nodes.iter().flat_map(|(_, node)| {
            let outbound = node.link.map(|link| (node.id, link, true));
            let inbound = node.inbound.map(|link| (node.id, link, false));
            outbound.into_iter().chain(inbound)
        });
        ends.filter_map(|(node, id, is_outbound)| {
            let link = self.links.get(&id)?;
            Some(LinkView {
                is_outbound,
                node,
                created_ms: link.created_ms,
                link: id,
            })
        })
        .collect()
    }
}
