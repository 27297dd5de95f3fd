//! Eviction: deletes keys to make room, by Redis's eight policies.
//!
//! Sampled, as in Redis: `maxmemory-samples` keys from random slots, each slot by its share of the
//! keys, go into a pool of the best victims seen; the best of the pool goes. Two differences: a
//! candidate that was used since it was sampled is let off, and an expired key that is met goes
//! first. No lock is held but the one of the slot looked into; slots that are out are passed by.

use std::cell::RefCell;
use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::slot::Slot;

use super::access::AccessClock;
use super::entry::Entry;
use super::observe::Change;
use super::settings::{Policy, add};
use super::snapshot::Fate;
use super::{Scope, Store};

/// Candidates kept from one eviction to the next.
const POOL_MAX: usize = 16;
/// Samples in a row without a victim after which there is none.
const TRIES_MAX: usize = 64;
/// After so many evictions the slots' shares are counted again.
const WEIGHTS_AGE_MAX: u32 = 4096;

/// What came of an attempt to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Memory is within the limit.
    Enough,
    /// Some was freed, and there is more to free: the time was up, or what could go is out.
    Partly,
    /// The policy allows no key to go.
    NoVictim,
}

/// What makes a key a victim.
trait Ranking {
    /// Whether only keys with an expiry may go.
    fn volatile_only(&self) -> bool;
    /// How good a victim the entry is; the highest goes first.
    fn score(&self, entry: &Entry, clock: AccessClock) -> u64;
}

/// Redis's policies.
impl Ranking for Policy {
    fn volatile_only(&self) -> bool {
        self.is_volatile()
    }

    fn score(&self, entry: &Entry, clock: AccessClock) -> u64 {
        match self {
            Self::AllKeysLru | Self::AllKeysLfu | Self::VolatileLru | Self::VolatileLfu => {
                clock.coldness(entry.access())
            }
            Self::VolatileTtl => {
                let expiry = entry.expiry().unwrap_or(i64::MAX);
                // The sooner, the higher; the sign bit makes the order an unsigned one.
                u64::MAX - (expiry.cast_unsigned() ^ 1 << 63)
            }
            Self::AllKeysRandom | Self::VolatileRandom | Self::NoEviction => 0,
        }
    }
}

/// Each slot's share of the keys that may go.
#[derive(Debug, Default)]
struct Weights {
    /// Slots that have any, with the sum of all before them and themselves.
    slots: Vec<(Slot, u64)>,
    /// A slot was out: it may have some, too.
    passed_by: bool,
}

impl Weights {
    /// Counts anew. Nothing is counted when only keys with an expiry are wanted, there were none,
    /// and none has come since: a full store of other keys refuses writes at no cost.
    fn count(store: &Store, volatile_only: bool, known_empty: bool) -> Self {
        let mut weights = Self::default();
        // One thread counts at a time, so that no other relies on a note that this one has taken
        // back for the moment.
        let _counting = store.counting.lock();
        if volatile_only {
            if known_empty && !store.due.is_noted() {
                return weights;
            }
            store.due.set_noted(false);
        }
        let (mut sum, mut from) = (0, 0);
        while let Some(slot) = store.occupied.next(from) {
            from = slot.index() + 1;
            let Some(guard) = store.try_lock(slot) else {
                weights.passed_by = true;
                continue;
            };
            let keys: u64 = guard
                .databases()
                .map(|db| match volatile_only {
                    true => u64::from(guard.expires(db)),
                    false => guard.keys(db) as u64,
                })
                .sum();
            if keys > 0 {
                sum += keys;
                weights.slots.push((slot, sum));
            }
        }
        if volatile_only && (weights.passed_by || !weights.slots.is_empty()) {
            store.due.set_noted(true);
        }
        weights
    }

    fn choose(&self, random: &mut fastrand::Rng) -> Option<Slot> {
        let (_, total) = self.slots.last()?;
        let point = random.u64(0..*total);
        let number = self.slots.partition_point(|(_, sum)| *sum <= point);
        self.slots.get(number).map(|(slot, _)| *slot)
    }
}

/// A key worth evicting, when it was sampled.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: u64,
    slot: Slot,
    db: u16,
    hash: u64,
}

