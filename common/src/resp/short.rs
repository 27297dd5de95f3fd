//! Short requests that have come whole, which nearly all are: taken in one pass, without the state
//! of one that goes on with the next read.

use super::ArgRange;

/// The longest count or length that [`short_number`] reads.
pub(super) const SHORT_MAX: usize = 9999;

/// A whole request at the start of `input` whose counts and lengths are short, which nearly every
/// one is: its length. Of anything else nothing is taken; there this is one look in vain.
#[inline]
pub(super) fn short_request(input: &[u8], args: &mut Vec<ArgRange>) -> Option<usize> {
    let before = args.len();
    // No sum comes near 32 bits: it is at most 9,999 times 10 KB.
    let (count, mut position) = short_number(input, b'*')?;
    for _ in 0..count {
        let rest = input.get(position as usize..).unwrap_or_default();
        let argument = short_number(rest, b'$').map(|(len, header)| {
            let start = position.wrapping_add(header);
            (
                ArgRange::from_parts(start, len),
                start.wrapping_add(len).wrapping_add(2),
            )
        });
        match argument {
            Some((range, end)) if end as usize <= input.len() => {
                args.push(range);
                position = end;
            }
            _ => {
                args.truncate(before);
                return None;
            }
        }
    }
    Some(position as usize)
}

/// A line of a type byte and one to four digits: the number, and the length with the line end.
#[inline(always)]
fn short_number(line: &[u8], kind: u8) -> Option<(u32, u32)> {
    // As in Redis the byte after CR may be anything, but is there. Nothing that is whole ends
    // before the sixth byte.
    let [first, a, b, c, d, e, ..] = *line else {
        return None;
    };
    let digit = |byte: u8| u32::from(byte.wrapping_sub(b'0'));
    let followed_by = |tens: u32, digit: u32| tens.wrapping_mul(10).wrapping_add(digit);
    let (number, length) = if b == b'\r' {
        (digit(a), 4)
    } else if digit(a) == 0 || digit(b) > 9 {
        return None;
    } else if c == b'\r' {
        (followed_by(digit(a), digit(b)), 5)
    } else if digit(c) > 9 {
        return None;
    } else if d == b'\r' {
        (followed_by(followed_by(digit(a), digit(b)), digit(c)), 6)
    } else if digit(d) > 9 || e != b'\r' || line.len() < 7 {
        return None;
    } else {
        let thousands = followed_by(followed_by(digit(a), digit(b)), digit(c));
        (followed_by(thousands, digit(d)), 7)
    };
    (first == kind && digit(a) < 10).then_some((number, length))
}
