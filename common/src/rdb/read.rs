//! Reading the format, piece by piece, from anything that gives bytes: a file, a socket, a slice.
//!
//! Whoever wrote it may lie. No memory is asked for because a length says so: what is kept grows
//! with the bytes that come.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing
)]

use std::io::{self, Read};

use super::Crc64;
use super::kinds::head;
use super::lzf::{can_expand_to, decompress};

/// As many bytes are asked of the source at once.
const PIECE: usize = 64 * 1024;
/// Room for as many bytes is made for what has not come yet.
const TRUSTED: usize = 1024 * 1024;

/// Why reading cannot go on: where, and what should have been there.
#[derive(Debug, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct ReadError {
    /// How many bytes were read before.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with what was read.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no more.
    #[error("{expected} was expected, and the data ends")]
    Ended {
        /// What should have come.
        expected: &'static str,
    },
    /// Something else is there.
    #[error("{expected} was expected, and there is {found:#04x}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// The byte that says otherwise.
        found: u8,
    },
    /// A string would be longer than what is left.
    #[error("a string of {claimed} bytes was announced, and {left} bytes are left")]
    TooLong {
        /// What its length says.
        claimed: u64,
        /// What there is.
        left: u64,
    },
    /// A string cannot be decompressed.
    #[error("a string of {claimed} bytes, compressed to {compressed}, makes no sense")]
    Compression {
        /// What its length says.
        claimed: u64,
        /// How long it is compressed.
        compressed: u64,
    },
    /// Bytes that mean nothing where they stand.
    #[error("{0}")]
    Invalid(&'static str),
    /// It was written by a version whose files this one cannot read.
    #[error("it has the version {0}; versions up to 11, and 80, can be read")]
    Version(u32),
    /// The checksum at the end is not that of what was read.
    #[error(
        "RDB CRC error: the checksum is {stated:016x}, and that of the data {found:016x}: it is damaged"
    )]
    Checksum {
        /// What it should be.
        stated: u64,
        /// What it is.
        found: u64,
    },
    /// The source failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the format, keeping the checksum of all that was read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// What the source gave last; what is behind `filled` means nothing.
    piece: Vec<u8>,
    filled: usize,
    /// What comes next.
    at: usize,
    /// Up to here the piece is in `sum`.
    summed: usize,
    /// None if it is not to be checked.
    sum: Option<Crc64>,
    /// Bytes in earlier pieces.
    before: u64,
    total: Option<u64>,
    /// Compressed bytes of the last string.
    scratch: Vec<u8>,
}

/// A string's length, or what stands in its place.
enum Head {
    Length(u64),
    Number(i64),
    Compressed,
}

impl<R: Read> Reader<R> {
    /// A reader of what `source` gives; of so many bytes, if that is known.
    pub fn new(source: R, total: Option<u64>) -> Self {
        let piece = total.map_or(PIECE, |total| {
            usize::try_from(total).map_or(PIECE, |total| total.clamp(1, PIECE))
        });
        Self {
            source,
            piece: vec![0; piece],
            filled: 0,
            at: 0,
            summed: 0,
            sum: Some(Crc64::default()),
            before: 0,
            total,
            scratch: Vec::new(),
        }
    }

