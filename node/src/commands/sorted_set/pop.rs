//! ZPOPMIN, ZPOPMAX, ZMPOP.

use slotilla_common::resp::{Protocol, ReplyWriter, parse_i64};

use super::super::collection::MultiPop;
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Db, Digits, EventClass, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] =
    &[("zmpop", zmpop), ("zpopmax", zpopmax), ("zpopmin", zpopmin)];

/// Which end of a sorted set is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

/// Members taken off an end, in that order.
pub(in super::super) type Popped = Vec<(Vec<u8>, f64)>;

/// Takes up to `count` members off an end; `None` if there is no such key.
///
/// # Errors
/// The key has a value of another type.
pub(in super::super) fn pop(
    db: &mut Db<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Option<Popped>, CommandError> {
    let popped = db.update(key, |set: &mut SortedSet| {
        let len = set.len();
        let count = count.min(len);
        let ranks = match end {
            End::Min => 0..count,
            End::Max => len - count..len,
        };
        let walk = set.range(ranks.clone(), end == End::Max);
        let popped: Popped = walk
            .map(|(member, score)| (member.to_vec(), score))
            .collect();
        set.remove_ranks(ranks);
        Some(popped)
    })?;
    if popped.is_some() {
        let event = match end {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        };
        db.notify_taken(EventClass::SortedSet, event, key);
    }
    Ok(popped)
}

/// Writes members as ZMPOP does: in pairs, whatever the protocol.
pub(in super::super) fn write_pairs(reply: &mut ReplyWriter<'_>, key: &[u8], popped: &Popped) {
    reply.array(2);
    reply.bulk(key);
    reply.array(popped.len());
    for (member, score) in popped {
        reply.array(2);
        reply.bulk(member);
        reply.double(*score);
    }
}

/// The command that takes from an end.
pub(in super::super) fn popping(end: End) -> &'static [u8] {
    match end {
        End::Min => b"ZPOPMIN",
        End::Max => b"ZPOPMAX",
    }
}

/// As [`pop`], for ZMPOP and BZMPOP: what is written down is which key it came to.
pub(in super::super) fn pop_first(
    db: &mut Db<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Option<Popped>, CommandError> {
    let popped = pop(db, key, end, count)?;
    if let Some(popped) = &popped {
        let count = Digits::default().of(popped.len() as i64).to_vec();
        db.effect(&[popping(end), key, &count]);
    }
    Ok(popped)
}

fn zpopmin(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop_one_key(ctx, args, End::Min)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop_one_key(ctx, args, End::Max)
}

fn pop_one_key(ctx: &mut Ctx<'_>, args: &Args<'_>, end: End) -> Result<(), CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = if args.len() == 3 {
        let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
        Some(count.ok_or(CommandError::NotPositive)?)
    } else {
        None
    };
    if count == Some(0) {
        // Nothing to take; but the type counts.
        ctx.db.update(args.get(1), |_: &mut SortedSet| None::<()>)?;
        ctx.reply.array(0);
        return Ok(());
    }
    let popped = pop(&mut ctx.db, args.get(1), end, count.unwrap_or(1))?.unwrap_or_default();
    let is_nested = count.is_some() && ctx.reply.protocol == Protocol::Resp3;
    ctx.reply.array(if is_nested {
        popped.len()
    } else {
        popped.len() * 2
    });
    for (member, score) in &popped {
        if is_nested {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(member);
        ctx.reply.double(*score);
    }
    Ok(())
}

/// Reads which end is meant.
pub(in super::super) fn end(args: &Args<'_>, at: usize) -> Result<End, CommandError> {
    match () {
        () if args.is(at, "min") => Ok(End::Min),
        () if args.is(at, "max") => Ok(End::Max),
        () => Err(CommandError::Syntax),
    }
}

fn zmpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let wanted = MultiPop::parse(args, 1, end)?;
    for at in wanted.keys {
        let key = args.get(at);
        if let Some(popped) = pop_first(&mut ctx.db, key, wanted.end, wanted.count)? {
            write_pairs(&mut ctx.reply, key, &popped);
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}
