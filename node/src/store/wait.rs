//! Blocking commands: who waits for which key, in the order in which they came.
//!
//! A slot that has a key somebody waits for says so in a byte of its cache line, which is all that
//! a new key reads while nobody waits. Who waits stands in tables aside, each for some of the
//! slots, under a lock of its own that is taken last. A client begins to wait with the slots of all
//! its keys locked; to stop, it takes no slot's lock.
//!
//! A key is ready once it comes to be: by a push, a RENAME, a SWAPDB, …; what is written over
//! another value wakes nobody, as in Redis. [`Db`] notes such keys, and before it lets its slots go
//! it serves those who wait, first come first served, on their behalf: so nobody comes between the
//! push and the pop, and what a whole transaction leaves is what counts. Whoever is served is
//! claimed first, by one atomic exchange; so is one who gives up. So a client is served once, or
//! has gone and is not served, never both.
//!
//! To serve BLMOVE may take a second slot, and locks are taken in ascending order. So a slot of such
//! a client says that as well, and whoever locks it locks what serving may need along with it
//! ([`Store::lock_many`]). In a cluster both keys lie in one slot.

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::entry::{Entry, ValueRef};
use super::object::Kind;
use super::slot::SlotGuard;
use super::{Db, Guards, Scope, Store};

/// Tables of those who wait; a power of two.
const SHARDS: usize = 64;

/// Bits of a slot's byte.
pub(super) mod bit {
    /// Somebody waits for a key of the slot.
    pub(in super::super) const AWAITED: u8 = 1;
    /// To serve somebody who does takes another slot as well.
    pub(in super::super) const ENTANGLED: u8 = 2;
}

/// What happens to one who waits.
pub trait Waiter: Send + Sync + fmt::Debug {
    /// Takes what it waits for from `key`, which has a value of the kind that it waits for.
    fn serve(&self, db: &mut Db<'_>, key: &[u8]);

    /// It may go on: what was done on its behalf is in the replication log.
    fn release(&self);

    /// Is told an error instead, and its connection is closed thereafter if `close`.
    fn refuse(&self, error: &str, close: bool);
}

/// A client that waits for the first of some keys to have a value of some kind.
#[derive(Debug)]
pub struct Waiting<W: ?Sized = dyn Waiter> {
    db: u16,
    kind: Kind,
    /// Each once.
    keys: Box<[Arc<[u8]>]>,
    /// The slot that serving it takes beside the key's.
    also: Option<Slot>,
    /// Somebody serves it, or it waits no longer.
    claimed: AtomicBool,
    /// What it wants.
    pub waiter: W,
}

impl<W> Waiting<W> {
    /// Waits for a value of `kind` at one of `keys`; to serve it takes the slot of `target` too.
    pub fn new<'k>(
        db: u16,
        kind: Kind,
        keys: impl Iterator<Item = &'k [u8]>,
        target: Option<&[u8]>,
        waiter: W,
    ) -> Self {
        let mut seen = HashSet::new();
        let keys: Box<[Arc<[u8]>]> = keys
            .filter(|key| seen.insert(*key))
            .map(Arc::from)
            .collect();
        let target = target.map(Slot::of_key);
        let is_elsewhere = |slot: &Slot| keys.iter().any(|key| Slot::of_key(key) != *slot);
        Self {
            db,
            kind,
            also: target.filter(is_elsewhere),
            keys,
            claimed: AtomicBool::new(false),
            waiter,
        }
    }
}

impl<W: ?Sized> Waiting<W> {
    /// Ends the wait: whoever is told true has to say what came of it.
    #[must_use]
    pub fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }

    /// Whether the wait has ended.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }
}

/// A key that somebody waits for, and that has come to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    db: u16,
    key: Arc<[u8]>,
}

/// Clients that have been served, and do not know it yet.
pub(super) type Served = Vec<Arc<Waiting>>;

/// What a view of the keyspace has made ready, in that order.
pub(super) type Readied = Option<Box<Vec<Ready>>>;

