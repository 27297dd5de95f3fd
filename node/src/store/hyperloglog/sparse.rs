//! The sparse form: runs of equal registers, from the first register to the last.
//!
//! ```text
//! 00llllll            1 to 64 registers are 0          "zero"
//! 01llllll llllllll   1 to 16384 registers are 0       "long zero"
//! 1rrrrrll            1 to 4 registers are 1 to 32     "rank"
//! ```
//!
//! Lengths and ranks are written less one. Raising a register splits its run, and joins neighbours
//! of the same rank as far as Redis does and no further, so that the bytes come out the same.

use std::fmt::Write;

use super::estimate::Histogram;
use super::{Corrupted, HEADER, REGISTERS};

const ZERO_MAX: usize = 64;
const LONG_ZERO_MAX: usize = REGISTERS;
const RANK_RUN_MAX: usize = 4;
const RANK_MAX: u8 = 32;
/// How many steps joining takes at most.
const JOIN_STEPS: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zero,
    LongZero,
    Rank(u8),
}

/// Registers that are equal.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    kind: Kind,
    len: usize,
}

impl Run {
    /// The run whose first byte is at `at`.
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let first = *bytes.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Self {
                kind: Kind::Zero,
                len: low + 1,
            },
            1 => {
                // Where a string is cut short, Redis reads what lies behind it, mostly a zero.
                let second = bytes.get(at + 1).copied().unwrap_or(0);
                Self {
                    kind: Kind::LongZero,
                    len: (low << 8 | usize::from(second)) + 1,
                }
            }
            _ => Self {
                kind: Kind::Rank((first >> 2 & 0x1f) + 1),
                len: usize::from(first & 3) + 1,
            },
        })
    }

    /// How many bytes it takes.
    const fn size(self) -> usize {
        match self.kind {
            Kind::Zero | Kind::Rank(_) => 1,
            Kind::LongZero => 2,
        }
    }

    const fn rank(self) -> u8 {
        match self.kind {
            Kind::Zero | Kind::LongZero => 0,
            Kind::Rank(rank) => rank,
        }
    }
}

/// The runs one after the other.
fn runs(body: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let run = Run::at(body, at)?;
        at += run.size();
        Some(run)
    })
}

/// One to five bytes that take the place of a run.
#[derive(Default)]
struct Pieces {
    bytes: [u8; 5],
    len: usize,
}

impl Pieces {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// `len` registers of a rank, zero included; none if `len` is 0.
    fn push_run(&mut self, rank: u8, len: usize) {
        // Both fit their bits: a run is at most as long as the one it is cut from.
        match (rank, len.checked_sub(1)) {
            (_, None) => {}
            (0, Some(less)) if len <= ZERO_MAX => self.push(less as u8),
            (0, Some(less)) => {
                self.push(0x40 | (less >> 8) as u8);
                self.push((less & 0xff) as u8);
            }
            (rank, Some(less)) => self.push(rank_byte(rank, less as u8)),
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

const fn rank_byte(rank: u8, len_less_one: u8) -> u8 {
    0x80 | (rank - 1) << 2 | len_less_one
}

/// Appends the runs of one that has seen nothing.
pub(super) fn push_empty(bytes: &mut Vec<u8>) {
    let mut pieces = Pieces::default();
    pieces.push_run(0, LONG_ZERO_MAX);
    bytes.extend_from_slice(pieces.as_slice());
}

/// Where a search begins, so that raising registers from left to right does not look through all
/// runs for each: a run's place and its first register.
#[derive(Clone, Copy)]
pub(super) struct Start {
    at: usize,
    first: usize,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            at: HEADER,
            first: 0,
        }
    }
}

/// The run that has a register.
struct Found {
    run: Run,
    at: usize,
    first: usize,
    /// The run before it, and the one before that.
    before: [Option<Start>; 2],
}

fn search(bytes: &[u8], index: usize, from: Start) -> Option<Found> {
    let (mut at, mut first) = (from.at, from.first);
    let mut before = [None; 2];
    loop {
        let run = Run::at(bytes, at)?;
        if index < first + run.len {
            return Some(Found {
                run,
                at,
                first,
                before,
            });
        }
        before = [Some(Start { at, first }), before[0]];
        at += run.size();
        first += run.len;
    }
}

/// Finds the run of register `index`, and the run before it unless it is the first of all.
fn locate(bytes: &[u8], index: usize, start: Start) -> Result<Found, Corrupted> {
    let found = search(bytes, index, start).ok_or(Corrupted)?;
    if found.before[0].is_none() && start.at != HEADER {
        return search(bytes, index, Start::default()).ok_or(Corrupted);
    }
    Ok(found)
}

/// What became of a register that was to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    Yes,
    /// It is as high already.
    No,
    /// The sparse form cannot hold it, or would be too long.
    NoRoom,
}

