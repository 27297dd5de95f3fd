//! A big sorted set: a table of members with their scores, and a tree of the members in order.

use super::members::{Members, entry_of, score_of};
use super::tree::{Item, Tree};
use crate::store::entry::{Entry, EntryRef};
use crate::store::object::kept::Kept;

/// See the module's page.
///
/// What the tree has are references to entries that the table owns. Therefore: no entry's value
/// is ever anything but a number (the bits of the score), and no entry is dropped before its
/// reference has left the tree. The tree is declared first, so it is dropped first.
#[derive(Debug, Default)]
pub(crate) struct Scored {
    tree: Tree<EntryRef>,
    members: Members,
}

/// What the tree has for an entry. The caller keeps [`Scored`]'s promise.
fn item(entry: &Entry, score: f64) -> Item<EntryRef> {
    Item {
        score,
        // SAFETY: entries keep numbers as values and have no expiry, and none is dropped before
        // its item has left the tree; only `Scored` uses items, and holds no slice of a key
        // while it changes an entry.
        member: unsafe { EntryRef::to(entry) },
    }
}

impl Scored {
    /// How many members.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// The members in order, to be read.
    pub(super) fn tree(&self) -> &Tree<EntryRef> {
        &self.tree
    }

    /// The members as they are in the table, to be read.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// Bytes of the table alone.
    pub(crate) fn table_memory(&self) -> usize {
        self.members.table_memory()
    }

    /// Bytes held, this itself not included.
    pub(crate) fn memory(&self) -> usize {
        self.tree.memory() + self.members.memory()
    }

    /// A member's score.
    #[inline]
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(score_of)
    }

    /// A member's rank.
    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let entry = self.members.get(member)?;
        Some(self.tree.rank(item(entry, score_of(entry))))
    }

    /// Sets a member's score; the score it had.
    pub(super) fn set(&mut self, member: &[u8], score: f64) -> Option<f64> {
        if let Some((entry, old)) = self.members.set(member, score) {
            self.tree.remove(item(entry, old));
            self.tree.insert(item(entry, score));
            return Some(old);
        }
        self.add(member, score);
        None
    }

    /// Adds a member that is not there.
    pub(super) fn add(&mut self, member: &[u8], score: f64) {
        let entry = entry_of(member, score);
        self.tree.insert(item(&entry, score));
        self.members.insert(entry);
    }

    /// Takes a member out; the score it had.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let entry = self.members.remove(member)?;
        let score = score_of(&entry);
        // The entry is dropped at the end, after its item.
        self.tree.remove(item(&entry, score));
        Some(score)
    }

    /// Takes out `count` members from a rank on.
    pub(super) fn remove_ranks(&mut self, from: usize, count: usize) {
        let gone: Vec<Item<EntryRef>> = self.tree.from(from).take(count).copied().collect();
        for item in gone {
            self.tree.remove(item);
            drop(self.members.remove(item.member.key()));
        }
    }

    /// Where what a snapshot is still to have is kept.
    pub(in super::super) fn kept_mut(&mut self) -> &mut Option<Box<Kept<Entry>>> {
        self.members.kept_mut()
    }

    /// See [`Kept::step`]; `None` if nothing is kept.
    pub(in super::super) fn step(
        &mut self,
        count: usize,
        mut visit: impl FnMut(&[u8], f64),
    ) -> Option<bool> {
        let visit = |entry: &Entry| visit(entry.key(), score_of(entry));
        self.members.step(count, visit)
    }

    /// A copy.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Self::default();
        for item in self.tree.from(0) {
            copy.add(item.member.key(), item.score);
        }
        copy
    }
}
