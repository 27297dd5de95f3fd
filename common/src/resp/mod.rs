//! RESP2 and RESP3: requests, replies and the values in them.
//!
//! Everything here is a state machine over byte slices: no socket, no clock. Two levels are
//! offered in both directions. Who forwards needs only boundaries: [`RequestParser`] says where
//! each argument of a request lies, [`FrameScanner`] where a reply ends. Who interprets decodes
//! a [`Value`] and writes with [`ReplyWriter`].
//!
//! Limits, quoting and error texts are those of redis-server 7.0.15, found by asking one.
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod error;
mod frame;
mod inline;
mod limits;
mod number;
mod request;
mod scan;
mod short;
mod value;
mod write;

pub use error::{DecodeError, ProtocolError};
pub use frame::as_encoded;
pub use inline::{multibulk, split_args};
pub use limits::RequestLimits;
pub use number::{append_i64, append_u64, format_double, parse_i64, parse_u64};
pub use request::{ArgRange, Parsed, RequestParser};
pub use scan::{FrameScanner, ReplyKind, Scan};
pub use value::{Value, decode};
pub use write::{ReplyWriter, encode_command, encode_words};

/// Which version of the protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// What a connection starts with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

impl Protocol {
    /// The number that HELLO takes and tells.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}
