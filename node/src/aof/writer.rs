//! The thread that follows the log and writes it into the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slotilla_common::clock;

use super::Aof;
use crate::config::Key;
use crate::replication::log::Reader;
use crate::server::Server;

/// The file is flushed to disk as often, unless always or never.
const SYNC_EVERY_MS: i64 = 1000;
/// After an error it is tried again so much later.
const RETRY: Duration = Duration::from_secs(1);
/// For so long at most nothing is looked after.
const IDLE: Duration = Duration::from_millis(100);
/// What comes within this time is written together, unless a client waits for it.
const TOGETHER: Duration = Duration::from_millis(1);

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

/// Follows the log.
pub(super) struct Writer {
    server: Arc<Server>,
    reader: Reader,
    file: File,
    /// How long the file is.
    len: u64,
    /// Some of it may not be on disk.
    is_unsynced: bool,
    synced_ms: i64,
    /// Up to here whole commands were appended, the last time that was asked.
    boundary: u64,
    /// The second of the last annotation.
    annotated: i64,
}

impl Writer {
    pub(super) fn new(server: &Arc<Server>, reader: Reader, file: File, len: u64) -> Self {
        Self {
            server: Arc::clone(server),
            boundary: reader.position().unwrap_or(0),
            reader,
            file,
            len,
            is_unsynced: false,
            synced_ms: clock::unix_ms(),
            annotated: 0,
        }
    }

