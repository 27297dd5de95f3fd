//! Replies in the client's protocol, and commands to a server.

use super::Protocol;
use super::number::{append_line, format_double};

/// Appends replies to a buffer, in RESP2 or RESP3.
///
/// RESP2 has no maps, sets, doubles and so on: there they become what Redis sends instead.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    /// Where replies are appended.
    pub out: &'a mut Vec<u8>,
    /// What the client speaks.
    pub protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status. `text` must hold no line end.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.line_end();
    }

    /// An error: `text` begins with its code (`ERR`, `WRONGTYPE`, …).
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// As [`Self::error`], for texts that quote what a client sent. CR and LF become spaces.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.out.push(b'-');
        self.out.extend(text.iter().map(|byte| match byte {
            b'\r' | b'\n' => b' ',
            other => *other,
        }));
        self.line_end();
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        append_line(self.out, b':', number);
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        append_bulk(self.out, bytes);
    }

    /// The absent string.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absent array.
    #[inline]
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// An array; `len` replies must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.aggregate(b'*', len);
    }

    /// A map; `len` pairs of replies must follow. An array of twice the length in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.aggregate(b'*', len.saturating_mul(2)),
            Protocol::Resp3 => self.aggregate(b'%', len),
        }
    }

    /// A set; `len` replies must follow. An array in RESP2.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.aggregate(b'*', len),
            Protocol::Resp3 => self.aggregate(b'~', len),
        }
    }

    /// A message out of turn; `len` replies must follow. An array in RESP2.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.aggregate(b'*', len),
            Protocol::Resp3 => self.aggregate(b'>', len),
        }
    }

    /// Attributes of the reply that comes after; `len` pairs must follow. RESP2 has none:
    /// write them only if the client speaks RESP3.
    pub fn attribute(&mut self, len: usize) {
        self.aggregate(b'|', len);
    }

    /// A floating-point number, with 17 significant digits. A string in RESP2.
    pub fn double(&mut self, number: f64) {
        let mut text = Vec::with_capacity(24);
        format_double(&mut text, number);
        match self.protocol {
            Protocol::Resp2 => self.bulk(&text),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// A truth value. An integer in RESP2.
    pub fn boolean(&mut self, truth: bool) {
        match (self.protocol, truth) {
            (Protocol::Resp2, _) => self.integer(i64::from(truth)),
            (Protocol::Resp3, true) => self.out.extend_from_slice(b"#t\r\n"),
            (Protocol::Resp3, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    /// An integer of any size, given in decimal. A string in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// Text with a three-letter format (`txt`, `mkd`). A string without it in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.aggregate(b'=', text.len().saturating_add(4));
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.line_end();
            }
        }
    }

    /// Bytes that are a reply already.
    #[inline]
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    #[inline]
    fn aggregate(&mut self, kind: u8, len: usize) {
        append_header(self.out, kind, len);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.line_end();
    }

    #[inline]
    fn line_end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a command as an array of bulk strings, the form that servers expect.
pub fn encode_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    encode_words(out, args.iter().copied());
}

/// As [`encode_command`], of words that need not lie side by side.
#[inline]
pub fn encode_words<'w>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'w [u8]>) {
    append_header(out, b'*', args.len());
    for arg in args {
        append_bulk(out, arg);
    }
}

#[inline]
pub(super) fn append_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    // No length comes near 63 bits.
    append_line(out, kind, i64::try_from(len).unwrap_or(i64::MAX));
}

#[inline]
pub(super) fn append_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    // One growth check in place of five.
    out.reserve(bytes.len().saturating_add(26));
    append_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl Fn(&mut ReplyWriter<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut ReplyWriter::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    type Write = fn(&mut ReplyWriter<'_>);

    #[test]
    fn each_type_is_written_as_redis_writes_it() {
        // What DEBUG PROTOCOL of a redis-server 7.0.15 answers, where it has the type.
        let cases: &[(Write, &str, &str)] = &[
            (|w| w.ok(), "+OK\r\n", "+OK\r\n"),
            (|w| w.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
            (|w| w.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (|w| w.integer(-12345), ":-12345\r\n", ":-12345\r\n"),
            (|w| w.integer(0), ":0\r\n", ":0\r\n"),
            (
                |w| w.bulk(b"a\r\nb"),
                "$4\r\na\r\nb\r\n",
                "$4\r\na\r\nb\r\n",
            ),
            (|w| w.null(), "$-1\r\n", "_\r\n"),
            (|w| w.null_array(), "*-1\r\n", "_\r\n"),
            (|w| w.array(3), "*3\r\n", "*3\r\n"),
            (|w| w.map(3), "*6\r\n", "%3\r\n"),
            (|w| w.set(3), "*3\r\n", "~3\r\n"),
            (|w| w.push(2), "*2\r\n", ">2\r\n"),
            (|w| w.double(3.25), "$4\r\n3.25\r\n", ",3.25\r\n"),
            (|w| w.boolean(true), ":1\r\n", "#t\r\n"),
            (|w| w.boolean(false), ":0\r\n", "#f\r\n"),
            (
                |w| w.big_number(b"1234567999999999999999999999999999999"),
                "$37\r\n1234567999999999999999999999999999999\r\n",
                "(1234567999999999999999999999999999999\r\n",
            ),
            (
                |w| w.verbatim(b"txt", b"This is a verbatim\nstring"),
                "$25\r\nThis is a verbatim\nstring\r\n",
                "=29\r\ntxt:This is a verbatim\nstring\r\n",
            ),
        ];
        for (write, resp2, resp3) in cases {
            assert_eq!(written(Protocol::Resp2, write), *resp2);
            assert_eq!(written(Protocol::Resp3, write), *resp3);
        }
    }

    #[test]
    fn a_command_is_an_array_of_bulks() {
        let mut out = Vec::new();
        encode_command(&mut out, &[b"SET", b"", b"a\r\n"]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\na\r\n\r\n");
    }
}
