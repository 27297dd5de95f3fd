//! How long commands will take, for those that may take long.
//!
//! An estimate is made with the slots locked, before the command runs, and must cost next to nothing:
//! it looks at cardinalities. What it says is rough, from what an element takes; it decides only on
//! which thread the command runs (see [`crate::server::long`]).

use slotilla_common::resp::parse_i64;

use super::Args;
use crate::store::{Collection as _, Db, Entry, Hash, List, Set, SortedSet, ValueRef};

/// How long a command will take, in nanoseconds. Arguments that are none of this command's are as
/// good as any: it will fail at once. Only keys that the command table knows may be looked at.
pub type Effort = fn(&mut Db<'_>, &Args<'_>) -> u64;

/// The commands that may take long.
pub(super) const EFFORTS: &[(&str, Effort)] = &[
    ("sdiff", combine_all),
    ("sdiffstore", combine_rest),
    ("sinter", combine_all),
    ("sintercard", combine_counted),
    ("sinterstore", combine_rest),
    ("sunion", combine_all),
    ("sunionstore", combine_rest),
];

/// A member of a set, looked up elsewhere or added to a result.
const MEMBER: u64 = 150;

/// How many elements a key's collection has.
fn len(db: &mut Db<'_>, key: &[u8]) -> u64 {
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

fn members<'k>(db: &mut Db<'_>, keys: impl Iterator<Item = &'k [u8]>) -> u64 {
    let sum = keys.fold(0u64, |sum, key| sum.saturating_add(len(db, key)));
    sum.saturating_mul(MEMBER)
}

fn combine_all(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    members(db, args.iter_from(1))
}

fn combine_rest(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    members(db, args.iter_from(2))
}

fn combine_counted(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let count = parse_i64(args.get(1)).and_then(|count| usize::try_from(count).ok());
    members(db, args.iter_from(2).take(count.unwrap_or(0)))
}
