//! A snapshot has what there was at its instant, whatever happens while it is written.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use slotilla_common::rdb::{Item, Reader, Writer};

use super::*;
use crate::cluster::routing::Serving;
use crate::rdb::{Limits, Loader};
use crate::store::{
    Collection, Db, Digits, End, Entry, Expirer, Hash, List, NewValue, NodeLimit, PackedLimits,
    Scope, Set, SetExpiry, SortedSet, ValueRef,
};

const DATABASES: u16 = 3;
const PACKED: PackedLimits = PackedLimits {
    entries: 4,
    bytes: 64,
};
const FAR: i64 = i64::MAX / 2;

fn limits() -> Limits {
    Limits {
        hash: PACKED,
        sorted_set: PACKED,
        ints_max: 4,
        list: node(),
    }
}

fn node() -> NodeLimit {
    NodeLimit::from_config(3, 1 << 20)
}

/// A database and a key.
type Name = (u16, Vec<u8>);
/// What a value is, whatever it is kept in, and when it expires.
type Shown = (Vec<Vec<u8>>, Option<i64>);

fn show(entry: &Entry) -> Shown {
    let text = |item: crate::store::Item<'_>| item.text(&mut Digits::default()).to_vec();
    let mut shown = match entry.value() {
        ValueRef::Int(number) => vec![number.to_string().into_bytes()],
        ValueRef::Bytes(bytes) => vec![bytes.to_vec()],
        ValueRef::Object(object) => {
            if let Some(list) = List::of(object) {
                let elements: Vec<_> = list.iter_from(0).map(text).collect();
                return ([vec![b"list".to_vec()], elements].concat(), entry.expiry());
            }
            let pair = |a: &[u8], b: &[u8]| [a, b"=", b].concat();
            let hash = Hash::of(object).map(|hash| {
                let pairs = hash.iter().map(|(f, v)| pair(&text(f), &text(v)));
                pairs.collect::<Vec<_>>()
            });
            let set = Set::of(object).map(|set| set.iter().map(text).collect());
            let sorted = SortedSet::of(object).map(|set| {
                let members = set.iter();
                let members = members.map(|(m, score)| pair(&m.to_vec(), &score.to_be_bytes()));
                members.collect()
            });
            hash.or(set).or(sorted).unwrap_or_default()
        }
    };
    shown.sort();
    (shown, entry.expiry())
}

/// The slots that keys are in.
fn slots() -> [Slot; 3] {
    [0, 1, 2].map(|number| Slot::of_key(&key(number, "")))
}

/// All that there is.
fn all(store: &Store) -> BTreeMap<Name, Shown> {
    let mut all = BTreeMap::new();
    for slot in slots() {
        for db in 0..DATABASES {
            let is_in = store.visit_slot(slot, db, |entry| {
                all.insert((db, entry.key().to_vec()), show(entry));
            });
            assert!(is_in);
        }
    }
    all
}

