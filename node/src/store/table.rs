//! A table of entries: one database's keys in one slot.
//!
//! While it is small, a table is one [`Segment`] of 8-byte entry pointers. From
//! [`SEGMENT_BUCKETS`] on it becomes a [`Directory`] of such segments, which split and merge one at
//! a time (extendible hashing), so the longest stall is the rehash of one segment, however many
//! keys one hash tag has gathered.
//!
//! The 64 bits of a key's hash serve three masters, each its own bits, or entries of one segment
//! would look alike to it:
//!
//! ```text
//!  63..57  the tag by which a segment tells entries of a bucket apart
//!  56..37  the position: which segment, and SCAN's order
//!  28..0   the bucket (the bits between are free)
//! ```

use super::entry::Entry;
use super::hash::KeyHasher;

mod directory;
mod segment;
use directory::Directory;
pub(crate) use segment::{Bucket, prefetch_home};
use segment::{Index, Segment};

/// A segment splits when it would outgrow this many buckets.
const SEGMENT_BUCKETS: usize = if cfg!(test) { 2 } else { 128 };
/// Places of a segment that has all its buckets.
const SEGMENT_PLACES: usize = SEGMENT_BUCKETS * segment::PLACES;
/// Bits of a position: segments of a million positions hold more keys than memory does, and a
/// proxy has the more bits of SCAN's cursor to itself.
pub(crate) const POSITION_BITS: u32 = 20;
/// One more than the last position.
pub(crate) const POSITIONS: u32 = 1 << POSITION_BITS;
const POSITION_SHIFT: u32 = 64 - 7 - POSITION_BITS;

/// Where a hash stands in SCAN's order, whatever the table's shape.
#[inline]
pub(crate) fn position(hash: u64) -> u32 {
    // The mask leaves 20 bits.
    (hash >> POSITION_SHIFT) as u32 & (POSITIONS - 1)
}

/// Where an entry is, until the table changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    segment: usize,
    index: Index,
}

/// What a table has: something with a key, in one word.
pub(crate) trait Keyed {
    /// The key.
    fn key(&self) -> &[u8];
    /// Starts fetching its memory.
    fn prefetch(&self);
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        Self::key(self)
    }

    #[inline]
    fn prefetch(&self) {
        Self::prefetch(self);
    }
}

/// See the module's page.
pub(crate) struct Table<E = Entry>(Form<E>);

enum Form<E> {
    One(Segment<E>),
    Many(Box<Directory<E>>),
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self(Form::One(Segment::default()))
    }
}