/// What a thread keeps between evictions.
#[derive(Debug)]
struct Evictor {
    /// The address of the store that all this is about; a process has one, a test may have more.
    store: usize,
    /// By score, the best last.
    pool: Vec<Candidate>,
    policy: Policy,
    weights: Weights,
    /// Whether they were counted for this policy.
    counted: bool,
    age: u32,
    random: fastrand::Rng,
    clock: Monotonic,
}

thread_local! {
    static EVICTOR: RefCell<Evictor> = RefCell::new(Evictor {
        store: 0,
        pool: Vec::with_capacity(POOL_MAX + 1),
        policy: Policy::NoEviction,
        weights: Weights::default(),
        counted: false,
        age: WEIGHTS_AGE_MAX,
        random: fastrand::Rng::new(),
        clock: Monotonic::new(),
    });
}

impl Store {
    /// Deletes keys until `excess` says zero, the time is up, or there is no victim. `excess` is
    /// how many bytes too many are used; what waits for the freeing thread should not count. Must
    /// not be called with a slot locked.
    pub fn make_room(&self, scope: Scope, excess: impl Fn() -> usize) -> Room {
        if excess() == 0 {
            return Room::Enough;
        }
        if self.settings.policy() == Policy::NoEviction {
            return Room::NoVictim;
        }
        EVICTOR.with_borrow_mut(|evictor| evictor.make_room(self, scope, excess))
    }
}

/// How long one call may take, by `maxmemory-eviction-tenacity`: Redis's figures, 50 µs for each up
/// to 10, then 15 % more each, and no end at 100.
fn time_limit(tenacity: u32) -> Option<Duration> {
    match tenacity {
        0..=10 => Some(Duration::from_micros(50 * u64::from(tenacity))),
        11..=99 => Some(Duration::from_micros(500).mul_f64(1.15f64.powi(tenacity as i32 - 10))),
        _ => None,
    }
}

impl Evictor {
    fn make_room(&mut self, store: &Store, scope: Scope, excess: impl Fn() -> usize) -> Room {
        let start = self.clock.now();
        let limit = time_limit(store.settings.eviction_tenacity());
        let policy = store.settings.policy();
        let address = std::ptr::from_ref(store).addr();
        if self.policy != policy || self.store != address {
            self.store = address;
            self.pool.clear();
            self.policy = policy;
            self.counted = false;
            self.age = WEIGHTS_AGE_MAX;
        }
        let clock = AccessClock::new(&store.settings, scope.now_ms);
        let mut evicted = 0u64;
        let room = loop {
            if excess() == 0 {
                break Room::Enough;
            }
            if !self.evict_one(store, scope, clock) {
                // What is out now may be evicted soon: better too much for a while than an error.
                break if store.is_quiet() {
                    Room::NoVictim
                } else {
                    Room::Partly
                };
            }
            evicted += 1;
            let elapsed = Duration::from_nanos(self.clock.nanos_between(start, self.clock.now()));
            // Reading the clock costs little beside an eviction.
            if limit.is_some_and(|limit| elapsed > limit) {
                break if excess() == 0 {
                    Room::Enough
                } else {
                    Room::Partly
                };
            }
        };
        self.age = self
            .age
            .saturating_add(u32::try_from(evicted).unwrap_or(u32::MAX));
        room
    }

    /// Deletes one key; false if there is none that may go.
    fn evict_one(&mut self, store: &Store, scope: Scope, clock: AccessClock) -> bool {
        for attempt in 0..TRIES_MAX {
            if self.age >= WEIGHTS_AGE_MAX || attempt > 0 && attempt % 16 == 0 {
                let known_empty = self.counted && self.weights.slots.is_empty();
                self.weights = Weights::count(store, self.policy.volatile_only(), known_empty);
                self.counted = true;
                self.age = 0;
            }
            if self.weights.slots.is_empty() {
                // Counted some time ago: keys may have come since.
                self.age = WEIGHTS_AGE_MAX;
                if attempt > 0 {
                    return false;
                }
                continue;
            }
            if self.sample(store, scope, clock) || self.take_best(store, scope, clock) {
                return true;
            }
        }
        self.search(store, clock) && self.take_best(store, scope, clock)
    }

