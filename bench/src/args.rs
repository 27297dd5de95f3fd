//! `--name value` arguments of the subcommands.

use std::str::FromStr;

use crate::failure::{Failure, Outcome};

/// A flag that a subcommand knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// Its name, without the dashes.
    pub(crate) name: &'static str,
    /// What its value is called in the help; empty if it takes none.
    pub(crate) value: &'static str,
    /// One line of help.
    pub(crate) help: &'static str,
}

/// What was given on the command line.
#[derive(Debug, Default)]
pub(crate) struct Args {
    given: Vec<(&'static str, String)>,
}

impl Args {
    /// Reads `words`; each must be one of `flags` (or the value of one).
    pub(crate) fn parse(words: &[String], flags: &'static [Flag]) -> Outcome<Self> {
        let mut given = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let flag = name
                .strip_prefix("--")
                .and_then(|name| flags.iter().find(|flag| flag.name == name))
                .ok_or_else(|| Failure::Usage(format!("unknown argument {word}{}", help(flags))))?;
            let value = if flag.value.is_empty() {
                inline.unwrap_or_default()
            } else {
                inline
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| Failure::Usage(format!("{name} needs {}", flag.value)))?
            };
            given.push((flag.name, value));
        }
        Ok(Self { given })
    }

    /// The last value given for a flag.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut from_the_end = self.given.iter().rev();
        from_the_end
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a flag was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A flag's value as a number or the like, or `default` if it was not given.
    pub(crate) fn value<T: FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Failure::Usage(format!("--{name}: {text:?} is no valid value"))),
        }
    }

    /// A flag's value as a list between commas; empty if it was not given.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// The flags, one a line.
pub(crate) fn help(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let left = format!("--{} {}", flag.name, flag.value);
        text.push_str(&format!("\n  {left:<28} {}", flag.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag {
            name: "port",
            value: "PORT",
            help: "where",
        },
        Flag {
            name: "quick",
            value: "",
            help: "short",
        },
    ];

    fn parse(words: &[&str]) -> Outcome<Args> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Args::parse(&words, FLAGS)
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign_and_the_last_wins() {
        let args = parse(&["--port", "1", "--quick", "--port=2"]).unwrap();
        assert_eq!(args.value("port", 0).unwrap(), 2);
        assert!(args.has("quick"));
        assert_eq!(parse(&[]).unwrap().value("port", 7).unwrap(), 7);
    }

    #[test]
    fn lists_are_split_at_commas() {
        let args = parse(&["--port", "a, b,,c"]).unwrap();
        assert_eq!(args.list("port"), ["a", "b", "c"]);
        assert!(args.list("quick").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |words: &[&str]| parse(words).unwrap_err().to_string();
        assert!(said(&["--pork", "1"]).starts_with("unknown argument --pork\n  --port PORT"));
        assert_eq!(said(&["--port"]), "--port needs PORT");
        let args = parse(&["--port", "x"]).unwrap();
        let error = args.value("port", 0).unwrap_err().to_string();
        assert_eq!(error, "--port: \"x\" is no valid value");
    }
}
