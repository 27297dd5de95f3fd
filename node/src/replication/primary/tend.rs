//! What a primary does once a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slotilla_common::clock;

use super::attach::shown;
use super::confirm::ASKER;
use super::{Replica, Stage};
use crate::config::OutputLimit;
use crate::replication::log::{ANY_DB, Follower};
use crate::server::Server;

/// Sees to replicas: once a second, `second` counting them.
pub fn tend(server: &Arc<Server>, second: u64) {
    let primary = &server.replication.as_primary;
    let replicas = primary.replicas();
    primary.note_good(server);
    if primary.follows() {
        // It may have been changed.
        server
            .store
            .history()
            .keep(server.config.repl_backlog_size());
    }
    if replicas.is_empty() {
        end_backlog(server);
        return;
    }
    let period = server.config.repl_ping_replica_period_seconds();
    if second.is_multiple_of(period.max(1)) {
        // With a seat: the role does not change meanwhile.
        server.gate.guest(|| ping(server));
    }
    for replica in &replicas {
        check(server, replica);
    }
}

fn ping(server: &Server) {
    let replication = &server.replication;
    // While a replica is to have all there is, there is to be no more.
    if !replication.is_replica() && !replication.failover.is_on() {
        let log = server.store.history();
        log.append_command(ASKER, ANY_DB, &[b"PING"]);
        log.interrupt();
    }
}

/// Closes a replica that is silent, or does not take what it is sent.
fn check(server: &Server, replica: &Replica) {
    let timeout = i64::try_from(server.config.repl_timeout_seconds()).unwrap_or(i64::MAX);
    if replica.stage() == Stage::Online && replica.lag_seconds() > timeout {
        tracing::warn!(
            "Disconnecting timedout replica (streaming sync): {}",
            shown(replica)
        );
        replica.disconnect();
        return;
    }
    let [_, mut limit, _] = server.config.output_limits();
    limit.hard_bytes = hard_bytes(limit.hard_bytes, server.config.repl_backlog_size());
    if replica.stage() == Stage::Waiting {
        return;
    }
    // What it has not taken is kept for it.
    let end = server.store.history().end();
    let behind = end.saturating_sub(replica.sent.load(Ordering::Acquire));
    let unread = usize::try_from(behind).unwrap_or(usize::MAX);
    replica.client.output_bytes.store(unread, Ordering::Relaxed);
    if is_too_far_behind(replica, limit, behind) {
        tracing::warn!(
            "Closing replica {}: it has not taken {behind} bytes, more than \
             client-output-buffer-limit replica allows",
            shown(replica)
        );
        replica.disconnect();
    }
}

/// What a replica may leave unread at most, as in Redis: what the backlog has is no more for it, and
/// one that was closed for that would come back to ask for it.
fn hard_bytes(limit: u64, backlog: u64) -> u64 {
    if limit == 0 { 0 } else { limit.max(backlog) }
}

/// Whether a replica has left so much unread, or a little less for too long.
fn is_too_far_behind(replica: &Replica, limit: OutputLimit, behind: u64) -> bool {
    if limit.hard_bytes != 0 && behind >= limit.hard_bytes {
        return true;
    }
    if limit.soft_bytes == 0 || behind < limit.soft_bytes {
        replica.behind_since_ms.store(0, Ordering::Relaxed);
        return false;
    }
    let now_ms = clock::unix_ms();
    let since_ms = match replica.behind_since_ms.load(Ordering::Relaxed) {
        0 => now_ms,
        since_ms => since_ms,
    };
    replica.behind_since_ms.store(since_ms, Ordering::Relaxed);
    (now_ms - since_ms).max(0).unsigned_abs() / 1000 > limit.soft_seconds
}

/// After `repl-backlog-ttl` without a replica, nothing is kept for those to come.
fn end_backlog(server: &Arc<Server>) {
    let primary = &server.replication.as_primary;
    let since_ms = primary.alone_since_ms.load(Ordering::Relaxed);
    let ttl = server.config.repl_backlog_ttl_seconds();
    // A replica keeps it: one of its siblings may take over, and others go on with that.
    if !primary.follows() || since_ms == 0 || ttl == 0 || server.replication.is_replica() {
        return;
    }
    let alone_ms = (clock::unix_ms() - since_ms).max(0).unsigned_abs();
    if alone_ms / 1000 < ttl {
        return;
    }
    let server = Arc::clone(server);
    // Not on the thread that keeps time: the gate may be closed for a while.
    let end = move || {
        server.gate.exclusive(None, |_| {
            let primary = &server.replication.as_primary;
            let replication = &server.replication;
            let is_needed = primary.count() > 0 || replication.is_replica();
            let offset = replication.offset();
            if is_needed || !primary.follows.swap(false, Ordering::AcqRel) {
                return;
            }
            let log = server.store.history();
            replication.offset.store(offset, Ordering::Release);
            log.set_follower(Follower::Replicas, false);
            log.keep(0);
            server.replication.change_replid();
            primary.note_name(&server);
            tracing::info!(
                "Replication backlog freed after {ttl} seconds without connected replicas."
            );
        });
    };
    if let Err(error) = std::thread::Builder::new()
        .name("backlog".into())
        .spawn(end)
    {
        tracing::warn!("The replication backlog is kept: no thread: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_may_leave_unread_what_the_backlog_has() {
        assert_eq!(hard_bytes(512, 100), 512);
        assert_eq!(hard_bytes(512, 1000), 1000);
        // None is none.
        assert_eq!(hard_bytes(0, 1000), 0);
    }
}
