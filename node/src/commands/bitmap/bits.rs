//! Counting and finding bits.

use super::ones::count;

/// The bits of a byte from `offset % 8` on.
const fn mask_from(offset: u64) -> u8 {
    0xff >> (offset % 8)
}

/// The bits of a byte up to `offset % 8`, which is included.
const fn mask_to(offset: u64) -> u8 {
    0xff << (7 - offset % 8)
}

fn byte_of(offset: u64) -> usize {
    usize::try_from(offset / 8).unwrap_or(usize::MAX)
}

/// A range of bits: the bytes at its ends, cut to the range, and the whole bytes between them.
struct Cut<'a> {
    head: u8,
    head_mask: u8,
    middle: &'a [u8],
    tail: Option<(u8, u8)>,
}

/// Cuts out bits `from` to `to`, which is included; `None` if they are not all there.
fn cut(bytes: &[u8], from: u64, to: u64) -> Option<Cut<'_>> {
    let range = bytes.get(byte_of(from)..=byte_of(to))?;
    let (head, rest) = range.split_first()?;
    Some(match rest.split_last() {
        None => Cut {
            head: *head,
            head_mask: mask_from(from) & mask_to(to),
            middle: b"",
            tail: None,
        },
        Some((tail, middle)) => Cut {
            head: *head,
            head_mask: mask_from(from),
            middle,
            tail: Some((*tail, mask_to(to))),
        },
    })
}

/// How many of the bits `from` to `to`, which is included, are 1.
pub(super) fn count_range(bytes: &[u8], from: u64, to: u64) -> u64 {
    let Some(cut) = cut(bytes, from, to) else {
        return 0;
    };
    let ends = (cut.head & cut.head_mask).count_ones()
        + cut
            .tail
            .map_or(0, |(tail, mask)| (tail & mask).count_ones());
    u64::from(ends) + count(cut.middle)
}

/// The first of the bits `from` to `to`, which is included, that is `bit`.
pub(super) fn find(bytes: &[u8], bit: bool, from: u64, to: u64) -> Option<u64> {
    let cut = cut(bytes, from, to)?;
    // Looks for a 1 in any case.
    let seen = |byte: u8| if bit { byte } else { !byte };
    let base = from - from % 8;
    let head = seen(cut.head) & cut.head_mask;
    if head != 0 {
        return Some(base + u64::from(head.leading_zeros()));
    }
    if let Some(at) = find_one(cut.middle, bit) {
        return Some(base + 8 + at);
    }
    let (tail, mask) = cut.tail?;
    let tail = seen(tail) & mask;
    let passed = 8 + cut.middle.len() as u64 * 8;
    (tail != 0).then(|| base + passed + u64::from(tail.leading_zeros()))
}

/// The first bit that is `bit`.
fn find_one(bytes: &[u8], bit: bool) -> Option<u64> {
    let dull: u8 = if bit { 0 } else { 0xff };
    let (words, rest) = bytes.as_chunks::<8>();
    let skipped = words
        .iter()
        .position(|word| *word != [dull; 8])
        .unwrap_or(words.len());
    let tail = words.get(skipped).map_or(rest, |word| word.as_slice());
    let at = tail.iter().position(|byte| *byte != dull)?;
    let within = (*tail.get(at)? ^ dull).leading_zeros();
    Some((skipped * 8 + at) as u64 * 8 + u64::from(within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    fn bits_of(bytes: &[u8]) -> Vec<bool> {
        let bit = |byte: u8, at: u32| byte & (0x80 >> at) != 0;
        bytes
            .iter()
            .flat_map(|byte| (0..8).map(move |at| bit(*byte, at)))
            .collect()
    }

    /// Mostly runs of the same byte, or nothing would have to be found.
    fn random_bytes(random: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(0..6) {
            let byte = match random.u8(0..5) {
                0 | 1 => 0,
                2 | 3 => 0xff,
                _ => random.u8(..),
            };
            bytes.extend(std::iter::repeat_n(byte, random.usize(0..40)));
        }
        bytes
    }

    #[test]
    fn ranges_are_counted_and_searched_as_bit_by_bit() {
        let mut random = Rng::with_seed(1);
        for _ in 0..2000 {
            let bytes = random_bytes(&mut random);
            let bits = bits_of(&bytes);
            let ones = |bits: &[bool]| bits.iter().filter(|bit| **bit).count() as u64;
            assert_eq!(count(&bytes), ones(&bits), "{bytes:?}");
            if bits.is_empty() {
                continue;
            }
            let from = random.usize(0..bits.len());
            let to = random.usize(from..bits.len());
            let range = &bits[from..=to];
            let (first, last) = (from as u64, to as u64);
            assert_eq!(count_range(&bytes, first, last), ones(range));
            for wanted in [false, true] {
                let expected = range.iter().position(|bit| *bit == wanted);
                assert_eq!(
                    find(&bytes, wanted, first, last),
                    expected.map(|at| (from + at) as u64),
                    "{wanted} in {from}..={to} of {bytes:?}"
                );
            }
        }
    }

    #[test]
    fn a_range_that_is_not_there_has_nothing() {
        assert_eq!(count_range(b"", 0, 7), 0);
        assert_eq!(count_range(b"a", 0, 8), 0);
        assert_eq!(find(b"a", true, 9, 10), None);
        assert_eq!(find(b"a", true, 5, 2), None);
    }

    #[test]
    fn long_strings_are_counted_whole() {
        let mut random = Rng::with_seed(2);
        for len in [4096, 100_003] {
            let bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            let expected: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
            assert_eq!(count(&bytes), expected, "{len}");
        }
    }
}
