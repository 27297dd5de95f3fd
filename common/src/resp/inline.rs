//! Inline requests: a line of words, for people with telnet and for health checks.

use super::write::{append_bulk, append_header};
use super::{ArgRange, ProtocolError};

/// Splits a line into words with Redis's quoting, which its configuration files share:
/// words are separated by blanks; `"…"` knows `\n \r \t \b \a \xHH` and takes any other
/// escaped byte as itself; `'…'` knows `\'` only. A closing quote must end its word.
///
/// # Errors
/// [`ProtocolError::UnbalancedQuotes`] if a quote is not closed or closes inside a word.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// Appends the words of a line in which nothing is quoted and no byte is odd, as [`split_args`] has
/// them; false if the line is another.
#[inline]
pub(super) fn plain_words(line: &[u8], args: &mut Vec<ArgRange>) -> bool {
    let mut start = None;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'"' | b'\'' | 0 | 0x0b | 0x0c => return false,
            b' ' | b'\t' | b'\n' | b'\r' => {
                if let Some(start) = start.take() {
                    args.extend(ArgRange::new(start, at.saturating_sub(start)));
                }
            }
            _ => start = start.or(Some(at)),
        }
    }
    if let Some(start) = start {
        args.extend(ArgRange::new(start, line.len().saturating_sub(start)));
    }
    true
}

/// A multibulk request of these words, and where they lie in it.
#[must_use]
pub fn multibulk<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<ArgRange>) {
    let (mut request, mut ranges) = (Vec::new(), Vec::with_capacity(words.len()));
    append_header(&mut request, b'*', words.len());
    for word in words {
        append_bulk(&mut request, word);
        let start = request.len().saturating_sub(word.len()).saturating_sub(2);
        ranges.extend(ArgRange::new(start, word.len()));
    }
    (request, ranges)
}

/// What C's `isspace` accepts.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_space(**byte)).count();
    line.get(blanks..).unwrap_or_default()
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            // A vertical tab or a form feed separates words but does not end one: so Redis.
            [] | [b' ' | b'\t' | b'\n' | b'\r' | 0, ..] => {
                // A NUL ends the line: Redis splits C strings.
                return Ok(if rest.first() == Some(&0) { &[] } else { rest });
            }
            [b'"', after @ ..] => return take_double_quoted(after, word),
            [b'\'', after @ ..] => return take_single_quoted(after, word),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn take_double_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] | [0, ..] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push((hex_digit(*high) << 4) | hex_digit(*low));
                after
            }
            [b'\\', escaped, after @ ..] if *escaped != 0 => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [b'"', after @ ..] => return end_of_quotes(after),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn take_single_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] | [0, ..] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return end_of_quotes(after),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn end_of_quotes(after: &[u8]) -> Result<&[u8], ProtocolError> {
    match after.first() {
        None | Some(0) => Ok(&[]),
        Some(byte) if is_space(*byte) => Ok(after),
        Some(_) => Err(ProtocolError::UnbalancedQuotes),
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte.wrapping_sub(b'0'),
        b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_redis_splits_them() {
        // Each line was sent to a redis-server 7.0.15 as arguments of a command that echoes.
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b" \t ", &[]),
            (b"PING", &[b"PING"]),
            (b"  SET  a\tb ", &[b"SET", b"a", b"b"]),
            (b"a\rb", &[b"a", b"b"]),
            (b"a\x0cb", &[b"a\x0cb"]),
            (b"a \x0c b", &[b"a", b"b"]),
            (b"\"\" ''", &[b"", b""]),
            (br#""\x41\n\q\\""#, &[b"A\nq\\"]),
            (br#""\xZZ""#, &[b"xZZ"]),
            (br"'a\'b\n'", &[br"a'b\n"]),
            (b"a'b' c\"d\"", &[b"ab", b"cd"]),
            (b"\"a b\"\t'c d'", &[b"a b", b"c d"]),
        ];
        for (line, words) in cases {
            let got = split_args(line).unwrap();
            assert_eq!(got, *words, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        let cases: &[&[u8]] = &[
            b"'",
            b"\"",
            b"\"a\"b",
            b"'a'b",
            b"x \"abc",
            b"x 'abc\\'",
            b"\"a\\\"",
        ];
        for line in cases {
            assert_eq!(
                split_args(line),
                Err(ProtocolError::UnbalancedQuotes),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
