//! What a slot's writers do for a snapshot that has not come to the slot.

use super::moves::Origin;
use super::pending::{LEAVINGS_MIN, Part, forget_kept};
use crate::store::slot::SlotGuard;
use crate::store::table::{Place, Table};

/// What is about to happen to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, and is changed.
    Changed,
    /// It goes, or its value does, and nobody wants it.
    Dropped,
    /// It goes, and somebody wants it.
    Taken,
    /// It has expired, or is evicted.
    Gone,
}

impl SlotGuard<'_> {
    /// To be called before a key comes, if the slot is unreached.
    #[cold]
    pub(in crate::store) fn keep_absence(&mut self, db: u16, hash: u64, key: &[u8]) {
        let store = self.store();
        if let Some(part) = self.pending().live(db) {
            part.note_new(store, hash, key);
        }
    }

    /// To be called before an entry's value is replaced.
    #[inline]
    pub(in crate::store) fn let_value_go(&mut self, db: u16, place: Place) {
        if self.is_unreached() {
            self.keep_entry(db, place, Fate::Dropped);
        }
    }

    /// To be called before an entry meets its fate, if the slot is unreached.
    #[cold]
    pub(in crate::store) fn keep_entry(&mut self, db: u16, place: Place, fate: Fate) {
        let store = self.store();
        self.pending();
        let change = self.with_pending(db, |table, pending| {
            let (part, entry) = (pending?.live(db)?, table.at_mut(place)?);
            let before = entry.memory();
            let hash = store.key_hash(entry.key());
            part.keep(store, hash, entry, fate);
            Some(entry.memory() as i64 - before as i64)
        });
        self.count_bytes(db, change.flatten().unwrap_or(0));
    }

    /// To be called before an entry moves elsewhere, and is removed here as one that is taken: what it
    /// was, for [`adopt`](Self::adopt), if the snapshot is to have that from there.
    #[inline]
    pub(in crate::store) fn release(&mut self, db: u16, place: Place) -> Option<Origin> {
        if !self.is_unreached() {
            return None;
        }
        self.release_unreached(db, place)
    }

    #[cold]
    fn release_unreached(&mut self, db: u16, place: Place) -> Option<Origin> {
        let store = self.store();
        self.pending();
        let origin = self.with_pending(db, |table, pending| {
            let (part, entry) = (pending?.live(db)?, table.at_mut(place)?);
            let hash = store.key_hash(entry.key());
            part.release(store, hash, entry)
        });
        origin.flatten()
    }

    /// To be called after an entry has come whose value the snapshot is to have as what it was.
    #[cold]
    pub(in crate::store) fn adopt(&mut self, db: u16, key: &[u8], origin: Origin) {
        let moves = &self.store().snapshots.moves;
        if self.reopen_pending() {
            moves.come_again(self.slot());
        }
        moves.note(&origin.name, self.slot(), key);
        if let Some(part) = self.pending().live_or_new(db) {
            part.adopt(key, origin);
        }
    }

    /// To be called after an entry has changed, if the slot is unreached: what its value has kept
    /// since it took `before` bytes is counted.
    #[cold]
    pub(in crate::store) fn count_kept(&mut self, db: u16, place: Place, before: usize) {
        let store = self.store();
        let after = self.kept_bytes(db, place);
        if let Some(part) = self.pending().live(db)
            && after > before
        {
            part.note_held(store, after - before);
        }
    }

    /// About what an entry's value keeps for the snapshot.
    #[cold]
    pub(in crate::store) fn kept_bytes(&mut self, db: u16, place: Place) -> usize {
        let bytes = self.with_pending(db, |table, _| {
            Some(table.at_mut(place)?.object_mut()?.kept_bytes())
        });
        bytes.flatten().unwrap_or(0)
    }

    /// A table that a flush takes out: the snapshot's, if it is to have it; or handed back.
    #[cold]
    pub(in crate::store) fn keep_table(
        &mut self,
        db: u16,
        table: Table,
        bytes: u64,
    ) -> Option<(Table, u64)> {
        let store = self.store();
        let part = self.pending().live(db);
        let Some(part) = part.filter(|part| part.needs_table()) else {
            return Some((table, bytes));
        };
        part.take_flushed(table, bytes);
        part.note_held(store, usize::try_from(bytes).unwrap_or(usize::MAX));
        None
    }

    /// Nothing is kept for a snapshot any more: it has all of the slot, or it is given up.
    pub(super) fn forget_pending(&mut self) {
        let store = self.store();
        let Some(mut pending) = self.end_pending() else {
            return;
        };
        let mut held = 0;
        for part in &mut pending.parts {
            held += part.let_go(store);
            if let Some((table, bytes)) = part.flushed_mut().take() {
                store.lazy_free.table(table, bytes);
                continue;
            }
            self.with_pending(part.live_db(), |table, _| {
                for key in part.keeping_keys() {
                    let place = table.find(store.key_hash(key), key);
                    if let Some(entry) = place.and_then(|place| table.at_mut(place)) {
                        forget_kept(store, entry);
                    }
                }
            });
        }
        for entry in pending.parts.iter_mut().flat_map(Part::drain_moved) {
            store.lazy_free.entry(entry);
        }
        if held >= LEAVINGS_MIN {
            store.lazy_free.leavings(pending);
        }
    }

    /// Works on one of the databases that the snapshot has, and its table.
    pub(super) fn with_part<R>(
        &mut self,
        number: usize,
        work: impl FnOnce(&mut Table, &mut Part) -> R,
    ) -> Option<R> {
        let part = self.pending().parts.get_mut(number)?;
        let db = part.live_db();
        if let Some((mut table, bytes)) = part.flushed_mut().take() {
            let result = work(&mut table, part);
            part.take_flushed(table, bytes);
            return Some(result);
        }
        self.with_pending(db, |table, pending| {
            Some(work(table, pending?.parts.get_mut(number)?))
        })
        .flatten()
    }
}
