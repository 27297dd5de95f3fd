//! What goes through all slots: SCAN, KEYS, RANDOMKEY, FLUSHALL, SWAPDB, DBSIZE.
//!
//! Slot by slot: no lock is held for longer than a segment takes. Whoever needs one instant for all
//! slots (FLUSHALL, SWAPDB) calls these while no other thread is inside a command.

use slotilla_common::clock;
use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::entry::Entry;
use super::observe::Change;
use super::settings::add;
use super::slot::{self, Cell, SlotGuard};
use super::snapshot::Fate;
use super::table::{POSITION_BITS, POSITIONS, Table};
use super::{Scope, Store};

/// Entries met under one lock.
const PER_LOCK: usize = 512;
/// Slots without a key of the database that one call of `scan` passes by.
const EMPTY_MAX: usize = 1024;

/// Keys of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DbTotals {
    /// All of them.
    pub keys: u64,
    /// Those that have an expiry.
    pub expires: u64,
    /// How long those have to go on average, by a sample; 0 if there are none.
    pub average_ttl_ms: i64,
}

/// Tables that a flush took out of the store. Their entries are freed when this is.
#[derive(Default)]
pub struct Flushed {
    tables: Vec<(Table, u64)>,
    keys: usize,
}

impl Flushed {
    /// Leaves the freeing to the freeing thread.
    pub fn free_in_background(self, store: &Store) {
        for (table, bytes) in self.tables {
            store.lazy_free.table(table, bytes);
        }
    }

    /// How many keys there were, those included that a snapshot is still to have.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys
    }

    fn add(&mut self, one: slot::Flushed) {
        self.keys += one.keys;
        self.tables.extend(one.table);
    }
}

impl Store {
    /// SCAN: visits about `count` entries from `cursor` on; the cursor to go on with, 0 at the end.
    ///
    /// Every key that is there from the first call (cursor 0) to the last is visited; one that
    /// comes or goes meanwhile may be. A cursor is a slot and a position within it, below 2^34.
    ///
    /// Ends early at a slot that is out.
    ///
    /// # Errors
    /// That slot, if nothing has been visited before it.
    pub fn scan(
        &self,
        scope: Scope,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) -> Result<u64, Slot> {
        let mut from = usize::try_from(cursor >> POSITION_BITS).unwrap_or(usize::MAX);
        let mut position = (cursor & u64::from(POSITIONS - 1)) as u32;
        let (mut left, mut empty) = (count.max(1), 0);
        loop {
            if from >= usize::from(Slot::COUNT) {
                return Ok(0);
            }
            let Some(slot) = self.occupied.next(from) else {
                return Ok(0);
            };
            if slot.index() != from {
                position = 0;
            }
            let Some(mut guard) = self.try_lock(slot) else {
                if left == count.max(1) {
                    return Err(slot);
                }
                return Ok((slot.index() as u64) << POSITION_BITS | u64::from(position));
            };
            let (seen, next) =
                self.scan_slot(&mut guard, scope, position, left.min(PER_LOCK), &mut visit);
            drop(guard);
            (from, position) = match next {
                Some(position) => (slot.index(), position),
                None => (slot.index() + 1, 0),
            };
            empty += usize::from(seen == 0);
            left = left.saturating_sub(seen);
            if left == 0 || empty == EMPTY_MAX {
                let more = self.occupied.next(from).is_some();
                let cursor = (from as u64) << POSITION_BITS | u64::from(position);
                return Ok(if more { cursor } else { 0 });
            }
        }
    }

