//! BGSAVE and save points: a snapshot into its file, beside all that goes on.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use slotilla_common::clock;

use super::file::{SaveError, Unfinished};
use super::path;
use super::stream::{Interrupted, Marked, Pace};
use crate::server::Server;
use crate::server::gate::{Exclusive, Gate};
use crate::server::long::InLine;

/// After a failure, save points wait so many seconds for the next try.
const RETRY_SECONDS: i64 = 5;

/// What a node knows of its background saves.
#[derive(Debug)]
pub struct Background {
    running: AtomicBool,
    /// What is being written is not to get its name any more. Changes while `writing` is locked.
    cancelled: AtomicBool,
    scheduled: AtomicBool,
    failed: AtomicBool,
    started_ms: AtomicI64,
    /// How long the last took, in seconds; -1 if there was none.
    last_seconds: AtomicI64,
    /// What the last kept of entries that changed, at most.
    last_held: AtomicUsize,
    /// Writes are refused since the last failed.
    refuses: AtomicBool,
    pace: Pace,
}

/// Why none is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// One is being written.
    Saving,
    /// A snapshot is being written for something else.
    Other,
}

/// Background saves as INFO tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackgroundInfo {
    /// Whether one is being written.
    pub running: bool,
    /// Whether the last went well; none is well, too.
    pub is_well: bool,
    /// How long the last took, in seconds; -1 if there was none.
    pub last_seconds: i64,
    /// How long the one that is being written has taken, in seconds; -1 if there is none.
    pub current_seconds: i64,
    /// Bytes that the last kept of entries that changed, at most.
    pub last_held: usize,
    /// Keys that are written, of so many.
    pub keys: (u64, u64),
}

impl Default for Background {
    fn default() -> Self {
        Self {
            running: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            scheduled: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            started_ms: AtomicI64::new(0),
            last_seconds: AtomicI64::new(-1),
            last_held: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            pace: Pace::default(),
        }
    }
}

impl Background {
    /// Whether a snapshot is being written into the file.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Has one written as soon as can be.
    pub fn schedule(&self) {
        self.scheduled.store(true, Ordering::Release);
    }

