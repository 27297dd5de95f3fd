//! The task of one connection: makes it, greets the node, hands out replies until it ends.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slotilla_common::resp::{FrameScanner, Protocol, ReplyKind, Scan, encode_command};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::connection::{Upstream, UpstreamError};
use crate::config::Config;
use crate::error;
use crate::slotmap::Address;
use crate::worker::{READ_BYTES, Worker};

/// Reads of one connection before others get their turn.
const READS_PER_TURN: usize = 8;

/// Runs a connection from its first request to its end.
pub(super) async fn run(worker: Rc<Worker>, upstream: Rc<Upstream>) {
    let error = match open(&worker.shared.config, &upstream.address, upstream.protocol).await {
        Ok(stream) => {
            worker.event();
            let (read, write) = stream.into_split();
            upstream.connected(&worker, write);
            let mut reader = Reader {
                read,
                upstream: Rc::clone(&upstream),
                scanner: FrameScanner::default(),
                buffer: Vec::new(),
                needed: 0,
            };
            poll_fn(|cx| reader.poll(&worker, cx)).await
        }
        Err(error) => error,
    };
    upstream.failed(&worker, &error);
}

/// Connects and greets within the connect timeout.
pub async fn open(
    config: &Config,
    address: &Address,
    protocol: Protocol,
) -> Result<TcpStream, UpstreamError> {
    let opening = async {
        let mut stream = TcpStream::connect((&*address.host, address.port))
            .await
            .map_err(UpstreamError::Connect)?;
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        greet(&mut stream, config, protocol).await?;
        Ok(stream)
    };
    tokio::time::timeout(config.connect_timeout, opening)
        .await
        .unwrap_or(Err(UpstreamError::ConnectTimeout))
}

/// Says who the proxy is and which protocol it wants.
async fn greet(
    stream: &mut TcpStream,
    config: &Config,
    protocol: Protocol,
) -> Result<(), UpstreamError> {
    let password = config.upstream_password.as_bytes();
    let user = match config.upstream_username.as_bytes() {
        b"" => &b"default"[..],
        user => user,
    };
    let mut words: Vec<&[u8]> = Vec::new();
    let command = match protocol {
        Protocol::Resp3 => {
            words.extend([&b"HELLO"[..], b"3"]);
            if !password.is_empty() {
                words.extend([&b"AUTH"[..], user, password]);
            }
            "HELLO"
        }
        Protocol::Resp2 if password.is_empty() => return Ok(()),
        Protocol::Resp2 => {
            words.push(b"AUTH");
            if !config.upstream_username.is_empty() {
                words.push(user);
            }
            words.push(password);
            "AUTH"
        }
    };
    let reply = call(stream, &words, READ_BYTES).await?;
    if matches!(reply.first(), Some(b'-' | b'!')) {
        let answer = String::from_utf8_lossy(error::text_of(&reply)).into_owned();
        return Err(UpstreamError::Greeting { command, answer });
    }
    Ok(())
}

/// Sends one command on a connection that has no other and waits for its reply.
pub async fn call(
    stream: &mut TcpStream,
    words: &[&[u8]],
    bytes_max: usize,
) -> Result<Vec<u8>, UpstreamError> {
    let mut request = Vec::new();
    encode_command(&mut request, words);
    stream
        .write_all(&request)
        .await
        .map_err(UpstreamError::Lost)?;
    let mut scanner = FrameScanner::default();
    let mut reply = Vec::with_capacity(4096);
    loop {
        match scanner.scan(&reply).map_err(UpstreamError::Protocol)? {
            Scan::Complete { len, kind } if kind != ReplyKind::Push => {
                reply.truncate(len);
                return Ok(reply);
            }
            Scan::Complete { len, .. } => {
                reply.drain(..len);
                continue;
            }
            Scan::Incomplete { .. } if reply.len() > bytes_max => {
                return Err(UpstreamError::TooLong);
            }
            Scan::Incomplete { .. } => {}
        }
        if stream
            .read_buf(&mut reply)
            .await
            .map_err(UpstreamError::Lost)?
            == 0
        {
            return Err(UpstreamError::Closed);
        }
    }
}

