//! Keyspace notifications: each event of a key on a channel of the key's, and on one of its own.
//!
//! They go to subscribers on this node alone, as in Redis: events happen where the key is.

use std::sync::{Arc, Weak};

use super::Server;
use crate::store::EventSink;

/// `K` of `notify-keyspace-events`: `__keyspace@0__:key` tells the event.
pub const BY_KEY: u32 = 1 << 11;

/// `E`: `__keyevent@0__:event` tells the key.
pub const BY_EVENT: u32 = 1 << 12;

/// The classes of events that somebody may hear of, by the value of `notify-keyspace-events`:
/// without one of the two channels, none.
#[must_use]
pub const fn classes(flags: u32) -> u32 {
    if flags & (BY_KEY | BY_EVENT) == 0 {
        0
    } else {
        flags
    }
}

/// Publishes events. Weak, because the server holds the store that holds this.
#[derive(Debug)]
pub struct Publisher(Weak<Server>);

impl Publisher {
    /// For this server.
    #[must_use]
    pub fn new(server: &Arc<Server>) -> Self {
        Self(Arc::downgrade(server))
    }
}

impl EventSink for Publisher {
    fn happened(&self, db: u16, event: &'static str, key: &[u8]) {
        let Some(server) = self.0.upgrade() else {
            return;
        };
        if server.pubsub.is_silent() {
            return;
        }
        let flags = server.store.settings().events();
        // How many hear it is told nobody.
        if flags & BY_KEY != 0 {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            let _receivers = server.publish_here(&channel, event.as_bytes());
        }
        if flags & BY_EVENT != 0 {
            let channel = format!("__keyevent@{db}__:{event}");
            let _receivers = server.publish_here(channel.as_bytes(), key);
        }
    }
}
