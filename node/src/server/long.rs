//! Long commands: those that would hold their worker up for more than about a millisecond.
//!
//! A command that may be long has an estimate beside its handler ([`crate::commands::Effort`]),
//! which looks at cardinalities with the slots locked. If it says [`LONG_NANOS`] or more, the slots
//! are taken out ([`crate::store::Taken`]), and the session, with a copy of the request, goes to a
//! thread that owns them meanwhile; a transaction does so as a whole. The thread is a worker
//! without connections: it counts, feeds monitors and slow log, and serves who waits for what has
//! come to be, before the slots go back. The connection waits for its session and the reply. A
//! client that leaves meanwhile changes nothing: the command runs to its end, as in Redis.
//!
//! Sessions that meet a slot that is out wait for their turn ([`InLine`]). What does not belong to
//! a session never waits on a worker; see [`crate::store`]'s `turns`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use slotilla_common::resp::ReplyWriter;
use tokio::sync::oneshot;

use super::client::Client;
use super::session::SessionState;
use super::transaction::Queue;
use super::worker::Worker;
use super::{Server, dispatch, exec};
use crate::cluster::routing::{Refusal, Serving};
use crate::store::{Need, Taken, Ticket};

/// What is estimated to take so many nanoseconds is long.
pub const LONG_NANOS: u64 = 1_000_000;

/// A session's place in line for slots; given up when this is dropped.
pub struct InLine {
    server: Arc<Server>,
    ticket: Arc<Ticket>,
}

impl InLine {
    /// Gets in line. The client's connection is woken when its turn has come.
    #[must_use]
    pub fn new(server: &Arc<Server>, client: &Arc<Client>, need: &Need) -> Self {
        let who = Arc::clone(client) as Arc<dyn crate::store::Waits>;
        Self {
            ticket: server.store.queue_up(need, Some(who)),
            server: Arc::clone(server),
        }
    }

    /// Waits until no slot is out and none goes out for as long as this is kept. For threads that
    /// may sleep.
    #[must_use]
    pub fn everything(server: &Arc<Server>) -> Self {
        Self::wait(server, &Need::everything())
    }

    /// Waits until these slots are in, and nobody has them first. For threads that may sleep.
    #[must_use]
    pub fn wait(server: &Arc<Server>, need: &Need) -> Self {
        Self {
            ticket: server.store.queue_up_and_wait(need),
            server: Arc::clone(server),
        }
    }

    /// Whether its turn has come.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.ticket.is_ready()
    }

    /// What locks the slots.
    #[must_use]
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.server.store.leave(&self.ticket);
    }
}

impl fmt::Debug for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ticket.fmt(f)
    }
}

/// Slots that are out, and the place of the command that has them, until this is dropped.
struct Holding {
    server: Arc<Server>,
    taken: Option<Taken>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.server.store.end_long(taken);
        }
    }
}

/// A command, or a transaction, whose slots are out, on its way to the thread that runs it.
pub struct LongCommand {
    holding: Holding,
    /// The command itself; of a transaction, EXEC.
    request: Queue,
    /// What EXEC runs.
    body: Option<Box<Queue>>,
    /// What this node was to the slot, in a cluster.
    serving: Serving,
}

/// The end of a long command.
#[derive(Debug)]
pub struct Done {
    /// The session that went along.
    pub session: SessionState,
    /// What the client is to hear.
    pub reply: Vec<u8>,
    /// The connection is to close.
    pub closing: bool,
}

impl LongCommand {
    /// A command or, with a `body`, a transaction.
    #[must_use]
    pub fn new(
        server: &Arc<Server>,
        taken: Taken,
        request: Queue,
        body: Option<Box<Queue>>,
    ) -> Self {
        let first = taken.slots().first();
        let serving = first.map_or(Serving::Ours, |slot| server.store.serving(*slot));
        Self {
            holding: Holding {
                server: Arc::clone(server),
                taken: Some(taken),
            },
            request,
            body,
            serving,
        }
    }

    /// Has it run by the thread of its place; here and now if there is none.
    pub fn start(self, worker: &mut Worker, session: SessionState) -> oneshot::Receiver<Done> {
        let (answer, done) = oneshot::channel();
        let server = Arc::clone(&self.holding.server);
        let place = self.holding.taken.as_ref().map_or(0, Taken::place);
        let job = Job {
            server: Arc::clone(&server),
            command: self,
            session,
            answer,
        };
        if let Err(job) = server.long_threads.send(&server, place, Box::new(job)) {
            job.run(worker);
        }
        done
    }

