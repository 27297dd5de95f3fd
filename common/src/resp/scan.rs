//! Where a reply ends, without building anything.
//!
//! A reply is a tree written in prefix order, so one counter of frames still to come finds its
//! end: a leaf takes one away, an aggregate of n adds n. No stack, so depth costs nothing.

use super::{DecodeError, parse_i64};

/// The type of a reply, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// `+`
    Simple,
    /// `-`, or RESP3's `!`
    Error,
    /// `:`
    Integer,
    /// `$`
    Bulk,
    /// `*`
    Array,
    /// `%`
    Map,
    /// `~`
    Set,
    /// `>`: a message out of turn, not the reply to any request.
    Push,
    /// `_`, and RESP2's `$-1` and `*-1`
    Null,
    /// `#`
    Boolean,
    /// `,`
    Double,
    /// `(`
    BigNumber,
    /// `=`
    Verbatim,
}

/// What a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// One reply takes the first `len` bytes.
    Complete {
        /// Its length, attributes before it included.
        len: usize,
        /// Its type; of the reply itself if attributes come first.
        kind: ReplyKind,
    },
    /// The reply goes on.
    Incomplete {
        /// At least so many more bytes are needed.
        needed: usize,
    },
}

/// Finds the ends of replies, one at a time. One per connection to a node.
///
/// It must be fed the same start of input until the reply is complete, and keeps its place
/// meanwhile.
#[derive(Debug, Default)]
pub struct FrameScanner {
    /// Start of the frame that comes next.
    position: usize,
    /// Bytes of that frame's line known to hold no line end.
    searched: usize,
    /// Frames still to come after the attributes' ones, once anything was scanned.
    pending: u64,
    /// The reply's type, once known.
    kind: Option<ReplyKind>,
    /// Frames of leading attributes still to come, before the reply itself begins.
    attribute_pending: u64,
}

/// Longest line: a status, an error, a number. Redis never sends one even near it.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest bulk: Redis's own ceiling for `proto-max-bulk-len` is far above what a reply can be.
const BULK_BYTES_MAX: i64 = 1 << 40;
/// Most elements of an aggregate, so that the counter cannot overflow.
const ELEMENTS_MAX: i64 = 1 << 32;

impl FrameScanner {
    /// Scans the reply at the start of `input`.
    ///
    /// # Errors
    /// A [`DecodeError`] if this is no RESP; the stream is then beyond repair.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Result<Scan, DecodeError> {
        // The common replies are one short line, or a bulk with a short header.
        if self.position == 0
            && self.searched == 0
            && let Some(scan) = short_reply(input)
        {
            return Ok(scan);
        }
        self.scan_frames(input)
    }

    /// Whether a reply is scanned halfway.
    #[must_use]
    pub fn is_mid_reply(&self) -> bool {
        self.position != 0 || self.searched != 0
    }

    fn scan_frames(&mut self, input: &[u8]) -> Result<Scan, DecodeError> {
        loop {
            let from_here = input.get(self.position..).unwrap_or_default();
            let Some(line) = self.line(from_here)? else {
                return Ok(Scan::Incomplete { needed: 1 });
            };
            let frame = Frame::read(line)?;
            let header = line.len().saturating_add(2);
            let whole = header.saturating_add(frame.body);
            if whole > from_here.len() {
                self.searched = line.len();
                return Ok(Scan::Incomplete {
                    needed: whole.saturating_sub(from_here.len()),
                });
            }
            if frame.body >= 2 && from_here.get(whole.saturating_sub(2)..whole) != Some(b"\r\n") {
                return Err(DecodeError::MissingLineEnd);
            }
            self.position = self.position.saturating_add(whole);
            self.searched = 0;
            self.count(&frame);
            if self.pending == 0
                && self.attribute_pending == 0
                && let Some(kind) = self.kind
            {
                let len = self.position;
                *self = Self::default();
                return Ok(Scan::Complete { len, kind });
            }
        }
    }

    /// Takes `frame` off the counters. Attributes may stand before any element; they add
    /// their frames and are none themselves.
    fn count(&mut self, frame: &Frame) {
        let FrameKind::Reply(kind) = frame.kind else {
            let pending = match self.kind {
                None => &mut self.attribute_pending,
                Some(_) => &mut self.pending,
            };
            *pending = pending.saturating_add(frame.children);
            return;
        };
        if self.kind.is_none() && self.attribute_pending == 0 {
            self.kind = Some(kind);
            self.pending = frame.children;
        } else {
            let pending = match self.kind {
                None => &mut self.attribute_pending,
                Some(_) => &mut self.pending,
            };
            *pending = pending.saturating_sub(1).saturating_add(frame.children);
        }
    }

    /// The line at the start of `from_here`, without its end.
    fn line<'a>(&mut self, from_here: &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
        let unseen = from_here.get(self.searched..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\r', unseen) else {
            self.searched = from_here.len();
            return if self.searched > LINE_BYTES_MAX {
                Err(DecodeError::TooLong)
            } else {
                Ok(None)
            };
        };
        let len = self.searched.saturating_add(at);
        match from_here.get(len.saturating_add(1)) {
            Some(b'\n') => Ok(from_here.get(..len)),
            Some(_) => Err(DecodeError::MissingLineEnd),
            None => {
                self.searched = len;
                Ok(None)
            }
        }
    }
}

