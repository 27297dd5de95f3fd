//! Ranges of scores and of bytes.

use super::Member;

/// Which members are meant, by score or by bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<'a> {
    /// Those with scores between two.
    Scores {
        /// The least score.
        min: f64,
        /// Whether it is outside.
        without_min: bool,
        /// The greatest score.
        max: f64,
        /// Whether it is outside.
        without_max: bool,
    },
    /// Those between two in the order of their bytes, in a set whose scores are all equal.
    Bytes {
        /// Where the range begins.
        min: LexEnd<'a>,
        /// Where it ends.
        max: LexEnd<'a>,
    },
}

/// An end of a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexEnd<'a> {
    /// Before all strings.
    First,
    /// Behind all strings.
    Last,
    /// A string, which is within the range.
    With(&'a [u8]),
    /// A string, which is outside.
    Without(&'a [u8]),
}

impl Bounds<'_> {
    /// Whether a member comes before the range.
    #[inline]
    pub(super) fn are_behind<'m>(&self, score: f64, member: impl FnOnce() -> Member<'m>) -> bool {
        match *self {
            Self::Scores {
                min, without_min, ..
            } => score < min || (without_min && score <= min),
            Self::Bytes { min, .. } => match min {
                LexEnd::First => false,
                LexEnd::Last => true,
                LexEnd::With(end) => member().with_text(|member| member < end),
                LexEnd::Without(end) => member().with_text(|member| member <= end),
            },
        }
    }

    /// Whether a member comes before the range or is within it.
    #[inline]
    pub(super) fn reach<'m>(&self, score: f64, member: impl FnOnce() -> Member<'m>) -> bool {
        match *self {
            Self::Scores {
                max, without_max, ..
            } => score < max || (!without_max && score <= max),
            Self::Bytes { max, .. } => match max {
                LexEnd::First => false,
                LexEnd::Last => true,
                LexEnd::With(end) => member().with_text(|member| member <= end),
                LexEnd::Without(end) => member().with_text(|member| member < end),
            },
        }
    }
}
