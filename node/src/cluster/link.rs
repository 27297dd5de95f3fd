//! Links: the two connections between each pair of nodes, of which each side dials one.
//!
//! On the link that we dialled go our PINGs and come their PONGs; what a peer sends on the link
//! that it dialled is answered there. Everything else leaves on the link that we dialled.

use super::action::{Action, LinkEvent};
use super::node::NodeKey;
use super::state::Core;
use bytes::Bytes;
use slotilla_common::bus::{Body, IpText, Kind, Message, NodeFlags};

/// Names a link between the core and its shell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Who dialled a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Outbound(NodeKey),
    /// The node is known once it has sent a message under a name that we know.
    Inbound(Option<NodeKey>),
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) direction: Direction,
    pub(super) created_ms: i64,
    /// When a message last came on it.
    pub(super) received_ms: i64,
    pub(super) is_connected: bool,
    /// The other end's address, where it is known.
    pub(super) peer: IpText,
    /// Our end's address.
    pub(super) local: IpText,
}

impl Link {
    /// The node at the other end of a link that we dialled.
    pub(super) fn outbound_node(&self) -> Option<NodeKey> {
        match self.direction {
            Direction::Outbound(key) => Some(key),
            Direction::Inbound(_) => None,
        }
    }
}

/// A peer pings each of its links at least every half timeout. An inbound link that has been
/// silent for this many timeouts is dead or was never a node's.
const SILENT_TIMEOUTS: i64 = 4;
const SILENT_MS_MIN: i64 = 60_000;

impl Core {
    /// A peer has dialled us.
    pub fn accept(&mut self, peer: IpText, local: IpText, now_ms: i64) -> LinkId {
        let id = self.next_link();
        let link = Link {
            direction: Direction::Inbound(None),
            created_ms: now_ms,
            received_ms: now_ms,
            is_connected: true,
            peer,
            local,
        };
        self.links.insert(id, link);
        id
    }

    /// Whether a link is known to be a node's, so that it may send long messages.
    #[must_use]
    pub fn is_known(&self, link: LinkId) -> bool {
        let key = self.links.get(&link).and_then(|link| match link.direction {
            Direction::Outbound(key) => Some(key),
            Direction::Inbound(key) => key,
        });
        key.and_then(|key| self.nodes.get(key))
            .is_some_and(|node| !node.is(NodeFlags::HANDSHAKE))
    }

    /// Something happened to a link.
    pub fn on_link_event(&mut self, link: LinkId, event: LinkEvent, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        match event {
            LinkEvent::Connected { local } => self.on_connected(link, local),
            LinkEvent::Closed => self.on_closed(link),
            LinkEvent::Overflowed => {
                self.stats.links_overflowed = self.stats.links_overflowed.saturating_add(1);
                self.on_closed(link);
            }
        }
        self.finish()
    }

