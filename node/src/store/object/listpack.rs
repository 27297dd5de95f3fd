//! A listpack: strings and integers in one run of bytes, in Redis's own format.
//!
//! ```text
//! header   total bytes u32 │ how many elements u16 (65535: too many to say)   little-endian
//! element  encoding and content │ their length, readable from its last byte backwards
//! end      0xff
//! ```
//!
//! An element begins with one of these (x: a length or a number, big end first):
//!
//! ```text
//! 0xxxxxxx  a number up to 127            11110000  a string: length u32, content
//! 10xxxxxx  a string up to 63 bytes       11110001  a number: i16, 11110010 i24,
//! 110xxxxx  a number of 13 bits           11110011  i32, 11110100 i64; all little-endian
//! 1110xxxx  a string up to 4095 bytes
//! ```
//!
//! A string that is an integer in its only spelling is kept as one. The format is that of
//! snapshots and DUMP, so nothing is converted there; small collections are kept in it.

use super::super::entry::{Digits, strict_integer};
use super::block::{Block, Format};

const HEADER: usize = 6;
const END: u8 = 0xff;
/// The count that says nothing.
const COUNT_UNKNOWN: usize = u16::MAX as usize;
/// An element's own bytes but a string's content: at most an i64 and what tells of it.
const HEAD_MAX: usize = 9;
/// A longer listpack is a mistake of whoever lets it grow: Redis stops there too.
pub(crate) const BYTES_MAX: usize = 1 << 30;

/// See the module's page. One word: the length is the bytes' own to tell.
#[derive(Clone, Default)]
#[repr(transparent)]
pub(crate) struct Listpack(Block<Pack>);

/// The format's part of a [`Block`].
struct Pack;

// SAFETY: the length is the first four bytes, as they say; nobody else writes them.
unsafe impl Format for Pack {
    const HEAD: usize = 4;
    const EMPTY: &'static [u8] = &[7, 0, 0, 0, 0, 0, END];

    #[inline]
    fn len(head: [u8; 8]) -> usize {
        let [a, b, c, d, ..] = head;
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    fn set_len(head: &mut [u8; 8], len: usize) {
        // Callers keep listpacks below `BYTES_MAX`.
        let [a, b, c, d] = (len as u32).to_le_bytes();
        let [_, _, _, _, rest @ ..] = *head;
        let [e, f, g, h] = rest;
        *head = [a, b, c, d, e, f, g, h];
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where an element begins, until the listpack changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(usize);

/// An element of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item<'a> {
    /// A string that is an integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// As a string.
    #[must_use]
    #[inline]
    pub fn text<'b>(self, digits: &'b mut Digits) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Int(number) => digits.of(number),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether it is this string.
    #[inline]
    pub(crate) fn is(self, wanted: Wanted<'_>) -> bool {
        match self {
            Self::Int(number) => wanted.number == Some(number),
            // A string that is a number is never kept as bytes.
            Self::Bytes(bytes) => bytes == wanted.bytes,
        }
    }

    /// Its length as a string.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty one is like any other"
    )]
    pub fn len(self) -> usize {
        self.text(&mut Digits::default()).len()
    }
}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

/// A string to look for, read as a number but once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    bytes: &'a [u8],
    number: Option<i64>,
}

impl<'a> From<&'a [u8]> for Wanted<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            number: strict_integer(bytes),
        }
    }
}

/// An element as it is to be written.
struct Encoded<'a> {
    head: [u8; HEAD_MAX],
    head_len: usize,
    content: &'a [u8],
}

