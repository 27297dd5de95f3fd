//! Sorted sets.
//!
//! ```text
//! small   a listpack of member, score, in order (packed.rs)
//! big     a table, member → score, which owns the members (members.rs);
//!         a counted B+tree (tree.rs) of score and reference to the table's entry (scored.rs)
//! ```
//!
//! Members are in the order of their scores, those of one score in that of their bytes. A
//! member's rank is how many come before it.

use std::borrow::Cow;
use std::ops::Range;

use super::listpack::{At, BYTES_MAX, Item, Listpack};
use super::word::{Form, FormMut, PackMut, Word};
use super::{Collection, Kind, PackedLimits};
use crate::store::entry::{Digits, EntryRef};

mod bounds;
mod members;
mod packed;
mod scored;
mod tree;

pub use bounds::{Bounds, LexEnd};
pub(super) use packed::{is_in_order, packed_score_of};
pub(crate) use scored::Scored;
use tree::{Backwards, Forwards};

/// Members, each with a score that is not NaN: packed while few and short, then a table and a tree.
#[repr(transparent)]
pub struct SortedSet(Word);

/// What a sorted set is kept in.
enum View<'a> {
    Small(&'a Listpack),
    Big(&'a Scored),
}

/// The same, to be changed.
enum ViewMut<'a> {
    Small(PackMut<'a>),
    Big(&'a mut Scored),
}

/// A member as it lies in a set.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a>(Item<'a>);

impl<'a> Member<'a> {
    /// The member's bytes, copied if they are not there as they are.
    #[must_use]
    pub fn to_cow(self) -> Cow<'a, [u8]> {
        match self.0 {
            Item::Int(number) => Cow::Owned(Digits::default().of(number).to_vec()),
            Item::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// Does something with the member's bytes.
    #[inline]
    pub fn with_text<R>(self, work: impl FnOnce(&[u8]) -> R) -> R {
        match self.0 {
            Item::Int(number) => work(Digits::default().of(number)),
            Item::Bytes(bytes) => work(bytes),
        }
    }

    /// A copy of the member's bytes.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.with_text(<[u8]>::to_vec)
    }
}

impl Default for SortedSet {
    fn default() -> Self {
        Self(Word::of_pack(Kind::SortedSet, Listpack::default()))
    }
}

impl SortedSet {
    #[inline]
    #[expect(
        clippy::unreachable,
        reason = "nothing makes a sorted set of another form"
    )]
    fn form(&self) -> View<'_> {
        match self.0.form() {
            Form::Pack(pack) => View::Small(pack),
            Form::Scored(scored) => View::Big(scored),
            Form::Ints(_) | Form::Fields(_) | Form::Row(_) => {
                unreachable!("a sorted set is never kept so")
            }
        }
    }

    #[inline]
    #[expect(
        clippy::unreachable,
        reason = "nothing makes a sorted set of another form"
    )]
    fn form_mut(&mut self) -> ViewMut<'_> {
        match self.0.form_mut() {
            FormMut::Pack(pack) => ViewMut::Small(pack),
            FormMut::Scored(scored) => ViewMut::Big(scored),
            FormMut::Ints(_) | FormMut::Fields(_) | FormMut::Row(_) => {
                unreachable!("a sorted set is never kept so")
            }
        }
    }

    /// A set of the members and scores of a listpack, in order, no member there twice.
    pub(super) fn of_pack(pack: Listpack) -> Self {
        Self(Word::of_pack(Kind::SortedSet, pack))
    }

    /// A set of these members, no two the same.
    #[must_use]
    pub fn from_members<M: AsRef<[u8]>>(members: &[(M, f64)], limits: PackedLimits) -> Self {
        let bytes = members.iter().map(|(member, _)| member.as_ref().len());
        let fits = members.len() <= limits.entries
            && bytes.clone().all(|len| len <= limits.bytes)
            && bytes.sum::<usize>() < BYTES_MAX / 2;
        if fits {
            let mut pack = Listpack::default();
            for (member, score) in members {
                packed::add(&mut PackMut::of(&mut pack), member.as_ref(), *score);
            }
            return Self(Word::of_pack(Kind::SortedSet, pack));
        }
        let mut scored = Scored::default();
        for (member, score) in members {
            scored.add(member.as_ref(), *score);
        }
        Self(Word::of_scored(Kind::SortedSet, scored))
    }

    /// An empty set that is not packed.
    #[must_use]
    pub fn new_big() -> Self {
        Self(Word::of_scored(Kind::SortedSet, Scored::default()))
    }

    /// How many members.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`Collection` has it")]
    pub fn len(&self) -> usize {
        match self.form() {
            View::Small(pack) => pack.len() / 2,
            View::Big(scored) => scored.len(),
        }
    }

    /// Whether it is packed, so that a scan gives all of it at once.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        matches!(self.form(), View::Small(_))
    }

    /// A member's score.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.form() {
            View::Small(pack) => packed::find(pack, member).map(|at| packed::score_of(pack, at)),
            View::Big(scored) => scored.score(member),
        }
    }

    /// A member's rank.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match self.form() {
            View::Small(pack) => {
                let wanted = packed::find(pack, member)?;
                packed::places(pack).position(|at| at == wanted)
            }
            View::Big(scored) => scored.rank(member),
        }
    }

    /// Sets a member's score; the score it had. A new member beyond `limits` makes the set big.
    pub fn set(&mut self, member: &[u8], score: f64, limits: PackedLimits) -> Option<f64> {
        let mut pack = match self.form_mut() {
            ViewMut::Big(scored) => return scored.set(member, score),
            ViewMut::Small(pack) => pack,
        };
        if let Some(at) = packed::find(&pack, member) {
            let old = packed::score_of(&pack, at);
            pack.remove(at, 2);
            packed::add(&mut pack, member, score);
            return Some(old);
        }
        let is_too_big = pack.len() / 2 >= limits.entries
            || member.len() > limits.bytes
            || pack.byte_len().saturating_add(member.len()) > BYTES_MAX;
        if !is_too_big {
            packed::add(&mut pack, member, score);
            return None;
        }
        self.unpack();
        self.set(member, score, limits)
    }

    /// Takes a member out; the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.form_mut() {
            ViewMut::Small(mut pack) => {
                let at = packed::find(&pack, member)?;
                let score = packed::score_of(&pack, at);
                pack.remove(at, 2);
                Some(score)
            }
            ViewMut::Big(scored) => scored.remove(member),
        }
    }

    /// Takes the members of some ranks out.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self.form_mut() {
            ViewMut::Small(mut pack) => {
                if let Some(at) = packed::of_rank(&pack, ranks.start) {
                    pack.remove(at, ranks.len().saturating_mul(2));
                }
            }
            ViewMut::Big(scored) => scored.remove_ranks(ranks.start, ranks.len()),
        }
    }

    /// The ranks of the members within bounds.
    #[must_use]
    pub fn ranks_within(&self, bounds: &Bounds<'_>) -> Range<usize> {
        let start = self.rank_of_start(bounds);
        let end = match self.form() {
            View::Small(pack) => {
                packed::partition(pack, |score, member| bounds.reach(score, || member))
            }
            View::Big(scored) => scored.tree().partition(|item| {
                let member = || Member(Item::Bytes(item.member.key()));
                bounds.reach(item.score, member)
            }),
        };
        start..end.max(start)
    }

    /// How many members lie before bounds.
    #[must_use]
    pub fn rank_of_start(&self, bounds: &Bounds<'_>) -> usize {
        match self.form() {
            View::Small(pack) => {
                packed::partition(pack, |score, member| bounds.are_behind(score, || member))
            }
            View::Big(scored) => scored.tree().partition(|item| {
                let member = || Member(Item::Bytes(item.member.key()));
                bounds.are_behind(item.score, member)
            }),
        }
    }

    /// The members of some ranks with their scores, in order; or in reverse order, the last of
    /// them first.
    #[must_use]
    pub fn range(&self, ranks: Range<usize>, reverse: bool) -> Walk<'_> {
        let ranks = ranks.start..ranks.end.min(self.len());
        let first = if reverse {
            ranks.end.saturating_sub(1)
        } else {
            ranks.start
        };
        let place = match self.form() {
            _ if ranks.is_empty() => Place::Packed(None, reverse),
            View::Small(pack) => {
                let at = packed::of_rank(pack, first);
                Place::Packed(at.map(|at| (pack, at)), reverse)
            }
            View::Big(scored) if reverse => Place::Backwards(scored.tree().back_from(first)),
            View::Big(scored) => Place::Forwards(scored.tree().from(first)),
        };
        Walk {
            place,
            left: ranks.len(),
        }
    }

    /// The member of a rank, with its score.
    #[must_use]
    pub fn nth(&self, rank: usize) -> Option<(Member<'_>, f64)> {
        self.range(rank..rank.saturating_add(1), false).next()
    }

    /// A score as a packed set has it.
    #[must_use]
    pub fn packed_score(score: f64) -> Vec<u8> {
        packed::score_text(score)
    }

    /// All members with their scores, in order.
    #[must_use]
    pub fn iter(&self) -> Walk<'_> {
        self.range(0..self.len(), false)
    }

    /// Visits about `count` members from a cursor on, all of them if the set is packed; the
    /// cursor to go on with, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Member<'_>, f64)) -> u64 {
        match self.form() {
            View::Small(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            View::Big(scored) => scored.members().scan(cursor, count, |entry| {
                let member = Member(Item::Bytes(entry.key()));
                visit(member, members::score_of(entry));
            }),
        }
    }

    /// Makes the set a big one, if it is not.
    pub fn unpack(&mut self) {
        let View::Small(pack) = self.form() else {
            return;
        };
        let mut scored = Scored::default();
        for at in packed::places(pack) {
            let score = packed::score_of(pack, at);
            Member(pack.item(at)).with_text(|member| scored.add(member, score));
        }
        self.0 = Word::of_scored(Kind::SortedSet, scored);
    }
}

/// Members with their scores, in order or in reverse order.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    place: Place<'a>,
    left: usize,
}

#[derive(Clone, Debug)]
enum Place<'a> {
    /// The next member, and whether it goes backwards.
    Packed(Option<(&'a Listpack, At)>, bool),
    Forwards(Forwards<'a, EntryRef>),
    Backwards(Backwards<'a, EntryRef>),
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Member<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = match &mut self.place {
            Place::Packed(place, back) => {
                let (pack, at) = (*place)?;
                *place = packed::step(pack, at, *back).map(|at| (pack, at));
                return Some((Member(pack.item(at)), packed::score_of(pack, at)));
            }
            Place::Forwards(walk) => walk.next()?,
            Place::Backwards(walk) => walk.next()?,
        };
        Some((Member(Item::Bytes(item.member.key())), item.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk<'_> {}

// SAFETY: it is a word, and nothing here makes one of another kind.
unsafe impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;

    fn is_empty(&self) -> bool {
        match self.form() {
            View::Small(pack) => pack.is_empty(),
            View::Big(scored) => scored.len() == 0,
        }
    }
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SortedSet({})", self.len())
    }
}

#[cfg(test)]
mod tests;
