//! Replies that wait until the log is safe up to some offset.
//!
//! A connection that has run commands asks where the log ends, and sends nothing until the log is
//! *safe* up to there; whoever makes it safe (the disk has it, replicas have it) says how far it is.
//! Neither a thread nor a slot waits meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Who waits for the log to be safe.
#[derive(Debug, Default)]
pub struct Hold {
    is_on: AtomicBool,
    safe: AtomicU64,
    /// By what they wait for, and who they are.
    waiting: Mutex<BTreeMap<(u64, u64), Waker>>,
}

impl Hold {
    /// Whether replies wait at all.
    #[must_use]
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// From now on they do, the log being safe up to `offset`.
    pub fn turn_on(&self, offset: u64) {
        self.safe.store(offset, Ordering::Release);
        self.is_on.store(true, Ordering::Release);
    }

    /// From now on nobody waits.
    pub fn turn_off(&self) {
        self.is_on.store(false, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().for_each(Waker::wake);
    }

    /// The log is safe up to `offset`.
    pub fn release(&self, offset: u64) {
        self.safe.store(offset, Ordering::Release);
        let mut waiting = self.waiting.lock();
        let later = waiting.split_off(&(offset.saturating_add(1), 0));
        let released = std::mem::replace(&mut *waiting, later);
        drop(waiting);
        released.into_values().for_each(Waker::wake);
    }

    /// Whether a reply may leave that is about the log up to `offset`.
    #[must_use]
    pub fn is_safe(&self, offset: u64) -> bool {
        self.safe.load(Ordering::Acquire) >= offset || !self.is_on.load(Ordering::Acquire)
    }

    /// Ready once the log is safe up to `offset`; the client of number `who` waits for one offset.
    pub fn poll(&self, offset: u64, who: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_safe(offset) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // Under the lock: whoever releases takes it after it has said how far it is.
        if self.is_safe(offset) {
            return Poll::Ready(());
        }
        waiting.insert((offset, who), cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_waits_for_its_own_offset() {
        let hold = Hold::default();
        assert!(hold.is_safe(u64::MAX));
        hold.turn_on(10);
        let woken: [Arc<Woken>; 3] = Default::default();
        let wakers = woken.clone().map(Waker::from);
        let poll = |offset: u64, who: usize| {
            let mut cx = Context::from_waker(&wakers[who]);
            hold.poll(offset, who as u64, &mut cx).is_ready()
        };
        let counts = || woken.clone().map(|woken| woken.0.load(Ordering::Relaxed));
        assert!(poll(10, 0));
        assert!(!poll(11, 0) && !poll(12, 1) && !poll(13, 2) && !poll(12, 1));
        hold.release(12);
        assert_eq!(counts(), [1, 1, 0]);
        assert!(poll(12, 1) && !poll(13, 2));
        hold.turn_off();
        assert_eq!(counts(), [1, 1, 1]);
        assert!(poll(13, 2));
    }
}