/// Everybody who waits for a key.
#[derive(Debug)]
pub(super) struct Waiters {
    shards: Box<[Mutex<HashMap<Slot, Keys>>]>,
    /// What is made ready counts together, and is served later: [`Store::as_one`].
    defers: AtomicBool,
    late: Mutex<Vec<Ready>>,
    /// Those who are told later that they have been served.
    served: Mutex<Served>,
}

/// The keys of a slot that somebody waits for.
#[derive(Debug, Default)]
struct Keys {
    queues: HashMap<Arc<[u8]>, Queue>,
    /// How many waits need another slot.
    entangled: usize,
}

/// Who waits for a key, in any database.
type Queue = VecDeque<Arc<Waiting>>;

impl Keys {
    fn bits(&self) -> u8 {
        let entangled = if self.entangled > 0 {
            bit::ENTANGLED
        } else {
            0
        };
        let awaited = if self.queues.is_empty() {
            0
        } else {
            bit::AWAITED
        };
        awaited | entangled
    }
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            defers: AtomicBool::new(false),
            late: Mutex::default(),
            served: Mutex::default(),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the index is below SHARDS, of which there are as many"
    )]
    fn shard(&self, slot: Slot) -> &Mutex<HashMap<Slot, Keys>> {
        &self.shards[slot.index() % SHARDS]
    }

    /// The key as the table has it, if somebody of the database waits for it.
    fn awaited(&self, db: u16, slot: Slot, key: &[u8]) -> Option<Arc<[u8]>> {
        let shard = self.shard(slot).lock();
        let (key, queue) = shard.get(&slot)?.queues.get_key_value(key)?;
        let is_awaited = queue.iter().any(|waiting| waiting.db == db);
        is_awaited.then(|| Arc::clone(key))
    }

    /// Claims the first who waits for a key to have a value of this kind.
    fn claim_first(
        &self,
        (db, slot, key): (u16, Slot, &[u8]),
        kind: Kind,
        is_locked: impl Fn(Slot) -> bool,
    ) -> Option<Arc<Waiting>> {
        let shard = self.shard(slot).lock();
        let queue = shard.get(&slot)?.queues.get(key)?;
        let mut fitting = queue.iter().filter(|w| w.db == db && w.kind == kind);
        let first = fitting.find(|waiting| {
            let is_served = waiting.also.is_none_or(&is_locked);
            debug_assert!(is_served, "what serving needs is locked along");
            is_served && waiting.claim()
        });
        first.map(Arc::clone)
    }

    /// The slots that serving those who wait for keys of a slot may take.
    fn also(&self, slot: Slot, into: &mut BTreeSet<Slot>) {
        let shard = self.shard(slot).lock();
        let queues = shard.get(&slot).into_iter().flat_map(|k| k.queues.values());
        into.extend(queues.flatten().filter_map(|waiting| waiting.also));
    }

    /// Everybody who waits for a key of a slot, or of any.
    fn all(&self, slot: Option<Slot>) -> Vec<Arc<Waiting>> {
        let mut found = Vec::new();
        let shards: &[_] = match slot {
            Some(slot) => std::slice::from_ref(self.shard(slot)),
            None => &self.shards,
        };
        for shard in shards {
            let shard = shard.lock();
            let keys = shard
                .iter()
                .filter(|(s, _)| slot.is_none_or(|is| is == **s));
            let queues = keys.flat_map(|(_, keys)| keys.queues.values());
            found.extend(queues.flatten().map(Arc::clone));
        }
        found
    }
}

