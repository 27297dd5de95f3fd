//! Numbers as Redis writes and reads them.

use std::io::Write as _;

/// A signed decimal number exactly as Redis prints it: no `+`, no spaces, no leading zeros,
/// no `-0`.
#[must_use]
#[inline]
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-', digits @ ..] => {
            let magnitude = parse_u64(digits)?;
            match magnitude {
                0 => None,
                _ => 0i64.checked_sub_unsigned(magnitude),
            }
        }
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// An unsigned decimal number, as strictly as [`parse_i64`].
#[must_use]
#[inline]
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    match bytes {
        [] => None,
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if bytes.len() <= 20 => bytes.iter().try_fold(0u64, |sum, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

/// Appends `number` in decimal.
#[inline]
pub fn append_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `number` in decimal.
#[inline]
pub fn append_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a line: a type byte, a number, a line end.
#[inline]
pub(super) fn append_line(out: &mut Vec<u8>, kind: u8, number: i64) {
    match u8::try_from(number) {
        Ok(digit @ 0..10) => {
            out.extend_from_slice(&[kind, b'0'.wrapping_add(digit), b'\r', b'\n']);
        }
        _ => {
            out.push(kind);
            append_i64(out, number);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends `number` as C's `%.17g` does, which is how Redis 7.0 prints doubles: 17 significant
/// digits, trailing zeros dropped, an exponent below 1e-4 and from 1e17 on.
pub fn format_double(out: &mut Vec<u8>, number: f64) {
    if number.is_infinite() {
        let text: &[u8] = if number > 0.0 { b"inf" } else { b"-inf" };
        out.extend_from_slice(text);
        return;
    }
    if number.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    /// Below this all integers are doubles, and are printed with all their digits.
    const INTEGER_MAX: f64 = 1e15;
    if number.trunc() == number && number.abs() < INTEGER_MAX && number.to_bits() != 1 << 63 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the bound says that it fits"
        )]
        append_i64(out, number as i64);
        return;
    }
    let scientific = format!("{number:.16e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        trimmed.to_owned()
    };
    // Writing into a Vec cannot fail.
    let _ = if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16i32.saturating_sub(exponent)).unwrap_or(0);
        let fixed = format!("{number:.decimals$}");
        let text = if decimals == 0 { fixed } else { trim(&fixed) };
        out.write_all(text.as_bytes())
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(
            out,
            "{}e{sign}{:02}",
            trim(mantissa),
            exponent.unsigned_abs()
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(number: f64) -> String {
        let mut out = Vec::new();
        format_double(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_read_as_strictly_as_redis_does() {
        let good: &[(&[u8], i64)] = &[
            (b"0", 0),
            (b"-1", -1),
            (b"9223372036854775807", i64::MAX),
            (b"-9223372036854775808", i64::MIN),
        ];
        for (text, number) in good {
            assert_eq!(parse_i64(text), Some(*number));
        }
        let bad: &[&[u8]] = &[
            b"",
            b"-",
            b"+1",
            b"01",
            b"-0",
            b"-01",
            b" 1",
            b"1 ",
            b"1.0",
            b"0x1",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"99999999999999999999999",
        ];
        for text in bad {
            assert_eq!(
                parse_i64(text),
                None,
                "{:?}",
                text.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn doubles_are_printed_as_printf_does() {
        // Printed by C with "%.17g".
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (100.0, "100"),
            (0.1, "0.10000000000000001"),
            (3.2, "3.2000000000000002"),
            (-1.5, "-1.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            (123_456_789.123, "123456789.123"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, text) in cases {
            assert_eq!(double(number), text);
        }
    }

    proptest! {
        #[test]
        fn an_integer_survives_the_round_trip(number: i64) {
            let mut out = Vec::new();
            append_i64(&mut out, number);
            let text = number.to_string();
            prop_assert_eq!(&out, text.as_bytes());
            prop_assert_eq!(parse_i64(&out), Some(number));
        }

        #[test]
        fn a_double_survives_the_round_trip(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(double(number).parse::<f64>().unwrap(), number);
        }
    }
}