/// A reply that is one line of at most 32 bytes, or a bulk shorter than 1000 bytes.
#[inline]
fn short_reply(input: &[u8]) -> Option<Scan> {
    let (kind, rest) = input.split_first()?;
    let kind = match kind {
        b'+' => ReplyKind::Simple,
        b':' => ReplyKind::Integer,
        b'$' => {
            let (body, header) = short_bulk(rest)?;
            let len = header.saturating_add(body).saturating_add(3);
            return match input.get(len.saturating_sub(2)..len) {
                Some(b"\r\n") => Some(Scan::Complete {
                    len,
                    kind: ReplyKind::Bulk,
                }),
                _ => None,
            };
        }
        _ => return None,
    };
    let end = rest.iter().take(32).position(|byte| *byte == b'\r')?;
    match rest.get(end.saturating_add(1)) {
        Some(b'\n') => Some(Scan::Complete {
            len: end.saturating_add(3),
            kind,
        }),
        _ => None,
    }
}

/// The length of a bulk below 1000 bytes, and the length of the line that says so.
#[inline(always)]
fn short_bulk(line: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    let two = |a: u8, b: u8| digit(a).wrapping_mul(10).wrapping_add(digit(b));
    match *line {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(a), 3)),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => Some((two(a, b), 4)),
        [
            a @ b'0'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            b'\r',
            b'\n',
            ..,
        ] => Some((two(a, b).wrapping_mul(10).wrapping_add(digit(c)), 5)),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Reply(ReplyKind),
    Attribute,
}

/// The first line of a frame, understood.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    /// Bytes that follow the line, the CR LF of a bulk included.
    pub(super) body: usize,
    /// Frames that follow as elements.
    pub(super) children: u64,
}

impl Frame {
    pub(super) fn read(line: &[u8]) -> Result<Self, DecodeError> {
        let (kind, rest) = line.split_first().ok_or(DecodeError::UnknownType(b'\r'))?;
        let reply = |kind, body, children| {
            Ok(Self {
                kind: FrameKind::Reply(kind),
                body,
                children,
            })
        };
        match kind {
            b'+' => reply(ReplyKind::Simple, 0, 0),
            b'-' => reply(ReplyKind::Error, 0, 0),
            b':' => reply(ReplyKind::Integer, 0, 0),
            b'_' => reply(ReplyKind::Null, 0, 0),
            b'#' => reply(ReplyKind::Boolean, 0, 0),
            b',' => reply(ReplyKind::Double, 0, 0),
            b'(' => reply(ReplyKind::BigNumber, 0, 0),
            b'$' => match length(rest, BULK_BYTES_MAX)? {
                Some(len) => reply(ReplyKind::Bulk, bulk_body(len)?, 0),
                None => reply(ReplyKind::Null, 0, 0),
            },
            b'=' => match length(rest, BULK_BYTES_MAX)? {
                Some(len) => reply(ReplyKind::Verbatim, bulk_body(len)?, 0),
                None => Err(DecodeError::InvalidNumber),
            },
            b'!' => match length(rest, BULK_BYTES_MAX)? {
                Some(len) => reply(ReplyKind::Error, bulk_body(len)?, 0),
                None => Err(DecodeError::InvalidNumber),
            },
            b'*' => match length(rest, ELEMENTS_MAX)? {
                Some(len) => reply(ReplyKind::Array, 0, len),
                None => reply(ReplyKind::Null, 0, 0),
            },
            b'~' => reply(ReplyKind::Set, 0, elements(rest)?),
            b'>' => reply(ReplyKind::Push, 0, elements(rest)?),
            b'%' => reply(ReplyKind::Map, 0, elements(rest)?.saturating_mul(2)),
            b'|' => Ok(Self {
                kind: FrameKind::Attribute,
                body: 0,
                children: elements(rest)?.saturating_mul(2),
            }),
            other => Err(DecodeError::UnknownType(*other)),
        }
    }
}

fn elements(digits: &[u8]) -> Result<u64, DecodeError> {
    length(digits, ELEMENTS_MAX)?.ok_or(DecodeError::InvalidNumber)
}

fn bulk_body(len: u64) -> Result<usize, DecodeError> {
    usize::try_from(len)
        .map(|len| len.saturating_add(2))
        .map_err(|_| DecodeError::TooLong)
}

