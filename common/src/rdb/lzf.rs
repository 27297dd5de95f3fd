//! LZF: the compression of long strings. It is fast rather than good.
//!
//! ```text
//! 000nnnnn                     n + 1 bytes as they are follow
//! lllooooo oooooooo            l + 2 bytes that have been there, o + 1 bytes back
//! 111ooooo llllllll oooooooo   l + 9 bytes that have been there, o + 1 bytes back
//! ```
//!
//! What is copied may reach into what it makes: three bytes can stand for 264 equal ones.

#![deny(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

/// As many bytes stand in a run of those that are as they are, at most.
const LITERALS_MAX: usize = 32;
/// A copy is as long, at most.
const COPY_MAX: usize = 264;
/// Fewer bytes are not worth a copy.
const COPY_MIN: usize = 3;
/// A copy is from as far back, at most.
const BACK_MAX: usize = 8192;
/// Bits of a place in the table of what has been there.
const PLACE_BITS: u32 = 14;

/// What a compressed string is at least so many times shorter than its original.
const EXPANSION_MAX: u64 = 88;

/// Compressed bytes make no sense, or not what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("compressed bytes make no sense")]
pub struct BadLzf;

/// Whether so many compressed bytes can stand for so many. A length that cannot be is a lie, of
/// which no memory should be asked.
#[must_use]
pub fn can_expand_to(compressed: u64, len: u64) -> bool {
    len <= compressed.saturating_mul(EXPANSION_MAX)
}

/// Appends what `input` stands for, which is `len` bytes.
///
/// # Errors
/// [`BadLzf`] if it stands for anything else. What was appended until then is to be ignored; it is
/// never more than `len` bytes.
pub fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), BadLzf> {
    let start = out.len();
    let end = start.checked_add(len).ok_or(BadLzf)?;
    let mut rest = input;
    while let Some((&control, behind)) = rest.split_first() {
        rest = behind;
        if usize::from(control) < LITERALS_MAX {
            let count = usize::from(control).saturating_add(1);
            let (literals, behind) = rest.split_at_checked(count).ok_or(BadLzf)?;
            if count > end.saturating_sub(out.len()) {
                return Err(BadLzf);
            }
            out.extend_from_slice(literals);
            rest = behind;
            continue;
        }
        let mut count = usize::from(control >> 5).saturating_add(2);
        if count == 9 {
            let (&more, behind) = rest.split_first().ok_or(BadLzf)?;
            count = count.saturating_add(usize::from(more));
            rest = behind;
        }
        let (&low, behind) = rest.split_first().ok_or(BadLzf)?;
        rest = behind;
        let back = (usize::from(control & 0x1f) << 8 | usize::from(low)).saturating_add(1);
        let made = out.len().saturating_sub(start);
        if back > made || count > end.saturating_sub(out.len()) {
            return Err(BadLzf);
        }
        copy(out, back, count);
    }
    if out.len() == end {
        Ok(())
    } else {
        Err(BadLzf)
    }
}

/// Appends `count` bytes that stand `back` bytes before the end, those that this appends included.
fn copy(out: &mut Vec<u8>, back: usize, count: usize) {
    let from = out.len().saturating_sub(back);
    let mut left = count;
    // What is there to copy from doubles with every turn.
    while left > 0 {
        let here = left.min(out.len().saturating_sub(from));
        out.extend_from_within(from..from.saturating_add(here));
        left = left.saturating_sub(here);
    }
}

