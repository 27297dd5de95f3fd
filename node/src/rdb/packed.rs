//! Packed forms that older servers wrote: read, never written.
//!
//! ```text
//! ziplist   bytes u32 │ place of the last entry u32 │ entries u16 (65535: too many to say) │ entries │ ff
//!   entry   how long the one before is: a byte, or fe and u32 │ encoding │ content
//!           00xxxxxx │ 01xxxxxx + 1 byte, big end first │ 10 + u32, the same: a string's length
//!           c0 i16 │ d0 i32 │ e0 i64 │ f0 i24 │ fe i8 │ f1 … fd: 0 … 12
//! zipmap    entries u8 (254 and more: too many to say) │ pairs │ ff
//!   pair    length: a byte, or fe and u32 │ field │ length │ unused u8 │ value │ unused bytes
//! ```
//!
//! All little-endian, if nothing else is said. Every length is checked before it is believed, and
//! what is told twice must be told alike.

use crate::store::Item;

/// What a packed form says is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes from the front on.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }
}

/// Shows the entries of a ziplist, in order.
///
/// # Errors
/// [`Malformed`], perhaps after some entries were shown; or what `visit` says.
pub(super) fn ziplist<'a, E: From<Malformed>>(
    data: &'a [u8],
    mut visit: impl FnMut(Item<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = Bytes(data);
    let (bytes, last) = (rest.number()?, rest.number()?);
    let told = usize::from(u16::from_le_bytes(rest.array()?));
    if bytes != data.len() {
        return Err(Malformed.into());
    }
    let (mut count, mut before, mut place) = (0, 0, data.len() - rest.0.len());
    loop {
        let at = data.len() - rest.0.len();
        if rest.0 == [0xff] {
            break;
        }
        let told_before = match rest.byte()? {
            0xff => return Err(Malformed.into()),
            0xfe => rest.number()?,
            short => usize::from(short),
        };
        if told_before != before {
            return Err(Malformed.into());
        }
        visit(ziplist_entry(&mut rest)?)?;
        before = data.len() - rest.0.len() - at;
        (place, count) = (at, count + 1);
    }
    let counts = told == count || told == usize::from(u16::MAX);
    if counts && last == place {
        Ok(())
    } else {
        Err(Malformed.into())
    }
}

fn ziplist_entry<'a>(rest: &mut Bytes<'a>) -> Result<Item<'a>, Malformed> {
    let encoding = rest.byte()?;
    let low = encoding & 0x3f;
    Ok(match encoding {
        0x00..0x40 => Item::Bytes(rest.take(usize::from(low))?),
        0x40..0x80 => {
            let len = u16::from_be_bytes([low, rest.byte()?]);
            Item::Bytes(rest.take(usize::from(len))?)
        }
        0x80 => {
            let len = u32::from_be_bytes(rest.array()?);
            Item::Bytes(rest.take(len as usize)?)
        }
        0xc0 => Item::Int(i64::from(i16::from_le_bytes(rest.array()?))),
        0xd0 => Item::Int(i64::from(i32::from_le_bytes(rest.array()?))),
        0xe0 => Item::Int(i64::from_le_bytes(rest.array()?)),
        0xf0 => {
            let [a, b, c] = rest.array()?;
            Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8))
        }
        0xfe => Item::Int(i64::from(i8::from_le_bytes(rest.array()?))),
        0xf1..=0xfd => Item::Int(i64::from(encoding & 0x0f) - 1),
        _ => return Err(Malformed),
    })
}

/// Shows the fields of a zipmap with their values, in order.
///
/// # Errors
/// [`Malformed`], perhaps after some pairs were shown; or what `visit` says.
pub(super) fn zipmap<'a, E: From<Malformed>>(
    data: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    const COUNT_UNKNOWN: u8 = 254;
    let mut rest = Bytes(data);
    let told = rest.byte()?;
    let mut count = 0usize;
    while rest.0 != [0xff] {
        let len = zipmap_length(&mut rest)?;
        let field = rest.take(len)?;
        let len = zipmap_length(&mut rest)?;
        let unused = usize::from(rest.byte()?);
        let value = rest.take(len)?;
        rest.take(unused)?;
        visit(field, value)?;
        count += 1;
    }
    if told >= COUNT_UNKNOWN || usize::from(told) == count {
        Ok(())
    } else {
        Err(Malformed.into())
    }
}

