//! Link tasks: bytes of one connection to frames, and frames to bytes.

use super::driver::Event;
use crate::cluster::link::LinkId;
use bytes::{Bytes, BytesMut};
use slotilla_common::bus::{self, IpText};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How many frames may wait on one link, whatever `cluster-link-sendbuf-limit` says.
const FRAMES_MAX: usize = 16_384;

/// Twice the bytes of channels' messages that may wait on one link, if there is no
/// `cluster-link-sendbuf-limit`.
const RELAYED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A reader asks for at most this much at a time, so that a frame's claimed length costs nothing
/// until its bytes are there.
const READ_BYTES: usize = 64 * 1024;

/// How long after an error of `accept` the next try comes: no file descriptor was free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The driver's end of an open link.
pub(super) struct LinkTasks {
    frames: mpsc::Sender<Bytes>,
    queued: Arc<AtomicUsize>,
    is_known: Arc<AtomicBool>,
    reader: AbortHandle,
    writer: AbortHandle,
}

/// More is waiting than may.
pub(super) struct Overflow;

impl LinkTasks {
    /// Starts the tasks of a connection.
    pub(super) fn start(id: LinkId, stream: TcpStream, events: &mpsc::Sender<Event>) -> Self {
        let (read, write) = stream.into_split();
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        let queued = Arc::new(AtomicUsize::new(0));
        let is_known = Arc::new(AtomicBool::new(false));
        let reader = {
            let (events, is_known) = (events.clone(), Arc::clone(&is_known));
            tokio::spawn(async move {
                if let Err(error) = read_frames(id, read, &events, &is_known).await {
                    tracing::debug!(link = id.0, %error, "Cluster link closed");
                }
                // Nobody is there to be told when the node stops.
                drop(events.send(Event::Closed(id)).await);
            })
        };
        let writer = {
            let (events, queued) = (events.clone(), Arc::clone(&queued));
            tokio::spawn(async move {
                if write_frames(write, waiting, &queued).await.is_err() {
                    drop(events.send(Event::Closed(id)).await);
                }
            })
        };
        Self {
            frames,
            queued,
            is_known,
            reader: reader.abort_handle(),
            writer: writer.abort_handle(),
        }
    }

    /// Sends a frame, unless more than `limit` bytes would be waiting (0: no limit).
    pub(super) fn send(&self, frame: Bytes, limit: usize) -> Result<(), Overflow> {
        let len = frame.len();
        let waiting = self.queued.load(Ordering::Relaxed).saturating_add(len);
        if limit != 0 && waiting > limit {
            return Err(Overflow);
        }
        self.queued.fetch_add(len, Ordering::Relaxed);
        match self.frames.try_send(frame) {
            // A writer that has failed has said so.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overflow),
        }
    }

    /// Whether a message that may be lost is sent: it leaves half of the queue to those that must
    /// not, and never closes the link. `limit` as in [`send`](Self::send); without one there is
    /// one for such messages.
    pub(super) fn has_room(&self, len: usize, limit: usize) -> bool {
        let limit = if limit == 0 { RELAYED_BYTES_MAX } else { limit };
        let waiting = self.queued.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(len) <= limit / 2;
        fits && self.frames.capacity() > FRAMES_MAX / 2
    }

    pub(super) fn queued(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.queued)
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// The link is a known node's: it may send long frames.
    pub(super) fn set_known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }
}

impl Drop for LinkTasks {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

async fn read_frames(
    id: LinkId,
    mut stream: impl AsyncRead + Unpin,
    events: &mpsc::Sender<Event>,
    is_known: &AtomicBool,
) -> io::Result<()> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut buffer = BytesMut::new();
    loop {
        let mut wanted = bus::FRAME_HEAD;
        while let Some(head) = buffer.first_chunk() {
            let longest = if is_known.load(Ordering::Relaxed) {
                bus::FRAME_MAX
            } else {
                bus::FRAME_MAX_UNKNOWN
            };
            let len = bus::frame_len(*head, longest).map_err(invalid)?;
            if buffer.len() < len {
                wanted = len;
                break;
            }
            let frame = buffer.split_to(len).freeze();
            if events.send(Event::Frame(id, frame)).await.is_err() {
                return Ok(());
            }
        }
        let missing = wanted.saturating_sub(buffer.len());
        buffer.reserve(missing.clamp(bus::HEADER, READ_BYTES));
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn write_frames(
    mut stream: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Bytes>,
    queued: &AtomicUsize,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        stream.write_all(&frame).await?;
        queued.fetch_sub(frame.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// Connects to a node's bus port, and tells the driver how it went.
pub(super) fn dial(
    id: LinkId,
    ip: IpText,
    cport: u16,
    patience: Duration,
    events: mpsc::Sender<Event>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        let connecting = TcpStream::connect((ip.as_str(), cport));
        let event = match tokio::time::timeout(patience, connecting).await {
            Ok(Ok(stream)) => Event::Connected(id, stream),
            Ok(Err(error)) => {
                tracing::debug!(%ip, cport, %error, "Cluster link not connected");
                Event::Closed(id)
            }
            Err(_) => Event::Closed(id),
        };
        drop(events.send(event).await);
    });
    task.abort_handle()
}

/// Hands connections of peers to the driver.
pub(super) async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if events.send(Event::Accepted(stream, peer)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "Cluster bus: a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// An address as the bus prints it. An IPv4 peer of an IPv6 socket is an IPv4 peer.
pub(super) fn ip_text(address: io::Result<SocketAddr>) -> IpText {
    let text = address.map(|address| address.ip().to_canonical().to_string());
    text.ok()
        .and_then(|text| IpText::new(&text))
        .unwrap_or_default()
}
