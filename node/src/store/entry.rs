//! An entry: a key, its value and their bookkeeping in one allocation.
//!
//! ```text
//!  0        header, one word: access clock 24 bits │ kind 8 │ key length 16 │ inline length 16
//!  8        expiry, Unix milliseconds        if HAS_EXPIRY
//!  +8       key length                       if LONG_KEY (65535 bytes or more)
//!  +0,8,24  an i64, a Vec<u8> or an Object, by storage; nothing for an inline string
//!           the key's bytes
//!           an inline string's bytes
//! ```
//!
//! A 16-byte key with a 32-byte value takes 56 bytes. The allocation is always a whole size class
//! ([`size_class`]), so what fits the class is written in place.
//!
//! [`Entry`] is the pointer to it. An address has 48 bits; the 16 above hold the expiry, coarse
//! ([`ExpiryTag`]), so that a sweep of a table touches only entries that may be due.
//!
//! All `unsafe` rests on one invariant: the header describes the allocation. `shape` computes every
//! offset from it, and whoever changes it moves the bytes to match before anyone else can look.

use std::alloc::dealloc;
use std::ptr::NonNull;

use super::memory::{ADDRESS, ADDRESS_BITS, allocate, layout, size_class};
use super::object::Object;

mod header;
mod reference;
mod value;

pub(crate) use header::ExpiryTag;
use header::{Header, Storage};
pub(crate) use reference::EntryRef;
pub(crate) use value::strict_integer;
pub use value::{Digits, Encoding, Garbage, NewValue, ValueRef};

/// A string longer than this gets an allocation of its own.
const INLINE_MAX: usize = 1024;
/// OBJECT ENCODING says `embstr` up to this length, `raw` above.
const EMBSTR_MAX: usize = 44;

/// A key and its value, owned: see the module's page for the layout.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns its allocation and what hangs on it, none of which is tied to a thread.
unsafe impl Send for Entry {}
// SAFETY: a shared entry can only be read.
unsafe impl Sync for Entry {}

/// Where things lie in an allocation.
#[derive(Clone, Copy)]
struct Shape {
    /// The i64, `Vec` or `Box`.
    fixed_at: usize,
    key_at: usize,
    key_len: usize,
    inline_at: usize,
    inline_len: usize,
}

/// See [`Entry::plain`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain(Header);

impl Shape {
    fn of(header: Header, key_len: usize) -> Self {
        let fixed_at = 8 + header.expiry_size() + header.long_key_size();
        let key_at = fixed_at + header.storage().fixed_size();
        let inline_at = key_at + key_len;
        Self {
            fixed_at,
            key_at,
            key_len,
            inline_at,
            inline_len: header.inline_len(),
        }
    }

    fn size(self) -> usize {
        self.inline_at + self.inline_len
    }

    fn class(self) -> usize {
        size_class(self.size())
    }
}

impl Entry {
    /// A new entry; `access` is the 24-bit word of the eviction policy.
    #[must_use]
    pub fn new(key: &[u8], value: NewValue<'_>, expiry: Option<i64>, access: u32) -> Self {
        let value = value.settled();
        let header = Header::new(access, key.len(), expiry.is_some(), &value);
        let shape = Shape::of(header, key.len());
        let mut entry = Self(allocate(shape.class()));
        entry.put(0, header);
        if header.is_long_key() {
            entry.put(8 + header.expiry_size(), key.len() as u64);
        }
        entry.put_bytes(shape.key_at, key);
        entry.put_value(shape, value);
        entry.put_expiry(expiry);
        entry
    }

    // === Reading ===

