//! What is written is what redis-server 7.0.15 writes, and the same in small steps as at once.

use slotilla_common::rdb;

use super::*;
use crate::store::{End, Entry, NewValue, NodeLimit, PackedLimits};

const LIMITS: PackedLimits = PackedLimits {
    entries: 128,
    bytes: 64,
};

/// DUMP's payload in hexadecimal.
fn dump(value: NewValue<'_>) -> String {
    let entry = Entry::new(b"key", value, None, 0);
    let mut writer = Writer::new(Vec::new(), usize::MAX);
    writer.byte(value_type(entry.value()).number()).unwrap();
    save(entry.value(), SaveOptions::default(), &mut writer).unwrap();
    writer.seal().unwrap();
    let payload = writer.finish().unwrap();
    assert!(rdb::open(&payload).is_ok());
    payload.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn object<C: Collection>(collection: C) -> NewValue<'static> {
    NewValue::Object(collection.into_object())
}

fn list(elements: &[&str]) -> List {
    let mut list = List::default();
    let limit = NodeLimit::from_config(-2, usize::MAX);
    for element in elements {
        list.push(End::Tail, element.as_bytes(), limit);
    }
    list
}

fn set(members: &[&str]) -> Set {
    let mut set = Set::default();
    for member in members {
        set.add(member.as_bytes(), 512);
    }
    set
}

/// All of these were given by DUMP.
#[test]
fn small_values_are_written_as_redis_writes_them() {
    assert_eq!(
        dump(NewValue::encoded(b"hello")),
        "000568656c6c6f0a006372df766534200a"
    );
    assert_eq!(
        dump(NewValue::encoded(b"-12345")),
        "00c1c7cf0a0067eda236b4db26d0"
    );
    assert_eq!(
        dump(NewValue::encoded(&[b'a'; 100])),
        "00c3094064016161e057000161610a00e8a3b507b06df271"
    );
    assert_eq!(
        dump(object(set(&["1", "70000"]))),
        "0b10040000000200000001000000701101000a002735436efd6656c4"
    );
    // Members of a table have no order; theirs came the other way round.
    assert!(dump(object(set(&["a", "b"]))).starts_with("0202016101620a00"));
    assert_eq!(
        dump(object(list(&[
            "a",
            "b",
            "1",
            "-1",
            "300",
            "70000",
            "5000000000"
        ]))),
        "120102242400000007008161028162020101dfff02c12c02f270110104f400f2052a0100000009ff0a000e792e0f\
         14491f6e"
    );
    let mut hash = Hash::default();
    hash.set(b"f", b"v", LIMITS);
    hash.set(b"n", b"10", LIMITS);
    assert_eq!(
        dump(object(hash)),
        "1012120000000400816602817602816e020a01ff0a0045f842d8ea0693ca"
    );
    let mut hash = Hash::default();
    hash.set(b"f1", &[b'x'; 65], LIMITS);
    hash.remove(b"f1");
    hash.set(b"f1", b"v", LIMITS);
    hash.set(b"f", b"v", LIMITS);
    hash.remove(b"f1");
    assert_eq!(dump(object(hash)), "0401016601760a00adf24356b1860efc");
    let mut sorted = SortedSet::default();
    sorted.set(b"a", 1.0, LIMITS);
    sorted.set(b"b", 2.5, LIMITS);
    assert_eq!(
        dump(object(sorted)),
        "1114140000000400816102010181620283322e3504ff0a00d44c6ea4f644d9d7"
    );
    let mut sorted = SortedSet::new_big();
    sorted.set(b"a", 1.0, LIMITS);
    sorted.set(b"b", 2.5, LIMITS);
    assert_eq!(
        dump(object(sorted)),
        "0502016200000000000004400161000000000000f03f0a00f46eb73919767291"
    );
}

/// The bytes of every step.
fn steps(value: NewValue<'_>, compressed_max: usize, options: SaveOptions) -> Vec<usize> {
    let entry = Entry::new(b"key", value, None, 0);
    let (mut saving, mut lens) = (Saving::new(options), Vec::new());
    let mut out = Writer::new(Vec::new(), compressed_max);
    loop {
        let before = out.written();
        let more = saving.step(entry.value(), &mut out).unwrap();
        lens.push((out.written() - before) as usize);
        if !more {
            break;
        }
    }
    let mut whole = Writer::new(Vec::new(), compressed_max);
    save(entry.value(), options, &mut whole).unwrap();
    assert_eq!(out.finish().unwrap(), whole.finish().unwrap());
    lens
}

#[test]
fn no_step_is_long() {
    let names: Vec<String> = (0..30_000).map(|n| format!("element number {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut hash, mut sorted) = (Hash::default(), SortedSet::default());
    for (number, name) in names.iter().enumerate() {
        hash.set(name.as_bytes(), name.as_bytes(), LIMITS);
        sorted.set(name.as_bytes(), number as f64, LIMITS);
    }
    let long = vec![b'x'; 1_000_000];
    let mut values_of_long = Hash::default();
    for name in &names[..20] {
        values_of_long.set(name.as_bytes(), &long, LIMITS);
    }
    for (value, most) in [
        (NewValue::Bytes(&long), STEP_BYTES + 9),
        (object(list(&names)), 2 * STEP_BYTES),
        (object(set(&names)), 2 * STEP_BYTES),
        (object(hash), 2 * STEP_BYTES),
        (object(sorted), 2 * STEP_BYTES),
        (object(values_of_long), 1_000_100),
    ] {
        let shown = format!("{value:?}");
        let lens = steps(value, 0, SaveOptions::default());
        assert!(lens.len() > 3, "{}", &shown[..30]);
        assert!(
            lens.iter().all(|len| *len <= most),
            "{}: {lens:?}",
            &shown[..30]
        );
    }
    // To be compressed it must be seen as a whole.
    let lens = steps(NewValue::Bytes(&long), usize::MAX, SaveOptions::default());
    assert_eq!(lens.len(), 1);
    assert!(lens[0] < 20_000);
}

#[test]
fn long_elements_stand_outside_of_listpacks() {
    let options = SaveOptions { plain_from: 3 };
    let limit = NodeLimit::from_config(-2, 3);
    let mut list = List::default();
    for element in ["ab", "c", "long", "d"] {
        list.push(End::Tail, element.as_bytes(), limit);
    }
    let entry = Entry::new(b"key", object(list), None, 0);
    let mut out = Writer::new(Vec::new(), 0);
    save(entry.value(), options, &mut out).unwrap();
    let expected = b"\x03\x02\x0e\x0e\0\0\0\x02\0\x82ab\x03\x81c\x02\xff\x01\x04long\x02\x0a\x0a\0\0\0\x01\0\x81d\x02\xff";
    assert_eq!(out.finish().unwrap(), expected);
}
