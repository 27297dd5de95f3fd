//! Writing the format, piece by piece, into anything that takes bytes.

#![deny(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::io::{self, Write};

use super::kinds::head;
use super::{Compressor, Crc64, VERSION};

/// A string up to here is written as a number if it is one in its only spelling: nothing longer
/// fits 32 bits.
const NUMBER_DIGITS_MAX: usize = 11;
/// A shorter string is not compressed.
const COMPRESSED_MIN: usize = 21;
/// Compression has to save so many bytes.
const SAVED_MIN: usize = 4;
/// What is written is handed on in pieces of at least so many bytes.
const PIECE: usize = 64 * 1024;

/// Writes the format: keeps the checksum of all that was written, and hands it on in large pieces.
///
/// A writer knows nothing of values: `slotilla_node::rdb` puts them together from what is here.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    piece: Vec<u8>,
    /// Of what was handed on; none if nobody wants to know.
    sum: Option<Crc64>,
    /// Bytes handed on.
    handed_on: u64,
    compressed_max: usize,
    compressor: Option<Compressor>,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer into `out` that compresses strings up to so many bytes, where that saves any: 0
    /// for none at all. To compress takes the processor for as long as it takes, so a caller that
    /// must not stop others for long sets a bound.
    pub fn new(out: W, compressed_max: usize) -> Self {
        Self {
            out,
            piece: Vec::new(),
            sum: Some(Crc64::default()),
            handed_on: 0,
            compressed_max,
            compressor: None,
            scratch: Vec::new(),
        }
    }

    /// The same writer, of files that end with a zero instead of a checksum: `rdbchecksum no`.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        self.sum = None;
        self
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.handed_on.saturating_add(self.piece.len() as u64)
    }

    /// What it writes into: all that was written but the last piece, which is handed on once it is
    /// large enough.
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The longest string that is compressed.
    #[must_use]
    pub fn compressed_max(&self) -> usize {
        self.compressed_max
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// What `out` says.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= PIECE {
            // Not copied.
            self.hand_on()?;
            return self.take(bytes);
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.hand_on()?;
        }
        Ok(())
    }

    /// Writes a byte.
    ///
    /// # Errors
    /// What `out` says.
    #[inline]
    pub fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.raw(&[byte])
    }

    /// Writes a length, or a count, or any number that is not negative.
    ///
    /// # Errors
    /// What `out` says.
    pub fn length(&mut self, length: u64) -> io::Result<()> {
        let bytes = length.to_be_bytes();
        let [_, _, _, _, a, b, c, d] = bytes;
        match length {
            0..0x40 => self.byte(head::SIX | d),
            0x40..0x4000 => self.raw(&[head::FOURTEEN | c, d]),
            0x4000..=0xffff_ffff => self.raw(&[head::THIRTY_TWO, a, b, c, d]),
            _ => {
                self.byte(head::SIXTY_FOUR)?;
                self.raw(&bytes)
            }
        }
    }

    /// Writes a string in the fewest bytes: as a number, compressed, or as it is.
    ///
    /// # Errors
    /// What `out` says.
    pub fn string(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(number) = short_number(bytes) {
            return self.number(number);
        }
        if bytes.len() >= COMPRESSED_MIN
            && bytes.len() <= self.compressed_max
            && self.compressed(bytes)?
        {
            return Ok(());
        }
        self.plain_string_head(bytes.len() as u64)?;
        self.raw(bytes)
    }

    /// Writes what stands before a string that is written as it is, by [`raw`](Self::raw), in as
    /// many pieces as the caller likes.
    ///
    /// # Errors
    /// What `out` says.
    pub fn plain_string_head(&mut self, len: u64) -> io::Result<()> {
        self.length(len)
    }

    /// Writes a string that is a number.
    ///
    /// # Errors
    /// What `out` says.
    fn number(&mut self, number: i32) -> io::Result<()> {
        let [a, b, c, d] = number.to_le_bytes();
        match number {
            -0x80..=0x7f => self.raw(&[head::INT8, a]),
            -0x8000..=0x7fff => self.raw(&[head::INT16, a, b]),
            _ => self.raw(&[head::INT32, a, b, c, d]),
        }
    }

    /// Writes a string compressed, if that is worth it; whether it was.
    fn compressed(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let most = bytes.len().saturating_sub(SAVED_MIN);
        let mut scratch = std::mem::take(&mut self.scratch);
        let compressor = self.compressor.get_or_insert_default();
        let fits = compressor.compress(bytes, most, &mut scratch);
        if fits {
            self.byte(head::COMPRESSED)?;
            self.length(scratch.len() as u64)?;
            self.length(bytes.len() as u64)?;
            self.raw(&scratch)?;
        }
        // Room for a long string is not kept for short ones.
        if scratch.capacity() <= PIECE {
            self.scratch = scratch;
        }
        Ok(fits)
    }

    /// Writes a score in eight bytes.
    ///
    /// # Errors
    /// What `out` says.
    pub fn double(&mut self, number: f64) -> io::Result<()> {
        self.raw(&number.to_le_bytes())
    }

    /// Writes a time in Unix milliseconds.
    ///
    /// # Errors
    /// What `out` says.
    pub fn millis(&mut self, time: i64) -> io::Result<()> {
        self.raw(&time.to_le_bytes())
    }

    /// Writes the checksum of all that was written before it, as a file ends.
    ///
    /// # Errors
    /// What `out` says.
    pub fn checksum(&mut self) -> io::Result<()> {
        let sum = self.sum_so_far();
        self.raw(&sum.to_le_bytes())
    }

    /// Ends a DUMP payload: version and checksum.
    ///
    /// # Errors
    /// What `out` says.
    pub fn seal(&mut self) -> io::Result<()> {
        self.raw(&VERSION.to_le_bytes())?;
        self.checksum()
    }

    /// Hands everything on, and flushes.
    ///
    /// # Errors
    /// What `out` says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.out.flush()
    }

    /// Hands everything on; what it went into.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out)
    }

    fn sum_so_far(&self) -> u64 {
        self.sum.map_or(0, |mut sum| {
            sum.update(&self.piece);
            sum.value()
        })
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let taken = self.take(&piece);
        self.piece = piece;
        self.piece.clear();
        taken
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        self.handed_on = self.handed_on.saturating_add(bytes.len() as u64);
        self.out.write_all(bytes)
    }
}

