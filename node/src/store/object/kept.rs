//! What a snapshot is still to have of a big collection that goes on changing.
//!
//! A snapshot writes such a collection in steps, in the order of its elements' positions. Whoever
//! changes an element that no step has come to leaves here what it was, once; of one that is new it
//! leaves the name, so that the steps pass it by. So neither the snapshot nor a change takes longer
//! than an element, or a step, however many elements there are.

use super::super::hash::KeyHasher;
use super::super::table::{Keyed, POSITIONS, Table, position};
use super::fields::Fields;
use super::word::{Form, FormMut};
use super::{Kind, Object};

/// About what an element takes here beyond its bytes.
const OVERHEAD: usize = 64;
/// Old elements are kept in pieces of so many: none is moved to make room for more.
const PIECE: usize = if cfg!(test) { 2 } else { 4096 };

/// See the module's page.
pub(crate) struct Kept<E> {
    /// Elements at the snapshot's instant.
    len: usize,
    /// Those that were written.
    written: usize,
    /// Elements of lower positions are written, or in `old`.
    from: u32,
    /// Elements of higher positions that are not to be written as they are now.
    touched: Fields,
    /// Elements as they were, in pieces.
    old: Vec<Vec<E>>,
    /// About what all of that takes.
    bytes: usize,
}

impl<E: Keyed> Kept<E> {
    /// Of a collection of so many elements, of which nothing is written.
    pub(super) fn new(len: usize) -> Self {
        Self {
            len,
            written: 0,
            from: 0,
            touched: Fields::default(),
            old: Vec::new(),
            bytes: 0,
        }
    }

    /// How many elements there were.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many elements the steps have shown.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// About what it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// To be called before an element is added.
    pub(super) fn note_new(&mut self, hash: u64, name: &[u8]) {
        self.touch(hash, name);
    }

    /// To be called before an element is changed, or taken out: `old` gives what it is.
    pub(super) fn keep(&mut self, hash: u64, name: &[u8], old: impl FnOnce() -> E) {
        if self.touch(hash, name) {
            self.push_old(old());
            self.bytes += name.len() + OVERHEAD;
        }
    }

    fn push_old(&mut self, element: E) {
        if self.old.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.old.push(Vec::with_capacity(PIECE.min(self.len)));
        }
        if let Some(piece) = self.old.last_mut() {
            piece.push(element);
        }
    }

    /// Whether the snapshot needs to know what the element is now.
    fn touch(&mut self, hash: u64, name: &[u8]) -> bool {
        let is_new = position(hash) >= self.from && self.touched.add(name);
        if is_new {
            self.bytes += name.len() + OVERHEAD;
        }
        is_new
    }

    /// Shows about `count` elements as they were at the snapshot's instant; whether there are more.
    pub(super) fn step(
        &mut self,
        table: &Table<E>,
        hasher: KeyHasher,
        count: usize,
        mut visit: impl FnMut(&E),
    ) -> bool {
        let mut here = 0;
        while here < count
            && let Some(piece) = self.old.last_mut()
        {
            match piece.pop() {
                Some(element) => {
                    visit(&element);
                    here += 1;
                }
                None => drop(self.old.pop()),
            }
        }
        self.written += here;
        if here < count && self.from < POSITIONS {
            let next = table.scan(self.from, count - here, hasher, |element| {
                if self.touched.len() == 0 || !self.touched.remove(element.key()) {
                    visit(element);
                    self.written += 1;
                }
            });
            self.from = next.unwrap_or(POSITIONS);
        }
        self.from < POSITIONS || self.old.iter().any(|piece| !piece.is_empty())
    }
}

/// An element as a step shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Element<'a> {
    /// A hash's field, and its value.
    Field(&'a [u8], &'a [u8]),
    /// A set's member.
    Member(&'a [u8]),
    /// A sorted set's member, and its score.
    Scored(&'a [u8], f64),
}

/// How far a snapshot is with a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Elements that were shown.
    pub elements: usize,
    /// Whether there are more.
    pub more: bool,
}

