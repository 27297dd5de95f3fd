//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use std::ops::Range;

use super::super::effort::{MEMBER, of};
use super::{Args, CommandError, Ctx, Handler, bounds};
use crate::store::{Db, EventClass, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("zrem", zrem),
    ("zremrangebylex", zremrangebylex),
    ("zremrangebyrank", zremrangebyrank),
    ("zremrangebyscore", zremrangebyscore),
];

fn zrem(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let gone = ctx.db.update(args.get(1), |set: &mut SortedSet| {
        let gone = args.iter_from(2).filter_map(|member| set.remove(member));
        Some(gone.count()).filter(|gone| *gone > 0)
    })?;
    if gone.is_some() {
        ctx.db
            .notify_taken(EventClass::SortedSet, ctx.spec.name, args.get(1));
    }
    ctx.reply.integer(gone.unwrap_or(0) as i64);
    Ok(())
}

fn zremrangebyrank(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    remove(ctx, args, |set| bounds::ranks(start, stop, set.len()))
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let bounds = bounds::scores(args.get(2), args.get(3))?;
    remove(ctx, args, |set| set.ranks_within(&bounds))
}

fn zremrangebylex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let bounds = bounds::bytes(args.get(2), args.get(3))?;
    remove(ctx, args, |set| set.ranks_within(&bounds))
}

/// How long a range will take to remove.
pub(in super::super) fn effort(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let (min, max) = (args.get(2), args.get(3));
    let bounds = match args.get(0).to_ascii_lowercase().as_slice() {
        b"zremrangebyscore" => bounds::scores(min, max).ok(),
        b"zremrangebylex" => bounds::bytes(min, max).ok(),
        _ => None,
    };
    let ranks = (args.int(2).unwrap_or(0), args.int(3).unwrap_or(-1));
    let gone = of(db, args.get(1), |set: &SortedSet| match &bounds {
        Some(bounds) => set.ranks_within(bounds).len(),
        None => bounds::ranks(ranks.0, ranks.1, set.len()).len(),
    });
    gone as u64 * MEMBER
}

fn remove(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    ranks: impl FnOnce(&SortedSet) -> Range<usize>,
) -> Result<(), CommandError> {
    let gone = ctx.db.update(args.get(1), |set: &mut SortedSet| {
        let ranks = ranks(set);
        if ranks.is_empty() {
            return None;
        }
        set.remove_ranks(ranks.clone());
        Some(ranks.len())
    })?;
    if gone.is_some() {
        ctx.db
            .notify_taken(EventClass::SortedSet, ctx.spec.name, args.get(1));
    }
    ctx.reply.integer(gone.unwrap_or(0) as i64);
    Ok(())
}
