//! Reading the log, from an offset on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Log;

/// Reads the log. What it has not read is kept, as long as there is a reader.
#[derive(Debug)]
pub struct Reader {
    log: Arc<Log>,
    number: usize,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>, number: usize) -> Self {
        Self { log, number }
    }

    /// Where it is; `None` if the log began anew elsewhere, and this reads no more.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.log.position(self.number)
    }

    /// Where the log ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.log.end()
    }

    /// The offset of the append-only file that an offset of its log is.
    #[must_use]
    pub fn file_offset(&self, offset: u64) -> u64 {
        self.log.file_offset(offset)
    }

    /// What comes next, without going on; empty if there is nothing. `None` if this reads no more.
    #[must_use]
    pub fn peek(&self) -> Option<Bytes> {
        match self.log.read(self.number) {
            Some(chunk) if chunk.is_empty() => {
                self.log.collect();
                self.log.read(self.number)
            }
            chunk => chunk,
        }
    }

    /// Goes on by so many bytes, which are done with.
    pub fn advance(&mut self, bytes: usize) {
        self.log.advance(self.number, bytes as u64);
    }

    /// Waits until there is something to read, at most so long; whether there is.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.position()
            .is_some_and(|position| self.log.wait_beyond(position, timeout))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.close(self.number);
    }
}
