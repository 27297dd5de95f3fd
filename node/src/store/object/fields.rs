//! A table of a collection's own: fields with their values, or members.
//!
//! It is the table that slots have ([`Table`]), so it grows, shrinks and is scanned by the same
//! rules: no stall is longer than the rehash of one segment, and a scan meets everything that is
//! there throughout. What is in it is smaller than a slot's entries: see [`Field`].

use std::sync::LazyLock;

use super::super::hash::KeyHasher;
use super::super::table::Table;
use super::field::Field;
use super::kept::Kept;

/// The same for all collections of this process: clients choose fields as freely as keys.
static HASHER: LazyLock<KeyHasher> = LazyLock::new(KeyHasher::random);

/// See the module's page.
#[derive(Default)]
pub(crate) struct Fields {
    table: Table<Field>,
    /// Of the fields, by size class.
    bytes: usize,
    /// What a snapshot is still to have, while one is being written.
    kept: Option<Box<Kept<Field>>>,
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
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let place = self.table.find(HASHER.hash(name), name)?;
        self.table.at(place).map(Field::value)
    }

    /// Whether a field is there.
    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.table.find(HASHER.hash(name), name).is_some()
    }

    /// Sets a field; whether it is new.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let hash = HASHER.hash(name);
        let place = self.table.find(hash, name);
        let Some(field) = place.and_then(|place| self.table.at_mut(place)) else {
            self.insert(hash, Field::new(name, value));
            return true;
        };
        if let Some(kept) = &mut self.kept {
            kept.keep(hash, name, || field.clone());
        }
        self.bytes -= field.memory();
        field.set_value(value);
        self.bytes += field.memory();
        false
    }

    /// Adds a member; whether it is new.
    pub(crate) fn add(&mut self, name: &[u8]) -> bool {
        let hash = HASHER.hash(name);
        let is_new = self.table.find(hash, name).is_none();
        if is_new {
            self.insert(hash, Field::new(name, b""));
        }
        is_new
    }

    fn insert(&mut self, hash: u64, field: Field) {
        if let Some(kept) = &mut self.kept {
            kept.note_new(hash, field.key());
        }
        self.bytes += field.memory();
        self.table.insert(hash, field, *HASHER);
    }

    /// Takes a field out; whether it was there.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let hash = HASHER.hash(name);
        let place = self.table.find(hash, name);
        let Some(field) = place.and_then(|place| self.table.remove(place, *HASHER)) else {
            return false;
        };
        self.bytes -= field.memory();
        if let Some(kept) = &mut self.kept {
            kept.keep(hash, name, || field);
        }
        true
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.table.iter()
    }

    /// Any one, each with the same chance.
    pub(crate) fn random(&self, random: &mut fastrand::Rng) -> Option<&Field> {
        self.table.random(random)
    }

    /// Visits about `count` from a cursor on; the cursor to go on with, 0 at the end.
    pub(crate) fn scan<'f>(
        &'f self,
        cursor: u64,
        count: usize,
        visit: impl FnMut(&'f Field),
    ) -> u64 {
        // A cursor that no scan gave is past the end.
        let Ok(from) = u32::try_from(cursor) else {
            return 0;
        };
        self.table
            .scan(from, count, *HASHER, visit)
            .map_or(0, u64::from)
    }

    /// Where what a snapshot is still to have is kept.
    pub(super) fn kept_mut(&mut self) -> &mut Option<Box<Kept<Field>>> {
        &mut self.kept
    }

    /// See [`Kept::step`]; `None` if nothing is kept.
    pub(super) fn step(&mut self, count: usize, visit: impl FnMut(&Field)) -> Option<bool> {
        let kept = self.kept.as_mut()?;
        Some(kept.step(&self.table, *HASHER, count, visit))
    }

    /// A copy.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Self::default();
        for field in self.iter() {
            copy.insert(HASHER.hash(field.key()), field.clone());
        }
        copy
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fields({})", self.len())
    }
}
