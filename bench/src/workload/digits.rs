//! Numbers as eight decimal digits, without a division per digit.

/// Digits of a key's number.
pub(crate) const DIGITS: usize = 8;

/// The last eight decimal digits of `number`, zeros first.
///
/// Two, then four, then eight digits are split at once, each in its own lane of one word;
/// multiplying by a rounded-up reciprocal and shifting divides every lane, and no lane is wide
/// enough to spill into the next.
#[inline]
pub(crate) fn digits(number: u64) -> [u8; DIGITS] {
    let number = number % 100_000_000;
    // Two lanes of 32 bits below 10,000. x * 10486 >> 20 is x / 100 for every x below 10,000.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let high = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = high | ((fours - 100 * high) << 16);
    // Four lanes of 16 bits below 100. x * 103 >> 10 is x / 10 for every x below 100.
    let high = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = high | ((twos - 10 * high) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_the_standard_library_prints() {
        let mut random = fastrand::Rng::with_seed(1);
        let anywhere = (0..100_000).map(|_| random.u64(..100_000_000));
        let edges = [0, 9, 10, 99, 100, 9_999, 10_000, 99_999_999, 100_000_000];
        for number in (0..20_000).chain(edges).chain(anywhere) {
            let printed = format!("{:08}", number % 100_000_000);
            assert_eq!(digits(number), printed.as_bytes(), "{number}");
        }
    }
}
