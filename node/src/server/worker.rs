//! A worker: one thread with its own runtime, its own connections, its own buffers.

use slotilla_common::clock::{self, Monotonic, Tick};
use slotilla_common::command::{Flags, Spec};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

use super::batch::Batch;
use super::blocked::{Begun, Outcome, UNBLOCKED};
use super::connection::{self, Accepted};
use super::gate::SeatId;
use super::session::SessionState;
use super::stats::WorkerStats;
use super::{Server, redact, slowlog};
use crate::commands::Args;
use crate::store::Scope;

/// What the connections of one thread share. Only one of them runs at a time.
#[derive(Debug)]
pub struct Worker {
    /// The node.
    pub server: Arc<Server>,
    /// This thread's number.
    pub number: usize,
    /// Its place at the gate.
    pub seat: SeatId,
    /// The parsed requests of the turn.
    pub batch: Batch,
    /// What sockets are read into; a connection keeps only what is not a whole request yet.
    pub input: Vec<u8>,
    /// Empty buffers for replies. A connection has one from when it runs until its socket has
    /// taken the replies.
    outputs: Vec<Vec<u8>>,
    clock: Monotonic,
    /// When the command before this one ended.
    tick: Tick,
    now_ms: i64,
    failed: bool,
    /// Commands have run, and who waits for the log has not been told.
    owes_nudge: bool,
}

/// Bytes that one read may bring. Bounds the work of one turn.
pub const INPUT_BYTES: usize = 64 * 1024;

/// An output buffer larger than this is freed when it is empty.
const OUTPUT_KEPT_BYTES: usize = 64 * 1024;

/// So many empty output buffers are kept.
const OUTPUTS_KEPT: usize = 64;

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Lends the thread's worker to `work`; `None` on a thread that has none, or inside another loan.
pub fn with<R>(work: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    WORKER.with(|place| place.try_borrow_mut().ok()?.as_mut().map(work))
}

impl Worker {
    /// Commands have run: [`nudge`](Self::nudge) is due.
    #[inline]
    pub(crate) fn owe_nudge(&mut self) {
        self.owes_nudge = true;
    }

    /// Tells who waits for the log that there may be more. To wake a thread costs more than to run
    /// a few commands, so it is done once for what all connections that have something to do have
    /// asked for.
    #[inline]
    pub(crate) fn nudge(&mut self) {
        if std::mem::take(&mut self.owes_nudge) {
            self.server.store.log().nudge(self.number);
        }
    }

    pub(crate) fn new(server: Arc<Server>, number: usize, seat: SeatId) -> Self {
        let clock = server.clock.clone();
        Self {
            tick: clock.now(),
            clock,
            server,
            number,
            seat,
            batch: Batch::default(),
            input: vec![0; INPUT_BYTES],
            outputs: Vec::new(),
            now_ms: clock::unix_ms(),
            failed: false,
            owes_nudge: false,
        }
    }

    /// This worker's counters.
    #[must_use]
    pub fn stats(&self) -> Option<&WorkerStats> {
        self.server.stats.worker(self.number)
    }

    /// The time that the commands of this batch see, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// What a command's view of the keyspace needs to know.
    #[must_use]
    pub fn scope(&self, db: u16) -> Scope {
        Scope {
            db,
            now_ms: self.now_ms,
            thread: self.number,
        }
    }

    /// Reads the clocks. One reading per command follows: each ends where the next starts.
    pub fn start_batch(&mut self) {
        self.now_ms = clock::unix_ms();
        self.tick = self.clock.now();
    }

    /// EXEC begins: its commands are timed one by one, and it itself from here.
    #[must_use]
    pub fn start_transaction(&mut self) -> Tick {
        self.tick = self.clock.now();
        self.tick
    }

    /// EXEC ends that has started at `started`.
    pub fn end_transaction(&mut self, started: Tick) {
        self.tick = started;
    }

    /// Counts a command that has run.
    #[inline]
    pub fn finish_command(&mut self, session: &SessionState, spec: &'static Spec, args: &Args<'_>) {
        let end = self.clock.now();
        let nanos = self.clock.nanos_between(self.tick, end);
        self.tick = end;
        let server = &*self.server;
        let noted = server.stats.worker(self.number).is_some_and(|stats| {
            stats.executed.add(1);
            let tracked = server.config.latency_tracking();
            let counters = stats.command(spec.id);
            counters.is_some_and(|counters| counters.note_run(nanos, tracked))
        });
        if !noted || self.failed || server.latency.is_spike(nanos) || server.slowlog.is_slow(nanos)
        {
            self.finish_notable(session, spec, args, nanos, noted);
        }
    }

    /// What is rarely left to note of a command: its first duration of this order, that it failed,
    /// or that it took so long that the latency monitor or the slow log wants to know. Apart, so that
    /// the others keep nothing for it.
    #[cold]
    #[inline(never)]
    fn finish_notable(
        &mut self,
        session: &SessionState,
        spec: &'static Spec,
        args: &Args<'_>,
        nanos: u64,
        noted: bool,
    ) {
        let failed = std::mem::take(&mut self.failed);
        if let Some(command) = self.stats().and_then(|stats| stats.command(spec.id)) {
            if !noted {
                command.note_duration(nanos);
            }
            if failed {
                command.failed.add(1);
            }
        }
        self.server.latency.note(event(spec), nanos);
        if self.server.slowlog.is_slow(nanos) && !spec.flags.contains(Flags::SKIP_SLOWLOG) {
            self.server.slowlog.push(slowlog::Entry::new(
                nanos,
                redact::shown(spec, args),
                &session.client,
            ));
        }
    }

