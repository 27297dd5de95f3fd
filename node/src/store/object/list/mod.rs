//! Lists: listpacks in a row, so that either end is at hand and elements cost a byte or two each.
//!
//! ```text
//! List ─┬─ small: [ a b c d ]                      one listpack
//!       └─ big:   Row ─ nodes ─┬─ [ a b c d ] 4     listpacks of at most `list-max-listpack-size`,
//!                 (row.rs)     ├─ [ e f g ]   3     each with its count
//!                              └─ [ h ]       1
//! ```

mod limit;
mod pack;
mod row;

pub use limit::NodeLimit;
pub(super) use row::Row;

use std::sync::Arc;

use super::listpack::{Iter, Listpack};
use super::word::{Form, FormMut, Word};
use super::{Collection, Item, Kind};
use row::Node;

/// Elements in an order.
#[repr(transparent)]
pub struct List(Word);

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element's: LPUSH, LPOP.
    Head,
    /// The last element's: RPUSH, RPOP.
    Tail,
}

/// A side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the head.
    Before,
    /// Towards the tail.
    After,
}

// SAFETY: it is a word, and nothing here makes one of another kind.
unsafe impl Collection for List {
    const KIND: Kind = Kind::List;

    fn is_empty(&self) -> bool {
        match self.0.form() {
            Form::Pack(pack) => pack.is_empty(),
            _ => self.len() == 0,
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self(Word::of_pack(Kind::List, Listpack::default()))
    }
}

impl List {
    /// The longest element there is room for: a listpack tells its bytes in 32 bits.
    pub const ELEMENT_MAX: usize = u32::MAX as usize - 32;

    /// How many elements.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "`Collection` has it")]
    pub fn len(&self) -> usize {
        match self.0.form() {
            Form::Pack(pack) => pack.len(),
            Form::Row(row) => row.len(),
            _ => 0,
        }
    }

