//! FUNCTION, as Redis answers it while no library is loaded: Redis's own tools ask for the
//! libraries and clear them. There is nothing yet that could load one.

use slotilla_common::rdb;

use super::command_info::{help, wrong_use};
use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("function|delete", delete),
    ("function|dump", dump),
    ("function|flush", flush),
    ("function|help", help),
    ("function|kill", kill),
    ("function|list", list),
    ("function|restore", restore),
    ("function|stats", stats),
];

/// What a library begins with in a payload: the opcodes of Redis 7.0 and of its candidates.
const LIBRARY_OPCODES: [u8; 2] = [245, 246];

fn delete(_ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    Err(CommandError::fixed("ERR Library not found"))
}

fn kill(_ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    Err(CommandError::fixed(
        "NOTBUSY No scripts in execution right now.",
    ))
}

fn dump(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let mut payload = Vec::new();
    rdb::seal(&mut payload);
    ctx.reply.bulk(&payload);
    Ok(())
}

fn flush(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() > 3 {
        return Err(wrong_use(args, "FUNCTION"));
    }
    if args.len() == 3 && !args.is(2, "sync") && !args.is(2, "async") {
        return Err(CommandError::fixed(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    ctx.reply.ok();
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (mut with_code, mut library) = (false, false);
    let mut at = 2;
    while at < args.len() {
        if !with_code && args.is(at, "withcode") {
            with_code = true;
        } else if !library && args.is(at, "libraryname") {
            library = true;
            at += 1;
            if at == args.len() {
                return Err(CommandError::fixed(
                    "ERR library name argument was not given",
                ));
            }
        } else {
            return Err(CommandError::quoting("Unknown argument ", args.get(at), ""));
        }
        at += 1;
    }
    ctx.reply.array(0);
    Ok(())
}

fn restore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() > 4 {
        return Err(wrong_use(args, "FUNCTION"));
    }
    let policies = ["flush", "append", "replace"];
    if args.len() == 4 && !policies.iter().any(|policy| args.is(3, policy)) {
        return Err(CommandError::fixed(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    }
    let libraries = rdb::open(args.get(2)).map_err(CommandError::err)?;
    match libraries.first() {
        None => ctx.reply.ok(),
        Some(opcode) if LIBRARY_OPCODES.contains(opcode) => {
            return Err(CommandError::fixed(
                "ERR the payload holds libraries, and this server cannot run functions yet",
            ));
        }
        Some(_) => return Err(CommandError::fixed("ERR given type is not a function")),
    }
    Ok(())
}

fn stats(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    reply.null();
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    for count in ["libraries_count", "functions_count"] {
        reply.bulk(count.as_bytes());
        reply.integer(0);
    }
    Ok(())
}
