//! Replies that wait for replicas (`replica-ack-writes`).
//!
//! A session notes where in its output the replies of writes are, and which offset of the log each
//! waits for. Its connection then sends nothing of a turn before all of them are confirmed, or the
//! time is up; then what is still unconfirmed is answered with an error in its place, and all else as
//! it is. What comes next in a pipeline runs after that, so a connection has one turn's replies at
//! most that wait.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use slotilla_common::command::Spec;
use slotilla_common::resp::{Protocol, ReplyWriter};
use tokio::time::{Instant, Sleep};

use super::Server;
use super::client::Client;
use super::session::SessionState;
use crate::commands::CommandError;
use crate::replication::primary::Wish;
use slotilla_common::command::Flags;

/// So many notes a connection keeps room for.
const KEPT: usize = 64;

/// The reply of a write.
#[derive(Debug, Clone)]
pub struct Noted {
    /// Where it is in the output.
    pub reply: Range<usize>,
    /// What it waits for.
    pub wish: Wish,
    /// In which numbering of the log.
    pub era: u64,
}

impl SessionState {
    /// How many replicas the command that is next waits for, if it runs: none, unless it writes.
    #[cold]
    pub(super) fn replicas_wanted(&self, server: &Server, spec: &Spec) -> usize {
        let queue = self.transaction.queue();
        let writes = match queue {
            Some(queue) => spec.name == "exec" && queue.union().write,
            None => spec.flags.contains(Flags::WRITE),
        };
        if !writes || self.stream.is_some() || server.replication.is_replica() {
            return 0;
        }
        server
            .replication
            .as_primary
            .confirm
            .wanted(self.ack_writes)
    }
}

/// Refuses a write that too few replicas are there for.
#[cold]
pub(super) fn check_replicas(
    session: &SessionState,
    server: &Server,
    spec: &Spec,
) -> Result<(), CommandError> {
    let primary = &server.replication.as_primary;
    if primary.restart.waits() && session.stream.is_none() {
        check_restart(server, spec)?;
    }
    let confirm = &primary.confirm;
    let is_write = spec.flags.contains(Flags::WRITE);
    let wanted = if is_write && session.stream.is_none() && !server.replication.is_replica() {
        // One that is to be queued, too: then EXEC will refuse the whole.
        confirm.wanted(session.ack_writes)
    } else {
        session.replicas_wanted(server, spec)
    };
    let online = confirm.online();
    if wanted <= online {
        return Ok(());
    }
    confirm.refused.fetch_add(1, Ordering::Relaxed);
    Err(CommandError::Quote(
        format!(
            "NOREPLICAS Not enough replicas to confirm a write: {online} of {wanted} are \
             connected. It was not done."
        )
        .into_bytes()
        .into(),
    ))
}

/// What a primary refuses that may lack confirmed writes: all that needs data. Replicas have to be
/// heard, and PING only tells that the node is there.
fn check_restart(server: &Server, spec: &Spec) -> Result<(), CommandError> {
    if spec.flags.contains(Flags::STALE) || matches!(spec.name, "ping" | "psync" | "sync") {
        return Ok(());
    }
    let text = server.replication.as_primary.restart.refusal();
    Err(CommandError::Quote(text.into_bytes().into()))
}

/// What a connection has that waits for replicas.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    server: Arc<Server>,
    client: Arc<Client>,
    noted: Vec<Noted>,
    /// What it is to be woken for.
    place: Option<Wish>,
    deadline: Instant,
    /// Kept from one turn to the next: it may ring too early, and is then set anew.
    timer: Pin<Box<Sleep>>,
}

impl Unconfirmed {
    /// Must be made on a worker's thread.
    pub(super) fn new(server: &Arc<Server>, client: &Arc<Client>) -> Self {
        let deadline = Instant::now();
        Self {
            server: Arc::clone(server),
            client: Arc::clone(client),
            noted: Vec::new(),
            place: None,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
        }
    }

    /// Whether anything waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Bytes that this takes.
    pub(super) fn bytes(&self) -> usize {
        self.noted.capacity() * size_of::<Noted>()
    }

