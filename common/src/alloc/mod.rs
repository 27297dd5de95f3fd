//! The counting allocator: what the process really holds, read without asking jemalloc.
//!
//! `maxmemory` is checked before commands, so "how much is allocated" must cost nanoseconds.
//! jemalloc's own statistics take microseconds: they merge every arena. [`Counting`] keeps the
//! books itself: each allocation is counted as its size class (what jemalloc really hands out,
//! not what was asked for) into a counter of the allocating thread alone, and [`used_bytes`]
//! sums those counters.
//!
//! ```text
//!   thread A ──alloc──> counter A (one cache line)  ─┐
//!   thread B ──free───> counter B (may go negative) ─┼─ used_bytes() = the sum
//!   threads beyond the table, and threads that end  ─┘
//! ```
//!
//! A block freed by another thread than its allocator leaves one counter positive and the other
//! negative; only the sum means anything. A binary uses it by declaring
//! `#[global_allocator] static ALLOCATOR: Counting = Counting;`. In a process that does not, all
//! figures stay 0.
//!
//! This is the only unsafe code of the crate: [`GlobalAlloc`] is an unsafe trait, and jemalloc
//! is C. The arithmetic is apart, in safe modules.

mod counters;
pub mod jemalloc;
mod size_class;

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_void};

use tikv_jemalloc_sys as ffi;

pub use counters::{note_peak, peak_bytes, reset_peak, thread_net_bytes, used_bytes};
pub use size_class::usable_size;

/// jemalloc as the global allocator, with the count of [`used_bytes`] kept beside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting;

/// The alignment that every jemalloc size class has: the quantum is 8 bytes here.
const NATURAL_ALIGN: usize = 8;

/// The flags for a block of this layout. Zero (the fast paths) when the class is aligned enough
/// by itself; the allocator's usual assumption of 16 does not hold with a quantum of 8.
#[inline]
fn flags(align: usize, size: usize) -> c_int {
    if align <= NATURAL_ALIGN && align <= size {
        0
    } else {
        ffi::MALLOCX_LG_ALIGN(align.trailing_zeros() as usize)
    }
}

/// A size as a signed amount. A layout never exceeds `isize::MAX`.
#[inline]
fn signed(bytes: usize) -> isize {
    bytes.cast_signed()
}

// SAFETY: every method hands the layout to jemalloc unchanged, with the alignment stated
// whenever it exceeds what jemalloc gives by itself, and returns jemalloc's pointer or null. The
// counting beside it neither allocates on this path nor panics nor touches the block.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        let flags = flags(align, size);
        let block = if flags == 0 {
            // SAFETY: malloc accepts any size; the caller sees to it that it is not 0.
            unsafe { ffi::malloc(size) }
        } else {
            // SAFETY: the size is not 0 (the trait's contract), the flags name a power of two.
            unsafe { ffi::mallocx(size, flags) }
        };
        if !block.is_null() {
            counters::add(signed(usable_size(size, align)));
        }
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        let flags = flags(align, size);
        let block = if flags == 0 {
            // SAFETY: calloc accepts any size; 1 × size cannot overflow.
            unsafe { ffi::calloc(1, size) }
        } else {
            // SAFETY: the size is not 0 (the trait's contract), the flags name a power of two.
            unsafe { ffi::mallocx(size, flags | ffi::MALLOCX_ZERO) }
        };
        if !block.is_null() {
            counters::add(signed(usable_size(size, align)));
        }
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (size, align) = (layout.size(), layout.align());
        counters::add(-signed(usable_size(size, align)));
        // SAFETY: the caller passes a live block of this allocator with the layout it was
        // allocated with, so size and flags are those of its allocation, as sdallocx demands.
        unsafe { ffi::sdallocx(block.cast::<c_void>(), size, flags(align, size)) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let align = layout.align();
        let old_class = usable_size(layout.size(), align);
        let new_class = usable_size(new_size, align);
        if old_class == new_class && flags(align, layout.size()) == flags(align, new_size) {
            // The block is already of the size that jemalloc would give: nothing to do.
            return block;
        }
        let flags = flags(align, new_size);
        let moved = if flags == 0 {
            // SAFETY: a live block of this allocator (the trait's contract), new size not 0.
            unsafe { ffi::realloc(block.cast::<c_void>(), new_size) }
        } else {
            // SAFETY: as above; the flags name a power of two.
            unsafe { ffi::rallocx(block.cast::<c_void>(), new_size, flags) }
        };
        if !moved.is_null() {
            // A block that stayed in place changed class just the same.
            counters::add(signed(new_class).wrapping_sub(signed(old_class)));
        }
        moved.cast()
    }
}

