//! The command table against a real redis-server 7.0.15: every row, and the keys that are found
//! in requests.
#![cfg(test)]

use fastrand::Rng;
use slotilla_common::command::{
    self, Argument, ArgumentKind, COMMANDS, KeyError, KeyPositions, Spec, reply,
};
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_tests::{Client, Kind, Server, Value, read_value};
use std::collections::BTreeMap;

/// What COMMAND GETKEYS is asked with; a failure prints the request itself.
const SEED: u64 = 0x51_07_11_1a;
const ROUNDS: usize = 60;

fn connect(server: &Server, protocol: Protocol) -> Client {
    let mut client = server.client();
    if protocol == Protocol::Resp3 {
        assert!(client.call(&["HELLO", "3"]).error().is_none());
    }
    client
}

fn ours(protocol: Protocol, write: impl FnOnce(&mut ReplyWriter<'_>)) -> Value {
    let mut bytes = Vec::new();
    write(&mut ReplyWriter::new(&mut bytes, protocol));
    let mut rest = &bytes[..];
    let value = read_value(&mut rest).unwrap();
    assert!(rest.is_empty(), "more than one reply");
    value
}

/// Subcommands that Redis does not have.
fn is_own(name: &str) -> bool {
    name == "client|ack-writes"
}

/// A value with the texts that are our own words blanked, and subcommands, which Redis gives in
/// the order of a hash table, sorted.
fn comparable_info(value: &Value) -> Value {
    let mut row = value.items().to_vec();
    let keys = row[8].items().iter().map(|spec| {
        let pairs = spec.pairs().into_iter();
        Value::Map(
            pairs
                .map(|(name, value)| blank(name, value, &["notes"]))
                .collect(),
        )
    });
    row[8] = same_kind(&row[8], keys.collect());
    let shared = row[9]
        .items()
        .iter()
        .filter(|sub| !is_own(&sub.items()[0].text()));
    let mut subcommands: Vec<_> = shared.map(comparable_info).collect();
    subcommands.sort_by_key(|sub| sub.items()[0].text());
    row[9] = same_kind(&row[9], subcommands);
    Value::Array(row)
}

fn same_kind(model: &Value, items: Vec<Value>) -> Value {
    match model {
        Value::Set(_) => Value::Set(items),
        _ => Value::Array(items),
    }
}

fn blank(name: Value, value: Value, prose: &[&str]) -> (Value, Value) {
    if prose.contains(&name.text().as_str()) {
        assert!(!value.text().is_empty(), "{name} is empty");
        (name, Value::Simple("prose".into()))
    } else {
        (name, value)
    }
}

/// A map of COMMAND DOCS, made comparable like [`comparable_info`].
fn comparable_docs(value: &Value) -> Value {
    let pairs = value.pairs().into_iter().map(|(name, value)| {
        let value = match name.text().as_str() {
            "history" => {
                let entries = value.items().iter().map(|entry| {
                    assert!(!entry.items()[1].text().is_empty());
                    entry.items()[0].clone()
                });
                same_kind(&value, entries.collect())
            }
            "subcommands" => {
                let subs = value.pairs().into_iter();
                let subs = subs.filter(|(name, _)| !is_own(&name.text()));
                let mut subs: Vec<_> = subs.map(|(n, v)| (n, comparable_docs(&v))).collect();
                subs.sort_by_key(|(name, _)| name.text());
                Value::Map(subs)
            }
            // The successor is a fact, what is said about it is not.
            "replaced_by" => {
                let text = value.text();
                let first = text.trim_start_matches('`').split('`').next().unwrap();
                Value::Simple(first.to_owned())
            }
            _ => value,
        };
        blank(name, value, &["summary", "complexity"])
    });
    Value::Map(pairs.collect())
}

#[test]
fn every_row_says_what_redis_says() {
    let server = Server::start(Kind::Redis, &[]);
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut client = connect(&server, protocol);
        let reply = client.call(&["COMMAND"]);
        let theirs: BTreeMap<_, _> = reply
            .items()
            .iter()
            .map(|row| (row.items()[0].text(), row))
            .collect();
        let names: Vec<_> = theirs.keys().map(String::as_str).collect();
        let mut own: Vec<_> = command::top_level().map(|spec| spec.name).collect();
        own.sort_unstable();
        assert_eq!(own, names);
        for spec in command::top_level() {
            let mine = ours(protocol, |out| reply::info(out, spec, &|_| true));
            assert_same(&comparable_info(&mine), &comparable_info(theirs[spec.name]));
        }
        let all = ours(protocol, |out| reply::all(out, &|_| true));
        assert_eq!(all.items().len(), reply.items().len());
    }
}

