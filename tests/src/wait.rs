//! Waiting for a condition, with a deadline. No test sleeps and hopes.

use std::thread;
use std::time::Duration;

use slotilla_common::clock::{Monotonic, Tick};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A moment after which waiting is over.
#[derive(Debug, Clone)]
pub struct Deadline {
    clock: Monotonic,
    start: Tick,
    limit: Duration,
}

impl Deadline {
    /// The moment `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let clock = Monotonic::new();
        let start = clock.now();
        Self {
            clock,
            start,
            limit,
        }
    }

    /// Time since the deadline was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let nanos = self.clock.nanos_between(self.start, self.clock.now());
        Duration::from_nanos(nanos)
    }

    /// Whether the moment has passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.elapsed() >= self.limit
    }

    /// Waits until `condition` gives a value; `None` if it has not before the moment has passed.
    pub fn wait<T>(&self, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            // The condition is read once more after the deadline, so a slow machine that was
            // suspended between the two does not fail what has come true meanwhile.
            let over = self.is_over();
            let value = condition();
            if value.is_some() || over {
                return value;
            }
            thread::sleep(POLL);
        }
    }
}

/// Waits until `condition` gives a value, and panics with `what` if that takes over `limit`.
///
/// # Panics
/// It takes longer.
pub fn wait_for<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    let value = Deadline::after(limit).wait(condition);
    assert!(value.is_some(), "waited {limit:?} in vain for: {what}");
    value.expect("it was just seen")
}

/// Waits until `condition` holds, at most ten seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, Duration::from_secs(10), || condition().then_some(()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_is_seen() {
        let mut looks = 0;
        wait_until("three looks", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "in vain for: the impossible")]
    fn a_condition_that_never_holds_panics_by_name() {
        wait_for("the impossible", Duration::from_millis(1), || None::<()>);
    }
}
