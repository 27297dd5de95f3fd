//! What there is to know of a member, and counts: ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCARD, ZCOUNT,
//! ZLEXCOUNT.

use super::{Args, CommandError, Ctx, Handler, bounds};
use crate::store::{Bounds, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("zcard", zcard),
    ("zcount", zcount),
    ("zlexcount", zlexcount),
    ("zmscore", zmscore),
    ("zrank", zrank),
    ("zrevrank", zrevrank),
    ("zscore", zscore),
];

fn zcard(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    ctx.reply.integer(set.map_or(0, SortedSet::len) as i64);
    Ok(())
}

fn zscore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    match set.and_then(|set| set.score(args.get(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    let members = args.iter_from(2);
    ctx.reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    rank(ctx, args, |rank, _| rank)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    rank(ctx, args, |rank, len| len - 1 - rank)
}

fn rank(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    told: fn(usize, usize) -> usize,
) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    match set.and_then(|set| Some((set.rank(args.get(2))?, set.len()))) {
        Some((rank, len)) => ctx.reply.integer(told(rank, len) as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zcount(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    count(ctx, args, bounds::scores(args.get(2), args.get(3))?)
}

fn zlexcount(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    count(ctx, args, bounds::bytes(args.get(2), args.get(3))?)
}

fn count(ctx: &mut Ctx<'_>, args: &Args<'_>, bounds: Bounds<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    let count = set.map_or(0, |set| set.ranks_within(&bounds).len());
    ctx.reply.integer(count as i64);
    Ok(())
}
