//! What clients were told of their writes, and whether the data agrees.
//!
//! A client writes numbers, one after the other, each to one place and never again. It knows of each
//! whether it was acknowledged, refused, or neither. As it sends a number only after it has heard of
//! all that came before (or has given up), what a server has must have no hole: a number that is
//! missing means that all later ones are missing, too.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use slotilla_tests::differential::Command;
use slotilla_tests::{Client, Value};

/// The database of the ledger: what else is written leaves it alone.
pub(crate) const DATABASE: &str = "9";
/// So many numbers at most before a client begins with new keys.
const NUMBERS_MAX: usize = 20_000;

/// So many keys are asked about in one write.
const BATCH: usize = 500;

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was sent, and nothing was heard.
    Unknown,
    /// The primary has said that it has it.
    Acked,
    /// And that a replica has it.
    Confirmed,
    /// Nothing was heard, but it was there. It may have come later than those after it.
    Found,
    /// It was refused before anything was done.
    Refused,
    /// It was not there after something that may lose it.
    Lost,
}

/// Where a number goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    List,
    Set,
    Hash,
    Sorted,
    Text,
    Key,
    Expiring,
    /// Two places and a counter, in one transaction.
    Twice,
}

const PLACES: [Place; 8] = [
    Place::List,
    Place::Set,
    Place::Hash,
    Place::Sorted,
    Place::Text,
    Place::Key,
    Place::Expiring,
    Place::Twice,
];

/// What may be missing after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Nothing that was acknowledged.
    Nothing,
    /// The latest, but nothing that a replica was known to have.
    Unconfirmed,
    /// The latest.
    Latest,
}

/// How many numbers are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) confirmed: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    /// Of the unknown: how many have turned out to be there.
    pub(crate) found: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.confirmed += other.confirmed;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.lost += other.lost;
        self.found += other.found;
    }
}

/// What one client has written.
#[derive(Debug)]
pub(crate) struct Book {
    client: u64,
    /// How often it has begun with new keys.
    generation: u32,
    entries: Vec<(Place, State)>,
    pub(crate) sums: Sums,
}

impl Book {
    pub(crate) fn new(client: u64) -> Self {
        Self {
            client,
            generation: 0,
            entries: Vec::new(),
            sums: Sums::default(),
        }
    }

