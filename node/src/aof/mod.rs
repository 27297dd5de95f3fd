//! The append-only file: the replication log on disk, and the data that it goes on from.
//!
//! ```text
//! manifest.rs   which files there are, in Redis 7's format
//! files.rs      the directory: the manifest on disk, old single files, why something fails
//! load.rs       the files → the data, at start
//! reload.rs     the same while the node runs: DEBUG LOADAOF
//! sink.rs       the file that is written, and how much of the log it has
//! writer.rs     who writes: workers before they answer, and a thread
//! rewrite.rs    new data to go on from: BGREWRITEAOF, and `appendonly yes` at run time
//! hold.rs       replies that wait for the file
//! ```
//!
//! No reply leaves before the file has all that was done until then, by whichever client, so a node
//! that is killed loses nothing that it has answered. With `appendfsync always` the disk has it by
//! then, too; neither a thread nor a slot waits for that. A file that cannot be written is the
//! exception, as in Redis: what was done before that showed is answered, and then writes are refused.

mod files;
mod hold;
mod load;
mod manifest;
mod reload;
mod rewrite;
mod sink;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use files::AofError;
pub use hold::Hold;
pub use load::load;
pub use reload::reload;
pub use rewrite::{Refused, begin_anew, has_to_wait, rewrite_if_due, start_rewrite};
pub use writer::write_before_reply;

use crate::config::Key;
use crate::replication::log::{Follower, Log, Reader};
use crate::server::Server;
use files::Directory;
use manifest::Manifest;
use sink::Sink;
use writer::{Order, Orders, Writer};

/// Longest sleep before a write: beyond it a typing mistake would look like a dead disk.
const SLEEP_MICROS_MAX: u64 = 60_000_000;

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
    /// Where the log goes, while it does.
    sink: Mutex<Option<Sink>>,
    /// A worker may write, and is not likely to have to wait.
    is_open_to_workers: AtomicBool,
    /// When a write was slow.
    slow_ms: AtomicI64,
    /// A reply waits for the thread.
    is_urgent: AtomicBool,
    /// Replies wait for the disk, not just for the file.
    waits_for_disk: AtomicBool,
    /// The log has been written up to here.
    written: AtomicU64,
    /// When the flush began that is under way; 0 if none is.
    flushes_since: AtomicI64,
    flush_failed: AtomicBool,
    is_delayed: AtomicBool,
    /// Flushes that took long.
    delayed: AtomicU64,
    /// Of all files but the one that is written.
    closed_bytes: AtomicU64,
    open_bytes: AtomicU64,
    /// Of all files after the last rewrite.
    base_bytes: AtomicU64,
    /// Bits of [`trouble`].
    troubles: AtomicU8,
    failure: Mutex<String>,
    /// For tests: so many microseconds pass before each write.
    sleep_micros: AtomicU64,
    /// Told when writes that had to wait may go on.
    pub room: Notify,
    /// It is not to be written any longer, whatever is left.
    gives_up: AtomicBool,
    rewrite: rewrite::Figures,
    /// Held by whoever changes which files there are, or whether there are any.
    change: Mutex<()>,
    /// Somebody sees to it that what is written is what `appendonly` says.
    settles: AtomicBool,
    /// How often the data was replaced by other data, of which the log says nothing; and what that was
    /// when the files had all data last.
    replaced: AtomicU64,
    whole_of: AtomicU64,
}

/// What hinders writes.
mod trouble {
    /// Writing fails.
    pub(super) const WRITING: u8 = 1;
    /// Flushing fails.
    pub(super) const FLUSHING: u8 = 2;
    /// Either.
    pub(super) const FAILING: u8 = WRITING | FLUSHING;
    /// As much waits to be written as may.
    pub(super) const FULL: u8 = 4;
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
    /// A flush is under way.
    pub is_flushing: bool,
    /// Flushes that took longer than they should.
    pub delayed: u64,
    /// One is to begin once no other snapshot is under way.
    pub is_rewrite_scheduled: bool,
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

    /// Whether writes may have to wait, or be refused: what every command asks.
    #[must_use]
    #[inline]
    pub fn is_troubled(&self) -> bool {
        self.troubles.load(Ordering::Relaxed) != 0
    }

