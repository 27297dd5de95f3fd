//! jemalloc's size classes, computed.
//!
//! Up to [`SMALL_MAX`] they are four to each doubling, in steps of at least the quantum:
//!
//! ```text
//! 8 16 24 32 | 40 48 56 64 | 80 96 112 128 | 160 … 256 | … | 10240 12288 14336
//! ```
//!
//! Above that the classes depend on the page size and on jemalloc's options, and jemalloc is
//! asked; a call is nothing beside such an allocation. A test compares every answer with jemalloc.

/// The largest class that does not depend on the page size (of 4 KiB or more).
const SMALL_MAX: usize = 14_336;

/// The largest alignment that small classes are used for.
const ALIGN_MAX: usize = 4096;

/// log2 of the step between the smallest classes: as the build passes it to jemalloc
/// (`.cargo/config.toml`), or jemalloc's own default.
const LG_QUANTUM: u32 = match option_env!("JEMALLOC_SYS_WITH_LG_QUANTUM") {
    Some(text) => match text.as_bytes() {
        b"3" => 3,
        b"4" => 4,
        _ => panic!("JEMALLOC_SYS_WITH_LG_QUANTUM must be 3 or 4"),
    },
    None => 4,
};

/// The bytes that the allocator really takes for a block of `size` bytes at `align`.
///
/// `size` must not be 0, and `align` is a power of two.
#[must_use]
#[inline]
pub fn usable_size(size: usize, align: usize) -> usize {
    if size <= SMALL_MAX && align <= ALIGN_MAX {
        // A small class is aligned to the largest power of two that divides it, so a size
        // that is a multiple of the alignment lands in an aligned class.
        let class = small_class(size.wrapping_add(align - 1) & !(align - 1));
        if class <= SMALL_MAX {
            return class;
        }
    }
    large_class(size, align)
}

#[inline]
fn small_class(size: usize) -> usize {
    if LG_QUANTUM > 3 && size <= 8 {
        return 8; // the one class below the quantum
    }
    let doubling = (size.wrapping_sub(1) | 1).ilog2();
    let lg_step = doubling.saturating_sub(2).max(LG_QUANTUM);
    let step_mask = (1usize << lg_step) - 1;
    (size + step_mask) & !step_mask
}

#[cold]
fn large_class(size: usize, align: usize) -> usize {
    super::jemalloc_usable_size(size, align)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_size_agrees_with_jemalloc() {
        for size in (1..=2048).chain((2049..=20_000).step_by(7)) {
            for lg in 0..=13 {
                let align = 1 << lg;
                assert_eq!(
                    usable_size(size, align),
                    super::super::jemalloc_usable_size(size, align),
                    "{size} bytes at {align}"
                );
            }
        }
    }

    #[test]
    fn the_build_uses_a_quantum_of_eight() {
        // An entry of a 16-byte key and a 32-byte value: 64 bytes would be 14% more.
        assert_eq!(usable_size(56, 8), 56);
        assert_eq!(usable_size(56, 16), 64);
    }
}
