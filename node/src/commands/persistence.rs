//! SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF; and DEBUG RELOAD, DEBUG LOADAOF.

use super::{Args, CommandError, Ctx, Handler};
use crate::aof::{self, Refused};
use crate::persistence::{self, Busy, Reload, ReloadError};
use crate::server::Server;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("bgrewriteaof", bgrewriteaof),
    ("bgsave", bgsave),
    ("lastsave", lastsave),
    ("save", save),
];

/// As in Redis: what is wrong is in the log.
const FAILED: CommandError = CommandError::fixed("ERR");

const SAVING: CommandError = CommandError::fixed("ERR Background save already in progress");

fn lastsave(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let seconds = ctx.server.persistence.last_save_ms() / 1000;
    ctx.reply.integer(seconds);
    Ok(())
}

fn save(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    // As in Redis, where the same kind of process writes both.
    if ctx.server.replication.as_primary.is_copying() {
        return Err(SAVING);
    }
    ctx.in_background(|server, reply| {
        let saved = persistence::save(server).ok_or(SAVING)?;
        saved.map_err(|_| FAILED)?;
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// BGSAVE [SCHEDULE].
fn bgsave(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let schedule = match args.len() {
        1 => false,
        2 if args.is(1, "schedule") => true,
        _ => return Err(CommandError::Syntax),
    };
    let background = &ctx.server.persistence.background;
    if background.is_running() || ctx.server.replication.as_primary.is_copying() {
        return Err(SAVING);
    }
    if ctx.session.transaction.running {
        // As in Redis: what follows in the transaction is to be in it.
        background.schedule();
        ctx.reply.simple("Background saving scheduled");
        return Ok(());
    }
    ctx.in_background(move |server, reply| {
        // A rewrite that has been answered for has perhaps not come to its instant yet.
        let begun = if server.aof.is_rewriting() {
            Err(Busy::Other)
        } else {
            persistence::begin(server)
        };
        match begun {
            Ok(()) => reply.simple("Background saving started"),
            Err(Busy::Saving) => return Err(SAVING),
            // The copy has just begun, or is written for one that is gone.
            Err(Busy::Other) if !server.aof.is_rewriting() => return Err(SAVING),
            Err(Busy::Other) if schedule => {
                server.persistence.background.schedule();
                reply.simple("Background saving scheduled");
            }
            Err(Busy::Other) => {
                return Err(CommandError::fixed(
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use \
                     BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
                ));
            }
        }
        Ok(())
    });
    Ok(())
}

fn bgrewriteaof(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let is_in_exec = ctx.session.transaction.running;
    if !ctx.server.aof.is_rewriting() && (is_in_exec || aof::has_to_wait(ctx.server)) {
        ctx.server.aof.schedule_rewrite();
        let scheduled = "Background append only file rewriting scheduled";
        ctx.reply.simple(scheduled);
        return Ok(());
    }
    match aof::start_rewrite(ctx.server) {
        Ok(()) => {
            let begun = "Background append only file rewriting started";
            ctx.reply.simple(begun);
            Ok(())
        }
        Err(Refused::Running) => Err(CommandError::fixed(
            "ERR Background append only file rewriting already in progress",
        )),
        Err(Refused::Thread) => Err(CommandError::fixed(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more \
             information.",
        )),
    }
}

/// DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE].
pub(super) fn reload(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut options = Reload {
        saves: true,
        flushes: true,
        merges: false,
    };
    for at in 2..args.len() {
        if args.is(at, "merge") {
            options.merges = true;
        } else if args.is(at, "noflush") {
            options.flushes = false;
        } else if args.is(at, "nosave") {
            options.saves = false;
        } else {
            return Err(CommandError::fixed(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    refuse_while_loading(ctx.server)?;
    ctx.in_background(move |server, reply| {
        persistence::reload(server, options).map_err(|error| match error {
            ReloadError::Save(_) => FAILED,
            ReloadError::Load(_) => CommandError::fixed("ERR Error trying to load the RDB dump"),
        })?;
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// DEBUG LOADAOF.
pub(super) fn loadaof(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    refuse_while_loading(ctx.server)?;
    ctx.in_background(|server, reply| {
        aof::reload(server).map_err(|_| {
            CommandError::fixed("ERR Error trying to load the AOF files, check server logs.")
        })?;
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// DEBUG runs meanwhile; this is no time for a second load.
fn refuse_while_loading(server: &Server) -> Result<(), CommandError> {
    if server.loading() {
        return Err(CommandError::fixed(
            "LOADING Redis is loading the dataset in memory",
        ));
    }
    Ok(())
}
