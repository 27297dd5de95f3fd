//! BITCOUNT and BITPOS: bits in a range of a string.

use super::super::{Args, CommandError, Ctx};
use super::{bits, bytes_at, ones};
use crate::store::Digits;

const BAD_WANTED_BIT: CommandError = CommandError::fixed("ERR The bit argument must be 1 or 0.");

/// Whether argument `index` says that a range is one of bits rather than of bytes.
fn in_bits(args: &Args<'_>, index: usize) -> Result<bool, CommandError> {
    if args.is(index, "BIT") {
        Ok(true)
    } else if args.is(index, "BYTE") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The first and the last bit of a string of `len` bytes that are meant by `start` and `end`, both
/// counted from the end if negative; `None` if none are.
fn resolve(len: usize, start: i64, end: i64, in_bits: bool) -> Option<(u64, u64)> {
    let (total, unit) = if in_bits {
        (len as i64 * 8, 1)
    } else {
        (len as i64, 8)
    };
    let clamp = |at: i64| if at < 0 { (at + total).max(0) } else { at };
    let (start, end) = (clamp(start), clamp(end).min(total - 1));
    let (start, end) = (u64::try_from(start).ok()?, u64::try_from(end).ok()?);
    (start <= end).then(|| (start * unit, end * unit + unit - 1))
}

pub(super) fn bitcount(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut digits = Digits::default();
    // A key that is not there has no bits, whatever the range says.
    let ones = match bytes_at(&mut ctx.db, args.get(1), &mut digits)? {
        None => 0,
        Some(bytes) => count(bytes, args)?,
    };
    ctx.reply.integer(ones as i64);
    Ok(())
}

fn count(bytes: &[u8], args: &Args<'_>) -> Result<u64, CommandError> {
    match args.len() {
        2 => return Ok(ones::count(bytes)),
        4 | 5 => {}
        _ => return Err(CommandError::Syntax),
    }
    let (start, end) = (args.int(2)?, args.int(3)?);
    // Before the string, "from -3 to -5" is nothing; clamped it would be the first byte.
    if start < 0 && end < 0 && start > end {
        return Ok(0);
    }
    let in_bits = args.len() == 5 && in_bits(args, 4)?;
    Ok(match resolve(bytes.len(), start, end, in_bits) {
        Some((first, last)) => bits::count_range(bytes, first, last),
        None => 0,
    })
}

pub(super) fn bitpos(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let bit = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(BAD_WANTED_BIT),
    };
    let mut digits = Digits::default();
    let at = match bytes_at(&mut ctx.db, args.get(1), &mut digits)? {
        // Nothing is like a string of zeroes without an end.
        None => (!bit).then_some(0),
        Some(bytes) => first(bytes, bit, args)?,
    };
    ctx.reply.integer(at.map_or(-1, |at| at as i64));
    Ok(())
}

fn first(bytes: &[u8], bit: bool, args: &Args<'_>) -> Result<Option<u64>, CommandError> {
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let start = if args.len() > 3 { args.int(3)? } else { 0 };
    let in_bits = args.len() == 6 && in_bits(args, 5)?;
    let end = if args.len() > 4 {
        Some(args.int(4)?)
    } else {
        None
    };
    let Some((from, to)) = resolve(bytes.len(), start, end.unwrap_or(-1), in_bits) else {
        return Ok(None);
    };
    let found = bits::find(bytes, bit, from, to);
    // Without an end, zeroes are thought to follow the string.
    let follows = (!bit && end.is_none()).then(|| bytes.len() as u64 * 8);
    Ok(found.or(follows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_to_the_string() {
        let cases = [
            (3, 0, -1, false, Some((0, 23))),
            (3, 0, -1, true, Some((0, 23))),
            (3, 1, 1, false, Some((8, 15))),
            (3, 5, 9, true, Some((5, 9))),
            (3, -1, -1, true, Some((23, 23))),
            (3, -100, 100, false, Some((0, 23))),
            (3, -100, -50, false, Some((0, 7))),
            (3, 3, 5, false, None),
            (3, 2, 1, false, None),
            (3, i64::MIN, i64::MAX, true, Some((0, 23))),
            (0, 0, -1, false, None),
            (0, 0, 0, true, None),
        ];
        for (len, start, end, in_bits, expected) in cases {
            assert_eq!(
                resolve(len, start, end, in_bits),
                expected,
                "{start} to {end} of {len}"
            );
        }
    }
}
