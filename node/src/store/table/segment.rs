//! A segment: entries by hash, in buckets of one cache line.
//!
//! ```text
//! bucket   0  head, 8 bytes: seven tags │ how many entries had to pass on
//!          8  seven entries, 8 bytes each
//! ```
//!
//! An entry lies in the bucket that its hash calls home, or, if that was full, in one of those
//! behind it. A bucket counts the entries that passed it by, so a search ends at the first bucket
//! that none did, and taking an entry out leaves no mark behind (the scheme of F14 tables). So a
//! search nearly always reads one line, whose address follows from the hash and the segment's size
//! alone: it can be fetched before anything of the segment has been read.
//!
//! Sizes are powers of two and one and a half times those, each a size class of the allocator.

use slotilla_common::bytes::same;

use super::super::entry::Entry;
use super::super::hash::KeyHasher;
use super::super::prefetch::prefetch;
use super::Keyed;

/// Entries of a bucket.
pub(super) const PLACES: usize = 7;
/// Bits of the hash that choose the bucket: the low ones, which a position does not use.
const HOME_BITS: u32 = 29;

const TAGS: u64 = 0x00ff_ffff_ffff_ffff;
const HIGH_BITS: u64 = 0x0080_8080_8080_8080;
const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const PASSED_AT: u32 = 56;
/// So many passed that they are no longer counted.
const PASSED_MANY: u64 = 0xff;

/// One cache line of a segment.
#[repr(C, align(64))]
pub(crate) struct Bucket<E = Entry> {
    /// A byte per place: 0 if it is free, else 0x80 and seven bits of the entry's hash. In the
    /// last byte, how many entries passed by.
    head: u64,
    entries: [Option<E>; PLACES],
}

impl<E> Default for Bucket<E> {
    fn default() -> Self {
        Self {
            head: 0,
            entries: [const { None }; PLACES],
        }
    }
}

const _: () = assert!(
    size_of::<Bucket<Entry>>() == 64,
    "a bucket is one cache line"
);

/// What a place says of its entry: never 0.
#[inline]
const fn tag(hash: u64) -> u64 {
    hash >> 57 | 0x80
}

/// Which of `buckets` a hash calls home.
#[inline]
pub(crate) const fn home(hash: u64, buckets: usize) -> usize {
    let fraction = hash & ((1 << HOME_BITS) - 1);
    // Below `buckets`, as the fraction is below one.
    ((fraction * buckets as u64) >> HOME_BITS) as usize
}

impl<E> Bucket<E> {
    /// A bit for each place that has this tag: the high one of its byte.
    #[inline]
    const fn matches(&self, tag: u64) -> Places {
        let different = self.head ^ (tag * 0x0001_0101_0101_0101);
        // A byte is zero if neither its low seven bits nor its high one are set.
        let nonzero = ((different & LOW_SEVEN) + LOW_SEVEN) | different;
        Places(!nonzero & HIGH_BITS)
    }

    #[inline]
    const fn free(&self) -> Places {
        Places(!self.head & HIGH_BITS)
    }

    #[inline]
    const fn full(&self) -> Places {
        Places(self.head & HIGH_BITS)
    }

    #[inline]
    const fn passed(&self) -> u64 {
        self.head >> PASSED_AT
    }

    fn note_passed(&mut self, change: i64) {
        let passed = self.passed();
        if passed != PASSED_MANY {
            let passed = passed.wrapping_add_signed(change);
            self.head = self.head & TAGS | passed << PASSED_AT;
        }
    }

    fn put(&mut self, place: usize, tag: u64, entry: E) {
        if let Some(free) = self.entries.get_mut(place) {
            *free = Some(entry);
            self.head |= tag << (8 * place);
        }
    }

    fn take(&mut self, place: usize) -> Option<E> {
        let entry = self.entries.get_mut(place)?.take()?;
        self.head &= !(0xff << (8 * place));
        Some(entry)
    }

    #[inline]
    fn entry(&self, place: usize) -> Option<&E> {
        self.entries.get(place)?.as_ref()
    }
}

