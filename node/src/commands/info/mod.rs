//! INFO: what the node tells of itself, section by section.
//!
//! Names, order and units of the fields are Redis 7.0's, because tools read them. A field that
//! describes what this node does not do (fork, copy on write) is there with the value of a node
//! that never does it.

mod figures;
mod replication;
mod sections;
pub(super) use sections::log_bytes;

use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("info", info)];

type Writer = fn(&mut String, &Server);

struct Section {
    /// What clients ask for, in lower case.
    name: &'static str,
    /// What stands over it.
    title: &'static str,
    /// Whether INFO alone shows it.
    by_default: bool,
    write: Writer,
}

/// The sections in the order in which they are printed.
const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        title: "Server",
        by_default: true,
        write: sections::server,
    },
    Section {
        name: "clients",
        title: "Clients",
        by_default: true,
        write: sections::clients,
    },
    Section {
        name: "memory",
        title: "Memory",
        by_default: true,
        write: sections::memory,
    },
    Section {
        name: "persistence",
        title: "Persistence",
        by_default: true,
        write: sections::persistence,
    },
    Section {
        name: "stats",
        title: "Stats",
        by_default: true,
        write: sections::stats,
    },
    Section {
        name: "replication",
        title: "Replication",
        by_default: true,
        write: replication::replication,
    },
    Section {
        name: "cpu",
        title: "CPU",
        by_default: true,
        write: sections::cpu,
    },
    Section {
        name: "modules",
        title: "Modules",
        by_default: true,
        write: |_, _| {},
    },
    Section {
        name: "commandstats",
        title: "Commandstats",
        by_default: false,
        write: figures::commandstats,
    },
    Section {
        name: "errorstats",
        title: "Errorstats",
        by_default: true,
        write: figures::errorstats,
    },
    Section {
        name: "latencystats",
        title: "Latencystats",
        by_default: false,
        write: figures::latencystats,
    },
    Section {
        name: "cluster",
        title: "Cluster",
        by_default: true,
        write: sections::cluster,
    },
    Section {
        name: "keyspace",
        title: "Keyspace",
        by_default: true,
        write: figures::keyspace,
    },
];

fn info(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let wanted: Vec<&[u8]> = args.iter_from(1).collect();
    ctx.reply
        .verbatim(b"txt", text(ctx.server, &wanted).as_bytes());
    Ok(())
}

/// The sections that `wanted` names, in the fixed order, each once; the default ones if it names
/// none. A name that is no section's is passed over, as Redis does.
pub(crate) fn text(server: &Server, wanted: &[&[u8]]) -> String {
    let asks = |word: &str| {
        wanted
            .iter()
            .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    };
    let all = asks("all") || asks("everything");
    let defaults = wanted.is_empty() || asks("default");
    let mut text = String::new();
    for section in SECTIONS {
        let shown = asks(section.name) || all || (defaults && section.by_default);
        if !shown {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str("# ");
        text.push_str(section.title);
        text.push_str("\r\n");
        (section.write)(&mut text, server);
    }
    text
}

/// Appends one line.
fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    write!(text, "{name}:{value}\r\n").unwrap_or_default();
}

/// A number of bytes as Redis shortens it: `1.53M`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.2}{}", UNITS.get(unit).copied().unwrap_or("P"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shortened_as_redis_does() {
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (2_408_264, "2.30M"),
            (25_276_518_400, "23.54G"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
