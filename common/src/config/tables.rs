//! TOML documents as settings with line numbers.
//!
//! A key at the top is the setting's name. A table's keys carry its name before theirs: `enabled`
//! under `[cluster]` is `cluster-enabled`. A boolean is `yes` or `no`, a number its digits, an
//! array its elements as words (arrays in it likewise: `[[900, 1], [300, 10]]`).

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Entry, Origin};

/// How often a document is read anew without the lines that are no TOML.
const ROUNDS_MAX: usize = 32;

/// Reads the settings of a TOML document, in the document's order, and all its faults. What is no
/// TOML is told and passed over, so that the rest is judged as well.
pub fn tables(text: &str, origin: impl Fn(usize) -> Origin) -> (Vec<Entry>, Vec<ConfigError>) {
    let document_lines = Lines::of(text);
    let line_of = |offset: usize| document_lines.number(offset);
    let mut errors = Vec::new();
    let mut readable = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let faults: Vec<(usize, String)> = DeTable::parse_recoverable(&readable)
            .1
            .iter()
            .map(|fault| {
                let line = fault.span().map_or(1, |span| line_of(span.start));
                (line, fault.message().to_owned())
            })
            .collect();
        if faults.is_empty() {
            break;
        }
        readable = document_lines.without(&readable, |line| faults.iter().any(|f| f.0 == line));
        errors.extend(faults.into_iter().map(|(line, message)| ConfigError {
            origin: origin(line),
            key: String::new(),
            shown: document_lines.text(line).to_owned(),
            problem: format!("not valid TOML: {message}"),
            remedy: "write KEY = VALUE once for each key, a text in quotes".to_owned(),
        }));
    }
    let (document, left) = DeTable::parse_recoverable(&readable);
    let mut found = Vec::new();
    if left.is_empty() {
        flatten("", document.get_ref(), &mut |key, offset, value| {
            let line = line_of(offset);
            let shown = document_lines.text(line).to_owned();
            let mut entry = Entry {
                origin: origin(line),
                key,
                words: Vec::new(),
                shown,
            };
            match push_words(value, &mut entry.words) {
                Ok(()) => found.push((offset, entry)),
                Err(problem) => errors.push(entry.error(problem, "write it as a string")),
            }
        });
    }
    found.sort_by_key(|(offset, _)| *offset);
    (found.into_iter().map(|(_, entry)| entry).collect(), errors)
}

type Visit<'v> = dyn FnMut(String, usize, &DeValue<'_>) + 'v;

fn flatten(prefix: &str, table: &DeTable<'_>, visit: &mut Visit<'_>) {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{name}-"), inner, visit),
            leaf => visit(name, key.span().start, leaf),
        }
    }
}

fn push_words(value: &DeValue<'_>, words: &mut Vec<Vec<u8>>) -> Result<(), String> {
    match value {
        DeValue::String(text) => words.push(text.as_bytes().to_vec()),
        DeValue::Integer(number) => {
            // Any radix, within 64 bits and a sign.
            let digits: String = number.as_str().chars().filter(|c| *c != '_').collect();
            let number = i128::from_str_radix(&digits, number.radix())
                .map_err(|_| "the number is too large".to_owned())?;
            words.push(number.to_string().into_bytes());
        }
        DeValue::Float(number) => words.push(number.as_str().as_bytes().to_vec()),
        DeValue::Boolean(yes) => words.push(if *yes {
            b"yes".to_vec()
        } else {
            b"no".to_vec()
        }),
        DeValue::Array(elements) => {
            for element in elements.iter().map(Spanned::get_ref) {
                push_words(element, words)?;
            }
        }
        DeValue::Datetime(_) => return Err("no key takes a date".to_owned()),
        DeValue::Table(_) => return Err("no key takes a table in an array".to_owned()),
    }
    Ok(())
}

