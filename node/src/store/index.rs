//! What can be asked of all slots without visiting them: which have keys, which have keys that
//! expire soon, how many keys the databases beside the first have.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use slotilla_common::slot::Slot;

use super::entry::ExpiryTag;

const WORD_BITS: usize = 64;

/// The slots that have a key in some database: written under the slot's lock.
pub(crate) struct Occupied(Box<[AtomicU64]>);

impl Occupied {
    pub(crate) fn new() -> Self {
        let words = usize::from(Slot::COUNT) / WORD_BITS;
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn insert(&self, slot: Slot) {
        if let Some(word) = self.0.get(slot.index() / WORD_BITS) {
            word.fetch_or(1 << (slot.index() % WORD_BITS), Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, slot: Slot) {
        if let Some(word) = self.0.get(slot.index() / WORD_BITS) {
            word.fetch_and(!(1 << (slot.index() % WORD_BITS)), Ordering::Relaxed);
        }
    }

    /// The first such slot from number `from` on.
    pub(crate) fn next(&self, from: usize) -> Option<Slot> {
        let first = from / WORD_BITS;
        let mut mask = u64::MAX << (from % WORD_BITS);
        for (index, word) in self.0.iter().enumerate().skip(first) {
            let bits = word.load(Ordering::Relaxed) & mask;
            mask = u64::MAX;
            if bits != 0 {
                let number = index * WORD_BITS + bits.trailing_zeros() as usize;
                return Slot::from_wire(number as u64);
            }
        }
        None
    }
}

/// For each slot, a lower bound of its keys' expiries, in ticks since the store began. Dense, so
/// that the active expirer finds the slots that are due by reading 64 KiB.
pub(crate) struct Due {
    /// Tick of the store's beginning.
    base: i64,
    slots: Box<[AtomicU32]>,
    /// Whether a key was given an expiry since somebody last counted those that have one.
    noted: AtomicBool,
}

/// No key of the slot expires.
const NEVER: u32 = u32::MAX;

impl Due {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            base: now_ms >> ExpiryTag::TICK_SHIFT,
            slots: (0..Slot::COUNT).map(|_| AtomicU32::new(NEVER)).collect(),
            noted: AtomicBool::new(false),
        }
    }

    /// The tick of a time, as the bounds count them.
    pub(crate) fn tick(&self, ms: i64) -> u32 {
        let tick = (ms >> ExpiryTag::TICK_SHIFT).saturating_sub(self.base);
        u32::try_from(tick.clamp(0, i64::from(NEVER - 1))).unwrap_or(NEVER - 1)
    }

    /// A key of `slot`, which is locked, expires then.
    #[inline]
    pub(crate) fn note(&self, slot: Slot, expiry: Option<i64>) {
        if let Some(at) = expiry {
            self.lower(slot, self.tick(at));
            if !self.noted.load(Ordering::Relaxed) {
                self.noted.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether a key was given an expiry since [`set_noted`](Self::set_noted) said no.
    pub(crate) fn is_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_noted(&self, noted: bool) {
        self.noted.store(noted, Ordering::Relaxed);
    }

    /// The slot, which is locked, has a key that expires at `tick`.
    pub(crate) fn lower(&self, slot: Slot, tick: u32) {
        if let Some(bound) = self.slots.get(slot.index())
            && tick < bound.load(Ordering::Relaxed)
        {
            bound.store(tick, Ordering::Relaxed);
        }
    }

    /// Takes the bound of `slot`, which is locked, away.
    pub(crate) fn take(&self, slot: Slot) -> u32 {
        self.slots
            .get(slot.index())
            .map_or(NEVER, |bound| bound.swap(NEVER, Ordering::Relaxed))
    }

    /// The tick since the epoch, as tags count, of a tick since the store began.
    pub(crate) fn absolute(&self, tick: u32) -> i64 {
        self.base + i64::from(tick)
    }

    /// The first slot from number `from` on that may have a key due by `tick`.
    pub(crate) fn next(&self, from: usize, tick: u32) -> Option<Slot> {
        let due = |bound: &AtomicU32| bound.load(Ordering::Relaxed) <= tick;
        let number = from + self.slots.get(from..)?.iter().position(due)?;
        Slot::from_wire(number as u64)
    }
}

/// Keys of the databases but the first, over all slots. Few programs use them, so one counter
/// each is enough.
pub(crate) struct OtherDbs(Box<[(AtomicI64, AtomicI64)]>);

impl OtherDbs {
    pub(crate) fn new(databases: u16) -> Self {
        Self(
            (1..databases)
                .map(|_| <(AtomicI64, AtomicI64)>::default())
                .collect(),
        )
    }

    pub(crate) fn count(&self, db: u16, keys: i32, expires: i32) {
        if let Some((all, volatile)) = self.0.get(usize::from(db).wrapping_sub(1)) {
            all.fetch_add(i64::from(keys), Ordering::Relaxed);
            volatile.fetch_add(i64::from(expires), Ordering::Relaxed);
        }
    }

    /// Keys of `db`, and how many of them have an expiry.
    pub(crate) fn totals(&self, db: u16) -> (u64, u64) {
        let read = |n: &AtomicI64| u64::try_from(n.load(Ordering::Relaxed)).unwrap_or(0);
        self.0
            .get(usize::from(db).wrapping_sub(1))
            .map_or((0, 0), |(all, volatile)| (read(all), read(volatile)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupied_slots_are_found_in_order() {
        let occupied = Occupied::new();
        let slots = [0, 63, 64, 9000, 16_383].map(|n| Slot::from_wire(n).unwrap());
        slots.iter().for_each(|slot| occupied.insert(*slot));
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(slot) = occupied.next(from) {
            found.push(slot);
            from = slot.index() + 1;
        }
        assert_eq!(found, slots);
        occupied.remove(slots[1]);
        assert_eq!(occupied.next(1), Some(slots[2]));
    }

    #[test]
    fn a_slot_is_due_by_its_earliest_key() {
        let due = Due::new(1_000_000);
        let slot = Slot::from_wire(77).unwrap();
        due.note(slot, Some(1_100_000));
        due.note(slot, Some(1_050_000));
        due.note(slot, Some(1_200_000));
        due.note(slot, None);
        assert_eq!(due.next(0, due.tick(1_049_000)), None);
        assert_eq!(due.next(0, due.tick(1_050_000)), Some(slot));
        assert_eq!(due.next(78, due.tick(1_050_000)), None);
        assert_eq!(due.take(slot), due.tick(1_050_000));
        assert_eq!(due.next(0, due.tick(i64::MAX)), None);
        due.note(slot, Some(i64::MIN));
        assert_eq!(due.next(0, 0), Some(slot));
    }
}
