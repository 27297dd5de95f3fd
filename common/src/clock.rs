//! Time. Every reading in the project comes from here, so that tests can set it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as Redis counts expiry.
///
/// Zero if the machine's clock is set before 1970.
#[must_use]
pub fn unix_ms() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// Microseconds since the Unix epoch.
#[must_use]
pub fn unix_us() -> i64 {
    i64::try_from(since_epoch().as_micros()).unwrap_or(i64::MAX)
}

fn since_epoch() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A monotonic clock cheap enough to read once per command (the time-stamp counter where the
/// machine has an invariant one).
#[derive(Debug, Clone)]
pub struct Monotonic(quanta::Clock);

/// A reading of [`Monotonic`], in ticks of no defined unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Monotonic {
    /// A clock of this machine. The first call in a process calibrates it, which takes
    /// some milliseconds; clones are free.
    #[must_use]
    pub fn new() -> Self {
        Self(quanta::Clock::new())
    }

    /// The current reading.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Tick {
        Tick(self.0.raw())
    }

    /// Nanoseconds from `start` to `end`; zero if `end` is the earlier.
    #[must_use]
    #[inline]
    pub fn nanos_between(&self, start: Tick, end: Tick) -> u64 {
        self.0.delta_as_nanos(start.0, end.0)
    }

    /// The reading that this clock will give `time` after `start`, to within a millionth.
    #[must_use]
    pub fn later(&self, start: Tick, time: Duration) -> Tick {
        // The clock tells ticks to nanoseconds only; the way back is a proportion.
        const SAMPLE: u64 = 1 << 40;
        let nanos = u128::from(self.0.delta_as_nanos(0, SAMPLE)).max(1);
        let ticks = time.as_nanos().saturating_mul(u128::from(SAMPLE)) / nanos;
        Tick(
            start
                .0
                .saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)),
        )
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let clock = Monotonic::new();
        let start = clock.now();
        let end = clock.now();
        assert!(end >= start);
        assert_eq!(
            clock.nanos_between(end, start).min(1),
            u64::from(end < start)
        );
    }

    #[test]
    fn a_later_tick_is_as_far_away_as_was_asked() {
        let clock = Monotonic::new();
        let start = clock.now();
        let later = clock.later(start, Duration::from_secs(5));
        let nanos = clock.nanos_between(start, later);
        assert!(nanos.abs_diff(5_000_000_000) < 10_000, "{nanos}");
        assert_eq!(clock.later(start, Duration::ZERO), start);
    }

    #[test]
    fn milliseconds_and_microseconds_agree() {
        let ms = unix_ms();
        let us = unix_us();
        assert!(us / 1000 - ms < 1000, "{us} µs against {ms} ms");
    }
}
