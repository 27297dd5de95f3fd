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

    /// What waits for more than has been read, without the reader; `None` if this reads no more.
    #[must_use]
    pub fn watch(&self) -> Option<Watch> {
        let log = Arc::clone(&self.log);
        self.position().map(|position| Watch { log, position })
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

/// Waits for a log to go on.
#[derive(Debug)]
pub struct Watch {
    log: Arc<Log>,
    position: u64,
}

impl Watch {
    /// Waits until the log goes on, at most so long; whether it does.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.log.wait_beyond(self.position, timeout)
    }
}
