//! Runs commands that nobody has to answer for: no client, no password, no limit of memory, no
//! redirection, no pause; and their replies are of no interest, but for errors.

use std::sync::Arc;

use slotilla_common::command::{self, KeyPositions, Spec};
use slotilla_common::resp::ReplyWriter;
use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::ApplyError;
use crate::commands::{After, Args, CommandError, Ctx, Handler, quoted};
use crate::server::Server;
use crate::server::batch::{KeyAt, Request};
use crate::server::client::Client;
use crate::server::gate::SeatId;
use crate::server::long::InLine;
use crate::server::session::SessionState;
use crate::server::transaction::Queue;
use crate::server::worker::Worker;
use crate::server::{exec, monitor};
use crate::store::{Db, Expired, Guards, Need};

/// What runs commands on one thread.
#[derive(Debug)]
pub(super) struct Runner {
    server: Arc<Server>,
    worker: Worker,
    session: SessionState,
    reply: Vec<u8>,
}

/// A command that can be run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runnable {
    spec: &'static Spec,
    handler: Handler,
    key: Option<KeyAt>,
}

impl Runnable {
    /// Of a request.
    ///
    /// # Errors
    /// This node does not have the command.
    pub(super) fn new(
        server: &Server,
        request: &Request,
        args: &Args<'_>,
    ) -> Result<Self, ApplyError> {
        let handler = request.spec.map(|spec| (spec, server.handlers.of(spec.id)));
        match handler {
            Ok((spec, Some(handler))) => Ok(Self {
                spec,
                handler,
                key: request.key,
            }),
            Ok((spec, None)) => Err(ApplyError::Unsupported(spec.name.to_owned())),
            Err(_) => {
                let name = quoted(args.get(0));
                let name = name.get(..name.len().min(128)).unwrap_or_default();
                Err(ApplyError::Unsupported(name.escape_ascii().to_string()))
            }
        }
    }
}

impl Runnable {
    /// Its row of the table.
    pub(super) fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The slots of its keys, ascending, each once.
    pub(super) fn slots(&self, args: &Args<'_>) -> SmallVec<[Slot; 16]> {
        match self.key {
            Some(key) => SmallVec::from_slice(&[key.slot]),
            None => slots_of(self.spec, args),
        }
    }
}

impl Runner {
    /// One for the thread that has this seat and number, and shows itself as `client`.
    pub(super) fn new(
        server: &Arc<Server>,
        client: Arc<Client>,
        (number, seat): (usize, SeatId),
    ) -> Self {
        Self {
            server: Arc::clone(server),
            worker: Worker::new(Arc::clone(server), number, seat),
            session: SessionState::of_stream(client),
            reply: Vec::new(),
        }
    }

    /// Selects a database.
    pub(super) fn select(&mut self, db: u16) {
        self.session.db = db;
    }

    /// Commands that have failed since this was asked, and what they said.
    pub(super) fn failures(&mut self) -> Vec<(&'static str, String)> {
        let stream = self.session.stream.as_mut();
        stream.map_or_else(Vec::new, |stream| std::mem::take(&mut stream.failed))
    }

    /// Commands of other threads that have failed.
    pub(super) fn note_failures(&mut self, failed: Vec<(&'static str, String)>) {
        if let Some(stream) = &mut self.session.stream {
            stream.failed.extend(failed);
        }
    }

    /// Does `work` with a seat at the gate.
    pub(super) fn seated<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let server = Arc::clone(&self.server);
        let _seated = server.gate.sit(self.worker.seat);
        self.worker.start_batch();
        work(self)
    }

    /// Runs a command. Only with a seat.
    pub(super) fn run(&mut self, command: Runnable, args: &Args<'_>) {
        if !command.spec.arity_allows(args.len()) {
            let error = CommandError::WrongArity(command.spec.name);
            self.note_failure(command.spec, &error);
            return;
        }
        while let Err(need) = self.try_run(command, args) {
            self.wait_for(&need);
        }
        self.session.in_line = None;
        if self.server.clients.has_monitors() {
            monitor::feed(&self.server, &self.session, command.spec, args);
        }
        self.worker
            .finish_command(&self.session, command.spec, args);
    }