    fn key(&self, what: &str) -> String {
        format!("ledger:{}:{}:{what}", self.client, self.generation)
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next number, and what writes it.
    pub(crate) fn next(&mut self, random: &mut Rng) -> (usize, Vec<Command>) {
        let place = PLACES[random.usize(..PLACES.len())];
        let at = self.entries.len();
        self.entries.push((place, State::Unknown));
        self.sums.sent += 1;
        self.sums.unknown += 1;
        let number = at.to_string();
        let line = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let commands: Vec<Command> = match place {
            Place::List => vec![line(&["rpush", &self.key("list"), &number])],
            Place::Set => vec![line(&["sadd", &self.key("set"), &number])],
            Place::Hash => vec![line(&["hset", &self.key("hash"), &number, &number])],
            Place::Sorted => vec![line(&["zadd", &self.key("sorted"), &number, &number])],
            Place::Text => vec![line(&["append", &self.key("text"), &format!("{number},")])],
            Place::Key => vec![line(&["set", &self.key(&number), &number])],
            Place::Expiring => vec![line(&["set", &self.key(&number), &number, "ex", "7200"])],
            Place::Twice => vec![
                line(&["multi"]),
                line(&["rpush", &self.key("first"), &number]),
                line(&["sadd", &self.key("second"), &number]),
                line(&["incr", &self.key("count")]),
                line(&["exec"]),
            ],
        };
        (at, commands)
    }

    /// What was answered to the last of a number's commands.
    pub(crate) fn note(&mut self, at: usize, answer: &Value) {
        let state = match answer {
            Value::Error(text) if is_refusal(text) => State::Refused,
            Value::Error(_) => return,
            Value::Array(items) if items.iter().any(|item| item.error().is_some()) => return,
            _ => State::Acked,
        };
        self.sums.unknown -= 1;
        match state {
            State::Refused => self.sums.refused += 1,
            _ => self.sums.acked += 1,
        }
        self.entries[at].1 = state;
    }

    /// A replica has all that was acknowledged from this number on.
    pub(crate) fn confirm(&mut self, from: usize) {
        for (_, state) in self.entries.iter_mut().skip(from) {
            if *state == State::Acked {
                *state = State::Confirmed;
                self.sums.confirmed += 1;
            }
        }
    }

    /// Looks whether a server's data agrees. What was not heard of may be there or not; once the
    /// server that it was sent to is no more (`is_settled`), what is not there must not come. Nobody
    /// may write meanwhile.
    pub(crate) fn check(
        &mut self,
        client: &mut Client,
        allowed: Allowed,
        is_settled: bool,
    ) -> Result<(), String> {
        let there = self.there(client)?;
        let mut first_lost = None;
        for at in 0..self.entries.len() {
            let is_there = there.contains(&at);
            let (place, state) = self.entries[at];
            let fault = |what: &str| {
                let whose = self.key("");
                Err(format!(
                    "{whose} number {at} of {} ({place:?}, {state:?}) {what}",
                    self.entries.len()
                ))
            };
            if is_there && let Some(lost) = first_lost {
                return fault(&format!("is there, but number {lost} before it is not"));
            }
            match (state, is_there) {
                (State::Refused, true) => return fault("was refused, but is there"),
                (State::Lost, true) => return fault("was not there before, but is now"),
                (State::Acked | State::Confirmed | State::Found, false) => {
                    let is_allowed = match allowed {
                        Allowed::Nothing => false,
                        Allowed::Unconfirmed => state != State::Confirmed,
                        Allowed::Latest => true,
                    };
                    if !is_allowed {
                        return fault("is missing");
                    }
                    if state != State::Found {
                        first_lost.get_or_insert(at);
                    }
                    self.sums.lost += 1;
                    self.entries[at].1 = State::Lost;
                }
                (State::Unknown, true) => {
                    self.sums.found += 1;
                    self.entries[at].1 = State::Found;
                }
                (State::Unknown, false) if is_settled => self.entries[at].1 = State::Lost,
                _ => {}
            }
        }
        Ok(())
    }

    /// The numbers that are there, each as often as it should be.
    fn there(&self, client: &mut Client) -> Result<BTreeSet<usize>, String> {
        let mut all = BTreeMap::new();
        for (what, command) in [
            ("list", ["lrange", "0", "-1"].as_slice()),
            ("set", &["smembers"]),
            ("hash", &["hkeys"]),
            ("sorted", &["zrange", "0", "-1"]),
            ("text", &["get"]),
            ("first", &["lrange", "0", "-1"]),
            ("second", &["smembers"]),
            ("count", &["get"]),
        ] {
            let key = self.key(what);
            let words = [&[command[0], &key], &command[1..]].concat();
            let reply = client.try_call(&words).map_err(|error| error.to_string())?;
            let texts = match &reply {
                Value::Array(items) => items.iter().map(Value::text).collect(),
                Value::Bulk(_) if what == "text" => {
                    let text = reply.text();
                    text.split_terminator(',').map(str::to_owned).collect()
                }
                Value::Bulk(_) => vec![reply.text()],
                reply if reply.is_null() => Vec::new(),
                reply => return Err(format!("{}: {reply:?}", words.join(" "))),
            };
            let numbers: Result<Vec<usize>, _> = texts.iter().map(|text| text.parse()).collect();
            all.insert(what, numbers.map_err(|_| format!("{key} has {texts:?}"))?);
        }
        let count = all.remove("count").unwrap_or_default();
        let second = all.remove("second").unwrap_or_default();
        let first = &all["first"];
        let is_atomic = first.iter().collect::<BTreeSet<_>>() == second.iter().collect()
            && count.first().copied().unwrap_or(0) == first.len();
        if !is_atomic {
            return Err(format!(
                "transactions at {} were taken apart: {} numbers, {} members, counted {count:?}",
                self.key(""),
                first.len(),
                second.len()
            ));
        }
        let mut there = BTreeSet::new();
        for (what, numbers) in all {
            for number in numbers {
                if !there.insert(number) {
                    return Err(format!("{} has {number} twice", self.key(what)));
                }
            }
        }
        self.keys_there(client, &mut there)?;
        Ok(there)
    }

    /// Adds the numbers that have keys of their own.
    fn keys_there(&self, client: &mut Client, there: &mut BTreeSet<usize>) -> Result<(), String> {
        let own: Vec<usize> = self.own_keys().collect();
        for batch in own.chunks(BATCH) {
            let mut request = Vec::new();
            for at in batch {
                let key = self.key(&at.to_string());
                slotilla_tests::encode(&mut request, &["get", &key]);
                slotilla_tests::encode(&mut request, &["pttl", &key]);
            }
            let sent = client.try_send(&request);
            sent.map_err(|error| error.to_string())?;
            for at in batch {
                let mut read = || client.try_read().map_err(|error| error.to_string());
                let (value, left) = (read()?, read()?);
                if value.is_null() {
                    continue;
                }
                let expires = left != Value::Integer(-1);
                let is_right = value == Value::Bulk(at.to_string().into_bytes())
                    && expires == (self.entries[*at].0 == Place::Expiring);
                if !is_right {
                    let key = self.key(&at.to_string());
                    return Err(format!("{key} is {value:?}, and expires: {left:?}"));
                }
                there.insert(*at);
            }
        }
        Ok(())
    }

    fn own_keys(&self) -> impl Iterator<Item = usize> + '_ {
        let numbered = self.entries.iter().enumerate();
        numbered.filter_map(|(at, (place, _))| {
            matches!(place, Place::Key | Place::Expiring).then_some(at)
        })
    }

