//! SADD and its kin: single sets.

use super::collection::{self, reply_item};
use super::effort::{ELEMENT, stays};
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, Draw, EventClass, Set};
use slotilla_common::resp::parse_i64;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("sadd", sadd),
    ("scard", scard),
    ("sismember", sismember),
    ("smembers", smembers),
    ("smismember", smismember),
    ("smove", smove),
    ("spop", spop),
    ("srandmember", srandmember),
    ("srem", srem),
    ("sscan", sscan),
];

/// How many integers a set keeps before it gets a table.
pub(super) fn ints_max(ctx: &Ctx<'_>) -> usize {
    ctx.server.config.set_max_intset_entries()
}

fn sadd(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let ints_max = ints_max(ctx);
    let added = ctx.db.upsert(args.get(1), |set: &mut Set| {
        let add = |member: &&[u8]| set.add(member, ints_max);
        let added = args.iter_from(2).filter(add).count();
        (added > 0).then_some(added)
    })?;
    if added.is_some() {
        ctx.db.notify(EventClass::Set, "sadd", args.get(1));
    }
    ctx.reply.integer(added.unwrap_or(0) as i64);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let removed = ctx.db.update(args.get(1), |set: &mut Set| {
        let removed = args
            .iter_from(2)
            .filter(|member| set.remove(member))
            .count();
        (removed > 0).then_some(removed)
    })?;
    if removed.is_some() {
        ctx.db.notify_taken(EventClass::Set, "srem", args.get(1));
    }
    ctx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (from, to, member) = (args.get(1), args.get(2), args.get(3));
    let ints_max = ints_max(ctx);
    if !ctx.db.contains(from) {
        ctx.reply.integer(0);
        return Ok(());
    }
    let is_there = ctx
        .db
        .find_as::<Set>(from)?
        .is_some_and(|set| set.contains(member));
    ctx.db.find_as::<Set>(to)?;
    if is_there && from != to {
        ctx.db
            .update(from, |set: &mut Set| set.remove(member).then_some(()))?;
        ctx.db.notify_taken(EventClass::Set, "srem", from);
        let added = ctx
            .db
            .upsert(to, |set: &mut Set| set.add(member, ints_max).then_some(()))?;
        if added.is_some() {
            ctx.db.notify(EventClass::Set, "sadd", to);
        }
    }
    ctx.reply.integer(i64::from(is_there));
    Ok(())
}

fn scard(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let len = ctx.db.read_as(args.get(1))?.map_or(0, Set::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<Set>(args.get(1))?;
    let is_there = set.is_some_and(|set| set.contains(args.get(2)));
    ctx.reply.integer(i64::from(is_there));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<Set>(args.get(1))?;
    ctx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        let is_there = set.is_some_and(|set| set.contains(member));
        ctx.reply.integer(i64::from(is_there));
    }
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<Set>(args.get(1))?;
    let nanos = set.map_or(0, Set::len) as u64 * ELEMENT;
    stays(nanos, ctx.session)?;
    ctx.reply.set(set.map_or(0, Set::len));
    for member in set.into_iter().flat_map(Set::iter) {
        reply_item(&mut ctx.reply, member);
    }
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let cursor = collection::cursor(args)?;
    let set = ctx.db.read_as::<Set>(args.get(1))?;
    collection::scan(&mut ctx.reply, args, set, |set, options, found| {
        set.scan(cursor, options.count, |member| {
            if options.fits(member) {
                found.push(member);
            }
        })
    })
}

fn srandmember(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut random = fastrand::Rng::new();
    let draw = match args.len() {
        2 => None,
        3 => Some(collection::draw(
            collection::draw_count(args.get(2))?,
            false,
        )?),
        _ => return Err(CommandError::Syntax),
    };
    let set = ctx.db.read_as::<Set>(args.get(1))?;
    if let Some(draw) = draw.filter(|_| set.is_some()) {
        collection::check_drawn(draw)?;
    }
    match draw {
        Some(draw) => ctx.reply.array(set.map_or(0, |set| draw.count(set.len()))),
        None if set.is_none() => ctx.reply.null(),
        None => {}
    }
    if let Some(set) = set {
        let draw = draw.unwrap_or(Draw::Distinct(1));
        set.draw(draw, &mut random, |member| {
            reply_item(&mut ctx.reply, member);
        });
    }
    Ok(())
}

fn spop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::NotPositive)?)
        }
        _ => return Err(CommandError::Syntax),
    };
    let key = args.get(1);
    let Some(set) = ctx.db.find_as::<Set>(key)? else {
        match count {
            Some(_) => ctx.reply.set(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let draw = Draw::Distinct(count.unwrap_or(1));
    let popped = draw.count(set.len());
    if count.is_some() {
        ctx.reply.set(popped);
    }
    let everything = popped == set.len();
    let mut gone = Vec::new();
    set.draw(draw, &mut fastrand::Rng::new(), |member| {
        reply_item(&mut ctx.reply, member);
        if !everything || count.is_none() {
            gone.push(member.text(&mut Digits::default()).to_vec());
        }
    });
    if everything {
        ctx.db.remove(key);
        if count.is_some() {
            ctx.db.effect(&[b"DEL", key]);
        } else {
            let gone = gone.first().map_or(&b""[..], Vec::as_slice);
            ctx.db.effect(&[b"SREM", key, gone]);
        }
    } else if popped > 0 {
        ctx.db.update(key, |set: &mut Set| {
            gone.iter().for_each(|member| {
                set.remove(member);
            });
            Some(())
        })?;
        for member in &gone {
            ctx.db.effect(&[b"SREM", key, member]);
        }
    }
    if popped > 0 {
        ctx.db.notify_taken(EventClass::Set, "spop", key);
    }
    Ok(())
}
