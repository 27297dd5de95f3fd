//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. What is queued between MULTI and EXEC, and EXEC itself
//! after a MULTI, is [`crate::server::exec`]'s.

use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("discard", discard),
    ("exec", exec),
    ("multi", multi),
    ("unwatch", unwatch),
    ("watch", watch),
];

fn multi(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let session = &mut *ctx.session;
    if !session.transaction.open(&session.client) {
        return Err(CommandError::fixed("ERR MULTI calls can not be nested"));
    }
    ctx.reply.ok();
    Ok(())
}

/// Without a MULTI before it.
fn exec(_ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    Err(CommandError::fixed("ERR EXEC without MULTI"))
}

fn discard(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let session = &mut *ctx.session;
    if !session.transaction.is_open() {
        return Err(CommandError::fixed("ERR DISCARD without MULTI"));
    }
    session
        .transaction
        .close(&session.client, &ctx.server.store);
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let session = &mut *ctx.session;
    if session.transaction.is_open() {
        return Err(CommandError::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    // Once one has changed, the others make no difference.
    if !session.transaction.is_touched() {
        for key in args.iter_from(1) {
            session.transaction.watch(&session.client, &mut ctx.db, key);
        }
    }
    ctx.reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let session = &mut *ctx.session;
    session
        .transaction
        .unwatch(&session.client, &ctx.server.store);
    ctx.reply.ok();
    Ok(())
}