    /// The key.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &[u8] {
        let shape = self.shape();
        self.bytes(shape.key_at, shape.key_len)
    }

    /// The value.
    #[must_use]
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        let shape = self.shape();
        match self.header().storage() {
            Storage::Inline => ValueRef::Bytes(self.bytes(shape.inline_at, shape.inline_len)),
            Storage::Int => ValueRef::Int(self.take(shape.fixed_at)),
            Storage::Bytes => {
                // SAFETY: with this storage an initialised `Vec<u8>` lies there, aligned.
                let bytes = unsafe { self.at::<Vec<u8>>(shape.fixed_at).as_ref() };
                ValueRef::Bytes(bytes)
            }
            Storage::Object => {
                // SAFETY: with this storage an initialised `Object` lies there, aligned.
                let object = unsafe { self.at::<Object>(shape.fixed_at).as_ref() };
                ValueRef::Object(object)
            }
        }
    }

    /// When the key expires, in Unix milliseconds.
    #[must_use]
    #[inline]
    pub fn expiry(&self) -> Option<i64> {
        // The tag answers without touching the entry.
        if self.tag().is_none() {
            return None;
        }
        Some(self.take(8))
    }

    /// Whether the key's time has come by `now_ms`.
    #[must_use]
    #[inline]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expiry().is_some_and(|at| at <= now_ms)
    }

    /// The coarse expiry, read from the pointer alone.
    #[inline]
    pub(crate) fn tag(&self) -> ExpiryTag {
        // The shift leaves 16 bits.
        ExpiryTag((self.0.addr().get() >> ADDRESS_BITS) as u16)
    }

    /// Whether the key has an expiry, read from the pointer alone.
    #[must_use]
    #[inline]
    pub fn is_volatile(&self) -> bool {
        !self.tag().is_none()
    }

    /// The eviction policy's 24 bits.
    #[must_use]
    #[inline]
    pub fn access(&self) -> u32 {
        self.header().access()
    }

    /// OBJECT ENCODING's answer.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        let header = self.header();
        match self.value() {
            ValueRef::Int(_) => Encoding::Int,
            ValueRef::Bytes(bytes) if bytes.len() <= EMBSTR_MAX && !header.is_raw() => {
                Encoding::Embstr
            }
            ValueRef::Bytes(_) => Encoding::Raw,
            ValueRef::Object(object) => Encoding::Object(object.encoding()),
        }
    }

    /// Bytes held, by size class, values in allocations of their own included.
    #[must_use]
    #[inline]
    pub fn memory(&self) -> usize {
        let shape = self.shape();
        let apart = match self.header().storage() {
            Storage::Inline | Storage::Int => 0,
            Storage::Bytes | Storage::Object => self.memory_apart(shape),
        };
        shape.class() + apart
    }

    /// What says how much memory it takes, if the value has no allocation of its own and does not
    /// expire: the first word but for the last use.
    #[inline]
    pub(super) fn plain(&self) -> Option<Plain> {
        let header = self.header();
        let plain = header.expiry_size() == 0 && !self.has_value_apart();
        plain.then(|| Plain(header.with_access(0)))
    }

    /// What it took while that was so, under the key that it has.
    pub(super) fn memory_when(&self, plain: Plain) -> usize {
        Shape::of(plain.0, self.shape().key_len).class()
    }

    /// Whether the value has an allocation of its own.
    #[must_use]
    #[inline]
    pub fn has_value_apart(&self) -> bool {
        matches!(self.header().storage(), Storage::Bytes | Storage::Object)
    }

    /// A copy under another key, encoding, expiry and all.
    #[must_use]
    pub fn duplicate(&self, key: &[u8]) -> Self {
        let value = match self.value() {
            ValueRef::Int(number) => NewValue::Int(number),
            ValueRef::Bytes(bytes) => NewValue::Bytes(bytes),
            ValueRef::Object(object) => NewValue::Object(object.duplicate()),
        };
        self.with_value(key, value)
    }

    /// The same entry under another key; a value in an allocation of its own is not copied.
    #[must_use]
    pub fn renamed(mut self, key: &[u8]) -> Self {
        if !self.has_value_apart() {
            return self.duplicate(key);
        }
        let expiry = self.expiry();
        match self.take_garbage() {
            Some(Garbage::Bytes(bytes)) => {
                Self::new(key, NewValue::Owned(bytes), expiry, self.access())
            }
            Some(Garbage::Object(object)) => {
                Self::new(key, NewValue::Object(object), expiry, self.access())
            }
            None => self.duplicate(key),
        }
    }

    fn with_value(&self, key: &[u8], value: NewValue<'_>) -> Self {
        let mut copy = Self::new(key, value, self.expiry(), self.access());
        let header = copy.header();
        if self.header().is_raw() && header.storage() == Storage::Inline {
            copy.put(0, header.with_raw());
        }
        copy
    }

    fn memory_apart(&self, shape: Shape) -> usize {
        if self.header().storage() == Storage::Object {
            return match self.value() {
                ValueRef::Object(object) => object.memory(),
                ValueRef::Int(_) | ValueRef::Bytes(_) => 0,
            };
        }
        // SAFETY: with this storage an initialised `Vec<u8>` lies there, aligned.
        let bytes = unsafe { self.at::<Vec<u8>>(shape.fixed_at).as_ref() };
        size_class(bytes.capacity())
    }

    /// Starts fetching the entry's memory.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let base = self.base().as_ptr();
        super::prefetch::prefetch(base);
        // Most entries reach into a second line, for they start anywhere in the first.
        super::prefetch::prefetch(base.wrapping_add(64));
    }

    // === Changing ===

    /// Sets the eviction policy's 24 bits.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        let header = self.header();
        // A store would dirty the cache line of a value that is only read.
        if header.access() != access {
            self.put(0, header.with_access(access));
        }
    }

    /// Replaces value and expiry, keeping the access word; the old value is handed back if it had
    /// an allocation of its own.
    pub fn replace(&mut self, value: NewValue<'_>, expiry: Option<i64>) -> Option<Garbage> {
        let value = value.settled();
        let old = self.header();
        let old_shape = self.shape();
        let header = Header::new(old.access(), old_shape.key_len, expiry.is_some(), &value);
        if header == old && !self.has_value_apart() {
            self.put_value(old_shape, value);
            self.put_expiry(expiry);
            return None;
        }
        let garbage = self.take_apart(old_shape);
        let shape = Shape::of(header, old_shape.key_len);
        self.reshape(
            old_shape.class(),
            shape.class(),
            old_shape.key_at..old_shape.inline_at,
            shape.key_at,
        );
        self.put(0, header);
        if header.is_long_key() {
            self.put(8 + header.expiry_size(), shape.key_len as u64);
        }
        self.put_value(shape, value);
        self.put_expiry(expiry);
        garbage
    }

    /// Sets or clears the expiry, leaving the value where it is relative to the key.
    pub fn set_expiry(&mut self, expiry: Option<i64>) {
        let old = self.header();
        let old_shape = self.shape();
        let header = old.with_expiry(expiry.is_some());
        if header.expiry_size() != old.expiry_size() {
            let shape = Shape::of(header, old_shape.key_len);
            self.reshape(
                old_shape.class(),
                shape.class(),
                8 + old.expiry_size()..old_shape.size(),
                8 + header.expiry_size(),
            );
            self.put(0, header);
        }
        self.put_expiry(expiry);
    }

    /// The value as bytes to write into, at least `len` of them, new ones zero. The string's
    /// encoding is `raw` from now on. `None` if the value is no string.
    pub fn bytes_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        if let ValueRef::Int(number) = self.value() {
            let mut digits = Digits::default();
            let expiry = self.expiry();
            drop(self.replace(NewValue::Bytes(digits.of(number)), expiry));
        }
        if self.header().storage() == Storage::Inline {
            if len <= INLINE_MAX.max(self.shape().inline_len) {
                return Some(self.inline_mut(len));
            }
            self.move_apart(len);
        }
        let shape = self.shape();
        if self.header().storage() != Storage::Bytes {
            return None;
        }
        // SAFETY: with this storage an initialised `Vec<u8>` lies there, aligned, and `self` is
        // borrowed for as long as the bytes are.
        let bytes = unsafe { self.at::<Vec<u8>>(shape.fixed_at).as_mut() };
        if len > bytes.len() {
            if len > bytes.capacity() {
                bytes.reserve_exact(grown(len) - bytes.len());
            }
            bytes.resize(len, 0);
        }
        Some(bytes)
    }

    /// The object, to be changed.
    pub fn object_mut(&mut self) -> Option<&mut Object> {
        if self.header().storage() != Storage::Object {
            return None;
        }
        let mut at = self.at::<Object>(self.shape().fixed_at);
        // SAFETY: with this storage an initialised `Object` lies there, aligned, and `self`
        // is borrowed for as long as the object is.
        Some(unsafe { at.as_mut() })
    }

    /// Takes the value out if it has an allocation of its own, leaving an empty string, for
    /// whoever frees the entry here and the value elsewhere.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        match self.header().storage() {
            Storage::Inline | Storage::Int => None,
            Storage::Bytes | Storage::Object => {
                let expiry = self.expiry();
                self.replace(NewValue::Bytes(b""), expiry)
            }
        }
    }

    /// Grows an inline string to `len` bytes at least.
    fn inline_mut(&mut self, len: usize) -> &mut [u8] {
        let old = self.shape();
        let len = len.max(old.inline_len);
        let header = self.header().with_inline_len(len).with_raw();
        let shape = Shape::of(header, old.key_len);
        self.reshape(old.class(), shape.class(), 8..old.size(), 8);
        self.put(0, header);
        let from = shape.inline_at + old.inline_len;
        let fresh = self.at::<u8>(from);
        // SAFETY: the allocation holds `shape.size()` bytes by now, which is `from` and the rest.
        unsafe { fresh.write_bytes(0, len - old.inline_len) };
        let at = self.at::<u8>(shape.inline_at);
        // SAFETY: `len` initialised bytes lie there, and `self` is borrowed while they are.
        unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), len) }
    }

    /// Moves an inline string into an allocation of its own, with room for `len` bytes.
    fn move_apart(&mut self, len: usize) {
        let mut bytes = Vec::with_capacity(grown(len));
        if let ValueRef::Bytes(inline) = self.value() {
            bytes.extend_from_slice(inline);
        }
        let expiry = self.expiry();
        drop(self.replace(NewValue::Owned(bytes), expiry));
    }

    // === The allocation ===

    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.0
            .map_addr(|address| std::num::NonZero::new(address.get() & ADDRESS).unwrap_or(address))
    }

    #[inline]
    fn header(&self) -> Header {
        self.take(0)
    }

    #[inline]
    fn shape(&self) -> Shape {
        let header = self.header();
        let key_len = if header.is_long_key() {
            self.take::<u64>(8 + header.expiry_size()) as usize
        } else {
            header.short_key_len()
        };
        Shape::of(header, key_len)
    }

    /// The place of a `T` at `offset`, which lies inside the allocation.
    #[inline]
    fn at<T>(&self, offset: usize) -> NonNull<T> {
        // SAFETY: every caller's offset comes from the shape of the allocation, so it is inside
        // of it or one past its end.
        unsafe { self.base().add(offset) }.cast()
    }

    /// Reads a word at `offset`.
    #[inline]
    fn take<T: Word>(&self, offset: usize) -> T {
        // SAFETY: callers ask for words that the header says are there; each is aligned, for all
        // that precedes the key is a multiple of 8 bytes long.
        unsafe { self.at::<T>(offset).read() }
    }

    /// Writes a word at `offset`.
    #[inline]
    fn put<T: Word>(&mut self, offset: usize, word: T) {
        // SAFETY: as for `take`; `self` is borrowed mutably, so nobody reads meanwhile.
        unsafe { self.at::<T>(offset).write(word) };
    }

    #[inline]
    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        let at = self.at::<u8>(offset);
        // SAFETY: callers ask for the key or the inline value, by the shape.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }
    }

    #[inline]
    fn put_bytes(&mut self, offset: usize, bytes: &[u8]) {
        let at = self.at::<u8>(offset);
        // SAFETY: the caller's shape has room for them there; they come from outside, for a
        // slice of this entry could not be held while `self` is borrowed mutably.
        unsafe { at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }

    /// Writes the value's part of the allocation: the header says already what it is.
    #[inline]
    fn put_value(&mut self, shape: Shape, value: NewValue<'_>) {
        match value {
            NewValue::Int(number) => self.put(shape.fixed_at, number),
            NewValue::Bytes(bytes) => self.put_bytes(shape.inline_at, bytes),
            NewValue::Owned(bytes) => {
                // SAFETY: the shape has an aligned place for it, and what was there was taken.
                unsafe { self.at::<Vec<u8>>(shape.fixed_at).write(bytes) };
            }
            NewValue::Object(object) => {
                // SAFETY: the shape has an aligned place for it, and what was there was taken.
                unsafe { self.at::<Object>(shape.fixed_at).write(object) };
            }
        }
    }

    /// Writes the expiry, whose place the header already has or has not, and the tag.
    #[inline]
    fn put_expiry(&mut self, expiry: Option<i64>) {
        if let Some(at) = expiry {
            self.put(8, at);
        }
        let tag = usize::from(ExpiryTag::of(expiry).0) << ADDRESS_BITS;
        self.0 = self.base().map_addr(|address| address | tag);
    }

    /// Moves the value out of the entry if it has an allocation of its own. The caller must write
    /// another value over it at once, or forget the entry: it is owned twice.
    fn take_apart(&mut self, shape: Shape) -> Option<Garbage> {
        match self.header().storage() {
            Storage::Inline | Storage::Int => None,
            Storage::Bytes => {
                // SAFETY: with this storage an initialised `Vec<u8>` lies there, aligned; the
                // caller does not use it again.
                Some(Garbage::Bytes(unsafe { self.at(shape.fixed_at).read() }))
            }
            Storage::Object => {
                // SAFETY: with this storage an initialised `Object` lies there, aligned; the
                // caller does not use it again.
                Some(Garbage::Object(unsafe { self.at(shape.fixed_at).read() }))
            }
        }
    }

    /// Makes the allocation `new_class` bytes long and moves the bytes of `kept` to `to`; all
    /// others are lost. The header is the caller's to write.
    #[inline]
    fn reshape(
        &mut self,
        old_class: usize,
        new_class: usize,
        kept: std::ops::Range<usize>,
        to: usize,
    ) {
        let from = self.at::<u8>(kept.start);
        if old_class == new_class {
            if kept.start != to {
                // SAFETY: both ranges lie in the allocation, by the shapes before and after; they
                // may overlap, which `copy_from` allows.
                unsafe { self.at::<u8>(to).copy_from(from, kept.len()) };
            }
            return;
        }
        let fresh = Self(allocate(new_class));
        // SAFETY: `kept` lies in the old allocation and fits the new one at `to`, by the shapes.
        unsafe {
            fresh
                .at::<u8>(to)
                .copy_from_nonoverlapping(from, kept.len())
        };
        let old = self.base();
        let tag = self.0.addr().get() & !ADDRESS;
        self.0 = fresh.0.map_addr(|address| address | tag);
        // The memory has its owner: `self`.
        std::mem::forget(fresh);
        // SAFETY: the old allocation was made with this class, and nothing points to it any more.
        unsafe { dealloc(old.as_ptr(), layout(old_class)) };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let shape = self.shape();
        drop(self.take_apart(shape));
        // SAFETY: the allocation was made with the class of its shape, and this is its owner.
        unsafe { dealloc(self.base().as_ptr(), layout(shape.class())) };
    }
}

/// What may be read and written as a whole word: plain integers, 8 bytes long.
trait Word: Copy {}
impl Word for u64 {}
impl Word for i64 {}
impl Word for Header {}

/// The capacity for a string that grew to `len` bytes and will grow again: twice as much up to a
/// megabyte, then a megabyte more.
fn grown(len: usize) -> usize {
    const STEP: usize = 1 << 20;
    size_class(if len < STEP { len * 2 } else { len + STEP })
}

#[cfg(test)]
mod tests;
