//! SINTER, SUNION, SDIFF and their kin: several sets.

use std::collections::HashSet;

use slotilla_common::resp::parse_i64;

use super::collection::reply_item;
use super::set::ints_max;
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, EventClass, Item, Set};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("sdiff", sdiff),
    ("sdiffstore", sdiffstore),
    ("sinter", sinter),
    ("sintercard", sintercard),
    ("sinterstore", sinterstore),
    ("sunion", sunion),
    ("sunionstore", sunionstore),
];

/// Up to so many sets, a member of one is looked for in all before it; of more, members seen are
/// remembered.
const LOOK_BACK_MAX: usize = 8;

type Sets<'s> = [Option<&'s Set>];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersect,
    Unite,
    Subtract,
}

impl Operation {
    /// Visits the members of the result, each once.
    fn of<'s>(self, sets: &Sets<'s>, mut visit: impl FnMut(Item<'s>)) {
        match self {
            Self::Intersect => intersect(sets, |member| {
                visit(member);
                true
            }),
            Self::Unite => unite(sets, &mut visit),
            Self::Subtract => subtract(sets, &mut visit),
        }
    }
}

fn sinter(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Intersect)
}

fn sunion(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Unite)
}

fn sdiff(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Subtract)
}

fn sinterstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store(ctx, args, Operation::Intersect)
}

fn sunionstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store(ctx, args, Operation::Unite)
}

fn sdiffstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    store(ctx, args, Operation::Subtract)
}

// `answer` and `store` are where a result of huge sets is to be made elsewhere: all before the
// result only reads, and all behind it is short.

fn answer(ctx: &mut Ctx<'_>, args: &Args<'_>, operation: Operation) -> Result<(), CommandError> {
    let sets = ctx.db.read_all_as::<Set>(args.iter_from(1))?;
    let mut members = Vec::new();
    operation.of(&sets, |member| members.push(member));
    ctx.reply.set(members.len());
    for member in members {
        reply_item(&mut ctx.reply, member);
    }
    Ok(())
}

fn store(ctx: &mut Ctx<'_>, args: &Args<'_>, operation: Operation) -> Result<(), CommandError> {
    let ints_max = ints_max(ctx);
    let sets = ctx.db.read_all_as::<Set>(args.iter_from(2))?;
    let mut result = Set::default();
    if operation == Operation::Subtract && is_cheaper_by_removing(&sets) {
        subtract_by_removing(&sets, &mut result, ints_max);
    } else {
        operation.of(&sets, |member| {
            result.add(member.text(&mut Digits::default()), ints_max);
        });
    }
    let len = result.len();
    ctx.db
        .store_collection(args.get(1), result, EventClass::Set, ctx.spec.name);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn sintercard(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let count = parse_i64(args.get(1)).and_then(|count| usize::try_from(count).ok());
    let Some(count) = count.filter(|count| *count > 0) else {
        return Err("ERR numkeys should be greater than 0".into());
    };
    if count > args.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let mut limit = 0;
    let mut at = 2 + count;
    while at < args.len() {
        if !args.is(at, "limit") || at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        limit = parse_i64(args.get(at + 1))
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or("ERR LIMIT can't be negative")?;
        at += 2;
    }
    let sets = ctx.db.read_all_as::<Set>(args.iter_from(2).take(count))?;
    let mut found = 0;
    intersect(&sets, |_| {
        found += 1;
        found != limit
    });
    ctx.reply.integer(found as i64);
    Ok(())
}

/// Until `visit` says that it has enough.
fn intersect<'s>(sets: &Sets<'s>, mut visit: impl FnMut(Item<'s>) -> bool) {
    let there: Option<Vec<&Set>> = sets.iter().copied().collect();
    let Some(mut there) = there else {
        return;
    };
    // The smallest bounds the work; the next ones rule most members out.
    there.sort_by_key(|set| set.len());
    let Some((smallest, others)) = there.split_first() else {
        return;
    };
    for member in smallest.iter() {
        if others.iter().all(|other| other.has(member)) && !visit(member) {
            return;
        }
    }
}

fn unite<'s>(sets: &Sets<'s>, visit: &mut impl FnMut(Item<'s>)) {
    let there: Vec<&Set> = sets.iter().copied().flatten().collect();
    if there.len() > LOOK_BACK_MAX {
        let mut seen = HashSet::new();
        for member in there.iter().flat_map(|set| set.iter()) {
            if seen.insert(as_number(member)) {
                visit(member);
            }
        }
        return;
    }
    for (index, set) in there.iter().enumerate() {
        let before = there.get(..index).unwrap_or_default();
        set.iter()
            .filter(|member| !before.iter().any(|other| other.has(*member)))
            .for_each(&mut *visit);
    }
}

/// A member that looks the same from an intset and from a table.
fn as_number(member: Item<'_>) -> Item<'_> {
    match member {
        Item::Bytes(text) => parse_i64(text).map_or(member, Item::Int),
        Item::Int(_) => member,
    }
}

fn subtract<'s>(sets: &Sets<'s>, visit: &mut impl FnMut(Item<'s>)) {
    let Some((Some(first), others)) = sets.split_first() else {
        return;
    };
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return;
    }
    if is_cheaper_by_removing(sets) {
        let gone: HashSet<Item<'_>> = others
            .iter()
            .flat_map(|other| other.iter())
            .map(as_number)
            .collect();
        first
            .iter()
            .filter(|member| !gone.contains(&as_number(*member)))
            .for_each(visit);
        return;
    }
    // The largest is the likeliest to have a member.
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    first
        .iter()
        .filter(|member| !others.iter().any(|other| other.has(*member)))
        .for_each(visit);
}

/// Whether it takes less to go through all sets than to look each member of the first up in the
/// others, by the measure that decides in Redis: SDIFFSTORE's encoding tells which way it was.
fn is_cheaper_by_removing(sets: &Sets<'_>) -> bool {
    let Some((Some(first), _)) = sets.split_first() else {
        return false;
    };
    let there = || sets.iter().copied().flatten();
    there().count() * first.len() / 2 > there().map(Set::len).sum()
}

/// As [`subtract`], by adding all of the first set and removing: a result that was not all
/// integers on the way stays a table.
fn subtract_by_removing(sets: &Sets<'_>, result: &mut Set, ints_max: usize) {
    let Some((Some(first), others)) = sets.split_first() else {
        return;
    };
    for member in first.iter() {
        result.add(member.text(&mut Digits::default()), ints_max);
    }
    for member in others.iter().copied().flatten().flat_map(Set::iter) {
        if result.len() == 0 {
            return;
        }
        result.remove(member.text(&mut Digits::default()));
    }
}
