//! Transactions: queueing after MULTI, and EXEC.
//!
//! EXEC locks the slots of all queued commands and of all watched keys, in ascending order, asks
//! whether this node serves them and whether a watched key has changed, and runs the commands one
//! after the other before it lets any slot go. So nobody sees half of it, and transactions on other
//! slots run beside it. Who waits for a key that it has made is served then, if the key is still
//! there.
//!
//! If a command needs more than the slots of its keys (FLUSHALL, KEYS, SWAPDB, CONFIG SET, …, see
//! [`super::transaction`]), the whole transaction runs at the gate, while no other thread is inside
//! a command, and each command locks what it needs as it does otherwise. Work that would wait for
//! its turn at the gate, or go to a background thread, is done at once. The one exception is what
//! the cluster thread does (CLUSTER ADDSLOTS and the like): it needs the gate itself, so the gate is
//! open meanwhile.
//!
//! A transaction that will take long takes its slots out and runs as a whole on the thread of a long
//! command ([`super::long`]); one at the gate does not, but waits until no slot is out.

use slotilla_common::command::{self, Flags, Group, Spec};
use slotilla_common::resp::{Protocol, ReplyWriter};
use std::sync::Arc;

use super::Server;
use super::admission::{self, Hindrance};
use super::batch::Request;
use super::dispatch::{self, Flow};
use super::long::{LONG_NANOS, LongCommand};
use super::monitor;
use super::session::{ReplyMode, SessionState};
use super::transaction::{Queue, Queued};
use super::worker::Worker;
use crate::cluster::routing::{self, Serving, Verdict};
use crate::commands::{ARGUMENT, After, Args, Background, CommandError, Ctx, Handler};
use crate::store::{Db, Expired, Need, Taken};

const ABORTED: CommandError =
    CommandError::fixed("EXECABORT Transaction discarded because of previous errors.");

