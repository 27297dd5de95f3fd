//! Requests that have come just as they would be written.

use super::ArgRange;

/// The bytes of a parsed request, if they are those that [`encode_words`](super::encode_words) would
/// write: who hands it on need not write it anew. `args` are the ranges of all its arguments in
/// `input`, at the start of which it lies.
///
/// That is nearly always so. But a parser takes any byte for the one after CR, as Redis does, and
/// inline requests.
#[must_use]
#[inline]
pub fn as_encoded<'a>(input: &'a [u8], args: &[ArgRange]) -> Option<&'a [u8]> {
    let mut end = after_header(input, 0, b'*', args.len())?;
    for arg in args {
        let start = after_header(input, end, b'$', arg.len())?;
        end = start.checked_add(arg.len())?;
        if start != arg.start() || !is_line_end(input, end) {
            return None;
        }
        end = end.checked_add(2)?;
    }
    input.get(..end)
}

/// Where a line of a type byte and a number that was read there ends, which it does if the number
/// is written in as few digits as can be.
#[inline(always)]
fn after_header(input: &[u8], at: usize, kind: u8, number: usize) -> Option<usize> {
    // Of the type byte and the digits.
    let length = match number {
        0..=9 => 2,
        10..=99 => 3,
        more => (more.ilog10() as usize).checked_add(2)?,
    };
    let end = at.checked_add(length)?;
    let is_header = input.get(at) == Some(&kind) && is_line_end(input, end);
    is_header.then_some(end.checked_add(2)?)
}

#[inline(always)]
fn is_line_end(input: &[u8], at: usize) -> bool {
    let end = at.checked_add(2);
    end.and_then(|end| input.get(at..end)) == Some(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, RequestLimits, RequestParser, encode_command};
    use super::*;
    use proptest::prelude::*;

    /// Of a request at the start of `input`: what this says, and how it would be written.
    fn parsed(input: &[u8]) -> Option<(Option<&[u8]>, Vec<u8>)> {
        let mut args = Vec::new();
        let limits = RequestLimits::default();
        let parsed = RequestParser::default().parse(input, &mut args, &limits);
        let (Parsed::Complete { .. } | Parsed::Words { .. }) = parsed.ok()? else {
            return None;
        };
        let words: Vec<&[u8]> = args.iter().map(|arg| arg.of(input)).collect();
        let mut written = Vec::new();
        encode_command(&mut written, &words);
        Some((as_encoded(input, &args), written))
    }

    #[test]
    fn what_is_not_as_it_would_be_written_is_seen() {
        let plain = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n";
        let (found, written) = parsed(plain).unwrap();
        assert_eq!((found, &plain[..20]), (Some(&written[..]), &written[..]));
        for other in [
            &b"*2\rx$3\r\nGET\r\n$1\r\na\r\n"[..],
            b"*2\r\n$3\rxGET\r\n$1\r\na\r\n",
            b"*2\r\n$3\r\nGET\rx$1\r\na\r\n",
            b"*2\r\n$3\r\nGET\r\n$1\r\naxx",
            b"GET a\r\n",
            b"*GET a\r\n",
        ] {
            if let Some((found, _)) = parsed(other) {
                assert_eq!(found, None, "{}", other.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_would_be_written(
            words in prop::collection::vec((0..12usize, 0..3usize), 1..12),
            change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let words: Vec<Vec<u8>> = words
                .iter()
                .map(|(length, tens)| vec![b'x'; length * 10usize.pow(*tens as u32)])
                .collect();
            let slices: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let mut input = Vec::new();
            encode_command(&mut input, &slices);
            let length = input.len();
            input.extend_from_slice(b"*1\r\n");
            if let Some((at, byte)) = change {
                let at = at.index(length);
                input[at] = byte;
            }
            if let Some((found, written)) = parsed(&input) {
                prop_assert!(found.is_none_or(|found| found == written));
                prop_assert!(found.is_some() || change.is_some());
            }
        }
    }
}
