//! Clients in blocking commands: how one waits, and what ends it.
//!
//! The handler has the client wait, with the slots of its keys locked ([`Db::wait`]); its connection
//! then holds back what follows, and waits for the outcome. Whoever ends the wait has claimed it, so
//! there is one outcome: the thread that pushed serves it, its own timer, CLIENT UNBLOCK, a slot that
//! leaves this node, the cluster going down, or the end of the connection, which nobody hears of.

use parking_lot::Mutex;
use slotilla_common::clock;
use slotilla_common::command::Spec;
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

use super::Server;
use super::client::{Client, flag};
use super::slowlog;
use crate::cluster::routing::{Condition, Refusal, Serving};
use crate::commands::Wanted;
use crate::store::{Db, Waiter, Waiting};

/// What CLIENT UNBLOCK … ERROR tells the client.
pub(crate) const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
pub(crate) const DEMOTED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
                       (master -> replica?)";

/// A timer that is longer than this is none.
const TIMEOUT_MAX_MS: u64 = 1 << 40;

/// A client that waits for keys.
#[derive(Debug)]
pub struct Blocked {
    server: Arc<Server>,
    client: Arc<Client>,
    protocol: Protocol,
    wanted: Wanted,
    /// What it was served, until it may have it.
    served: Mutex<Option<Outcome>>,
    outcome: Mutex<Option<Outcome>>,
}

/// What came of a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has what it waited for, or an error: it could not be put where it should go.
    Served {
        /// What the client is to hear.
        reply: Vec<u8>,
        /// How long it took to serve it.
        nanos: u64,
        /// The error's text.
        error: Option<String>,
    },
    /// There was nothing for so long.
    TimedOut,
    /// CLIENT UNBLOCK has ended it.
    Unblocked {
        /// With an error, rather than as its timer would.
        with_error: bool,
    },
    /// It waits in vain.
    Refused {
        /// The error's text.
        error: String,
        /// The connection is to close.
        close: bool,
    },
}

impl Blocked {
    /// One who wants `wanted`.
    #[must_use]
    pub fn new(
        server: &Arc<Server>,
        client: &Arc<Client>,
        protocol: Protocol,
        wanted: Wanted,
    ) -> Self {
        Self {
            server: Arc::clone(server),
            client: Arc::clone(client),
            protocol,
            wanted,
            served: Mutex::new(None),
            outcome: Mutex::new(None),
        }
    }

    /// Says what came of the wait, having claimed it.
    pub fn finish(&self, outcome: Outcome) {
        // Not idle for as long as it waited.
        self.client
            .active_ms
            .store(clock::unix_ms(), Ordering::Relaxed);
        self.client.hold_mail();
        self.client.set(flag::BLOCKED | flag::TIMED, false);
        *self.outcome.lock() = Some(outcome);
        self.client.wake();
    }

    /// Has the client wait, and says so to whoever lists or unblocks clients. What `db` has locked
    /// is what [`Db::wait`] asks for.
    pub fn begin(waiting: &Arc<Waiting<Self>>, db: &Db<'_>, timed: bool) {
        let Self { server, client, .. } = &waiting.waiter;
        client.set(flag::BLOCKED, true);
        client.set(flag::TIMED, timed);
        db.wait(waiting);
        client.set_waiting(Some(Arc::clone(waiting)));
        if client.has(flag::KILLED) {
            // Whoever closes it may not have found it waiting.
            let _waited = server.store.stop_waiting(&**waiting);
        }
        // The same of whoever has found the cluster to be down since the command was let in.
        if server.cluster_health.condition() != Condition::Up && server.store.stop_waiting(waiting)
        {
            let error = Refusal::Down.text().unwrap_or_default();
            waiting.waiter.refuse(error, false);
        }
    }
}

impl Waiter for Blocked {
    fn serve(&self, db: &mut Db<'_>, key: &[u8]) {
        let clock = &self.server.clock;
        let start = clock.now();
        let mut reply = Vec::new();
        let mut writer = ReplyWriter::new(&mut reply, self.protocol);
        // It hears of what is taken for it after it has it.
        let hold = || self.client.hold_mail();
        let taken = self.wanted.take(&self.server, db, &mut writer, key, hold);
        let error = match taken {
            Ok(true) => None,
            // Whoever serves has looked: there is something.
            Ok(false) => {
                writer.null_array();
                None
            }
            Err(error) => {
                let text = error.to_string();
                writer.error(&text);
                Some(text)
            }
        };
        let nanos = clock.nanos_between(start, clock.now());
        *self.served.lock() = Some(Outcome::Served {
            reply,
            nanos,
            error,
        });
    }

