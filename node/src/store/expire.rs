//! Active expiry: deletes keys whose time has come though nobody asks for them.
//!
//! Every slot has a lower bound of its keys' expiries ([`Due`](super::index::Due)), so a step reads
//! 64 KiB to find the slots that are due. In those it goes through the tables segment by segment,
//! each under its own short lock, and reads nothing but the tags above the entries' addresses until
//! one says that its entry may be due. No lists, no wheel: a key with an expiry costs the 8 bytes
//! that hold it.
//!
//! How long an expired key keeps its memory: at most [`STEP_MS`] until the next step, a tick
//! (256 ms) of rounding, and [`interval`] ticks if its slot was swept just before: 1.4 s by default,
//! plus what the sweep of all due slots takes at the share of a core that the effort allows (a
//! quarter by default; a table of a million keys is swept in a millisecond or two).

use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::slot::Slot;

use super::entry::{Entry, ExpiryTag};
use super::observe::Change;
use super::settings::add;
use super::slot::SlotGuard;
use super::{Scope, Store};

/// Milliseconds from one step to the next.
pub const STEP_MS: u64 = 100;
/// How long one call may hold up what waits for all threads to pause.
const SLICE: Duration = Duration::from_micros(200);
/// The most ticks that a slot's sweeps are apart though keys of it are due.
const INTERVAL_MAX: u32 = 4;

/// Goes round the slots, step by step.
#[derive(Debug, Default)]
pub struct Expirer {
    next_slot: usize,
    unfinished: Option<Sweep>,
    clock: Monotonic,
    /// What this round has taken so far.
    spent: Duration,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Keys deleted.
    pub expired: u64,
    /// Whether the round goes on: slots are due, and it has time left.
    pub more: bool,
}

/// The sweep of one slot, between two of its segments.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    slot: Slot,
    /// Ticks from which and up to which keys are due.
    window: (u32, u32),
    /// Whether some expired before the store began, where ticks are not told apart.
    ancient: bool,
    /// Database and position to go on from.
    db: u16,
    position: u32,
    /// The first tick at which a key seen so far comes up.
    earliest: Option<u32>,
}

/// Ticks that a slot is left in peace after a sweep, by `active-expire-effort`.
fn interval(effort: u32) -> u32 {
    match effort {
        0..=3 => INTERVAL_MAX,
        4..=7 => 2,
        _ => 1,
    }
}

/// The time that a round may take: Redis's share of a core, 25 % and 2 % for each effort above 1.
fn budget(effort: u32) -> Duration {
    let percent = 25 + 2 * u64::from(effort.clamp(1, 10) - 1);
    Duration::from_micros(STEP_MS * 10 * percent)
}

impl Expirer {
    /// Sweeps slots that are due, for `SLICE`. To be called, by one thread, which counts as
    /// number `thread`, every [`STEP_MS`] and then for as long as it says that there is more.
    /// Between two calls is the time for whatever must not run beside it. Does nothing while
    /// active expiry is switched off, and on a replica.
    pub fn step(&mut self, store: &Store, now_ms: i64, thread: usize) -> Step {
        let settings = store.settings();
        if !settings.active_expire() || settings.hide_expired() {
            return Step::default();
        }
        let start = self.clock.now();
        let mut expired = 0;
        // Keys of this very tick may have some milliseconds left: they are the next one's.
        let until = store.due.tick(now_ms).saturating_sub(1);
        let (all_swept, elapsed) = loop {
            let all_swept = !self.advance(store, (now_ms, thread), until, &mut expired);
            let elapsed = Duration::from_nanos(self.clock.nanos_between(start, self.clock.now()));
            if all_swept || elapsed > SLICE {
                break (all_swept, elapsed);
            }
        };
        self.spent += elapsed;
        let cut_short = !all_swept && self.spent > budget(settings.active_expire_effort());
        let more = !all_swept && !cut_short;
        if !more {
            self.spent = Duration::ZERO;
        }
        if let Some(counters) = store.counters_of(thread) {
            add(&counters.expired, expired);
            add(&counters.expire_nanos, elapsed.as_nanos() as u64);
            add(&counters.expire_steps_cut_short, u64::from(cut_short));
        }
        Step { expired, more }
    }

    /// Sweeps a segment, or finds the next slot to sweep; false if there is none up to the last.
    fn advance(
        &mut self,
        store: &Store,
        (now_ms, thread): (i64, usize),
        until: u32,
        expired: &mut u64,
    ) -> bool {
        if let Some(sweep) = self.unfinished.take() {
            let scope = Scope {
                now_ms,
                thread,
                ..Scope::default()
            };
            self.unfinished = sweep_segment(store, sweep, scope, expired);
            return true;
        }
        let Some(slot) = store.due.next(self.next_slot, until) else {
            // A round that was cut short went on from there: the slots before it are the next's.
            self.next_slot = 0;
            return false;
        };
        self.next_slot = slot.index() + 1;
        self.unfinished = begin(store, slot, until);
        true
    }
}

