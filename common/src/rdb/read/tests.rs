//! What is read is what was written; what lies is found out.

use super::*;
use crate::rdb::Writer;
use proptest::prelude::*;

/// Gives a byte at a time.
struct Drops<'b>(&'b [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (Some((first, rest)), Some(place)) = (self.0.split_first(), out.first_mut()) else {
            return Ok(0);
        };
        *place = *first;
        self.0 = rest;
        Ok(1)
    }
}

fn string(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let mut whole = Reader::of(bytes);
    let result = whole.string("a string", &mut out);
    let result = result.map(|()| out).map_err(|error| error.to_string());
    // However it comes, and whether its length is known or not.
    let mut again = Vec::new();
    let drops = Reader::new(Drops(bytes), None).string("a string", &mut again);
    assert_eq!(drops.is_ok(), result.is_ok(), "in drops");
    if let Ok(string) = &result {
        assert_eq!(*string, again, "in drops");
        let mut skipping = Reader::of(bytes);
        skipping.skip_string("a string").unwrap();
        assert_eq!(skipping.offset(), whole.offset());
    }
    result
}

/// From DUMPs of redis-server 7.0.15.
#[test]
fn strings_that_redis_wrote() {
    for (bytes, expected) in [
        (&b"\x05hello"[..], &b"hello"[..]),
        (b"\x00", b""),
        (b"\xc0\x7b", b"123"),
        (b"\xc0\x80", b"-128"),
        (b"\xc1\xc7\xcf", b"-12345"),
        (b"\xc2\x15\xcd\x5b\x07", b"123456789"),
        (
            b"\xc3\x09\x40\x64\x01\x61\x61\xe0\x57\x00\x01\x61\x61",
            &[b'a'; 100],
        ),
        // Longer spellings than need be.
        (b"\x40\x02hi", b"hi"),
        (b"\x80\x00\x00\x00\x02hi", b"hi"),
        (b"\x81\x00\x00\x00\x00\x00\x00\x00\x02hi", b"hi"),
    ] {
        assert_eq!(string(bytes).unwrap(), expected);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (bytes, expected) in [
        (&b""[..], "byte 0: a string was expected, and the data ends"),
        (b"\x40", "byte 1: a string was expected, and the data ends"),
        (
            b"\xc1\x00",
            "byte 2: a string was expected, and the data ends",
        ),
        (
            b"\x05hell",
            "byte 1: a string of 5 bytes was announced, and 4 bytes are left",
        ),
        (
            b"\x81\xff\xff\xff\xff\xff\xff\xff\xffx",
            "byte 9: a string of 18446744073709551615 bytes was announced, and 1 bytes are left",
        ),
        (b"\xc4", "byte 1: a string was expected, and there is 0xc4"),
        (b"\x82", "byte 1: a string was expected, and there is 0x82"),
        (
            b"\xc3\x02\x80\xff\xff\xff\xff\x00a",
            "byte 9: a string of 4294967295 bytes, compressed to 2, makes no sense",
        ),
        (
            b"\xc3\x02\x02\x00a",
            "byte 5: a string of 2 bytes, compressed to 2, makes no sense",
        ),
        (
            b"\xc3\xc0\x02",
            "byte 3: a string was expected, and there is 0xc0",
        ),
    ] {
        assert_eq!(string(bytes), Err(expected.to_owned()), "{bytes:02x?}");
    }
}

#[test]
fn a_length_from_a_pipe_asks_for_no_memory() {
    let claims = b"\x81\x00\x00\x7f\xff\xff\xff\xff\xffabc";
    let mut out = Vec::new();
    let error = Reader::new(&claims[..], None)
        .string("a string", &mut out)
        .unwrap_err();
    assert!(matches!(error.problem, Problem::Ended { .. }), "{error}");
    assert_eq!(out, b"abc");
    assert!(out.capacity() <= 2 * TRUSTED);
}

#[test]
fn old_scores_are_text_or_a_byte() {
    let read = |bytes: &[u8]| Reader::of(bytes).double_text("a score").ok();
    assert_eq!(read(b"\x033.5"), Some(3.5));
    assert_eq!(read(b"\x17-1.7976931348623157e308"), Some(f64::MIN));
    assert_eq!(read(b"\xfe"), Some(f64::INFINITY));
    assert_eq!(read(b"\xff"), Some(f64::NEG_INFINITY));
    assert!(read(b"\xfd").unwrap().is_nan());
    for bytes in [&b"\x00"[..], b"\x01x", b"\x033.", b"\x01\xff", b""] {
        assert_eq!(read(bytes), None, "{bytes:?}");
    }
}

#[test]
fn the_source_may_be_interrupted_or_fail() {
    struct Fails(u8);
    impl Read for Fails {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => {
                    out[0] = 7;
                    Ok(1)
                }
                _ => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }
    let mut reader = Reader::new(Fails(0), None);
    assert_eq!(reader.byte("a byte").unwrap(), 7);
    let error = reader.byte("a byte").unwrap_err();
    assert_eq!(error.offset, 1);
    assert!(matches!(error.problem, Problem::Io(_)));
}

#[test]
fn what_was_not_read_is_handed_back() {
    let mut reader = Reader::of(b"\x02hirest");
    let mut out = Vec::new();
    reader.string("a string", &mut out).unwrap();
    assert_eq!(reader.left(), Some(4));
    let (source, unread) = reader.into_parts();
    assert_eq!((source, &unread[..]), (&b""[..], &b"rest"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(
        strings in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..100),
                any::<i64>().prop_map(|n| n.to_string().into_bytes()),
                (-40_000i64..40_000).prop_map(|n| n.to_string().into_bytes()),
                (0usize..200_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
                (0usize..100_000).prop_map(|len| (0..len).map(|n| n.isqrt().to_le_bytes()[0]).collect()),
            ],
            0..12,
        ),
        lengths in proptest::collection::vec((any::<u64>(), 0u32..64), 0..8),
        compress in prop_oneof![Just(0usize), Just(usize::MAX), Just(50_000)],
        score: f64,
    ) {
        let mut writer = Writer::new(Vec::new(), compress);
        for string in &strings {
            writer.string(string).unwrap();
        }
        for (length, shift) in &lengths {
            writer.length(length >> shift).unwrap();
        }
        writer.double(score).unwrap();
        writer.checksum().unwrap();
        let bytes = writer.finish().unwrap();

        let mut reader = Reader::of(&bytes);
        let mut out = Vec::new();
        for string in &strings {
            reader.string("a string", &mut out).unwrap();
            prop_assert_eq!(&out, string);
        }
        for (length, shift) in &lengths {
            prop_assert_eq!(reader.length("a length").unwrap(), length >> shift);
        }
        prop_assert_eq!(reader.double("a score").unwrap().to_bits(), score.to_bits());
        let sum = reader.sum().unwrap();
        prop_assert_eq!(reader.millis("a sum").unwrap().cast_unsigned(), sum);
        prop_assert_eq!(reader.left(), Some(0));
    }
}
