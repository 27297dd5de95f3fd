//! Values with units.

use std::time::Duration;

/// Reads a size as Redis does: digits and, in any case, `k m g` (powers of 1000) or `kb mb gb`
/// (powers of 1024) or `b`. Nothing at all is 0. What exceeds 64 bits is the largest size.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits_end)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if digits.is_empty() && !unit.is_empty() {
        return None;
    }
    let number = digits.bytes().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number.saturating_mul(factor))
}

/// The size in the largest unit that divides it, as CONFIG REWRITE writes it: `100mb`, or plain
/// bytes.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    for (factor, unit) in [(1u64 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// `yes` or `no`, in any letter case.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case("no") {
        Some(false)
    } else {
        None
    }
}

/// Reads a time such as `250ms`, `5s`, `10m`, `2h`; 0 needs no unit.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits_end)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "" if number == 0 => Some(Duration::ZERO),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("", Some(0)),
            ("10k", Some(10_000)),
            ("10kb", Some(10_240)),
            ("10KB", Some(10_240)),
            ("1g", Some(1_000_000_000)),
            ("1gb", Some(1 << 30)),
            ("1B", Some(1)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999g", Some(u64::MAX)),
            ("10 mb", None),
            ("1.5g", None),
            ("1t", None),
            ("-1", None),
            ("+5", None),
            ("kb", None),
            ("1kbb", None),
            ("1é", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_written_in_whole_units() {
        for (bytes, text) in [
            (0, "0"),
            (1000, "1000"),
            (1024, "1kb"),
            (100 << 20, "100mb"),
            (3 << 30, "3gb"),
        ] {
            assert_eq!(format_size(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
    }

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("10m"), Some(Duration::from_mins(10)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        for text in [
            "",
            "5",
            "5 s",
            "s",
            "1.5s",
            "-1s",
            "99999999999999999999h",
            "18446744073709551615h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn yes_and_no_are_the_only_booleans() {
        assert_eq!(
            (parse_bool("YES"), parse_bool("no")),
            (Some(true), Some(false))
        );
        for text in ["true", "1", "", "yes "] {
            assert_eq!(parse_bool(text), None);
        }
    }
}
