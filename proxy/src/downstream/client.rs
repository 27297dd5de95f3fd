//! One client: what the tasks of nodes' connections need in order to answer it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use slotilla_common::clock::Tick;
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use tokio::net::tcp::OwnedWriteHalf;

use super::pipeline::{Followers, Pipeline, Sequence, Whereabouts};
use crate::upstream::UpstreamId;
use crate::worker::Worker;

/// Which replies a client wants (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Not that of the next command.
    SkipNext,
    /// Not that of this command.
    Skip,
}

/// A connected client.
#[derive(Debug)]
pub struct Client {
    /// Its number, unique in this process.
    pub id: u64,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Where it connected to.
    pub local_address: SocketAddr,
    /// When it connected.
    pub since: Tick,
    /// When it last sent something.
    pub last_active: Cell<Tick>,
    /// Whether it has given the password, or need not.
    pub is_authenticated: Cell<bool>,
    /// Which replies it wants.
    pub reply_mode: Cell<ReplyMode>,
    /// CLIENT NO-EVICT.
    pub no_evict: Cell<bool>,
    /// CLIENT SETNAME.
    pub name: RefCell<Box<str>>,
    /// The last command, for CLIENT LIST.
    pub last_command: Cell<&'static str>,
    /// Whether it is written to at the end of this turn.
    pub is_due: Cell<bool>,
    protocol: Cell<Protocol>,
    writer: OwnedWriteHalf,
    pipeline: RefCell<Pipeline>,
    /// The socket takes no more just now; the client's task waits for it.
    is_blocked: Cell<bool>,
    /// The client's task waits for replies before it reads on.
    is_stalled: Cell<bool>,
    /// Nothing more is read; when all is answered and written, it is closed.
    is_leaving: Cell<bool>,
    /// It is closed at once.
    must_close: Cell<bool>,
    is_closed: Cell<bool>,
    /// Bytes of its output that are part of all clients' sum.
    counted: Cell<usize>,
    /// The longest unread reply that exceeds client-output-max by itself.
    giant: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(
        id: u64,
        (address, local_address): (SocketAddr, SocketAddr),
        writer: OwnedWriteHalf,
        now: Tick,
        is_authenticated: bool,
    ) -> Self {
        Self {
            id,
            address,
            local_address,
            since: now,
            last_active: Cell::new(now),
            is_authenticated: Cell::new(is_authenticated),
            reply_mode: Cell::default(),
            no_evict: Cell::new(false),
            name: RefCell::default(),
            last_command: Cell::new("NULL"),
            is_due: Cell::new(false),
            protocol: Cell::default(),
            writer,
            pipeline: RefCell::default(),
            is_blocked: Cell::new(false),
            is_stalled: Cell::new(false),
            is_leaving: Cell::new(false),
            must_close: Cell::new(false),
            is_closed: Cell::new(false),
            counted: Cell::new(0),
            giant: Cell::new(0),
            waker: RefCell::default(),
        }
    }

    /// What it speaks.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// Changes what it speaks. Nothing may be in flight.
    pub fn speak(&self, protocol: Protocol) {
        self.protocol.set(protocol);
    }

    /// Whether its connection is gone.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Whether the reply to the command that is being handled is dropped.
    #[inline]
    pub fn is_silent(&self) -> bool {
        matches!(self.reply_mode.get(), ReplyMode::Off | ReplyMode::Skip)
    }

    /// Whether nothing is in flight and nothing unread.
    pub fn is_idle(&self) -> bool {
        let pipeline = self.pipeline.borrow();
        pipeline.in_flight() == 0 && pipeline.unwritten().is_empty()
    }