fn zipmap_length(rest: &mut Bytes<'_>) -> Result<usize, Malformed> {
    match rest.byte()? {
        0xff => Err(Malformed),
        0xfe => rest.number(),
        short => Ok(usize::from(short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digits;

    /// `RPUSH` of these on redis-server 6.0, whose DUMP has a ziplist.
    const ZIPLIST: &[u8] = b"\x31\0\0\0\x2b\0\0\0\x08\0\
        \0\x01a\x03\xf2\x02\xfe\xff\x03\xc0\x2c\x01\x04\xf0\x70\x11\x01\
        \x05\xe0\0\xf2\x05\x2a\x01\0\0\0\x0a\xd0\0\0\0\x40\x06\x02bc\x04\xfd\xff";

    fn texts(data: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut texts = Vec::new();
        ziplist(data, |item| {
            let text = item.text(&mut Digits::default()).to_vec();
            texts.push(String::from_utf8_lossy(&text).into_owned());
            Ok::<_, Malformed>(())
        })?;
        Ok(texts)
    }

    #[test]
    fn a_ziplist_is_read() {
        let mut data = ZIPLIST.to_vec();
        data[0] = data.len() as u8;
        data[4] = data.len() as u8 - 3;
        data[8] = 9;
        let expected = [
            "a",
            "1",
            "-1",
            "300",
            "70000",
            "5000000000",
            "1073741824",
            "bc",
            "12",
        ];
        assert_eq!(texts(&data).unwrap(), expected);
        data[8..10].fill(0xff);
        assert!(texts(&data).is_ok(), "too many to say");
        for place in 0..data.len() {
            assert_eq!(texts(&data[..place]), Err(Malformed), "{place} bytes");
        }
        for place in [0, 4, 10, 13, 15, 18, 22, 27] {
            let mut damaged = data.clone();
            damaged[place] ^= 1;
            assert_eq!(texts(&damaged), Err(Malformed), "byte {place}");
        }
        data[8..10].copy_from_slice(&[8, 0]);
        assert_eq!(texts(&data), Err(Malformed), "one too few");
    }

    #[test]
    fn long_entries_of_a_ziplist_are_read() {
        let (long, longer) = ("x".repeat(300), "y".repeat(20_000));
        let mut data = vec![0; 8];
        data.extend([2, 0, 0, 0x41, 0x2c]);
        data.extend(long.as_bytes());
        let last = data.len();
        data.extend([0xfe, 0x2f, 1, 0, 0, 0x80, 0, 0, 0x4e, 0x20]);
        data.extend(longer.as_bytes());
        data.push(0xff);
        let len = data.len() as u32;
        data[..4].copy_from_slice(&len.to_le_bytes());
        data[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        assert_eq!(texts(&data).unwrap(), [long, longer]);
    }

    type Pair<'a> = (&'a [u8], &'a [u8]);

    fn pairs(data: &[u8]) -> Result<Vec<Pair<'_>>, Malformed> {
        let mut pairs = Vec::new();
        zipmap(data, |field, value| {
            pairs.push((field, value));
            Ok::<_, Malformed>(())
        })?;
        Ok(pairs)
    }

    #[test]
    fn a_zipmap_is_read() {
        let data = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world__\xff";
        let expected: [(&[u8], &[u8]); 2] = [(b"foo", b"bar"), (b"hello", b"world")];
        assert_eq!(pairs(data).unwrap(), expected);
        for place in 0..data.len() {
            assert_eq!(pairs(&data[..place]), Err(Malformed), "{place} bytes");
        }
        for (place, byte) in [(0, 1), (1, 0xff), (5, 9), (6, 1), (16, 0xfe)] {
            let mut damaged = data.to_vec();
            damaged[place] = byte;
            assert_eq!(pairs(&damaged), Err(Malformed), "byte {place}");
        }
        let long = [&b"\xfe\xfe\x02\0\0\0ab\x01\0c"[..], b"\xff"].concat();
        assert_eq!(pairs(&long).unwrap(), [(&b"ab"[..], &b"c"[..])]);
    }
}
