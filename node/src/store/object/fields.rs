//! A table of a collection's own: fields or members, each an entry.
//!
//! It is the table that slots have ([`Table`]), so it grows, shrinks and is scanned by the same
//! rules: no stall is longer than the rehash of one segment, and a scan meets everything that is
//! there throughout.

use std::sync::LazyLock;

use super::super::entry::{Entry, NewValue, ValueRef};
use super::super::hash::KeyHasher;
use super::super::table::Table;

/// The same for all collections of this process: clients choose fields as freely as keys.
static HASHER: LazyLock<KeyHasher> = LazyLock::new(KeyHasher::random);

/// See the module's page.
#[derive(Default)]
pub(crate) struct Fields {
    table: Table,
    /// Of the entries, by size class.
    bytes: usize,
}

impl Fields {
    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes held, this itself not included. Takes the same time for every size.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory() + self.bytes
    }

    /// Bytes of the table alone.
    pub(crate) fn table_memory(&self) -> usize {
        self.table.memory()
    }

    /// A field's value.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<ValueRef<'_>> {
        let place = self.table.find(HASHER.hash(name), name)?;
        self.table.at(place).map(Entry::value)
    }

    /// Whether a field is there.
    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.table.find(HASHER.hash(name), name).is_some()
    }

    /// Sets a field; whether it is new.
    pub(crate) fn set(&mut self, name: &[u8], value: NewValue<'_>) -> bool {
        let hash = HASHER.hash(name);
        let place = self.table.find(hash, name);
        let Some(entry) = place.and_then(|place| self.table.at_mut(place)) else {
            let entry = Entry::new(name, value, None, 0);
            self.bytes += entry.memory();
            self.table.insert(hash, entry, *HASHER);
            return true;
        };
        self.bytes -= entry.memory();
        // A value that is replaced is freed here: no field's is so large as to need the thread.
        drop(entry.replace(value, None));
        self.bytes += entry.memory();
        false
    }

    /// Takes a field out.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Entry> {
        let place = self.table.find(HASHER.hash(name), name)?;
        let entry = self.table.remove(place, *HASHER)?;
        self.bytes -= entry.memory();
        Some(entry)
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// Any one, each with the same chance.
    pub(crate) fn random(&self, random: &mut fastrand::Rng) -> Option<&Entry> {
        self.table.random(random)
    }

    /// Visits about `count` from a cursor on; the cursor to go on with, 0 at the end.
    pub(crate) fn scan<'f>(
        &'f self,
        cursor: u64,
        count: usize,
        visit: impl FnMut(&'f Entry),
    ) -> u64 {
        // A cursor that no scan gave is past the end.
        let Ok(from) = u32::try_from(cursor) else {
            return 0;
        };
        self.table
            .scan(from, count, *HASHER, visit)
            .map_or(0, u64::from)
    }

    /// A copy.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Self::default();
        for entry in self.iter() {
            let entry = entry.duplicate(entry.key());
            let hash = HASHER.hash(entry.key());
            copy.bytes += entry.memory();
            copy.table.insert(hash, entry, *HASHER);
        }
        copy
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fields({})", self.len())
    }
}
