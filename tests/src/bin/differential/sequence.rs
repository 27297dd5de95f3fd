//! Sequences of commands: what two servers are to do, and whether they did the same.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, pick, show};
use slotilla_tests::{Client, Value, wait_until};

use crate::compare::{Question, same};
use crate::grammar::{Grammar, any_key};
use crate::{free, listen};

/// Connections of a sequence: one watches and queues while the other changes keys.
const CONNECTIONS: usize = 2;
/// The connection that is never in the middle of a transaction.
pub(crate) const PLAIN: usize = 1;
/// Clients that listen to channels come after those.
const LISTENERS: usize = 2;
/// What bounds the small formats of collections, and what to set for Redis's own limits and for
/// lower ones.
const LIMITS: [(&str, &[&str]); 6] = [
    ("hash-max-listpack-entries", &["512", "4"]),
    ("hash-max-listpack-value", &["64", "6"]),
    ("set-max-intset-entries", &["512", "3"]),
    ("zset-max-listpack-entries", &["128", "4"]),
    ("zset-max-listpack-value", &["64", "1"]),
    ("list-max-listpack-size", &["-2", "3", "-1"]),
];
/// The events of keys that a sequence may ask for.
const EVENTS: &[&str] = &["KEA", "KEAmn", "Kg$lz", "Exhs"];
/// How long a key has that is to expire.
const SOON: Duration = Duration::from_millis(20);

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A connection sends these in one write, and reads all replies.
    Batch(usize, Vec<Command>),
    /// A key is given little time, which passes.
    Expire(Vec<u8>),
    /// A command whose reply each server chooses by itself.
    Free(Command),
    /// A listener sends these, and reads all that has come.
    Listen(usize, Vec<Command>),
}

/// Steps from an empty server on.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// For those who repeat it.
    pub(crate) seed: u64,
    resp3: bool,
    /// CONFIG SET before all else.
    settings: Vec<(&'static str, &'static str)>,
    steps: Vec<Step>,
}

/// What differed.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) command: String,
    pub(crate) theirs: Value,
    pub(crate) ours: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            theirs,
            ours,
        } = self;
        let [theirs, ours] = [theirs, ours].map(legible);
        write!(f, "{command}\n  theirs: {theirs}\n  ours:   {ours}")
    }
}

/// A reply as people can read it, its types included.
fn legible(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(legible).collect::<Vec<_>>().join(" ");
    match value {
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Array(items) => format!("[{}]", all(items)),
        Value::Push(items) => format!(">[{}]", all(items)),
        other => format!("{other:?}"),
    }
}

/// The connections to both servers.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The measure.
    pub(crate) theirs: Vec<Client>,
    /// What is measured.
    pub(crate) ours: Vec<Client>,
}

impl Pair {
    /// New connections.
    pub(crate) fn connect(theirs: u16, ours: u16) -> Self {
        let connect = |port| {
            let all = 0..CONNECTIONS + LISTENERS;
            all.map(|_| Client::connect(port)).collect()
        };
        Self {
            theirs: connect(theirs),
            ours: connect(ours),
        }
    }

    pub(crate) fn both(
        &mut self,
        connection: usize,
        commands: &[Command],
    ) -> (Vec<Value>, Vec<Value>) {
        let theirs = self.theirs[connection].pipeline(commands);
        (theirs, self.ours[connection].pipeline(commands))
    }

    /// What both say to a command that they must say the same to.
    fn line(&mut self, line: &str) -> Result<Value, Difference> {
        self.agree(words(line), &Question::Plain)
    }

    /// Gives a key little time, and waits until both have let it go. Whoever asks for it makes that
    /// happen: until then an expired key counts.
    fn expire(&mut self, key: &[u8]) -> Result<(), Difference> {
        let soon = SOON.as_millis().to_string().into_bytes();
        let expire = [vec![b"pexpire".to_vec(), key.to_vec(), soon]];
        // A command that does not say that it has missed a key.
        let look = [vec![b"object".to_vec(), b"encoding".to_vec(), key.to_vec()]];
        let (theirs, ours) = self.both(PLAIN, &expire);
        check(&expire[0], &Question::Plain, &theirs[0], &ours[0])?;
        wait_until(&format!("{} to expire on both", show(&expire[0])), || {
            let (theirs, ours) = self.both(PLAIN, &look);
            theirs[0].is_null() && ours[0].is_null()
        });
        Ok(())
    }

