//! A snapshot of one instant on its way into anything that takes bytes, while the data changes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slotilla_common::clock;
use slotilla_common::rdb::Writer;

use super::head::{Head, write_head};
use super::{PIECE, delay};
use crate::replication::Still;
use crate::server::Server;
use crate::server::gate::Exclusive;
use crate::store::{Progress, SnapshotWalk};

/// A string is compressed up to this length: its slot is locked meanwhile.
const COMPRESSED_MAX: usize = 64 * 1024;
/// How long the walk waits for a slot that a long command has.
const LATER: Duration = Duration::from_millis(1);

/// The instant of a snapshot, which is still to be written.
#[derive(Debug)]
pub struct Marked {
    server: Arc<Server>,
    walk: Option<SnapshotWalk>,
    head: Head,
    /// Changes that it has.
    pub changes: u64,
}

/// Why a snapshot is not whole.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// It could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was given up: all keys were deleted.
    #[error("it was given up, since all keys were deleted")]
    Abandoned,
    /// A newer one is in its place.
    #[error("a newer one has been written")]
    Superseded,
    /// What it is for was turned off.
    #[error("it is no longer wanted")]
    Unwanted,
    /// The node stops.
    #[error("the node was told to stop")]
    Stopped,
}

/// How far a snapshot is.
#[derive(Debug, Default)]
pub struct Pace {
    /// Keys that are written.
    pub done: AtomicU64,
    /// Keys that there were.
    pub total: AtomicU64,
}

impl Marked {
    /// Marks the instant, which is now; `None` if another snapshot is under way. It tells where the
    /// data is in its history if the primary's stream stands still, or there is none.
    #[must_use]
    pub fn new(server: &Arc<Server>, _gate: &Exclusive, still: Option<&Still<'_>>) -> Option<Self> {
        let now_ms = clock::unix_ms();
        let position = still.and_then(|still| server.replication.position(still));
        let walk = server.store.mark_snapshot(now_ms)?;
        Some(Self {
            server: Arc::clone(server),
            walk: Some(walk),
            head: Head::now(server, now_ms, position),
            changes: server.store.counters().changes,
        })
    }

    /// The same, for an append-only file to begin with.
    #[must_use]
    pub fn as_base(mut self) -> Self {
        self.head.is_base = true;
        self
    }

    /// Writes all of it, in pieces, unless `is_off`. `sink` may take its time: no slot is locked
    /// meanwhile.
    ///
    /// # Errors
    /// What `sink` says, or [`Interrupted`].
    pub fn write(
        mut self,
        pace: &Pace,
        is_off: &dyn Fn() -> bool,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Interrupted> {
        let Some(mut walk) = self.walk.take() else {
            return Ok(());
        };
        let ending = Ending(&self.server);
        let written = self.write_walk(&mut walk, pace, is_off, &mut sink);
        walk.end(&self.server.store);
        drop(ending);
        written
    }

    fn write_walk(
        &self,
        walk: &mut SnapshotWalk,
        pace: &Pace,
        is_off: &dyn Fn() -> bool,
        sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Interrupted> {
        let server = &self.server;
        pace.total.store(self.head.keys(), Ordering::Relaxed);
        let compressed_max = if server.config.rdbcompression() {
            COMPRESSED_MAX
        } else {
            0
        };
        let mut out = Writer::new(Vec::new(), compressed_max);
        if !server.config.rdbchecksum() {
            out = out.without_checksum();
        }
        write_head(&self.head, &mut out)?;
        loop {
            let before = walk.keys();
            let was_full = server.store.snapshot_is_full();
            let progress = server.gate.guest(|| walk.step(&server.store, &mut out))?;
            if was_full && !server.store.snapshot_is_full() {
                server.snapshot_room.notify_waiters();
            }
            if out.out_mut().len() >= PIECE {
                hand_on(&mut out, sink)?;
            }
            pace.done.store(walk.keys(), Ordering::Relaxed);
            let is_over =
                || is_off() || server.shutdown.is_cancelled() || walk.is_abandoned(&server.store);
            for _ in before..walk.keys() {
                delay(server.config.rdb_key_save_delay(), &is_over);
            }
            if is_off() {
                return Err(Interrupted::Unwanted);
            }
            match progress {
                Progress::More => {}
                Progress::Later => std::thread::sleep(LATER),
                Progress::Done => break,
                Progress::Abandoned => return Err(Interrupted::Abandoned),
            }
            if server.shutdown.is_cancelled() {
                return Err(Interrupted::Stopped);
            }
        }
        out.end()?;
        hand_on(&mut out, sink)?;
        Ok(())
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        if let Some(walk) = self.walk.take() {
            let _ending = Ending(&self.server);
            walk.end(&self.server.store);
        }
    }
}

/// Wakes who waits for a snapshot that keeps as much as it may: it keeps nothing any more.
struct Ending<'s>(&'s Server);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.snapshot_room.notify_waiters();
    }
}

fn hand_on(
    out: &mut Writer<Vec<u8>>,
    sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    sink(out.out_mut())?;
    out.out_mut().clear();
    Ok(())
}
