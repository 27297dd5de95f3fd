//! Values other than strings.

/// A list, set, hash, sorted set or stream. No type is served yet, so no value of this exists; a
/// new variant makes the compiler ask for its name, encoding, size and copy here, and nowhere else.
#[derive(Debug)]
pub enum Object {}

impl Object {
    /// TYPE's answer.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match *self {}
    }

    /// OBJECT ENCODING's answer.
    #[must_use]
    pub const fn encoding(&self) -> &'static str {
        match *self {}
    }

    /// Bytes held, by size class, the box itself included.
    #[must_use]
    pub const fn memory(&self) -> usize {
        match *self {}
    }

    /// How many allocations freeing it frees; many make it a job for the freeing thread.
    #[must_use]
    pub const fn free_effort(&self) -> usize {
        match *self {}
    }

    /// COPY's value.
    #[must_use]
    pub const fn duplicate(&self) -> Box<Self> {
        match *self {}
    }
}