impl<'a> Encoded<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match strict_integer(bytes) {
            Some(number) => Self::number(number),
            None => Self::string(bytes),
        }
    }

    fn with(head: &[u8], content: &'a [u8]) -> Self {
        let mut encoded = Self {
            head: [0; HEAD_MAX],
            head_len: head.len(),
            content,
        };
        for (to, from) in encoded.head.iter_mut().zip(head) {
            *to = *from;
        }
        encoded
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "each arm knows the range"
    )]
    fn number(number: i64) -> Self {
        let bytes = number.to_le_bytes();
        let [b0, b1, b2, b3, ..] = bytes;
        match number {
            0..=127 => Self::with(&[b0], &[]),
            -4096..=4095 => {
                let low = (number & 0x1fff) as u16;
                Self::with(&[0xc0 | (low >> 8) as u8, low as u8], &[])
            }
            -0x8000..=0x7fff => Self::with(&[0xf1, b0, b1], &[]),
            -0x80_0000..=0x7f_ffff => Self::with(&[0xf2, b0, b1, b2], &[]),
            -0x8000_0000..=0x7fff_ffff => Self::with(&[0xf3, b0, b1, b2, b3], &[]),
            _ => {
                let [b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
                Self::with(&[0xf4, b0, b1, b2, b3, b4, b5, b6, b7], &[])
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "each arm knows the range; callers bound strings far below 4 GiB"
    )]
    fn string(bytes: &'a [u8]) -> Self {
        match bytes.len() {
            len @ 0..=63 => Self::with(&[0x80 | len as u8], bytes),
            len @ 64..=4095 => Self::with(&[0xe0 | (len >> 8) as u8, len as u8], bytes),
            len => {
                let [b0, b1, b2, b3] = (len as u32).to_le_bytes();
                Self::with(&[0xf0, b0, b1, b2, b3], bytes)
            }
        }
    }

    /// Bytes of encoding and content.
    fn len(&self) -> usize {
        self.head_len + self.content.len()
    }

    /// Bytes of everything.
    fn total(&self) -> usize {
        self.len() + back_length_size(self.len())
    }

    /// Writes itself over `room`, which is `total` bytes long.
    fn write(&self, room: &mut [u8]) {
        let (head, rest) = room.split_at_mut_checked(self.head_len).unwrap_or_default();
        let (content, back) = rest
            .split_at_mut_checked(self.content.len())
            .unwrap_or_default();
        for (to, from) in head.iter_mut().zip(self.head) {
            *to = from;
        }
        for (to, from) in content.iter_mut().zip(self.content) {
            *to = *from;
        }
        write_back_length(self.len(), back);
    }
}

/// How many bytes tell of `len` bytes backwards. The bounds are Redis's, which are one below what
/// seven bits each could tell.
const fn back_length_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Seven bits a byte, big end first; all but the first byte, which is read last, have the high bit.
fn write_back_length(len: usize, room: &mut [u8]) {
    let mut left = len;
    let last = room.len().saturating_sub(1);
    for (index, byte) in room.iter_mut().rev().enumerate() {
        let more = if index == last { 0 } else { 0x80 };
        *byte = (left & 0x7f) as u8 | more;
        left >>= 7;
    }
}

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the rest is for lists, sorted sets and DUMP")
)]
impl Listpack {
    /// Bytes of the whole, as Redis's limits count them.
    #[inline]
    pub(crate) fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// Bytes that it takes from the allocator.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }

