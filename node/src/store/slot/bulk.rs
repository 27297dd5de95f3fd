//! What is done to all entries of a slot, or to many.

use super::{Entry, SlotGuard, Table};
use crate::store::snapshot::Fate;

/// A table that was taken out of a slot.
pub(crate) struct Flushed {
    /// How many keys it has.
    pub(crate) keys: usize,
    /// The table, and the bytes of its entries; `None` if a snapshot has it.
    pub(crate) table: Option<(Table, u64)>,
}

impl SlotGuard<'_> {
    /// Goes through one segment, taking out what is unwanted; where the next segment starts.
    pub(crate) fn sweep(
        &mut self,
        db: u16,
        from: u32,
        mut unwanted: impl FnMut(&Entry) -> bool,
        mut removed: impl FnMut(Entry),
    ) -> Option<u32> {
        let hasher = self.store.hasher;
        let (mut keys, mut expires, mut bytes) = (0, 0, 0);
        let mut pinned = Vec::new();
        let (next, emptied) = self.with_pending(db, |table, pending| {
            let unwanted = |entry: &Entry| {
                let is_unwanted = unwanted(entry);
                if is_unwanted && pending.as_ref().is_some_and(|it| it.pins(db, entry)) {
                    // It goes below, on its own, and what the snapshot needs of it stays.
                    pinned.push(entry.key().to_vec());
                    return false;
                }
                is_unwanted
            };
            let next = table.sweep(from, hasher, unwanted, |entry| {
                keys -= 1;
                expires -= i32::from(entry.is_volatile());
                bytes -= entry.memory() as i64;
                removed(entry);
            });
            (next, table.is_empty())
        })?;
        self.note_buckets(db);
        self.count(db, keys, expires, bytes);
        if keys != 0 && emptied {
            self.note_emptied();
        }
        for key in pinned {
            let place = self.find(db, self.store.key_hash(&key), &key);
            let entry = place.and_then(|place| self.remove(db, place, Fate::Gone));
            entry.into_iter().for_each(&mut removed);
        }
        next
    }

    /// Takes a whole table out, leaving an empty one; with the bytes of its entries. If a snapshot
    /// is still to have it, it is the snapshot's.
    pub(crate) fn take(&mut self, db: u16) -> Option<Flushed> {
        if self.cell.is_unreached() {
            // What there is now is what it is to have.
            self.pending();
        }
        let expires = self.expires(db);
        let alone = self.databases().all(|other| other == db);
        let table = std::mem::take(self.table_mut(db)?);
        self.note_buckets(db);
        if table.is_empty() {
            return None;
        }
        // Nearly always the slot's counter knows, and millions of entries need not be visited.
        let bytes = if alone {
            self.cell.bytes()
        } else {
            table.iter().map(|entry| entry.memory() as u64).sum()
        };
        self.count(
            db,
            -(table.len() as i32),
            -(expires as i32),
            -(bytes as i64),
        );
        let keys = table.len();
        let left = if self.cell.is_unreached() {
            self.keep_table(db, table, bytes)
        } else {
            Some((table, bytes))
        };
        self.note_emptied();
        Some(Flushed { keys, table: left })
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u16, b: u16) {
        if self.cell.is_unreached() {
            self.pending().swap(a, b);
        }
        let (expires_a, expires_b) = (self.expires(a), self.expires(b));
        let (Some(table_a), Some(table_b)) = (self.give(a), self.give(b)) else {
            return;
        };
        self.receive(a, table_b, expires_b);
        self.receive(b, table_a, expires_a);
        if expires_a != 0 || expires_b != 0 {
            // A sweep may be between the two, having taken the bound away: it starts anew.
            self.store.due.lower(self.slot, 0);
        }
    }

    fn give(&mut self, db: u16) -> Option<Table> {
        if db != 0 {
            self.make_database(db);
        }
        let expires = self.expires(db);
        let table = std::mem::take(self.table_mut(db)?);
        self.note_buckets(db);
        self.count(db, -(table.len() as i32), -(expires as i32), 0);
        Some(table)
    }

    fn receive(&mut self, db: u16, table: Table, expires: u32) {
        let keys = table.len() as i32;
        if let Some(place) = self.table_mut(db) {
            *place = table;
        }
        self.note_buckets(db);
        self.count(db, keys, expires as i32, 0);
    }
}
