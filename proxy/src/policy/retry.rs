//! Requests that wait to be sent again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use slotilla_common::clock::Tick;
use tokio::sync::Notify;

use crate::router::Request;

/// A request that was not executed, with what to tell if its time ends.
#[derive(Debug)]
pub struct Retry {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The request.
    pub request: Request,
    /// The error reply that the client gets if all is in vain.
    pub failure: Vec<u8>,
}

/// The waiting requests of one thread, by the time they are due and then by their order.
#[derive(Debug, Default)]
pub struct RetryQueue {
    waiting: RefCell<BTreeMap<(Tick, u64), Retry>>,
    next: Cell<u64>,
    bytes: Cell<usize>,
    /// Wakes the task that sends them.
    changed: Notify,
}

impl RetryQueue {
    /// Adds a request that is due at `due`.
    pub fn push(&self, due: Tick, retry: Retry) {
        let number = self.next.get();
        self.next.set(number + 1);
        self.bytes.set(self.bytes.get() + retry.bytes.len());
        self.waiting.borrow_mut().insert((due, number), retry);
        self.changed.notify_one();
    }

    /// Takes the first request if it is due.
    pub fn pop(&self, now: Tick) -> Option<Retry> {
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let retry = first.remove();
        self.bytes.set(self.bytes.get() - retry.bytes.len());
        Some(retry)
    }

    /// When the first is due.
    pub fn first_due(&self) -> Option<Tick> {
        self.waiting.borrow().keys().next().map(|(due, _)| *due)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Makes every waiting request due at once: something has changed.
    pub fn hurry(&self, now: Tick) {
        let mut waiting = self.waiting.borrow_mut();
        // The order among them stays.
        let all = std::mem::take(&mut *waiting);
        for (place, (_, retry)) in all.into_iter().enumerate() {
            waiting.insert((now, place as u64), retry);
        }
        self.next.set(waiting.len() as u64);
        self.changed.notify_one();
    }

    /// Waits until a request is added or hurried.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// How long the attempt after `attempts` others waits: `min`, doubled each time up to `max`, less
/// up to a half by chance, so that what failed together does not come back together.
#[must_use]
pub fn backoff(attempts: u16, min: Duration, max: Duration, chance: f64) -> Duration {
    let doublings = u32::from(attempts.saturating_sub(1).min(20));
    let full = min.saturating_mul(1 << doublings).min(max);
    full.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_jittered_by_half() {
        let ms = Duration::from_millis;
        let wait = |attempts, chance| backoff(attempts, ms(10), ms(100), chance);
        assert_eq!(wait(0, 0.0), ms(10));
        assert_eq!(wait(1, 0.0), ms(10));
        assert_eq!(wait(2, 0.0), ms(20));
        assert_eq!(wait(2, 1.0), ms(10));
        assert_eq!(wait(5, 0.0), ms(100));
        assert_eq!(wait(u16::MAX, 0.0), ms(100));
    }
}
