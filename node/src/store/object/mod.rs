//! Values other than strings: collections.
//!
//! ```text
//! Object ─┬─ Hash (hash.rs)      small: a listpack      big: Fields
//! ```
//!
//! While it is small, a collection is packed: one run of bytes, searched from its start, in the
//! formats that Redis has for them (listpack.rs), with Redis's limits and names. A big one has a
//! table of its own ([`Fields`], fields.rs), which grows and shrinks one segment at a time.
//!
//! A collection without elements does not exist: whoever takes the last one out deletes the key.

mod fields;
mod hash;
mod listpack;

use super::memory::size_class;
use fields::Fields;
pub use hash::Hash;

/// A collection.
#[derive(Debug)]
pub enum Object {
    /// Fields, each with a value.
    Hash(Hash),
}

/// What all types of collection have in common.
pub trait Collection: Default {
    /// The collection in an object, if it is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// As [`of`](Self::of), to be changed.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// As an object.
    fn into_object(self) -> Object;
    /// Whether there is no element left.
    fn is_empty(&self) -> bool;
}

/// How large a collection may be while it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLimits {
    /// Elements; of a hash, pairs.
    pub entries: usize,
    /// Bytes of an element.
    pub bytes: usize,
}

/// What objects are asked for, whatever their type.
trait Kind {
    fn type_name(&self) -> &'static str;
    fn encoding(&self) -> &'static str;
    /// Bytes held, by size class, without the object itself.
    fn memory(&self) -> usize;
    fn free_effort(&self) -> usize;
    fn duplicate(&self) -> Object;
}

impl Object {
    fn kind(&self) -> &dyn Kind {
        match self {
            Self::Hash(hash) => hash,
        }
    }

    /// TYPE's answer.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.kind().type_name()
    }

    /// OBJECT ENCODING's answer.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.kind().encoding()
    }

    /// Bytes held, by size class, the box itself included. Takes the same time for every size.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_class(size_of::<Self>()) + self.kind().memory()
    }

    /// How many allocations freeing it frees; many make it a job for the freeing thread.
    #[must_use]
    pub fn free_effort(&self) -> usize {
        self.kind().free_effort()
    }

    /// COPY's value.
    #[must_use]
    pub fn duplicate(&self) -> Box<Self> {
        Box::new(self.kind().duplicate())
    }
}
