//! Who writes the log into the file: workers, each before it sends what it has answered, and a thread
//! that does what they leave.
//!
//! ```text
//! a worker, its round over          the thread "append-only"       the thread "append-only-sync"
//!   nobody writes? ─► write(2)        `always`: write(2), fsync
//!   otherwise: its replies wait ───►  what workers leave, or
//!                                     nobody answers for
//!                                     `everysec`: each second ───► fsync
//! ```
//!
//! So a write costs what it does in Redis, one write(2) for all that a round of the worker's event
//! loop has done; but no worker waits for the disk: while it is flushed, or a write was slow, the
//! thread writes, and only replies wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use slotilla_common::clock;

use super::sink::Sink;
use super::{Aof, AofError, trouble};
use crate::config::Key;
use crate::replication::log::{Reader, Watch};
use crate::server::Server;

/// The file is flushed to disk as often, unless always or never.
const SYNC_EVERY_MS: i64 = 1000;
/// After an error it is tried again so much later.
const RETRY: Duration = Duration::from_secs(1);
/// For so long at most nothing is looked after.
const IDLE: Duration = Duration::from_millis(100);
/// What comes within this time is written together, unless a client waits for it.
const TOGETHER: Duration = Duration::from_millis(10);
/// A worker waits so long for another one that writes.
const TURN: Duration = Duration::from_micros(200);
/// If a write takes so long, workers leave the next ones to the thread.
const SLOW_NANOS: u64 = 5_000_000;
/// For so long.
const SLOW_FOR_MS: i64 = 1000;
/// A flush that takes longer is told, as Redis does.
const DELAYED_MS: i64 = 2000;

/// When the file is flushed to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    EverySecond,
    Never,
}

impl Policy {
    pub(super) fn of(server: &Server) -> Self {
        match server.config.choice(Key::Appendfsync) {
            "always" => Self::Always,
            "no" => Self::Never,
            _ => Self::EverySecond,
        }
    }
}

/// What the thread is to do at some point of the log.
#[derive(Debug)]
pub(super) enum Order {
    /// Go on in another file.
    Rotate { at: u64, file: File },
    /// Go on in another log.
    Switch { at: u64, reader: Reader },
    /// Come to an end.
    Finish { at: u64 },
}

/// What the thread has been told, in order.
pub(super) type Orders = VecDeque<Order>;

/// Has the file take what was done before a reply leaves that is about the log up to `offset`: here
/// and now, unless that may take long. Then the thread does it, and the reply waits.
pub fn write_before_reply(server: &Server, offset: u64) {
    let aof = &server.aof;
    if aof.hold.is_safe(offset) {
        return;
    }
    // The thread has been woken already, if it has to be.
    if aof.waits_for_disk.load(Ordering::Relaxed) {
        return;
    }
    if aof.is_open_to_workers.load(Ordering::Relaxed) {
        write_here(server, offset);
    }
    if !aof.hold.is_safe(offset) {
        aof.hurry(server);
    }
}

/// Writes on this thread, if nobody else does, and nothing but the end of the log is to come.
fn write_here(server: &Server, offset: u64) {
    let aof = &server.aof;
    let Some(mut place) = aof.sink.try_lock_for(TURN) else {
        return;
    };
    // Whoever wrote meanwhile may have written this.
    if aof.hold.is_safe(offset) {
        return;
    }
    let Some(sink) = place.as_mut() else {
        return;
    };
    // First: what an order is about that comes later lies behind this.
    let end = sink.end();
    if !aof.orders.lock().is_empty() {
        return;
    }
    let begun = server.clock.now();
    match sink.write(server, end) {
        Ok(()) => {
            let nanos = server.clock.nanos_between(begun, server.clock.now());
            if nanos > SLOW_NANOS {
                aof.is_open_to_workers.store(false, Ordering::Relaxed);
                aof.slow_ms.store(clock::unix_ms(), Ordering::Relaxed);
            }
        }
        // The thread tries again.
        Err(error) => note_failure(server, &error, trouble::WRITING),
    }
}

/// The thread.
pub(super) struct Writer {
    server: Arc<Server>,
    /// Who flushes the file to disk.
    flusher: SyncSender<Arc<File>>,
    synced_ms: i64,
}

impl Writer {
    pub(super) fn new(server: &Arc<Server>) -> Result<Self, AofError> {
        Ok(Self {
            server: Arc::clone(server),
            flusher: start_flusher(server).map_err(AofError::Thread)?,
            synced_ms: clock::unix_ms(),
        })
    }

