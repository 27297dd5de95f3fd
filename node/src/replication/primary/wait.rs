//! WAIT: a client that waits until replicas have what was written.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use slotilla_common::resp::{Protocol, ReplyWriter};

use super::Wish;
use crate::server::Server;
use crate::server::blocked::{DEMOTED, UNBLOCKED};
use crate::server::client::Client;
use crate::server::unblock::Unblock;

/// A client in WAIT, until this is dropped.
struct Waiting {
    server: Arc<Server>,
    client: Arc<Client>,
    unblock: Arc<Unblock>,
    wish: Wish,
}

impl Waiting {
    /// Returns once there are enough, or somebody ends the wait.
    async fn enough(&self) {
        let replication = &self.server.replication;
        poll_fn(|cx| {
            if self.unblock.is_over(cx.waker()) || replication.is_replica() {
                return Poll::Ready(());
            }
            let confirm = &replication.as_primary.confirm;
            confirm.poll_connected(self.wish, self.client.id, cx)
        })
        .await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let confirm = &self.server.replication.as_primary.confirm;
        confirm.forget(self.wish, self.client.id);
        self.client.set_unblock(None);
    }
}

/// Waits at most so long, 0 being for ever; the reply tells how many have it then. As in Redis, the
/// connection closes if the node has become a replica. The thread has its seat at the gate.
pub fn wait(
    server: &Arc<Server>,
    client: &Arc<Client>,
    protocol: Protocol,
    wish: Wish,
    timeout_ms: u64,
) -> impl Future<Output = (Vec<u8>, bool)> + Send + use<> {
    let waiting = Waiting {
        server: Arc::clone(server),
        client: Arc::clone(client),
        unblock: Arc::default(),
        wish,
    };
    client.set_unblock(Some(Arc::clone(&waiting.unblock)));
    server
        .replication
        .as_primary
        .confirm
        .ask(server, wish.offset);
    async move {
        if timeout_ms == 0 {
            waiting.enough().await;
        } else {
            // Enough or not: it is told how many there are.
            let limit = Duration::from_millis(timeout_ms);
            let _elapsed = tokio::time::timeout(limit, waiting.enough()).await;
        }
        let replication = &waiting.server.replication;
        let mut reply = Vec::new();
        let mut writer = ReplyWriter::new(&mut reply, protocol);
        let is_unblocked = waiting.unblock.end();
        let is_demoted = !is_unblocked && replication.is_replica();
        if is_unblocked {
            writer.error(UNBLOCKED);
        } else if is_demoted {
            writer.error(DEMOTED);
        } else {
            writer.integer(replication.as_primary.have(waiting.wish.offset) as i64);
        }
        (reply, is_demoted)
    }
}
