//! Strings that a command builds or changes byte by byte: their encoding is `raw`, as in Redis.

use crate::store::{Db, Entry, NewValue, SetExpiry};

/// A longer string is handed over rather than copied.
const COPIED_MAX: usize = 1024;

/// Stores `bytes` under `key`, whatever was there, without an expiry.
pub(super) fn store(db: &mut Db<'_>, key: &[u8], bytes: Vec<u8>) {
    if bytes.len() > COPIED_MAX {
        db.set(key, NewValue::Owned(bytes), SetExpiry::Clear);
        return;
    }
    db.set(key, NewValue::Bytes(&bytes), SetExpiry::Clear);
    make(db, key);
}

/// Makes the string at `key` raw, which is no change of its value.
pub(super) fn make(db: &mut Db<'_>, key: &[u8]) {
    // Whoever asks for bytes to write into has them raw.
    db.edit(key, |entry| -> Option<()> {
        entry.bytes_mut(0);
        None
    });
}

/// Replaces the string in `entry`.
pub(super) fn replace(entry: &mut Entry, bytes: &[u8]) {
    let expiry = entry.expiry();
    drop(entry.replace(NewValue::Bytes(bytes), expiry));
    entry.bytes_mut(0);
}
