//! What a command works on: the slots of its keys, locked, in one database, at one time.
//!
//! Every lookup applies lazy expiry by Redis's rules: on a primary a key whose time has come is
//! deleted by whoever meets it, on a replica it cannot be seen and stays.

use slotilla_common::clock;
use slotilla_common::slot::Slot;

use super::access::AccessClock;
use super::entry::{Entry, NewValue, ValueRef};
use super::event::EventClass;
use super::observe::Change;
use super::settings::{Expired, add};
use super::slot::SlotGuard;
use super::snapshot::Fate;
use super::table::Place;
use super::wait::{self, Readied};
use super::{Guards, Scope, Store};
use crate::cluster::routing::Serving;
use crate::replication::log::Effects;

mod collection;
mod effects;
mod several;

pub use collection::WrongType;
pub use several::LOOK_AHEAD;

/// What a write does to the key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetExpiry {
    /// The key does not expire.
    Clear,
    /// It expires when it did before.
    Keep,
    /// It expires then, in Unix milliseconds.
    At(i64),
}

/// Locked slots of one database. Dropping it serves who waits for what has come to be, and unlocks
/// them.
#[derive(Debug)]
pub struct Db<'s> {
    store: &'s Store,
    scope: Scope,
    guards: Guards<'s>,
    clock: AccessClock,
    expired: Expired,
    hint: Hint,
    tally: Tally,
    /// What was done, once there is anything to write down.
    effects: Option<Box<Effects>>,
    /// How many changes there were when the command began that runs.
    changes_before: u64,
    /// Keys somebody waits for that have come to be.
    pub(super) ready: Readied,
}

/// Where one key belongs, known before it is looked up. Told by the slice's address, so it must be
/// the command's argument, which stays where it is as long as the command runs.
#[derive(Clone, Copy, Debug, Default)]
struct Hint {
    address: usize,
    len: usize,
    located: Located,
}

/// Where a key belongs: in which of the locked slots, and with which hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Located {
    guard: usize,
    hash: u64,
}

/// Counted here, and added to the thread's counters once.
#[derive(Debug, Default)]
struct Tally {
    hits: u64,
    misses: u64,
    expired: u64,
    changes: u64,
}

impl<'s> Db<'s> {
    /// For keys of one slot.
    #[must_use]
    pub fn one(guard: SlotGuard<'s>, scope: Scope) -> Self {
        Self::new(guard.store(), Some(guard), scope)
    }

    /// For keys of one slot; or for a command that names no key, and then there is no guard.
    #[must_use]
    #[inline]
    pub fn new(store: &'s Store, guard: Option<SlotGuard<'s>>, scope: Scope) -> Self {
        Self::many(store, guard.into(), scope)
    }

    /// For keys of several slots, locked in ascending order.
    #[must_use]
    #[inline]
    pub fn many(store: &'s Store, guards: Guards<'s>, scope: Scope) -> Self {
        let settings = store.settings();
        Self {
            store,
            scope,
            guards,
            clock: AccessClock::new(settings, scope.now_ms),
            expired: Expired::of(settings),
            hint: Hint::default(),
            tally: Tally::default(),
            effects: None,
            changes_before: 0,
            ready: None,
        }
    }

    /// Takes over a slot, the first.
    #[inline]
    pub fn hold(&mut self, guard: SlotGuard<'s>) {
        debug_assert!(self.guards.is_empty(), "others come in order");
        self.guards = Guards::One(guard);
    }

    /// Saves hashing `key`, of `slot`, again: the same slice will be looked up.
    #[inline]
    pub fn know_hash(&mut self, key: &[u8], slot: Slot, hash: u64) {
        if let Some(guard) = self.number_of(slot) {
            self.know(key, Located { guard, hash });
        }
    }

    /// As [`know_hash`](Self::know_hash), of a key of the only slot that is locked.
    #[inline]
    pub fn know_first(&mut self, key: &[u8], hash: u64) {
        self.know(key, Located { guard: 0, hash });
    }

    /// Saves hashing `key` again and finding its slot: the same slice will be looked up.
    #[inline]
    pub(crate) fn know(&mut self, key: &[u8], located: Located) {
        self.hint = Hint {
            address: key.as_ptr().addr(),
            len: key.len(),
            located,
        };
    }

    /// What happens to keys whose time has come, if not what the store says.
    pub fn set_expired(&mut self, expired: Expired) {
        self.expired = expired;
    }

