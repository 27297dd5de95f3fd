//! An address as the bus carries it: text in a field of 46 bytes.

use super::DecodeError;
use std::fmt;

/// An address in text, as the bus, nodes.conf and CLUSTER replies carry it: at most 45
/// characters, empty where it is not known.
///
/// Only letters, digits and `.:-_%[]` are let in: whatever a peer says here is printed in
/// nodes.conf and in replies, where a space or a newline would forge fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpText {
    len: u8,
    bytes: [u8; IpText::FIELD],
}

impl IpText {
    /// Bytes of the field, its closing NUL included.
    pub const FIELD: usize = 46;

    /// No address.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::FIELD],
    };

    /// `None` if `text` is too long or has other characters than an address has.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".:-_%[]".contains(&b);
        if text.len() >= Self::FIELD || !text.bytes().all(allowed) {
            return None;
        }
        let mut bytes = [0; Self::FIELD];
        bytes
            .iter_mut()
            .zip(text.bytes())
            .for_each(|(to, from)| *to = from);
        Some(Self {
            len: u8::try_from(text.len()).ok()?,
            bytes,
        })
    }

    pub(super) fn from_field(field: &[u8; Self::FIELD]) -> Result<Self, DecodeError> {
        let text = until_nul(field).ok_or(DecodeError::Text)?;
        std::str::from_utf8(text)
            .ok()
            .and_then(Self::new)
            .ok_or(DecodeError::Text)
    }

    pub(super) fn field(&self) -> &[u8; Self::FIELD] {
        &self.bytes
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Whether the address is not known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for IpText {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Display for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands before the first NUL; `None` if there is none.
pub(super) fn until_nul(field: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(0, field)?;
    field.get(..end)
}
