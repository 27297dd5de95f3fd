//! Who is served, in which order, and what the slots say of it.

use std::sync::mpsc::{Receiver, Sender, channel};

use proptest::prelude::*;

use super::super::{End, List, NewValue, NodeLimit, SetExpiry, SortedSet};
use super::*;
use crate::cluster::routing::Serving;

const SLOTS: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Pops one element, puts it elsewhere if it is to, and says so.
#[derive(Debug)]
struct Popper {
    name: usize,
    target: Option<&'static [u8]>,
    told: Sender<(usize, String)>,
}

impl Waiter for Popper {
    fn serve(&self, db: &mut Db<'_>, key: &[u8]) {
        let mut popped = pop(db, key);
        if let Some(target) = self.target {
            push(db, target, &popped);
            popped.push(b'>');
            popped.extend(target);
        }
        let popped = String::from_utf8(popped).unwrap();
        self.told.send((self.name, popped)).unwrap();
    }

    fn release(&self) {}

    fn refuse(&self, error: &str, close: bool) {
        let told = format!("{error} {close}");
        self.told.send((self.name, told)).unwrap();
    }
}

fn push(db: &mut Db<'_>, key: &[u8], element: &[u8]) {
    let limit = NodeLimit::from_config(-2, 0);
    let push = |list: &mut List| {
        list.push(End::Tail, element, limit);
        Some(())
    };
    db.upsert(key, push).unwrap();
}

/// The first element; of a sorted set, that it is one.
fn pop(db: &mut Db<'_>, key: &[u8]) -> Vec<u8> {
    let mut popped = Vec::new();
    let take = |list: &mut List| {
        list.pop(End::Head, 1, |item| {
            popped.extend_from_slice(item.text(&mut super::super::Digits::default()));
        });
        Some(())
    };
    if db.update(key, take).is_err() {
        db.remove(key);
        popped = b"a sorted set".to_vec();
    }
    popped
}

struct Stage {
    store: Store,
    tell: Sender<(usize, String)>,
    told: Mutex<Receiver<(usize, String)>>,
}

impl Stage {
    fn new() -> Self {
        let (tell, told) = channel();
        Self {
            store: Store::new(4, Serving::Ours),
            tell,
            told: Mutex::new(told),
        }
    }

    /// All the slots that the tests use, or those of some keys.
    fn locked(&self, db: u16, keys: &[&[u8]]) -> Db<'_> {
        let slots: BTreeSet<Slot> = keys.iter().map(|key| Slot::of_key(key)).collect();
        let slots: Vec<Slot> = slots.into_iter().collect();
        let scope = Scope {
            db,
            ..Scope::default()
        };
        Db::many(&self.store, self.store.lock_many(&slots), scope)
    }

    fn wait(
        &self,
        name: usize,
        db: u16,
        kind: Kind,
        keys: &[&[u8]],
        target: Option<&'static [u8]>,
    ) -> Arc<Waiting<Popper>> {
        let popper = Popper {
            name,
            target,
            told: self.tell.clone(),
        };
        let waiting = Waiting::new(db, kind, keys.iter().copied(), target, popper);
        let waiting = Arc::new(waiting);
        self.locked(db, &[keys, target.as_slice()].concat())
            .wait(&waiting);
        waiting
    }

    fn told(&self) -> Vec<(usize, String)> {
        self.told.lock().try_iter().collect()
    }

    fn bits(&self, key: &[u8]) -> u8 {
        self.store.cell(Slot::of_key(key)).awaited()
    }

    fn is_idle(&self) -> bool {
        let shards = self.store.waiters.shards.iter();
        SLOTS.iter().all(|key| self.bits(key) == 0)
            && shards
                .map(|shard| shard.lock())
                .all(|shard| shard.is_empty())
    }
}

fn told(name: usize, what: &str) -> (usize, String) {
    (name, what.to_owned())
}

