//! SCAN over the whole cluster: a cursor that carries the node.
//!
//! ```text
//! bit  63   53  52   51        42 41                0
//!      | zero | lap | node number | the node's cursor |
//! ```
//! Below 2^53, so that clients which keep numbers as doubles keep it whole. Primaries are visited
//! in the order of their numbers, which they keep as long as the proxy runs; a new primary has a
//! higher number than those before it, and is visited, too. Zero starts and ends, as in Redis.
//!
//! A key that moves from a primary not visited yet to one visited already would be missed. So if
//! any slot was on the move lately, the iteration makes a second lap: what was missed in the first
//! has its new place by then. Redis allows keys to be told twice.

/// Bits of a node's own cursor.
const POSITION_BITS: u32 = 42;
/// The bit that tells the second lap.
const LAP_BIT: u32 = 52;
/// Bits of a whole cursor.
const CURSOR_BITS: u32 = 53;
const POSITION_MAX: u64 = (1 << POSITION_BITS) - 1;
const NODE_MAX: u64 = (1 << (LAP_BIT - POSITION_BITS)) - 1;

/// Where an iteration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The node's number. The first one that exists at or after it is meant.
    pub node: u16,
    /// The node's own cursor.
    pub position: u64,
    /// Whether this is the second lap.
    pub is_second_lap: bool,
}

impl Cursor {
    /// Reads a cursor that was given out before. `None` if it never was.
    #[must_use]
    pub fn parse(raw: u64) -> Option<Self> {
        if raw >> CURSOR_BITS != 0 {
            return None;
        }
        Some(Self {
            node: u16::try_from((raw >> POSITION_BITS) & NODE_MAX).ok()?,
            position: raw & POSITION_MAX,
            is_second_lap: (raw >> LAP_BIT) & 1 == 1,
        })
    }

    /// The cursor as clients see it.
    #[must_use]
    pub fn raw(self) -> u64 {
        (u64::from(self.is_second_lap) << LAP_BIT)
            | ((u64::from(self.node) & NODE_MAX) << POSITION_BITS)
            | (self.position & POSITION_MAX)
    }

    /// What to tell the client when the node answered with its cursor at `position`, and `next`
    /// is where the iteration goes when that is zero. `None` if the position does not fit.
    #[must_use]
    pub fn advanced(self, position: u64, next: Option<Self>) -> Option<u64> {
        match (position, next) {
            (0, None) => Some(0),
            (0, Some(next)) => Some(next.raw()),
            (position, _) if position <= POSITION_MAX => Some(Self { position, ..self }.raw()),
            _ => None,
        }
    }

    /// Where the iteration goes after this node, if the node with the number `following` comes
    /// after it. `again` says whether a second lap is needed.
    #[must_use]
    pub fn next(self, following: Option<u16>, again: bool) -> Option<Self> {
        match following {
            Some(node) => Some(Self {
                node,
                position: 0,
                ..self
            }),
            None if again && !self.is_second_lap => Some(Self {
                node: 0,
                position: 0,
                is_second_lap: true,
            }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(node: u16, position: u64) -> Cursor {
        Cursor {
            node,
            position,
            is_second_lap: false,
        }
    }

    #[test]
    fn zero_starts_and_ends() {
        assert_eq!(Cursor::parse(0), Some(Cursor::default()));
        assert_eq!(at(7, 9).advanced(0, None), Some(0));
    }

    #[test]
    fn a_node_that_is_through_is_followed_by_the_next() {
        let cursor = at(0, 5);
        let next = cursor.advanced(0, cursor.next(Some(3), true)).unwrap();
        assert_eq!(Cursor::parse(next), Some(at(3, 0)));
        assert_ne!(next, 0);
    }

    #[test]
    fn a_second_lap_comes_only_once_and_only_when_needed() {
        let last = at(3, 5);
        assert_eq!(last.next(None, false), None);
        let lap = last.next(None, true).unwrap();
        let raw = last.advanced(0, Some(lap)).unwrap();
        assert!(raw != 0 && raw < 1 << 53);
        let lap = Cursor::parse(raw).unwrap();
        assert!(lap.is_second_lap && lap.node == 0 && lap.position == 0);
        let end = lap.next(Some(3), true).unwrap();
        assert_eq!(end.next(None, true), None);
    }

    #[test]
    fn what_was_never_given_out_is_refused() {
        assert_eq!(Cursor::parse(1 << 53), None);
        assert_eq!(Cursor::parse(u64::MAX), None);
        assert_eq!(Cursor::default().advanced(1 << 42, None), None);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_round_trip(
            node in 0u16..1024, position in 1u64..1 << 42, is_second_lap: bool,
        ) {
            let cursor = Cursor { node, position: 0, is_second_lap };
            let raw = cursor.advanced(position, None).unwrap();
            prop_assert!(raw < 1 << 53);
            prop_assert_eq!(Cursor::parse(raw), Some(Cursor { node, position, is_second_lap }));
        }
    }
}
