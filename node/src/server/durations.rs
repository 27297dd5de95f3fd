//! How long a command took each time: written by one thread without a lock, read by any.
//!
//! The buckets are those of a histogram of two significant digits in the `hdrhistogram` crate, to
//! which they are added when somebody asks: exact to 256 ns, then 128 to each power of two. But a
//! note costs an index and an addition, where the crate's checks and totals, and the lock that they
//! needed, took a tenth of a PING's instructions.

use hdrhistogram::Histogram;
use std::sync::OnceLock;

use super::stats::Counter;

/// Longest duration that is told from longer ones: 1 s in nanoseconds, as in Redis.
pub const NANOS_MAX: u64 = 1_000_000_000;

/// Buckets of a row, a power of two.
const WIDTH: usize = 128;

/// Rows: the first goes to 127 ns, each of the others from a power of two to the next.
const ROWS: usize = row(NANOS_MAX) + 1;

/// Durations by bucket. A row takes memory from when a duration first falls into it.
#[derive(Debug, Default)]
pub struct Durations([OnceLock<Box<[Counter; WIDTH]>>; ROWS]);

/// The row of a duration.
const fn row(nanos: u64) -> usize {
    let width = (WIDTH as u64).trailing_zeros();
    // Nothing for all that fits into the first.
    (u64::BITS - width - (nanos | (WIDTH as u64 - 1)).leading_zeros()) as usize
}

/// Nanoseconds between two buckets of a row, as a power of two.
const fn step(row: usize) -> usize {
    row.saturating_sub(1)
}

impl Durations {
    /// Counts a duration; only the owning thread may.
    pub fn note(&self, nanos: u64) {
        if let Some(place) = self.0.get(row(nanos.clamp(1, NANOS_MAX))) {
            place.get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        }
        // Now it is.
        let _there = self.note_if_there(nanos);
    }

    /// As [`note`](Self::note), if there is memory for durations like this one: if not, says so.
    #[inline]
    #[must_use]
    pub fn note_if_there(&self, nanos: u64) -> bool {
        let nanos = nanos.clamp(1, NANOS_MAX);
        let row = row(nanos);
        let Some(counters) = self.0.get(row).and_then(OnceLock::get) else {
            return false;
        };
        let bucket = (nanos >> step(row)) as usize % WIDTH;
        if let Some(counter) = counters.get(bucket) {
            counter.add(1);
        }
        true
    }

    /// Adds all durations to a histogram, each as the shortest of its bucket.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (row, counters) in self.0.iter().enumerate() {
            for (bucket, counter) in counters
                .get()
                .into_iter()
                .flat_map(|c| c.iter().enumerate())
            {
                let first = if row == 0 { 0 } else { WIDTH };
                let nanos = ((first + bucket) as u64) << step(row);
                let count = counter.read();
                if count > 0 {
                    histogram.saturating_record_n(nanos, count);
                }
            }
        }
    }

    /// Forgets all; see [`Counter::reset`].
    pub fn reset(&self) {
        let rows = self.0.iter().filter_map(OnceLock::get);
        rows.flat_map(|row| row.iter()).for_each(Counter::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty() -> Histogram<u64> {
        Histogram::new_with_bounds(1, NANOS_MAX, 2).unwrap()
    }

    proptest! {
        /// The crate itself, told the same, says the same.
        #[test]
        fn they_fall_into_the_buckets_of_the_crate(
            all in proptest::collection::vec(
                prop_oneof![0..300u64, 0..2 * NANOS_MAX, any::<u64>()], 0..50),
        ) {
            let durations = Durations::default();
            let (mut oracle, mut ours) = (empty(), empty());
            for nanos in all {
                durations.note(nanos);
                oracle.saturating_record(nanos.clamp(1, NANOS_MAX));
            }
            durations.add_to(&mut ours);
            prop_assert_eq!(oracle.len(), ours.len());
            for (theirs, ours) in oracle.iter_recorded().zip(ours.iter_recorded()) {
                prop_assert_eq!(theirs.value_iterated_to(), ours.value_iterated_to());
                prop_assert_eq!(theirs.count_at_value(), ours.count_at_value());
            }
        }
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let durations = Durations::default();
        durations.note(5_000);
        durations.reset();
        let mut histogram = empty();
        durations.add_to(&mut histogram);
        assert!(histogram.is_empty());
    }
}
