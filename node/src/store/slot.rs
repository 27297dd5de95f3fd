//! One slot: a lock, the tables behind it, and counters that need no lock to be read.
//!
//! ```text
//!  0  lock  1 byte      8  keys of db 0, 4     16  bytes of entries, 8
//!  1  serving, 1       12  of those volatile   24  table of db 0, 24
//!  2  watched, 1
//!  3  awaited, 1
//!  4  busy, 1
//!  5  unreached, 1                             48  the rest, boxed, 8
//!  6  how many buckets, 2                      56  where its buckets are, 8
//! ```
//!
//! One cache line, so a command on a slot that is not in the cache waits once. What a slot needs
//! rarely (other databases, what a snapshot is still to have) is in [`Extra`].

mod bulk;
mod pending;

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

use parking_lot::lock_api::RawMutex as _;
use slotilla_common::slot::Slot;

use super::Store;
use super::entry::Entry;
use super::snapshot::{Fate, Pending};
use super::table::{Bucket, Place, Table, prefetch_home};
use super::turns::busy;
use super::wait::bit;
use crate::cluster::routing::Serving;

pub(super) use bulk::Flushed;

#[repr(C, align(64))]
pub(crate) struct Cell {
    lock: parking_lot::RawMutex,
    serving: AtomicU8,
    /// Whether somebody watches a key of the slot; [`super::watch`] has who.
    watched: AtomicBool,
    /// Whether somebody waits for a key of the slot; [`super::wait`] has who, and the bits.
    awaited: AtomicU8,
    /// Whether the slot is out, and whether somebody stands in line for it: [`super::turns`] has
    /// who, and the bits.
    busy: AtomicU8,
    /// Whether a snapshot is under way that does not have all of the slot yet:
    /// [`super::snapshot`].
    unreached: AtomicBool,
    buckets: AtomicU16,
    keys: AtomicU32,
    expires: AtomicU32,
    bytes: AtomicU64,
    data: UnsafeCell<Data>,
    /// Where the table of database 0 has its buckets, and `buckets` how many, unless it has more
    /// than one segment: so that a key's bucket can be fetched without the lock. Nothing is read
    /// through it. The two may disagree for an instant, and then the wrong line is fetched.
    first_bucket: AtomicPtr<Bucket>,
}

const _: () = assert!(size_of::<Cell>() == 64, "a slot is one cache line");

// SAFETY: `data` is reached through a `SlotGuard` alone, of which there is one at a time: whoever
// has the lock finds the slot in, or makes none; while it is out its owner has the only one.
// Everything in it may be sent between threads.
unsafe impl Sync for Cell {}

/// What the lock guards.
#[derive(Default)]
struct Data {
    table: Table,
    extra: Option<Box<Extra>>,
}

/// What few slots have.
#[derive(Default)]
struct Extra {
    others: Vec<OtherDb>,
    pending: Option<Box<Pending>>,
}

/// A database but the first.
struct OtherDb {
    index: u16,
    expires: u32,
    table: Table,
}

impl Cell {
    pub(crate) fn new(serving: Serving) -> Self {
        Self {
            lock: parking_lot::RawMutex::INIT,
            serving: AtomicU8::new(serving as u8),
            watched: AtomicBool::new(false),
            awaited: AtomicU8::new(0),
            busy: AtomicU8::new(0),
            unreached: AtomicBool::new(false),
            buckets: AtomicU16::new(0),
            keys: AtomicU32::new(0),
            expires: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            data: UnsafeCell::new(Data::default()),
            first_bucket: AtomicPtr::default(),
        }
    }

