//! What each command does.
//!
//! A command is a row of the table in `slotilla_common::command` and a function in the file of
//! its group, listed in that file's `HANDLERS`. [`Handlers`] joins the two at start.

mod acl;
mod args;
mod bitmap;
mod blocking;
pub(crate) mod client;
mod cluster;
mod collection;
mod command_info;
mod config;
pub(crate) mod connection;
mod ctx;
mod debug;
mod double;
mod dump;
mod effort;
mod error;
mod expire;
mod flush;
mod function;
mod geo;
mod hash;
mod hyperloglog;
mod incr;
pub(crate) mod info;
mod key;
mod latency;
mod lcs;
mod list;
mod long_double;
mod memory;
mod migrate;
mod object;
mod persistence;
mod pubsub;
mod raw;
mod replication;
mod scan;
mod server;
mod set;
mod set_algebra;
mod slowlog;
pub(crate) mod sort;
mod sorted_set;
mod string;
mod string_range;
mod transaction;

use slotilla_common::command::{COMMANDS, CommandId, Spec};
use std::collections::HashMap;

pub use args::Args;
pub use blocking::{Wait, Wanted};
pub use ctx::{After, Answer, Background, Ctx, Deferred, HandOver, Handler, Taken};
pub(crate) use dump::dump_payload;
pub(crate) use effort::ARGUMENT;
pub use effort::Effort;
pub use error::{CommandError, quoted};

/// The groups of commands that this node implements.
const GROUPS: &[&[(&str, Handler)]] = &[
    acl::HANDLERS,
    bitmap::HANDLERS,
    blocking::HANDLERS,
    client::HANDLERS,
    cluster::HANDLERS,
    command_info::HANDLERS,
    config::HANDLERS,
    connection::HANDLERS,
    debug::HANDLERS,
    dump::HANDLERS,
    expire::HANDLERS,
    flush::HANDLERS,
    function::HANDLERS,
    geo::HANDLERS,
    geo::search::HANDLERS,
    hash::HANDLERS,
    hyperloglog::HANDLERS,
    incr::HANDLERS,
    info::HANDLERS,
    key::HANDLERS,
    latency::HANDLERS,
    lcs::HANDLERS,
    list::elements::HANDLERS,
    list::ends::HANDLERS,
    list::position::HANDLERS,
    memory::HANDLERS,
    migrate::HANDLERS,
    object::HANDLERS,
    persistence::HANDLERS,
    pubsub::HANDLERS,
    replication::HANDLERS,
    scan::HANDLERS,
    server::HANDLERS,
    set::HANDLERS,
    set_algebra::HANDLERS,
    slowlog::HANDLERS,
    sort::HANDLERS,
    sorted_set::add::HANDLERS,
    sorted_set::combine::HANDLERS,
    sorted_set::member::HANDLERS,
    sorted_set::pop::HANDLERS,
    sorted_set::random::HANDLERS,
    sorted_set::range::HANDLERS,
    sorted_set::remove::HANDLERS,
    sorted_set::scan::HANDLERS,
    string::HANDLERS,
    string_range::HANDLERS,
    transaction::HANDLERS,
];

/// The handler of each command, by [`CommandId`].
#[derive(Debug)]
pub struct Handlers(Box<[Row]>);

/// What this node has for a command.
#[derive(Debug, Clone, Copy)]
struct Row {
    handler: Option<Handler>,
    /// There for commands that may take long and do not ask themselves.
    effort: Option<Effort>,
    /// There for all that may take long.
    estimate: Option<Effort>,
}

impl Handlers {
    /// Joins the groups with the command table.
    #[must_use]
    pub fn new() -> Self {
        let by_name: HashMap<&str, Handler> = GROUPS.iter().copied().flatten().copied().collect();
        let efforts: HashMap<&str, Effort> = effort::EFFORTS.iter().copied().collect();
        let within: HashMap<&str, Effort> = effort::EFFORTS_WITHIN.iter().copied().collect();
        let row = |spec: &Spec| {
            let effort = efforts.get(spec.name).copied();
            Row {
                handler: by_name.get(spec.name).copied(),
                effort,
                estimate: effort.or_else(|| within.get(spec.name).copied()),
            }
        };
        Self(COMMANDS.iter().map(row).collect())
    }

    /// Whether this node has a command; a container counts if it has one of its subcommands.
    #[must_use]
    pub fn implements(&self, spec: &Spec) -> bool {
        self.of(spec.id).is_some()
            || spec
                .subcommands()
                .iter()
                .any(|sub| self.of(sub.id).is_some())
    }

    /// The handler of a command; `None` if this node does not have it.
    #[must_use]
    #[inline]
    pub fn of(&self, id: CommandId) -> Option<Handler> {
        self.0.get(id.index())?.handler
    }

    /// What tells how long a command will take; `None` if it never takes long, or finds out itself.
    #[must_use]
    #[inline]
    pub fn effort(&self, id: CommandId) -> Option<Effort> {
        self.0.get(id.index())?.effort
    }

    /// What tells how long a command will take; `None` if it never takes long.
    #[must_use]
    pub fn estimate(&self, id: CommandId) -> Option<Effort> {
        self.0.get(id.index())?.estimate
    }
}

impl Default for Handlers {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_handler_is_of_a_command_in_the_table_and_listed_once() {
        let mut seen = BTreeSet::new();
        for (name, _) in GROUPS.iter().copied().flatten() {
            assert!(
                COMMANDS.iter().any(|spec| spec.name == *name),
                "{name} is not in the command table"
            );
            assert!(seen.insert(name), "{name} has two handlers");
        }
        let mut estimated = BTreeSet::new();
        for (name, _) in effort::EFFORTS.iter().chain(effort::EFFORTS_WITHIN) {
            assert!(seen.contains(name), "{name} has no handler");
            assert!(estimated.insert(name), "{name} has two estimates");
        }
    }
}