#[test]
fn every_subcommand_says_what_redis_says() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    let all = COMMANDS.iter().filter(|spec| spec.is_subcommand());
    for spec in all.filter(|spec| !is_own(spec.name)) {
        let theirs = client.call(&["COMMAND", "INFO", spec.name]);
        let mine = ours(Protocol::Resp2, |out| reply::info(out, spec, &|_| true));
        assert_same(
            &comparable_info(&mine),
            &comparable_info(&theirs.items()[0]),
        );
    }
}

#[test]
fn every_row_documents_what_redis_documents() {
    let server = Server::start(Kind::Redis, &[]);
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut client = connect(&server, protocol);
        let theirs = client.call(&["COMMAND", "DOCS"]);
        let mine = ours(protocol, |out| {
            reply::all_docs(out, command::top_level(), &|_| true);
        });
        assert_eq!(mine.pairs().len(), theirs.pairs().len());
        for (name, docs) in mine.pairs() {
            let other = theirs.entry(&name.text()).unwrap();
            assert_same(&comparable_docs(&docs), &comparable_docs(&other));
        }
    }
}

fn assert_same(mine: &Value, theirs: &Value) {
    assert!(mine == theirs, "\n  ours: {mine}\n theirs: {theirs}");
}

/// Words that mean something to one command or another, and words that mean nothing.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "{t}1",
    "0",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "10",
    "+1",
    "01",
    " 1",
    "1.5",
    "2x",
    "\t2",
    "-2",
    "4294967297",
    "x",
    "",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551617",
    "STORE",
    "store",
    "STOREDIST",
    "storedist",
    "KEYS",
    "keys",
    "STREAMS",
    "streams",
    "BY",
    "by",
    "GET",
    "get",
    "LIMIT",
    "SET",
    "INCRBY",
    "OVERFLOW",
    "SAT",
    "AUTH",
    "AUTH2",
    "COPY",
    "REPLACE",
    "COUNT",
    "BLOCK",
    "GROUP",
    "NOACK",
    "WEIGHTS",
    "LEFT",
    "MIN",
    "u8",
    "m",
    "HELP",
    "ASC",
    "EX",
    "NX",
];

#[test]
fn keys_are_found_where_redis_finds_them() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = connect(&server, Protocol::Resp3);
    println!("seed {SEED:#x}, {ROUNDS} rounds for each row");
    let mut rng = Rng::with_seed(SEED);
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        let requests: Vec<_> = COMMANDS
            .iter()
            .filter(|spec| !is_own(spec.name))
            .map(|spec| request(&mut rng, spec))
            .collect();
        let asked: Vec<_> = requests
            .iter()
            .map(|request| {
                let mut asked = vec!["COMMAND".to_owned(), "GETKEYSANDFLAGS".to_owned()];
                asked.extend(request.iter().cloned());
                asked
            })
            .collect();
        let replies = client.pipeline(&asked);
        for (request, theirs) in requests.iter().zip(replies) {
            let mine = keys_and_flags(request);
            if mine != theirs {
                differences.push(format!("{request:?}\n  ours: {mine}\ntheirs: {theirs}"));
            }
        }
    }
    let few = differences.iter().take(20).map(String::as_str);
    let few: Vec<_> = few.collect();
    assert!(
        differences.is_empty(),
        "{} differences, such as\n{}",
        differences.len(),
        few.join("\n")
    );
}

