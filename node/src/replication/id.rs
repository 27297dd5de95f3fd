//! Names of histories of data.

use std::fmt;

/// The name of a history: 40 hexadecimal digits. Nodes whose data has the same history, at the same
/// offset, have the same data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplId([u8; ReplId::LEN]);

impl ReplId {
    /// Characters in a name.
    pub const LEN: usize = 40;

    /// The name of none.
    pub const NONE: Self = Self([b'0'; Self::LEN]);

    /// A new history's.
    #[must_use]
    pub fn random() -> Self {
        let mut digits = [0; Self::LEN];
        for digit in &mut digits {
            *digit = *fastrand::choice(b"0123456789abcdef").unwrap_or(&b'0');
        }
        Self(digits)
    }

    /// The only way in from outside: exactly so many digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; Self::LEN] = text.try_into().ok()?;
        let is_name = digits.iter().all(u8::is_ascii_hexdigit);
        is_name.then_some(Self(digits))
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_hexadecimal_digits_are_a_name_and_nothing_else() {
        let id = ReplId::random();
        assert_eq!(ReplId::parse(id.as_str().as_bytes()), Some(id));
        assert_ne!(id, ReplId::random());
        let text = ReplId::NONE.to_string();
        for bad in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replacen('0', "g", 1),
        ] {
            assert_eq!(ReplId::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
