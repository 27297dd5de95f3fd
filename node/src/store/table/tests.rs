//! Tests of tables.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::store::entry::NewValue;

const HASHER: KeyHasher = KeyHasher::with_key(1, 2);
const KEYS: u32 = if cfg!(miri) { 120 } else { 2000 };

fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn insert(table: &mut Table, number: u32) {
    let key = key(number);
    let entry = Entry::new(&key, NewValue::Int(i64::from(number)), None, 0);
    table.insert(HASHER.hash(&key), entry, HASHER);
}

fn remove(table: &mut Table, number: u32) -> bool {
    let key = key(number);
    table
        .find(HASHER.hash(&key), &key)
        .and_then(|place| table.remove(place, HASHER))
        .is_some()
}

fn filled(keys: u32) -> Table {
    let mut table = Table::default();
    for number in 0..keys {
        insert(&mut table, number);
    }
    table
}

fn full_scan(table: &Table, count: usize) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut from = Some(0);
    while let Some(at) = from {
        from = table.scan(at, count, HASHER, |entry| seen.push(entry.key().to_vec()));
    }
    seen
}

#[test]
fn an_empty_table_has_no_memory_of_its_own() {
    assert_eq!(size_of::<Table>(), size_of::<Segment>());
    assert_eq!(<Table>::default().memory(), 0);
}

#[test]
fn growing_and_emptying_gives_the_memory_back() {
    let mut table = filled(KEYS);
    assert!(matches!(table.0, Form::Many(_)));
    for number in 0..KEYS {
        assert!(remove(&mut table, number));
        assert!(!remove(&mut table, number));
    }
    assert!(matches!(table.0, Form::One(_)));
    assert!(table.memory() < 200, "{}", table.memory());
}

#[test]
fn churn_at_a_steady_size_does_not_grow_the_table() {
    let mut table = filled(200.min(KEYS));
    let mut largest = 0;
    for number in 0..KEYS {
        remove(&mut table, number);
        insert(&mut table, number + 200.min(KEYS));
        largest = largest.max(table.memory());
    }
    assert!(largest < 200 * 9 * 8, "{largest}");
}

#[test]
fn a_scan_of_an_unchanging_table_meets_each_entry_once() {
    let table = filled(KEYS);
    for count in [1, 7, 100, 100_000] {
        let seen = full_scan(&table, count);
        assert_eq!(seen.len(), KEYS as usize);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), KEYS as usize);
    }
}

#[test]
fn a_scan_returns_as_many_as_asked() {
    let table = filled(KEYS);
    let mut from = Some(0);
    while let Some(at) = from {
        let mut seen = 0;
        from = table.scan(at, 10, HASHER, |_| seen += 1);
        assert!(seen == 10 || from.is_none(), "{seen}");
    }
}

#[test]
fn sampling_meets_every_entry_in_time() {
    let table = filled(60);
    let mut random = fastrand::Rng::with_seed(7);
    let mut drawn: HashMap<&[u8], u32> = HashMap::new();
    for _ in 0..6000 {
        let entry = table.random(&mut random).unwrap();
        *drawn.entry(entry.key()).or_default() += 1;
    }
    assert_eq!(drawn.len(), 60);
    // A hundred expected each; segments differ in how full they are, hence the room.
    assert!(drawn.values().all(|times| (30..300).contains(times)));
    let mut seen = 0;
    table.sample(&mut random, |_| {
        seen += 1;
        seen < 3
    });
    assert_eq!(seen, 3);
}

#[test]
fn a_sweep_goes_through_all_segments() {
    let mut table = filled(KEYS);
    let (mut from, mut removed) = (Some(0), 0);
    while let Some(at) = from {
        from = table.sweep(
            at,
            HASHER,
            |entry| entry.key().ends_with(b"7"),
            |_| removed += 1,
        );
    }
    assert_eq!(removed, KEYS / 10);
    assert_eq!(table.len() as u32, KEYS - KEYS / 10);
    assert_eq!(table.iter().count(), table.len());
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u32),
    Remove(u32),
    RemoveRange(u32, u32),
    Scan(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let number = 0..KEYS / 4;
    prop_oneof![
        8 => number.clone().prop_map(Op::Insert),
        4 => number.clone().prop_map(Op::Remove),
        1 => (number.clone(), 0..KEYS / 4).prop_map(|(from, n)| Op::RemoveRange(from, n)),
        4 => (1usize..40).prop_map(Op::Scan),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Keys 0 to 9 stay throughout; scans run while everything else changes.
    #[test]
    fn it_behaves_like_a_map_and_scans_keep_their_guarantee(
        ops in proptest::collection::vec(op(), 0..400)
    ) {
        let mut table = filled(10);
        let mut model: HashSet<u32> = (0..10).collect();
        let mut seen = HashSet::new();
        let mut from = 0;
        for op in ops {
            match op {
                Op::Insert(number) => {
                    let key = key(number);
                    let found = table.find(HASHER.hash(&key), &key).is_some();
                    prop_assert_eq!(found, !model.insert(number));
                    if !found {
                        insert(&mut table, number);
                    }
                }
                Op::Remove(number) if number >= 10 => {
                    prop_assert_eq!(remove(&mut table, number), model.remove(&number));
                }
                Op::Remove(_) => {}
                Op::RemoveRange(first, n) => {
                    for number in first.max(10)..first + n {
                        prop_assert_eq!(remove(&mut table, number), model.remove(&number));
                    }
                }
                Op::Scan(count) => {
                    let next = table.scan(from, count, HASHER, |entry| {
                        seen.insert(entry.key().to_vec());
                    });
                    from = next.unwrap_or(0);
                    if next.is_none() {
                        prop_assert!((0..10).all(|number| seen.contains(&key(number))));
                        seen.clear();
                    }
                }
            }
            prop_assert_eq!(table.len(), model.len());
        }
        let all: HashSet<Vec<u8>> = full_scan(&table, 5).into_iter().collect();
        prop_assert_eq!(all, model.into_iter().map(key).collect());
    }
}
