//! What a snapshot is still to have of one slot.

use std::collections::{BTreeMap, HashMap};

use slotilla_common::rdb::{KeyInfo, Writer};

use super::guard::Fate;
use super::moves::{Name, Origin};
use crate::rdb::{SaveOptions, save, value_type};
use crate::store::Store;
use crate::store::access::AccessClock;
use crate::store::entry::{Entry, Garbage, NewValue, ValueRef};
use crate::store::object::Fields;
use crate::store::table::{POSITIONS, Table, position};

/// An entry of so many bytes is written on its own, in steps if it takes several.
pub(super) const LARGE_MIN: usize = if cfg!(test) { 700 } else { 2048 };
/// A value of so many bytes is kept as it is, not as a record: what is written in several steps must
/// be found again by its key if it changes between them.
const RECORD_MAX: usize = if cfg!(test) { 2000 } else { 64 * 1024 };
/// About what a name takes beyond its bytes.
const OVERHEAD: usize = 64;
/// Records are kept in pieces of about so many bytes, each of which is one step's.
const RECORDS_PIECE: usize = if cfg!(test) { 400 } else { 64 * 1024 };

/// So many bytes that are kept are dropped by the freeing thread.
pub(super) const LEAVINGS_MIN: usize = 64 * 1024;

/// See the module's page.
#[derive(Default)]
pub(in crate::store) struct Pending {
    pub(super) parts: Vec<Part>,
}

/// When a key expired and was used, at the snapshot's instant.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) expiry: Option<i64>,
    pub(super) access: u32,
}

/// A database of a slot.
pub(super) struct Part {
    /// Its number at the snapshot's instant.
    pub(super) db: u16,
    /// Its number now.
    live: u16,
    /// Its table and what it takes, if a flush has taken it out of the slot.
    flushed: Option<(Table, u64)>,
    /// The walk has passed the entries of lower positions.
    from: u32,
    /// Keys of higher positions that are not to be written as they are now.
    touched: Fields,
    /// Large entries that the walk has passed, and is still to write.
    pub(super) large: Vec<Box<[u8]>>,
    /// Collections that keep what they were, and are still to be written.
    keeping: HashMap<Box<[u8]>, Times>,
    /// Big values that have come here since the instant, by the keys that they have now.
    adopted: BTreeMap<Box<[u8]>, Origin>,
    /// Entries that have changed, as they will be in the file, in pieces.
    records: Vec<Vec<u8>>,
    /// How many they are.
    recorded: u64,
    /// Entries that have changed, as they were, and the databases that they were in.
    moved: Vec<(u16, Entry)>,
    /// About what all of that takes.
    held: usize,
}

impl Pending {
    pub(in crate::store) fn new(databases: impl Iterator<Item = u16>) -> Self {
        Self {
            parts: databases.map(Part::new).collect(),
        }
    }

    /// The part whose keys are in this database now.
    pub(super) fn live(&mut self, db: u16) -> Option<&mut Part> {
        let is_it = |part: &&mut Part| part.live == db && part.flushed.is_none();
        self.parts.iter_mut().find(is_it)
    }

    /// The same; made if there is none, of which there is nothing to pass.
    pub(super) fn live_or_new(&mut self, db: u16) -> Option<&mut Part> {
        if self.live(db).is_none() {
            self.parts.push(Part {
                from: POSITIONS,
                ..Part::new(db)
            });
        }
        self.live(db)
    }

    /// What an entry was that the walk has written in part, if it was left to the walk since.
    pub(super) fn take_left(&mut self, name: &Name) -> Option<Entry> {
        self.parts.iter_mut().find_map(|part| {
            let is_it = |(db, entry): &(u16, Entry)| *db == name.db && *entry.key() == *name.key;
            let index = part.moved.iter().position(is_it)?;
            Some(part.moved.swap_remove(index).1)
        })
    }

    /// Whether an entry of this database is to be written from where it is.
    pub(in crate::store) fn pins(&self, db: u16, entry: &Entry) -> bool {
        let is_it = |part: &&Part| part.live == db && part.flushed.is_none();
        self.parts
            .iter()
            .find(is_it)
            .is_some_and(|part| part.pins(entry))
    }

    /// SWAPDB.
    pub(in crate::store) fn swap(&mut self, a: u16, b: u16) {
        for part in &mut self.parts {
            if part.live == a {
                part.live = b;
            } else if part.live == b {
                part.live = a;
            }
        }
    }
}

impl Part {
    fn new(db: u16) -> Self {
        Self {
            db,
            live: db,
            flushed: None,
            from: 0,
            touched: Fields::default(),
            large: Vec::new(),
            keeping: HashMap::new(),
            adopted: BTreeMap::new(),
            records: Vec::new(),
            recorded: 0,
            moved: Vec::new(),
            held: 0,
        }
    }

