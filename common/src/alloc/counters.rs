//! Per-thread counters of allocated bytes, and their sum.
//!
//! Each live thread owns one counter, which only it writes: a plain load, add and store, no locked
//! instruction, no line that two cores fight over. A thread that ends gives its counter back
//! with the balance in it, and the next thread goes on from there, so nothing is lost and
//! nothing needs folding. What happens before a thread has a counter (its very first allocation),
//! after it gave it back (destructors of thread-locals), or when more than [`THREADS_MAX`]
//! threads live goes into one shared counter by atomic addition.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

/// Threads that have a counter of their own. More may live; they count at a higher price.
const THREADS_MAX: usize = 512;

/// One thread's balance. Two lines apart, because processors fetch lines in pairs.
#[repr(align(128))]
struct Counter {
    net: AtomicIsize,
    taken: AtomicBool,
}

static COUNTERS: [Counter; THREADS_MAX] = [const {
    Counter {
        net: AtomicIsize::new(0),
        taken: AtomicBool::new(false),
    }
}; THREADS_MAX];

/// Counters at or above this index were never taken.
static HIGH_WATER: AtomicUsize = AtomicUsize::new(0);

/// What threads without a counter of their own allocated and freed.
static SHARED: AtomicIsize = AtomicIsize::new(0);

/// The highest sum that anyone has noted.
static PEAK: AtomicUsize = AtomicUsize::new(0);

impl Counter {
    /// Only the owning thread calls this, so load and store need not be one operation.
    #[inline]
    fn add(&self, delta: isize) {
        let balance = self.net.load(Ordering::Relaxed).wrapping_add(delta);
        self.net.store(balance, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No allocation yet on this thread.
    New,
    /// It has tried for a counter: it has one, or none was free, or it is ending.
    Settled,
}

thread_local! {
    // Constant and without a destructor: readable at any moment of a thread's life.
    static OWN: Cell<Option<&'static Counter>> = const { Cell::new(None) };
    static STANDING: Cell<Standing> = const { Cell::new(Standing::New) };
    /// This thread's part of `SHARED`, less what its counter held when it was taken over.
    static OUTSIDE: Cell<isize> = const { Cell::new(0) };
    /// Gives the counter back when the thread ends.
    static GIVE_BACK: GiveBack = const { GiveBack };
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        if let Some(counter) = OWN.take() {
            OUTSIDE.set(
                OUTSIDE
                    .get()
                    .wrapping_add(counter.net.load(Ordering::Relaxed)),
            );
            // Pairs with the exchange in `claim`: the next owner sees the last balance.
            counter.taken.store(false, Ordering::Release);
        }
    }
}

/// Counts `delta` bytes to the calling thread.
#[inline]
pub(super) fn add(delta: isize) {
    match OWN.get() {
        Some(counter) => counter.add(delta),
        None => add_without_counter(delta),
    }
}

#[cold]
fn add_without_counter(delta: isize) {
    if STANDING.get() == Standing::New {
        // First, so that an allocation made by what follows does not come back here.
        STANDING.set(Standing::Settled);
        if let Some(counter) = claim() {
            OUTSIDE.set(
                OUTSIDE
                    .get()
                    .wrapping_sub(counter.net.load(Ordering::Relaxed)),
            );
            OWN.set(Some(counter));
            if GIVE_BACK.try_with(|_| ()).is_err() {
                // The thread is already ending: nobody would give the counter back.
                drop(GiveBack);
            }
        }
    }
    if let Some(counter) = OWN.get() {
        counter.add(delta);
    } else {
        SHARED.fetch_add(delta, Ordering::Relaxed);
        OUTSIDE.set(OUTSIDE.get().wrapping_add(delta));
    }
}

/// A counter that no thread owns, if there is one.
fn claim() -> Option<&'static Counter> {
    let (index, counter) = COUNTERS.iter().enumerate().find(|(_, counter)| {
        counter
            .taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    })?;
    // Before the counter is first written, so that no sum misses it.
    HIGH_WATER.fetch_max(index + 1, Ordering::SeqCst);
    Some(counter)
}