    /// Writes until it is told to finish.
    pub(super) fn run(mut self) {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if !self.note_failure(&error) {
                        return;
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    fn aof(&self) -> &Aof {
        &self.server.aof
    }

    /// Writes what there is and flushes it if it is time, then waits; false at the end.
    fn step(&mut self) -> io::Result<bool> {
        let policy = Policy::of(&self.server);
        // First: what an order is about that comes later lies behind this.
        let end = self.reader.end();
        let order = self.aof().orders.lock().pop_front();
        let limit = order.as_ref().map_or(end, |order| match order {
            Order::Rotate { at, .. } | Order::Switch { at, .. } | Order::Finish { at } => *at,
        });
        if let Err(error) = self.write(limit) {
            if let Some(order) = order {
                self.aof().orders.lock().push_front(order);
            }
            return Err(error);
        }
        if let Some(order) = order {
            return self.carry_out(order);
        }
        self.sync_if_due(policy)?;
        self.note_success(policy);
        if self.reader.position().is_none() {
            // The log has begun anew; an order says which goes on.
            std::thread::sleep(TOGETHER);
        } else if self.reader.wait(IDLE) && policy != Policy::Always {
            std::thread::sleep(TOGETHER);
        }
        Ok(true)
    }

    /// Does what all has been written for; false at the end. It is done once the disk has that, or
    /// not at all: what comes next would be written to a file that is no longer read.
    fn carry_out(&mut self, order: Order) -> io::Result<bool> {
        if let Err(error) = self.sync() {
            self.aof().orders.lock().push_front(order);
            return Err(error);
        }
        match order {
            Order::Rotate { file, .. } => {
                self.file = file;
                self.len = 0;
                Ok(true)
            }
            Order::Switch { reader, .. } => {
                self.boundary = reader.position().unwrap_or_default();
                self.reader = reader;
                self.note_synced();
                Ok(true)
            }
            Order::Finish { .. } => Ok(false),
        }
    }

    /// Writes what the log has, up to an offset.
    fn write(&mut self, limit: u64) -> io::Result<()> {
        loop {
            let Some(position) = self.reader.position() else {
                return Ok(());
            };
            let left = usize::try_from(limit.saturating_sub(position)).unwrap_or(usize::MAX);
            let Some(chunk) = self.reader.peek() else {
                return Ok(());
            };
            let chunk = chunk.get(..chunk.len().min(left)).unwrap_or_default();
            if chunk.is_empty() {
                return Ok(());
            }
            self.annotate(position)?;
            let written = append(&mut self.file, &mut self.len, chunk);
            let (count, failed) = match written {
                Ok(()) => (chunk.len(), None),
                Err((count, error)) => (count, Some(error)),
            };
            self.reader.advance(count);
            self.is_unsynced |= count > 0;
            let end = position.saturating_add(count as u64);
            self.aof()
                .note_written(self.reader.file_offset(end), self.len);
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Writes the time, once a second at most, and between two appends alone.
    fn annotate(&mut self, position: u64) -> io::Result<()> {
        let is_between = position >= self.boundary;
        if is_between {
            self.boundary = self.reader.end();
        }
        let now = clock::unix_ms() / 1000;
        if !is_between
            || now == self.annotated
            || !self.server.config.flag(Key::AofTimestampEnabled)
        {
            return Ok(());
        }
        let line = format!("#TS:{now}\r\n");
        append(&mut self.file, &mut self.len, line.as_bytes()).map_err(|(_, error)| error)?;
        self.annotated = now;
        Ok(())
    }

    fn sync_if_due(&mut self, policy: Policy) -> io::Result<()> {
        if !self.is_unsynced {
            return Ok(());
        }
        let is_held_off =
            self.server.config.flag(Key::NoAppendfsyncOnRewrite) && self.aof().is_rewriting();
        let elapsed_ms = clock::unix_ms().wrapping_sub(self.synced_ms);
        match policy {
            Policy::Always => self.sync(),
            Policy::EverySecond if !is_held_off && elapsed_ms.abs() >= SYNC_EVERY_MS => self.sync(),
            Policy::EverySecond | Policy::Never => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_unsynced {
            self.file.sync_data()?;
            self.is_unsynced = false;
        }
        self.synced_ms = clock::unix_ms();
        self.note_synced();
        Ok(())
    }

    fn note_synced(&self) {
        if let Some(position) = self.reader.position() {
            let offset = self.reader.file_offset(position);
            self.aof().note_synced(offset);
        }
    }

    fn note_success(&self, policy: Policy) {
        let aof = self.aof();
        if aof.is_failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("AOF write error looks solved, Redis can write again.");
        }
        // Whoever changed the policy is heard here, with all written that is to be.
        let waits = policy == Policy::Always;
        if waits && !aof.hold.is_on() {
            aof.hold.turn_on(aof.synced.load(Ordering::Acquire));
        } else if !waits && aof.hold.is_on() {
            aof.hold.turn_off();
        }
    }

    /// Says what is wrong; whether to go on.
    fn note_failure(&self, error: &io::Error) -> bool {
        let aof = self.aof();
        *aof.failure.lock() = plain(error);
        let is_new = !aof.is_failing.swap(true, Ordering::AcqRel);
        if Policy::of(&self.server) == Policy::Always {
            let text = format!(
                "Can't recover from AOF write error when the AOF fsync policy is 'always': {error}. \
                 Exiting; see to the disk, and start the node again"
            );
            self.server.stop_because(&text);
            return false;
        }
        if is_new {
            tracing::error!(
                "Error writing to the AOF file: {error}; writes are refused until it works again. \
                 Make room on its disk, or set appendonly no"
            );
        }
        // To stop is not to wait for a disk that is full.
        !self.server.shutdown.is_cancelled()
    }
}

/// The system's words alone, as Redis quotes them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

/// Appends bytes to a file of this length: all of them, or none; or, if the file cannot be cut off
/// again, so many as the error says.
fn append(file: &mut File, len: &mut u64, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(count) if count > 0 => done = done.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                let error = failed.err().unwrap_or(io::ErrorKind::WriteZero.into());
                if done == 0 || file.set_len(*len).is_ok() {
                    return Err((0, error));
                }
                *len = len.saturating_add(done as u64);
                return Err((done, error));
            }
        }
    }
    *len = len.saturating_add(bytes.len() as u64);
    Ok(())
}
