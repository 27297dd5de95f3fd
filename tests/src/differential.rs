//! The same commands for two servers, whose replies must be the same.

use fastrand::Rng;

use crate::client::Client;
use crate::value::Value;

/// A command's words.
pub type Command = Vec<Vec<u8>>;

/// Longer words are cut in what a failure prints.
const SHOWN_MAX: usize = 200;

/// The seed of a random test, which is printed: `SLOTILLA_SEED` repeats a run.
#[must_use]
#[expect(clippy::print_stdout, reason = "a failed test shows what it printed")]
pub fn seed() -> u64 {
    let given = std::env::var("SLOTILLA_SEED").ok();
    let given = given.and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("SLOTILLA_SEED={seed}");
    seed
}

/// One of several words.
pub fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

/// A command as a failure prints it.
#[must_use]
pub fn show(command: &[Vec<u8>]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| cut(word.escape_ascii().to_string()))
        .collect();
    format!("[{}]", words.join("] ["))
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN_MAX {
        // What is shown is ASCII.
        text.truncate(SHOWN_MAX);
        text.push_str("...");
    }
    text
}

/// A real server and ours.
#[derive(Debug)]
pub struct Pair {
    /// The measure.
    pub theirs: Client,
    /// What is measured.
    pub ours: Client,
    /// Told when they differ.
    pub seed: u64,
}

impl Pair {
    /// These commands for every key that the measure has, whose name stands for `KEY`.
    pub fn of_every_key(&mut self, lines: &[&str]) -> Vec<Command> {
        let keys = self.theirs.call(&["keys", "*"]);
        let of_key = |key: &[u8], line: &str| {
            let words = line.split(' ').map(|word| match word {
                "KEY" => key.to_vec(),
                word => word.as_bytes().to_vec(),
            });
            words.collect()
        };
        let all = keys.items().iter().flat_map(|key| {
            let of_key = |line: &&str| of_key(key.bytes(), line);
            lines.iter().map(of_key).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// Has both speak RESP2 or RESP3 from now on.
    pub fn speak(&mut self, protocol: &str) {
        for client in [&mut self.theirs, &mut self.ours] {
            assert_eq!(client.call(&["hello", protocol]).error(), None);
        }
    }

    /// Sends commands to both, and panics at the first reply that differs.
    pub fn run(&mut self, commands: &[Command]) {
        self.run_as(commands, |_, theirs, ours| theirs == ours);
    }

    /// The same where `agree` says of a command and both replies whether they are alike.
    pub fn run_as(
        &mut self,
        commands: &[Command],
        agree: impl Fn(&[Vec<u8>], &Value, &Value) -> bool,
    ) {
        let theirs = self.theirs.pipeline(commands);
        let ours = self.ours.pipeline(commands);
        for (at, (a, b)) in theirs.iter().zip(&ours).enumerate() {
            if !agree(&commands[at], a, b) {
                self.complain(&commands[..=at], a, b);
            }
        }
    }

    fn complain(&self, commands: &[Command], theirs: &Value, ours: &Value) -> ! {
        let lines: Vec<String> = commands.iter().map(|command| show(command)).collect();
        let (text, other) = (format!("{theirs:?}"), format!("{ours:?}"));
        let first = text.bytes().zip(other.bytes());
        let first = first.take_while(|(a, b)| a == b).count();
        panic!(
            "seed {}: {}\ntheirs: {}\nours:   {}\nfrom {first} on: {}\n        {}\nafter:\n{}",
            self.seed,
            lines.last().map_or("", String::as_str),
            cut(text.clone()),
            cut(other.clone()),
            cut(text.chars().skip(first).collect()),
            cut(other.chars().skip(first).collect()),
            lines.join("\n"),
        );
    }
}
