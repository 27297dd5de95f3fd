//! The shell around a session: moves bytes between a socket and it.
//!
//! Reads go into the worker's one input buffer and replies into a buffer that it lends until they
//! are sent, so an idle connection holds neither. A connection has memory of its own only for a
//! request that has not come whole, and for replies that its socket did not take.

use slotilla_common::clock;
use slotilla_common::resp::ReplyWriter;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

use super::Server;
use super::blocked::{BlockedCommand, Outcome, UNBLOCKED};
use super::client::{Introduction, flag};
use super::long::{Done, InLine};
use super::output_limit::OutputWatch;
use super::session::{OUTPUT_PER_TURN, Session, SessionState, Then};
use super::socket::{Raw, Socket};
use super::unconfirmed::Unconfirmed;
use super::unsent::{Unsent, trim};
use super::worker::{self, INPUT_BYTES, Worker};
use crate::aof;
use crate::commands::{Answer, HandOver, Taken};

mod confirm;

/// A connection on its way to its worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, in non-blocking mode, not yet registered with any runtime.
    pub socket: Raw,
    /// Who it is.
    pub introduction: Introduction,
}

/// Batches that one connection runs before the others have their turn.
const BATCHES_PER_TURN: usize = 64;

/// Replies up to this size wait until the other connections have run too.
const OUTPUT_DEFERRED: usize = 32 * 1024;

/// Mail is taken while less than this is unsent: what a client is slow to read stays shared with
/// others who get it.
const MAIL_PER_TURN: usize = 64 * 1024;

/// Serves a connection until it ends. Must run on a worker's thread.
pub async fn serve(accepted: Accepted, open: Arc<AtomicUsize>) {
    let _open = Open(open);
    if let Some(Ok(connection)) = worker::with(|worker| Connection::new(worker, accepted)) {
        connection.await;
    }
}

/// Counts a connection out, however it ends.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection waits for before it goes on with its input.
enum Wait {
    Nothing,
    Background(tokio::task::JoinHandle<Vec<u8>>),
    Pause(Pin<Box<dyn Future<Output = ()> + Send>>),
    Keys(Box<BlockedCommand>),
    /// For what the session has got in line for.
    InLine,
    /// The session is away with it.
    Long(oneshot::Receiver<Done>),
    Answer(Answer),
    /// The connection is given away once all is sent.
    HandOver(HandOver),
    /// The connection is somebody else's, until this is dropped on the other side.
    Away(oneshot::Receiver<()>),
}

struct Connection {
    server: Arc<Server>,
    socket: Socket,
    session: Session,
    /// Received, but not a whole request yet, or held back while waiting.
    pending: Vec<u8>,
    /// Answered, but not taken by the socket yet.
    unsent: Unsent,
    unread: OutputWatch,
    wait: Wait,
    /// What is unsent waits until the log is safe up to here.
    held: Option<u64>,
    /// What is unsent waits until replicas have it; there since the first time.
    unconfirmed: Option<Box<Unconfirmed>>,
    /// There may be whole requests in `pending`.
    more: bool,
    /// Nothing more is read; it ends once all is sent.
    closing: bool,
    introduced: bool,
}

/// The connection is over.
struct Ended;

/// What one step of a connection came to.
enum Step {
    /// Go on with the next step.
    Go,
    /// Let others have their turn first.
    Yield,
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = worker::with(|worker| self.turn(worker, cx));
        turn.unwrap_or(Poll::Ready(()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match &self.wait {
            Wait::Keys(command) => command.abandon(),
            // Whoever has it waits for the other side, and is told so that there is none.
            Wait::Away(_) => self.socket.shut_down(),
            _ => {}
        }
        let SessionState {
            client,
            transaction,
            ..
        } = &mut self.session.state;
        transaction.close(client, &self.server.store);
        self.server.pubsub.forget(client);
        self.server.clients.dismiss(client);
    }
}

impl Connection {
    fn new(worker: &mut Worker, accepted: Accepted) -> io::Result<Self> {
        let server = Arc::clone(&worker.server);
        let socket = Socket::register(accepted.socket)?;
        let client = server.clients.admit(accepted.introduction);
        let session = Session::new(client, !server.config.has_password());
        Ok(Self {
            server,
            socket,
            session,
            pending: Vec::new(),
            unsent: Unsent::default(),
            unread: OutputWatch::default(),
            wait: Wait::Nothing,
            held: None,
            unconfirmed: None,
            more: false,
            closing: false,
            introduced: false,
        })
    }

