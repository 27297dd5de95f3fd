//! Replication: what this node is to others that have the same data.
//!
//! ```text
//! mod.rs    the role, the history that the data belongs to, and how far it is
//! role.rs   how the role changes
//! link.rs   how the link to the primary is, as INFO and ROLE tell it
//! id.rs     names of histories
//! apply/    runs the commands of a stream: a primary's, or an append-only file's
//! log/      all changes of the data as one sequence of commands
//! primary/  being a primary: replicas, and what they are sent
//! replica/  being a replica: the connection to the primary, and what comes through it
//! ```
//!
//! The data of a node belongs to a history, which has a name (the replication ID), and is as it was
//! at some byte of its stream of commands (the offset). A primary that has become one knows the
//! history from before as well, up to where it left it.
//!
//! What a replica applies is in the data bit by bit. Whoever needs data and offset to be of one
//! moment holds the stream still first ([`Replication::hold_still`]): before a turn for slots and
//! before the gate, never after.

pub mod apply;
mod id;
mod link;
pub mod log;
pub mod primary;
pub mod replica;
mod role;

use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use tokio::sync::Notify;

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

/// Where in its history data is: what a snapshot says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub replid: ReplId,
    /// How many bytes of its stream the data has.
    pub offset: i64,
    /// The database that the stream has selected there.
    pub db: u16,
}

/// The stream from the primary stands still until this is dropped.
#[derive(Debug)]
pub struct Still<'a> {
    _guard: MutexGuard<'a, ()>,
}

/// What a node knows of its replication.
#[derive(Debug)]
pub struct Replication {
    /// Whether there is a primary: what every command asks.
    is_replica: AtomicBool,
    primary: Mutex<Option<Address>>,
    /// How often the node was told whose replica it is.
    orders: AtomicU64,
    ordered: Notify,
    history: Mutex<History>,
    /// How much of the history the data has.
    offset: AtomicI64,
    /// The database that the primary's stream has selected there.
    db: AtomicU16,
    /// Whether the data is what the history has at the offset, so that the stream may go on there.
    is_sound: AtomicBool,
    /// Held while a part of the primary's stream is applied.
    still: Mutex<()>,
    /// Commands of the primary that have failed here.
    failures: AtomicU64,
    /// The link to the primary.
    pub link: Link,
    /// The replicas.
    pub as_primary: primary::Primary,
    /// Whether something is being loaded or applied.
    data_thread: replica::DataThread,
    on_role: OnceLock<RoleHook>,
}

/// Who is told when the node becomes a replica, or a primary.
struct RoleHook(Box<dyn Fn(bool) + Send + Sync>);

impl fmt::Debug for RoleHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoleHook")
    }
}

