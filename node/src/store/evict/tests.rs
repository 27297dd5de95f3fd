//! Tests of eviction.

use super::super::{Db, NewValue, SetExpiry};
use super::*;
use crate::cluster::routing::Serving;

const NOW: i64 = 1_000_000_000;
const KEYS: usize = if cfg!(miri) { 40 } else { 2000 };

fn store(policy: Policy) -> Store {
    let store = Store::new(4, Serving::Ours);
    store.settings().set_policy(policy);
    store.settings().set_eviction_tenacity(100);
    store
}

fn at(now_ms: i64) -> Scope {
    Scope {
        now_ms,
        ..Scope::default()
    }
}

fn key(n: usize) -> Vec<u8> {
    // A fifth of them in one slot.
    if n.is_multiple_of(5) {
        format!("{{tag}}{n}").into_bytes()
    } else {
        format!("key{n}").into_bytes()
    }
}

fn set(store: &Store, scope: Scope, n: usize, expiry: SetExpiry) {
    let key = key(n);
    Db::one(store.lock(Slot::of_key(&key)), scope).set(&key, NewValue::Bytes(&[0; 32]), expiry);
}

fn has(store: &Store, n: usize) -> bool {
    let key = key(n);
    Db::one(store.lock(Slot::of_key(&key)), at(NOW))
        .peek(&key)
        .is_some()
}

/// Evicts until only `keep` keys are left.
fn shrink_to(store: &Store, scope: Scope, keep: u64) -> Room {
    store.make_room(scope, || {
        usize::try_from(store.len(0).saturating_sub(keep)).unwrap()
    })
}

/// How many of the first half, and how many of the second, are left.
fn halves(store: &Store) -> (usize, usize) {
    let count = |range: std::ops::Range<usize>| range.filter(|n| has(store, *n)).count();
    (count(0..KEYS / 2), count(KEYS / 2..KEYS))
}

#[test]
fn without_eviction_there_is_no_victim() {
    let store = store(Policy::NoEviction);
    set(&store, at(NOW), 1, SetExpiry::Clear);
    assert_eq!(shrink_to(&store, at(NOW), 0), Room::NoVictim);
    assert_eq!(store.make_room(at(NOW), || 0), Room::Enough);
}

#[test]
fn lru_keeps_what_was_used_last() {
    let store = store(Policy::AllKeysLru);
    for n in 0..KEYS {
        set(
            &store,
            at(NOW - 1_000_000 + n as i64 * 200),
            n,
            SetExpiry::Clear,
        );
    }
    assert_eq!(shrink_to(&store, at(NOW), KEYS as u64 / 2), Room::Enough);
    let (old, new) = halves(&store);
    assert_eq!(old + new, KEYS / 2);
    assert!(new > old * 3, "{old} old, {new} new");
    assert_eq!(store.counters().evicted as usize, KEYS - KEYS / 2);
}

#[test]
fn lfu_keeps_what_was_used_often() {
    let store = store(Policy::AllKeysLfu);
    for n in 0..KEYS {
        set(&store, at(NOW), n, SetExpiry::Clear);
        for _ in 0..if n < KEYS / 2 { 0 } else { 20 } {
            let key = key(n);
            Db::one(store.lock(Slot::of_key(&key)), at(NOW)).read(&key);
        }
    }
    assert_eq!(shrink_to(&store, at(NOW), KEYS as u64 / 2), Room::Enough);
    let (rare, frequent) = halves(&store);
    assert!(frequent > rare * 3, "{rare} rare, {frequent} frequent");
}

#[test]
fn volatile_policies_leave_other_keys_alone() {
    for policy in [
        Policy::VolatileLru,
        Policy::VolatileLfu,
        Policy::VolatileRandom,
        Policy::VolatileTtl,
    ] {
        let store = store(policy);
        for n in 0..KEYS {
            let expiry = if n < KEYS / 2 {
                SetExpiry::At(NOW + 1000)
            } else {
                SetExpiry::Clear
            };
            set(&store, at(NOW), n, expiry);
        }
        assert_eq!(shrink_to(&store, at(NOW), 0), Room::NoVictim, "{policy:?}");
        assert_eq!(halves(&store), (0, KEYS - KEYS / 2), "{policy:?}");
    }
}