    /// Steps until there is nothing to do, or others should have their turn.
    fn turn(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<()> {
        if !self.introduced {
            self.session.state.client.set_waker(cx.waker());
            self.introduced = true;
        }
        let ended = loop {
            match self.step(worker, cx) {
                Poll::Ready(Ok(Step::Go)) => {}
                Poll::Ready(Ok(Step::Yield)) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Err(Ended)) => break Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        worker.nudge();
        ended
    }

    /// Sends what there is, waits for what it must, runs what it has, reads: the first that
    /// there is to do.
    fn step(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<Result<Step, Ended>> {
        let flags = self.session.state.client.flags();
        if flags & flag::KILLED != 0 {
            return Poll::Ready(Err(Ended));
        }
        if flags & flag::MAIL != 0 && self.unsent.bytes() < MAIL_PER_TURN && !self.is_unconfirmed()
        {
            let mut out = self.output(worker);
            self.session.state.client.take_mail(&mut out, MAIL_PER_TURN);
            self.put_output(worker, out);
        }
        if let Some(offset) = self.held {
            let who = self.session.state.client.id;
            aof::write_before_reply(&self.server, offset);
            ready!(self.server.aof.hold.poll(offset, who, cx));
            self.held = None;
        }
        ready!(self.poll_confirmed(worker, cx))?;
        let flushed = match self.poll_send(worker, cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(ended)) => return Poll::Ready(Err(ended)),
            Poll::Pending => false,
        };
        if self.closing {
            return if flushed {
                Poll::Ready(Err(Ended))
            } else {
                Poll::Pending
            };
        }
        if flushed && self.session.state.client.has(flag::MAIL) {
            return Poll::Ready(Ok(Step::Yield));
        }
        if self.poll_wait(worker, cx).is_pending() {
            return self.poll_held(worker, cx);
        }
        if self.closing || self.is_unconfirmed() {
            // What ended the wait closes the connection, once that is told; or waits itself.
            return Poll::Ready(Ok(Step::Go));
        }
        if self.more {
            let mut pending = std::mem::take(&mut self.pending);
            let consumed = self.run(worker, &pending);
            pending.drain(..consumed);
            trim(&mut pending);
            self.pending = pending;
            return Poll::Ready(self.after_run(true));
        }
        self.poll_read(worker, cx)
    }

    /// While clients are paused or wait for keys: notices one that has gone. As in Redis its requests
    /// then never run; what it asked for where Redis runs everything at once does.
    fn poll_held(
        &mut self,
        worker: &mut Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Ended>> {
        let reads = match self.wait {
            Wait::Pause(_) => self.pending.len() < INPUT_BYTES,
            // For as long as that takes: or one that has gone would be served.
            Wait::Keys(_) | Wait::Answer(_) => true,
            Wait::Background(_)
            | Wait::InLine
            | Wait::Long(_)
            | Wait::HandOver(_)
            | Wait::Away(_)
            | Wait::Nothing => false,
        };
        if reads {
            self.poll_read(worker, cx)
        } else {
            Poll::Pending
        }
    }

    /// Reads once and runs what came, or keeps it while clients are paused.
    fn poll_read(
        &mut self,
        worker: &mut Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, Ended>> {
        let mut input = std::mem::take(&mut worker.input);
        // Whole already, unless a command panicked while it was lent out.
        input.resize(INPUT_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut input);
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut buffer);
        let received = buffer.filled().len();
        let held = !matches!(self.wait, Wait::Nothing);
        let outcome = match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if received > 0 => {
                let bytes = input.get(..received).unwrap_or_default();
                Poll::Ready(if held {
                    self.pending.extend_from_slice(bytes);
                    self.after_run(false)
                } else {
                    self.receive(worker, bytes)
                })
            }
            Poll::Ready(Ok(())) if held => Poll::Ready(Err(Ended)),
            // The peer sends no more; what it asked for before, it still gets.
            Poll::Ready(Ok(())) => {
                self.closing = true;
                Poll::Ready(Ok(Step::Go))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Ended)),
        };
        worker.input = input;
        outcome
    }

    fn receive(&mut self, worker: &mut Worker, bytes: &[u8]) -> Result<Step, Ended> {
        if let Some(stats) = worker.stats() {
            stats.reads.add(1);
            stats.input_bytes.add(bytes.len() as u64);
        }
        let whole_buffer = bytes.len() == INPUT_BYTES;
        if self.pending.is_empty() {
            let consumed = self.run(worker, bytes);
            let rest = bytes.get(consumed..).unwrap_or_default();
            self.pending.extend_from_slice(rest);
        } else {
            self.pending.extend_from_slice(bytes);
            self.more = true;
        }
        self.after_run(whole_buffer)
    }

    /// The buffer for what is answered next: the last of the unsent ones, or the worker's.
    fn output(&mut self, worker: &mut Worker) -> Vec<u8> {
        let last = self.unsent.take_last();
        last.unwrap_or_else(|| worker.output())
    }

    /// Keeps what was answered until it is sent. A buffer without anything goes back at once: the
    /// next reply may be long in coming.
    fn put_output(&mut self, worker: &mut Worker, out: Vec<u8>) {
        if out.is_empty() {
            worker.recycle(out);
        } else {
            self.unsent.put(out);
        }
    }

    /// Runs requests of `input` until the turn is over; gives the bytes consumed and notes in
    /// `self` what follows.
    fn run(&mut self, worker: &mut Worker, input: &[u8]) -> usize {
        let shown = &self.session.state.client.input_bytes;
        shown.store(input.len(), Ordering::Relaxed);
        let direct = self.unsent.is_empty();
        let mut out = self.output(worker);
        let client = &self.session.state.client;
        if client.has(flag::MAIL) {
            // It came before these requests.
            client.take_mail(&mut out, usize::MAX);
        }
        let mut consumed = 0;
        let mut then = Then::Again;
        for _ in 0..BATCHES_PER_TURN {
            let rest = input.get(consumed..).unwrap_or_default();
            let turn = self.session.run(worker, &self.server, rest, &mut out);
            consumed += turn.consumed;
            then = turn.then;
            if !matches!(then, Then::Again) || out.len() > OUTPUT_PER_TURN {
                break;
            }
        }
        self.session.publish(worker.now_ms());
        self.more = !matches!(then, Then::Read);
        // The session may go away with a long command; what it has answered stays.
        let mut noted = std::mem::take(&mut self.session.state.noted);
        match then {
            Then::Read | Then::Again => {}
            Then::Close => self.closing = true,
            Then::HangUp => {
                self.session.state.client.set(flag::KILLED, true);
                self.unsent.clear();
                noted.clear();
                out.clear();
            }
            Then::Background(work) => self.wait_for(Wait::Background(self.start_background(work))),
            Then::Answer(answer) => self.wait_for(Wait::Answer(answer)),
            Then::HandOver(taker) => self.wait = Wait::HandOver(taker),
            // The handler has said so already, before anybody could serve it.
            Then::Wait(mut command) => {
                // What counts is what writes wait for once it is served.
                let era = self.server.replication.as_primary.confirm.era();
                self.session.state.noted_later.get_or_insert((0, era));
                command.start_timer();
                self.wait = Wait::Keys(command);
            }
            Then::GetInLine(need) => {
                let client = &self.session.state.client;
                self.session.state.in_line = Some(InLine::new(&self.server, client, &need));
                self.wait_for(Wait::InLine);
            }
            Then::Long(command) => {
                let client = Arc::clone(&self.session.state.client);
                let stand_in = SessionState::new(client, false);
                let state = std::mem::replace(&mut self.session.state, stand_in);
                self.wait_for(Wait::Long(command.start(worker, state)));
            }
            Then::Paused => {
                let server = Arc::clone(&self.server);
                let ended = Box::pin(async move { server.postponed().await });
                self.wait_for(Wait::Pause(ended));
            }
        }
        self.session.state.noted = noted;
        let killed = self.session.state.client.flags() & flag::KILLED != 0;
        let now = self.closing || killed || out.len() > OUTPUT_DEFERRED;
        self.put_output(worker, out);
        self.hold(worker);
        if direct && now && self.held.is_none() && !self.is_unconfirmed() {
            self.send_now(worker);
        }
        consumed
    }

    /// Nothing that tells what was done leaves before the append-only file has it, and no reply of a
    /// write before replicas have that.
    fn hold(&mut self, worker: &Worker) {
        let hold = &self.server.aof.hold;
        if hold.is_on() {
            let end = self.server.store.log().file_end();
            self.held = (!hold.is_safe(end)).then_some(end);
            if self.held.is_some() {
                // Others run before this is sent, and are to know.
                self.server.aof.look_at_bound(&self.server, end);
            }
        }
        if !self.session.state.noted.is_empty() {
            self.hold_writes(worker);
        }
    }

    fn after_run(&mut self, long: bool) -> Result<Step, Ended> {
        let client = &self.session.state.client;
        client
            .input_bytes
            .store(self.pending.len(), Ordering::Relaxed);
        let free = self.pending.capacity() - self.pending.len();
        client.input_free.store(free, Ordering::Relaxed);
        let limit = self.server.config.client_query_buffer_limit();
        // What is queued has not run yet either.
        let queued = self.session.state.transaction.argument_bytes();
        if self.pending.len().saturating_add(queued) > limit {
            tracing::warn!(
                "Closing client id={} addr={}: it sent a request or transaction larger \
                 than client-query-buffer-limit ({limit} bytes)",
                client.id,
                client.addr,
            );
            return Err(Ended);
        }
        // Replies leave when the other connections that have something to do have run: their
        // peers are then woken in one go, and find more than one reply each when they wake.
        Ok(if long || !self.unsent.is_empty() {
            Step::Yield
        } else {
            Step::Go
        })
    }

    fn start_background(
        &self,
        work: crate::commands::Background,
    ) -> tokio::task::JoinHandle<Vec<u8>> {
        let server = Arc::clone(&self.server);
        let protocol = self.session.state.protocol;
        tokio::task::spawn_blocking(move || work.run(&server, protocol))
    }

    /// Holds back the requests that follow, and says so to whoever lists or closes clients.
    fn wait_for(&mut self, wait: Wait) {
        self.wait = wait;
        self.session.state.client.set(flag::BLOCKED, true);
    }

    /// Ready when nothing stands in the way of the next request.
    fn poll_wait(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.wait {
            Wait::Nothing => return Poll::Ready(()),
            Wait::Pause(ended) => ready!(ended.as_mut().poll(cx)),
            Wait::HandOver(_) => {
                self.hand_over();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Wait::Away(ended) => {
                let _gone = ready!(Pin::new(ended).poll(cx));
                self.closing = true;
            }
            Wait::Background(work) => {
                let reply = ready!(Pin::new(work).poll(cx));
                // A panic in there has been logged; the client gets an error instead of silence.
                let reply = reply.unwrap_or_else(|_| b"-ERR internal error\r\n".to_vec());
                self.put_later(reply);
            }
            Wait::Answer(Answer(answer)) => {
                let (reply, closes) = ready!(answer.as_mut().poll(cx));
                self.closing |= closes;
                if self.session.hears() {
                    self.unsent.put(reply);
                }
            }
            Wait::Keys(command) => {
                let outcome = ready!(command.poll(cx));
                self.end_wait(worker, outcome);
            }
            Wait::InLine => {
                let place = self.session.state.in_line.as_ref();
                if place.is_some_and(|place| !place.is_first()) {
                    return Poll::Pending;
                }
            }
            Wait::Long(done) => {
                let done = ready!(Pin::new(done).poll(cx));
                self.end_long(worker, done.ok());
            }
        }
        self.wait = Wait::Nothing;
        self.session.state.client.set(flag::BLOCKED, false);
        self.more = !self.closing;
        self.hold(worker);
        Poll::Ready(())
    }

    /// Gives the connection away: what is left here is what others see of it.
    fn hand_over(&mut self) {
        let Wait::HandOver(taker) = std::mem::replace(&mut self.wait, Wait::Nothing) else {
            return;
        };
        let (alive, ended) = oneshot::channel();
        self.wait = Wait::Away(ended);
        match self.socket.duplicate() {
            Ok(socket) => taker.take(Taken {
                server: Arc::clone(&self.server),
                client: Arc::clone(&self.session.state.client),
                socket,
                input: std::mem::take(&mut self.pending),
                alive,
            }),
            // It closes, for `alive` is dropped.
            Err(error) => tracing::warn!(
                "Closing client addr={}: its socket could not be handed over: {error}",
                self.session.state.client.addr
            ),
        }
    }

    /// Counts and answers a command that has waited for keys.
    fn end_wait(&mut self, worker: &mut Worker, outcome: Outcome) {
        if let Wait::Keys(command) = std::mem::replace(&mut self.wait, Wait::Nothing) {
            worker.end_wait(command.begun, &outcome);
        }
        // Who was not served has written nothing.
        let later = std::mem::take(&mut self.session.state.noted_later);
        let mut reply = Vec::new();
        let mut writer = ReplyWriter::new(&mut reply, self.session.state.protocol);
        match outcome {
            Outcome::Served { reply: served, .. } => {
                self.session.state.noted_later = later;
                reply = served;
            }
            Outcome::TimedOut | Outcome::Unblocked { with_error: false } => writer.null_array(),
            Outcome::Unblocked { with_error: true } => writer.error(UNBLOCKED),
            Outcome::Refused { error, close } => {
                writer.error(&error);
                self.closing = close;
            }
        }
        let mut out = self.output(worker);
        self.session.state.client.take_mail(&mut out, usize::MAX);
        self.put_output(worker, out);
        self.put_later(reply);
        self.session.state.client.release_mail();
    }

    /// The session is back from a long command; unless that panicked, which has been logged.
    fn end_long(&mut self, worker: &mut Worker, done: Option<Done>) {
        // What was sent to it meanwhile comes first: it may have unsubscribed since.
        let mut out = self.output(worker);
        self.session.state.client.take_mail(&mut out, usize::MAX);
        self.put_output(worker, out);
        let Some(done) = done else {
            self.unsent.put(b"-ERR internal error\r\n".to_vec());
            self.closing = true;
            return;
        };
        self.session.state = done.session;
        let mut reply = done.reply;
        if !self.session.hears() {
            // What it is pushed it hears all the same.
            reply.truncate(self.session.state.pushed_to);
        }
        self.note_later(&reply);
        if !reply.is_empty() {
            self.unsent.put(reply);
        }
        self.closing = done.closing;
    }

    /// Sends what the socket takes of the first buffer.
    fn send_some(&mut self, worker: &mut Worker) -> io::Result<()> {
        let taken = self.socket.try_write(self.unsent.next())?;
        if let Some(stats) = worker.stats() {
            stats.writes.add(1);
            stats.output_bytes.add(taken as u64);
        }
        if let Some(buffer) = self.unsent.note_sent(taken) {
            worker.recycle(buffer);
        }
        Ok(())
    }

    /// Sends at once, without waiting for the others' turns.
    fn send_now(&mut self, worker: &mut Worker) {
        if self.unsent.is_empty() {
            return;
        }
        match self.send_some(worker) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.session.state.client.set(flag::KILLED, true);
            }
            Ok(()) | Err(_) => self.note_unsent(),
        }
    }

