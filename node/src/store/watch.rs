//! WATCH: who is to hear that a key has changed.
//!
//! A slot that has a watched key says so in a byte of its cache line, which is all that a change
//! reads while nobody watches. Who watches stands in tables aside, each for some of the slots, under
//! a lock of its own that is taken last. A watch is set with its slot locked, a change is told with
//! its slot locked, and EXEC asks with all its slots locked: so no change slips through.
//!
//! The rules are Redis's: a key whose time had come when it was watched counts as absent, so that
//! its deletion is no change; one whose time comes later has changed, deleted or not.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slotilla_common::slot::Slot;

use super::entry::Entry;
use super::observe::Change;
use super::slot::SlotGuard;
use super::{Db, Store};

/// Tables of watchers; a power of two.
const SHARDS: usize = 64;

/// Set once any key that a client watches has changed.
pub type Touched = Arc<AtomicBool>;

/// A key that a client watches.
#[derive(Debug, Clone)]
pub struct Watched {
    db: u16,
    slot: Slot,
    key: Arc<[u8]>,
}

impl Watched {
    /// The slot to lock before asking whether the key has expired.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// What it takes, here and in the table of watchers.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + size_of::<Watcher>() + 2 * size_of::<usize>() + self.key.len()
    }
}

/// Everybody who watches a key of some slot.
#[derive(Debug)]
pub(super) struct Watchers {
    shards: Box<[Mutex<HashMap<Slot, Keys>>]>,
}

type Keys = HashMap<Arc<[u8]>, Vec<Watcher>>;

/// One client's watch on one key.
#[derive(Debug)]
struct Watcher {
    db: u16,
    /// The key's time had come when the watch was set, and it is there still.
    expired: bool,
    touched: Touched,
}

impl Watcher {
    fn touch(&self) {
        self.touched.store(true, Ordering::Relaxed);
    }

    /// The key has changed.
    fn changed(&mut self, change: Change) {
        let gone = matches!(change, Change::Expired | Change::Evicted | Change::Deleted);
        if self.expired && gone {
            self.expired = false;
        } else {
            self.touch();
        }
    }

    /// The key is about to go, or to be another database's of this name. `None` stands for a key
    /// that is not there, `Some` tells whether its time has come.
    fn replaced(&mut self, before: Option<bool>, after: Option<bool>) {
        match (before, after) {
            (None, None) => {}
            (_, None) if self.expired => self.expired = false,
            (_, Some(true)) if self.expired => {}
            (None, Some(true)) => self.expired = true,
            _ => self.touch(),
        }
    }
}

impl Watchers {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the index is below SHARDS, of which there are as many"
    )]
    fn shard(&self, slot: Slot) -> &Mutex<HashMap<Slot, Keys>> {
        &self.shards[slot.index() % SHARDS]
    }

    /// Shows `visit` every watch on the slot's keys.
    fn each(&self, slot: Slot, mut visit: impl FnMut(&[u8], &mut Watcher)) {
        let mut shard = self.shard(slot).lock();
        for (key, watchers) in shard.get_mut(&slot).into_iter().flatten() {
            for watcher in watchers {
                visit(key, watcher);
            }
        }
    }
}

impl Db<'_> {
    /// Has `touched` set once `key` changes. `None` if that is so already.
    pub fn watch(&mut self, key: &[u8], touched: &Touched) -> Option<Watched> {
        let slot = Slot::of_key(key);
        let (store, db) = (self.store(), self.index());
        let guard = self.guard_of(slot)?;
        let expired = expired(guard, db, key, self.now_ms()) == Some(true);
        let mut shard = store.watchers.shard(slot).lock();
        let keys = shard.entry(slot).or_default();
        let (key, watchers) = match keys.get_key_value(key) {
            Some((known, _)) => (Arc::clone(known), keys.get_mut(key)?),
            None => {
                let name: Arc<[u8]> = key.into();
                (Arc::clone(&name), keys.entry(name).or_default())
            }
        };
        let mine = |watcher: &Watcher| watcher.db == db && Arc::ptr_eq(&watcher.touched, touched);
        if watchers.iter().any(mine) {
            return None;
        }
        watchers.push(Watcher {
            db,
            expired,
            touched: Arc::clone(touched),
        });
        store.cell(slot).set_watched(true);
        Some(Watched { db, slot, key })
    }

    /// Whether the time of a watched key has come since it was watched. Its slot must be locked.
    #[must_use]
    pub fn has_expired(&self, watched: &Watched, touched: &Touched) -> bool {
        let guard = self.guard_of(watched.slot);
        let now = guard.and_then(|guard| expired(guard, watched.db, &watched.key, self.now_ms()));
        now == Some(true) && !self.store().knew_expired(watched, touched)
    }
}

