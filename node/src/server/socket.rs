//! A client's socket: TCP or Unix.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket that belongs to no runtime yet, in non-blocking mode.
#[derive(Debug)]
pub enum Raw {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// Unix domain.
    Unix(std::os::unix::net::UnixStream),
}

/// A socket registered with its worker's runtime.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
}

impl Socket {
    /// Registers `raw` with the runtime of this thread.
    ///
    /// # Errors
    /// The runtime could not take it.
    pub fn register(raw: Raw) -> io::Result<Self> {
        Ok(match raw {
            Raw::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            Raw::Unix(stream) => Self::Unix(UnixStream::from_std(stream)?),
        })
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing; else the connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Ready when the socket may take bytes again.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }
}

impl Socket {
    /// Another handle of the same socket, for threads that block.
    ///
    /// # Errors
    /// The system has no more handles.
    pub fn duplicate(&self) -> io::Result<Stream> {
        let stream = match self {
            Self::Tcp(stream) => Stream::Tcp(stream.as_fd().try_clone_to_owned()?.into()),
            Self::Unix(stream) => Stream::Unix(stream.as_fd().try_clone_to_owned()?.into()),
        };
        stream.block()?;
        Ok(stream)
    }

    /// Ends the connection for whoever has a handle of it.
    pub fn shut_down(&self) {
        // It may have ended already.
        let _ended = match self {
            Self::Tcp(stream) => rustix::net::shutdown(stream, rustix::net::Shutdown::Both),
            Self::Unix(stream) => rustix::net::shutdown(stream, rustix::net::Shutdown::Both),
        };
    }
}

/// A socket whose reads and writes block.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// Unix domain.
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    fn block(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(false),
            Self::Unix(stream) => stream.set_nonblocking(false),
        }
    }

    /// How long a read and a write may take.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
        }
    }

    /// Another handle of it.
    ///
    /// # Errors
    /// The system has no more handles.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Ends the connection for whoever has a handle of it.
    pub fn shut_down(&self) {
        // It may have ended already.
        let _ended = match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The connection is broken, or takes too long to take it.
    pub fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write_all(bytes),
            Self::Unix(stream) => (&mut &*stream).write_all(bytes),
        }
    }

    /// Reads what has come.
    ///
    /// # Errors
    /// The connection is broken, or nothing has come for too long.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}
