//! What COMMAND and its subcommands reply, written in a client's protocol.
//!
//! Shared, because a node and a proxy show different commands in the same form: `shown` says
//! whether a command or subcommand exists for this server's clients.

use super::flags::KeyFlags;
use super::spec::{Argument, BeginSearch, FindKeys, KeySpec, Spec};
use super::{KeyPosition, top_level};
use crate::resp::ReplyWriter;

/// COMMAND INFO of one command; also an element of COMMAND's reply.
pub fn info(out: &mut ReplyWriter<'_>, spec: &Spec, shown: &impl Fn(&Spec) -> bool) {
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity.into());
    simple_set(out, spec.flags.names());
    out.integer(spec.range.first.into());
    out.integer(spec.range.last.into());
    out.integer(spec.range.step.into());
    let categories = spec.acl.names();
    out.set(categories.len());
    for category in categories {
        out.simple(&format!("@{category}"));
    }
    out.set(spec.tips.len());
    for tip in spec.tips {
        out.bulk(tip.as_bytes());
    }
    out.set(spec.keys.len());
    for keys in spec.keys {
        key_spec(out, keys);
    }
    let subcommands = || spec.subcommands().iter().filter(|sub| shown(sub));
    match subcommands().count() {
        // An empty set, but an array if there are any.
        0 => out.set(0),
        count => out.array(count),
    }
    for sub in subcommands() {
        info(out, sub, shown);
    }
}

/// COMMAND without arguments: every command.
pub fn all(out: &mut ReplyWriter<'_>, shown: &impl Fn(&Spec) -> bool) {
    out.array(top_level().filter(|spec| shown(spec)).count());
    for spec in top_level().filter(|spec| shown(spec)) {
        info(out, spec, shown);
    }
}

/// COMMAND DOCS of one command, its name and a map: an entry of COMMAND DOCS' reply.
pub fn docs(out: &mut ReplyWriter<'_>, spec: &Spec, shown: &impl Fn(&Spec) -> bool) {
    let docs = spec.docs;
    let subcommands = || spec.subcommands().iter().filter(|sub| shown(sub));
    let fields = 3
        + usize::from(!docs.complexity.is_empty())
        + usize::from(docs.syscmd || docs.deprecated.is_some())
        + 2 * usize::from(docs.deprecated.is_some())
        + usize::from(!docs.history.is_empty())
        + usize::from(!docs.arguments.is_empty())
        + usize::from(subcommands().count() > 0);
    out.bulk(spec.name.as_bytes());
    out.map(fields);
    field(out, "summary", docs.summary);
    field(out, "since", docs.since);
    field(out, "group", spec.group.name());
    if !docs.complexity.is_empty() {
        field(out, "complexity", docs.complexity);
    }
    if docs.syscmd || docs.deprecated.is_some() {
        out.bulk(b"doc_flags");
        let flags = [
            docs.deprecated.map(|_| "deprecated"),
            docs.syscmd.then_some("syscmd"),
        ];
        let flags: Vec<_> = flags.into_iter().flatten().collect();
        simple_set(out, flags.into_iter());
    }
    if let Some(deprecated) = docs.deprecated {
        field(out, "deprecated_since", deprecated.since);
        field(out, "replaced_by", deprecated.replaced_by);
    }
    if !docs.history.is_empty() {
        out.bulk(b"history");
        out.set(docs.history.len());
        for (version, change) in docs.history {
            out.array(2);
            out.bulk(version.as_bytes());
            out.bulk(change.as_bytes());
        }
    }
    if !docs.arguments.is_empty() {
        out.bulk(b"arguments");
        arguments(out, docs.arguments);
    }
    if subcommands().count() > 0 {
        out.bulk(b"subcommands");
        out.map(subcommands().count());
        for sub in subcommands() {
            self::docs(out, sub, shown);
        }
    }
}

/// COMMAND DOCS of several commands.
pub fn all_docs<'a>(
    out: &mut ReplyWriter<'_>,
    specs: impl Iterator<Item = &'a Spec> + Clone,
    shown: &impl Fn(&Spec) -> bool,
) {
    out.map(specs.clone().count());
    for spec in specs {
        docs(out, spec, shown);
    }
}

