//! One connection to a node: made when it is needed, shared by all clients of the thread.
//!
//! ```text
//!          first request            connected and greeted
//!   idle ───────────────► connecting ───────────────────► ready
//!    ▲                        │                             │
//!    └────────────────────────┴──────── failed, lost ───────┘
//! ```
//! Requests queue from the first on. What was never wholly sent is sent again elsewhere or later;
//! of what was sent, reads may be repeated, and writes never are: they may have run.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slotilla_common::clock::Tick;
use slotilla_common::redirect::Redirect;
use slotilla_common::resp::{Protocol, ReplyKind};
use tokio::net::tcp::OwnedWriteHalf;

use super::{InFlight, Lost, UpstreamId, reader};
use crate::error;
use crate::metrics::Counter;
use crate::outages::Failure;
use crate::router::{Owner, Request};
use crate::slotmap::{Address, NodeIndex};
use crate::worker::Worker;

/// A connection, or the place where one will be.
#[derive(Debug)]
pub struct Upstream {
    /// Its number.
    pub id: UpstreamId,
    /// The node.
    pub node: NodeIndex,
    /// The node's address.
    pub address: Address,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Whether it is written to at the end of this turn.
    pub is_due: Cell<bool>,
    /// What happened on it.
    pub figures: Figures,
    state: RefCell<UpstreamState>,
}

/// What happened on a connection, for the metrics of its node.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests queued.
    pub requests: Counter,
    /// Error replies, redirections included.
    pub errors: Counter,
    /// Requests without a reply in time.
    pub timeouts: Counter,
    /// Times it was made.
    pub connections: Counter,
    /// Times it could not be made.
    pub connect_failures: Counter,
    /// Times it ended.
    pub lost: Counter,
}

/// What changes about it.
#[derive(Debug)]
struct UpstreamState {
    phase: Phase,
    in_flight: InFlight<Request>,
    /// There while ready.
    writer: Option<OwnedWriteHalf>,
    /// The socket takes no more just now; the reading task waits for it.
    is_blocked: bool,
    /// Of the reading task.
    waker: Option<Waker>,
    /// Why somebody wants it closed.
    closing: Option<UpstreamError>,
    /// When the node last sent something.
    heard: Tick,
    /// No request in flight that waits for its deadline came before this.
    oldest: Option<Tick>,
    /// Before this no new attempt at connecting is made.
    not_before: Option<Tick>,
    /// When the connection was made.
    made: Tick,
    /// It has lasted long enough, and brought enough, to show that the node is well.
    is_trusted: bool,
    /// Connections that could not be made, or ended soon after, one after the other.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    Ready,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It could not be made in time.
    #[error("no connection within connect-timeout")]
    ConnectTimeout,
    /// It could not be made.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The node refused the greeting.
    #[error("the node refused {command}: {answer}")]
    Greeting {
        /// HELLO or AUTH.
        command: &'static str,
        /// What it said.
        answer: String,
    },
    /// Reading or writing failed, or the node closed.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// The node closed.
    #[error("the node closed the connection")]
    Closed,
    /// What the node sent is no reply.
    #[error("the node broke the protocol: {0}")]
    Protocol(slotilla_common::resp::DecodeError),
    /// A reply to no request.
    #[error("the node answered what nobody asked")]
    Unexpected,
    /// A reply beyond the limit.
    #[error("the node's reply is longer than upstream-reply-max")]
    TooLong,
    /// Nothing came for too long.
    #[error("the node was silent for request-timeout while requests waited")]
    Silent,
    /// The place of its node belongs to another.
    #[error("the node is no part of the cluster any more")]
    Gone,
}

impl Upstream {
    /// A connection that is not made yet.
    #[must_use]
    pub fn new(
        id: UpstreamId,
        node: NodeIndex,
        address: Address,
        protocol: Protocol,
        now: Tick,
    ) -> Self {
        Self {
            id,
            node,
            address,
            protocol,
            is_due: Cell::new(false),
            figures: Figures::default(),
            state: RefCell::new(UpstreamState {
                phase: Phase::Idle,
                in_flight: InFlight::default(),
                writer: None,
                is_blocked: false,
                waker: None,
                closing: None,
                heard: now,
                oldest: None,
                not_before: None,
                made: now,
                is_trusted: false,
                failures: 0,
            }),
        }
    }

    /// Whether it is connected or has requests.
    pub fn is_busy(&self) -> bool {
        let state = self.state.borrow();
        state.phase != Phase::Idle || !state.in_flight.is_empty()
    }