/// Whether the key's time has come; `None` if it is not there.
fn expired(guard: &SlotGuard<'_>, db: u16, key: &[u8], now_ms: i64) -> Option<bool> {
    let place = guard.find(db, guard.store().key_hash(key), key)?;
    let entry: &Entry = guard.at(db, place)?;
    Some(entry.is_expired(now_ms))
}

impl Store {
    /// Ends a watch.
    pub fn unwatch(&self, watched: &Watched, touched: &Touched) {
        let slot = watched.slot;
        let mut shard = self.watchers.shard(slot).lock();
        let Place::Occupied(mut keys) = shard.entry(slot) else {
            return;
        };
        if let Some(watchers) = keys.get_mut().get_mut(&watched.key) {
            let others = |w: &Watcher| w.db != watched.db || !Arc::ptr_eq(&w.touched, touched);
            watchers.retain(others);
            if watchers.is_empty() {
                keys.get_mut().remove(&watched.key);
            }
        }
        if keys.get().is_empty() {
            keys.remove();
            // Under the shard's lock, as where it is set: so it says what the table says.
            self.cell(slot).set_watched(false);
        }
        if shard.is_empty() {
            shard.shrink_to(0);
        }
    }

    /// Whether the key's time had come when it was watched.
    fn knew_expired(&self, watched: &Watched, touched: &Touched) -> bool {
        let shard = self.watchers.shard(watched.slot).lock();
        let watchers = shard
            .get(&watched.slot)
            .and_then(|keys| keys.get(&watched.key));
        let mut mine = watchers.into_iter().flatten();
        mine.any(|w| w.expired && w.db == watched.db && Arc::ptr_eq(&w.touched, touched))
    }

    /// Tells those who watch a key of a locked slot that it has changed.
    #[cold]
    pub(super) fn touch_watchers(&self, db: u16, slot: Slot, key: &[u8], change: Change) {
        let mut shard = self.watchers.shard(slot).lock();
        let keys = shard.get_mut(&slot);
        for watcher in keys
            .and_then(|keys| keys.get_mut(key))
            .into_iter()
            .flatten()
        {
            if watcher.db == db {
                watcher.changed(change);
            }
        }
    }

    /// Tells those who watch keys of a locked slot that its keys are about to go: those of one
    /// database, or all.
    pub(super) fn touch_flushed(&self, guard: &SlotGuard<'_>, db: Option<u16>) {
        let slot = guard.slot();
        if !self.cell(slot).is_watched() {
            return;
        }
        self.watchers.each(slot, |key, watcher| {
            if db.is_none_or(|db| db == watcher.db) {
                let before = expired(guard, watcher.db, key, i64::MIN);
                watcher.replaced(before, None);
            }
        });
    }

    /// The same where two databases are about to change places.
    pub(super) fn touch_swapped(&self, guard: &SlotGuard<'_>, (a, b): (u16, u16), now_ms: i64) {
        let slot = guard.slot();
        if !self.cell(slot).is_watched() {
            return;
        }
        self.watchers.each(slot, |key, watcher| {
            let other = match watcher.db {
                db if db == a => b,
                db if db == b => a,
                _ => return,
            };
            let before = expired(guard, watcher.db, key, now_ms);
            watcher.replaced(before, expired(guard, other, key, now_ms));
        });
    }

    /// Tells all who watch a slot that it is another node's from now on: what becomes of its keys
    /// cannot be seen here.
    pub(super) fn touch_lost(&self, slot: Slot) {
        if self.cell(slot).is_watched() {
            self.watchers.each(slot, |_, watcher| watcher.touch());
        }
    }
}

#[cfg(test)]
mod tests;
