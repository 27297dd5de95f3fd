//! SLOWLOG: the commands that took long.

use slotilla_common::resp::parse_i64;

use super::command_info::{help, wrong_use};
use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("slowlog|get", get),
    ("slowlog|help", help),
    ("slowlog|len", len),
    ("slowlog|reset", reset),
];

/// Entries that SLOWLOG GET gives if it is not told how many.
const DEFAULT_COUNT: usize = 10;

fn get(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let count = match args.len() {
        2 => DEFAULT_COUNT,
        3 => match parse_i64(args.get(2)) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => {
                return Err(CommandError::fixed(
                    "ERR count should be greater than or equal to -1",
                ));
            }
        },
        _ => return Err(wrong_use(args, "SLOWLOG")),
    };
    let entries = ctx.server.slowlog.newest(count);
    let reply = &mut ctx.reply;
    reply.array(entries.len());
    for entry in &entries {
        reply.array(6);
        reply.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        reply.integer(entry.time_s);
        reply.integer(i64::try_from(entry.duration_us).unwrap_or(i64::MAX));
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.client.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(())
}

fn len(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let len = ctx.server.slowlog.len();
    ctx.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.server.slowlog.reset();
    ctx.reply.ok();
    Ok(())
}
