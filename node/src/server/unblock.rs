//! CLIENT UNBLOCK of a client that waits for something other than keys.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// A wait that somebody may end.
#[derive(Debug, Default)]
pub struct Unblock {
    state: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

const WAITS: u8 = 0;
const ENDED: u8 = 1;
const AS_TIMED_OUT: u8 = 2;
const WITH_ERROR: u8 = 3;

impl Unblock {
    /// Ends the wait; false if it has ended.
    pub fn unblock(&self, with_error: bool) -> bool {
        let state = if with_error { WITH_ERROR } else { AS_TIMED_OUT };
        if !self.claim(state) {
            return false;
        }
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
        true
    }

    /// Whether somebody has ended it; if not, `waker` is woken when somebody does.
    pub fn is_over(&self, waker: &Waker) -> bool {
        *self.waker.lock() = Some(waker.clone());
        self.state.load(Ordering::Acquire) != WAITS
    }

    /// The wait is over; whether it was ended with an error.
    pub fn end(&self) -> bool {
        !self.claim(ENDED) && self.state.load(Ordering::Acquire) == WITH_ERROR
    }

    fn claim(&self, state: u8) -> bool {
        let claimed =
            self.state
                .compare_exchange(WAITS, state, Ordering::AcqRel, Ordering::Acquire);
        claimed.is_ok()
    }
}
