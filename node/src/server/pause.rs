//! CLIENT PAUSE: commands wait until a time, or until CLIENT UNPAUSE.

use parking_lot::Mutex;
use slotilla_common::clock;
use slotilla_common::command::{Flags, Spec};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Which commands wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Those that may change data.
    Writes,
    /// All.
    All,
}

/// Whether clients are paused. Set at the gate, so that when CLIENT PAUSE has answered, no write
/// of before is still on its way.
#[derive(Debug, Default)]
pub struct Pause {
    /// 0 none, 1 writes, 2 all: all that a running command looks at.
    active: AtomicU8,
    until: Mutex<Option<(Scope, i64)>>,
    ended: Notify,
}

impl Pause {
    /// Whether `spec` has to wait now.
    #[inline]
    pub fn postpones(&self, spec: &Spec) -> bool {
        match self.active.load(Ordering::Acquire) {
            0 => false,
            active => self.postpones_slowly(active, spec),
        }
    }

    #[cold]
    fn postpones_slowly(&self, active: u8, spec: &Spec) -> bool {
        if self.remaining_ms() == 0 {
            self.end();
            return false;
        }
        // So that the pause can be ended, and watched.
        if matches!(
            spec.parent().unwrap_or(spec).name,
            "client" | "auth" | "hello" | "quit" | "reset"
        ) {
            return false;
        }
        active == 2
            || spec.flags.contains(Flags::WRITE)
            || spec.flags.contains(Flags::MAY_REPLICATE)
    }

    /// Starts a pause, or extends the one there is: the longer time and the wider scope win, as
    /// in Redis.
    pub fn start(&self, scope: Scope, until_ms: i64) {
        let mut until = self.until.lock();
        let merged = match *until {
            Some((old_scope, old_until)) if old_until > clock::unix_ms() => {
                (old_scope.max(scope), old_until.max(until_ms))
            }
            _ => (scope, until_ms),
        };
        *until = Some(merged);
        let active = if merged.0 == Scope::All { 2 } else { 1 };
        self.active.store(active, Ordering::Release);
    }

    /// Ends the pause and wakes who waits.
    pub fn end(&self) {
        *self.until.lock() = None;
        self.active.store(0, Ordering::Release);
        self.ended.notify_waiters();
    }

    fn remaining_ms(&self) -> u64 {
        let until = *self.until.lock();
        let left = until.map_or(0, |(_, until_ms)| until_ms - clock::unix_ms());
        u64::try_from(left).unwrap_or(0)
    }

    /// Returns when the pause is over, by its time or by [`Pause::end`].
    pub async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before the time is read, so an end in between is not missed.
            ended.as_mut().enable();
            let left = self.remaining_ms();
            if left == 0 {
                return;
            }
            tokio::select! {
                () = ended => return,
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
            }
        }
    }
}
