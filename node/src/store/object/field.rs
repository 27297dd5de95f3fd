//! A field of a big hash with its value, or a member of a big set: one allocation.
//!
//! ```text
//! key length    a byte; or 0xff and 8 bytes, little-endian
//! value length  the same; a member has an empty value
//! key, value
//! ```
//!
//! Two bytes more than what clients see: a field has no expiry, is not evicted, and its value is
//! always a string. The allocation is a whole size class, so a value that fits it is written in
//! place.
//!
//! All `unsafe` rests on one invariant: the lengths describe the allocation.

use std::alloc::dealloc;
use std::ptr::NonNull;

use super::super::memory::{allocate, layout, size_class};
use super::super::prefetch::prefetch;
use super::super::table::Keyed;

/// The first byte of a length that takes eight more.
const LONG: u8 = 0xff;

/// See the module's page.
pub(crate) struct Field(NonNull<u8>);

// SAFETY: a field owns its bytes, which are tied to no thread.
unsafe impl Send for Field {}
// SAFETY: a shared field can only be read.
unsafe impl Sync for Field {}

/// Where things lie in an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    key_at: usize,
    key_len: usize,
    value_len: usize,
}

/// Bytes that tell a length.
const fn head_size(len: usize) -> usize {
    if len < LONG as usize { 1 } else { 9 }
}

impl Shape {
    fn new(key_len: usize, value_len: usize) -> Self {
        Self {
            key_at: head_size(key_len) + head_size(value_len),
            key_len,
            value_len,
        }
    }

    #[inline]
    fn value_at(self) -> usize {
        self.key_at + self.key_len
    }

    #[inline]
    fn class(self) -> usize {
        size_class(self.value_at() + self.value_len)
    }
}

impl Field {
    /// A field and its value.
    pub(crate) fn new(key: &[u8], value: &[u8]) -> Self {
        let shape = Shape::new(key.len(), value.len());
        let mut field = Self(allocate(shape.class()));
        field.put_heads(shape);
        field.put(shape.key_at, key);
        field.put(shape.value_at(), value);
        field
    }

    /// The field, or the member.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let shape = self.shape();
        self.bytes(shape.key_at, shape.key_len)
    }

    /// The value.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        let shape = self.shape();
        self.bytes(shape.value_at(), shape.value_len)
    }

    /// Replaces the value.
    pub(crate) fn set_value(&mut self, value: &[u8]) {
        let old = self.shape();
        let new = Shape::new(old.key_len, value.len());
        if new.class() == old.class() && new.key_at == old.key_at {
            self.put_heads(new);
            self.put(new.value_at(), value);
        } else {
            *self = Self::new(self.key(), value);
        }
    }

    /// Bytes held, by size class.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.shape().class()
    }

    #[inline]
    fn shape(&self) -> Shape {
        let (key_len, value_head) = self.length(0);
        let (value_len, key_at) = self.length(value_head);
        Shape {
            key_at,
            key_len,
            value_len,
        }
    }

    /// The length that is told at an offset, and where what is behind it begins.
    #[inline]
    fn length(&self, at: usize) -> (usize, usize) {
        match self.bytes(at, 1) {
            [LONG] => {
                let mut len = [0; 8];
                len.copy_from_slice(self.bytes(at + 1, 8));
                // It was a length in memory.
                (u64::from_le_bytes(len) as usize, at + 9)
            }
            [len] => (usize::from(*len), at + 1),
            _ => (0, at),
        }
    }

    fn put_heads(&mut self, shape: Shape) {
        let mut at = 0;
        for len in [shape.key_len, shape.value_len] {
            match u8::try_from(len) {
                Ok(short) if short < LONG => self.put(at, &[short]),
                _ => {
                    self.put(at, &[LONG]);
                    self.put(at + 1, &(len as u64).to_le_bytes());
                }
            }
            at += head_size(len);
        }
    }

    #[inline]
    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: callers ask for what the shape says is there.
        let at = unsafe { self.0.add(offset) };
        // SAFETY: as before: so many bytes are there, and initialised.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), len) }
    }

    #[inline]
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: the caller's shape has room for the bytes there.
        let at = unsafe { self.0.add(offset) };
        // SAFETY: as before; a slice of this field could not be held while `self` is borrowed.
        unsafe { at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }
}

impl Keyed for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        Self::key(self)
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

impl Clone for Field {
    fn clone(&self) -> Self {
        Self::new(self.key(), self.value())
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        // SAFETY: the allocation was made with this class, and this is its owner.
        unsafe { dealloc(self.0.as_ptr(), layout(self.memory())) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_bytes_are_added() {
        assert_eq!(Field::new(b"0123456789", b"0123456789").memory(), 24);
        assert_eq!(Field::new(b"", b"").memory(), 8);
        assert_eq!(size_of::<Option<Field>>(), 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 6 } else { 200 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn key_and_value_are_kept(
            key_len in prop_oneof![0usize..40, 250usize..260, Just(3000)],
            values in proptest::collection::vec(
                prop_oneof![0usize..40, 245usize..260, Just(5000)], 1..10,
            ),
        ) {
            let key: Vec<u8> = (0..key_len).map(|n| n as u8).collect();
            let mut field = Field::new(&key, b"first");
            prop_assert_eq!(field.value(), b"first");
            for (turn, len) in values.into_iter().enumerate() {
                let value = vec![turn as u8; len];
                field.set_value(&value);
                let copy = field.clone();
                prop_assert_eq!((field.key(), field.value()), (&key[..], &value[..]));
                prop_assert_eq!((copy.key(), copy.value()), (&key[..], &value[..]));
                prop_assert_eq!(copy.memory(), field.memory());
            }
        }
    }
}
