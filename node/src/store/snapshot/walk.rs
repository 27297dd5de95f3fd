//! The walk of a snapshot over all slots.

use std::collections::VecDeque;
use std::io;

use slotilla_common::rdb::{ValueType, Writer};
use slotilla_common::slot::Slot;

use super::moves::{Name, Origin};
use super::pending::{Part, Times, info_of, keeps_elements, options, write_entry};
use crate::rdb::{Saving, value_type};
use crate::store::Store;
use crate::store::entry::{Entry, ValueRef};
use crate::store::object::{Element, Written};
use crate::store::slot::SlotGuard;
use crate::store::table::Table;

/// Small entries written under one lock.
const ENTRIES: usize = if cfg!(test) { 3 } else { 128 };
/// Elements of a big collection written under one lock.
const ELEMENTS: usize = if cfg!(test) { 3 } else { 2048 };

/// How far a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more.
    More,
    /// There is more, but what comes next is in use for longer: not now.
    Later,
    /// That was all.
    Done,
    /// The snapshot was given up: what is written is of no use.
    Abandoned,
}

/// A snapshot on its way into a file. To be dropped by [`Walk::end`].
pub struct Walk {
    number: u64,
    /// Slots that are not done, the one under way first.
    slots: VecDeque<Slot>,
    /// Slots that were out, one after the other.
    passed_by: usize,
    current: Option<Current>,
    /// Entries that were handed over, whole.
    owned: Vec<(u16, Entry)>,
    /// The database that was written last.
    db: Option<u16>,
    keys: u64,
}

/// A value that is written in part.
enum Current {
    /// It is in a slot's table, and kept there as it was: under which name, and how far it is.
    Live(Name, Steps),
    /// It is this walk's own.
    Owned(Entry, Steps),
}

/// How a value is written in steps.
enum Steps {
    /// It does not change.
    Still(Saving),
    /// It keeps what it was; so many elements have to be written.
    Kept(usize),
}

impl Walk {
    pub(super) fn new(number: u64, slots: Vec<Slot>) -> Self {
        Self {
            number,
            slots: slots.into(),
            passed_by: 0,
            current: None,
            owned: Vec::new(),
            db: None,
            keys: 0,
        }
    }

    /// How many keys were written.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Slots that are not done yet.
    #[must_use]
    pub fn slots_left(&self) -> usize {
        self.slots.len()
    }

    /// Ends it, done or not: nothing is kept for it any more.
    pub fn end(self, store: &Store) {
        if store.snapshots.is(self.number) {
            store.forget_snapshot(self.slots.into_iter());
        }
        for (_, entry) in self.owned {
            store.lazy_free.entry(entry);
        }
        if let Some(Current::Owned(entry, _)) = self.current {
            store.lazy_free.entry(entry);
        }
    }

    /// Whether the snapshot was given up meanwhile.
    #[must_use]
    pub fn is_abandoned(&self, store: &Store) -> bool {
        !store.snapshots.is(self.number)
    }

    /// Writes a few entries, or a part of a large one, into `out`, which is memory: the slot is
    /// locked meanwhile. The caller has a seat at the gate.
    ///
    /// # Errors
    /// What `out` says, which memory never does; or a value was not what it was to be: the snapshot
    /// cannot be had.
    pub fn step(&mut self, store: &Store, out: &mut Writer<Vec<u8>>) -> io::Result<Progress> {
        if self.is_abandoned(store) {
            return Ok(Progress::Abandoned);
        }
        if let Some(Current::Owned(..)) = self.current {
            self.go_on_owned(store, out)?;
            return Ok(Progress::More);
        }
        if self.current.is_none()
            && let Some((db, entry)) = self.owned.pop()
        {
            self.begin_owned(store, db, entry, out)?;
            return Ok(Progress::More);
        }
        let Some(slot) = self.next_slot(store) else {
            return Ok(Progress::Done);
        };
        let Some(mut guard) = store.try_lock(slot) else {
            return Ok(self.pass_by());
        };
        self.passed_by = 0;
        self.in_slot(store, &mut guard, out)?;
        Ok(Progress::More)
    }

    /// Where to go on: where what is written in part is now, or with the next slot.
    fn next_slot(&mut self, store: &Store) -> Option<Slot> {
        let moves = &store.snapshots.moves;
        if self.current.is_some()
            && let Some((slot, _)) = moves.moved_to()
        {
            return Some(slot);
        }
        if self.slots.is_empty() {
            // A value that is on its way has its old slot locked, which is none that is done.
            self.slots.extend(moves.next_slot());
        }
        self.slots.front().copied()
    }

    /// The slot is out: others come first, unless one of its values is written in part.
    fn pass_by(&mut self) -> Progress {
        if self.current.is_some() || self.passed_by >= self.slots.len() {
            self.passed_by = 0;
            return Progress::Later;
        }
        self.passed_by += 1;
        self.slots.rotate_left(1);
        Progress::More
    }

