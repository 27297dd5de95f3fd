//! OBJECT: how a value is kept.

use super::{Args, CommandError, Ctx, Handler};
use crate::store::ValueRef;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("object|encoding", encoding),
    ("object|freq", freq),
    ("object|help", super::command_info::help),
    ("object|idletime", idletime),
    ("object|refcount", refcount),
];

/// What Redis says of the small integers that all values share.
const SHARED: i64 = i32::MAX as i64;
/// Integers from 0 up to this one are shared, unless the policy needs each value's own access word.
const SHARED_BELOW: i64 = 10_000;

fn encoding(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    match ctx.db.look_quietly(args.get(2)) {
        Some(entry) => ctx.reply.bulk(entry.encoding().name().as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn refcount(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let policy = ctx.server.store.settings().policy();
    let shares = ctx.server.config.maxmemory() == 0 || !(policy.is_lru() || policy.is_lfu());
    match ctx.db.look_quietly(args.get(2)).map(|entry| entry.value()) {
        Some(ValueRef::Int(0..SHARED_BELOW)) if shares => ctx.reply.integer(SHARED),
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn idletime(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let Some(access) = ctx.db.look_quietly(args.get(2)).map(|entry| entry.access()) else {
        ctx.reply.null();
        return Ok(());
    };
    if ctx.server.store.settings().policy().is_lfu() {
        return Err(CommandError::fixed(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to \
             adjust.",
        ));
    }
    let seconds = ctx.db.idle_ms(access) / 1000;
    ctx.reply.integer(seconds);
    Ok(())
}

fn freq(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let Some(access) = ctx.db.look_quietly(args.get(2)).map(|entry| entry.access()) else {
        ctx.reply.null();
        return Ok(());
    };
    if !ctx.server.store.settings().policy().is_lfu() {
        return Err(CommandError::fixed(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take \
             some time to adjust.",
        ));
    }
    let frequency = ctx.db.frequency(access);
    ctx.reply.integer(i64::from(frequency));
    Ok(())
}
