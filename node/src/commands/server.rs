//! TIME, SHUTDOWN, MONITOR, LOLWUT's plainer neighbours: the server as a whole.

use slotilla_common::clock;

use super::{Args, CommandError, Ctx, Handler};
use crate::config::ShutdownFlags;
use crate::persistence;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] =
    &[("monitor", monitor), ("shutdown", shutdown), ("time", time)];

fn time(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let now_us = clock::unix_us();
    ctx.reply.array(2);
    ctx.reply.bulk((now_us / 1_000_000).to_string().as_bytes());
    ctx.reply.bulk((now_us % 1_000_000).to_string().as_bytes());
    Ok(())
}

fn monitor(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.session.transaction.running {
        return Err(CommandError::fixed(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    ctx.server.clients.set_monitor(&ctx.session.client, true);
    ctx.reply.ok();
    Ok(())
}

/// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT].
fn shutdown(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (mut save, mut nosave, mut abort, mut force, mut now) = (false, false, false, false, false);
    for at in 1..args.len() {
        if args.is(at, "nosave") {
            nosave = true;
        } else if args.is(at, "save") {
            save = true;
        } else if args.is(at, "abort") {
            abort = true;
        } else if args.is(at, "force") {
            force = true;
        } else if args.is(at, "now") {
            now = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if (abort && args.len() > 2) || (save && nosave) {
        return Err(CommandError::Syntax);
    }
    if abort {
        if !ctx.server.replication.as_primary.stay() {
            return Err(CommandError::fixed("ERR No shutdown in progress."));
        }
        ctx.reply.ok();
        return Ok(());
    }
    if !now && ctx.session.transaction.running {
        return Err(CommandError::fixed(
            "ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client",
        ));
    }
    tracing::warn!(
        "User requested shutdown (client {})",
        ctx.session.client.addr
    );
    let saves = (save || nosave).then_some(save);
    let how = ShutdownFlags {
        save: saves,
        force,
        now,
    };
    let is_alone = now || ctx.server.replication.as_primary.count() == 0;
    if is_alone && (saves == Some(false) || ctx.server.config.save_points().is_empty() && !save) {
        ctx.server.shutdown.cancel();
        ctx.close();
        return Ok(());
    }
    save_and_stop(ctx, how)
}

/// The client hears nothing but the end of its connection, unless the data could not be saved.
fn save_and_stop(ctx: &mut Ctx<'_>, how: ShutdownFlags) -> Result<(), CommandError> {
    ctx.in_background(move |server, _reply| {
        if persistence::stop(server, how) {
            return Ok(());
        }
        Err(CommandError::fixed(
            "ERR Errors trying to SHUTDOWN. Check logs.",
        ))
    });
    Ok(())
}
