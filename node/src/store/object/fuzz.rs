//! What packed bytes from outside must bear: for the random tests and cargo-fuzz.
//!
//! Bytes that are refused are none of anybody's business. Those that are taken are read from both
//! ends, changed at every place that they choose themselves, and must still be whole.

use std::collections::BTreeSet;

use super::Intset;
use super::listpack::{Item, Listpack};
use crate::store::entry::Digits;

/// As many changes are made at most: a change may move everything behind it.
const CHANGES_MAX: usize = 32;

fn text(item: Item<'_>) -> Vec<u8> {
    item.text(&mut Digits::default()).to_vec()
}

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(text).collect()
}

/// Takes bytes as a listpack. How many elements it has, and how many of them are integers; `None`
/// if it is none.
#[must_use]
pub fn fuzz_listpack(data: &[u8]) -> Option<(usize, usize)> {
    let pack = Listpack::from_bytes(data)?;
    assert_eq!(pack.as_bytes(), data, "nothing is changed on the way in");
    let items = texts(&pack);
    assert_eq!(pack.len(), items.len());
    assert_eq!(pack.is_empty(), items.is_empty());
    let mut back: Vec<_> = pack.iter().rev().map(text).collect();
    back.reverse();
    assert_eq!(items, back, "read from the end");
    let mut at = pack.first();
    for item in &items {
        let found = at.map(|at| text(pack.item(at)));
        assert_eq!(found.as_ref(), Some(item), "read from the start");
        assert!(pack.find(pack.first(), item, 1).is_some(), "it is found");
        at = at.and_then(|at| pack.next(at));
    }
    assert_eq!(at, None);
    change(pack.clone(), items, data);
    let is_int = |item: &Item<'_>| matches!(item, Item::Int(_));
    Some((pack.len(), pack.iter().filter(is_int).count()))
}

/// Changes a listpack as its own bytes say, and a list of what is in it likewise.
fn change(mut pack: Listpack, mut items: Vec<Vec<u8>>, data: &[u8]) {
    for (step, byte) in data.iter().rev().take(CHANGES_MAX).enumerate() {
        let index = usize::from(*byte) / 4 % items.len().max(1);
        let place = i64::try_from(index).ok().and_then(|index| pack.nth(index));
        let new = data.get(..step.saturating_mul(9)).unwrap_or_default();
        match (byte % 4, place) {
            (_, None) | (0, _) => {
                pack.push(new);
                items.push(new.to_vec());
            }
            (1, Some(place)) => {
                pack.insert_before(place, new);
                items.insert(index, new.to_vec());
            }
            (2, Some(place)) => {
                pack.replace(place, new);
                items.splice(index..=index, [new.to_vec()]);
            }
            (_, Some(place)) => {
                pack.remove(place, step);
                items.drain(index..items.len().min(index.saturating_add(step)));
            }
        }
        assert_eq!(texts(&pack), items, "changed");
    }
    let again = Listpack::from_bytes(pack.as_bytes());
    assert_eq!(again.as_ref(), Some(&pack), "what was changed is whole");
}

/// Takes bytes as an intset. How many numbers it has, and its bytes after some changes; `None` if
/// it is none.
#[must_use]
pub fn fuzz_intset(data: &[u8]) -> Option<(usize, usize)> {
    let mut ints = Intset::from_bytes(data)?;
    assert_eq!(ints.as_bytes(), data, "nothing is changed on the way in");
    let mut model: BTreeSet<i64> = ints.iter().collect();
    let count = ints.len();
    assert_eq!(count, model.len(), "each is there once");
    assert_eq!(ints.is_empty(), model.is_empty());
    for number in &model {
        assert!(ints.contains(*number));
    }
    for chunk in data.rchunks(3).take(CHANGES_MAX) {
        let number = chunk.iter().fold(0, |sum: i64, byte| {
            // Of all widths, and of both signs.
            sum.wrapping_mul(0x1_0001_0001)
                .wrapping_add(i64::from(*byte) - 100)
        });
        assert_eq!(ints.contains(number), model.contains(&number));
        if chunk.first().is_some_and(|byte| byte % 3 == 0) {
            let least = model.first().copied().unwrap_or(number);
            assert_eq!(ints.remove(least), model.remove(&least));
        } else {
            assert_eq!(ints.add(number), model.insert(number));
        }
        assert!(ints.iter().eq(model.iter().copied()), "changed");
    }
    let again = Intset::from_bytes(ints.as_bytes());
    let is_whole = again.is_some_and(|again| again.iter().eq(model));
    assert!(is_whole, "what was changed is whole");
    Some((count, ints.as_bytes().len()))
}