impl Db<'_> {
    /// Has a client wait. The slots of its keys, and of what serving it takes, must be locked.
    pub fn wait<W: Waiter + 'static>(&self, waiting: &Arc<Waiting<W>>) {
        let store = self.store();
        for key in &waiting.keys {
            let slot = Slot::of_key(key);
            debug_assert!(
                self.guard_of(slot).is_some(),
                "the slot of {key:?} is not locked"
            );
            let mut shard = store.waiters.shard(slot).lock();
            let keys = shard.entry(slot).or_default();
            let queue = keys.queues.entry(Arc::clone(key)).or_default();
            queue.push_back(Arc::clone(waiting) as Arc<Waiting>);
            keys.entangled += usize::from(waiting.also.is_some());
            // Under the shard's lock, as where they are taken away: so they say what the table says.
            store.cell(slot).set_awaited(keys.bits());
        }
        if waiting.is_claimed() {
            // It ended meanwhile, and may have been forgotten before it was known.
            store.forget_waiting(waiting);
        }
    }

    /// Serves those who wait for what has been made ready; or leaves that to whoever has several
    /// commands count as one. Gives those who were served.
    pub(super) fn finish_ready(&mut self) -> Served {
        let store = self.store();
        let mut served = Served::new();
        if self.ready.is_none() {
            return served;
        }
        if store.waiters.defers.load(Ordering::Relaxed) {
            let ready = self.ready.take();
            store
                .waiters
                .late
                .lock()
                .extend(ready.into_iter().flat_map(|ready| *ready));
            return served;
        }
        // What serving them makes ready comes after all that was ready before, as in Redis.
        while let Some(round) = self.ready.take() {
            for ready in *round {
                // As in Redis, a time that has come meanwhile has come: a transaction may take long.
                self.read_clock();
                self.within(ready.db, |db| db.serve_all(&ready.key, &mut served));
            }
        }
        served
    }

    fn serve_all(&mut self, key: &[u8], served: &mut Served) {
        let (slot, db) = (Slot::of_key(key), self.index());
        let store = self.store();
        // That its time has come is no part of what made it ready.
        self.begin_part();
        while let Some(kind) = kind(self.peek(key)) {
            let is_locked = |slot| self.guard_of(slot).is_some();
            let first = store.waiters.claim_first((db, slot, key), kind, is_locked);
            let Some(waiting) = first else {
                return;
            };
            store.forget_waiting(&waiting);
            self.begin_part();
            waiting.waiter.serve(self, key);
            served.push(waiting);
        }
    }
}

/// What of a kind that can be waited for a key has.
fn kind(entry: Option<&Entry>) -> Option<Kind> {
    match entry?.value() {
        ValueRef::Object(object) => {
            Some(object.kind()).filter(|kind| matches!(kind, Kind::List | Kind::SortedSet))
        }
        _ => None,
    }
}

/// A key has come to be whose slot has somebody who waits: notes it if they wait for it.
#[cold]
pub(super) fn note(ready: &mut Readied, guard: &SlotGuard<'_>, db: u16, hash: u64, key: &[u8]) {
    let place = guard.find(db, hash, key);
    if kind(place.and_then(|place| guard.at(db, place))).is_none() {
        return;
    }
    let store = guard.store();
    let Some(key) = store.waiters.awaited(db, guard.slot(), key) else {
        return;
    };
    let ready = ready.get_or_insert_default();
    let key = Ready { db, key };
    if !ready.contains(&key) {
        ready.push(key);
    }
}

impl Store {
    /// Ends a wait: true if it had not ended. Then nobody serves the client any longer, and whoever
    /// has called this has to say what came of it.
    #[must_use]
    pub fn stop_waiting<W: ?Sized>(&self, waiting: &Waiting<W>) -> bool {
        let was_waiting = waiting.claim();
        self.forget_waiting(waiting);
        was_waiting
    }

    /// Takes a client out of the tables.
    pub fn forget_waiting<W: ?Sized>(&self, waiting: &Waiting<W>) {
        for key in &waiting.keys {
            let slot = Slot::of_key(key);
            let mut shard = self.waiters.shard(slot).lock();
            let Place::Occupied(mut place) = shard.entry(slot) else {
                continue;
            };
            let keys = place.get_mut();
            let Some(queue) = keys.queues.get_mut(key) else {
                continue;
            };
            let is_it = |other: &Arc<Waiting>| std::ptr::addr_eq(Arc::as_ptr(other), waiting);
            let Some(at) = queue.iter().position(is_it) else {
                continue;
            };
            queue.remove(at);
            if queue.is_empty() {
                keys.queues.remove(key);
            }
            keys.entangled -= usize::from(waiting.also.is_some());
            self.cell(slot).set_awaited(keys.bits());
            if keys.queues.is_empty() {
                place.remove();
            }
            if shard.is_empty() {
                shard.shrink_to(0);
            }
        }
    }