    /// Requests without an answer.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.pipeline.borrow().in_flight()
    }

    /// Bytes that it has not read.
    pub fn unread_bytes(&self) -> usize {
        self.pipeline.borrow().unread_bytes()
    }

    /// Gives a request its place in the order.
    #[inline]
    pub fn begin(&self, worker: &Worker, whereabouts: Whereabouts, is_read: bool) -> Sequence {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.acquire_buffers(&mut worker.pool.borrow_mut());
        pipeline.begin(whereabouts, is_read, self.is_silent())
    }

    /// Says where a request is now.
    pub fn is_at(&self, sequence: Sequence, whereabouts: Whereabouts) {
        self.pipeline.borrow_mut().moved(sequence, whereabouts);
    }

    /// Says that a request goes in so many parts, one for each of these slots.
    pub fn split(&self, sequence: Sequence, parts: u32, slots: impl Iterator<Item = Slot>) {
        self.pipeline.borrow_mut().split(sequence, parts, slots);
    }

    /// Says where a part of a request is now.
    pub fn part_is_at(&self, sequence: Sequence, part: u32, whereabouts: Whereabouts) {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.part_moved(sequence, part, whereabouts);
    }

    /// Says that the answer to a part of a request has come.
    pub fn part_answered(&self, sequence: Sequence, part: u32) {
        self.pipeline.borrow_mut().part_answered(sequence, part);
    }

    /// See [`Pipeline::would_overtake`].
    pub fn would_overtake(
        &self,
        sequence: Sequence,
        slot: Slot,
        target: Option<UpstreamId>,
    ) -> bool {
        let pipeline = self.pipeline.borrow();
        pipeline.would_overtake(sequence, slot, target)
    }

    /// Whether a new request on `slot`, sent to `target`, would overtake one that is out.
    pub fn new_would_overtake(&self, slot: Slot, target: Option<UpstreamId>) -> bool {
        let pipeline = self.pipeline.borrow();
        pipeline.would_overtake(pipeline.next_sequence(), slot, target)
    }

    /// See [`Pipeline::followers`].
    pub fn followers(&self, sequence: Sequence, concerns: impl Fn(Slot) -> bool) -> Followers {
        self.pipeline.borrow().followers(sequence, concerns)
    }

    /// Whether any of its requests waits to be sent.
    pub fn has_held(&self) -> bool {
        self.pipeline.borrow().holds_any()
    }

    /// Takes the reply to a request; it is written at the end of the turn.
    #[inline]
    pub fn deliver(self: &Rc<Self>, worker: &Rc<Worker>, sequence: Sequence, reply: &[u8]) {
        if self.is_closed.get() {
            return;
        }
        if reply.len() > CHECKED_MIN && reply.len() > worker.shared.config.client_output_max {
            self.giant.set(self.giant.get().max(reply.len()));
        }
        let may_leave = self.pipeline.borrow_mut().deliver(sequence, reply);
        if may_leave || self.is_stalled.get() {
            worker.write_client(self);
        } else if reply.len() > CHECKED_MIN {
            self.check_output(worker);
        }
    }

    /// Answers the command that is being handled.
    pub fn answer(self: &Rc<Self>, worker: &Rc<Worker>, write: impl FnOnce(&mut ReplyWriter<'_>)) {
        let protocol = self.protocol.get();
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.acquire_buffers(&mut worker.pool.borrow_mut());
        pipeline.answer(self.is_silent(), |out| {
            write(&mut ReplyWriter::new(out, protocol));
        });
        drop(pipeline);
        worker.write_client(self);
    }

    /// Writes what may leave, as far as the socket takes it.
    pub fn write(&self, worker: &Worker) {
        if self.is_closed.get() || self.must_close.get() {
            return;
        }
        if !self.is_blocked.get() {
            self.write_out(worker);
        }
        self.check_output(worker);
        if self.is_stalled.get() || self.is_leaving.get() {
            self.wake();
        }
    }

    fn write_out(&self, worker: &Worker) {
        let mut pipeline = self.pipeline.borrow_mut();
        while !pipeline.unwritten().is_empty() {
            match self.writer.try_write(pipeline.unwritten()) {
                Ok(count) => {
                    worker.counters.downstream_tx_bytes.add(count as u64);
                    pipeline.wrote(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked.set(true);
                    self.wake();
                    return;
                }
                Err(_) => {
                    self.must_close.set(true);
                    self.wake();
                    return;
                }
            }
        }
        pipeline.release_buffers(&mut worker.pool.borrow_mut());
    }

    /// A client that reads too slowly is closed: to stop reading from it could deadlock one
    /// that writes all before it reads. One reply may be as long as it is.
    fn check_output(&self, worker: &Worker) {
        let unread = self.unread_bytes();
        if unread > COUNTED_MIN || self.counted.get() > 0 {
            self.count_output(worker, unread);
        }
        let limit = worker.shared.config.client_output_max;
        if unread > limit.saturating_add(self.giant.get()) && !self.must_close.get() {
            tracing::warn!(
                client = %self.address,
                unread,
                "closed: more unread replies than client-output-max"
            );
            worker.counters.output_overflows.add(1);
            self.close();
        }
    }

    /// Keeps the sum over all clients. Beyond maxmemory-clients the one of this thread that has
    /// left most unread is closed.
    #[cold]
    fn count_output(&self, worker: &Worker, unread: usize) {
        if unread == 0 {
            self.giant.set(0);
        }
        let before = self.counted.replace(unread);
        let sum = &worker.shared.output_bytes;
        if unread <= before {
            sum.fetch_sub(before - unread, Ordering::Relaxed);
            return;
        }
        let more = unread - before;
        let sum = sum.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let limit = worker.shared.config.maxmemory_clients;
        if limit > 0 && sum > limit {
            evict_hungriest(worker);
        }
    }

    /// For the client's task: registers for wake-ups, goes on writing when the socket takes
    /// more. Whether the connection is to be closed now.
    pub fn poll_writer(&self, worker: &Worker, cx: &mut Context<'_>) -> bool {
        let is_known = matches!(&*self.waker.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !is_known {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        while self.is_blocked.get() {
            match self.writer.as_ref().poll_write_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(())) => {
                    self.is_blocked.set(false);
                    self.write_out(worker);
                    if self.counted.get() > 0 {
                        self.count_output(worker, self.unread_bytes());
                    }
                }
            }
        }
        self.must_close.get() || (self.is_leaving.get() && self.is_idle())
    }

    /// Says whether the client's task waits for replies before it reads on.
    pub fn stall(&self, is_stalled: bool) {
        self.is_stalled.set(is_stalled);
    }

    /// Nothing more is read; the connection is closed when all is answered and written.
    pub fn leave(&self) {
        self.is_leaving.set(true);
        self.wake();
    }

    /// Whether nothing more is read.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Closes the connection at once.
    pub fn close(&self) {
        self.must_close.set(true);
        self.wake();
    }

    /// The connection is gone: replies still to come are dropped.
    pub fn closed(&self, worker: &Worker) {
        self.is_closed.set(true);
        let counted = self.counted.take();
        worker
            .shared
            .output_bytes
            .fetch_sub(counted, Ordering::Relaxed);
        *self.pipeline.borrow_mut() = Pipeline::default();
        *self.waker.borrow_mut() = None;
    }

    /// Has the client's task look around.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// Replies and outputs below this are too small to look at each time.
const CHECKED_MIN: usize = 4096;
/// Outputs below this are not part of the sum; so usual clients share no memory across threads.
const COUNTED_MIN: usize = 64 * 1024;

fn evict_hungriest(worker: &Worker) {
    let clients = worker.clients.borrow();
    let may_go = |client: &&Rc<Client>| !client.no_evict.get() && !client.must_close.get();
    let hungriest = clients
        .values()
        .filter(may_go)
        .max_by_key(|client| client.counted.get());
    if let Some(client) = hungriest.filter(|client| client.counted.get() > 0) {
        tracing::warn!(
            client = %client.address,
            unread = client.counted.get(),
            "closed: the unread replies of all clients exceed maxmemory-clients"
        );
        worker.counters.evicted_clients.add(1);
        client.close();
    }
}
