//! Replies of a connection that wait for replicas.

use std::task::{Context, Poll};

use super::{Connection, Ended};
use crate::replication::primary::Wish;
use crate::server::unconfirmed::{Noted, Unconfirmed, replace};
use crate::server::worker::Worker;

impl Connection {
    #[cold]
    pub(super) fn hold_writes(&mut self, worker: &Worker) {
        let Self {
            server,
            session,
            unconfirmed,
            ..
        } = self;
        let unconfirmed = unconfirmed
            .get_or_insert_with(|| Box::new(Unconfirmed::new(server, &session.state.client)));
        let seated = server.gate.sit(worker.seat);
        let waits = unconfirmed.begin(&mut session.state.noted);
        drop(seated);
        if waits {
            self.note_unsent();
        }
    }

    pub(super) fn is_unconfirmed(&self) -> bool {
        let unconfirmed = self.unconfirmed.as_ref();
        unconfirmed.is_some_and(|unconfirmed| unconfirmed.is_waiting())
    }

    /// Ready when no reply waits for replicas, or has waited long enough.
    pub(super) fn poll_confirmed(
        &mut self,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        let Some(unconfirmed) = self.unconfirmed.as_mut().filter(|one| one.is_waiting()) else {
            return Poll::Ready(Ok(()));
        };
        let Poll::Ready(left) = unconfirmed.poll(cx) else {
            return match self.check_output_limit(cx) {
                Ok(()) => Poll::Pending,
                Err(ended) => Poll::Ready(Err(ended)),
            };
        };
        if !left.is_empty() {
            let text = |noted: &Noted| (noted.reply.clone(), unconfirmed.text(noted));
            let errors: Vec<_> = left.iter().map(text).collect();
            for (_, text) in &errors {
                worker.note_error(text.as_bytes());
            }
            let protocol = self.session.state.protocol;
            self.unsent.edit_last(|out| replace(out, &errors, protocol));
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps a reply that has come later until it is sent.
    pub(super) fn put_later(&mut self, mut reply: Vec<u8>) {
        if !self.session.hears() {
            reply.clear();
        }
        self.note_later(&reply);
        self.unsent.put(reply);
    }

    /// A reply that has come later will be the last of what is unsent: if it is a write's, it waits.
    pub(super) fn note_later(&mut self, reply: &[u8]) {
        // The role may have changed since it was done: then it counts as of before, and is confirmed by
        // no offset of the log that there is now.
        let later = self.session.state.noted_later.take();
        let Some((wanted, era)) = later.filter(|_| !reply.starts_with(b"-")) else {
            return;
        };
        let server = &self.server;
        if wanted == 0 && server.replication.is_replica() {
            return;
        }
        let offset = server.store.log().end();
        let confirm = &server.replication.as_primary.confirm;
        let replicas = confirm.wanted_after(wanted, self.session.state.ack_writes);
        if replicas == 0 {
            return;
        }
        let wish = Wish { replicas, offset };
        let reply = 0..reply.len();
        self.session.state.noted.push(Noted { reply, wish, era });
    }
}