    fn on_connected(&mut self, id: LinkId, local: IpText) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.is_connected = true;
        link.local = local;
        let Some(key) = link.outbound_node() else {
            return;
        };
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        let ping_sent_ms = node.ping_sent_ms;
        // MEET is kept until the PONG: a connection that breaks in between must not leave a
        // node that was never met.
        let kind = if node.is(NodeFlags::MEET) {
            Kind::Meet
        } else {
            Kind::Ping
        };
        self.send_ping(id, kind);
        // Reconnecting does not make a node look alive: the old question stays unanswered.
        if let Some(node) = self.nodes.get_mut(key)
            && ping_sent_ms != 0
        {
            node.ping_sent_ms = ping_sent_ms;
        }
        self.is_view_stale = true;
    }

    fn on_closed(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        self.detach(id, &link);
        // A node that cannot be dialled has not answered either.
        if let Some(node) = link.outbound_node().and_then(|key| self.nodes.get_mut(key))
            && node.ping_sent_ms == 0
        {
            node.ping_sent_ms = self.now_ms;
        }
    }

    fn detach(&mut self, id: LinkId, link: &Link) {
        self.is_view_stale = true;
        match link.direction {
            Direction::Outbound(key) => {
                if let Some(node) = self.nodes.get_mut(key) {
                    node.link = node.link.filter(|link| *link != id);
                }
            }
            Direction::Inbound(Some(key)) => {
                if let Some(node) = self.nodes.get_mut(key) {
                    node.inbound = node.inbound.filter(|link| *link != id);
                }
            }
            Direction::Inbound(None) => {}
        }
    }

    /// Closes a link by our own will.
    pub(super) fn close(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(&id) {
            self.detach(id, &link);
            self.out.push(Action::Close { link: id });
        }
    }

    /// Closes the link that we dialled to a node; the next tick dials again.
    pub(super) fn hang_up(&mut self, key: NodeKey) {
        if let Some(link) = self.nodes.get(key).and_then(|node| node.link) {
            self.close(link);
        }
    }

    pub(super) fn dial(&mut self, key: NodeKey) {
        let id = self.next_link();
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        node.link = Some(id);
        let address = node.address;
        let link = Link {
            direction: Direction::Outbound(key),
            created_ms: self.now_ms,
            received_ms: self.now_ms,
            is_connected: false,
            peer: address.ip,
            local: IpText::EMPTY,
        };
        self.links.insert(id, link);
        self.out.push(Action::Dial {
            link: id,
            ip: address.ip,
            cport: address.cport,
        });
    }

    /// Notes that a message of a known node came on a link that it dialled.
    pub(super) fn bind_inbound(&mut self, id: LinkId, key: NodeKey) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.direction != Direction::Inbound(None) {
            return;
        }
        link.direction = Direction::Inbound(Some(key));
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        let old = node.inbound.replace(id);
        self.is_view_stale = true;
        // The peer has dialled anew, so nothing comes on the old one any more.
        if let Some(old) = old.filter(|old| *old != id) {
            self.links.remove(&old);
            self.out.push(Action::Close { link: old });
        }
    }

    pub(super) fn close_silent_links(&mut self) {
        let silent_ms = self
            .options
            .node_timeout_ms
            .saturating_mul(SILENT_TIMEOUTS)
            .max(SILENT_MS_MIN);
        let now_ms = self.now_ms;
        let silent: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| {
                link.outbound_node().is_none()
                    && now_ms.saturating_sub(link.received_ms) > silent_ms
            })
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            self.close(id);
        }
    }

    /// Sends a message on a link, if it is up.
    pub(super) fn send(&mut self, id: LinkId, body: Body<'_>) {
        let kind = body.kind();
        let message = Message {
            header: self.header(&body),
            body,
        };
        match message.encode() {
            Ok(frame) => self.send_frame(id, kind, Bytes::from(frame)),
            Err(error) => tracing::warn!(kind = kind.name(), %error, "message not sent"),
        }
    }

    pub(super) fn is_connected(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.is_connected)
    }

    fn send_frame(&mut self, id: LinkId, kind: Kind, frame: Bytes) {
        if self.is_connected(id) {
            self.stats.count_sent(kind);
            self.out.push(Action::Send { link: id, frame });
        }
    }

    /// Sends a message to every node that is reached.
    pub(super) fn broadcast(&mut self, body: Body<'_>) {
        let kind = body.kind();
        let header = self.header(&body);
        let Ok(frame) = (Message { header, body }).encode() else {
            return;
        };
        let frame = Bytes::from(frame);
        for link in self.links_of_known_nodes() {
            self.send_frame(link, kind, frame.clone());
        }
    }

    /// The links that we dialled to nodes of which we know who they are.
    pub(super) fn links_of_known_nodes(&self) -> Vec<LinkId> {
        let strangers = NodeFlags::MYSELF.with(NodeFlags::HANDSHAKE);
        self.nodes
            .iter()
            .filter(|(_, node)| !node.is(strangers))
            .filter_map(|(_, node)| node.link)
            .collect()
    }

    fn next_link(&mut self) -> LinkId {
        self.last_link = self.last_link.wrapping_add(1);
        LinkId(self.last_link)
    }
}
