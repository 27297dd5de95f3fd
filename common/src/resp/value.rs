//! Replies as trees, for who looks inside: topology, merging, tests.

use super::scan::{Frame, FrameKind};
use super::{DecodeError, Protocol, ReplyKind, ReplyWriter, parse_i64};

/// A decoded reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A status such as `OK`.
    Simple(Vec<u8>),
    /// An error, its code first.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// Nothing: RESP3's null and both of RESP2's.
    Null,
    /// An array.
    Array(Vec<Value>),
    /// A map, in the order received.
    Map(Vec<(Value, Value)>),
    /// A set, in the order received.
    Set(Vec<Value>),
    /// A message out of turn.
    Push(Vec<Value>),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Boolean(bool),
    /// An integer of any size, in decimal.
    BigNumber(Vec<u8>),
    /// Text with its three-letter format.
    Verbatim([u8; 3], Vec<u8>),
    /// A value with attributes before it.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

/// Deepest nesting that is decoded: replies of Redis stay below 10.
const DEPTH_MAX: u32 = 64;

/// Decodes the reply at the start of `input`: the value and the bytes it took, or `None` if it
/// goes on. Starts over each time; who reads piecemeal uses a
/// [`FrameScanner`](super::FrameScanner) first.
///
/// # Errors
/// A [`DecodeError`] if this is no RESP.
pub fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut reader = Reader { rest: input };
    let value = reader.value(DEPTH_MAX)?;
    let consumed = input.len().saturating_sub(reader.rest.len());
    Ok(value.map(|value| (value, consumed)))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u32) -> Result<Option<Value>, DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let Some(end) = memchr::memchr(b'\r', self.rest) else {
            return Ok(None);
        };
        let (line, after) = self.rest.split_at(end);
        let after = match after {
            [_, b'\n', after @ ..] => after,
            [_] | [] => return Ok(None),
            _ => return Err(DecodeError::MissingLineEnd),
        };
        let frame = Frame::read(line)?;
        let text = line.get(1..).unwrap_or_default();
        self.rest = after;
        let kind = match frame.kind {
            FrameKind::Reply(kind) => kind,
            FrameKind::Attribute => return self.attributed(&frame, depth),
        };
        if frame.body > 0 {
            return Ok(self.body(frame.body)?.map(|body| match kind {
                ReplyKind::Error => Value::Error(body.to_vec()),
                ReplyKind::Verbatim => verbatim(body),
                _ => Value::Bulk(body.to_vec()),
            }));
        }
        Ok(match kind {
            ReplyKind::Simple => Some(Value::Simple(text.to_vec())),
            ReplyKind::Error => Some(Value::Error(text.to_vec())),
            ReplyKind::Integer => Some(Value::Integer(
                parse_i64(text).ok_or(DecodeError::InvalidNumber)?,
            )),
            ReplyKind::Null | ReplyKind::Bulk | ReplyKind::Verbatim => Some(Value::Null),
            ReplyKind::Boolean => Some(match text {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return Err(DecodeError::InvalidNumber),
            }),
            ReplyKind::Double => Some(Value::Double(double(text)?)),
            ReplyKind::BigNumber => Some(Value::BigNumber(text.to_vec())),
            ReplyKind::Array => self.elements(frame.children, depth)?.map(Value::Array),
            ReplyKind::Set => self.elements(frame.children, depth)?.map(Value::Set),
            ReplyKind::Push => self.elements(frame.children, depth)?.map(Value::Push),
            ReplyKind::Map => self.pairs(frame.children, depth)?.map(Value::Map),
        })
    }

    fn attributed(&mut self, frame: &Frame, depth: u32) -> Result<Option<Value>, DecodeError> {
        let Some(attributes) = self.pairs(frame.children, depth)? else {
            return Ok(None);
        };
        let value = self.value(depth)?;
        Ok(value.map(|value| Value::Attribute(attributes, Box::new(value))))
    }

    /// The bytes of a bulk, whose `len` counts its CR LF.
    fn body(&mut self, len: usize) -> Result<Option<&'a [u8]>, DecodeError> {
        let Some((body, rest)) = self.rest.split_at_checked(len) else {
            return Ok(None);
        };
        self.rest = rest;
        body.strip_suffix(b"\r\n")
            .map(Some)
            .ok_or(DecodeError::MissingLineEnd)
    }

    fn elements(&mut self, count: u64, depth: u32) -> Result<Option<Vec<Value>>, DecodeError> {
        // Not reserved by what the peer claims: each element present has three bytes at least.
        let mut values = Vec::new();
        for _ in 0..count {
            match self.value(depth)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    }

    fn pairs(
        &mut self,
        children: u64,
        depth: u32,
    ) -> Result<Option<Vec<(Value, Value)>>, DecodeError> {
        let mut pairs = Vec::new();
        for _ in 0..children / 2 {
            let Some(key) = self.value(depth)? else {
                return Ok(None);
            };
            let Some(value) = self.value(depth)? else {
                return Ok(None);
            };
            pairs.push((key, value));
        }
        Ok(Some(pairs))
    }
}

fn verbatim(body: &[u8]) -> Value {
    match body {
        [a, b, c, b':', text @ ..] => Value::Verbatim([*a, *b, *c], text.to_vec()),
        other => Value::Bulk(other.to_vec()),
    }
}

fn double(text: &[u8]) -> Result<f64, DecodeError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(DecodeError::InvalidNumber)
}

