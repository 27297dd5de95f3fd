//! A replica that takes the stream, says how far it is, and does nothing with it: so that what a
//! primary pays for its replicas can be seen without what they need themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::resp::encode_command;

use crate::failure::{Failure, Outcome};

/// How often it says how far it is: as a replica does.
const ACK_EVERY_NANOS: u64 = 1_000_000_000;
/// How long it waits for more at most.
const LOOK: Duration = Duration::from_millis(100);
const BUFFER: usize = 256 * 1024;
/// Bytes of the mark at the end of a copy.
const MARK: usize = 40;

/// Takes what a primary sends until it is dropped.
#[derive(Debug)]
pub(super) struct Sink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Outcome<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How much of the log has come.
    offset: AtomicU64,
    is_over: AtomicBool,
}

impl Sink {
    /// Asks for all data, and comes back once it has come.
    pub(super) fn attach(primary: SocketAddr) -> Outcome<Self> {
        let mut link = Link::connect(primary)?;
        for words in [
            &[&b"PING"[..]][..],
            &[b"REPLCONF", b"listening-port", b"1"],
            &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"],
        ] {
            link.say(words)?;
            link.line()?;
        }
        link.say(&[b"PSYNC", b"?", b"-1"])?;
        let answer = link.line()?;
        let offset = answer.rsplit(' ').next().and_then(|text| text.parse().ok());
        let offset: u64 = match offset {
            Some(offset) if answer.starts_with("+FULLRESYNC ") => offset,
            _ => return Err(link.wrong(&format!("PSYNC was answered {answer}"))),
        };
        link.take_copy()?;
        let shared = Arc::new(Shared::default());
        shared.offset.store(offset, Ordering::Release);
        link.acknowledge(offset)?;
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || link.take_stream(&theirs));
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// How much of the log has come.
    pub(super) fn offset(&self) -> u64 {
        self.shared.offset.load(Ordering::Acquire)
    }

    /// Why nothing comes any more, if that is so.
    pub(super) fn check(&mut self) -> Outcome<()> {
        match self.thread.take_if(|thread| thread.is_finished()) {
            None => Ok(()),
            Some(thread) => match thread.join() {
                Ok(Err(failure)) => Err(failure),
                Ok(Ok(())) | Err(_) => Err(Failure::Subject("a sink has ended".to_owned())),
            },
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What went wrong is of no interest any more.
            let _ended = thread.join();
        }
    }
}

/// A replica's connection.
struct Link {
    stream: TcpStream,
    primary: SocketAddr,
    buffer: Vec<u8>,
    /// What has come and is not taken.
    input: Vec<u8>,
}

impl Link {
    fn connect(primary: SocketAddr) -> Outcome<Self> {
        let connected = TcpStream::connect(primary).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            Ok(stream)
        });
        Ok(Self {
            stream: connected.map_err(Failure::io(format!("connect to {primary}")))?,
            primary,
            buffer: vec![0; BUFFER],
            input: Vec::new(),
        })
    }

    fn say(&mut self, words: &[&[u8]]) -> Outcome<()> {
        let mut request = Vec::new();
        encode_command(&mut request, words);
        let written = self.stream.write_all(&request);
        written.map_err(Failure::io(format!("write to {}", self.primary)))
    }

    fn acknowledge(&mut self, offset: u64) -> Outcome<()> {
        let offset = offset.to_string();
        self.say(&[b"REPLCONF", b"ACK", offset.as_bytes()])
    }

    fn receive(&mut self) -> Outcome<()> {
        let read = self.stream.read(&mut self.buffer);
        let read = read.map_err(Failure::io(format!("read from {}", self.primary)))?;
        if read == 0 {
            return Err(self.wrong("it hung up"));
        }
        let chunk = self.buffer.get(..read).unwrap_or_default();
        self.input.extend_from_slice(chunk);
        Ok(())
    }

    /// The next line that is not empty: a primary sends empty ones to say that it is there.
    fn line(&mut self) -> Outcome<String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if !line.is_empty() {
                    return Ok(line);
                }
            } else {
                self.receive()?;
            }
        }
    }

    /// Takes all data up to the mark behind it. Nothing comes after that until it is acknowledged.
    fn take_copy(&mut self) -> Outcome<()> {
        let head = self.line()?;
        let mark = head.strip_prefix("$EOF:").map(str::to_owned);
        let mark = mark.ok_or_else(|| self.wrong(&format!("the copy begins with {head}")))?;
        while !self.input.ends_with(mark.as_bytes()) {
            let spare = self.input.len().saturating_sub(MARK);
            self.input.drain(..spare);
            self.receive()?;
        }
        self.input.clear();
        Ok(())
    }

    fn take_stream(mut self, shared: &Shared) -> Outcome<()> {
        let (clock, primary) = (Monotonic::new(), self.primary);
        let broken = || Failure::io(format!("read from {primary}"));
        let timeout = self.stream.set_read_timeout(Some(LOOK));
        timeout.map_err(broken())?;
        let mut said = clock.now();
        while !shared.is_over.load(Ordering::Acquire) {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(self.wrong("it hung up")),
                Ok(read) => {
                    shared.offset.fetch_add(read as u64, Ordering::AcqRel);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(broken()(error)),
            }
            if clock.nanos_between(said, clock.now()) > ACK_EVERY_NANOS {
                said = clock.now();
                self.acknowledge(shared.offset.load(Ordering::Acquire))?;
            }
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::Subject(format!("{}: {what}", self.primary))
    }
}