    /// Counts a command that waits from now on. Its latency is known when that has ended, and so is
    /// whether it was slow.
    pub fn begin_wait(
        &mut self,
        session: &SessionState,
        spec: &'static Spec,
        args: &Args<'_>,
    ) -> Begun {
        let end = self.clock.now();
        let nanos = self.clock.nanos_between(self.tick, end);
        self.tick = end;
        if let Some(stats) = self.server.stats.worker(self.number) {
            stats.executed.add(1);
            if let Some(command) = stats.command(spec.id) {
                command.calls.add(1);
                command.nanos.add(nanos);
            }
        }
        self.server.latency.note(event(spec), nanos);
        let slow = self
            .server
            .slowlog
            .is_on()
            .then(|| slowlog::Entry::new(nanos, redact::shown(spec, args), &session.client));
        Begun { spec, nanos, slow }
    }

    /// Counts what came of a command that has waited, as Redis does: nobody counts the time of the
    /// wait itself, nor one that ended with nothing; but one that CLIENT UNBLOCK ended has failed.
    pub fn end_wait(&mut self, begun: Begun, outcome: &Outcome) {
        let (nanos, error, failed) = match outcome {
            Outcome::TimedOut => return,
            Outcome::Refused { error, .. } => return self.note_error(error.as_bytes()),
            Outcome::Unblocked { with_error } => (0, with_error.then_some(UNBLOCKED), true),
            Outcome::Served { nanos, error, .. } => (*nanos, error.as_deref(), error.is_some()),
        };
        if let Some(error) = error {
            self.note_error(error.as_bytes());
        }
        let total = begun.nanos + nanos;
        if let Some(command) = self.stats().and_then(|stats| stats.command(begun.spec.id)) {
            command.nanos.add(total);
            command.failed.add(u64::from(failed));
            if self.server.config.latency_tracking() {
                command.note_duration(total);
            }
        }
        self.server.latency.note("command-unblocking", nanos);
        if let Some(entry) = begun.slow.filter(|_| self.server.slowlog.is_slow(total)) {
            self.server.slowlog.push(entry.lasting(total));
        }
    }

    /// Counts a command that was refused before it ran.
    pub fn reject(&mut self, spec: Option<&'static Spec>, text: &[u8]) {
        if let Some(command) = spec.and_then(|spec| self.stats()?.command(spec.id)) {
            command.rejected.add(1);
        }
        self.note_error(text);
    }

    /// Counts an error of a command that ran.
    pub fn fail(&mut self, text: &[u8]) {
        self.failed = true;
        self.note_error(text);
    }

    /// Counts an error reply.
    pub fn note_error(&self, text: &[u8]) {
        if let Some(stats) = self.stats() {
            stats.error_replies.add(1);
            if text.starts_with(b"MOVED ") || text.starts_with(b"ASK ") {
                stats.redirects.add(1);
            }
        }
        self.server.stats.count_error(text);
    }

    /// An empty buffer for replies.
    #[must_use]
    pub fn output(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    /// Takes a buffer for replies back, unless there are enough or it has grown large.
    pub fn recycle(&mut self, mut output: Vec<u8>) {
        if self.outputs.len() < OUTPUTS_KEPT && output.capacity() <= OUTPUT_KEPT_BYTES {
            output.clear();
            self.outputs.push(output);
        }
    }
}

/// What LATENCY calls a command that was slow.
fn event(spec: &Spec) -> &'static str {
    if spec.flags.contains(Flags::FAST) {
        "fast-command"
    } else {
        "command"
    }
}

/// Where new connections are handed to a worker.
#[derive(Debug)]
pub struct Inbox {
    sender: mpsc::Sender<Accepted>,
    /// Connections it has, those on their way included.
    pub connections: Arc<AtomicUsize>,
}

impl Inbox {
    /// Hands over a connection; false if the worker is gone or overrun.
    pub fn deliver(&self, accepted: Accepted) -> bool {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let delivered = self.sender.try_send(accepted).is_ok();
        if !delivered {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
        delivered
    }
}

/// Connections that may wait for a worker to take them; beyond that they are refused.
const INBOX_CONNECTIONS: usize = 1024;

/// Starts worker `number`; its thread ends when the server shuts down.
///
/// # Errors
/// The thread or its runtime could not be made.
pub fn spawn(
    server: Arc<Server>,
    number: usize,
    seat: SeatId,
) -> io::Result<(Inbox, std::thread::JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Sockets are looked at after so many polls, two for a batch: so a turn stays short.
        .event_interval(127)
        .max_blocking_threads(2)
        .thread_name(format!("background-{number}"))
        .build()?;
    let (sender, mut receiver) = mpsc::channel::<Accepted>(INBOX_CONNECTIONS);
    let connections = Arc::new(AtomicUsize::new(0));
    let open = Arc::clone(&connections);
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let stop = server.shutdown.clone();
        WORKER.with(|place| *place.borrow_mut() = Some(Worker::new(server, number, seat)));
        runtime.block_on(async {
            loop {
                tokio::select! {
                    accepted = receiver.recv() => match accepted {
                        Some(accepted) => { tokio::spawn(connection::serve(accepted, Arc::clone(&open))); }
                        None => break,
                    },
                    () = stop.cancelled() => break,
                }
            }
        });
        // Connections end here, each telling the registry; then the worker itself.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        WORKER.with(|place| place.borrow_mut().take());
    })?;
    Ok((
        Inbox {
            sender,
            connections,
        },
        thread,
    ))
}
