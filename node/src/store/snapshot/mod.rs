//! The data of one instant, written while it changes: no fork, and nobody waits for longer than an
//! entry or a step takes.
//!
//! ```text
//! mark      at the gate: every slot that has keys is *unreached* from then on (a byte in its line)
//! Walk      writes slot by slot, a few entries at a time, each time under the slot's lock (walk.rs)
//! Pending   what a slot's writers leave for the walk (pending.rs): of an entry that it has not come
//!           to, the first change leaves what it was
//! ```
//!
//! What an entry was is a record as it will be in the snapshot's file, if it is small; its value
//! itself, if that was replaced or deleted; a copy that shares its nodes, of a list; and a table of
//! members or fields keeps its old elements itself, one by one, as they change (`object/kept.rs`).
//! A big value that is given another name is written from there, as what it was (`moves.rs`).
//!
//! A key that expires or is evicted before the walk comes to it is not in the snapshot: whoever
//! loads it would find its time over, and memory that is wanted back is not kept for a snapshot.
//!
//! What writers leave is counted, with a bound: beyond it, who would write to a slot that is
//! unreached waits until the walk has written some of it ([`Store::snapshot_holds_up`]).

mod guard;
mod moves;
mod pending;
mod walk;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use slotilla_common::slot::Slot;

use super::Store;
pub(crate) use guard::Fate;
use moves::Moves;
pub(super) use pending::Pending;
pub use walk::{Progress, Walk};

/// The snapshot that is under way, if one is.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    is_active: AtomicBool,
    /// Of the one that is under way, or of the last.
    number: AtomicU64,
    marked_ms: AtomicI64,
    /// Bytes that are kept for it.
    held: AtomicUsize,
    /// The most that were kept for it, or for the last.
    peak: AtomicUsize,
    /// As many may be kept.
    limit: AtomicUsize,
    /// Big values that have moved.
    moves: Moves,
}

impl Snapshots {
    fn hold(&self, bytes: usize) {
        let held = self
            .held
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is(&self, number: u64) -> bool {
        self.is_active.load(Ordering::Acquire) && self.number.load(Ordering::Relaxed) == number
    }
}

impl Store {
    /// Marks the instant of a snapshot; `None` if one is under way. Whoever calls it sees to it that
    /// no command runs meanwhile, and no slot is out.
    #[must_use]
    pub fn mark_snapshot(&self, now_ms: i64) -> Option<Walk> {
        let snapshots = &self.snapshots;
        if snapshots.is_active.swap(true, Ordering::AcqRel) {
            return None;
        }
        let number = snapshots.number.fetch_add(1, Ordering::Relaxed) + 1;
        snapshots.marked_ms.store(now_ms, Ordering::Relaxed);
        snapshots.held.store(0, Ordering::Relaxed);
        snapshots.peak.store(0, Ordering::Relaxed);
        self.snapshots.moves.clear();
        let mut slots = Vec::new();
        let mut from = 0;
        while let Some(slot) = self.occupied.next(from) {
            from = slot.index() + 1;
            self.cell(slot).set_unreached(true);
            slots.push(slot);
        }
        Some(Walk::new(number, slots))
    }

    /// Lets the snapshot that is under way go, if one is: its walk ends without having it all.
    /// Whoever calls it sees to it that no command runs meanwhile, and no slot is out.
    pub fn abandon_snapshot(&self) {
        if self.snapshots.is_active.load(Ordering::Acquire) {
            self.forget_snapshot(Slot::all());
        }
    }

    /// Ends a snapshot: nothing is kept for it in these slots, all that it has not come to.
    fn forget_snapshot(&self, slots: impl Iterator<Item = Slot>) {
        let forget = |slot| {
            if self.cell(slot).is_unreached() {
                self.lock(slot).forget_pending();
            }
        };
        slots.for_each(forget);
        // What moves from a slot that is not forgotten yet makes others of these.
        while let Some(slot) = self.snapshots.moves.next_slot() {
            forget(slot);
        }
        self.snapshots.held.store(0, Ordering::Relaxed);
        self.snapshots.is_active.store(false, Ordering::Release);
    }

    /// Whether a write to this slot is to wait until the snapshot has written what is kept for it.
    #[must_use]
    #[inline]
    pub fn snapshot_holds_up(&self, slot: Slot) -> bool {
        self.snapshot_is_full() && self.cell(slot).is_unreached()
    }

    /// Whether as much is kept for a snapshot as may be.
    #[must_use]
    #[inline]
    pub fn snapshot_is_full(&self) -> bool {
        let held = self.snapshots.held.load(Ordering::Relaxed);
        held != 0 && held >= self.snapshots.limit.load(Ordering::Relaxed)
    }

    /// How many bytes may be kept for a snapshot before writers wait.
    pub fn set_snapshot_limit(&self, bytes: usize) {
        self.snapshots.limit.store(bytes, Ordering::Relaxed);
    }

    /// About how many bytes are kept for a snapshot, and were at most for it, or the last one.
    #[must_use]
    pub fn snapshot_held(&self) -> (usize, usize) {
        let Snapshots { held, peak, .. } = &self.snapshots;
        (held.load(Ordering::Relaxed), peak.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