    pub(super) fn live_db(&self) -> u16 {
        self.live
    }

    /// The table that a flush took out.
    pub(super) fn flushed_mut(&mut self) -> &mut Option<(Table, u64)> {
        &mut self.flushed
    }

    /// Whether an entry is to be written from where it is, though the walk may have passed it.
    pub(super) fn pins(&self, entry: &Entry) -> bool {
        self.keeping.contains_key(entry.key())
            || self.adopted.contains_key(entry.key())
            || self.large.iter().any(|key| **key == *entry.key())
    }

    /// Whether the walk has passed all entries.
    pub(super) fn is_passed(&self) -> bool {
        self.from >= POSITIONS
    }

    /// Whether something is to be written from where it is in the table.
    pub(super) fn needs_table(&self) -> bool {
        !self.is_passed() || !self.large.is_empty() || !self.adopted.is_empty()
    }

    pub(super) fn note_held(&mut self, store: &Store, bytes: usize) {
        self.held += bytes;
        store.snapshots.hold(bytes);
    }

    /// Nothing is kept here any more; about how much was.
    pub(super) fn let_go(&mut self, store: &Store) -> usize {
        let held = std::mem::take(&mut self.held);
        store.snapshots.release(held);
        held
    }

    /// What has been left here is on its way to the file: a piece of the records, how many have come,
    /// and entries.
    pub(super) fn hand_over(&mut self, store: &Store) -> (Vec<u8>, u64, Vec<(u16, Entry)>) {
        let records = self.records.pop().unwrap_or_default();
        let moved = std::mem::take(&mut self.moved);
        let entries = moved.iter().map(|(_, entry)| entry.memory());
        let bytes = records.len() + entries.sum::<usize>();
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        store.snapshots.release(bytes);
        (records, std::mem::take(&mut self.recorded), moved)
    }

    /// To be called before a key comes that is not there.
    pub(super) fn note_new(&mut self, store: &Store, hash: u64, key: &[u8]) {
        if position(hash) >= self.from && self.touched.add(key) {
            self.note_held(store, key.len() + OVERHEAD);
        }
    }

    /// To be called before an entry meets its fate: leaves here what it is, unless that is known.
    pub(super) fn keep(&mut self, store: &Store, hash: u64, entry: &mut Entry, fate: Fate) {
        if self.adopted.contains_key(entry.key()) {
            self.keep_adopted(store, entry, fate);
            return;
        }
        let large = self.large.iter().position(|key| **key == *entry.key());
        if large.is_none() && (position(hash) < self.from || self.touched.contains(entry.key())) {
            return;
        }
        let times = self.keeping.get(entry.key()).copied();
        if fate == Fate::Gone && large.is_none() && times.is_none() {
            return;
        }
        if fate == Fate::Changed && keeps_elements(entry) {
            if times.is_none() {
                self.begin_keeping(entry);
            }
            return;
        }
        let held = self.leave(store, entry, fate, times);
        self.keeping.remove(entry.key());
        match large {
            Some(index) => drop(self.large.swap_remove(index)),
            None => drop(self.touched.add(entry.key())),
        }
        self.note_held(store, held + entry.key().len() + OVERHEAD);
    }

    /// The same, for one that was something else at the instant.
    fn keep_adopted(&mut self, store: &Store, entry: &mut Entry, fate: Fate) {
        if fate == Fate::Changed && keeps_elements(entry) {
            return;
        }
        let Some(Origin { name, times, .. }) = self.adopted.remove(entry.key()) else {
            return;
        };
        let left = match fate {
            Fate::Dropped | Fate::Gone => take_value(entry, &name.key, Some(times)),
            Fate::Changed | Fate::Taken => Some(copy_keeping(entry, &name.key, Some(times))),
        };
        if let Some(left) = left {
            self.note_held(store, left.memory());
            self.moved.push((name.db, left));
        }
    }

    /// To be called before an entry moves elsewhere: what it is, if the snapshot is to have that from
    /// there. If not, [`keep`](Self::keep) has the rest to do.
    pub(super) fn release(
        &mut self,
        store: &Store,
        hash: u64,
        entry: &mut Entry,
    ) -> Option<Origin> {
        if let Some(mut origin) = self.adopted.remove(entry.key()) {
            origin.held = origin.name.key.len() + OVERHEAD;
            self.give_held(entry, &mut origin);
            return Some(origin);
        }
        let large = self.large.iter().position(|key| **key == *entry.key());
        let is_written = position(hash) < self.from || self.touched.contains(entry.key());
        if large.is_none() && is_written || !is_adoptable(entry) {
            return None;
        }
        let times = self.keeping.remove(entry.key()).unwrap_or(Times {
            expiry: entry.expiry(),
            access: entry.access(),
        });
        if let Some(object) = entry.object_mut() {
            object.keep();
        }
        let key: Box<[u8]> = entry.key().into();
        match large {
            Some(index) => drop(self.large.swap_remove(index)),
            None => drop(self.touched.add(&key)),
        }
        let held = key.len() + OVERHEAD;
        self.note_held(store, 2 * held);
        let name = Name { db: self.db, key };
        let mut origin = Origin { name, times, held };
        self.give_held(entry, &mut origin);
        Some(origin)
    }

