//! One client's conversation: bytes in, replies out. No socket, no clock, no thread.
//!
//! A read brings a batch of pipelined requests. They are parsed first, then the memory of their
//! keys is prefetched, then they run one by one, all replies going to one buffer. Whatever cannot
//! be answered at once (work for a background thread, BLPOP, CLIENT PAUSE, a slot that is out) ends
//! the batch; its worker waits and then goes on with the bytes that are left.

use slotilla_common::resp::{Protocol, ProtocolError, ReplyWriter, RequestLimits, RequestParser};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Server;
use super::batch::{Batch, Request};
use super::blocked::BlockedCommand;
use super::client::{Client, flag};
use super::dispatch;
use super::long::{InLine, LongCommand};
use super::transaction::Transaction;
use super::unconfirmed::Noted;
use super::worker::Worker;
use crate::commands::{Answer, Background, HandOver};
use crate::config::AckWrites;
use crate::replication::primary::{Introduction, Wish};
use crate::store::{Need, Ticket};

/// Replies that pile up before they are sent, even if more requests are at hand: what a turn
/// writes is at most this and one reply more.
pub(super) const OUTPUT_PER_TURN: usize = 1024 * 1024;

/// Whether a client hears answers (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// It does.
    #[default]
    On,
    /// It does not.
    Off,
    /// Not the one to the next command: CLIENT REPLY SKIP was this one.
    SkipNext,
    /// Not this one.
    Skip,
}

/// What a session has instead of a client that would be answered.
#[derive(Debug, Default)]
pub struct Stream {
    /// Its commands that have answered an error since somebody looked, and the errors.
    pub failed: Vec<(&'static str, String)>,
}

/// What commands may read and change of their session.
#[derive(Debug)]
pub struct SessionState {
    /// The part that other threads see.
    pub client: Arc<Client>,
    /// RESP2 until HELLO 3.
    pub protocol: Protocol,
    /// Has given the password, or needs none.
    pub authenticated: bool,
    /// The selected database.
    pub db: u16,
    /// ASKING was the command before this one.
    pub asking: bool,
    /// READONLY was said, and not READWRITE since.
    pub readonly: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Close once the replies are sent.
    pub closing: bool,
    /// MULTI and WATCH.
    pub transaction: Transaction,
    /// Up to here what the batch has answered are pushes, or stands before some: the client hears
    /// it, CLIENT REPLY OFF or not.
    pub pushed_to: usize,
    /// It is away with a long command, which may take its time.
    pub away: bool,
    /// The slots that the request has waited for, until its batch has run.
    pub in_line: Option<InLine>,
    /// What it has said of itself as a replica (REPLCONF); there since the first word.
    pub introduction: Option<Box<Introduction>>,
    /// How many replicas its writes wait for, if it has said so (CLIENT ACK-WRITES).
    pub ack_writes: Option<AckWrites>,
    /// The replies of this turn that wait for replicas.
    pub noted: Vec<Noted>,
    /// How many replicas a reply is to wait for that comes later, and in which numbering of the log
    /// the command has begun.
    pub noted_later: Option<(usize, u64)>,
    /// There if it applies what has happened elsewhere, or before: nothing of it is refused, and
    /// keys whose time has come are there.
    pub stream: Option<Box<Stream>>,
}

impl SessionState {
    /// Of a client that has just connected.
    #[must_use]
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            protocol: Protocol::Resp2,
            authenticated,
            db: 0,
            asking: false,
            readonly: false,
            reply_mode: ReplyMode::On,
            closing: false,
            transaction: Transaction::default(),
            pushed_to: 0,
            away: false,
            in_line: None,
            introduction: None,
            ack_writes: None,
            noted: Vec::new(),
            noted_later: None,
            stream: None,
        }
    }

    /// Of a stream of commands, which no client has sent.
    #[must_use]
    pub fn of_stream(client: Arc<Client>) -> Self {
        let mut session = Self::new(client, true);
        session.stream = Some(Box::default());
        // None of its commands may wait.
        session.transaction.running = true;
        session
    }

    /// The place in line that it has slots by, if it has waited for them.
    #[must_use]
    #[inline]
    pub fn ticket(&self) -> Option<&Ticket> {
        self.in_line.as_ref().map(InLine::ticket)
    }
}

/// One client's conversation.
#[derive(Debug)]
pub struct Session {
    /// What commands see.
    pub state: SessionState,
    parser: RequestParser,
}

/// How far a batch came.
#[derive(Debug)]
pub struct Turn {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// What to do next.
    pub then: Then,
}

