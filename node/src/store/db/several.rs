//! Several values at once, for commands that combine them.

use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::super::entry::{Entry, ValueRef};
use super::Db;
use crate::store::slot::SlotGuard;

/// So many keys are looked ahead for at a time: what was fetched for them must still be in the
/// cache when their turn comes.
pub const LOOK_AHEAD: usize = 16;

/// Hashes of keys.
pub(crate) type Hashes = SmallVec<[u64; LOOK_AHEAD]>;

impl Db<'_> {
    /// The values at several keys, for a command that reads: counts hits and misses and the use.
    pub fn read_several(&mut self, keys: &[&[u8]]) -> Vec<Option<ValueRef<'_>>> {
        for key in keys {
            self.read_entry(key);
        }
        self.all_of(keys)
    }

    /// Hashes keys that are about to be looked up one after the other, and starts to fetch the
    /// memory of all, so that the waits overlap. Their slots are locked.
    pub(crate) fn look_ahead<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Hashes {
        // In a cluster, and often elsewhere, there is but one.
        let only = match self.guards.as_slice() {
            [only] => Some(only.slot()),
            _ => None,
        };
        let slot = |key| only.unwrap_or_else(|| Slot::of_key(key));
        let places: SmallVec<[(Slot, u64); LOOK_AHEAD]> = keys
            .map(|key| (slot(key), self.store.key_hash(key)))
            .collect();
        for (slot, hash) in &places {
            self.store.prefetch_bucket(*slot, *hash);
        }
        for (slot, hash) in &places {
            let number = self.guards.binary_search_by_key(slot, SlotGuard::slot);
            let guard = number.ok().and_then(|number| self.guards.get(number));
            if let Some(table) = guard.and_then(|guard| guard.table(self.scope.db)) {
                table.prefetch(*hash);
            }
        }
        places.into_iter().map(|(_, hash)| hash).collect()
    }

    fn all_of(&self, keys: &[&[u8]]) -> Vec<Option<ValueRef<'_>>> {
        let value = |key: &&[u8]| self.here(key).map(Entry::value);
        keys.iter().map(value).collect()
    }
}