/// Bytes that the process holds, by size class.
///
/// One load per thread that ever lived at the same time. A sum taken while other threads
/// allocate and free may miss what is in the middle of happening, and nothing else.
#[must_use]
pub fn used_bytes() -> usize {
    let high_water = HIGH_WATER.load(Ordering::Acquire);
    let own = COUNTERS
        .iter()
        .take(high_water)
        .fold(0isize, |sum, counter| {
            sum.wrapping_add(counter.net.load(Ordering::Relaxed))
        });
    let sum = own.wrapping_add(SHARED.load(Ordering::Relaxed));
    usize::try_from(sum).unwrap_or(0)
}

/// What the calling thread allocated less what it freed, in its whole life. May be negative;
/// meant for differences: "what did this piece of work keep?"
#[must_use]
#[inline]
pub fn thread_net_bytes() -> isize {
    let own = OWN
        .get()
        .map_or(0, |counter| counter.net.load(Ordering::Relaxed));
    own.wrapping_add(OUTSIDE.get())
}

/// Remembers the current sum if it is the highest so far, and returns it. Call it on a tick:
/// the peak is the highest sum that was noted, as in Redis.
pub fn note_peak() -> usize {
    let used = used_bytes();
    if used > PEAK.load(Ordering::Relaxed) {
        PEAK.fetch_max(used, Ordering::Relaxed);
    }
    used
}

/// The highest sum noted since the start or since [`reset_peak`], the present one included.
#[must_use]
pub fn peak_bytes() -> usize {
    note_peak();
    PEAK.load(Ordering::Relaxed)
}

/// Forgets the peak (`CONFIG RESETSTAT`); the present sum is the new one.
pub fn reset_peak() {
    PEAK.store(used_bytes(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alloc::tests::SUM_IS_WATCHED;
    use std::sync::Barrier;

    #[test]
    fn more_threads_than_counters_still_add_up() {
        let _alone = SUM_IS_WATCHED.lock();
        const EACH: usize = 100_000;
        const EXTRA: usize = 40;
        let all = THREADS_MAX + EXTRA;
        let full = Barrier::new(all + 1);
        let measured = Barrier::new(all + 1);
        let before = used_bytes();
        let held = std::thread::scope(|scope| {
            for _ in 0..all {
                scope.spawn(|| {
                    let start = thread_net_bytes();
                    let block = vec![0u8; EACH];
                    assert!(thread_net_bytes() - start >= EACH.cast_signed());
                    full.wait();
                    measured.wait();
                    drop(block);
                    assert!(thread_net_bytes() - start < EACH.cast_signed());
                });
            }
            full.wait();
            let held = used_bytes().saturating_sub(before);
            measured.wait();
            held
        });
        assert!(held >= all * EACH / 2, "{held} of {}", all * EACH);
    }

    #[test]
    fn a_destructor_after_the_counter_is_gone_is_counted() {
        let _alone = SUM_IS_WATCHED.lock();
        thread_local! {
            static LATE: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        // The vector lives in a thread-local whose destructor runs beside the counter's.
        const BYTES: usize = 48 << 20;
        let before = used_bytes();
        for _ in 0..20 {
            std::thread::spawn(|| LATE.set(vec![0; BYTES]))
                .join()
                .unwrap();
        }
        let after = used_bytes();
        assert!(
            after.saturating_sub(before) < 5 * BYTES,
            "{before} then {after}"
        );
    }

    #[test]
    fn the_peak_stays_when_memory_goes() {
        let _alone = SUM_IS_WATCHED.lock();
        const BYTES: usize = 64 << 20;
        let block = vec![0u8; BYTES];
        assert!(note_peak() >= BYTES);
        drop(block);
        assert!(peak_bytes() >= BYTES);
    }
}
