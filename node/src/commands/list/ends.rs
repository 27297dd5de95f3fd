//! What goes to a list's ends and comes from them: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP,
//! LMPOP, LMOVE, RPOPLPUSH.

use slotilla_common::resp::{ReplyWriter, parse_i64};

use super::super::collection::{MultiPop, reply_item};
use super::{Args, CommandError, Ctx, Handler, end, limit};
use crate::server::Server;
use crate::store::{Db, Digits, End, EventClass, List, NodeLimit};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("lmove", lmove),
    ("lmpop", lmpop),
    ("lpop", lpop),
    ("lpush", lpush),
    ("lpushx", lpushx),
    ("rpop", rpop),
    ("rpoplpush", rpoplpush),
    ("rpush", rpush),
    ("rpushx", rpushx),
];

// === Pushing ===

fn lpush(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    push(ctx, args, End::Head)
}

fn rpush(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    push(ctx, args, End::Tail)
}

fn push(ctx: &mut Ctx<'_>, args: &Args<'_>, end: End) -> Result<(), CommandError> {
    let limit = limit(ctx.server);
    let push = |list: &mut List| Some(push_all(list, args, end, limit));
    let len = ctx.db.upsert(args.get(1), push)?;
    ctx.db.notify(EventClass::List, pushed(end), args.get(1));
    ctx.reply.integer(len.unwrap_or(0));
    Ok(())
}

fn lpushx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    push_if_there(ctx, args, End::Head)
}

fn rpushx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    push_if_there(ctx, args, End::Tail)
}

fn push_if_there(ctx: &mut Ctx<'_>, args: &Args<'_>, end: End) -> Result<(), CommandError> {
    let limit = limit(ctx.server);
    let push = |list: &mut List| Some(push_all(list, args, end, limit));
    let len = ctx.db.update(args.get(1), push)?;
    if len.is_some() {
        ctx.db.notify(EventClass::List, pushed(end), args.get(1));
    }
    ctx.reply.integer(len.unwrap_or(0));
    Ok(())
}

/// The event of a push.
fn pushed(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// The event of a pop.
fn popped(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

fn push_all(list: &mut List, args: &Args<'_>, end: End, limit: NodeLimit) -> i64 {
    for element in args.iter_from(2) {
        list.push(end, element, limit);
    }
    list.len() as i64
}

// === Popping ===

fn lpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, End::Head)
}

fn rpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, End::Tail)
}

