//! BGSAVE, and load at the start: on one processor, which nobody else uses.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use slotilla_common::clock::Monotonic;

use super::pair;
use crate::client::Client;
use crate::compare::Bench;
use crate::compare::node::fill;
use crate::compare::process::{free_address, wait_within};
use crate::compare::subject::{Place, Subject, launch};
use crate::failure::{Failure, Outcome};
use crate::note;
use crate::procfs::cpu_seconds_with_children;

/// What each may take.
const LIMIT: Duration = Duration::from_secs(180);

/// What one make of server took.
#[derive(Debug, Serialize)]
pub(in crate::compare) struct Saved {
    pub(in crate::compare) subject: String,
    pub(in crate::compare) file_bytes: u64,
    /// One for each round.
    pub(in crate::compare) saves: Vec<Took>,
    pub(in crate::compare) loads: Vec<Took>,
}

/// Seconds of a clock, and of processors.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::compare) struct Took {
    pub(in crate::compare) seconds: f64,
    pub(in crate::compare) cpu_seconds: f64,
}

/// Measures all, one after the other.
pub(super) fn run(bench: &Bench) -> Outcome<Vec<Saved>> {
    super::subjects(bench)
        .map(|name| measure(bench, name))
        .collect()
}

fn measure(bench: &Bench, name: &str) -> Outcome<Saved> {
    let shape = super::copied(bench);
    note(&format!("filling {name} with {} keys", shape.keys));
    let mut subject = pair::start(bench, name, &bench.layout.subject)?;
    fill(&subject, &shape)?;
    let mut saved = Saved {
        subject: name.to_owned(),
        file_bytes: 0,
        saves: Vec::new(),
        loads: Vec::new(),
    };
    for _ in 0..bench.options.rounds {
        saved.saves.push(save(&mut subject)?);
    }
    let dir = subject.dir.clone();
    // It must not use the processor, nor the memory, of the one that loads.
    drop(subject);
    let file = dir.join("dump.rdb");
    let about = file.metadata();
    saved.file_bytes = about
        .map_err(Failure::io(format!("look at {}", file.display())))?
        .len();
    for _ in 0..bench.options.rounds {
        saved.loads.push(load(bench, name, &dir, shape.keys)?);
    }
    let last = |took: &[Took]| took.last().map_or(0.0, |took| took.seconds);
    note(&format!(
        "  {name}: saved in {:.2} s, loaded in {:.2} s",
        last(&saved.saves),
        last(&saved.loads)
    ));
    Ok(saved)
}

fn save(subject: &mut Subject) -> Outcome<Took> {
    let (clock, pid, mut client) = (Monotonic::new(), subject.pid(), subject.client()?);
    let cpu_before = cpu_seconds_with_children(pid)?;
    let start = clock.now();
    let answer = client.text("BGSAVE")?;
    if !answer.starts_with("Background saving started") {
        let text = format!("{}: BGSAVE answered {answer}", subject.name);
        return Err(Failure::WrongAnswer(text));
    }
    let what = format!("{} has saved", subject.name);
    wait_within(LIMIT, &what, &mut [&mut subject.process], || {
        match client
            .info("persistence", "rdb_bgsave_in_progress")?
            .as_str()
        {
            "0" => Ok(()),
            _ => Err(Failure::Subject("it is still at it".to_owned())),
        }
    })?;
    let seconds = clock.nanos_between(start, clock.now()) as f64 / 1e9;
    let status = client.info("persistence", "rdb_last_bgsave_status")?;
    if status != "ok" {
        let text = format!("{}: BGSAVE ended with {status}", subject.name);
        return Err(Failure::WrongAnswer(text));
    }
    Ok(Took {
        seconds,
        cpu_seconds: cpu_seconds_with_children(pid)? - cpu_before,
    })
}

/// From the start of the process until it serves what the file has.
fn load(bench: &Bench, name: &str, dir: &Path, keys: u64) -> Outcome<Took> {
    let address = free_address()?;
    let place = Place {
        dir,
        cores: &bench.layout.subject,
        cluster: false,
    };
    let clock = Monotonic::new();
    let start = clock.now();
    let mut process = launch(name, address, place)?;
    let pid = process.pid();
    let mut client = None;
    let what = format!("{name} has loaded");
    let found = wait_within(LIMIT, &what, &mut [&mut process], || {
        served(&mut client, address)
    })?;
    let seconds = clock.nanos_between(start, clock.now()) as f64 / 1e9;
    if u64::try_from(found) != Ok(keys) {
        let text = format!("{name} has loaded {found} keys of {keys}");
        return Err(Failure::WrongAnswer(text));
    }
    Ok(Took {
        seconds,
        cpu_seconds: cpu_seconds_with_children(pid)?,
    })
}

/// How many keys there are, once it answers that.
fn served(client: &mut Option<Client>, address: SocketAddr) -> Outcome<i64> {
    let connected = match client {
        Some(connected) => connected,
        None => client.insert(Client::connect(address)?),
    };
    connected.integer("DBSIZE")
}
