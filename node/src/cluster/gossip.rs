//! What nodes tell each other of third nodes.

use super::node::{Address, Node, NodeKey};
use super::state::Core;
use slotilla_common::bus::{Body, Extension, Gossip, GossipEntry, Kind, NodeFlags};
use slotilla_common::ids::NodeId;
use std::collections::BTreeMap;

use super::link::LinkId;

/// How long gossip may not bring back a node that was forgotten.
const BLACKLIST_MS: i64 = 60_000;

/// A gossiped pong may be newer than our clock by this much and still be believed.
const CLOCK_SKEW_MS: i64 = 500;

/// Nodes that were forgotten a moment ago, and until when gossip may not bring them back.
///
/// Bounded by the number of nodes that an operator forgets within a minute; entries end by
/// themselves.
#[derive(Debug, Default)]
pub(super) struct Blacklist(BTreeMap<NodeId, i64>);

impl Blacklist {
    pub(super) fn add(&mut self, id: NodeId, now_ms: i64) {
        self.0.retain(|_, until_ms| *until_ms > now_ms);
        self.0.insert(id, now_ms.saturating_add(BLACKLIST_MS));
    }

    pub(super) fn contains(&self, id: NodeId, now_ms: i64) -> bool {
        self.0.get(&id).is_some_and(|until_ms| *until_ms > now_ms)
    }

    pub(super) fn remove(&mut self, id: NodeId) {
        self.0.remove(&id);
    }
}

impl Core {
    /// Sends PING, PONG or MEET on a link, with gossip about some other nodes.
    pub(super) fn send_ping(&mut self, id: LinkId, kind: Kind) {
        let about = self.links.get(&id).and_then(|link| link.outbound_node());
        if kind == Kind::Ping
            && let Some(node) = about.and_then(|key| self.nodes.get_mut(key))
        {
            node.ping_sent_ms = self.now_ms;
        }
        let entries = self.gossip_entries();
        let hostname = self.me().hostname.clone();
        let mut gossip = Gossip {
            entries,
            extensions: Vec::new(),
        };
        if !hostname.is_empty() {
            gossip.extensions.push(Extension::Hostname(&hostname));
        }
        let body = match kind {
            Kind::Meet => Body::Meet(gossip),
            Kind::Pong => Body::Pong(gossip),
            Kind::Ping
            | Kind::Fail
            | Kind::Publish
            | Kind::AuthRequest
            | Kind::AuthAck
            | Kind::Update
            | Kind::MfStart
            | Kind::Module
            | Kind::PublishShard => Body::Ping(gossip),
        };
        self.send(id, body);
    }

    /// Tells every node of a change at once, by a PONG that none has asked for.
    pub(super) fn broadcast_pong(&mut self) {
        for link in self.links_of_known_nodes() {
            self.send_ping(link, Kind::Pong);
        }
    }

    /// A tenth of all nodes, at least 3, drawn at random; then all that we suspect, so that a
    /// majority hears of them soon.
    fn gossip_entries(&mut self) -> Vec<GossipEntry> {
        let known = self.nodes.len();
        let others = known.saturating_sub(2);
        let wanted = (known / 10).max(3).min(others);
        let untold = NodeFlags::MYSELF
            .with(NodeFlags::PFAIL)
            .with(NodeFlags::HANDSHAKE)
            .with(NodeFlags::NOADDR);
        let mut drawn: Vec<NodeKey> = Vec::with_capacity(wanted);
        for _ in 0..wanted.saturating_mul(3) {
            if drawn.len() >= wanted {
                break;
            }
            let Some(key) = self.nodes.random(&mut self.rng) else {
                break;
            };
            let is_told = self.nodes.get(key).is_some_and(|node| {
                !node.is(untold) && (node.link.is_some() || node.slot_count() > 0)
            });
            if is_told && !drawn.contains(&key) {
                drawn.push(key);
            }
        }
        let suspects = self.nodes.iter().filter(|(_, node)| {
            node.is(NodeFlags::PFAIL) && !node.is(NodeFlags::HANDSHAKE.with(NodeFlags::NOADDR))
        });
        let told = drawn.iter().filter_map(|key| self.nodes.get(*key));
        told.chain(suspects.map(|(_, node)| node))
            .map(entry_about)
            .take(usize::from(u16::MAX))
            .collect()
    }