/// The class that jemalloc itself names for a request: for sizes whose classes depend on its
/// page size and options.
pub(crate) fn jemalloc_usable_size(size: usize, align: usize) -> usize {
    let flags = ffi::MALLOCX_LG_ALIGN(align.trailing_zeros() as usize);
    // SAFETY: nallocx only computes; the size is not 0 and the flags name a power of two.
    unsafe { ffi::nallocx(size, flags) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Held by tests that compare sums of the whole process, which others' big blocks disturb.
    pub(crate) static SUM_IS_WATCHED: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

    // Every test of this crate allocates through the counter.
    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    /// The net change of this thread's counter while `work` runs.
    fn counted<T>(work: impl FnOnce() -> T) -> (T, isize) {
        let before = thread_net_bytes();
        let value = work();
        (value, thread_net_bytes() - before)
    }

    fn jemalloc_size_of<T>(block: *const T) -> usize {
        // SAFETY: the callers pass a live block of this process's allocator.
        unsafe { ffi::malloc_usable_size(block.cast()) }
    }

    #[test]
    fn counts_what_jemalloc_hands_out() {
        for size in [
            1,
            8,
            9,
            33,
            56,
            57,
            100,
            4097,
            14_336,
            14_337,
            100_000,
            5 << 20,
        ] {
            let (block, delta) = counted(|| Vec::<u8>::with_capacity(size));
            assert_eq!(
                delta.cast_unsigned(),
                jemalloc_size_of(block.as_ptr()),
                "{size}"
            );
            let ((), delta_back) = counted(|| drop(block));
            assert_eq!(delta, -delta_back);
        }
    }

    #[test]
    fn growing_and_shrinking_in_place_is_counted() {
        let mut block = Vec::<u8>::with_capacity(10);
        for capacity in [11, 16, 17, 1000, 20_000, 200_000, 100_000, 300, 12] {
            let before = jemalloc_size_of(block.as_ptr());
            let ((), delta) = counted(|| {
                if capacity > block.capacity() {
                    block.reserve_exact(capacity);
                } else {
                    block.shrink_to(capacity);
                }
            });
            let after = jemalloc_size_of(block.as_ptr());
            assert_eq!(
                delta,
                after.cast_signed() - before.cast_signed(),
                "{capacity}"
            );
        }
    }

    #[test]
    fn blocks_are_aligned_zeroed_and_counted_at_every_alignment() {
        for lg in 0..=16 {
            let align = 1usize << lg;
            for size in [1, 3, 8, 17, 24, 40, 56, 63, 64, 200, 4000, 20_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout's size is not 0.
                let (block, delta) = counted(|| unsafe { std::alloc::alloc_zeroed(layout) });
                assert!(!block.is_null());
                assert_eq!(block.align_offset(align), 0, "{size} at {align}");
                assert_eq!(
                    delta.cast_unsigned(),
                    jemalloc_size_of(block),
                    "{size} at {align}"
                );
                // SAFETY: `size` bytes were just allocated and zeroed.
                let bytes = unsafe { std::slice::from_raw_parts(block, size) };
                assert!(bytes.iter().all(|b| *b == 0));
                // SAFETY: a live block of this layout; the new size is not 0.
                let grown = unsafe { std::alloc::realloc(block, layout, size + 100) };
                assert_eq!(grown.align_offset(align), 0);
                let layout = Layout::from_size_align(size + 100, align).unwrap();
                // SAFETY: the block was reallocated to this layout just now.
                unsafe { std::alloc::dealloc(grown, layout) };
            }
        }
    }

    #[test]
    fn small_blocks_keep_the_alignment_of_their_layout() {
        // With a quantum of 8 only half of these would be aligned without explicit flags.
        #[repr(align(16))]
        struct Wide(#[expect(dead_code, reason = "gives the type its size")] [u8; 24]);
        let blocks: Vec<Box<Wide>> = (0..1000).map(|_| Box::new(Wide([0; 24]))).collect();
        for block in &blocks {
            assert_eq!(std::ptr::from_ref(block.as_ref()).align_offset(16), 0);
        }
    }

    #[test]
    fn a_block_freed_elsewhere_and_an_ended_thread_leave_the_sum_right() {
        let _alone = SUM_IS_WATCHED.lock();
        const BYTES: usize = 64 << 20;
        let block = std::thread::spawn(|| vec![0u8; BYTES]).join().unwrap();
        let with = used_bytes();
        std::thread::spawn(move || drop(block)).join().unwrap();
        let without = used_bytes();
        // Other tests allocate meanwhile, by far less than this block.
        let freed = with.saturating_sub(without);
        assert!(freed.abs_diff(BYTES) < BYTES / 2, "{with} then {without}");
    }
}
