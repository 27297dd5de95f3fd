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
    fn milliseconds_and_microseconds_agree() {
        let ms = unix_ms();
        let us = unix_us();
        assert!(us / 1000 - ms < 1000, "{us} µs against {ms} ms");
    }
}
