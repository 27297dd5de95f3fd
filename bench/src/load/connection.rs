//! One connection: a batch goes out, its replies come in and are compared.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use slotilla_common::clock::Tick;

use crate::failure::{Failure, Outcome};
use crate::workload::{Batch, Order};

/// A connection of the generator.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    batch: Batch,
    sent: usize,
    received: usize,
    /// When the batch was sent.
    pub(super) started: Tick,
    busy: bool,
}

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Some replies, or none: more are due.
    Part,
    /// The last reply of the batch, which held this many commands.
    All(u64),
}

impl Connection {
    pub(super) fn open(target: SocketAddr, batch: Batch, now: Tick) -> std::io::Result<Self> {
        let stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            batch,
            sent: 0,
            received: 0,
            started: now,
            busy: false,
        })
    }

    /// Whether replies are due.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Commands of one batch.
    pub(super) fn commands(&self) -> u64 {
        self.batch.commands()
    }

    /// Starts another batch. Gives whether all of it could be sent.
    pub(super) fn begin(&mut self, order: &mut Order, now: Tick) -> Outcome<bool> {
        self.batch.renew(order);
        self.sent = 0;
        self.received = 0;
        self.started = now;
        self.busy = true;
        self.send()
    }

    /// Sends what is left of the batch. Gives whether that was possible.
    pub(super) fn send(&mut self) -> Outcome<bool> {
        loop {
            let rest = self.batch.request().get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(true);
            }
            match self.stream.write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::io("send")(error)),
            }
        }
    }

    /// Reads what has come into `scratch` and compares it with what is expected.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Outcome<Received> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(self.hung_up()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Part),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::io("receive")(error)),
            };
            let chunk = scratch.get(..count).unwrap_or_default();
            let end = self.received + count;
            if self.batch.expected().get(self.received..end) != Some(chunk) {
                return Err(self.wrong(chunk));
            }
            self.received = end;
            if end == self.batch.expected().len() {
                self.busy = false;
                return Ok(Received::All(self.batch.commands()));
            }
            // A chunk that did not fill the buffer was all there was.
            if count < scratch.len() {
                return Ok(Received::Part);
            }
        }
    }

    fn hung_up(&self) -> Failure {
        let due = self.batch.expected().len() - self.received;
        Failure::Subject(format!("the subject hung up; {due} bytes were due"))
    }

    fn wrong(&self, chunk: &[u8]) -> Failure {
        let rest = self.batch.expected().get(self.received..);
        Failure::WrongAnswer(difference(rest.unwrap_or_default(), chunk))
    }
}

/// Shows expected and actual bytes from the start of the line in which they begin to differ.
fn difference(expected: &[u8], actual: &[u8]) -> String {
    let mut pairs = expected.iter().zip(actual);
    let differs = pairs.position(|(expected, actual)| expected != actual);
    let differs = differs.unwrap_or(expected.len().min(actual.len()));
    let before = expected.get(..differs).unwrap_or_default();
    let line_start = before.iter().rposition(|&byte| byte == b'\n');
    let from = line_start.map_or(0, |end| end + 1);
    let excerpt = |bytes: &[u8]| {
        let rest = bytes.get(from..).unwrap_or_default();
        let shown = rest.get(..rest.len().min(120)).unwrap_or_default();
        format!("\"{}\"", shown.escape_ascii())
    };
    format!("expected {}, got {}", excerpt(expected), excerpt(actual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_from_the_start_of_its_line() {
        let shown = difference(b"+OK\r\n$1\r\na\r\n", b"+OK\r\n-ERR no\r\n");
        assert_eq!(shown, r#"expected "$1\r\na\r\n", got "-ERR no\r\n""#);
    }

    #[test]
    fn bytes_that_nobody_asked_for_are_a_difference() {
        let shown = difference(b"+OK\r\n", b"+OK\r\n+OK\r\n");
        assert_eq!(shown, r#"expected "", got "+OK\r\n""#);
    }
}