/// Compresses. Keeps its table, so one is good for many strings.
pub struct Compressor {
    /// Where three bytes with this hash have been last, plus `base`. What is not above `base` is
    /// of an earlier string.
    table: Box<[u32]>,
    base: u32,
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            table: vec![0; 1 << PLACE_BITS].into_boxed_slice(),
            base: 0,
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    /// Puts `input`, compressed, in the place of what is in `out`; whether that took no more than
    /// `most` bytes. If not, `out` is of no use.
    pub fn compress(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> bool {
        self.make_room(input.len());
        let fits = self.run(input, most, out);
        self.forget(input.len());
        fits
    }

    fn run(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        // The last two bytes are never part of a copy, as no copy is shorter than three.
        let last = input.len().saturating_sub(2);
        let (mut at, mut literals) = (0, 0);
        while at < last {
            let Some(back) = self.seen(input, at) else {
                at = at.saturating_add(1);
                // A run has a byte of its own every 32, so this is less than it will be.
                if at.saturating_sub(literals).saturating_add(out.len()) > most {
                    return false;
                }
                continue;
            };
            let run = input.get(literals..at).unwrap_or_default();
            put_literals(run, out);
            let count = matching(input, at, back);
            put_copy(count, back, out);
            at = at.saturating_add(count);
            literals = at;
            if at < last {
                self.remember(input, at.saturating_sub(2));
                self.remember(input, at.saturating_sub(1));
            }
        }
        put_literals(input.get(literals..).unwrap_or_default(), out);
        out.len() <= most
    }

    /// Starts anew when the places of a string of this length could not be told any more.
    fn make_room(&mut self, len: usize) {
        let used = u32::try_from(len)
            .ok()
            .and_then(|len| self.base.checked_add(len));
        if used.is_none_or(|used| used == u32::MAX) {
            self.table.fill(0);
            self.base = 0;
        }
    }

    /// Makes all that the table has be of earlier strings than the next.
    fn forget(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.base = self.base.saturating_add(len).saturating_add(1);
    }

    /// How far back the three bytes at a place have been before. They are remembered.
    fn seen(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let (bytes, place) = Self::look(input, at)?;
        let now = u32::try_from(at).ok()?.checked_add(self.base)?;
        let then = std::mem::replace(self.table.get_mut(place)?, now);
        // The first byte of all is never found: it is as if nothing were there.
        let before = then.checked_sub(self.base).filter(|before| *before > 0)?;
        let before = usize::try_from(before).ok()?;
        let back = at.checked_sub(before)?;
        let is_same = input.get(before..before.checked_add(3)?)? == bytes;
        (is_same && back > 0 && back <= BACK_MAX).then_some(back)
    }

    fn remember(&mut self, input: &[u8], at: usize) {
        let now = u32::try_from(at)
            .ok()
            .and_then(|at| at.checked_add(self.base));
        if let Some((_, place)) = Self::look(input, at)
            && let Some(known) = self.table.get_mut(place)
            && let Some(now) = now
        {
            *known = now;
        }
    }

    /// The three bytes at a place, and where the table has them.
    fn look(input: &[u8], at: usize) -> Option<([u8; 3], usize)> {
        let bytes: [u8; 3] = *input.get(at..)?.first_chunk()?;
        let [a, b, c] = bytes;
        let word = u32::from_le_bytes([a, b, c, 0]);
        let hash = word.wrapping_mul(0x9e37_79b1) >> u32::BITS.saturating_sub(PLACE_BITS);
        Some((bytes, usize::try_from(hash).ok()?))
    }
}

/// How many bytes from a place on are those from `back` bytes before it on.
fn matching(input: &[u8], at: usize, back: usize) -> usize {
    let here = input.get(at..).unwrap_or_default();
    let before = at.saturating_sub(back);
    let there = input.get(before..).unwrap_or_default();
    let most = here.len().saturating_sub(2).clamp(COPY_MIN, COPY_MAX);
    let pairs = here.iter().zip(there).take(most);
    pairs.take_while(|(a, b)| a == b).count()
}

fn put_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LITERALS_MAX) {
        // At most 31.
        out.push(u8::try_from(run.len().saturating_sub(1)).unwrap_or_default());
        out.extend_from_slice(run);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a copy is at most 264 bytes long, and 8192 bytes away"
)]
fn put_copy(count: usize, back: usize, out: &mut Vec<u8>) {
    let offset = back.saturating_sub(1);
    let (high, low) = ((offset >> 8) as u8 & 0x1f, offset as u8);
    match count.saturating_sub(2) {
        len @ 0..7 => out.push((len as u8) << 5 | high),
        len => out.extend([7 << 5 | high, len.saturating_sub(7) as u8]),
    }
    out.push(low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(Compressor::default().compress(input, usize::MAX, &mut out));
        out
    }

    /// What redis-server 7.0.15 has in its DUMP of this string.
    #[test]
    fn equal_bytes_are_as_redis_has_them() {
        let expected = b"\x01\x61\x61\xe0\x57\x00\x01\x61\x61";
        assert_eq!(compressed(&[b'a'; 100]), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (bytes, len) in [
            (&b"\x00"[..], 1),
            (b"\x01a", 2),
            (b"\x00a", 2),
            (b"\x01ab", 1),
            (b"\x20\x00", 3),
            (b"\x00a\x20\x01", 4),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0", 10),
            (b"\x00a\xe0\x00\x00", 9),
            (b"", 1),
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(decompress(bytes, len, &mut out), Err(BadLzf), "{bytes:?}");
            assert!(out.len() <= 6 + len);
        }
        let mut out = b"before".to_vec();
        assert_eq!(decompress(b"\x00a\x20\x00", 4, &mut out), Ok(()));
        assert_eq!(out, b"beforeaaaa");
    }

    #[test]
    fn no_compressed_byte_stands_for_more_than_is_said() {
        let made = compressed(&vec![0; 1 << 20]);
        assert!(can_expand_to(made.len() as u64, 1 << 20));
        assert!(!can_expand_to(made.len() as u64 / 2, 1 << 20));
    }

    #[test]
    fn it_gives_up_on_what_does_not_get_shorter() {
        let input: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        assert!(!Compressor::default().compress(&input, 252, &mut out));
        assert!(Compressor::default().compress(&input, 264, &mut out));
        assert!(!Compressor::default().compress(&input, 263, &mut out));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..8),
            Just(b"{\"name\":\"value\",".to_vec()),
            (0u8..4, 0usize..600).prop_map(|(byte, count)| vec![byte; count]),
        ];
        proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_compressed_comes_back(inputs in proptest::collection::vec(text(), 1..4)) {
            let mut compressor = Compressor::default();
            for input in inputs {
                let (mut small, mut back) = (Vec::new(), Vec::new());
                prop_assert!(compressor.compress(&input, usize::MAX, &mut small));
                prop_assert!(can_expand_to(small.len() as u64, input.len() as u64));
                prop_assert_eq!(decompress(&small, input.len(), &mut back), Ok(()));
                prop_assert_eq!(&back, &input);
                let exact = compressor.compress(&input, small.len(), &mut back);
                prop_assert!(exact);
                prop_assert_eq!(&back, &small);
            }
        }

        #[test]
        fn nothing_that_is_decompressed_panics(
            input in proptest::collection::vec(any::<u8>(), 0..300),
            len in 0usize..2000,
        ) {
            let mut out = Vec::new();
            if decompress(&input, len, &mut out).is_ok() {
                prop_assert_eq!(out.len(), len);
            }
            prop_assert!(out.len() <= len);
        }
    }
}
