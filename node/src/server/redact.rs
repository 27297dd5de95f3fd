//! Secrets in arguments, which neither MONITOR nor the slow log may show.

use slotilla_common::command::Spec;

use crate::commands::Args;

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Directives whose values are secrets.
const SECRET_DIRECTIVES: &[&str] = &[
    "masterauth",
    "masteruser",
    "requirepass",
    "tls-client-key-file-pass",
    "tls-key-file-pass",
];

/// The arguments as they may be shown.
pub fn shown<'a>(spec: &Spec, args: &Args<'a>) -> impl ExactSizeIterator<Item = &'a [u8]> {
    let secrets = secrets(spec, args);
    args.iter_from(0).enumerate().map(move |(index, arg)| {
        if secrets.contains(&index) {
            REDACTED
        } else {
            arg
        }
    })
}

/// Which arguments are secrets, as Redis 7.0 has it: user names are, too.
fn secrets(spec: &Spec, args: &Args<'_>) -> Vec<usize> {
    match spec.name {
        "auth" => (1..args.len()).collect(),
        "hello" => (2..args.len())
            .filter(|at| args.is(*at, "auth"))
            .flat_map(|at| [at + 1, at + 2])
            .collect(),
        "migrate" => of_migrate(args),
        "config|set" => (2..args.len())
            .step_by(2)
            .filter(|at| SECRET_DIRECTIVES.iter().any(|name| args.is(*at, name)))
            .map(|at| at + 1)
            .collect(),
        _ => Vec::new(),
    }
}

/// What follows AUTH and AUTH2, which may itself be such a word, up to the keys.
fn of_migrate(args: &Args<'_>) -> Vec<usize> {
    let (mut secrets, mut at) = (Vec::new(), 6);
    while at < args.len() && !args.is(at, "keys") {
        let count = match () {
            () if args.is(at, "auth") => 1,
            () if args.is(at, "auth2") => 2,
            () => 0,
        };
        secrets.extend(at + 1..=at + count);
        at += count + 1;
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::command;
    use slotilla_common::resp::{RequestLimits, RequestParser};

    fn show(line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut input = Vec::new();
        slotilla_common::resp::encode_command(&mut input, &args);
        let mut ranges = Vec::new();
        RequestParser::default()
            .parse(&input, &mut ranges, &RequestLimits::default())
            .unwrap();
        let args = Args::new(&input, &ranges);
        let spec = command::resolve(&args).unwrap();
        let words: Vec<_> = shown(spec, &args).map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn secrets_are_not_shown() {
        let cases = [
            ("auth me secret", "auth (redacted) (redacted)"),
            (
                "hello 3 AUTH me secret setname x",
                "hello 3 AUTH (redacted) (redacted) setname x",
            ),
            ("hello 3 auth me", "hello 3 auth (redacted)"),
            (
                "config set port 1 requirepass x",
                "config set port 1 requirepass (redacted)",
            ),
            ("set auth x", "set auth x"),
            (
                "migrate host 1 k 0 9 copy auth auth replace",
                "migrate host 1 k 0 9 copy auth (redacted) replace",
            ),
            (
                "migrate host 1 k 0 9 AUTH2 me secret keys auth x",
                "migrate host 1 k 0 9 AUTH2 (redacted) (redacted) keys auth x",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(show(line), expected);
        }
    }
}
