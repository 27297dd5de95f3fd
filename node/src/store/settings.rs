//! What the configuration tells the store, and what the store counts.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// `maxmemory-policy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Refuse what would add memory.
    #[default]
    NoEviction,
    /// The least recently used of all keys.
    AllKeysLru,
    /// The least frequently used of all keys.
    AllKeysLfu,
    /// Any key.
    AllKeysRandom,
    /// The least recently used key with an expiry.
    VolatileLru,
    /// The least frequently used key with an expiry.
    VolatileLfu,
    /// Any key with an expiry.
    VolatileRandom,
    /// The key that expires next.
    VolatileTtl,
}

impl Policy {
    const ALL: [(Self, &'static str); 8] = [
        (Self::NoEviction, "noeviction"),
        (Self::AllKeysLru, "allkeys-lru"),
        (Self::AllKeysLfu, "allkeys-lfu"),
        (Self::AllKeysRandom, "allkeys-random"),
        (Self::VolatileLru, "volatile-lru"),
        (Self::VolatileLfu, "volatile-lfu"),
        (Self::VolatileRandom, "volatile-random"),
        (Self::VolatileTtl, "volatile-ttl"),
    ];

    /// The policy of a name, in any letter case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(policy, _)| *policy)
    }

    /// As Redis spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(policy, _)| *policy == self)
            .map_or("noeviction", |(_, name)| name)
    }

    /// Whether the access word counts uses, rather than telling the time of the last.
    #[must_use]
    #[inline]
    pub const fn is_lfu(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    /// Whether the access word tells the time of the last use, and is used for eviction.
    #[must_use]
    pub const fn is_lru(self) -> bool {
        matches!(self, Self::AllKeysLru | Self::VolatileLru)
    }

    /// Whether only keys with an expiry are evicted.
    #[must_use]
    pub const fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }

    /// Rows of `ALL` are in the order of the variants, as a test checks.
    #[inline]
    fn from_byte(byte: u8) -> Self {
        Self::ALL
            .get(usize::from(byte))
            .map_or(Self::NoEviction, |(policy, _)| *policy)
    }
}

/// What happens to a key whose time has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expired {
    /// It is deleted by whoever meets it: a primary.
    #[default]
    Delete,
    /// It cannot be seen, and stays: a replica, which waits for its primary's word; a primary
    /// whose clients are paused.
    Hide,
    /// It is there still: what a replica applies of its primary's stream.
    Keep,
}

impl Expired {
    /// What the settings say for commands of clients.
    #[inline]
    pub(super) fn of(settings: &Settings) -> Self {
        if settings.hide_expired() {
            Self::Hide
        } else {
            Self::Delete
        }
    }
}

/// What the configuration tells the store. Changed at any time, by CONFIG SET.
#[derive(Debug)]
pub struct Settings {
    policy: AtomicU8,
    samples: AtomicU32,
    eviction_tenacity: AtomicU32,
    lfu_log_factor: AtomicU32,
    lfu_decay_minutes: AtomicU32,
    active_expire: AtomicBool,
    skips_checksums: AtomicBool,
    active_expire_effort: AtomicU32,
    hide_expired: AtomicBool,
    unlinks_expired: AtomicBool,
    unlinks_evicted: AtomicBool,
    unlinks_flushed: AtomicBool,
    list_alone_bytes: AtomicUsize,
    events: AtomicU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: AtomicU8::new(Policy::default() as u8),
            samples: AtomicU32::new(5),
            eviction_tenacity: AtomicU32::new(10),
            lfu_log_factor: AtomicU32::new(10),
            lfu_decay_minutes: AtomicU32::new(1),
            active_expire: AtomicBool::new(true),
            skips_checksums: AtomicBool::new(false),
            active_expire_effort: AtomicU32::new(1),
            hide_expired: AtomicBool::new(false),
            unlinks_expired: AtomicBool::new(false),
            unlinks_evicted: AtomicBool::new(false),
            unlinks_flushed: AtomicBool::new(false),
            list_alone_bytes: AtomicUsize::new(Self::LIST_ALONE_BYTES),
            events: AtomicU32::new(0),
        }
    }
}

