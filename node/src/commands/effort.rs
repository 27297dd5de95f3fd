//! How long commands will take, for those that may take long.
//!
//! An estimate is made with the slots locked and must cost next to nothing beside the command: it
//! looks at cardinalities. What it says is rough, from what an element takes on a slow core; it
//! decides only on which thread the command runs (see [`crate::server::long`]).
//!
//! Most commands are asked before they run. Those that must be fast when they are short ask
//! themselves, once they know how much there is to do ([`stays`]); what is here for them is for
//! transactions, which are asked as a whole.

use slotilla_common::resp::parse_i64;

use super::geo::search as geo;
use super::sorted_set::{range as sorted_range, remove as sorted_remove};
use super::{Args, CommandError};
use crate::server::long::LONG_NANOS;
use crate::server::session::SessionState;
use crate::store::{Collection, Db, Entry, Hash, List, Set, SortedSet, ValueRef};

/// How long a command will take, in nanoseconds. Arguments that are none of this command's are as
/// good as any: it will fail at once. Only keys that the command table knows may be looked at.
pub type Effort = fn(&mut Db<'_>, &Args<'_>) -> u64;

/// The commands that are asked before they run.
#[rustfmt::skip] // A command, a line.
pub(super) const EFFORTS: &[(&str, Effort)] = &[
    ("append",          |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("bitcount",        |db, args| bytes(db, args.get(1)) / 8),
    ("bitfield",        |db, args| copied(db, args.get(1))),
    ("bitop",           |db, args| args.iter_from(3).map(|key| bytes(db, key)).sum()),
    ("bitpos",          |db, args| bytes(db, args.get(1)) / 8),
    ("copy",            |db, args| copy(db, args.get(1))),
    ("dump",            |db, args| written(db, args.get(1))),
    ("getdel",          |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("getex",           |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("getset",          |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("hrandfield",      |db, args| draw(db, args)),
    ("hscan",           scan),
    ("linsert",         |db, args| elements(db, args.get(1)).saturating_mul(PASSED)),
    ("lmpop",           pop_several),
    ("lpop",            pop),
    ("lpos",            |db, args| elements(db, args.get(1)).saturating_mul(PASSED)),
    ("lrem",            |db, args| elements(db, args.get(1)).saturating_mul(PASSED)),
    ("ltrim",           trim),
    ("migrate",         |_, _| AWAY),
    ("pfcount",         |_, args| args.len() as u64 * REGISTERS),
    ("pfmerge",         |_, args| args.len() as u64 * REGISTERS),
    ("restore",         |_, args| args.get(3).len() as u64 * LOADED_BYTE),
    ("restore-asking",  |_, args| args.get(3).len() as u64 * LOADED_BYTE),
    ("rpop",            pop),
    ("sdiff",           |db, args| subtract(db, args, 1)),
    ("sdiffstore",      |db, args| subtract(db, args, 2)),
    ("setbit",          |db, args| (offset(args) / 8 / BYTES_PER_NANO).max(copied(db, args.get(1)))),
    ("setrange",        |db, args| (offset(args) / BYTES_PER_NANO).max(copied(db, args.get(1)))),
    ("sinter",          |db, args| intersect(db, args.iter_from(1))),
    ("sintercard",      |db, args| intersect(db, counted(args, 1))),
    ("sinterstore",     |db, args| intersect(db, args.iter_from(2))),
    ("sort",            sort),
    ("sort_ro",         sort),
    ("spop",            |db, args| draw(db, args).saturating_mul(2)),
    ("srandmember",     |db, args| draw(db, args)),
    ("sscan",           scan),
    ("sunion",          |db, args| all_of(db, args.iter_from(1))),
    ("sunionstore",     |db, args| all_of(db, args.iter_from(2))),
    ("zdiff",           |db, args| all_of(db, counted(args, 1)).saturating_mul(2)),
    ("zdiffstore",      |db, args| all_of(db, counted(args, 2)).saturating_mul(2)),
    ("zinter",          |db, args| intersect(db, counted(args, 1)).saturating_mul(2)),
    ("zintercard",      |db, args| intersect(db, counted(args, 1))),
    ("zinterstore",     |db, args| intersect(db, counted(args, 2)).saturating_mul(3)),
    ("zmpop",           pop_several),
    ("zpopmax",         pop),
    ("zpopmin",         pop),
    ("zrandmember",     |db, args| draw(db, args)),
    ("zrangestore",     |db, args| sorted_range::effort(db, args).saturating_mul(3)),
    ("zremrangebylex",  sorted_remove::effort),
    ("zremrangebyrank", sorted_remove::effort),
    ("zremrangebyscore", sorted_remove::effort),
    ("zscan",           scan),
    ("zunion",          |db, args| all_of(db, counted(args, 1)).saturating_mul(2)),
    ("zunionstore",     |db, args| all_of(db, counted(args, 2)).saturating_mul(3)),
];

/// The commands that ask themselves.
#[rustfmt::skip] // A command, a line.
pub(super) const EFFORTS_WITHIN: &[(&str, Effort)] = &[
    ("georadius",            geo::effort),
    ("georadius_ro",         geo::effort),
    ("georadiusbymember",    geo::effort),
    ("georadiusbymember_ro", geo::effort),
    ("geosearch",            geo::effort),
    ("geosearchstore",       geo::effort),
    ("get",                  |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("getrange",             |db, args| bytes(db, args.get(1)) / BYTES_PER_NANO),
    ("hgetall",              |db, args| elements(db, args.get(1)).saturating_mul(2).saturating_mul(ELEMENT)),
    ("hkeys",                |db, args| elements(db, args.get(1)).saturating_mul(ELEMENT)),
    ("hvals",                |db, args| elements(db, args.get(1)).saturating_mul(ELEMENT)),
    ("lrange",               |db, args| span(db, args).saturating_mul(ELEMENT)),
    ("smembers",             |db, args| elements(db, args.get(1)).saturating_mul(ELEMENT)),
    ("zrange",               sorted_range::effort),
    ("zrangebylex",          sorted_range::effort),
    ("zrangebyscore",        sorted_range::effort),
    ("zrevrange",            sorted_range::effort),
    ("zrevrangebylex",       sorted_range::effort),
    ("zrevrangebyscore",     sorted_range::effort),
];

/// An element that is read and written to a reply.
pub(super) const ELEMENT: u64 = 50;
/// A member that is looked up elsewhere, or added to a result, or removed.
pub(super) const MEMBER: u64 = 150;
/// Bytes that are copied into a reply in a nanosecond: they are new pages.
pub(super) const BYTES_PER_NANO: u64 = 4;
/// An element that is passed by.
const PASSED: u64 = 10;
/// What another node answers, if all is well.
const AWAY: u64 = 10 * LONG_NANOS;
/// A byte of a payload whose value is built.
const LOADED_BYTE: u64 = 10;
/// A byte that is compressed and summed up.
const WRITTEN_BYTE: u64 = 4;
/// An argument that is a key, a member, a field: many are the same as many commands.
pub(crate) const ARGUMENT: u64 = 200;
/// The registers of a HyperLogLog, taken apart and merged.
const REGISTERS: u64 = 15_000;

/// Whether a command that has found out how long it will take may go on where it is. It must have
/// written nothing yet, and changed nothing.
///
/// # Errors
/// It is to come again on a thread of its own.
#[inline]
pub(super) fn stays(nanos: u64, session: &SessionState) -> Result<(), CommandError> {
    // Whoever is away may take its time; a transaction has been asked as a whole.
    if nanos >= LONG_NANOS && !session.away && !session.transaction.running {
        return Err(CommandError::TakesLong);
    }
    Ok(())
}

/// What `look` says of the collection at a key.
pub(super) fn of<C: Collection>(
    db: &mut Db<'_>,
    key: &[u8],
    look: impl FnOnce(&C) -> usize,
) -> usize {
    match db.peek(key).map(Entry::value) {
        Some(ValueRef::Object(object)) => C::of(object).map_or(0, look),
        _ => 0,
    }
}

/// How many elements a key's collection has.
fn elements_of(db: &mut Db<'_>, key: &[u8]) -> u64 {
    let elements = match db.peek(key).map(Entry::value) {
        Some(ValueRef::Object(object)) => Set::of(object)
            .map(Set::len)
            .or_else(|| SortedSet::of(object).map(SortedSet::len))
            .or_else(|| Hash::of(object).map(Hash::len))
            .or_else(|| List::of(object).map(List::len)),
        _ => None,
    };
    elements.unwrap_or(0) as u64
}

/// The same, or 0 where they are too few to matter: a slot of so few bytes has no more, and there is
/// nothing to look up.
fn elements(db: &mut Db<'_>, key: &[u8]) -> u64 {
    const BYTES_MIN: u64 = 32 * 1024;
    if db.guards().all(|guard| guard.bytes() < BYTES_MIN) {
        return 0;
    }
    elements_of(db, key)
}

/// How many bytes a key's string has, if they are many.
fn bytes(db: &mut Db<'_>, key: &[u8]) -> u64 {
    const BYTES_MIN: u64 = 1024 * 1024;
    if db.guards().all(|guard| guard.bytes() < BYTES_MIN) {
        return 0;
    }
    match db.peek(key).map(Entry::value) {
        Some(ValueRef::Bytes(bytes)) => bytes.len() as u64,
        _ => 0,
    }
}

/// Changing a string in place, if a snapshot needs a copy first.
fn copied(db: &mut Db<'_>, key: &[u8]) -> u64 {
    if !db.is_unreached() {
        return 0;
    }
    bytes(db, key) / BYTES_PER_NANO
}

/// How far a string is to reach, by argument 2.
fn offset(args: &Args<'_>) -> u64 {
    parse_i64(args.get(2))
        .and_then(|offset| u64::try_from(offset).ok())
        .unwrap_or(0)
}

fn copy(db: &mut Db<'_>, key: &[u8]) -> u64 {
    let elements = elements(db, key);
    let memory = db.peek(key).map_or(0, Entry::memory) as u64;
    elements * MEMBER + memory / 4
}

/// A value written to a payload.
fn written(db: &mut Db<'_>, key: &[u8]) -> u64 {
    const BYTES_MIN: u64 = 32 * 1024;
    if db.guards().all(|guard| guard.bytes() < BYTES_MIN) {
        return 0;
    }
    let elements = elements_of(db, key);
    let memory = db.peek(key).map_or(0, Entry::memory) as u64;
    elements * ELEMENT + memory * WRITTEN_BYTE
}

/// Elements popped, as many as argument 2 says.
fn pop(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let count = parse_i64(args.get(2)).map_or(0, i64::unsigned_abs);
    elements(db, args.get(1)).min(count) * MEMBER
}

/// Elements popped from the first of several keys.
fn pop_several(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let last = args.len().saturating_sub(1);
    if !args.is(last.saturating_sub(1), "count") {
        return 0;
    }
    let count = parse_i64(args.get(last)).map_or(0, i64::unsigned_abs);
    let most = counted(args, 1).map(|key| elements(db, key)).max();
    most.unwrap_or(0).min(count) * MEMBER
}

/// What LTRIM cuts off.
fn trim(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let kept = span(db, args);
    elements(db, args.get(1)).saturating_sub(kept) * PASSED
}

/// Elements drawn by chance, as many as argument 2 says.
fn draw(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let Some(count) = parse_i64(args.get(2)).filter(|_| args.len() > 2) else {
        return 0;
    };
    let there = elements(db, args.get(1));
    let drawn = match u64::try_from(count) {
        Ok(distinct) => distinct.min(there),
        Err(_) if there == 0 => 0,
        Err(_) => count.unsigned_abs(),
    };
    drawn.saturating_mul(MEMBER)
}

/// An iteration of a collection told to visit many.
fn scan(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let count = (3..args.len().saturating_sub(1)).filter(|at| args.is(*at, "count"));
    let count = count.filter_map(|at| parse_i64(args.get(at + 1))).max();
    let count = count
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0);
    // What is visited by default is not worth a look.
    if count < 100 {
        return 0;
    }
    elements(db, args.get(1)).min(count) * ELEMENT
}

/// From argument 2 to argument 3, negative ones counting from the end.
fn span(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let len = elements(db, args.get(1));
    let position = |at: usize| {
        let index = parse_i64(args.get(at)).unwrap_or(0);
        match u64::try_from(index) {
            Ok(index) => index.min(len),
            Err(_) => len.saturating_sub(index.unsigned_abs()),
        }
    };
    let end = position(3).saturating_add(1).min(len);
    end.saturating_sub(position(2))
}

/// The keys behind argument `at`, which says how many they are.
fn counted<'k>(args: &Args<'k>, at: usize) -> impl Iterator<Item = &'k [u8]> + Clone + use<'k> {
    let count = parse_i64(args.get(at)).and_then(|count| usize::try_from(count).ok());
    args.iter_from(at + 1).take(count.unwrap_or(0))
}

/// All members of all keys.
fn all_of<'k>(db: &mut Db<'_>, keys: impl Iterator<Item = &'k [u8]>) -> u64 {
    let add = |sum: u64, key| sum.saturating_add(elements_of(db, key));
    keys.fold(0, add).saturating_mul(MEMBER)
}

/// The members of the smallest, each looked up in all others.
fn intersect<'k>(db: &mut Db<'_>, keys: impl Iterator<Item = &'k [u8]> + Clone) -> u64 {
    let others = keys.clone().count() as u64;
    let least = keys.map(|key| elements_of(db, key)).min().unwrap_or(0);
    least.saturating_mul(others).saturating_mul(MEMBER)
}

/// The members of the first, each looked up in all others; or all members of all, if that is less.
fn subtract(db: &mut Db<'_>, args: &Args<'_>, at: usize) -> u64 {
    let keys = args.iter_from(at);
    let others = keys.len() as u64;
    let first = elements_of(db, args.get(at));
    let looked_up = first.saturating_mul(others).saturating_mul(MEMBER);
    looked_up.min(all_of(db, keys).saturating_add(first * MEMBER))
}

fn sort(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    // Slots that only a look at the elements tells are locked for as long as it takes.
    if super::sort::may_need_other_keys(args) {
        return 0;
    }
    let elements = elements_of(db, args.get(1));
    let levels = u64::from(elements.checked_ilog2().unwrap_or(0));
    elements * (100 + 20 * levels)
}