    /// Begins with new keys, if there is much in the old ones. Nobody may write meanwhile.
    pub(crate) fn turn_over(&mut self, client: &mut Client) -> Result<(), String> {
        if self.entries.len() < NUMBERS_MAX {
            return Ok(());
        }
        let shared = [
            "list", "set", "hash", "sorted", "text", "first", "second", "count",
        ];
        let shared = shared.iter().map(|what| self.key(what));
        let own = self.own_keys().map(|at| self.key(&at.to_string()));
        let keys: Vec<String> = shared.chain(own).collect();
        for keys in keys.chunks(1000) {
            let words: Vec<&str> = ["unlink"]
                .into_iter()
                .chain(keys.iter().map(String::as_str))
                .collect();
            let reply = client.try_call(&words).map_err(|error| error.to_string())?;
            if let Some(error) = reply.error() {
                return Err(format!("UNLINK of the ledger: {error}"));
            }
        }
        self.forget();
        Ok(())
    }

    /// All keys are gone.
    pub(crate) fn forget(&mut self) {
        self.generation += 1;
        self.entries.clear();
    }
}

/// Whether an error says that nothing was done.
fn is_refusal(text: &str) -> bool {
    let kind = text.split(' ').next().unwrap_or_default();
    matches!(
        kind,
        "READONLY" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "MISCONF" | "OOM" | "EXECABORT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_says_nothing_leaves_a_write_unknown() {
        let mut book = Book::new(1);
        let mut random = Rng::with_seed(1);
        for answer in [
            Value::Simple("OK".into()),
            Value::Error("READONLY You can't write".into()),
            Value::Error("UNBLOCKED something".into()),
        ] {
            let (at, _) = book.next(&mut random);
            book.note(at, &answer);
        }
        let states: Vec<State> = book.entries.iter().map(|entry| entry.1).collect();
        assert_eq!(states, [State::Acked, State::Refused, State::Unknown]);
        book.confirm(0);
        assert_eq!(book.entries[0].1, State::Confirmed);
        let sums = Sums {
            sent: 3,
            acked: 1,
            confirmed: 1,
            unknown: 1,
            refused: 1,
            ..Sums::default()
        };
        assert_eq!(book.sums, sums);
    }
}
