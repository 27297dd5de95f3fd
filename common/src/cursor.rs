//! The cursor that a client gives to SCAN and its kin.

/// Reads a cursor as Redis does, with C's `strtoul`: a sign is allowed (and wraps), nothing at all
/// is 0, and what follows a zero byte is not looked at. `None` if it is invalid.
#[must_use]
pub fn parse(text: &[u8]) -> Option<u64> {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    let text = text.get(..end)?;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() && !text.is_empty() {
        return None;
    }
    let size = digits.iter().try_fold(0u64, |size, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        size.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if negative { size.wrapping_neg() } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a redis-server 7.0.15 took and refused them.
    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"", Some(0)),
            (b"-0", Some(0)),
            (b"+7", Some(7)),
            (b"-1", Some(u64::MAX)),
            (b"-18446744073709551615", Some(1)),
            (b"007", Some(7)),
            (b"\0", Some(0)),
            (b"5\0x", Some(5)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"-18446744073709551616", None),
            (b" 1", None),
            (b"1 ", None),
            (b"\x0b1", None),
            (b"+", None),
            (b"-\0", None),
            (b"--1", None),
            (b"0x10", None),
            (b"abc", None),
        ];
        for (text, cursor) in cases {
            assert_eq!(parse(text), *cursor, "{}", text.escape_ascii());
        }
    }
}
