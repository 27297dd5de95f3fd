//! DEL, TYPE, RENAME, COPY and their kin: keys, whatever their values.

use slotilla_common::resp::parse_i64;

use super::{Args, CommandError, Ctx, Handler};
use crate::store::EventClass;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("copy", copy),
    ("del", del),
    ("exists", exists),
    ("move", move_key),
    ("randomkey", randomkey),
    ("rename", rename),
    ("renamenx", renamenx),
    ("swapdb", swapdb),
    ("touch", touch),
    ("type", type_of),
    ("unlink", del),
];

/// DEL and UNLINK: big values are freed by the freeing thread either way.
fn del(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let deleted = args.iter_from(1).filter(|key| ctx.db.delete(key)).count();
    ctx.reply.integer(deleted as i64);
    Ok(())
}

fn exists(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let found = args
        .iter_from(1)
        .filter(|key| ctx.db.look(key).is_some())
        .count();
    ctx.reply.integer(found as i64);
    Ok(())
}

fn touch(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let found = args
        .iter_from(1)
        .filter(|key| ctx.db.read(key).is_some())
        .count();
    ctx.reply.integer(found as i64);
    Ok(())
}

fn type_of(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let name = match ctx.db.look(args.get(1)) {
        None => "none",
        Some(entry) => entry.value().type_name(),
    };
    ctx.reply.simple(name);
    Ok(())
}

fn rename(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    rename_to(ctx, args.get(1), args.get(2), false)?;
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let done = rename_to(ctx, args.get(1), args.get(2), true)?;
    ctx.reply.integer(i64::from(done));
    Ok(())
}

fn rename_to(
    ctx: &mut Ctx<'_>,
    from: &[u8],
    to: &[u8],
    only_absent: bool,
) -> Result<bool, CommandError> {
    if ctx.db.find(from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from == to {
        return Ok(false);
    }
    if only_absent && ctx.db.find(to).is_some() {
        return Ok(false);
    }
    let renamed = ctx.db.rename(from, to);
    ctx.db.notify(EventClass::Generic, "rename_from", from);
    ctx.db.notify(EventClass::Generic, "rename_to", to);
    Ok(renamed)
}

/// A number of a database, in C's `int`.
fn database(ctx: &Ctx<'_>, text: &[u8]) -> Result<u16, CommandError> {
    let number = parse_i64(text).ok_or(CommandError::NotInteger)?;
    if i32::try_from(number).is_err() {
        return Err(CommandError::err(format_args!(
            "value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        )));
    }
    u16::try_from(number)
        .ok()
        .filter(|number| *number < ctx.server.store.databases())
        .ok_or(CommandError::DbOutOfRange)
}

fn move_key(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.server.config.cluster_enabled() {
        return Err(CommandError::fixed(
            "ERR MOVE is not allowed in cluster mode",
        ));
    }
    let key = args.get(1);
    let to = database(ctx, args.get(2))?;
    if to == ctx.db.index() {
        return Err(CommandError::SameObject);
    }
    let free = ctx.db.find(key).is_some() && ctx.db.within(to, |there| there.find(key).is_none());
    if free && ctx.db.move_to(key, to) {
        ctx.db.notify(EventClass::Generic, "move_from", key);
        ctx.db.within(to, |there| {
            there.notify(EventClass::Generic, "move_to", key);
        });
    }
    ctx.reply.integer(i64::from(free));
    Ok(())
}

fn copy(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (from, to) = (args.get(1), args.get(2));
    let (mut replace, mut db) = (false, ctx.db.index());
    let mut at = 3;
    while at < args.len() {
        if args.is(at, "replace") {
            replace = true;
        } else if args.is(at, "db") && at + 1 < args.len() {
            db = database(ctx, args.get(at + 1))?;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if ctx.server.config.cluster_enabled() && db != 0 {
        return Err(CommandError::fixed(
            "ERR Copying to another database is not allowed in cluster mode",
        ));
    }
    if db == ctx.db.index() && from == to {
        return Err(CommandError::SameObject);
    }
    let done = ctx.db.read(from).is_some()
        && (replace || ctx.db.within(db, |there| there.find(to).is_none()))
        && ctx.db.copy(from, to, db);
    if done {
        ctx.db.within(db, |there| {
            there.notify(EventClass::Generic, "copy_to", to);
        });
    }
    ctx.reply.integer(i64::from(done));
    Ok(())
}

fn randomkey(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let key = ctx.server.store.random_key(ctx.db.scope());
    match key.map_err(CommandError::out)? {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn swapdb(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.server.config.cluster_enabled() {
        return Err(CommandError::fixed(
            "ERR SWAPDB is not allowed in cluster mode",
        ));
    }
    let number = |at: usize, invalid: &'static str| {
        parse_i64(args.get(at))
            .and_then(|number| i32::try_from(number).ok())
            .ok_or(CommandError::fixed(invalid))
    };
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let known = |number: i32| {
        u16::try_from(number)
            .ok()
            .filter(|number| *number < ctx.server.store.databases())
            .ok_or(CommandError::DbOutOfRange)
    };
    let (first, second) = (known(first)?, known(second)?);
    let (scope, words) = (ctx.scope, args.to_vecs());
    ctx.exclusively(move |server, reply| {
        server.store.as_one(scope, || {
            server.store.log_words(scope, &words);
            server.store.swap_databases(first, second);
        });
        reply.ok();
        Ok(())
    });
    Ok(())
}