impl Replication {
    /// Of a node that starts with no data; as a replica, if it has a primary.
    #[must_use]
    pub fn new(primary: Option<Address>) -> Self {
        Self {
            is_replica: AtomicBool::new(primary.is_some()),
            primary: Mutex::new(primary),
            orders: AtomicU64::new(0),
            ordered: Notify::new(),
            history: Mutex::new(History {
                replid: ReplId::random(),
                previous: None,
            }),
            offset: AtomicI64::new(0),
            db: AtomicU16::new(0),
            is_sound: AtomicBool::new(true),
            still: Mutex::new(()),
            failures: AtomicU64::new(0),
            link: Link::default(),
            as_primary: primary::Primary::default(),
            data_thread: replica::DataThread::default(),
            on_role: OnceLock::new(),
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

    /// A primary no longer counts, and is here.
    fn set_offset(&self, offset: u64) {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.offset.store(offset, Ordering::Release);
    }

    /// Commands of the primary that have failed here.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// DEBUG CHANGE-REPL-ID: from here on the data has a history of its own.
    pub fn change_replid(&self) {
        self.history.lock().replid = ReplId::random();
    }

    /// Has the primary's stream stand still: data and offset are of one moment until this is dropped.
    /// None if that cannot be had at once and `waits` is not set, as it must not be at the gate.
    #[must_use]
    pub fn hold_still(&self, waits: bool) -> Option<Still<'_>> {
        let guard = if waits {
            Some(self.still.lock())
        } else {
            self.still.try_lock()
        };
        guard.map(|_guard| Still { _guard })
    }

    /// Where the data is in its history, if that is known of it: what a snapshot tells, so that the
    /// node can go on from there after a restart.
    #[must_use]
    pub fn position(&self, _still: &Still<'_>) -> Option<Position> {
        // A primary does not count what its data goes through.
        let is_counted = self.is_replica() && self.is_sound.load(Ordering::Acquire);
        is_counted.then(|| Position {
            replid: self.history().replid,
            offset: self.offset(),
            db: self.db.load(Ordering::Relaxed),
        })
    }

    /// The data was loaded from a snapshot that says this of itself. A replica goes on from there; a
    /// primary's data has a history of its own from there on.
    pub fn restore(&self, position: Position) {
        let mut history = self.history.lock();
        if self.is_replica() {
            history.replid = position.replid;
        } else {
            history.previous = Some((position.replid, position.offset.saturating_add(1)));
        }
        self.offset.store(position.offset, Ordering::Release);
        self.db.store(position.db, Ordering::Relaxed);
    }

    /// Calls `tell` whenever the node has become a replica, or a primary; and now.
    pub fn on_role(&self, tell: impl Fn(bool) + Send + Sync + 'static) {
        tell(self.is_replica());
        // There is one who wants to know: the log.
        let _first = self.on_role.set(RoleHook(Box::new(tell)));
    }

    // === What a replica does ===

    /// What was applied: so many bytes of the stream, after which this database is selected. They are
    /// this node's history as well, for replicas of its own.
    fn advance(&self, bytes: &[u8], db: u16, _still: &Still<'_>) {
        self.db.store(db, Ordering::Relaxed);
        self.offset.fetch_add(bytes.len() as i64, Ordering::AcqRel);
    }

    /// The data is the primary's, all of it, at this offset of its history.
    fn adopt(&self, replid: ReplId, offset: i64) {
        *self.history.lock() = History {
            replid,
            previous: None,
        };
        self.db.store(0, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Release);
        self.is_sound.store(true, Ordering::Release);
    }

    /// The history has a new name from the offset on.
    fn rename(&self, replid: ReplId) {
        let mut history = self.history.lock();
        let offset = self.offset().saturating_add(1);
        history.previous = Some((history.replid, offset));
        history.replid = replid;
    }

    /// The data is none that any history has: the stream cannot go on, and all data is to come anew.
    fn forsake(&self) {
        self.is_sound.store(false, Ordering::Release);
    }

    /// Where the stream may go on.
    fn resumption(&self) -> Option<(ReplId, i64)> {
        let is_sound = self.is_sound.load(Ordering::Acquire);
        is_sound.then(|| (self.history().replid, self.offset()))
    }

    /// How often the node was told whose replica it is: whoever works for an order of before stops.
    fn orders(&self) -> u64 {
        self.orders.load(Ordering::Acquire)
    }

    /// The database that the primary's stream has selected at the offset.
    fn db(&self) -> u16 {
        self.db.load(Ordering::Relaxed)
    }

    fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary() -> Option<Address> {
        Some(Address {
            host: "h".into(),
            port: 1,
        })
    }

    #[test]
    fn a_history_that_is_renamed_keeps_its_old_name_up_to_there() {
        let replication = Replication::new(primary());
        let (first, second) = (ReplId::random(), ReplId::random());
        replication.adopt(first, 10);
        let still = replication.hold_still(true).unwrap();
        replication.advance(b"12345", 3, &still);
        let position = Position {
            replid: first,
            offset: 15,
            db: 3,
        };
        assert_eq!(replication.position(&still), Some(position));
        replication.rename(second);
        let history = History {
            replid: second,
            previous: Some((first, 16)),
        };
        assert_eq!(replication.history(), history);
        assert_eq!(replication.resumption(), Some((second, 15)));
        replication.forsake();
        assert_eq!(replication.resumption(), None);
        assert_eq!(replication.position(&still), None);
        assert!(replication.hold_still(false).is_none());
    }

    #[test]
    fn a_snapshot_s_position_is_gone_on_from_or_left_behind() {
        let position = Position {
            replid: ReplId::random(),
            offset: 7,
            db: 2,
        };
        let replica = Replication::new(primary());
        replica.restore(position);
        assert_eq!(replica.resumption(), Some((position.replid, 7)));
        let primary = Replication::new(None);
        primary.restore(position);
        let history = primary.history();
        assert_ne!(history.replid, position.replid);
        assert_eq!(history.previous, Some((position.replid, 8)));
        assert_eq!(primary.offset(), 7);
    }
}