    fn in_slot(
        &mut self,
        store: &Store,
        guard: &mut SlotGuard<'_>,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        if let Some(current) = self.current.take() {
            return self.go_on_live(store, guard, current, out);
        }
        let slot = guard.slot();
        let parts = guard.pending().parts.len();
        for number in 0..parts {
            if self.hand_over(store, guard, number, out)? {
                return Ok(());
            }
            let worked = guard.with_part(number, |table, part| {
                if let Some(key) = part.large.last().cloned() {
                    return self
                        .begin_large(store, table, part, &key, out)
                        .map(|()| true);
                }
                if part.first_adopted().is_some() {
                    let begun = self.begin_adopted(store, slot, table, part, out);
                    return begun.map(|()| true);
                }
                if part.is_passed() {
                    return Ok(false);
                }
                self.pass(store, table, part, out).map(|()| true)
            });
            if worked.transpose()?.unwrap_or(false) {
                return Ok(());
            }
        }
        guard.forget_pending();
        self.slots.pop_front();
        Ok(())
    }

    /// Takes what writers have left; whether there was anything.
    fn hand_over(
        &mut self,
        store: &Store,
        guard: &mut SlotGuard<'_>,
        number: usize,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<bool> {
        let Some(part) = guard.pending().parts.get_mut(number) else {
            return Ok(false);
        };
        if !part.has_left() {
            return Ok(false);
        }
        let db = part.db;
        let (records, keys, moved) = part.hand_over(store);
        self.keys += keys;
        self.owned.extend(moved);
        if !records.is_empty() {
            self.go_to(db, out)?;
            out.raw(&records)?;
        }
        Ok(true)
    }

    fn go_to(&mut self, db: u16, out: &mut Writer<Vec<u8>>) -> io::Result<()> {
        if self.db != Some(db) {
            self.db = Some(db);
            out.select_db(u64::from(db))?;
        }
        Ok(())
    }

    /// Writes the next small entries.
    fn pass(
        &mut self,
        store: &Store,
        table: &Table,
        part: &mut Part,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        self.go_to(part.db, out)?;
        let (mut written, keys) = (Ok(()), &mut self.keys);
        part.pass(store, table, ENTRIES, |entry| {
            if written.is_ok() {
                *keys += 1;
                written = write_entry(store, entry, out);
            }
        });
        written
    }

    /// Begins with a large entry of a slot, whose key stays noted until it is written.
    fn begin_large(
        &mut self,
        store: &Store,
        table: &mut Table,
        part: &mut Part,
        key: &[u8],
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        let place = table.find(store.key_hash(key), key);
        let Some(entry) = place.and_then(|place| table.at_mut(place)) else {
            // Whoever takes it out leaves it to the walk, and its key is no longer noted.
            return Err(lost(key));
        };
        if matches!(entry.value(), ValueRef::Object(object) if object.image().is_none())
            && !keeps_elements(entry)
        {
            // A list: its nodes are shared.
            self.owned.push((part.db, entry.duplicate(key)));
            part.large.pop();
            return Ok(());
        }
        if keeps_elements(entry) && part.times_of(key).is_none() {
            part.begin_keeping(entry);
        }
        let times = part.times_of(key);
        self.go_to(part.db, out)?;
        let steps = self.begin(store, key, entry, times, out)?;
        let name = Name {
            db: part.db,
            key: key.into(),
        };
        match step(steps, entry, out)? {
            Some(steps) => self.go_live(store, name, steps, None),
            None => {
                part.large.pop();
                part.end_keeping(store, entry);
            }
        }
        Ok(())
    }

    /// A value is written in part, which others may move meanwhile.
    fn go_live(
        &mut self,
        store: &Store,
        name: Name,
        steps: Steps,
        moved_to: Option<(Slot, Box<[u8]>)>,
    ) {
        let moves = &store.snapshots.moves;
        moves.begin_writing(name.clone(), moved_to);
        self.current = Some(Current::Live(name, steps));
    }

    /// Begins with a value that has come to the slot since the instant.
    fn begin_adopted(
        &mut self,
        store: &Store,
        slot: Slot,
        table: &mut Table,
        part: &mut Part,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        let Some((key, Origin { name, times, .. })) = part.first_adopted() else {
            return Ok(());
        };
        let place = table.find(store.key_hash(key), key);
        let entry = place.and_then(|place| table.at_mut(place));
        let entry = entry.ok_or_else(|| lost(key))?;
        self.go_to(name.db, out)?;
        let steps = self.begin(store, &name.key, entry, Some(*times), out)?;
        match step(steps, entry, out)? {
            Some(steps) => self.go_live(store, name.clone(), steps, Some((slot, key.into()))),
            None => part.end_adopted(store, entry),
        }
        Ok(())
    }

    /// Begins with an entry of its own.
    fn begin_owned(
        &mut self,
        store: &Store,
        db: u16,
        mut entry: Entry,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        self.go_to(db, out)?;
        if let Some(object) = entry.object_mut() {
            object.keep();
        }
        let key = entry.key().to_vec();
        let steps = self.begin(store, &key, &mut entry, None, out)?;
        self.current = Some(Current::Owned(entry, steps));
        Ok(())
    }

    /// Writes what comes before a value, with the key that it had.
    fn begin(
        &mut self,
        store: &Store,
        key: &[u8],
        entry: &mut Entry,
        times: Option<Times>,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<Steps> {
        self.keys += 1;
        let times = times.unwrap_or(Times {
            expiry: entry.expiry(),
            access: entry.access(),
        });
        let value_type: ValueType = value_type(entry.value());
        out.key(key, value_type, info_of(store, times))?;
        if !keeps_elements(entry) {
            return Ok(Steps::Still(Saving::new(options(store))));
        }
        let len = entry.object_mut().map_or(0, |object| object.kept_len());
        out.length(len as u64)?;
        Ok(Steps::Kept(len))
    }

    /// Goes on with an entry of its own, which nobody else has.
    fn go_on_owned(&mut self, store: &Store, out: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let Some(Current::Owned(mut entry, steps)) = self.current.take() else {
            return Ok(());
        };
        match step(steps, &mut entry, out)? {
            Some(steps) => self.current = Some(Current::Owned(entry, steps)),
            None => store.lazy_free.entry(entry),
        }
        Ok(())
    }

    /// Goes on with a large entry of a slot; or with what it was, if it has changed since.
    fn go_on_live(
        &mut self,
        store: &Store,
        guard: &mut SlotGuard<'_>,
        current: Current,
        out: &mut Writer<Vec<u8>>,
    ) -> io::Result<()> {
        let Current::Live(name, steps) = current else {
            self.current = Some(current);
            return Ok(());
        };
        let moves = &store.snapshots.moves;
        let moved_to = moves.moved_to();
        if moved_to.as_ref().is_some_and(|to| to.0 != guard.slot()) {
            // It has moved before the slot was locked.
            self.current = Some(Current::Live(name, steps));
            return Ok(());
        }
        let pending = guard.pending();
        // Only whoever has changed it since can have left it there.
        if let Some(entry) = pending.take_left(&name) {
            moves.end_writing();
            self.current = Some(Current::Owned(entry, steps));
            return Ok(());
        }
        let number = pending.parts.iter().position(|part| match &moved_to {
            Some((_, key)) => part.has_adopted(key, &name),
            None => part.db == name.db && part.large.contains(&name.key),
        });
        let key = moved_to.map_or_else(|| name.key.clone(), |(_, key)| key);
        let number = number.ok_or_else(|| lost(&key))?;
        let went_on = guard.with_part(number, |table, part| {
            let place = table.find(store.key_hash(&key), &key);
            let entry = place.and_then(|place| table.at_mut(place));
            let entry = entry.ok_or_else(|| lost(&key))?;
            let steps = step(steps, entry, out)?;
            if steps.is_none() {
                moves.end_writing();
                part.end_large(store, entry);
            }
            io::Result::Ok(steps)
        });
        let steps = went_on.ok_or_else(|| lost(&key))??;
        self.current = steps.map(|steps| Current::Live(name, steps));
        Ok(())
    }
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("number", &self.number)
            .field("slots", &self.slots.len())
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// Writes the next part of a value; how to go on, if there is more.
fn step(steps: Steps, entry: &mut Entry, out: &mut Writer<Vec<u8>>) -> io::Result<Option<Steps>> {
    match steps {
        Steps::Still(mut saving) => {
            let more = saving.step(entry.value(), out)?;
            Ok(more.then_some(Steps::Still(saving)))
        }
        Steps::Kept(len) => {
            let Some(object) = entry.object_mut() else {
                return Err(lost(entry.key()));
            };
            let mut written = Ok(());
            let Written { elements, more } = object.kept_step(ELEMENTS, |element| {
                if written.is_ok() {
                    written = write_element(element, out);
                }
            });
            written?;
            if !more && elements != len {
                return Err(lost(entry.key()));
            }
            Ok(more.then_some(Steps::Kept(len)))
        }
    }
}

fn write_element(element: Element<'_>, out: &mut Writer<Vec<u8>>) -> io::Result<()> {
    match element {
        Element::Field(field, value) => {
            out.string(field)?;
            out.string(value)
        }
        Element::Member(member) => out.string(member),
        Element::Scored(member, score) => {
            out.string(member)?;
            out.double(score)
        }
    }
}

/// What cannot be, and would make a file that nobody can read.
fn lost(key: &[u8]) -> io::Error {
    io::Error::other(format!(
        "the value of key '{}' was lost to the snapshot: please report this",
        String::from_utf8_lossy(key)
    ))
}