    /// Tells all who wait for keys of a slot, or of any, that they wait in vain.
    pub fn refuse_waiters(&self, slot: Option<Slot>, error: &str, close: bool) {
        for waiting in self.waiters.all(slot) {
            if self.stop_waiting(&waiting) {
                waiting.waiter.refuse(error, close);
            }
        }
    }

    /// Whether somebody waits for a key of a slot. For whoever has it locked, nobody is missing.
    #[must_use]
    pub fn has_waiters(&self, slot: Slot) -> bool {
        self.cell(slot).awaited() != 0
    }

    /// Locks slots and, with them, all that serving those who wait for their keys may take.
    #[cold]
    pub(super) fn lock_entangled<'s, E>(
        &self,
        slots: &[Slot],
        lock: impl Fn(&[Slot]) -> Result<Guards<'s>, E>,
    ) -> Result<Guards<'s>, E> {
        let mut all: BTreeSet<Slot> = slots.iter().copied().collect();
        loop {
            let wanted: SmallVec<[Slot; 8]> = all.iter().copied().collect();
            let guards = lock(&wanted)?;
            // With these locked, nobody else begins to wait for their keys.
            let mut also = BTreeSet::new();
            for guard in guards.iter().filter(|guard| guard.is_entangled()) {
                self.waiters.also(guard.slot(), &mut also);
            }
            if also.is_subset(&all) {
                return Ok(guards);
            }
            all.append(&mut also);
        }
    }

    /// Does what several commands do, or one does to many slots, and serves who waits at the end. To
    /// be called at the gate, while nobody else is inside a command.
    pub fn as_one<R>(&self, scope: Scope, work: impl FnOnce() -> R) -> R {
        if self.waiters.defers.swap(true, Ordering::Relaxed) {
            return work();
        }
        let result = self
            .log()
            .gather(scope.thread, || self.as_one_served(scope, work));
        let served = std::mem::take(&mut *self.waiters.served.lock());
        self.release_served(served);
        result
    }

    fn as_one_served<R>(&self, scope: Scope, work: impl FnOnce() -> R) -> R {
        let deferred = Deferred(self);
        let result = work();
        drop(deferred);
        self.log().begin_part();
        let late = std::mem::take(&mut *self.waiters.late.lock());
        if !late.is_empty() {
            let slots: BTreeSet<Slot> = late.iter().map(|r| Slot::of_key(&r.key)).collect();
            let slots: Vec<Slot> = slots.into_iter().collect();
            let mut db = Db::many(self, self.lock_many(&slots), scope);
            db.ready = Some(Box::new(late));
            // Serves them when it is dropped.
            drop(db);
        }
        result
    }

    /// Tells clients that they have been served, once what was done for them is in the log.
    pub(super) fn release_served(&self, served: Served) {
        if self.log().is_gathering() {
            self.waiters.served.lock().extend(served);
            return;
        }
        for waiting in served {
            waiting.waiter.release();
        }
    }

    /// Two databases have changed places: notes the keys somebody waits for that came with that.
    /// To be called inside [`Store::as_one`].
    pub(super) fn note_swapped(&self, dbs: [u16; 2]) {
        for db in dbs {
            for waiting in self.waiters.all(None).iter().filter(|w| w.db == db) {
                for key in &waiting.keys {
                    let guard = self.lock(Slot::of_key(key));
                    let mut ready = None;
                    note(&mut ready, &guard, db, self.key_hash(key), key);
                    let mut late = self.waiters.late.lock();
                    for ready in ready.into_iter().flat_map(|ready| *ready) {
                        if !late.contains(&ready) {
                            late.push(ready);
                        }
                    }
                }
            }
        }
    }
}

/// Until it is dropped, nobody is served.
struct Deferred<'s>(&'s Store);

impl Drop for Deferred<'_> {
    fn drop(&mut self) {
        self.0.waiters.defers.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
