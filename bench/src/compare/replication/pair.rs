//! A primary and its replica, and how far they are.

use std::time::Duration;

use slotilla_common::resp::Value;

use crate::client::{Client, info_field, shown};
use crate::compare::Bench;
use crate::compare::process::wait_within;
use crate::compare::subject::{Place, Subject, start_at};
use crate::failure::{Failure, Outcome};
use crate::workload::Shape;

/// What a sync, or what comes after it, may take.
const LIMIT: Duration = Duration::from_secs(180);

/// The same for all: a copy goes from memory to memory at once, and no replica is closed because it
/// has left much unread.
const SETTINGS: &[(&str, &str)] = &[
    ("repl-diskless-sync", "yes"),
    ("repl-diskless-sync-delay", "0"),
    ("repl-diskless-load", "on-empty-db"),
    ("client-output-buffer-limit", "replica 0 0 0"),
];

/// Keys that are compared at the end.
const COMPARED: usize = 1000;

/// Starts a server that can be either.
pub(super) fn start(bench: &Bench, name: &str, cores: &[usize]) -> Outcome<Subject> {
    let place = Place {
        dir: bench.dir(),
        cores,
        cluster: false,
    };
    let subject = start_at(name, place)?;
    let mut client = subject.client()?;
    for (key, value) in SETTINGS {
        let reply = client.call(&["CONFIG", "SET", key, value])?;
        if reply != Value::Simple(b"OK".to_vec()) {
            let text = format!("{name}: CONFIG SET {key} answered {}", shown(&reply));
            return Err(Failure::WrongAnswer(text));
        }
    }
    Ok(subject)
}

/// Makes one the other's replica.
pub(super) fn follow(replica: &Subject, primary: &Subject) -> Outcome<()> {
    let port = primary.address.port();
    let answer = replica
        .client()?
        .text(&format!("REPLICAOF 127.0.0.1 {port}"))?;
    if answer == "OK" {
        return Ok(());
    }
    let text = format!("{}: REPLICAOF answered {answer}", replica.name);
    Err(Failure::WrongAnswer(text))
}

/// How much of its log a primary has written.
pub(super) fn written(client: &mut Client) -> Outcome<u64> {
    number(&client.text("INFO replication")?, "master_repl_offset")
}

/// How much a replica has applied; an error while it is not connected.
pub(super) fn applied(client: &mut Client) -> Outcome<u64> {
    let text = client.text("INFO replication")?;
    match info_field(&text, "master_link_status").as_deref() {
        Some("up") => number(&text, "slave_repl_offset"),
        _ => Err(Failure::Subject("the link is not up".to_owned())),
    }
}

fn number(text: &str, field: &str) -> Outcome<u64> {
    let value = info_field(text, field).and_then(|value| value.parse().ok());
    value.ok_or_else(|| Failure::WrongAnswer(format!("INFO replication has no {field}")))
}

/// Waits until a replica is connected and has all that the primary has had by then.
pub(super) fn await_equal(primary: &mut Subject, replica: &mut Subject) -> Outcome<()> {
    let (mut asked, mut told) = (primary.client()?, replica.client()?);
    let what = format!("{} has what {} has", replica.name, primary.name);
    let processes = &mut [&mut primary.process, &mut replica.process];
    wait_within(LIMIT, &what, processes, || applied(&mut told))?;
    let due = written(&mut asked)?;
    wait_within(LIMIT, &what, processes, || match applied(&mut told)? {
        has if has >= due => Ok(()),
        has => Err(Failure::Subject(format!("it has {has} of {due} bytes"))),
    })
}

/// Compares what the two hold. Nobody writes meanwhile.
pub(super) fn compare(primary: &Subject, replica: &Subject, shape: &Shape) -> Outcome<()> {
    let (mut ours, mut theirs) = (primary.client()?, replica.client()?);
    let different = |what: &str| {
        let (primary, replica) = (&primary.name, &replica.name);
        Failure::WrongAnswer(format!("{replica} has another {what} than {primary}"))
    };
    if ours.integer("DBSIZE")? != theirs.integer("DBSIZE")? {
        return Err(different("number of keys"));
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..COMPARED {
        let key = shape.key(random.u64(..shape.keys));
        let value = ours.call(&[&b"GET"[..], &key])?;
        if value == Value::Null || theirs.call(&[&b"GET"[..], &key])? != value {
            return Err(different(&format!("value at {}", key.escape_ascii())));
        }
    }
    Ok(())
}
