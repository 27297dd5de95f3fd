//! Who is told of changes: replication.

use slotilla_common::slot::Slot;

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It has a new or changed value.
    Written,
    /// A command deleted it.
    Deleted,
    /// Its time had come.
    Expired,
    /// It was deleted to make room.
    Evicted,
    /// It is kept in another way; its value is what it was, to those who watch it as well.
    Encoding,
    /// Its expiry was set, changed or taken away; its value is what it was.
    Expiry,
}

/// Is told of every change while the slot is locked, so in the slot's order. Must not touch the
/// store. Until one is set, a change costs one load and a branch that is never taken.
pub trait Observer: Send + Sync {
    /// `key` of database `db` has changed.
    fn changed(&self, db: u16, slot: Slot, key: &[u8], change: Change);
}
