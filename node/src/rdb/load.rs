//! Reading values of every version, into the store's own objects.
//!
//! Nothing that comes in is trusted: packed forms are looked at byte by byte, what must be there
//! once is, and a collection grows as its elements come, whatever its count says.

use std::io::Read;

use slotilla_common::rdb::{ReadError, Reader, ValueType};

use super::Limits;
use super::packed::{Malformed, ziplist, zipmap};
use crate::store::{
    BadImage, Collection, Digits, End, Hash, List, NewValue, Set, SortedSet, strict_integer,
};

/// A longer string is handed over rather than copied.
const COPIED_MAX: usize = 1024;
/// As much room is kept for the next string.
const ROOM_KEPT: usize = 1024 * 1024;

/// Why a value cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes end, or are no lengths and strings.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They are no value that a server could have.
    #[error("byte {offset}: {what}")]
    Invalid {
        /// How many bytes were read before.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A collection without elements, which no server keeps. Redis passes such keys by when it
    /// loads a file, and refuses them in RESTORE.
    #[error("the value has no elements")]
    Empty,
    /// Something that this node does not have.
    #[error("{0} cannot be kept by this node")]
    Unsupported(&'static str),
}

/// A value cannot be had, and whose.
#[derive(Debug, thiserror::Error)]
#[error("key '{}': {error}", key.escape_ascii())]
pub struct KeyError {
    /// The key.
    pub key: Vec<u8>,
    /// What is wrong with its value.
    pub error: LoadError,
}

impl LoadError {
    /// With the key that it is about.
    #[must_use]
    pub fn of_key(self, key: &[u8]) -> KeyError {
        KeyError {
            key: key.to_vec(),
            error: self,
        }
    }
}

/// What is wrong, wherever it is.
struct Fault(&'static str);

impl From<BadImage> for Fault {
    fn from(bad: BadImage) -> Self {
        Self(bad.0)
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self("a ziplist or zipmap is damaged")
    }
}

/// Reads values, one after the other.
#[derive(Debug)]
pub struct Loader {
    limits: Limits,
    /// The last string, and the one before.
    text: Vec<u8>,
    name: Vec<u8>,
}

impl Loader {
    /// A loader that keeps values packed up to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            text: Vec::new(),
            name: Vec::new(),
        }
    }

    /// Reads a value that is written as `value_type`.
    ///
    /// # Errors
    /// [`LoadError`]; the reader is somewhere in the value.
    pub fn value<R: Read>(
        &mut self,
        value_type: ValueType,
        reader: &mut Reader<R>,
    ) -> Result<NewValue<'_>, LoadError> {
        // Room for a giant is not kept for what follows.
        if self.text.capacity() > ROOM_KEPT {
            self.text = Vec::new();
        }
        match value_type {
            ValueType::String => self.string(reader),
            ValueType::List => self.list(reader),
            ValueType::ListZiplist => {
                let mut list = List::default();
                self.add_ziplist(&mut list, reader)?;
                finished(list)
            }
            ValueType::ListQuicklist => self.quicklist(reader),
            ValueType::ListQuicklist2 => self.quicklist2(reader),
            ValueType::SetTable => self.set(reader),
            ValueType::SetIntset => {
                let max = self.limits.ints_max;
                let set = self.blob(reader, |blob| Ok(Set::from_intset(blob, max)?))?;
                finished(set)
            }
            ValueType::SetListpack => {
                let max = self.limits.ints_max;
                let set = self.blob(reader, |blob| Ok(Set::from_listpack(blob, max)?))?;
                finished(set)
            }
            ValueType::HashTable => self.hash(reader),
            ValueType::HashListpack => {
                let limits = self.limits.hash;
                let hash = self.blob(reader, |blob| Ok(Hash::from_listpack(blob, limits)?))?;
                finished(hash)
            }
            ValueType::HashZiplist => self.packed_hash(reader, in_pairs),
            ValueType::HashZipmap => self.packed_hash(reader, |blob, visit| zipmap(blob, visit)),
            ValueType::SortedSet => self.sorted_set(reader, Reader::double),
            ValueType::SortedSetText => self.sorted_set(reader, Reader::double_text),
            ValueType::SortedSetListpack => {
                let limits = self.limits.sorted_set;
                let set = self.blob(reader, |blob| Ok(SortedSet::from_listpack(blob, limits)?))?;
                finished(set)
            }
            ValueType::SortedSetZiplist => self.sorted_set_ziplist(reader),
            ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => {
                Err(LoadError::Unsupported("a stream"))
            }
            ValueType::Module | ValueType::ModuleOld => {
                Err(LoadError::Unsupported("a value of a module"))
            }
            ValueType::HashExpiring => Err(LoadError::Unsupported("a hash whose fields expire")),
        }
    }

    /// A string that is looked at as a whole, by `look`.
    fn blob<R: Read, T>(
        &mut self,
        reader: &mut Reader<R>,
        look: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, LoadError> {
        reader.string("a packed collection", &mut self.text)?;
        look(&self.text).map_err(|fault| invalid(reader, fault.0))
    }

    fn string<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<NewValue<'_>, LoadError> {
        reader.string("a string", &mut self.text)?;
        if let Some(number) = strict_integer(&self.text) {
            return Ok(NewValue::Int(number));
        }
        if self.text.len() <= COPIED_MAX {
            return Ok(NewValue::Bytes(&self.text));
        }
        let mut own = std::mem::take(&mut self.text);
        own.shrink_to_fit();
        Ok(NewValue::Owned(own))
    }

    // === Lists ===

    fn list<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<NewValue<'static>, LoadError> {
        let mut list = List::default();
        for _ in 0..reader.length("a count of elements")? {
            reader.string("an element", &mut self.text)?;
            self.push(&mut list, reader)?;
        }
        finished(list)
    }

    /// Adds the string that was read last.
    fn push<R: Read>(&self, list: &mut List, reader: &Reader<R>) -> Result<(), LoadError> {
        if self.text.len() > List::ELEMENT_MAX {
            return Err(invalid(reader, "an element is too long for a list"));
        }
        list.push(End::Tail, &self.text, self.limits.list);
        Ok(())
    }

    fn add_ziplist<R: Read>(
        &mut self,
        list: &mut List,
        reader: &mut Reader<R>,
    ) -> Result<(), LoadError> {
        let limit = self.limits.list;
        self.blob(reader, |blob| {
            ziplist(blob, |item| {
                list.push(End::Tail, item.text(&mut Digits::default()), limit);
                Ok(())
            })
        })
    }

    fn quicklist<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> Result<NewValue<'static>, LoadError> {
        let mut list = List::default();
        for _ in 0..reader.length("a count of nodes")? {
            self.add_ziplist(&mut list, reader)?;
        }
        finished(list)
    }

    fn quicklist2<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> Result<NewValue<'static>, LoadError> {
        const PLAIN: u64 = 1;
        const PACKED: u64 = 2;
        let limit = self.limits.list;
        let mut list = List::default();
        for _ in 0..reader.length("a count of nodes")? {
            match reader.length("what a node is")? {
                PLAIN => {
                    reader.string("an element", &mut self.text)?;
                    // Redis refuses it: an empty one is always packed.
                    if self.text.is_empty() {
                        return Err(invalid(reader, "an element that stands alone is empty"));
                    }
                    self.push(&mut list, reader)?;
                }
                PACKED => {
                    self.blob(reader, |blob| Ok(list.push_listpack(blob, limit)?))?;
                }
                _ => return Err(invalid(reader, "a node is neither plain nor packed")),
            }
        }
        finished(list)
    }

    // === Sets ===

    fn set<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<NewValue<'static>, LoadError> {
        let mut set = Set::default();
        for _ in 0..reader.length("a count of members")? {
            reader.string("a member", &mut self.text)?;
            if !set.add(&self.text, self.limits.ints_max) {
                return Err(invalid(reader, "a member is there twice"));
            }
        }
        finished(set)
    }

    // === Hashes ===

    fn hash<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<NewValue<'static>, LoadError> {
        let mut hash = Hash::default();
        for _ in 0..reader.length("a count of fields")? {
            reader.string("a field", &mut self.name)?;
            reader.string("a value", &mut self.text)?;
            if !hash.set(&self.name, &self.text, self.limits.hash) {
                return Err(invalid(reader, "a field is there twice"));
            }
        }
        finished(hash)
    }

    /// A hash from a blob whose fields and values `walk` shows.
    fn packed_hash<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        walk: impl FnOnce(&[u8], &mut Visit<'_>) -> Result<(), Fault>,
    ) -> Result<NewValue<'static>, LoadError> {
        let limits = self.limits.hash;
        let hash = self.blob(reader, |blob| {
            let mut hash = Hash::default();
            walk(blob, &mut |field, value| {
                let is_new = hash.set(field, value, limits);
                is_new.then_some(()).ok_or(Fault("a field is there twice"))
            })?;
            Ok(hash)
        })?;
        finished(hash)
    }

    // === Sorted sets ===

    fn sorted_set<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        score: impl Fn(&mut Reader<R>, &'static str) -> Result<f64, ReadError>,
    ) -> Result<NewValue<'static>, LoadError> {
        let count = reader.length("a count of members")?;
        let is_big =
            usize::try_from(count).map_or(true, |count| count > self.limits.sorted_set.entries);
        let mut set = if is_big {
            SortedSet::new_big()
        } else {
            SortedSet::default()
        };
        for _ in 0..count {
            reader.string("a member", &mut self.text)?;
            let score = score(reader, "a score")?;
            if score.is_nan() {
                return Err(invalid(reader, "a score is no number"));
            }
            let old = set.set(&self.text, score, self.limits.sorted_set);
            if old.is_some() {
                return Err(invalid(reader, "a member is there twice"));
            }
        }
        finished(set)
    }

    fn sorted_set_ziplist<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> Result<NewValue<'static>, LoadError> {
        let limits = self.limits.sorted_set;
        let set = self.blob(reader, |blob| {
            let mut set = SortedSet::default();
            in_pairs(blob, &mut |member, score| {
                let score = std::str::from_utf8(score).ok();
                let score = score.and_then(|score| score.parse().ok());
                let score = score.filter(|score: &f64| !score.is_nan());
                let score = score.ok_or(Fault("a score is no number"))?;
                let old = set.set(member, score, limits);
                old.map_or(Ok(()), |_| Err(Fault("a member is there twice")))
            })?;
            Ok(set)
        })?;
        finished(set)
    }
}

/// What is shown two entries of a blob.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Fault> + 'a;

/// Shows the entries of a ziplist two by two.
fn in_pairs(blob: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
    let mut first = None;
    ziplist(blob, |item| match first.take() {
        None => {
            first = Some(item);
            Ok(())
        }
        Some(name) => visit(
            name.text(&mut Digits::default()),
            item.text(&mut Digits::default()),
        ),
    })?;
    match first {
        None => Ok(()),
        Some(_) => Err(Fault("a field or member is alone")),
    }
}

fn invalid<R: Read>(reader: &Reader<R>, what: &'static str) -> LoadError {
    LoadError::Invalid {
        offset: reader.offset(),
        what,
    }
}

/// A collection as a value, if it has an element.
fn finished<C: Collection>(collection: C) -> Result<NewValue<'static>, LoadError> {
    if collection.is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(NewValue::Object(collection.into_object()))
}

mod fuzz;
pub use fuzz::fuzz_dump;

#[cfg(test)]
mod tests;