impl Object {
    /// Whether it can keep for a snapshot what it was, element by element.
    pub(crate) fn keeps_elements(&self) -> bool {
        matches!(self.0.form(), Form::Fields(_) | Form::Scored(_))
    }

    /// From now on, keeps for a snapshot what it is, until [`forget_kept`](Self::forget_kept).
    /// Nothing if it cannot.
    pub(crate) fn keep(&mut self) {
        match self.0.form_mut() {
            FormMut::Fields(fields) => {
                let len = fields.len();
                fields
                    .kept_mut()
                    .get_or_insert_with(|| Box::new(Kept::new(len)));
            }
            FormMut::Scored(scored) => {
                let len = scored.len();
                scored
                    .kept_mut()
                    .get_or_insert_with(|| Box::new(Kept::new(len)));
            }
            FormMut::Pack(_) | FormMut::Ints(_) | FormMut::Row(_) => {}
        }
    }

    /// Keeps nothing any more; what it has kept, to be dropped where that may take long.
    pub(crate) fn forget_kept(&mut self) -> Option<Box<dyn Send>> {
        match self.0.form_mut() {
            FormMut::Fields(fields) => fields.kept_mut().take().map(|kept| kept as _),
            FormMut::Scored(scored) => scored.kept_mut().take().map(|kept| kept as _),
            FormMut::Pack(_) | FormMut::Ints(_) | FormMut::Row(_) => None,
        }
    }

    /// Gives what it keeps to a copy of itself.
    pub(crate) fn give_kept(&mut self, copy: &mut Self) {
        match (self.0.form_mut(), copy.0.form_mut()) {
            (FormMut::Fields(from), FormMut::Fields(to)) => *to.kept_mut() = from.kept_mut().take(),
            (FormMut::Scored(from), FormMut::Scored(to)) => *to.kept_mut() = from.kept_mut().take(),
            _ => {}
        }
    }

    /// How many elements it had when it began to keep them.
    pub(crate) fn kept_len(&mut self) -> usize {
        match self.0.form_mut() {
            FormMut::Fields(fields) => fields.kept_mut().as_ref().map_or(0, |kept| kept.len()),
            FormMut::Scored(scored) => scored.kept_mut().as_ref().map_or(0, |kept| kept.len()),
            FormMut::Pack(_) | FormMut::Ints(_) | FormMut::Row(_) => 0,
        }
    }

    /// About what it takes beyond what it is, for a snapshot's sake.
    pub(crate) fn kept_bytes(&mut self) -> usize {
        match self.0.form_mut() {
            FormMut::Fields(fields) => fields.kept_mut().as_ref().map_or(0, |kept| kept.bytes()),
            FormMut::Scored(scored) => scored.kept_mut().as_ref().map_or(0, |kept| kept.bytes()),
            FormMut::Row(row) => row.copied(),
            FormMut::Pack(_) | FormMut::Ints(_) => 0,
        }
    }

    /// Shows about `count` elements as they were when it began to keep them.
    pub(crate) fn kept_step(
        &mut self,
        count: usize,
        mut visit: impl FnMut(Element<'_>),
    ) -> Written {
        let is_hash = self.kind() == Kind::Hash;
        let (more, elements) = match self.0.form_mut() {
            FormMut::Fields(fields) => {
                let more = fields.step(count, |field| {
                    visit(if is_hash {
                        Element::Field(field.key(), field.value())
                    } else {
                        Element::Member(field.key())
                    });
                });
                let kept = fields.kept_mut().as_ref();
                (more, kept.map_or(0, |kept| kept.written()))
            }
            FormMut::Scored(scored) => {
                let more =
                    scored.step(count, |member, score| visit(Element::Scored(member, score)));
                let kept = scored.kept_mut().as_ref();
                (more, kept.map_or(0, |kept| kept.written()))
            }
            FormMut::Pack(_) | FormMut::Ints(_) | FormMut::Row(_) => (None, 0),
        };
        Written {
            elements,
            more: more.unwrap_or(false),
        }
    }
}