/// What follows a batch.
#[derive(Debug)]
pub enum Then {
    /// All whole requests have run: more bytes are needed.
    Read,
    /// There may be more whole requests in the input.
    Again,
    /// Run this elsewhere, send what it answers, then go on with the input.
    Background(Background),
    /// Wait for this answer, send it, then go on with the input.
    Answer(Answer),
    /// Send what has been answered, then give the connection away.
    HandOver(HandOver),
    /// Wait for keys, send what came of it, then go on with the input.
    Wait(Box<BlockedCommand>),
    /// Wait until clients are no longer paused, then go on with the input.
    Paused,
    /// Wait until this is there, then go on with the input.
    GetInLine(Box<Need>),
    /// Have this run by a thread that has its slots, send what it answers, then go on with the input.
    Long(Box<LongCommand>),
    /// Send what has been answered, then close.
    Close,
    /// Close at once.
    HangUp,
}

impl Then {
    /// What follows a request after which the next one does not run at once.
    fn after(flow: dispatch::Flow) -> Self {
        match flow {
            dispatch::Flow::Next => Self::Again,
            dispatch::Flow::Background(work) => Self::Background(work),
            dispatch::Flow::Answer(answer) => Self::Answer(answer),
            dispatch::Flow::HandOver(taker) => Self::HandOver(taker),
            dispatch::Flow::Wait(command) => Self::Wait(command),
            dispatch::Flow::Postpone => Self::Paused,
            dispatch::Flow::GetInLine(need) => Self::GetInLine(need),
            dispatch::Flow::Long(command) => Self::Long(command),
            dispatch::Flow::Close => Self::Close,
            dispatch::Flow::HangUp => Self::HangUp,
        }
    }
}

