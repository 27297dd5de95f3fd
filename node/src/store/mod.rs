//! The keyspace: 16384 slots, each with its own lock and tables.
//!
//! ```text
//! Store ─ 16384 × Cell (slot.rs)  ── Table (table.rs) ── Entry (entry.rs)
//!   │        one cache line           segments that        key, value and
//!   │        each: lock, counters     split one at a       bookkeeping in
//!   │                                 time                 one allocation
//!   ├─ what is known of all slots at once: occupied, due (index.rs)
//!   ├─ Settings, counters (settings.rs)
//!   └─ LazyFree: big values are freed by a thread (lazyfree.rs)
//!
//! Db (db.rs)        what a command works on: locked slots, the time, lazy expiry
//! db/effects.rs     what a command has done, for the replication log
//! load.rs           what comes out of a snapshot
//! walk.rs           what goes through all slots: SCAN, KEYS, RANDOMKEY, FLUSHALL, SWAPDB
//! event.rs          what happened to keys, for notifications
//! watch.rs          who is to hear of changes to a key (WATCH)
//! wait.rs           who waits for a key (BLPOP and its kin)
//! snapshot/         the data of one instant, written while it changes
//! turns.rs          long commands take slots out; who waits for a slot
//! expire.rs         deletes keys whose time has come; evict.rs deletes keys to make room
//! ```
//!
//! Locks: one per slot, held for microseconds, several only in ascending order. What takes longer
//! takes its slots out (`turns.rs`).

mod access;
mod db;
mod entry;
mod event;
mod evict;
mod expire;
mod guards;
mod hash;
pub mod hyperloglog;
mod index;
mod lazyfree;
mod load;
pub mod memory;
mod object;
mod observe;
mod prefetch;
mod settings;
mod slot;
mod snapshot;
mod table;
mod turns;
mod wait;
mod walk;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use slotilla_common::clock;
use slotilla_common::slot::Slot;

pub use db::{Db, LOOK_AHEAD, SetExpiry, WrongType};
pub(crate) use entry::strict_integer;
pub use entry::{Digits, Encoding, Entry, Garbage, NewValue, ValueRef};
pub use event::{EventClass, EventSink};
pub use evict::Room;
pub use expire::{Expirer, STEP_MS, Step};
pub use guards::Guards;
pub use load::{Duplicate, Feed};
pub(crate) use object::Wanted;
pub use object::fuzz;
pub use object::{
    BadImage, Bounds, Collection, Draw, End, Hash, Image, Item, Kind, LexEnd, List, Member,
    NodeLimit, Object, PackedLimits, Set, Side, SortedSet, Walk,
};
pub use observe::{Change, Observer};
pub use settings::{Expired, Policy, Settings, Totals};
pub use slot::SlotGuard;
pub use snapshot::{Progress, Walk as SnapshotWalk};
pub use turns::{Errand, LongTotals, Need, PLACES_MAX, Taken, Ticket, Waits};
pub use wait::{Waiter, Waiting};
pub use walk::{DbTotals, Flushed};
pub use watch::{Touched, Watched};

use crate::cluster::routing::Serving;
use crate::replication::log::Log;
use hash::KeyHasher;
use index::{Due, Occupied, OtherDbs};
use lazyfree::LazyFree;
use settings::{Counters, ShardedCounters};
use slot::Cell;
use snapshot::Snapshots;
use turns::Turns;
use wait::Waiters;
use watch::Watchers;

/// Which database is meant, and when: what a view of the keyspace needs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The database selected.
    pub db: u16,
    /// Milliseconds since the epoch, the same for the whole command.
    pub now_ms: i64,
    /// The number of the thread, for its counters.
    pub thread: usize,
}

/// The keyspace.
pub struct Store {
    cells: Box<[Cell]>,
    occupied: Occupied,
    due: Due,
    other_dbs: OtherDbs,
    databases: u16,
    hasher: KeyHasher,
    settings: Settings,
    counters: ShardedCounters,
    lazy_free: LazyFree,
    observer: OnceLock<Box<dyn Observer>>,
    event_sink: OnceLock<Box<dyn EventSink>>,
    watchers: Watchers,
    waiters: Waiters,
    turns: Turns,
    snapshots: Snapshots,
    /// The stream of the history that the data belongs to: what replicas read.
    history: Arc<Log>,
    /// What is done here while another server makes the history: for the append-only file alone.
    own: Arc<Log>,
    /// Another server makes the history.
    is_copy: AtomicBool,
    /// Held by whoever counts the keys that may be evicted.
    counting: parking_lot::Mutex<()>,
}

impl Store {
    /// An empty keyspace of so many databases, all its slots being `serving`.
    #[must_use]
    pub fn new(databases: u16, serving: Serving) -> Self {
        Self {
            cells: Slot::all().map(|_| Cell::new(serving)).collect(),
            occupied: Occupied::new(),
            due: Due::new(clock::unix_ms()),
            other_dbs: OtherDbs::new(databases.saturating_mul(2)),
            databases,
            hasher: KeyHasher::random(),
            settings: Settings::default(),
            counters: ShardedCounters::new(),
            lazy_free: LazyFree::default(),
            observer: OnceLock::new(),
            event_sink: OnceLock::new(),
            watchers: Watchers::new(),
            waiters: Waiters::new(),
            turns: Turns::new(),
            snapshots: Snapshots::default(),
            history: Arc::default(),
            own: Arc::default(),
            is_copy: AtomicBool::new(false),
            counting: parking_lot::Mutex::new(()),
        }
    }

    /// How many databases there are.
    #[must_use]
    pub const fn databases(&self) -> u16 {
        self.databases
    }

