//! ZUNION, ZINTER, ZDIFF, ZINTERCARD, and ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use slotilla_common::resp::parse_i64;

use super::super::double::parse_double;
use super::{Args, CommandError, Ctx, Handler, begin_members, limits, store, write_member};
use crate::store::{Collection as _, Digits, Item, Set, SortedSet, ValueRef};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("zdiff", zdiff),
    ("zdiffstore", zdiffstore),
    ("zinter", zinter),
    ("zintercard", zintercard),
    ("zinterstore", zinterstore),
    ("zunion", zunion),
    ("zunionstore", zunionstore),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of a member's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinities of both signs make no number.
            Self::Sum => number(a + b),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is combined.
#[derive(Clone, Copy)]
enum Source<'a> {
    Missing,
    Sorted(&'a SortedSet),
    /// Members without scores count as 1 each.
    Plain(&'a Set),
}

impl<'a> Source<'a> {
    fn of(value: Option<ValueRef<'a>>) -> Result<Self, CommandError> {
        match value {
            None => Ok(Self::Missing),
            Some(ValueRef::Object(object)) => {
                let sorted = SortedSet::of(object).map(Self::Sorted);
                let found = sorted.or_else(|| Set::of(object).map(Self::Plain));
                found.ok_or(CommandError::WrongType)
            }
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Sorted(set) => set.len(),
            Self::Plain(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Sorted(set) => set.score(member),
            Self::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn for_each(self, mut visit: impl FnMut(Cow<'a, [u8]>, f64) -> bool) {
        match self {
            Self::Missing => {}
            Self::Sorted(set) => {
                let _stopped = set
                    .iter()
                    .all(|(member, score)| visit(member.to_cow(), score));
            }
            Self::Plain(set) => {
                let _stopped = set.iter().all(|member| {
                    let member = match member {
                        Item::Bytes(bytes) => Cow::Borrowed(bytes),
                        Item::Int(number) => Cow::Owned(Digits::default().of(number).to_vec()),
                    };
                    visit(member, 1.0)
                });
            }
        }
    }
}

/// What options say.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: none.
    limit: usize,
}

/// Which options a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Reply,
    Store,
    Count,
}

impl Options {
    fn parse(
        args: &Args<'_>,
        mut at: usize,
        keys: usize,
        operation: Operation,
        form: Form,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let has_weights = operation != Operation::Diff && form != Form::Count;
        while at < args.len() {
            let left = args.len() - at;
            if has_weights && left > keys && args.is(at, "weights") {
                for (weight, text) in options.weights.iter_mut().zip(args.iter_from(at + 1)) {
                    *weight = parse_double(text)
                        .ok_or(CommandError::fixed("ERR weight value is not a float"))?;
                }
                at += 1 + keys;
            } else if has_weights && left >= 2 && args.is(at, "aggregate") {
                options.aggregate = match () {
                    () if args.is(at + 1, "sum") => Aggregate::Sum,
                    () if args.is(at + 1, "min") => Aggregate::Min,
                    () if args.is(at + 1, "max") => Aggregate::Max,
                    () => return Err(CommandError::Syntax),
                };
                at += 2;
            } else if form == Form::Reply && args.is(at, "withscores") {
                options.with_scores = true;
                at += 1;
            } else if form == Form::Count && left >= 2 && args.is(at, "limit") {
                options.limit = parse_i64(args.get(at + 1))
                    .and_then(|limit| usize::try_from(limit).ok())
                    .ok_or(CommandError::fixed("ERR LIMIT can't be negative"))?;
                at += 2;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

/// Members with their scores.
type Outcome<'a> = Vec<(Cow<'a, [u8]>, f64)>;

type Weighted<'a> = (Source<'a>, f64);

fn union<'a>(sources: &[Weighted<'a>], aggregate: Aggregate) -> Outcome<'a> {
    let mut found: HashMap<Cow<'a, [u8]>, f64> = HashMap::new();
    for (source, weight) in sources {
        source.for_each(|member, score| {
            let score = number(score * weight);
            match found.entry(member) {
                Entry::Vacant(place) => drop(place.insert(score)),
                Entry::Occupied(mut place) => {
                    let sum = place.get_mut();
                    *sum = aggregate.of(*sum, score);
                }
            }
            true
        });
    }
    found.into_iter().collect()
}

/// Up to `limit` members, unless that is 0.
fn inter<'a>(sources: &[Weighted<'a>], aggregate: Aggregate, limit: usize) -> Outcome<'a> {
    let mut found = Outcome::new();
    let Some(((first, weight), others)) = sources.split_first() else {
        return found;
    };
    first.for_each(|member, score| {
        let mut sum = number(score * weight);
        for (other, weight) in others {
            match other.score(&member) {
                Some(score) => sum = aggregate.of(sum, score * weight),
                None => return true,
            }
        }
        found.push((member, sum));
        limit == 0 || found.len() < limit
    });
    found
}

