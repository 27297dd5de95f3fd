//! Sets.

use super::draw::{self, Draw};
use super::intset::COUNT_MAX;
use super::listpack::Item;
use super::word::{Form, FormMut, Word};
use super::{Collection, Fields, Intset, Kind};
use crate::store::entry::{Digits, strict_integer};

/// Members, each once.
///
/// While all are integers, and few: an intset. Else a table, whose values are empty.
#[repr(transparent)]
pub struct Set(Word);

// SAFETY: it is a word, and nothing here makes one of another kind.
unsafe impl Collection for Set {
    const KIND: Kind = Kind::Set;

    fn is_empty(&self) -> bool {
        match self.0.form() {
            Form::Ints(ints) => ints.is_empty(),
            Form::Pack(_) | Form::Fields(_) | Form::Scored(_) | Form::Row(_) => self.len() == 0,
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(Word::of_ints(Kind::Set, Intset::default()))
    }
}

impl Set {
    /// How many members.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`Collection` has it")]
    pub fn len(&self) -> usize {
        match self.0.form() {
            Form::Ints(ints) => ints.len(),
            Form::Fields(fields) => fields.len(),
            Form::Pack(_) | Form::Scored(_) | Form::Row(_) => 0,
        }
    }

    /// Whether a member is there.
    #[must_use]
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0.form() {
            Form::Ints(ints) => strict_integer(member).is_some_and(|number| ints.contains(number)),
            Form::Fields(fields) => fields.contains(member),
            Form::Pack(_) | Form::Scored(_) | Form::Row(_) => false,
        }
    }

    /// Whether another set's member is there, too.
    #[must_use]
    #[inline]
    pub fn has(&self, member: Item<'_>) -> bool {
        match (self.0.form(), member) {
            (Form::Ints(ints), Item::Int(number)) => ints.contains(number),
            (_, member) => self.contains(member.text(&mut Digits::default())),
        }
    }

    /// Adds a member; whether it is new. With more than `ints_max` integers, or anything else, the
    /// set gets a table.
    pub fn add(&mut self, member: &[u8], ints_max: usize) -> bool {
        if let FormMut::Ints(mut ints) = self.0.form_mut() {
            if let Some(number) = strict_integer(member) {
                let is_new = ints.add(number);
                if is_new && ints.len() > ints_max.min(COUNT_MAX) {
                    self.unpack();
                }
                return is_new;
            }
            self.unpack();
        }
        match self.0.form_mut() {
            FormMut::Fields(fields) => fields.add(member),
            FormMut::Ints(_) | FormMut::Pack(_) | FormMut::Scored(_) | FormMut::Row(_) => false,
        }
    }

    /// Takes a member out; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.0.form_mut() {
            FormMut::Ints(mut ints) => {
                strict_integer(member).is_some_and(|number| ints.remove(number))
            }
            FormMut::Fields(fields) => fields.remove(member),
            FormMut::Pack(_) | FormMut::Scored(_) | FormMut::Row(_) => false,
        }
    }

    /// All members: integers ascending, others in no order.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        let (ints, table) = match self.0.form() {
            Form::Ints(ints) => (Some(ints.iter().map(Item::Int)), None),
            Form::Fields(fields) => {
                let members = fields.iter().map(|entry| Item::Bytes(entry.key()));
                (None, Some(members))
            }
            Form::Pack(_) | Form::Scored(_) | Form::Row(_) => (None, None),
        };
        ints.into_iter()
            .flatten()
            .chain(table.into_iter().flatten())
    }

    /// Visits members by lot.
    pub fn draw<'s>(
        &'s self,
        draw: Draw,
        random: &mut fastrand::Rng,
        mut visit: impl FnMut(Item<'s>),
    ) {
        match self.0.form() {
            Form::Ints(ints) => {
                // Not a list of them all for the commonest case.
                if draw == Draw::Distinct(1) || matches!(draw, Draw::Repeated(_)) {
                    for _ in 0..draw.count(ints.len()) {
                        let number = ints.nth(random.usize(..ints.len()));
                        number.into_iter().for_each(|n| visit(Item::Int(n)));
                    }
                    return;
                }
                let all = ints.iter().map(Item::Int).collect();
                draw::from_list(all, draw, random, visit);
            }
            Form::Fields(fields) => draw::from_fields(fields, draw, random, |entry| {
                visit(Item::Bytes(entry.key()));
            }),
            Form::Pack(_) | Form::Scored(_) | Form::Row(_) => {}
        }
    }

    /// Visits about `count` members from a cursor on, or all if they are packed; the cursor to go
    /// on with, 0 at the end.
    pub fn scan<'s>(&'s self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'s>)) -> u64 {
        if let Form::Fields(fields) = self.0.form() {
            return fields.scan(cursor, count, |entry| visit(Item::Bytes(entry.key())));
        }
        self.iter().for_each(visit);
        0
    }

    fn unpack(&mut self) {
        let Form::Ints(ints) = self.0.form() else {
            return;
        };
        let mut fields = Fields::default();
        let mut digits = Digits::default();
        for number in ints.iter() {
            fields.add(digits.of(number));
        }
        self.0 = Word::of_fields(Kind::Set, fields);
    }
}

#[cfg(test)]
mod tests;
