//! Writing values: what redis-server 7.0 loads, and for small values what it would write itself.
//!
//! A value is written in steps, each bounded, so that whoever writes many can let others have the
//! value's slot between them: [`Saving`] remembers how far it is and borrows nothing. Between two
//! steps the value must not change.

use std::io::{self, Write};

use slotilla_common::rdb::{ValueType, Writer};

use crate::store::{Collection, Digits, Hash, Image, Kind, List, Object, Set, SortedSet, ValueRef};

/// About as many bytes are written in a step, if elements are small.
const STEP_BYTES: usize = 128 * 1024;
/// As many elements are written in a step, at most.
const STEP_ELEMENTS: usize = 4096;

/// What a list's node is: one element, or a listpack of several.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

/// How values are written.
#[derive(Debug, Clone, Copy)]
pub struct SaveOptions {
    /// A list's element of so many bytes is written outside of a listpack.
    pub plain_from: usize,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            plain_from: 1 << 30,
        }
    }
}

/// What is written before a value's key: how the value will be written.
#[must_use]
pub fn value_type(value: ValueRef<'_>) -> ValueType {
    let ValueRef::Object(object) = value else {
        return ValueType::String;
    };
    match (object.kind(), object.image()) {
        (Kind::List, _) => ValueType::ListQuicklist2,
        (Kind::Hash, Some(_)) => ValueType::HashListpack,
        (Kind::Hash, None) => ValueType::HashTable,
        (Kind::Set, Some(Image::Intset(_))) => ValueType::SetIntset,
        // Redis 7.0 knows no listpack of members.
        (Kind::Set, _) => ValueType::SetTable,
        (Kind::SortedSet, Some(_)) => ValueType::SortedSetListpack,
        (Kind::SortedSet, None) => ValueType::SortedSet,
    }
}

/// Writes a value, without its type, in as many steps as it takes.
///
/// # Errors
/// What the writer's sink says.
pub fn save<W: Write>(
    value: ValueRef<'_>,
    options: SaveOptions,
    out: &mut Writer<W>,
) -> io::Result<()> {
    let mut saving = Saving::new(options);
    while saving.step(value, out)? {}
    Ok(())
}

/// A value that is being written.
#[derive(Debug, Clone)]
pub struct Saving {
    options: SaveOptions,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Start,
    /// The next byte of a string.
    Byte(usize),
    /// The next node of a list.
    Node(usize),
    /// Where the scan of a table goes on.
    Table(u64),
    /// Members of a sorted set that are left, the lowest ones.
    Ranks(usize),
    End,
}

impl Saving {
    /// Of a value of which nothing is written yet.
    #[must_use]
    pub fn new(options: SaveOptions) -> Self {
        Self {
            options,
            place: Place::Start,
        }
    }

    /// Writes the next part; whether there is more. `value` must be the same each time.
    ///
    /// # Errors
    /// What the writer's sink says: the value is written in part.
    pub fn step<W: Write>(&mut self, value: ValueRef<'_>, out: &mut Writer<W>) -> io::Result<bool> {
        self.place = match value {
            ValueRef::Int(number) => {
                out.string(Digits::default().of(number))?;
                Place::End
            }
            ValueRef::Bytes(bytes) => self.string(bytes, out)?,
            ValueRef::Object(object) => self.object(object, out)?,
        };
        Ok(!matches!(self.place, Place::End))
    }

    fn string<W: Write>(&self, bytes: &[u8], out: &mut Writer<W>) -> io::Result<Place> {
        let from = match self.place {
            Place::Start if bytes.len() <= STEP_BYTES.max(out.compressed_max()) => {
                out.string(bytes)?;
                return Ok(Place::End);
            }
            Place::Start => {
                out.plain_string_head(bytes.len() as u64)?;
                0
            }
            Place::Byte(from) => from,
            _ => return Ok(Place::End),
        };
        let rest = bytes.get(from..).unwrap_or_default();
        match rest.split_at_checked(STEP_BYTES) {
            Some((here, rest)) if !rest.is_empty() => {
                out.raw(here)?;
                Ok(Place::Byte(from + STEP_BYTES))
            }
            _ => {
                out.raw(rest)?;
                Ok(Place::End)
            }
        }
    }

