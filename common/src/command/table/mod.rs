//! The rows, one file for each group (two for the server's), and how they become
//! [`super::COMMANDS`].
//!
//! A row says what cannot be derived. ACL categories that follow from flags, the MOVABLEKEYS flag
//! and the first-last-step range are worked out here, while compiling.

use super::flags::{AclCategories, Flags, KeyFlags};
use super::spec::{
    BeginSearch, CommandId, Docs, FanOut, FindKeys, Finder, Group, KeyRange, KeySpec, Spec,
};

mod prelude;

// Tables are read down their columns, and an argument beside what it contains.
#[rustfmt::skip] mod bitmap;
#[rustfmt::skip] mod cluster;
#[rustfmt::skip] mod connection;
#[rustfmt::skip] mod generic;
#[rustfmt::skip] mod geo;
#[rustfmt::skip] mod hash;
#[rustfmt::skip] mod hyperloglog;
#[rustfmt::skip] mod list;
#[rustfmt::skip] mod pubsub;
#[rustfmt::skip] mod scripting;
#[rustfmt::skip] mod server;
#[rustfmt::skip] mod server_containers;
#[rustfmt::skip] mod set;
#[rustfmt::skip] mod sorted_set;
#[rustfmt::skip] mod stream;
#[rustfmt::skip] mod string;
#[rustfmt::skip] mod transactions;

/// A row as it is written.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    arity: i8,
    flags: u32,
    acl: u32,
    fan_out: FanOut,
    docs: &'static Docs,
    keys: &'static [KeySpec],
    tips: &'static [&'static str],
    finder: Finder,
    subcommands: &'static [Row],
}

const GROUPS: [(Group, &[Row]); 16] = [
    (Group::Bitmap, bitmap::ROWS),
    (Group::Cluster, cluster::ROWS),
    (Group::Connection, connection::ROWS),
    (Group::Generic, generic::ROWS),
    (Group::Geo, geo::ROWS),
    (Group::Hash, hash::ROWS),
    (Group::Hyperloglog, hyperloglog::ROWS),
    (Group::List, list::ROWS),
    (Group::Pubsub, pubsub::ROWS),
    (Group::Scripting, scripting::ROWS),
    (Group::Server, server::ROWS),
    (Group::Set, set::ROWS),
    (Group::SortedSet, sorted_set::ROWS),
    (Group::Stream, stream::ROWS),
    (Group::String, string::ROWS),
    (Group::Transactions, transactions::ROWS),
];

/// How many commands and subcommands there are.
pub(super) const COUNT: usize = count();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling, where a wrong index is an error"
)]
const fn count() -> usize {
    let mut all = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        let rows = GROUPS[group].1;
        let mut row = 0;
        while row < rows.len() {
            all += 1 + rows[row].subcommands.len();
            row += 1;
        }
        group += 1;
    }
    all
}

/// All rows: every container is followed by its subcommands.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling, where a wrong index is an error"
)]
pub(super) const fn assemble() -> [Spec; COUNT] {
    let mut specs = [spec(&GROUPS[0].1[0], GROUPS[0].0, 0, None); COUNT];
    let mut next: u16 = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        let (name, rows) = GROUPS[group];
        let mut row = 0;
        while row < rows.len() {
            let container = next;
            specs[container as usize] = spec(&rows[row], name, container, None);
            next += 1;
            let subcommands = rows[row].subcommands;
            let mut sub = 0;
            while sub < subcommands.len() {
                let parent = Some(CommandId(container));
                specs[next as usize] = spec(&subcommands[sub], name, next, parent);
                next += 1;
                sub += 1;
            }
            specs[container as usize].subcommands = (container + 1, next);
            row += 1;
        }
        group += 1;
    }
    specs
}

const fn spec(row: &Row, group: Group, id: u16, parent: Option<CommandId>) -> Spec {
    let mut flags = row.flags;
    if has_movable_keys(row.keys) {
        flags |= Flags::MOVABLEKEYS.0;
    }
    Spec {
        name: row.name,
        id: CommandId(id),
        arity: row.arity,
        group,
        flags: Flags(flags),
        acl: AclCategories(AclCategories::implied(Flags(flags), row.acl)),
        range: plain_range(row.keys),
        finder: row.finder,
        keys: row.keys,
        tips: row.tips,
        fan_out: row.fan_out,
        docs: row.docs,
        parent,
        subcommands: (0, 0),
    }
}

/// Whether a keyword, a number or nothing but the command itself tells where the keys are.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling, where a wrong index is an error"
)]
const fn has_movable_keys(keys: &[KeySpec]) -> bool {
    let mut i = 0;
    while i < keys.len() {
        if !matches!(keys[i].begin, BeginSearch::Index(_))
            || !matches!(keys[i].find, FindKeys::Range { .. })
        {
            return true;
        }
        i += 1;
    }
    false
}

/// The range that covers the specs with fixed places, as far as one follows the other.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling, where a wrong index is an error"
)]
const fn plain_range(keys: &[KeySpec]) -> KeyRange {
    let mut range = KeyRange {
        first: 0,
        last: 0,
        step: 0,
    };
    let mut i = 0;
    while i < keys.len() {
        if let (BeginSearch::Index(index), FindKeys::Range { last_key, step, .. }) =
            (keys[i].begin, keys[i].find)
        {
            let last = if last_key < 0 {
                last_key
            } else {
                index + last_key
            };
            if range.first == 0 {
                range = KeyRange {
                    first: index,
                    last,
                    step,
                };
            } else if range.last > 0 && index == range.last + 1 {
                range.last = last;
            }
        }
        i += 1;
    }
    range
}