    /// Puts the first key that may go into the pool; false if there is none. Samples miss the few
    /// keys with an expiry among millions without in one slot, and they must go before a write is
    /// refused.
    #[cold]
    fn search(&mut self, store: &Store, clock: AccessClock) -> bool {
        let policy = self.policy;
        for (slot, _) in &self.weights.slots {
            let Some(guard) = store.try_lock(*slot) else {
                continue;
            };
            let found = guard.databases().find_map(|db| {
                let mut entries = guard.table(db)?.iter();
                let entry = entries.find(|e| e.is_volatile() || !policy.volatile_only())?;
                Some((db, entry))
            });
            if let Some((db, entry)) = found {
                let candidate = Candidate {
                    score: policy.score(entry, clock),
                    slot: *slot,
                    db,
                    hash: store.hasher.hash(entry.key()),
                };
                consider(&mut self.pool, candidate);
                return true;
            }
        }
        false
    }

    /// Puts samples into the pool; true if one was expired and is gone.
    fn sample(&mut self, store: &Store, scope: Scope, clock: AccessClock) -> bool {
        let policy = self.policy;
        let samples = store.settings.samples().max(1);
        let mut wanted = samples;
        // Several keys of one slot are as random as keys of several: hashes spread both.
        for _ in 0..samples {
            let Some(slot) = self.weights.choose(&mut self.random) else {
                return false;
            };
            let Some(mut guard) = store.try_lock(slot) else {
                continue;
            };
            let dbs: smallvec::SmallVec<[u16; 16]> = guard.databases().collect();
            let Some(db) = self.random.choice(dbs.iter().copied()) else {
                continue;
            };
            let Some(table) = guard.table(db) else {
                continue;
            };
            let mut expired = None;
            let pool = &mut self.pool;
            table.sample(&mut self.random, |entry| {
                if policy.volatile_only() && !entry.is_volatile() {
                    return true;
                }
                let hash = store.hasher.hash(entry.key());
                if entry.is_expired(scope.now_ms) && !store.settings.hide_expired() {
                    expired = Some(hash);
                    return false;
                }
                let candidate = Candidate {
                    score: policy.score(entry, clock),
                    slot,
                    db,
                    hash,
                };
                consider(pool, candidate);
                wanted -= 1;
                wanted > 0
            });
            if let Some(hash) = expired {
                store.expire_by_hash(&mut guard, Scope { db, ..scope }, hash);
                return true;
            }
            if wanted == 0 {
                break;
            }
        }
        false
    }

    /// Deletes the best candidate that is still what it was; true if there was one.
    fn take_best(&mut self, store: &Store, scope: Scope, clock: AccessClock) -> bool {
        let policy = self.policy;
        while let Some(candidate) = self.pool.pop() {
            let Some(mut guard) = store.try_lock(candidate.slot) else {
                continue;
            };
            let place = guard.table(candidate.db).and_then(|table| {
                table.find_by(candidate.hash, |entry| {
                    store.hasher.hash(entry.key()) == candidate.hash
                        && (entry.is_volatile() || !policy.volatile_only())
                        && policy.score(entry, clock) >= candidate.score
                })
            });
            let Some(entry) = place.and_then(|place| guard.remove(candidate.db, place, Fate::Gone))
            else {
                continue;
            };
            if let Some(counters) = store.counters_of(scope.thread) {
                add(&counters.evicted, 1);
            }
            let db = candidate.db;
            store.tell(db, candidate.slot, entry.key(), Change::Evicted);
            let unlinks = store.settings.unlinks_evicted();
            store.log_deletion(Scope { db, ..scope }, entry.key(), unlinks);
            drop(guard);
            store.lazy_free.entry(entry);
            return true;
        }
        false
    }
}

/// Keeps the best candidates, the best last.
fn consider(pool: &mut Vec<Candidate>, candidate: Candidate) {
    let full = pool.len() >= POOL_MAX;
    if full
        && pool
            .first()
            .is_some_and(|worst| worst.score >= candidate.score)
    {
        return;
    }
    let same = |other: &Candidate| {
        (other.hash, other.slot, other.db) == (candidate.hash, candidate.slot, candidate.db)
    };
    if pool.iter().any(same) {
        return;
    }
    let place = pool.partition_point(|other| other.score <= candidate.score);
    pool.insert(place, candidate);
    if pool.len() > POOL_MAX {
        pool.remove(0);
    }
}

#[cfg(test)]
mod tests;
