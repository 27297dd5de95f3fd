//! How many bits are 1: with AVX2 where the processor has it, else in words.

/// From this length on, vectors are worth their start.
const VECTORS_FROM: usize = 1024;

/// How many bits are 1.
pub(super) fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= VECTORS_FROM && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { avx2::count(bytes) };
    }
    in_words(bytes)
}

fn in_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    let ones = |word: &[u8; 8]| u64::from(u64::from_ne_bytes(*word).count_ones());
    words.iter().map(ones).sum::<u64>() + u64::from(rest)
}

/// Counting with carries, as Harley and Seal do: full adders take sixteen vectors together into
/// one whose bits count for sixteen each, so bits are counted in one vector of sixteen.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256,
        _mm256_extract_epi64, _mm256_or_si256, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_setr_epi8,
        _mm256_setr_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        _mm256_xor_si256,
    };

    const VECTOR: usize = 32;
    const BLOCK: usize = 16 * VECTOR;

    #[target_feature(enable = "avx2")]
    pub(super) fn count(bytes: &[u8]) -> u64 {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let zero = _mm256_setzero_si256();
        let (mut ones, mut twos, mut fours, mut eights) = (zero, zero, zero, zero);
        let mut sixteens = zero;
        for block in blocks {
            fetch_ahead(block);
            let (vectors, _) = block.as_chunks::<VECTOR>();
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = vectors else {
                continue;
            };
            let pair = [
                carry(&mut ones, load(a), load(b)),
                carry(&mut ones, load(c), load(d)),
                carry(&mut ones, load(e), load(f)),
                carry(&mut ones, load(g), load(h)),
                carry(&mut ones, load(i), load(j)),
                carry(&mut ones, load(k), load(l)),
                carry(&mut ones, load(m), load(n)),
                carry(&mut ones, load(o), load(p)),
            ];
            let [a, b, c, d, e, f, g, h] = pair;
            let a = carry(&mut twos, a, b);
            let b = carry(&mut twos, c, d);
            let c = carry(&mut twos, e, f);
            let d = carry(&mut twos, g, h);
            let a = carry(&mut fours, a, b);
            let b = carry(&mut fours, c, d);
            let a = carry(&mut eights, a, b);
            sixteens = _mm256_add_epi64(sixteens, bits(a));
        }
        16 * sum(sixteens)
            + 8 * sum(bits(eights))
            + 4 * sum(bits(fours))
            + 2 * sum(bits(twos))
            + sum(bits(ones))
            + super::in_words(rest)
    }

    /// Starts fetching what comes so far behind a block: what the processor fetches by itself ends
    /// at every page.
    #[inline]
    fn fetch_ahead(block: &[u8; BLOCK]) {
        const AHEAD: usize = 2048;
        const LINE: usize = 64;
        for line in (AHEAD..AHEAD + BLOCK).step_by(LINE) {
            let address = block.as_ptr().wrapping_add(line);
            // SAFETY: prefetching reads nothing that the program can see, and cannot fault, be
            // there memory or not.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(bytes: &[u8; VECTOR]) -> __m256i {
        let (words, _) = bytes.as_chunks::<8>();
        let [a, b, c, d] = words else {
            return _mm256_setzero_si256();
        };
        let word = |bytes: &[u8; 8]| i64::from_ne_bytes(*bytes);
        _mm256_setr_epi64x(word(a), word(b), word(c), word(d))
    }

    /// Adds two vectors to `sum`, bit by bit; the carries, which count twice.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn carry(sum: &mut __m256i, a: __m256i, b: __m256i) -> __m256i {
        let either = _mm256_xor_si256(*sum, a);
        let carries = _mm256_or_si256(_mm256_and_si256(*sum, a), _mm256_and_si256(either, b));
        *sum = _mm256_xor_si256(either, b);
        carries
    }

    /// How many bits are 1 in each of the four words: looked up by half bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits(vector: __m256i) -> __m256i {
        let of_half = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let half = _mm256_set1_epi8(15);
        let low = _mm256_and_si256(vector, half);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(vector), half);
        let low = _mm256_shuffle_epi8(of_half, low);
        let high = _mm256_shuffle_epi8(of_half, high);
        _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
    }

    /// The four words together.
    #[target_feature(enable = "avx2")]
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "counts of bits")]
    fn sum(words: __m256i) -> u64 {
        let a = _mm256_extract_epi64::<0>(words) + _mm256_extract_epi64::<1>(words);
        let b = _mm256_extract_epi64::<2>(words) + _mm256_extract_epi64::<3>(words);
        (a + b) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// At every alignment, and at lengths with and without whole blocks of vectors.
        #[test]
        fn vectors_count_what_words_do(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
            skipped in 0usize..64,
        ) {
            let bytes = bytes.get(skipped..).unwrap_or_default();
            let expected: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
            prop_assert_eq!(count(bytes), expected);
            prop_assert_eq!(in_words(bytes), expected);
        }
    }

    #[test]
    fn extremes_do_not_overflow_a_lane() {
        for len in [VECTORS_FROM - 1, VECTORS_FROM, 1 << 20, (1 << 20) + 511] {
            assert_eq!(count(&vec![0xff; len]), 8 * len as u64, "{len}");
            assert_eq!(count(&vec![0; len]), 0, "{len}");
        }
    }
}