/// COMMAND GETKEYS' reply; `arg` gives the argument at an index.
pub fn keys<'a>(out: &mut ReplyWriter<'_>, keys: &[KeyPosition], arg: impl Fn(usize) -> &'a [u8]) {
    out.array(keys.len());
    for key in keys {
        out.bulk(arg(key.index));
    }
}

/// COMMAND GETKEYSANDFLAGS' reply; `arg` gives the argument at an index.
pub fn keys_and_flags<'a>(
    out: &mut ReplyWriter<'_>,
    keys: &[KeyPosition],
    arg: impl Fn(usize) -> &'a [u8],
) {
    out.array(keys.len());
    for key in keys {
        out.array(2);
        out.bulk(arg(key.index));
        key_flags(out, key.flags);
    }
}

fn field(out: &mut ReplyWriter<'_>, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}

fn number(out: &mut ReplyWriter<'_>, name: &str, value: i8) {
    out.bulk(name.as_bytes());
    out.integer(value.into());
}

fn simple_set(out: &mut ReplyWriter<'_>, names: impl ExactSizeIterator<Item = &'static str>) {
    out.set(names.len());
    for name in names {
        out.simple(name);
    }
}

fn key_flags(out: &mut ReplyWriter<'_>, flags: KeyFlags) {
    simple_set(out, flags.names());
}

fn key_spec(out: &mut ReplyWriter<'_>, keys: &KeySpec) {
    out.map(3 + usize::from(!keys.notes.is_empty()));
    if !keys.notes.is_empty() {
        field(out, "notes", keys.notes);
    }
    out.bulk(b"flags");
    key_flags(out, keys.flags);
    out.bulk(b"begin_search");
    out.map(2);
    match keys.begin {
        BeginSearch::Unknown => {
            field(out, "type", "unknown");
            out.bulk(b"spec");
            out.map(0);
        }
        BeginSearch::Index(index) => {
            field(out, "type", "index");
            out.bulk(b"spec");
            out.map(1);
            number(out, "index", index);
        }
        BeginSearch::Keyword {
            keyword,
            start_from,
        } => {
            field(out, "type", "keyword");
            out.bulk(b"spec");
            out.map(2);
            field(out, "keyword", keyword);
            number(out, "startfrom", start_from);
        }
    }
    out.bulk(b"find_keys");
    find_keys(out, keys.find);
}

fn find_keys(out: &mut ReplyWriter<'_>, find: FindKeys) {
    out.map(2);
    match find {
        FindKeys::Unknown => {
            field(out, "type", "unknown");
            out.bulk(b"spec");
            out.map(0);
        }
        FindKeys::Range {
            last_key,
            step,
            limit,
        } => {
            field(out, "type", "range");
            out.bulk(b"spec");
            out.map(3);
            number(out, "lastkey", last_key);
            number(out, "keystep", step);
            number(out, "limit", limit);
        }
        FindKeys::KeyNum {
            key_num_index,
            first_key,
            step,
        } => {
            field(out, "type", "keynum");
            out.bulk(b"spec");
            out.map(3);
            number(out, "keynumidx", key_num_index);
            number(out, "firstkey", first_key);
            number(out, "keystep", step);
        }
    }
}

fn arguments(out: &mut ReplyWriter<'_>, list: &[Argument]) {
    out.array(list.len());
    for argument in list {
        let flags = [
            argument.optional.then_some("optional"),
            argument.multiple.then_some("multiple"),
            argument.multiple_token.then_some("multiple_token"),
        ];
        let flags: Vec<_> = flags.into_iter().flatten().collect();
        let fields = 2
            + usize::from(argument.key_spec.is_some())
            + usize::from(argument.token.is_some())
            + usize::from(argument.since.is_some())
            + usize::from(argument.deprecated_since.is_some())
            + usize::from(!flags.is_empty())
            + usize::from(!argument.arguments.is_empty());
        out.map(fields);
        field(out, "name", argument.name);
        field(out, "type", argument.kind.name());
        if let Some(index) = argument.key_spec {
            out.bulk(b"key_spec_index");
            out.integer(index.into());
        }
        let texts = [
            ("token", argument.token),
            ("since", argument.since),
            ("deprecated_since", argument.deprecated_since),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                field(out, name, text);
            }
        }
        if !flags.is_empty() {
            out.bulk(b"flags");
            simple_set(out, flags.into_iter());
        }
        if !argument.arguments.is_empty() {
            out.bulk(b"arguments");
            arguments(out, argument.arguments);
        }
    }
}
