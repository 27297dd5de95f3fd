//! FLUSHALL, FLUSHDB.

use crate::server::long::InLine;

use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("flushall", flushall), ("flushdb", flushdb)];

/// Keys that are freed while all threads wait; more are freed elsewhere.
const INLINE_MAX: u64 = 10_000;
/// Bytes that are: a key may be a collection of millions.
const INLINE_BYTES_MAX: usize = 2 * 1024 * 1024;

fn flushall(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    flush(ctx, args, None)
}

fn flushdb(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let db = ctx.db.index();
    flush(ctx, args, Some(db))
}

fn flush(ctx: &mut Ctx<'_>, args: &Args<'_>, db: Option<u16>) -> Result<(), CommandError> {
    let lazily = match args.len() {
        1 => ctx.server.config.lazyfree_lazy_user_flush(),
        2 if args.is(1, "async") => true,
        2 if args.is(1, "sync") => false,
        _ => return Err(CommandError::Syntax),
    };
    let (store, scope) = (&ctx.server.store, ctx.scope);
    let words = args.to_vecs();
    let keys: u64 = match db {
        Some(db) => store.len(db),
        None => (0..store.databases()).map(|db| store.len(db)).sum(),
    };
    if lazily || keys <= INLINE_MAX && store.data_bytes() <= INLINE_BYTES_MAX {
        ctx.exclusively(move |server, reply| {
            let flushed = server.store.flush(db);
            server.store.log_words(scope, &words);
            if lazily {
                flushed.free_in_background(&server.store);
            }
            reply.ok();
            Ok(())
        });
    } else {
        // All tables go at one instant; the client waits until they are freed, and nobody else.
        ctx.in_background(move |server, reply| {
            let turn = InLine::everything(server);
            let flushed = server.gate.exclusive(None, |_| {
                server.store.log_words(scope, &words);
                server.store.flush(db)
            });
            drop(turn);
            drop(flushed);
            reply.ok();
            Ok(())
        });
    }
    Ok(())
}
