//! How much memory things take: the allocator's size classes.

use super::entry::Entry;

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
