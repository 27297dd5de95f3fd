//! Where a log ends, and which database is selected there: one word, so that both change at once.
//!
//! ```text
//! 63                              5 4 3     0
//! ├──────────── offset ────────────┤ │ ├ db ┤
//!                                    └ the next command is to select its database anyway
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use slotilla_common::resp::encode_command;
use smallvec::SmallVec;

use crate::store::Digits;

/// The last database that a log can have selected between two appends: who changes one behind it
/// selects database 0 when it has done so.
pub(super) const DB_MAX: u16 = 15;
/// No log is longer: a gigabyte a second takes 18 years to get there.
pub const OFFSET_MAX: u64 = u64::MAX >> OFFSET_SHIFT;

const OFFSET_SHIFT: u32 = 5;
const SELECT_ANYWAY: u64 = 1 << 4;
const DB_MASK: u64 = SELECT_ANYWAY - 1;

/// A SELECT, as it goes into the log.
pub(super) type Select = SmallVec<[u8; 32]>;

/// The end of a log.
#[derive(Debug)]
pub(super) struct Tail(AtomicU64);

impl Tail {
    /// At this offset; the next command selects its database.
    pub(super) fn new(offset: u64) -> Self {
        Self(AtomicU64::new(offset << OFFSET_SHIFT | SELECT_ANYWAY))
    }

    /// Goes on at another offset, where database 0 is selected, and the next command selects its own.
    pub(super) fn restart(&self, offset: u64) {
        let value = offset << OFFSET_SHIFT | SELECT_ANYWAY;
        self.0.store(value, Ordering::SeqCst);
    }

    pub(super) fn offset(&self) -> u64 {
        self.0.load(Ordering::SeqCst) >> OFFSET_SHIFT
    }

    /// The database that is selected.
    pub(super) fn db(&self) -> u16 {
        // Four bits.
        (self.0.load(Ordering::Acquire) & DB_MASK) as u16
    }

    /// Who reads from here on does not know what is selected. While nobody appends.
    pub(super) fn select_anyway(&self) {
        self.0.fetch_or(SELECT_ANYWAY, Ordering::SeqCst);
    }

    /// Another has selected this database, at most [`DB_MAX`]. While nobody appends.
    pub(super) fn note_selected(&self, db: u16) {
        let offset = self.offset() << OFFSET_SHIFT;
        let db = u64::from(db) & DB_MASK;
        self.0.store(offset | SELECT_ANYWAY | db, Ordering::SeqCst);
    }

    /// Takes the place of so many bytes that are in no database, or in whichever is selected.
    pub(super) fn reserve_bytes(&self, bytes: usize) -> u64 {
        let added = (bytes as u64) << OFFSET_SHIFT;
        self.0.fetch_add(added, Ordering::SeqCst) >> OFFSET_SHIFT
    }

    /// Takes the place of bytes that begin in database `first` and end in `last`, with a SELECT before
    /// them if another one is selected.
    pub(super) fn reserve(&self, bytes: usize, first: u16, last: u16) -> (u64, Option<Select>) {
        let mut select = None;
        let mut tail = self.0.load(Ordering::Relaxed);
        loop {
            let selects = tail & (SELECT_ANYWAY | DB_MASK) != u64::from(first);
            let before = if selects {
                select.get_or_insert_with(|| select_of(first)).len()
            } else {
                0
            };
            let end = (tail >> OFFSET_SHIFT).wrapping_add(before.saturating_add(bytes) as u64);
            let next = end << OFFSET_SHIFT | u64::from(last) & DB_MASK;
            match self
                .0
                .compare_exchange_weak(tail, next, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return (tail >> OFFSET_SHIFT, select.filter(|_| selects)),
                Err(now) => tail = now,
            }
        }
    }
}

fn select_of(db: u16) -> Select {
    let mut out = Vec::with_capacity(32);
    let mut digits = Digits::default();
    encode_command(&mut out, &[b"SELECT", digits.of(i64::from(db))]);
    Select::from_slice(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_selected_once_and_whenever_that_is_unknown() {
        let tail = Tail::new(100);
        let select = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
        let (at, before) = tail.reserve(10, 0, 0);
        assert_eq!((at, before.unwrap().as_slice()), (100, &select[..]));
        assert_eq!(tail.reserve(10, 0, 9), (133, None));
        assert_eq!((tail.offset(), tail.db()), (143, 9));
        assert_eq!(tail.reserve_bytes(5), 143);
        assert_eq!(tail.reserve(10, 9, 9), (148, None));
        tail.select_anyway();
        assert_eq!(tail.db(), 9);
        let (at, before) = tail.reserve(10, 9, 9);
        assert_eq!((at, before.is_some()), (158, true));
        // One behind the last is never the one that is selected.
        let (_, before) = tail.reserve(10, 300, 0);
        assert_eq!(
            before.unwrap().as_slice(),
            b"*2\r\n$6\r\nSELECT\r\n$3\r\n300\r\n"
        );
        assert_eq!(tail.db(), 0);
        tail.note_selected(3);
        assert_eq!(tail.db(), 3);
        assert!(tail.reserve(1, 3, 3).1.is_some());
        tail.restart(OFFSET_MAX - 100);
        assert_eq!((tail.offset(), tail.db()), (OFFSET_MAX - 100, 0));
    }
}
