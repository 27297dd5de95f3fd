//! The manifest: which files the append-only file consists of, in which order.
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b     the data of some moment
//! file appendonly.aof.4.incr.aof seq 4 type i     what was done since, in order
//! file appendonly.aof.5.incr.aof seq 5 type i
//! file appendonly.aof.1.base.rdb seq 1 type h     history: to be deleted
//! ```
//!
//! The format, the names and what is wrong with a manifest are Redis 7's. No file is touched here.

use std::fmt::Write as _;

use slotilla_common::resp::split_args;

/// A longer line is none.
const LINE_MAX: usize = 1024;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    /// The data that it begins with, if it does not begin with nothing.
    pub(super) base: Option<Part>,
    /// What was done since, oldest first.
    pub(super) increments: Vec<Part>,
    /// What is to be deleted.
    pub(super) history: Vec<Part>,
}

/// A file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its name, without a directory.
    pub(super) name: String,
    /// Its number among those of its kind.
    pub(super) number: u64,
}

/// What is wrong with a manifest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Reading the manifest file, at line {line}: >>> '{text}': {problem}")]
pub struct ManifestError {
    line: usize,
    text: String,
    problem: &'static str,
}

/// How a file's line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Base,
    Increment,
    History,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first line that is wrong, and how.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut seen = 0;
        for (number, line) in lines.enumerate() {
            seen = number + 1;
            let fault = |problem| ManifestError {
                line: seen,
                text: String::from_utf8_lossy(line).trim_end().to_owned(),
                problem,
            };
            if line.first() == Some(&b'#') {
                continue;
            }
            if line.len() > LINE_MAX || line.last() != Some(&b'\n') {
                return Err(fault("The AOF manifest file contains too long line"));
            }
            let (part, kind) = parse_line(line).map_err(fault)?;
            manifest.add(part, kind).map_err(fault)?;
        }
        if seen == 0 {
            return Err(ManifestError {
                line: 0,
                text: String::new(),
                problem: "Found an empty AOF manifest",
            });
        }
        Ok(manifest)
    }

    fn add(&mut self, part: Part, kind: Kind) -> Result<(), &'static str> {
        match kind {
            Kind::Base if self.base.is_some() => {
                return Err("Found duplicate base file information");
            }
            Kind::Base => self.base = Some(part),
            Kind::History => self.history.push(part),
            Kind::Increment => {
                let last = self.increments.last();
                if last.is_some_and(|last| last.number >= part.number) {
                    return Err("Found a non-monotonic sequence number");
                }
                self.increments.push(part);
            }
        }
        Ok(())
    }

    /// As it stands in its file.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let parts = |parts: &[Part], kind| -> Vec<(Part, char)> {
            parts.iter().cloned().map(|part| (part, kind)).collect()
        };
        let mut all = parts(self.base.as_slice(), 'b');
        all.extend(parts(&self.history, 'h'));
        all.extend(parts(&self.increments, 'i'));
        for (part, kind) in all {
            let (name, number) = (quoted(&part.name), part.number);
            // A string takes whatever it is given.
            let _written = writeln!(text, "file {name} seq {number} type {kind}");
        }
        text
    }

    /// The files that are loaded, in order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }

    /// The next base.
    #[must_use]
    pub(super) fn next_base(&self, file_name: &str, is_snapshot: bool) -> Part {
        let number = self.base.as_ref().map_or(0, |base| base.number) + 1;
        let ending = if is_snapshot { "rdb" } else { "aof" };
        Part {
            name: format!("{file_name}.{number}.base.{ending}"),
            number,
        }
    }

    /// The next increment.
    #[must_use]
    pub(super) fn next_increment(&self, file_name: &str) -> Part {
        let number = self.increments.last().map_or(0, |last| last.number) + 1;
        Part {
            name: format!("{file_name}.{number}.incr.aof"),
            number,
        }
    }

    /// Has a new base take the place of the one before and of all increments that are older than
    /// `first`; those are history.
    pub(super) fn replace_base(&mut self, base: Part, first: Option<u64>) {
        self.history.extend(self.base.replace(base));
        let is_new = |part: &Part| first.is_some_and(|first| part.number >= first);
        let (new, old) = std::mem::take(&mut self.increments)
            .into_iter()
            .partition(is_new);
        self.increments = new;
        self.history.extend::<Vec<Part>>(old);
    }
}

