//! `slotilla-bench`: a load generator, a floor to measure against, and comparisons of servers
//! and proxies side by side. BENCHMARKS.md explains the method.

mod affinity;
mod args;
mod child;
mod client;
mod compare;
mod failure;
mod floor;
mod hold;
mod interrupt;
mod load;
mod procfs;
mod stats;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use args::{Args, Flag, help};
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("slotilla-bench: {failure}"));
            ExitCode::from(failure.exit_status())
        }
    }
}

/// A subcommand with flags.
struct Subcommand {
    name: &'static str,
    help: &'static str,
    flags: &'static [Flag],
    run: fn(&Args) -> Outcome<()>,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "floor",
        help: "a server that answers +OK to every request",
        flags: floor::FLAGS,
        run: floor::run,
    },
    Subcommand {
        name: "load",
        help: "sends commands, checks the answers, prints what it saw as JSON",
        flags: load::FLAGS,
        run: load::run,
    },
    Subcommand {
        name: "fill",
        help: "sets every key once",
        flags: load::FILL_FLAGS,
        run: load::run_fill,
    },
    Subcommand {
        name: "hold",
        help: "opens connections that do one GET each, until standard input ends",
        flags: hold::FLAGS,
        run: hold::run,
    },
    Subcommand {
        name: "compare",
        help: "servers and proxies side by side (bench/compare builds what it needs)",
        flags: compare::FLAGS,
        run: compare::run,
    },
];

fn run(words: &[String]) -> Outcome<()> {
    let (name, rest) = match words.split_first() {
        Some((name, rest)) if name == "child" => return child::run(rest),
        Some((name, rest)) => (name.as_str(), rest),
        None => ("--help", words),
    };
    if matches!(name, "--help" | "-h" | "help") {
        return say(usage().trim_end());
    }
    let Some(subcommand) = SUBCOMMANDS.iter().find(|known| known.name == name) else {
        let text = format!("unknown subcommand {name}\n{}", usage());
        return Err(Failure::Usage(text));
    };
    if rest.iter().any(|word| word == "--help") {
        let text = format!("{}: {}{}", name, subcommand.help, help(subcommand.flags));
        return say(&text);
    }
    let args = Args::parse(rest, subcommand.flags)?;
    interrupt::watch()?;
    (subcommand.run)(&args)
}

fn usage() -> String {
    let mut text = "slotilla-bench SUBCOMMAND [--help] [FLAGS]\n".to_owned();
    for subcommand in SUBCOMMANDS {
        text.push_str(&format!("\n  {:<9} {}", subcommand.name, subcommand.help));
    }
    text.push('\n');
    text
}

/// Prints a line of results.
fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(Failure::io("write to standard output"))
}

/// Prints a line about what is going on. Nobody may be listening, and that is fine.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