    /// Waits for these, unless they are confirmed already; whether it does. The thread has its seat
    /// at the gate.
    pub(super) fn begin(&mut self, noted: &mut Vec<Noted>) -> bool {
        std::mem::swap(&mut self.noted, noted);
        noted.clear();
        noted.shrink_to(KEPT);
        let Some((wish, _)) = self.open_wish() else {
            self.end();
            return false;
        };
        let server = &self.server;
        let timeout = Duration::from_millis(server.config.replica_ack_timeout_ms());
        self.deadline = Instant::now() + timeout;
        let confirm = &server.replication.as_primary.confirm;
        confirm.ask(server, wish.offset);
        true
    }

    /// What is not confirmed: the last of it, as all else comes before.
    fn open_wish(&self) -> Option<(Wish, u64)> {
        let confirm = &self.server.replication.as_primary.confirm;
        confirm.open_wish(self.noted.iter().rev().map(|noted| (noted.wish, noted.era)))
    }

    /// Ready once all is confirmed, or the time is up: those that are not confirmed then, in the order
    /// of their replies.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Noted>> {
        let server = Arc::clone(&self.server);
        let confirm = &server.replication.as_primary.confirm;
        loop {
            let Some((wish, era)) = self.open_wish() else {
                self.end();
                return Poll::Ready(Vec::new());
            };
            if self.place != Some(wish) {
                self.forget();
                self.place = Some(wish);
            }
            if confirm.poll(wish, era, self.client.id, cx).is_ready() {
                if confirm.era() != era {
                    return Poll::Ready(self.give_up());
                }
                continue;
            }
            if self.timer.deadline() > self.deadline {
                self.timer.as_mut().reset(self.deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= self.deadline {
                return Poll::Ready(self.give_up());
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn give_up(&mut self) -> Vec<Noted> {
        let confirm = &self.server.replication.as_primary.confirm;
        let mut left = std::mem::take(&mut self.noted);
        left.retain(|noted| confirm.had(noted.wish.offset, noted.era) < noted.wish.replicas);
        confirm
            .unconfirmed
            .fetch_add(left.len() as u64, Ordering::Relaxed);
        self.end();
        left
    }

    /// What a client is told of a write.
    pub(super) fn text(&self, noted: &Noted) -> String {
        let confirm = &self.server.replication.as_primary.confirm;
        let Wish { replicas, offset } = noted.wish;
        if confirm.era() != noted.era {
            return "UNCONFIRMED The write was done here, but this node has become a replica before \
                    replicas have confirmed it: it may be lost"
                .to_owned();
        }
        let had = confirm.had(offset, noted.era);
        format!(
            "UNCONFIRMED The write was done here, but only {had} of {replicas} replicas have \
             confirmed it within {} ms: it may be lost in a failover",
            self.server.config.replica_ack_timeout_ms()
        )
    }

    fn forget(&mut self) {
        if let Some(wish) = self.place.take() {
            let confirm = &self.server.replication.as_primary.confirm;
            confirm.forget(wish, self.client.id);
        }
    }

    pub(super) fn end(&mut self) {
        self.forget();
        self.noted.clear();
        self.noted.shrink_to(KEPT);
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The output with errors in place of some replies, which stand in it in this order. A reply that the
/// client does not want to hear is not replaced either.
pub(super) fn replace(
    out: &[u8],
    errors: &[(Range<usize>, String)],
    protocol: Protocol,
) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(out.len());
    let mut at = 0;
    for (reply, text) in errors.iter().filter(|(reply, _)| !reply.is_empty()) {
        replaced.extend_from_slice(out.get(at..reply.start).unwrap_or_default());
        ReplyWriter::new(&mut replaced, protocol).error(text);
        at = reply.end;
    }
    replaced.extend_from_slice(out.get(at..).unwrap_or_default());
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unconfirmed_is_replaced() {
        let out = b"+1\r\n$1\r\na\r\n:3\r\n+4\r\n";
        let errors = [
            (0..4, "UNCONFIRMED a".to_owned()),
            (4..4, "UNCONFIRMED unheard".to_owned()),
            (11..15, "UNCONFIRMED b".to_owned()),
        ];
        let replaced = replace(out, &errors, Protocol::Resp2);
        let expected = b"-UNCONFIRMED a\r\n$1\r\na\r\n-UNCONFIRMED b\r\n+4\r\n";
        assert_eq!(
            String::from_utf8_lossy(&replaced),
            String::from_utf8_lossy(expected)
        );
        assert_eq!(replace(out, &[], Protocol::Resp2), out);
    }
}
