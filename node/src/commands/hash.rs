//! HSET and its kin: hashes.

use super::collection::{self, reply_item};
use super::effort::{ELEMENT, stays};
use super::long_double::LongDouble;
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, Draw, EventClass, Hash, Item, PackedLimits};
use slotilla_common::resp::{Protocol, ReplyWriter, parse_i64};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("hdel", hdel),
    ("hexists", hexists),
    ("hget", hget),
    ("hgetall", hgetall),
    ("hincrby", hincrby),
    ("hincrbyfloat", hincrbyfloat),
    ("hkeys", hkeys),
    ("hlen", hlen),
    ("hmget", hmget),
    ("hmset", hmset),
    ("hrandfield", hrandfield),
    ("hscan", hscan),
    ("hset", hset),
    ("hsetnx", hsetnx),
    ("hstrlen", hstrlen),
    ("hvals", hvals),
];

fn limits(ctx: &Ctx<'_>) -> PackedLimits {
    PackedLimits {
        entries: ctx.server.config.hash_max_listpack_entries(),
        bytes: ctx.server.config.hash_max_listpack_value(),
    }
}

// === Setting ===

fn hset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let added = set_pairs(ctx, args)?;
    ctx.reply.integer(added);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

/// Sets all fields given; how many are new.
fn set_pairs(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<i64, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::WrongArity(ctx.spec.name));
    }
    let limits = limits(ctx);
    let added = ctx.db.upsert(args.get(1), |hash: &mut Hash| {
        let set = |at: &usize| hash.set(args.get(*at), args.get(*at + 1), limits);
        Some((2..args.len()).step_by(2).filter(set).count())
    })?;
    ctx.db.notify(EventClass::Hash, "hset", args.get(1));
    Ok(added.unwrap_or(0) as i64)
}

fn hsetnx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let limits = limits(ctx);
    let set = ctx.db.upsert(args.get(1), |hash: &mut Hash| {
        let absent = !hash.contains(args.get(2));
        absent.then(|| hash.set(args.get(2), args.get(3), limits))
    })?;
    if set.is_some() {
        ctx.db.notify(EventClass::Hash, "hset", args.get(1));
    }
    ctx.reply.integer(i64::from(set.is_some()));
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let removed = ctx.db.update(args.get(1), |hash: &mut Hash| {
        let removed = args.iter_from(2).filter(|field| hash.remove(field)).count();
        (removed > 0).then_some(removed)
    })?;
    if removed.is_some() {
        ctx.db.notify_taken(EventClass::Hash, "hdel", args.get(1));
    }
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn hincrby(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let by = args.int(3)?;
    let sum = change_number(ctx, args, |old| {
        let old = match old {
            None => 0,
            Some(Item::Int(number)) => number,
            Some(Item::Bytes(text)) => parse_i64(text).ok_or("ERR hash value is not an integer")?,
        };
        let sum = old.checked_add(by).ok_or(CommandError::WouldOverflow)?;
        Ok((Digits::default().of(sum).to_vec(), sum))
    })?;
    ctx.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let by = LongDouble::parse(args.get(3)).ok_or(CommandError::NotFloat)?;
    if !by.is_finite() {
        return Err("ERR value is NaN or Infinity".into());
    }
    let text = change_number(ctx, args, |old| {
        let old = match old {
            None => LongDouble::ZERO,
            Some(item) => LongDouble::parse(item.text(&mut Digits::default()))
                .ok_or("ERR hash value is not a float")?,
        };
        let sum = old.add(by);
        if !sum.is_finite() {
            return Err(CommandError::NanOrInfinity);
        }
        let text = sum.to_decimal().into_bytes();
        Ok((text.clone(), text))
    })?;
    ctx.db.effect(&[b"HSET", args.get(1), args.get(2), &text]);
    ctx.reply.bulk(&text);
    Ok(())
}

