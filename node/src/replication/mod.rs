//! Replication: what this node is to others that have the same data.
//!
//! ```text
//! mod.rs   the role, the history that the data belongs to, and how far it is
//! link.rs  how the link to the primary is, as INFO and ROLE tell it
//! id.rs    names of histories
//! apply/   runs the commands of a stream: a primary's, or an append-only file's
//! ```
//!
//! The data of a node belongs to a history, which has a name (the replication ID), and is as it was
//! at some byte of its stream of commands (the offset). A primary that has become one knows the
//! history from before as well, up to where it left it.

pub mod apply;
mod id;
mod link;

use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

pub use id::ReplId;
pub use link::{Link, LinkState, Transfer};

/// A primary's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address.
    pub host: String,
    /// Its port for clients.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Which history the data belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Its name.
    pub replid: ReplId,
    /// The one from before, and the first offset that this node's data does not share with it.
    pub previous: Option<(ReplId, i64)>,
}

/// What a node knows of its replication.
#[derive(Debug)]
pub struct Replication {
    /// Whether there is a primary: what every command asks.
    is_replica: AtomicBool,
    primary: Mutex<Option<Address>>,
    history: Mutex<History>,
    /// How much of the history the data has.
    offset: AtomicI64,
    /// The link to the primary.
    pub link: Link,
}

impl Replication {
    /// Of a node that starts with no data.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_replica: AtomicBool::new(false),
            primary: Mutex::new(None),
            history: Mutex::new(History {
                replid: ReplId::random(),
                previous: None,
            }),
            offset: AtomicI64::new(0),
            link: Link::default(),
        }
    }

    /// Whether this node has a primary, be it connected or not.
    #[must_use]
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.is_replica.load(Ordering::Relaxed)
    }

    /// What clients are told that this is.
    #[must_use]
    pub fn role_name(&self) -> &'static str {
        if self.is_replica() { "slave" } else { "master" }
    }

    /// Whose replica this is.
    #[must_use]
    pub fn primary(&self) -> Option<Address> {
        self.primary.lock().clone()
    }

    /// The history that the data belongs to.
    #[must_use]
    pub fn history(&self) -> History {
        *self.history.lock()
    }

    /// How many bytes of the history's stream the data has.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Acquire)
    }

    /// DEBUG CHANGE-REPL-ID: from here on the data has a history of its own.
    pub fn change_replid(&self) {
        self.history.lock().replid = ReplId::random();
    }
}

impl Default for Replication {
    fn default() -> Self {
        Self::new()
    }
}