/// A length; `None` for -1, which RESP2 writes for null.
fn length(digits: &[u8], max: i64) -> Result<Option<u64>, DecodeError> {
    match parse_i64(digits).ok_or(DecodeError::InvalidNumber)? {
        -1 => Ok(None),
        len if len > max => Err(DecodeError::TooLong),
        len => u64::try_from(len)
            .map(Some)
            .map_err(|_| DecodeError::InvalidNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::decode;
    use proptest::prelude::*;

    pub(crate) const REPLIES: &[(&[u8], ReplyKind)] = &[
        (b"+OK\r\n", ReplyKind::Simple),
        (b"-ERR no\r\n", ReplyKind::Error),
        (b"!7\r\nERR a\r\n\r\n", ReplyKind::Error),
        (b":-7\r\n", ReplyKind::Integer),
        (b"$5\r\na\r\nbc\r\n", ReplyKind::Bulk),
        (b"$0\r\n\r\n", ReplyKind::Bulk),
        (b"$12\r\nabcdefghijkl\r\n", ReplyKind::Bulk),
        (b"$-1\r\n", ReplyKind::Null),
        (b"*-1\r\n", ReplyKind::Null),
        (b"_\r\n", ReplyKind::Null),
        (b"#t\r\n", ReplyKind::Boolean),
        (b",3.25\r\n", ReplyKind::Double),
        (b",-inf\r\n", ReplyKind::Double),
        (b"(12345678901234567890123\r\n", ReplyKind::BigNumber),
        (b"=8\r\ntxt:abcd\r\n", ReplyKind::Verbatim),
        (b"*0\r\n", ReplyKind::Array),
        (b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n", ReplyKind::Array),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n", ReplyKind::Map),
        (b"~2\r\n+a\r\n+b\r\n", ReplyKind::Set),
        (b">2\r\n+message\r\n$1\r\nx\r\n", ReplyKind::Push),
        (b"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", ReplyKind::Bulk),
        (
            b"*2\r\n|1\r\n+k\r\n*1\r\n:1\r\n:5\r\n:6\r\n",
            ReplyKind::Array,
        ),
    ];

    #[test]
    fn the_end_of_each_reply_is_found_at_every_split_point() {
        for (reply, kind) in REPLIES {
            let input = [reply, &b"+next\r\n"[..]].concat();
            let complete = Scan::Complete {
                len: reply.len(),
                kind: *kind,
            };
            assert_eq!(FrameScanner::default().scan(&input), Ok(complete));
            for at in 0..reply.len() {
                let mut scanner = FrameScanner::default();
                let first = scanner.scan(&reply[..at]);
                let Ok(Scan::Incomplete { needed }) = first else {
                    panic!("{} at {at}: {first:?}", reply.escape_ascii());
                };
                assert!(needed > 0 && at + needed <= reply.len());
                assert_eq!(scanner.scan(&input), Ok(complete));
            }
            let mut scanner = FrameScanner::default();
            for at in 0..reply.len() {
                let step = scanner.scan(&reply[..at]);
                assert!(matches!(step, Ok(Scan::Incomplete { .. })));
            }
            assert_eq!(scanner.scan(&input), Ok(complete));
        }
    }

    #[test]
    fn what_is_no_resp_is_refused() {
        let cases: &[(&[u8], DecodeError)] = &[
            (b"hello\r\n", DecodeError::UnknownType(b'h')),
            (b"\r\n", DecodeError::UnknownType(b'\r')),
            (b"$x\r\n", DecodeError::InvalidNumber),
            (b"$-2\r\n", DecodeError::InvalidNumber),
            (b"%-1\r\n", DecodeError::InvalidNumber),
            (b"*99999999999\r\n", DecodeError::TooLong),
            (b"$1\r\nabc", DecodeError::MissingLineEnd),
            (b"+a\rb\r\n", DecodeError::MissingLineEnd),
        ];
        for (input, error) in cases {
            assert_eq!(FrameScanner::default().scan(input), Err(*error));
        }
        let endless = [b'+'; LINE_BYTES_MAX + 2];
        assert_eq!(
            FrameScanner::default().scan(&endless),
            Err(DecodeError::TooLong)
        );
    }

    #[test]
    fn depth_costs_the_scanner_nothing() {
        let deep = [b"*1\r\n".repeat(1_000_000), b":1\r\n".to_vec()].concat();
        let scan = FrameScanner::default().scan(&deep);
        assert_eq!(
            scan,
            Ok(Scan::Complete {
                len: deep.len(),
                kind: ReplyKind::Array
            })
        );
    }

    proptest! {
        #[test]
        fn scanner_and_decoder_agree_on_rubbish(
            input in proptest::collection::vec(prop_oneof![
                Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'2'),
                Just(b'%'), Just(b'|'), Just(b'+'), any::<u8>(),
            ], 0..60),
        ) {
            let scan = FrameScanner::default().scan(&input);
            match decode(&input) {
                Ok(Some((_, consumed))) => {
                    let agreed = matches!(scan, Ok(Scan::Complete { len, .. }) if len == consumed);
                    prop_assert!(agreed, "{:?} against {}", scan, consumed);
                }
                Ok(None) => {
                    let agreed = matches!(scan, Ok(Scan::Incomplete { .. }));
                    prop_assert!(agreed, "{:?}", scan);
                }
                // The decoder looks into what the scanner passes over.
                Err(_) => {}
            }
        }
    }
}