    /// The same reader, which believes what it reads whatever its checksum: `rdbchecksum no`.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        self.sum = None;
        self
    }

    /// How many bytes were read so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.before.saturating_add(self.at as u64)
    }

    /// How many bytes are left, if that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        Some(self.total?.saturating_sub(self.offset()))
    }

    /// The checksum of what was read so far; none if it is not to be checked.
    pub fn sum(&mut self) -> Option<u64> {
        self.add_to_sum();
        self.sum.map(Crc64::value)
    }

    /// An error here.
    #[must_use]
    pub fn fault(&self, problem: Problem) -> ReadError {
        ReadError {
            offset: self.offset(),
            problem,
        }
    }

    /// The source, and what it gave and nobody has read.
    #[must_use]
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let unread = self.piece.get(self.at..self.filled).unwrap_or_default();
        (self.source, unread.to_vec())
    }

    /// A byte. `expected` is what the caller takes it for, as in all of these.
    ///
    /// # Errors
    /// [`ReadError`], as all of these say.
    #[inline]
    pub fn byte(&mut self, expected: &'static str) -> Result<u8, ReadError> {
        let [byte] = self.array(expected)?;
        Ok(byte)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    #[inline]
    pub fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], ReadError> {
        let here = self.piece.get(self.at..self.filled).unwrap_or_default();
        if let Some(bytes) = here.first_chunk() {
            let bytes = *bytes;
            self.at = self.at.saturating_add(N);
            return Ok(bytes);
        }
        let mut bytes = [0; N];
        for byte in &mut bytes {
            let &[next] = self.some(1, expected)? else {
                return Err(self.fault(Problem::Ended { expected }));
            };
            *byte = next;
        }
        Ok(bytes)
    }

    /// A length, or a count, or any number that is written as one.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn length(&mut self, expected: &'static str) -> Result<u64, ReadError> {
        let first = self.byte(expected)?;
        match self.head(first, expected)? {
            Head::Length(length) => Ok(length),
            Head::Number(_) | Head::Compressed => Err(self.fault(Problem::Unexpected {
                expected,
                found: first,
            })),
        }
    }

    /// A string, in the place of what is in `out`.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn string(&mut self, expected: &'static str, out: &mut Vec<u8>) -> Result<(), ReadError> {
        out.clear();
        let first = self.byte(expected)?;
        match self.head(first, expected)? {
            Head::Length(length) => self.bytes(length, expected, out),
            Head::Number(number) => {
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(digits.format(number).as_bytes());
                Ok(())
            }
            Head::Compressed => self.compressed(expected, out),
        }
    }

    /// Passes a string by.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn skip_string(&mut self, expected: &'static str) -> Result<(), ReadError> {
        let first = self.byte(expected)?;
        let length = match self.head(first, expected)? {
            Head::Length(length) => length,
            Head::Number(_) => 0,
            Head::Compressed => {
                let compressed = self.length(expected)?;
                self.length(expected)?;
                compressed
            }
        };
        let mut left = length;
        while left > 0 {
            let here = self.some(usize::try_from(left).unwrap_or(PIECE), expected)?;
            left = left.saturating_sub(here.len() as u64);
        }
        Ok(())
    }

    /// A score in eight bytes.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn double(&mut self, expected: &'static str) -> Result<f64, ReadError> {
        self.array(expected).map(f64::from_le_bytes)
    }

    /// A score as text: a byte that tells how long it is, or what it is.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn double_text(&mut self, expected: &'static str) -> Result<f64, ReadError> {
        let length = match self.byte(expected)? {
            253 => return Ok(f64::NAN),
            254 => return Ok(f64::INFINITY),
            255 => return Ok(f64::NEG_INFINITY),
            length => u64::from(length),
        };
        let mut text = Vec::new();
        self.bytes(length, expected, &mut text)?;
        let number = std::str::from_utf8(&text).ok();
        let number = number.and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.fault(Problem::Invalid("a score is no number")))
    }

    /// A time in Unix milliseconds.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn millis(&mut self, expected: &'static str) -> Result<i64, ReadError> {
        self.array(expected).map(i64::from_le_bytes)
    }

    /// A time in Unix seconds.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn seconds(&mut self, expected: &'static str) -> Result<i32, ReadError> {
        self.array(expected).map(i32::from_le_bytes)
    }

    /// So many bytes more, as they are, appended to `out`.
    ///
    /// # Errors
    /// As for [`byte`](Self::byte).
    pub fn bytes(
        &mut self,
        length: u64,
        expected: &'static str,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        if let Some(left) = self.left().filter(|left| length > *left) {
            return Err(self.fault(Problem::TooLong {
                claimed: length,
                left,
            }));
        }
        let mut missing = usize::try_from(length).unwrap_or(usize::MAX);
        out.reserve_exact(missing.min(TRUSTED));
        while missing > 0 {
            let here = self.some(missing, expected)?;
            out.extend_from_slice(here);
            missing = missing.saturating_sub(here.len());
        }
        Ok(())
    }

    fn head(&mut self, first: u8, expected: &'static str) -> Result<Head, ReadError> {
        let low = first & !head::MASK;
        Ok(match first {
            head::INT8 => Head::Number(i64::from(i8::from_le_bytes(self.array(expected)?))),
            head::INT16 => Head::Number(i64::from(i16::from_le_bytes(self.array(expected)?))),
            head::INT32 => Head::Number(i64::from(i32::from_le_bytes(self.array(expected)?))),
            head::COMPRESSED => Head::Compressed,
            head::THIRTY_TWO => Head::Length(u64::from(u32::from_be_bytes(self.array(expected)?))),
            head::SIXTY_FOUR => Head::Length(u64::from_be_bytes(self.array(expected)?)),
            _ => match first & head::MASK {
                head::SIX => Head::Length(u64::from(low)),
                head::FOURTEEN => {
                    let next = self.byte(expected)?;
                    Head::Length(u64::from(u16::from_be_bytes([low, next])))
                }
                _ => {
                    return Err(self.fault(Problem::Unexpected {
                        expected,
                        found: first,
                    }));
                }
            },
        })
    }

    fn compressed(&mut self, expected: &'static str, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let compressed = self.length(expected)?;
        let claimed = self.length(expected)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let read = self.bytes(compressed, expected, &mut scratch);
        let fault = Problem::Compression {
            claimed,
            compressed,
        };
        let result = match (read, usize::try_from(claimed)) {
            (Err(error), _) => Err(error),
            (Ok(()), Ok(length)) if can_expand_to(compressed, claimed) => {
                out.reserve_exact(length);
                decompress(&scratch, length, out).map_err(|_| self.fault(fault))
            }
            _ => Err(self.fault(fault)),
        };
        // Room for a long string is not kept for short ones.
        if scratch.capacity() <= PIECE {
            self.scratch = scratch;
        }
        result
    }

    /// Some of the next bytes: one at least, `most` at most.
    fn some(&mut self, most: usize, expected: &'static str) -> Result<&[u8], ReadError> {
        if self.at == self.filled {
            self.refill()?;
        }
        let from = self.at;
        let end = self.filled.min(from.saturating_add(most));
        if from == end && most > 0 {
            return Err(self.fault(Problem::Ended { expected }));
        }
        self.at = end;
        Ok(self.piece.get(from..end).unwrap_or_default())
    }

    fn refill(&mut self) -> Result<(), ReadError> {
        self.add_to_sum();
        self.before = self.before.saturating_add(self.filled as u64);
        (self.at, self.filled, self.summed) = (0, 0, 0);
        loop {
            match self.source.read(&mut self.piece) {
                Ok(count) => {
                    self.filled = count.min(self.piece.len());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(error.into())),
            }
        }
    }

    fn add_to_sum(&mut self) {
        if let Some(sum) = &mut self.sum {
            sum.update(self.piece.get(self.summed..self.at).unwrap_or_default());
            self.summed = self.at;
        }
    }
}

impl<'b> Reader<&'b [u8]> {
    /// A reader of bytes that are all there.
    #[must_use]
    pub fn of(bytes: &'b [u8]) -> Self {
        Self::new(bytes, Some(bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests;
