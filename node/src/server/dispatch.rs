//! From a parsed request to its reply: what `admission` lets through gets its locks, is asked whether
//! this node serves it, and goes to its handler.

use slotilla_common::command::{self, Flags, Group, KeyPositions, Spec, Unresolved};
use slotilla_common::net::http;
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admission::{self, Hindrance, admit};
use super::batch::{KeyAt, Request, slots_of};
use super::blocked::BlockedCommand;
use super::client::flag;
use super::long::{LONG_NANOS, LongCommand};
use super::session::SessionState;
use super::transaction::Queue;
use super::worker::Worker;
use super::{Server, exec};
use crate::cluster::routing::{self, Refusal, Serving, Verdict};
use crate::commands::{
    ARGUMENT, After, Answer, Args, Background, CommandError, Ctx, Deferred, Effort, HandOver,
    Handler,
};
use crate::store::{Db, Need, Scope, SlotGuard, Taken};

/// So many arguments may take long, whatever the command.
const ARGUMENTS_MANY: usize = (LONG_NANOS / ARGUMENT) as usize;

/// What follows a request.
#[derive(Debug)]
pub enum Flow {
    /// The next one.
    Next,
    /// This one's answer comes from a background thread.
    Background(Background),
    /// This one's answer is still to come.
    Answer(Answer),
    /// This one's connection goes to somebody else.
    HandOver(HandOver),
    /// This one waits for keys.
    Wait(Box<BlockedCommand>),
    /// This one has not run; it does when clients are no longer paused.
    Postpone,
    /// This one has not run; it does when what it needs is there.
    GetInLine(Box<Need>),
    /// This one runs on a thread that has its slots.
    Long(Box<LongCommand>),
    /// Nothing: close once the replies are sent.
    Close,
    /// Nothing: close at once, without the replies that are still to be sent.
    HangUp,
}

/// Runs one request and appends its reply to `out`.
pub fn run(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    request: &Request,
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let (spec, handler) = match admit(session, server, request, args) {
        Ok(admitted) => admitted,
        Err(error) => {
            let error = admission::redirected(session, worker, server, request, args, error);
            return turn_away(session, worker, server, request, args, &error, out);
        }
    };
    if session.client.has(flag::PUBSUB)
        && let Some(error) = refuse_to_subscriber(session, worker, server, request, spec, args)
    {
        note_command(session, Some(spec));
        return refused(session, worker, spec, error, out);
    }
    if session.transaction.is_open() {
        let what = (spec, handler);
        let flow = exec::inside(session, worker, server, request, what, args, out);
        if let Some(flow) = flow {
            return flow;
        }
    }
    if server.postpones(spec, request.key.map(|key| key.slot)) {
        return Flow::Postpone;
    }
    if server.config.maxmemory() != 0
        && let Err(error) = find_room(session, worker, server, request, spec, args)
    {
        return refused(session, worker, spec, error, out);
    }
    if server.aof.is_troubled() {
        match admission::check_disk(server, spec) {
            Ok(()) => {}
            Err(Hindrance::Full) => return Flow::Postpone,
            Err(Hindrance::Failing(error)) => return refused(session, worker, spec, error, out),
        }
    }
    note_command(session, Some(spec));

    let rest = execute(session, worker, server, request, spec, handler, args, out);
    if let Some(rest) = rest {
        let what = (spec, handler);
        return go_on(*rest, session, worker, server, request, what, args, out);
    }
    finish(session, worker, server, spec, args);
    Flow::Next
}

/// What follows any command that has run.
#[inline]
fn finish(
    session: &SessionState,
    worker: &mut Worker,
    server: &Server,
    spec: &'static Spec,
    args: &Args<'_>,
) {
    make_room_behind(session, worker, server, spec);
    feed_monitors(session, server, spec, args);
    worker.finish_command(session, spec, args);
}

/// Evicts what a command has added beyond the limit.
#[inline]
fn make_room_behind(session: &SessionState, worker: &Worker, server: &Server, spec: &Spec) {
    if server.config.maxmemory() != 0 && spec.flags.contains(Flags::DENYOOM) {
        // Enough or not: the next command of this kind will be told.
        let _enough = server.make_room(worker.scope(session.db));
    }
}