#[test]
fn who_came_first_is_served_first_and_only_with_what_fits() {
    let stage = Stage::new();
    stage.wait(1, 0, Kind::SortedSet, &[b"a"], None);
    stage.wait(2, 1, Kind::List, &[b"a"], None);
    stage.wait(3, 0, Kind::List, &[b"b", b"a", b"a"], None);
    stage.wait(4, 0, Kind::List, &[b"a"], None);
    {
        let mut db = stage.locked(0, &[b"a"]);
        for element in [b"x", b"y", b"z"] {
            push(&mut db, b"a", element);
        }
        assert_eq!(stage.told(), [], "not before the slot is let go");
    }
    assert_eq!(stage.told(), [told(3, "x"), told(4, "y")]);
    push(&mut stage.locked(0, &[b"b"]), b"b", b"x");
    assert_eq!(stage.told(), [], "nobody waits for it any longer");
    {
        let mut db = stage.locked(0, &[b"a"]);
        db.remove(b"a");
        db.upsert(b"a", |set: &mut SortedSet| {
            set.set(
                b"m",
                1.0,
                super::super::PackedLimits {
                    entries: 8,
                    bytes: 8,
                },
            );
            Some(())
        })
        .unwrap();
    }
    assert_eq!(stage.told(), [told(1, "a sorted set")]);
    assert_eq!(stage.bits(b"a"), bit::AWAITED);
    push(&mut stage.locked(1, &[b"a"]), b"a", b"w");
    assert_eq!(stage.told(), [told(2, "w")]);
    assert!(stage.is_idle());
}

#[test]
fn what_is_gone_again_or_written_over_another_value_wakes_nobody() {
    let stage = Stage::new();
    let waiting = stage.wait(1, 0, Kind::List, &[b"a"], None);
    {
        let mut db = stage.locked(0, &[b"a"]);
        push(&mut db, b"a", b"x");
        db.remove(b"a");
    }
    let mut list = List::default();
    list.push(End::Head, b"x", NodeLimit::from_config(-2, 0));
    {
        let mut db = stage.locked(0, &[b"a"]);
        db.set(b"a", NewValue::Bytes(b"text"), SetExpiry::Clear);
        db.set_collection(b"a", list);
    }
    assert_eq!(stage.told(), []);
    assert!(stage.store.stop_waiting(&*waiting));
    assert!(
        !stage.store.stop_waiting(&*waiting),
        "it has stopped already"
    );
    assert!(stage.is_idle());
}

#[test]
fn what_has_expired_since_the_command_began_serves_nobody() {
    let stage = Stage::new();
    let waiting = stage.wait(1, 0, Kind::List, &[b"a"], None);
    {
        // It began at 0.
        let mut db = stage.locked(0, &[b"a"]);
        push(&mut db, b"a", b"x");
        assert!(db.set_expiry(b"a", Some(1)));
    }
    assert_eq!(stage.told(), []);
    assert!(!waiting.is_claimed());
    assert!(!stage.locked(0, &[b"a"]).contains(b"a"), "it is gone");
    push(&mut stage.locked(0, &[b"a"]), b"a", b"y");
    assert_eq!(stage.told(), [told(1, "y")]);
    assert!(stage.is_idle());
}

#[test]
fn who_needs_another_slot_has_it_locked_along() {
    let stage = Stage::new();
    stage.wait(1, 0, Kind::List, &[b"a"], Some(b"b"));
    stage.wait(2, 0, Kind::List, &[b"b"], Some(b"c"));
    stage.wait(3, 0, Kind::List, &[b"c"], Some(b"a"));
    let last = stage.wait(4, 0, Kind::List, &[b"a"], None);
    for key in SLOTS {
        assert_eq!(stage.bits(key), bit::AWAITED | bit::ENTANGLED);
        let db = stage.locked(0, &[key]);
        let covers = |other: &&[u8]| db.guard_of(Slot::of_key(other)).is_some();
        assert!(SLOTS.iter().all(covers), "{key:?}");
    }
    push(&mut stage.locked(0, &[b"a"]), b"a", b"x");
    let expected = [told(1, "x>b"), told(2, "x>c"), told(3, "x>a"), told(4, "x")];
    assert_eq!(stage.told(), expected);
    assert!(last.is_claimed() && stage.is_idle());
}

#[test]
fn what_counts_as_one_wakes_at_its_end_and_in_order() {
    let stage = Stage::new();
    stage.wait(1, 0, Kind::List, &[b"a", b"b"], None);
    stage.wait(2, 3, Kind::List, &[b"c"], None);
    stage.store.as_one(Scope::default(), || {
        push(&mut stage.locked(0, &[b"b"]), b"b", b"x");
        push(&mut stage.locked(0, &[b"a"]), b"a", b"y");
        push(&mut stage.locked(0, &[b"c"]), b"c", b"z");
        stage.store.swap_databases(0, 3);
        stage.store.swap_databases(0, 3);
        assert_eq!(stage.told(), []);
    });
    assert_eq!(stage.told(), [told(1, "x")]);
    stage.store.swap_databases(0, 3);
    assert_eq!(stage.told(), [told(2, "z")]);
    assert!(stage.is_idle());
}

