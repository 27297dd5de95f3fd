//! The dense form: four registers in each three bytes, the first in the lowest bits.

use super::REGISTERS;
use super::estimate::Histogram;

/// Bytes of all registers.
pub(super) const SIZE: usize = REGISTERS / 4 * 3;
const BITS: usize = 6;
const REGISTER: u32 = 0x3f;

fn word(group: [u8; 3]) -> u32 {
    u32::from_le_bytes([group[0], group[1], group[2], 0])
}

/// The four registers of three bytes.
fn unpacked(group: [u8; 3]) -> [u8; 4] {
    let word = word(group);
    [0, 1, 2, 3].map(|place| (word >> (place * BITS) & REGISTER) as u8)
}

/// Raises a register; whether it was lower.
pub(super) fn raise(body: &mut [u8], index: usize, rank: u8) -> bool {
    let (groups, _) = body.as_chunks_mut::<3>();
    let Some(group) = groups.get_mut(index / 4) else {
        return false;
    };
    let (old, shift) = (word(*group), index % 4 * BITS);
    if old >> shift & REGISTER >= u32::from(rank) {
        return false;
    }
    let new = old & !(REGISTER << shift) | (u32::from(rank) & REGISTER) << shift;
    let [a, b, c, _] = new.to_le_bytes();
    *group = [a, b, c];
    true
}

/// Raises `registers` to those of `body`.
pub(super) fn merge(body: &[u8], registers: &mut [u8; REGISTERS]) {
    let (fours, _) = registers.as_chunks_mut::<4>();
    for (four, group) in fours.iter_mut().zip(body.as_chunks::<3>().0) {
        for (register, rank) in four.iter_mut().zip(unpacked(*group)) {
            *register = rank.max(*register);
        }
    }
}

/// Counts how often each rank occurs.
pub(super) fn tally(body: &[u8], histogram: &mut Histogram) {
    for group in body.as_chunks::<3>().0 {
        for rank in unpacked(*group) {
            histogram.add(rank, 1);
        }
    }
}
