//! The 80-bit floating point numbers of INCRBYFLOAT: Redis adds in C's `long double`.
//!
//! 64 bits of mantissa, where an f64 has 53: 0.1 + 0.2 prints as 0.3. Only what those commands need:
//! reading (C's `strtold`), adding (rounded to nearest, ties to even), writing (`%.17Lf` without
//! the zeros at its end). All exact, on big integers where the exponents are big.

mod big;
use big::Big;

/// A number as x86 keeps it, without its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongDouble {
    negative: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Infinite,
    NotANumber,
    /// mantissa × 2^exponent; the mantissa's highest bit is set, or the exponent is the least.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
}

/// Of the least positive number.
const EXPONENT_MIN: i32 = -16_445;
/// Of the greatest numbers.
const EXPONENT_MAX: i32 = 16_320;
/// Redis reads numbers into a buffer of this size.
const TEXT_MAX: usize = 5 * 1024;
/// A number of more decimal digits before its point, or zeros after it, is out of range.
const DECIMALS_MAX: i64 = 5000;
/// The same in bits.
const BITS_MAX: i64 = 17_000;

impl LongDouble {
    pub(super) const ZERO: Self = Self {
        negative: false,
        kind: Kind::Finite {
            mantissa: 0,
            exponent: EXPONENT_MIN,
        },
    };

    /// Reads a number as Redis does: what `strtold` takes whole, but no space before it, no NaN
    /// and nothing out of range.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_MAX {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let lower = rest.to_ascii_lowercase();
        let kind = match lower.as_slice() {
            b"inf" | b"infinity" => Kind::Infinite,
            [b'0', b'x', hex @ ..] => parse_hexadecimal(hex)?,
            decimal => parse_decimal(decimal)?,
        };
        Some(Self { negative, kind })
    }

    pub(super) fn is_finite(self) -> bool {
        matches!(self.kind, Kind::Finite { .. })
    }

    /// The sum, rounded.
    pub(super) fn add(self, other: Self) -> Self {
        let (Kind::Finite { .. }, Kind::Finite { .. }) = (self.kind, other.kind) else {
            let kind = match (self.kind, other.kind) {
                (Kind::NotANumber, _) | (_, Kind::NotANumber) => Kind::NotANumber,
                (Kind::Infinite, Kind::Infinite) if self.negative != other.negative => {
                    Kind::NotANumber
                }
                _ => Kind::Infinite,
            };
            return Self {
                negative: self.negative,
                kind,
            };
        };
        let (large, small) = if self.magnitude() >= other.magnitude() {
            (self, other)
        } else {
            (other, self)
        };
        let (mantissa, exponent) = large.parts();
        let (small_mantissa, small_exponent) = small.parts();
        // 62 bits below the mantissa, one above it for the carry. What the shift loses is so far
        // down that only its being there matters: a bit set at the end stands for it.
        let a = u128::from(mantissa) << 62;
        let b = u128::from(small_mantissa) << 62;
        let shift = exponent.abs_diff(small_exponent);
        let shifted = b.checked_shr(shift).unwrap_or(0);
        let lost = b != 0 && shifted.checked_shl(shift).unwrap_or(0) != b;
        let sum = if large.negative == small.negative {
            (a + shifted) | u128::from(lost)
        } else {
            // With something lost, the true difference is a little less.
            (a - shifted - u128::from(lost)) | u128::from(lost)
        };
        Self {
            negative: large.negative && sum != 0,
            kind: round(sum, exponent - 62, false),
        }
    }

    /// 1000 times the number, rounded, then up to the next integer; `None` beyond 64 bits.
    pub(super) fn thousandfold(self) -> Option<i64> {
        let Kind::Finite { mantissa, exponent } = self.kind else {
            return None;
        };
        let Kind::Finite { mantissa, exponent } =
            round(u128::from(mantissa) * 1000, exponent, false)
        else {
            return None;
        };
        let mantissa = i128::from(mantissa);
        let signed = if self.negative { -mantissa } else { mantissa };
        let places = exponent.unsigned_abs();
        let integer = if mantissa == 0 {
            0
        } else if exponent < 0 {
            // A shift rounds down: up, when the sign is another.
            -((-signed) >> places.min(127))
        } else {
            // The mantissa's highest bit is set: it is beyond 64 bits in any case.
            signed.checked_mul(1 << places.min(64))?
        };
        i64::try_from(integer).ok()
    }

    fn parts(self) -> (u64, i32) {
        match self.kind {
            Kind::Finite { mantissa, exponent } => (mantissa, exponent),
            Kind::Infinite | Kind::NotANumber => (0, EXPONENT_MAX),
        }
    }

    /// Orders finite numbers by size: with the highest bit set, the exponent decides.
    fn magnitude(self) -> (i32, u64) {
        let (mantissa, exponent) = self.parts();
        (exponent, mantissa)
    }

    /// In decimal, with at most 17 digits after the point and no zeros at the end.
    pub(super) fn to_decimal(self) -> String {
        const DIGITS: usize = 17;
        const SCALE: u128 = 10u128.pow(17);
        let (mantissa, exponent) = self.parts();
        let (whole, fraction) = if exponent >= 0 {
            (Big::from(mantissa).shifted(exponent.unsigned_abs()), 0)
        } else {
            let places = exponent.unsigned_abs();
            let whole = mantissa.checked_shr(places).unwrap_or(0);
            let below = mantissa - whole.checked_shl(places).unwrap_or(0);
            // Below 2^64 × 10^17, which is below 2^121.
            let scaled = u128::from(below) * SCALE;
            let digits = match places {
                // Less than half of the last digit.
                123.. => 0,
                _ => half_even(scaled, places),
            };
            (
                Big::from(whole + u64::from(digits == SCALE)),
                digits % SCALE,
            )
        };
        let mut text = whole.to_string();
        if fraction != 0 {
            let digits = format!("{fraction:0DIGITS$}");
            text.push('.');
            text.push_str(digits.trim_end_matches('0'));
        }
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

/// `number` ÷ 2^`places`, to the nearest, ties to even.
fn half_even(number: u128, places: u32) -> u128 {
    let quotient = number >> places;
    let rest = number - (quotient << places);
    let half = 1u128 << (places - 1);
    quotient + u128::from(rest > half || rest == half && quotient & 1 == 1)
}

/// `number` × 2^`exponent` in 64 bits; `more` says that a little was left out of `number`, which
/// then has more than 65 bits.
fn round(number: u128, exponent: i32, more: bool) -> Kind {
    let bits = 128 - number.leading_zeros();
    // How many bits are too many: beyond 64, or below the least exponent.
    let excess = i64::from(bits) - 64;
    let too_low = i64::from(EXPONENT_MIN) - i64::from(exponent);
    let drop = excess.max(too_low);
    let (mut mantissa, mut exponent) = if drop > 0 {
        let places = u32::try_from(drop).unwrap_or(u32::MAX);
        let rounded = match places {
            0..=127 => half_even(number | u128::from(more), places),
            _ => 0,
        };
        (
            rounded,
            exponent.saturating_add(i32::try_from(drop).unwrap_or(i32::MAX)),
        )
    } else {
        // Left to right: as far as the highest bit or the least exponent allows.
        let places = (-drop).clamp(0, 127) as u32;
        (number << places, exponent - places as i32)
    };
    if mantissa >> 64 != 0 {
        mantissa >>= 1;
        exponent += 1;
    }
    if mantissa == 0 {
        return LongDouble::ZERO.kind;
    }
    if exponent > EXPONENT_MAX {
        return Kind::Infinite;
    }
    Kind::Finite {
        mantissa: u64::try_from(mantissa).unwrap_or(u64::MAX),
        exponent,
    }
}

/// Digits, their point and what follows them, read alike for both bases.
struct Written<'a> {
    /// Without point and leading zeros.
    digits: Vec<u8>,
    /// Digits after the point.
    after_point: i64,
    rest: &'a [u8],
}