    fn object<W: Write>(&self, object: &Object, out: &mut Writer<W>) -> io::Result<Place> {
        if let Some(list) = List::of(object) {
            return self.list(list, out);
        }
        match (object.image(), Set::of(object)) {
            (Some(Image::Listpack(_)), Some(set)) => {
                out.length(set.len() as u64)?;
                let mut digits = Digits::default();
                for member in set.iter() {
                    out.string(member.text(&mut digits))?;
                }
                return Ok(Place::End);
            }
            (Some(Image::Listpack(bytes) | Image::Intset(bytes)), _) => {
                out.string(bytes)?;
                return Ok(Place::End);
            }
            (None, _) => {}
        }
        if let Some(set) = SortedSet::of(object) {
            return self.sorted_set(set, object, out);
        }
        self.table(object, out)
    }

    fn list<W: Write>(&self, list: &List, out: &mut Writer<W>) -> io::Result<Place> {
        let (nodes, _) = list.nodes();
        let mut next = match self.place {
            Place::Start => {
                out.length(nodes as u64)?;
                0
            }
            Place::Node(next) => next,
            _ => return Ok(Place::End),
        };
        let mut bytes = 0;
        while let Some(pack) = list.node(next)
            && bytes < STEP_BYTES
        {
            if let Some(element) = list.lone_element(next, self.options.plain_from) {
                out.length(NODE_PLAIN)?;
                out.string(element)?;
            } else {
                out.length(NODE_PACKED)?;
                out.string(pack)?;
            }
            bytes += pack.len();
            next += 1;
        }
        Ok(if next < nodes {
            Place::Node(next)
        } else {
            Place::End
        })
    }

    /// The members of a big sorted set from the highest to the lowest, as Redis has them: each is
    /// then the first of those that were read before.
    fn sorted_set<W: Write>(
        &self,
        set: &SortedSet,
        object: &Object,
        out: &mut Writer<W>,
    ) -> io::Result<Place> {
        let left = match self.place {
            Place::Start => {
                out.length(set.len() as u64)?;
                set.len()
            }
            Place::Ranks(left) => left,
            _ => return Ok(Place::End),
        };
        let from = left.saturating_sub(elements_of_step(object, set.len()));
        for (member, score) in set.range(from..left, true) {
            member.with_text(|member| out.string(member))?;
            out.double(score)?;
        }
        Ok(if from > 0 {
            Place::Ranks(from)
        } else {
            Place::End
        })
    }

    fn table<W: Write>(&self, object: &Object, out: &mut Writer<W>) -> io::Result<Place> {
        let (hash, set) = (Hash::of(object), Set::of(object));
        let len = hash.map_or(0, Hash::len) + set.map_or(0, Set::len);
        let cursor = match self.place {
            Place::Start => {
                out.length(len as u64)?;
                0
            }
            Place::Table(cursor) => cursor,
            _ => return Ok(Place::End),
        };
        let count = elements_of_step(object, len);
        let mut written = Ok(());
        let mut write = |texts: [Option<&[u8]>; 2]| {
            for text in texts.into_iter().flatten() {
                if written.is_ok() {
                    written = out.string(text);
                }
            }
        };
        let (mut first, mut second) = (Digits::default(), Digits::default());
        let next = match (hash, set) {
            (Some(hash), _) => hash.scan(cursor, count, |field, value| {
                write([Some(field.text(&mut first)), Some(value.text(&mut second))]);
            }),
            (_, Some(set)) => set.scan(cursor, count, |member| {
                write([Some(member.text(&mut first)), None]);
            }),
            (None, None) => 0,
        };
        written?;
        Ok(if next == 0 {
            Place::End
        } else {
            Place::Table(next)
        })
    }
}

/// How many elements a step writes, if they are as large as they are on average.
fn elements_of_step(object: &Object, len: usize) -> usize {
    let average = object.memory() / len.max(1);
    (STEP_BYTES / average.max(1)).clamp(1, STEP_ELEMENTS)
}

#[cfg(test)]
mod tests;
