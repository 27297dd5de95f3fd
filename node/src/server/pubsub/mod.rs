//! Pub/Sub: who listens to what on this node, and how a message reaches them.
//!
//! ```text
//! PUBLISH, on any thread ── Hub ── the mail of each subscriber's Client ── its own worker
//! ```
//!
//! A subscription stands twice: here, by channel, and in the subscriber's [`Client`], by client.
//! Channels are spread over tables under locks of their own, which nothing but Pub/Sub takes.
//! Whoever publishes holds the channel's table until the message is in every subscriber's mail, so
//! all of them see the messages of a channel in one order. Locks are taken in this order: slots, a
//! channel's table, the patterns, one client's mail; a client's own list is taken alone.
//!
//! A shard channel belongs to a slot: one subscribes with the slot locked, and when the slot
//! leaves this node its subscribers are told and forgotten.

mod frame;
mod subscriptions;
mod table;

use parking_lot::RwLock;
use slotilla_common::glob;
use slotilla_common::slot::Slot;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::{Client, flag};
use crate::config::OutputLimit;
use frame::Frame;
pub use subscriptions::{Counts, Subscriptions};
use table::{Subscribers, Table};

/// A channel's or pattern's name, shared by all places that have it.
pub type Name = Arc<[u8]>;

/// What a client subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A channel of the whole cluster.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A channel of one slot.
    ShardChannel,
}

impl Topic {
    const fn verbs(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("subscribe", "unsubscribe"),
            Self::Pattern => ("psubscribe", "punsubscribe"),
            Self::ShardChannel => ("ssubscribe", "sunsubscribe"),
        }
    }

    /// What the answer to a new subscription begins with.
    #[must_use]
    pub const fn subscribed(self) -> &'static str {
        self.verbs().0
    }

    /// What the answer to the end of a subscription begins with.
    #[must_use]
    pub const fn unsubscribed(self) -> &'static str {
        self.verbs().1
    }
}

/// All subscriptions of one node.
#[derive(Debug)]
pub struct Hub {
    channels: Table,
    shard_channels: Table,
    patterns: RwLock<HashMap<Name, Subscribers>>,
    /// How many patterns there are: all that a message looks at while there is none.
    pattern_count: AtomicUsize,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            channels: Table::new(),
            shard_channels: Table::new(),
            patterns: RwLock::default(),
            pattern_count: AtomicUsize::new(0),
        }
    }
}

impl Hub {
    /// Subscribes a client, unless it has been; how many subscriptions of that sort it has then.
    /// For a shard channel its slot must be locked.
    pub fn subscribe(&self, client: &Arc<Client>, topic: Topic, name: &[u8]) -> usize {
        let (added, counts) = client.add_subscription(topic, name);
        if let Some(name) = added {
            match topic {
                Topic::Channel => self.channels.add(name, client),
                Topic::ShardChannel => self.shard_channels.add(name, client),
                Topic::Pattern => self.add_pattern(name, client),
            }
        }
        counts.told(topic)
    }

    /// Ends a subscription, if there is one; how many of that sort the client has then. No message
    /// comes to its mail after this.
    pub fn unsubscribe(&self, client: &Client, topic: Topic, name: &[u8]) -> usize {
        let (removed, counts) = client.remove_subscription(topic, name);
        if removed {
            self.remove(client, topic, name);
        }
        counts.told(topic)
    }

