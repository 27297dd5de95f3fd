//! Watches beside a model: a watch is broken if and only if the key, as a client sees it, has
//! changed since.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::{NewValue, Scope, SetExpiry};
use super::*;
use crate::cluster::routing::Serving;

const KEYS: [&[u8]; 3] = [b"{t}a", b"{t}b", b"elsewhere"];
const DATABASES: u16 = 3;

fn locked<'s>(store: &'s Store, db: u16, now_ms: i64) -> Db<'s> {
    let mut slots: Vec<Slot> = KEYS.iter().map(|key| Slot::of_key(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    let scope = Scope {
        db,
        now_ms,
        thread: 0,
    };
    Db::many(store, store.lock_many(&slots), scope)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Set(u16, usize, Option<i64>),
    Remove(u16, usize),
    Expire(u16, usize, Option<i64>),
    Look(u16, usize),
    Rename(u16, usize, usize),
    Flush(Option<u16>),
    Swap(u16, u16),
    Pass(i64),
    Watch(usize, u16, usize),
    Unwatch(usize),
    Ask(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let db = || 0..DATABASES;
    let key = || 0..KEYS.len();
    // Some of these times have come already.
    let ttl = || proptest::option::of(-5i64..40);
    prop_oneof![
        3 => (db(), key(), ttl()).prop_map(|(d, k, t)| Step::Set(d, k, t)),
        2 => (db(), key()).prop_map(|(d, k)| Step::Remove(d, k)),
        2 => (db(), key(), ttl()).prop_map(|(d, k, t)| Step::Expire(d, k, t)),
        2 => (db(), key()).prop_map(|(d, k)| Step::Look(d, k)),
        1 => (db(), key(), key()).prop_map(|(d, a, b)| Step::Rename(d, a, b)),
        1 => proptest::option::of(db()).prop_map(Step::Flush),
        2 => (db(), db()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => (1i64..20).prop_map(Step::Pass),
        4 => (0usize..3, db(), key()).prop_map(|(w, d, k)| Step::Watch(w, d, k)),
        1 => (0usize..3).prop_map(Step::Unwatch),
        4 => (0usize..3).prop_map(Step::Ask),
    ]
}

/// What a client sees: when each key expires, and how often each has changed.
#[derive(Default)]
struct Model {
    now: i64,
    keys: HashMap<(u16, usize), Option<i64>>,
    changes: HashMap<(u16, usize), u64>,
}

impl Model {
    fn changed(&mut self, at: (u16, usize)) {
        *self.changes.entry(at).or_default() += 1;
    }

    /// Expiry is a change of its own, at its time.
    fn pass(&mut self, now: i64) {
        self.now = now;
        let gone = |expiry: &Option<i64>| expiry.is_some_and(|at| at <= now);
        let gone: Vec<_> = self
            .keys
            .iter()
            .filter(|(_, expiry)| gone(expiry))
            .map(|(at, _)| *at)
            .collect();
        for at in gone {
            self.keys.remove(&at);
            self.changed(at);
        }
    }

    fn put(&mut self, at: (u16, usize), expiry: Option<i64>) {
        self.keys.insert(at, expiry);
        self.changed(at);
        self.pass(self.now);
    }

    fn remove(&mut self, at: (u16, usize)) -> Option<Option<i64>> {
        let removed = self.keys.remove(&at);
        if removed.is_some() {
            self.changed(at);
        }
        removed
    }
}

/// Three clients that watch.
#[derive(Default)]
struct Watching {
    touched: Touched,
    watched: Vec<Watched>,
    /// What they watch, and how often it had changed.
    seen: HashMap<(u16, usize), u64>,
}

impl Watching {
    fn end(&mut self, store: &Store) {
        for watched in self.watched.drain(..) {
            store.unwatch(&watched, &self.touched);
        }
        self.touched.store(false, Ordering::Relaxed);
        self.seen.clear();
    }
}

fn change(store: &Store, model: &mut Model, step: Step) {
    let now = model.now;
    match step {
        Step::Set(d, k, ttl) => {
            let expiry = ttl.map_or(SetExpiry::Clear, |ttl| SetExpiry::At(now + ttl));
            locked(store, d, now).set(KEYS[k], NewValue::Int(1), expiry);
            model.put((d, k), ttl.map(|ttl| now + ttl));
        }
        Step::Remove(d, k) => {
            let removed = locked(store, d, now).remove(KEYS[k]);
            assert_eq!(removed, model.remove((d, k)).is_some());
        }
        Step::Expire(d, k, ttl) => {
            let at = ttl.map(|ttl| now + ttl);
            if locked(store, d, now).set_expiry(KEYS[k], at) {
                model.put((d, k), at);
            }
        }
        Step::Look(d, k) => {
            let found = locked(store, d, now).contains(KEYS[k]);
            assert_eq!(found, model.keys.contains_key(&(d, k)));
        }
        Step::Rename(d, a, b) => {
            let renamed = a != b && locked(store, d, now).rename(KEYS[a], KEYS[b]);
            if renamed && let Some(expiry) = model.remove((d, a)) {
                model.put((d, b), expiry);
            }
        }
        Step::Flush(db) => {
            drop(store.flush(db));
            let all: Vec<_> = model.keys.keys().copied().collect();
            for at in all
                .into_iter()
                .filter(|(d, _)| db.is_none_or(|db| db == *d))
            {
                model.remove(at);
            }
        }
        Step::Swap(a, b) if a != b => {
            store.swap_databases_at(a, b, now);
            for k in 0..KEYS.len() {
                let (first, second) = (model.remove((a, k)), model.remove((b, k)));
                for (at, there) in [((a, k), second), ((b, k), first)] {
                    if let Some(expiry) = there {
                        model.put(at, expiry);
                    }
                }
            }
        }
        Step::Pass(ms) => model.pass(now + ms),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn a_watch_breaks_when_and_only_when_its_key_changes(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let store = Store::new(DATABASES, Serving::Ours);
        // The model's clock runs ahead of the machine's, so that no expiry comes by the latter.
        let start = slotilla_common::clock::unix_ms() + 10_000_000;
        let mut model = Model { now: start, ..Model::default() };
        let mut clients: [Watching; 3] = Default::default();
        for step in steps {
            match step {
                Step::Watch(w, d, k) => {
                    let client = &mut clients[w];
                    let watched = locked(&store, d, model.now).watch(KEYS[k], &client.touched);
                    let fresh = !client.seen.contains_key(&(d, k));
                    prop_assert_eq!(watched.is_some(), fresh);
                    client.watched.extend(watched);
                    let changes = model.changes.get(&(d, k)).copied().unwrap_or(0);
                    client.seen.entry((d, k)).or_insert(changes);
                }
                Step::Unwatch(w) => clients[w].end(&store),
                Step::Ask(w) => {
                    let client = &mut clients[w];
                    let db = locked(&store, 0, model.now);
                    let broken = client.touched.load(Ordering::Relaxed)
                        || client.watched.iter().any(|key| db.has_expired(key, &client.touched));
                    drop(db);
                    let now = |at| model.changes.get(at).copied().unwrap_or(0);
                    let expected = client.seen.iter().any(|(at, seen)| now(at) != *seen);
                    prop_assert_eq!(broken, expected);
                    client.end(&store);
                }
                other => change(&store, &mut model, other),
            }
        }
        for client in &mut clients {
            client.end(&store);
        }
        for key in KEYS {
            prop_assert!(!store.cell(Slot::of_key(key)).is_watched());
            prop_assert!(store.watchers.shard(Slot::of_key(key)).lock().is_empty());
        }
    }
}

#[test]
fn a_slot_that_leaves_breaks_its_watches() {
    let store = Store::new(1, Serving::Ours);
    let (here, there) = (Touched::default(), Touched::default());
    let slot = Slot::of_key(KEYS[0]);
    locked(&store, 0, 1).watch(KEYS[0], &here).unwrap();
    locked(&store, 0, 1).watch(KEYS[2], &there).unwrap();
    for serving in [Serving::Migrating, Serving::Ours] {
        store.lock(slot).set_serving(serving);
        assert!(!here.load(Ordering::Relaxed), "{serving:?}");
    }
    store.lock(slot).set_serving(Serving::Elsewhere);
    assert!(here.load(Ordering::Relaxed));
    assert!(!there.load(Ordering::Relaxed));
}

#[test]
fn an_eviction_is_a_change() {
    let store = Store::new(1, Serving::Ours);
    let touched = Touched::default();
    let slot = Slot::of_key(KEYS[0]);
    let mut db = locked(&store, 0, 1);
    db.set(KEYS[0], NewValue::Int(1), SetExpiry::Clear);
    db.watch(KEYS[0], &touched).unwrap();
    store.tell(0, slot, KEYS[1], Change::Evicted);
    assert!(!touched.load(Ordering::Relaxed));
    store.tell(0, slot, KEYS[0], Change::Evicted);
    assert!(touched.load(Ordering::Relaxed));
}
