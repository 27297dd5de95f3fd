//! Connections to the nodes that MIGRATE sends keys to, kept for the next one.
//!
//! They block: whoever uses one is on a thread that may. What is idle for ten seconds is closed,
//! and no more than 64 are kept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use parking_lot::Mutex;
use slotilla_common::clock;
use slotilla_common::resp::encode_command;

/// As many are kept, at most: those used last.
const KEPT_MAX: usize = 64;
/// One that was not used for as long is closed.
const IDLE_MS: i64 = 10_000;
/// A reply is OK or an error; a longer line is none.
const LINE_MAX: u64 = 64 * 1024;

/// Where a connection goes: a host and a port, as a client has named them.
pub type Address = (Vec<u8>, Vec<u8>);

/// Why a connection is of no use any more.
#[derive(Debug)]
pub enum Broken {
    /// The host has no address.
    Unknown,
    /// It could not be made, or nothing can be sent.
    Writing(io::Error),
    /// No reply comes.
    Reading(io::Error),
}

impl Broken {
    /// Whether the other side did not answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        let (Self::Writing(error) | Self::Reading(error)) = self else {
            return false;
        };
        // What the system says when a blocking call has taken too long.
        matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        )
    }
}

/// A connection.
#[derive(Debug)]
pub struct Target {
    address: Address,
    socket: BufReader<TcpStream>,
    /// The database that it is in: the first, until another is selected.
    pub db: i64,
}

impl Target {
    /// Connects. Whatever is done with it later may take as long, each time.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn connect(address: Address, limit: Duration) -> Result<Self, Broken> {
        let host = String::from_utf8_lossy(&address.0);
        // What is no port is none that anybody listens on.
        let port = std::str::from_utf8(&address.1).ok();
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(0);
        let found = (&*host, port).to_socket_addrs();
        let found: Vec<_> = found.map_err(|_| Broken::Unknown)?.collect();
        let mut failure = Broken::Unknown;
        for place in found {
            match TcpStream::connect_timeout(&place, limit) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(Broken::Writing)?;
                    return Ok(Self {
                        address,
                        socket: BufReader::new(stream),
                        db: 0,
                    });
                }
                Err(error) => failure = Broken::Writing(error),
            }
        }
        Err(failure)
    }

    /// How long one reading or writing may take from now on.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn set_limit(&self, limit: Duration) -> Result<(), Broken> {
        let socket = self.socket.get_ref();
        socket
            .set_read_timeout(Some(limit))
            .and_then(|()| socket.set_write_timeout(Some(limit)))
            .map_err(Broken::Writing)
    }

    /// The same connection, for whoever may have to end it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn handle(&self) -> Result<TcpStream, Broken> {
        self.socket.get_ref().try_clone().map_err(Broken::Writing)
    }

    /// Sends commands.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn send(&mut self, commands: &[u8]) -> Result<(), Broken> {
        self.socket
            .get_mut()
            .write_all(commands)
            .map_err(Broken::Writing)
    }

    /// Waits for a reply: an error's text, if it is one. What is neither that nor a simple string
    /// comes from no node, and says nothing about keys.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn reply(&mut self) -> Result<Result<(), String>, Broken> {
        let mut line = Vec::new();
        let read = (&mut self.socket)
            .take(LINE_MAX)
            .read_until(b'\n', &mut line);
        read.map_err(Broken::Reading)?;
        let broken = |kind: io::ErrorKind| Err(Broken::Reading(kind.into()));
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return broken(io::ErrorKind::UnexpectedEof);
        };
        match line.split_first() {
            Some((b'+', _)) => Ok(Ok(())),
            Some((b'-', text)) => Ok(Err(String::from_utf8_lossy(text).into_owned())),
            _ => broken(io::ErrorKind::InvalidData),
        }
    }
}

/// Appends a command as it is sent.
pub fn add_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    encode_command(out, words);
}

/// The connections that nobody uses just now, and when each was used.
#[derive(Debug, Default)]
pub struct Targets(Mutex<Vec<(Target, i64)>>);

impl Targets {
    /// Takes a connection out, if there is one to this address.
    #[must_use]
    pub fn take(&self, address: &Address) -> Option<Target> {
        let mut kept = self.0.lock();
        let place = kept
            .iter()
            .position(|(target, _)| target.address == *address)?;
        let (target, _) = kept.swap_remove(place);
        Some(target)
    }

    /// Keeps a connection on which nothing is under way. What has come unasked would be taken for the
    /// replies to what is asked next, so with such a thing it is closed.
    pub fn keep(&self, target: Target) {
        if !target.socket.buffer().is_empty() {
            return;
        }
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            let oldest = kept.iter().enumerate().min_by_key(|(_, (_, at))| *at);
            if let Some((place, _)) = oldest {
                kept.swap_remove(place);
            }
        }
        kept.push((target, clock::unix_ms()));
    }

    /// Closes those that were not used for long.
    pub fn close_idle(&self) {
        let since = clock::unix_ms() - IDLE_MS;
        self.0.lock().retain(|(_, at)| *at > since);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}
