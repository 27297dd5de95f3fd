//! Replies, decoded by a reader of its own: a mistake in the product's decoder must not hide
//! the same mistake in its encoder.

use std::fmt;
use std::io::{self, BufRead};

/// One reply of RESP2 or RESP3.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `+OK`
    Simple(String),
    /// `-ERR …`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `$-1`, RESP2's null string.
    NullBulk,
    /// `*-1`, RESP2's null array.
    NullArray,
    /// `_`, RESP3's only null.
    Null,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`, in the order sent.
    Map(Vec<(Value, Value)>),
    /// `~2`, in the order sent.
    Set(Vec<Value>),
    /// `>2`
    Push(Vec<Value>),
    /// `,1.5`: the text, as tests compare how a number is written.
    Double(String),
    /// `#t`
    Boolean(bool),
    /// `(123`
    BigNumber(String),
    /// `=15` with its three-letter kind.
    Verbatim(String, Vec<u8>),
    /// `|1`, with the value it belongs to.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

impl Value {
    /// Whether this is any of the three nulls.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::NullBulk | Self::NullArray | Self::Null)
    }

    /// The error's text, if this is one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The number in an integer reply.
    ///
    /// # Panics
    /// If this is anything else.
    #[must_use]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The bytes of a string reply of any kind.
    ///
    /// # Panics
    /// If this is no string.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(text) => text.as_bytes(),
            Self::Bulk(bytes) | Self::Verbatim(_, bytes) => bytes,
            other => panic!("expected a string, got {other:?}"),
        }
    }

    /// The text of a string reply of any kind.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The elements of an array, a set or a push.
    ///
    /// # Panics
    /// If this is none of them.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The pairs of a map, or of the flat array that stands for one in RESP2.
    #[must_use]
    pub fn pairs(&self) -> Vec<(Value, Value)> {
        match self {
            Self::Map(pairs) => pairs.clone(),
            other => other
                .items()
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect(),
        }
    }

    /// The value of a map's entry by its name, in either protocol.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<Value> {
        let mut pairs = self.pairs().into_iter();
        pairs.find(|(key, _)| key.text() == name).map(|pair| pair.1)
    }
}

impl fmt::Display for Value {
    /// What a person would write: `OK`, `(nil)`, `[1, a]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) | Self::Double(text) | Self::BigNumber(text) => f.write_str(text),
            Self::Error(text) => write!(f, "(error) {text}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bulk(bytes) | Self::Verbatim(_, bytes) => {
                f.write_str(&String::from_utf8_lossy(bytes))
            }
            Self::NullBulk | Self::NullArray | Self::Null => f.write_str("(nil)"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Array(items) | Self::Set(items) | Self::Push(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    let separator = if place == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (place, (key, value)) in pairs.iter().enumerate() {
                    let separator = if place == 0 { "" } else { ", " };
                    write!(f, "{separator}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Attribute(_, value) => write!(f, "{value}"),
        }
    }
}

/// Reads one reply. An end of input, or bytes that are not RESP, are an error.
///
/// # Errors
/// When the connection ends or times out, or what comes is no RESP.
pub fn read_value(input: &mut impl BufRead) -> io::Result<Value> {
    let line = read_line(input)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| bad("empty line"))?;
    match kind {
        "+" => Ok(Value::Simple(rest.to_owned())),
        "-" => Ok(Value::Error(rest.to_owned())),
        ":" => Ok(Value::Integer(number(rest)?)),
        "," => Ok(Value::Double(rest.to_owned())),
        "(" => Ok(Value::BigNumber(rest.to_owned())),
        "_" => Ok(Value::Null),
        "#" => Ok(Value::Boolean(rest == "t")),
        "$" if rest == "-1" => Ok(Value::NullBulk),
        "*" if rest == "-1" => Ok(Value::NullArray),
        "$" => Ok(Value::Bulk(read_bulk(input, number(rest)?)?)),
        "=" => {
            let mut bytes = read_bulk(input, number(rest)?)?;
            let text = bytes.split_off(4.min(bytes.len()));
            let kind = String::from_utf8_lossy(&bytes).trim_end_matches(':').into();
            Ok(Value::Verbatim(kind, text))
        }
        "*" => Ok(Value::Array(read_many(input, number(rest)?)?)),
        "~" => Ok(Value::Set(read_many(input, number(rest)?)?)),
        ">" => Ok(Value::Push(read_many(input, number(rest)?)?)),
        "%" => Ok(Value::Map(read_pairs(input, number(rest)?)?)),
        "|" => {
            let pairs = read_pairs(input, number(rest)?)?;
            Ok(Value::Attribute(pairs, Box::new(read_value(input)?)))
        }
        _ => Err(bad(&format!("no reply begins like {line:?}"))),
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = line
        .strip_suffix(b"\r\n")
        .ok_or_else(|| bad(&format!("line without an end: {line:?}")))?;
    Ok(legible(text))
}

/// What is no UTF-8 is shown as `\xff`, so that two lines that differ are two texts.
fn legible(line: &[u8]) -> String {
    let mut text = String::new();
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    text
}

fn read_bulk(input: &mut impl BufRead, len: i64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| bad("negative length"))?;
    let mut bytes = vec![0; len + 2];
    input.read_exact(&mut bytes)?;
    if bytes.split_off(len) != b"\r\n" {
        return Err(bad("string without an end"));
    }
    Ok(bytes)
}

fn read_many(input: &mut impl BufRead, count: i64) -> io::Result<Vec<Value>> {
    (0..count).map(|_| read_value(input)).collect()
}

fn read_pairs(input: &mut impl BufRead, count: i64) -> io::Result<Vec<(Value, Value)>> {
    (0..count)
        .map(|_| Ok((read_value(input)?, read_value(input)?)))
        .collect()
}

fn number(text: &str) -> io::Result<i64> {
    text.parse()
        .map_err(|_| bad(&format!("not a number: {text:?}")))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read() {
        let cases: [(&str, &str); 14] = [
            ("+OK\r\n", "OK"),
            ("-ERR no\r\n", "(error) ERR no"),
            (":-7\r\n", "-7"),
            ("$3\r\na\r\n\r\n", "a\r\n"),
            ("$-1\r\n", "(nil)"),
            ("*-1\r\n", "(nil)"),
            ("_\r\n", "(nil)"),
            ("*2\r\n:1\r\n*0\r\n", "[1, []]"),
            ("%1\r\n+a\r\n:1\r\n", "{a: 1}"),
            ("~1\r\n+a\r\n", "[a]"),
            (",3.5\r\n", "3.5"),
            ("#t\r\n", "true"),
            ("=6\r\ntxt:ab\r\n", "ab"),
            ("|1\r\n+a\r\n:1\r\n:2\r\n", "2"),
        ];
        for (wire, shown) in cases {
            let value = read_value(&mut wire.as_bytes());
            let value = value.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
            assert_eq!(value.to_string(), shown, "{wire:?}");
        }
    }

    #[test]
    fn lines_that_differ_are_told_apart() {
        let value = read_value(&mut &b"-ERR \xff\xc3\xa9\xc3\r\n"[..]).unwrap();
        assert_eq!(value.error(), Some("ERR \\xff\u{e9}\\xc3"));
    }

    #[test]
    fn what_is_not_resp_is_an_error() {
        for wire in ["", "x\r\n", "+OK\n", "$3\r\nabcd\r\n", "*1\r\n", ":x\r\n"] {
            assert!(read_value(&mut wire.as_bytes()).is_err(), "{wire:?}");
        }
    }
}
