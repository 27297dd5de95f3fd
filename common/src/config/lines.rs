//! redis.conf's lines.

use super::{ConfigError, Entry, Origin, split};

/// Reads the settings of a text in redis.conf's form: a key and words to a line, `#` begins a
/// comment line. All faults are collected; what could be read is returned beside them.
///
/// `origin` makes the origin of a line number.
pub fn lines(text: &[u8], origin: impl Fn(usize) -> Origin) -> (Vec<Entry>, Vec<ConfigError>) {
    let mut entries = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let origin = origin(index + 1);
        let shown = String::from_utf8_lossy(line).into_owned();
        match split(line) {
            Ok(words) => entries.extend(entry(words, origin, shown)),
            Err(error) => errors.push(ConfigError {
                origin,
                key: String::new(),
                shown,
                problem: error.to_string(),
                remedy: "close each \" and ' before the next space".to_owned(),
            }),
        }
    }
    (entries, errors)
}

fn entry(words: Vec<Vec<u8>>, origin: Origin, shown: String) -> Option<Entry> {
    let mut words = words.into_iter();
    let key = String::from_utf8_lossy(&words.next()?).into_owned();
    Some(Entry {
        origin,
        key,
        words: words.collect(),
        shown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_faults_are_collected() {
        let text = b"# a comment\r\n\n  port 1\r\nrequirepass \"x\nsave 900 1\nbind 'a";
        let (entries, errors) = lines(text, |line| Origin::Stdin { line });
        let keys: Vec<_> = entries
            .iter()
            .map(|e| (e.key.as_str(), e.words.len()))
            .collect();
        assert_eq!(keys, [("port", 1), ("save", 2)]);
        assert_eq!(entries[0].words[0], b"1");
        assert_eq!(entries[0].origin, Origin::Stdin { line: 3 });
        let places: Vec<_> = errors.iter().map(|e| e.origin.clone()).collect();
        assert_eq!(
            places,
            [Origin::Stdin { line: 4 }, Origin::Stdin { line: 6 }]
        );
    }
}