/// Places of a bucket, each the high bit of its byte.
#[derive(Clone, Copy)]
struct Places(u64);

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() / 8;
        self.0 &= self.0 - 1;
        Some(place as usize)
    }
}

/// Where an entry is in its segment: bucket times eight plus place.
pub(super) type Index = u32;

#[inline]
fn index(bucket: usize, place: usize) -> Index {
    // A segment splits at 128 buckets, unless millions of keys agree in all of a position.
    (bucket * 8 + place) as Index
}

#[inline]
fn parts(index: Index) -> (usize, usize) {
    (index as usize / 8, index as usize % 8)
}

/// See the module's page.
pub(crate) struct Segment<E = Entry> {
    buckets: Box<[Bucket<E>]>,
    len: u32,
}

impl<E> Default for Segment<E> {
    fn default() -> Self {
        Self {
            buckets: Box::default(),
            len: 0,
        }
    }
}

impl<E: Keyed> Segment<E> {
    /// With room for `len` entries.
    pub(super) fn with_room(len: usize) -> Self {
        Self {
            buckets: new_buckets(size_for(len)),
            len: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many buckets there are.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.buckets.len()
    }

    /// How many entries it takes before it should grow.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        capacity(self.size())
    }

    /// Where the buckets are and how many: what a search needs to know to fetch the right one.
    #[inline]
    pub(super) fn buckets(&self) -> &[Bucket<E>] {
        &self.buckets
    }

    /// Bytes of the buckets.
    pub(super) fn memory(&self) -> usize {
        size_of_val::<[Bucket<E>]>(&self.buckets)
    }

    /// The first entry of this hash that is `wanted`.
    #[inline]
    pub(super) fn find(&self, hash: u64, wanted: impl Fn(&E) -> bool) -> Option<Index> {
        let size = self.size();
        let mut at = home(hash, size);
        for _ in 0..size {
            let bucket = self.buckets.get(at)?;
            for place in bucket.matches(tag(hash)) {
                if bucket.entry(place).is_some_and(&wanted) {
                    return Some(index(at, place));
                }
            }
            if bucket.passed() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// The entry of a key, whose hash this is: a look at its home, where nearly every one is, that
    /// becomes part of whoever looks.
    #[inline(always)]
    pub(super) fn find_key(&self, hash: u64, key: &[u8]) -> Option<Index> {
        let at = home(hash, self.size());
        let bucket = self.buckets.get(at)?;
        for place in bucket.matches(tag(hash)) {
            if let Some(entry) = bucket.entry(place)
                && same(entry.key(), key)
            {
                return Some(index(at, place));
            }
        }
        if bucket.passed() == 0 {
            return None;
        }
        self.find_far(hash, key)
    }

    #[inline(never)]
    fn find_far(&self, hash: u64, key: &[u8]) -> Option<Index> {
        self.find(hash, |entry| same(entry.key(), key))
    }

    /// Starts fetching the entries that may be the one of this hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let Some(bucket) = self.buckets.get(home(hash, self.size())) else {
            return;
        };
        for place in bucket.matches(tag(hash)) {
            if let Some(entry) = bucket.entry(place) {
                entry.prefetch();
            }
        }
    }

    #[inline]
    pub(super) fn at(&self, index: Index) -> Option<&E> {
        let (bucket, place) = parts(index);
        self.buckets.get(bucket)?.entry(place)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, index: Index) -> Option<&mut E> {
        let (bucket, place) = parts(index);
        self.buckets
            .get_mut(bucket)?
            .entries
            .get_mut(place)?
            .as_mut()
    }

    /// Adds an entry whose key is not there, growing if it must.
    pub(super) fn insert(&mut self, hash: u64, entry: E, hasher: KeyHasher) {
        if self.len() >= self.capacity() {
            self.grow(hasher);
        }
        self.place(hash, entry);
    }

