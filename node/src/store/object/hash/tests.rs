//! Hashes against a map, through packed and table.

use super::super::Object;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: PackedLimits = PackedLimits {
    entries: 8,
    bytes: 12,
};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut Digits::default()).to_vec()
}

fn contents(hash: &Hash) -> Model {
    hash.iter().map(|(f, v)| (text(f), text(v))).collect()
}

fn is_packed(hash: &Hash) -> bool {
    matches!(hash.0.form(), Form::Pack(_))
}

/// What `memory` keeps count of, counted.
fn counted(hash: &Hash) -> usize {
    match hash.0.form() {
        Form::Pack(pack) => pack.memory(),
        Form::Fields(fields) => {
            size_of::<Fields>()
                + fields.table_memory()
                + fields.iter().map(Field::memory).sum::<usize>()
        }
        Form::Ints(_) | Form::Scored(_) | Form::Row(_) => 0,
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Duplicate,
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u8..30).prop_map(|n| n.to_string().into_bytes()),
        4 => (0u8..20).prop_map(|n| format!("f{n}").into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..14),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (string(), string()).prop_map(|(field, value)| Op::Set(field, value)),
        5 => string().prop_map(Op::Remove),
        1 => Just(Op::Duplicate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_behaves_like_a_map(ops in proptest::collection::vec(op(), 0..120)) {
        let (mut hash, mut model) = (Hash::default(), Model::new());
        let mut packed = true;
        for op in ops {
            match op {
                Op::Set(field, value) => {
                    packed &= field.len().max(value.len()) <= LIMITS.bytes;
                    let is_new = hash.set(&field, &value, LIMITS);
                    prop_assert_eq!(is_new, model.insert(field, value).is_none());
                    packed &= model.len() <= LIMITS.entries;
                }
                Op::Remove(field) => {
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                }
                Op::Duplicate => {
                    let copy = Object(hash.0.duplicate());
                    prop_assert_eq!(copy.type_name(), "hash");
                    let copy = Hash::of(&copy).map(contents);
                    prop_assert_eq!(copy.as_ref(), Some(&model));
                }
            }
            prop_assert_eq!(is_packed(&hash), packed);
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.is_empty(), model.is_empty());
            prop_assert_eq!(contents(&hash), model.clone());
            prop_assert_eq!(hash.0.memory(), counted(&hash));
        }
        for (field, value) in model {
            prop_assert!(hash.contains(&field));
            prop_assert_eq!(hash.get(&field).map(text), Some(value));
        }
    }
}

#[test]
fn a_limit_that_was_lowered_counts_at_the_next_change() {
    let mut hash = Hash::default();
    for field in [b"a", b"b", b"c"] {
        hash.set(field, b"1", LIMITS);
    }
    let lower = PackedLimits {
        entries: 2,
        ..LIMITS
    };
    assert!(is_packed(&hash));
    assert!(!hash.set(b"a", b"2", lower));
    assert!(!is_packed(&hash) && hash.len() == 3);
}

#[test]
fn a_small_hash_is_its_listpack_and_one_word() {
    let mut hash = Hash::default();
    for n in 0..5 {
        let (field, value) = (format!("field{n}"), format!("val{n:07}"));
        hash.set(field.as_bytes(), value.as_bytes(), LIMITS);
    }
    assert_eq!(size_of::<Object>(), 8);
    assert_eq!(hash.0.memory(), 112);
}

#[test]
fn a_draw_gives_what_was_asked_for() {
    let mut random = fastrand::Rng::with_seed(1);
    for len in [3, 100] {
        let mut hash = Hash::default();
        for n in 0..len {
            hash.set(format!("f{n}").as_bytes(), b"v", LIMITS);
        }
        for (draw, count) in [
            (Draw::Distinct(2), 2),
            (Draw::Distinct(len - 1), len - 1),
            (Draw::Distinct(len + 1), len),
            (Draw::Repeated(3 * len), 3 * len),
        ] {
            let mut drawn = Vec::new();
            hash.draw(draw, &mut random, |field, _| drawn.push(text(field)));
            assert_eq!((drawn.len(), draw.count(len)), (count, count), "{draw:?}");
            assert!(drawn.iter().all(|field| hash.contains(field)));
            if matches!(draw, Draw::Distinct(_)) {
                drawn.sort();
                drawn.dedup();
                assert_eq!(drawn.len(), count, "{draw:?}");
            }
        }
    }
}
