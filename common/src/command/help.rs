//! What HELP tells of a container command, made from the table: each subcommand's arguments, and
//! its summary.

use super::spec::{Argument, ArgumentKind, Spec};
use crate::resp::ReplyWriter;

/// HELP of a container: of those of its subcommands that are `shown`.
pub fn help(out: &mut ReplyWriter<'_>, container: &Spec, shown: &impl Fn(&Spec) -> bool) {
    let subcommands = || {
        let all = container.subcommands().iter().filter(|sub| shown(sub));
        // HELP tells of itself last.
        let is_help = |sub: &&Spec| sub.short_name() == "help";
        let others = all.clone().filter(move |sub| !is_help(sub));
        others.chain(all.filter(is_help))
    };
    // Only COMMAND does something by itself.
    let by_itself = container.arity_allows(1);
    out.array(1 + 2 * (usize::from(by_itself) + subcommands().count()));
    out.simple(&format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.name.to_ascii_uppercase()
    ));
    if by_itself {
        out.simple("(no subcommand)");
        out.simple(&format!("    {}.", container.docs.summary));
    }
    for sub in subcommands() {
        let mut line = sub.short_name().to_ascii_uppercase();
        all_of(&mut line, sub.docs.arguments);
        out.simple(&line);
        out.simple(&format!("    {}.", sub.docs.summary));
    }
}

/// How a command is written: its name in upper case and its arguments, as in
/// `GETEX <key> [EX <seconds>|PERSIST]`.
#[must_use]
pub fn syntax(spec: &Spec) -> String {
    let mut text = spec.name.to_ascii_uppercase().replace('|', " ");
    all_of(&mut text, spec.docs.arguments);
    text
}

fn all_of(text: &mut String, arguments: &[Argument]) {
    for argument in arguments {
        text.push(' ');
        let mut one = once(argument);
        if argument.multiple {
            let again = match argument.token {
                // The word stands once, before all of them.
                Some(token) if !argument.multiple_token => one
                    .strip_prefix(token)
                    .map_or_else(|| one.clone(), |rest| rest.trim_start().to_owned()),
                _ => one.clone(),
            };
            one.push_str(&format!(" [{again} ...]"));
        }
        if argument.optional {
            text.push_str(&format!("[{one}]"));
        } else {
            text.push_str(&one);
        }
    }
}

/// An argument as it is written once.
fn once(argument: &Argument) -> String {
    let plain = match argument.kind {
        ArgumentKind::Token => return word(argument.token.unwrap_or_default()),
        ArgumentKind::OneOf => {
            let choices: Vec<String> = argument.arguments.iter().map(once).collect();
            let choices = choices.join("|");
            // Brackets say the same where the argument is optional.
            if argument.token.is_some() || argument.multiple || !argument.optional {
                format!("<{choices}>")
            } else {
                choices
            }
        }
        ArgumentKind::Block => {
            let mut parts = String::new();
            all_of(&mut parts, argument.arguments);
            parts.trim_start().to_owned()
        }
        ArgumentKind::String
        | ArgumentKind::Integer
        | ArgumentKind::Double
        | ArgumentKind::Key
        | ArgumentKind::Pattern
        | ArgumentKind::UnixTime => format!("<{}>", argument.name),
    };
    match argument.token {
        Some(token) => format!("{} {plain}", word(token)),
        None => plain,
    }
}

/// A word of the command, quoted if it is empty.
fn word(token: &str) -> String {
    if token.is_empty() {
        "\"\"".to_owned()
    } else {
        token.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup;
    use crate::resp::{Protocol, Value, decode};

    #[test]
    fn syntax_is_written_as_people_expect() {
        for (name, wanted) in [
            ("get", "GET <key>"),
            ("mset", "MSET <key> <value> [<key> <value> ...]"),
            (
                "set",
                "SET <key> <value> [NX|XX] [GET] [EX <seconds>|PX <milliseconds>|EXAT \
                 <unix-time-seconds>|PXAT <unix-time-milliseconds>|KEEPTTL]",
            ),
            (
                "sort_ro",
                "SORT_RO <key> [BY <pattern>] [LIMIT <offset> <count>] [GET <pattern> [GET <pattern> ...]] [ASC|DESC] [ALPHA]",
            ),
            ("linsert", "LINSERT <key> <BEFORE|AFTER> <pivot> <element>"),
            (
                "zinter",
                "ZINTER <numkeys> <key> [<key> ...] [WEIGHTS <weight> [<weight> ...]] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]",
            ),
        ] {
            assert_eq!(syntax(lookup(name.as_bytes()).unwrap()), wanted);
        }
    }

    #[test]
    fn every_command_can_be_written() {
        for spec in &super::super::COMMANDS {
            let text = syntax(spec);
            assert!(text.len() >= spec.name.len(), "{text}");
            assert!(!text.contains("  ") && !text.contains("<>"), "{text}");
        }
    }

    #[test]
    fn help_lists_what_is_shown_and_itself_last() {
        let slowlog = lookup(b"slowlog").unwrap();
        let mut bytes = Vec::new();
        let mut out = ReplyWriter::new(&mut bytes, Protocol::Resp2);
        help(&mut out, slowlog, &|sub| sub.short_name() != "reset");
        let (value, consumed) = decode(&bytes).unwrap().unwrap();
        assert_eq!(consumed, bytes.len());
        let lines = value.as_elements().unwrap();
        let line = |index: usize| -> &[u8] { lines.get(index).and_then(Value::as_bytes).unwrap() };
        assert!(line(0).starts_with(b"SLOWLOG <subcommand>"));
        assert_eq!(line(1), b"GET [<count>]");
        assert_eq!(line(3), b"LEN");
        assert_eq!(line(5), b"HELP");
        assert_eq!(lines.len(), 7);
    }
}