/// The lines of a document, found once: it may have as many settings as lines.
struct Lines<'t> {
    lines: Vec<&'t str>,
    /// Where each starts.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut next = 0;
        let starts = lines.iter().map(|line| {
            let start = next;
            next += line.len();
            start
        });
        Self {
            starts: starts.collect(),
            lines,
        }
    }

    /// The number of the line at this offset, from 1.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// `document`, which has these lines' lengths, with blanks for the lines that are chosen: what
    /// is left stays where it was.
    fn without(&self, document: &str, is_chosen: impl Fn(usize) -> bool) -> String {
        let mut kept = String::with_capacity(document.len());
        for (place, (line, start)) in self.lines.iter().zip(&self.starts).enumerate() {
            if is_chosen(place + 1) {
                kept.extend(line.chars().flat_map(|c| {
                    let blank = if c == '\n' { '\n' } else { ' ' };
                    std::iter::repeat_n(blank, c.len_utf8())
                }));
            } else {
                let end = start.saturating_add(line.len());
                kept.push_str(document.get(*start..end).unwrap_or_default());
            }
        }
        kept
    }

    fn text(&self, number: usize) -> &'t str {
        let line = self.lines.get(number.saturating_sub(1));
        line.copied().unwrap_or_default().trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_the_line_that_they_are_in() {
        let lines = Lines::of("ab\n\nc\r\nd");
        let found: Vec<_> = (0..9).map(|offset| lines.number(offset)).collect();
        assert_eq!(found, [1, 1, 1, 2, 3, 3, 3, 4, 4]);
        assert_eq!(
            [1, 2, 3, 4, 5].map(|n| lines.text(n)),
            ["ab", "", "c", "d", ""]
        );
        assert_eq!(Lines::of("").number(0), 1);
    }

    fn read(text: &str) -> (Vec<(usize, String, String)>, Vec<String>) {
        let (entries, errors) = tables(text, |line| Origin::Stdin { line });
        let entries = entries.into_iter().map(|e| {
            let Origin::Stdin { line } = e.origin else {
                panic!("our own origin")
            };
            let words: Vec<_> = e.words.iter().map(|w| String::from_utf8_lossy(w)).collect();
            (line, e.key, words.join("|"))
        });
        (
            entries.collect(),
            errors.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn keys_keep_their_lines_and_values_become_words() {
        let text = "# c\nport = 7_000\nbind = [\"127.0.0.1\", \"-::1\"]\ndaemonize = false\n\
                    save = [[900, 1],\n  [300, 10]]\nx = 0x10\n\n[cluster]\nenabled = true\nratio = 1.5\n";
        let (entries, errors) = read(text);
        assert!(errors.is_empty(), "{errors:?}");
        let expected = [
            (2, "port", "7000"),
            (3, "bind", "127.0.0.1|-::1"),
            (4, "daemonize", "no"),
            (5, "save", "900|1|300|10"),
            (7, "x", "16"),
            (10, "cluster-enabled", "yes"),
            (11, "cluster-ratio", "1.5"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(l, k, v)| (*l, (*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn faults_name_their_line() {
        let (_, errors) = read("port = 1\nport = 2\n");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with("standard input:2: not valid TOML"),
            "{errors:?}"
        );
        let (_, errors) = read("a = 1979-05-27\n\nb = [{x = 1}]\n");
        assert!(
            errors
                .iter()
                .any(|e| e.starts_with("standard input:1: a: ")),
            "{errors:?}"
        );
        assert!(
            errors
                .iter()
                .any(|e| e.starts_with("standard input:3: b: ")),
            "{errors:?}"
        );
        let (_, errors) = read("a = 99999999999999999999999999999999999999999999\n");
        assert_eq!(errors.len(), 1, "{errors:?}");
    }

    #[test]
    fn rubbish_is_an_error_and_no_panic() {
        for text in [
            "=",
            "[",
            "a = \"\n",
            "\u{0}",
            "a = [[[[[",
            "é = 1\n= =",
            "a.b.c = {d = 1",
        ] {
            let _ = read(text);
        }
        let deep = format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(!read(&deep).1.is_empty());
    }
}
