//! Sets.
//!
//! A small set of anything but integers is packed, as Valkey's sets are: a table of ten members
//! takes twice their bytes. Redis 7.0 has a table then, so that is what OBJECT ENCODING says.

use super::draw::{self, Draw};
use super::intset::COUNT_MAX;
use super::listpack::{At, Item, Listpack};
use super::word::{Form, FormMut, Word};
use super::{Collection, Fields, Intset, Kind, PackedLimits};
use crate::store::entry::{Digits, strict_integer};

/// How large a set may be while it is in a listpack: Valkey's limits. Nobody can tell from outside
/// but by memory and time, so there is nothing to configure.
const PACKED: PackedLimits = PackedLimits {
    entries: 128,
    bytes: 64,
};

/// Members, each once.
///
/// While all are integers, and few: an intset. Else, while few and short: a listpack. Else a table,
/// whose values are empty.
#[repr(transparent)]
pub struct Set(Word);

// SAFETY: it is a word, and nothing here makes one of another kind.
unsafe impl Collection for Set {
    const KIND: Kind = Kind::Set;

    fn is_empty(&self) -> bool {
        match self.0.form() {
            Form::Ints(ints) => ints.is_empty(),
            Form::Pack(pack) => pack.is_empty(),
            Form::Fields(_) | Form::Scored(_) | Form::Row(_) => self.len() == 0,
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self(Word::of_ints(Kind::Set, Intset::default()))
    }
}

impl Set {
    /// A set of the numbers of an intset.
    pub(super) fn of_ints(ints: Intset) -> Self {
        Self(Word::of_ints(Kind::Set, ints))
    }

    /// How many members.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`Collection` has it")]
    pub fn len(&self) -> usize {
        match self.0.form() {
            Form::Ints(ints) => ints.len(),
            Form::Pack(pack) => pack.len(),
            Form::Fields(fields) => fields.len(),
            Form::Scored(_) | Form::Row(_) => 0,
        }
    }

    /// Whether a member is there.
    #[must_use]
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0.form() {
            Form::Ints(ints) => strict_integer(member).is_some_and(|number| ints.contains(number)),
            Form::Pack(pack) => find(pack, member).is_some(),
            Form::Fields(fields) => fields.contains(member),
            Form::Scored(_) | Form::Row(_) => false,
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
    /// set is no intset any more.
    pub fn add(&mut self, member: &[u8], ints_max: usize) -> bool {
        if let FormMut::Ints(mut ints) = self.0.form_mut() {
            if let Some(number) = strict_integer(member) {
                let is_new = ints.add(number);
                if is_new && ints.len() > ints_max.min(COUNT_MAX) {
                    self.leave_intset();
                }
                return is_new;
            }
            self.leave_intset();
        }
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            if find(&pack, member).is_some() {
                return false;
            }
            if member.len() <= PACKED.bytes && pack.len() < PACKED.entries {
                pack.push(member);
                return true;
            }
            self.0 = Word::of_fields(Kind::Set, self.to_fields());
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
            FormMut::Pack(mut pack) => find(&pack, member).map(|at| pack.remove(at, 1)).is_some(),
            FormMut::Fields(fields) => fields.remove(member),
            FormMut::Scored(_) | FormMut::Row(_) => false,
        }
    }

    /// All members: those of an intset ascending, others in no order.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        let (ints, pack, table) = match self.0.form() {
            Form::Ints(ints) => (Some(ints.iter().map(Item::Int)), None, None),
            Form::Pack(pack) => (None, Some(pack.iter()), None),
            Form::Fields(fields) => {
                let members = fields.iter().map(|entry| Item::Bytes(entry.key()));
                (None, None, Some(members))
            }
            Form::Scored(_) | Form::Row(_) => (None, None, None),
        };
        ints.into_iter()
            .flatten()
            .chain(pack.into_iter().flatten())
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
                let nth = |at| ints.nth(at).map(Item::Int);
                draw_listed(self.iter(), ints.len(), nth, draw, random, visit);
            }
            Form::Pack(pack) => {
                let nth = |at| pack.nth(i64::try_from(at).ok()?).map(|at| pack.item(at));
                draw_listed(self.iter(), pack.len(), nth, draw, random, visit);
            }
            Form::Fields(fields) => draw::from_fields(fields, draw, random, |entry| {
                visit(Item::Bytes(entry.key()));
            }),
            Form::Scored(_) | Form::Row(_) => {}
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

    /// Keeps the members in another form than an intset.
    pub(super) fn leave_intset(&mut self) {
        let Form::Ints(ints) = self.0.form() else {
            return;
        };
        self.0 = if ints.len() > PACKED.entries {
            Word::of_fields(Kind::Set, self.to_fields())
        } else {
            let mut pack = Listpack::default();
            let mut digits = Digits::default();
            ints.iter().for_each(|number| pack.push(digits.of(number)));
            Word::of_pack(Kind::Set, pack)
        };
    }

    /// The members in a table.
    fn to_fields(&self) -> Fields {
        let mut fields = Fields::default();
        let mut digits = Digits::default();
        for member in self.iter() {
            fields.add(member.text(&mut digits));
        }
        fields
    }
}

fn find(pack: &Listpack, member: &[u8]) -> Option<At> {
    pack.find(pack.first(), member, 1)
}

/// Draws from `len` members, of which `nth` gives any one.
fn draw_listed<'s>(
    all: impl Iterator<Item = Item<'s>>,
    len: usize,
    nth: impl Fn(usize) -> Option<Item<'s>>,
    draw: Draw,
    random: &mut fastrand::Rng,
    mut visit: impl FnMut(Item<'s>),
) {
    // Not a list of them all for the commonest case.
    if draw == Draw::Distinct(1) || matches!(draw, Draw::Repeated(_)) {
        for _ in 0..draw.count(len) {
            nth(random.usize(..len)).into_iter().for_each(&mut visit);
        }
        return;
    }
    draw::from_list(all.collect(), draw, random, visit);
}

#[cfg(test)]
mod tests;
