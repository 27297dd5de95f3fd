//! The command line, in redis-server's form: `[FILE] [--KEY VALUE...]... [-]`.

use std::path::PathBuf;

use super::{Entry, Origin, quote, split};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// The file to read, if the first argument was one.
    pub file: Option<PathBuf>,
    /// Whether to read settings from standard input: the last argument was `-`.
    pub stdin: bool,
    /// The settings, in order.
    pub entries: Vec<Entry>,
}

/// Sorts the arguments (without the program's name) into file, standard input and settings.
///
/// A key takes the arguments after it as its words, up to the next `--KEY`; the first word may
/// begin with `--` itself. `"--port 7000"` in one argument is key and word. `--save` with nothing
/// after it means no save points, as for redis-server.
pub fn arguments(arguments: impl IntoIterator<Item = String>) -> Arguments {
    let mut arguments = arguments.into_iter().peekable();
    let mut found = Arguments::default();
    if let Some(first) = arguments.next_if(|first| !first.starts_with('-')) {
        found.file = Some(PathBuf::from(first));
    }
    // True right after a key that came without a word: what follows is its word, whatever it is.
    let mut wants_word = false;
    while let Some(argument) = arguments.next() {
        if argument == "-" && arguments.peek().is_none() {
            found.stdin = true;
        } else if let Some(option) = argument.strip_prefix("--").filter(|_| !wants_word) {
            let words =
                split(option.as_bytes()).unwrap_or_else(|_| vec![option.as_bytes().to_vec()]);
            let mut words = words.into_iter();
            let key = words.next().unwrap_or_default();
            let key = String::from_utf8_lossy(&key).into_owned();
            let mut words: Vec<_> = words.collect();
            wants_word = words.is_empty();
            let ends_here = arguments.peek().is_none_or(|next| next.starts_with("--"));
            if wants_word && ends_here && key.eq_ignore_ascii_case("save") {
                words.push(Vec::new());
                wants_word = false;
            }
            let shown = option.trim_end().to_owned();
            found.entries.push(Entry {
                origin: Origin::Arguments,
                key,
                words,
                shown,
            });
        } else {
            wants_word = false;
            add_word(&mut found.entries, argument);
        }
    }
    found
}

fn add_word(entries: &mut Vec<Entry>, word: String) {
    let quoted = quote(word.as_bytes());
    match entries.last_mut() {
        Some(entry) => {
            entry.shown.push(' ');
            entry.shown.push_str(&quoted);
            entry.words.push(word.into_bytes());
        }
        // An option with one dash, say: shown as redis-server shows it.
        None => entries.push(Entry {
            origin: Origin::Arguments,
            key: word,
            words: Vec::new(),
            shown: quoted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> (Arguments, Vec<String>) {
        let found = arguments(line.iter().map(|a| (*a).to_owned()));
        let shown = found.entries.iter().map(|e| e.shown.clone()).collect();
        (found, shown)
    }

    #[test]
    fn keys_take_the_words_after_them() {
        for (line, expected) in [
            (&["--port", "1"][..], &["port \"1\""][..]),
            (&["--port"], &["port"]),
            (&["--port", "--foo"], &["port \"--foo\""]),
            (
                &["--port", "--loglevel", "verbose"],
                &["port \"--loglevel\" \"verbose\""],
            ),
            (&["--port 1", "--save"], &["port 1", "save"]),
            (
                &["--save", "900", "1", "300", "10", "--port", "2"],
                &["save \"900\" \"1\" \"300\" \"10\"", "port \"2\""],
            ),
            (&["--port=1"], &["port=1"]),
            (&["-x"], &["\"-x\""]),
            (
                &["--bind", "127.0.0.1", "-::1"],
                &["bind \"127.0.0.1\" \"-::1\""],
            ),
        ] {
            assert_eq!(parse(line).1, expected, "{line:?}");
        }
    }

    #[test]
    fn save_without_words_means_no_save_points() {
        for line in [
            &["--save"][..],
            &["--save", "--port", "1"],
            &["--save", "", "--port", "1"],
        ] {
            let (found, _) = parse(line);
            assert_eq!(found.entries[0].words, [b""], "{line:?}");
        }
    }

    #[test]
    fn a_file_comes_first_and_a_dash_last() {
        let (found, shown) = parse(&["node.toml", "--port", "1", "-"]);
        assert_eq!(found.file, Some(PathBuf::from("node.toml")));
        assert!(found.stdin);
        assert_eq!(shown, ["port \"1\""]);
        let (found, _) = parse(&["-"]);
        assert!(found.stdin && found.file.is_none() && found.entries.is_empty());
    }

    #[test]
    fn key_and_word_may_share_an_argument() {
        let (found, _) = parse(&["--port 7000", "--dir", "/a b"]);
        assert_eq!(found.entries[0].words, [b"7000"]);
        assert_eq!(found.entries[1].words, [b"/a b"]);
    }
}
