//! Hash slots: which of the 16384 a key belongs to.

use std::fmt;

/// A hash slot, always below [`Slot::COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// How many slots a cluster has.
    pub const COUNT: u16 = 16_384;

    /// The only way in from the wire, so no later code re-checks the range.
    #[must_use]
    pub fn from_wire(raw: u64) -> Option<Self> {
        u16::try_from(raw)
            .ok()
            .filter(|n| *n < Self::COUNT)
            .map(Self)
    }

    /// The slot of `key`: CRC16-XMODEM of its hash tag, or of all of it, modulo 16384.
    #[must_use]
    #[inline]
    pub fn of_key(key: &[u8]) -> Self {
        Self(crc::crc16(hash_tag(key)) & (Self::COUNT - 1))
    }

    /// The slot as a number below [`Slot::COUNT`].
    #[must_use]
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The slot as an index into a table of [`Slot::COUNT`] rows.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All slots in ascending order, the order in which their locks are taken.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..Self::COUNT).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of `key` that is hashed: what stands between the first `{` and the next `}`, if
/// anything does; else all of it (Redis Cluster specification, "Hash tags").
#[must_use]
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = find_open(key) else {
        return key;
    };
    let after = key.get(open + 1..).unwrap_or_default();
    match memchr::memchr(b'}', after) {
        // "{}" does not fall through to a later tag: only the first pair counts, and
        // clients hash the same way.
        Some(0) | None => key,
        Some(close) => after.get(..close).unwrap_or(key),
    }
}

/// Where the first `{` is. On keys of a few words this beats a search made for long texts, whose
/// set-up costs more than the look at them.
#[inline]
fn find_open(key: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    /// Beyond so many bytes the search for long texts is faster.
    const SHORT: usize = 64;
    if key.len() > SHORT {
        return memchr::memchr(b'{', key);
    }
    let (words, rest) = key.as_chunks::<8>();
    let may_have = |word: &[u8; 8]| {
        // A byte that is `{` becomes zero, and a zero byte borrows from its high bit.
        let zeroed = u64::from_ne_bytes(*word) ^ (ONES * b'{' as u64);
        zeroed.wrapping_sub(ONES) & !zeroed & HIGH != 0
    };
    if words.iter().any(may_have) || rest.contains(&b'{') {
        return key.iter().position(|byte| *byte == b'{');
    }
    None
}

mod crc {
    //! CRC16-XMODEM, eight bytes at a time. The `crc16` crate is the oracle of its tests; it
    //! looks at one byte at a time, which costs three times as much on a 24-byte key.

    const POLYNOMIAL: u16 = 0x1021;

    /// `TABLES[n][b]` is the CRC of byte `b` followed by `n` zero bytes.
    static TABLES: [[u16; 256]; 8] = tables();

    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time, with constant bounds"
    )]
    const fn tables() -> [[u16; 256]; 8] {
        let mut tables = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = (byte as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 {
                    crc << 1
                } else {
                    (crc << 1) ^ POLYNOMIAL
                };
                bit += 1;
            }
            tables[0][byte] = crc;
            byte += 1;
        }
        let mut zeros = 1;
        while zeros < 8 {
            let mut byte = 0;
            while byte < 256 {
                let shorter: u16 = tables[zeros - 1][byte];
                tables[zeros][byte] = (shorter << 8) ^ tables[0][(shorter >> 8) as usize];
                byte += 1;
            }
            zeros += 1;
        }
        tables
    }

    #[inline]
    pub(super) fn crc16(data: &[u8]) -> u16 {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let at = |table: &[u16; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
        let (words, rest) = data.as_chunks::<8>();
        let mut crc = 0u16;
        for [a, b, c, d, e, f, g, h] in words {
            let [high, low] = crc.to_be_bytes();
            crc = at(t7, a ^ high)
                ^ at(t6, b ^ low)
                ^ at(t5, *c)
                ^ at(t4, *d)
                ^ at(t3, *e)
                ^ at(t2, *f)
                ^ at(t1, *g)
                ^ at(t0, *h);
        }
        for byte in rest {
            let [high, _] = crc.to_be_bytes();
            crc = (crc << 8) ^ at(t0, high ^ byte);
        }
        crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_keys_have_their_slots() {
        let cases: &[(&[u8], u16)] = &[
            (b"centos", 467),
            (b"", 0),
            (b"123456789", 12739),
            (b"foo", 12182),
            (b"{centos}.x", 467),
            (b"a{centos}b{foo}", 467),
        ];
        for (key, slot) in cases {
            assert_eq!(Slot::of_key(key).number(), *slot, "{key:?}");
        }
    }

    #[test]
    fn only_the_first_tag_counts() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"{}", b"{}"),
            (b"foo{}{bar}", b"foo{}{bar}"),
            (b"foo{{bar}}zap", b"{bar"),
            (b"foo{bar}{zap}", b"bar"),
            (b"{user", b"{user"),
            (b"}a{b}", b"b"),
            (b"\x00{\xff\x00}\n", b"\xff\x00"),
        ];
        for (key, tag) in cases {
            assert_eq!(hash_tag(key), *tag, "{key:?}");
        }
    }

    #[test]
    fn a_slot_from_the_wire_is_in_range() {
        assert_eq!(Slot::from_wire(16_383).map(Slot::number), Some(16_383));
        assert_eq!(Slot::from_wire(16_384), None);
        assert_eq!(Slot::from_wire(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn the_fast_table_agrees_with_the_crate(key in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(find_open(&key), key.iter().position(|byte| *byte == b'{'));
            prop_assert_eq!(crc::crc16(&key), crc16::State::<crc16::XMODEM>::calculate(&key));
        }
    }
}
