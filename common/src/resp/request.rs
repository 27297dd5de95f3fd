//! Requests: where each argument lies, without copying any of them.
//!
//! ```text
//! *3\r\n $3\r\nSET\r\n $3\r\nkey\r\n $5\r\nvalue\r\n      a multibulk request
//! SET key "a value"\r\n                                   an inline request
//! ```
//!
//! The parser is fed the same start of input until the request is complete. It remembers how
//! far it got when starting over would cost more than a few steps, so a request of a million
//! arguments that arrives byte by byte takes linear time, while a connection between requests
//! holds one null pointer.

use super::inline::{multibulk, plain_words};
use super::short::{SHORT_MAX, short_request};
use super::{ProtocolError, RequestLimits, parse_u64, split_args};

/// Where one argument lies, counted from the start of the input of its parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArgRange {
    start: u32,
    len: u32,
}

impl ArgRange {
    /// A range, if it lies within the first 4 GiB.
    #[must_use]
    #[inline]
    pub fn new(start: usize, len: usize) -> Option<Self> {
        let end = start.checked_add(len)?;
        u32::try_from(end).ok()?;
        Some(Self {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }

    /// A range whose end is within 32 bits.
    #[inline]
    pub(super) const fn from_parts(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    /// The argument's offset in the input.
    #[must_use]
    #[inline]
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// The argument's length in bytes.
    #[must_use]
    #[inline]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// Whether the argument is the empty string.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The argument's bytes in the input that was parsed; empty if that is not this input.
    #[must_use]
    #[inline]
    pub fn of(self, input: &[u8]) -> &[u8] {
        input
            .get(self.start()..self.start().saturating_add(self.len()))
            .unwrap_or_default()
    }
}

/// What a parse found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// One request took the first `consumed` bytes. No arguments: an empty request (a blank
    /// line, `*0`, `*-1`), which gets no reply.
    Complete {
        /// Length of the request.
        consumed: usize,
    },
    /// An inline request of plain words took the first `consumed` bytes. The ranges refer to the
    /// input; who forwards them makes a [`multibulk`] request of them.
    Words {
        /// Length of the request.
        consumed: usize,
    },
    /// An inline request with quotes or odd blanks took the first `consumed` bytes.
    Inline {
        /// Length of the request.
        consumed: usize,
        /// The same request in multibulk form. The ranges of its arguments refer to this.
        request: Vec<u8>,
    },
    /// The request goes on.
    Incomplete {
        /// At least so many more bytes are needed: who reads a 512 MB value can make room for
        /// it at once.
        needed: usize,
    },
}

/// Parses requests one at a time. One per connection.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Where a long, half-received request goes on.
    partial: Option<Box<Partial>>,
}

#[derive(Debug)]
struct Partial {
    progress: Progress,
    args: Vec<ArgRange>,
}

/// How far a request is parsed.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Start of the line that comes next.
    position: usize,
    /// Bytes of that line known to hold no line end.
    searched: usize,
    /// Arguments still to come; `None` before the line with their count.
    remaining: Option<usize>,
}

/// Arguments, and bytes of a line, that are scanned again rather than remembered.
const RESCAN_ARGS_MAX: usize = 16;
const RESCAN_LINE_BYTES_MAX: usize = 64;

impl RequestParser {
    /// Parses the request at the start of `input`, which must have the same start until the
    /// request is complete. Appends the ranges of its arguments to `args` once it is.
    ///
    /// # Errors
    /// A [`ProtocolError`]: tell the client and close.
    #[inline]
    pub fn parse(
        &mut self,
        input: &[u8],
        args: &mut Vec<ArgRange>,
        limits: &RequestLimits,
    ) -> Result<Parsed, ProtocolError> {
        if self.partial.is_none()
            && limits.authenticated
            && limits.max_bulk >= SHORT_MAX
            && limits.max_args >= SHORT_MAX
            && let Some(consumed) = short_request(input, args)
        {
            return Ok(Parsed::Complete { consumed });
        }
        self.parse_any(input, args, limits)
    }

