//! The file that is written, and how much of the log it has.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slotilla_common::clock;

use crate::config::Key;
use crate::replication::log::{Reader, Watch};
use crate::server::Server;

/// Where the log goes. Whoever has it locked writes.
#[derive(Debug)]
pub(super) struct Sink {
    reader: Reader,
    file: Arc<File>,
    /// How long the file is.
    len: u64,
    /// Some of it may not be on disk.
    is_unsynced: bool,
    /// Up to here whole commands were appended, the last time that was asked.
    boundary: u64,
    /// The second of the last annotation.
    annotated: i64,
}

impl Sink {
    pub(super) fn new(reader: Reader, file: File, len: u64) -> Self {
        Self {
            boundary: reader.position().unwrap_or(0),
            reader,
            file: Arc::new(file),
            len,
            is_unsynced: false,
            annotated: 0,
        }
    }

    /// What waits for more than has been written; `None` if the log began anew elsewhere, and there
    /// is nothing more for this file.
    pub(super) fn watch(&self) -> Option<Watch> {
        self.reader.watch()
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> u64 {
        self.reader.end()
    }

    /// Writes what the log has, up to an offset.
    pub(super) fn write(&mut self, server: &Server, limit: u64) -> io::Result<()> {
        let micros = server.aof.sleep_micros.load(Ordering::Relaxed);
        if micros > 0 && self.reader.position().is_some_and(|at| at < limit) {
            std::thread::sleep(Duration::from_micros(micros));
        }
        loop {
            let Some(position) = self.reader.position() else {
                return Ok(());
            };
            let left = usize::try_from(limit.saturating_sub(position)).unwrap_or(usize::MAX);
            if left == 0 {
                return Ok(());
            }
            let Some(chunk) = self.reader.peek() else {
                return Ok(());
            };
            let chunk = chunk.get(..chunk.len().min(left)).unwrap_or_default();
            if chunk.is_empty() {
                return Ok(());
            }
            self.annotate(server, position)?;
            let written = append(&mut &*self.file, &mut self.len, chunk);
            let (count, failed) = match written {
                Ok(()) => (chunk.len(), None),
                Err((count, error)) => (count, Some(error)),
            };
            self.reader.advance(count);
            self.is_unsynced |= count > 0;
            let end = position.saturating_add(count as u64);
            let end = self.reader.file_offset(end);
            server.aof.note_written(server, end, self.len);
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Writes the time, once a second at most, and between two appends alone.
    fn annotate(&mut self, server: &Server, position: u64) -> io::Result<()> {
        let is_between = position >= self.boundary;
        if is_between {
            self.boundary = self.end();
        }
        if !is_between || !server.config.flag(Key::AofTimestampEnabled) {
            return Ok(());
        }
        let now = clock::unix_ms() / 1000;
        if now == self.annotated {
            return Ok(());
        }
        let line = format!("#TS:{now}\r\n");
        append(&mut &*self.file, &mut self.len, line.as_bytes()).map_err(|(_, error)| error)?;
        self.annotated = now;
        Ok(())
    }

    /// The file, if the disk may not have all of it. Who takes it flushes it, and says so if that
    /// fails.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.is_unsynced).then(|| Arc::clone(&self.file))
    }

    /// The disk may not have all of it.
    pub(super) fn note_unsynced(&mut self) {
        self.is_unsynced = true;
    }

    /// Waits until the disk has all of it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_unsynced {
            self.file.sync_data()?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    /// Goes on in another log, which begins where this one ends.
    pub(super) fn switch(&mut self, server: &Server, reader: Reader) {
        let position = reader.position().unwrap_or_default();
        let offset = reader.file_offset(position);
        self.boundary = position;
        self.reader = reader;
        server.aof.note_written(server, offset, self.len);
    }

    /// Goes on in another file, which is empty.
    pub(super) fn rotate(&mut self, file: File) {
        self.file = Arc::new(file);
        self.len = 0;
        self.is_unsynced = false;
    }
}

/// Appends bytes to a file of this length: all of them, or none; or, if the file cannot be cut off
/// again, so many as the error says.
fn append(file: &mut &File, len: &mut u64, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
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
