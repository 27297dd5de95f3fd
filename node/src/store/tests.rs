//! Tests of the whole store.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const CASES: u32 = if cfg!(miri) { 3 } else { 60 };

fn store() -> Store {
    Store::new(4, Serving::Ours)
}

fn scope(db: u16, now_ms: i64) -> Scope {
    Scope {
        db,
        now_ms,
        thread: 0,
    }
}

fn db<'s>(store: &'s Store, keys: &[&[u8]], scope: Scope) -> Db<'s> {
    let mut slots: Vec<Slot> = keys.iter().map(|key| Slot::of_key(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    let guards = slots.iter().map(|slot| store.lock(*slot)).collect();
    Db::many(store, guards, scope)
}

fn set(store: &Store, scope: Scope, key: &[u8], value: &[u8], expiry: SetExpiry) -> bool {
    db(store, &[key], scope).set(key, NewValue::encoded(value), expiry)
}

fn text(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Int(number) => number.to_string().into_bytes(),
        ValueRef::Bytes(bytes) => bytes.to_vec(),
        ValueRef::Object(_) => panic!("no object was stored"),
    }
}

fn value(store: &Store, scope: Scope, key: &[u8]) -> Option<Vec<u8>> {
    db(store, &[key], scope).read(key).map(text)
}

#[test]
fn a_key_expires_when_it_is_met() {
    let store = store();
    assert!(!set(
        &store,
        scope(0, 1000),
        b"k",
        b"v",
        SetExpiry::At(2000)
    ));
    assert_eq!(value(&store, scope(0, 1999), b"k"), Some(b"v".to_vec()));
    assert_eq!(store.totals(0, 1000).average_ttl_ms, 1000);
    assert_eq!(value(&store, scope(0, 2000), b"k"), None);
    assert_eq!(store.len(0), 0);
    let totals = store.counters();
    assert_eq!((totals.hits, totals.misses, totals.expired), (1, 1, 1));
}

#[test]
fn a_replica_hides_expired_keys_and_keeps_them() {
    let store = store();
    set(&store, scope(0, 1000), b"k", b"v", SetExpiry::At(2000));
    store.settings().set_hide_expired(true);
    assert_eq!(value(&store, scope(0, 3000), b"k"), None);
    assert_eq!(store.len(0), 1);
    let mut stream = db(&store, &[b"k"], scope(0, 3000));
    stream.set_expired(settings::Expired::Keep);
    assert!(stream.contains(b"k"));
}

#[test]
fn renaming_and_copying_keep_value_and_expiry() {
    let store = store();
    let big = vec![7; 100_000];
    set(&store, scope(0, 0), b"a", &big, SetExpiry::At(50));
    let mut both = db(&store, &[b"a", b"b"], scope(0, 0));
    assert!(both.rename(b"a", b"b"));
    assert!(!both.rename(b"a", b"b"));
    assert!(both.copy(b"b", b"a", 2));
    assert_eq!(both.peek(b"b").and_then(Entry::expiry), Some(50));
    drop(both);
    assert_eq!(value(&store, scope(0, 0), b"b"), Some(big.clone()));
    assert_eq!(value(&store, scope(2, 0), b"a"), Some(big));
    assert_eq!((store.len(0), store.len(2), store.len(1)), (1, 1, 0));
    store.swap_databases(0, 2);
    assert!(value(&store, scope(0, 0), b"a").is_some());
    assert!(value(&store, scope(2, 0), b"b").is_some());
    assert_eq!(
        (store.totals(0, 0).expires, store.totals(2, 0).expires),
        (1, 1)
    );
}