struct Reader {
    read: OwnedReadHalf,
    upstream: Rc<Upstream>,
    scanner: FrameScanner,
    /// The start of a reply that goes on.
    buffer: Vec<u8>,
    /// How much more of it there is at least.
    needed: usize,
}

impl Reader {
    fn poll(&mut self, worker: &Rc<Worker>, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        if let Err(error) = self.upstream.poll_writer(worker, cx) {
            return Poll::Ready(error);
        }
        for _ in 0..READS_PER_TURN {
            let read = if self.buffer.is_empty() {
                self.read_whole(worker, cx)
            } else {
                self.read_rest(worker, cx)
            };
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads into the thread's buffer; most reads end with a whole reply and leave nothing.
    fn read_whole(
        &mut self,
        worker: &Rc<Worker>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamError>> {
        let mut shared = worker.read_buffer.borrow_mut();
        let mut into = ReadBuf::new(&mut shared);
        match Pin::new(&mut self.read).poll_read(cx, &mut into) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(read) => read.map_err(UpstreamError::Lost)?,
        }
        let input = into.filled();
        if input.is_empty() {
            return Poll::Ready(Err(UpstreamError::Closed));
        }
        worker.event();
        self.upstream.heard(worker, input.len());
        let taken = self.take_replies(worker, input)?;
        worker.made_room(&self.upstream);
        let rest = input.get(taken..).unwrap_or_default();
        if !rest.is_empty() {
            self.buffer = worker.pool.borrow_mut().take();
            self.buffer.extend_from_slice(rest);
        }
        Poll::Ready(Ok(()))
    }

    /// Goes on with a reply whose start is in the buffer.
    fn read_rest(
        &mut self,
        worker: &Rc<Worker>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamError>> {
        if self.buffer.len() > worker.shared.config.upstream_reply_max {
            worker.counters.upstream_reply_overflows.add(1);
            return Poll::Ready(Err(UpstreamError::TooLong));
        }
        let before = self.buffer.len();
        match read_more(&mut self.read, &mut self.buffer, self.needed, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(read) => read.map_err(UpstreamError::Lost)?,
        }
        if self.buffer.len() == before {
            return Poll::Ready(Err(UpstreamError::Closed));
        }
        worker.event();
        self.upstream.heard(worker, self.buffer.len() - before);
        let mut buffer = std::mem::take(&mut self.buffer);
        let taken = self.take_replies(worker, &buffer)?;
        worker.made_room(&self.upstream);
        buffer.drain(..taken);
        if buffer.is_empty() {
            worker.pool.borrow_mut().put(buffer);
        } else {
            self.buffer = buffer;
        }
        Poll::Ready(Ok(()))
    }

    fn take_replies(&mut self, worker: &Rc<Worker>, input: &[u8]) -> Result<usize, UpstreamError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(taken);
            }
            match self.scanner.scan(rest).map_err(UpstreamError::Protocol)? {
                Scan::Incomplete { needed } => {
                    self.needed = needed;
                    return Ok(taken);
                }
                Scan::Complete { len, kind } => {
                    taken += len;
                    if kind == ReplyKind::Push {
                        // Out of turn: the reply to no request.
                        worker.counters.upstream_pushes.add(1);
                        continue;
                    }
                    let reply = rest.get(..len).unwrap_or_default();
                    self.upstream.take_reply(worker, reply, kind)?;
                }
            }
        }
    }
}

/// Reads into the spare room of `buffer`, made for what is `needed` within reason.
pub fn read_more(
    read: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
    needed: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    /// Memory is not taken for more than this before it is filled: a length is only a claim.
    const ROOM_MAX: usize = 8 * 1024 * 1024;
    buffer.reserve(needed.clamp(16 * 1024, ROOM_MAX));
    // The future keeps nothing between polls: it is a poll with a buffer that may be unwritten.
    let reading = std::pin::pin!(read.read_buf(buffer));
    reading.poll(cx).map_ok(|_| ())
}
