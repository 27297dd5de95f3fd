//! Words of a line, with quotes, as Redis splits redis.conf, inline commands and its arguments.

/// A quote that does not close, or closes in the middle of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unbalanced quotes in configuration line")]
pub struct UnbalancedQuotes;

/// Splits a line into words.
///
/// Outside quotes, white space separates. `"…"` knows `\xhh \n \r \t \b \a` and `\` before any
/// other character; `'…'` knows `\'` alone. After a closing quote a word must end.
///
/// # Errors
/// When quotes do not balance.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start_c();
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = read_word(rest, &mut word)?;
        words.push(word);
    }
}

/// C's `isspace`, which knows the vertical tab, unlike Rust's ASCII white space.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

trait TrimC {
    fn trim_ascii_start_c(&self) -> &Self;
}

impl TrimC for [u8] {
    fn trim_ascii_start_c(&self) -> &[u8] {
        let start = self
            .iter()
            .position(|b| !is_space(*b))
            .unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
    }
}

/// Reads one word and returns what follows it.
fn read_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match rest {
            // A null byte ends the line, as it does for Redis, whose lines are C strings.
            [] | [0, ..] => return Ok(&[]),
            [byte, after @ ..] if is_space(*byte) => return Ok(after),
            [quote @ (b'"' | b'\''), after @ ..] => {
                rest = if *quote == b'"' {
                    read_double_quoted(after, word)?
                } else {
                    read_single_quoted(after, word)?
                };
                return match rest {
                    [] | [0, ..] => Ok(&[]),
                    [byte, after @ ..] if is_space(*byte) => Ok(after),
                    _ => Err(UnbalancedQuotes),
                };
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn read_double_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] | [0, ..] => return Err(UnbalancedQuotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) * 16 + hex(*low), after)
            }
            [b'\\', escaped, after @ ..] if *escaped != 0 => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn read_single_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] | [0, ..] => return Err(UnbalancedQuotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

/// The value of a hexadecimal digit; 0 for anything else.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// The word in double quotes, such that [`split`] gives it back.
#[must_use]
pub fn quote(word: &[u8]) -> String {
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for byte in word {
        match byte {
            b'\\' | b'"' => quoted.extend(['\\', char::from(*byte)]),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            other => quoted.push_str(&format!("\\x{other:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_as_redis_does() {
        for (line, expected) in [
            ("", &[][..]),
            ("   \t\u{b} ", &[]),
            ("port 6379", &["port", "6379"]),
            (" save  900\t1 ", &["save", "900", "1"]),
            ("save \"\"", &["save", ""]),
            ("a\"b c\"", &["ab c"]),
            (r#""\x41\n\r\t\b\a\"\\\q""#, &["A\n\r\t\u{8}\u{7}\"\\q"]),
            (r#""\xzz \x4""#, &["xzz x4"]),
            (r"'it\'s \n'", &["it's \\n"]),
            ("timeout 5 # c", &["timeout", "5", "#", "c"]),
        ] {
            let words = split(line.as_bytes()).unwrap();
            let expected: Vec<Vec<u8>> = expected.iter().map(|w| w.as_bytes().to_vec()).collect();
            assert_eq!(words, expected, "{line}");
        }
    }

    #[test]
    fn quotes_that_do_not_balance_are_refused() {
        for line in [
            "\"", "'", "a \"b", "a 'b", "\"a\"b", "'a'b", "\"\\", "\"\\\"", "'\\'",
        ] {
            assert_eq!(split(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_comes_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let line = words.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(line.as_bytes()), Ok(words));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(prop::sample::select(b"\\\"'x \t\0a4\n".to_vec()), 0..30)) {
            let _ = split(&line);
        }
    }
}