    /// What is not short and whole and at its start.
    #[inline(never)]
    fn parse_any(
        &mut self,
        input: &[u8],
        args: &mut Vec<ArgRange>,
        limits: &RequestLimits,
    ) -> Result<Parsed, ProtocolError> {
        if self.partial.is_some() {
            return self.resume(input, args, limits);
        }
        match input.first() {
            Some(b'*') => {}
            Some(_) => return self.parse_inline(input, args, limits),
            None => return Ok(Parsed::Incomplete { needed: 1 }),
        }
        let mut progress = Progress::default();
        let before = args.len();
        match progress.advance(input, args, limits) {
            Ok(None) => Ok(Parsed::Complete {
                consumed: progress.position,
            }),
            Ok(Some(needed)) => {
                if args.len().saturating_sub(before) > RESCAN_ARGS_MAX
                    || progress.searched > RESCAN_LINE_BYTES_MAX
                {
                    let args = args.get(before..).unwrap_or_default().to_vec();
                    self.partial = Some(Box::new(Partial { progress, args }));
                }
                args.truncate(before);
                Ok(Parsed::Incomplete { needed })
            }
            Err(error) => {
                args.truncate(before);
                Err(error)
            }
        }
    }

    /// Whether the parser remembers a half-received request.
    #[must_use]
    pub fn is_mid_request(&self) -> bool {
        self.partial.is_some()
    }

    #[cold]
    fn resume(
        &mut self,
        input: &[u8],
        args: &mut Vec<ArgRange>,
        limits: &RequestLimits,
    ) -> Result<Parsed, ProtocolError> {
        let Some(mut partial) = self.partial.take() else {
            return Ok(Parsed::Incomplete { needed: 1 });
        };
        if input.first() != Some(&b'*') {
            self.partial = Some(partial);
            return self.parse_inline(input, args, limits);
        }
        let outcome = partial.progress.advance(input, &mut partial.args, limits)?;
        match outcome {
            None => {
                args.extend_from_slice(&partial.args);
                Ok(Parsed::Complete {
                    consumed: partial.progress.position,
                })
            }
            Some(needed) => {
                self.partial = Some(partial);
                Ok(Parsed::Incomplete { needed })
            }
        }
    }

    fn parse_inline(
        &mut self,
        input: &[u8],
        args: &mut Vec<ArgRange>,
        limits: &RequestLimits,
    ) -> Result<Parsed, ProtocolError> {
        let partial = self.partial.take();
        let searched = partial.as_ref().map_or(0, |p| p.progress.searched);
        let unseen = input.get(searched..).unwrap_or_default();
        // A NUL hides the line end behind it: Redis searches a C string.
        let end = match memchr::memchr2(b'\n', 0, unseen) {
            Some(at) if unseen.get(at) == Some(&b'\n') => searched.saturating_add(at),
            found => {
                if input.len() > limits.max_inline {
                    return Err(ProtocolError::TooBigInline);
                }
                let searched = searched.saturating_add(found.unwrap_or(unseen.len()));
                if searched > RESCAN_LINE_BYTES_MAX {
                    let mut partial = partial.unwrap_or_else(|| {
                        Box::new(Partial {
                            progress: Progress::default(),
                            args: Vec::new(),
                        })
                    });
                    partial.progress.searched = searched;
                    self.partial = Some(partial);
                }
                return Ok(Parsed::Incomplete { needed: 1 });
            }
        };
        let line = input.get(..end).unwrap_or_default();
        let consumed = end.saturating_add(1);
        let before = args.len();
        if plain_words(line, args) {
            return Ok(if args.len() == before {
                Parsed::Complete { consumed }
            } else {
                Parsed::Words { consumed }
            });
        }
        args.truncate(before);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let words = split_args(line)?;
        if words.is_empty() {
            return Ok(Parsed::Complete { consumed });
        }
        let (request, ranges) = multibulk(words.iter().map(Vec::as_slice));
        args.extend_from_slice(&ranges);
        Ok(Parsed::Inline { consumed, request })
    }
}

