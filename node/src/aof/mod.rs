//! The append-only file: the replication log on disk, and the data that it goes on from.
//!
//! ```text
//! manifest.rs   which files there are, in Redis 7's format
//! files.rs      the directory: the manifest on disk, old single files, why something fails
//! load.rs       the files → the data, at start
//! writer.rs     the thread that follows the log
//! rewrite.rs    new data to go on from: BGREWRITEAOF, and `appendonly yes` at run time
//! hold.rs       replies that wait for the disk: `appendfsync always`
//! ```
//!
//! With `appendfsync always` no reply leaves before the disk has all that was done until then, by
//! whichever client; neither its thread nor its slot waits. With `everysec` and `no` a reply does not
//! wait for the file: what was answered is in it some milliseconds later.

mod files;
mod hold;
mod load;
mod manifest;
mod rewrite;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use files::AofError;
pub use hold::Hold;
pub use load::load;
pub use rewrite::{Refused, begin_anew, rewrite_if_grown, start_rewrite};

use crate::config::Key;
use crate::replication::log::{Follower, Log, Reader};
use crate::server::Server;
use files::Directory;
use manifest::Manifest;
use writer::{Order, Orders, Writer};

/// What a node knows of its append-only file.
#[derive(Debug, Default)]
pub struct Aof {
    /// The log is being written.
    is_on: AtomicBool,
    /// Replies that wait for the disk.
    pub hold: Hold,
    manifest: Mutex<Manifest>,
    writer: Mutex<Option<JoinHandle<()>>>,
    orders: Mutex<Orders>,
    /// The log has been written up to here.
    written: AtomicU64,
    /// The disk has it up to here.
    synced: AtomicU64,
    /// Of all files but the one that is written.
    closed_bytes: AtomicU64,
    open_bytes: AtomicU64,
    /// Of all files after the last rewrite.
    base_bytes: AtomicU64,
    /// Writing fails.
    is_failing: AtomicBool,
    failure: Mutex<String>,
    rewrite: rewrite::Figures,
    /// Held by whoever changes which files there are, or whether there are any.
    change: Mutex<()>,
    /// Somebody sees to it that what is written is what `appendonly` says.
    settles: AtomicBool,
}

/// What INFO tells.
#[derive(Debug, Clone, Copy)]
pub struct AofFigures {
    /// The log is being written, and will be.
    pub is_on: bool,
    /// All files.
    pub current_bytes: u64,
    /// What they were after the last rewrite.
    pub base_bytes: u64,
    /// What is in the log, and not in the file.
    pub unwritten_bytes: u64,
    /// The last attempt to write has failed.
    pub is_failing: bool,
    /// Rewrites that have begun.
    pub rewrites: u64,
    /// Those that have failed since one did not.
    pub rewrite_failures: u64,
    /// Seconds that the last took; negative if there was none.
    pub last_rewrite_seconds: i64,
    /// Seconds that the one under way has taken.
    pub current_rewrite_seconds: Option<i64>,
}

impl Aof {
    /// Whether the log is being written.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Whether writes are refused, as they could not be written.
    #[must_use]
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Why writing fails.
    #[must_use]
    pub fn failure(&self) -> String {
        self.failure.lock().clone()
    }

    /// Whether a rewrite is under way.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_running()
    }

    fn note_written(&self, offset: u64, open_bytes: u64) {
        self.written.store(offset, Ordering::Release);
        self.open_bytes.store(open_bytes, Ordering::Relaxed);
    }

    fn note_synced(&self, offset: u64) {
        self.synced.store(offset, Ordering::Release);
        if self.hold.is_on() {
            self.hold.release(offset);
        }
    }

    fn current_bytes(&self) -> u64 {
        let closed = self.closed_bytes.load(Ordering::Relaxed);
        closed.saturating_add(self.open_bytes.load(Ordering::Relaxed))
    }

    /// Notes how long the files are, of which the last is written.
    fn note_sizes(&self, directory: &Directory, manifest: &Manifest) {
        let open = manifest.increments.last();
        let is_open = |name: &str| open.is_some_and(|open| open.name == name);
        let closed = manifest.loaded().filter(|part| !is_open(&part.name));
        let closed = closed.map(|part| directory.len_of(part)).sum();
        self.closed_bytes.store(closed, Ordering::Relaxed);
        let open = open.map_or(0, |part| directory.len_of(part));
        self.open_bytes.store(open, Ordering::Relaxed);
    }

    /// What INFO tells, the log's end being `end`.
    #[must_use]
    pub fn figures(&self, end: u64) -> AofFigures {
        let rewrite = self.rewrite.shown();
        AofFigures {
            is_on: self.is_on() && !self.settles.load(Ordering::Acquire),
            current_bytes: self.current_bytes(),
            base_bytes: self.base_bytes.load(Ordering::Relaxed),
            unwritten_bytes: end.saturating_sub(self.written.load(Ordering::Acquire)),
            is_failing: self.is_failing(),
            ..rewrite
        }
    }
}

