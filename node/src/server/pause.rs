//! CLIENT PAUSE: commands wait until a time, or until CLIENT UNPAUSE. So they do while replicas are to
//! catch up, at the end of the node or for FAILOVER.
//!
//! Meanwhile nothing else changes the data either, as in Redis: keys whose time has come are hidden
//! and deleted afterwards, and none is evicted.

use parking_lot::Mutex;
use slotilla_common::clock;
use slotilla_common::command::{Flags, Spec};
use slotilla_common::slot::Slot;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

use super::Server;

/// How long a command waits for a snapshot before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Which commands wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Those that may change data.
    Writes,
    /// All.
    All,
}

/// Who pauses clients: each ends its own pause alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// CLIENT PAUSE.
    Client = 0,
    /// The node is about to stop.
    Shutdown = 1,
    /// FAILOVER.
    Failover = 2,
}

/// Which commands wait, and until when.
type Term = Option<(Scope, i64)>;

/// Whether clients are paused. Set at the gate, so that when CLIENT PAUSE has answered, no write
/// of before is still on its way.
#[derive(Debug, Default)]
pub struct Pause {
    /// 0 none, 1 writes, 2 all: all that a running command looks at.
    active: AtomicU8,
    /// By purpose.
    until: Mutex<[Term; 3]>,
    ended: Notify,
}

impl Pause {
    /// Whether there is a pause. Until somebody has ended it, its time may be over.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire) != 0
    }

    /// Whether the time of the pause is over, and nobody has ended it yet.
    pub fn is_over(&self) -> bool {
        self.is_active() && self.remaining_ms() == 0
    }

    /// Whether `spec` waits for the end of the pause, its time not being over.
    #[cold]
    fn holds(&self, spec: &Spec) -> bool {
        // So that the pause can be ended, and watched.
        if matches!(
            spec.parent().unwrap_or(spec).name,
            "client" | "auth" | "hello" | "quit" | "reset"
        ) {
            return false;
        }
        self.active.load(Ordering::Acquire) == 2
            || spec.flags.contains(Flags::WRITE)
            || spec.flags.contains(Flags::MAY_REPLICATE)
    }

    /// Starts a pause, or extends the one there is: the longer time and the wider scope win, as
    /// in Redis.
    fn start(&self, purpose: Purpose, scope: Scope, until_ms: i64) {
        let mut until = self.until.lock();
        if let Some(term) = until.get_mut(purpose as usize) {
            let merged = match *term {
                Some((old_scope, old_until)) if old_until > clock::unix_ms() => {
                    (old_scope.max(scope), old_until.max(until_ms))
                }
                _ => (scope, until_ms),
            };
            *term = Some(merged);
        }
        self.show(&*until);
    }

    /// Ends a pause and wakes who waits.
    fn end(&self, purpose: Purpose) {
        let mut until = self.until.lock();
        if let Some(term) = until.get_mut(purpose as usize) {
            *term = None;
        }
        self.show(&*until);
        drop(until);
        self.ended.notify_waiters();
    }

    /// Forgets those whose time is over.
    fn end_late(&self) {
        let now_ms = clock::unix_ms();
        let mut until = self.until.lock();
        for term in until.iter_mut() {
            *term = term.filter(|(_, until_ms)| *until_ms > now_ms);
        }
        self.show(&*until);
        drop(until);
        self.ended.notify_waiters();
    }

    /// What a running command looks at.
    fn show(&self, until: &[Term]) {
        let widest = until.iter().flatten().map(|(scope, _)| *scope).max();
        let active = match widest {
            None => 0,
            Some(Scope::Writes) => 1,
            Some(Scope::All) => 2,
        };
        self.active.store(active, Ordering::Release);
    }

    /// Until the first end of those there are: the others may be of less.
    fn remaining_ms(&self) -> u64 {
        let until = *self.until.lock();
        let now_ms = clock::unix_ms();
        let left = until
            .iter()
            .flatten()
            .map(|(_, until_ms)| until_ms - now_ms);
        u64::try_from(left.min().unwrap_or(0)).unwrap_or(0)
    }

    /// Returns when the pause is over, by its time or by CLIENT UNPAUSE.
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

impl Server {
    /// Pauses clients until a time. Must run at the gate.
    pub fn pause_clients(&self, purpose: Purpose, scope: Scope, until_ms: i64) {
        self.pause.start(purpose, scope, until_ms);
        self.settle_expired();
    }

    /// Ends the pauses whose time is over.
    pub fn end_late_pauses(&self) {
        self.pause.end_late();
        self.settle_expired();
    }

    /// Ends the pause there may be.
    pub fn end_pause(&self, purpose: Purpose) {
        self.pause.end(purpose);
        self.settle_expired();
    }

    /// Whether a command has to wait now, its only key being in this slot, if it has one.
    #[inline]
    #[must_use]
    pub fn postpones(&self, spec: &Spec, slot: Option<Slot>) -> bool {
        self.pause.is_active() && self.postpones_slowly(spec)
            || self.store.snapshot_is_full() && self.snapshot_postpones(spec, slot)
    }

    /// Whether a write would leave the snapshot that is under way more than it may keep.
    #[cold]
    fn snapshot_postpones(&self, spec: &Spec, slot: Option<Slot>) -> bool {
        // What names no key deletes them all, or the like: there would be less to keep.
        let has_keys = slot.is_some() || spec.range.first != 0;
        has_keys
            && spec.flags.contains(Flags::WRITE)
            && slot.is_none_or(|slot| self.store.snapshot_holds_up(slot))
    }

    /// Returns when a command that had to wait is to try again.
    pub async fn postponed(&self) {
        self.pause.ended().await;
        loop {
            let room = self.snapshot_room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let written = self.aof.room.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            if !self.store.snapshot_is_full() && !self.aof.is_full() {
                return;
            }
            // Whatever else may have ended it.
            let either = async {
                tokio::select! {
                    () = room => {}
                    () = written => {}
                }
            };
            let _elapsed = tokio::time::timeout(LOOK_AGAIN, either).await;
        }
    }

    /// Whether EXEC has to wait now, its commands being such that may change data, or not.
    #[must_use]
    pub fn postpones_transaction(&self, writes: bool) -> bool {
        if writes && (self.store.snapshot_is_full() || self.aof.is_full()) {
            return true;
        }
        if self.pause.is_over() {
            self.end_late_pauses();
        }
        let active = self.pause.active.load(Ordering::Acquire);
        active == 2 || active == 1 && writes
    }

    #[cold]
    fn postpones_slowly(&self, spec: &Spec) -> bool {
        if self.pause.is_over() {
            self.end_late_pauses();
        }
        self.pause.is_active() && self.pause.holds(spec)
    }
}
