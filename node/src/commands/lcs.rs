//! LCS: the longest common subsequence of two strings.

use slotilla_common::resp::ReplyWriter;

use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, ValueRef};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("lcs", lcs)];

/// Products of the lengths from here on are worked out on a background thread: about a
/// millisecond's worth.
const CELLS_INLINE_MAX: usize = 500_000;

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: i64,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "idx") {
                options.idx = true;
            } else if args.is(at, "len") {
                options.len = true;
            } else if args.is(at, "withmatchlen") {
                options.with_match_len = true;
            } else if args.is(at, "minmatchlen") && at + 1 < args.len() {
                options.min_match_len = args.int(at + 1)?;
                at += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        if options.idx && options.len {
            return Err(CommandError::fixed(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let a = string(ctx, args.get(1));
    let b = string(ctx, args.get(2));
    let (Some(a), Some(b)) = (a, b) else {
        return Err(CommandError::fixed(
            "ERR The specified keys must contain string values",
        ));
    };
    let options = Options::parse(args)?;
    let cells = (a.len() + 1).saturating_mul(b.len() + 1);
    // Redis keeps 4 bytes a cell, and refuses more than a string may have. Here a cell takes a bit,
    // but what one refuses the other must not accept.
    if cells.saturating_mul(4) > ctx.server.config.proto_max_bulk_len() {
        return Err(CommandError::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    if cells > CELLS_INLINE_MAX {
        ctx.in_background(move |_, reply| {
            answer(reply, &a, &b, options);
            Ok(())
        });
    } else {
        answer(&mut ctx.reply, &a, &b, options);
    }
    Ok(())
}

/// A copy of the string at `key`, empty if there is none; `None` if it is of another type.
fn string(ctx: &mut Ctx<'_>, key: &[u8]) -> Option<Vec<u8>> {
    match ctx.db.read(key) {
        None => Some(Vec::new()),
        Some(ValueRef::Object(_)) => None,
        Some(value) => value.text(&mut Digits::default()).map(<[u8]>::to_vec),
    }
}

fn answer(reply: &mut ReplyWriter<'_>, a: &[u8], b: &[u8], options: Options) {
    let steps = Steps::of(a, b);
    if options.len {
        reply.integer(steps.len as i64);
        return;
    }
    let runs = steps.runs(a, b);
    if !options.idx {
        let parts: Vec<&[u8]> = runs.iter().rev().filter_map(|run| run.of(a)).collect();
        reply.bulk(&parts.concat());
        return;
    }
    let long_enough = |run: &&Run| i64::from(run.len) >= options.min_match_len;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(runs.iter().filter(long_enough).count());
    for run in runs.iter().filter(long_enough) {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [run.a, run.b] {
            reply.array(2);
            reply.integer(i64::from(start));
            reply.integer(i64::from(start + run.len - 1));
        }
        if options.with_match_len {
            reply.integer(i64::from(run.len));
        }
    }
    reply.bulk(b"len");
    reply.integer(steps.len as i64);
}

/// Bytes that follow each other in both strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    a: u32,
    b: u32,
    len: u32,
}

impl Run {
    fn of(self, a: &[u8]) -> Option<&[u8]> {
        a.get(self.a as usize..(self.a + self.len) as usize)
    }
}

/// The way through the table of subproblems. A cell needs one bit: whether shortening `a` keeps
/// more than shortening `b`. (Where the last bytes agree, both are shortened.)
struct Steps {
    len: u32,
    shorten_a: Vec<u64>,
    columns: usize,
}

impl Steps {
    fn of(a: &[u8], b: &[u8]) -> Self {
        let columns = b.len();
        let words = columns.div_ceil(64);
        let mut shorten_a = vec![0u64; words * a.len()];
        // The row above, and the one being filled; each has a zero in front.
        let mut above = vec![0u32; columns + 1];
        let mut row = above.clone();
        for (byte_a, bits) in a.iter().zip(shorten_a.chunks_mut(words.max(1))) {
            let mut left = 0;
            let mut corner = 0;
            let cells = row.iter_mut().zip(&above).skip(1);
            for (column, (byte_b, (cell, up))) in b.iter().zip(cells).enumerate() {
                left = if byte_a == byte_b {
                    corner + 1
                } else {
                    if *up > left
                        && let Some(word) = bits.get_mut(column / 64)
                    {
                        *word |= 1 << (column % 64);
                    }
                    left.max(*up)
                };
                corner = *up;
                *cell = left;
            }
            std::mem::swap(&mut above, &mut row);
        }
        Self {
            len: above.last().copied().unwrap_or(0),
            shorten_a,
            columns,
        }
    }

    fn shortens_a(&self, row: usize, column: usize) -> bool {
        let words = self.columns.div_ceil(64);
        let word = self.shorten_a.get(row * words + column / 64);
        word.is_some_and(|word| word >> (column % 64) & 1 == 1)
    }

    /// The runs that the subsequence is made of, the last one first.
    fn runs(&self, a: &[u8], b: &[u8]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        let mut open = false;
        while let (Some(row), Some(column)) = (i.checked_sub(1), j.checked_sub(1)) {
            if a.get(row) != b.get(column) {
                open = false;
                if self.shortens_a(row, column) {
                    i = row;
                } else {
                    j = column;
                }
                continue;
            }
            match runs.last_mut().filter(|_| open) {
                Some(run) => {
                    run.a -= 1;
                    run.b -= 1;
                    run.len += 1;
                }
                // Strings are far below 2^32 bytes long, by the check of the table's size.
                None => runs.push(Run {
                    a: row as u32,
                    b: column as u32,
                    len: 1,
                }),
            }
            open = true;
            (i, j) = (row, column);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documented_example() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let steps = Steps::of(a, b);
        assert_eq!(steps.len, 6);
        let runs = steps.runs(a, b);
        let text = Run { a: 4, b: 5, len: 4 };
        let my = Run { a: 2, b: 0, len: 2 };
        assert_eq!(runs, [text, my]);
    }

    fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
        let mut rest = whole.iter();
        part.iter().all(|byte| rest.any(|other| other == byte))
    }

    fn brute_force(a: &[u8], b: &[u8]) -> usize {
        (0u32..1 << a.len())
            .filter_map(|chosen| {
                let bytes = a.iter().enumerate();
                let part: Vec<u8> = bytes
                    .filter(|(n, _)| chosen >> n & 1 == 1)
                    .map(|(_, byte)| *byte)
                    .collect();
                is_subsequence(&part, b).then_some(part.len())
            })
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_subsequence_is_common_and_the_longest(a in "[abc]{0,9}", b in "[abc]{0,80}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let steps = Steps::of(a, b);
            let runs = steps.runs(a, b);
            let text: Vec<u8> =
                runs.iter().rev().flat_map(|run| run.of(a).unwrap().to_vec()).collect();
            prop_assert_eq!(text.len(), steps.len as usize);
            prop_assert!(is_subsequence(&text, a) && is_subsequence(&text, b));
            prop_assert_eq!(text.len(), brute_force(a, b));
            for run in &runs {
                let in_b = &b[run.b as usize..(run.b + run.len) as usize];
                prop_assert_eq!(run.of(a).unwrap(), in_b);
            }
        }
    }
}