/// `bytes` as a number of 32 bits, if printing it gives `bytes` again.
fn short_number(bytes: &[u8]) -> Option<i32> {
    let (negative, digits) = match bytes {
        [] => return None,
        bytes if bytes.len() > NUMBER_DIGITS_MAX => return None,
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let value = digits.iter().try_fold(0i64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(i64::from(digit))
    })?;
    i32::try_from(if negative {
        value.checked_neg()?
    } else {
        value
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), usize::MAX);
        write(&mut writer).unwrap();
        let said = writer.written();
        let bytes = writer.finish().unwrap();
        assert_eq!(said, bytes.len() as u64);
        bytes
    }

    #[test]
    fn a_length_takes_as_few_bytes_as_it_can() {
        for (length, expected) in [
            (0, &b"\x00"[..]),
            (63, b"\x3f"),
            (64, b"\x40\x40"),
            (16_383, b"\x7f\xff"),
            (16_384, b"\x80\x00\x00\x40\x00"),
            (0xffff_ffff, b"\x80\xff\xff\xff\xff"),
            (0x1_0000_0000, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
        ] {
            assert_eq!(written(|w| w.length(length)), expected, "{length}");
        }
    }

    /// What redis-server 7.0.15 has in its DUMPs of these strings.
    #[test]
    fn strings_are_as_redis_writes_them() {
        for (string, expected) in [
            (&b""[..], &b"\x00"[..]),
            (b"hello", b"\x05hello"),
            (b"0", b"\xc0\x00"),
            (b"123", b"\xc0\x7b"),
            (b"-128", b"\xc0\x80"),
            (b"128", b"\xc1\x80\x00"),
            (b"-12345", b"\xc1\xc7\xcf"),
            (b"32768", b"\xc2\x00\x80\x00\x00"),
            (b"123456789", b"\xc2\x15\xcd\x5b\x07"),
            (b"-2147483648", b"\xc2\x00\x00\x00\x80"),
            (b"2147483648", b"\x0a2147483648"),
            (b"00", b"\x0200"),
            (b"-0", b"\x02-0"),
            (b"+1", b"\x02+1"),
            (b"-", b"\x01-"),
            (b"1x", b"\x021x"),
            (&[b'a'; 20], b"\x14aaaaaaaaaaaaaaaaaaaa"),
            (
                &[b'a'; 21],
                b"\xc3\x09\x15\x01\x61\x61\xe0\x08\x00\x01\x61\x61",
            ),
            (
                &[b'a'; 100],
                b"\xc3\x09\x40\x64\x01\x61\x61\xe0\x57\x00\x01\x61\x61",
            ),
        ] {
            let shown = string.escape_ascii();
            assert_eq!(written(|w| w.string(string)), expected, "{shown}");
        }
    }

    #[test]
    fn long_strings_may_be_left_as_they_are() {
        let string = [b'a'; 30];
        let mut writer = Writer::new(Vec::new(), 29);
        writer.string(&string).unwrap();
        writer.string(&string[..29]).unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes[..31], *[&b"\x1e"[..], &string].concat());
        assert_eq!(bytes[31], head::COMPRESSED);
    }

    #[test]
    fn the_sum_is_of_everything_however_it_was_handed_on() {
        let long = vec![7; PIECE];
        let bytes = written(|w| {
            w.raw(b"short")?;
            w.raw(&long)?;
            w.raw(&long[..PIECE - 1])?;
            w.raw(b"ab")?;
            w.seal()
        });
        assert_eq!(bytes.len(), 5 + 2 * PIECE - 1 + 2 + 10);
        assert!(super::super::open(&bytes).is_ok());
    }

    #[test]
    fn what_the_sink_says_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Writer::new(Full, 0);
        writer.raw(b"a").unwrap();
        assert!(writer.raw(&[0; PIECE]).is_err());
    }
}
