//! How much memory things take: the allocator's size classes; and allocations of such classes at
//! addresses of 48 bits, for pointers that say more than where.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::ptr::NonNull;

use super::entry::Entry;

/// Bits of an address; those above are for tags.
pub(crate) const ADDRESS_BITS: u32 = 48;
/// The address alone.
pub(crate) const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;

const ALIGN: usize = 8;

/// The allocator rounds a request up to one of four classes per power of two, and to eight bytes
/// below 64 (jemalloc with a quantum of 8): the bytes that an allocation of `size` really takes.
#[must_use]
#[inline]
pub const fn size_class(size: usize) -> usize {
    if size <= 64 {
        return if size == 0 { 0 } else { (size + 7) & !7 };
    }
    let spacing = 1 << ((size - 1).ilog2() - 2);
    (size.saturating_add(spacing - 1)) & !(spacing - 1)
}

/// Of an allocation of this class.
pub(crate) fn layout(class: usize) -> Layout {
    match Layout::from_size_align(class, ALIGN) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<Entry>()),
    }
}

/// Fresh memory of `class` bytes, which are not zero, at an address of 48 bits.
pub(crate) fn allocate(class: usize) -> NonNull<u8> {
    let layout = layout(class);
    // SAFETY: callers ask for classes, of which none is zero.
    checked(unsafe { alloc(layout) }, class)
}

/// What the allocator gave for a class, if it gave anything, and below 48 bits.
pub(crate) fn checked(raw: *mut u8, class: usize) -> NonNull<u8> {
    match NonNull::new(raw) {
        Some(fresh) if fresh.addr().get() & !ADDRESS == 0 => fresh,
        // Out of memory; or an address that no tag fits, which no supported machine hands out
        // unless it is asked to.
        _ => handle_alloc_error(layout(class)),
    }
}

/// What a key takes of the table that points to it: a seventh of a bucket, over the share of
/// places that are full on average.
const TABLE_SHARE: usize = 13;

/// MEMORY USAGE: the entry, the values that hang on it, and its share of the table.
#[must_use]
pub fn usage(entry: &Entry) -> usize {
    entry.memory() + TABLE_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_allocator() {
        let cases = [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (56, 56),
            (57, 64),
            (65, 80),
            (81, 96),
            (128, 128),
            (129, 160),
            (1025, 1280),
            (14_337, 16_384),
            (16_385, 20_480),
            ((1 << 20) + 1, (1 << 20) + (1 << 18)),
        ];
        for (size, class) in cases {
            assert_eq!(size_class(size), class, "{size}");
        }
    }

    #[test]
    fn a_class_holds_its_size_and_is_its_own_class() {
        for size in 1..100_000 {
            let class = size_class(size);
            assert!(class >= size && class.is_multiple_of(8), "{size} {class}");
            assert_eq!(size_class(class), class);
        }
    }
}