/// Sees to a command that is not done yet, or has failed.
#[cold]
#[expect(
    clippy::too_many_arguments,
    reason = "what a command works on, each part its own borrow"
)]
fn go_on(
    rest: Rest,
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    request: &Request,
    (spec, handler): (&'static Spec, Handler),
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let rest = match rest {
        Rest::Refused(error) => return refused(session, worker, spec, error, out),
        Rest::Failed(CommandError::Busy(need)) => return Flow::GetInLine(need),
        Rest::Long(taken) => {
            let request = Queue::of(request.key, args, (spec, handler));
            return Flow::Long(Box::new(LongCommand::new(server, taken, request, None)));
        }
        Rest::Then(After::Wait(wait)) => {
            make_room_behind(session, worker, server, spec);
            feed_monitors(session, server, spec, args);
            let begun = worker.begin_wait(session, spec, args);
            let command = BlockedCommand::new(wait.waiting, wait.timeout_ms, begun);
            return Flow::Wait(Box::new(command));
        }
        Rest::Then(After::Exclusive(work)) => {
            match exclusively(session, worker, server, work, out) {
                Ok(()) => None,
                Err(CommandError::Busy(need)) => return Flow::GetInLine(need),
                Err(error) => Some(Rest::Failed(error)),
            }
        }
        other => Some(other),
    };
    make_room_behind(session, worker, server, spec);
    let flow = rest.map_or(Flow::Next, |rest| {
        conclude(session, worker, server, rest, out)
    });
    if !matches!(flow, Flow::GetInLine(_)) {
        feed_monitors(session, server, spec, args);
        worker.finish_command(session, spec, args);
    }
    flow
}

/// Answers what is no command, or none for this client.
#[cold]
fn turn_away(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Server,
    request: &Request,
    args: &Args<'_>,
    error: &CommandError,
    out: &mut Vec<u8>,
) -> Flow {
    if matches!(request.spec, Err(Unresolved::Command)) && http::is_http(args.get(0)) {
        server.http_alarm.sound(&session.client.addr);
        return Flow::HangUp;
    }
    note_command(session, request.spec.ok());
    reject(session, worker, request.spec.ok(), error, out);
    Flow::Next
}

#[inline]
fn feed_monitors(session: &SessionState, server: &Server, spec: &Spec, args: &Args<'_>) {
    if server.clients.has_monitors() {
        super::monitor::feed(server, session, spec, args);
    }
}

/// Answers a command that was refused before it ran; or has it wait for its turn.
#[cold]
fn refused(
    session: &mut SessionState,
    worker: &mut Worker,
    spec: &'static Spec,
    error: CommandError,
    out: &mut Vec<u8>,
) -> Flow {
    if let CommandError::Busy(need) = error {
        return Flow::GetInLine(need);
    }
    reject(session, worker, Some(spec), &error, out);
    Flow::Next
}

/// Does work at the gate, unless a slot is out, which all threads would wait for.
#[cold]
fn exclusively(
    session: &SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    work: Deferred,
    out: &mut Vec<u8>,
) -> Result<(), CommandError> {
    let mut reply = ReplyWriter::new(out, session.protocol);
    let done = server.gate.exclusive(Some(worker.seat), |_| {
        let quiet = server.store.is_quiet();
        quiet.then(|| work.run(server, &mut reply))
    });
    done.unwrap_or_else(|| Err(CommandError::Busy(Box::new(Need::everything()))))
}

/// Tells CLIENT LIST what the client did last; `None` if it is no command.
#[inline]
pub(super) fn note_command(session: &SessionState, spec: Option<&Spec>) {
    let index = spec.map(|spec| spec.id.index());
    let place = index.and_then(|index| u16::try_from(index).ok());
    let place = place.unwrap_or(u16::MAX);
    session.client.last_command.store(place, Ordering::Relaxed);
}

/// Evicts until a command that may add memory fits; false if it cannot.
fn has_room(server: &Server, spec: &Spec, scope: Scope) -> bool {
    server.config.maxmemory() == 0
        || !spec.flags.contains(Flags::DENYOOM)
        || server.make_room(scope)
}

/// Evicts until a command fits, or says why it is refused: as in Redis, one that another node should
/// run is redirected first, for there may be room.
#[inline(never)]
fn find_room(
    session: &mut SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    request: &Request,
    spec: &'static Spec,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    let scope = worker.scope(session.db);
    if has_room(server, spec, scope) {
        return Ok(());
    }
    ask(session, server, request, spec, args, scope)?;
    Err(CommandError::OutOfMemory)
}

/// Why a client that subscribes may not run a command: in RESP2 it could not tell the reply from a
/// message. As in Redis, other reasons that there may be come first.
#[cold]
fn refuse_to_subscriber(
    session: &mut SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    request: &Request,
    spec: &'static Spec,
    args: &Args<'_>,
) -> Option<CommandError> {
    if session.protocol == Protocol::Resp3
        || matches!(spec.name, "ping" | "quit" | "reset")
        || spec.name.ends_with("subscribe")
    {
        return None;
    }
    let scope = worker.scope(session.db);
    if let Err(error) = ask(session, server, request, spec, args, scope) {
        return Some(error);
    }
    if !has_room(server, spec, scope) {
        return Some(CommandError::OutOfMemory);
    }
    Some(CommandError::err(format_args!(
        "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        spec.name
    )))
}

/// Whether this node would serve a command that is not to run now.
#[cold]
pub(super) fn ask(
    session: &mut SessionState,
    server: &Arc<Server>,
    request: &Request,
    spec: &'static Spec,
    args: &Args<'_>,
    scope: Scope,
) -> Result<(), CommandError> {
    let mut unwritten = Vec::new();
    let lock = |key: KeyAt| server.store.lock_in_turn(key.slot, session.ticket());
    let guard = request.key.map(lock).transpose()?;
    let mut ctx = Ctx {
        server,
        reply: ReplyWriter::new(&mut unwritten, session.protocol),
        session,
        db: Db::new(&server.store, guard, scope),
        spec,
        now_ms: scope.now_ms,
        scope,
        numbers: None,
        after: None,
    };
    lock_and_ask(&mut ctx, request, args)
}

/// What is left of a command that is not simply done.
enum Rest {
    /// It ran, and this is left to do.
    Then(After),
    /// It never ran: redirected, or its keys could not be found, or its slots are not to be had.
    Refused(CommandError),
    /// It takes long: these are its slots.
    Long(Taken),
    /// It ran and failed.
    Failed(CommandError),
}

/// Does what is left to do after a command, its locks being released.
#[cold]
fn conclude(
    session: &SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    rest: Rest,
    out: &mut Vec<u8>,
) -> Flow {
    match rest {
        Rest::Refused(error) | Rest::Failed(error) => {
            answer_error(session, worker, &error, out);
            Flow::Next
        }
        // The others have been seen to before.
        Rest::Long(_) | Rest::Then(After::Wait(_) | After::Exclusive(_)) => Flow::Next,
        Rest::Then(After::Close) => Flow::Close,
        Rest::Then(After::Background(work)) => Flow::Background(work),
        Rest::Then(After::Answer(answer)) => Flow::Answer(answer),
        Rest::Then(After::HandOver(taker)) => Flow::HandOver(taker),
        Rest::Then(After::Unlocked(work)) => {
            let mut reply = ReplyWriter::new(out, session.protocol);
            match work.run(server, &mut reply) {
                Ok(()) => {}
                Err(CommandError::Busy(need)) => return Flow::GetInLine(need),
                Err(error) => answer_error(session, worker, &error, out),
            }
            Flow::Next
        }
    }
}

/// Takes the locks of the command's slots, asks whether this node serves them, runs the handler.
/// `None` if that is all, and the reply is written; boxed, for every command looks at it.
#[expect(
    clippy::too_many_arguments,
    reason = "what a command works on, each part its own borrow"
)]
#[inline]
fn execute(
    session: &mut SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    request: &Request,
    spec: &'static Spec,
    handler: Handler,
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Option<Box<Rest>> {
    let scope = worker.scope(session.db);
    // Made in its place: moving a view of the keyspace costs more than a look-up.
    let mut ctx = Ctx {
        server,
        reply: ReplyWriter::new(out, session.protocol),
        session,
        db: Db::new(&server.store, None, scope),
        spec,
        now_ms: scope.now_ms,
        scope,
        numbers: None,
        after: None,
    };
    if let Some(key) = request.key {
        if let Some(guard) = server.store.lock_if_free(key.slot) {
            ctx.db.hold(guard);
        } else if let Err(error) = hold_in_turn(&mut ctx, key.slot) {
            return refusal(error);
        }
    }
    if let Err(error) = lock_and_ask(&mut ctx, request, args) {
        return refusal(error);
    }
    let effort = server.handlers.effort(spec.id);
    if (effort.is_some() || args.len() > ARGUMENTS_MANY)
        && let Some(left) = leave_if_long(&mut ctx, effort, args)
    {
        return Some(left);
    }
    let result = handler(&mut ctx, args);
    ctx.write_down_alone(args);
    match result {
        Ok(()) => ctx.after.take().map(|after| Box::new(Rest::Then(*after))),
        Err(CommandError::TakesLong) => Some(leave(&mut ctx)),
        Err(error) => Some(Box::new(Rest::Failed(error))),
    }
}

/// Locks a slot that is not free. Apart, for a guard that may come from either of two places is put
/// together in memory, and a processor waits to read as a whole what it has just written in parts.
#[cold]
fn hold_in_turn(ctx: &mut Ctx<'_>, slot: Slot) -> Result<(), CommandError> {
    let guard = ctx.server.store.lock_in_turn(slot, ctx.session.ticket());
    ctx.db.hold(guard.map_err(CommandError::Busy)?);
    Ok(())
}

#[cold]
fn refusal(error: CommandError) -> Option<Box<Rest>> {
    Some(Box::new(Rest::Refused(error)))
}

/// Takes the slots of a command out if it will take long.
#[inline(never)]
fn leave_if_long(ctx: &mut Ctx<'_>, effort: Option<Effort>, args: &Args<'_>) -> Option<Box<Rest>> {
    // Without a slot its arguments are none of this command's, and it fails at once. What may wait
    // does so on its own thread.
    ctx.db.guards().next()?;
    if ctx.spec.flags.contains(Flags::BLOCKING) {
        return None;
    }
    let arguments = (args.len() as u64).saturating_mul(ARGUMENT);
    let effort = effort.map_or(0, |effort| effort(&mut ctx.db, args));
    if arguments.saturating_add(effort) < LONG_NANOS {
        return None;
    }
    Some(leave(ctx))
}

/// Takes the slots of a command out.
#[cold]
fn leave(ctx: &mut Ctx<'_>) -> Box<Rest> {
    let guards = ctx.db.release();
    let taken = ctx.server.store.take_out(guards, ctx.session.ticket());
    Box::new(match taken {
        Ok(taken) => Rest::Long(taken),
        Err(need) => Rest::Refused(CommandError::Busy(need)),
    })
}

/// Runs a command whose slots are out, on the thread that has them; whether its connection is to
/// close.
pub(super) fn run_long(
    session: &mut SessionState,
    worker: &mut Worker,
    server: &Arc<Server>,
    request: &Queue,
    taken: &mut Taken,
    out: &mut Vec<u8>,
) -> bool {
    let Some(command) = request.command(0) else {
        return false;
    };
    let (spec, args) = (command.spec, request.args(command));
    let scope = worker.scope(session.db);
    let mut ctx = Ctx {
        server,
        reply: ReplyWriter::new(out, session.protocol),
        session,
        db: Db::many(&server.store, server.store.resume(taken), scope),
        spec,
        now_ms: scope.now_ms,
        scope,
        numbers: None,
        after: None,
    };
    if let Some(key) = command.key {
        ctx.db.know_hash(args.get(key.arg), key.slot, key.hash);
    }
    let result = (command.handler)(&mut ctx, &args);
    ctx.write_down(&args);
    feed_monitors(ctx.session, server, spec, &args);
    let after = ctx.after.take();
    // Puts the slots back.
    drop(ctx);
    let rest = match result {
        Ok(()) => after.map(|after| Rest::Then(*after)),
        Err(error) => Some(Rest::Failed(error)),
    };
    let flow = rest.map(|rest| conclude(session, worker, server, rest, out));
    let closing = match flow {
        Some(Flow::Background(work)) => {
            out.extend(work.run(server, session.protocol));
            false
        }
        flow => matches!(flow, Some(Flow::Close)),
    };
    worker.finish_command(session, spec, &args);
    closing
}

/// Locks the slots of a command's keys, unless it has but one key, whose slot is locked already;
/// whether this node serves them. For every command, and once more where one is refused.
#[inline(always)]
fn lock_and_ask(ctx: &mut Ctx<'_>, request: &Request, args: &Args<'_>) -> Result<(), CommandError> {
    match request.key {
        Some(key) => one_slot(ctx, key, args),
        None if !ctx.spec.keys.is_empty() => several_slots(ctx, args),
        None => Ok(()),
    }
}

/// For a command with one key, whose slot is locked: whether this node serves it.
#[inline(always)]
fn one_slot(ctx: &mut Ctx<'_>, key: KeyAt, args: &Args<'_>) -> Result<(), CommandError> {
    let name = args.get(key.arg);
    ctx.db.know_first(name, key.hash);
    if ctx.server.cluster_enabled {
        serves(ctx, key.slot, &[name])?;
    } else if ctx.db.is_entangled() {
        lock_along(ctx, key.slot)?;
        ctx.db.know_hash(name, key.slot, key.hash);
    }
    Ok(())
}

/// Locks the slot again, and what serving those who wait for its keys may take.
#[cold]
fn lock_along(ctx: &mut Ctx<'_>, slot: Slot) -> Result<(), CommandError> {
    let store = &ctx.server.store;
    ctx.db = Db::new(store, None, ctx.scope);
    let guards = store.lock_many_in_turn(&[slot], ctx.session.ticket())?;
    ctx.db = Db::many(store, guards, ctx.scope);
    Ok(())
}

/// Locks the slots of a command with several keys. In a cluster they must lie in one slot; a node
/// alone locks all their slots, in ascending order.
fn several_slots(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let server = ctx.server;
    let mut positions = KeyPositions::new();
    // Arguments that are no request of this command: its handler says what is wrong with them.
    if command::keys(ctx.spec, args, &mut positions).is_err() || positions.is_empty() {
        return Ok(());
    }
    let keys: SmallVec<[&[u8]; 16]> = positions.iter().map(|key| args.get(key.index)).collect();
    let (slots, numbers) = slots_of(&keys);
    // Locking waits for one slot's memory after the other, so all are asked for before.
    for slot in &slots {
        server.store.prefetch_slot(*slot);
    }
    let ticket = ctx.session.ticket();
    match slots.as_slice() {
        [slot] if server.cluster_enabled => {
            let guard = server.store.lock_in_turn(*slot, ticket)?;
            ctx.db = Db::new(&server.store, Some(guard), ctx.scope);
            serves(ctx, *slot, &keys)
        }
        _ if server.cluster_enabled => {
            let first = Slot::of_key(keys.first().copied().unwrap_or_default());
            let serving = server.store.lock_in_turn(first, ticket)?.serving();
            Err(refuse(server, routing::cross_slot(serving), first))
        }
        _ => {
            let guards = server.store.lock_many_in_turn(&slots, ticket)?;
            // Those who wait for a key may take more slots than were asked for.
            if guards.len() == slots.len() {
                ctx.numbers = numbers;
            }
            ctx.db = Db::many(&server.store, guards, ctx.scope);
            Ok(())
        }
    }
}

/// Whether this node runs a command on `keys`, all of `slot`, the only one that is locked.
fn serves(ctx: &mut Ctx<'_>, slot: Slot, keys: &[&[u8]]) -> Result<(), CommandError> {
    let spec = ctx.spec;
    let shard_pubsub = spec.group == Group::Pubsub;
    let request = routing::Request {
        asking: ctx.session.asking || spec.flags.contains(Flags::ASKING),
        readonly: ctx.session.readonly,
        write: spec.flags.contains(Flags::WRITE),
        several_keys: keys.len() > 1,
        migrate: spec.name == "migrate",
        shard_pubsub,
        pubsub_when_down: shard_pubsub && ctx.server.config.cluster_allow_pubsubshard_when_down(),
    };
    let serving = ctx
        .db
        .guards()
        .next()
        .map_or_else(Serving::default, SlotGuard::serving);
    let refusal = match routing::admit(serving, &ctx.server.cluster_health, request) {
        Verdict::Serve => return Ok(()),
        Verdict::Refuse(refusal) => refusal,
        Verdict::CountKeys(direction) => {
            let present = keys.iter().filter(|key| ctx.db.contains(key)).count();
            match routing::open_slot(direction, present, keys.len()) {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            }
        }
    };
    Err(refuse(ctx.server, refusal, slot))
}

/// The error of a command that another node should run, or nobody can.
#[cold]
pub(super) fn refuse(server: &Server, refusal: Refusal, slot: Slot) -> CommandError {
    match refusal.text() {
        Some(text) => CommandError::fixed(text),
        None => CommandError::Redirect(server.redirect(refusal, slot)),
    }
}

/// Answers a command that was refused before it ran. If it was to be queued, EXEC will refuse; if
/// it was EXEC, the transaction is over.
#[cold]
pub(super) fn reject(
    session: &mut SessionState,
    worker: &mut Worker,
    spec: Option<&'static Spec>,
    error: &CommandError,
    out: &mut Vec<u8>,
) {
    let mut text = error.bytes();
    session.transaction.abort();
    if spec.is_some_and(|spec| spec.name == "exec") {
        let store = &worker.server.store;
        session.transaction.close(&session.client, store);
        let reason = text.strip_prefix(b"ERR ").unwrap_or(&text);
        text = [b"EXECABORT Transaction discarded because of: ", reason]
            .concat()
            .into();
    }
    ReplyWriter::new(out, session.protocol).error_bytes(&text);
    worker.reject(spec, &text);
}

/// Answers a command that ran and failed.
#[cold]
pub(super) fn answer_error(
    session: &SessionState,
    worker: &mut Worker,
    error: &CommandError,
    out: &mut Vec<u8>,
) {
    let text = error.bytes();
    ReplyWriter::new(out, session.protocol).error_bytes(&text);
    worker.fail(&text);
}