    /// What the configuration tells the store.
    #[must_use]
    #[inline]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The log of what is done here: the stream of the data's history, unless another server makes
    /// that.
    #[must_use]
    #[inline]
    pub fn log(&self) -> &Arc<Log> {
        if self.is_copy.load(Ordering::Relaxed) {
            &self.own
        } else {
            &self.history
        }
    }

    /// The stream of the history that the data belongs to.
    #[must_use]
    pub const fn history(&self) -> &Arc<Log> {
        &self.history
    }

    /// From now on another server makes the data's history, or this one does. To be called at the
    /// gate, or before there are clients.
    pub fn set_copy(&self, is_copy: bool) {
        self.is_copy.store(is_copy, Ordering::Relaxed);
    }

    /// Writes down a command that runs at the gate.
    pub fn log_words(&self, scope: Scope, words: &[Vec<u8>]) {
        let log = self.log();
        if log.takes_effects() {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            log.append_command(scope.thread, scope.db, &words);
        }
    }

    /// Writes down that a key was deleted without a command's doing. Its slot is locked.
    #[inline]
    fn log_deletion(&self, scope: Scope, key: &[u8], unlinks: bool) {
        let log = self.log();
        if log.takes_effects() {
            let words = [deletion(unlinks), key];
            log.append_command(scope.thread, scope.db, &words);
        }
    }

    /// The hash of a key within its slot.
    #[must_use]
    #[inline]
    pub fn key_hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Locks a slot. If it is out, the thread sleeps until it is back: not for workers.
    #[inline]
    pub fn lock(&self, slot: Slot) -> SlotGuard<'_> {
        SlotGuard::lock(self, self.cell(slot), slot)
    }

    /// Locks several slots: ascending, each once, or two threads would wait for each other. With
    /// them, those that serving who waits for their keys may take.
    pub fn lock_many(&self, slots: &[Slot]) -> Guards<'_> {
        debug_assert!(slots.is_sorted_by(|a, b| a < b), "locks are taken in order");
        let lock = |slots: &[Slot]| slots.iter().map(|slot| self.lock(*slot)).collect();
        let guards: Guards<'_> = lock(slots);
        if guards.iter().any(SlotGuard::is_entangled) {
            drop(guards);
            let locked: Result<_, std::convert::Infallible> =
                self.lock_entangled(slots, |slots| Ok(lock(slots)));
            let Ok(guards) = locked;
            return guards;
        }
        guards
    }

    /// What this node is to a slot, as of some moment ago.
    #[must_use]
    pub fn serving(&self, slot: Slot) -> Serving {
        self.cell(slot).serving()
    }

    /// Starts fetching a slot's cache line.
    #[inline]
    pub fn prefetch_slot(&self, slot: Slot) {
        prefetch::prefetch(std::ptr::from_ref(self.cell(slot)));
    }

    /// Starts fetching the bucket of the table that would have a key of this hash, in the first
    /// database. Takes no lock.
    #[inline]
    pub fn prefetch_bucket(&self, slot: Slot, hash: u64) {
        self.cell(slot).prefetch_bucket(hash);
    }

    /// Starts fetching the entry that a key of this hash would have, in the first database: a
    /// table may be read under its lock alone, so this takes it.
    #[inline]
    pub fn prefetch_entry(&self, slot: Slot, hash: u64) {
        let guard = self.try_lock(slot);
        if let Some(table) = guard.as_ref().and_then(|guard| guard.table(0)) {
            table.prefetch(hash);
        }
    }

    /// Tells `observer` of every change from now on. The first one stays.
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        let _already_set = self.observer.set(observer);
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Totals {
        self.counters.totals()
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counters(&self) {
        self.counters.reset();
        self.lazy_free.reset_freed();
    }

    /// Bytes of all entries and what hangs on them, tables not included.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        let bytes: u64 = self.cells.iter().map(Cell::bytes).sum();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Values waiting for the freeing thread.
    #[must_use]
    pub fn lazyfree_pending(&self) -> u64 {
        self.lazy_free.pending()
    }

    /// Bytes of the values waiting for the freeing thread: allocated, but not in use.
    #[must_use]
    pub fn lazyfree_pending_bytes(&self) -> usize {
        self.lazy_free.pending_bytes()
    }

    /// Values that the freeing thread has freed.
    #[must_use]
    pub fn lazyfreed(&self) -> u64 {
        self.lazy_free.freed()
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a slot is below Slot::COUNT, of which there are as many cells"
    )]
    fn cell(&self, slot: Slot) -> &Cell {
        &self.cells[slot.index()]
    }

    fn counters_of(&self, thread: usize) -> Option<&Counters> {
        self.counters.of(thread)
    }

    #[inline]
    fn tell(&self, db: u16, slot: Slot, key: &[u8], change: Change) {
        if let Some(observer) = self.observer.get() {
            observer.changed(db, slot, key, change);
        }
        if self.cell(slot).is_watched() && change != Change::Encoding {
            self.touch_watchers(db, slot, key, change);
        }
        match change {
            Change::Expired => self.notify(db, EventClass::Expired, "expired", key),
            Change::Evicted => self.notify(db, EventClass::Evicted, "evicted", key),
            // The command tells what it has done.
            Change::Written | Change::Deleted | Change::Encoding | Change::Expiry => {}
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("databases", &self.databases)
            .finish_non_exhaustive()
    }
}

/// The command that deletes a key that nobody's command has deleted, by what `lazyfree-lazy-*` says.
const fn deletion(unlinks: bool) -> &'static [u8] {
    if unlinks { b"UNLINK" } else { b"DEL" }
}

#[cfg(test)]
mod tests;