/// What a session between MULTI and EXEC does with a command; `None` leaves it to be run.
#[cold]
pub(super) fn inside(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    request: &Request,
    (spec, handler): (&'static Spec, Handler),
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Option<Flow> {
    match spec.name {
        "exec" => Some(exec(session, worker, server, (spec, handler), args, out)),
        "discard" | "multi" | "quit" | "reset" | "watch" => None,
        _ if server.postpones(spec, request.key.map(|key| key.slot)) => Some(Flow::Postpone),
        _ => {
            dispatch::note_command(session, Some(spec));
            match admit(session, worker, server, request, spec, args) {
                Ok(()) => {
                    let what = (spec, handler);
                    let client = &session.client;
                    session.transaction.push(client, request, args, what);
                    ReplyWriter::new(out, session.protocol).simple("QUEUED");
                }
                Err(CommandError::Busy(need)) => return Some(Flow::GetInLine(need)),
                Err(error) => dispatch::reject(session, worker, Some(spec), &error, out),
            }
            Some(Flow::Next)
        }
    }
}

/// Whether a command may be queued. Once memory is full, none may: the queue takes memory too.
fn admit(
    session: &mut SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    request: &Request,
    spec: &'static Spec,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    if spec.flags.contains(Flags::NO_MULTI) {
        return Err(CommandError::fixed(
            "ERR Command not allowed inside a transaction",
        ));
    }
    let scope = worker.scope(session.db);
    if server.cluster_enabled {
        dispatch::ask(session, server, request, spec, args, scope)?;
    }
    if server.config.maxmemory() != 0 && !server.make_room(scope) {
        return Err(CommandError::OutOfMemory);
    }
    // What waits for the disk does so when EXEC runs.
    if server.aof.is_troubled()
        && let Err(Hindrance::Failing(error)) = admission::check_disk(server, spec)
    {
        return Err(error);
    }
    Ok(())
}

/// How a transaction ended.
enum End {
    /// All commands have run.
    Ran { closing: bool },
    /// A watched key has changed: none has run.
    Broken,
    /// Another node serves the slot, or nobody: none has run.
    Redirected(CommandError),
    /// There is no memory: none has run.
    Refused(CommandError),
    /// A command could not be queued: none has run.
    Aborted,
    /// Slots are not to be had: none has run, and EXEC comes again.
    Busy(Box<Need>),
    /// It takes long: none has run, and these are its slots.
    Long(Taken),
}

fn exec(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    (spec, handler): (&'static Spec, Handler),
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let union = session.transaction.queue().map(Queue::union);
    let union = union.unwrap_or_default();
    if server.postpones_transaction(union.may_replicate) {
        return Flow::Postpone;
    }
    dispatch::note_command(session, Some(spec));
    let bounded = union.denyoom && server.config.maxmemory() != 0;
    let room = !bounded || server.make_room(worker.scope(session.db));
    let queue = session.transaction.take().unwrap_or_default();
    let started = worker.start_transaction();
    let end = match run(session, worker, server, spec, &queue, room, out) {
        End::Busy(need) => {
            session.transaction.put_back(queue);
            return Flow::GetInLine(need);
        }
        End::Long(taken) => {
            let request = Queue::of(None, args, (spec, handler));
            let command = LongCommand::new(server, taken, request, Some(queue));
            return Flow::Long(Box::new(command));
        }
        end => end,
    };
    session.transaction.close(&session.client, &server.store);
    let mut flow = Flow::Next;
    match end {
        End::Ran { closing: true } => flow = Flow::Close,
        End::Ran { closing: false } => {}
        End::Broken => ReplyWriter::new(out, session.protocol).null_array(),
        // The last two have been seen to before.
        End::Aborted | End::Busy(_) | End::Long(_) => {
            dispatch::answer_error(session, worker, &ABORTED, out);
        }
        End::Redirected(error) => {
            let text = error.bytes();
            ReplyWriter::new(out, session.protocol).error_bytes(&text);
            worker.reject(Some(spec), &text);
            return flow;
        }
        End::Refused(error) => {
            dispatch::reject(session, worker, Some(spec), &error, out);
            return flow;
        }
    }
    if bounded {
        // Enough or not: the next command of this kind will be told.
        let _enough = server.make_room(worker.scope(session.db));
    }
    if server.clients.has_monitors() {
        monitor::feed(server, session, spec, args);
    }
    worker.end_transaction(started);
    worker.finish_command(session, spec, args);
    flow
}

/// Locks, asks, and runs what is queued.
fn run(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    spec: &'static Spec,
    queue: &Queue,
    room: bool,
    out: &mut Vec<u8>,
) -> End {
    let scope = worker.scope(session.db);
    let seat = worker.seat;
    let db = Db::new(&server.store, None, scope);
    let mut run = Run::new(session, worker, server, spec, queue, db, out);
    let left = if run.at_gate {
        server.gate.exclusive(Some(seat), |_| {
            if !server.store.is_quiet() {
                // All threads would wait for what is out.
                return Err(End::Busy(Box::new(Need::everything())));
            }
            server.store.as_one(scope, || {
                run.begin(room)?;
                run.unlock();
                Ok(run.go_on())
            })
        })
    } else {
        run.begin(room).map(|()| run.go_on())
    };
    let mut left = match left {
        Ok(left) => left,
        Err(end) => return end,
    };
    while let Some(work) = left {
        let protocol = run.ctx.session.protocol;
        let reply = server
            .gate
            .outside(seat, || elsewhere(server, work, protocol));
        left = server.gate.exclusive(Some(seat), |_| {
            server.store.as_one(scope, || {
                run.finish(&reply);
                run.go_on()
            })
        });
    }
    End::Ran {
        closing: run.closing,
    }
}

/// Runs a transaction whose slots are out, on the thread that has them; whether its connection is to
/// close.
pub(super) fn run_long(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    (request, queue): (&Queue, &Queue),
    taken: &mut Taken,
    out: &mut Vec<u8>,
) -> bool {
    let Some(exec) = request.command(0) else {
        return false;
    };
    let (started, scope) = (worker.start_transaction(), worker.scope(session.db));
    let db = Db::many(&server.store, server.store.resume(taken), scope);
    let mut run = Run::new(session, worker, server, exec.spec, queue, db, out);
    run.start();
    let left = run.go_on();
    debug_assert!(left.is_none(), "only at the gate is anything left");
    let args = request.args(exec);
    if server.clients.has_monitors() {
        monitor::feed(server, run.ctx.session, exec.spec, &args);
    }
    let closing = run.closing;
    // Puts the slots back.
    drop(run);
    session.transaction.close(&session.client, &server.store);
    worker.end_transaction(started);
    worker.finish_command(session, exec.spec, &args);
    closing
}

/// Applies a transaction of a stream. The thread has its seat.
///
/// # Errors
/// Slots are out, and none of it has run.
pub(crate) fn apply(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    queue: &Queue,
    out: &mut Vec<u8>,
) -> Result<(), Box<Need>> {
    let Some(exec) = command::lookup(b"exec") else {
        return Ok(());
    };
    let started = worker.start_transaction();
    let end = run(session, worker, server, exec, queue, true, out);
    session.transaction.close(&session.client, &server.store);
    // Outside of it, too, none may wait.
    session.transaction.running = true;
    worker.end_transaction(started);
    match end {
        End::Busy(need) => Err(need),
        _ => Ok(()),
    }
}

/// Does a command's work on a thread of its own, as it may wait in a way that a worker must not.
fn elsewhere(server: &Arc<Server>, work: Background, protocol: Protocol) -> Vec<u8> {
    let done = std::thread::scope(|scope| scope.spawn(|| work.run(server, protocol)).join());
    // A panic in there has been logged; the client gets an error instead of silence.
    done.unwrap_or_else(|_| b"-ERR internal error\r\n".to_vec())
}

/// A transaction under way.
struct Run<'a> {
    /// What the command that is running works with. Unless at the gate, `db` has all slots.
    ctx: Ctx<'a>,
    worker: &'a mut Worker,
    queue: &'a Queue,
    /// The command that is next, or whose work is under way.
    next: usize,
    at_gate: bool,
    /// The connection is to close after this.
    closing: bool,
}

impl<'a> Run<'a> {
    fn new(
        session: &'a mut SessionState,
        worker: &'a mut Worker,
        server: &'a Arc<Server>,
        spec: &'static Spec,
        queue: &'a Queue,
        db: Db<'a>,
        out: &'a mut Vec<u8>,
    ) -> Self {
        let scope = worker.scope(session.db);
        Self {
            ctx: Ctx {
                server,
                reply: ReplyWriter::new(out, session.protocol),
                session,
                db,
                spec,
                now_ms: scope.now_ms,
                scope,
                numbers: None,
                after: None,
            },
            worker,
            queue,
            next: 0,
            at_gate: queue.union().gate,
            closing: false,
        }
    }

    /// Locks all slots and asks whether the transaction may run. If so its reply has begun, and
    /// nothing is watched any longer.
    fn begin(&mut self, room: bool) -> Result<(), End> {
        let (server, scope) = (self.ctx.server, self.ctx.scope);
        let mut slots = self.queue.slots().to_vec();
        self.ctx.session.transaction.watched_slots(&mut slots);
        slots.sort_unstable();
        slots.dedup();
        let ticket = self.ctx.session.ticket();
        let guards = server.store.lock_many_in_turn(&slots, ticket);
        self.ctx.db = Db::many(&server.store, guards.map_err(End::Busy)?, scope);
        if server.cluster_enabled && self.ctx.session.stream.is_none() {
            self.ask().map_err(End::Redirected)?;
        }
        if !room {
            return Err(End::Refused(CommandError::OutOfMemory));
        }
        if self.queue.union().write && server.aof.is_failing() {
            return Err(End::Refused(admission::disk_error(server)));
        }
        if self.queue.is_aborted() {
            return Err(End::Aborted);
        }
        if self.ctx.session.transaction.is_broken(&self.ctx.db) {
            return Err(End::Broken);
        }
        self.leave_if_long()?;
        self.start();
        Ok(())
    }

    /// Takes the slots out if it will take long.
    fn leave_if_long(&mut self) -> Result<(), End> {
        // What applies a stream has a thread of its own already.
        if self.at_gate
            || self.ctx.session.stream.is_some()
            || self.ctx.db.guards().next().is_none()
            || self.effort() < LONG_NANOS
        {
            return Ok(());
        }
        let guards = self.ctx.db.release();
        let ticket = self.ctx.session.ticket();
        let taken = self.ctx.server.store.take_out(guards, ticket);
        Err(taken.map_or_else(End::Busy, End::Long))
    }

    /// How long it will take, in nanoseconds, by what is there now.
    fn effort(&mut self) -> u64 {
        let (queue, handlers) = (self.queue, &self.ctx.server.handlers);
        let (mut sum, mut next) = (0u64, 0);
        while let Some(command) = queue.command(next) {
            next += 1;
            let args = queue.args(command);
            sum = sum.saturating_add((args.len() as u64).saturating_mul(ARGUMENT));
            let estimate = handlers.estimate(command.spec.id);
            if let Some(estimate) = estimate.filter(|_| command.has_keys()) {
                sum = sum.saturating_add(estimate(&mut self.ctx.db, &args));
            }
        }
        sum
    }

    /// Nothing stands in its way: begins the reply; nothing is watched any longer.
    fn start(&mut self) {
        let (server, session) = (self.ctx.server, &mut *self.ctx.session);
        session.transaction.start(&session.client, &server.store);
        let length = self.ctx.reply.out.len();
        self.ctx.reply.array(self.queue.count());
        self.silence(length);
    }

    /// Whether this node serves the slot of the keys, which must be one.
    fn ask(&mut self) -> Result<(), CommandError> {
        let server = self.ctx.server;
        let Some(slot) = self.queue.slots().first().copied() else {
            return Ok(());
        };
        let serving = self.ctx.db.serving(slot);
        let refused = |refusal| Err(dispatch::refuse(server, refusal, slot));
        if self.queue.slots().iter().any(|other| *other != slot) {
            return refused(routing::cross_slot(serving));
        }
        let union = self.queue.union();
        let keys = match serving {
            Serving::Ours => Vec::new(),
            _ => self.queue.keys(),
        };
        let request = routing::Request {
            asking: self.ctx.session.asking || union.asking,
            readonly: self.ctx.session.readonly,
            write: union.write,
            several_keys: keys.iter().any(|key| keys.first() != Some(key)),
            migrate: false,
            shard_pubsub: union.shard_pubsub,
            pubsub_when_down: server.config.cluster_allow_pubsubshard_when_down(),
        };
        match routing::admit(serving, &server.cluster_health, request) {
            Verdict::Serve => Ok(()),
            Verdict::Refuse(refusal) => refused(refusal),
            Verdict::CountKeys(direction) => {
                let present = keys.iter().filter(|key| self.ctx.db.contains(key)).count();
                routing::open_slot(direction, present, keys.len()).or_else(refused)
            }
        }
    }

    /// Runs the commands that are left; gives the work of one that needs the gate open.
    fn go_on(&mut self) -> Option<Background> {
        let queue = self.queue;
        while let Some(command) = queue.command(self.next) {
            let length = self.ctx.reply.out.len();
            if let Some(work) = self.step(command) {
                return Some(work);
            }
            self.conclude(command, length);
        }
        None
    }

    /// Runs one command.
    fn step(&mut self, command: &Queued) -> Option<Background> {
        let (queue, at_gate) = (self.queue, self.at_gate);
        let args = queue.args(command);
        let server = self.ctx.server;
        let scope = self.worker.scope(self.ctx.session.db);
        let ctx = &mut self.ctx;
        ctx.spec = command.spec;
        ctx.scope = scope;
        ctx.reply.protocol = ctx.session.protocol;
        let mut aside = None;
        if at_gate {
            let guards = server.store.lock_many(&queue.slots_of(command));
            ctx.db = Db::many(&server.store, guards, scope);
        } else if command.has_keys() {
            ctx.db.go_on(scope);
        } else {
            let none = Db::new(&server.store, None, scope);
            let mut all = std::mem::replace(&mut ctx.db, none);
            all.pass_effects(&mut ctx.db);
            aside = Some(all);
        }
        if ctx.session.stream.is_some() {
            ctx.db.set_expired(Expired::Keep);
        }
        if let Some(key) = command.key {
            ctx.db.know_hash(args.get(key.arg), key.slot, key.hash);
        }
        let result = (command.handler)(ctx, &args);
        ctx.write_down(&args);
        if at_gate {
            self.unlock();
        } else if let Some(mut all) = aside {
            self.ctx.db.pass_effects(&mut all);
            self.ctx.db = all;
        }
        let after = self.ctx.after.take();
        match result {
            Ok(()) => self.follow_up(command.spec, *after?),
            Err(error) => {
                self.answer_error(&error);
                None
            }
        }
    }

    /// Does what a command leaves to be done once its locks are released.
    fn follow_up(&mut self, spec: &Spec, after: After) -> Option<Background> {
        let server = self.ctx.server;
        match after {
            // Nothing waits inside a transaction.
            After::Wait(_) | After::Answer(_) => {}
            After::Close => self.closing = true,
            After::Background(work) if self.at_gate && spec.group == Group::Cluster => {
                return Some(work);
            }
            After::Background(work) => {
                let reply = work.run(server, self.ctx.session.protocol);
                self.ctx.reply.raw(&reply);
            }
            After::Exclusive(work) | After::Unlocked(work) if self.at_gate => {
                if let Err(error) = work.run(server, &mut self.ctx.reply) {
                    self.answer_error(&error);
                }
            }
            After::Exclusive(_) | After::Unlocked(_) | After::HandOver(_) => {
                self.answer_error(&CommandError::err(format_args!(
                    "{} is not possible inside a transaction",
                    spec.name
                )))
            }
        }
        None
    }

    /// The command that needed the gate open has its reply.
    fn finish(&mut self, reply: &[u8]) {
        let length = self.ctx.reply.out.len();
        self.ctx.reply.raw(reply);
        if let Some(command) = self.queue.command(self.next) {
            self.conclude(command, length);
        }
    }

    /// Counts a command that has run, and shows it to those who watch all commands.
    fn conclude(&mut self, command: &Queued, length: usize) {
        let args = self.queue.args(command);
        self.silence(length);
        let ctx = &self.ctx;
        if ctx.server.clients.has_monitors() {
            monitor::feed(ctx.server, ctx.session, command.spec, &args);
        }
        self.worker.finish_command(ctx.session, command.spec, &args);
        self.next += 1;
    }

    fn answer_error(&mut self, error: &CommandError) {
        let text = error.bytes();
        if let Some(stream) = &mut self.ctx.session.stream {
            let shown = String::from_utf8_lossy(&text).into_owned();
            stream.failed.push((self.ctx.spec.name, shown));
        }
        self.ctx.reply.error_bytes(&text);
        self.worker.fail(&text);
    }

    /// Takes back what a client that wants no replies is not to hear: CLIENT REPLY holds for parts
    /// of EXEC's reply, as in Redis.
    fn silence(&mut self, length: usize) {
        let mode = self.ctx.session.reply_mode;
        if matches!(mode, ReplyMode::Off | ReplyMode::Skip) {
            let kept = length.max(self.ctx.session.pushed_to);
            self.ctx.reply.out.truncate(kept);
        }
    }

    /// Lets all slots go.
    fn unlock(&mut self) {
        let server = self.ctx.server;
        self.ctx.db = Db::new(&server.store, None, self.ctx.scope);
    }
}

#[cfg(test)]
mod tests;