fn diff<'a>(sources: &[Weighted<'a>]) -> Outcome<'a> {
    let mut found = Outcome::new();
    if let Some(((first, _), others)) = sources.split_first() {
        first.for_each(|member, score| {
            if others
                .iter()
                .all(|(other, _)| other.score(&member).is_none())
            {
                found.push((member, score));
            }
            true
        });
    }
    found
}

/// What a command of this file works on: `numkeys` is at `at`.
fn keys<'a>(ctx: &Ctx<'_>, args: &Args<'a>, at: usize) -> Result<Vec<&'a [u8]>, CommandError> {
    let count = args.int(at)?;
    if count < 1 {
        return Err(CommandError::err(format_args!(
            "at least 1 input key is needed for '{}' command",
            ctx.spec.name
        )));
    }
    let rest = args.iter_from(at + 1);
    match usize::try_from(count) {
        Ok(count) if count <= rest.len() => Ok(rest.take(count).collect()),
        _ => Err(CommandError::Syntax),
    }
}

/// Reads the command and combines the sets; `work` gets the outcome.
fn combine<R>(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    operation: Operation,
    form: Form,
    work: impl FnOnce(Outcome<'_>, &Options, &mut slotilla_common::resp::ReplyWriter<'_>) -> R,
) -> Result<R, CommandError> {
    let at = if form == Form::Store { 2 } else { 1 };
    let keys = keys(ctx, args, at)?;
    let check = |value: Option<ValueRef<'_>>| Source::of(value).map(drop);
    let values = ctx.db.read_several(&keys, check)?;
    let sources: Vec<Source<'_>> = values
        .into_iter()
        .map(Source::of)
        .collect::<Result<_, _>>()?;
    let options = Options::parse(args, at + 1 + keys.len(), keys.len(), operation, form)?;
    let mut weighted: Vec<Weighted<'_>> = sources
        .into_iter()
        .zip(options.weights.iter().copied())
        .collect();
    if operation != Operation::Diff {
        // Sums of doubles depend on the order.
        weighted.sort_by_key(|(source, _)| source.len());
    }
    let mut outcome = match operation {
        Operation::Union => union(&weighted, options.aggregate),
        Operation::Inter => inter(&weighted, options.aggregate, options.limit),
        Operation::Diff => diff(&weighted),
    };
    if form != Form::Count {
        outcome.sort_by(|(a, x), (b, y)| {
            x.partial_cmp(y)
                .unwrap_or(std::cmp::Ordering::Equal)
                .then_with(|| a.cmp(b))
        });
    }
    Ok(work(outcome, &options, &mut ctx.reply))
}

fn reply(ctx: &mut Ctx<'_>, args: &Args<'_>, operation: Operation) -> Result<(), CommandError> {
    combine(
        ctx,
        args,
        operation,
        Form::Reply,
        |outcome, options, reply| {
            begin_members(reply, outcome.len(), options.with_scores);
            for (member, score) in outcome {
                write_member(reply, &member, score, options.with_scores);
            }
        },
    )
}

fn store_outcome(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    operation: Operation,
) -> Result<(), CommandError> {
    let limits = limits(ctx.server);
    let set = combine(ctx, args, operation, Form::Store, |outcome, _, _| {
        SortedSet::from_members(&outcome, limits)
    })?;
    let len = store(&mut ctx.db, args.get(1), set, ctx.spec.name);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn zunion(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply(ctx, args, Operation::Union)
}

fn zinter(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply(ctx, args, Operation::Inter)
}

fn zdiff(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply(ctx, args, Operation::Diff)
}

fn zunionstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store_outcome(ctx, args, Operation::Union)
}

fn zinterstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store_outcome(ctx, args, Operation::Inter)
}

fn zdiffstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store_outcome(ctx, args, Operation::Diff)
}

fn zintercard(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    combine(
        ctx,
        args,
        Operation::Inter,
        Form::Count,
        |outcome, _, reply| {
            reply.integer(outcome.len() as i64);
        },
    )
}
