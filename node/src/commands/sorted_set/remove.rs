//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use std::ops::Range;

use super::{Args, CommandError, Ctx, Handler, bounds};
use crate::store::{EventClass, SortedSet};

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