impl Progress {
    /// Goes on as far as `input` allows. `None` when the request is complete, with `position`
    /// at its end; else how many more bytes are needed at least.
    #[inline]
    fn advance(
        &mut self,
        input: &[u8],
        args: &mut Vec<ArgRange>,
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let mut remaining = match self.remaining {
            Some(remaining) => remaining,
            None => match self.count_of_args(input, limits)? {
                Some(count) => count,
                None => return Ok(Some(1)),
            },
        };
        while remaining > 0 {
            self.remaining = Some(remaining);
            let Some((len, start)) = self.argument_header(input, limits)? else {
                return Ok(Some(1));
            };
            let end = start.saturating_add(len).saturating_add(2);
            if end > input.len() {
                return match u32::try_from(end) {
                    Ok(_) => Ok(Some(end.saturating_sub(input.len()))),
                    Err(_) => Err(ProtocolError::TooBigRequest),
                };
            }
            args.push(ArgRange::new(start, len).ok_or(ProtocolError::TooBigRequest)?);
            self.position = end;
            self.searched = 0;
            remaining = remaining.saturating_sub(1);
        }
        self.remaining = Some(0);
        Ok(None)
    }

    /// Reads `*N`; `Some(0)` for an empty or negative count, `None` if the line goes on.
    #[inline]
    fn count_of_args(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some((line, next)) = self.line(
            input,
            limits.max_inline,
            ProtocolError::TooBigMultibulkCount,
        )?
        else {
            return Ok(None);
        };
        self.position = next;
        let count = match line.get(1..).unwrap_or_default() {
            negative @ [b'-', ..] if super::parse_i64(negative).is_some() => 0,
            digits => parse_u64(digits)
                .and_then(|count| usize::try_from(count).ok())
                .ok_or(ProtocolError::InvalidMultibulkLength)?,
        };
        if count > limits.max_args {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if !limits.authenticated && count > RequestLimits::UNAUTHENTICATED_ARGS {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        Ok(Some(count))
    }

    /// Reads `$N`: the length of the next argument and where it begins.
    #[inline]
    fn argument_header(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some((line, next)) =
            self.line(input, limits.max_inline, ProtocolError::TooBigBulkCount)?
        else {
            return Ok(None);
        };
        let len = match line {
            [b'$', digits @ ..] => parse_u64(digits)
                .and_then(|len| usize::try_from(len).ok())
                .ok_or(ProtocolError::InvalidBulkLength)?,
            // An empty line begins with its CR.
            other => {
                let first = other.first().copied().unwrap_or(b'\r');
                return Err(ProtocolError::ExpectedDollar(first));
            }
        };
        if len > limits.max_bulk {
            return Err(ProtocolError::InvalidBulkLength);
        }
        if !limits.authenticated && len > RequestLimits::UNAUTHENTICATED_BULK {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        Ok(Some((len, next)))
    }

    /// The line at `position` and where the next begins. As in Redis the byte after CR may be
    /// anything but must be there, and a NUL hides the CR behind it.
    #[cold]
    fn line<'a>(
        &mut self,
        input: &'a [u8],
        max: usize,
        too_big: ProtocolError,
    ) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        let from_here = input.get(self.position..).unwrap_or_default();
        let unseen = from_here.get(self.searched..).unwrap_or_default();
        match memchr::memchr2(b'\r', 0, unseen) {
            Some(at) if unseen.get(at) == Some(&b'\r') => {
                let len = self.searched.saturating_add(at);
                if len.saturating_add(1) >= from_here.len() {
                    self.searched = len;
                    return Ok(None);
                }
                self.searched = 0;
                let line = from_here.get(..len).unwrap_or_default();
                let next = self.position.saturating_add(len).saturating_add(2);
                Ok(Some((line, next)))
            }
            found => {
                if from_here.len() > max {
                    return Err(too_big);
                }
                self.searched = self.searched.saturating_add(found.unwrap_or(unseen.len()));
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode_command;
    use super::*;
    use proptest::prelude::*;

    /// What a whole connection yields: the requests, then perhaps an error.
    type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

    /// Feeds `input` in pieces that end at `ends` (and at its end).
    fn feed(input: &[u8], ends: &[usize], limits: &RequestLimits) -> Outcome {
        let mut parser = RequestParser::default();
        let mut requests = Vec::new();
        let mut start = 0;
        for end in ends.iter().copied().chain([input.len()]) {
            loop {
                let mut args = Vec::new();
                let have = &input[start..end];
                match parser.parse(have, &mut args, limits) {
                    Ok(Parsed::Complete { consumed } | Parsed::Words { consumed }) => {
                        assert!(!parser.is_mid_request());
                        requests.push(args.iter().map(|a| a.of(have).to_vec()).collect());
                        start += consumed;
                    }
                    Ok(Parsed::Inline { consumed, request }) => {
                        assert!(!parser.is_mid_request());
                        requests.push(args.iter().map(|a| a.of(&request).to_vec()).collect());
                        start += consumed;
                    }
                    Ok(Parsed::Incomplete { needed }) => {
                        assert!(needed > 0 && args.is_empty());
                        break;
                    }
                    Err(error) => {
                        assert!(args.is_empty());
                        return (requests, Some(error));
                    }
                }
            }
        }
        (requests, None)
    }

    fn whole(input: &[u8]) -> Outcome {
        feed(input, &[], &RequestLimits::default())
    }

    const CASES: &[&[u8]] = &[
        b"*1\r\n$4\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"*-5\r\n*0\r\n*1\r\n$4\r\nPING\r\n",
        b"PING\r\n\r\n  \r\nECHO \"a\\x41\" 'b c'\nPING\r\n",
        b"*1\rX$4\rYPINGZZ*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$12\r\n\r\n*1\r\n$4\r\nPI\r\n",
        b"*x\r\n",
        b"*1\r\n:4\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n\xff\r\n",
        b"*1\r\n\r\n",
        b"PING 'x\r\n",
        b"GET a\x00b\r\n",
        b"*\x001\r\n",
    ];

    #[test]
    fn every_request_parses_alike_at_every_split_point() {
        for case in CASES {
            let expected = whole(case);
            for at in 0..=case.len() {
                let got = feed(case, &[at], &RequestLimits::default());
                assert_eq!(got, expected, "{} at {at}", case.escape_ascii());
            }
            let every: Vec<usize> = (0..=case.len()).collect();
            assert_eq!(feed(case, &every, &RequestLimits::default()), expected);
        }
    }

    #[test]
    fn faults_have_redis_s_texts() {
        // Each was sent to a redis-server 7.0.15.
        let long = |start: &str| [start.as_bytes(), &[b'1'; 70_000]].concat();
        let cases: &[(Vec<u8>, &str)] = &[
            (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
            (b"*\r\n".to_vec(), "invalid multibulk length"),
            (b"*01\r\n".to_vec(), "invalid multibulk length"),
            (b"*+1\r\n".to_vec(), "invalid multibulk length"),
            (b"*-x\r\n".to_vec(), "invalid multibulk length"),
            (b"*1\r\n:4\r\n".to_vec(), "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$04\r\nPING\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$\r\n".to_vec(), "invalid bulk length"),
            (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
            (long("*"), "too big mbulk count string"),
            (long("*1\r\n$"), "too big bulk count string"),
            (long("a"), "too big inline request"),
            (b"SET a '\r\n".to_vec(), "unbalanced quotes in request"),
        ];
        for (input, text) in cases {
            let (requests, error) = whole(input);
            assert!(requests.is_empty());
            let error = error.expect(text);
            assert_eq!(error.to_string(), format!("Protocol error: {text}"));
        }
        let (_, error) = whole(b"*1\r\n\xff\r\n");
        assert!(error.unwrap().text().ends_with(b"got '\xff'"));
    }

    #[test]
    fn negative_and_empty_requests_have_no_arguments() {
        let (requests, error) = whole(b"*-5\r\n*0\r\n\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(error, None);
        assert_eq!(requests, [vec![], vec![], vec![], vec![b"PING".to_vec()]]);
    }

    #[test]
    fn a_long_line_is_complete_up_to_its_limit() {
        let line = [&[b'a'; 65_536][..], b"\n"].concat();
        let (requests, error) = whole(&line);
        assert_eq!((requests[0][0].len(), error), (65_536, None));
        assert_eq!(whole(&line[..65_536]), (vec![], None));
        assert_eq!(
            whole(&[b'a'; 65_537]),
            (vec![], Some(ProtocolError::TooBigInline))
        );
    }

    #[test]
    fn an_unauthenticated_client_may_send_little() {
        let limits = RequestLimits {
            authenticated: false,
            ..RequestLimits::default()
        };
        assert_eq!(feed(b"*10\r\n", &[], &limits), (vec![], None));
        assert_eq!(
            feed(b"*11\r\n", &[], &limits),
            (vec![], Some(ProtocolError::UnauthenticatedMultibulkLength))
        );
        assert_eq!(feed(b"*1\r\n$16384\r\n", &[], &limits), (vec![], None));
        assert_eq!(
            feed(b"*1\r\n$16385\r\n", &[], &limits),
            (vec![], Some(ProtocolError::UnauthenticatedBulkLength))
        );
    }

    #[test]
    fn the_missing_length_of_a_bulk_is_told() {
        let mut args = Vec::new();
        let parsed = RequestParser::default().parse(
            b"*2\r\n$3\r\nGET\r\n$1000000\r\nabc",
            &mut args,
            &RequestLimits::default(),
        );
        assert_eq!(parsed, Ok(Parsed::Incomplete { needed: 999_999 }));
    }

    #[test]
    fn arguments_beyond_four_gibibytes_are_refused() {
        let limits = RequestLimits {
            max_bulk: usize::MAX,
            ..RequestLimits::default()
        };
        assert_eq!(
            feed(b"*1\r\n$4294967296\r\n", &[], &limits),
            (vec![], Some(ProtocolError::TooBigRequest))
        );
    }

    #[test]
    fn a_hundred_thousand_arguments_byte_by_byte_take_linear_time() {
        let mut input = b"*100000\r\n".to_vec();
        for _ in 0..100_000 {
            input.extend_from_slice(b"$1\r\na\r\n");
        }
        let mut parser = RequestParser::default();
        let mut args = Vec::new();
        for end in 1..input.len() {
            let parsed = parser.parse(&input[..end], &mut args, &RequestLimits::default());
            assert!(matches!(parsed, Ok(Parsed::Incomplete { .. })));
        }
        let parsed = parser.parse(&input, &mut args, &RequestLimits::default());
        assert_eq!(
            parsed,
            Ok(Parsed::Complete {
                consumed: input.len()
            })
        );
        assert_eq!(args.len(), 100_000);
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            proptest::collection::vec(any::<u8>(), 90..130),
        ];
        proptest::collection::vec(word, 0..40).prop_map(|words| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            encode_command(&mut out, &words);
            out
        })
    }

    proptest! {
        #[test]
        fn words_without_quotes_are_split_alike(
            line in proptest::collection::vec(
                proptest::sample::select(b"ab\\\"' \t\r\0\x0b\xff".to_vec()), 0..12)
        ) {
            let mut args = Vec::new();
            if plain_words(&line, &mut args) {
                let words: Vec<Vec<u8>> = args.iter().map(|arg| arg.of(&line).to_vec()).collect();
                prop_assert_eq!(Ok(words), split_args(&line));
            } else {
                prop_assert!(line.iter().any(|byte| b"\"'\0\x0b".contains(byte)));
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_parse_as_the_whole(
            requests in proptest::collection::vec(request(), 1..6),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let input = requests.concat();
            let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(input.len() + 1)).collect();
            ends.sort_unstable();
            let limits = RequestLimits::default();
            let (parsed, error) = feed(&input, &ends, &limits);
            prop_assert_eq!(error, None);
            prop_assert_eq!(parsed.len(), requests.len());
            for (args, bytes) in parsed.iter().zip(&requests) {
                let (again, ranges) = multibulk(args.iter().map(Vec::as_slice));
                prop_assert_eq!(&again, bytes);
                let found: Vec<&[u8]> = ranges.iter().map(|range| range.of(&again)).collect();
                prop_assert_eq!(&found, args);
            }
        }

        #[test]
        fn rubbish_parses_alike_whole_and_in_pieces(
            input in proptest::collection::vec(prop_oneof![
                Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'),
                Just(b'"'), Just(b' '), any::<u8>(),
            ], 0..300),
        ) {
            let every: Vec<usize> = (0..=input.len()).collect();
            let limits = RequestLimits::default();
            prop_assert_eq!(feed(&input, &every, &limits), feed(&input, &[], &limits));
        }
    }
}
