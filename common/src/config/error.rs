//! What is wrong with a configuration, where, and what would be right.

use std::fmt;
use std::sync::Arc;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A line of a file, counted from 1.
    File {
        /// The file as it was named.
        path: Arc<str>,
        /// The line.
        line: usize,
    },
    /// A file as a whole: it cannot be read, say.
    WholeFile {
        /// The file as it was named.
        path: Arc<str>,
    },
    /// A line of standard input.
    Stdin {
        /// The line.
        line: usize,
    },
    /// The command line.
    Arguments,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::WholeFile { path } => f.write_str(path),
            Self::Stdin { line } => write!(f, "standard input:{line}"),
            Self::Arguments => f.write_str("command line"),
        }
    }
}

/// One fault. Loading collects all of them before it gives up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{problem}{}", prefix(.key), suffix(.remedy))]
pub struct ConfigError {
    /// Where it is.
    pub origin: Origin,
    /// The key, if the fault belongs to one.
    pub key: String,
    /// The line as written, or nothing.
    pub shown: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

fn suffix(remedy: &str) -> String {
    if remedy.is_empty() {
        String::new()
    } else {
        format!("; {remedy}")
    }
}

/// The candidate that `name` is most likely a misspelling of, if any is near enough.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    // Two slips in a short word are another word.
    let slips_max = (name.len() / 4).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let slips = distance(name.as_bytes(), candidate.as_bytes(), slips_max)?;
            Some((slips, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete or replace to make `b` of `a`, if that takes no more than `most`.
/// Neighbours swapped count as two.
fn distance(a: &[u8], b: &[u8], most: usize) -> Option<usize> {
    // A file may have any number of lines that are no keys: most are told apart by this alone.
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut left = row + 1;
        let mut diagonal = row;
        let mut least = left;
        for (y, cell) in b.iter().zip(above.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            least = least.min(left);
            *cell = left;
        }
        // No row has less in it than the row above.
        if least > most {
            return None;
        }
        if let Some(first) = above.first_mut() {
            *first = row + 1;
        }
    }
    above.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edit_distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("port", "port", 0),
            ("prt", "port", 1),
            ("prot", "port", 2),
            ("kitten", "sitting", 3),
        ] {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            assert_eq!(distance(a, b, 3), Some(expected), "{a:?} {b:?}");
            assert_eq!(distance(b, a, expected), Some(expected), "{b:?} {a:?}");
            let less = expected.checked_sub(1);
            assert_eq!(less.and_then(|less| distance(a, b, less)), None);
        }
    }

    #[test]
    fn slips_find_their_key_and_nonsense_does_not() {
        let keys = [
            "port",
            "bind",
            "maxmemory",
            "maxmemory-policy",
            "cluster-enabled",
        ];
        assert_eq!(nearest("maxmemry", keys), Some("maxmemory"));
        assert_eq!(nearest("cluster_enabled", keys), Some("cluster-enabled"));
        assert_eq!(nearest("Prt", keys), Some("port"));
        assert_eq!(nearest("frobnicate", keys), None);
        assert_eq!(nearest(&"port".repeat(1000), keys), None);
    }

    #[test]
    fn an_error_names_place_key_problem_and_remedy() {
        let error = ConfigError {
            origin: Origin::File {
                path: "node.toml".into(),
                line: 3,
            },
            key: "maxmemry".into(),
            shown: String::new(),
            problem: "unknown key".into(),
            remedy: "did you mean maxmemory?".into(),
        };
        let text = "node.toml:3: maxmemry: unknown key; did you mean maxmemory?";
        assert_eq!(error.to_string(), text);
    }
}
