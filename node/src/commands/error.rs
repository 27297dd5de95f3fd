//! The errors a client can see. Texts that several commands share stand here; what only one of
//! them says stands beside it, as [`CommandError::Text`].

use std::borrow::Cow;
use std::fmt;

use slotilla_common::slot::Slot;

use crate::store::Need;

/// Why a command failed. [`CommandError::bytes`] gives Redis 7.0.15's text; [`fmt::Display`] shows it
/// to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// An option is unknown, misplaced or twice there.
    Syntax,
    /// An argument or a stored value is no 64-bit signed integer.
    NotInteger,
    /// An argument is no integer where Redis says so without "out of range".
    NotIntegerPlain,
    /// An argument or a stored value is no number.
    NotFloat,
    /// A sum is NaN or infinite.
    NanOrInfinity,
    /// An INCR or DECR would leave the range of 64 bits.
    WouldOverflow,
    /// DECRBY by the smallest integer.
    DecrementWouldOverflow,
    /// The key is not there, and must be.
    NoSuchKey,
    /// A number is outside what the command allows.
    IndexOutOfRange,
    /// An argument that must not be negative is, or is too big.
    ValueOutOfRange,
    /// A positive number was needed.
    NotPositive,
    /// An offset below zero or too far.
    OffsetOutOfRange,
    /// A string would grow beyond `proto-max-bulk-len`.
    StringTooLong,
    /// Zero, negative or overflowing expiry in this command.
    InvalidExpire(&'static str),
    /// The number of arguments is wrong for this command (by its full name).
    WrongArity(&'static str),
    /// A SCAN cursor that is no number.
    InvalidCursor,
    /// SELECT, MOVE or COPY with a database that does not exist.
    DbOutOfRange,
    /// A database number that is no number.
    InvalidDb,
    /// SELECT of another database than 0 in a cluster.
    SelectInCluster,
    /// Source and destination are the same.
    SameObject,
    /// `requirepass` is set and the client has not given it.
    NoAuth,
    /// Wrong user name or password.
    WrongPass,
    /// AUTH without a password being set.
    AuthWithoutPassword,
    /// Keys of several slots in one command.
    CrossSlot,
    /// Whole-text redirections and cluster errors: MOVED, ASK, CLUSTERDOWN, TRYAGAIN.
    Redirect(String),
    /// More memory is used than `maxmemory` allows.
    OutOfMemory,
    /// A slot is out, or kept for others: it has not run, and does when its turn comes. No client
    /// sees this.
    Busy(Box<Need>),
    /// It would take long: it is to come again on a thread of its own. No client sees this.
    TakesLong,
    /// A text of its own, with its code in front (`ERR …`).
    Text(Cow<'static, str>),
    /// Such a text that quotes what a client has sent, which may be any bytes.
    Quote(Box<[u8]>),
}

impl CommandError {
    /// `ERR ` and `text`.
    #[must_use]
    pub fn err(text: impl fmt::Display) -> Self {
        Self::Text(Cow::Owned(format!("ERR {text}")))
    }

    /// A fixed text, its code in front.
    #[must_use]
    pub const fn fixed(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A slot is out that the command has met.
    #[must_use]
    pub fn out(slot: Slot) -> Self {
        Self::Busy(Box::new(Need::slots(&[slot])))
    }

    /// A container's answer to a subcommand that it does not know.
    #[must_use]
    pub fn unknown_subcommand(given: &[u8], container: &str) -> Self {
        let given = given.get(..128).unwrap_or(given);
        let hint = format!("'. Try {} HELP.", container.to_ascii_uppercase());
        Self::quoting("unknown subcommand '", given, &hint)
    }

    /// `ERR ` and a text that quotes what a client has sent, as far as [`quoted`].
    #[must_use]
    pub fn quoting(before: &str, given: &[u8], after: &str) -> Self {
        let parts = [b"ERR ", before.as_bytes(), quoted(given), after.as_bytes()];
        Self::Quote(parts.concat().into())
    }

    /// What a client is told, without the leading `-`.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Quote(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }
}

/// What Redis quotes of what a client has sent: it prints C strings, which end at a NUL.
#[must_use]
pub fn quoted(given: &[u8]) -> &[u8] {
    given.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl From<Box<Need>> for CommandError {
    fn from(need: Box<Need>) -> Self {
        Self::Busy(need)
    }
}

impl From<&'static str> for CommandError {
    fn from(text: &'static str) -> Self {
        Self::fixed(text)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotIntegerPlain => "ERR value is not an integer",
            Self::NotFloat => "ERR value is not a valid float",
            Self::NanOrInfinity => "ERR increment would produce NaN or Infinity",
            Self::WouldOverflow => "ERR increment or decrement would overflow",
            Self::DecrementWouldOverflow => "ERR decrement would overflow",
            Self::NoSuchKey => "ERR no such key",
            Self::IndexOutOfRange => "ERR index out of range",
            Self::ValueOutOfRange => "ERR value is out of range",
            Self::NotPositive => "ERR value is out of range, must be positive",
            Self::OffsetOutOfRange => "ERR offset is out of range",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::InvalidCursor => "ERR invalid cursor",
            Self::DbOutOfRange => "ERR DB index is out of range",
            Self::InvalidDb => "ERR invalid DB index",
            Self::SelectInCluster => "ERR SELECT is not allowed in cluster mode",
            Self::SameObject => "ERR source and destination objects are the same",
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::AuthWithoutPassword => {
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?"
            }
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::InvalidExpire(command) => {
                return write!(f, "ERR invalid expire time in '{command}' command");
            }
            Self::WrongArity(command) => {
                return write!(f, "ERR wrong number of arguments for '{command}' command");
            }
            Self::Redirect(text) => text,
            Self::Busy(_) | Self::TakesLong => "TRYAGAIN The slot is in use",
            Self::Text(text) => text,
            Self::Quote(text) => return f.write_str(&String::from_utf8_lossy(text)),
        };
        f.write_str(fixed)
    }
}

impl std::error::Error for CommandError {}

impl From<crate::store::WrongType> for CommandError {
    fn from(_: crate::store::WrongType) -> Self {
        Self::WrongType
    }
}
