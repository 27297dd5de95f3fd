//! Several values at once, for commands that combine them.

use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::super::entry::{Entry, ValueRef};
use super::super::slot::SlotGuard;
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
    /// memory of all, so that the waits overlap. Their slots are locked, and `numbers` may say for
    /// each in turn which of those is its own.
    pub(crate) fn look_ahead<'k>(
        &self,
        numbers: &[u16],
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Places {
        // In a cluster, and often elsewhere, there is but one slot.
        let only = (self.guards.len() == 1).then_some(0);
        let mut numbers = numbers.iter().map(|number| usize::from(*number));
        let places: Places = keys
            .map(|key| {
                let known = only.or_else(|| numbers.next());
                let number = known.or_else(|| self.number_of(Slot::of_key(key)));
                // Where there is no guard nothing will be found.
                let guard = number.unwrap_or(usize::MAX);
                let hash = self.store.key_hash(key);
                let slot = self.guards.get(guard).map(SlotGuard::slot);
                debug_assert_eq!(slot, Some(Slot::of_key(key)), "{key:?} is not locked");
                if let Some(slot) = slot {
                    self.store.prefetch_bucket(slot, hash);
                }
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
