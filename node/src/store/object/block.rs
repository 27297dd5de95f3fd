//! A run of bytes behind a thin pointer: what packed collections are kept in.
//!
//! How many bytes there are is told by the first of them, as both packed formats have it, and the
//! allocation is always their size class. So a block takes one word of whoever has it, and nothing
//! but its class of the heap.
//!
//! The 16 bits above the address belong to the owner ([`Word`](super::word::Word)): a block passes
//! them by, and keeps them when it moves.

use std::alloc::{dealloc, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::super::memory::{ADDRESS, allocate, checked, layout, size_class};

/// How a format tells how many bytes there are.
///
/// # Safety
/// `len` reads the first `HEAD` bytes alone, `HEAD` is at most 8, and `EMPTY` is at least `HEAD`
/// bytes long. What `set_len` was given, if not below the length of `EMPTY`, `len` gives back; and
/// `len` gives that of `EMPTY` for it.
pub(crate) unsafe trait Format {
    /// Bytes that tell the length, and that only `set_len` may change.
    const HEAD: usize;
    /// A block of no elements.
    const EMPTY: &'static [u8];
    /// How many bytes there are, these first ones included.
    fn len(head: [u8; 8]) -> usize;
    /// Notes how many bytes there are.
    fn set_len(head: &mut [u8; 8], len: usize);
}

/// See the module's page.
#[repr(transparent)]
pub(crate) struct Block<F: Format>(NonNull<u8>, PhantomData<F>);

// SAFETY: a block owns its bytes, which are tied to no thread.
unsafe impl<F: Format> Send for Block<F> {}
// SAFETY: a shared block can only be read.
unsafe impl<F: Format> Sync for Block<F> {}

impl<F: Format> Block<F> {
    /// A copy of `bytes`; `None` if they are not as long as they say.
    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < F::EMPTY.len() || F::len(head_of(bytes)) != bytes.len() {
            return None;
        }
        let base = allocate(size_class(bytes.len().max(8)));
        // SAFETY: the allocation is fresh, and large enough for as many bytes; 8 at least.
        unsafe { base.write_bytes(0, 8) };
        // SAFETY: as before.
        unsafe { base.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Some(Self(base, PhantomData))
    }

    #[inline]
    fn base(&self) -> NonNull<u8> {
        self.0
            .map_addr(|address| std::num::NonZero::new(address.get() & ADDRESS).unwrap_or(address))
    }

    /// How many bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: an allocation has 8 bytes at least, of which all are initialised.
        F::len(unsafe { self.base().cast::<[u8; 8]>().read() })
    }

    /// Bytes that it takes from the allocator.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        class(self.len())
    }

    /// All bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are there and initialised, by the format's contract.
        unsafe { std::slice::from_raw_parts(self.base().as_ptr(), self.len()) }
    }

    /// The bytes behind those that tell the length.
    #[inline]
    pub(crate) fn content_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        // SAFETY: no block is shorter than its format's empty one, which has so many bytes.
        let from = unsafe { self.base().add(F::HEAD) };
        // SAFETY: so many bytes are there and initialised; they are borrowed with `self`.
        unsafe { std::slice::from_raw_parts_mut(from.as_ptr(), len - F::HEAD) }
    }

    /// Makes room: `old` bytes at `at` become `new` ones, to be written by the caller; until then
    /// they are what they were, or zero. What is behind them moves.
    pub(crate) fn splice(&mut self, at: usize, old: usize, new: usize) {
        if new == old {
            return;
        }
        let len = self.len();
        let behind = at + old;
        let after = len - old + new;
        assert!(
            at >= F::HEAD && behind <= len && after >= F::EMPTY.len(),
            "a splice is inside of its block"
        );
        if after > len {
            self.reallocate(class(len), class(after));
        }
        // SAFETY: what is behind begins in the allocation, or ends it.
        let from = unsafe { self.base().add(behind) };
        // SAFETY: `at` is inside of the allocation.
        let room = unsafe { self.base().add(at) };
        // SAFETY: `at + new` is at most `after`, which the allocation has room for.
        let to = unsafe { room.add(new) };
        // SAFETY: so many initialised bytes are behind, and the allocation has room for them
        // there; `copy_from` allows an overlap.
        unsafe { to.copy_from(from, len - behind) };
        // SAFETY: `at + new` is at most `after`.
        unsafe { room.write_bytes(0, new) };
        let mut head = head_of(self.bytes());
        F::set_len(&mut head, after);
        // SAFETY: the head, of `HEAD` bytes, is inside of the allocation.
        unsafe {
            self.base()
                .copy_from_nonoverlapping(NonNull::from(&head).cast(), F::HEAD);
        }
        if after < len {
            self.reallocate(class(len), class(after));
        }
    }

    /// Takes another block's bytes for its own, and gives those that it had; the bits above the
    /// address stay.
    pub(crate) fn exchange(&mut self, mut other: Self) -> Self {
        let (mine, theirs) = (self.base(), other.base());
        let tag = self.0.addr().get() & !ADDRESS;
        self.0 = theirs.map_addr(|address| address | tag);
        other.0 = mine;
        other
    }

    /// Moves the bytes to an allocation of another class, which has room for them.
    fn reallocate(&mut self, old: usize, new: usize) {
        if old == new {
            return;
        }
        let tag = self.0.addr().get() & !ADDRESS;
        // SAFETY: the allocation was made with this class, and classes are not zero.
        let moved = unsafe { realloc(self.base().as_ptr(), layout(old), new) };
        self.0 = checked(moved, new).map_addr(|address| address | tag);
    }
}

#[inline]
fn class(len: usize) -> usize {
    size_class(len.max(8))
}

fn head_of(bytes: &[u8]) -> [u8; 8] {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    head
}

impl<F: Format> Default for Block<F> {
    fn default() -> Self {
        let base = allocate(class(F::EMPTY.len()));
        // SAFETY: the allocation is fresh, and of 8 bytes at least.
        unsafe { base.write_bytes(0, 8) };
        // SAFETY: it has room for these bytes.
        unsafe { base.copy_from_nonoverlapping(NonNull::from(F::EMPTY).cast(), F::EMPTY.len()) };
        Self(base, PhantomData)
    }
}

impl<F: Format> Clone for Block<F> {
    fn clone(&self) -> Self {
        Self::copy_of(self.bytes()).unwrap_or_default()
    }
}

impl<F: Format> Drop for Block<F> {
    fn drop(&mut self) {
        // SAFETY: the allocation was made with this class, and this is its owner.
        unsafe { dealloc(self.base().as_ptr(), layout(self.memory())) };
    }
}
