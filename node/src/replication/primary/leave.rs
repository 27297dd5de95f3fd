//! The node is about to stop: its replicas get all that it has, so that any can take over, or go on
//! with it when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use slotilla_common::clock;

use super::attach::shown;
use super::confirm::ASKER;
use super::{Primary, Replica};
use crate::replication::log::ANY_DB;
use crate::server::Server;
use crate::server::pause::{Purpose, Scope};

/// How often it is looked whether they have all.
const LOOK: Duration = Duration::from_millis(5);

/// Who waits for replicas.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    waiting: AtomicUsize,
    aborts: AtomicU64,
    /// When the wait ends at the latest; 0 if it is aborted.
    until_ms: AtomicI64,
}

impl Primary {
    /// SHUTDOWN ABORT: the node goes on; false if nobody waits.
    #[must_use]
    pub fn stay(&self) -> bool {
        let is_waiting = self.leaving.waiting.load(Ordering::Acquire) > 0;
        if is_waiting {
            self.leaving.aborts.fetch_add(1, Ordering::AcqRel);
            self.leaving.until_ms.store(0, Ordering::Relaxed);
        }
        is_waiting
    }

    /// How long the node still waits before it ends, at most; `None` if it does not.
    #[must_use]
    pub fn leaves_in_ms(&self) -> Option<i64> {
        let is_waiting = self.leaving.waiting.load(Ordering::Acquire) > 0;
        let until_ms = self.leaving.until_ms.load(Ordering::Relaxed);
        (is_waiting && until_ms > 0).then(|| (until_ms - clock::unix_ms()).max(0))
    }
}

/// Waits until all replicas have what there is, for as long as `shutdown-timeout`; false if the node
/// is to go on. Writes are paused from then on. Not for a worker.
#[must_use]
pub fn let_replicas_catch_up(server: &Arc<Server>) -> bool {
    let primary = &server.replication.as_primary;
    let timeout_ms = server.config.shutdown_timeout_seconds() * 1000;
    // What a replica has, its primary has.
    if server.replication.is_replica() || timeout_ms == 0 || lagging(server).is_empty() {
        return true;
    }
    let aborts = primary.leaving.aborts.load(Ordering::Acquire);
    let begun_ms = clock::unix_ms();
    let until_ms = begun_ms.saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX));
    primary.leaving.until_ms.store(until_ms, Ordering::Relaxed);
    primary.leaving.waiting.fetch_add(1, Ordering::AcqRel);
    server.gate.exclusive(None, |_| {
        server.pause_clients(Purpose::Shutdown, Scope::Writes, i64::MAX);
        ask_for_acks(server);
    });
    tracing::info!("Waiting for replicas before shutting down.");
    let is_aborted = || primary.leaving.aborts.load(Ordering::Acquire) != aborts;
    let is_over = || (clock::unix_ms() - begun_ms).max(0).unsigned_abs() >= timeout_ms;
    while !is_aborted() && !is_over() && !lagging(server).is_empty() {
        std::thread::sleep(LOOK);
    }
    primary.leaving.waiting.fetch_sub(1, Ordering::AcqRel);
    if is_aborted() {
        tracing::warn!("Shutdown manually aborted.");
        server.end_pause(Purpose::Shutdown);
        return false;
    }
    tell(server);
    true
}

/// Has all replicas say how far they are. With writes paused, or at the gate.
pub fn ask_for_acks(server: &Server) {
    if server.replication.as_primary.follows() {
        let log = server.store.history();
        log.append_command(ASKER, ANY_DB, &[b"REPLCONF", b"GETACK", b"*"]);
        log.interrupt();
    }
}

fn lagging(server: &Server) -> Vec<Arc<Replica>> {
    let end = server.store.history().end();
    let mut replicas = server.replication.as_primary.replicas();
    replicas.retain(|replica| replica.acked() < end);
    replicas
}

fn tell(server: &Server) {
    let end = server.store.history().end();
    let (all, late) = (server.replication.as_primary.count(), lagging(server));
    for replica in &late {
        tracing::warn!(
            "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
            shown(replica),
            end.saturating_sub(replica.acked()),
            replica.lag_seconds(),
            replica.stage().name(),
        );
    }
    if all > 0 {
        tracing::info!(
            "{} of {all} replicas are in sync when shutting down.",
            all.saturating_sub(late.len())
        );
    }
}
