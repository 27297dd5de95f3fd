//! Lists against a deque.

use std::collections::VecDeque;

use super::*;
use crate::store::entry::Digits;
use crate::store::object::Object;
use proptest::prelude::*;

const NEVER: usize = usize::MAX;

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut Digits::default()).to_vec()
}

fn all(list: &List) -> Vec<Vec<u8>> {
    list.iter_from(0).map(text).collect()
}

/// The listpacks with their counts.
fn nodes(list: &List) -> Vec<(&Listpack, usize)> {
    match list.0.form() {
        Form::Pack(pack) => vec![(pack, pack.len())],
        Form::Row(row) => {
            let nodes = row.nodes.iter();
            nodes
                .map(|node| (&node.pack, node.count as usize))
                .collect()
        }
        _ => panic!("a list is a listpack or a row of them"),
    }
}

/// Checks the invariants of the modules' pages.
fn check(list: &List) {
    let Form::Row(row) = list.0.form() else {
        return;
    };
    assert!(row.nodes.len() > 1, "one listpack needs no row");
    assert!(row.nodes.iter().all(|node| node.count > 0));
    for node in &row.nodes {
        assert_eq!(node.count as usize, node.pack.len());
    }
    let len: usize = row.nodes.iter().map(|node| node.count as usize).sum();
    let bytes: usize = row.nodes.iter().map(|node| node.pack.memory()).sum();
    assert_eq!((row.len, row.bytes), (len, bytes));
}

#[test]
fn nodes_stay_within_the_limit_and_giants_stand_alone() {
    let mut list = List::default();
    for n in 0..1000 {
        let limit = NodeLimit::from_config(-1, NEVER);
        list.push(End::Tail, format!("element {n}").as_bytes(), limit);
        if n % 100 == 0 {
            list.push(End::Tail, &[b'x'; 10_000], limit);
        }
    }
    check(&list);
    for (pack, count) in nodes(&list) {
        assert!(
            pack.byte_len() <= 4096 || count == 1,
            "{}, {count}",
            pack.byte_len()
        );
    }
}

#[test]
fn elements_can_be_made_to_stand_alone() {
    let limit = NodeLimit::from_config(-2, 3);
    let mut list = List::default();
    for element in ["ab", "cd", "efg", "hi", "jk"] {
        list.push(End::Tail, element.as_bytes(), limit);
    }
    assert_eq!(
        nodes(&list).iter().map(|node| node.1).collect::<Vec<_>>(),
        [2, 1, 2]
    );
    assert!(list.set(0, b"abc", limit));
    assert!(list.insert(b"jk", Side::Before, b"ijk", limit));
    check(&list);
    assert_eq!(
        nodes(&list).iter().map(|node| node.1).collect::<Vec<_>>(),
        [1; 7][..6]
    );
    assert_eq!(
        all(&list),
        ["abc", "cd", "efg", "hi", "ijk", "jk"].map(|e| e.as_bytes().to_vec())
    );
}

#[test]
fn a_list_has_a_row_only_while_it_needs_one() {
    let limit = NodeLimit::from_config(2, NEVER);
    let mut list = List::default();
    let is_row = |list: &List| matches!(list.0.form(), Form::Row(_));
    for (element, expected) in [("a", false), ("b", false), ("c", true)] {
        list.push(End::Tail, element.as_bytes(), limit);
        assert_eq!(is_row(&list), expected);
    }
    list.pop(End::Tail, 1, |_| {});
    assert!(!is_row(&list));
    assert!(list.insert(b"b", Side::Before, b"c", limit));
    assert!(is_row(&list));
    list.keep(1, 1);
    assert!(!is_row(&list));
    assert_eq!(all(&list), [b"c"]);
    assert_eq!(list.into_object().encoding(), "quicklist");
}

