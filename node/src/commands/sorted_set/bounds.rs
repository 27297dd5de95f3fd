//! The ends of ranges as clients write them.

use super::super::double::parse_range_end;
use super::CommandError;
use crate::store::{Bounds, LexEnd};
use std::ops::Range;

/// By score: `1`, `(1`, `-inf`.
pub(super) fn scores<'a>(min: &[u8], max: &[u8]) -> Result<Bounds<'a>, CommandError> {
    let end = |text: &[u8]| {
        let (without, number) = match text {
            [b'(', number @ ..] => (true, number),
            _ => (false, text),
        };
        let number =
            parse_range_end(number).ok_or(CommandError::fixed("ERR min or max is not a float"))?;
        Ok::<_, CommandError>((number, without))
    };
    let (min, without_min) = end(min)?;
    let (max, without_max) = end(max)?;
    Ok(Bounds::Scores {
        min,
        without_min,
        max,
        without_max,
    })
}

/// By bytes: `[a`, `(a`, `-`, `+`.
pub(super) fn bytes<'a>(min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>, CommandError> {
    let end = |text: &'a [u8]| match text {
        [b'-'] | [b'-', 0, ..] => Ok(LexEnd::First),
        [b'+'] | [b'+', 0, ..] => Ok(LexEnd::Last),
        [b'[', rest @ ..] => Ok(LexEnd::With(rest)),
        [b'(', rest @ ..] => Ok(LexEnd::Without(rest)),
        _ => Err(CommandError::fixed(
            "ERR min or max not valid string range item",
        )),
    };
    Ok(Bounds::Bytes {
        min: end(min)?,
        max: end(max)?,
    })
}

/// Ranks from `start` to `stop` itself, from the end if negative, of so many.
pub(super) fn ranks(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |rank: i64| {
        if rank < 0 {
            len.saturating_add(rank)
        } else {
            rank
        }
    };
    let start = absolute(start).max(0);
    let end = absolute(stop).min(len - 1).saturating_add(1);
    if start >= end {
        return 0..0;
    }
    // Neither is negative, and both are at most the length.
    start as usize..end as usize
}