/// Sets the field at argument 2 to what `change` makes of its value: text, and what to answer.
fn change_number<R>(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    change: impl FnOnce(Option<Item<'_>>) -> Result<(Vec<u8>, R), CommandError>,
) -> Result<R, CommandError> {
    let limits = limits(ctx);
    let mut result = Err(CommandError::NoSuchKey);
    ctx.db.upsert(args.get(1), |hash: &mut Hash| {
        result = change(hash.get(args.get(2))).map(|(text, answer)| {
            hash.set(args.get(2), &text, limits);
            answer
        });
        result.is_ok().then_some(())
    })?;
    if result.is_ok() {
        ctx.db.notify(EventClass::Hash, ctx.spec.name, args.get(1));
    }
    result
}

// === Reading ===

fn hget(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    match hash.and_then(|hash| hash.get(args.get(2))) {
        Some(value) => reply_item(&mut ctx.reply, value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for field in args.iter_from(2) {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => reply_item(&mut ctx.reply, value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    let is_there = hash.is_some_and(|hash| hash.contains(args.get(2)));
    ctx.reply.integer(i64::from(is_there));
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let len = ctx.db.read_as(args.get(1))?.map_or(0, Hash::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    let value = hash.and_then(|hash| hash.get(args.get(2)));
    ctx.reply.integer(value.map_or(0, Item::len) as i64);
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    let nanos = hash.map_or(0, Hash::len) as u64 * 2 * ELEMENT;
    stays(nanos, ctx.session)?;
    ctx.reply.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        reply_item(&mut ctx.reply, field);
        reply_item(&mut ctx.reply, value);
    }
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    list(ctx, args, |(field, _)| field)
}

fn hvals(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    list(ctx, args, |(_, value)| value)
}

fn list(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    which: for<'h> fn((Item<'h>, Item<'h>)) -> Item<'h>,
) -> Result<(), CommandError> {
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    let nanos = hash.map_or(0, Hash::len) as u64 * ELEMENT;
    stays(nanos, ctx.session)?;
    ctx.reply.array(hash.map_or(0, Hash::len));
    for pair in hash.into_iter().flat_map(Hash::iter) {
        reply_item(&mut ctx.reply, which(pair));
    }
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let cursor = collection::cursor(args)?;
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    collection::scan(&mut ctx.reply, args, hash, |hash, options, found| {
        hash.scan(cursor, options.count, |field, value| {
            if options.fits(field) {
                found.push(field);
                found.push(value);
            }
        })
    })
}

fn hrandfield(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut random = fastrand::Rng::new();
    if args.len() == 2 {
        let hash = ctx.db.read_as::<Hash>(args.get(1))?;
        let Some(hash) = hash else {
            ctx.reply.null();
            return Ok(());
        };
        hash.draw(Draw::Distinct(1), &mut random, |field, _| {
            reply_item(&mut ctx.reply, field);
        });
        return Ok(());
    }
    let count = collection::draw_count(args.get(2))?;
    let with_values = args.len() == 4 && args.is(3, "withvalues");
    if args.len() > 3 && !with_values {
        return Err(CommandError::Syntax);
    }
    let draw = collection::draw(count, with_values)?;
    let hash = ctx.db.read_as::<Hash>(args.get(1))?;
    let Some(hash) = hash else {
        ctx.reply.array(0);
        return Ok(());
    };
    collection::check_drawn(draw)?;
    let reply = &mut ctx.reply;
    let pairs = draw.count(hash.len());
    let nested = with_values && reply.protocol == Protocol::Resp3;
    reply.array(if with_values && !nested {
        pairs * 2
    } else {
        pairs
    });
    hash.draw(draw, &mut random, |field, value| {
        reply_drawn(reply, field, with_values.then_some(value), nested);
    });
    Ok(())
}

fn reply_drawn(
    reply: &mut ReplyWriter<'_>,
    field: Item<'_>,
    value: Option<Item<'_>>,
    nested: bool,
) {
    if nested {
        reply.array(2);
    }
    reply_item(reply, field);
    if let Some(value) = value {
        reply_item(reply, value);
    }
}
