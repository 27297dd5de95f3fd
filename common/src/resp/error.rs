//! What can be wrong with bytes from the other side.

use std::fmt;

/// A request that cannot be parsed. The client is told so and its connection closed, since
/// there is no telling where the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number after `*` is not one, or beyond the limit.
    InvalidMultibulkLength,
    /// The number after `$` is not one, negative, or beyond the limit.
    InvalidBulkLength,
    /// An argument did not begin with `$` but with this byte.
    ExpectedDollar(u8),
    /// No end of line within 64 KiB after `*`.
    TooBigMultibulkCount,
    /// No end of line within 64 KiB after `$`.
    TooBigBulkCount,
    /// No end of line within 64 KiB of an inline request.
    TooBigInline,
    /// An inline request with a quote that does not end, or ends inside a word.
    UnbalancedQuotes,
    /// More arguments than a client may send before AUTH.
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before AUTH.
    UnauthenticatedBulkLength,
    /// The request as a whole is longer than 4 GiB, which no limit of a server allows.
    TooBigRequest,
}

impl ProtocolError {
    /// The text of the error reply after `ERR `, as raw bytes: it may quote a byte that is
    /// not UTF-8.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let text: &[u8] = match self {
            Self::InvalidMultibulkLength => b"invalid multibulk length",
            Self::InvalidBulkLength => b"invalid bulk length",
            Self::ExpectedDollar(byte) => {
                let mut text = b"Protocol error: expected '$', got '".to_vec();
                text.extend_from_slice(&[*byte, b'\'']);
                return text;
            }
            Self::TooBigMultibulkCount => b"too big mbulk count string",
            Self::TooBigBulkCount => b"too big bulk count string",
            Self::TooBigInline => b"too big inline request",
            Self::UnbalancedQuotes => b"unbalanced quotes in request",
            Self::UnauthenticatedMultibulkLength => b"unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => b"unauthenticated bulk length",
            Self::TooBigRequest => b"too big request",
        };
        [b"Protocol error: ", text].concat()
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for ProtocolError {}

/// A reply that cannot be understood. The stream cannot be resynchronised: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A frame began with a byte that is no type.
    #[error("a reply began with byte {0:#04x}, which is no RESP type")]
    UnknownType(u8),
    /// A length or number was malformed.
    #[error("a reply carried a malformed length or number")]
    InvalidNumber,
    /// A line that ought to be short had no end within 64 KiB, or a bulk was beyond the limit.
    #[error("a reply was longer than allowed")]
    TooLong,
    /// Aggregates nested more deeply than allowed.
    #[error("a reply was nested too deeply")]
    TooDeep,
    /// A bulk was not followed by CR LF.
    #[error("a bulk in a reply did not end with CR LF")]
    MissingLineEnd,
}
