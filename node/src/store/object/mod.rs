//! Values other than strings: collections.
//!
//! ```text
//! Object ─┬─ Hash      (hash.rs)      small: a listpack             big: Fields
//!         ├─ Set       (set.rs)       small: an intset or listpack  big: Fields
//!         ├─ SortedSet (sorted_set/)  small: a listpack             big: a table and a tree
//!         └─ List      (list/)        small: a listpack             big: a row of listpacks
//! ```
//!
//! While it is small, a collection is packed: one run of bytes, searched from its start, in the
//! formats that Redis has for them (listpack.rs, intset.rs), with Redis's limits and names. A big
//! one has a table of its own ([`Fields`], fields.rs; what is in it, field.rs), which grows and
//! shrinks one segment at a time.
//!
//! An object is one word ([`Word`], word.rs), which says what there is and where, and so are the
//! collections: an [`Object`] is seen as a [`Hash`] if that is what it is.
//!
//! A collection without elements does not exist: whoever takes the last one out deletes the key.

mod block;
mod draw;
mod field;
mod fields;
pub mod fuzz;
mod hash;
mod image;
mod intset;
mod kept;
mod list;
mod listpack;
mod set;
mod sorted_set;
mod word;

use std::mem::ManuallyDrop;

pub use draw::Draw;
pub(crate) use fields::Fields;
pub use hash::Hash;
pub use image::{BadImage, Image};
use intset::Intset;
pub(crate) use kept::{Element, Written};
use list::Row;
pub use list::{End, List, NodeLimit, Side};
pub use listpack::Item;
use listpack::Listpack;
pub(crate) use listpack::Wanted;
pub use set::Set;
pub(crate) use sorted_set::Scored;
pub use sorted_set::{Bounds, LexEnd, Member, SortedSet, Walk};
use word::{Form, Word};

/// What type a collection is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Fields, each with a value.
    Hash = 0,
    /// Members, each once.
    Set = 1,
    /// Members in the order of their scores.
    SortedSet = 2,
    /// Elements in an order.
    List = 3,
}

/// A collection of any type.
#[repr(transparent)]
pub struct Object(Word);

/// What all types of collection have in common.
///
/// # Safety
/// The type is transparently what an [`Object`] is, and one whose kind is `KIND`.
pub unsafe trait Collection: Default {
    /// The type.
    const KIND: Kind;

    /// Whether there is no element left.
    fn is_empty(&self) -> bool;

    /// The collection in an object, if it is of this type.
    #[inline]
    fn of(object: &Object) -> Option<&Self> {
        let this = std::ptr::from_ref(object).cast::<Self>();
        // SAFETY: both are transparently a word, and this one is of the kind.
        (object.kind() == Self::KIND).then(|| unsafe { &*this })
    }

    /// As [`of`](Self::of), to be changed.
    #[inline]
    fn of_mut(object: &mut Object) -> Option<&mut Self> {
        let is_it = object.kind() == Self::KIND;
        let this = std::ptr::from_mut(object).cast::<Self>();
        // SAFETY: both are transparently a word, and this one is of the kind.
        is_it.then(|| unsafe { &mut *this })
    }

    /// As an object.
    fn into_object(self) -> Object {
        let this = ManuallyDrop::new(self);
        // SAFETY: both are transparently a word, and the object owns it from now on.
        unsafe { std::ptr::from_ref(&this).cast::<Object>().read() }
    }
}

/// How large a collection may be while it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLimits {
    /// Elements; of a hash, pairs.
    pub entries: usize,
    /// Bytes of an element.
    pub bytes: usize,
}

impl Object {
    /// What type it is of.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// TYPE's answer.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind() {
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::List => "list",
        }
    }

    /// OBJECT ENCODING's answer.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match self.0.form() {
            // The name that clients know for every list.
            Form::Pack(_) | Form::Row(_) if self.kind() == Kind::List => "quicklist",
            // The name that Redis 7.0 has for every set but an intset.
            Form::Pack(_) if self.kind() == Kind::Set => "hashtable",
            Form::Pack(_) | Form::Row(_) => "listpack",
            Form::Ints(_) => "intset",
            Form::Fields(_) => "hashtable",
            Form::Scored(_) => "skiplist",
        }
    }

    /// Bytes held, by size class. Takes the same time for every size.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.0.memory()
    }

    /// How many allocations freeing it frees; many make it a job for the freeing thread.
    #[must_use]
    pub fn free_effort(&self) -> usize {
        match self.0.form() {
            Form::Pack(_) | Form::Ints(_) => 1,
            Form::Fields(fields) => fields.len(),
            Form::Scored(scored) => scored.len(),
            Form::Row(row) => row.nodes(),
        }
    }

    /// The elements of a listpack, to be read by people.
    #[must_use]
    pub fn packed(&self) -> Option<String> {
        match self.0.form() {
            Form::Pack(pack) if matches!(self.kind(), Kind::Hash | Kind::SortedSet) => {
                Some(format!("{pack:?}"))
            }
            _ => None,
        }
    }

    /// How many elements a table has, or what is called one, and its bytes.
    #[must_use]
    pub fn table(&self) -> Option<(usize, usize)> {
        match self.0.form() {
            Form::Fields(fields) => Some((fields.len(), fields.table_memory())),
            Form::Scored(scored) => Some((scored.len(), scored.table_memory())),
            Form::Pack(pack) if self.kind() == Kind::Set => Some((pack.len(), pack.memory())),
            Form::Pack(_) | Form::Ints(_) | Form::Row(_) => None,
        }
    }

    /// COPY's value.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({}, {})", self.type_name(), self.encoding())
    }
}
