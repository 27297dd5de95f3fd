//! What the core does with each message.

use super::action::Action;
use super::link::{Direction, LinkId};
use super::node::{Address, Node, NodeKey};
use super::publish::Post;
use super::state::Core;
use slotilla_common::bus::{Body, Gossip, Header, IpText, Kind, Message, MessageFlags, NodeFlags};
use slotilla_common::ids::NodeId;

impl Core {
    /// A whole frame came on a link. One that is no message is counted and dropped.
    pub fn on_frame(&mut self, link: LinkId, frame: &[u8], now_ms: i64) -> Vec<Action> {
        match Message::decode(frame) {
            Ok(message) => self.on_message(link, &message, now_ms),
            Err(error) => {
                tracing::debug!(%error, link = link.0, "Cluster bus message dropped");
                Vec::new()
            }
        }
    }

    /// A message came on a link.
    pub fn on_message(&mut self, id: LinkId, message: &Message<'_>, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        let Some(link) = self.links.get_mut(&id) else {
            return Vec::new();
        };
        link.received_ms = now_ms;
        self.stats.count_received(message.body.kind());
        let header = &message.header;
        let sender = self.known_sender(id, header);
        match &message.body {
            Body::Ping(gossip) => {
                self.hear_from_stranger(id, sender, message);
                self.hear_ping(id, sender, header, gossip, Kind::Ping);
            }
            Body::Meet(gossip) => {
                self.hear_from_stranger(id, sender, message);
                self.hear_ping(id, sender, header, gossip, Kind::Meet);
            }
            Body::Pong(gossip) => self.hear_ping(id, sender, header, gossip, Kind::Pong),
            Body::Fail(failing) if sender.is_some() => self.hear_failure(*failing),
            Body::Update {
                config_epoch,
                node,
                slots,
            } if sender.is_some() => self.hear_update(*node, *config_epoch, slots),
            // Votes are asked of a primary with slots; one that does not answer is counted as
            // one that refuses.
            Body::AuthRequest | Body::AuthAck | Body::MfStart => {}
            Body::Fail(_) | Body::Update { .. } => {}
            Body::Publish { channel, message } if sender.is_some() => {
                self.deliver(channel, message, false);
            }
            Body::PublishShard { channel, message } if sender.is_some() => {
                self.deliver(channel, message, true);
            }
            Body::Publish { .. } | Body::PublishShard { .. } => {}
            // We have no modules.
            Body::Module { .. } => {}
        }
        self.finish()
    }

    fn deliver(&mut self, channel: &[u8], message: &[u8], to_shard: bool) {
        self.out.push(Action::Deliver(Post {
            to_shard,
            channel: channel.into(),
            message: message.into(),
        }));
    }

    /// The node that the message names as its sender, if we know it, with what every message
    /// says of its sender brought up to date.
    fn known_sender(&mut self, id: LinkId, header: &Header) -> Option<NodeKey> {
        let key = self.nodes.key_of(header.sender)?;
        if key == self.myself {
            return None;
        }
        let now_ms = self.now_ms;
        let node = self.nodes.get_mut(key)?;
        if node.is(NodeFlags::HANDSHAKE) {
            return None;
        }
        node.data_received_ms = now_ms;
        node.offset = header.offset;
        node.knows_extensions |= header.message_flags.any(MessageFlags::EXT_DATA);
        let raised = header.config_epoch > node.config_epoch;
        if raised {
            node.config_epoch = header.config_epoch;
        }
        let newer = header.current_epoch > self.current_epoch;
        if newer {
            self.current_epoch = header.current_epoch;
        }
        if raised || newer {
            self.save_soon();
            self.is_topology_stale = true;
        }
        self.bind_inbound(id, key);
        Some(key)
    }

    /// PING and MEET are answered, whoever asks; MEET takes a stranger in.
    fn hear_from_stranger(&mut self, id: LinkId, sender: Option<NodeKey>, message: &Message<'_>) {
        let is_meet = message.body.kind() == Kind::Meet;
        self.learn_own_ip(id, is_meet);
        let is_self = message.header.sender == self.me().id;
        if is_meet && sender.is_none() && !is_self {
            let address = self.address_of(id, &message.header);
            self.start_handshake(address, NodeFlags::NONE);
        }
        self.send_ping(id, Kind::Pong);
    }

    /// Our own address is where a peer reached us: it knew it, and we do not.
    fn learn_own_ip(&mut self, id: LinkId, is_meet: bool) {
        let own = self.me().address.ip;
        if !self.options.announce_ip.is_empty() || !(is_meet || own.is_empty()) {
            return;
        }
        let local = self.links.get(&id).map(|link| link.local);
        let Some(local) = local.filter(|ip| !ip.is_empty() && *ip != own) else {
            return;
        };
        tracing::info!(ip = %local, "Own address learned");
        if let Some(me) = self.nodes.get_mut(self.myself) {
            me.address.ip = local;
        }
        self.is_topology_stale = true;
        self.save_soon();
    }

    /// Where the sender of a message is reached: where it says, else where it came from.
    fn address_of(&self, id: LinkId, header: &Header) -> Address {
        let peer = || self.links.get(&id).map_or(IpText::EMPTY, |link| link.peer);
        Address {
            ip: if header.ip.is_empty() {
                peer()
            } else {
                header.ip
            },
            port: header.port,
            cport: header.cport,
            other_port: header.other_port,
        }
    }

    /// Adds a node under a random name, to be met. False if one with that address is being met.
    pub(super) fn start_handshake(&mut self, address: Address, extra: NodeFlags) -> bool {
        let is_met = self.nodes.iter().any(|(_, node)| {
            node.is(NodeFlags::HANDSHAKE)
                && (node.address.ip, node.address.cport) == (address.ip, address.cport)
        });
        if is_met || address.ip.is_empty() || address.cport == 0 {
            return false;
        }
        let mut random = [0; NodeId::LEN / 2];
        self.rng.fill(&mut random);
        let flags = NodeFlags::HANDSHAKE.with(extra);
        let id = NodeId::from_random(random);
        self.nodes
            .insert(Node::new(id, flags, address, self.now_ms));
        self.is_topology_stale = true;
        true
    }

    /// What PING, PONG and MEET have in common.
    fn hear_ping(
        &mut self,
        id: LinkId,
        mut sender: Option<NodeKey>,
        header: &Header,
        gossip: &Gossip<'_>,
        kind: Kind,
    ) {
        let outbound = self.links.get(&id).and_then(|link| link.outbound_node());
        if let Some(key) = outbound {
            match self.identify(id, key, sender, header) {
                Identity::Itself => {}
                Identity::Learned => sender = self.known_sender(id, header),
                Identity::Another => return,
            }
        }
        if let Some(key) = sender {
            self.update_flags(key, header);
            if kind == Kind::Ping {
                self.update_address(id, key, header);
            }
        }
        if kind == Kind::Pong
            && let Some(key) = outbound
        {
            self.hear_pong(key);
        }
        let Some(key) = sender else {
            return;
        };
        self.update_role(key, header);
        self.compare_slots(key, header);
        self.hear_gossip(key, gossip);
        self.hear_extensions(key, gossip);
    }

    /// Whether who answers on a link that we dialled is who we dialled.
    fn identify(
        &mut self,
        id: LinkId,
        key: NodeKey,
        sender: Option<NodeKey>,
        header: &Header,
    ) -> Identity {
        let Some(node) = self.nodes.get(key) else {
            return Identity::Another;
        };
        if node.is(NodeFlags::HANDSHAKE) {
            let is_known = sender.is_some() || self.nodes.key_of(header.sender).is_some();
            if is_known {
                // Met twice, or met by its new address.
                if let Some(known) = sender {
                    self.update_address(id, known, header);
                }
                self.remove_node(key);
                return Identity::Another;
            }
            self.finish_handshake(key, header);
            return Identity::Learned;
        }
        if node.id == header.sender {
            return Identity::Itself;
        }
        // Another node has taken its place: where it is now is not known.
        tracing::warn!(expected = %node.id, found = %header.sender, "Another node answers");
        if let Some(node) = self.nodes.get_mut(key) {
            node.flags.set(NodeFlags::NOADDR);
            node.address = Address::NONE;
        }
        self.is_topology_stale = true;
        self.close(id);
        self.save_soon();
        Identity::Another
    }

    fn finish_handshake(&mut self, key: NodeKey, header: &Header) {
        self.nodes.rename(key, header.sender);
        let now_ms = self.now_ms;
        if let Some(node) = self.nodes.get_mut(key) {
            let roles = NodeFlags::PRIMARY.with(NodeFlags::REPLICA);
            node.flags.clear(NodeFlags::HANDSHAKE.with(NodeFlags::MEET));
            node.flags.set(NodeFlags(header.flags.0 & roles.0));
            node.data_received_ms = now_ms;
            tracing::info!(node = %node.id, ip = %node.address.ip, port = node.address.port, "Node met");
        }
        self.blacklist.remove(header.sender);
        self.is_topology_stale = true;
        self.save_soon();
    }

    fn update_flags(&mut self, key: NodeKey, header: &Header) {
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        let told = NodeFlags(header.flags.0 & NodeFlags::NOFAILOVER.0);
        let flags = node.flags.without(NodeFlags::NOFAILOVER).with(told);
        if flags != node.flags {
            node.flags = flags;
            self.is_view_stale = true;
        }
    }

    /// A node that pings from, or announces, another address than we know has moved.
    fn update_address(&mut self, id: LinkId, key: NodeKey, header: &Header) {
        let is_inbound = self
            .links
            .get(&id)
            .is_some_and(|link| matches!(link.direction, Direction::Inbound(_)));
        let is_other_link = self
            .nodes
            .get(key)
            .is_some_and(|node| node.link != Some(id));
        if !(is_inbound || is_other_link) {
            return;
        }
        let address = self.address_of(id, header);
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        if node.address == address || address.ip.is_empty() {
            return;
        }
        tracing::info!(node = %node.id, ip = %address.ip, port = address.port, "Address changed");
        node.address = address;
        node.flags.clear(NodeFlags::NOADDR);
        self.hang_up(key);
        self.is_topology_stale = true;
        self.save_soon();
    }

    fn hear_pong(&mut self, key: NodeKey) {
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        node.pong_received_ms = now_ms;
        node.ping_sent_ms = 0;
        self.is_view_stale = true;
        self.clear_failure(key);
    }

    /// A node that has become a replica, or a primary, or follows another.
    fn update_role(&mut self, key: NodeKey, header: &Header) {
        let Some(node) = self.nodes.get(key) else {
            return;
        };
        let (is_primary, primary) = (node.is_primary(), node.primary);
        match header.replica_of {
            None if !is_primary => self.become_primary(key),
            None => {}
            Some(_) if is_primary => {
                // Its slots are its primary's now, who will say so; until then they are nobody's.
                self.strip(key);
                self.become_replica(key, header.replica_of);
            }
            Some(_) if primary != header.replica_of => {
                self.become_replica(key, header.replica_of);
            }
            Some(_) => {}
        }
    }

    fn become_replica(&mut self, key: NodeKey, primary: Option<NodeId>) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.flags
                .clear(NodeFlags::PRIMARY.with(NodeFlags::MIGRATE_TO));
            node.flags.set(NodeFlags::REPLICA);
            node.primary = primary;
        }
        self.slots.touch();
        self.is_topology_stale = true;
        self.save_soon();
    }

    /// What the sender, or its primary, says it owns, against what we think.
    fn compare_slots(&mut self, key: NodeKey, header: &Header) {
        let Some(sender) = self.nodes.get(key) else {
            return;
        };
        let is_primary = sender.is_primary();
        let claimant = if is_primary {
            Some(key)
        } else {
            sender.primary.and_then(|id| self.nodes.key_of(id))
        };
        let differs = claimant
            .and_then(|key| self.nodes.get(key))
            .is_some_and(|node| !node.has_exactly(&header.slots));
        if differs {
            if is_primary {
                self.hear_claims(key, header.config_epoch, &header.slots);
            }
            self.correct_claims(key, header.config_epoch, &header.slots);
        }
        if is_primary {
            self.resolve_collision(key, header.config_epoch);
        }
    }
}

/// Who answers on a link that we dialled.
enum Identity {
    /// Who we dialled.
    Itself,
    /// Who we met; we know its name now.
    Learned,
    /// Somebody else: the link, or the node, is gone, and the message with it.
    Another,
}