macro_rules! setting {
    ($(#[$doc:meta])* $name:ident, $set:ident: $type:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(&self) -> $type {
            self.$name.load(Ordering::Relaxed)
        }

        $(#[$doc])*
        pub fn $set(&self, value: $type) {
            self.$name.store(value, Ordering::Relaxed);
        }
    };
}

impl Settings {
    /// `list_alone_bytes`, unless it is set.
    pub const LIST_ALONE_BYTES: usize = 1 << 30;

    /// Whether the policy is one for which uses are counted. Every command asks.
    #[inline]
    pub(super) fn counts_uses(&self) -> bool {
        const LFU: [u8; 2] = [Policy::AllKeysLfu as u8, Policy::VolatileLfu as u8];
        LFU.contains(&self.policy.load(Ordering::Relaxed))
    }

    /// `maxmemory-policy`.
    #[inline]
    pub fn policy(&self) -> Policy {
        Policy::from_byte(self.policy.load(Ordering::Relaxed))
    }

    /// `maxmemory-policy`.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u8, Ordering::Relaxed);
    }

    setting!(
        /// `maxmemory-samples`.
        samples, set_samples: u32
    );
    setting!(
        /// `maxmemory-eviction-tenacity`.
        eviction_tenacity, set_eviction_tenacity: u32
    );
    setting!(
        /// `lfu-log-factor`.
        lfu_log_factor, set_lfu_log_factor: u32
    );
    setting!(
        /// `lfu-decay-time`.
        lfu_decay_minutes, set_lfu_decay_minutes: u32
    );
    setting!(
        /// `lazyfree-lazy-expire`: the log tells of expired keys by UNLINK rather than DEL.
        unlinks_expired, set_unlinks_expired: bool
    );
    setting!(
        /// `lazyfree-lazy-eviction`: of evicted ones.
        unlinks_evicted, set_unlinks_evicted: bool
    );
    setting!(
        /// `lazyfree-lazy-server-del`: of those whose slot is another node's.
        unlinks_flushed, set_unlinks_flushed: bool
    );
    setting!(
        /// DEBUG SET-ACTIVE-EXPIRE.
        active_expire, set_active_expire: bool
    );
    setting!(
        /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: RESTORE believes any.
        skips_checksums, set_skips_checksums: bool
    );
    setting!(
        /// `active-expire-effort`.
        active_expire_effort, set_active_expire_effort: u32
    );
    setting!(
        /// The classes of events that are wanted, as bits of [`super::EventClass`], and others that
        /// only the sink knows.
        events, set_events: u32
    );
    setting!(
        /// Keys whose time has come are hidden rather than deleted: on a replica, and while
        /// clients are paused.
        hide_expired, set_hide_expired: bool
    );
    setting!(
        /// DEBUG QUICKLIST-PACKED-THRESHOLD: an element of a list that is at least as long has a
        /// listpack of its own.
        list_alone_bytes, set_list_alone_bytes: usize
    );
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What one thread has counted.
        #[derive(Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// What all threads have counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Totals {
            fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.load(Ordering::Relaxed);)*
            }
        }

        impl Counters {
            /// Sets all to zero but the changes, which CONFIG RESETSTAT does not forget: a snapshot
            /// has to have them.
            fn reset(&self) {
                let counters = [$((&self.$name, stringify!($name)),)*];
                for (counter, name) in counters {
                    if name != "changes" {
                        counter.store(0, Ordering::Relaxed);
                    }
                }
            }
        }
    };
}

counters! {
    /// Lookups for reading that found their key.
    hits,
    /// Lookups for reading that did not.
    misses,
    /// Keys deleted because their time had come.
    expired,
    /// Keys deleted to make room.
    evicted,
    /// Changes of keys.
    changes,
    /// Sweeps for expired keys that ended because their time was up.
    expire_steps_cut_short,
    /// Nanoseconds spent sweeping.
    expire_nanos,
}

/// Counters in shards, so that threads do not share cache lines.
pub(crate) struct ShardedCounters(Box<[Counters]>);

const SHARDS: usize = 64;

impl ShardedCounters {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Counters::default()).collect())
    }

    /// The shard of a thread. Threads may share one: nothing is lost, it only takes longer.
    #[inline]
    pub(crate) fn of(&self, thread: usize) -> Option<&Counters> {
        self.0.get(thread % SHARDS)
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.0.iter().for_each(|shard| totals.add(shard));
        totals
    }

    pub(crate) fn reset(&self) {
        self.0.iter().for_each(Counters::reset);
    }
}

/// Adds to a counter of a shard, if there is something to add.
#[inline]
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    if n != 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_survives_its_name_and_its_byte() {
        let settings = Settings::default();
        for (policy, name) in Policy::ALL {
            assert_eq!(Policy::from_name(name), Some(policy));
            assert_eq!(policy.name(), name);
            settings.set_policy(policy);
            assert_eq!(settings.policy(), policy);
            assert_eq!(settings.counts_uses(), policy.is_lfu());
        }
        assert_eq!(Policy::from_name("allkeys-fifo"), None);
    }

    #[test]
    fn shards_are_added_up() {
        let counters = ShardedCounters::new();
        add(&counters.of(1).unwrap().hits, 2);
        add(&counters.of(1 + SHARDS).unwrap().hits, 3);
        add(&counters.of(2).unwrap().misses, 1);
        let totals = counters.totals();
        assert_eq!((totals.hits, totals.misses), (5, 1));
        add(&counters.of(2).unwrap().changes, 7);
        counters.reset();
        let changes = Totals {
            changes: 7,
            ..Totals::default()
        };
        assert_eq!(counters.totals(), changes);
    }
}