    fn agree(&mut self, command: Command, question: &Question) -> Result<Value, Difference> {
        let commands = [command];
        let (theirs, ours) = self.both(0, &commands);
        check(&commands[0], question, &theirs[0], &ours[0])?;
        Ok(theirs[0].clone())
    }

    /// Compares all that can be seen of all keys.
    fn compare_everything(&mut self) -> Result<(), Difference> {
        self.line("reset")?;
        self.line("debug digest")?;
        for database in ["select 0", "select 1"] {
            if self.line(database)?.error().is_some() {
                // A cluster has one database.
                continue;
            }
            for key in self.agree(words("keys *"), &Question::Elements)?.items() {
                let with = |line: &str| {
                    let key = || key.bytes().to_vec();
                    let words = words(line).into_iter();
                    words
                        .map(|word| if word == b"KEY" { key() } else { word })
                        .collect()
                };
                let kind = self.agree(with("type KEY"), &Question::Plain)?.text();
                self.agree(with("object encoding KEY"), &Question::Plain)?;
                self.agree(with("pexpiretime KEY"), &Question::Millis)?;
                let (line, question) = match kind.as_str() {
                    "hash" => ("hgetall KEY", Question::Pairs),
                    "set" => ("smembers KEY", Question::Elements),
                    "zset" => ("zrange KEY 0 -1 withscores", Question::Plain),
                    "list" => ("lrange KEY 0 -1", Question::Plain),
                    _ => ("get KEY", Question::Plain),
                };
                self.agree(with(line), &question)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn words(line: &str) -> Command {
    line.split_whitespace().map(Into::into).collect()
}

impl Sequence {
    /// The random sequence of a seed.
    pub(crate) fn random(seed: u64, grammar: &Grammar) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut settings = Vec::new();
        let is_low = random.bool();
        for (name, values) in LIMITS {
            let value = if is_low {
                pick(&mut random, values)
            } else {
                values[0]
            };
            settings.push((name, value));
        }
        let mut steps = Vec::new();
        let has_events = random.usize(..3) == 0;
        let events = if has_events {
            pick(&mut random, EVENTS)
        } else {
            ""
        };
        settings.push(("notify-keyspace-events", events));
        if has_events {
            steps.push(Step::Listen(
                CONNECTIONS,
                vec![words("psubscribe __key*__:*")],
            ));
        }
        let mut add = |_| {
            steps.push(match random.usize(..80) {
                0 | 1 => Step::Expire(any_key(&mut random)),
                2..12 => Step::Free(grammar.free(&mut random)),
                12..17 => random_listening(&mut random, grammar),
                _ => random_batch(&mut random, grammar),
            });
        };
        (0..5 + seed % 25).for_each(&mut add);
        Self {
            seed,
            resp3: random.bool(),
            settings,
            steps,
        }
    }

    /// How many commands it has.
    pub(crate) fn commands(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Batch(_, commands) | Step::Listen(_, commands) => commands.len(),
            Step::Expire(_) | Step::Free(_) => 1,
        };
        self.steps.iter().map(of).sum()
    }

    /// Has both servers do it.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn run(&self, pair: &mut Pair) -> Result<(), Difference> {
        let hello: &[Command] = if self.resp3 { &[words("hello 3")] } else { &[] };
        for connection in 0..CONNECTIONS {
            pair.both(connection, &[words("reset")]);
            pair.both(connection, hello);
        }
        for listener in CONNECTIONS..CONNECTIONS + LISTENERS {
            listen::begin(pair, listener, hello);
        }
        pair.line("flushall")?;
        for (name, value) in &self.settings {
            let set = vec![
                b"config".to_vec(),
                b"set".to_vec(),
                name.as_bytes().to_vec(),
                value.as_bytes().to_vec(),
            ];
            pair.agree(set, &Question::Plain)?;
        }
        let mut queued: [Option<Vec<Question>>; CONNECTIONS] = Default::default();
        for step in &self.steps {
            match step {
                Step::Batch(connection, commands) => {
                    let (theirs, ours) = pair.both(*connection, commands);
                    for (command, (theirs, ours)) in commands.iter().zip(theirs.iter().zip(&ours)) {
                        let question = Question::of(command, &mut queued[*connection], theirs);
                        check(command, &question, theirs, ours)?;
                    }
                }
                Step::Expire(key) => pair.expire(key)?,
                Step::Free(command) => free::run(pair, command)?,
                Step::Listen(listener, commands) => listen::run(pair, *listener, commands)?,
            }
        }
        for listener in CONNECTIONS..CONNECTIONS + LISTENERS {
            listen::run(pair, listener, &[])?;
        }
        pair.compare_everything()
    }

    /// A sequence with fewer commands that `fails` too, found by leaving out ever smaller parts.
    pub(crate) fn reduced(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut best = self.clone();
        best.steps = best.steps.into_iter().flat_map(Step::apart).collect();
        if !fails(&best) {
            return self.clone();
        }
        let mut size = best.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut fewer = best.clone();
                let end = (at + size).min(fewer.steps.len());
                fewer.steps.drain(at..end);
                if fails(&fewer) {
                    best = fewer;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        best
    }
}

impl Step {
    /// Each command by itself.
    fn apart(self) -> Vec<Self> {
        match self {
            Self::Batch(connection, commands) => {
                let one = |command| Self::Batch(connection, vec![command]);
                commands.into_iter().map(one).collect()
            }
            Self::Listen(listener, commands) => {
                let one = |command| Self::Listen(listener, vec![command]);
                commands.into_iter().map(one).collect()
            }
            other @ (Self::Expire(_) | Self::Free(_)) => vec![other],
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "RESP{}", if self.resp3 { 3 } else { 2 })?;
        for (name, value) in &self.settings {
            writeln!(f, "  {name} {value}")?;
        }
        for step in &self.steps {
            match step {
                Step::Batch(connection, commands) | Step::Listen(connection, commands) => {
                    for (at, command) in commands.iter().enumerate() {
                        let mark = if at == 0 {
                            connection.to_string()
                        } else {
                            "+".into()
                        };
                        writeln!(f, "  {mark} {}", show(command))?;
                    }
                }
                Step::Expire(key) => writeln!(f, "  expire {}", key.escape_ascii())?,
                Step::Free(command) => writeln!(f, "  {PLAIN} {}, freely", show(command))?,
            }
        }
        Ok(())
    }
}

/// What a client does that listens to channels.
fn random_listening(random: &mut Rng, grammar: &Grammar) -> Step {
    let commands = (0..random.usize(..6))
        .map(|_| grammar.of_listener(random))
        .collect();
    Step::Listen(CONNECTIONS + random.usize(..LISTENERS), commands)
}

/// Mostly plain commands; now and then a transaction, whole or not.
fn random_batch(random: &mut Rng, grammar: &Grammar) -> Step {
    let mut commands: Vec<Command> = (0..random.usize(1..12))
        .map(|_| grammar.command(random))
        .collect();
    // Connection 1 never queues, so that keys change while connection 0 watches and queues.
    let connection = random.usize(..CONNECTIONS);
    if connection == 0 {
        match random.usize(..12) {
            0 => commands.insert(0, words("multi")),
            1 => commands.push(words("exec")),
            2 => {
                commands.insert(0, words("multi"));
                commands.push(words("exec"));
            }
            3 => commands.insert(0, vec![b"watch".to_vec(), any_key(random), any_key(random)]),
            4 if random.bool() => commands.push(words("discard")),
            4 => commands.push(words("unwatch")),
            _ => {}
        }
    }
    Step::Batch(connection, commands)
}

/// Compares the replies to one command.
pub(crate) fn check(
    command: &Command,
    question: &Question,
    theirs: &Value,
    ours: &Value,
) -> Result<(), Difference> {
    if same(question, theirs, ours) {
        return Ok(());
    }
    Err(Difference {
        command: show(command),
        theirs: theirs.clone(),
        ours: ours.clone(),
    })
}
