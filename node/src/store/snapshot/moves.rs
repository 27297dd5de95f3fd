//! Big values that are given another name while a snapshot is under way.
//!
//! To copy one would take too long, so it is the snapshot's and its new name's at once: it keeps
//! what it was (`object/kept.rs`), the part of the snapshot that its new slot has knows it under
//! both names, and the walk comes to it there. A slot that the walk has done is unreached again for
//! its sake.

use parking_lot::Mutex;
use slotilla_common::slot::Slot;

use super::pending::Times;

/// A database and a key, at the snapshot's instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) db: u16,
    pub(super) key: Box<[u8]>,
}

/// What a value was that has another name now.
pub(in crate::store) struct Origin {
    pub(super) name: Name,
    pub(super) times: Times,
    /// What is counted for it.
    pub(super) held: usize,
}

/// What the walk and those who move values tell each other. A slot's lock is held when this one is
/// taken, or none.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Slots that the walk has to come to again.
    slots: Vec<Slot>,
    /// What the walk has written in part.
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    name: Name,
    /// The slot and key that it has now, if it has moved.
    moved_to: Option<(Slot, Box<[u8]>)>,
}

impl Moves {
    pub(super) fn clear(&self) {
        *self.0.lock() = State::default();
    }

    /// The walk is to come to a slot again, which is locked.
    pub(super) fn come_again(&self, slot: Slot) {
        self.0.lock().slots.push(slot);
    }

    /// A slot that the walk is to come to again.
    pub(super) fn next_slot(&self) -> Option<Slot> {
        self.0.lock().slots.pop()
    }

    /// A value has moved: to a slot, which is locked, and a key.
    pub(super) fn note(&self, name: &Name, slot: Slot, key: &[u8]) {
        if let Some(writing) = &mut self.0.lock().writing
            && writing.name == *name
        {
            writing.moved_to = Some((slot, key.into()));
        }
    }

    /// The walk has written a value in part, which has moved already or is where it was.
    pub(super) fn begin_writing(&self, name: Name, moved_to: Option<(Slot, Box<[u8]>)>) {
        self.0.lock().writing = Some(Writing { name, moved_to });
    }

    /// The rest of it is written, or the walk has it for itself.
    pub(super) fn end_writing(&self) {
        self.0.lock().writing = None;
    }

    /// Where what is written in part has moved to, if it has.
    pub(super) fn moved_to(&self) -> Option<(Slot, Box<[u8]>)> {
        self.0.lock().writing.as_ref()?.moved_to.clone()
    }
}
