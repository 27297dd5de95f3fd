//! The members of a big sorted set, by name: a table of entries whose values are scores.
//!
//! It is the table that slots have ([`Table`]). An entry's allocation stays where it is while the
//! entry is in the table, so that the tree may refer to it: its value is never anything but a
//! number, the bits of the score.

use std::sync::LazyLock;

use crate::store::entry::{Entry, NewValue, ValueRef};
use crate::store::hash::KeyHasher;
use crate::store::object::kept::Kept;
use crate::store::table::Table;

/// The same for all sorted sets of this process: clients choose members as freely as keys.
static HASHER: LazyLock<KeyHasher> = LazyLock::new(KeyHasher::random);

/// See the module's page.
#[derive(Default)]
pub(super) struct Members {
    table: Table<Entry>,
    /// Of the entries, by size class.
    bytes: usize,
    /// What a snapshot is still to have, while one is being written.
    kept: Option<Box<Kept<Entry>>>,
}

/// A member's entry.
pub(super) fn entry_of(member: &[u8], score: f64) -> Entry {
    Entry::new(member, number_of(score), None, 0)
}

/// An entry's score.
#[inline]
pub(super) fn score_of(entry: &Entry) -> f64 {
    match entry.value() {
        ValueRef::Int(number) => f64::from_bits(number.cast_unsigned()),
        // No entry here has such a value.
        ValueRef::Bytes(_) | ValueRef::Object(_) => 0.0,
    }
}

const fn number_of(score: f64) -> NewValue<'static> {
    NewValue::Int(score.to_bits().cast_signed())
}

impl Members {
    /// Bytes held, this itself not included. Takes the same time for every size.
    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.bytes
    }

    /// Bytes of the table alone.
    pub(super) fn table_memory(&self) -> usize {
        self.table.memory()
    }

    /// A member's entry.
    #[inline]
    pub(super) fn get(&self, member: &[u8]) -> Option<&Entry> {
        let place = self.table.find(HASHER.hash(member), member)?;
        self.table.at(place)
    }

    /// Changes a score in place; the entry and the score that it had.
    pub(super) fn set(&mut self, member: &[u8], score: f64) -> Option<(&Entry, f64)> {
        let hash = HASHER.hash(member);
        let place = self.table.find(hash, member)?;
        let entry = self.table.at_mut(place)?;
        let old = score_of(entry);
        if let Some(kept) = &mut self.kept {
            kept.keep(hash, member, || entry_of(member, old));
        }
        drop(entry.replace(number_of(score), None));
        Some((entry, old))
    }

    /// Adds an entry whose member is not there.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.bytes += entry.memory();
        let hash = HASHER.hash(entry.key());
        if let Some(kept) = &mut self.kept {
            kept.note_new(hash, entry.key());
        }
        self.table.insert(hash, entry, *HASHER);
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<Entry> {
        let hash = HASHER.hash(member);
        let place = self.table.find(hash, member)?;
        let entry = self.table.remove(place, *HASHER)?;
        self.bytes -= entry.memory();
        if let Some(kept) = &mut self.kept {
            // The tree refers to this entry still: the snapshot has one of its own.
            kept.keep(hash, member, || entry_of(member, score_of(&entry)));
        }
        Some(entry)
    }

    /// Where what a snapshot is still to have is kept.
    pub(super) fn kept_mut(&mut self) -> &mut Option<Box<Kept<Entry>>> {
        &mut self.kept
    }

    /// See [`Kept::step`]; `None` if nothing is kept.
    pub(super) fn step(&mut self, count: usize, visit: impl FnMut(&Entry)) -> Option<bool> {
        let kept = self.kept.as_mut()?;
        Some(kept.step(&self.table, *HASHER, count, visit))
    }

    /// Visits about `count` from a cursor on; the cursor to go on with, 0 at the end.
    pub(super) fn scan<'m>(
        &'m self,
        cursor: u64,
        count: usize,
        visit: impl FnMut(&'m Entry),
    ) -> u64 {
        // A cursor that no scan gave is past the end.
        let Ok(from) = u32::try_from(cursor) else {
            return 0;
        };
        let next = self.table.scan(from, count, *HASHER, visit);
        next.map_or(0, u64::from)
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Members({})", self.table.len())
    }
}