/// Starts the sweep of a slot: its bound begins anew, and keys that come meanwhile lower it. A slot
/// that is out is due still when the next round comes to it.
fn begin(store: &Store, slot: Slot, until: u32) -> Option<Sweep> {
    let _guard = store.try_lock(slot)?;
    let bound = store.due.take(slot);
    Some(Sweep {
        slot,
        window: (bound.saturating_sub(INTERVAL_MAX), until),
        ancient: bound == 0,
        db: 0,
        position: 0,
        earliest: None,
    })
}

/// Sweeps one segment; what is left of the slot.
fn sweep_segment(
    store: &Store,
    mut sweep: Sweep,
    scope: Scope,
    expired: &mut u64,
) -> Option<Sweep> {
    let Some(mut guard) = store.try_lock(sweep.slot) else {
        // It has gone out in the midst: another sweep begins anew.
        let (from, _) = sweep.window;
        store
            .due
            .lower(sweep.slot, if sweep.ancient { 0 } else { from });
        return None;
    };
    let next = if guard.expires(sweep.db) == 0 {
        None
    } else {
        sweep_locked(store, &mut guard, &mut sweep, scope, expired)
    };
    if let Some(position) = next {
        sweep.position = position;
        return Some(sweep);
    }
    if let Some(db) = guard.databases().filter(|db| *db > sweep.db).min() {
        sweep.db = db;
        sweep.position = 0;
        return Some(sweep);
    }
    if let Some(earliest) = sweep.earliest {
        let rest = sweep.window.1 + interval(store.settings().active_expire_effort());
        store.due.lower(sweep.slot, earliest.max(rest));
    }
    None
}

fn sweep_locked(
    store: &Store,
    guard: &mut SlotGuard<'_>,
    sweep: &mut Sweep,
    scope: Scope,
    expired: &mut u64,
) -> Option<u32> {
    let (from, until) = sweep.window;
    let (db, slot, now_ms) = (sweep.db, sweep.slot, scope.now_ms);
    let scope = Scope { db, ..scope };
    let unlinks = store.settings().unlinks_expired();
    let window_ticks = if sweep.ancient {
        ExpiryTag::ROUND
    } else {
        i64::from(until) - i64::from(from)
    };
    let (first, after) = (store.due.absolute(from), store.due.absolute(until) + 1);
    let mut earliest = sweep.earliest;
    let unwanted = |entry: &Entry| {
        let Some(ticks) = entry.tag().ticks_after(first) else {
            return false;
        };
        // The tag may be another round's, so what looks due is looked at.
        let tick = if ticks <= window_ticks {
            if entry.is_expired(now_ms) {
                return true;
            }
            store.due.tick(entry.expiry().unwrap_or(i64::MAX))
        } else {
            let ahead = entry.tag().ticks_after(after).unwrap_or(0);
            until
                .saturating_add(1)
                .saturating_add(u32::try_from(ahead).unwrap_or(0))
        };
        earliest = Some(earliest.map_or(tick, |known| known.min(tick)));
        false
    };
    let next = guard.sweep(db, sweep.position, unwanted, |entry| {
        *expired += 1;
        store.tell(db, slot, entry.key(), Change::Expired);
        store.log_deletion(scope, entry.key(), unlinks);
        store.lazy_free.entry(entry);
    });
    sweep.earliest = earliest;
    next
}

#[cfg(test)]
mod tests {
    use super::super::{Db, NewValue, SetExpiry};
    use super::*;
    use crate::cluster::routing::Serving;

    const KEYS: i64 = if cfg!(miri) { 40 } else { 4000 };

    fn set(store: &Store, db: u16, key: &[u8], expiry: SetExpiry) {
        let scope = Scope {
            db,
            ..Scope::default()
        };
        Db::one(store.lock(Slot::of_key(key)), scope).set(key, NewValue::Int(1), expiry);
    }

    /// Rounds until one has swept all that is due.
    fn all_steps(expirer: &mut Expirer, store: &Store, now_ms: i64) -> u64 {
        let cut_short = || store.counters().expire_steps_cut_short;
        let mut expired = 0;
        loop {
            let before = cut_short();
            let from_the_start = expirer.next_slot == 0;
            loop {
                let step = expirer.step(store, now_ms, 0);
                expired += step.expired;
                if !step.more {
                    break;
                }
            }
            if cut_short() == before && from_the_start {
                return expired;
            }
        }
    }