#[test]
fn who_waits_in_vain_is_told_once() {
    let stage = Stage::new();
    let gone = stage.wait(1, 0, Kind::List, &[b"a"], None);
    stage.wait(2, 0, Kind::List, &[b"a", b"b"], None);
    stage.wait(3, 0, Kind::SortedSet, &[b"c"], None);
    assert!(gone.claim());
    stage
        .store
        .refuse_waiters(Some(Slot::of_key(b"a")), "MOVED", false);
    assert_eq!(stage.told(), [told(2, "MOVED false")]);
    stage.store.refuse_waiters(None, "UNBLOCKED", true);
    assert_eq!(stage.told(), [told(3, "UNBLOCKED true")]);
    assert!(stage.is_idle());
    // One that was claimed while it was about to wait is in no table.
    stage.locked(0, &[b"a"]).wait(&gone);
    assert!(stage.is_idle());
}

#[test]
fn threads_that_push_and_give_up_lose_nothing_and_serve_once() {
    const EACH: usize = 400;
    let stage = Stage::new();
    let mut popped = 0;
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let stage = &stage;
            scope.spawn(move || {
                for n in 0..EACH {
                    let key = SLOTS[(n + thread) % SLOTS.len()];
                    push(&mut stage.locked(0, &[key]), key, b"x");
                }
            });
        }
        for name in 0..2 * EACH {
            let (key, target) = (SLOTS[name % 3], SLOTS[(name + 1) % 3]);
            let mut db = stage.locked(0, &SLOTS);
            if db.peek(key).is_some() {
                pop(&mut db, key);
                popped += 1;
                continue;
            }
            // Nobody waits where there is something, so it begins before the slots are let go.
            let popper = Popper {
                name,
                target: (name % 5 == 0).then_some(target),
                told: stage.tell.clone(),
            };
            let target = popper.target;
            let waiting = Waiting::new(0, Kind::List, [key].into_iter(), target, popper);
            let waiting = Arc::new(waiting);
            db.wait(&waiting);
            drop(db);
            if name % 2 == 0 {
                let _served = stage.store.stop_waiting(&*waiting);
            } else {
                waits.push(waiting);
            }
        }
    });
    let mut db = stage.locked(0, &SLOTS);
    let lens = SLOTS.map(|key| db.read_as::<List>(key).unwrap().map_or(0, List::len));
    drop(db);
    let served = stage.told();
    let moved = served.iter().filter(|(_, what)| what.contains('>')).count();
    let left: usize = lens.iter().sum();
    assert_eq!(3 * EACH, popped + served.len() - moved + left);
    let names: HashSet<usize> = served.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), served.len(), "somebody was served twice");
    for waiting in waits.iter().filter(|waiting| !waiting.is_claimed()) {
        let at = SLOTS.iter().position(|key| **key == *waiting.keys[0]);
        assert_eq!(lens[at.unwrap()], 0, "somebody waits for what is there");
    }
}

proptest! {
    /// Whatever waits and stops, the slots say what the tables say.
    #[test]
    fn slots_say_who_waits(steps in proptest::collection::vec((0usize..8, 0usize..4, any::<bool>()), 1..60)) {
        let stage = Stage::new();
        let mut waiting: Vec<Option<Arc<Waiting<Popper>>>> = vec![None; 8];
        for (name, keys, stops) in steps {
            match waiting[name].take() {
                Some(old) if stops => {
                    prop_assert!(stage.store.stop_waiting(&*old));
                }
                Some(old) => waiting[name] = Some(old),
                None => {
                    let (keys, target): (&[&[u8]], Option<&'static [u8]>) = match keys {
                        0 => (&[b"a"], None),
                        1 => (&[b"a", b"b"], None),
                        2 => (&[b"b"], Some(b"b")),
                        _ => (&[b"b"], Some(b"c")),
                    };
                    waiting[name] = Some(stage.wait(name, 0, Kind::List, keys, target));
                }
            }
            for key in SLOTS {
                let is_waiting = |w: &&Arc<Waiting<Popper>>| w.keys.iter().any(|k| **k == *key);
                let mut here = waiting.iter().flatten().filter(is_waiting);
                let entangled = here.clone().any(|w| w.also.is_some());
                let awaited = here.next().is_some();
                let expected = if awaited { bit::AWAITED } else { 0 } | if entangled { bit::ENTANGLED } else { 0 };
                prop_assert_eq!(stage.bits(key), expected);
            }
        }
        for old in waiting.into_iter().flatten() {
            prop_assert!(stage.store.stop_waiting(&*old));
        }
        prop_assert!(stage.is_idle());
    }
}
