//! Messages of channels: to every node, or to the nodes of this node's shard.
//!
//! A message may be lost on its way, as PUBLISH promises no more; what waits for a link that is
//! slow to take messages never costs the link, or a flood of them would look like a failure.

use super::action::Action;
use super::link::LinkId;
use super::state::Core;
use bytes::Bytes;
use slotilla_common::bus::{Body, Message, NodeFlags};

/// A message on a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// For the nodes of this shard alone.
    pub to_shard: bool,
    /// The channel.
    pub channel: Box<[u8]>,
    /// The message.
    pub message: Box<[u8]>,
}

impl Post {
    fn body(&self) -> Body<'_> {
        let (channel, message) = (&*self.channel, &*self.message);
        if self.to_shard {
            Body::PublishShard { channel, message }
        } else {
            Body::Publish { channel, message }
        }
    }

    /// What it takes while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.channel.len() + self.message.len()
    }
}

impl Core {
    /// A client of this node has published.
    pub fn publish(&mut self, post: &Post, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        let links = if post.to_shard {
            self.links_of_my_shard()
        } else {
            self.links_of_known_nodes()
        };
        if !links.is_empty() {
            self.relay(&links, post.body());
        }
        self.finish()
    }

    fn relay(&mut self, links: &[LinkId], body: Body<'_>) {
        let kind = body.kind();
        let header = self.header(&body);
        let Ok(frame) = (Message { header, body }).encode() else {
            return;
        };
        let frame = Bytes::from(frame);
        for link in links {
            if self.is_connected(*link) {
                self.stats.count_sent(kind);
                self.out.push(Action::Relay {
                    link: *link,
                    frame: frame.clone(),
                });
            }
        }
    }

    /// The links that we dialled to our primary and its replicas.
    fn links_of_my_shard(&self) -> Vec<LinkId> {
        let primary = self.my_primary();
        let primary_id = self.nodes.get(primary).map(|node| node.id);
        let strangers = NodeFlags::MYSELF.with(NodeFlags::HANDSHAKE);
        self.nodes
            .iter()
            .filter(|(key, node)| {
                !node.is(strangers)
                    && (*key == primary || (!node.is_primary() && node.primary == primary_id))
            })
            .filter_map(|(_, node)| node.link)
            .collect()
    }
}
