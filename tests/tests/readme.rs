//! The table of commands in README.md: written by this test, from the command table and the
//! node's list of handlers, so that it cannot tell anything else than they do.
//!
//! `SLOTILLA_UPDATE=1 cargo test -p slotilla-tests --test readme` brings it up to date.
#![cfg(test)]

use std::fmt::Write as _;

use slotilla_common::command::{FanOut, Flags, Group, Need, Spec, top_level};
use slotilla_node::commands::Handlers;
use slotilla_tests::binaries;

const BEGIN: &str = "<!-- the table of commands begins; tests/tests/readme.rs writes it -->\n";
const END: &str = "<!-- the table of commands ends -->\n";

/// Whether a node has a command, and if not, what brings it.
fn node(handlers: &Handlers, spec: &Spec) -> &'static str {
    match spec.name {
        "cluster|setslot" => "STABLE only; the rest comes with resharding",
        "cluster|failover" | "cluster|replicate" => "checks its arguments; comes with replication",
        "function|restore" | "function|list" | "function|dump" | "function|delete"
        | "function|kill" | "function|stats" | "function|flush" => {
            "for an empty set of libraries; the rest comes with scripting"
        }
        _ if handlers.of(spec.id).is_some() => "yes",
        _ => comes_with(spec),
    }
}

fn comes_with(spec: &Spec) -> &'static str {
    match spec.name {
        "lolwut" => "no plans",
        name if name.starts_with("acl") => "comes with ACL users",
        name if name.starts_with("module") => "no plans: modules are made for Redis's insides",
        _ => match spec.group {
            Group::Bitmap => "comes with bitmaps",
            Group::Connection => "comes with client-side caching",
            Group::Geo => "comes with geo",
            Group::Hash => "comes with hashes",
            Group::Hyperloglog => "comes with HyperLogLog",
            Group::Pubsub => "comes with Pub/Sub",
            Group::Scripting => "comes with scripting",
            Group::Set => "comes with sets",
            Group::Stream => "comes with streams",
            Group::Transactions => "comes with transactions",
            Group::Cluster
            | Group::Generic
            | Group::List
            | Group::Server
            | Group::SortedSet
            | Group::String => "later",
        },
    }
}

/// What the proxy does with a command.
fn proxy(spec: &Spec) -> String {
    match spec.fan_out {
        FanOut::Slot => "forwards".to_owned(),
        FanOut::Split(_) => "splits by slot, merges the replies".to_owned(),
        FanOut::Primaries(_) => "asks every primary, merges the replies".to_owned(),
        FanOut::AnyNode => "asks any node".to_owned(),
        FanOut::Scan => "asks one primary after the other".to_owned(),
        FanOut::RandomKey => "asks a primary, drawn by how many keys it has".to_owned(),
        FanOut::Local => "answers itself".to_owned(),
        FanOut::BlockingIf(word) => format!("forwards; with {word} refuses for now"),
        FanOut::Connection(need) => format!("refuses for now: {}", needs(need)),
        FanOut::Refused(why) => format!("refuses: {why}"),
    }
}

fn needs(need: Need) -> &'static str {
    match need {
        Need::Transaction => "transactions need a connection of their own",
        Need::Blocking => "waiting needs a connection of its own",
        Need::Subscription => "subscriptions need a connection of their own",
        Need::Monitor => "the stream needs a connection of its own",
        Need::Tracking => "client-side caching needs a connection of its own",
    }
}

/// What is said of a command or subcommand.
type Said = (&'static str, String);

/// The names of one group with what is said of each: a container whose subcommands are all
/// treated alike stands for them.
fn names(handlers: &Handlers, group: Group) -> Vec<(String, Said)> {
    let say = |spec: &Spec| (node(handlers, spec), proxy(spec));
    let shown = |spec: &Spec| spec.name.replace('|', " ").to_ascii_uppercase();
    let mut names = Vec::new();
    for spec in top_level().filter(|spec| spec.group == group) {
        let subcommands = spec.subcommands();
        let Some(first) = subcommands.first() else {
            names.push((shown(spec), say(spec)));
            continue;
        };
        // COMMAND is a command as well.
        let is_command = spec.flags != Flags::default();
        if is_command || subcommands.iter().all(|sub| say(sub) == say(first)) {
            names.push((shown(spec), say(first)));
        }
        if is_command || subcommands.iter().any(|sub| say(sub) != say(first)) {
            names.extend(subcommands.iter().map(|sub| (shown(sub), say(sub))));
        }
    }
    names
}

fn table() -> String {
    let handlers = Handlers::new();
    let mut table = String::from("| commands | node | proxy |\n| --- | --- | --- |\n");
    for group in Group::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| **{}** | | |", group.name());
        let mut rows: Vec<(Said, Vec<String>)> = Vec::new();
        for (name, said) in names(&handlers, group) {
            match rows.iter_mut().find(|(other, _)| *other == said) {
                Some((_, names)) => names.push(name),
                None => rows.push((said, vec![name])),
            }
        }
        for ((node, proxy), names) in rows {
            let _ = writeln!(table, "| {} | {node} | {proxy} |", names.join(", "));
        }
    }
    table
}

#[test]
fn the_readme_tells_of_every_command_what_is_true() {
    let path = binaries::root().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (old, after) = rest.split_once(END).expect("the table ends");
    let new = format!("\n{}\n", table());
    if std::env::var_os("SLOTILLA_UPDATE").is_some() {
        let readme = [before, BEGIN, &new, END, after].concat();
        std::fs::write(&path, readme).expect("README.md is written");
        return;
    }
    assert!(
        old == new,
        "README.md's table of commands is out of date; SLOTILLA_UPDATE=1 cargo test -p \
         slotilla-tests --test readme writes it anew"
    );
}

#[test]
fn every_command_of_redis_stands_in_the_table() {
    let table = table();
    let known: Vec<&str> = table
        .lines()
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|names| names.trim_start_matches("| ").split(", "))
        .collect();
    for spec in top_level() {
        let name = spec.name.to_ascii_uppercase();
        let is_there = |name: &String| known.contains(&name.as_str());
        let sub = |sub: &Spec| format!("{name} {}", sub.short_name().to_ascii_uppercase());
        let by_parts =
            !spec.subcommands().is_empty() && spec.subcommands().iter().all(|s| is_there(&sub(s)));
        assert!(is_there(&name) || by_parts, "{name}");
    }
}
