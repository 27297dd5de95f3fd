//! Values of every version: those of redis-server 7.0.15 and of Valkey as their DUMP gave them,
//! older ones put together by hand.

use super::fuzz::{dump, limits, load};
use super::*;
use crate::store::{Entry, Item, Member, ValueRef};

/// What a value is, its elements in the order in which it has them.
fn shown(entry: &Entry) -> String {
    let text =
        |item: Item<'_>| String::from_utf8_lossy(item.text(&mut Digits::default())).into_owned();
    let member = |(member, score): (Member<'_>, f64)| {
        format!("{} {score}", String::from_utf8_lossy(&member.to_cow()))
    };
    let elements: Vec<String> = match entry.value() {
        ValueRef::Int(number) => vec![number.to_string()],
        ValueRef::Bytes(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        ValueRef::Object(object) => {
            let list = List::of(object).map(|list| list.iter_from(0).map(text).collect());
            let set = Set::of(object).map(|set| set.iter().map(text).collect());
            let sorted = SortedSet::of(object).map(|set| set.iter().map(member).collect());
            let hash = Hash::of(object).map(|hash| {
                let pairs = hash.iter();
                let pairs = pairs.map(|(field, value)| format!("{} {}", text(field), text(value)));
                pairs.collect()
            });
            list.or(set).or(sorted).or(hash).unwrap_or_default()
        }
    };
    format!("{}: {}", entry.encoding().name(), elements.join(", "))
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The bytes of a string in a file.
fn string(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

/// A ziplist whose entries are these, with their encoding and without the length of those before.
fn ziplist_of(entries: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut before, mut last) = (Vec::new(), 0, 10);
    for entry in entries {
        last = 10 + body.len();
        body.push(before);
        body.extend_from_slice(entry);
        before = entry.len() as u8 + 1;
    }
    let len = 10 + body.len() as u32 + 1;
    let mut ziplist = len.to_le_bytes().to_vec();
    ziplist.extend((last as u32).to_le_bytes());
    ziplist.extend((entries.len() as u16).to_le_bytes());
    ziplist.extend(body);
    ziplist.push(0xff);
    ziplist
}

#[test]
fn what_redis_7_writes() {
    for (payload, expected) in [
        ("00 0568656c6c6f", "embstr: hello"),
        ("00 c0 7b", "int: 123"),
        ("00 c1 c7cf", "int: -12345"),
        ("0b 0e 02000000 03000000 0100 0200 0300", "intset: 1, 2, 3"),
        (
            "0b 10 04000000 02000000 01000000 70110100",
            "intset: 1, 70000",
        ),
        ("02 02 0162 0161", "hashtable: b, a"),
        (
            "10 12 12000000 0400 816602 817602 816e02 0a01 ff",
            "listpack: f v, n 10",
        ),
        ("04 01 0166 0176", "listpack: f v"),
        (
            "11 14 14000000 0400 816102 0101 816202 83322e3504 ff",
            "listpack: a 1, b 2.5",
        ),
        (
            "05 02 0162 0000000000000440 0161 000000000000f03f",
            "listpack: a 1, b 2.5",
        ),
        (
            "12 01 02 24 24000000 0700 816102 816202 0101 dfff02 c12c02 f270110104 f400f2052a0100000009 ff",
            "quicklist: a, b, 1, -1, 300, 70000, 5000000000",
        ),
        (
            "12 02 01 0461626364 02 0a 0a000000 0100 816502 ff",
            "quicklist: abcd, e",
        ),
    ] {
        let entry = load(&bytes(payload)).unwrap_or_else(|error| panic!("{payload}: {error}"));
        assert_eq!(shown(&entry), expected, "{payload}");
    }
}

#[test]
fn what_older_servers_write() {
    let ziplist = ziplist_of(&[b"\x01a", b"\xf2", b"\x01b", b"\xc0\x2c\x01"]);
    for (payload, expected) in [
        (&b"\x01\x03\x01a\xc0\x05\x02bc"[..], "quicklist: a, 5, bc"),
        (
            &[b"\x0a", &string(&ziplist)[..]].concat(),
            "quicklist: a, 1, b, 300",
        ),
        (
            &[b"\x0e\x02", &string(&ziplist)[..], &string(&ziplist)].concat(),
            "quicklist: a, 1, b, 300, a, 1, b, 300",
        ),
        (
            &[b"\x0c", &string(&ziplist)[..]].concat(),
            "listpack: a 1, b 300",
        ),
        (
            &[b"\x0d", &string(&ziplist)[..]].concat(),
            "listpack: a 1, b 300",
        ),
        (
            b"\x09\x1a\x02\x03foo\x03\x00bar\x05hello\x05\x02world__\xff",
            "listpack: foo bar, hello world",
        ),
        (
            b"\x03\x03\x01a\x033.5\x01b\xfe\x01c\xff",
            "listpack: c -inf, a 3.5, b inf",
        ),
        (
            b"\x14\x0f\x0f\0\0\0\x03\0\x81a\x02\x05\x01\x81b\x02\xff",
            "hashtable: a, 5, b",
        ),
    ] {
        let entry = load(payload).unwrap_or_else(|error| panic!("{payload:02x?}: {error}"));
        assert_eq!(shown(&entry), expected);
    }
}

#[test]
fn limits_decide_how_a_value_is_kept() {
    // Five pairs, of which four would be packed.
    let pairs: String = (0..5).map(|n| format!("02 6{n}61 02 6{n}62 ")).collect();
    let hash = load(&bytes(&format!("04 05 {pairs}"))).unwrap();
    assert_eq!(hash.encoding().name(), "hashtable");
    let ints = "0b 12 02000000 05000000 0100 0200 0300 0400 0500";
    assert_eq!(load(&bytes(ints)).unwrap().encoding().name(), "hashtable");
    let long = format!("04 01 01 61 11 {}", "62".repeat(17));
    assert_eq!(load(&bytes(&long)).unwrap().encoding().name(), "hashtable");
    let scores = (0..5).map(|n| format!("01 6{n} 0000000000000000"));
    let sorted = format!("05 05 {}", scores.collect::<Vec<_>>().concat());
    assert_eq!(load(&bytes(&sorted)).unwrap().encoding().name(), "skiplist");
}

#[test]
fn what_cannot_be_is_refused() {
    for (payload, expected) in [
        ("00", "byte 1: a string was expected, and the data ends"),
        ("01 00", "the value has no elements"),
        ("02 00", "the value has no elements"),
        ("04 00", "the value has no elements"),
        ("05 00", "the value has no elements"),
        ("12 01 02 07 07000000 0000 ff", "the value has no elements"),
        ("10 07 07000000 0000 ff", "the value has no elements"),
        (
            "12 01 01 00",
            "byte 4: an element that stands alone is empty",
        ),
        ("0b 08 02000000 00000000", "the value has no elements"),
        ("02 02 0161 0161", "byte 6: a member is there twice"),
        (
            "04 02 0161 0162 0161 0163",
            "byte 10: a field is there twice",
        ),
        (
            "05 01 0161 000000000000f87f",
            "byte 12: a score is no number",
        ),
        ("03 01 0161 fd", "byte 5: a score is no number"),
        (
            "12 01 03 0161",
            "byte 3: a node is neither plain nor packed",
        ),
        (
            "0b 0c 02000000 02000000 0200 0100",
            "byte 14: an intset is damaged",
        ),
        (
            "10 0a 0a000000 0100 816102 ff",
            "byte 12: a field has no value",
        ),
        (
            "09 05 01 0161 0161",
            "byte 7: a ziplist or zipmap is damaged",
        ),
        ("13 00", "a stream cannot be kept by this node"),
        ("07 00", "a value of a module cannot be kept by this node"),
        (
            "16 00",
            "a hash whose fields expire cannot be kept by this node",
        ),
        (
            "04 81 ffffffffffffffff 0161",
            "byte 12: a value was expected, and the data ends",
        ),
    ] {
        let error = load(&bytes(payload))
            .map(|entry| shown(&entry))
            .unwrap_err();
        assert_eq!(error.to_string(), expected, "{payload}");
    }
    let error = LoadError::Unsupported("a stream").of_key(b"my\nkey");
    let expected = "key 'my\\nkey': a stream cannot be kept by this node";
    assert_eq!(error.to_string(), expected);
    let odd = ziplist_of(&[b"\x01a", b"\xf2", b"\x01b"]);
    for kind in [b"\x0c", b"\x0d"] {
        assert!(load(&[&kind[..], &string(&odd)].concat()).is_err());
    }
    let twice = ziplist_of(&[b"\x01a", b"\xf2", b"\x01a", b"\xf3"]);
    for kind in [b"\x0c", b"\x0d"] {
        assert!(load(&[&kind[..], &string(&twice)].concat()).is_err());
    }
}

#[test]
fn damaged_values_are_refused_or_are_values() {
    let values = [
        "00 c3 09 4064 01 6161 e05700 01 6161",
        "12 01 02 24 24000000 0700 816102 816202 0101 dfff02 c12c02 f270110104 f400f2052a0100000009 ff",
        "11 14 14000000 0400 816102 0101 816202 83322e3504 ff",
        "05 02 0162 0000000000000440 0161 000000000000f03f",
        "0b 10 04000000 02000000 01000000 70110100",
        "09 1a 02 03666f6f 03 00 626172 0568656c6c6f 05 02 776f726c645f5f ff",
    ];
    for value in values {
        let value = bytes(value);
        let whole = load(&value).unwrap();
        assert_eq!(shown(&load(&dump(&whole, 0)).unwrap()), shown(&whole));
        for place in 0..value.len() {
            assert!(load(&value[..place]).is_err(), "{place} bytes");
            for bit in 0..8 {
                let mut damaged = value.clone();
                damaged[place] ^= 1 << bit;
                let _outcome = fuzz_dump(&damaged);
            }
        }
    }
    assert_eq!(limits().ints_max, 4);
}