    /// Writes until it is told to finish.
    pub(super) fn run(mut self) {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    note_failure(&self.server, &error, trouble::WRITING);
                    if !self.goes_on() {
                        break;
                    }
                    std::thread::park_timeout(RETRY);
                }
            }
        }
        // What nobody can write any more, nobody keeps.
        *self.aof().sink.lock() = None;
    }

    fn aof(&self) -> &Aof {
        &self.server.aof
    }

    /// Whether there is anything to try again for: to stop is not to wait for a disk that is full, and
    /// nor is `appendonly no`.
    fn goes_on(&self) -> bool {
        !self.server.shutdown.is_cancelled()
            && !self.aof().gives_up.load(Ordering::Acquire)
            && self.server.persistence.fatal().is_none()
    }

    /// Writes what there is and flushes it if it is time, then waits; false at the end.
    fn step(&mut self) -> io::Result<bool> {
        let server = Arc::clone(&self.server);
        let mut place = server.aof.sink.lock();
        let Some(sink) = place.as_mut() else {
            return Ok(false);
        };
        // What has left without the disk's having it is in the log by now, and is flushed below.
        let has_held = self.aof().waits_for_disk.load(Ordering::Acquire) && self.aof().hold.is_on();
        let policy = self.follow_policy(sink);
        // First: what an order is about that comes later lies behind this.
        let end = sink.end();
        let order = self.aof().orders.lock().pop_front();
        let limit = order.as_ref().map_or(end, |order| match order {
            Order::Rotate { at, .. } | Order::Switch { at, .. } | Order::Finish { at } => *at,
        });
        if let Err(error) = sink.write(&server, limit) {
            if let Some(order) = order {
                self.aof().orders.lock().push_front(order);
            }
            return Err(error);
        }
        if let Some(order) = order {
            return self.carry_out(sink, order);
        }
        if policy == Policy::Always {
            self.sync(sink)?;
            if has_held && self.aof().is_whole() && self.aof().hold.is_on() {
                let confirm = &server.replication.as_primary.confirm;
                // If that cannot be written, it is tried again.
                let _told = confirm.tell_flushed(&server, true);
            }
        } else {
            self.flush_if_due(sink, policy);
        }
        self.aof().note_well(trouble::WRITING);
        self.open_to_workers(policy);
        let watch = sink.watch();
        drop(place);
        self.wait(watch, policy);
        Ok(true)
    }

    /// Waits for something to do.
    fn wait(&self, watch: Option<Watch>, policy: Policy) {
        let aof = self.aof();
        aof.look_at_bound(&self.server, self.server.store.log().file_end());
        let Some(watch) = watch else {
            // The log began anew; nothing comes until all data is written anew.
            std::thread::park_timeout(TOGETHER);
            return;
        };
        let has_more = watch.wait(IDLE);
        if has_more && policy != Policy::Always && !aof.is_urgent.swap(false, Ordering::AcqRel) {
            // Whoever cannot wait ends this.
            std::thread::park_timeout(TOGETHER);
            aof.is_urgent.store(false, Ordering::Release);
        }
    }

    /// Has replies wait for what `appendfsync` says.
    fn follow_policy(&self, sink: &mut Sink) -> Policy {
        let (aof, policy) = (self.aof(), Policy::of(&self.server));
        let waits = policy == Policy::Always;
        if waits == aof.waits_for_disk.load(Ordering::Relaxed) {
            return policy;
        }
        let confirm = &self.server.replication.as_primary.confirm;
        if !waits && !confirm.tell_flushed(&self.server, false) {
            // Until the record is written that nobody believes in the file by.
            return Policy::Always;
        }
        aof.is_open_to_workers.store(false, Ordering::Relaxed);
        aof.waits_for_disk.store(waits, Ordering::Release);
        if !waits {
            aof.release(aof.written.load(Ordering::Acquire));
        } else if aof.hold.is_on() {
            // Nothing more is told until the next flush, which has all.
            sink.note_unsynced();
            aof.hold.turn_on(0);
        }
        policy
    }

    fn open_to_workers(&self, policy: Policy) {
        let aof = self.aof();
        let slow_ms = clock::unix_ms().wrapping_sub(aof.slow_ms.load(Ordering::Relaxed));
        let is_open = policy != Policy::Always
            && !aof.is_failing()
            && aof.flushes_since.load(Ordering::Acquire) == 0
            && !(0..SLOW_FOR_MS).contains(&slow_ms);
        aof.is_open_to_workers.store(is_open, Ordering::Relaxed);
    }

    /// Does what all has been written for; false at the end. It is done once the disk has that, or
    /// not at all: what comes next would be written to a file that is no longer read.
    fn carry_out(&mut self, sink: &mut Sink, order: Order) -> io::Result<bool> {
        if let Err(error) = self.sync(sink) {
            self.aof().orders.lock().push_front(order);
            return Err(error);
        }
        match order {
            Order::Rotate { file, .. } => {
                sink.rotate(file);
                Ok(true)
            }
            Order::Switch { reader, .. } => {
                sink.switch(&self.server, reader);
                Ok(true)
            }
            Order::Finish { .. } => Ok(false),
        }
    }

    /// Waits until the disk has all that was written.
    fn sync(&mut self, sink: &mut Sink) -> io::Result<()> {
        // One that is under way may not have ended.
        if self.aof().flushes_since.load(Ordering::Acquire) != 0 {
            sink.note_unsynced();
        }
        sink.sync()?;
        self.synced_ms = clock::unix_ms();
        self.aof().note_well(trouble::FLUSHING);
        if self.aof().waits_for_disk.load(Ordering::Relaxed) {
            let written = self.aof().written.load(Ordering::Acquire);
            self.aof().release(written);
        }
        Ok(())
    }

    /// Has the file flushed, if it is time, and nobody does.
    fn flush_if_due(&mut self, sink: &mut Sink, policy: Policy) {
        let now_ms = clock::unix_ms();
        let aof = &self.server.aof;
        let since_ms = aof.flushes_since.load(Ordering::Acquire);
        if since_ms != 0 {
            if now_ms.saturating_sub(since_ms) > DELAYED_MS
                && !aof.is_delayed.swap(true, Ordering::Relaxed)
            {
                aof.delayed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    "Asynchronous AOF fsync is taking too long (disk is busy?). Replies wait for \
                     what is written, but not for the flush."
                );
            }
            return;
        }
        if aof.flush_failed.swap(false, Ordering::AcqRel) {
            sink.note_unsynced();
        }
        let is_held_off =
            self.server.config.flag(Key::NoAppendfsyncOnRewrite) && aof.is_rewriting();
        let is_due = now_ms.wrapping_sub(self.synced_ms).abs() >= SYNC_EVERY_MS;
        if policy != Policy::EverySecond || is_held_off || !is_due {
            return;
        }
        self.synced_ms = now_ms;
        if let Some(file) = sink.take_unsynced() {
            // Workers write no more from here on: whoever does may have to wait for the flush.
            aof.is_open_to_workers.store(false, Ordering::Relaxed);
            aof.flushes_since.store(now_ms.max(1), Ordering::Release);
            // There is room for one, and none is under way.
            if self.flusher.try_send(file).is_err() {
                aof.flushes_since.store(0, Ordering::Release);
                sink.note_unsynced();
            }
        }
    }
}