#[test]
fn flushing_leaves_nothing_behind() {
    let store = store();
    for number in 0..200 {
        let key = format!("k{number}").into_bytes();
        set(&store, scope(number % 3, 0), &key, b"v", SetExpiry::At(9));
    }
    let before = store.counters().changes;
    assert_eq!(store.flush(Some(1)).keys(), 67);
    assert_eq!(store.counters().changes, before + 67);
    assert_eq!((store.len(0), store.len(1), store.len(2)), (67, 0, 66));
    store.flush(None).free_in_background(&store);
    assert!(store.is_empty());
    assert_eq!(store.data_bytes(), 0);
    assert_eq!(store.due.next(0, u32::MAX - 1), None);
    while store.lazyfree_pending() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(store.lazyfreed(), 133);
}

#[test]
fn random_keys_come_from_everywhere() {
    let store = store();
    assert_eq!(store.random_key(scope(0, 0)), Ok(None));
    let keys: HashSet<Vec<u8>> = (0..20).map(|n| format!("k{n}").into_bytes()).collect();
    for key in &keys {
        set(&store, scope(0, 0), key, b"v", SetExpiry::Clear);
        set(&store, scope(1, 0), key, b"v", SetExpiry::At(5));
    }
    let drawn: HashSet<Vec<u8>> = (0..2000)
        .map(|_| store.random_key(scope(0, 0)).unwrap().unwrap())
        .collect();
    assert_eq!(drawn, keys);
    assert_eq!(store.random_key(scope(1, 6)), Ok(None));
    assert_eq!(store.len(1), 0);
}

