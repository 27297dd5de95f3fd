//! Replication: what this node is to others that have the same data.
//!
//! ```text
//! mod.rs    the role, the history that the data belongs to, and how far it is
//! role.rs   how the role changes
//! link.rs   how the link to the primary is, as INFO and ROLE tell it
//! id.rs     names of histories
//! failover.rs  a primary gives its role to a replica: FAILOVER
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
//! Whoever makes the history, its last bytes are kept in one log: a primary's own changes, or what a
//! replica has applied, byte by byte. So a replica has replicas of its own, and when it becomes a
//! primary those of the old one go on with it.
//!
//! What a replica applies is in the data bit by bit. Whoever needs data and offset to be of one
//! moment holds the stream still first ([`Replication::hold_still`]): before a turn for slots and
//! before the gate, never after.

pub mod apply;
pub mod failover;
mod id;
mod link;
pub mod log;
pub mod primary;
pub mod replica;
mod role;

use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

use log::{Follower, Log};

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

impl Address {
    /// Reads what [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
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
    /// Held while it is told to a replica together with a place in the log.
    history: Mutex<History>,
    /// The history's stream.
    log: Arc<Log>,
    /// How much of the history the data has: counted while another server makes it.
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
    /// FAILOVER.
    pub failover: failover::Failover,
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
    /// Of a node that starts with no data; as a replica, if it has a primary. The log is that of the
    /// history.
    #[must_use]
    pub fn new(primary: Option<Address>, log: Arc<Log>) -> Self {
        Self {
            is_replica: AtomicBool::new(primary.is_some()),
            primary: Mutex::new(primary),
            orders: AtomicU64::new(0),
            ordered: Notify::new(),
            history: Mutex::new(History {
                replid: ReplId::random(),
                previous: None,
            }),
            log,
            offset: AtomicI64::new(0),
            db: AtomicU16::new(0),
            is_sound: AtomicBool::new(true),
            still: Mutex::new(()),
            failures: AtomicU64::new(0),
            link: Link::default(),
            failover: failover::Failover::default(),
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
        if self.is_replica() || !self.as_primary.follows() {
            return self.offset.load(Ordering::Acquire);
        }
        i64::try_from(self.log.end()).unwrap_or(i64::MAX)
    }

    /// Commands of the primary that have failed here.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// DEBUG CHANGE-REPL-ID: from here on the data has a history of its own.
    pub fn change_replid(&self) {
        *self.history.lock() = History {
            replid: ReplId::random(),
            previous: None,
        };
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
        // A primary that nobody follows does not count what its data goes through.
        let is_counted = self.is_replica() || self.as_primary.follows();
        let is_known = is_counted && self.is_sound.load(Ordering::Acquire);
        is_known.then(|| Position {
            replid: self.history().replid,
            offset: self.offset(),
            db: self.db(),
        })
    }

    /// The data was loaded from a snapshot that says this of itself. A replica goes on from there; a
    /// primary's data has a history of its own from there on, which begins where that one ends: of its
    /// stream so many bytes are kept for replicas. Before there are clients.
    pub fn restore(&self, position: Position, backlog_bytes: u64) {
        let mut history = self.history.lock();
        self.offset.store(position.offset, Ordering::Release);
        if self.is_replica() {
            history.replid = position.replid;
            self.db.store(position.db, Ordering::Relaxed);
            return;
        }
        history.previous = Some((position.replid, position.offset.saturating_add(1)));
        self.keep_from(position.offset, backlog_bytes);
        self.log.set_follower(Follower::Replicas, true);
        self.begin_own_stream(position.db);
    }

    /// The stream is kept from this offset on, so many bytes of it.
    fn keep_from(&self, offset: i64, backlog_bytes: u64) {
        self.log.adopt(u64::try_from(offset).unwrap_or_default());
        self.log.keep(backlog_bytes);
        self.as_primary.begin_following();
    }

    /// What follows is this node's own stream. `db` is selected in it so far.
    fn begin_own_stream(&self, db: u16) {
        if self.as_primary.follows() {
            self.log.note_selected(db);
        }
    }

    /// Whether the data is whole, and what its history has: a replica's is while its primary's stream
    /// comes in.
    fn can_be_copied(&self) -> bool {
        let is_sound = self.is_sound.load(Ordering::Acquire);
        is_sound && (!self.is_replica() || self.link.is_up())
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
        if self.as_primary.follows() {
            self.log.feed(bytes);
        }
        self.db.store(db, Ordering::Relaxed);
        self.offset.fetch_add(bytes.len() as i64, Ordering::AcqRel);
    }

    /// The data is the primary's, all of it, at this position of its history. Replicas of this node
    /// have data of another: they begin anew.
    fn adopt(&self, position: Position, backlog_bytes: u64) {
        let mut history = self.history.lock();
        *history = History {
            replid: position.replid,
            previous: None,
        };
        self.db.store(position.db, Ordering::Relaxed);
        self.offset.store(position.offset, Ordering::Release);
        self.keep_from(position.offset, backlog_bytes);
        self.is_sound.store(true, Ordering::Release);
        drop(history);
        // What replicas have had is none of this.
        self.as_primary.confirm.begin_era(false);
        self.as_primary.let_replicas_go();
    }

    /// The primary goes on where this node is, by the name of the history that it gives. Replicas of
    /// this node are to hear of a new one, and ask again.
    fn resume(&self, renamed: Option<ReplId>, backlog_bytes: u64) {
        if !self.as_primary.follows() {
            self.keep_from(self.offset(), backlog_bytes);
        }
        if let Some(replid) = renamed {
            self.rename(replid);
            self.as_primary.let_replicas_go();
        }
    }

    /// The data is that of no history but this new one.
    fn begin_anew(&self, replid: ReplId) {
        let mut history = self.history.lock();
        *history = History {
            replid,
            previous: None,
        };
        self.db.store(0, Ordering::Relaxed);
    }

    /// The stream so far leads to no data that there is: nobody goes on in it. Who reads it reads no
    /// more.
    fn drop_stream(&self) {
        if self.as_primary.follows() {
            self.log.adopt(self.log.end());
        }
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

    /// The database that the stream has selected at the offset. While it stands still.
    fn db(&self) -> u16 {
        if self.is_replica() || !self.as_primary.follows() {
            return self.db.load(Ordering::Relaxed);
        }
        self.log.selected_db()
    }

    fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backlog's size.
    const KEPT: u64 = 1000;

    fn primary() -> Option<Address> {
        Some(Address {
            host: "h".into(),
            port: 1,
        })
    }

    fn replication(primary: Option<Address>) -> Replication {
        Replication::new(primary, Arc::default())
    }

    #[test]
    fn a_history_that_is_renamed_keeps_its_old_name_up_to_there() {
        let replication = replication(primary());
        let (first, second) = (ReplId::random(), ReplId::random());
        let begun = Position {
            replid: first,
            offset: 10,
            db: 1,
        };
        replication.adopt(begun, KEPT);
        let still = replication.hold_still(true).unwrap();
        assert_eq!(replication.position(&still), Some(begun));
        replication.advance(b"12345", 3, &still);
        let position = Position {
            offset: 15,
            db: 3,
            ..begun
        };
        assert_eq!(replication.position(&still), Some(position));
        assert_eq!(replication.log.range(), 10..15);
        replication.resume(Some(second), KEPT);
        let history = History {
            replid: second,
            previous: Some((first, 16)),
        };
        assert_eq!(replication.history(), history);
        assert_eq!(replication.resumption(), Some((second, 15)));
        assert_eq!(replication.log.range(), 10..15);
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
            db: 0,
        };
        let replica = replication(primary());
        replica.restore(position, KEPT);
        assert_eq!(replica.resumption(), Some((position.replid, 7)));
        assert!(!replica.as_primary.follows());
        let primary = replication(None);
        primary.restore(position, KEPT);
        let history = primary.history();
        assert_ne!(history.replid, position.replid);
        assert_eq!(history.previous, Some((position.replid, 8)));
        assert_eq!(primary.offset(), 7);
        assert_eq!(primary.log.range(), 7..7);
        assert!(primary.log.takes_effects());
    }

    #[test]
    fn a_stream_of_one_s_own_selects_its_database_first() {
        let select = |db: u16| format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{db}\r\n");
        for (db, has_before) in [(3, String::new()), (300, select(0))] {
            let primary = replication(None);
            let position = Position {
                replid: ReplId::random(),
                offset: 7,
                db,
            };
            primary.restore(position, KEPT);
            assert_eq!(primary.db(), if db > 15 { 0 } else { db });
            let mut reader = primary.log.reader(7).unwrap();
            assert_eq!(reader.peek().unwrap(), has_before.as_bytes());
            reader.advance(has_before.len());
            primary.log.append_command(0, 3, &[b"FLUSHDB"]);
            let flush = "*1\r\n$7\r\nFLUSHDB\r\n";
            assert_eq!(reader.peek().unwrap(), (select(3) + flush).as_bytes());
            assert_eq!(primary.db(), 3);
        }
    }
}
