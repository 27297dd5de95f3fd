//! Putting many entries in that come from elsewhere: what a snapshot has.
//!
//! They go in by the batch, so that the memory of one is fetched while another goes in. Nobody is
//! told: it is no change, but what was there before the first command.

use slotilla_common::slot::Slot;

use super::access::AccessClock;
use super::entry::Entry;
use super::snapshot::Fate;
use super::{Scope, Store};

/// So many entries go in at once.
const BATCH: usize = 32;

/// A key was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its database.
    pub db: u16,
    /// The key.
    pub key: Vec<u8>,
}

/// Entries on their way into a store.
pub struct Feed<'s> {
    store: &'s Store,
    clock: AccessClock,
    replaces: bool,
    batch: Vec<Arrival>,
}

/// An entry, and where it belongs.
struct Arrival {
    db: u16,
    slot: Slot,
    hash: u64,
    entry: Entry,
}

impl<'s> Feed<'s> {
    /// A way into `store`. An entry whose key is there takes its place if it `replaces`, or else
    /// is an error.
    #[must_use]
    pub fn new(store: &'s Store, scope: Scope, replaces: bool) -> Self {
        Self {
            store,
            clock: AccessClock::new(store.settings(), scope.now_ms),
            replaces,
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// The access word of an entry that was last used so long ago, or is used so often; see
    /// [`super::Db::access_of`].
    #[must_use]
    pub fn access_of(&self, idle_ms: Option<i64>, frequency: Option<u8>) -> u32 {
        self.clock.word_of(idle_ms, frequency)
    }

    /// Takes an entry, which is in the store after the next [`flush`](Self::flush); whether it is
    /// time for that.
    pub fn push(&mut self, db: u16, entry: Entry) -> bool {
        let slot = Slot::of_key(entry.key());
        let hash = self.store.key_hash(entry.key());
        self.store.prefetch_slot(slot);
        self.batch.push(Arrival {
            db,
            slot,
            hash,
            entry,
        });
        self.batch.len() >= BATCH
    }

    /// Puts in what was taken. The caller has a seat at the gate, or the gate is its own.
    ///
    /// # Errors
    /// A key that was there. Those after it are dropped.
    pub fn flush(&mut self) -> Result<(), Duplicate> {
        for Arrival { db, slot, hash, .. } in &self.batch {
            if *db == 0 {
                self.store.prefetch_bucket(*slot, *hash);
            }
        }
        self.batch.drain(..).try_for_each(|arrival| {
            let Arrival {
                db,
                slot,
                hash,
                entry,
            } = arrival;
            let mut guard = self.store.lock(slot);
            if let Some(place) = guard.find(db, hash, entry.key()) {
                if !self.replaces {
                    let key = entry.key().to_vec();
                    return Err(Duplicate { db, key });
                }
                if let Some(old) = guard.remove(db, place, Fate::Dropped) {
                    self.store.lazy_free.entry(old);
                }
            }
            guard.insert(db, hash, entry);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::routing::Serving;
    use crate::store::{Db, NewValue, ValueRef};

    fn entry(key: &str, value: i64, expiry: Option<i64>) -> Entry {
        Entry::new(key.as_bytes(), NewValue::Int(value), expiry, 0)
    }

    fn value(store: &Store, db: u16, key: &str) -> Option<i64> {
        let scope = Scope {
            db,
            ..Scope::default()
        };
        let guard = store.lock(Slot::of_key(key.as_bytes()));
        let mut db = Db::one(guard, scope);
        match db.peek(key.as_bytes())?.value() {
            ValueRef::Int(number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn entries_are_there_once_they_are_flushed() {
        let store = Store::new(3, Serving::Ours);
        let mut feed = Feed::new(&store, Scope::default(), false);
        for n in 0..100 {
            let expiry = (n % 2 == 0).then_some(i64::MAX);
            if feed.push(n % 3, entry(&format!("k{n}"), i64::from(n), expiry)) {
                feed.flush().unwrap();
            }
        }
        feed.flush().unwrap();
        for n in 0..100 {
            let found = value(&store, n % 3, &format!("k{n}"));
            assert_eq!(found, Some(i64::from(n)));
        }
        let totals = [0, 1, 2].map(|db| store.totals(db, 0));
        assert_eq!(totals.map(|totals| totals.keys), [34, 33, 33]);
        let expiring: u64 = totals.iter().map(|totals| totals.expires).sum();
        assert_eq!(expiring, 50);
        assert_eq!(store.counters().changes, 0, "it is no change");
    }

    #[test]
    fn a_key_that_is_there_is_an_error_or_replaced() {
        let store = Store::new(2, Serving::Ours);
        let mut feed = Feed::new(&store, Scope::default(), false);
        for (db, key) in [(0, "a"), (1, "a"), (0, "a"), (0, "b")] {
            feed.push(db, entry(key, 1, None));
        }
        let key = b"a".to_vec();
        assert_eq!(feed.flush(), Err(Duplicate { db: 0, key }));
        assert_eq!((store.len(0), store.len(1)), (1, 1));
        let mut feed = Feed::new(&store, Scope::default(), true);
        feed.push(0, entry("a", 2, Some(i64::MAX)));
        feed.flush().unwrap();
        assert_eq!((value(&store, 0, "a"), store.len(0)), (Some(2), 1));
        assert_eq!(value(&store, 1, "a"), Some(1));
    }
}