/// One key among very many of its slot that may go, which hardly any sample meets.
#[test]
fn a_lone_victim_is_found() {
    let store = store(Policy::VolatileLru);
    let tagged = |n: usize| format!("{{tag}}{n}").into_bytes();
    for n in 0..KEYS * 40 {
        let key = tagged(n);
        let expiry = if n == KEYS {
            SetExpiry::At(NOW + 1000)
        } else {
            SetExpiry::Clear
        };
        let mut db = Db::one(store.lock(Slot::of_key(&key)), at(NOW));
        db.set(&key, NewValue::Int(1), expiry);
    }
    let all = store.len(0);
    assert_eq!(shrink_to(&store, at(NOW), all - 1), Room::Enough);
    assert_eq!(shrink_to(&store, at(NOW), 0), Room::NoVictim);
    assert_eq!(store.len(0), all - 1);
}

#[test]
fn volatile_ttl_takes_what_expires_first() {
    let store = store(Policy::VolatileTtl);
    for n in 0..KEYS {
        set(&store, at(NOW), n, SetExpiry::At(NOW + 1000 + n as i64));
    }
    assert_eq!(shrink_to(&store, at(NOW), KEYS as u64 / 2), Room::Enough);
    let (soon, late) = halves(&store);
    assert!(late > soon * 3, "{soon} soon, {late} late");
}

#[test]
fn random_eviction_empties_the_store_if_asked() {
    let store = store(Policy::AllKeysRandom);
    for n in 0..KEYS {
        set(&store, at(NOW), n, SetExpiry::Clear);
    }
    assert_eq!(shrink_to(&store, at(NOW), 0), Room::Enough);
    assert!(store.is_empty());
    assert_eq!(shrink_to(&store, at(NOW), 0), Room::Enough);
    assert_eq!(store.make_room(at(NOW), || 1), Room::NoVictim);
}

#[test]
fn expired_keys_go_first_and_count_as_expired() {
    let store = store(Policy::AllKeysLru);
    for n in 0..KEYS {
        set(&store, at(NOW), n, SetExpiry::At(NOW + 1));
    }
    assert_eq!(
        shrink_to(&store, at(NOW + 5), KEYS as u64 / 2),
        Room::Enough
    );
    let totals = store.counters();
    assert_eq!(
        (totals.evicted, totals.expired),
        (0, KEYS as u64 - KEYS as u64 / 2)
    );
}

#[test]
fn other_databases_are_not_spared() {
    let store = store(Policy::AllKeysRandom);
    for db in 0..3 {
        set(&store, Scope { db, ..at(NOW) }, db.into(), SetExpiry::Clear);
    }
    let left = || (0..3).map(|db| store.len(db)).sum::<u64>() as usize;
    assert_eq!(store.make_room(at(NOW), left), Room::Enough);
    assert!(store.is_empty());
}

#[test]
fn an_eviction_that_takes_too_long_stops() {
    let store = store(Policy::AllKeysRandom);
    store.settings().set_eviction_tenacity(0);
    for n in 0..KEYS {
        set(&store, at(NOW), n, SetExpiry::Clear);
    }
    assert_eq!(shrink_to(&store, at(NOW), 0), Room::Partly);
    assert!(!store.is_empty());
}

#[test]
fn the_pool_keeps_the_best() {
    let mut pool = Vec::new();
    for n in 0..100u64 {
        let candidate = Candidate {
            score: n * 37 % 100,
            slot: Slot::of_key(b""),
            db: 0,
            hash: n,
        };
        consider(&mut pool, candidate);
        consider(&mut pool, candidate);
    }
    let scores: Vec<u64> = pool.iter().map(|candidate| candidate.score).collect();
    assert_eq!(scores, (84..100).collect::<Vec<_>>());
}