fn read_digits(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<Written<'_>> {
    let mut digits = Vec::new();
    let (mut after_point, mut seen_point, mut any) = (0, false, false);
    let mut used = 0;
    for byte in text {
        if *byte == b'.' && !seen_point {
            seen_point = true;
        } else if is_digit(byte) {
            any = true;
            after_point += i64::from(seen_point);
            if !(digits.is_empty() && *byte == b'0') {
                digits.push(*byte);
            }
        } else {
            break;
        }
        used += 1;
    }
    any.then(|| Written {
        digits,
        after_point,
        rest: text.get(used..).unwrap_or_default(),
    })
}

/// The exponent after its letter; 0 if there is none; `None` if anything is left over.
fn read_exponent(text: &[u8], letter: u8) -> Option<i64> {
    let Some((first, rest)) = text.split_first() else {
        return Some(0);
    };
    if *first != letter {
        return None;
    }
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |size, digit| {
        (size * 10 + i64::from(digit - b'0')).min(1_000_000)
    });
    Some(if negative { -size } else { size })
}

fn parse_decimal(text: &[u8]) -> Option<Kind> {
    let written = read_digits(text, u8::is_ascii_digit)?;
    let power = read_exponent(written.rest, b'e')? - written.after_point;
    if written.digits.is_empty() {
        return Some(LongDouble::ZERO.kind);
    }
    let highest = power + written.digits.len() as i64;
    if highest.abs() > DECIMALS_MAX {
        return None;
    }
    let number = Big::from_decimal(&written.digits);
    let ten_to_the = |power: i64| Big::power_of_ten(power.unsigned_abs());
    let kind = if power >= 0 {
        from_quotient(&number.times(&ten_to_the(power)), &Big::from(1))
    } else {
        from_quotient(&number, &ten_to_the(power))
    };
    in_range(kind)
}