    /// What an entry keeps is counted where it goes.
    fn give_held(&mut self, entry: &mut Entry, origin: &mut Origin) {
        let kept = entry.object_mut().map_or(0, |object| object.kept_bytes());
        origin.held = self.held.min(origin.held + kept);
        self.held -= origin.held;
    }

    /// A big value has come, with this key now.
    pub(super) fn adopt(&mut self, key: &[u8], origin: Origin) {
        self.held += origin.held;
        self.adopted.insert(key.into(), origin);
    }

    /// A value that has come, and is still to be written: its key, and what it was.
    pub(super) fn first_adopted(&self) -> Option<(&[u8], &Origin)> {
        let (key, origin) = self.adopted.first_key_value()?;
        Some((key, origin))
    }

    /// Whether the value of this key was another's.
    pub(super) fn has_adopted(&self, key: &[u8], name: &Name) -> bool {
        let origin = self.adopted.get(key);
        origin.is_some_and(|origin| origin.name == *name)
    }

    /// A value that was written in several steps is written, wherever it is from.
    pub(super) fn end_large(&mut self, store: &Store, entry: &mut Entry) {
        if self.adopted.contains_key(entry.key()) {
            self.end_adopted(store, entry);
            return;
        }
        self.large.retain(|key| **key != *entry.key());
        self.end_keeping(store, entry);
    }

    /// A value that has come is written.
    pub(super) fn end_adopted(&mut self, store: &Store, entry: &mut Entry) {
        if self.adopted.remove(entry.key()).is_some() {
            forget_kept(store, entry);
        }
    }

    /// Whether writers have left something.
    pub(super) fn has_left(&self) -> bool {
        !self.records.is_empty() || !self.moved.is_empty()
    }

    /// What writers have left as it was.
    pub(super) fn drain_moved(&mut self) -> impl Iterator<Item = Entry> {
        self.moved.drain(..).map(|(_, entry)| entry)
    }

    /// Has a collection keep what it is, element by element.
    pub(super) fn begin_keeping(&mut self, entry: &mut Entry) {
        let times = Times {
            expiry: entry.expiry(),
            access: entry.access(),
        };
        self.keeping.insert(entry.key().into(), times);
        if let Some(object) = entry.object_mut() {
            object.keep();
        }
    }

    /// A collection that keeps what it was is written, and keeps it no longer.
    pub(super) fn end_keeping(&mut self, store: &Store, entry: &mut Entry) {
        if self.keeping.remove(entry.key()).is_some() {
            forget_kept(store, entry);
        }
    }

    /// Collections that keep what they were.
    pub(super) fn keeping_keys(&self) -> impl Iterator<Item = &[u8]> {
        let keys = self.keeping.keys().chain(self.adopted.keys());
        keys.map(|key| &**key)
    }

    /// What a collection's times were that keeps what it was.
    pub(super) fn times_of(&self, key: &[u8]) -> Option<Times> {
        self.keeping.get(key).copied()
    }

    /// Keeps what an entry is, in the cheapest way; about how many bytes that takes.
    fn leave(
        &mut self,
        store: &Store,
        entry: &mut Entry,
        fate: Fate,
        times: Option<Times>,
    ) -> usize {
        let key = entry.key().to_vec();
        let is_dropped = matches!(fate, Fate::Dropped | Fate::Gone);
        let left = if keeps_elements(entry) {
            if is_dropped {
                take_value(entry, &key, times)
            } else {
                Some(copy_keeping(entry, &key, times))
            }
        } else if entry.has_value_apart() && entry.memory() >= RECORD_MAX {
            if is_dropped {
                take_value(entry, &key, None)
            } else {
                Some(entry.duplicate(entry.key()))
            }
        } else if matches!(entry.value(), ValueRef::Object(object) if object.image().is_none()) {
            // A list's nodes are shared.
            Some(entry.duplicate(entry.key()))
        } else {
            None
        };
        if let Some(left) = left {
            let bytes = left.memory();
            self.moved.push((self.db, left));
            return bytes;
        }
        self.leave_record(store, entry)
    }

