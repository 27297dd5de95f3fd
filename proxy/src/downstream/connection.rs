//! The task of one client: reads, parses, hands each request to the session.
//!
//! An idle client holds no buffer: the thread's own is read into, and only the start of a request
//! that goes on is kept.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slotilla_common::resp::{Parsed, RequestLimits, RequestParser, multibulk};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::client::Client;
use super::session::{self, Handled};
use crate::router::RequestArgs;
use crate::upstream::read_more;
use crate::worker::Worker;

/// Serves a client until one side closes.
pub async fn serve(worker: Rc<Worker>, stream: TcpStream, address: SocketAddr) {
    let Ok(local_address) = stream.local_addr() else {
        worker.counters.left.add(1);
        return worker.shared.client_left();
    };
    worker.event();
    let (read, write) = stream.into_split();
    let client = Rc::new(Client::new(
        worker.shared.next_client_id(),
        (address, local_address),
        write,
        worker.now(),
        worker.shared.config.requirepass.is_empty(),
    ));
    worker
        .clients
        .borrow_mut()
        .insert(client.id, Rc::clone(&client));
    worker.counters.downstream_cx_total.add(1);
    worker.counters.downstream_cx_active.add(1);
    let mut connection = Connection {
        client: Rc::clone(&client),
        read,
        parser: RequestParser::default(),
        input: Vec::new(),
        needed: 0,
    };
    poll_fn(|cx| connection.poll(&worker, cx)).await;
    client.closed(&worker);
    worker.clients.borrow_mut().remove(&client.id);
    worker.counters.downstream_cx_active.sub(1);
    worker.counters.left.add(1);
    worker.shared.client_left();
}

struct Connection {
    client: Rc<Client>,
    read: OwnedReadHalf,
    parser: RequestParser,
    /// What was read and not handled: the start of a request, or all after a stall.
    input: Vec<u8>,
    needed: usize,
}

/// Why the handling of input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// All whole requests are handled.
    NeedsMore,
    /// The next request has to wait for replies.
    Stalled,
    /// The client is leaving; what comes after is not looked at.
    Leaving,
}