    /// Sends until nothing is left, or waits until the socket takes more.
    fn poll_send(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // The others have run. This connection may have more to do for long.
        worker.nudge();
        while !self.unsent.is_empty() {
            match self.send_some(worker) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.forget_sent();
                    self.check_output_limit(cx)?;
                    ready!(self.socket.poll_write_ready(cx)).map_err(|_| Ended)?;
                }
                Err(_) => return Poll::Ready(Err(Ended)),
            }
        }
        if !self.session.state.client.has(flag::MAIL) {
            self.unread.reset();
        }
        self.note_unsent();
        Poll::Ready(Ok(()))
    }

    fn note_unsent(&self) {
        let client = &self.session.state.client;
        let bytes = self.unsent.bytes();
        if bytes < client.output_bytes.load(Ordering::Relaxed) {
            // It reads what it was slow to read: it is not idle.
            client.active_ms.store(clock::unix_ms(), Ordering::Relaxed);
        }
        client.output_bytes.store(bytes, Ordering::Relaxed);
        let notes = self.unconfirmed.as_ref().map_or(0, |one| one.bytes());
        client
            .output_held
            .store(self.unsent.held() + notes, Ordering::Relaxed);
    }

    /// A client that does not read what it asked for is closed at its limit: to stop reading
    /// from it instead would deadlock with one that sends its whole pipeline first.
    fn check_output_limit(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.note_unsent();
        let client = &self.session.state.client;
        let waiting = self.unsent.bytes() + client.mail_bytes();
        let limit = client.output_limit(&self.server.config);
        let Some(excess) = self.unread.check(limit, waiting, cx) else {
            return Ok(());
        };
        client.warn_of_excess(waiting as u64, &excess);
        Err(Ended)
    }
}
