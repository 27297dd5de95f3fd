//! What is kept on disk: the snapshot's file, written by SAVE, BGSAVE and save points, and read at
//! start.
//!
//! ```text
//! file.rs        the file under its temporary name, and how it gets its own; why that may fail
//! head.rs        what stands before the keys
//! leftovers.rs   files under temporary names of nodes that were killed
//! base.rs        what an append-only file begins with: such a stream, or commands.rs
//! save.rs        all data → a snapshot, at the gate
//! stream.rs      the data of one instant → anything that takes bytes, while it changes
//! background.rs  such a stream → the file: BGSAVE, save points
//! load.rs        a snapshot → the store, key by key; why it is refused
//! transfer.rs    a primary's snapshot → the store, or beside what it has
//! reload.rs      DEBUG RELOAD: both
//! ```
//!
//! The format is `slotilla_common::rdb`'s, the values are `crate::rdb`'s.

mod background;
mod base;
mod commands;
mod file;
mod head;
mod leftovers;
mod load;
mod reload;
mod save;
mod stream;
mod transfer;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slotilla_common::clock;

pub use background::{Background, BackgroundInfo, Busy, begin, begin_if_due};
pub use base::{Base, BaseError};
pub use file::SaveError;
pub use leftovers::clear_leftovers;
pub use load::{Snapshot, SnapshotError, find, load_at_start, load_part};
pub(crate) use load::{claim_slots, open_at};
pub use reload::{Reload, ReloadError, reload};
pub use save::{save, stop};
pub use stream::{Interrupted, Marked, Pace};
pub use transfer::{Target, TransferError, Transferred, load_transfer};

use crate::config::{Config, Key};
use crate::server::Server;

/// How long a background save may take to notice that the node stops, in milliseconds.
const GIVING_UP_MS: u32 = 5000;
/// Snapshots are handed on in pieces of about so many bytes.
const PIECE: usize = 64 * 1024;

/// Whether clients' commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// They do.
    Serving,
    /// Data is being loaded: few do.
    Loading,
    /// A primary's data is being loaded beside what is there: most do.
    LoadingAside,
    /// The last snapshot is written, and what came now would be lost: none does.
    Closed,
}

/// What a node knows of its snapshots.
#[derive(Debug)]
pub struct Persistence {
    phase: AtomicU8,
    /// While data is loaded.
    pub progress: Progress,
    /// BGSAVE.
    pub background: Background,
    /// Who writes the file has this locked, from when it has the gate until the file has its name.
    writing: Mutex<()>,
    last_save_ms: AtomicI64,
    changes_at_save: AtomicU64,
    saves: AtomicU64,
    last_load_keys: AtomicU64,
    last_load_expired: AtomicU64,
    /// Why the node cannot go on.
    fatal: OnceLock<String>,
}

