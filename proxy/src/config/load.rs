//! From a file and the command line to a [`Config`], or to all that is wrong with them.

use std::path::Path;
use std::sync::Arc;

use slotilla_common::config::{Arguments, ConfigError, Entry, Origin, nearest, tables};

use super::Config;
use super::keys::{KEYS, find};

/// Everything that is wrong, one fault a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct LoadError(pub Vec<ConfigError>);

fn lines(errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Reads a TOML file. Every key may be left out.
///
/// # Errors
/// All faults, each with file, line, key and remedy.
pub fn from_file(path: &Path) -> Result<Config, LoadError> {
    let (entries, errors) = read(path);
    build(entries, errors)
}

/// Takes settings from the file that the arguments name, if any, then from the arguments.
///
/// # Errors
/// All faults of both.
pub fn from_arguments(arguments: Arguments) -> Result<Config, LoadError> {
    let (mut entries, mut errors) = match &arguments.file {
        Some(path) => read(path),
        None => (Vec::new(), Vec::new()),
    };
    if arguments.stdin {
        errors.push(fault(
            Origin::Arguments,
            "reading the configuration from standard input is not supported",
            "write it to a file and name that",
        ));
    }
    entries.extend(arguments.entries);
    build(entries, errors)
}

fn read(path: &Path) -> (Vec<Entry>, Vec<ConfigError>) {
    let name: Arc<str> = path.to_string_lossy().into();
    match std::fs::read_to_string(path) {
        Ok(text) => tables(&text, |line| Origin::File {
            path: Arc::clone(&name),
            line,
        }),
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            let remedy = "check the path and its permissions; the file is TOML";
            let origin = Origin::WholeFile { path: name };
            (Vec::new(), vec![fault(origin, &problem, remedy)])
        }
    }
}

fn fault(origin: Origin, problem: &str, remedy: &str) -> ConfigError {
    ConfigError {
        origin,
        key: String::new(),
        shown: String::new(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn build(entries: Vec<Entry>, mut errors: Vec<ConfigError>) -> Result<Config, LoadError> {
    let mut config = Config::default();
    for entry in &entries {
        let Some(key) = find(&entry.key) else {
            let names = KEYS.iter().map(|key| key.name);
            let remedy = match nearest(&entry.key, names) {
                Some(name) => format!("did you mean {name}?"),
                None => "config/proxy.toml lists every key".to_owned(),
            };
            errors.push(entry.error("there is no such key", remedy));
            continue;
        };
        let words: Result<Vec<String>, _> = entry
            .words
            .iter()
            .map(|word| String::from_utf8(word.clone()))
            .collect();
        let Ok(words) = words else {
            errors.push(entry.error("the value is not UTF-8", "write it as UTF-8 text"));
            continue;
        };
        if let Err(wrong) = key.set(&mut config, &words) {
            errors.push(entry.error(wrong.problem, wrong.remedy));
        }
    }
    let contradictions = contradictions(&config, &entries, &errors);
    errors.extend(contradictions);
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(LoadError(errors))
    }
}

/// What no key is wrong in by itself. A key that has a fault already is not judged: its value is
/// not what was meant.
fn contradictions(config: &Config, entries: &[Entry], faults: &[ConfigError]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut complain = |[key, other]: [&str; 2], problem: &str, remedy: &str| {
        if faults.iter().any(|f| f.key == key || f.key == other) {
            return;
        }
        let entry = entries.iter().rev().find(|e| e.key == key);
        errors.push(match entry {
            Some(entry) => entry.error(problem, remedy),
            None => {
                let mut error = fault(Origin::Arguments, problem, remedy);
                key.clone_into(&mut error.key);
                error
            }
        });
    };
    if config.retry_backoff_min > config.retry_backoff_max {
        complain(
            ["retry-backoff-min", "retry-backoff-max"],
            "is longer than retry-backoff-max",
            "lower it, or raise retry-backoff-max",
        );
    }
    if config.port != 0 && config.port == config.admin_port {
        complain(
            ["admin-port", "port"],
            "is the port for clients, too",
            "choose another one",
        );
    }
    if config.client_query_buffer_limit < config.proto_max_bulk_len {
        complain(
            ["client-query-buffer-limit", "proto-max-bulk-len"],
            "is less than proto-max-bulk-len, so the longest argument never fits",
            "raise it, or lower proto-max-bulk-len",
        );
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::config::arguments;

    fn args(words: &[&str]) -> Result<Config, LoadError> {
        from_arguments(arguments(words.iter().map(|w| (*w).to_owned())))
    }

    #[test]
    fn arguments_override_and_seeds_are_split_at_commas() {
        let config = args(&["--port", "7", "--seeds", "a:1,b:2", "--port", "8"]).unwrap();
        assert_eq!(config.port, 8);
        assert_eq!(config.seeds.len(), 2);
    }

    #[test]
    fn every_fault_is_told_with_its_key_and_remedy() {
        let error = args(&[
            "--portt",
            "1",
            "--port",
            "x",
            "--seeds",
            "nowhere",
            "--request-timeout",
            "5",
            "--protected-mode",
            "maybe",
            "--client-output-max",
            "1",
            "--loglevel",
            "loud",
        ])
        .unwrap_err();
        let text = error.to_string();
        let expected = [
            "portt: there is no such key; did you mean port?",
            "port: \"x\" is no number in range; write a whole number from 0 to 65535",
            "seeds: \"nowhere\" is no address of a node",
            "request-timeout: \"5\" is no time in range",
            "protected-mode: \"maybe\" is neither; write yes or no",
            "client-output-max: \"1\" is no size in range",
            "loglevel: \"loud\" is no level",
        ];
        assert_eq!(text.lines().count(), expected.len(), "{text}");
        for (line, expected) in text.lines().zip(expected) {
            assert!(line.starts_with("command line: "), "{line}");
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn a_file_s_faults_name_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(&path, "port = 1\n\nmaxclients = 0\n").unwrap();
        let text = from_file(&path).unwrap_err().to_string();
        assert!(text.contains("p.toml:3: maxclients: "), "{text}");
        let missing = from_file(&dir.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("/none: cannot be read"), "{missing}");
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        for words in [
            &["--retry-backoff-min", "1s"][..],
            &["--admin-port", "6379"],
            &["--client-query-buffer-limit", "1mb"],
        ] {
            assert_eq!(args(words).unwrap_err().0.len(), 1, "{words:?}");
        }
    }

    #[test]
    fn the_shipped_file_lists_every_key_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/proxy.toml");
        let config = from_file(&path).unwrap();
        let (entries, _) = read(&path);
        let listed: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
        let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(listed, keys);
        let default = Config::default();
        for key in KEYS.iter().filter(|key| key.name != "seeds") {
            assert_eq!(key.show(&config), key.show(&default), "{}", key.name);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (above, line) in text.lines().zip(text.lines().skip(1)) {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(above.starts_with('#'), "nothing explains {line}");
            }
        }
    }
}