    #[test]
    fn keys_go_within_the_stated_time() {
        let store = Store::new(4, Serving::Ours);
        let start = slotilla_common::clock::unix_ms();
        // One slot in which keys expire all the time, and others.
        let times: Vec<i64> = (0..KEYS).map(|n| start + 1 + n * 7).collect();
        for (n, at) in times.iter().enumerate() {
            let key = if n % 2 == 0 {
                format!("{{t}}{n}")
            } else {
                format!("k{n}")
            };
            set(&store, (n % 3) as u16, key.as_bytes(), SetExpiry::At(*at));
        }
        set(&store, 0, b"stays", SetExpiry::Clear);
        let mut expirer = Expirer::default();
        let bound = (i64::from(INTERVAL_MAX) + 1) * 256 + STEP_MS as i64;
        let mut now = start;
        while now < start + KEYS * 7 + 2 * bound {
            now += STEP_MS as i64;
            all_steps(&mut expirer, &store, now);
            let left: u64 = (0..3).map(|db| store.len(db)).sum();
            let due_late = times.iter().filter(|at| **at > now - bound).count() as u64;
            let not_due = times.iter().filter(|at| **at > now).count() as u64;
            assert!(left <= due_late + 1, "{left} left, {due_late} allowed");
            assert!(left > not_due, "a key went before its time");
        }
        assert_eq!(store.len(0), 1);
        assert_eq!(store.counters().expired, KEYS as u64);
        assert_eq!(store.due.next(0, u32::MAX - 1), None);
    }

    #[test]
    fn a_far_expiry_is_not_mistaken_for_a_near_one() {
        let store = Store::new(1, Serving::Ours);
        let now = slotilla_common::clock::unix_ms();
        let round_ms = ExpiryTag::ROUND << ExpiryTag::TICK_SHIFT;
        set(
            &store,
            0,
            b"far",
            SetExpiry::At(now + 10_000 + 3 * round_ms),
        );
        set(&store, 0, b"farther", SetExpiry::At(i64::MAX));
        set(&store, 0, b"past", SetExpiry::At(-1));
        let mut expirer = Expirer::default();
        assert_eq!(all_steps(&mut expirer, &store, now + 1000), 1);
        for round in 0..3 {
            let at = now + 12_000 + round * round_ms;
            assert_eq!(all_steps(&mut expirer, &store, at), 0);
        }
        assert_eq!(
            all_steps(&mut expirer, &store, now + 12_000 + 3 * round_ms),
            1
        );
        assert_eq!(store.len(0), 1);
    }

    #[test]
    fn a_key_that_expires_sooner_than_the_others_is_not_overlooked() {
        let store = Store::new(1, Serving::Ours);
        let now = slotilla_common::clock::unix_ms();
        let mut expirer = Expirer::default();
        set(&store, 0, b"{t}a", SetExpiry::At(now + 100_000));
        assert_eq!(all_steps(&mut expirer, &store, now + 2000), 0);
        set(&store, 0, b"{t}b", SetExpiry::At(now + 3000));
        assert_eq!(all_steps(&mut expirer, &store, now + 5000), 1);
    }

    #[test]
    fn databases_swapped_in_the_middle_of_a_sweep_lose_no_expiry() {
        let store = Store::new(2, Serving::Ours);
        let now = slotilla_common::clock::unix_ms();
        set(&store, 0, b"{t}a", SetExpiry::At(now + 10));
        set(&store, 1, b"{t}b", SetExpiry::At(now + 10));
        let until = store.due.tick(now + 5000);
        let later = Scope {
            now_ms: now + 5000,
            ..Scope::default()
        };
        let (mut sweep, mut expired) = (begin(&store, Slot::of_key(b"{t}"), until).unwrap(), 0);
        sweep = sweep_segment(&store, sweep, later, &mut expired).unwrap();
        store.swap_databases(0, 1);
        while let Some(rest) = sweep_segment(&store, sweep, later, &mut expired) {
            sweep = rest;
        }
        let mut expirer = Expirer::default();
        expired += all_steps(&mut expirer, &store, now + 5000);
        assert_eq!((expired, store.is_empty()), (2, true));
    }

    #[test]
    fn it_can_be_switched_off_and_does_not_run_on_a_replica() {
        let store = Store::new(1, Serving::Ours);
        let now = slotilla_common::clock::unix_ms();
        set(&store, 0, b"k", SetExpiry::At(now));
        let mut expirer = Expirer::default();
        store.settings().set_active_expire(false);
        assert_eq!(all_steps(&mut expirer, &store, now + 5000), 0);
        store.settings().set_active_expire(true);
        store.settings().set_hide_expired(true);
        assert_eq!(all_steps(&mut expirer, &store, now + 5000), 0);
        store.settings().set_hide_expired(false);
        assert_eq!(all_steps(&mut expirer, &store, now + 5000), 1);
    }
}