impl Persistence {
    /// Of a node that starts now.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Serving as u8),
            progress: Progress::default(),
            background: Background::default(),
            writing: Mutex::new(()),
            last_save_ms: AtomicI64::new(now_ms),
            changes_at_save: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            last_load_keys: AtomicU64::new(0),
            last_load_expired: AtomicU64::new(0),
            fatal: OnceLock::new(),
        }
    }

    /// Whether all commands run: what every one of them asks.
    #[must_use]
    #[inline]
    pub fn is_serving(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Serving as u8
    }

    /// Which commands run.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Loading,
            2 => Phase::LoadingAside,
            _ => Phase::Closed,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// When the last snapshot was written or, until one is, the node started.
    #[must_use]
    pub fn last_save_ms(&self) -> i64 {
        self.last_save_ms.load(Ordering::Relaxed)
    }

    /// Changes that no snapshot has, of so many in all.
    #[must_use]
    pub fn changes_since_save(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.changes_at_save.load(Ordering::Relaxed))
    }

    /// How often SAVE was asked for, as Redis counts.
    #[must_use]
    pub fn saves(&self) -> u64 {
        self.saves.load(Ordering::Relaxed)
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counters(&self) {
        self.saves.store(0, Ordering::Relaxed);
    }

    /// How many keys the last load brought, and how many it passed by as their time had come.
    #[must_use]
    pub fn last_load(&self) -> (u64, u64) {
        (
            self.last_load_keys.load(Ordering::Relaxed),
            self.last_load_expired.load(Ordering::Relaxed),
        )
    }

    /// Why the node had to stop, if it had to.
    #[must_use]
    pub fn fatal(&self) -> Option<&str> {
        self.fatal.get().map(String::as_str)
    }

    /// Waits until nobody is writing a file: before the program ends.
    pub fn await_writer(&self) {
        drop(self.writing.lock());
        // It has heard that the node stops, and takes its temporary file away.
        for _ in 0..GIVING_UP_MS {
            if !self.background.is_running() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was counted as changes is none that a snapshot would have to have.
    pub(crate) fn forgive(&self, changes: u64) {
        self.changes_at_save.fetch_add(changes, Ordering::Relaxed);
    }

    fn note_saved(&self, changes: u64) {
        self.last_save_ms.store(clock::unix_ms(), Ordering::Relaxed);
        self.changes_at_save.store(changes, Ordering::Relaxed);
    }

    fn note_loaded(&self, keys: u64, expired: u64) {
        self.last_load_keys.store(keys, Ordering::Relaxed);
        self.last_load_expired.store(expired, Ordering::Relaxed);
    }
}

impl Server {
    /// Stops the node, which must not serve the data that it has. The program fails for this
    /// reason.
    pub fn stop_because(&self, reason: &str) {
        tracing::error!("{reason}");
        // The first reason is the one.
        let _first = self.persistence.fatal.set(reason.to_owned());
        self.persistence.set_phase(Phase::Closed);
        self.shutdown.cancel();
    }
}

/// How far a load is.
#[derive(Debug, Default)]
pub struct Progress {
    started_ms: AtomicI64,
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
    used_memory: AtomicU64,
    keys: AtomicU64,
    is_shown: AtomicBool,
}

/// A load that is under way, as INFO tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadProgress {
    /// When it began, in Unix seconds.
    pub start_time: i64,
    /// How long the file is.
    pub total_bytes: u64,
    /// How much memory its writer said that it used.
    pub used_memory: u64,
    /// How much of the file was read.
    pub loaded_bytes: u64,
    /// The same, of a hundred.
    pub percent: f64,
    /// Seconds that it will take still, if it goes on as it did.
    pub eta_seconds: u64,
    /// Keys that were read.
    pub keys: u64,
}

impl Progress {
    pub(crate) fn begin(&self, total_bytes: u64) {
        self.started_ms.store(clock::unix_ms(), Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
        self.loaded_bytes.store(0, Ordering::Relaxed);
        self.used_memory.store(0, Ordering::Relaxed);
        self.keys.store(0, Ordering::Relaxed);
        self.is_shown.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.is_shown.store(false, Ordering::Release);
    }

    pub(crate) fn advance(&self, loaded_bytes: u64, keys: u64) {
        self.loaded_bytes.store(loaded_bytes, Ordering::Relaxed);
        self.keys.store(keys, Ordering::Relaxed);
    }

    /// How far it is, if there is one.
    #[must_use]
    pub fn shown(&self) -> Option<LoadProgress> {
        if !self.is_shown.load(Ordering::Acquire) {
            return None;
        }
        let started_ms = self.started_ms.load(Ordering::Relaxed);
        let total_bytes = self.total_bytes.load(Ordering::Relaxed);
        let loaded_bytes = self.loaded_bytes.load(Ordering::Relaxed).min(total_bytes);
        let elapsed_ms = clock::unix_ms().saturating_sub(started_ms).max(0);
        Some(LoadProgress {
            start_time: started_ms / 1000,
            total_bytes,
            used_memory: self.used_memory.load(Ordering::Relaxed),
            loaded_bytes,
            percent: loaded_bytes as f64 * 100.0 / total_bytes.max(1) as f64,
            eta_seconds: eta_seconds(elapsed_ms.unsigned_abs(), loaded_bytes, total_bytes),
            keys: self.keys.load(Ordering::Relaxed),
        })
    }
}

/// What is left takes as long as what was read, in proportion; as in Redis, a second at first.
fn eta_seconds(elapsed_ms: u64, loaded: u64, total: u64) -> u64 {
    if elapsed_ms < 1000 {
        return 1;
    }
    let left = u128::from(total.saturating_sub(loaded));
    let eta = u128::from(elapsed_ms) * left / u128::from(loaded.saturating_add(1)) / 1000;
    u64::try_from(eta).unwrap_or(u64::MAX)
}

/// Where the snapshot is.
#[must_use]
pub fn path(config: &Config) -> PathBuf {
    config.dir().join(config.text(Key::Dbfilename))
}

/// Who waits so long looks whether it is wanted still.
const LOOK: Duration = Duration::from_millis(10);

/// Waits after a key, for tests: so many microseconds; or, as that may be too long, a microsecond
/// once in so many keys, if it is negative.
fn delay(microseconds: i64, is_off: &dyn Fn() -> bool) {
    let micros = match microseconds {
        0 => return,
        positive @ 1.. => positive.unsigned_abs(),
        negative => u64::from(fastrand::u64(0..negative.unsigned_abs()) == 0),
    };
    let mut left = Duration::from_micros(micros);
    while left > Duration::ZERO && !is_off() {
        let now = left.min(LOOK);
        std::thread::sleep(now);
        left = left.saturating_sub(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_foretold_by_what_is_done() {
        assert_eq!(eta_seconds(999, 1, 1 << 40), 1);
        assert_eq!(eta_seconds(10_000, 99, 1100), 100);
        assert_eq!(eta_seconds(10_000, 1000, 1000), 0);
        assert_eq!(eta_seconds(u64::MAX, 0, u64::MAX), u64::MAX);
    }

    #[test]
    fn progress_is_told_while_there_is_any() {
        let progress = Progress::default();
        assert_eq!(progress.shown(), None);
        progress.begin(1000);
        progress.advance(250, 7);
        let shown = progress.shown().unwrap();
        assert_eq!((shown.loaded_bytes, shown.total_bytes), (250, 1000));
        assert_eq!((shown.keys, shown.percent), (7, 25.0));
        progress.end();
        assert_eq!(progress.shown(), None);
    }

    #[test]
    fn changes_are_counted_from_the_last_snapshot() {
        let persistence = Persistence::new(5);
        assert_eq!(persistence.last_save_ms(), 5);
        assert_eq!(persistence.changes_since_save(7), 7);
        persistence.note_saved(7);
        assert_eq!(persistence.changes_since_save(9), 2);
        assert!(persistence.last_save_ms() > 5);
    }

    #[test]
    fn a_phase_is_what_was_set() {
        let persistence = Persistence::new(0);
        for phase in [
            Phase::Loading,
            Phase::LoadingAside,
            Phase::Closed,
            Phase::Serving,
        ] {
            persistence.set_phase(phase);
            assert_eq!(persistence.phase(), phase);
            assert_eq!(persistence.is_serving(), phase == Phase::Serving);
        }
    }
}