impl<E: Keyed> Table<E> {
    /// How many entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::One(segment) => segment.len(),
            Form::Many(directory) => directory.len,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the table itself, without its entries.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            Form::One(segment) => segment.memory(),
            Form::Many(directory) => directory.memory(),
        }
    }

    /// Finds `key`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let (segment, table) = self.segment_of(hash);
        let index = table.find_key(hash, key)?;
        Some(Place { segment, index })
    }

    /// Finds the first entry of this hash that is `wanted`.
    #[inline]
    pub(crate) fn find_by(&self, hash: u64, wanted: impl Fn(&E) -> bool) -> Option<Place> {
        let (segment, table) = self.segment_of(hash);
        let index = table.find(hash, wanted)?;
        Some(Place { segment, index })
    }

    /// The segment that a hash belongs to, and its number.
    #[inline(always)]
    fn segment_of(&self, hash: u64) -> (usize, &Segment<E>) {
        match &self.0 {
            Form::One(segment) => (0, segment),
            Form::Many(directory) => directory.of_hash(hash),
        }
    }

    /// Starts fetching the memory of whatever may be the entry of this hash.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.segment_of(hash).1.prefetch(hash);
    }

    /// The buckets, if the table has but one segment; else none.
    #[inline]
    pub(crate) fn buckets(&self) -> &[Bucket<E>] {
        match &self.0 {
            Form::One(segment) => segment.buckets(),
            Form::Many(_) => &[],
        }
    }

    /// The entry at a place that was found since the table last changed.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> Option<&E> {
        self.segment(place.segment)?.at(place.index)
    }

    /// As [`at`](Self::at), to be changed; its key stays what it is.
    #[inline]
    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut E> {
        self.segment_mut(place.segment)?.at_mut(place.index)
    }

    /// Adds an entry whose key is not in the table.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, entry: E, hasher: KeyHasher) {
        if let Form::One(segment) = &mut self.0 {
            if make_room(segment, hasher) {
                segment.insert(hash, entry, hasher);
                return;
            }
            let segment = std::mem::take(segment);
            self.0 = Form::Many(Box::new(Directory::new(segment)));
        }
        if let Form::Many(directory) = &mut self.0 {
            directory.insert(hash, entry, hasher);
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, place: Place, hasher: KeyHasher) -> Option<E> {
        let segment = self.segment_mut(place.segment)?;
        let entry = segment.remove(place.index, hasher)?;
        self.shrink(place.segment, 1, hasher);
        Some(entry)
    }

    /// Goes through the segment that holds position `from`, taking out what `unwanted` says;
    /// where the next segment starts, if there is one.
    pub(crate) fn sweep(
        &mut self,
        from: u32,
        hasher: KeyHasher,
        unwanted: impl FnMut(&E) -> bool,
        removed: impl FnMut(E),
    ) -> Option<u32> {
        let (number, end) = self.segment_at(from);
        let segment = self.segment_mut(number)?;
        let before = segment.len();
        segment.extract(hasher, unwanted, removed);
        let gone = before - segment.len();
        if gone > 0 {
            self.shrink(number, gone, hasher);
        }
        end
    }

    /// Visits, in order of position from `from` on, about `count` entries: exactly so many, unless
    /// several share the last position. The position to go on from, if there are more.
    ///
    /// An entry has the same position for life, so going through all positions meets every entry
    /// that is there throughout, whatever else happens to the table between calls.
    pub(crate) fn scan<'t>(
        &'t self,
        mut from: u32,
        count: usize,
        hasher: KeyHasher,
        mut visit: impl FnMut(&'t E),
    ) -> Option<u32> {
        let mut left = count.max(1);
        loop {
            let (number, end) = self.segment_at(from);
            let mut found: Vec<(u32, &E)> = self
                .segment(number)?
                .iter()
                .map(|entry| (position(hasher.hash(entry.key())), entry))
                .filter(|(position, _)| *position >= from)
                .collect();
            if found.len() > left {
                let (_, (last, _), _) = found.select_nth_unstable_by_key(left - 1, |(at, _)| *at);
                let next = *last + 1;
                for (position, entry) in found {
                    if position < next {
                        visit(entry);
                    }
                }
                return (next < POSITIONS).then_some(next);
            }
            left -= found.len();
            for (_, entry) in found {
                visit(entry);
            }
            from = end?;
            if left == 0 {
                return Some(from);
            }
        }
    }

    /// Visits entries from a random place on until `visit` says it has enough or the segment ends
    /// where it began. Segments are met by their share of positions, so by their size.
    pub(crate) fn sample<'t>(
        &'t self,
        random: &mut fastrand::Rng,
        mut visit: impl FnMut(&'t E) -> bool,
    ) {
        let (number, _) = self.segment_at(random.u32(0..POSITIONS));
        let Some(segment) = self.segment(number) else {
            return;
        };
        let places = segment.places();
        if segment.is_empty() {
            return;
        }
        let start = random.usize(0..places);
        for place in (start..places).chain(0..start) {
            if let Some(entry) = segment.nth(place)
                && !visit(entry)
            {
                return;
            }
        }
    }

    /// An entry, each with the same chance; `None` if the table is empty.
    pub(crate) fn random(&self, random: &mut fastrand::Rng) -> Option<&E> {
        // A place that is free, or that a smaller segment does not have, must not make another's
        // entry likelier: draw again. Segments are neither few nor much emptier than others, so
        // this nearly always ends here.
        for _ in 0..256 {
            let segment = match &self.0 {
                Form::One(segment) => segment,
                Form::Many(directory) => directory.random(random)?,
            };
            let places = match &self.0 {
                Form::One(segment) => segment.places(),
                Form::Many(_) => segment.places().max(SEGMENT_PLACES),
            };
            if let Some(last) = places.checked_sub(1)
                && let Some(entry) = segment.nth(random.usize(0..=last))
            {
                return Some(entry);
            }
        }
        self.iter().next()
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        let (one, many) = match &self.0 {
            Form::One(segment) => (Some(segment), None),
            Form::Many(directory) => (None, Some(directory.segments())),
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .flat_map(Segment::iter)
    }

    /// The segment of a position, and where the next one starts.
    fn segment_at(&self, position: u32) -> (usize, Option<u32>) {
        match &self.0 {
            Form::One(_) => (0, None),
            Form::Many(directory) => directory.at_position(position),
        }
    }

    #[inline]
    fn segment(&self, number: usize) -> Option<&Segment<E>> {
        match &self.0 {
            Form::One(segment) => Some(segment),
            Form::Many(directory) => directory.segment(number),
        }
    }

    #[inline]
    fn segment_mut(&mut self, number: usize) -> Option<&mut Segment<E>> {
        match &mut self.0 {
            Form::One(segment) => Some(segment),
            Form::Many(directory) => directory.segment_mut(number),
        }
    }

    /// After `gone` entries have left a segment: gives memory back.
    fn shrink(&mut self, number: usize, gone: usize, hasher: KeyHasher) {
        match &mut self.0 {
            Form::One(segment) => segment.shrink(hasher),
            Form::Many(directory) => {
                directory.len -= gone;
                if let Some(last) = directory.shrink(number, hasher) {
                    self.0 = Form::One(last);
                }
            }
        }
    }
}

/// Makes sure that one more entry fits; false if the segment should split instead.
fn make_room<E: Keyed>(segment: &mut Segment<E>, hasher: KeyHasher) -> bool {
    if segment.len() < segment.capacity() {
        return true;
    }
    if segment.size() >= SEGMENT_BUCKETS {
        return false;
    }
    segment.grow(hasher);
    true
}

#[cfg(test)]
mod tests;
