//! Listpacks against a list of strings, and against bytes that Redis writes.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn pack(items: &[&[u8]]) -> Listpack {
    let mut pack = Listpack::default();
    for item in items {
        pack.push(item);
    }
    pack
}

fn strings(pack: &Listpack) -> Vec<Vec<u8>> {
    let text = |item: Item<'_>| item.text(&mut Digits::default()).to_vec();
    pack.iter().map(text).collect()
}

/// What `DUMP` of a hash on redis-server 7.0.15 has between type byte and version.
#[test]
fn bytes_are_those_of_redis() {
    // HSET h a 1 bc -5 d 70000
    let bytes = b"\x1e\x00\x00\x00\x06\x00\x81a\x02\x01\x01\x82bc\x03\xdf\xfb\x02\x81d\x02\xf2\x70\x11\x01\x04";
    let mut expected = bytes.to_vec();
    expected.push(END);
    expected[0] = expected.len() as u8;
    let made = pack(&[b"a", b"1", b"bc", b"-5", b"d", b"70000"]);
    assert_eq!(made.as_bytes(), expected);
    assert_eq!(Listpack::from_bytes(&expected), Some(made));
}

#[test]
fn numbers_take_the_bytes_that_they_need() {
    let cases: &[(i64, usize)] = &[
        (0, 1),
        (127, 1),
        (128, 2),
        (-1, 2),
        (-4096, 2),
        (4095, 2),
        (4096, 3),
        (-4097, 3),
        (32_767, 3),
        (-32_769, 4),
        (8_388_607, 4),
        (8_388_608, 5),
        (i64::from(i32::MIN), 5),
        (i64::from(i32::MAX) + 1, 9),
        (i64::MIN, 9),
        (i64::MAX, 9),
    ];
    for (number, len) in cases {
        let one = pack(&[number.to_string().as_bytes()]);
        assert_eq!(one.byte_len(), HEADER + 1 + len + 1, "{number}");
        assert_eq!(one.item(one.first().unwrap()), Item::Int(*number));
    }
}

#[test]
fn lengths_at_every_border_are_read_from_both_ends() {
    for len in [
        0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096, 16_370, 16_377, 16_378, 16_379, 16_383,
        2_097_140, 2_097_146, 2_097_147,
    ] {
        let long = vec![b'x'; len];
        let pack = pack(&[b"before", &long, b"after"]);
        let expected: Vec<&[u8]> = vec![b"before", &long, b"after"];
        assert_eq!(strings(&pack), expected, "{len}");
        let middle = pack.nth(1).unwrap();
        assert_eq!(pack.prev(pack.last().unwrap()), Some(middle), "{len}");
        assert_eq!(pack.item(middle), Item::Bytes(&long));
        assert!(Listpack::from_bytes(pack.as_bytes()).is_some());
    }
}

#[test]
fn more_elements_than_the_header_tells_are_counted() {
    let mut pack = Listpack::default();
    for _ in 0..70_000 {
        pack.push(b"7");
    }
    assert_eq!(pack.len(), 70_000);
    assert_eq!(pack.nth(-70_000), pack.first());
    pack.remove(pack.nth(10).unwrap(), 69_000);
    assert_eq!(pack.len(), 1000);
}

#[test]
fn what_is_not_found_is_not_there() {
    let pack = pack(&[b"f1", b"v", b"f2", b"f1", b"12", b"x"]);
    let find = |what: &[u8], step| pack.find(pack.first(), what, step);
    assert_eq!(find(b"f1", 2), pack.first());
    assert_eq!(find(b"v", 2), None);
    assert_eq!(find(b"12", 2), pack.nth(4));
    assert_eq!(find(b"012", 1), None);
    assert_eq!(pack.nth(6), None);
    assert_eq!(pack.nth(-7), None);
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    PushFront(Vec<u8>),
    Before(usize, Vec<u8>),
    After(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Split(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0usize..40;
    prop_oneof![
        element().prop_map(Step::Push),
        element().prop_map(Step::PushFront),
        (at.clone(), element()).prop_map(|(at, e)| Step::Before(at, e)),
        (at.clone(), element()).prop_map(|(at, e)| Step::After(at, e)),
        (at.clone(), element()).prop_map(|(at, e)| Step::Replace(at, e)),
        (at.clone(), 0usize..5).prop_map(|(at, n)| Step::Remove(at, n)),
        at.prop_map(Step::Split),
    ]
}

/// Does a step to both; places are taken modulo the length.
fn apply(step: Step, pack: &mut Listpack, model: &mut VecDeque<Vec<u8>>) {
    let place = |pack: &Listpack, n: usize| {
        let index = n % pack.len().max(1);
        pack.nth(index as i64).map(|at| (index, at))
    };
    match step {
        Step::Push(e) => {
            pack.push(&e);
            model.push_back(e);
        }
        Step::PushFront(e) => {
            pack.push_front(&e);
            model.push_front(e);
        }
        Step::Before(n, e) => {
            if let Some((index, at)) = place(pack, n) {
                pack.insert_before(at, &e);
                model.insert(index, e);
            }
        }
        Step::After(n, e) => {
            if let Some((index, at)) = place(pack, n) {
                let there = pack.insert_after(at, &e);
                assert!(pack.item(there).is(Wanted::from(e.as_slice())));
                model.insert(index + 1, e);
            }
        }
        Step::Replace(n, e) => {
            if let Some((index, at)) = place(pack, n) {
                pack.replace(at, &e);
                model[index] = e;
            }
        }
        Step::Remove(n, count) => {
            if let Some((index, at)) = place(pack, n) {
                let behind = pack.remove(at, count);
                let end = (index + count).min(model.len());
                assert_eq!(behind.is_some(), end < model.len());
                model.drain(index..end);
            }
        }
        Step::Split(n) => {
            if let Some((index, at)) = place(pack, n) {
                let tail = pack.split_off(at);
                assert_eq!((pack.len(), tail.len()), (index, model.len() - index));
                pack.append(&tail);
            }
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
    fn it_does_what_a_list_does(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut pack, mut model) = (Listpack::default(), VecDeque::new());
        for step in steps {
            apply(step, &mut pack, &mut model);
            prop_assert_eq!(pack.len(), model.len());
            prop_assert_eq!(pack.is_empty(), model.is_empty());
        }
        let expected: Vec<Vec<u8>> = model.into();
        prop_assert_eq!(strings(&pack), expected.clone());
        let text = |item: Item<'_>| item.text(&mut Digits::default()).to_vec();
        let mut backwards: Vec<_> = pack.iter().rev().map(text).collect();
        backwards.reverse();
        prop_assert_eq!(backwards, expected);
        let copy = Listpack::from_bytes(pack.as_bytes());
        prop_assert_eq!(copy, Some(pack));
    }

    #[test]
    fn rubbish_is_refused_or_read_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 7..100),
        items in proptest::collection::vec(element(), 0..6),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let total = (bytes.len() as u32).to_le_bytes();
        bytes[..4].copy_from_slice(&total);
        let mut nearly = Listpack::default();
        items.iter().for_each(|item| nearly.push(item));
        let mut nearly = nearly.as_bytes().to_vec();
        for (index, byte) in flips {
            let at = index.index(nearly.len());
            nearly[at] = byte;
        }
        for bytes in [bytes, nearly] {
            if let Some(pack) = Listpack::from_bytes(&bytes) {
                let forwards = pack.iter().count();
                prop_assert_eq!(forwards, pack.iter().rev().count());
                prop_assert_eq!(forwards, pack.len());
            }
        }
    }
}