    /// Runs it, unless a slot is out: then it has not run.
    fn try_run(&mut self, command: Runnable, args: &Args<'_>) -> Result<(), Box<Need>> {
        let server = Arc::clone(&self.server);
        let scope = self.worker.scope(self.session.db);
        let guards = lock(&server, &self.session, command, args)?;
        self.reply.clear();
        let mut ctx = Ctx {
            server: &server,
            reply: ReplyWriter::new(&mut self.reply, self.session.protocol),
            session: &mut self.session,
            db: Db::many(&server.store, guards, scope),
            spec: command.spec,
            now_ms: scope.now_ms,
            scope,
            numbers: None,
            after: None,
        };
        ctx.db.set_expired(Expired::Keep);
        if let Some(key) = command.key {
            ctx.db.know_hash(args.get(key.arg), key.slot, key.hash);
        }
        let ran = (command.handler)(&mut ctx, args);
        // A replica's append-only file has what it applies.
        ctx.write_down(args);
        let after = ctx.after.take();
        // Lets the slots go.
        drop(ctx);
        let ran = ran.and_then(|()| after.map_or(Ok(()), |after| self.follow_up(*after)));
        match ran {
            Ok(()) => {}
            Err(CommandError::Busy(need)) => return Err(need),
            Err(error) => self.note_failure(command.spec, &error),
        }
        Ok(())
    }

    /// Does what a command leaves to be done once its locks are released.
    fn follow_up(&mut self, after: After) -> Result<(), CommandError> {
        let (server, seat) = (&self.server, self.worker.seat);
        self.reply.clear();
        let mut reply = ReplyWriter::new(&mut self.reply, self.session.protocol);
        match after {
            // Nobody waits, and there is no connection to be closed.
            After::Wait(_) | After::Answer(_) | After::Close | After::HandOver(_) => Ok(()),
            After::Background(work) => {
                // What it answers is in nobody's interest.
                let protocol = self.session.protocol;
                let _reply = server.gate.outside(seat, || work.run(server, protocol));
                Ok(())
            }
            After::Exclusive(work) => {
                let turn = server.gate.outside(seat, || InLine::everything(server));
                let done = server
                    .gate
                    .exclusive(Some(seat), |_| work.run(server, &mut reply));
                drop(turn);
                done
            }
            After::Unlocked(work) => work.run(server, &mut reply),
        }
    }

    /// Runs the commands of a transaction, as one. Only with a seat.
    pub(super) fn run_transaction(&mut self, commands: &[(Runnable, Args<'_>)]) {
        let mut queue = Queue::default();
        for (command, args) in commands {
            queue.push(command.key, args, (command.spec, command.handler));
        }
        let server = Arc::clone(&self.server);
        loop {
            self.reply.clear();
            let (session, worker) = (&mut self.session, &mut self.worker);
            match exec::apply(session, worker, &server, &queue, &mut self.reply) {
                Ok(()) => break,
                Err(need) => self.wait_for(&need),
            }
        }
        self.session.in_line = None;
    }

    /// Waits for slots that are out, and keeps them for the next try.
    fn wait_for(&mut self, need: &Need) {
        self.session.in_line = None;
        let (server, seat) = (&self.server, self.worker.seat);
        let turn = server.gate.outside(seat, || InLine::wait(server, need));
        self.session.in_line = Some(turn);
    }

    fn note_failure(&mut self, spec: &'static Spec, error: &CommandError) {
        let text = error.bytes();
        self.worker.fail(&text);
        if let Some(stream) = &mut self.session.stream {
            let shown = String::from_utf8_lossy(&text).into_owned();
            stream.failed.push((spec.name, shown));
        }
    }
}

/// Locks the slots of a command's keys, wherever they are served.
fn lock<'s>(
    server: &'s Server,
    session: &SessionState,
    command: Runnable,
    args: &Args<'_>,
) -> Result<Guards<'s>, Box<Need>> {
    let (store, ticket) = (&server.store, session.ticket());
    match command.key {
        Some(key) => {
            let guard = store.lock_in_turn(key.slot, ticket)?;
            if !guard.is_entangled() {
                return Ok(Some(guard).into());
            }
            drop(guard);
            store.lock_many_in_turn(&[key.slot], ticket)
        }
        None => {
            let slots = slots_of(command.spec, args);
            store.lock_many_in_turn(&slots, ticket)
        }
    }
}

/// The slots of a command's keys, ascending, each once.
fn slots_of(spec: &Spec, args: &Args<'_>) -> SmallVec<[Slot; 16]> {
    let mut positions = KeyPositions::new();
    // Arguments that are no request of this command: its handler says what is wrong with them.
    if spec.keys.is_empty() || command::keys(spec, args, &mut positions).is_err() {
        return SmallVec::new();
    }
    let keys = positions.iter().map(|key| args.get(key.index));
    let mut slots: SmallVec<[Slot; 16]> = keys.map(Slot::of_key).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}