    /// Whether it is connected.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().phase == Phase::Ready
    }

    /// Requests without a reply, and their bytes.
    pub fn load(&self) -> (usize, usize) {
        let state = self.state.borrow();
        (state.in_flight.len(), state.in_flight.bytes())
    }

    /// Whether the node cannot be reached: the last connection could not be made, or ended soon.
    pub fn is_down(&self) -> bool {
        let state = self.state.borrow();
        state.failures > 0 && state.phase != Phase::Ready
    }

    /// Whether clients should not be read for its sake.
    #[inline]
    pub fn is_full(&self, bytes_max: usize) -> bool {
        self.state.borrow().in_flight.bytes() > bytes_max
    }

    /// Queues a request; after an ASKING if the slot is on its way to this node. Gives it back
    /// if the node could not be reached a moment ago.
    #[inline]
    pub fn push(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        bytes: &[u8],
        request: Request,
        asking: bool,
    ) -> Result<(), Request> {
        self.figures.requests.add(1);
        let mut state = self.state.borrow_mut();
        match state.phase {
            Phase::Ready => {
                state.queue(bytes, request, asking);
                worker.write_upstream(self);
            }
            Phase::Connecting => state.queue(bytes, request, asking),
            Phase::Idle => {
                if state.not_before.is_some_and(|time| worker.now() < time) {
                    return Err(request);
                }
                state.queue(bytes, request, asking);
                state.phase = Phase::Connecting;
                state.closing = None;
                state.heard = worker.now();
                drop(state);
                let task = reader::run(Rc::clone(worker), Rc::clone(self));
                tokio::task::spawn_local(task);
            }
        }
        Ok(())
    }

    /// The connection is made.
    pub(super) fn connected(self: &Rc<Self>, worker: &Rc<Worker>, writer: OwnedWriteHalf) {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Ready;
        state.writer = Some(writer);
        state.is_blocked = false;
        state.made = worker.now();
        state.is_trusted = false;
        state.heard = worker.now();
        drop(state);
        self.figures.connections.add(1);
        worker.counters.upstream_cx_total.add(1);
        worker.counters.upstream_cx_active.add(1);
        worker.write_upstream(self);
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn write(&self, worker: &Rc<Worker>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(writer) = &state.writer else {
            return;
        };
        if state.is_blocked {
            return;
        }
        while !state.in_flight.unsent().is_empty() {
            match writer.try_write(state.in_flight.unsent()) {
                Ok(count) => {
                    worker.counters.upstream_tx_bytes.add(count as u64);
                    state.in_flight.sent(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.is_blocked = true;
                    state.wake();
                    return;
                }
                Err(error) => return state.close(UpstreamError::Lost(error)),
            }
        }
    }

    /// For the reading task: registers for wake-ups, goes on writing when the socket takes more.
    pub(super) fn poll_writer(
        &self,
        worker: &Rc<Worker>,
        cx: &mut Context<'_>,
    ) -> Result<(), UpstreamError> {
        loop {
            let mut state = self.state.borrow_mut();
            if !matches!(&state.waker, Some(waker) if waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
            if let Some(error) = state.closing.take() {
                return Err(error);
            }
            if !state.is_blocked {
                return Ok(());
            }
            let Some(writer) = &state.writer else {
                return Ok(());
            };
            match writer.as_ref().poll_write_ready(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(UpstreamError::Lost(error)),
                Poll::Ready(Ok(())) => state.is_blocked = false,
            }
            drop(state);
            self.write(worker);
        }
    }

    /// Hands a reply to whom it belongs.
    #[inline]
    pub(super) fn take_reply(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        reply: &[u8],
        kind: ReplyKind,
    ) -> Result<(), UpstreamError> {
        let mut state = self.state.borrow_mut();
        let redirect = match kind {
            ReplyKind::Error => {
                self.figures.errors.add(1);
                Redirect::parse(error::text_of(reply))
            }
            _ => None,
        };
        let Some(redirect) = redirect else {
            let request = state.in_flight.answered();
            drop(state);
            let request = request.ok_or(UpstreamError::Unexpected)?;
            worker.finish(request, reply);
            return Ok(());
        };
        let bytes = state.in_flight.first_request().to_vec();
        let request = state.in_flight.answered();
        drop(state);
        let request = request.ok_or(UpstreamError::Unexpected)?;
        worker.redirected(self, request, bytes, &redirect, reply);
        Ok(())
    }

    /// Takes note that the node sent something.
    pub(super) fn heard(&self, worker: &Worker, count: usize) {
        worker.counters.upstream_rx_bytes.add(count as u64);
        self.state.borrow_mut().heard = worker.now();
    }

    /// The connection could not be made, or is lost: every request is sent again or answered.
    pub(super) fn failed(self: &Rc<Self>, worker: &Rc<Worker>, error: &UpstreamError) {
        worker.event();
        let mut state = self.state.borrow_mut();
        let was_ready = state.phase == Phase::Ready;
        state.phase = Phase::Idle;
        state.writer = None;
        state.waker = None;
        state.is_blocked = false;
        let lost = state.in_flight.lose();
        if was_ready {
            worker.counters.upstream_cx_active.sub(1);
            worker.counters.upstream_cx_lost.add(1);
            self.figures.lost.add(1);
        } else {
            worker.counters.upstream_cx_connect_fail.add(1);
            self.figures.connect_failures.add(1);
        }
        // A node that has no room for more clients takes the connection, and ends it.
        let was_short = worker.since(state.made) < worker.shared.config.retry_backoff_max;
        if was_ready && !was_short {
            state.failures = 0;
            state.not_before = None;
        } else {
            state.failures = state.failures.saturating_add(1);
            let backoff = worker.backoff(u16::try_from(state.failures).unwrap_or(u16::MAX));
            state.not_before = Some(worker.after(backoff));
        }
        let failure = match state.failures {
            0 => Failure::Loss,
            _ => Failure::Attempt,
        };
        drop(state);
        self.tell(worker, failure, lost.len(), error);
        worker.shared.refresher.ask();
        for Lost {
            request: bytes,
            whose: request,
            was_sent,
        } in lost
        {
            worker.lost(bytes, request, was_sent);
        }
        worker.release_held_back();
    }

    /// Logs why the connection failed, unless that is known of the node.
    fn tell(&self, worker: &Worker, failure: Failure, requests: usize, error: &UpstreamError) {
        let node = &self.address;
        let outages = &worker.shared.outages;
        if matches!(error, UpstreamError::Gone) {
            tracing::info!(%node, requests, "{error}");
        } else if outages.failed(node, failure, error.to_string()) {
            tracing::warn!(%node, requests, "{error}");
        } else {
            tracing::debug!(%node, requests, "{error}");
        }
    }

    /// Ends the connection: its node is gone from the map.
    pub fn close(&self) {
        self.state.borrow_mut().close(UpstreamError::Gone);
    }

    /// Answers requests whose time is over; gives up a connection that has gone silent.
    pub fn check_deadlines(self: &Rc<Self>, worker: &Rc<Worker>) {
        let limit = worker.shared.config.request_timeout;
        let mut state = self.state.borrow_mut();
        let over = if state
            .oldest
            .is_some_and(|oldest| worker.since(oldest) >= limit)
        {
            state.take_overdue(|request| worker.since(request.started) >= limit)
        } else {
            Vec::new()
        };
        let is_silent = state.phase == Phase::Ready
            && worker.since(state.heard) >= limit
            && state
                .in_flight
                .first()
                .is_some_and(|first| worker.since(first.started) >= limit);
        if is_silent {
            state.close(UpstreamError::Silent);
        }
        let is_calm = state.phase == Phase::Ready
            && !state.is_trusted
            && state.heard > state.made
            && worker.since(state.made) >= worker.shared.outages.calm();
        if is_calm {
            state.is_trusted = worker.shared.outages.answered(&self.address);
        }
        drop(state);
        for request in over {
            worker.counters.upstream_rq_timeout.add(1);
            self.figures.timeouts.add(1);
            worker.finish(request, error::TIMED_OUT);
        }
    }
}

impl UpstreamState {
    #[inline]
    fn queue(&mut self, bytes: &[u8], request: Request, asking: bool) {
        if asking {
            const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";
            let nobody = Request {
                owner: Owner::Nobody,
                ..request.copy_without_owner()
            };
            self.in_flight.push(&[ASKING], nobody);
        }
        // One that is sent again may be older than those before it.
        if self.oldest.is_none_or(|oldest| request.started < oldest) {
            self.oldest = Some(request.started);
        }
        self.in_flight.push(&[bytes], request);
    }

    /// The requests whose time is over; their replies will be nobody's.
    fn take_overdue(&mut self, is_over: impl Fn(&Request) -> bool) -> Vec<Request> {
        let mut over = Vec::new();
        self.oldest = None;
        for request in self.in_flight.iter_mut() {
            if matches!(request.owner, Owner::Nobody) {
                continue;
            }
            if is_over(request) {
                let owner = std::mem::replace(&mut request.owner, Owner::Nobody);
                over.push(Request {
                    owner,
                    ..request.copy_without_owner()
                });
            } else if self.oldest.is_none_or(|oldest| request.started < oldest) {
                self.oldest = Some(request.started);
            }
        }
        over
    }

    /// Has the reading task end the connection and clean up.
    fn close(&mut self, why: UpstreamError) {
        self.closing.get_or_insert(why);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