    /// Visits entries of one locked slot; how many there were, expired ones included, and the
    /// position to go on from.
    fn scan_slot(
        &self,
        guard: &mut SlotGuard<'_>,
        scope: Scope,
        position: u32,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) -> (usize, Option<u32>) {
        let (mut seen, mut expired) = (0, Vec::new());
        let Some(table) = guard.table(scope.db) else {
            return (0, None);
        };
        let next = table.scan(position, count, self.hasher, |entry| {
            seen += 1;
            if entry.is_expired(scope.now_ms) {
                expired.push(self.hasher.hash(entry.key()));
            } else {
                visit(entry);
            }
        });
        for hash in expired {
            self.expire_by_hash(guard, scope, hash);
        }
        (seen, next)
    }

    /// Deletes an expired entry of this hash, unless expired keys stay.
    pub(crate) fn expire_by_hash(&self, guard: &mut SlotGuard<'_>, scope: Scope, hash: u64) {
        if self.settings.hide_expired() {
            return;
        }
        let place = guard.table(scope.db).and_then(|table| {
            table.find_by(hash, |entry| {
                entry.is_expired(scope.now_ms) && self.hasher.hash(entry.key()) == hash
            })
        });
        if let Some(entry) = place.and_then(|place| guard.remove(scope.db, place, Fate::Gone)) {
            if let Some(counters) = self.counters_of(scope.thread) {
                add(&counters.expired, 1);
            }
            self.tell(scope.db, guard.slot(), entry.key(), Change::Expired);
            self.log_deletion(scope, entry.key(), self.settings.unlinks_expired());
            self.lazy_free.entry(entry);
        }
    }

    /// A key of the database, each with nearly the same chance.
    ///
    /// # Errors
    /// A slot that is out, if none was found elsewhere.
    pub fn random_key(&self, scope: Scope) -> Result<Option<Vec<u8>>, Slot> {
        // On a replica expired keys stay, and there may be nothing else.
        const TRIES: usize = 100;
        const TRIES_OUT: usize = 4;
        let mut random = fastrand::Rng::new();
        let (mut last, mut out) = (None, SmallVec::<[Slot; TRIES_OUT]>::new());
        for _ in 0..TRIES {
            if out.len() == TRIES_OUT {
                break;
            }
            let Some(slot) = self.random_slot(scope.db, &mut random) else {
                break;
            };
            let Some(mut guard) = self.try_lock(slot) else {
                out.push(slot);
                continue;
            };
            let Some(entry) = guard
                .table(scope.db)
                .and_then(|table| table.random(&mut random))
            else {
                continue;
            };
            last = Some(entry.key().to_vec());
            if !entry.is_expired(scope.now_ms) {
                return Ok(last);
            }
            if !self.settings.hide_expired() {
                let hash = self.hasher.hash(entry.key());
                last = None;
                self.expire_by_hash(&mut guard, scope, hash);
            }
        }
        match (last, out.pop()) {
            (None, Some(slot)) => Err(slot),
            (last, _) => Ok(last),
        }
    }

    /// A slot, its chance being its share of the database's keys.
    fn random_slot(&self, db: u16, random: &mut fastrand::Rng) -> Option<Slot> {
        let total = self.totals_of(db).0;
        if total == 0 {
            return None;
        }
        let mut left = random.u64(0..total);
        let mut last = None;
        let mut from = 0;
        while let Some(slot) = self.occupied.next(from) {
            from = slot.index() + 1;
            let keys = self.keys_of(slot, db);
            if keys > 0 {
                last = Some(slot);
            }
            if left < keys {
                break;
            }
            left -= keys;
        }
        last
    }

    /// Keys of a database in one slot.
    fn keys_of(&self, slot: Slot, db: u16) -> u64 {
        if db == 0 {
            return u64::from(self.cell(slot).keys());
        }
        // A slot that is out may have some.
        self.try_lock(slot).map_or(1, |guard| guard.keys(db) as u64)
    }

    /// Keys of a database, and how many of them have an expiry.
    fn totals_of(&self, db: u16) -> (u64, u64) {
        if db != 0 {
            return self.other_dbs.totals(db);
        }
        let add = |(keys, expires): (u64, u64), cell: &Cell| {
            (
                keys + u64::from(cell.keys()),
                expires + u64::from(cell.expires()),
            )
        };
        self.cells.iter().fold((0, 0), add)
    }

