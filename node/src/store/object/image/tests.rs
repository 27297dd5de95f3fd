//! Packed bytes from outside, right and wrong.

use super::*;
use crate::store::entry::Digits;

const LIMITS: PackedLimits = PackedLimits {
    entries: 3,
    bytes: 64,
};

/// A listpack of strings, each an integer if it is one.
fn pack(items: &[&str]) -> Vec<u8> {
    let mut pack = Listpack::default();
    for item in items {
        pack.push(item.as_bytes());
    }
    pack.as_bytes().to_vec()
}

/// A listpack of strings of few bytes, kept as such whatever they are.
fn disguised(items: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, items.len() as u8, 0];
    for item in items {
        bytes.push(0x80 | item.len() as u8);
        bytes.extend(item.as_bytes());
        bytes.push(item.len() as u8 + 1);
    }
    bytes.push(0xff);
    bytes[0] = bytes.len() as u8;
    bytes
}

#[test]
fn a_hash_is_taken_over_as_it_is() {
    let bytes = pack(&["b", "1", "a", "x", "7", ""]);
    let hash = Hash::from_listpack(&bytes, LIMITS).unwrap();
    let object = super::super::Collection::into_object(hash);
    assert_eq!(object.image(), Some(Image::Listpack(&bytes)));
    assert_eq!(object.encoding(), "listpack");
}

#[test]
fn what_is_too_big_to_be_packed_gets_a_table() {
    let bytes = pack(&["a", "1", "b", "2", "c", "3", "d", "4"]);
    let hash = Hash::from_listpack(&bytes, LIMITS).unwrap();
    assert_eq!(hash.get(b"c"), Some(Item::Bytes(b"3")));
    assert_eq!(super::super::Collection::into_object(hash).image(), None);
    let set = SortedSet::from_listpack(&bytes, LIMITS).unwrap();
    assert!(!set.is_packed());
    assert_eq!(set.score(b"d"), Some(4.0));
    let ints = b"\x02\0\0\0\x03\0\0\0\x01\0\x02\0\x03\0";
    let set = Set::from_intset(ints, 2).unwrap();
    assert_eq!(set.len(), 3);
    assert!(set.contains(b"2"));
    let object = super::super::Collection::into_object(set);
    assert_eq!(object.encoding(), "hashtable");
}

#[test]
fn integers_in_disguise_are_found() {
    let bytes = disguised(&["12", "a", "-3", "7"]);
    let hash = Hash::from_listpack(&bytes, LIMITS).unwrap();
    assert_eq!(hash.get(b"12"), Some(Item::Bytes(b"a")));
    assert_eq!(hash.get(b"-3"), Some(Item::Int(7)));
    let mut list = List::default();
    let limit = NodeLimit::from_config(-2, usize::MAX);
    list.push_listpack(&bytes, limit).unwrap();
    assert_eq!(list.remove(b"7", super::super::End::Head, 9), 1);
    let twice = disguised(&["1", "a"]);
    let mut both = pack(&["1", "b"]);
    both.splice(both.len() - 1.., twice[6..].iter().copied());
    both[4] = 4;
    both[0] = both.len() as u8;
    let fault = Hash::from_listpack(&both, LIMITS).err().unwrap();
    assert_eq!(fault, BadImage("a field is there twice"));
}

#[test]
fn a_listpack_that_hides_its_count_is_counted_once() {
    let mut bytes = pack(&["a", "1"]);
    bytes[4..6].fill(0xff);
    let hash = Hash::from_listpack(&bytes, LIMITS).unwrap();
    let object = super::super::Collection::into_object(hash);
    assert_eq!(object.image(), Some(Image::Listpack(&pack(&["a", "1"]))));
}

#[test]
fn what_no_command_could_make_is_refused() {
    let fault = |items: &[&str]| Hash::from_listpack(&pack(items), LIMITS).err().unwrap().0;
    assert_eq!(fault(&["a"]), "a field has no value");
    assert_eq!(fault(&["a", "1", "a", "2"]), "a field is there twice");
    let fault = |items: &[&str]| {
        SortedSet::from_listpack(&pack(items), LIMITS)
            .unwrap_err()
            .0
    };
    assert_eq!(fault(&["a"]), "a member has no score");
    assert_eq!(fault(&["a", "1", "a", "2"]), "a member is there twice");
    for score in ["x", "nan", "", "1 "] {
        assert_eq!(fault(&["a", score]), "a score is no number", "{score}");
    }
    let set = Set::from_listpack(&pack(&["a", "b", "a"]), 9);
    assert_eq!(set.err(), Some(BadImage("a member is there twice")));
    for bytes in [&b""[..], b"\x07\0\0\0\0\0\0", b"\x08\0\0\0\0\0\xff\xff"] {
        assert!(Hash::from_listpack(bytes, LIMITS).is_err());
        assert!(SortedSet::from_listpack(bytes, LIMITS).is_err());
        assert!(Set::from_listpack(bytes, 9).is_err());
        assert!(Set::from_intset(bytes, 9).is_err());
        let limit = NodeLimit::from_config(-2, usize::MAX);
        assert!(List::default().push_listpack(bytes, limit).is_err());
    }
}

#[test]
fn members_are_put_in_order() {
    for items in [
        ["b", "2", "a", "1"],
        ["b", "1", "a", "1"],
        ["10", "1", "9", "1"],
        ["b", "inf", "a", "-inf"],
    ] {
        let right = [items[2], items[3], items[0], items[1]];
        let right_way = SortedSet::from_listpack(&pack(&right), LIMITS).unwrap();
        let set = SortedSet::from_listpack(&pack(&items), LIMITS).unwrap();
        // Of numbers the text counts: "10" comes before "9".
        let (first, last) = (set.nth(0).unwrap(), right_way.nth(0).unwrap());
        if items[0] != "10" {
            assert_eq!(first.0.to_vec(), items[2].as_bytes());
        }
        assert_eq!(first.0.to_vec(), last.0.to_vec());
        assert_eq!(set.len(), 2);
    }
}

#[test]
fn nodes_of_a_list_stay_as_they_are_unless_they_are_giants() {
    let limit = NodeLimit::from_config(2, usize::MAX);
    let mut list = List::default();
    let few = pack(&["a", "b", "c", "1"]);
    list.push_listpack(&few, limit).unwrap();
    list.push_listpack(&pack(&[]), limit).unwrap();
    assert_eq!((list.node(0), list.node(1)), (Some(&few[..]), None));
    list.push_listpack(&few, limit).unwrap();
    assert_eq!(
        (list.node(0), list.node(1)),
        (Some(&few[..]), Some(&few[..]))
    );
    assert_eq!((list.len(), list.node(2)), (8, None));
    let long = "x".repeat(NODE_BYTES_MAX / 2);
    list.push_listpack(&pack(&[&long, &long, "y"]), limit)
        .unwrap();
    assert_eq!((list.len(), list.nodes().0), (11, 5));
    assert_eq!(list.lone_element(1, 1), None);
    assert_eq!(list.lone_element(4, 1), Some(&b"y"[..]));
    let mut alone = List::default();
    alone.push_listpack(&pack(&[&long]), limit).unwrap();
    assert_eq!(alone.lone_element(0, long.len()), Some(long.as_bytes()));
    assert_eq!(alone.lone_element(0, long.len() + 1), None);
    let text = alone.get(0).unwrap().text(&mut Digits::default()).len();
    assert_eq!(text, long.len());
}
