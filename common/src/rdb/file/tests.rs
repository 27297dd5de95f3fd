//! Whole files, of Redis's making and of ours.

use super::*;

/// What redis-server 7.0.15 saved with an LFU policy: a library, a hash and a string that expires
/// in database 0, an intset in database 3.
const OF_REDIS: &[u8] = b"\x52\x45\x44\x49\x53\x30\x30\x31\x30\xfa\x09\x72\x65\x64\x69\x73\x2d\x76\x65\
\x72\x06\x37\x2e\x30\x2e\x31\x35\xfa\x0a\x72\x65\x64\x69\x73\x2d\x62\x69\x74\x73\xc0\x40\xfa\x05\x63\
\x74\x69\x6d\x65\xc2\x5f\x04\x03\x6b\xfa\x08\x75\x73\x65\x64\x2d\x6d\x65\x6d\xc2\x98\x3d\x13\x00\xfa\
\x08\x61\x6f\x66\x2d\x62\x61\x73\x65\xc0\x00\xf5\x40\x41\x23\x21\x6c\x75\x61\x20\x6e\x61\x6d\x65\x3d\
\x6c\x0a\x72\x65\x64\x69\x73\x2e\x72\x65\x67\x69\x73\x74\x65\x72\x5f\x66\x75\x6e\x63\x74\x69\x6f\x6e\
\x28\x27\x66\x27\x2c\x66\x75\x6e\x63\x74\x69\x6f\x6e\x28\x29\x20\x72\x65\x74\x75\x72\x6e\x20\x31\x20\
\x65\x6e\x64\x29\xfe\x00\xfb\x02\x01\xf9\x00\x10\x01\x68\x0c\x0c\x00\x00\x00\x02\x00\x81\x61\x02\x01\
\x01\xff\xfc\x00\xd8\xc3\x2c\xbb\x03\x00\x00\xf9\x00\x00\x01\x6b\x01\x76\xfe\x03\xfb\x01\x00\xf9\x00\
\x0b\x01\x73\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00\xff\x99\x76\xed\x5a\xf1\x65\x87\x16";

fn aux(name: &str, value: &str) -> Item {
    Item::Aux {
        name: name.into(),
        value: value.into(),
    }
}

fn key(name: &str, value_type: ValueType, expiry_ms: Option<i64>) -> Item {
    Item::Key {
        key: name.into(),
        value_type,
        info: KeyInfo {
            expiry_ms,
            frequency: Some(0),
            idle_seconds: None,
        },
    }
}

/// All items of a file whose values are strings.
fn items(file: &[u8]) -> Result<Vec<Item>, ReadError> {
    let mut reader = Reader::of(file);
    let version = reader.begin()?;
    let (mut items, mut value) = (Vec::new(), Vec::new());
    loop {
        let item = reader.item(version)?;
        if matches!(item, Item::Key { .. }) {
            reader.string("a value", &mut value)?;
        }
        items.push(item);
        if items.last() == Some(&Item::End) {
            return Ok(items);
        }
    }
}

#[test]
fn a_file_of_redis_is_read_to_its_end() {
    let source = "#!lua name=l\nredis.register_function('f',function() return 1 end)";
    let expected = [
        aux("redis-ver", "7.0.15"),
        aux("redis-bits", "64"),
        aux("ctime", "1795359839"),
        aux("used-mem", "1260952"),
        aux("aof-base", "0"),
        Item::Function(source.into()),
        Item::SelectDb(0),
        Item::ResizeDb {
            keys: 2,
            expires: 1,
        },
        key("h", ValueType::HashListpack, None),
        key("k", ValueType::String, Some(4_102_444_800_000)),
        Item::SelectDb(3),
        Item::ResizeDb {
            keys: 1,
            expires: 0,
        },
        key("s", ValueType::SetIntset, None),
        Item::End,
    ];
    assert_eq!(items(OF_REDIS).unwrap(), expected);
}

#[test]
fn every_damaged_byte_is_noticed() {
    for place in 0..OF_REDIS.len() {
        let mut damaged = OF_REDIS.to_vec();
        damaged[place] ^= 0x10;
        assert!(items(&damaged).is_err(), "byte {place}");
        assert!(items(&OF_REDIS[..place]).is_err(), "{place} bytes");
    }
    let mut unsummed = OF_REDIS.to_vec();
    let from = unsummed.len() - 8;
    unsummed[from..].fill(0);
    assert!(items(&unsummed).is_ok());
}

