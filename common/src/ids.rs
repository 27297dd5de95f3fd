//! Names of nodes, as the bus, nodes.conf and CLUSTER replies carry them.

use std::fmt;

/// A node's name: 40 lowercase hexadecimal digits (160 random bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; NodeId::LEN]);

impl NodeId {
    /// Characters in a name.
    pub const LEN: usize = 40;

    /// The name of no node.
    pub const ZERO: Self = Self([b'0'; Self::LEN]);

    /// The only way in from outside: exactly 40 characters `0-9a-f`.
    ///
    /// `None` for anything else; Redis compares names byte by byte and never folds case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.try_into().ok()?;
        bytes
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            .then_some(Self(bytes))
    }

    /// A name from 20 random bytes.
    #[must_use]
    pub fn from_random(random: [u8; Self::LEN / 2]) -> Self {
        let mut bytes = [b'0'; Self::LEN];
        for (pair, byte) in bytes.chunks_exact_mut(2).zip(random) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if nibble < 10 {
                    b'0' + nibble
                } else {
                    b'a' + nibble - 10
                };
            }
        }
        Self(bytes)
    }

    /// The 40 characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The 40 characters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_name_parses_back() {
        let id = NodeId::from_random(std::array::from_fn(|i| (i * 13) as u8));
        assert_eq!(NodeId::parse(id.as_bytes()), Some(id));
        assert!(id.as_str().starts_with("000d1a"));
    }

    #[test]
    fn only_forty_lowercase_hex_digits_are_a_name() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert!(NodeId::parse(good.as_bytes()).is_some());
        for bad in [
            &good[1..],
            "",
            &good.to_uppercase(),
            &good.replace('a', "g"),
            &format!("{good}0"),
        ] {
            assert!(NodeId::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