#[test]
fn cursors_stay_below_2_to_the_34() {
    let store = store();
    for number in 0..3000 {
        let key = format!("k{number}").into_bytes();
        set(&store, scope(0, 0), &key, b"v", SetExpiry::Clear);
    }
    let (mut cursor, mut seen) = (0, HashSet::new());
    loop {
        cursor = store
            .scan(scope(0, 0), cursor, 10, |entry| {
                seen.insert(entry.key().to_vec());
            })
            .unwrap();
        assert!(cursor < 1 << 34);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    assert_eq!(
        store.scan(scope(0, 0), u64::MAX, 10, |_| panic!("no such cursor")),
        Ok(0)
    );
}

#[derive(Debug, Clone)]
enum Op {
    Set(u8, u8, Option<i64>),
    KeepTtl(u8, u8),
    Append(u8, u16),
    Remove(u8),
    Expire(u8, Option<i64>),
    Rename(u8, u8),
    Wait(i64),
}

fn op() -> impl Strategy<Value = Op> {
    let ttl = proptest::option::of(1i64..50);
    prop_oneof![
        5 => (any::<u8>(), any::<u8>(), ttl.clone()).prop_map(|(k, v, t)| Op::Set(k, v, t)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(k, v)| Op::KeepTtl(k, v)),
        2 => (any::<u8>(), 1u16..2000).prop_map(|(k, n)| Op::Append(k, n)),
        3 => any::<u8>().prop_map(Op::Remove),
        2 => (any::<u8>(), ttl).prop_map(|(k, t)| Op::Expire(k, t)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Op::Rename(a, b)),
        2 => (1i64..20).prop_map(Op::Wait),
    ]
}

/// Half of the keys share a slot, so that its table splits.
fn key(number: u8) -> Vec<u8> {
    match number % 2 {
        0 => format!("{{tag}}{number}").into_bytes(),
        _ => format!("key{number}").into_bytes(),
    }
}

fn append(entry: &mut Entry, n: usize) -> Option<usize> {
    let len = match entry.value() {
        ValueRef::Int(number) => number.to_string().len(),
        ValueRef::Bytes(bytes) => bytes.len(),
        ValueRef::Object(_) => return None,
    };
    entry.bytes_mut(len + n)?.get_mut(len..)?.fill(b'x');
    Some(len + n)
}

type Model = HashMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn apply(store: &Store, now: i64, model: &mut Model, op: &Op) {
    let here = scope(0, now);
    let alive = |model: &Model, key: &[u8]| model.contains_key(key);
    match *op {
        Op::Set(k, v, ttl) => {
            let (key, v) = (key(k), v.to_string().into_bytes());
            let at = ttl.map(|ttl| now + ttl);
            let expiry = at.map_or(SetExpiry::Clear, SetExpiry::At);
            assert_eq!(set(store, here, &key, &v, expiry), alive(model, &key));
            model.insert(key, (v, at));
        }
        Op::KeepTtl(k, v) => {
            let (key, v) = (key(k), v.to_string().into_bytes());
            let old = model.get(&key).and_then(|(_, at)| *at);
            set(store, here, &key, &v, SetExpiry::Keep);
            model.insert(key, (v, old));
        }
        Op::Append(k, n) => {
            let key = key(k);
            let n = usize::from(n);
            let len = db(store, &[&key], here).edit(&key, |entry| append(entry, n));
            let expected = model.get_mut(&key).map(|(value, _)| {
                value.extend(std::iter::repeat_n(b'x', n));
                value.len()
            });
            assert_eq!(len, expected);
        }
        Op::Remove(k) => {
            let key = key(k);
            assert_eq!(
                db(store, &[&key], here).remove(&key),
                model.remove(&key).is_some()
            );
        }
        Op::Expire(k, ttl) => {
            let key = key(k);
            let at = ttl.map(|ttl| now + ttl);
            let found = db(store, &[&key], here).set_expiry(&key, at);
            assert_eq!(found, alive(model, &key));
            model.entry(key).and_modify(|(_, old)| *old = at);
        }
        Op::Rename(a, b) => {
            let (a, b) = (key(a), key(b));
            let done = db(store, &[&a, &b], here).rename(&a, &b);
            let moved = model.remove(&a);
            assert_eq!(done, moved.is_some());
            model.extend(moved.map(|moved| (b, moved)));
        }
        Op::Wait(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_behaves_like_a_map(ops in proptest::collection::vec(op(), 0..300)) {
        let store = store();
        let mut model = Model::new();
        let mut now = 1000;
        for op in &ops {
            if let Op::Wait(ms) = op {
                now += ms;
                model.retain(|_, (_, at)| at.is_none_or(|at| at > now));
            }
            apply(&store, now, &mut model, op);
        }
        for number in 0..=255 {
            let key = key(number);
            let expected = model.get(&key).map(|(value, _)| value.clone());
            prop_assert_eq!(value(&store, scope(0, now), &key), expected);
        }
        prop_assert_eq!(store.len(0), model.len() as u64);
        let volatile = model.values().filter(|(_, at)| at.is_some()).count() as u64;
        prop_assert_eq!(store.totals(0, now).expires, volatile);
        let bytes: usize = Slot::all()
            .map(|slot| {
                let guard = store.lock(slot);
                guard.table(0).unwrap().iter().map(Entry::memory).sum::<usize>()
            })
            .sum();
        prop_assert_eq!(store.data_bytes(), bytes);
    }
}

#[test]
fn what_is_beside_is_not_there_until_the_two_change_places() {
    let store = Store::new(2, Serving::Ours);
    let aside = store.aside().unwrap();
    let mut feed = Feed::new(&store, Scope::default(), false);
    for n in 0..200 {
        let db = if n < 150 { aside } else { 1 };
        let key = format!("k{n}");
        feed.push(db, Entry::new(key.as_bytes(), NewValue::Int(n), None, 0));
        feed.flush().unwrap();
    }
    assert_eq!((store.len(0), store.len(1)), (0, 50));
    drop(store.flush(None));
    assert_eq!(
        (store.len(1), store.len(aside)),
        (0, 150),
        "it is not flushed"
    );
    store.exchange_aside();
    assert_eq!((store.len(0), store.len(aside)), (150, 0));
    store.exchange_aside();
    for slot in Slot::all() {
        drop(store.flush_aside(slot));
    }
    assert!(store.is_empty());
    assert_eq!(store.data_bytes(), 0);
}
