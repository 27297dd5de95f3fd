//! What one client listens to.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Name, Topic};
use crate::server::client::{Client, flag};

/// One client's subscriptions, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: Names,
    patterns: Names,
    shard_channels: Names,
}

#[derive(Debug, Default)]
struct Names {
    /// With the number of each, ascending in time.
    numbers: HashMap<Name, u64>,
    next: u64,
}

/// How many subscriptions of each sort a client has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels.
    pub channels: usize,
    /// Patterns.
    pub patterns: usize,
    /// Shard channels.
    pub shard_channels: usize,
}

impl Counts {
    /// What answers about a topic tell: channels and patterns together, or shard channels.
    #[must_use]
    pub const fn told(self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => self.channels + self.patterns,
            Topic::ShardChannel => self.shard_channels,
        }
    }

    const fn is_none(self) -> bool {
        self.channels + self.patterns + self.shard_channels == 0
    }
}

impl Subscriptions {
    fn names(&mut self, topic: Topic) -> &mut Names {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            channels: self.channels.numbers.len(),
            patterns: self.patterns.numbers.len(),
            shard_channels: self.shard_channels.numbers.len(),
        }
    }
}

impl Client {
    /// How many subscriptions it has.
    pub fn subscription_counts(&self) -> Counts {
        let place = self.subscribed.lock();
        place.as_ref().map_or_else(Counts::default, |s| s.counts())
    }

    /// The names, in the order in which they were subscribed to.
    pub fn subscriptions(&self, topic: Topic) -> Vec<Name> {
        let mut place = self.subscribed.lock();
        let Some(subscriptions) = place.as_mut() else {
            return Vec::new();
        };
        let numbers = &subscriptions.names(topic).numbers;
        let mut names: Vec<(u64, Name)> = numbers
            .iter()
            .map(|(name, number)| (*number, Arc::clone(name)))
            .collect();
        names.sort_unstable_by_key(|(number, _)| *number);
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Notes a subscription. Gives the name to share, unless there was one.
    pub(super) fn add_subscription(&self, topic: Topic, name: &[u8]) -> (Option<Name>, Counts) {
        let mut place = self.subscribed.lock();
        let subscriptions = place.get_or_insert_default();
        let names = subscriptions.names(topic);
        let mut added = None;
        if !names.numbers.contains_key(name) {
            let name: Name = name.into();
            names.numbers.insert(Arc::clone(&name), names.next);
            names.next += 1;
            added = Some(name);
        }
        self.set(flag::PUBSUB, true);
        (added, subscriptions.counts())
    }

    /// Notes the end of a subscription; whether there was one. Asked by the client's own worker and
    /// by whoever takes its slot away: the one that hears yes tells the client.
    pub(super) fn remove_subscription(&self, topic: Topic, name: &[u8]) -> (bool, Counts) {
        let mut place = self.subscribed.lock();
        let Some(subscriptions) = place.as_mut() else {
            return (false, Counts::default());
        };
        let removed = subscriptions.names(topic).numbers.remove(name).is_some();
        let counts = subscriptions.counts();
        if counts.is_none() {
            *place = None;
            self.set(flag::PUBSUB, false);
        }
        (removed, counts)
    }
}