/// Follows the log from here on, into the last file of the manifest. All data that there is must be in
/// the files.
fn follow(
    server: &Arc<Server>,
    reader: Reader,
    (file, len): (std::fs::File, u64),
) -> Result<(), AofError> {
    let aof = &server.aof;
    let start = reader.file_offset(reader.position().unwrap_or(0));
    aof.note_written(start, len);
    aof.synced.store(start, Ordering::Release);
    if writer::Policy::of(server) == writer::Policy::Always {
        aof.hold.turn_on(start);
    }
    let writer = Writer::new(server, reader, file, len);
    let thread = std::thread::Builder::new()
        .name("append-only".to_owned())
        .spawn(move || writer.run())
        .map_err(AofError::Thread)?;
    *aof.writer.lock() = Some(thread);
    aof.is_on.store(true, Ordering::Release);
    Ok(())
}

/// What is done is written to another log from here on, which has what `before` had: the file follows
/// it there. To be called at the gate.
pub fn follow_to(server: &Server, before: &Log, log: &Arc<Log>) {
    if !before.has_follower(Follower::File) {
        return;
    }
    log.take_file_from(before);
    before.set_follower(Follower::File, false);
    log.set_follower(Follower::File, true);
    if let Some(reader) = log.reader(log.end()) {
        let order = Order::Switch {
            at: before.end(),
            reader,
        };
        server.aof.orders.lock().push_back(order);
    }
    before.interrupt();
}

/// From here on the log is followed; who does so may come later. To be called at the gate.
fn begin_following(server: &Server) -> Option<Reader> {
    let log = server.store.log();
    // What a writer of before was told is none of this one's.
    server.aof.orders.lock().clear();
    log.set_follower(Follower::File, true);
    log.reader(log.end())
}

/// Writes all that was done, has it on disk, and follows the log no longer. At the end of the node, or
/// for CONFIG SET. Not for a worker: it waits for the gate, and for the disk.
pub fn finish(server: &Arc<Server>) {
    let aof = &server.aof;
    let Some(thread) = aof.writer.lock().take() else {
        return;
    };
    let at = server.gate.exclusive(None, |_| {
        server.store.log().set_follower(Follower::File, false);
        server.store.log().end()
    });
    aof.orders.lock().push_back(Order::Finish { at });
    server.store.log().interrupt();
    // One that panicked has said so in the log.
    drop(thread.join());
    aof.is_on.store(false, Ordering::Release);
    aof.is_failing.store(false, Ordering::Release);
    aof.hold.turn_off();
}

/// Begins to write if `appendonly` says so and nobody does, or ends it if it says so: on a thread of
/// its own.
pub fn settle(server: &Arc<Server>) {
    let aof = &server.aof;
    if server.loading() || is_settled(server) || aof.settles.swap(true, Ordering::AcqRel) {
        return;
    }
    let ours = Arc::clone(server);
    let settling = std::thread::Builder::new().name("append-only-set".to_owned());
    if let Err(error) = settling.spawn(move || see_to_it(&ours)) {
        aof.settles.store(false, Ordering::Release);
        tracing::error!("{}", AofError::Thread(error));
    }
}

fn is_settled(server: &Server) -> bool {
    server.config.flag(Key::Appendonly) == server.aof.is_on()
}

fn see_to_it(server: &Arc<Server>) {
    let change = server.aof.change.lock();
    let mut is_failed = false;
    // It may be set again while this works.
    while !is_settled(server) && !is_failed {
        if server.config.flag(Key::Appendonly) {
            is_failed = !rewrite::run(server);
        } else {
            finish(server);
        }
    }
    drop(change);
    server.aof.settles.store(false, Ordering::Release);
    if !is_failed {
        // Whoever has set it since was not heard.
        settle(server);
    }
}
