//! An intset: integers in ascending order, in Redis's own format.
//!
//! ```text
//! width    bytes of each number, u32: 2, 4 or 8      all little-endian
//! count    how many, u32
//! numbers  signed, ascending
//! ```
//!
//! All have the width that one of them needed when it came, and keep it.

use super::block::{Block, Format};

const HEADER: usize = 8;
/// More would not be told by 32 bits of bytes; Redis stops here, too.
pub(crate) const COUNT_MAX: usize = 1 << 30;

/// See the module's page. One word: the length is the bytes' own to tell.
#[derive(Clone, Default)]
#[repr(transparent)]
pub(crate) struct Intset(Block<Ints>);

/// The format's part of a [`Block`].
struct Ints;

// SAFETY: width and count are the first eight bytes, which nobody else writes. A length is given
// back as it is a whole number of numbers: `Intset` asks for nothing else.
unsafe impl Format for Ints {
    const HEAD: usize = HEADER;
    const EMPTY: &'static [u8] = &[2, 0, 0, 0, 0, 0, 0, 0];

    #[inline]
    fn len(head: [u8; 8]) -> usize {
        let (width, count) = parts(head);
        HEADER.saturating_add(width.saturating_mul(count))
    }

    fn set_len(head: &mut [u8; 8], len: usize) {
        let (width, _) = parts(*head);
        *head = head_of(width, (len - HEADER) / width.max(1));
    }
}

#[inline]
fn parts(head: [u8; 8]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = head;
    let width = u32::from_le_bytes([a, b, c, d]);
    let count = u32::from_le_bytes([e, f, g, h]);
    (width as usize, count as usize)
}