    /// DBSIZE.
    #[must_use]
    pub fn len(&self, db: u16) -> u64 {
        self.totals_of(db).0
    }

    /// Whether no database has a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.occupied.next(0).is_none()
    }

    /// What INFO says of a database.
    #[must_use]
    pub fn totals(&self, db: u16, now_ms: i64) -> DbTotals {
        let (keys, expires) = self.totals_of(db);
        DbTotals {
            keys,
            expires,
            average_ttl_ms: if expires == 0 {
                0
            } else {
                self.sample_ttl(db, now_ms)
            },
        }
    }

    fn sample_ttl(&self, db: u16, now_ms: i64) -> i64 {
        const SAMPLES: i64 = 32;
        const SLOTS: usize = 256;
        let mut random = fastrand::Rng::new();
        let (mut sum, mut met) = (0i64, 0);
        for _ in 0..SLOTS {
            let start = random.usize(0..usize::from(Slot::COUNT));
            let Some(slot) = self.occupied.next(start).or_else(|| self.occupied.next(0)) else {
                break;
            };
            let Some(guard) = self.try_lock(slot).filter(|guard| guard.expires(db) > 0) else {
                continue;
            };
            let Some(table) = guard.table(db) else {
                continue;
            };
            table.sample(&mut random, |entry| {
                if let Some(at) = entry.expiry() {
                    sum = sum.saturating_add(at.saturating_sub(now_ms).max(0));
                    met += 1;
                }
                !entry.is_volatile()
            });
            if met >= SAMPLES {
                break;
            }
        }
        sum / met.max(1)
    }

    /// Bytes of a database's tables, without their entries and without slots that are out.
    #[must_use]
    pub fn table_bytes(&self, db: u16) -> usize {
        let (mut bytes, mut from) = (0, 0);
        while let Some(slot) = self.occupied.next(from) {
            from = slot.index() + 1;
            let guard = self.try_lock(slot);
            let table = guard.as_ref().and_then(|guard| guard.table(db));
            bytes += table.map_or(0, Table::memory);
        }
        bytes
    }

    /// How many keys a slot has (CLUSTER COUNTKEYSINSLOT).
    #[must_use]
    pub fn slot_len(&self, slot: Slot) -> usize {
        self.cell(slot).keys() as usize
    }

    /// Some keys of a locked slot (CLUSTER GETKEYSINSLOT).
    #[must_use]
    pub fn slot_keys(guard: &SlotGuard<'_>, most: usize) -> Vec<Vec<u8>> {
        let entries = guard.table(0).into_iter().flat_map(Table::iter);
        entries
            .take(most)
            .map(|entry| entry.key().to_vec())
            .collect()
    }

    /// Shows `visit` all entries of a database whose slot is this, expired ones included; false if
    /// the slot is out.
    #[must_use]
    pub fn visit_slot(&self, slot: Slot, db: u16, visit: impl FnMut(&Entry)) -> bool {
        let Some(guard) = self.try_lock(slot) else {
            return false;
        };
        guard
            .table(db)
            .into_iter()
            .flat_map(Table::iter)
            .for_each(visit);
        true
    }

    /// Takes all keys out of a database, or of all of them; and then the snapshot that is under way
    /// is given up, as in Redis: they are to take no memory any more.
    #[must_use = "the keys are freed when it is dropped: that can take long"]
    pub fn flush(&self, db: Option<u16>) -> Flushed {
        if db.is_none() {
            self.abandon_snapshot();
        }
        let mut flushed = Flushed::default();
        let mut from = 0;
        while let Some(slot) = self.occupied.next(from) {
            from = slot.index() + 1;
            self.flush_locked(&mut self.lock(slot), db, &mut flushed);
        }
        self.count_flushed(flushed)
    }

    /// Takes all keys out of one slot (its data has moved to another node, or is not ours).
    #[must_use = "the keys are freed when it is dropped: that can take long"]
    pub fn flush_slot(&self, guard: &mut SlotGuard<'_>) -> Flushed {
        if self.log().takes_effects() {
            self.log_flushed(guard);
        }
        let mut flushed = Flushed::default();
        self.flush_locked(guard, None, &mut flushed);
        self.count_flushed(flushed)
    }

    /// There is no command that takes the keys of a slot: each goes by itself, as in Redis.
    #[cold]
    fn log_flushed(&self, guard: &SlotGuard<'_>) {
        let unlinks = self.settings.unlinks_flushed();
        for db in guard.databases().filter(|db| *db < self.databases) {
            let scope = Scope {
                db,
                ..Scope::default()
            };
            for entry in guard.table(db).into_iter().flat_map(Table::iter) {
                self.log_deletion(scope, entry.key(), unlinks);
            }
        }
    }

    /// The first of the databases beside those that are served: what is loaded there nobody sees
    /// until [`exchange_aside`](Self::exchange_aside). None if there are too many databases.
    #[must_use]
    pub fn aside(&self) -> Option<u16> {
        let last = self.databases.checked_mul(2);
        last.map(|_| self.databases)
    }

    /// All databases change places with those beside. Whoever calls it sees to it that no command
    /// runs meanwhile.
    pub fn exchange_aside(&self) {
        let Some(aside) = self.aside() else {
            return;
        };
        // It would be one of data that nobody has any longer.
        self.abandon_snapshot();
        for db in 0..self.databases {
            if self.len(db) > 0 || self.len(aside.saturating_add(db)) > 0 {
                self.swap_databases(db, aside.saturating_add(db));
            }
        }
    }

    /// Takes what a slot has in the databases beside.
    #[must_use = "the keys are freed when it is dropped: that can take long"]
    pub fn flush_aside(&self, slot: Slot) -> Flushed {
        let mut guard = self.lock(slot);
        let aside: Vec<u16> = guard
            .databases()
            .filter(|db| *db >= self.databases)
            .collect();
        let mut flushed = Flushed::default();
        for db in aside {
            if let Some(one) = guard.take(db) {
                flushed.add(one);
            }
        }
        flushed
    }

    /// Every key that goes is a change that no snapshot has yet.
    fn count_flushed(&self, flushed: Flushed) -> Flushed {
        if let Some(counters) = self.counters_of(0) {
            add(&counters.changes, flushed.keys() as u64);
        }
        flushed
    }

    fn flush_locked(&self, guard: &mut SlotGuard<'_>, db: Option<u16>, flushed: &mut Flushed) {
        self.touch_flushed(guard, db);
        let chosen: Vec<u16> = match db {
            Some(db) => vec![db],
            None => guard
                .databases()
                .filter(|db| *db < self.databases)
                .collect(),
        };
        for one in chosen.into_iter().filter_map(|db| guard.take(db)) {
            flushed.add(one);
        }
        if guard.databases().next().is_none() {
            self.due.take(guard.slot());
        }
    }

    /// SWAPDB. Whoever calls it sees to it that no command runs meanwhile.
    pub fn swap_databases(&self, a: u16, b: u16) {
        self.swap_databases_at(a, b, clock::unix_ms());
    }

    pub(super) fn swap_databases_at(&self, a: u16, b: u16, now_ms: i64) {
        if a == b {
            return;
        }
        let scope = Scope {
            now_ms,
            ..Scope::default()
        };
        self.as_one(scope, || {
            let mut from = 0;
            while let Some(slot) = self.occupied.next(from) {
                from = slot.index() + 1;
                let mut guard = self.lock(slot);
                self.touch_swapped(&guard, (a, b), now_ms);
                guard.swap(a, b);
            }
            self.note_swapped([a, b]);
        });
    }
}
