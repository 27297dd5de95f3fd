//! Writes to a primary with replicas while links are cut, and servers stopped, killed and restarted at
//! random: `tests/chaos/replication`.
//!
//! ```text
//! plan.rs     what happens, in which order: a function of the seed
//! load.rs     clients that write
//! ledger.rs   what they were told, and whether the data agrees
//! member.rs   a server; way.rs: its way to whom it copies, which can be harmed
//! round.rs    servers, clients, one fault after the other; faults.rs: what each does
//! judge.rs    whether replicas came back as they should; facts.rs: what servers say
//! same.rs     whether two servers have the same data
//! tally.rs    what has happened, counted
//! ```
//!
//! A round that fails is repeated by its seed and its number; its plan is the same, and its timing
//! as near as two runs are. What its servers have logged and stored is kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the tests, which tells people what it finds"
)]

mod facts;
mod faults;
mod judge;
mod ledger;
mod load;
mod member;
mod options;
mod plan;
mod round;
mod same;
mod tally;
mod way;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use fastrand::Rng;
use options::{Options, USAGE};
use plan::Setting;
use round::Round;
use slotilla_tests::Deadline;
use tally::Tally;

/// So many lines of what happened before a failure are printed; the rest is kept.
const LINES: usize = 25;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&words) {
        Ok(options) if run(&options).failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Plays rounds until the time is over.
fn run(options: &Options) -> Tally {
    println!("seed {}", options.seed);
    let end = Deadline::after(Duration::from_secs(options.seconds));
    let mut tally = Tally::default();
    for number in options.round.unwrap_or(0).. {
        let left = Duration::from_secs(options.seconds).saturating_sub(end.elapsed());
        let length = Duration::from_secs(options.round_seconds());
        // A rest is added to the last round.
        let length = if left < length + length / 2 {
            left
        } else {
            length
        };
        play(options, number, length, &mut tally);
        let is_enough = tally.failures.len() >= options.failures;
        if is_enough || end.is_over() || options.round.is_some() {
            break;
        }
    }
    println!("{tally}");
    for failure in &tally.failures {
        println!("FAILED {failure}");
    }
    tally
}

/// Plays one round; a failure is shown, and noted.
fn play(options: &Options, number: u64, length: Duration, tally: &mut Tally) {
    let seed = options.seed.wrapping_add(number << 32);
    let mut plan = Rng::with_seed(seed);
    let setting = Setting::random(&mut plan, number, options);
    println!("round {number}, {} s: {setting}", length.as_secs());
    tally.rounds += 1;
    let makes = format!("{:?} -> {:?}", setting.primary, setting.replicas);
    *tally.makes.entry(makes).or_default() += 1;
    let mut round = Round::start(setting, seed, tally, length);
    round.shows_journal = options.shows_journal;
    let played = catch_unwind(AssertUnwindSafe(|| round.run(&mut plan)));
    let fault = match played {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(text.unwrap_or_else(|| "a panic".to_owned()))
        }
    };
    round.count();
    let Some(fault) = fault else { return };
    let name = format!("slotilla-chaos-{}-{number}", options.seed);
    let dir = std::env::temp_dir().join(name);
    let kept = match round.keep(&dir, &fault) {
        Ok(()) => format!("logs and files are in {}", dir.display()),
        Err(error) => format!("logs and files could not be kept: {error}"),
    };
    if !options.shows_journal {
        for line in round.last_lines(LINES) {
            println!("  {line}");
        }
    }
    println!("FAILED: {fault}\n{kept}");
    let again = format!("--seed {} --round {number}", options.seed);
    round
        .tally
        .failures
        .push(format!("{again}: {fault}; {kept}"));
}
