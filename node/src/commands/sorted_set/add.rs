//! ZADD, ZINCRBY.

use super::super::double::parse_double;
use super::{Args, CommandError, Ctx, Handler, limits};
use crate::store::{EventClass, PackedLimits, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[("zadd", zadd), ("zincrby", zincrby)];

/// Which members a ZADD changes, and what it tells.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Rule {
    /// Only new ones.
    pub(in super::super) nx: bool,
    /// Only those that are there.
    pub(in super::super) xx: bool,
    /// Only to greater scores.
    gt: bool,
    /// Only to lesser scores.
    lt: bool,
    /// Tells how many have changed, too.
    pub(in super::super) ch: bool,
    /// The score is added to the one that is there.
    incr: bool,
}

/// What became of a member.
enum Outcome {
    /// The rule says that it stays what it is.
    Unwanted,
    Added(f64),
    Changed(f64),
    /// It had this score before.
    Same(f64),
    /// The sum is no number.
    NotANumber,
}

impl Rule {
    /// Reads the options; where they end.
    fn parse(args: &Args<'_>) -> (Self, usize) {
        let mut rule = Self::default();
        let mut at = 2;
        for option in args.iter_from(2) {
            let flag = match option.to_ascii_lowercase().as_slice() {
                b"nx" => &mut rule.nx,
                b"xx" => &mut rule.xx,
                b"gt" => &mut rule.gt,
                b"lt" => &mut rule.lt,
                b"ch" => &mut rule.ch,
                b"incr" => &mut rule.incr,
                _ => break,
            };
            *flag = true;
            at += 1;
        }
        (rule, at)
    }

    fn check(self, elements: usize) -> Result<(), CommandError> {
        if elements == 0 || !elements.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        if self.nx && self.xx {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if self.incr && elements > 2 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        Ok(())
    }

    fn apply(
        self,
        set: &mut SortedSet,
        member: &[u8],
        mut score: f64,
        limits: PackedLimits,
    ) -> Outcome {
        let Some(old) = set.score(member) else {
            if self.xx {
                return Outcome::Unwanted;
            }
            set.set(member, score, limits);
            return Outcome::Added(score);
        };
        if self.nx {
            return Outcome::Unwanted;
        }
        if self.incr {
            score += old;
            if score.is_nan() {
                return Outcome::NotANumber;
            }
        }
        if (self.lt && score >= old) || (self.gt && score <= old) {
            return Outcome::Unwanted;
        }
        if score == old {
            return Outcome::Same(score);
        }
        set.set(member, score, limits);
        Outcome::Changed(score)
    }
}

fn zadd(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (rule, at) = Rule::parse(args);
    rule.check(args.len().saturating_sub(at))?;
    let mut pairs = Vec::with_capacity((args.len() - at) / 2);
    let mut rest = args.iter_from(at);
    while let (Some(score), Some(member)) = (rest.next(), rest.next()) {
        pairs.push((parse_double(score).ok_or(CommandError::NotFloat)?, member));
    }
    add(ctx, args.get(1), rule, &pairs)
}

fn zincrby(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let rule = Rule {
        incr: true,
        ..Rule::default()
    };
    // As in Redis, whose ZINCRBY is its ZADD: an option leaves no pair of score and member.
    if ["nx", "xx", "gt", "lt", "ch", "incr"]
        .iter()
        .any(|option| args.is(2, option))
    {
        return Err(CommandError::Syntax);
    }
    let score = parse_double(args.get(2)).ok_or(CommandError::NotFloat)?;
    add(ctx, args.get(1), rule, &[(score, args.get(3))])
}

/// Adds members by a rule, and replies.
pub(in super::super) fn add(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    rule: Rule,
    pairs: &[(f64, &[u8])],
) -> Result<(), CommandError> {
    let limits = limits(ctx.server);
    let (mut added, mut changed, mut told, mut is_nan) = (0, 0, None, false);
    ctx.db.upsert(key, |set: &mut SortedSet| {
        for (score, member) in pairs {
            match rule.apply(set, member, *score, limits) {
                Outcome::Unwanted => {}
                Outcome::Added(score) => (added, told) = (added + 1, Some(score)),
                Outcome::Changed(score) => (changed, told) = (changed + 1, Some(score)),
                Outcome::Same(score) => told = Some(score),
                Outcome::NotANumber => is_nan = true,
            }
        }
        (added + changed > 0).then_some(())
    })?;
    if added + changed > 0 {
        let event = if rule.incr { "zincr" } else { "zadd" };
        ctx.db.notify(EventClass::SortedSet, event, key);
    }
    if is_nan {
        return Err("ERR resulting score is not a number (NaN)".into());
    }
    match told {
        Some(score) if rule.incr => ctx.reply.double(score),
        None if rule.incr => ctx.reply.null(),
        _ => ctx
            .reply
            .integer(if rule.ch { added + changed } else { added }),
    }
    Ok(())
}