#[test]
fn what_is_written_is_read() {
    let info = KeyInfo {
        expiry_ms: Some(-5),
        idle_seconds: Some(70_000),
        frequency: None,
    };
    let mut writer = Writer::new(Vec::new(), 0);
    writer.begin().unwrap();
    writer.aux(b"redis-ver", b"7.0.15").unwrap();
    writer.select_db(15).unwrap();
    writer.resize_db(100, 3).unwrap();
    writer.key(b"a key", ValueType::String, info).unwrap();
    writer.string(b"a value").unwrap();
    writer.end().unwrap();
    let file = writer.finish().unwrap();
    assert_eq!(file[..9], *b"REDIS0010");
    let expected = [
        aux("redis-ver", "7.0.15"),
        Item::SelectDb(15),
        Item::ResizeDb {
            keys: 100,
            expires: 3,
        },
        Item::Key {
            key: b"a key".into(),
            value_type: ValueType::String,
            info,
        },
        Item::End,
    ];
    assert_eq!(items(&file).unwrap(), expected);
}

/// A file with this version and these bytes, and no checksum.
fn file(magic: &str, bytes: &[u8]) -> Vec<u8> {
    [magic.as_bytes(), bytes, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[test]
fn versions_that_mean_something_else_are_refused() {
    for magic in ["REDIS0001", "REDIS0011", "VALKEY080"] {
        assert_eq!(items(&file(magic, b"")).unwrap(), [Item::End], "{magic}");
    }
    for (magic, expected) in [
        (
            "REDIS0012",
            "byte 9: it has the version 12; versions up to 11, and 80, can be read",
        ),
        (
            "VALKEY081",
            "byte 9: it has the version 81; versions up to 11, and 80, can be read",
        ),
        (
            "REDIS0000",
            "byte 9: it has the version 0; versions up to 11, and 80, can be read",
        ),
        (
            "SQLite db",
            "byte 9: it begins neither with REDIS nor with VALKEY: it is no snapshot",
        ),
        (
            "REDIS00+9",
            "byte 9: it begins neither with REDIS nor with VALKEY: it is no snapshot",
        ),
    ] {
        let error = items(&file(magic, b"")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // Files had no checksum then.
    assert_eq!(items(b"REDIS0004\xff").unwrap(), [Item::End]);
    assert!(items(b"REDIS0005\xff").is_err());
}

#[test]
fn what_valkey_adds_is_understood() {
    let bytes = b"\xf4\x41\x00\x05\x01\xf3\x02id\x02\x00\x05\x07\x09\xf5\x01x";
    let expected = [
        Item::SlotInfo {
            slot: 256,
            keys: 5,
            expires: 1,
        },
        Item::SlotImport {
            name: b"id".into(),
            ranges: vec![(0, 5), (7, 9)],
        },
        Item::Function(b"x".into()),
        Item::End,
    ];
    assert_eq!(items(&file("VALKEY080", bytes)).unwrap(), expected);
}

#[test]
fn what_makes_no_sense_between_keys_is_refused() {
    for (bytes, expected) in [
        (
            &b"\xf6\x01x"[..],
            "byte 10: a library in the form of a release candidate, which nobody reads",
        ),
        (
            b"\xf7\x01x",
            "byte 10: data of a module, which only the module can read",
        ),
        (
            b"\xf9\x07\xfe\x00",
            "byte 12: a key was expected, and there is 0xfe",
        ),
        (
            b"\x08\x01k",
            "byte 10: a key or an opcode was expected, and there is 0x08",
        ),
        (
            b"\xf0",
            "byte 10: a key or an opcode was expected, and there is 0xf0",
        ),
        (
            b"\xf3\x02id\x80\x00\x00\x50\x00",
            "byte 18: there are more ranges than slots",
        ),
    ] {
        let error = items(&file("REDIS0011", bytes)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let old = file("REDIS0007", b"\xfd\x02\x00\x00\x00\x00\x01k\x01v");
    let Item::Key { info, .. } = &items(&old).unwrap()[0] else {
        panic!("a key");
    };
    assert_eq!(info.expiry_ms, Some(2000));
}

#[test]
fn a_file_without_a_checksum_says_zero_and_is_believed() {
    let mut writer = Writer::new(Vec::new(), 0).without_checksum();
    writer.begin().unwrap();
    writer.select_db(1).unwrap();
    writer.end().unwrap();
    let mut bytes = writer.finish().unwrap();
    assert_eq!(bytes, b"REDIS0010\xfe\x01\xff\0\0\0\0\0\0\0\0");
    assert_eq!(items(&bytes).unwrap(), [Item::SelectDb(1), Item::End]);
    *bytes.last_mut().unwrap() = 1;
    assert!(items(&bytes).is_err(), "a checksum, and a wrong one");
    let mut reader = Reader::of(&bytes).without_checksum();
    let version = reader.begin().unwrap();
    assert_eq!(reader.item(version).unwrap(), Item::SelectDb(1));
    assert_eq!(reader.item(version).unwrap(), Item::End);
}