    /// The database selected.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.scope.db
    }

    /// Database and time.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Milliseconds since the epoch, the same throughout.
    #[must_use]
    pub const fn now_ms(&self) -> i64 {
        self.scope.now_ms
    }

    /// Whether a key that is to expire then goes at once. On a replica, and in what is applied of a
    /// stream, it stays until its primary says otherwise.
    #[must_use]
    pub fn is_past(&self, at: i64) -> bool {
        at <= self.scope.now_ms && self.expired == Expired::Delete
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &'s Store {
        self.store
    }

    /// The locked slots.
    pub fn guards(&self) -> impl Iterator<Item = &SlotGuard<'s>> {
        self.guards.iter()
    }

    /// Whether to serve somebody who waits for a key here takes more slots than are locked, perhaps.
    #[must_use]
    #[inline]
    pub fn is_entangled(&self) -> bool {
        if let Guards::One(guard) = &self.guards {
            return guard.is_entangled();
        }
        self.guards.iter().any(SlotGuard::is_entangled)
    }

    /// Takes the locked slots out of this view, which has none from then on, and counts nothing of
    /// what was looked at: the command comes again.
    pub fn release(&mut self) -> Guards<'s> {
        debug_assert!(self.ready.is_none(), "who waits is served first");
        // Keys that it has met expired are gone.
        self.append_effects();
        let Tally { hits, misses, .. } = &mut self.tally;
        (*hits, *misses) = (0, 0);
        std::mem::take(&mut self.guards)
    }

    /// The guard of a slot that is locked.
    pub(super) fn guard_of(&self, slot: Slot) -> Option<&SlotGuard<'s>> {
        self.guards.get(self.number_of(slot)?)
    }

    /// What this node is to a slot that is locked.
    #[must_use]
    pub fn serving(&self, slot: Slot) -> Serving {
        self.guard_of(slot)
            .map_or_else(Serving::default, SlotGuard::serving)
    }

    /// Goes on to another command, in the database of `scope`, with the same slots locked.
    pub fn go_on(&mut self, scope: Scope) {
        let settings = self.store.settings();
        self.scope = scope;
        self.clock = AccessClock::new(settings, scope.now_ms);
        self.expired = Expired::of(settings);
        self.hint = Hint::default();
        self.changes_before = self.tally.changes;
    }

    /// Whether a snapshot is still to have some of the slots.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        self.guards.iter().any(SlotGuard::is_unreached)
    }

    /// What is done next is done now, not when the command began.
    pub(super) fn read_clock(&mut self) {
        self.scope.now_ms = self.scope.now_ms.max(clock::unix_ms());
    }

    /// Does `work` in another database.
    pub fn within<R>(&mut self, db: u16, work: impl FnOnce(&mut Self) -> R) -> R {
        let selected = std::mem::replace(&mut self.scope.db, db);
        let result = work(self);
        self.scope.db = selected;
        result
    }

    // === Looking ===

    /// The value for a command that reads: counts a hit or a miss and the use.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        self.read_entry(key).map(Entry::value)
    }

    /// As [`read`](Self::read), with everything else there is to know.
    #[inline]
    pub fn read_entry(&mut self, key: &[u8]) -> Option<&Entry> {
        let found = self.met(key);
        let found = self.counted(key, found)?;
        self.touched(found)
    }

    /// For commands that look at a key without using it (TTL, TYPE, EXISTS, OBJECT): counts a hit
    /// or a miss alone.
    pub fn look(&mut self, key: &[u8]) -> Option<&Entry> {
        let found = self.live(key);
        let (guard, place) = self.counted(key, found)?;
        self.guards.get(guard)?.at(self.scope.db, place)
    }

    /// As [`look`](Self::look), for OBJECT: a miss is no event.
    pub fn look_quietly(&mut self, key: &[u8]) -> Option<&Entry> {
        let found = self.live(key);
        let (guard, place) = self.counted_quietly(found)?;
        self.guards.get(guard)?.at(self.scope.db, place)
    }

    /// Counts nothing.
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        let (guard, place) = self.live(key)?;
        self.guards.get(guard)?.at(self.scope.db, place)
    }

    /// For a command that will write: counts the use alone.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<&Entry> {
        let found = self.met(key)?;
        self.touched(found)
    }

    /// Whether the key is there; counts nothing.
    pub fn contains(&mut self, key: &[u8]) -> bool {
        self.live(key).is_some()
    }

    /// How long ago an access word was set, in milliseconds. Means something unless the policy is
    /// an LFU one.
    #[must_use]
    pub fn idle_ms(&self, access: u32) -> i64 {
        self.clock.idle_ms(access)
    }

    /// The access word of an entry that was last used so long ago, or is used so often, whichever
    /// the policy in force looks at; of a new one if it is not told.
    #[must_use]
    pub fn access_of(&self, idle_ms: Option<i64>, frequency: Option<u8>) -> u32 {
        self.clock.word_of(idle_ms, frequency)
    }

    /// How often an entry of this access word is used, as the LFU policies count.
    #[must_use]
    pub fn frequency(&self, access: u32) -> u8 {
        self.clock.frequency(access)
    }

    // === Changing ===

    /// Stores a value, whatever was there; whether anything was.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: NewValue<'_>, expiry: SetExpiry) -> bool {
        let Some((number, hash)) = self.locate(key) else {
            return false;
        };
        let (store, scope, clock, expired) = (self.store, self.scope, self.clock, self.expired);
        let Some(guard) = self.guards.get_mut(number) else {
            return false;
        };
        self.tally.changes += 1;
        let Some(place) = guard.find(scope.db, hash, key) else {
            let at = match expiry {
                SetExpiry::Clear | SetExpiry::Keep => None,
                SetExpiry::At(at) => Some(at),
            };
            guard.insert(scope.db, hash, Entry::new(key, value, at, clock.fresh()));
            store.tell(scope.db, guard.slot(), key, Change::Written);
            store.notify(scope.db, EventClass::New, "new", key);
            if guard.is_awaited() {
                wait::note(&mut self.ready, guard, scope.db, hash, key);
            }
            return false;
        };
        let (mut existed, slot) = (true, guard.slot());
        guard.let_value_go(scope.db, place);
        let garbage = guard.change(scope.db, place, |entry| {
            existed = expired == Expired::Keep || !entry.is_expired(scope.now_ms);
            let at = match expiry {
                SetExpiry::Clear => None,
                SetExpiry::Keep => entry.expiry().filter(|_| existed),
                SetExpiry::At(at) => Some(at),
            };
            let access = if existed {
                clock.touched(entry.access())
            } else {
                clock.fresh()
            };
            entry.set_access(access);
            entry.replace(value, at)
        });
        if let Some(garbage) = garbage.flatten() {
            store.lazy_free.value(garbage);
        }
        if !existed {
            self.tally.expired += 1;
            store.tell(scope.db, guard.slot(), key, Change::Expired);
            store.notify(scope.db, EventClass::New, "new", key);
            if guard.is_awaited() {
                wait::note(&mut self.ready, guard, scope.db, hash, key);
            }
            self.log_expired(key);
        }
        store.tell(scope.db, slot, key, Change::Written);
        existed
    }

    /// Changes a value in place, if the key is there. What `edit` says with `Some` is a change.
    pub fn edit<R>(&mut self, key: &[u8], edit: impl FnOnce(&mut Entry) -> Option<R>) -> Option<R> {
        let found = self.live(key)?;
        self.edit_at(key, found, Change::Written, edit)
    }

    /// Changes how a value is kept, if the key is there. What `recode` says with `Some` counts as a
    /// change, but not to those who watch the key.
    pub fn recode<R>(
        &mut self,
        key: &[u8],
        recode: impl FnOnce(&mut Entry) -> Option<R>,
    ) -> Option<R> {
        let found = self.live(key)?;
        self.edit_at(key, found, Change::Encoding, recode)
    }

    fn edit_at<R>(
        &mut self,
        key: &[u8],
        (number, place): (usize, Place),
        change: Change,
        edit: impl FnOnce(&mut Entry) -> Option<R>,
    ) -> Option<R> {
        let (store, scope, clock) = (self.store, self.scope, self.clock);
        let guard = self.guards.get_mut(number)?;
        let result = guard.change(scope.db, place, |entry| {
            entry.set_access(clock.touched(entry.access()));
            edit(entry)
        })??;
        self.tally.changes += 1;
        store.tell(scope.db, guard.slot(), key, change);
        Some(result)
    }

    /// Deletes a key; whether it was there. A big value is freed by the freeing thread.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some((number, place)) = self.live(key) else {
            return false;
        };
        let Some(entry) = self.take_out(key, number, place, Fate::Dropped) else {
            return false;
        };
        self.store.lazy_free.entry(entry);
        true
    }

    /// Takes the key of a collection out that a command has emptied: part of the same change.
    fn forget_empty(&mut self, key: &[u8]) {
        if self.remove(key) {
            self.tally.changes -= 1;
        }
    }

    fn take_out(&mut self, key: &[u8], number: usize, place: Place, fate: Fate) -> Option<Entry> {
        let guard = self.guards.get_mut(number)?;
        let entry = guard.remove(self.scope.db, place, fate)?;
        self.store
            .tell(self.scope.db, guard.slot(), key, Change::Deleted);
        self.tally.changes += 1;
        Some(entry)
    }

    /// Puts an entry in the place of whatever has its key.
    pub fn put(&mut self, entry: Entry) {
        let Some((number, hash)) = self.locate(entry.key()) else {
            return;
        };
        let Some(guard) = self.guards.get_mut(number) else {
            return;
        };
        let db = self.scope.db;
        let mut was_expired = false;
        if let Some(place) = guard.find(db, hash, entry.key())
            && let Some(old) = guard.remove(db, place, Fate::Dropped)
        {
            was_expired = old.is_expired(self.scope.now_ms);
            self.store.lazy_free.entry(old);
        }
        self.store
            .tell(db, guard.slot(), entry.key(), Change::Written);
        self.store.notify(db, EventClass::New, "new", entry.key());
        if was_expired && self.store.log().takes_effects() && self.expired == Expired::Delete {
            effects::push_expired(&mut self.effects, self.store, db, entry.key());
        }
        // The entry is about to be the table's.
        let awaited = guard.is_awaited().then(|| entry.key().to_vec());
        guard.insert(db, hash, entry);
        if let Some(key) = awaited {
            wait::note(&mut self.ready, guard, db, hash, &key);
        }
        self.tally.changes += 1;
    }

    /// Sets or takes away a key's expiry; whether the key is there.
    pub fn set_expiry(&mut self, key: &[u8], expiry: Option<i64>) -> bool {
        let Some((number, place)) = self.live(key) else {
            return false;
        };
        let Some(guard) = self.guards.get_mut(number) else {
            return false;
        };
        guard.change(self.scope.db, place, |entry| entry.set_expiry(expiry));
        self.store
            .tell(self.scope.db, guard.slot(), key, Change::Expiry);
        self.tally.changes += 1;
        true
    }

    /// Takes a key's expiry away; whether it had one.
    pub fn persist(&mut self, key: &[u8]) -> bool {
        self.peek(key).is_some_and(Entry::is_volatile) && self.set_expiry(key, None)
    }

    /// Gives an entry another key, in place of whatever has that; whether `from` is there.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> bool {
        let is_there = self.give(from, to, self.scope.db);
        if is_there {
            // One change, not two.
            self.tally.changes -= 1;
        }
        is_there
    }

    /// Moves an entry to database `db`, in place of whatever has its key there; whether it is there.
    pub fn move_to(&mut self, key: &[u8], db: u16) -> bool {
        self.give(key, key, db)
    }

    fn give(&mut self, from: &[u8], to: &[u8], db: u16) -> bool {
        let Some((number, place)) = self.live(from) else {
            return false;
        };
        let guard = self.guards.get_mut(number);
        let origin = guard.and_then(|guard| guard.release(self.scope.db, place));
        let Some(entry) = self.take_out(from, number, place, Fate::Taken) else {
            return false;
        };
        let entry = if from == to { entry } else { entry.renamed(to) };
        self.within(db, |there| {
            there.put(entry);
            let Some(origin) = origin else {
                return;
            };
            let located = there.locate(to);
            if let Some(guard) = located.and_then(|(number, _)| there.guards.get_mut(number)) {
                guard.adopt(db, to, origin);
            }
        });
        true
    }

    /// Copies an entry to a key of database `db`, in place of whatever has that; whether `from`
    /// is there.
    pub fn copy(&mut self, from: &[u8], to: &[u8], db: u16) -> bool {
        let Some(entry) = self.peek(from) else {
            return false;
        };
        let mut copy = entry.duplicate(to);
        copy.set_access(self.clock.fresh());
        self.within(db, |there| there.put(copy));
        true
    }

    // === Within ===

    /// The number of the guard of the key's slot, and its hash. Nearly every key has been located
    /// before its command runs.
    #[inline(always)]
    fn locate(&self, key: &[u8]) -> Option<(usize, u64)> {
        let hint = self.hint;
        if hint.address == key.as_ptr().addr() && hint.len == key.len() {
            let Located { guard, hash } = hint.located;
            debug_assert_eq!(
                self.guards.get(guard).map(SlotGuard::slot),
                Some(Slot::of_key(key)),
                "{key:?} has been located when other slots were locked"
            );
            return Some((guard, hash));
        }
        self.locate_anew(key)
    }

    #[inline(never)]
    fn locate_anew(&self, key: &[u8]) -> Option<(usize, u64)> {
        let number = self.number_of(Slot::of_key(key));
        debug_assert!(number.is_some(), "the slot of {key:?} is not locked");
        Some((number?, self.store.key_hash(key)))
    }

    /// Which of the guards is that of a slot.
    #[inline]
    fn number_of(&self, slot: Slot) -> Option<usize> {
        if let [only] = &*self.guards {
            return (only.slot() == slot).then_some(0);
        }
        self.guards
            .binary_search_by_key(&slot, SlotGuard::slot)
            .ok()
    }

    /// The entry of a key whose time has not come; leaves one whose time has come where it is.
    fn here(&self, key: &[u8]) -> Option<&Entry> {
        let (number, hash) = self.locate(key)?;
        let guard = self.guards.get(number)?;
        let entry = guard.at(self.scope.db, guard.find(self.scope.db, hash, key)?)?;
        let is_hidden = entry.is_expired(self.scope.now_ms) && self.expired != Expired::Keep;
        (!is_hidden).then_some(entry)
    }

    /// Finds a key whose time has not come.
    #[inline(never)]
    fn live(&mut self, key: &[u8]) -> Option<(usize, Place)> {
        self.met(key)
    }

    /// As [`live`](Self::live), for the few who go on to the entry at once: within them the way
    /// there is known already.
    #[inline(always)]
    fn met(&mut self, key: &[u8]) -> Option<(usize, Place)> {
        let (number, hash) = self.locate(key)?;
        let guard = self.guards.get(number)?;
        let place = guard.find(self.scope.db, hash, key)?;
        let entry = guard.at(self.scope.db, place)?;
        if !entry.is_expired(self.scope.now_ms) || self.expired == Expired::Keep {
            return Some((number, place));
        }
        self.expire(number, place);
        None
    }

    #[cold]
    fn expire(&mut self, number: usize, place: Place) {
        if self.expired == Expired::Hide {
            return;
        }
        let Some(guard) = self.guards.get_mut(number) else {
            return;
        };
        if let Some(entry) = guard.remove(self.scope.db, place, Fate::Gone) {
            self.tally.expired += 1;
            self.store
                .tell(self.scope.db, guard.slot(), entry.key(), Change::Expired);
            self.log_expired(entry.key());
            self.store.lazy_free.entry(entry);
        }
    }

    /// Counts what a look-up for reading has found, if anything; a miss is an event.
    #[inline(always)]
    fn counted(&mut self, key: &[u8], found: Option<(usize, Place)>) -> Option<(usize, Place)> {
        let found = self.counted_quietly(found);
        if found.is_none() {
            self.notify(EventClass::Missed, "keymiss", key);
        }
        found
    }

    #[inline(always)]
    fn counted_quietly(&mut self, found: Option<(usize, Place)>) -> Option<(usize, Place)> {
        match found {
            Some(_) => self.tally.hits += 1,
            None => self.tally.misses += 1,
        }
        found
    }

    #[inline(always)]
    fn touched(&mut self, (number, place): (usize, Place)) -> Option<&Entry> {
        let (db, clock) = (self.scope.db, self.clock);
        let guard = self.guards.get_mut(number)?;
        guard.touch(db, place, |word| clock.touched(word))
    }
}

impl Drop for Db<'_> {
    #[inline]
    fn drop(&mut self) {
        if (self.ready.is_some() || self.effects.is_some()) && !std::thread::panicking() {
            self.finish();
        }
        let Some(counters) = self.store.counters_of(self.scope.thread) else {
            return;
        };
        add(&counters.hits, self.tally.hits);
        add(&counters.misses, self.tally.misses);
        add(&counters.expired, self.tally.expired);
        add(&counters.changes, self.tally.changes);
    }
}
