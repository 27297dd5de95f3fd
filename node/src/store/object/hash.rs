//! Hashes.

use super::draw::{self, Draw};
use super::field::Field;
use super::listpack::{At, BYTES_MAX, Item, Listpack};
use super::word::{Form, FormMut, PackMut, Word};
use super::{Collection, Fields, Kind, PackedLimits};
use crate::store::entry::Digits;

/// Fields, each with a value.
///
/// Small: field, value, field, value, in a listpack, in the order in which fields came. Else a
/// table.
#[repr(transparent)]
pub struct Hash(Word);

// SAFETY: it is a word, and nothing here makes one of another kind.
unsafe impl Collection for Hash {
    const KIND: Kind = Kind::Hash;

    fn is_empty(&self) -> bool {
        match self.0.form() {
            Form::Pack(pack) => pack.is_empty(),
            Form::Ints(_) | Form::Fields(_) | Form::Scored(_) | Form::Row(_) => self.len() == 0,
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self(Word::of_pack(Kind::Hash, Listpack::default()))
    }
}

impl Hash {
    /// A hash of the fields and values of a listpack, no field there twice.
    pub(super) fn of_pack(pack: Listpack) -> Self {
        Self(Word::of_pack(Kind::Hash, pack))
    }

    /// How many fields.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`Collection` has it")]
    pub fn len(&self) -> usize {
        match self.0.form() {
            Form::Pack(pack) => pack.len() / 2,
            Form::Fields(fields) => fields.len(),
            Form::Ints(_) | Form::Scored(_) | Form::Row(_) => 0,
        }
    }

    /// A field's value.
    #[must_use]
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match self.0.form() {
            Form::Pack(pack) => {
                let value = pack.next(find(pack, field)?)?;
                Some(pack.item(value))
            }
            Form::Fields(fields) => fields.get(field).map(Item::Bytes),
            Form::Ints(_) | Form::Scored(_) | Form::Row(_) => None,
        }
    }

    /// Whether a field is there.
    #[must_use]
    pub fn contains(&self, field: &[u8]) -> bool {
        match self.0.form() {
            Form::Pack(pack) => find(pack, field).is_some(),
            Form::Fields(fields) => fields.contains(field),
            Form::Ints(_) | Form::Scored(_) | Form::Row(_) => false,
        }
    }

    /// Sets a field; whether it is new. Beyond `limits` the hash gets a table.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: PackedLimits) -> bool {
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            let fits = field.len().max(value.len()) <= limits.bytes;
            if fits && pack.byte_len() + field.len() + value.len() < BYTES_MAX {
                let is_new = set_packed(&mut pack, field, value);
                // Also of one that was there: the limit may be lower than it was.
                if pack.len() / 2 > limits.entries {
                    self.unpack();
                }
                return is_new;
            }
            self.unpack();
        }
        match self.0.form_mut() {
            FormMut::Fields(fields) => fields.set(field, value),
            FormMut::Pack(_) | FormMut::Ints(_) | FormMut::Scored(_) | FormMut::Row(_) => false,
        }
    }

    /// Takes a field out; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.0.form_mut() {
            FormMut::Pack(mut pack) => find(&pack, field).map(|at| pack.remove(at, 2)).is_some(),
            FormMut::Fields(fields) => fields.remove(field),
            FormMut::Ints(_) | FormMut::Scored(_) | FormMut::Row(_) => false,
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Item<'_>, Item<'_>)> {
        let (packed, table) = match self.0.form() {
            Form::Pack(pack) => (Some(pairs(pack)), None),
            Form::Fields(fields) => (None, Some(fields.iter().map(pair))),
            Form::Ints(_) | Form::Scored(_) | Form::Row(_) => (None, None),
        };
        packed
            .into_iter()
            .flatten()
            .chain(table.into_iter().flatten())
    }

    /// Visits fields by lot, with their values.
    pub fn draw<'h>(
        &'h self,
        draw: Draw,
        random: &mut fastrand::Rng,
        mut visit: impl FnMut(Item<'h>, Item<'h>),
    ) {
        match self.0.form() {
            Form::Pack(pack) => {
                let all = pairs(pack).collect();
                draw::from_list(all, draw, random, |(field, value)| visit(field, value));
            }
            Form::Fields(fields) => draw::from_fields(fields, draw, random, |entry| {
                let (field, value) = pair(entry);
                visit(field, value);
            }),
            Form::Ints(_) | Form::Scored(_) | Form::Row(_) => {}
        }
    }

    /// Visits about `count` fields from a cursor on, or all if they are packed; the cursor to go
    /// on with, 0 at the end.
    pub fn scan<'h>(
        &'h self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Item<'h>, Item<'h>),
    ) -> u64 {
        if let Form::Fields(fields) = self.0.form() {
            return fields.scan(cursor, count, |entry| {
                let (field, value) = pair(entry);
                visit(field, value);
            });
        }
        for (field, value) in self.iter() {
            visit(field, value);
        }
        0
    }

    fn unpack(&mut self) {
        let Form::Pack(pack) = self.0.form() else {
            return;
        };
        let mut fields = Fields::default();
        let mut digits = (Digits::default(), Digits::default());
        for (field, value) in pairs(pack) {
            let value = value.text(&mut digits.1);
            fields.set(field.text(&mut digits.0), value);
        }
        self.0 = Word::of_fields(Kind::Hash, fields);
    }
}

fn find(pack: &Listpack, field: &[u8]) -> Option<At> {
    pack.find(pack.first(), field, 2)
}

fn set_packed(pack: &mut PackMut<'_>, field: &[u8], value: &[u8]) -> bool {
    if let Some(at) = find(pack, field).and_then(|at| pack.next(at)) {
        pack.replace(at, value);
        return false;
    }
    pack.push(field);
    pack.push(value);
    true
}

fn pairs(pack: &Listpack) -> impl Iterator<Item = (Item<'_>, Item<'_>)> {
    let mut items = pack.iter();
    std::iter::from_fn(move || Some((items.next()?, items.next()?)))
}

fn pair(field: &Field) -> (Item<'_>, Item<'_>) {
    (Item::Bytes(field.key()), Item::Bytes(field.value()))
}

#[cfg(test)]
mod tests;