fn pop(ctx: &mut Ctx<'_>, args: &Args<'_>, end: End) -> Result<(), CommandError> {
    match args.len() {
        2 => pop_one(ctx, args.get(1), end),
        3 => {
            let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            let count = count.ok_or(CommandError::NotPositive)?;
            let key = args.get(1);
            if !pop_many(&mut ctx.db, &mut ctx.reply, key, end, count, |_| {})? {
                ctx.reply.null_array();
            }
            Ok(())
        }
        _ => Err(CommandError::WrongArity(ctx.spec.name)),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: &[u8], end: End) -> Result<(), CommandError> {
    let reply = &mut ctx.reply;
    let taken = ctx.db.update(key, |list: &mut List| {
        list.pop(end, 1, |element| reply_item(reply, element));
        Some(())
    })?;
    match taken {
        Some(()) => ctx.db.notify_taken(EventClass::List, popped(end), key),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Answers with up to `count` elements off an end, behind what `begin` writes, and takes them out;
/// whether there is such a list.
pub(in super::super) fn pop_many(
    db: &mut Db<'_>,
    reply: &mut ReplyWriter<'_>,
    key: &[u8],
    end: End,
    count: usize,
    begin: impl FnOnce(&mut ReplyWriter<'_>),
) -> Result<bool, CommandError> {
    pop_each(db, reply, key, end, count, |reply, count| {
        begin(reply);
        reply.array(count);
    })
}

/// As [`pop_many`], without an array around the elements; `begin` is told how many they are.
pub(in super::super) fn pop_each(
    db: &mut Db<'_>,
    reply: &mut ReplyWriter<'_>,
    key: &[u8],
    end: End,
    count: usize,
    begin: impl FnOnce(&mut ReplyWriter<'_>, usize),
) -> Result<bool, CommandError> {
    let mut is_there = false;
    let taken = db.update(key, |list: &mut List| {
        is_there = true;
        let count = count.min(list.len());
        begin(reply, count);
        list.pop(end, count, |element| reply_item(reply, element));
        (count > 0).then_some(())
    })?;
    if taken.is_some() {
        db.notify_taken(EventClass::List, popped(end), key);
    }
    Ok(is_there)
}

/// The command that takes from an end.
pub(in super::super) fn popping(end: End) -> &'static [u8] {
    match end {
        End::Head => b"LPOP",
        End::Tail => b"RPOP",
    }
}

/// As [`pop_many`], in an array behind the key, for LMPOP and BLMPOP: what is written down is which
/// key it came to.
pub(in super::super) fn pop_first(
    db: &mut Db<'_>,
    reply: &mut ReplyWriter<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<bool, CommandError> {
    let mut popped = 0;
    let is_there = pop_each(db, reply, key, end, count, |reply, count| {
        reply.array(2);
        reply.bulk(key);
        reply.array(count);
        popped = count;
    })?;
    if popped > 0 {
        db.effect(&[popping(end), key, Digits::default().of(popped as i64)]);
    }
    Ok(is_there)
}

fn lmpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let MultiPop { keys, end, count } = MultiPop::parse(args, 1, end)?;
    for at in keys {
        let key = args.get(at);
        if pop_first(&mut ctx.db, &mut ctx.reply, key, end, count)? {
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}

// === Moving ===

fn rpoplpush(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    move_or_nothing(ctx, args, End::Tail, End::Head)
}

fn lmove(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    move_or_nothing(ctx, args, from, to)
}

fn move_or_nothing(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    from: End,
    to: End,
) -> Result<(), CommandError> {
    let (source, target) = ((args.get(1), from), (args.get(2), to));
    if !move_element(
        ctx.server,
        &mut ctx.db,
        &mut ctx.reply,
        source,
        target,
        || (),
    )? {
        ctx.reply.null();
    }
    Ok(())
}

/// Moves an element from an end of a list to an end of another, and answers with it; whether there
/// is such a list. `answered` is called where Redis answers: when it has told of the push, before it
/// tells of the pop.
pub(in super::super) fn move_element(
    server: &Server,
    db: &mut Db<'_>,
    reply: &mut ReplyWriter<'_>,
    (source, from): (&[u8], End),
    (target, to): (&[u8], End),
    answered: impl FnOnce(),
) -> Result<bool, CommandError> {
    if db.find_as::<List>(source)?.is_none() {
        return Ok(false);
    }
    db.find_as::<List>(target)?;
    let limit = limit(server);
    let moved = if source == target {
        // The key must not go in between, or its expiry would.
        db.update(source, |list: &mut List| {
            let moved = take_one(list, from);
            list.push(to, &moved, limit);
            Some(moved)
        })?
    } else {
        let take = |list: &mut List| Some(take_one(list, from));
        let moved = db.update(source, take)?.unwrap_or_default();
        db.upsert(target, |list: &mut List| {
            list.push(to, &moved, limit);
            Some(moved)
        })?
    };
    db.notify(EventClass::List, pushed(to), target);
    reply.bulk(&moved.unwrap_or_default());
    answered();
    db.notify_taken(EventClass::List, popped(from), source);
    Ok(true)
}

fn take_one(list: &mut List, from: End) -> Vec<u8> {
    let mut moved = Vec::new();
    list.pop(from, 1, |element| {
        moved.extend_from_slice(element.text(&mut Digits::default()));
    });
    moved
}