fn parse_hexadecimal(text: &[u8]) -> Option<Kind> {
    let written = read_digits(text, u8::is_ascii_hexdigit)?;
    let power = read_exponent(written.rest, b'p')? - 4 * written.after_point;
    if written.digits.is_empty() {
        return Some(LongDouble::ZERO.kind);
    }
    let highest = power + 4 * written.digits.len() as i64;
    if highest.abs() > BITS_MAX {
        return None;
    }
    let number = Big::from_hexadecimal(&written.digits);
    let two_to_the = Big::from(1).shifted(u32::try_from(power.unsigned_abs()).ok()?);
    let kind = if power >= 0 {
        from_quotient(&number.times(&two_to_the), &Big::from(1))
    } else {
        from_quotient(&number, &two_to_the)
    };
    in_range(kind)
}

/// `strtold` says ERANGE of what overflows and of what is too small to be anything but zero.
fn in_range(kind: Kind) -> Option<Kind> {
    (kind != Kind::Infinite && kind != LongDouble::ZERO.kind).then_some(kind)
}

/// `number` ÷ `divisor`, rounded once.
fn from_quotient(number: &Big, divisor: &Big) -> Kind {
    // Scaled so that the quotient has 100 to 101 bits: enough to round to 64, or to fewer.
    let scale = i64::from(divisor.bits()) - i64::from(number.bits()) + 100;
    let places = u32::try_from(scale.unsigned_abs()).unwrap_or(u32::MAX);
    let (number, divisor) = if scale >= 0 {
        (number.shifted(places), divisor.clone())
    } else {
        (number.clone(), divisor.shifted(places))
    };
    let (quotient, exact) = number.divided(&divisor);
    round(quotient, i32::try_from(-scale).unwrap_or(i32::MAX), !exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        parse(a).add(parse(b)).to_decimal()
    }

    #[test]
    fn sums_are_those_of_redis() {
        // Each as redis-server 7.0.15 answers on x86-64.
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("1e17", "0.1", "100000000000000000.1015625"),
            ("3", "1.5", "4.5"),
            ("1", "-1", "0"),
            ("-0", "-0", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1.23", "-0.77", "0.46"),
            ("5.0e3", "200", "5200"),
            ("0x1.8p1", "0", "3"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "1e-18", "0"),
            // The nearest long double is a little less than half of the last digit.
            ("0", "5e-18", "0"),
            ("0", "5.1e-18", "0.00000000000000001"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("1", "3e-20", "1"),
            (".5", "5.", "5.5"),
        ];
        for (a, b, expected) in cases {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
            assert_eq!(sum(b, a), expected, "{b} + {a}");
        }
    }

    #[test]
    fn what_strtold_refuses_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "nan",
            "-nan",
            "abc",
            "1e",
            "1e+",
            "0x",
            "--1",
            "1.2.3",
            ".",
            "1e5000",
            "1e-6000",
            "1_0",
            "0x1p",
            "0x1p20000",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(LongDouble::parse(&[b'1'; TEXT_MAX]), None);
        let infinite = LongDouble::parse(b"-inf").unwrap();
        assert!(!infinite.is_finite() && !infinite.add(LongDouble::ZERO).is_finite());
    }

    #[test]
    fn the_ends_of_the_range_are_read_and_written() {
        let largest = LongDouble::parse(b"1.18973149535723176502e4932").unwrap();
        assert_eq!(largest.to_decimal().len(), 4933);
        assert!(!largest.add(largest).is_finite());
        let least = LongDouble::parse(b"3.6451995318824746025e-4951").unwrap();
        assert_eq!(least.parts(), (1, EXPONENT_MIN));
        assert_eq!(least.add(least).parts(), (2, EXPONENT_MIN));
    }

    #[test]
    fn doubles_are_printed_as_the_standard_library_prints_them() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let number = (random.f64() - 0.5) * 10f64.powi(random.i32(-8..12));
            let exact = format!("{number:.17}");
            let expected = exact.trim_end_matches('0').trim_end_matches('.');
            let expected = if expected == "-0" { "0" } else { expected };
            let mantissa = number.abs().to_bits() & ((1 << 52) - 1) | 1 << 52;
            let exponent = (number.abs().to_bits() >> 52) as i32 - 1075;
            let long = LongDouble {
                negative: number < 0.0,
                kind: round(u128::from(mantissa), exponent, false),
            };
            assert_eq!(long.to_decimal(), expected);
        }
    }
}