    /// Puts an entry into the first bucket from its home on that has a free place.
    fn place(&mut self, hash: u64, entry: E) {
        let mut at = home(hash, self.size());
        while let Some(bucket) = self.buckets.get_mut(at) {
            if let Some(place) = bucket.free().next() {
                bucket.put(place, tag(hash), entry);
                self.len += 1;
                return;
            }
            bucket.note_passed(1);
            at = self.after(at);
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, index: Index, hasher: KeyHasher) -> Option<E> {
        let (bucket, place) = parts(index);
        let entry = self.buckets.get_mut(bucket)?.take(place)?;
        self.len -= 1;
        let mut at = home(hasher.hash(entry.key()), self.size());
        while at != bucket {
            self.buckets.get_mut(at)?.note_passed(-1);
            at = self.after(at);
        }
        Some(entry)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.size() { 0 } else { at + 1 }
    }

    /// Takes out all entries that are `unwanted`.
    pub(super) fn extract(
        &mut self,
        hasher: KeyHasher,
        mut unwanted: impl FnMut(&E) -> bool,
        mut removed: impl FnMut(E),
    ) {
        for bucket in 0..self.size() {
            let full = self.buckets.get(bucket).map_or(Places(0), Bucket::full);
            for place in full {
                let at = index(bucket, place);
                if self.at(at).is_some_and(&mut unwanted)
                    && let Some(entry) = self.remove(at, hasher)
                {
                    removed(entry);
                }
            }
        }
    }

    /// Grows to the next size.
    pub(super) fn grow(&mut self, hasher: KeyHasher) {
        self.resize(size_after(self.size()), hasher);
    }

    /// Gives memory back once a quarter of what fits is there.
    pub(super) fn shrink(&mut self, hasher: KeyHasher) {
        if self.size() > 1 && self.len() < self.capacity() / 4 {
            self.resize(size_for(self.len() * 2), hasher);
        }
    }

    fn resize(&mut self, size: usize, hasher: KeyHasher) {
        let old = std::mem::replace(&mut self.buckets, new_buckets(size));
        self.len = 0;
        let mut buckets = old.into_iter().peekable();
        while let Some(bucket) = buckets.next() {
            // A hash is made of the key, so every entry is read: the next ones meanwhile arrive.
            if let Some(next) = buckets.peek() {
                next.entries.iter().flatten().for_each(Keyed::prefetch);
            }
            for entry in bucket.entries.into_iter().flatten() {
                self.place(hasher.hash(entry.key()), entry);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.buckets
            .iter()
            .flat_map(|bucket| bucket.entries.iter().flatten())
    }

    /// How many places there are, free ones too.
    pub(super) fn places(&self) -> usize {
        self.size() * PLACES
    }

    /// The entry at one of [`places`](Self::places), if there is one.
    pub(super) fn nth(&self, place: usize) -> Option<&E> {
        self.buckets.get(place / PLACES)?.entry(place % PLACES)
    }
}

impl<E> IntoIterator for Segment<E> {
    type Item = E;
    type IntoIter = std::iter::Flatten<
        std::iter::FlatMap<
            std::vec::IntoIter<Bucket<E>>,
            [Option<E>; PLACES],
            fn(Bucket<E>) -> [Option<E>; PLACES],
        >,
    >;

    fn into_iter(self) -> Self::IntoIter {
        let entries: fn(Bucket<E>) -> [Option<E>; PLACES] = |bucket| bucket.entries;
        self.buckets.into_iter().flat_map(entries).flatten()
    }
}

fn new_buckets<E>(size: usize) -> Box<[Bucket<E>]> {
    std::iter::repeat_with(Bucket::default).take(size).collect()
}

/// How many entries so many buckets take. One bucket can be full; more of them keep a place of
/// seven free, so that few entries have to pass on.
const fn capacity(buckets: usize) -> usize {
    if buckets == 1 {
        PLACES
    } else {
        buckets * (PLACES - 1)
    }
}

/// The next size above: 1, 2, 3, 4, 6, 8, 12, 16 …
const fn size_after(buckets: usize) -> usize {
    match buckets {
        0 | 1 => buckets + 1,
        _ if buckets.is_power_of_two() => buckets / 2 * 3,
        _ => buckets / 3 * 4,
    }
}

/// The smallest size that takes `len` entries.
fn size_for(len: usize) -> usize {
    let mut buckets = 1;
    while capacity(buckets) < len {
        buckets = size_after(buckets);
    }
    buckets
}

/// Starts fetching the bucket that a hash calls home among `size` of them from `first` on, if
/// that is still where they are.
#[inline]
pub(crate) fn prefetch_home(first: *const Bucket, size: usize, hash: u64) {
    prefetch(first.wrapping_add(home(hash, size)));
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::NewValue;
    use super::*;
    use proptest::prelude::*;

    const HASHER: KeyHasher = KeyHasher::with_key(3, 4);

    fn entry(number: u32) -> (u64, Entry) {
        let key = number.to_le_bytes();
        let entry = Entry::new(&key, NewValue::Int(i64::from(number)), None, 0);
        (HASHER.hash(&key), entry)
    }

    fn find(segment: &Segment, number: u32) -> Option<Index> {
        let key = number.to_le_bytes();
        segment.find(HASHER.hash(&key), |entry| entry.key() == key)
    }

    #[test]
    fn sizes_are_size_classes_and_grow_by_half() {
        let mut size = 1;
        for expected in [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128] {
            size = size_after(size);
            assert_eq!(size, expected);
            assert_eq!(
                super::super::super::memory::size_class(size * 64),
                size * 64
            );
        }
    }

    #[test]
    fn every_hash_has_its_home_inside() {
        for size in [1, 2, 3, 96, 128] {
            assert_eq!(home(0, size), 0);
            assert_eq!(home(u64::MAX, size), size - 1);
        }
    }

    #[test]
    fn tags_match_exactly() {
        let mut bucket = Bucket::default();
        for place in [0, 2, 6] {
            bucket.put(place, tag(0), entry(place as u32).1);
        }
        bucket.put(1, tag(1 << 57), entry(1).1);
        bucket.note_passed(1);
        assert_eq!(bucket.matches(tag(0)).collect::<Vec<_>>(), [0, 2, 6]);
        assert_eq!(bucket.matches(tag(1 << 57)).collect::<Vec<_>>(), [1]);
        assert_eq!(bucket.matches(tag(u64::MAX)).count(), 0);
        assert_eq!(bucket.free().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(bucket.passed(), 1);
    }

    #[test]
    fn a_bucket_that_many_passed_never_forgets() {
        let mut bucket: Bucket = Bucket::default();
        for _ in 0..300 {
            bucket.note_passed(1);
        }
        for _ in 0..300 {
            bucket.note_passed(-1);
        }
        assert_eq!(bucket.passed(), PASSED_MANY);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 100 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_behaves_like_a_set_and_leaves_no_marks(
            ops in proptest::collection::vec((any::<bool>(), 0u32..120), 0..600)
        ) {
            let mut segment = Segment::default();
            let mut model = std::collections::BTreeSet::new();
            for (insert, number) in ops {
                match find(&segment, number) {
                    Some(at) => {
                        prop_assert!(model.remove(&number));
                        let gone = segment.remove(at, HASHER).unwrap();
                        prop_assert_eq!(gone.key(), number.to_le_bytes());
                        segment.shrink(HASHER);
                    }
                    None => {
                        prop_assert!(!model.contains(&number));
                        if insert {
                            model.insert(number);
                            let (hash, entry) = entry(number);
                            segment.insert(hash, entry, HASHER);
                        }
                    }
                }
                prop_assert_eq!(segment.len(), model.len());
                prop_assert!(segment.iter().count() == model.len());
            }
            for number in model {
                let at = find(&segment, number).unwrap();
                segment.remove(at, HASHER);
            }
            prop_assert!(segment.is_empty());
            prop_assert!(segment.buckets().iter().all(|bucket| bucket.head == 0));
        }
    }
}