    /// Whether the connection is to close.
    fn run(mut self, worker: &mut Worker, session: &mut SessionState, out: &mut Vec<u8>) -> bool {
        let server = Arc::clone(&self.holding.server);
        let Some(taken) = &mut self.holding.taken else {
            return false;
        };
        let slot = taken.slots().first().copied();
        let scope = worker.scope(session.db);
        let closing = match &self.body {
            None => dispatch::run_long(session, worker, &server, &self.request, taken, out),
            Some(body) => {
                exec::run_long(session, worker, &server, (&self.request, body), taken, out)
            }
        };
        let flags = match &self.body {
            None => self.request.union(),
            Some(body) => body.union(),
        };
        // The slots are back already: the place is free as well.
        drop(self.holding);
        if let Some(slot) = slot.filter(|_| flags.write && server.cluster_enabled) {
            let now = server.store.serving(slot);
            if let Some(refusal) = lost(now).filter(|_| now != self.serving) {
                // What it has written went with the slot: the new owner is to do it.
                let error = dispatch::refuse(&server, refusal, slot).to_string();
                out.clear();
                session.pushed_to = 0;
                ReplyWriter::new(out, session.protocol).error(&error);
                worker.note_error(error.as_bytes());
            }
        }
        if flags.denyoom && server.config.maxmemory() != 0 {
            // Enough or not: the next command of this kind will be told.
            let _enough = server.gate.guest(|| server.make_room(scope));
        }
        closing
    }
}

/// Why a command on a slot that was lost would be refused.
fn lost(serving: Serving) -> Option<Refusal> {
    match serving {
        Serving::Ours | Serving::Migrating | Serving::Importing => None,
        Serving::Replica | Serving::Elsewhere => Some(Refusal::Moved),
        Serving::Unassigned => Some(Refusal::Unbound),
    }
}

impl fmt::Debug for LongCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongCommand")
    }
}

/// What a thread is told to run.
struct Job {
    server: Arc<Server>,
    command: LongCommand,
    session: SessionState,
    answer: oneshot::Sender<Done>,
}

impl Job {
    fn run(self: Box<Self>, worker: &mut Worker) {
        let Self {
            server,
            command,
            mut session,
            answer,
        } = *self;
        worker.start_batch();
        // Its reply has a buffer of its own.
        session.pushed_to = 0;
        session.away = true;
        let mut reply = Vec::new();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            command.run(worker, &mut session, &mut reply)
        }));
        session.away = false;
        server.store.log().nudge(worker.number);
        let unheard = match ran {
            Ok(closing) => {
                let done = Done {
                    session,
                    reply,
                    closing,
                };
                answer.send(done).err().map(|done| done.session)
            }
            // It has been logged. The connection finds no answer, and closes.
            Err(_) => Some(session),
        };
        if let Some(mut session) = unheard {
            let client = Arc::clone(&session.client);
            session.transaction.close(&client, &server.store);
        }
    }
}

/// The threads that run long commands, one for each place; each started by its first command.
#[derive(Debug)]
pub struct LongThreads(Box<[OnceLock<Thread>]>);

/// The way to a thread; `None` if it could not be started.
type Thread = Option<SyncSender<Box<Job>>>;

impl LongThreads {
    pub(super) fn new(places: usize) -> Self {
        Self((0..places).map(|_| OnceLock::new()).collect())
    }

    /// Hands a job to the thread of its place, or back if there is none.
    fn send(&self, server: &Arc<Server>, place: usize, job: Box<Job>) -> Result<(), Box<Job>> {
        let Some(thread) = self.0.get(place) else {
            return Err(job);
        };
        let Some(sender) = thread.get_or_init(|| spawn(server, place)) else {
            return Err(job);
        };
        // A place has one command at a time, and the one before it may just be ending.
        sender.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }
}

fn spawn(server: &Arc<Server>, place: usize) -> Thread {
    let number = server.config.io_threads() + place;
    let seat = server.gate.seat(number)?;
    let (sender, receiver): (_, Receiver<Box<Job>>) = sync_channel(1);
    let run = move || {
        for job in receiver {
            // Of this job alone: a thread that waits keeps no server alive.
            let mut worker = Worker::new(Arc::clone(&job.server), number, seat);
            job.run(&mut worker);
        }
    };
    match std::thread::Builder::new()
        .name(format!("long-{place}"))
        .spawn(run)
    {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, "no thread for long commands: they run where they come in");
            None
        }
    }
}
