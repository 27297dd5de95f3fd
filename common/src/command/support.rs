//! Which commands there are and which are not, as a table for people.

use super::spec::{Group, Spec};
use super::top_level;
use std::fmt::Write;

/// A Markdown table with a row for each group: its commands that are `implemented`, with the
/// subcommands of containers that lack some, and its commands that are not.
#[must_use]
pub fn support_table(implemented: &impl Fn(&Spec) -> bool) -> String {
    let mut table = String::from("| group | works | not yet |\n| --- | --- | --- |\n");
    for group in Group::ALL {
        let (mut works, mut missing) = (Vec::new(), Vec::new());
        for spec in top_level().filter(|spec| spec.group == group) {
            if implemented(spec) {
                works.push(with_subcommands(spec, implemented));
            } else {
                missing.push(spec.name.to_ascii_uppercase());
            }
        }
        // Writing to a string cannot fail.
        let _: Result<(), std::fmt::Error> = writeln!(
            table,
            "| {} | {} | {} |",
            group.name(),
            works.join(" "),
            missing.join(" ")
        );
    }
    table
}

/// A command's name, and if only some of its subcommands are there, theirs.
fn with_subcommands(spec: &Spec, implemented: &impl Fn(&Spec) -> bool) -> String {
    let name = spec.name.to_ascii_uppercase();
    let there: Vec<String> = spec
        .subcommands()
        .iter()
        .filter(|sub| implemented(sub))
        .map(|sub| sub.short_name().to_ascii_uppercase())
        .collect();
    if there.len() == spec.subcommands().len() {
        name
    } else {
        format!("{name} ({})", there.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_on_one_side() {
        let table = support_table(&|spec| matches!(spec.name, "get" | "acl" | "acl|whoami"));
        assert_eq!(table.lines().count(), 2 + Group::ALL.len());
        let row = |group: &str| {
            let start = format!("| {group} |");
            let mut rows = table.lines().filter(move |row| row.starts_with(&start));
            rows.next().unwrap()
        };
        assert!(row("string").starts_with("| string | GET | APPEND DECR "));
        assert!(row("server").starts_with("| server | ACL (WHOAMI) | BGREWRITEAOF "));
        assert!(row("bitmap").starts_with("| bitmap |  | BITCOUNT "));
    }
}