    /// Ends all subscriptions of a client.
    pub fn forget(&self, client: &Client) {
        if !client.has(flag::PUBSUB) {
            return;
        }
        for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
            for name in client.subscriptions(topic) {
                self.unsubscribe(client, topic, &name);
            }
        }
    }

    fn remove(&self, client: &Client, topic: Topic, name: &[u8]) {
        match topic {
            Topic::Channel => self.channels.remove(name, client),
            Topic::ShardChannel => self.shard_channels.remove(name, client),
            Topic::Pattern => self.remove_pattern(name, client),
        }
    }

    fn add_pattern(&self, name: Name, client: &Arc<Client>) {
        let mut patterns = self.patterns.write();
        patterns
            .entry(name)
            .or_default()
            .insert(client.id, Arc::clone(client));
        self.pattern_count.store(patterns.len(), Ordering::Release);
    }

    fn remove_pattern(&self, name: &[u8], client: &Client) {
        let mut patterns = self.patterns.write();
        if let Some(subscribers) = patterns.get_mut(name) {
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                patterns.remove(name);
            }
        }
        self.pattern_count.store(patterns.len(), Ordering::Release);
    }

    /// Sends a message to all subscribers of a channel on this node, and to those of patterns that
    /// match it; how many it was sent to. A subscriber that leaves more unread than `limit` is
    /// closed.
    pub fn publish(&self, channel: &[u8], message: &[u8], limit: OutputLimit) -> usize {
        if self.is_silent() {
            return 0;
        }
        let words: [&[u8]; 3] = [b"message", channel, message];
        let frame = Frame::new(&words);
        self.channels.with(channel, |subscribers| {
            let direct = subscribers.map_or(0, |them| send(&frame, them, limit));
            direct + self.publish_to_patterns(channel, message, limit)
        })
    }

    fn publish_to_patterns(&self, channel: &[u8], message: &[u8], limit: OutputLimit) -> usize {
        if self.patterns() == 0 {
            return 0;
        }
        let patterns = self.patterns.read();
        let matching = patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel));
        let sent = matching.map(|(pattern, subscribers)| {
            let words: [&[u8]; 4] = [b"pmessage", pattern, channel, message];
            let frame = Frame::new(&words);
            send(&frame, subscribers, limit)
        });
        sent.sum()
    }

    /// As [`publish`](Self::publish), to a shard channel.
    pub fn publish_to_shard(&self, channel: &[u8], message: &[u8], limit: OutputLimit) -> usize {
        if self.shard_channels.len() == 0 {
            return 0;
        }
        let words: [&[u8]; 3] = [b"smessage", channel, message];
        let frame = Frame::new(&words);
        self.shard_channels.with(channel, |subscribers| {
            subscribers.map_or(0, |them| send(&frame, them, limit))
        })
    }

    /// Tells the subscribers of a slot's channels that it is another node's, and forgets them. Must
    /// be called once the slot's state says so.
    pub fn leave_slot(&self, slot: Slot, limit: OutputLimit) {
        let topic = Topic::ShardChannel;
        for (channel, subscribers) in self.shard_channels.take_slot(slot) {
            for client in subscribers.values() {
                let (removed, counts) = client.remove_subscription(topic, &channel);
                if removed {
                    let left = counts.told(topic);
                    let push = frame::unsubscribed(topic, &channel, left, client.protocol());
                    client.post(push, limit);
                }
            }
        }
    }

    /// Whether nobody listens to anything but shard channels.
    #[must_use]
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.channels.len() == 0 && self.patterns() == 0
    }

    /// How many patterns have subscribers.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.pattern_count.load(Ordering::Acquire)
    }

    /// How many channels, or shard channels, have subscribers.
    #[must_use]
    pub fn channels(&self, topic: Topic) -> usize {
        self.table(topic).len()
    }

    /// The channels, or shard channels, that have subscribers and match `pattern`.
    #[must_use]
    pub fn names(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Name> {
        let fits = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        self.table(topic).names(fits)
    }

    /// How many subscribers a channel, or shard channel, has; those of patterns are not counted.
    #[must_use]
    pub fn subscribers(&self, topic: Topic, channel: &[u8]) -> usize {
        let table = self.table(topic);
        table.with(channel, |them| them.map_or(0, HashMap::len))
    }

    fn table(&self, topic: Topic) -> &Table {
        if topic == Topic::ShardChannel {
            &self.shard_channels
        } else {
            &self.channels
        }
    }
}

fn send(frame: &Frame<'_>, subscribers: &Subscribers, limit: OutputLimit) -> usize {
    for client in subscribers.values() {
        client.post(frame.bytes(client.protocol()), limit);
    }
    subscribers.len()
}

#[cfg(test)]
mod tests;