    /// Starts fetching the bucket that would have a key of this hash, in the first database.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        let first = self.first_bucket.load(Ordering::Relaxed);
        let buckets = self.buckets.load(Ordering::Relaxed);
        prefetch_home(first, usize::from(buckets), hash);
    }

    /// What this node is to the slot. Exact for whoever has it locked.
    #[inline]
    pub(super) fn serving(&self) -> Serving {
        match self.serving.load(Ordering::Relaxed) {
            0 => Serving::Ours,
            1 => Serving::Migrating,
            2 => Serving::Importing,
            3 => Serving::Replica,
            4 => Serving::Elsewhere,
            _ => Serving::Unassigned,
        }
    }

    /// Keys of database 0, as of some moment ago.
    pub(crate) fn keys(&self) -> u32 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Keys of database 0 that have an expiry, as of some moment ago.
    pub(crate) fn expires(&self) -> u32 {
        self.expires.load(Ordering::Relaxed)
    }

    /// Whether somebody watches a key here. Exact for whoever has the slot locked.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Whether somebody waits for a key here, in the bits of [`super::wait::bit`]. For whoever has
    /// the slot locked, nobody is missing.
    #[inline]
    pub(super) fn awaited(&self) -> u8 {
        self.awaited.load(Ordering::Relaxed)
    }

    pub(super) fn set_awaited(&self, bits: u8) {
        self.awaited.store(bits, Ordering::Relaxed);
    }

    /// Whether a snapshot is still to have some of the slot. Exact for whoever has it locked.
    #[inline]
    pub(super) fn is_unreached(&self) -> bool {
        self.unreached.load(Ordering::Relaxed)
    }

    pub(super) fn set_unreached(&self, unreached: bool) {
        self.unreached.store(unreached, Ordering::Relaxed);
    }

    /// To be called under the lock of the lines, and, where it comes to be out or in, under the
    /// slot's own.
    pub(super) fn set_busy(&self, bits: u8) {
        self.busy.store(bits, Ordering::Relaxed);
    }

    /// Bytes of all databases' entries, as of some moment ago.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A slot that is locked, for microseconds and never across an await; or one that is out, and then
/// only its owner has this.
pub struct SlotGuard<'s> {
    store: &'s Store,
    cell: &'s Cell,
    slot: Slot,
}

impl<'s> SlotGuard<'s> {
    /// Locks a slot; if it is out, sleeps until it is back.
    #[inline]
    pub(super) fn lock(store: &'s Store, cell: &'s Cell, slot: Slot) -> Self {
        loop {
            if let Some(guard) = Self::lock_unless(store, cell, slot, busy::OUT) {
                return guard;
            }
            store.await_back(slot);
        }
    }

    /// Locks a slot unless one of these bits says that it is busy. They must include
    /// [`busy::OUT`].
    #[inline]
    pub(super) fn lock_unless(
        store: &'s Store,
        cell: &'s Cell,
        slot: Slot,
        bits: u8,
    ) -> Option<Self> {
        cell.lock.lock();
        if cell.busy.load(Ordering::Relaxed) & bits != 0 {
            // SAFETY: locked the line before.
            unsafe { cell.lock.unlock() };
            return None;
        }
        Some(Self { store, cell, slot })
    }

    /// Lets the lock go, though not the slot, which has been noted to be out.
    pub(super) fn go_out(self) {
        debug_assert!(self.is_out(), "noted under the lock");
        let guard = std::mem::ManuallyDrop::new(self);
        // SAFETY: a guard is made by locking, and is the only one; this one is not dropped.
        unsafe { guard.cell.lock.unlock() };
    }

    /// A slot that is out, for its owner: whoever has let it go out.
    pub(super) fn resume(store: &'s Store, cell: &'s Cell, slot: Slot) -> Self {
        Self { store, cell, slot }
    }

    #[inline]
    fn is_out(&self) -> bool {
        self.cell.busy.load(Ordering::Relaxed) & busy::OUT != 0
    }

    /// The end of being out.
    #[cold]
    fn put_back(&mut self) {
        loop {
            self.store.do_errands(self);
            self.cell.lock.lock();
            let called = self.store.note_back(self.slot);
            // SAFETY: locked above.
            unsafe { self.cell.lock.unlock() };
            if let Some(called) = called {
                self.store.call(&called);
                return;
            }
        }
    }

