//! Collections as they lie in snapshots and DUMP payloads: packed ones are written as they are
//! kept, and taken over after a look at every byte.
//!
//! What comes from outside must be what a command could have made: an element that is an integer
//! is kept as one, no member or field is there twice, members are in order. What only a later look
//! would find is put right here, what makes no sense is refused.

use std::collections::HashSet;

use super::intset::{COUNT_MAX, Intset};
use super::list::NodeLimit;
use super::listpack::{Item, Listpack};
use super::sorted_set::{is_in_order, packed_score_of};
use super::word::Form;
use super::{Hash, List, Object, PackedLimits, Set, SortedSet};
use crate::store::entry::{Digits, strict_integer};

/// Bytes from outside are no collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadImage(pub &'static str);

/// A packed collection as it is kept, which is how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// A listpack.
    Listpack(&'a [u8]),
    /// An intset.
    Intset(&'a [u8]),
}

/// A listpack of more elements cannot say how many.
const COUNT_MAX_TOLD: usize = u16::MAX as usize - 1;
/// A node of a list that is larger is taken apart: what is done to a node is to take no time.
const NODE_BYTES_MAX: usize = 128 * 1024;

impl Object {
    /// A packed collection's bytes; `None` if it is not one run of them.
    #[must_use]
    pub fn image(&self) -> Option<Image<'_>> {
        match self.0.form() {
            Form::Pack(pack) => Some(Image::Listpack(pack.as_bytes())),
            Form::Ints(ints) => Some(Image::Intset(ints.as_bytes())),
            Form::Fields(_) | Form::Scored(_) | Form::Row(_) => None,
        }
    }
}

/// A listpack in which every integer is one, after a look at every byte.
fn listpack(bytes: &[u8]) -> Result<Listpack, BadImage> {
    let pack = Listpack::from_bytes(bytes).ok_or(BadImage("a listpack is damaged"))?;
    let is_disguised = |item| matches!(item, Item::Bytes(text) if strict_integer(text).is_some());
    // One that could say how many there are, and does not, would be counted again and again.
    let is_known = pack.len() > COUNT_MAX_TOLD || bytes.get(4..6) != Some(&[0xff, 0xff]);
    if is_known && !pack.iter().any(is_disguised) {
        return Ok(pack);
    }
    let mut again = Listpack::default();
    let mut digits = Digits::default();
    for item in pack.iter() {
        again.push(item.text(&mut digits));
    }
    Ok(again)
}

/// Whether every `step`th element is there once.
fn are_distinct(pack: &Listpack, step: usize) -> bool {
    let mut seen = HashSet::with_capacity(pack.len() / step);
    pack.iter().step_by(step).all(|item| seen.insert(item))
}

impl Hash {
    /// A hash from the bytes of a listpack of fields and values.
    ///
    /// # Errors
    /// [`BadImage`] if they are none, or a field is there twice.
    pub fn from_listpack(bytes: &[u8], limits: PackedLimits) -> Result<Self, BadImage> {
        let pack = listpack(bytes)?;
        if pack.len() % 2 != 0 {
            return Err(BadImage("a field has no value"));
        }
        const TWICE: BadImage = BadImage("a field is there twice");
        if pack.len() / 2 <= limits.entries {
            let are_distinct = are_distinct(&pack, 2);
            return are_distinct.then(|| Self::of_pack(pack)).ok_or(TWICE);
        }
        let mut hash = Self::default();
        let (mut items, mut digits) = (pack.iter(), [Digits::default(), Digits::default()]);
        let [first, second] = &mut digits;
        while let (Some(field), Some(value)) = (items.next(), items.next()) {
            if !hash.set(field.text(first), value.text(second), limits) {
                return Err(TWICE);
            }
        }
        Ok(hash)
    }
}

impl Set {
    /// A set from the bytes of an intset.
    ///
    /// # Errors
    /// [`BadImage`] if they are none.
    pub fn from_intset(bytes: &[u8], ints_max: usize) -> Result<Self, BadImage> {
        let ints = Intset::from_bytes(bytes).ok_or(BadImage("an intset is damaged"))?;
        let is_big = ints.len() > ints_max.min(COUNT_MAX);
        let mut set = Self::of_ints(ints);
        if is_big {
            set.leave_intset();
        }
        Ok(set)
    }

    /// A set from the bytes of a listpack of members.
    ///
    /// # Errors
    /// [`BadImage`] if they are none, or a member is there twice.
    pub fn from_listpack(bytes: &[u8], ints_max: usize) -> Result<Self, BadImage> {
        let pack = listpack(bytes)?;
        let mut set = Self::default();
        let mut digits = Digits::default();
        for member in pack.iter() {
            if !set.add(member.text(&mut digits), ints_max) {
                return Err(BadImage("a member is there twice"));
            }
        }
        Ok(set)
    }
}

impl SortedSet {
    /// A sorted set from the bytes of a listpack of members and scores.
    ///
    /// # Errors
    /// [`BadImage`] if they are none, a member is there twice, or a score is no number.
    pub fn from_listpack(bytes: &[u8], limits: PackedLimits) -> Result<Self, BadImage> {
        let pack = listpack(bytes)?;
        if pack.len() % 2 != 0 {
            return Err(BadImage("a member has no score"));
        }
        let scores = pack.iter().skip(1).step_by(2);
        if scores.map(packed_score_of).any(|score| score.is_none()) {
            return Err(BadImage("a score is no number"));
        }
        const TWICE: BadImage = BadImage("a member is there twice");
        if pack.len() / 2 <= limits.entries && is_in_order(&pack) {
            let are_distinct = are_distinct(&pack, 2);
            return are_distinct.then(|| Self::of_pack(pack)).ok_or(TWICE);
        }
        let mut set = Self::default();
        let mut items = pack.iter();
        let mut digits = Digits::default();
        while let (Some(member), Some(score)) = (items.next(), items.next()) {
            let score = packed_score_of(score).unwrap_or_default();
            if set.set(member.text(&mut digits), score, limits).is_some() {
                return Err(TWICE);
            }
        }
        Ok(set)
    }
}

impl List {
    /// Adds the elements of a listpack, whose bytes these are, at the end: as a node of their own,
    /// unless they are too many.
    ///
    /// # Errors
    /// [`BadImage`] if they are none.
    pub fn push_listpack(&mut self, bytes: &[u8], limit: NodeLimit) -> Result<(), BadImage> {
        let pack = listpack(bytes)?;
        let is_big = bytes.len() > NODE_BYTES_MAX || pack.len() > COUNT_MAX_TOLD;
        if is_big && pack.len() > 1 {
            let mut digits = Digits::default();
            for item in pack.iter() {
                self.push(super::End::Tail, item.text(&mut digits), limit);
            }
        } else if !pack.is_empty() {
            self.with_row(|row| row.append(pack));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