    /// How many elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.as_bytes().get(4..HEADER) {
            Some(&[low, high]) => match usize::from(u16::from_le_bytes([low, high])) {
                COUNT_UNKNOWN => self.iter().count(),
                count => count,
            },
            _ => 0,
        }
    }

    /// Whether it has no element.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() <= HEADER + 1
    }

    /// The bytes, as DUMP and snapshots have them.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// A listpack from outside, after a look at every byte; `None` if one is not as it must be.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let pack = Self(Block::copy_of(bytes)?);
        let count = bytes.get(4..HEADER)?;
        let count = usize::from(u16::from_le_bytes([*count.first()?, *count.get(1)?]));
        let (mut at, mut seen) = (HEADER, 0);
        while *bytes.get(at)? != END {
            let len = pack.body_len(At(at))?;
            let end = at.checked_add(len)?.checked_add(back_length_size(len))?;
            let mut back = [0; 5];
            let back = back.get_mut(..back_length_size(len))?;
            write_back_length(len, back);
            if bytes.get(at + len..end)? != back {
                return None;
            }
            (at, seen) = (end, seen + 1);
        }
        let is_whole = at + 1 == bytes.len() && (count == seen || count == COUNT_UNKNOWN);
        is_whole.then_some(pack)
    }

    // === Reading ===

    /// The first element.
    #[inline]
    pub(crate) fn first(&self) -> Option<At> {
        self.real(At(HEADER))
    }

    /// The last element.
    #[inline]
    pub(crate) fn last(&self) -> Option<At> {
        self.before(self.0.len() - 1)
    }

    /// The element behind another.
    #[inline]
    pub(crate) fn next(&self, at: At) -> Option<At> {
        self.real(At(self.end_of(at)))
    }

    /// The element before another.
    #[inline]
    pub(crate) fn prev(&self, at: At) -> Option<At> {
        self.before(at.0)
    }

    /// Element `index`, from the end if it is negative: -1 is the last.
    pub(crate) fn nth(&self, index: i64) -> Option<At> {
        let count = self.len();
        let steps = usize::try_from(index.unsigned_abs()).ok()?;
        let index = if index < 0 {
            count.checked_sub(steps)?
        } else {
            steps
        };
        if index >= count {
            return None;
        }
        if index <= count / 2 {
            (0..index).try_fold(self.first()?, |at, _| self.next(at))
        } else {
            (index + 1..count).try_fold(self.last()?, |at, _| self.prev(at))
        }
    }

    /// The element at a place.
    #[inline]
    pub(crate) fn item(&self, at: At) -> Item<'_> {
        let rest = self.as_bytes().get(at.0..).unwrap_or_default();
        match rest {
            [n @ 0..=0x7f, ..] => Item::Int(i64::from(*n)),
            [n @ 0x80..=0xbf, rest @ ..] => Item::Bytes(take(rest, usize::from(n & 0x3f))),
            [n @ 0xc0..=0xdf, low, ..] => {
                let number = i64::from(n & 0x1f) << 8 | i64::from(*low);
                // The top of 13 bits is the sign.
                Item::Int((number ^ 0x1000) - 0x1000)
            }
            [n @ 0xe0..=0xef, low, rest @ ..] => {
                let len = usize::from(n & 0x0f) << 8 | usize::from(*low);
                Item::Bytes(take(rest, len))
            }
            [0xf0, a, b, c, d, rest @ ..] => {
                let len = u32::from_le_bytes([*a, *b, *c, *d]);
                Item::Bytes(take(rest, len as usize))
            }
            [0xf1, a, b, ..] => Item::Int(i64::from(i16::from_le_bytes([*a, *b]))),
            [0xf2, a, b, c, ..] => {
                let number = i32::from_le_bytes([0, *a, *b, *c]) >> 8;
                Item::Int(i64::from(number))
            }
            [0xf3, a, b, c, d, ..] => Item::Int(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
            [0xf4, a, b, c, d, e, f, g, h, ..] => {
                Item::Int(i64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            _ => Item::Bytes(&[]),
        }
    }

    /// All elements, from either end.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter {
            pack: self,
            front: self.first(),
            back: self.last(),
        }
    }

    /// The elements from a place on.
    pub(crate) fn iter_from(&self, at: At) -> Iter<'_> {
        Iter {
            pack: self,
            front: self.real(at),
            back: self.last(),
        }
    }

    /// The first element from `from` on that is this string, looking at every `step`th.
    #[inline]
    pub(crate) fn find(&self, from: Option<At>, bytes: &[u8], step: usize) -> Option<At> {
        let wanted = Wanted::from(bytes);
        let mut at = from?;
        loop {
            if self.item(at).is(wanted) {
                return Some(at);
            }
            for _ in 0..step {
                at = self.next(at)?;
            }
        }
    }

    // === Changing ===

    /// Adds an element at the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.0.len() - 1;
        self.splice(end, 0, Some(bytes), 1);
    }

    /// Adds an element at the start.
    pub(crate) fn push_front(&mut self, bytes: &[u8]) {
        self.splice(HEADER, 0, Some(bytes), 1);
    }

    /// Puts an element before another; where it is now.
    pub(crate) fn insert_before(&mut self, at: At, bytes: &[u8]) -> At {
        self.splice(at.0, 0, Some(bytes), 1);
        at
    }

    /// Puts an element behind another; where it is.
    pub(crate) fn insert_after(&mut self, at: At, bytes: &[u8]) -> At {
        let behind = self.end_of(at);
        self.splice(behind, 0, Some(bytes), 1);
        At(behind)
    }

    /// Puts an element in another's place.
    pub(crate) fn replace(&mut self, at: At, bytes: &[u8]) {
        let old = self.end_of(at) - at.0;
        self.splice(at.0, old, Some(bytes), 0);
    }

    /// Takes out `count` elements from a place on, or as many as there are. The place of what
    /// came behind them, if anything did.
    pub(crate) fn remove(&mut self, at: At, count: usize) -> Option<At> {
        let (mut end, mut gone) = (at, 0);
        while gone < count && self.real(end).is_some() {
            end = At(self.end_of(end));
            gone += 1;
        }
        self.splice(at.0, end.0 - at.0, None, -(gone as i64));
        self.real(at)
    }

    /// Takes the elements from a place on out, as a listpack of their own.
    pub(crate) fn split_off(&mut self, at: At) -> Self {
        let mut other = Self::default();
        let count = std::iter::successors(self.real(at), |at| self.next(*at)).count();
        let moved = at.0..self.0.len() - 1;
        let bytes = self.as_bytes().get(moved.clone()).unwrap_or_default();
        other.insert_raw(HEADER, bytes, count as i64);
        self.splice(moved.start, moved.len(), None, -(count as i64));
        other
    }

    /// All elements, as a listpack of their own; none stays.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.exchange(Block::default()))
    }

    /// Adds all elements of another at the end.
    pub(crate) fn append(&mut self, other: &Self) {
        let bytes = other.as_bytes();
        let bytes = bytes.get(HEADER..bytes.len() - 1).unwrap_or_default();
        self.insert_raw(self.0.len() - 1, bytes, other.len() as i64);
    }

    /// Puts bytes that are `count` elements at `at`.
    fn insert_raw(&mut self, at: usize, bytes: &[u8], count: i64) {
        self.0.splice(at, 0, bytes.len());
        if let Some(room) = self.room(at, bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.count(count);
    }

    /// Replaces `old` bytes at `at` by an element or by nothing.
    fn splice(&mut self, at: usize, old: usize, element: Option<&[u8]>, count: i64) {
        let encoded = element.map(Encoded::of);
        let new = encoded.as_ref().map_or(0, Encoded::total);
        self.0.splice(at, old, new);
        if let Some(encoded) = encoded
            && let Some(room) = self.room(at, new)
        {
            encoded.write(room);
        }
        self.count(count);
    }

    fn room(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        let at = at.checked_sub(Pack::HEAD)?;
        self.0.content_mut().get_mut(at..at + len)
    }

    /// Notes that there are `more` elements.
    fn count(&mut self, more: i64) {
        let [low, high, ..] = self.0.content_mut() else {
            return;
        };
        let count = u16::from_le_bytes([*low, *high]);
        // Past counting, it may have become few enough to be told; that is not worth a count.
        if usize::from(count) != COUNT_UNKNOWN {
            let count = u16::try_from(i64::from(count) + more).unwrap_or(u16::MAX);
            [*low, *high] = count.to_le_bytes();
        }
    }

    // === The format ===

    /// The place, if an element is there rather than the end.
    #[inline]
    fn real(&self, at: At) -> Option<At> {
        match self.as_bytes().get(at.0) {
            None | Some(&END) => None,
            Some(_) => Some(at),
        }
    }

    /// Bytes of an element's encoding and content; `None` if they are not all there.
    #[inline]
    fn body_len(&self, at: At) -> Option<usize> {
        let rest = self.as_bytes().get(at.0..)?;
        let len = match rest {
            [0..=0x7f, ..] => 1,
            [n @ 0x80..=0xbf, ..] => 1 + usize::from(n & 0x3f),
            [0xc0..=0xdf, ..] => 2,
            [n @ 0xe0..=0xef, low, ..] => 2 + (usize::from(n & 0x0f) << 8 | usize::from(*low)),
            [0xf0, a, b, c, d, ..] => 5 + u32::from_le_bytes([*a, *b, *c, *d]) as usize,
            [0xf1, ..] => 3,
            [0xf2, ..] => 4,
            [0xf3, ..] => 5,
            [0xf4, ..] => 9,
            _ => return None,
        };
        (len <= rest.len()).then_some(len)
    }

    /// Where the element at a place ends.
    #[inline]
    fn end_of(&self, at: At) -> usize {
        let len = self.body_len(at).unwrap_or(0);
        at.0 + len + back_length_size(len)
    }

    /// The element that ends at `end`.
    #[inline]
    fn before(&self, end: usize) -> Option<At> {
        if end <= HEADER {
            return None;
        }
        let bytes = self.as_bytes().get(HEADER..end)?;
        let mut len = 0;
        for (index, byte) in bytes.iter().rev().take(5).enumerate() {
            len |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Some(At(end.checked_sub(len + index + 1)?));
            }
        }
        None
    }
}

#[inline]
fn take(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(..len).unwrap_or_default()
}

/// Elements in order, from either end.
#[derive(Clone)]
pub(crate) struct Iter<'a> {
    pack: &'a Listpack,
    front: Option<At>,
    back: Option<At>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let at = self.front?;
        if self.back == Some(at) {
            (self.front, self.back) = (None, None);
        } else {
            self.front = self.pack.next(at);
        }
        Some(self.pack.item(at))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let at = self.back?;
        if self.front == Some(at) {
            (self.front, self.back) = (None, None);
        } else {
            self.back = self.pack.prev(at);
        }
        Some(self.pack.item(at))
    }
}

#[cfg(test)]
mod tests;
