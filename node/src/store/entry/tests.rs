//! Tests of entries.

use super::value::strict_integer;
use super::*;
use proptest::prelude::*;

fn text(entry: &Entry) -> Vec<u8> {
    match entry.value() {
        ValueRef::Int(number) => number.to_string().into_bytes(),
        ValueRef::Bytes(bytes) => bytes.to_vec(),
        ValueRef::Object(_) => panic!("no object was stored"),
    }
}

#[test]
fn a_short_key_and_value_take_56_bytes() {
    let entry = Entry::new(&[b'k'; 16], NewValue::Bytes(&[b'v'; 32]), None, 0);
    assert_eq!(entry.memory(), 56);
    let integer = Entry::new(&[b'k'; 16], NewValue::Int(i64::MIN), None, 0);
    assert_eq!(integer.memory(), 32);
    let volatile = Entry::new(&[b'k'; 16], NewValue::Bytes(&[b'v'; 32]), Some(1), 0);
    assert_eq!(volatile.memory(), 64);
    assert_eq!(size_of::<Entry>(), 8);
}

#[test]
fn every_length_is_read_back() {
    for key_len in [0, 1, 7, 8, 300, 65_534, 65_535, 65_536] {
        for value_len in [0, 1, 44, 45, INLINE_MAX, INLINE_MAX + 1, 5000] {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
            let entry = Entry::new(&key, NewValue::Bytes(&value), Some(-5), 0xab_cdef);
            assert_eq!(entry.key(), key);
            assert_eq!(text(&entry), value);
            assert_eq!(entry.expiry(), Some(-5));
            assert_eq!(entry.access(), 0xab_cdef);
        }
    }
}

#[test]
fn encodings_are_those_of_redis() {
    let encoding = |value: &[u8]| Entry::new(b"k", NewValue::encoded(value), None, 0).encoding();
    assert_eq!(encoding(b"12"), Encoding::Int);
    assert_eq!(encoding(&[b'x'; 44]), Encoding::Embstr);
    assert_eq!(encoding(&[b'x'; 45]), Encoding::Raw);
    let mut entry = Entry::new(b"k", NewValue::encoded(b"12"), None, 0);
    entry.bytes_mut(3).unwrap()[2] = b'3';
    assert_eq!(text(&entry), b"123");
    assert_eq!(entry.encoding(), Encoding::Raw);
}

#[test]
fn strict_integers_have_one_spelling() {
    let cases: &[(&[u8], Option<i64>)] = &[
        (b"0", Some(0)),
        (b"-0", None),
        (b"00", None),
        (b"01", None),
        (b"+1", None),
        (b" 1", None),
        (b"1 ", None),
        (b"", None),
        (b"-", None),
        (b"-1", Some(-1)),
        (b"9223372036854775807", Some(i64::MAX)),
        (b"9223372036854775808", None),
        (b"-9223372036854775808", Some(i64::MIN)),
        (b"-9223372036854775809", None),
        (b"1:", None),
        (b"1/", None),
    ];
    for (bytes, number) in cases {
        assert_eq!(strict_integer(bytes), *number, "{bytes:?}");
    }
}

#[test]
fn integers_are_written_as_they_are_read() {
    for number in [0, 9, 10, -1, -10, 1 << 40, i64::MAX, i64::MIN] {
        let mut digits = Digits::default();
        assert_eq!(digits.of(number), number.to_string().as_bytes());
        assert_eq!(
            ValueRef::Int(number).text_len(),
            Some(number.to_string().len())
        );
    }
}

#[test]
fn a_growing_string_is_not_copied_at_each_step() {
    let mut entry = Entry::new(b"k", NewValue::Bytes(&[1; 2000]), None, 0);
    let mut moves = 0;
    let mut at = std::ptr::null();
    for len in 2001..100_000 {
        let bytes = entry.bytes_mut(len).unwrap();
        moves += usize::from(bytes.as_ptr() != at);
        at = bytes.as_ptr();
    }
    assert!(moves < 20, "{moves}");
}

#[test]
fn tags_tell_the_ticks_until_they_come_up() {
    let tick = 1 << ExpiryTag::TICK_SHIFT;
    assert_eq!(ExpiryTag::of(None).ticks_after(5), None);
    assert_eq!(ExpiryTag::of(Some(7 * tick)).ticks_after(5), Some(2));
    assert_eq!(
        ExpiryTag::of(Some(4 * tick)).ticks_after(5),
        Some(ExpiryTag::ROUND - 1)
    );
    let far = (ExpiryTag::ROUND + 9) * tick;
    assert_eq!(ExpiryTag::of(Some(far)).ticks_after(5), Some(4));
    assert_eq!(ExpiryTag::of(Some(-1)).ticks_after(-1), Some(0));
}

#[derive(Debug, Clone)]
enum Op {
    Replace(Vec<u8>, Option<i64>),
    Integer(i64),
    Expiry(Option<i64>),
    Write(usize, u8),
    Access(u32),
    TakeGarbage,
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        proptest::collection::vec(any::<u8>(), 1000..1100),
    ];
    prop_oneof![
        (value, any::<Option<i64>>()).prop_map(|(value, expiry)| Op::Replace(value, expiry)),
        any::<i64>().prop_map(Op::Integer),
        any::<Option<i64>>().prop_map(Op::Expiry),
        (0usize..1200, any::<u8>()).prop_map(|(at, byte)| Op::Write(at, byte)),
        (0u32..1 << 24).prop_map(Op::Access),
        Just(Op::TakeGarbage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 6 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn an_entry_behaves_like_its_model(
        key in proptest::collection::vec(any::<u8>(), 0..40),
        ops in proptest::collection::vec(op(), 0..40),
    ) {
        let mut entry = Entry::new(&key, NewValue::Bytes(b""), None, 0);
        let (mut value, mut expiry, mut access) = (Vec::new(), None, 0);
        for op in ops {
            match op {
                Op::Replace(new, at) => {
                    entry.replace(NewValue::encoded(&new), at);
                    (value, expiry) = (new, at);
                }
                Op::Integer(number) => {
                    entry.replace(NewValue::Int(number), expiry);
                    value = number.to_string().into_bytes();
                }
                Op::Expiry(at) => {
                    entry.set_expiry(at);
                    expiry = at;
                }
                Op::Write(at, byte) => {
                    entry.bytes_mut(at + 1).unwrap()[at] = byte;
                    if value.len() <= at {
                        value.resize(at + 1, 0);
                    }
                    value[at] = byte;
                }
                Op::Access(word) => {
                    entry.set_access(word);
                    access = word;
                }
                Op::TakeGarbage => {
                    if let Some(Garbage::Bytes(bytes)) = entry.take_garbage() {
                        prop_assert_eq!(&bytes, &value);
                        value.clear();
                    }
                }
            }
            prop_assert_eq!(entry.key(), &key);
            prop_assert_eq!(text(&entry), &value[..]);
            prop_assert_eq!(entry.expiry(), expiry);
            prop_assert_eq!(entry.access(), access);
        }
    }
}