    /// Whether writes are refused, as they could not be written.
    #[must_use]
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.troubles.load(Ordering::Relaxed) & trouble::FAILING != 0
    }

    /// Whether writes wait, as `aof-unwritten-limit` bytes have not been written.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.troubles.load(Ordering::Relaxed) & trouble::FULL != 0
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

    /// Whether no reply leaves before the disk has what it is about. Whoever writes changes that, some
    /// time after `appendfsync` has been set.
    #[must_use]
    pub fn waits_for_disk(&self) -> bool {
        self.waits_for_disk.load(Ordering::Acquire)
    }

    /// The data is replaced by other data, which the files have once they are written anew.
    pub fn note_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::AcqRel);
    }

    /// The files had all data when it had been replaced so often.
    fn note_whole(&self, replaced: u64) {
        self.whole_of.store(replaced + 1, Ordering::Release);
    }

    /// How often the data was replaced.
    fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Acquire)
    }

    /// Whether the files and the log have all data.
    fn is_whole(&self) -> bool {
        self.whole_of.load(Ordering::Acquire) == self.replaced() + 1
    }

    /// Has all data written anew once no other snapshot is under way.
    pub fn schedule_rewrite(&self) {
        self.rewrite.schedule();
    }

    /// Has so many microseconds pass before each write, for tests.
    pub fn sleep_before_writes(&self, micros: u64) {
        self.sleep_micros
            .store(micros.min(SLEEP_MICROS_MAX), Ordering::Relaxed);
    }

    fn note_written(&self, server: &Server, offset: u64, open_bytes: u64) {
        self.written.store(offset, Ordering::Release);
        self.open_bytes.store(open_bytes, Ordering::Relaxed);
        if !self.waits_for_disk.load(Ordering::Relaxed) {
            self.release(offset);
        }
        let left = server.store.log().file_end().saturating_sub(offset);
        if self.is_full() && left <= server.config.size(Key::AofUnwrittenLimit) / 2 {
            self.end_trouble(trouble::FULL);
        }
    }

    /// Replies leave that are about the log up to here.
    fn release(&self, offset: u64) {
        if self.hold.is_on() {
            self.hold.release(offset);
        }
    }

    /// Has writes wait if too much is not written, the log's end being `end`.
    pub fn look_at_bound(&self, server: &Server, end: u64) {
        let left = end.saturating_sub(self.written.load(Ordering::Acquire));
        let limit = server.config.size(Key::AofUnwrittenLimit);
        if left <= limit || self.gives_up.load(Ordering::Acquire) {
            return;
        }
        if self.troubles.fetch_or(trouble::FULL, Ordering::AcqRel) & trouble::FULL == 0 {
            tracing::warn!(
                "{left} bytes wait to be written to the AOF file, whose disk does not take them: \
                 writes wait. It is as much as aof-unwritten-limit allows"
            );
        }
        // It may have been written meanwhile, by whoever did not see this.
        if end <= self.written.load(Ordering::Acquire) {
            self.end_trouble(trouble::FULL);
        }
    }

    fn end_trouble(&self, what: u8) {
        let before = self.troubles.fetch_and(!what, Ordering::AcqRel);
        if before & trouble::FULL & what != 0 {
            self.room.notify_waiters();
        }
    }

    /// Writing, or flushing, works.
    fn note_well(&self, what: u8) {
        let before = self.troubles.load(Ordering::Acquire);
        if before & what == 0 {
            return;
        }
        self.end_trouble(what);
        if before & trouble::FAILING & !what == 0 && !self.gives_up.load(Ordering::Acquire) {
            tracing::warn!("AOF write error looks solved, Redis can write again.");
            self.hold.turn_on(self.written.load(Ordering::Acquire));
        }
    }

    /// Has the thread write what there is.
    fn hurry(&self, server: &Server) {
        self.is_urgent.store(true, Ordering::Release);
        server.store.log().interrupt();
        if let Some(thread) = self.writer.lock().as_ref() {
            thread.thread().unpark();
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

    /// How much of the log, whose end is `end`, the file has not.
    #[must_use]
    pub fn unwritten_bytes(&self, end: u64) -> u64 {
        if self.is_on() {
            end.saturating_sub(self.written.load(Ordering::Acquire))
        } else {
            0
        }
    }

    /// What INFO tells, the log's end being `end`.
    #[must_use]
    pub fn figures(&self, end: u64) -> AofFigures {
        let rewrite = self.rewrite.shown();
        AofFigures {
            is_on: self.is_on() && !self.settles.load(Ordering::Acquire),
            current_bytes: self.current_bytes(),
            base_bytes: self.base_bytes.load(Ordering::Relaxed),
            unwritten_bytes: self.unwritten_bytes(end),
            is_failing: self.is_failing(),
            is_flushing: self.flushes_since.load(Ordering::Acquire) != 0,
            delayed: self.delayed.load(Ordering::Relaxed),
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
    aof.gives_up.store(false, Ordering::Release);
    aof.troubles.store(0, Ordering::Release);
    let waits_for_disk = writer::Policy::of(server) == writer::Policy::Always;
    aof.waits_for_disk.store(waits_for_disk, Ordering::Release);
    aof.note_written(server, start, len);
    let writer = Writer::new(server)?;
    *aof.sink.lock() = Some(Sink::new(reader, file, len));
    aof.hold.turn_on(start);
    let thread = std::thread::Builder::new()
        .name("append-only".to_owned())
        .spawn(move || writer.run());
    match thread {
        Ok(thread) => *aof.writer.lock() = Some(thread),
        Err(error) => {
            aof.forget();
            return Err(AofError::Thread(error));
        }
    }
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
    log.select_anyway();
    log.reader(log.end())
}

/// Writes all that was done, has it on disk, and follows the log no longer; what the disk does not
/// take is lost. At the end of the node, or for CONFIG SET. Not for a worker: it waits for the gate,
/// and for the disk.
pub fn finish(server: &Arc<Server>) {
    let aof = &server.aof;
    let Some(thread) = aof.writer.lock().take() else {
        return;
    };
    aof.note_replaced();
    let at = server.gate.exclusive(None, |_| {
        server.store.log().set_follower(Follower::File, false);
        server.store.log().end()
    });
    aof.orders.lock().push_back(Order::Finish { at });
    aof.gives_up.store(true, Ordering::Release);
    server.store.log().interrupt();
    thread.thread().unpark();
    // One that panicked has said so in the log.
    drop(thread.join());
    aof.is_on.store(false, Ordering::Release);
    aof.forget();
}

impl Aof {
    /// Nobody writes any longer.
    fn forget(&self) {
        *self.sink.lock() = None;
        self.is_open_to_workers.store(false, Ordering::Release);
        self.end_trouble(trouble::FAILING | trouble::FULL);
        self.hold.turn_off();
        self.gives_up.store(false, Ordering::Release);
    }

    /// `appendonly no`: at once nothing waits for the file any longer, nor is refused for it.
    fn give_up(&self, server: &Server) {
        self.gives_up.store(true, Ordering::Release);
        self.end_trouble(trouble::FAILING | trouble::FULL);
        self.hold.turn_off();
        self.hurry(server);
    }
}

/// Which files these are, among those of a directory.
#[must_use]
pub fn name(server: &Server) -> String {
    let text = |key| server.config.text(key);
    format!("{}/{}", text(Key::Appenddirname), text(Key::Appendfilename))
}

/// To be called before [`settle`]: the directory of the files is there, if they are wanted; and if they
/// are not, nobody believes any more that they have all that was answered.
///
/// # Errors
/// That cannot be had, which the log tells: nothing is to change.
pub fn prepare(server: &Server) -> Result<(), String> {
    let is_wanted = server.config.flag(Key::Appendonly);
    if server.aof.is_on() && !is_wanted {
        let confirm = &server.replication.as_primary.confirm;
        let is_told = confirm.tell_flushed(server, false);
        let refusal = "Unable to turn off AOF. Check server logs.";
        return is_told.then_some(()).ok_or_else(|| refusal.to_owned());
    }
    if server.aof.is_on() || !is_wanted {
        return Ok(());
    }
    files::Directory::of(&server.config)
        .create()
        .map_err(|error| {
            tracing::error!("The append-only file is not turned on: {error}");
            "Unable to turn on AOF. Check server logs.".to_owned()
        })
}

/// Begins to write if `appendonly` says so and nobody does, or ends it if it says so: on a thread of
/// its own.
pub fn settle(server: &Arc<Server>) {
    let aof = &server.aof;
    if server.loading() {
        return;
    }
    if aof.is_on() && !server.config.flag(Key::Appendonly) {
        aof.give_up(server);
    }
    if is_settled(server) || aof.settles.swap(true, Ordering::AcqRel) {
        return;
    }
    // To begin is to rewrite, which as in Redis is under way when `appendonly` has been set.
    let is_announced = !aof.is_on() && aof.rewrite.announce();
    let ours = Arc::clone(server);
    let settling = std::thread::Builder::new().name("append-only-set".to_owned());
    if let Err(error) = settling.spawn(move || see_to_it(&ours, is_announced)) {
        if is_announced {
            aof.rewrite.take_back();
        }
        aof.settles.store(false, Ordering::Release);
        tracing::error!("{}", AofError::Thread(error));
    }
}

fn is_settled(server: &Server) -> bool {
    let (aof, is_wanted) = (&server.aof, server.config.flag(Key::Appendonly));
    is_wanted == aof.is_on() && !aof.gives_up.load(Ordering::Acquire)
}

fn see_to_it(server: &Arc<Server>, mut is_announced: bool) {
    let change = server.aof.change.lock();
    let mut is_failed = false;
    // It may be set again while this works.
    while !is_settled(server) && !is_failed {
        if server.aof.is_on() {
            // What was given up is not taken up again: something is missing there.
            finish(server);
        } else {
            is_announced = false;
            is_failed = !rewrite::run(server);
        }
    }
    if is_announced {
        server.aof.rewrite.take_back();
    }
    drop(change);
    server.aof.settles.store(false, Ordering::Release);
    if !is_failed {
        // Whoever has set it since was not heard.
        settle(server);
    }
}