impl Connection {
    /// Ready when the connection is to be dropped.
    fn poll(&mut self, worker: &Rc<Worker>, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.poll_writer(worker, cx) {
            return Poll::Ready(());
        }
        if self.client.is_leaving() {
            return self.poll_discard(cx);
        }
        if !self.input.is_empty() {
            worker.event();
            if self.handle_kept(worker) != Stop::NeedsMore {
                return self.poll_after_stop(cx);
            }
        }
        loop {
            let read = if self.input.is_empty() {
                self.read_fresh(worker, cx)
            } else {
                self.read_on(worker, cx)
            };
            let (stop, was_full) = match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(read)) => read,
                // A client that half-closes still gets its replies.
                Poll::Ready(None) => {
                    self.client.leave();
                    (Stop::Leaving, false)
                }
            };
            if stop != Stop::NeedsMore {
                return self.poll_after_stop(cx);
            }
            if was_full {
                // There is more; others get their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn poll_after_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.is_leaving() {
            self.input = Vec::new();
            if self.client.is_idle() {
                return Poll::Ready(());
            }
            return self.poll_discard(cx);
        }
        Poll::Pending
    }

    /// Nothing is read any more; replies still leave.
    fn poll_discard(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.client.is_idle() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads into the thread's buffer. `None` at the end of the stream.
    fn read_fresh(
        &mut self,
        worker: &Rc<Worker>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Stop, bool)>> {
        let mut shared = worker.read_buffer.borrow_mut();
        let room = shared.len();
        let mut into = ReadBuf::new(&mut shared);
        match Pin::new(&mut self.read).poll_read(cx, &mut into) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => {
                self.client.close();
                return Poll::Ready(None);
            }
            Poll::Ready(Ok(())) => {}
        }
        let input = into.filled();
        if input.is_empty() {
            return Poll::Ready(None);
        }
        worker.event();
        self.heard(worker, input.len());
        let (taken, stop) = self.handle(worker, input);
        let rest = input.get(taken..).unwrap_or_default();
        if !rest.is_empty() && stop != Stop::Leaving {
            self.input = worker.pool.borrow_mut().take();
            self.input.extend_from_slice(rest);
        }
        Poll::Ready(Some((stop, input.len() == room)))
    }

    /// Goes on with a request whose start is kept.
    fn read_on(&mut self, worker: &Rc<Worker>, cx: &mut Context<'_>) -> Poll<Option<(Stop, bool)>> {
        if self.input.len() > worker.shared.config.client_query_buffer_limit {
            tracing::warn!(
                client = %self.client.address,
                "closed: a request longer than client-query-buffer-limit"
            );
            worker.counters.query_overflows.add(1);
            self.client.close();
            return Poll::Ready(None);
        }
        let before = self.input.len();
        match read_more(&mut self.read, &mut self.input, self.needed, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => {
                self.client.close();
                return Poll::Ready(None);
            }
            Poll::Ready(Ok(())) => {}
        }
        let count = self.input.len() - before;
        if count == 0 {
            return Poll::Ready(None);
        }
        worker.event();
        self.heard(worker, count);
        let was_full = self.input.len() == self.input.capacity();
        Poll::Ready(Some((self.handle_kept(worker), was_full)))
    }

    fn heard(&self, worker: &Worker, count: usize) {
        self.client.last_active.set(worker.now());
        worker.counters.downstream_rx_bytes.add(count as u64);
    }

    fn handle_kept(&mut self, worker: &Rc<Worker>) -> Stop {
        let mut input = std::mem::take(&mut self.input);
        let (taken, stop) = self.handle(worker, &input);
        if taken == input.len() || stop == Stop::Leaving {
            worker.pool.borrow_mut().put(input);
        } else {
            input.drain(..taken);
            self.input = input;
        }
        stop
    }

    /// Handles the whole requests in `input`. How many bytes they took, and why it ended.
    fn handle(&mut self, worker: &Rc<Worker>, input: &[u8]) -> (usize, Stop) {
        let client = Rc::clone(&self.client);
        client.stall(false);
        let mut ranges = worker.args.take();
        let mut taken = 0;
        let stop = loop {
            let rest = input.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                break Stop::NeedsMore;
            }
            ranges.clear();
            let limits = RequestLimits {
                max_bulk: worker.shared.config.proto_max_bulk_len,
                authenticated: client.is_authenticated.get(),
                ..RequestLimits::default()
            };
            let (consumed, handled) = match self.parser.parse(rest, &mut ranges, &limits) {
                Ok(Parsed::Complete { consumed }) if ranges.is_empty() => {
                    // No reply, but it is a request to CLIENT REPLY SKIP.
                    session::end_of_command(&client);
                    taken += consumed;
                    continue;
                }
                Ok(Parsed::Complete { consumed }) => {
                    let bytes = rest.get(..consumed).unwrap_or_default();
                    let args = RequestArgs::new(bytes, &ranges);
                    (consumed, session::handle(worker, &client, &args))
                }
                Ok(Parsed::Words { consumed }) => {
                    let words = ranges.iter().map(|range| range.of(rest));
                    let (request, ranges) = multibulk(words);
                    let args = RequestArgs::new(&request, &ranges);
                    (consumed, session::handle(worker, &client, &args))
                }
                Ok(Parsed::Inline { consumed, request }) => {
                    let args = RequestArgs::new(&request, &ranges);
                    (consumed, session::handle(worker, &client, &args))
                }
                Ok(Parsed::Incomplete { needed }) => {
                    self.needed = needed;
                    break Stop::NeedsMore;
                }
                Err(error) => {
                    worker.counters.downstream_protocol_errors.add(1);
                    let text = [b"ERR ", &error.text()[..]].concat();
                    client.answer(worker, |out| out.error_bytes(&text));
                    client.leave();
                    break Stop::Leaving;
                }
            };
            match handled {
                Handled::Done => taken += consumed,
                Handled::Stalled => {
                    client.stall(true);
                    break Stop::Stalled;
                }
                Handled::Leaving => {
                    client.leave();
                    break Stop::Leaving;
                }
                Handled::HangUp => {
                    worker.counters.downstream_protocol_errors.add(1);
                    client.close();
                    break Stop::Leaving;
                }
            }
        };
        worker.args.replace(ranges);
        (taken, stop)
    }
}
