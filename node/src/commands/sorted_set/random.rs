//! ZRANDMEMBER.

use std::collections::HashSet;

use super::super::collection::{check_drawn, draw, draw_count};
use super::{Args, CommandError, Ctx, Handler, begin_members, write_member};
use crate::store::{Draw, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[("zrandmember", zrandmember)];

fn zrandmember(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    if args.len() == 2 {
        let set = ctx.db.read_as::<SortedSet>(key)?;
        match set.and_then(|set| set.nth(fastrand::usize(0..set.len()))) {
            Some((member, _)) => member.with_text(|member| ctx.reply.bulk(member)),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let (draw, with_scores) = parse(args)?;
    let set = ctx.db.read_as::<SortedSet>(key)?;
    let Some(set) = set.filter(|set| draw.count(set.len()) > 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    check_drawn(draw)?;
    let len = set.len();
    let ranks: Box<dyn Iterator<Item = usize>> = match draw {
        Draw::Repeated(count) => Box::new((0..count).map(|_| fastrand::usize(0..len))),
        Draw::Distinct(count) if count >= len => Box::new(0..len),
        Draw::Distinct(count) => Box::new(some_ranks(count, len).into_iter()),
    };
    begin_members(&mut ctx.reply, draw.count(len), with_scores);
    for (member, score) in ranks.filter_map(|rank| set.nth(rank)) {
        member.with_text(|member| write_member(&mut ctx.reply, member, score, with_scores));
    }
    Ok(())
}

fn parse(args: &Args<'_>) -> Result<(Draw, bool), CommandError> {
    let count = draw_count(args.get(2))?;
    let with_scores = args.len() == 4 && args.is(3, "withscores");
    if args.len() > 3 && !with_scores {
        return Err(CommandError::Syntax);
    }
    Ok((draw(count, with_scores)?, with_scores))
}

/// So many different ranks below `len`, in no order.
fn some_ranks(wanted: usize, len: usize) -> Vec<usize> {
    // Floyd's way: each subset is as likely as any other.
    let mut chosen = HashSet::with_capacity(wanted);
    let mut ranks = Vec::with_capacity(wanted);
    for last in len.saturating_sub(wanted)..len {
        let rank = fastrand::usize(0..=last);
        let rank = if chosen.insert(rank) { rank } else { last };
        chosen.insert(rank);
        ranks.push(rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_as_likely_as_any_other() {
        let mut seen = [0usize; 10];
        for _ in 0..10_000 {
            let ranks = some_ranks(3, 10);
            assert_eq!(ranks.iter().collect::<HashSet<_>>().len(), 3);
            for rank in ranks {
                seen[rank] += 1;
            }
        }
        assert!(
            seen.iter().all(|seen| (2700..3300).contains(seen)),
            "{seen:?}"
        );
    }
}