    /// Which slot.
    #[must_use]
    #[inline]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The store that the slot is of.
    #[must_use]
    #[inline]
    pub const fn store(&self) -> &'s Store {
        self.store
    }

    /// Bytes of all databases' entries.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.cell.bytes()
    }

    /// Whether somebody waits for a key of the slot.
    #[inline]
    pub(super) fn is_awaited(&self) -> bool {
        self.cell.awaited() != 0
    }

    /// Whether to serve somebody who waits for a key of the slot takes another slot as well.
    #[inline]
    pub fn is_entangled(&self) -> bool {
        self.cell.awaited() & bit::ENTANGLED != 0
    }

    /// What this node is to the slot.
    #[must_use]
    #[inline]
    pub fn serving(&self) -> Serving {
        self.cell.serving()
    }

    /// Sets what this node is to the slot; commands see it from the next one on.
    pub fn set_serving(&mut self, serving: Serving) {
        self.cell.serving.store(serving as u8, Ordering::Relaxed);
        if matches!(
            serving,
            Serving::Replica | Serving::Elsewhere | Serving::Unassigned
        ) {
            self.store.touch_lost(self.slot);
        }
    }

    #[inline]
    fn data(&self) -> &Data {
        // SAFETY: the lock is held, or the slot is out and its owner's; writers borrow the guard
        // mutably.
        unsafe { &*self.cell.data.get() }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut Data {
        // SAFETY: the lock is held, or the slot is out and its owner's; the guard is borrowed
        // mutably.
        unsafe { &mut *self.cell.data.get() }
    }

    /// The table of a database; `None` if it never had a key in this slot.
    #[inline]
    pub(crate) fn table(&self, db: u16) -> Option<&Table> {
        let data = self.data();
        if db == 0 {
            return Some(&data.table);
        }
        let others = &data.extra.as_ref()?.others;
        Some(&others.iter().find(|other| other.index == db)?.table)
    }

    #[inline]
    fn table_mut(&mut self, db: u16) -> Option<&mut Table> {
        let data = self.data_mut();
        if db == 0 {
            return Some(&mut data.table);
        }
        let others = &mut data.extra.as_mut()?.others;
        Some(&mut others.iter_mut().find(|other| other.index == db)?.table)
    }

    /// The databases that have keys here.
    pub(crate) fn databases(&self) -> impl Iterator<Item = u16> {
        let data = self.data();
        let others = data.extra.iter().flat_map(|extra| &extra.others);
        let first = (!data.table.is_empty()).then_some(0);
        let rest: smallvec::SmallVec<[u16; 16]> = others
            .filter(|other| !other.table.is_empty())
            .map(|other| other.index)
            .collect();
        first.into_iter().chain(rest)
    }

    /// How many keys a database has in this slot.
    #[must_use]
    pub fn keys(&self, db: u16) -> usize {
        self.table(db).map_or(0, Table::len)
    }

    /// How many of a database's keys in this slot have an expiry.
    #[must_use]
    pub fn expires(&self, db: u16) -> u32 {
        if db == 0 {
            return self.cell.expires();
        }
        let others = self.data().extra.iter().flat_map(|extra| &extra.others);
        others
            .filter(|other| other.index == db)
            .map(|other| other.expires)
            .sum()
    }

    #[inline(always)]
    pub(crate) fn find(&self, db: u16, hash: u64, key: &[u8]) -> Option<Place> {
        self.table(db)?.find(hash, key)
    }

    #[inline]
    pub(crate) fn at(&self, db: u16, place: Place) -> Option<&Entry> {
        self.table(db)?.at(place)
    }

    /// Sets the access word of the entry at `place`, which no counter depends on; the entry.
    #[inline(always)]
    pub(crate) fn touch(
        &mut self,
        db: u16,
        place: Place,
        touch: impl FnOnce(u32) -> u32,
    ) -> Option<&Entry> {
        let entry = self.table_mut(db)?.at_mut(place)?;
        entry.set_access(touch(entry.access()));
        Some(entry)
    }

    /// Adds an entry whose key is not there.
    #[inline]
    pub(crate) fn insert(&mut self, db: u16, hash: u64, entry: Entry) {
        if self.cell.is_unreached() {
            self.keep_absence(db, hash, entry.key());
        }
        if db != 0 {
            self.make_database(db);
        }
        let hasher = self.store.hasher;
        let bytes = entry.memory();
        let expiry = entry.expiry();
        let Some(table) = self.table_mut(db) else {
            return;
        };
        table.insert(hash, entry, hasher);
        let first = table.len() == 1;
        self.note_buckets(db);
        if first {
            self.store.occupied.insert(self.slot);
        }
        self.count(db, 1, i32::from(expiry.is_some()), bytes as i64);
        self.store.due.note(self.slot, expiry);
    }

    /// Takes an entry out, for this fate: one that nobody wants may come without its value.
    pub(crate) fn remove(&mut self, db: u16, place: Place, fate: Fate) -> Option<Entry> {
        if self.cell.is_unreached() {
            self.keep_entry(db, place, fate);
        }
        let hasher = self.store.hasher;
        let table = self.table_mut(db)?;
        let entry = table.remove(place, hasher)?;
        let emptied = table.is_empty();
        self.note_buckets(db);
        self.count(
            db,
            -1,
            -i32::from(entry.is_volatile()),
            -(entry.memory() as i64),
        );
        if emptied {
            self.note_emptied();
        }
        Some(entry)
    }

    /// Changes the entry at `place`, keeping the counters right.
    #[inline]
    pub(crate) fn change<R>(
        &mut self,
        db: u16,
        place: Place,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        if self.cell.is_unreached() {
            return self.change_unreached(db, place, change);
        }
        self.change_now(db, place, change)
    }

    #[cold]
    fn change_unreached<R>(
        &mut self,
        db: u16,
        place: Place,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        self.keep_entry(db, place, Fate::Changed);
        let before = self.kept_bytes(db, place);
        let result = self.change_now(db, place, change);
        self.count_kept(db, place, before);
        result
    }

    #[inline]
    fn change_now<R>(
        &mut self,
        db: u16,
        place: Place,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let entry = self.table_mut(db)?.at_mut(place)?;
        let plain = entry.plain();
        let before = match plain {
            Some(_) => (0, None),
            None => (entry.memory(), entry.expiry()),
        };
        let result = change(entry);
        let before = match plain {
            // Nearly always: a number counted on, a value of the same length.
            Some(_) if entry.plain() == plain => return Some(result),
            Some(plain) => (entry.memory_when(plain), None),
            None => before,
        };
        let after = (entry.memory(), entry.expiry());
        if before != after {
            let volatile = i32::from(after.1.is_some()) - i32::from(before.1.is_some());
            self.count(db, 0, volatile, after.0 as i64 - before.0 as i64);
            if before.1 != after.1 {
                self.store.due.note(self.slot, after.1);
            }
        }
        Some(result)
    }

    fn make_database(&mut self, db: u16) {
        let others = &mut self.data_mut().extra.get_or_insert_default().others;
        if !others.iter().any(|other| other.index == db) {
            others.push(OtherDb {
                index: db,
                expires: 0,
                table: Table::default(),
            });
        }
    }

    /// After a table has changed: tells [`Cell::prefetch_bucket`] where its buckets are now.
    #[inline]
    fn note_buckets(&self, db: u16) {
        if db != 0 {
            return;
        }
        let buckets = self.data().table.buckets();
        let first = buckets.as_ptr().cast_mut();
        // A segment has far fewer than 2^16 buckets: it splits at 128.
        let count = buckets.len() as u16;
        self.cell.first_bucket.store(first, Ordering::Relaxed);
        self.cell.buckets.store(count, Ordering::Relaxed);
    }

    /// Moves the counter of bytes.
    pub(super) fn count_bytes(&mut self, db: u16, bytes: i64) {
        self.count(db, 0, 0, bytes);
    }

    /// Moves the counters. Nobody else does meanwhile, so plain loads and stores lose nothing.
    #[inline]
    fn count(&mut self, db: u16, keys: i32, expires: i32, bytes: i64) {
        let cell = self.cell;
        let add = |counter: &AtomicU32, n: i32| {
            counter.store(
                counter.load(Ordering::Relaxed).wrapping_add_signed(n),
                Ordering::Relaxed,
            );
        };
        let sum = cell.bytes().wrapping_add_signed(bytes);
        cell.bytes.store(sum, Ordering::Relaxed);
        if db == 0 {
            add(&cell.keys, keys);
            if expires != 0 {
                add(&cell.expires, expires);
            }
            return;
        }
        self.store.other_dbs.count(db, keys, expires);
        let others = self
            .data_mut()
            .extra
            .iter_mut()
            .flat_map(|extra| &mut extra.others);
        for other in others.filter(|other| other.index == db) {
            other.expires = other.expires.wrapping_add_signed(expires);
        }
    }

    fn note_emptied(&mut self) {
        if self.databases().next().is_none() {
            let extra = &mut self.data_mut().extra;
            match extra {
                Some(extra) if extra.pending.is_some() => extra.others.clear(),
                _ => *extra = None,
            }
            self.store.occupied.remove(self.slot);
        }
    }
}

impl Drop for SlotGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_out() {
            self.put_back();
            return;
        }
        // SAFETY: a guard of a slot that is in is made by locking, and is the only one.
        unsafe { self.cell.lock.unlock() };
    }
}

impl fmt::Debug for SlotGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotGuard({})", self.slot)
    }
}
