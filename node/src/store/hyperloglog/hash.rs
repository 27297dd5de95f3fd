//! Where an element belongs: MurmurHash64A (Austin Appleby, public domain) with Redis's seed.

use super::{INDEX_BITS, RANK_BITS, REGISTERS};

const SEED: u64 = 0xadc8_3b19;
const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

/// The element's register and its rank, from 1 to 51.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element, SEED);
    // Both fit: the mask keeps 14 bits, and a guard behind the highest ends the count.
    let index = (hash as usize) & (REGISTERS - 1);
    let rank = (hash >> INDEX_BITS | 1 << RANK_BITS).trailing_zeros() + 1;
    (index, rank as u8)
}

fn mixed(word: u64) -> u64 {
    let word = word.wrapping_mul(FACTOR);
    (word ^ word >> SHIFT).wrapping_mul(FACTOR)
}

fn murmur(bytes: &[u8], seed: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        hash = (hash ^ mixed(u64::from_le_bytes(*word))).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a redis-server 7.0.15 placed them: PFADD, then PFDEBUG DECODE.
    #[test]
    fn elements_go_where_redis_puts_them() {
        let long = [b'x'; 100];
        let cases: &[(&[u8], usize, u8)] = &[
            (b"", 5938, 2),
            (b"a", 12711, 2),
            (b"b", 15780, 1),
            (b"c", 8436, 1),
            (b"hello", 9216, 1),
            (b"12345678", 10579, 3),
            (b"123456789", 9293, 2),
            (&long, 15288, 1),
        ];
        for (element, index, rank) in cases {
            assert_eq!(place(element), (*index, *rank), "{element:?}");
        }
    }
}
