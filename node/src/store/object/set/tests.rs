//! Sets against a set, through intset and table.

use super::super::Object;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const INTS_MAX: usize = 6;

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut Digits::default()).to_vec()
}

fn contents(set: &Set) -> BTreeSet<Vec<u8>> {
    set.iter().map(text).collect()
}

fn is_ints(set: &Set) -> bool {
    matches!(set.0.form(), Form::Ints(_))
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (-8i64..8).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop_oneof![Just("07"), Just("-0"), Just(""), Just("a")]
            .prop_map(|s| s.as_bytes().to_vec()),
        1 => (62usize..67).prop_map(|len| vec![b'x'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_behaves_like_a_set(
        ops in proptest::collection::vec((0u8..12, member()), 0..60)
    ) {
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        let mut ints = true;
        for (op, member) in ops {
            match op {
                0..6 => {
                    ints &= strict_integer(&member).is_some();
                    prop_assert_eq!(set.add(&member, INTS_MAX), model.insert(member));
                    ints &= model.len() <= INTS_MAX;
                }
                6..11 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                _ => {
                    let copy = Object(set.0.duplicate());
                    prop_assert_eq!(copy.type_name(), "set");
                    let copy = Set::of(&copy).map(contents);
                    prop_assert_eq!(copy.as_ref(), Some(&model));
                }
            }
            prop_assert_eq!(is_ints(&set), ints);
            prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(contents(&set), model.clone());
        }
        let other = [b"1".to_vec(), b"a".to_vec()];
        for member in model.iter().chain(&other) {
            prop_assert_eq!(set.contains(member), model.contains(member));
            let item = strict_integer(member).map_or(Item::Bytes(member), Item::Int);
            prop_assert_eq!(set.has(item), model.contains(member));
        }
    }
}

#[test]
fn a_listpack_holds_as_many_as_it_may_and_then_becomes_a_table() {
    let is_pack = |set: &Set| matches!(set.0.form(), Form::Pack(_));
    for first in [&b"a"[..], b"-7"] {
        let mut set = Set::default();
        let mut model = BTreeSet::from([first.to_vec(), b"x".to_vec()]);
        assert!(set.add(first, INTS_MAX) && set.add(b"x", INTS_MAX));
        for number in 2..PACKED.entries {
            assert!(is_pack(&set), "{number}");
            let member = number.to_string().into_bytes();
            assert!(set.add(&member, INTS_MAX) && !set.add(&member, INTS_MAX));
            model.insert(member);
        }
        assert!(is_pack(&set) && contents(&set) == model);
        assert!(set.add(b"one more", INTS_MAX) && !is_pack(&set));
        model.insert(b"one more".to_vec());
        assert_eq!(contents(&set), model);
        assert_eq!(Object(set.0.duplicate()).encoding(), "hashtable");
    }
    let mut set = Set::default();
    set.add(b"a", INTS_MAX);
    assert!(set.add(&[b'x'; 64], INTS_MAX) && is_pack(&set));
    let object = Object(set.0.duplicate());
    assert_eq!((object.encoding(), object.packed()), ("hashtable", None));
    assert_eq!(object.table().map(|(len, _)| len), Some(2));
    assert!(set.add(&[b'x'; 65], INTS_MAX) && !is_pack(&set));
    assert_eq!(set.len(), 3);
}

#[test]
fn an_intset_that_outgrows_a_listpack_becomes_a_table() {
    let mut set = Set::default();
    for number in 0..200 {
        set.add(number.to_string().as_bytes(), 512);
    }
    assert!(is_ints(&set) && set.add(b"a", 512));
    assert!(matches!(set.0.form(), Form::Fields(_)));
    assert_eq!(set.len(), 201);
}

#[test]
fn all_members_are_drawn_alike() {
    let mut random = fastrand::Rng::with_seed(7);
    for len in [5u64, 60] {
        let mut set = Set::default();
        for n in 0..len {
            set.add(n.to_string().as_bytes(), INTS_MAX);
        }
        for draw in [Draw::Repeated(200), Draw::Distinct(1), Draw::Distinct(4)] {
            let mut seen = BTreeMap::<Vec<u8>, u64>::new();
            let mut draws = 0;
            while draws < 1000 * len {
                set.draw(draw, &mut random, |member| {
                    *seen.entry(text(member)).or_default() += 1;
                    draws += 1;
                });
            }
            assert_eq!(seen.len() as u64, len);
            let mean = draws / len;
            for (member, count) in seen {
                assert!(
                    count.abs_diff(mean) < mean / 5,
                    "{draw:?}: {member:?} {count} times of {mean}"
                );
            }
        }
    }
}

#[test]
fn a_scan_meets_all_that_stays_while_the_set_grows_and_shrinks() {
    let mut set = Set::default();
    let name = |n: u32| format!("m{n}").into_bytes();
    (0..500).for_each(|n| assert!(set.add(&name(n), INTS_MAX)));
    let (mut seen, mut cursor, mut turn) = (BTreeSet::new(), 0, 0);
    loop {
        cursor = set.scan(cursor, 10, |member| {
            seen.insert(text(member));
        });
        if cursor == 0 {
            break;
        }
        for n in 1000..1600 {
            if turn % 2 == 0 {
                set.add(&name(n), INTS_MAX);
            } else {
                set.remove(&name(n));
            }
        }
        turn += 1;
    }
    assert!(turn > 20);
    assert!((0..500).all(|n| seen.contains(&name(n))));
}
