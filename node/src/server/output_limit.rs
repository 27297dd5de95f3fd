//! `client-output-buffer-limit`: how much a client may leave unread, and for how long.
//!
//! As in Redis, a client is closed at the hard limit at once, and at the soft limit when it has
//! stayed there for more than its seconds without a break. A client that reads everything in time
//! never gets here: only what a socket did not take is counted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use slotilla_common::clock;

use crate::config::OutputLimit;

/// Why a client is closed.
#[derive(Debug, PartialEq, Eq)]
pub enum Excess {
    /// So many bytes or more are unread.
    Hard(u64),
    /// So many bytes or more have been unread for more than so many seconds.
    Soft(u64, u64),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hard(bytes) => write!(f, "{bytes} bytes"),
            Self::Soft(bytes, seconds) => write!(f, "{bytes} bytes for {seconds} seconds"),
        }
    }
}

/// Watches one client's unread replies.
#[derive(Debug, Default)]
pub struct OutputWatch {
    above_soft: Option<AboveSoft>,
}

#[derive(Debug)]
struct AboveSoft {
    since_ms: i64,
    /// The soft limit's seconds that `alarm` was set by.
    seconds: u64,
    alarm: Pin<Box<tokio::time::Sleep>>,
}

impl OutputWatch {
    /// Whether `waiting` unread bytes are too many now. If they may become so by waiting on, the
    /// task is woken then, to ask again. Must run inside a runtime with a timer.
    pub fn check(
        &mut self,
        limit: OutputLimit,
        waiting: usize,
        cx: &mut Context<'_>,
    ) -> Option<Excess> {
        let waiting = waiting as u64;
        if limit.hard_bytes != 0 && waiting >= limit.hard_bytes {
            return Some(Excess::Hard(limit.hard_bytes));
        }
        if limit.soft_bytes == 0 || waiting < limit.soft_bytes {
            self.above_soft = None;
            return None;
        }
        let now_ms = clock::unix_ms();
        let since_ms = self.above_soft.as_ref().map_or(now_ms, |a| a.since_ms);
        if self.above_soft.as_ref().map(|above| above.seconds) != Some(limit.soft_seconds) {
            self.above_soft = Some(AboveSoft::set(since_ms, now_ms, limit.soft_seconds));
        }
        let above = self.above_soft.as_mut()?;
        let over = allowed(limit.soft_seconds) <= passed(since_ms, now_ms);
        if over || above.alarm.as_mut().poll(cx).is_ready() {
            return Some(Excess::Soft(limit.soft_bytes, limit.soft_seconds));
        }
        None
    }

    /// All has been read.
    pub fn reset(&mut self) {
        self.above_soft = None;
    }
}

impl AboveSoft {
    fn set(since_ms: i64, now_ms: i64, seconds: u64) -> Self {
        let left = allowed(seconds).saturating_sub(passed(since_ms, now_ms));
        Self {
            since_ms,
            seconds,
            alarm: Box::pin(tokio::time::sleep(left)),
        }
    }
}

/// Redis counts whole seconds, and closes in the second after the last one allowed.
fn allowed(seconds: u64) -> Duration {
    Duration::from_secs(seconds.saturating_add(1))
}

fn passed(since_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms - since_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const LIMIT: OutputLimit = OutputLimit {
        hard_bytes: 1000,
        soft_bytes: 100,
        soft_seconds: 2,
    };

    fn check(watch: &mut OutputWatch, limit: OutputLimit, waiting: usize) -> Option<Excess> {
        watch.check(limit, waiting, &mut Context::from_waker(Waker::noop()))
    }

    fn is_counting(watch: &OutputWatch) -> bool {
        watch.above_soft.is_some()
    }

    fn time_passes(watch: &mut OutputWatch, ms: i64) {
        watch.above_soft.as_mut().unwrap().since_ms -= ms;
    }

    #[tokio::test]
    async fn the_soft_limit_holds_after_its_time_without_a_break() {
        let mut watch = OutputWatch::default();
        assert_eq!(check(&mut watch, LIMIT, 99), None);
        assert!(!is_counting(&watch));
        assert_eq!(check(&mut watch, LIMIT, 100), None);
        assert!(is_counting(&watch));
        assert_eq!(check(&mut watch, LIMIT, 99), None);
        assert!(!is_counting(&watch));
        assert_eq!(check(&mut watch, LIMIT, 999), None);
        watch.reset();
        assert_eq!(check(&mut watch, LIMIT, 999), None);
        time_passes(&mut watch, 3000);
        assert_eq!(check(&mut watch, LIMIT, 100), Some(Excess::Soft(100, 2)));
    }

    #[tokio::test]
    async fn the_hard_limit_holds_at_once_and_zero_is_none() {
        let mut watch = OutputWatch::default();
        assert_eq!(check(&mut watch, LIMIT, 1000), Some(Excess::Hard(1000)));
        assert_eq!(check(&mut watch, OutputLimit::default(), usize::MAX), None);
    }

    #[tokio::test]
    async fn changed_seconds_count_from_when_the_limit_was_passed() {
        let mut watch = OutputWatch::default();
        let long = OutputLimit {
            soft_seconds: u64::MAX,
            ..LIMIT
        };
        assert_eq!(check(&mut watch, long, 500), None);
        time_passes(&mut watch, 10_000);
        assert_eq!(check(&mut watch, long, 500), None);
        assert_eq!(check(&mut watch, LIMIT, 500), Some(Excess::Soft(100, 2)));
    }
}
