//! SCAN over the whole cluster: a cursor that carries the node.
//!
//! ```text
//! bit  63   53 52        42 41                0
//!      | zero | node number | the node's cursor |
//! ```
//! Below 2^53, so that clients which keep numbers as doubles keep it whole. Primaries are visited
//! in the order of their numbers, which they keep as long as the proxy runs; a new primary has a
//! higher number than those before it, and is visited, too. Zero starts and ends, as in Redis.

/// Bits of a node's own cursor.
const POSITION_BITS: u32 = 42;
/// Bits of a whole cursor.
const CURSOR_BITS: u32 = 53;
const POSITION_MAX: u64 = (1 << POSITION_BITS) - 1;

/// Where an iteration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The node's number. The first one that exists at or after it is meant.
    pub node: u16,
    /// The node's own cursor.
    pub position: u64,
}

impl Cursor {
    /// Reads a cursor that was given out before. `None` if it never was.
    #[must_use]
    pub fn parse(raw: u64) -> Option<Self> {
        if raw >> CURSOR_BITS != 0 {
            return None;
        }
        Some(Self {
            node: u16::try_from(raw >> POSITION_BITS).ok()?,
            position: raw & POSITION_MAX,
        })
    }

    /// The cursor as clients see it.
    #[must_use]
    pub fn raw(self) -> u64 {
        (u64::from(self.node) << POSITION_BITS) | (self.position & POSITION_MAX)
    }

    /// What to tell the client when the node answered with its cursor at `position`, and `next`
    /// is the number of the node after it. `None` if the position does not fit.
    #[must_use]
    pub fn advanced(self, position: u64, next: Option<u16>) -> Option<u64> {
        match (position, next) {
            (0, None) => Some(0),
            (0, Some(next)) => Some(
                Self {
                    node: next,
                    position: 0,
                }
                .raw(),
            ),
            (position, _) if position <= POSITION_MAX => Some(Self { position, ..self }.raw()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_starts_and_ends() {
        assert_eq!(Cursor::parse(0), Some(Cursor::default()));
        let last = Cursor {
            node: 7,
            position: 9,
        };
        assert_eq!(last.advanced(0, None), Some(0));
    }

    #[test]
    fn a_node_that_is_through_is_followed_by_the_next() {
        let cursor = Cursor {
            node: 0,
            position: 5,
        };
        let next = cursor.advanced(0, Some(3)).unwrap();
        assert_eq!(
            Cursor::parse(next),
            Some(Cursor {
                node: 3,
                position: 0
            })
        );
        assert_ne!(next, 0);
    }

    #[test]
    fn what_was_never_given_out_is_refused() {
        assert_eq!(Cursor::parse(1 << 53), None);
        assert_eq!(Cursor::parse(u64::MAX), None);
        assert_eq!(Cursor::default().advanced(1 << 42, None), None);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_round_trip(node in 0u16..2048, position in 1u64..1 << 42) {
            let cursor = Cursor { node, position: 0 };
            let raw = cursor.advanced(position, Some(1)).unwrap();
            prop_assert!(raw < 1 << 53);
            prop_assert_eq!(Cursor::parse(raw), Some(Cursor { node, position }));
        }
    }
}
