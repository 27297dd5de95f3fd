//! A collection in one word: an address, and above it what is there.
//!
//! ```text
//! bit  63        56 55          48 47                        0
//!      kind         layout         where the block or the table is
//! ```
//!
//! A small collection is the commonest kind of value after strings, so between its key and its
//! packed bytes there is nothing else.
//!
//! All `unsafe` here rests on one invariant: the layout says what is at the address.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use super::super::memory::{ADDRESS, size_class};
use super::listpack::At;
use super::{Fields, Intset, Kind, Listpack, Row, Scored};

const LAYOUT_AT: u32 = 48;
const KIND_AT: u32 = 56;

/// See the module's page.
#[repr(transparent)]
pub(super) struct Word(NonNull<u8>);

// SAFETY: a word owns what it refers to, none of which is tied to a thread.
unsafe impl Send for Word {}
// SAFETY: through a shared word everything can only be read.
unsafe impl Sync for Word {}

/// What is at the address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Pack = 1,
    Ints = 2,
    Fields = 3,
    Scored = 4,
    Row = 5,
}

/// What a word refers to.
pub(super) enum Form<'a> {
    /// Elements in a listpack.
    Pack(&'a Listpack),
    /// Integers in order.
    Ints(&'a Intset),
    /// A table.
    Fields(&'a Fields),
    /// A table and a tree.
    Scored(&'a Scored),
    /// Listpacks.
    Row(&'a Row),
}

/// What a word refers to, to be changed. A listpack and an intset are, as they lie there, the word
/// itself: they can be changed, but nothing can be put in their place, which would be no word.
pub(super) enum FormMut<'a> {
    /// See [`Form::Pack`].
    Pack(PackMut<'a>),
    /// See [`Form::Ints`].
    Ints(IntsMut<'a>),
    /// See [`Form::Fields`].
    Fields(&'a mut Fields),
    /// See [`Form::Scored`].
    Scored(&'a mut Scored),
    /// See [`Form::Row`].
    Row(&'a mut Row),
}

/// A listpack to be changed, but not to be exchanged.
pub(super) struct PackMut<'a>(&'a mut Listpack);

impl<'a> PackMut<'a> {
    pub(super) fn of(pack: &'a mut Listpack) -> Self {
        Self(pack)
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    #[inline]
    pub(super) fn push_front(&mut self, bytes: &[u8]) {
        self.0.push_front(bytes);
    }

    #[inline]
    pub(super) fn insert_before(&mut self, at: At, bytes: &[u8]) -> At {
        self.0.insert_before(at, bytes)
    }

    #[inline]
    pub(super) fn insert_after(&mut self, at: At, bytes: &[u8]) -> At {
        self.0.insert_after(at, bytes)
    }

    #[inline]
    pub(super) fn replace(&mut self, at: At, bytes: &[u8]) {
        self.0.replace(at, bytes);
    }

    #[inline]
    pub(super) fn remove(&mut self, at: At, count: usize) -> Option<At> {
        self.0.remove(at, count)
    }

    /// All elements, as a listpack that is no word; none stays.
    pub(super) fn take(&mut self) -> Listpack {
        self.0.take()
    }
}

impl Deref for PackMut<'_> {
    type Target = Listpack;

    #[inline]
    fn deref(&self) -> &Listpack {
        self.0
    }
}

/// An intset to be changed, but not to be exchanged.
pub(super) struct IntsMut<'a>(&'a mut Intset);

impl IntsMut<'_> {
    #[inline]
    pub(super) fn add(&mut self, number: i64) -> bool {
        self.0.add(number)
    }

    #[inline]
    pub(super) fn remove(&mut self, number: i64) -> bool {
        self.0.remove(number)
    }
}

impl Deref for IntsMut<'_> {
    type Target = Intset;

    #[inline]
    fn deref(&self) -> &Intset {
        self.0
    }
}

impl Word {
    fn new(kind: Kind, layout: Layout, at: NonNull<u8>) -> Self {
        let tag = (kind as usize) << KIND_AT | (layout as usize) << LAYOUT_AT;
        Self(at.map_addr(|address| address | tag))
    }

    pub(super) fn of_pack(kind: Kind, pack: Listpack) -> Self {
        let pack = ManuallyDrop::new(pack);
        // SAFETY: a listpack is, transparently, the address of a block; the word owns it now.
        let at = unsafe { std::ptr::from_ref(&pack).cast::<NonNull<u8>>().read() };
        Self::new(kind, Layout::Pack, at)
    }

    pub(super) fn of_ints(kind: Kind, ints: Intset) -> Self {
        let ints = ManuallyDrop::new(ints);
        // SAFETY: an intset is, transparently, the address of a block; the word owns it now.
        let at = unsafe { std::ptr::from_ref(&ints).cast::<NonNull<u8>>().read() };
        Self::new(kind, Layout::Ints, at)
    }

    pub(super) fn of_fields(kind: Kind, fields: Fields) -> Self {
        let at = NonNull::from(Box::leak(Box::new(fields)));
        // No allocation lies beyond 48 bits: the tables' entries would refuse it, too.
        assert!(at.addr().get() & !ADDRESS == 0, "an address has 48 bits");
        Self::new(kind, Layout::Fields, at.cast())
    }

    pub(super) fn of_row(kind: Kind, row: Row) -> Self {
        let at = NonNull::from(Box::leak(Box::new(row)));
        assert!(at.addr().get() & !ADDRESS == 0, "an address has 48 bits");
        Self::new(kind, Layout::Row, at.cast())
    }

    pub(super) fn of_scored(kind: Kind, scored: Scored) -> Self {
        let at = NonNull::from(Box::leak(Box::new(scored)));
        assert!(at.addr().get() & !ADDRESS == 0, "an address has 48 bits");
        Self::new(kind, Layout::Scored, at.cast())
    }

    #[inline]
    pub(super) fn kind(&self) -> Kind {
        match self.0.addr().get() >> KIND_AT {
            1 => Kind::Set,
            2 => Kind::SortedSet,
            3 => Kind::List,
            _ => Kind::Hash,
        }
    }

    #[inline]
    fn layout(&self) -> Layout {
        match (self.0.addr().get() >> LAYOUT_AT) & 0xff {
            1 => Layout::Pack,
            2 => Layout::Ints,
            4 => Layout::Scored,
            5 => Layout::Row,
            _ => Layout::Fields,
        }
    }

    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.0
            .map_addr(|address| std::num::NonZero::new(address.get() & ADDRESS).unwrap_or(address))
    }

    #[inline]
    fn fields_at(&self) -> NonNull<Fields> {
        self.base().cast()
    }

    #[inline]
    fn scored_at(&self) -> NonNull<Scored> {
        self.base().cast()
    }

    #[inline]
    fn row_at(&self) -> NonNull<Row> {
        self.base().cast()
    }

    #[inline]
    pub(super) fn form(&self) -> Form<'_> {
        let this = std::ptr::from_ref(self);
        match self.layout() {
            // SAFETY: the word is the address of a listpack's block, as a listpack itself is; a
            // block passes the bits above by.
            Layout::Pack => Form::Pack(unsafe { &*this.cast::<Listpack>() }),
            // SAFETY: as for a listpack.
            Layout::Ints => Form::Ints(unsafe { &*this.cast::<Intset>() }),
            // SAFETY: a table is there, which this word owns.
            Layout::Fields => Form::Fields(unsafe { self.fields_at().as_ref() }),
            // SAFETY: as for a table.
            Layout::Scored => Form::Scored(unsafe { self.scored_at().as_ref() }),
            // SAFETY: as for a table.
            Layout::Row => Form::Row(unsafe { self.row_at().as_ref() }),
        }
    }

    #[inline]
    pub(super) fn form_mut(&mut self) -> FormMut<'_> {
        let this = std::ptr::from_mut(self);
        match self.layout() {
            // SAFETY: as in `form`; a block that moves keeps the bits above, and `PackMut` lets
            // nobody put another one in its place.
            Layout::Pack => FormMut::Pack(PackMut(unsafe { &mut *this.cast::<Listpack>() })),
            // SAFETY: as for a listpack.
            Layout::Ints => FormMut::Ints(IntsMut(unsafe { &mut *this.cast::<Intset>() })),
            // SAFETY: a table is there, which this word owns and which is borrowed with it.
            Layout::Fields => FormMut::Fields(unsafe { self.fields_at().as_mut() }),
            // SAFETY: as for a table.
            Layout::Scored => FormMut::Scored(unsafe { self.scored_at().as_mut() }),
            // SAFETY: as for a table.
            Layout::Row => FormMut::Row(unsafe { self.row_at().as_mut() }),
        }
    }

    /// Bytes held, by size class. Takes the same time for every size.
    pub(super) fn memory(&self) -> usize {
        match self.form() {
            Form::Pack(pack) => pack.memory(),
            Form::Ints(ints) => ints.memory(),
            Form::Fields(fields) => size_class(size_of::<Fields>()) + fields.memory(),
            Form::Scored(scored) => size_class(size_of::<Scored>()) + scored.memory(),
            Form::Row(row) => size_class(size_of::<Row>()) + row.memory(),
        }
    }

    /// A copy of everything.
    pub(super) fn duplicate(&self) -> Self {
        let kind = self.kind();
        match self.form() {
            Form::Pack(pack) => Self::of_pack(kind, pack.clone()),
            Form::Ints(ints) => Self::of_ints(kind, ints.clone()),
            Form::Fields(fields) => Self::of_fields(kind, fields.duplicate()),
            Form::Scored(scored) => Self::of_scored(kind, scored.duplicate()),
            Form::Row(row) => Self::of_row(kind, row.clone()),
        }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        let this = std::ptr::from_mut(self);
        match self.layout() {
            // SAFETY: as in `form`; the word is gone behind this.
            Layout::Pack => drop(unsafe { this.cast::<Listpack>().read() }),
            // SAFETY: as in `form`; the word is gone behind this.
            Layout::Ints => drop(unsafe { this.cast::<Intset>().read() }),
            // SAFETY: the table came out of a box, and this is its owner.
            Layout::Fields => drop(unsafe { Box::from_raw(self.fields_at().as_ptr()) }),
            // SAFETY: as for a table.
            Layout::Scored => drop(unsafe { Box::from_raw(self.scored_at().as_ptr()) }),
            // SAFETY: as for a table.
            Layout::Row => drop(unsafe { Box::from_raw(self.row_at().as_ptr()) }),
        }
    }
}
