//! Sends the same random sequences of valid commands to our node and to a real redis-server, and
//! compares every reply and what is left of the keys: `tests/compat/differential`.
//!
//! A difference is shown with the shortest sequence that still has it, and with the seed that
//! repeats it: `--seed N --sequences 1`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the tests, which tells people what it finds"
)]

mod compare;
mod free;
mod grammar;
mod listen;
mod sequence;

use std::process::ExitCode;
use std::time::Duration;

use grammar::Grammar;
use sequence::{Pair, Sequence};
use slotilla_tests::{Deadline, Kind, Server, one_node_cluster};

const USAGE: &str = "\
tests/compat/differential [OPTION VALUE]...
  --seconds N         how long (60)
  --seed N            of the first sequence; the others follow (random)
  --sequences N       how many sequences, whatever time they take
  --mode MODE         standalone or cluster (standalone)
  --differences N     end after so many (5)";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    seconds: u64,
    seed: u64,
    sequences: Option<u64>,
    is_cluster: bool,
    differences: u64,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            seconds: 60,
            seed: fastrand::u64(..),
            sequences: None,
            is_cluster: false,
            differences: 5,
        };
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} needs a value", pair[0]));
            };
            let number = || {
                let wrong = |_| format!("{name} takes a number, not '{value}'");
                value.parse::<u64>().map_err(wrong)
            };
            match name.as_str() {
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                "--sequences" => options.sequences = Some(number()?),
                "--differences" => options.differences = number()?.max(1),
                "--mode" => {
                    options.is_cluster = match value.as_str() {
                        "cluster" => true,
                        "standalone" => false,
                        _ => return Err(format!("--mode is cluster or standalone, not '{value}'")),
                    }
                }
                _ => return Err(format!("there is no option '{name}'")),
            }
        }
        Ok(options)
    }

    fn start(&self, kind: Kind) -> Server {
        if self.is_cluster {
            one_node_cluster(kind, &[])
        } else {
            Server::start(kind, &[])
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&words) {
        Ok(options) if hunt(&options) == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("differential: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs sequences until the time is over; how many differed.
fn hunt(options: &Options) -> u64 {
    let (theirs, ours) = (options.start(Kind::Redis), options.start(Kind::Node));
    let mut asked = ours.client();
    let (grammar, unknown) = Grammar::of_known(|name| {
        let info = asked_of(&mut asked, name);
        info.first().is_some_and(|info| !info.is_null())
    });
    println!("seed {}", options.seed);
    if !unknown.is_empty() {
        println!(
            "not tried, as the node does not have them: {}",
            unknown.join(" ")
        );
    }
    let mut pair = Pair::connect(theirs.port(), ours.port());
    let end = Deadline::after(Duration::from_secs(options.seconds));
    let (mut sequences, mut commands, mut differences) = (0, 0, 0);
    loop {
        let is_over = match options.sequences {
            Some(most) => sequences == most,
            None => end.is_over(),
        };
        if is_over || differences == options.differences {
            break;
        }
        let sequence = Sequence::random(options.seed.wrapping_add(sequences), &grammar);
        sequences += 1;
        commands += sequence.commands();
        if let Err(difference) = sequence.run(&mut pair) {
            differences += 1;
            println!("DIFFERENCE in seed {}: {difference}", sequence.seed);
            show(&sequence, &mut pair);
        }
    }
    println!("{sequences} sequences, {commands} commands, {differences} differences");
    differences
}

fn asked_of(client: &mut slotilla_tests::Client, name: &str) -> Vec<slotilla_tests::Value> {
    client.call(&["command", "info", name]).items().to_vec()
}

/// Shows the shortest sequence that still differs.
fn show(sequence: &Sequence, pair: &mut Pair) {
    let short = sequence.reduced(|fewer| fewer.run(pair).is_err());
    match short.run(pair) {
        Err(difference) => println!("in short: {difference}\nafter {short}"),
        Ok(()) => println!("which does not repeat itself, after {sequence}"),
    }
}
