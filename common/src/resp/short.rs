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
    // As in Redis the byte after CR may be anything, but is there. No argument ends before the
    // sixth byte, and of requests only those without any.
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

#[cfg(test)]
mod tests {
    use super::super::{Parsed, RequestLimits, RequestParser, encode_command};
    use super::*;
    use proptest::prelude::*;

    /// What the general parser makes of it: these limits keep it from looking here.
    fn general(input: &[u8]) -> Option<(usize, Vec<ArgRange>)> {
        let limits = RequestLimits {
            max_args: SHORT_MAX - 1,
            ..RequestLimits::default()
        };
        let mut args = Vec::new();
        match RequestParser::default().parse(input, &mut args, &limits) {
            Ok(Parsed::Complete { consumed }) if input.starts_with(b"*") => Some((consumed, args)),
            _ => None,
        }
    }

    fn short(input: &[u8]) -> Option<(usize, Vec<ArgRange>)> {
        let mut args = vec![ArgRange::from_parts(7, 7)];
        let consumed = short_request(input, &mut args);
        assert!(consumed.is_some() || args.len() == 1, "nothing is taken");
        Some((consumed?, args.split_off(1)))
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![0..12usize, 95..105usize, 990..1010usize, 9_990..10_010usize];
        length.prop_map(|length| vec![b'x'; length])
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_general_parser(
            words in proptest::collection::vec(word(), 1..14),
            change in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let mut input = Vec::new();
            let slices: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            encode_command(&mut input, &slices);
            let is_short = words.iter().all(|word| word.len() <= SHORT_MAX);
            if change.is_none() {
                prop_assert_eq!(short(&input).is_some(), is_short);
            }
            // Among the first bytes the headers stand close together.
            if let Some((at, byte)) = change {
                let at = at.index(input.len().min(60));
                input[at] = byte;
            }
            if let Some(cut) = cut {
                input.truncate(cut.index(input.len() + 1));
            }
            if let Some(found) = short(&input) {
                prop_assert_eq!(Some(found), general(&input));
            }
        }
    }

    #[test]
    fn four_digits_are_read_and_a_leading_zero_is_not() {
        for (line, expected) in [
            (&b"$0\r\n\r\n"[..], Some((0, 4))),
            (b"$9999\r\n", Some((9999, 7))),
            (b"$1000\r\n", Some((1000, 7))),
            (b"$999\r\n", Some((999, 6))),
            (b"$10\r\n\r", Some((10, 5))),
            (b"$9999\r", None),
            (b"$10000\r\n", None),
            (b"$01\r\n\r\n", None),
            (b"$-1\r\n\r\n", None),
            (b"$\r\n\r\n\r", None),
            (b"*1\r\n$1", None),
        ] {
            assert_eq!(
                short_number(line, b'$'),
                expected,
                "{}",
                line.escape_ascii()
            );
        }
    }
}
