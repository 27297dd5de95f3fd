//! Reading doubles as C's `strtod` does, by Redis's rules for scores, weights and ranges.

/// A score or a weight: a number and nothing else, in the range of a double, not NaN.
pub(super) fn parse_double(text: &[u8]) -> Option<f64> {
    let number = strtod(text)?;
    let is_out_of_range = match number {
        _ if number.is_infinite() => text.iter().any(u8::is_ascii_digit),
        _ if number == 0.0 => !is_zero(text),
        _ => false,
    };
    (!is_out_of_range && !number.is_nan()).then_some(number)
}

/// An end of a range of scores: spaces may come first, nothing at all is 0, a number out of range
/// is infinite or 0, and whatever comes behind a zero byte is not looked at.
pub(super) fn parse_range_end(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !is_space(byte))?;
    strtod(text.get(start..)?).filter(|number| !number.is_nan())
}

/// What SORT sorts by: as an end of a range is read, but in the range of a double, too.
pub(super) fn parse_weight(text: &[u8]) -> Option<f64> {
    let number = parse_range_end(text)?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = text.trim_ascii_start();
    let is_out_of_range = match number {
        _ if number.is_infinite() => digits.iter().any(u8::is_ascii_digit),
        _ if number == 0.0 => !is_zero(digits),
        // Below what has all its bits, few numbers are what was written.
        _ => number.is_subnormal() && hex_digits(digits).is_none(),
    };
    (!is_out_of_range).then_some(number)
}

/// Whether a text that is a number has no digit but zeros before its exponent.
fn is_zero(text: &[u8]) -> bool {
    let is_hex = hex_digits(text).is_some();
    let mut digits = text.iter().take_while(|byte| match byte {
        b'e' | b'E' => is_hex,
        b'p' | b'P' => !is_hex,
        _ => true,
    });
    !digits.any(|byte| matches!(byte, b'1'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
}

fn strtod(text: &[u8]) -> Option<f64> {
    if let Some((negative, digits)) = hex_digits(text) {
        let number = hex(digits)?;
        return Some(if negative { -number } else { number });
    }
    // Rust reads what C does, spaces and hexadecimal numbers aside.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The sign, and what comes behind `0x`.
fn hex_digits(text: &[u8]) -> Option<(bool, &[u8])> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    match rest {
        [b'0', b'x' | b'X', digits @ ..] => Some((negative, digits)),
        _ => None,
    }
}

/// `1f.8p3`: hexadecimal digits with a point, and a power of two.
fn hex(text: &[u8]) -> Option<f64> {
    let at = text.iter().position(|byte| matches!(byte, b'p' | b'P'));
    let (digits, power) = match at {
        Some(at) => {
            let power = std::str::from_utf8(text.get(at + 1..)?).ok()?;
            (text.get(..at)?, power.parse::<i64>().ok()?)
        }
        None => (text, 0),
    };
    let (mut mantissa, mut exponent, mut seen) = (0u64, power, 0usize);
    let mut is_behind_point = false;
    for byte in digits {
        if *byte == b'.' && !is_behind_point {
            is_behind_point = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        seen += 1;
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            exponent = exponent.saturating_sub(if is_behind_point { 4 } else { 0 });
        } else {
            // Too far down to be seen, but enough to break a tie.
            mantissa |= u64::from(digit != 0);
            exponent = exponent.saturating_add(if is_behind_point { 0 } else { 4 });
        }
    }
    if seen == 0 {
        return None;
    }
    let mut number = mantissa as f64;
    // In steps that are exact, but for the last into the subnormal numbers.
    let mut left = exponent.clamp(-5000, 5000);
    while left != 0 && number != 0.0 && number.is_finite() {
        let step = left.clamp(-500, 500);
        number *= f64::from(step as i32).exp2();
        left -= step;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        // What ZADD of a redis-server 7.0.15 takes, and what it does not.
        let good: &[(&[u8], f64)] = &[
            (b"0", 0.0),
            (b"-0", -0.0),
            (b"1.5", 1.5),
            (b"+.5", 0.5),
            (b"5.", 5.0),
            (b"1e3", 1000.0),
            (b"inf", f64::INFINITY),
            (b"-INF", f64::NEG_INFINITY),
            (b"+Infinity", f64::INFINITY),
            (b"0x10", 16.0),
            (b"-0x1.8p1", -3.0),
            (b"0xp1", f64::NAN),
            (b"5e-324", 5e-324),
            (b"0e400", 0.0),
        ];
        for (text, number) in good {
            match parse_double(text) {
                Some(found) => assert_eq!(found.to_bits(), number.to_bits(), "{text:?}"),
                None => assert!(number.is_nan(), "{text:?}"),
            }
        }
        let bad: &[&[u8]] = &[
            b"",
            b" 1",
            b"1 ",
            b"nan",
            b"-nan",
            b"1e400",
            b"-1e400",
            b"1e-400",
            b"abc",
            b"1x",
            b"0x",
            b"1e",
            b".",
            b"-",
            b"1\x002",
            b"0x1p5000",
            b"0x1p-5000",
        ];
        for text in bad {
            assert_eq!(parse_double(text), None, "{text:?}");
        }
    }

    #[test]
    fn ends_of_ranges_are_read_more_freely() {
        let cases: &[(&[u8], Option<f64>)] = &[
            (b"", Some(0.0)),
            (b" 1", Some(1.0)),
            (b" ", None),
            (b"1 ", None),
            (b"1e400", Some(f64::INFINITY)),
            (b"1e-400", Some(0.0)),
            (b"nan", None),
            (b"2\0abc", Some(2.0)),
            (b"-inf", Some(f64::NEG_INFINITY)),
        ];
        for (text, number) in cases {
            assert_eq!(parse_range_end(text), *number, "{text:?}");
        }
    }
}
