//! What commands have done, for the replication log.
//!
//! A command that has changed something is written down as it came, unless it has told itself what it
//! has done ([`Db::effect`]): because it would do something else another time, or when run again
//! elsewhere. What is written down goes into the log before the slots are let go.

use super::super::{Store, deletion};
use super::Db;
use crate::replication::log::Effects;
use crate::store::Scope;

impl Db<'_> {
    /// Whether what commands do is written down.
    #[must_use]
    #[inline]
    pub fn is_logged(&self) -> bool {
        self.store.log().takes_effects()
    }

    /// The command that runs has done what this one does, and is not written down itself.
    #[inline]
    pub fn effect(&mut self, words: &[&[u8]]) {
        if self.is_logged() {
            self.effect_of(words.iter().copied());
        }
    }

    /// As [`effect`](Self::effect), for who has asked whether [it is logged](Self::is_logged).
    #[inline(never)]
    pub fn effect_of<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        let db = self.scope.db;
        let effects = of(&mut self.effects);
        effects.push(db, words);
        effects.set_told(true);
    }

    /// The command that runs has ended; whether it is to be written down as it came, since it has
    /// changed something and has not told what. For who has asked whether it is logged.
    #[inline]
    pub fn end_command(&mut self) -> bool {
        let has_changed = self.has_changed();
        self.changes_before = self.tally.changes;
        match &mut self.effects {
            Some(effects) if effects.is_told() => {
                effects.set_told(false);
                false
            }
            _ => has_changed,
        }
    }

    /// Writes down the command that has ended, by its words.
    #[inline(never)]
    pub fn write_words<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        of(&mut self.effects).push(self.scope.db, words);
    }

    /// Writes down the command that has ended, as it was encoded.
    #[inline(never)]
    pub fn write_encoded(&mut self, command: &[u8]) {
        of(&mut self.effects).push_encoded(self.scope.db, command);
    }

    /// As [`write_encoded`](Self::write_encoded), of a command that is no part of anything: unless
    /// it has done more, it goes into the log at once.
    #[inline]
    pub fn write_encoded_alone(&mut self, command: &[u8]) {
        let Scope { thread, db, .. } = self.scope;
        if self.effects.is_some() || !self.store.log().append_encoded(thread, db, command) {
            self.write_encoded(command);
        }
    }

    /// Whether the command that runs has changed something.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.tally.changes != self.changes_before
    }

    /// What the command has told of as a change is none to anybody but those who watch the key.
    pub fn forget_change(&mut self) {
        self.tally.changes = self.tally.changes.saturating_sub(1);
    }

    /// Hands what is written down so far to another view, with which the transaction goes on.
    pub fn pass_effects(&mut self, to: &mut Self) {
        to.effects = self.effects.take();
    }

    /// What is done next is a part of its own, as Redis propagates it.
    pub(in super::super) fn begin_part(&mut self) {
        if let Some(effects) = &mut self.effects {
            effects.begin_part();
        }
    }

    /// Serves who waits, and writes down what was done.
    #[cold]
    pub(super) fn finish(&mut self) {
        let served = self.finish_ready();
        self.append_effects();
        self.store.release_served(served);
    }

    #[inline]
    pub(super) fn append_effects(&mut self) {
        if let Some(mut effects) = self.effects.take() {
            self.store.log().append(self.scope.thread, &mut effects);
            effects.give_back();
        }
    }

    /// A key was met whose time had come, and is deleted.
    #[inline]
    pub(super) fn log_expired(&mut self, key: &[u8]) {
        if self.is_logged() {
            push_expired(&mut self.effects, self.store, self.scope.db, key);
        }
    }
}

fn of(effects: &mut Option<Box<Effects>>) -> &mut Effects {
    effects.get_or_insert_with(Effects::take_spare)
}

#[cold]
pub(super) fn push_expired(effects: &mut Option<Box<Effects>>, store: &Store, db: u16, key: &[u8]) {
    let words = [deletion(store.settings.unlinks_expired()), key];
    of(effects).push(db, words.into_iter());
}