/// What a snapshot has.
fn read(bytes: &[u8]) -> BTreeMap<Name, Shown> {
    let mut reader = Reader::new(bytes, Some(bytes.len() as u64));
    let version = reader.begin().unwrap();
    let mut loader = Loader::new(limits());
    let (mut db, mut all) = (0, BTreeMap::new());
    loop {
        match reader.item(version).unwrap() {
            Item::SelectDb(number) => db = number as u16,
            Item::End => return all,
            Item::Key {
                key,
                value_type,
                info,
            } => {
                let value = loader.value(value_type, &mut reader).unwrap();
                let entry = Entry::new(&key, value, info.expiry_ms, 0);
                let old = all.insert((db, key), show(&entry));
                assert!(old.is_none(), "{:?} is there twice", entry.key());
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Something that happens. Numbers choose among keys, databases and elements.
#[derive(Clone, Copy, Debug)]
enum Act {
    Set(u8),
    SetLong(u8),
    Append(u8),
    Delete(u8),
    /// As an eviction would.
    Evict(u8),
    Expire(u8),
    ExpireNow(u8),
    HashSet(u8, u8),
    HashRemove(u8, u8),
    SetAdd(u8, u8),
    SetRemove(u8, u8),
    Score(u8, u8),
    Unscore(u8, u8),
    DropRanks(u8, u8),
    Push(u8, u8),
    Pop(u8, u8),
    ListSet(u8, u8),
    /// Adds many elements to collections of all kinds.
    Grow(u8, u8),
    Rename(u8, u8),
    /// To a key of any slot.
    RenameFar(u8, u8),
    /// To another database.
    Move(u8, u8),
    Copy(u8, u8),
    Flush(u8),
    Swap(u8, u8),
    Sweep,
    Step(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let k = any::<u8>;
    prop_oneof![
        2 => k().prop_map(Act::Set),
        1 => k().prop_map(Act::SetLong),
        2 => k().prop_map(Act::Append),
        2 => k().prop_map(Act::Delete),
        1 => k().prop_map(Act::Evict),
        2 => k().prop_map(Act::Expire),
        1 => k().prop_map(Act::ExpireNow),
        6 => (k(), k()).prop_map(|(a, b)| Act::HashSet(a, b)),
        3 => (k(), k()).prop_map(|(a, b)| Act::HashRemove(a, b)),
        6 => (k(), k()).prop_map(|(a, b)| Act::SetAdd(a, b)),
        3 => (k(), k()).prop_map(|(a, b)| Act::SetRemove(a, b)),
        6 => (k(), k()).prop_map(|(a, b)| Act::Score(a, b)),
        3 => (k(), k()).prop_map(|(a, b)| Act::Unscore(a, b)),
        1 => (k(), k()).prop_map(|(a, b)| Act::DropRanks(a, b)),
        6 => (k(), k()).prop_map(|(a, b)| Act::Push(a, b)),
        2 => (k(), k()).prop_map(|(a, b)| Act::Pop(a, b)),
        2 => (k(), k()).prop_map(|(a, b)| Act::ListSet(a, b)),
        4 => (k(), k()).prop_map(|(a, b)| Act::Grow(a, b)),
        5 => (k(), k()).prop_map(|(a, b)| Act::Rename(a, b)),
        5 => (k(), k()).prop_map(|(a, b)| Act::RenameFar(a, b)),
        5 => (k(), k()).prop_map(|(a, b)| Act::Move(a, b)),
        1 => (k(), k()).prop_map(|(a, b)| Act::Copy(a, b)),
        1 => k().prop_map(Act::Flush),
        1 => (k(), k()).prop_map(|(a, b)| Act::Swap(a, b)),
        1 => Just(Act::Sweep),
        8 => k().prop_map(Act::Step),
    ]
}

/// A store, with a snapshot of it under way.
struct Scene {
    store: Store,
    expirer: Expirer,
    now_ms: i64,
    walk: Option<Walk>,
    out: Option<Writer<Vec<u8>>>,
    file: Vec<u8>,
    /// What may be missing: it has expired or was evicted.
    gone: HashSet<Name>,
}

/// Few keys, of few slots, so that they meet.
fn key(number: u8, kind: &str) -> Vec<u8> {
    format!("{{{}}}{kind}{}", number % 3, number / 3 % 5).into_bytes()
}

/// A number whose keys are in the slot of another's.
fn near(number: u8, other: u8) -> u8 {
    (number / 3).min(80) * 3 + other % 3
}

fn db_of(number: u8) -> u16 {
    if number > 200 {
        u16::from(number % 2) + 1
    } else {
        0
    }
}

/// Long enough for a table.
fn member(number: u8) -> Vec<u8> {
    format!("{number:0>70}").into_bytes()
}

impl Scene {
    fn new() -> Self {
        let now_ms = slotilla_common::clock::unix_ms();
        Self {
            store: Store::new(DATABASES, Serving::Ours),
            expirer: Expirer::default(),
            now_ms,
            walk: None,
            out: None,
            file: Vec::new(),
            gone: HashSet::new(),
        }
    }

    fn with<R>(&self, number: u8, key: &[u8], work: impl FnOnce(&mut Db<'_>) -> R) -> R {
        let scope = Scope {
            db: db_of(number),
            now_ms: self.now_ms,
            thread: 0,
        };
        work(&mut Db::one(self.store.lock(Slot::of_key(key)), scope))
    }

    fn update<C: Collection>(&self, number: u8, kind: &str, change: impl FnOnce(&mut C)) {
        let key = key(number, kind);
        let change = |collection: &mut C| {
            change(collection);
            Some(())
        };
        let _wrong_type = self.with(number, &key, |db| db.upsert(&key, change));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Set(n) => {
                for kind in ["s", "h"] {
                    let key = key(n, kind);
                    let value = NewValue::Int(i64::from(n));
                    self.with(n, &key, |db| db.set(&key, value, SetExpiry::Clear));
                }
            }
            Act::SetLong(n) => {
                let key = key(n, "s");
                let len = [600, 3000, 300_000][usize::from(n % 3)];
                let value = vec![n; len];
                self.with(n, &key, |db| {
                    db.set(&key, NewValue::Bytes(&value), SetExpiry::Keep)
                });
            }
            Act::Append(n) => {
                let key = key(n, "s");
                self.with(n, &key, |db| {
                    db.edit(&key, |entry| {
                        let len = match entry.value() {
                            ValueRef::Bytes(bytes) => bytes.len(),
                            _ => return None,
                        };
                        entry.bytes_mut(len + 3)?.last_mut().map(|last| *last = n)
                    })
                });
            }
            Act::Delete(n) => {
                let key = key(n, ["s", "h", "m", "z", "l"][usize::from(n % 5)]);
                self.with(n, &key, |db| db.remove(&key));
            }
            Act::Evict(n) => self.evict(n),
            Act::Expire(n) => {
                let key = key(n, ["s", "h", "m", "z", "l"][usize::from(n % 5)]);
                self.with(n, &key, |db| db.set_expiry(&key, Some(FAR + i64::from(n))));
            }
            Act::ExpireNow(n) => {
                let key = key(n, ["s", "h", "m", "z", "l"][usize::from(n % 5)]);
                let at = self.now_ms + 1;
                if self.with(n, &key, |db| db.set_expiry(&key, Some(at))) {
                    self.note_gone(n, key);
                    self.now_ms += 2;
                }
            }
            Act::Flush(n) => drop(self.store.flush(Some(db_of(n)))),
            Act::Swap(a, b) => self
                .store
                .swap_databases(u16::from(a) % DATABASES, u16::from(b) % DATABASES),
            Act::Sweep => while self.expirer.step(&self.store, self.now_ms + 2000, 0).more {},
            Act::Step(n) => {
                for _ in 0..n % 8 {
                    self.step();
                }
            }
            other => self.act_between(other),
        }
    }

    /// Gives what one key has to another.
    fn act_between(&self, act: Act) {
        match act {
            Act::Rename(n, to) => self.rename(n, near(to, n), to),
            Act::RenameFar(n, to) => self.rename(n, to, to),
            Act::Move(n, to) => {
                let key = key(n, ["s", "h", "m", "z", "l"][usize::from(to / 3 % 5)]);
                let to = u16::from(to) % DATABASES;
                if to != db_of(n) {
                    self.with(n, &key, |db| db.move_to(&key, to));
                }
            }
            Act::Grow(n, e) => {
                for more in 0..12 {
                    let e = e.wrapping_add(more * 7);
                    for act in [Act::HashSet(n, e), Act::SetAdd(n, e), Act::Score(n, e)] {
                        self.act_inside(act);
                    }
                }
            }
            Act::Copy(n, to) => {
                let kind = ["s", "h", "m", "z", "l"][usize::from(to % 5)];
                let (from, to_key) = (key(n, kind), key(near(to, n), "copy"));
                let to_db = db_of(to);
                self.with(n, &from, |db| db.copy(&from, &to_key, to_db));
            }
            other => self.act_inside(other),
        }
    }

    /// Changes elements of a collection.
    fn act_inside(&self, act: Act) {
        match act {
            Act::HashSet(n, e) => self.update::<Hash>(n, "h", |hash| {
                hash.set(&member(e), &[e; 5], PACKED);
                hash.set(&member(e / 2), b"", PACKED);
            }),
            Act::HashRemove(n, e) => self.update::<Hash>(n, "h", |hash| {
                hash.remove(&member(e));
                hash.remove(&member(e / 4));
            }),
            Act::SetAdd(n, e) => self.update::<Set>(n, "m", |set| {
                set.add(&member(e), 4);
                set.add(b"7", 4);
            }),
            Act::SetRemove(n, e) => self.update::<Set>(n, "m", |set| {
                set.remove(&member(e));
                set.remove(&member(e / 4));
            }),
            Act::Score(n, e) => self.update::<SortedSet>(n, "z", |set| {
                set.set(&member(e), f64::from(e) / 3.0, PACKED);
                set.set(&member(e / 2), f64::from(n), PACKED);
            }),
            Act::Unscore(n, e) => self.update::<SortedSet>(n, "z", |set| {
                set.remove(&member(e / 4));
            }),
            Act::DropRanks(n, e) => self.update::<SortedSet>(n, "z", |set| {
                let from = usize::from(e % 4).min(set.len());
                set.remove_ranks(from..set.len().min(from + 5));
            }),
            Act::Push(n, e) => self.update::<List>(n, "l", |list| {
                for more in 0..e % 8 {
                    list.push(End::Tail, &member(more), node());
                }
                list.push(End::Head, &[e; 40], node());
            }),
            Act::Pop(n, e) => self.update::<List>(n, "l", |list| {
                list.pop(End::Tail, usize::from(e % 6), |_| {});
                list.remove(&[e; 40], End::Head, 1);
            }),
            Act::ListSet(n, e) => self.update::<List>(n, "l", |list| {
                list.set(i64::from(e % 20), &[e; 7], node());
            }),
            other => panic!("{other:?} is no change of elements"),
        }
    }

    /// It may be what the snapshot was to have, under a name that it had then.
    fn note_gone(&mut self, _n: u8, key: Vec<u8>) {
        for db in 0..DATABASES {
            self.gone.insert((db, key.clone()));
        }
    }

    fn evict(&mut self, n: u8) {
        let key = key(n, ["s", "h", "m", "z", "l"][usize::from(n % 5)]);
        let db = db_of(n);
        let mut guard = self.store.lock(Slot::of_key(&key));
        let place = guard.find(db, self.store.key_hash(&key), &key);
        let entry = place.and_then(|place| guard.remove(db, place, Fate::Gone));
        drop(guard);
        if entry.is_some() {
            self.note_gone(n, key);
        }
    }

    fn rename(&self, n: u8, to: u8, kind: u8) {
        let kind = ["s", "h", "m", "z", "l"][usize::from(kind % 5)];
        let (from, to) = (key(n, kind), key(to, kind));
        if from == to {
            return;
        }
        let mut slots = vec![Slot::of_key(&from), Slot::of_key(&to)];
        slots.sort();
        slots.dedup();
        let scope = Scope {
            db: db_of(n),
            now_ms: self.now_ms,
            thread: 0,
        };
        Db::many(&self.store, self.store.lock_many(&slots), scope).rename(&from, &to);
    }

    fn mark(&mut self) -> BTreeMap<Name, Shown> {
        // What has expired is no longer there for anybody.
        while self.expirer.step(&self.store, self.now_ms + 2000, 0).more {}
        let mut out = Writer::new(Vec::new(), 0);
        out.begin().unwrap();
        let expected = all(&self.store);
        self.walk = self.store.mark_snapshot(self.now_ms);
        assert!(self.walk.is_some());
        assert!(self.store.mark_snapshot(0).is_none(), "one at a time");
        self.out = Some(out);
        expected
    }

    /// A step of the walk; whether there are more.
    fn step(&mut self) -> bool {
        let (Some(walk), Some(out)) = (&mut self.walk, &mut self.out) else {
            return false;
        };
        let progress = walk.step(&self.store, out).unwrap();
        self.file.append(out.out_mut());
        assert_ne!(progress, Progress::Later);
        progress == Progress::More
    }

    fn finish(&mut self) -> BTreeMap<Name, Shown> {
        while self.step() {}
        let written = self.walk.as_ref().map(Walk::keys);
        if let Some(walk) = self.walk.take() {
            walk.end(&self.store);
        }
        let mut out = self.out.take().unwrap();
        out.end().unwrap();
        self.file.append(out.out_mut());
        let found = read(&std::mem::take(&mut self.file));
        // Each is counted, whoever left it.
        assert_eq!(written, Some(found.len() as u64));
        found
    }

    fn nothing_is_kept(&self) {
        assert_eq!(self.store.snapshot_held().0, 0);
        for slot in slots() {
            assert!(!self.store.cell(slot).is_unreached());
            let guard = &mut self.store.lock(slot);
            for db in 0..DATABASES {
                guard.with_pending(db, |table, pending| {
                    assert!(pending.is_none());
                    let keys: Vec<Vec<u8>> = table.iter().map(|e| e.key().to_vec()).collect();
                    for key in keys {
                        let place = table.find(self.store.key_hash(&key), &key).unwrap();
                        let object = table.at_mut(place).unwrap().object_mut();
                        assert!(object.is_none_or(|object| object.kept_len() == 0));
                    }
                });
            }
        }
    }
}

fn compare(expected: &BTreeMap<Name, Shown>, found: &BTreeMap<Name, Shown>, gone: &HashSet<Name>) {
    for (name, shown) in expected {
        match found.get(name) {
            Some(there) => assert_eq!(there, shown, "{name:?}"),
            None => assert!(gone.contains(name), "{name:?} is missing"),
        }
    }
    for name in found.keys() {
        assert!(expected.contains_key(name), "{name:?} came later");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_snapshot_has_what_there_was(
        before in proptest::collection::vec(act(), 0..120),
        during in proptest::collection::vec(act(), 0..120),
        after in proptest::collection::vec(act(), 0..20),
    ) {
        let mut scene = Scene::new();
        for act in before {
            scene.act(act);
        }
        for acts in [during, after] {
            scene.gone.clear();
            let expected = scene.mark();
            for act in acts {
                scene.act(act);
            }
            let found = scene.finish();
            compare(&expected, &found, &scene.gone);
            scene.nothing_is_kept();
        }
    }

    #[test]
    fn an_abandoned_snapshot_leaves_nothing(
        before in proptest::collection::vec(act(), 0..80),
        during in proptest::collection::vec(act(), 0..80),
        at_once in any::<bool>(),
    ) {
        let mut scene = Scene::new();
        for act in before {
            scene.act(act);
        }
        let _expected = scene.mark();
        for act in during {
            scene.act(act);
        }
        if at_once {
            scene.store.abandon_snapshot();
            let (Some(walk), Some(out)) = (&mut scene.walk, &mut scene.out) else {
                return Ok(());
            };
            prop_assert_eq!(walk.step(&scene.store, out).unwrap(), Progress::Abandoned);
        }
        if let Some(walk) = scene.walk.take() {
            walk.end(&scene.store);
        }
        scene.nothing_is_kept();
        scene.out = None;
        scene.file.clear();
        scene.gone.clear();
        let expected = scene.mark();
        let found = scene.finish();
        compare(&expected, &found, &scene.gone);
    }
}

/// Keys of big values, and what they are made by.
fn big_ones(scene: &Scene) -> Vec<Vec<u8>> {
    for e in 0..=250 {
        for act in [Act::HashSet(0, e), Act::SetAdd(0, e), Act::Score(0, e)] {
            scene.act_inside(act);
        }
    }
    let string = key(0, "s");
    let value = vec![b'v'; 300_000];
    scene.with(0, &string, |db| {
        db.set(&string, NewValue::Bytes(&value), SetExpiry::Clear)
    });
    ["h", "m", "z", "s"].map(|kind| key(0, kind)).to_vec()
}

#[test]
fn a_big_value_that_moves_is_not_copied() {
    let mut scene = Scene::new();
    let keys = big_ones(&scene);
    let expected = scene.mark();
    for key in &keys {
        let before = scene.store.snapshot_held().0;
        for round in 0..50 {
            let (from, to) = match round % 2 {
                0 => (key.clone(), [key.as_slice(), b"to"].concat()),
                _ => ([key.as_slice(), b"to"].concat(), key.clone()),
            };
            assert!(scene.with(0, key, |db| db.rename(&from, &to)));
            assert!(scene.with(0, key, |db| db.move_to(&to, 1)));
            let back = |db: &mut Db<'_>| db.within(1, |db| db.move_to(&to, 0));
            assert!(scene.with(0, key, back));
        }
        let held = scene.store.snapshot_held().0 - before;
        assert!(held < 2000, "{held} bytes are kept of {key:?}");
    }
    let found = scene.finish();
    compare(&expected, &found, &HashSet::new());
    scene.nothing_is_kept();
}

#[test]
fn what_has_moved_to_a_slot_that_is_done_is_forgotten_at_the_end() {
    for is_ended in [true, false] {
        let mut scene = Scene::new();
        let _keys = big_ones(&scene);
        let _expected = scene.mark();
        // Slots without keys are done from the beginning.
        for kind in 0..4 {
            scene.rename(0, 1, kind);
        }
        scene.rename(1, 2, 1);
        if is_ended {
            let walk = scene.walk.take().unwrap();
            walk.end(&scene.store);
        } else {
            scene.store.abandon_snapshot();
            scene.walk.take().unwrap().end(&scene.store);
        }
        scene.nothing_is_kept();
    }
}

/// After every number of steps: what is written in part, too, and slots that are done.
#[test]
fn a_big_value_may_move_at_any_time() {
    let mut is_over = false;
    for steps in 0.. {
        let mut scene = Scene::new();
        let keys = big_ones(&scene);
        for act in [Act::Grow(1, 3), Act::Grow(2, 5), Act::Grow(3, 6)] {
            scene.act(act);
        }
        let expected = scene.mark();
        for _ in 0..steps * 7 {
            is_over = !scene.step();
        }
        for kind in 0..5 {
            // Over another one, to another slot twice, and to another database.
            scene.rename(0, 3, kind);
            scene.rename(3, 1, kind);
            scene.step();
            scene.rename(1, 2, kind);
        }
        scene.act(Act::Grow(2, 100));
        for (number, key) in keys.iter().enumerate() {
            let key = [b"{2}", &key[3..4], b"0"].concat();
            scene.with(2, &key, |db| db.move_to(&key, 1));
            for _ in 0..steps % 4 {
                scene.step();
            }
            let gone = |db: &mut Db<'_>| db.within(1, |db| db.remove(&key));
            if number % 2 == steps % 2 {
                assert!(scene.with(2, &key, gone));
            }
        }
        match steps % 3 {
            0 => drop(scene.store.flush(Some(1))),
            1 => scene.store.swap_databases(0, 1),
            _ => {}
        }
        let found = scene.finish();
        compare(&expected, &found, &HashSet::new());
        scene.nothing_is_kept();
        if is_over {
            break;
        }
    }
    assert!(is_over);
}
