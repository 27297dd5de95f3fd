//! One connection: a batch goes out, its replies come in and are compared.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use slotilla_common::clock::Tick;
use slotilla_common::resp::{FrameScanner, ReplyKind, Scan};

use crate::failure::{Failure, Outcome};
use crate::workload::{Batch, Expected, Order};

/// A connection of the generator.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    batch: Batch,
    sent: usize,
    /// Bytes of replies that were known beforehand.
    received: usize,
    replies: Replies,
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
            replies: Replies::default(),
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
        self.replies.count = 0;
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
            if self.take(chunk)? {
                self.busy = false;
                return Ok(Received::All(self.batch.commands()));
            }
            // A chunk that did not fill the buffer was all there was.
            if count < scratch.len() {
                return Ok(Received::Part);
            }
        }
    }

    /// Compares what has come with what is expected. Gives whether that was the end of it.
    fn take(&mut self, chunk: &[u8]) -> Outcome<bool> {
        match self.batch.expected() {
            Expected::Bytes(expected) => {
                let end = self.received + chunk.len();
                if expected.get(self.received..end) != Some(chunk) {
                    let rest = expected.get(self.received..).unwrap_or_default();
                    return Err(Failure::WrongAnswer(difference(rest, chunk)));
                }
                self.received = end;
                Ok(end == expected.len())
            }
            Expected::Replies(due) => {
                self.replies.take(chunk, due)?;
                Ok(self.replies.count == due)
            }
        }
    }

    fn hung_up(&self) -> Failure {
        let due = match self.batch.expected() {
            Expected::Bytes(expected) => format!("{} bytes", expected.len() - self.received),
            Expected::Replies(due) => format!("{} replies", due - self.replies.count),
        };
        Failure::Subject(format!("the subject hung up; {due} were due"))
    }
}

/// Replies that are counted, whatever they are.
#[derive(Debug, Default)]
struct Replies {
    count: u64,
    scanner: FrameScanner,
    /// The start of a reply whose end has not come.
    begun: Vec<u8>,
}

impl Replies {
    /// Counts the replies that end in `chunk`, of which there are `due` at most in all.
    fn take(&mut self, chunk: &[u8], due: u64) -> Outcome<()> {
        let mut begun = std::mem::take(&mut self.begun);
        let mut rest = if begun.is_empty() {
            chunk
        } else {
            begun.extend_from_slice(chunk);
            &begun
        };
        while !rest.is_empty() {
            let shown = || format!("got {}", excerpt(rest));
            match self.scanner.scan(rest) {
                Ok(Scan::Complete { len, kind }) if kind != ReplyKind::Error => {
                    if self.count == due {
                        let text = format!("{}, which nobody asked for", shown());
                        return Err(Failure::WrongAnswer(text));
                    }
                    self.count += 1;
                    rest = rest.get(len..).unwrap_or_default();
                }
                Ok(Scan::Incomplete { .. }) => break,
                Ok(Scan::Complete { .. }) | Err(_) => return Err(Failure::WrongAnswer(shown())),
            }
        }
        self.begun = rest.to_vec();
        Ok(())
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
    let from_there = |bytes: &[u8]| excerpt(bytes.get(from..).unwrap_or_default());
    let (expected, actual) = (from_there(expected), from_there(actual));
    format!("expected {expected}, got {actual}")
}

/// The first bytes, as one would type them.
fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..bytes.len().min(120)).unwrap_or_default();
    format!("\"{}\"", shown.escape_ascii())
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