    fn leave_record(&mut self, store: &Store, entry: &Entry) -> usize {
        let is_full = |piece: &Vec<u8>| piece.len() >= RECORDS_PIECE;
        if self.records.last().is_none_or(is_full) {
            self.records.push(Vec::new());
        }
        let Some(records) = self.records.last_mut() else {
            return 0;
        };
        let before = records.len();
        // Memory takes all there is.
        let _written = write_record(store, entry, records);
        self.recorded += 1;
        records.len() - before
    }

    /// A table that a flush takes out of the slot is the snapshot's first.
    pub(super) fn take_flushed(&mut self, table: Table, bytes: u64) {
        self.flushed = Some((table, bytes));
    }

    /// Walks over about `count` entries of the table. Small ones are shown; of large ones the keys
    /// are noted.
    pub(super) fn pass(
        &mut self,
        store: &Store,
        table: &Table,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) {
        let (touched, large, keeping) = (&mut self.touched, &mut self.large, &self.keeping);
        let next = table.scan(self.from, count, store.hasher, |entry| {
            if touched.len() != 0 && touched.remove(entry.key()) {
                return;
            }
            let keeps = !keeping.is_empty() && keeping.contains_key(entry.key());
            if keeps || entry.memory() >= LARGE_MIN {
                large.push(entry.key().into());
            } else {
                visit(entry);
            }
        });
        self.from = next.unwrap_or(POSITIONS);
    }
}

pub(super) fn keeps_elements(entry: &Entry) -> bool {
    matches!(entry.value(), ValueRef::Object(object) if object.keeps_elements())
}

/// Whether a value can be written from where it has moved to. A list's copy shares its nodes, and what
/// is small is as well copied.
fn is_adoptable(entry: &Entry) -> bool {
    if keeps_elements(entry) {
        return true;
    }
    let is_list = matches!(entry.value(), ValueRef::Object(object) if object.image().is_none());
    entry.has_value_apart() && entry.memory() >= RECORD_MAX && !is_list
}

/// Has a collection keep what it was no longer.
pub(super) fn forget_kept(store: &Store, entry: &mut Entry) {
    let Some(object) = entry.object_mut() else {
        return;
    };
    let is_much = object.kept_bytes() >= LEAVINGS_MIN;
    if let Some(kept) = object.forget_kept()
        && is_much
    {
        store.lazy_free.leavings(kept);
    }
}

/// Takes the value out of an entry that is to lose it, and had this key.
fn take_value(entry: &mut Entry, key: &[u8], times: Option<Times>) -> Option<Entry> {
    let times = times.unwrap_or(Times {
        expiry: entry.expiry(),
        access: entry.access(),
    });
    let value = match entry.take_garbage()? {
        Garbage::Bytes(bytes) => NewValue::Owned(bytes),
        Garbage::Object(object) => NewValue::Object(object),
    };
    Some(Entry::new(key, value, times.expiry, times.access))
}

/// A copy of a value that had this key, with what it keeps.
fn copy_keeping(entry: &mut Entry, key: &[u8], times: Option<Times>) -> Entry {
    let mut copy = entry.duplicate(key);
    if let (Some(from), Some(to)) = (entry.object_mut(), copy.object_mut()) {
        from.give_kept(to);
    }
    if let Some(times) = times {
        copy.set_expiry(times.expiry);
        copy.set_access(times.access);
    }
    copy
}

/// What a snapshot says of an entry beside its key and its value.
pub(super) fn info_of(store: &Store, times: Times) -> KeyInfo {
    let settings = store.settings();
    let policy = settings.policy();
    let now_ms = store
        .snapshots
        .marked_ms
        .load(std::sync::atomic::Ordering::Relaxed);
    let clock = AccessClock::new(settings, now_ms);
    let idle = || clock.idle_ms(times.access).unsigned_abs() / 1000;
    KeyInfo {
        expiry_ms: times.expiry,
        idle_seconds: policy.is_lru().then(idle),
        frequency: policy.is_lfu().then(|| clock.frequency(times.access)),
    }
}

/// How a snapshot writes values.
pub(super) fn options(store: &Store) -> SaveOptions {
    SaveOptions {
        plain_from: store.settings().list_alone_bytes(),
    }
}

/// Writes a whole entry.
pub(super) fn write_entry<W: std::io::Write>(
    store: &Store,
    entry: &Entry,
    out: &mut Writer<W>,
) -> std::io::Result<()> {
    let times = Times {
        expiry: entry.expiry(),
        access: entry.access(),
    };
    out.key(
        entry.key(),
        value_type(entry.value()),
        info_of(store, times),
    )?;
    save(entry.value(), options(store), out)
}

/// Appends an entry as it will be in the file. It is not compressed: its writer waits for it.
fn write_record(store: &Store, entry: &Entry, records: &mut Vec<u8>) -> std::io::Result<()> {
    let mut out = Writer::new(records, 0).without_checksum();
    write_entry(store, entry, &mut out)?;
    out.flush()
}
