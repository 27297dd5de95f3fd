//! Connections that did one GET each and then say nothing.

use std::io::Read;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slotilla_common::resp::Value;

use crate::args::{Args, Flag};
use crate::client::{Client, shown};
use crate::failure::{Failure, Outcome};
use crate::workload::Shape;
use crate::{interrupt, load, say};

pub(crate) const FLAGS: &[Flag] = &[
    load::TARGET,
    Flag {
        name: "connections",
        value: "N",
        help: "how many (10000)",
    },
    load::KEYS,
    load::KEY_SIZE,
    load::VALUE_SIZE,
];

/// Opens the connections, says so, and holds them until standard input ends.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let target = load::target(args)?;
    let count = args.value("connections", 10_000)?;
    let shape = load::shape(args)?;
    let held = open(target, count, &shape)?;
    say(&format!("{{\"held\":{}}}", held.len()))?;
    let mut until_told = Vec::new();
    std::io::stdin()
        .read_to_end(&mut until_told)
        .map_err(Failure::io("wait for the end of standard input"))?;
    Ok(())
}

/// Opens `count` connections, one after the other, and checks one GET on each. The keys must
/// have been filled with this shape.
pub(crate) fn open(target: SocketAddr, count: usize, shape: &Shape) -> Outcome<Vec<Client>> {
    allow_open_files(count as u64 + 100)?;
    let mut held = Vec::with_capacity(count);
    for number in 0..count as u64 {
        interrupt::check()?;
        let number = number % shape.keys;
        let mut client = Client::connect(target)?;
        let value = client.call(&[&b"GET"[..], &shape.key(number)])?;
        if value != Value::Bulk(shape.value(number)) {
            let key = String::from_utf8_lossy(&shape.key(number)).into_owned();
            let text = format!("{target}: GET {key} answered {}", shown(&value));
            return Err(Failure::WrongAnswer(text));
        }
        held.push(client);
    }
    Ok(held)
}

/// Raises this process's limit of open files to `needed`, if it is lower.
pub(crate) fn allow_open_files(needed: u64) -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let text = format!("this needs {needed} open files; allow them with: ulimit -n {needed}");
        return Err(Failure::Missing(text));
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| Failure::io("allow more open files")(error.into()))
}
