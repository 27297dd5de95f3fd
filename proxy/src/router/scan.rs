//! SCAN over the whole cluster: a cursor that carries all there is to know of the iteration.
//!
//! ```text
//! bit  63   53  52   51         44 43         34 33               0
//!      | zero | lap | fingerprint | node number | the node's cursor |
//! ```
//! Below 2^53, so that clients which keep numbers as doubles keep it whole. Zero starts and ends,
//! as in Redis. Primaries are visited in the order of their numbers, which every proxy derives
//! from their names, so that any proxy can go on where another stopped.
//!
//! A key that moves from a primary not visited yet to one visited already is missed, and so is
//! one of a primary that fails over in the middle. Therefore a lap around the primaries ends with
//! the question who owns what now, to each of them, and if the answers are not those that the
//! lap began with, or slots are on the move, there is another lap. A key that a lap misses has
//! moved in it, so the next one finds it, unless it moves again; then the answers differ again.
//! Redis allows keys to be told twice.

use slotilla_common::resp::{ReplyWriter, decode};

use super::gather::for_each_element;

/// Bits of a node's own cursor: our nodes need them all, a redis-server as many as its hash
/// table has.
const POSITION_BITS: u32 = 34;
/// The first bit of the fingerprint.
const FINGERPRINT_BIT: u32 = 44;
/// The bit that tells a later lap from the first.
const LAP_BIT: u32 = 52;
const POSITION_MAX: u64 = (1 << POSITION_BITS) - 1;
const NODE_MAX: u64 = (1 << (FINGERPRINT_BIT - POSITION_BITS)) - 1;
const FINGERPRINT_MAX: u64 = (1 << (LAP_BIT - FINGERPRINT_BIT)) - 1;

/// Where an iteration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The node's number. The first one that exists at or after it is meant.
    pub node: u16,
    /// The node's own cursor.
    pub position: u64,
    /// Of who owned what when the lap began.
    pub fingerprint: u8,
    /// Whether this is not the first lap.
    pub is_later_lap: bool,
}

impl Cursor {
    /// Reads a cursor that was given out before. Of one that never was, bits that mean nothing are
    /// passed over, as in Redis.
    #[must_use]
    pub fn parse(raw: u64) -> Self {
        let field = |bit: u32, max: u64| u16::try_from((raw >> bit) & max).unwrap_or_default();
        let [fingerprint, _] = field(FINGERPRINT_BIT, FINGERPRINT_MAX).to_le_bytes();
        Self {
            node: field(POSITION_BITS, NODE_MAX),
            position: raw & POSITION_MAX,
            fingerprint,
            is_later_lap: field(LAP_BIT, 1) == 1,
        }
    }

    /// The cursor as clients see it.
    #[must_use]
    pub fn raw(self) -> u64 {
        (u64::from(self.is_later_lap) << LAP_BIT)
            | (u64::from(self.fingerprint) << FINGERPRINT_BIT)
            | ((u64::from(self.node) & NODE_MAX) << POSITION_BITS)
            | (self.position & POSITION_MAX)
    }

    /// The cursor further on in the same node. `None` if the position does not fit.
    #[must_use]
    pub fn at(self, position: u64) -> Option<Self> {
        (position <= POSITION_MAX).then_some(Self { position, ..self })
    }

    /// The cursor at the beginning of a later node.
    #[must_use]
    pub fn on(self, node: u16) -> Self {
        Self {
            node,
            position: 0,
            ..self
        }
    }

    /// What comes after a lap, if the nodes' answers to who owns what have this fingerprint.
    /// `is_as_known`: they are what the map says, so that no node was passed by. `is_calm`: no
    /// slot is on the move, or has been lately. `None` if the iteration is over.
    #[must_use]
    pub fn after_lap(self, fingerprint: u8, is_as_known: bool, is_calm: bool) -> Option<Self> {
        let is_same = is_as_known && fingerprint == self.fingerprint;
        // What was on the move in the first lap is where it was or has arrived in the second.
        let is_over = is_same && (is_calm || self.is_later_lap);
        (!is_over).then_some(Self {
            node: 0,
            position: 0,
            fingerprint,
            is_later_lap: true,
        })
    }
}

/// What a client hears when a node's cursor does not fit the cluster's.
pub const SCAN_TOO_FAR: &str = "ERR a node gave a SCAN cursor that is too big to be passed on";

/// A node's reply to SCAN: its cursor, and the array of keys as it came.
///
/// # Errors
/// The text for the client, if this is something else.
pub fn scanned(reply: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    const WRONG: &str = "ERR a node gave a reply to SCAN that cannot be understood";
    let mut elements = [&b""[..]; 2];
    let mut places = elements.iter_mut();
    let count = for_each_element(reply, |element| {
        if let Some(place) = places.next() {
            *place = element;
        }
    });
    let [position, keys] = elements;
    let position = decode(position).ok().flatten();
    let position = position.and_then(|(value, _)| value.as_integer());
    match (count, position.and_then(|p| u64::try_from(p).ok())) {
        (Some(2), Some(position)) => Ok((position, keys)),
        _ => Err(WRONG),
    }
}

/// A reply to SCAN.
pub fn write_scanned(out: &mut ReplyWriter<'_>, cursor: u64, keys: &[u8]) {
    out.array(2);
    out.bulk(cursor.to_string().as_bytes());
    out.raw(keys);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Cursor = Cursor {
        node: 3,
        position: 5,
        fingerprint: 7,
        is_later_lap: false,
    };

    #[test]
    fn zero_starts_and_a_cursor_that_goes_on_is_never_zero() {
        assert_eq!(Cursor::parse(0), Cursor::default());
        assert_ne!(Cursor::default().at(1).unwrap().raw(), 0);
        assert_ne!(Cursor::default().on(1).raw(), 0);
        assert_ne!(
            Cursor::default().after_lap(0, true, false).unwrap().raw(),
            0
        );
    }

    #[test]
    fn laps_follow_until_nothing_has_changed_during_one() {
        assert_eq!(FIRST.after_lap(7, true, true), None);
        let second = FIRST.after_lap(7, true, false).unwrap();
        assert_eq!((second.node, second.position), (0, 0));
        assert!(second.is_later_lap && second.fingerprint == 7);
        assert_eq!(FIRST.after_lap(8, true, true).unwrap().fingerprint, 8);
        // What stays open for ever does not keep an iteration going for ever.
        assert_eq!(second.after_lap(7, true, false), None);
        let third = second.after_lap(9, true, true).unwrap();
        assert!(third.is_later_lap && third.fingerprint == 9);
        assert_eq!(third.after_lap(9, true, true), None);
        assert!(third.after_lap(9, false, true).is_some());
    }

    #[test]
    fn bits_that_no_cursor_has_mean_nothing_and_no_position_is_cut() {
        assert_eq!(Cursor::parse(1 << 53), Cursor::default());
        assert_eq!(Cursor::parse(u64::MAX), Cursor::parse((1 << 53) - 1));
        assert_eq!(Cursor::default().at(1 << 34), None);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_round_trip(
            node in 0u16..1024, position in 0u64..1 << 34, fingerprint: u8, is_later_lap: bool,
        ) {
            let cursor = Cursor { node, position, fingerprint, is_later_lap };
            prop_assert!(cursor.raw() < 1 << 53);
            prop_assert_eq!(Cursor::parse(cursor.raw()), cursor);
        }
    }
}