/// The thread that flushes, until nobody can tell it to any more.
fn start_flusher(server: &Arc<Server>) -> io::Result<SyncSender<Arc<File>>> {
    let (sender, receiver) = sync_channel::<Arc<File>>(1);
    let server = Arc::clone(server);
    let run = move || {
        for file in receiver {
            let aof = &server.aof;
            match file.sync_data() {
                Ok(()) => aof.note_well(trouble::FLUSHING),
                Err(error) => {
                    aof.flush_failed.store(true, Ordering::Release);
                    note_failure(&server, &error, trouble::FLUSHING);
                }
            }
            aof.is_delayed.store(false, Ordering::Relaxed);
            aof.flushes_since.store(0, Ordering::Release);
            // Workers may write again.
            aof.hurry(&server);
        }
    };
    std::thread::Builder::new()
        .name("append-only-sync".to_owned())
        .spawn(run)?;
    Ok(sender)
}

/// Says what is wrong. With `always` the node ends, for replies would wait for ever; otherwise writes
/// are refused from here on, and what was done leaves all the same, as in Redis.
pub(super) fn note_failure(server: &Server, error: &io::Error, what: u8) {
    let aof = &server.aof;
    if aof.gives_up.load(Ordering::Acquire) {
        return;
    }
    *aof.failure.lock() = plain(error);
    let before = aof.troubles.fetch_or(what, Ordering::AcqRel);
    aof.is_open_to_workers.store(false, Ordering::Relaxed);
    if aof.waits_for_disk.load(Ordering::Acquire) {
        server.stop_because(&format!(
            "Can't recover from AOF write error when the AOF fsync policy is 'always': {error}. \
             Exiting; see to the disk, and start the node again"
        ));
        return;
    }
    aof.hold.turn_off();
    if before & trouble::FAILING == 0 {
        tracing::error!(
            "Error writing to the AOF file: {error}; writes are refused until it works again. \
             Make room on its disk, or set appendonly no"
        );
    }
}

/// The system's words alone, as Redis quotes them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}
