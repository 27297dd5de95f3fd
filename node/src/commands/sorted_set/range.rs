//! ZRANGE with all that it can do, the commands that did parts of it before, and ZRANGESTORE.

use std::ops::Range;

use super::super::effort::{ELEMENT, of, stays};
use super::{Args, CommandError, Ctx, Handler, begin_members, bounds, limits, store, write_member};
use crate::store::{Bounds, Db, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("zrange", zrange),
    ("zrangebylex", zrangebylex),
    ("zrangebyscore", zrangebyscore),
    ("zrangestore", zrangestore),
    ("zrevrange", zrevrange),
    ("zrevrangebylex", zrevrangebylex),
    ("zrevrangebyscore", zrevrangebyscore),
];

/// What the two ends of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Bytes,
}

/// What a command's name says already; options say the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    by: Option<By>,
    reverse: Option<bool>,
    is_store: bool,
}

/// Which members are wanted.
#[derive(Debug)]
enum Wanted<'a> {
    Ranks(i64, i64),
    Within(Bounds<'a>),
}

#[derive(Debug)]
struct Request<'a> {
    wanted: Wanted<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    /// Negative: all.
    limit: i64,
}

impl<'a> Request<'a> {
    /// Reads a request; its first end is at `at`.
    fn parse(args: &Args<'a>, at: usize, given: Given) -> Result<Self, CommandError> {
        let (mut by, mut reverse, mut with_scores) = (given.by, given.reverse, false);
        let (mut offset, mut limit) = (0, -1);
        let mut option = at + 2;
        while option < args.len() {
            if !given.is_store && args.is(option, "withscores") {
                with_scores = true;
            } else if args.is(option, "limit") && option + 2 < args.len() {
                (offset, limit) = (args.int(option + 1)?, args.int(option + 2)?);
                option += 2;
            } else if reverse.is_none() && args.is(option, "rev") {
                reverse = Some(true);
            } else if by.is_none() && args.is(option, "bylex") {
                by = Some(By::Bytes);
            } else if by.is_none() && args.is(option, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            option += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(
                "ERR syntax error, LIMIT is only supported in combination with either \
                        BYSCORE or BYLEX"
                    .into(),
            );
        }
        if with_scores && by == By::Bytes {
            return Err(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX".into(),
            );
        }
        let ends = (args.get(at), args.get(at + 1));
        let (min, max) = if reverse { (ends.1, ends.0) } else { ends };
        let wanted = match by {
            By::Rank => Wanted::Ranks(args.int(at)?, args.int(at + 1)?),
            By::Score => Wanted::Within(bounds::scores(min, max)?),
            By::Bytes => Wanted::Within(bounds::bytes(min, max)?),
        };
        Ok(Self {
            wanted,
            reverse,
            with_scores,
            offset,
            limit,
        })
    }

    /// The ranks of the members that are wanted.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let bounds = match &self.wanted {
            // Counted from the other end.
            Wanted::Ranks(start, stop) if self.reverse => {
                let len = set.len();
                let ranks = bounds::ranks(*start, *stop, len);
                return len - ranks.end..len - ranks.start;
            }
            Wanted::Ranks(start, stop) => return bounds::ranks(*start, *stop, set.len()),
            Wanted::Within(bounds) => bounds,
        };
        let within = set.ranks_within(bounds);
        let Ok(offset) = usize::try_from(self.offset) else {
            return 0..0;
        };
        let left = within.len().saturating_sub(offset);
        let count = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if self.reverse {
            let end = within.end - (within.len() - left);
            end - count..end
        } else {
            let start = within.start + (within.len() - left);
            start..start + count
        }
    }
}

fn zrange(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, None, None)
}

fn zrevrange(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, Some(By::Rank), Some(true))
}

fn zrangebyscore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, Some(By::Score), Some(false))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, Some(By::Score), Some(true))
}

fn zrangebylex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, Some(By::Bytes), Some(false))
}

fn zrevrangebylex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_range(ctx, args, Some(By::Bytes), Some(true))
}

fn reply_range(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<(), CommandError> {
    let given = Given {
        by,
        reverse,
        is_store: false,
    };
    let request = Request::parse(args, 2, given)?;
    let Some(set) = ctx.db.read_as::<SortedSet>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let walk = set.range(request.ranks(set), request.reverse);
    let nanos = walk.len() as u64 * 2 * ELEMENT;
    stays(nanos, ctx.session)?;
    begin_members(&mut ctx.reply, walk.len(), request.with_scores);
    for (member, score) in walk {
        member.with_text(|member| {
            write_member(&mut ctx.reply, member, score, request.with_scores);
        });
    }
    Ok(())
}

/// How long one of these commands will take.
pub(in super::super) fn effort(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let name = args.get(0).to_ascii_lowercase();
    let is_store = name == b"zrangestore";
    let by = match name.as_slice() {
        b"zrevrange" => Some(By::Rank),
        b"zrangebyscore" | b"zrevrangebyscore" => Some(By::Score),
        b"zrangebylex" | b"zrevrangebylex" => Some(By::Bytes),
        _ => None,
    };
    let given = Given {
        by,
        reverse: by.map(|_| name.starts_with(b"zrev")),
        is_store,
    };
    let at = if is_store { 3 } else { 2 };
    let Ok(request) = Request::parse(args, at, given) else {
        return 0;
    };
    let chosen = of(db, args.get(at - 1), |set: &SortedSet| {
        request.ranks(set).len()
    });
    chosen as u64 * 2 * ELEMENT
}

fn zrangestore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let given = Given {
        is_store: true,
        ..Given::default()
    };
    let request = Request::parse(args, 3, given)?;
    let limits = limits(ctx.server);
    let mut chosen = SortedSet::default();
    if let Some(set) = ctx.db.read_as::<SortedSet>(args.get(2))? {
        let walk = set.range(request.ranks(set), request.reverse);
        // What has been in a listpack has lost the sign of a zero, so it matters what Redis makes
        // big from the start: it counts ranks beforehand, and nothing else.
        if matches!(request.wanted, Wanted::Ranks(..)) && walk.len() > limits.entries {
            chosen = SortedSet::new_big();
        }
        for (member, score) in walk {
            member.with_text(|member| chosen.set(member, score, limits));
        }
    }
    let len = store(&mut ctx.db, args.get(1), chosen, ctx.spec.name);
    ctx.reply.integer(len as i64);
    Ok(())
}