/// Raises register `index` of a whole HyperLogLog, which may take up to `max` bytes.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    rank: u8,
    start: &mut Start,
    max: usize,
) -> Result<Raised, Corrupted> {
    if rank > RANK_MAX {
        return Ok(Raised::NoRoom);
    }
    let from = if start.first <= index {
        *start
    } else {
        Start::default()
    };
    let found = locate(bytes, index, from)?;
    let Found { run, at, first, .. } = found;
    if run.rank() >= rank {
        return Ok(Raised::No);
    }
    let mut pieces = Pieces::default();
    pieces.push_run(run.rank(), index - first);
    pieces.push_run(rank, 1);
    pieces.push_run(run.rank(), first + run.len - index - 1);
    let longer = pieces.len.saturating_sub(run.size());
    let len = bytes.len() + pieces.len - run.size();
    if longer > 0 && len > max {
        return Ok(Raised::NoRoom);
    }
    let end = bytes.len().min(at + run.size());
    bytes.splice(at..end, pieces.as_slice().iter().copied());
    // Of a run that was cut short only as much was there.
    bytes.truncate(len);
    let [before, two_before] = found.before;
    let join_from = before.map_or(HEADER, |before| before.at);
    join(bytes, join_from);
    // Two back, so that the next search sees the run before its own.
    *start = two_before.or(before).unwrap_or_default();
    Ok(Raised::Yes)
}

/// Joins neighbours of the same rank whose registers fit one run.
fn join(bytes: &mut Vec<u8>, from: usize) {
    let mut at = from;
    for _ in 0..JOIN_STEPS {
        let Some(run) = Run::at(bytes, at) else {
            return;
        };
        let next = Run::at(bytes, at + run.size());
        match (run.kind, next) {
            (Kind::Rank(rank), Some(next))
                if next.kind == run.kind && run.len + next.len <= RANK_RUN_MAX =>
            {
                bytes.remove(at);
                if let Some(joined) = bytes.get_mut(at) {
                    *joined = rank_byte(rank, (run.len + next.len - 1) as u8);
                }
            }
            _ => at += run.size(),
        }
    }
}

/// Calls `each` with every register that is not zero.
pub(super) fn each(body: &[u8], mut each: impl FnMut(usize, u8)) -> Result<(), Corrupted> {
    let mut first = 0;
    for run in runs(body) {
        let end = first + run.len;
        if end > REGISTERS {
            return Err(Corrupted);
        }
        if let Kind::Rank(rank) = run.kind {
            (first..end).for_each(|index| each(index, rank));
        }
        first = end;
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(Corrupted)
    }
}

/// Counts how often each rank occurs.
pub(super) fn tally(body: &[u8], histogram: &mut Histogram) -> Result<(), Corrupted> {
    let mut total = 0;
    for run in runs(body) {
        total += run.len;
        histogram.add(run.rank(), run.len as u64);
    }
    if total == REGISTERS {
        Ok(())
    } else {
        Err(Corrupted)
    }
}

/// The runs in words: `Z:` and `z:` for zeroes, `v:` for a rank, and the lengths.
pub(super) fn describe(body: &[u8]) -> String {
    let mut text = String::new();
    for run in runs(body) {
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = match run.kind {
            Kind::Zero => write!(text, "{gap}z:{}", run.len),
            Kind::LongZero => write!(text, "{gap}Z:{}", run.len),
            Kind::Rank(rank) => write!(text, "{gap}v:{rank},{}", run.len),
        };
    }
    text
}