    /// Whether writes are refused, since the last failed.
    #[must_use]
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// After the configuration has changed, or a save has ended.
    pub fn note_config(&self, server: &Server) {
        let refuses = self.failed.load(Ordering::Acquire)
            && server.config.stop_writes_on_bgsave_error()
            && !server.config.save_points().is_empty();
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// A snapshot is in the file, by whatever way.
    pub(super) fn note_well(&self, server: &Server) {
        self.failed.store(false, Ordering::Release);
        self.note_config(server);
    }

    /// What INFO tells.
    #[must_use]
    pub fn info(&self) -> BackgroundInfo {
        let running = self.is_running();
        let elapsed_ms = clock::unix_ms() - self.started_ms.load(Ordering::Relaxed);
        let Pace { done, total } = &self.pace;
        let keys = (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
        BackgroundInfo {
            running,
            is_well: !self.failed.load(Ordering::Acquire),
            last_seconds: self.last_seconds.load(Ordering::Relaxed),
            current_seconds: if running { elapsed_ms / 1000 } else { -1 },
            last_held: self.last_held.load(Ordering::Relaxed),
            keys: if running { keys } else { (0, 0) },
        }
    }

    /// What is being written is given up, for it is older than what whoever has `writing` locked is
    /// about to write.
    pub(super) fn cancel(&self, server: &Server, _gate: &Exclusive) {
        if self.is_running() {
            self.cancelled.store(true, Ordering::Release);
            server.store.abandon_snapshot();
        }
    }

    fn end(&self, server: &Server, is_well: bool) {
        let elapsed_ms = clock::unix_ms() - self.started_ms.load(Ordering::Relaxed);
        self.last_seconds
            .store(elapsed_ms / 1000, Ordering::Relaxed);
        self.last_held
            .store(server.store.snapshot_held().1, Ordering::Relaxed);
        self.failed.store(!is_well, Ordering::Release);
        self.note_config(server);
        self.running.store(false, Ordering::Release);
    }
}

/// Begins a snapshot of what there is now, and comes back: it is written by a thread of its own.
/// Not for a worker: it waits for the gate.
///
/// # Errors
/// One is being written.
pub fn begin(server: &Arc<Server>) -> Result<(), Busy> {
    let background = &server.persistence.background;
    if background.running.swap(true, Ordering::AcqRel) {
        return Err(Busy::Saving);
    }
    let begun = Running(Arc::clone(server));
    background.cancelled.store(false, Ordering::Release);
    let still = server.replication.hold_still(!Gate::is_closed_here());
    let in_line = InLine::everything(server);
    let marked = server
        .gate
        .exclusive(None, |gate| Marked::new(server, gate, still.as_ref()));
    drop((in_line, still));
    let Some(marked) = marked else {
        begun.never();
        return Err(Busy::Other);
    };
    background.scheduled.store(false, Ordering::Release);
    background
        .started_ms
        .store(clock::unix_ms(), Ordering::Relaxed);
    tracing::info!("Background saving started by pid {}", std::process::id());
    let run = move || {
        let saved = save(&begun.0, marked);
        begun.end(saved);
    };
    let spawned = std::thread::Builder::new()
        .name("bgsave".to_owned())
        .spawn(run);
    if let Err(error) = spawned {
        // What it was to run is dropped, which is told as a failure.
        tracing::warn!("Can't save in background: no thread: {error}");
    }
    Ok(())
}

/// A save that has begun, until it has ended, by a panic too.
struct Running(Arc<Server>);

impl Running {
    fn end(self, saved: Result<(), BackgroundError>) {
        match &saved {
            Ok(()) => tracing::info!("Background saving terminated with success"),
            Err(BackgroundError::Interrupted(why)) => {
                tracing::warn!("Background saving given up: {why}");
            }
            Err(error) => tracing::error!("Background saving error: {error}"),
        }
        // One that was given up on purpose is no failure.
        let is_well = !matches!(saved, Err(BackgroundError::Save(_)));
        self.0.persistence.background.end(&self.0, is_well);
    }

    /// There was nothing to begin with.
    fn never(self) {
        self.0
            .persistence
            .background
            .running
            .store(false, Ordering::Release);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.persistence.background.is_running() {
            self.0.persistence.background.end(&self.0, false);
        }
    }
}

/// Why a background save has no file.
#[derive(Debug, thiserror::Error)]
enum BackgroundError {
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Interrupted(Interrupted),
}

fn save(server: &Arc<Server>, marked: Marked) -> Result<(), BackgroundError> {
    let config = &server.config;
    let changes = marked.changes;
    let name = format!("temp-bgsave-{}.rdb", std::process::id());
    let mut file = Unfinished::create(&path(config), &name, config.rdb_save_incremental_fsync())?;
    let background = &server.persistence.background;
    let written = marked.write(&background.pace, &|| false, |piece| file.write_all(piece));
    written.map_err(|error| match error {
        Interrupted::Io(error) => BackgroundError::Save(file.failed(error)),
        given_up => BackgroundError::Interrupted(given_up),
    })?;
    file.flush_to_disk()?;
    let writing = server.persistence.writing.lock();
    if background.cancelled.load(Ordering::Acquire) {
        return Err(BackgroundError::Interrupted(Interrupted::Superseded));
    }
    file.finish()?;
    drop(writing);
    tracing::info!("DB saved on disk");
    let (_, peak) = server.store.snapshot_held();
    tracing::info!("RDB: {} MB of memory used by copy-on-write", peak >> 20);
    server.persistence.note_saved(changes);
    Ok(())
}

/// Begins a snapshot if one is due, by a save point or since it was asked for. Called ten times a
/// second.
pub fn begin_if_due(server: &Arc<Server>) {
    let background = &server.persistence.background;
    // As in Redis, a rewrite of the append-only file comes to its end first.
    let is_busy = background.is_running() || server.aof.is_rewriting();
    if is_busy || !server.persistence.is_serving() {
        return;
    }
    if !background.scheduled.load(Ordering::Acquire) && !is_due(server) {
        return;
    }
    let server = Arc::clone(server);
    let begin = move || {
        // One that another has begun is as good; for another kind of snapshot, it waits.
        if begin(&server) == Err(Busy::Other) {
            server.persistence.background.schedule();
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("bgsave-begin".to_owned())
        .spawn(begin)
    {
        tracing::warn!("Can't save in background: no thread: {error}");
    }
}

fn is_due(server: &Server) -> bool {
    let persistence = &server.persistence;
    let background = &persistence.background;
    let now_ms = clock::unix_ms();
    let tried_ms = now_ms - background.started_ms.load(Ordering::Relaxed);
    if background.failed.load(Ordering::Acquire) && tried_ms / 1000 <= RETRY_SECONDS {
        return false;
    }
    let changes = persistence.changes_since_save(server.store.counters().changes);
    let seconds = (now_ms - persistence.last_save_ms()) / 1000;
    let due = server.config.save_points().into_iter().find(|point| {
        changes >= u64::from(point.changes)
            && seconds > i64::try_from(point.seconds).unwrap_or(i64::MAX)
    });
    if let Some(point) = due {
        tracing::info!(
            "{} changes in {} seconds. Saving...",
            point.changes,
            point.seconds
        );
    }
    due.is_some()
}