    fn release(&self) {
        let served = self.served.lock().take();
        if let Some(outcome) = served {
            self.finish(outcome);
        }
    }

    fn refuse(&self, error: &str, close: bool) {
        let error = error.to_owned();
        self.finish(Outcome::Refused { error, close });
    }
}

/// A command that has begun, and waits.
#[derive(Debug)]
pub struct BlockedCommand {
    /// The wait.
    pub waiting: Arc<Waiting<Blocked>>,
    timeout_ms: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    /// What is known when it has ended.
    pub begun: Begun,
}

/// What is to be counted of a command once its wait has ended.
#[derive(Debug)]
pub struct Begun {
    /// Its row of the table.
    pub spec: &'static Spec,
    /// How long it took until it waited.
    pub nanos: u64,
    /// What goes into the slow log, if there is one.
    pub slow: Option<slowlog::Entry>,
}

impl BlockedCommand {
    /// One that has begun to wait.
    #[must_use]
    pub fn new(waiting: Arc<Waiting<Blocked>>, timeout_ms: Option<u64>, begun: Begun) -> Self {
        Self {
            waiting,
            timeout_ms: timeout_ms.filter(|timeout_ms| *timeout_ms < TIMEOUT_MAX_MS),
            timer: None,
            begun,
        }
    }

    /// Sets the timer. Must be called on a worker's thread.
    pub fn start_timer(&mut self) {
        let sleep = |timeout_ms| Box::pin(tokio::time::sleep(Duration::from_millis(timeout_ms)));
        self.timer = self.timeout_ms.map(sleep);
    }

    /// What came of it, once that is known.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let blocked = &self.waiting.waiter;
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            if blocked.server.store.stop_waiting(&*self.waiting) {
                blocked.finish(Outcome::TimedOut);
            }
        }
        let outcome = blocked.outcome.lock().take();
        match outcome {
            Some(outcome) => {
                blocked.client.set_waiting(None);
                Poll::Ready(outcome)
            }
            // Whoever has claimed it wakes this task when the outcome is there.
            None => Poll::Pending,
        }
    }

    /// The client has gone, or is about to: nobody serves it any longer.
    pub fn abandon(&self) {
        let blocked = &self.waiting.waiter;
        // If it was served just now, it went before it heard of it.
        let _waited = blocked.server.store.stop_waiting(&*self.waiting);
        blocked.client.set_waiting(None);
    }
}

impl Server {
    /// CLIENT UNBLOCK: whether the client was blocked.
    pub fn unblock(&self, client: &Client, with_error: bool) -> bool {
        let Some(waiting) = client.waiting() else {
            let other = client.unblock();
            return other.is_some_and(|other| other.unblock(with_error));
        };
        let was_waiting = self.store.stop_waiting(&*waiting);
        if was_waiting {
            waiting.waiter.finish(Outcome::Unblocked { with_error });
        }
        was_waiting
    }

    /// A locked slot has changed hands: those who wait for its keys wait elsewhere, if at all.
    pub(super) fn release_waiters(&self, slot: Slot, serving: Serving) {
        if !self.store.has_waiters(slot) {
            return;
        }
        let refusal = match serving {
            Serving::Ours | Serving::Migrating | Serving::Importing => return,
            Serving::Replica => {
                self.store.refuse_waiters(Some(slot), DEMOTED, true);
                return;
            }
            _ if self.cluster_health.condition() != Condition::Up => Refusal::Down,
            Serving::Elsewhere => Refusal::Moved,
            Serving::Unassigned => Refusal::Unbound,
        };
        let error = match refusal.text() {
            Some(text) => text.to_owned(),
            None => self.redirect(refusal, slot),
        };
        self.store.refuse_waiters(Some(slot), &error, false);
    }

    /// The cluster takes commands on keys, or not: nobody waits while it does not, even if it takes
    /// reads, as in Redis.
    pub(super) fn release_waiters_if_down(&self, condition: Condition) {
        if condition != Condition::Up {
            let error = Refusal::Down.text().unwrap_or_default();
            self.store.refuse_waiters(None, error, false);
        }
    }
}

#[cfg(test)]
mod tests;
