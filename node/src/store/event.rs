//! Keyspace events: what happened to which key, by the name that Redis gives it.
//!
//! A command says what it has done by [`Db::notify`], with the slot locked, so events come in the
//! slot's order. What happens to keys without a command's doing (a key is new, missed, expired,
//! evicted) is told where it happens, in this folder. While nobody wants events of a class, each
//! costs one relaxed load.

use super::{Db, Store};

/// The classes of events, as bits: `notify-keyspace-events` has them in the same places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum EventClass {
    /// `g`: commands on keys of any type.
    Generic = 1,
    /// `$`: strings.
    String = 1 << 1,
    /// `l`: lists.
    List = 1 << 2,
    /// `s`: sets.
    Set = 1 << 3,
    /// `h`: hashes.
    Hash = 1 << 4,
    /// `z`: sorted sets.
    SortedSet = 1 << 5,
    /// `x`: a key whose time had come is deleted.
    Expired = 1 << 6,
    /// `e`: a key is deleted to make room.
    Evicted = 1 << 7,
    /// `t`: streams.
    Stream = 1 << 8,
    /// `n`: a key is new.
    New = 1 << 10,
    /// `m`: a key that a command reads is not there.
    Missed = 1 << 13,
}

/// Is told of events while the slot is locked. Must not touch the store.
pub trait EventSink: Send + Sync {
    /// `event` happened to `key` of database `db`.
    fn happened(&self, db: u16, event: &'static str, key: &[u8]);
}

impl Store {
    /// Tells `sink` of events from now on. The first one stays.
    pub fn set_event_sink(&self, sink: Box<dyn EventSink>) {
        let _already_set = self.event_sink.set(sink);
    }

    #[inline]
    pub(super) fn notify(&self, db: u16, class: EventClass, event: &'static str, key: &[u8]) {
        if self.settings.events() & class as u32 != 0 {
            self.notify_sink(db, event, key);
        }
    }

    #[cold]
    fn notify_sink(&self, db: u16, event: &'static str, key: &[u8]) {
        if let Some(sink) = self.event_sink.get() {
            sink.happened(db, event, key);
        }
    }
}

impl Db<'_> {
    /// A command has done this to a key, whose slot is locked. To be called once it is done.
    #[inline]
    pub fn notify(&self, class: EventClass, event: &'static str, key: &[u8]) {
        self.store().notify(self.index(), class, event, key);
    }

    /// As [`notify`](Self::notify), for a command that has taken something out of a collection,
    /// which is deleted if that was all it had.
    pub fn notify_taken(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        if self.store().settings().events() != 0 {
            self.notify(class, event, key);
            if !self.contains(key) {
                self.notify(EventClass::Generic, "del", key);
            }
        }
    }

    /// Deletes a key as commands do that tell of it; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let deleted = self.remove(key);
        if deleted {
            self.notify(EventClass::Generic, "del", key);
        }
        deleted
    }
}
