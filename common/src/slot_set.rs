//! A set of slots: a bitmap laid out as the bus sends it, and its ranges.

use crate::slot::Slot;
use std::fmt;

/// A set of slots, one bit each: slot `n` is bit `n & 7` of byte `n >> 3`, which is how the bus
/// carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u8; SlotSet::BYTES]>);

impl SlotSet {
    /// Bytes of the bitmap.
    pub const BYTES: usize = Slot::COUNT as usize / 8;

    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new([0; Self::BYTES]))
    }

    /// The set of all slots.
    #[must_use]
    pub fn full() -> Self {
        Self(Box::new([0xff; Self::BYTES]))
    }

    /// A set from the bus's bitmap.
    #[must_use]
    pub fn from_bitmap(bitmap: &[u8; Self::BYTES]) -> Self {
        Self(Box::new(*bitmap))
    }

    /// The bitmap as the bus sends it.
    #[must_use]
    pub fn bitmap(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Whether `slot` is in the set.
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        self.0
            .get(slot.index() / 8)
            .is_some_and(|byte| byte & mask(slot) != 0)
    }

    /// Adds `slot`; true if it was not there.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let Some(byte) = self.0.get_mut(slot.index() / 8) else {
            return false;
        };
        let new = *byte & mask(slot) == 0;
        *byte |= mask(slot);
        new
    }

    /// Takes `slot` out; true if it was there.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let Some(byte) = self.0.get_mut(slot.index() / 8) else {
            return false;
        };
        let there = *byte & mask(slot) != 0;
        *byte &= !mask(slot);
        there
    }

    /// How many slots are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no slot is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        // Most sets are a few ranges or nothing: bytes without a slot are passed over whole.
        let bytes = (0u64..).step_by(8).zip(self.0.iter());
        let inhabited = bytes.filter(|(_, byte)| **byte != 0);
        inhabited.flat_map(|(first, byte)| {
            let bits = (0..8).filter(move |bit| byte & (1 << bit) != 0);
            bits.filter_map(move |bit| Slot::from_wire(first + bit))
        })
    }

    /// The longest runs of consecutive slots, ascending, both ends included.
    #[must_use]
    pub fn ranges(&self) -> Vec<(Slot, Slot)> {
        let mut ranges: Vec<(Slot, Slot)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, end)) if end.number() + 1 == slot.number() => *end = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

fn mask(slot: Slot) -> u8 {
    1 << (slot.number() & 7)
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::new();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.ranges()
                    .iter()
                    .map(|(start, end)| format!("{start}-{end}")),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_go_in_and_come_out() {
        let slot = Slot::from_wire(4242).unwrap();
        let mut set = SlotSet::new();
        assert!(set.insert(slot) && !set.insert(slot));
        assert!(set.contains(slot));
        assert_eq!((set.len(), set.bitmap()[530]), (1, 4));
        assert!(set.remove(slot) && !set.remove(slot) && set.is_empty());
    }

    #[test]
    fn ranges_are_the_longest_runs() {
        let set: SlotSet = [0, 1, 2, 7, 16_382, 16_383]
            .into_iter()
            .filter_map(Slot::from_wire)
            .collect();
        let ranges: Vec<_> = set
            .ranges()
            .iter()
            .map(|(a, b)| (a.number(), b.number()))
            .collect();
        assert_eq!(ranges, [(0, 2), (7, 7), (16_382, 16_383)]);
        assert_eq!(SlotSet::full().ranges().len(), 1);
    }
}
