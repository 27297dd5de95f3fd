//! `config/node.toml`: the reference of the directives, made from the table, so that it cannot
//! say anything else. `SLOTILLA_BLESS=1 cargo test -p slotilla-node reference` writes it anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::directive::{Access, Directive, Effect, Kind};
use super::rewrite::to_toml;
use super::table::AUTO;
use super::{Config, Key, TABLE};

const HEAD: &str = "\
# Every key of slotilla-node, with its default.
#
#   slotilla-node node.toml --port 7001      arguments come after the file and win
#   slotilla-node check-config node.toml     say what is wrong with it
#
# The keys, their units and their defaults are Redis's where Redis has them, and the older names
# that Redis accepts (slave-priority, hash-max-ziplist-value, ...) are accepted here. A redis.conf
# can be used in place of this file. CONFIG GET shows every key, CONFIG SET changes those that are
# not fixed at the start, and CONFIG REWRITE writes the changes into the file, comments kept.
#
# Sizes: 1k is 1000 bytes, 1kb 1024; so with m, mb, g, gb. Several words may be one string or an
# array: bind = \"127.0.0.1 -::1\" or bind = [\"127.0.0.1\", \"-::1\"].
#
# [not yet] marks a key that is accepted, kept and shown, and waits for the feature that it belongs
# to. [no use] marks one that is accepted so that files and tools work, and does nothing here.
";

fn reference() -> String {
    let defaults = Config::load(Vec::new()).expect("the defaults are valid");
    let mut text = HEAD.to_owned();
    let mut title = "";
    for directive in TABLE
        .iter()
        .filter(|directive| directive.access != Access::Hidden)
    {
        if directive.group.title != title {
            title = directive.group.title;
            let _ = write!(
                text,
                "\n\n# {}\n# {title}\n# {}\n",
                "=".repeat(76),
                "=".repeat(76)
            );
        }
        text.push('\n');
        comment(&mut text, directive);
        let line = match directive.key {
            _ if directive.default == AUTO => format!("# {} = 4", directive.name),
            Key::Dir => format!("{} = \".\"", directive.name),
            key => match to_toml(directive, &defaults.value(key)).expect("the defaults are text") {
                Some(value) => format!("{} = {}", directive.name, value.to_string().trim()),
                None => format!("# {} = \"10.0.0.1 6379\"", directive.name),
            },
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn comment(text: &mut String, directive: &Directive) {
    let mark = match directive.effect {
        Effect::Now => "",
        Effect::Later => "[not yet] ",
        Effect::Never => "[no use] ",
    };
    wrap(text, &format!("{mark}{}", directive.doc));
    let fixed = match directive.access {
        Access::Immutable => "; fixed at the start",
        Access::Protected => "; changed as enable-protected-configs says",
        Access::Mutable | Access::Hidden => "",
    };
    let expects = match directive.kind {
        Kind::Text { secret: true } => "text, kept out of logs".to_owned(),
        _ => directive.expects(),
    };
    let default = match directive.default {
        AUTO => "; default: one per core",
        _ => "",
    };
    wrap(text, &format!("({expects}{default}{fixed})"));
}

/// Comment lines of at most 100 columns.
fn wrap(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(text, "{line}");
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/node.toml")
}

#[test]
fn the_shipped_file_is_made_from_the_table() {
    if std::env::var_os("SLOTILLA_BLESS").is_some() {
        std::fs::write(file(), reference()).unwrap();
    }
    let shipped = std::fs::read_to_string(file()).unwrap();
    assert!(
        shipped == reference(),
        "config/node.toml differs from the table: SLOTILLA_BLESS=1 cargo test -p slotilla-node reference"
    );
}

#[test]
fn the_shipped_file_lists_every_key_with_its_real_default() {
    let text = std::fs::read_to_string(file()).unwrap();
    let from_file = Config::from_toml(text.as_bytes()).unwrap();
    let defaults = Config::load(Vec::new()).unwrap();
    for directive in TABLE
        .iter()
        .filter(|directive| directive.access != Access::Hidden)
    {
        let shown = |line: &&str| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.starts_with(&format!("{} = ", directive.name))
        };
        assert_eq!(text.lines().filter(shown).count(), 1, "{}", directive.name);
        let (file, default) = (
            from_file.value(directive.key),
            defaults.value(directive.key),
        );
        assert_eq!(file, default, "{}", directive.name);
    }
    assert!(from_file.warnings().is_empty());
}
