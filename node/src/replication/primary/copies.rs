//! All data for those who need it: one snapshot for all who wait when it begins.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use slotilla_common::clock;

use super::attach::shown;
use super::{Replica, Stage};
use crate::persistence::{Interrupted, Marked, Pace};
use crate::replication::ReplId;
use crate::replication::log::Reader;
use crate::server::Server;
use crate::server::long::InLine;

/// Pieces of a snapshot that wait for a replica to take them.
const PIECES_MAX: usize = 16;
/// How long whoever waits for something that is not there looks away.
const PAUSE: Duration = Duration::from_millis(10);

/// What a replica's thread is told of the copy.
#[derive(Debug)]
pub(super) enum Piece {
    /// It begins: the data is that of the log up to where the reader is, in this history.
    Begin(Reader, ReplId),
    /// Some of it.
    Data(Bytes),
    /// That was all.
    End,
}

/// Who waits for all data.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    /// Since when somebody does.
    since_ms: i64,
    /// There is a thread that sees to them.
    is_served: bool,
}

#[derive(Debug)]
struct Waiting {
    replica: Arc<Replica>,
    pieces: SyncSender<Piece>,
    /// It has no time to wait for others.
    now: bool,
}

/// The way of a copy to a replica's thread.
pub(super) fn channel() -> (SyncSender<Piece>, Receiver<Piece>) {
    sync_channel(PIECES_MAX)
}

/// Asks for all data.
pub(super) fn ask(
    server: &Arc<Server>,
    replica: &Arc<Replica>,
    pieces: SyncSender<Piece>,
    now: bool,
) {
    let mut queue = server.replication.as_primary.queue.lock();
    if queue.waiting.is_empty() {
        queue.since_ms = clock::unix_ms();
    }
    queue.waiting.push(Waiting {
        replica: Arc::clone(replica),
        pieces,
        now,
    });
    if queue.is_served {
        return;
    }
    let serving = Arc::clone(server);
    let spawned = std::thread::Builder::new()
        .name("replica-copies".to_owned())
        .spawn(move || serve(&serving));
    match spawned {
        Ok(_) => queue.is_served = true,
        Err(error) => {
            tracing::warn!("Replicas get no data: no thread: {error}");
            // Their threads see that nobody is going to send any.
            queue.waiting.clear();
        }
    }
}

/// Makes copies until nobody waits for one.
fn serve(server: &Arc<Server>) {
    while !server.shutdown.is_cancelled() {
        let Some(left) = time_left(server) else {
            return;
        };
        if left > Duration::ZERO {
            std::thread::sleep(left.min(PAUSE));
            continue;
        }
        if !copy(server) {
            std::thread::sleep(PAUSE);
        }
    }
    server.replication.as_primary.queue.lock().is_served = false;
}

/// How long to wait for others who may come, as `repl-diskless-sync-delay` says; `None` if nobody
/// waits, and this thread is done.
fn time_left(server: &Server) -> Option<Duration> {
    let config = &server.config;
    let mut queue = server.replication.as_primary.queue.lock();
    if queue.waiting.is_empty() {
        queue.is_served = false;
        return None;
    }
    let enough = config.repl_diskless_sync_max_replicas();
    let is_enough = enough > 0 && queue.waiting.len() >= enough;
    if is_enough || queue.waiting.iter().any(|waiting| waiting.now) || !config.repl_diskless_sync()
    {
        return Some(Duration::ZERO);
    }
    let passed_ms = (clock::unix_ms() - queue.since_ms).max(0).unsigned_abs();
    let delay_ms = config
        .repl_diskless_sync_delay_seconds()
        .saturating_mul(1000);
    Some(Duration::from_millis(delay_ms.saturating_sub(passed_ms)))
}

/// Makes one copy for all who wait; false if there is another snapshot under way.
fn copy(server: &Arc<Server>) -> bool {
    let still = server.replication.hold_still(true);
    let in_line = InLine::everything(server);
    let begun = server.gate.exclusive(None, |gate| {
        let mut queue = server.replication.as_primary.queue.lock();
        if !server.replication.can_be_copied() {
            // Their threads see that nobody sends any, and they ask again.
            queue.waiting.clear();
            return None;
        }
        let marked = Marked::new(server, gate, still.as_ref())?;
        let (history, log) = (server.replication.history(), server.store.history());
        let offset = log.end();
        // Not every reader of the stream is a replica that has been told what is selected.
        log.select_anyway();
        let begin = |waiting: Waiting| {
            let reader = log.reader(offset)?;
            waiting.replica.set_stage(Stage::Copying);
            // The channel is empty.
            waiting
                .pieces
                .try_send(Piece::Begin(reader, history.replid))
                .ok()?;
            Some(waiting)
        };
        let group: Vec<Waiting> = queue.waiting.drain(..).filter_map(begin).collect();
        Some((marked, group))
    });
    drop(in_line);
    drop(still);
    let Some((marked, mut group)) = begun else {
        return false;
    };
    let copying = &server.replication.as_primary.copying;
    copying.store(true, Ordering::Release);
    let names: Vec<String> = group.iter().map(|one| shown(&one.replica)).collect();
    tracing::info!(
        "Starting BGSAVE for SYNC with target: replicas sockets ({})",
        names.join(", ")
    );
    let pid = std::process::id();
    tracing::info!("Background RDB transfer started by pid {pid}");
    let replicas: Vec<Arc<Replica>> = group.iter().map(|one| Arc::clone(&one.replica)).collect();
    let is_off = || replicas.iter().all(|replica| replica.is_gone());
    let written = marked.write(&Pace::default(), &is_off, |piece| {
        let piece = Bytes::copy_from_slice(piece);
        group.retain(|one| hand(server, one, Piece::Data(piece.clone())));
        if group.is_empty() {
            return Err(io::Error::other("all replicas have gone"));
        }
        Ok(())
    });
    if group.is_empty() || is_off() {
        // The word is Redis's: what ends is a thread.
        tracing::info!("Diskless rdb transfer, last replica dropped, killing fork child.");
    }
    match written {
        Ok(()) => {
            group.retain(|one| hand(server, one, Piece::End));
            tracing::info!(
                "Diskless rdb transfer, done reading from pipe, {} replicas still up.",
                group.len()
            );
            tracing::info!("Background RDB transfer terminated with success");
        }
        // Their threads see that there is no more, and close.
        Err(Interrupted::Io(error)) => tracing::warn!("Background RDB transfer error: {error}"),
        Err(given_up) => tracing::warn!("Background RDB transfer given up: {given_up}"),
    }
    copying.store(false, Ordering::Release);
    true
}

/// Hands a piece to a replica's thread; false if the replica has gone, or does not take it in time.
fn hand(server: &Server, to: &Waiting, mut piece: Piece) -> bool {
    let begun_ms = clock::unix_ms();
    loop {
        match to.pieces.try_send(piece) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => piece = back,
        }
        let waited_ms = (clock::unix_ms() - begun_ms).max(0).unsigned_abs();
        // It may be changed meanwhile.
        let timeout_ms = server.config.repl_timeout_seconds().saturating_mul(1000);
        if waited_ms > timeout_ms || server.shutdown.is_cancelled() {
            tracing::warn!(
                "Disconnecting timedout replica (full sync): {}, which does not take its data",
                shown(&to.replica)
            );
            to.replica.disconnect();
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
