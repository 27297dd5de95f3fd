//! What the commands on collections share: drawing by lot, scanning within a key, and popping from
//! the first of several keys.

use slotilla_common::resp::{ReplyWriter, parse_i64};
use slotilla_common::{cursor, glob};

use super::{Args, CommandError};
use crate::store::{Digits, Draw, Item};

/// The most that a draw with repetition gives: Redis would fill the memory with its reply.
const DRAWN_MAX: i64 = 1 << 24;

/// Answers with an element.
#[inline]
pub(super) fn reply_item(reply: &mut ReplyWriter<'_>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Int(number) => reply.bulk(Digits::default().of(number)),
    }
}

/// How many elements to draw, as HRANDFIELD and its kin take it; negative with repetition.
pub(super) fn draw_count(text: &[u8]) -> Result<i64, CommandError> {
    let count = parse_i64(text).ok_or(CommandError::NotInteger)?;
    if count == i64::MIN {
        return Err(too_low(-i64::MAX));
    }
    Ok(count)
}

fn too_low(least: i64) -> CommandError {
    let most = i64::MAX;
    CommandError::err(format_args!(
        "value is out of range, value must between {least} and {most}"
    ))
}

/// The draw of a [`draw_count`]; of pairs, whose number is doubled in a reply.
pub(super) fn draw(count: i64, of_pairs: bool) -> Result<Draw, CommandError> {
    if of_pairs && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::ValueOutOfRange);
    }
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if count < 0 {
        Draw::Repeated(size)
    } else {
        Draw::Distinct(size)
    })
}

/// Refuses a draw that would fill the memory, of a collection that is there.
pub(super) fn check_drawn(draw: Draw) -> Result<(), CommandError> {
    match draw {
        Draw::Repeated(size) if size as u64 > DRAWN_MAX as u64 => Err(too_low(-DRAWN_MAX)),
        Draw::Repeated(_) | Draw::Distinct(_) => Ok(()),
    }
}

/// What LMPOP, ZMPOP and their blocking kin are told, from their `numkeys` on.
#[derive(Debug)]
pub(super) struct MultiPop<E> {
    /// Where the keys are.
    pub(super) keys: std::ops::Range<usize>,
    pub(super) end: E,
    pub(super) count: usize,
}

impl<E> MultiPop<E> {
    /// Reads it; `numkeys` is at `at`, and `end` reads which end is meant.
    ///
    /// # Errors
    /// Whatever is wrong.
    pub(super) fn parse(
        args: &Args<'_>,
        at: usize,
        end: impl FnOnce(&Args<'_>, usize) -> Result<E, CommandError>,
    ) -> Result<Self, CommandError> {
        let positive = |at: usize, error: &'static str| {
            parse_i64(args.get(at))
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| *number > 0)
                .ok_or(CommandError::fixed(error))
        };
        let keys = positive(at, "ERR numkeys should be greater than 0")?;
        let end_at = keys.saturating_add(at + 1);
        if end_at >= args.len() {
            return Err(CommandError::Syntax);
        }
        let end = end(args, end_at)?;
        let option = end_at + 1;
        let count = match args.len() - option {
            0 => 1,
            // A second COUNT is one too many; but the first is read before.
            2.. if args.is(option, "count") => {
                positive(option + 1, "ERR count should be greater than 0")?
            }
            _ => return Err(CommandError::Syntax),
        };
        if args.len() > option + 2 {
            return Err(CommandError::Syntax);
        }
        Ok(Self {
            keys: at + 1..end_at,
            end,
            count,
        })
    }
}

/// The cursor of HSCAN and its kin.
pub(super) fn cursor(args: &Args<'_>) -> Result<u64, CommandError> {
    cursor::parse(args.get(2)).ok_or(CommandError::InvalidCursor)
}

/// What a scan within a key is told.
pub(super) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    /// About how many elements to visit.
    pub(super) count: usize,
}

impl<'a> ScanOptions<'a> {
    pub(super) fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            pattern: None,
            count: 10,
        };
        let mut at = 3;
        while at < args.len() {
            if at + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            if args.is(at, "count") {
                options.count = usize::try_from(args.int(at + 1)?).unwrap_or(0);
                if options.count == 0 {
                    return Err(CommandError::Syntax);
                }
            } else if args.is(at, "match") {
                // A lone star fits the empty string too, which as a pattern it would not.
                options.pattern = Some(args.get(at + 1)).filter(|pattern| *pattern != b"*");
            } else {
                return Err(CommandError::Syntax);
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether an element is wanted.
    pub(super) fn fits(&self, item: Item<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, item.text(&mut Digits::default())))
    }
}

/// Answers HSCAN or its kin: `step` scans the collection, if there is one, and gives the cursor to
/// go on with. The options matter only if there is one, as in Redis.
pub(super) fn scan<'c, C>(
    reply: &mut ReplyWriter<'_>,
    args: &Args<'_>,
    collection: Option<&'c C>,
    step: impl FnOnce(&'c C, &ScanOptions<'_>, &mut Vec<Item<'c>>) -> u64,
) -> Result<(), CommandError> {
    let mut found = Vec::new();
    let mut next = 0;
    if let Some(collection) = collection {
        next = step(collection, &ScanOptions::parse(args)?, &mut found);
    }
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    for item in found {
        reply_item(reply, item);
    }
    Ok(())
}
