//! What values from outside must bear: for the random tests and cargo-fuzz.

use slotilla_common::rdb::{Reader, ValueType, Writer};

use super::{Limits, LoadError, Loader};
use crate::rdb::{SaveOptions, save, value_type};
use crate::store::{Entry, NodeLimit, PackedLimits};

/// So low that short inputs exceed them.
pub(super) fn limits() -> Limits {
    let packed = PackedLimits {
        entries: 4,
        bytes: 16,
    };
    Limits {
        hash: packed,
        sorted_set: packed,
        ints_max: 4,
        list: NodeLimit::from_config(3, 32),
    }
}

/// A value from its payload, without version and checksum, as an entry.
pub(super) fn load(payload: &[u8]) -> Result<Entry, LoadError> {
    let mut reader = Reader::of(payload);
    let number = reader.byte("a type")?;
    let Some(value_type) = ValueType::from_number(number) else {
        return Err(LoadError::Unsupported("this"));
    };
    let mut loader = Loader::new(limits());
    let value = loader.value(value_type, &mut reader)?;
    Ok(Entry::new(b"key", value, None, 0))
}

/// An entry's payload, without version and checksum.
pub(super) fn dump(entry: &Entry, compressed_max: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), compressed_max);
    let written = writer
        .byte(value_type(entry.value()).number())
        .and_then(|()| save(entry.value(), SaveOptions::default(), &mut writer));
    assert!(written.is_ok(), "memory takes everything");
    writer.finish().unwrap_or_default()
}

/// Takes bytes as the payload of a value: what is taken is written, read and written again, and is
/// the same. What is wrong with it, or how it is kept.
#[must_use]
pub fn fuzz_dump(data: &[u8]) -> String {
    let entry = match load(data) {
        Ok(entry) => entry,
        Err(LoadError::Invalid { what, .. }) => return what.to_owned(),
        Err(error) => {
            return error
                .to_string()
                .chars()
                .filter(char::is_ascii_alphabetic)
                .collect();
        }
    };
    let first = dump(&entry, usize::MAX);
    let again = load(&first).map_err(|error| error.to_string());
    let plain = load(&dump(&entry, 0)).map_err(|error| error.to_string());
    for again in [again, plain] {
        let again = again.map(|entry| (entry.encoding(), sorted(&dump(&entry, 0))));
        // A table has no order that lasts, so bytes are compared whatever their order.
        assert_eq!(again, Ok((entry.encoding(), sorted(&dump(&entry, 0)))));
    }
    format!("{:?} {}", entry.encoding(), entry.value().type_name())
}

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}
