//! Several values at once, for commands that combine them.

use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::super::entry::{Entry, ValueRef};
use super::{Db, Located};

/// So many keys are looked ahead for at a time: what was fetched for them must still be in the
/// cache when their turn comes.
pub const LOOK_AHEAD: usize = 16;

/// Where keys belong, for each in turn.
pub(crate) type Places = SmallVec<[Located; LOOK_AHEAD]>;

impl Db<'_> {
    /// The values at several keys, for a command that reads: counts hits and misses and the use. The
    /// keys behind one that `check` refuses are not looked up.
    ///
    /// # Errors
    /// Why `check` has refused one.
    pub fn read_several<E>(
        &mut self,
        keys: &[&[u8]],
        check: impl Fn(Option<ValueRef<'_>>) -> Result<(), E>,
    ) -> Result<Vec<Option<ValueRef<'_>>>, E> {
        for key in keys {
            check(self.read(key))?;
        }
        Ok(self.all_of(keys))
    }

    /// Locates keys that are about to be looked up one after the other, and starts to fetch the
    /// memory of all, so that the waits overlap. Their slots are locked.
    pub(crate) fn look_ahead<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Places {
        // In a cluster, and often elsewhere, there is but one slot.
        let only = match &*self.guards {
            [only] => Some(only.slot()),
            _ => None,
        };
        let places: Places = keys
            .map(|key| {
                let slot = only.unwrap_or_else(|| Slot::of_key(key));
                let number = self.number_of(slot);
                debug_assert!(number.is_some(), "the slot of {key:?} is not locked");
                let hash = self.store.key_hash(key);
                self.store.prefetch_bucket(slot, hash);
                // Where there is no guard nothing will be found.
                let guard = number.unwrap_or(usize::MAX);
                Located { guard, hash }
            })
            .collect();
        for Located { guard, hash } in &places {
            let guard = self.guards.get(*guard);
            if let Some(table) = guard.and_then(|guard| guard.table(self.scope.db)) {
                table.prefetch(*hash);
            }
        }
        places
    }

    fn all_of(&self, keys: &[&[u8]]) -> Vec<Option<ValueRef<'_>>> {
        let value = |key: &&[u8]| self.here(key).map(Entry::value);
        keys.iter().map(value).collect()
    }
}