#[test]
fn what_a_list_holds_is_known_without_summing() {
    let mut list = List::default();
    let mut push = |count: usize| {
        for n in 0..count {
            list.push(
                End::Tail,
                n.to_string().as_bytes(),
                NodeLimit::from_config(-2, NEVER),
            );
        }
        list.0.memory()
    };
    assert!(push(10) <= 48);
    let big = push(100_000);
    // Numbers of up to five digits take five bytes at most, and some nodes are not full.
    assert!((300_000..600_000).contains(&big), "{big}");
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<u8>),
    Pop(bool, usize),
    Set(i64, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Remove(usize, bool, usize),
    Keep(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let element = || {
        prop_oneof![
            (0u8..6).prop_map(|n| n.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..30),
        ]
    };
    prop_oneof![
        4 => (any::<bool>(), element()).prop_map(|(end, e)| Step::Push(end, e)),
        1 => (any::<bool>(), 0usize..6).prop_map(|(end, n)| Step::Pop(end, n)),
        1 => (-30i64..30, element()).prop_map(|(at, e)| Step::Set(at, e)),
        1 => (0usize..30, any::<bool>(), element()).prop_map(|(at, b, e)| Step::Insert(at, b, e)),
        1 => (0usize..30, any::<bool>(), 0usize..3).prop_map(|(at, end, n)| Step::Remove(at, end, n)),
        1 => (0usize..5, 0usize..60).prop_map(|(at, n)| Step::Keep(at, n)),
    ]
}

fn end(is_head: bool) -> End {
    if is_head { End::Head } else { End::Tail }
}

fn side(is_before: bool) -> Side {
    if is_before { Side::Before } else { Side::After }
}

fn apply(step: Step, list: &mut List, model: &mut VecDeque<Vec<u8>>, limit: NodeLimit) {
    match step {
        Step::Push(true, e) => {
            list.push(End::Head, &e, limit);
            model.push_front(e);
        }
        Step::Push(false, e) => {
            list.push(End::Tail, &e, limit);
            model.push_back(e);
        }
        Step::Pop(is_head, count) => {
            let (mut taken, mut expected) = (Vec::new(), Vec::new());
            list.pop(end(is_head), count, |e| taken.push(text(e)));
            for _ in 0..count {
                let next = if is_head {
                    model.pop_front()
                } else {
                    model.pop_back()
                };
                expected.extend(next);
            }
            assert_eq!(taken, expected);
        }
        Step::Set(index, e) => {
            let len = model.len() as i64;
            let at = if index < 0 { index + len } else { index };
            let is_there = (0..len).contains(&at);
            assert_eq!(list.set(index, &e, limit), is_there);
            if is_there {
                model[at as usize] = e;
            }
        }
        Step::Insert(at, is_before, e) => {
            let pivot = model.get(at).cloned().unwrap_or_else(|| b"none".to_vec());
            let place = model.iter().position(|other| *other == pivot);
            assert_eq!(
                list.insert(&pivot, side(is_before), &e, limit),
                place.is_some()
            );
            if let Some(place) = place {
                model.insert(place + usize::from(!is_before), e);
            }
        }
        Step::Remove(at, is_head, most) => {
            let wanted = model.get(at).cloned().unwrap_or_else(|| b"none".to_vec());
            let mut gone = 0;
            let mut places: Vec<usize> = (0..model.len()).collect();
            if !is_head {
                places.reverse();
            }
            let mut doomed: Vec<usize> = places
                .into_iter()
                .filter(|place| model[*place] == wanted)
                .take(most)
                .collect();
            doomed.sort_unstable();
            for place in doomed.into_iter().rev() {
                model.remove(place);
                gone += 1;
            }
            assert_eq!(list.remove(&wanted, end(is_head), most), gone);
        }
        Step::Keep(position, count) => {
            list.keep(position, count);
            let kept = model.iter().skip(position).take(count).cloned().collect();
            *model = kept;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 4 } else { 256 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_a_deque_does(
        steps in proptest::collection::vec(step(), 1..150),
        size in prop_oneof![Just(1i64), Just(3), Just(7), Just(-1)],
        alone in prop_oneof![Just(NEVER), Just(10)],
    ) {
        let limit = NodeLimit::from_config(size, alone);
        let (mut list, mut model) = (List::default(), VecDeque::new());
        for step in steps {
            apply(step, &mut list, &mut model, limit);
            check(&list);
            prop_assert_eq!(list.len(), model.len());
        }
        let expected: Vec<Vec<u8>> = model.into();
        prop_assert_eq!(all(&list), expected.clone());
        let mut backwards: Vec<_> = list.backwards().map(text).collect();
        backwards.reverse();
        prop_assert_eq!(&backwards, &expected);
        for (at, element) in expected.iter().enumerate() {
            prop_assert_eq!(&list.get(at as i64).map(text), &Some(element.clone()));
            let from_end = at as i64 - expected.len() as i64;
            prop_assert_eq!(&list.get(from_end).map(text), &Some(element.clone()));
            prop_assert_eq!(list.iter_from(at).count(), expected.len() - at);
        }
        let object: Object = list.into_object();
        let copy = object.duplicate();
        let copy = List::of(&copy).unwrap();
        check(copy);
        prop_assert_eq!(all(copy), expected);
    }
}