impl Session {
    /// A session of a client that has just connected.
    #[must_use]
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            state: SessionState::new(client, authenticated),
            parser: RequestParser::default(),
        }
    }

    /// Runs the requests at the start of `input`, at most a batch of them, and appends the
    /// replies to `out`. What is not consumed must come again, with what follows it. Whoever runs
    /// them tells those who wait for the log, by `Worker::nudge`.
    pub fn run(
        &mut self,
        worker: &mut Worker,
        server: &Arc<Server>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Turn {
        let mut batch = std::mem::take(&mut worker.batch);
        let turn = self.run_with(&mut batch, worker, server, input, out);
        batch.clear();
        worker.batch = batch;
        turn
    }

    fn run_with(
        &mut self,
        batch: &mut Batch,
        worker: &mut Worker,
        server: &Arc<Server>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Turn {
        let end = self.parse(batch, server, input);
        batch.prefetch(&server.store);

        let seated = server.gate.sit(worker.seat);
        let ran = self.run_parsed(batch, worker, server, input, out);
        self.state.in_line = None;
        drop(seated);
        worker.owe_nudge();

        match ran {
            Ran::All { consumed } => match end {
                ParseEnd::Incomplete => Turn {
                    consumed,
                    then: Then::Read,
                },
                ParseEnd::Full => Turn {
                    consumed,
                    then: Then::Again,
                },
                ParseEnd::Failed(error) => {
                    let text = format!("ERR {error}");
                    if self.state.reply_mode == ReplyMode::On {
                        ReplyWriter::new(out, self.state.protocol).error(&text);
                    }
                    worker.note_error(text.as_bytes());
                    Turn {
                        consumed,
                        then: Then::Close,
                    }
                }
            },
            Ran::Stopped { consumed, then } => {
                // What was parsed of the next request is parsed again from its start.
                self.parser = RequestParser::default();
                Turn { consumed, then }
            }
        }
    }

    fn parse(&mut self, batch: &mut Batch, server: &Server, input: &[u8]) -> ParseEnd {
        let limits = RequestLimits {
            max_bulk: server.config.proto_max_bulk_len(),
            authenticated: self.state.authenticated,
            ..RequestLimits::default()
        };
        // What an unauthenticated client may send changes with its AUTH: one at a time.
        let most = if self.state.authenticated {
            Batch::MOST
        } else {
            1
        };
        let mut start = 0;
        while batch.len() < most {
            match batch.parse_one(&mut self.parser, input, start, &limits, &server.store) {
                Ok(Some(next)) => start = next,
                Ok(None) => return ParseEnd::Incomplete,
                Err(error) => return ParseEnd::Failed(error),
            }
        }
        ParseEnd::Full
    }

    fn run_parsed(
        &mut self,
        batch: &Batch,
        worker: &mut Worker,
        server: &Arc<Server>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Ran {
        worker.start_batch();
        self.state.pushed_to = 0;
        let mut consumed = 0;
        for request in batch.requests() {
            let args = batch.args(request, input);
            match self.run_one(worker, server, request, &args, out) {
                dispatch::Flow::Next => consumed = request.end(),
                flow => {
                    let has_run = !matches!(
                        flow,
                        dispatch::Flow::Postpone | dispatch::Flow::GetInLine(_)
                    );
                    return Ran::Stopped {
                        consumed: if has_run { request.end() } else { consumed },
                        then: Then::after(flow),
                    };
                }
            }
            let flags = self.state.client.flags();
            if flags & (flag::KILLED | flag::MAIL) != 0 {
                if flags & flag::KILLED != 0 {
                    return Ran::Stopped {
                        consumed,
                        then: Then::Close,
                    };
                }
                // It comes between this reply and the next.
                self.state.client.take_mail(out, usize::MAX);
            }
            if out.len() > OUTPUT_PER_TURN {
                return Ran::Stopped {
                    consumed,
                    then: Then::Again,
                };
            }
        }
        Ran::All { consumed }
    }

    fn run_one(
        &mut self,
        worker: &mut Worker,
        server: &Arc<Server>,
        request: &Request,
        args: &crate::commands::Args<'_>,
        out: &mut Vec<u8>,
    ) -> dispatch::Flow {
        let before = self.state.reply_mode;
        let length = out.len();
        let wanted = match request.spec {
            Ok(spec) if server.replication.as_primary.confirm.is_used() => {
                self.state.replicas_wanted(server, spec)
            }
            _ => 0,
        };
        let last = if wanted > 0 {
            server.store.log().last_of(worker.number)
        } else {
            0
        };
        let flow = if args.len() == 0 {
            // An empty request gets no reply, but is one to CLIENT REPLY SKIP and to ASKING.
            dispatch::Flow::Next
        } else {
            dispatch::run(&mut self.state, worker, server, request, args, out)
        };
        if matches!(
            flow,
            dispatch::Flow::Postpone | dispatch::Flow::GetInLine(_)
        ) {
            // It comes again, as if for the first time.
            return flow;
        }
        if self.state.asking && !self.state.transaction.is_open() {
            // ASKING holds for one command, whatever came of it; before MULTI, for all up to EXEC.
            self.state.asking = request.spec.is_ok_and(|spec| spec.name == "asking");
        }
        // A reply that comes later: [`Session::hears`] decides then.
        let comes_later = matches!(
            flow,
            dispatch::Flow::Background(_)
                | dispatch::Flow::Answer(_)
                | dispatch::Flow::HandOver(_)
                | dispatch::Flow::Wait(_)
                | dispatch::Flow::Long(_)
        );
        if before != self.state.reply_mode || before != ReplyMode::On {
            self.silence(before, length, out, comes_later);
        }
        if wanted > 0 {
            if comes_later {
                let era = server.replication.as_primary.confirm.era();
                self.state.noted_later = Some((wanted, era));
            } else {
                let wrote = server.store.log().last_of(worker.number);
                let wrote = (wrote != last).then_some(wrote);
                self.note_write(server, length..out.len(), wanted, wrote, out);
            }
        }
        flow
    }

    /// Has a write's reply wait for replicas. One that has changed nothing waits for what others have
    /// changed before: who tries again what was unconfirmed finds it done, and it is to be no less
    /// sure then. But an error without a change tells nothing of the data.
    #[cold]
    fn note_write(
        &mut self,
        server: &Server,
        reply: std::ops::Range<usize>,
        wanted: usize,
        wrote: Option<u64>,
        out: &[u8],
    ) {
        if wrote.is_none() && out.get(reply.start) == Some(&b'-') {
            return;
        }
        let confirm = &server.replication.as_primary.confirm;
        let wish = Wish {
            replicas: confirm.wanted_after(wanted, self.state.ack_writes),
            offset: wrote.unwrap_or_else(|| server.store.log().end()),
        };
        let era = confirm.era();
        self.state.noted.push(Noted { reply, wish, era });
    }

    /// Takes back the reply that CLIENT REPLY OFF or SKIP does not want.
    #[cold]
    fn silence(&mut self, before: ReplyMode, length: usize, out: &mut Vec<u8>, comes_later: bool) {
        let mode = &mut self.state.reply_mode;
        // CLIENT REPLY ON answers, even while replies are off.
        if *mode != ReplyMode::On && before != ReplyMode::On {
            out.truncate(length.max(self.state.pushed_to));
        }
        *mode = match *mode {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip if !comes_later => ReplyMode::On,
            unchanged => unchanged,
        };
    }

    /// Whether the client hears the answer that has come later.
    #[must_use]
    pub fn hears(&mut self) -> bool {
        match self.state.reply_mode {
            ReplyMode::On => true,
            ReplyMode::Off => false,
            ReplyMode::SkipNext | ReplyMode::Skip => {
                self.state.reply_mode = ReplyMode::On;
                false
            }
        }
    }

    /// Tells the shared part what CLIENT LIST shows of it.
    pub fn publish(&self, now_ms: i64) {
        let client = &self.state.client;
        client.active_ms.store(now_ms, Ordering::Relaxed);
        client.db.store(self.state.db, Ordering::Relaxed);
    }
}

/// Why parsing stopped.
enum ParseEnd {
    /// At a request that is not whole yet.
    Incomplete,
    /// The batch is full.
    Full,
    /// At something that is no request.
    Failed(ProtocolError),
}

/// How far the parsed requests were run.
enum Ran {
    All { consumed: usize },
    Stopped { consumed: usize, then: Then },
}
