//! The integers of BITFIELD: any width, signed or not, anywhere in a string.

/// How wide an integer is, and whether it has a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) signed: bool,
    /// 1 to 64, or 63 without a sign.
    pub(super) bits: u32,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Its lower bits stay.
    Wrap,
    /// The nearest number that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Shape {
    /// `i8`, `u63`; `None` for anything else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (sign, digits) = text.split_first()?;
        let (signed, most) = match sign {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return None,
        };
        let bits = slotilla_common::resp::parse_i64(digits)?;
        let bits = u32::try_from(bits).ok()?;
        (1..=most).contains(&bits).then_some(Self { signed, bits })
    }

    const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The number that these bits, or the lowest of them, are.
    const fn number(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        let high = bits << unused;
        if self.signed {
            high.cast_signed() >> unused
        } else {
            (high >> unused).cast_signed()
        }
    }

    const fn max(self) -> i64 {
        let bits = if self.signed {
            self.bits - 1
        } else {
            self.bits
        };
        // Of i1 no bit is left for a number above zero.
        if bits == 0 {
            0
        } else {
            (u64::MAX >> (64 - bits)).cast_signed()
        }
    }

    const fn min(self) -> i64 {
        if self.signed { -self.max() - 1 } else { 0 }
    }

    /// The number at bit `offset`; beyond the string there are zeroes.
    pub(super) fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let from = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let window = u128::from_be_bytes(window(bytes, from));
        // Of 128 bits the first 9 bytes, at least, are there; a number takes 64 and up to 7 more.
        let high = window << (offset % 8) >> 64;
        self.number((high as u64) >> (64 - self.bits))
    }

    /// Writes a number that fits at bit `offset`; whether the string has it all.
    pub(super) fn write(self, bytes: &mut [u8], offset: u64, number: i64) -> bool {
        let from = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let before = (offset % 8) as u32;
        let len = (before + self.bits).div_ceil(8) as usize;
        let shift = 128 - before - self.bits;
        let old = u128::from_be_bytes(window(bytes, from));
        let new = u128::from(number.cast_unsigned() & self.mask()) << shift;
        let new = (old & !(u128::from(self.mask()) << shift) | new).to_be_bytes();
        let place = bytes.get_mut(from..from.saturating_add(len));
        let (Some(place), Some(new)) = (place, new.get(..len)) else {
            return false;
        };
        place.copy_from_slice(new);
        true
    }

    /// What SET stores for `number`, which is the whole range of 64 bits wide.
    pub(super) fn fit(self, number: i64, overflow: Overflow) -> Option<i64> {
        let above = if self.signed {
            // Redis takes the distance to the greatest number in 64 bits, and where that wraps
            // round, it takes a number far below for one above.
            number > self.max() || self.bits < 64 && self.max().checked_sub(number).is_none()
        } else {
            number.cast_unsigned() > self.max().cast_unsigned()
        };
        let below = self.signed && number < self.min();
        self.settle(number, above, below, overflow)
    }

    /// What INCRBY stores for the sum of a number that fits and any other.
    pub(super) fn add(self, number: i64, by: i64, overflow: Overflow) -> Option<i64> {
        let sum = i128::from(number) + i128::from(by);
        let above = sum > i128::from(self.max());
        let below = sum < i128::from(self.min());
        self.settle(number.wrapping_add(by), above, below, overflow)
    }

    fn settle(self, number: i64, above: bool, below: bool, overflow: Overflow) -> Option<i64> {
        if !above && !below {
            return Some(number);
        }
        match overflow {
            Overflow::Wrap => Some(self.number(number.cast_unsigned())),
            Overflow::Saturate if above => Some(self.max()),
            Overflow::Saturate => Some(self.min()),
            Overflow::Fail => None,
        }
    }
}