    /// What a known node tells of others. A stranger's gossip is not listened to.
    pub(super) fn hear_gossip(&mut self, sender: NodeKey, gossip: &Gossip<'_>) {
        for entry in &gossip.entries {
            match self.nodes.key_of(entry.node) {
                Some(key) => self.hear_of_known(sender, key, entry),
                None => self.hear_of_stranger(entry),
            }
        }
    }

    fn hear_of_known(&mut self, sender: NodeKey, key: NodeKey, entry: &GossipEntry) {
        let failing = NodeFlags::FAIL.with(NodeFlags::PFAIL);
        let is_failing_by_entry = entry.flags.any(failing);
        if key != self.myself {
            self.hear_report(sender, key, is_failing_by_entry);
        }
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        if !is_failing_by_entry
            && !node.is(failing)
            && node.ping_sent_ms == 0
            && node.fail_reports.is_empty()
        {
            let pong_ms = i64::from(entry.pong_received_s).saturating_mul(1000);
            if pong_ms > node.pong_received_ms && pong_ms <= now_ms.saturating_add(CLOCK_SKEW_MS) {
                node.pong_received_ms = pong_ms;
                self.is_view_stale = true;
            }
        }
        // It does not answer where we look for it, and somebody else finds it elsewhere.
        let address = address_in(entry);
        let moved = (node.address.ip, node.address.port, node.address.cport)
            != (address.ip, address.port, address.cport);
        if node.is(failing)
            && !is_failing_by_entry
            && !entry.flags.any(NodeFlags::NOADDR)
            && key != self.myself
            && moved
        {
            node.address = address;
            node.flags.clear(NodeFlags::NOADDR);
            self.hang_up(key);
            self.is_topology_stale = true;
            self.save_soon();
        }
    }

    /// A node of which a known one tells is one of us, unless it was forgotten a moment ago.
    fn hear_of_stranger(&mut self, entry: &GossipEntry) {
        let unusable = entry
            .flags
            .any(NodeFlags::NOADDR.with(NodeFlags::HANDSHAKE));
        let address = address_in(entry);
        if unusable
            || address.ip.is_empty()
            || address.cport == 0
            || self.blacklist.contains(entry.node, self.now_ms)
        {
            return;
        }
        let roles = NodeFlags::PRIMARY.with(NodeFlags::REPLICA);
        let flags = NodeFlags(entry.flags.0 & roles.0);
        let flags = if flags == NodeFlags::NONE {
            NodeFlags::PRIMARY
        } else {
            flags
        };
        tracing::info!(node = %entry.node, ip = %address.ip, port = address.port, "Node learned by gossip");
        self.nodes
            .insert(Node::new(entry.node, flags, address, self.now_ms));
        self.is_topology_stale = true;
        self.save_soon();
    }

    /// What a known sender's extensions say. One that sends none has no host name.
    pub(super) fn hear_extensions(&mut self, sender: NodeKey, gossip: &Gossip<'_>) {
        let mut hostname = "";
        for extension in &gossip.extensions {
            match extension {
                Extension::Hostname(name) => hostname = name,
                Extension::ForgottenNode { node, .. } => self.forget_as_told(*node),
                Extension::HumanName(_) | Extension::ShardId(_) | Extension::Unknown { .. } => {}
            }
        }
        if let Some(node) = self.nodes.get_mut(sender)
            && node.hostname != hostname
        {
            node.hostname = hostname.to_owned();
            self.is_topology_stale = true;
            self.save_soon();
        }
    }

    /// Another node was told to forget this one, and passes it on.
    fn forget_as_told(&mut self, id: NodeId) {
        let Some(key) = self.nodes.key_of(id) else {
            return;
        };
        if key != self.myself && key != self.my_primary() {
            self.blacklist.add(id, self.now_ms);
            self.remove_node(key);
        }
    }
}

fn entry_about(node: &Node) -> GossipEntry {
    let seconds = |ms: i64| u32::try_from(ms / 1000).unwrap_or(0);
    GossipEntry {
        node: node.id,
        ping_sent_s: seconds(node.ping_sent_ms),
        pong_received_s: seconds(node.pong_received_ms),
        ip: node.address.ip,
        port: node.address.port,
        cport: node.address.cport,
        flags: node.flags,
        other_port: node.address.other_port,
    }
}

fn address_in(entry: &GossipEntry) -> Address {
    Address {
        ip: entry.ip,
        port: entry.port,
        cport: entry.cport,
        other_port: entry.other_port,
    }
}