/// Widths and counts have 32 bits: the width is 8 at most, and owners keep to [`COUNT_MAX`].
fn head_of(width: usize, count: usize) -> [u8; 8] {
    let [a, b, c, d] = (width as u32).to_le_bytes();
    let [e, f, g, h] = (count as u32).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// How many bytes a number needs.
const fn width_for(number: i64) -> usize {
    match number {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

impl Intset {
    /// How many numbers.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.0.len() - HEADER) / self.width()
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == HEADER
    }

    /// Bytes that it takes from the allocator.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// The bytes, as DUMP and snapshots have them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// An intset from outside, after a look at every number; `None` if it is not as it must be.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (width, count) = parts(*bytes.first_chunk()?);
        if !matches!(width, 2 | 4 | 8) || count > COUNT_MAX {
            return None;
        }
        let ints = Self(Block::copy_of(bytes)?);
        ints.iter().is_sorted_by(|a, b| a < b).then_some(ints)
    }

    #[inline]
    fn width(&self) -> usize {
        // One of 2, 4 and 8: the first byte has it all.
        self.as_bytes()
            .first()
            .map_or(2, |width| usize::from(*width))
            .max(1)
    }

    /// Number `index` in ascending order.
    #[inline]
    pub(crate) fn nth(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let from = HEADER + index.checked_mul(width)?;
        let bytes = self.as_bytes().get(from..from + width)?;
        Some(match bytes {
            [a, b] => i64::from(i16::from_le_bytes([*a, *b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => i64::from_le_bytes(*bytes.first_chunk()?),
        })
    }

    /// All, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i64> + Clone {
        (0..self.len()).map_while(|index| self.nth(index))
    }

    /// Where a number is, or where it would be.
    fn search(&self, number: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Those that come in order are the commonest.
        if let Some(last) = high.checked_sub(1).and_then(|last| self.nth(last))
            && number > last
        {
            return Err(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.nth(middle) {
                Some(found) if found == number => return Ok(middle),
                Some(found) if found < number => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// Whether a number is there.
    pub(crate) fn contains(&self, number: i64) -> bool {
        width_for(number) <= self.width() && self.search(number).is_ok()
    }

    /// Adds a number; whether it is new.
    pub(crate) fn add(&mut self, number: i64) -> bool {
        if width_for(number) > self.width() {
            self.widen(number);
            return true;
        }
        let Err(index) = self.search(number) else {
            return false;
        };
        let width = self.width();
        self.0.splice(HEADER + index * width, 0, width);
        let number = number.to_le_bytes();
        let room = self.0.content_mut().get_mut(index * width..);
        for (to, from) in room
            .unwrap_or_default()
            .iter_mut()
            .zip(number.iter().take(width))
        {
            *to = *from;
        }
        true
    }

    /// Takes a number out; whether it was there.
    pub(crate) fn remove(&mut self, number: i64) -> bool {
        if width_for(number) > self.width() {
            return false;
        }
        let Ok(index) = self.search(number) else {
            return false;
        };
        let width = self.width();
        self.0.splice(HEADER + index * width, width, 0);
        true
    }

    /// Adds a number that is too wide, so is below or above all others.
    fn widen(&mut self, number: i64) {
        let width = width_for(number);
        let mut bytes = head_of(width, self.len() + 1).to_vec();
        bytes.reserve_exact((self.len() + 1) * width);
        let mut push = |number: i64| {
            bytes.extend(number.to_le_bytes().iter().take(width));
        };
        if number < 0 {
            push(number);
        }
        self.iter().for_each(&mut push);
        if number >= 0 {
            push(number);
        }
        if let Some(block) = Block::copy_of(&bytes) {
            drop(self.0.exchange(block));
        }
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ints(numbers: &[i64]) -> Intset {
        let mut ints = Intset::default();
        for number in numbers {
            assert!(ints.add(*number));
        }
        ints
    }

    /// What `DUMP` of a set on redis-server 7.0.15 has between type byte and version.
    #[test]
    fn bytes_are_those_of_redis() {
        let small = ints(&[3, -1]);
        assert_eq!(small.as_bytes(), b"\x02\0\0\0\x02\0\0\0\xff\xff\x03\0");
        let wide = ints(&[1, 70_000]);
        assert_eq!(
            wide.as_bytes(),
            b"\x04\0\0\0\x02\0\0\0\x01\0\0\0\x70\x11\x01\0"
        );
        assert_eq!(
            Intset::from_bytes(wide.as_bytes()).unwrap().as_bytes(),
            wide.as_bytes()
        );
    }

    #[test]
    fn bytes_that_are_wrong_are_refused() {
        for bytes in [
            &b""[..],
            b"\x02\0\0\0\x01\0\0\0",
            b"\x02\0\0\0\x01\0\0\0\x01\0\x02\0",
            b"\x03\0\0\0\x01\0\0\0\x01\0\0",
            b"\0\0\0\0\x01\0\0\0",
            b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0",
            b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
            b"\x08\0\0\0\xff\xff\xff\xff",
        ] {
            assert!(Intset::from_bytes(bytes).is_none(), "{bytes:?}");
        }
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => -20i64..20,
            2 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(32_768), Just(-32_769)],
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 300 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_behaves_like_a_sorted_set_of_numbers(
            ops in proptest::collection::vec((any::<bool>(), number()), 0..200)
        ) {
            let (mut ints, mut model) = (Intset::default(), BTreeSet::new());
            for (add, number) in ops {
                prop_assert_eq!(ints.contains(number), model.contains(&number));
                if add {
                    prop_assert_eq!(ints.add(number), model.insert(number));
                } else {
                    prop_assert_eq!(ints.remove(number), model.remove(&number));
                }
                prop_assert_eq!(ints.len(), model.len());
                prop_assert_eq!(ints.is_empty(), model.is_empty());
                prop_assert!(ints.iter().eq(model.iter().copied()));
                let again = Intset::from_bytes(ints.as_bytes());
                prop_assert!(again.is_some_and(|again| again.iter().eq(ints.iter())));
                let copy = ints.clone();
                prop_assert_eq!(copy.as_bytes(), ints.as_bytes());
            }
        }
    }
}