impl Value {
    /// The bytes of a string of any kind: status, bulk, verbatim.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.without_attributes() {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An integer, or a string that is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self.without_attributes() {
            Self::Integer(number) => Some(*number),
            other => parse_i64(other.as_bytes()?),
        }
    }

    /// The elements of an array, a set or a push.
    #[must_use]
    pub fn as_elements(&self) -> Option<&[Value]> {
        match self.without_attributes() {
            Self::Array(values) | Self::Set(values) | Self::Push(values) => Some(values),
            _ => None,
        }
    }

    /// The value of `key` in a map, or in the flat array that RESP2 has instead of one.
    #[must_use]
    pub fn field(&self, key: &[u8]) -> Option<&Value> {
        let is_key = |value: &Value| value.as_bytes() == Some(key);
        match self.without_attributes() {
            Self::Map(pairs) => pairs.iter().find(|(k, _)| is_key(k)).map(|(_, v)| v),
            Self::Array(values) => values.chunks_exact(2).find_map(|pair| match pair {
                [k, v] if is_key(k) => Some(v),
                _ => None,
            }),
            _ => None,
        }
    }

    /// The value itself, whatever attributes stand before it.
    #[must_use]
    pub fn without_attributes(&self) -> &Self {
        match self {
            Self::Attribute(_, value) => value.without_attributes(),
            value => value,
        }
    }

    /// Writes the value as a reply.
    pub fn write(&self, out: &mut ReplyWriter<'_>) {
        let resp3 = out.protocol == Protocol::Resp3;
        match self {
            Self::Simple(text) => {
                out.raw(b"+");
                out.raw(text);
                out.raw(b"\r\n");
            }
            Self::Error(text) => out.error_bytes(text),
            Self::Integer(number) => out.integer(*number),
            Self::Bulk(bytes) => out.bulk(bytes),
            Self::Null => out.null(),
            Self::Array(values) => write_all(values, out, ReplyWriter::array),
            Self::Set(values) => write_all(values, out, ReplyWriter::set),
            Self::Push(values) => write_all(values, out, ReplyWriter::push),
            Self::Map(pairs) => {
                out.map(pairs.len());
                write_pairs(pairs, out);
            }
            Self::Double(number) => out.double(*number),
            Self::Boolean(truth) => out.boolean(*truth),
            Self::BigNumber(digits) => out.big_number(digits),
            Self::Verbatim(format, text) => out.verbatim(format, text),
            Self::Attribute(pairs, value) => {
                if resp3 {
                    out.attribute(pairs.len());
                    write_pairs(pairs, out);
                }
                value.write(out);
            }
        }
    }
}

fn write_all<'a>(
    values: &[Value],
    out: &mut ReplyWriter<'a>,
    header: impl Fn(&mut ReplyWriter<'a>, usize),
) {
    header(out, values.len());
    for value in values {
        value.write(out);
    }
}

fn write_pairs(pairs: &[(Value, Value)], out: &mut ReplyWriter<'_>) {
    for (key, value) in pairs {
        key.write(out);
        value.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let text = || proptest::collection::vec(b' '..b'~', 0..12);
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        let leaf = prop_oneof![
            text().prop_map(Value::Simple),
            text().prop_map(Value::Error),
            any::<i64>().prop_map(Value::Integer),
            bytes().prop_map(Value::Bulk),
            Just(Value::Null),
            proptest::num::f64::NORMAL.prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            Just(Value::BigNumber(
                b"-123456789012345678901234567890".to_vec()
            )),
            bytes().prop_map(|b| Value::Verbatim(*b"txt", b)),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let list = || proptest::collection::vec(inner.clone(), 0..6);
            let pairs = || proptest::collection::vec((inner.clone(), inner.clone()), 0..4);
            prop_oneof![
                list().prop_map(Value::Array),
                list().prop_map(Value::Set),
                list().prop_map(Value::Push),
                pairs().prop_map(Value::Map),
                (pairs(), inner.clone()).prop_map(|(p, v)| Value::Attribute(p, Box::new(v))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_survives_the_round_trip_and_every_cut_is_incomplete(value in value()) {
            let mut out = Vec::new();
            value.write(&mut ReplyWriter::new(&mut out, Protocol::Resp3));
            let len = out.len();
            prop_assert_eq!(decode(&out), Ok(Some((value, len))));
            for at in 0..len {
                prop_assert_eq!(decode(&out[..at]), Ok(None));
            }
        }
    }

    #[test]
    fn both_of_resp2_s_nulls_are_null() {
        assert_eq!(decode(b"$-1\r\n"), Ok(Some((Value::Null, 5))));
        assert_eq!(decode(b"*-1\r\n"), Ok(Some((Value::Null, 5))));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
        assert!(matches!(decode(&nested(63)), Ok(Some(_))));
        assert_eq!(decode(&nested(64)), Err(DecodeError::TooDeep));
    }

    #[test]
    fn a_claimed_length_reserves_nothing() {
        assert_eq!(decode(b"*4294967296\r\n"), Ok(None));
    }

    #[test]
    fn fields_are_found_in_maps_and_in_flat_arrays() {
        for input in [
            &b"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n$1\r\n2\r\n"[..],
            b"*4\r\n+a\r\n:1\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ] {
            let (value, _) = decode(input).unwrap().unwrap();
            assert_eq!(value.field(b"a").unwrap().as_integer(), Some(1));
            assert_eq!(value.field(b"b").unwrap().as_integer(), Some(2));
            assert_eq!(value.field(b"c"), None);
        }
    }
}