/// Sixteen bytes from `from` on, zeroes where the string has none.
fn window(bytes: &[u8], from: usize) -> [u8; 16] {
    let mut window = [0; 16];
    let there = bytes.get(from..).unwrap_or_default();
    for (to, byte) in window.iter_mut().zip(there) {
        *to = *byte;
    }
    window
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    fn shape(text: &str) -> Shape {
        Shape::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn shapes_are_i1_to_i64_and_u1_to_u63() {
        for text in ["i1", "i64", "u1", "u63"] {
            assert!(Shape::parse(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "",
            "i",
            "u",
            "i0",
            "u0",
            "i65",
            "u64",
            "I8",
            "x8",
            "i-1",
            "i08",
            "i8 ",
            "8",
            "i99999999999999999999",
        ] {
            assert_eq!(Shape::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_changes() {
        let mut random = Rng::with_seed(3);
        for _ in 0..20_000 {
            let signed = random.bool();
            let shape = Shape {
                signed,
                bits: random.u32(1..=if signed { 64 } else { 63 }),
            };
            let mut bytes: Vec<u8> = (0..random.usize(9..30)).map(|_| random.u8(..)).collect();
            let room = bytes.len() as u64 * 8 - u64::from(shape.bits);
            let offset = random.u64(0..=room);
            let number = shape.number(random.u64(..));
            let before = bytes.clone();
            let old = shape.read(&bytes, offset);
            assert!(shape.write(&mut bytes, offset, number));
            assert_eq!(shape.read(&bytes, offset), number, "{shape:?} at {offset}");
            assert!(shape.write(&mut bytes, offset, old));
            assert_eq!(bytes, before, "{shape:?} at {offset}");
        }
    }

    #[test]
    fn a_number_beyond_the_end_reads_as_zeroes_and_is_not_written() {
        let mut bytes = [0xff, 0xff];
        assert_eq!(shape("u16").read(&bytes, 12), 0xf000);
        assert_eq!(shape("i8").read(&bytes, 16), 0);
        assert_eq!(shape("i8").read(&bytes, u64::MAX), 0);
        assert!(!shape("u16").write(&mut bytes, 12, 0));
        assert!(!shape("u8").write(&mut bytes, u64::MAX, 0));
        assert_eq!(bytes, [0xff, 0xff]);
    }

    #[test]
    fn what_does_not_fit_wraps_saturates_or_fails() {
        use Overflow::{Fail, Saturate, Wrap};
        let sums: &[(&str, i64, i64, Overflow, Option<i64>)] = &[
            ("i8", 100, 27, Fail, Some(127)),
            ("i8", 100, 28, Fail, None),
            ("i8", 100, 28, Wrap, Some(-128)),
            ("i8", 100, 28, Saturate, Some(127)),
            ("i8", -100, -29, Saturate, Some(-128)),
            ("u8", 5, -6, Saturate, Some(0)),
            ("u8", 5, -6, Wrap, Some(255)),
            ("u8", 250, i64::MAX, Saturate, Some(255)),
            ("i64", i64::MAX, 1, Wrap, Some(i64::MIN)),
            ("i64", i64::MIN, -1, Saturate, Some(i64::MIN)),
            ("u63", i64::MAX, 1, Wrap, Some(0)),
            ("u63", i64::MAX, i64::MAX, Saturate, Some(i64::MAX)),
            ("i1", 0, 1, Wrap, Some(-1)),
            ("u1", 1, 1, Wrap, Some(0)),
        ];
        for (name, number, by, overflow, expected) in sums {
            let sum = shape(name).add(*number, *by, *overflow);
            assert_eq!(sum, *expected, "{name} {number} + {by} {overflow:?}");
        }
        let values: &[(&str, i64, Overflow, Option<i64>)] = &[
            ("i8", -129, Saturate, Some(-128)),
            ("i8", 256, Wrap, Some(0)),
            ("i8", i64::MIN, Saturate, Some(127)),
            ("u8", -1, Saturate, Some(255)),
            ("u8", -1, Wrap, Some(255)),
            ("u8", 256, Fail, None),
            ("i64", i64::MIN, Fail, Some(i64::MIN)),
        ];
        for (name, number, overflow, expected) in values {
            let kept = shape(name).fit(*number, *overflow);
            assert_eq!(kept, *expected, "{name} {number} {overflow:?}");
        }
    }
}