    /// Element `index`, from the end if it is negative: -1 is the last.
    #[must_use]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        match self.0.form() {
            Form::Pack(pack) => Some(pack.item(pack.nth(index)?)),
            Form::Row(row) => row.get(position(index, row.len())?),
            _ => None,
        }
    }

    /// Elements from a position on, in order.
    #[must_use]
    pub fn iter_from(&self, position: usize) -> Elements<'_> {
        match self.0.form() {
            Form::Pack(pack) => Elements::new(pack::from(pack, position), None),
            Form::Row(row) => row.iter_from(position),
            _ => Elements::new(None, None),
        }
    }

    /// All elements from the last to the first.
    pub fn backwards(&self) -> impl Iterator<Item = Item<'_>> {
        let (packed, row) = match self.0.form() {
            Form::Pack(pack) => (Some(pack.iter().rev()), None),
            Form::Row(row) => (None, Some(row.backwards())),
            _ => (None, None),
        };
        packed
            .into_iter()
            .flatten()
            .chain(row.into_iter().flatten())
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8], limit: NodeLimit) {
        if let FormMut::Pack(mut pack) = self.0.form_mut()
            && (pack.is_empty() || limit.allows(&pack, pack.len(), element.len()))
        {
            pack::push(&mut pack, end, element);
            return;
        }
        self.with_row(|row| row.push(end, element, limit));
    }

    /// Takes up to `count` elements off an end, each shown to `taken`.
    pub fn pop(&mut self, end: End, count: usize, mut taken: impl FnMut(Item<'_>)) {
        self.cut(end, count, |pack, here| {
            pack::visit(pack, end, here, &mut taken);
        });
    }

    fn cut(&mut self, end: End, count: usize, mut seen: impl FnMut(&Listpack, usize)) {
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            seen(&pack, count);
            pack::cut(&mut pack, end, count);
            return;
        }
        self.with_row(|row| row.cut(end, count, seen));
    }

    /// Puts another element in the place of element `index`; whether there is one.
    pub fn set(&mut self, index: i64, element: &[u8], limit: NodeLimit) -> bool {
        let Some(position) = position(index, self.len()) else {
            return false;
        };
        if let FormMut::Pack(mut pack) = self.0.form_mut()
            && let Some(at) = pack.nth(index)
            && limit.allows_in_place(&pack, pack.len(), pack.item(at).len(), element.len())
        {
            pack.replace(at, element);
            return true;
        }
        self.with_row(|row| row.set(position, element, limit));
        true
    }

    /// Puts an element beside the first one that is `pivot`; whether there is one.
    pub fn insert(&mut self, pivot: &[u8], side: Side, element: &[u8], limit: NodeLimit) -> bool {
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            let Some(at) = pack.find(pack.first(), pivot, 1) else {
                return false;
            };
            if limit.allows(&pack, pack.len(), element.len()) {
                match side {
                    Side::Before => pack.insert_before(at, element),
                    Side::After => pack.insert_after(at, element),
                };
                return true;
            }
        }
        self.with_row(|row| row.insert(pivot, side, element, limit))
    }

    /// Takes out elements that are `element`, up to `most` from an end on; how many there were.
    pub fn remove(&mut self, element: &[u8], end: End, most: usize) -> usize {
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            return pack::remove(&mut pack, element, end, most);
        }
        self.with_row(|row| row.remove(element, end, most))
    }

    /// Keeps `count` elements from a position on, and no other.
    pub fn keep(&mut self, position: usize, count: usize) {
        let len = self.len();
        let end = position.saturating_add(count).min(len);
        self.cut(End::Tail, len - end, |_, _| {});
        self.cut(End::Head, position.min(end), |_, _| {});
    }

    /// How many listpacks there are, and their bytes: DEBUG OBJECT's figures.
    #[must_use]
    pub fn nodes(&self) -> (usize, usize) {
        match self.0.form() {
            Form::Pack(pack) => (1, pack.byte_len()),
            Form::Row(row) => (row.nodes(), row.packed_bytes()),
            _ => (0, 0),
        }
    }

    /// The bytes of a node, which is a listpack.
    #[must_use]
    pub fn node(&self, number: usize) -> Option<&[u8]> {
        self.pack_of(number).map(Listpack::as_bytes)
    }

    /// The only element of a node, if it is a string of so many bytes or more.
    #[must_use]
    pub fn lone_element(&self, number: usize, bytes: usize) -> Option<&[u8]> {
        let pack = self.pack_of(number)?;
        let first = pack.first()?;
        match pack.item(first) {
            Item::Bytes(text) if text.len() >= bytes && pack.next(first).is_none() => Some(text),
            Item::Bytes(_) | Item::Int(_) => None,
        }
    }

    fn pack_of(&self, number: usize) -> Option<&Listpack> {
        match self.0.form() {
            Form::Pack(pack) => (number == 0).then_some(pack),
            Form::Row(row) => row.node(number),
            Form::Ints(_) | Form::Fields(_) | Form::Scored(_) => None,
        }
    }

    /// Works on the row, which there is from now on; as long as it has more than one listpack.
    pub(super) fn with_row<R: Default>(&mut self, work: impl FnOnce(&mut Row) -> R) -> R {
        if let FormMut::Pack(mut pack) = self.0.form_mut() {
            let row = Row::from(pack.take());
            self.0 = Word::of_row(Kind::List, row);
        }
        let FormMut::Row(row) = self.0.form_mut() else {
            return R::default();
        };
        let result = work(row);
        if let Some(pack) = row.take_only() {
            self.0 = Word::of_pack(Kind::List, pack);
        }
        result
    }
}

/// The position that an index means, if there is one.
fn position(index: i64, len: usize) -> Option<usize> {
    let steps = usize::try_from(index.unsigned_abs()).ok()?;
    let position = if index < 0 {
        len.checked_sub(steps)?
    } else {
        steps
    };
    (position < len).then_some(position)
}

/// Elements in order.
#[derive(Clone)]
pub struct Elements<'a> {
    here: Option<Iter<'a>>,
    rest: Option<std::collections::vec_deque::Iter<'a, Arc<Node>>>,
}

impl<'a> Elements<'a> {
    fn new(
        here: Option<Iter<'a>>,
        rest: Option<std::collections::vec_deque::Iter<'a, Arc<Node>>>,
    ) -> Self {
        Self { here, rest }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(item) = self.here.as_mut()?.next() {
                return Some(item);
            }
            self.here = Some(self.rest.as_mut()?.next()?.pack.iter());
        }
    }
}

#[cfg(test)]
mod tests;