fn parse_line(line: &[u8]) -> Result<(Part, Kind), &'static str> {
    const FORMAT: &str = "Invalid AOF manifest file format";
    let words = split_args(line.trim_ascii_end()).map_err(|_| FORMAT)?;
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err(FORMAT);
    }
    let (mut name, mut number, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let [key, value] = pair else {
            return Err(FORMAT);
        };
        match key.to_ascii_lowercase().as_slice() {
            b"file" => {
                let text = String::from_utf8(value.clone()).map_err(|_| FORMAT)?;
                if text.contains('/') {
                    return Err("File can't be a path, just a filename");
                }
                name = Some(text);
            }
            b"seq" => number = slotilla_common::resp::parse_u64(value),
            b"type" => {
                kind = match value.first() {
                    Some(b'b') => Some(Kind::Base),
                    Some(b'i') => Some(Kind::Increment),
                    Some(b'h') => Some(Kind::History),
                    _ => return Err("Unknown AOF file type"),
                }
            }
            // Whatever later versions add.
            _ => {}
        }
    }
    match (name, number, kind) {
        (Some(name), Some(number @ 1..), Some(kind)) if !name.is_empty() => {
            Ok((Part { name, number }, kind))
        }
        _ => Err(FORMAT),
    }
}

/// A name as one word.
fn quoted(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !name.is_empty() && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let mut text = String::from("\"");
    for byte in name.bytes() {
        let _written = match byte {
            b'"' | b'\\' => write!(text, "\\{}", char::from(byte)),
            b'\n' => write!(text, "\\n"),
            b'\r' => write!(text, "\\r"),
            b'\t' => write!(text, "\\t"),
            0x07 => write!(text, "\\a"),
            0x08 => write!(text, "\\b"),
            b' '..=b'~' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                        file appendonly.aof.1.base.rdb seq 1 type h\n\
                        file \"a name.4.incr.aof\" seq 4 type i\n\
                        file appendonly.aof.5.incr.aof seq 5 type i\n";

    #[test]
    fn what_is_read_is_written_again() {
        let manifest = Manifest::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(manifest.text(), TEXT);
        let names: Vec<&str> = manifest.loaded().map(|part| part.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "appendonly.aof.2.base.rdb",
                "a name.4.incr.aof",
                "appendonly.aof.5.incr.aof"
            ]
        );
    }

    #[test]
    fn a_new_base_makes_history_of_what_it_has() {
        let mut manifest = Manifest::parse(TEXT.as_bytes()).unwrap();
        manifest.history.clear();
        let increment = manifest.next_increment("x");
        assert_eq!(increment.name, "x.6.incr.aof");
        manifest.increments.push(increment);
        let base = manifest.next_base("x", true);
        manifest.replace_base(base, Some(6));
        let expected = "file x.3.base.rdb seq 3 type b\n\
                        file appendonly.aof.2.base.rdb seq 2 type h\n\
                        file \"a name.4.incr.aof\" seq 4 type h\n\
                        file appendonly.aof.5.incr.aof seq 5 type h\n\
                        file x.6.incr.aof seq 6 type i\n";
        assert_eq!(manifest.text(), expected);
        assert_eq!(
            Manifest::default().next_base("x", false).name,
            "x.1.base.aof"
        );
    }

    /// Each is refused by a redis-server 7.0.15 for the same reason.
    #[test]
    fn what_is_wrong_is_said() {
        let long = format!("file {} seq 1 type b\n", "x".repeat(1100));
        for (text, problem) in [
            ("", "Found an empty AOF manifest"),
            ("\n", "Invalid AOF manifest file format"),
            ("file a seq 1\n", "Invalid AOF manifest file format"),
            ("file a seq 0 type b\n", "Invalid AOF manifest file format"),
            ("file a seq x type b\n", "Invalid AOF manifest file format"),
            (
                "file a seq 1 type b c\n",
                "Invalid AOF manifest file format",
            ),
            (
                "file \"a seq 1 type b\n",
                "Invalid AOF manifest file format",
            ),
            (
                "file ../a seq 1 type b\n",
                "File can't be a path, just a filename",
            ),
            ("file a seq 1 type x\n", "Unknown AOF file type"),
            (
                "file a seq 1 type b",
                "The AOF manifest file contains too long line",
            ),
            (&long, "The AOF manifest file contains too long line"),
            (
                "file a seq 1 type b\nfile c seq 2 type b\n",
                "Found duplicate base file information",
            ),
            (
                "file a seq 2 type i\nfile c seq 2 type i\n",
                "Found a non-monotonic sequence number",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.problem, problem, "{text:?}");
        }
        let commented = "# a comment\nfile a seq 1 type b new thing\n";
        assert!(Manifest::parse(commented.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_name_survives(name in "[^/\u{0}]{1,20}") {
            let part = Part { name, number: 7 };
            let manifest = Manifest { base: Some(part), ..Manifest::default() };
            prop_assert_eq!(Manifest::parse(manifest.text().as_bytes()).unwrap(), manifest);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _parsed = Manifest::parse(&bytes);
        }
    }
}
