//! `replica-ack-writes`: how many replicas must have a write before its reply leaves.

use std::fmt;

use slotilla_common::resp::parse_i64;

/// How many replicas that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckWrites {
    /// So many, of however many there are.
    Number(usize),
    /// As many as are a majority, together with their primary.
    Majority,
}

/// What a majority is in the table of numbers.
const STORED_MAJORITY: i64 = -1;

impl AckWrites {
    /// A reply waits for nobody.
    pub const NONE: Self = Self::Number(0);
    /// The most replicas that can be asked for.
    pub const NUMBER_MAX: usize = 32;
    /// What is wrong with any other word.
    pub const EXPECTED: &'static str =
        "argument must be a number of replicas between 0 and 32, or majority";

    /// Reads a word.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        if word.eq_ignore_ascii_case(b"majority") {
            return Some(Self::Majority);
        }
        let number = parse_i64(word).and_then(|number| usize::try_from(number).ok())?;
        (number <= Self::NUMBER_MAX).then_some(Self::Number(number))
    }

    pub(super) fn stored(self) -> i64 {
        match self {
            Self::Number(number) => i64::try_from(number).unwrap_or(i64::MAX),
            Self::Majority => STORED_MAJORITY,
        }
    }

    pub(super) fn of_stored(stored: i64) -> Self {
        usize::try_from(stored).map_or(Self::Majority, Self::Number)
    }
}

impl Default for AckWrites {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for AckWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Majority => f.write_str("majority"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_shown() {
        for (word, expected) in [
            ("0", Some(AckWrites::NONE)),
            ("32", Some(AckWrites::Number(32))),
            ("33", None),
            ("-1", None),
            ("", None),
            ("Majority", Some(AckWrites::Majority)),
        ] {
            let read = AckWrites::parse(word.as_bytes());
            assert_eq!(read, expected, "{word}");
            if let Some(read) = read {
                assert_eq!(AckWrites::of_stored(read.stored()), read);
                assert_eq!(read.to_string(), word.to_ascii_lowercase());
            }
        }
    }
}
