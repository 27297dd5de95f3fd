//! References to entries by those who order what a table owns.

use std::cmp::Ordering;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::Entry;

/// A reference to an entry that somebody else owns, for as long as that somebody promises: a
/// sorted set's tree has these, its table the entries. Ordered as the keys' bytes are.
///
/// An [`Entry`] is a pointer to its allocation, so it may move (into a table, from one segment to
/// another) while references to it exist. The allocation stays where it is while the entry is
/// neither dropped nor given a value of another size.
#[derive(Clone, Copy)]
pub(crate) struct EntryRef(NonNull<u8>);

// SAFETY: it is used as `&Entry` is, and entries are `Sync`.
unsafe impl Send for EntryRef {}
// SAFETY: as above.
unsafe impl Sync for EntryRef {}

impl EntryRef {
    /// A reference to `entry`.
    ///
    /// # Safety
    /// While the reference or a copy of it is used, the entry is not dropped, its value does not
    /// change in size and its expiry neither comes nor goes; and it is not changed in any way
    /// while a slice of its key is held.
    pub(crate) unsafe fn to(entry: &Entry) -> Self {
        Self(entry.0)
    }

    /// The entry's key.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let entry = ManuallyDrop::new(Entry(self.0));
        let shape = entry.shape();
        let at = entry.at::<u8>(shape.key_at);
        // SAFETY: by the promise given to `to` the entry is there, so its key is, and nobody
        // changes it while the slice is held.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), shape.key_len) }
    }
}

impl PartialEq for EntryRef {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for EntryRef {}

impl PartialOrd for EntryRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryRef {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // An entry is looked for by a reference to itself more often than not.
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        self.key().cmp(other.key())
    }
}

impl std::fmt::Debug for EntryRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntryRef({})", self.key().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::NewValue;

    #[test]
    fn a_reference_outlives_moves_and_changes_of_a_number() {
        let keys: [&[u8]; 3] = [b"b", b"a longer key", b""];
        let mut entries: Vec<Entry> = keys
            .iter()
            .map(|key| Entry::new(key, NewValue::Int(1), None, 0))
            .collect();
        // SAFETY: the entries live to the end of the test, and keep numbers as values.
        let to = |entry: &Entry| unsafe { EntryRef::to(entry) };
        let mut references: Vec<EntryRef> = entries.iter().map(to).collect();
        entries.reverse();
        for entry in &mut entries {
            drop(entry.replace(NewValue::Int(i64::MIN), None));
            entry.set_access(7);
        }
        let found: Vec<&[u8]> = references.iter().map(EntryRef::key).collect();
        assert_eq!(found, keys);
        references.sort();
        assert_eq!(references[0].key(), b"");
        assert_eq!(references[2].key(), b"b");
        assert_eq!(references[0], to(&entries[0]));
    }
}