fn keys_and_flags(request: &[String]) -> Value {
    let error = |text: String| Value::Error(format!("ERR {text}"));
    let Ok(spec) = command::resolve(request) else {
        return error("Invalid command specified".into());
    };
    let mut found = KeyPositions::new();
    if let Err(reason) = command::reported_keys(spec, request, &mut found) {
        if reason != KeyError::NoKeys {
            assert!(command::first_key(spec, request).is_none_or(|key| key < request.len()));
        }
        return error(reason.to_string());
    }
    // Any key will do for routing, as all are in one slot.
    let routed = command::first_key(spec, request);
    let indexes: Vec<_> = found.iter().map(|key| key.index).collect();
    assert!(
        routed.map_or(indexes.is_empty(), |key| indexes.contains(&key)),
        "{request:?}: routed by {routed:?} of {indexes:?}"
    );
    ours(Protocol::Resp3, |out| {
        reply::keys_and_flags(out, &found, |index| request[index].as_bytes());
    })
}

/// A request that starts like one of `spec`: sometimes as its documentation says, sometimes
/// damaged, sometimes any words at all.
fn request(rng: &mut Rng, spec: &Spec) -> Vec<String> {
    let mut request: Vec<String> = spec.name.split('|').map(str::to_owned).collect();
    if rng.bool() {
        request[0] = request[0].to_uppercase();
    }
    if rng.u8(..4) > 0 {
        spell_all(rng, spec.docs.arguments, &mut request);
        if rng.u8(..4) == 0 {
            damage(rng, &mut request);
        }
    } else {
        let wanted = usize::from(spec.arity.unsigned_abs());
        let len = wanted + rng.usize(..8);
        while request.len() < len {
            request.push(rng.choice(WORDS).unwrap().to_string());
        }
    }
    // COMMAND GETKEYS itself wants two words.
    if request.len() < 2 {
        request.push("a".into());
    }
    request
}

fn damage(rng: &mut Rng, request: &mut Vec<String>) {
    let place = rng.usize(1..=request.len());
    match rng.u8(..3) {
        0 => request.truncate(place),
        1 => request.insert(place, rng.choice(WORDS).unwrap().to_string()),
        _ => {
            if let Some(word) = request.get_mut(place) {
                *word = rng.choice(WORDS).unwrap().to_string();
            }
        }
    }
}

fn spell_all(rng: &mut Rng, arguments: &[Argument], request: &mut Vec<String>) {
    for argument in arguments {
        if argument.optional && rng.bool() {
            continue;
        }
        let times = if argument.multiple {
            rng.usize(1..4)
        } else {
            1
        };
        for time in 0..times {
            if time == 0 || argument.multiple_token {
                let token = argument
                    .token
                    .filter(|_| argument.kind != ArgumentKind::Token);
                request.extend(token.map(str::to_owned));
            }
            spell(rng, argument, request);
        }
    }
}

fn spell(rng: &mut Rng, argument: &Argument, request: &mut Vec<String>) {
    let word = match argument.kind {
        ArgumentKind::Block => return spell_all(rng, argument.arguments, request),
        ArgumentKind::OneOf => {
            let one = rng.usize(..argument.arguments.len());
            return spell_all(rng, &argument.arguments[one..=one], request);
        }
        ArgumentKind::Integer | ArgumentKind::UnixTime => rng.u8(..4).to_string(),
        ArgumentKind::Double => "1.5".to_owned(),
        ArgumentKind::Token => {
            let token = argument.token.unwrap_or_default();
            if rng.bool() {
                token.to_lowercase()
            } else {
                token.to_owned()
            }
        }
        ArgumentKind::Key => format!("key{}", rng.u8(..10)),
        ArgumentKind::String | ArgumentKind::Pattern => {
            ["a", "b", "x", "1", ""][rng.usize(..5)].to_owned()
        }
    };
    request.push(word);
}
