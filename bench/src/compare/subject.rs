//! Servers and proxies that take part, and how each is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::process::{Process, Start, free_address, wait_for};
use super::programs;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::procfs;
use crate::workload::Answers;

/// Something that is measured.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Where it listens for clients that pipeline, if that needs other settings.
    pub(super) pipelined_address: SocketAddr,
    pub(super) answers: Answers,
    pub(super) process: Process,
    /// Where its files are.
    pub(super) dir: PathBuf,
    /// The processes that it sends to.
    pub(super) upstream: Vec<u32>,
}

impl Subject {
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn resident_bytes(&self) -> Outcome<u64> {
        procfs::resident_bytes(self.pid())
    }

    pub(super) fn client(&self) -> Outcome<Client> {
        Client::connect(self.address)
    }
}

/// Where a server runs, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) dir: &'a Path,
    pub(super) cores: &'a [usize],
    pub(super) cluster: bool,
}

/// Starts a subject of the suites of nodes and memory, and waits until it answers.
pub(super) fn start_server(name: &str, layout: &Layout, dir: &Path) -> Outcome<Subject> {
    let cores = match name {
        "floor-2" | "node-2" => &layout.subject_two_threads,
        _ => &layout.subject,
    };
    let place = Place {
        dir,
        cores,
        cluster: false,
    };
    start_at(name, place)
}

/// Starts a server by the name it has in the tables, and waits until it answers.
pub(super) fn start_at(name: &str, place: Place<'_>) -> Outcome<Subject> {
    let address = free_address()?;
    let dir = place.dir.join(format!("{name}-{}", address.port()));
    let place = Place { dir: &dir, ..place };
    let mut process = launch(name, address, place)?;
    let answers = if name.starts_with("floor") {
        Answers::AlwaysOk
    } else {
        Answers::Values
    };
    wait_for(&format!("{name} answers"), &mut [&mut process], || {
        Client::connect(address)?.text("PING")
    })?;
    Ok(Subject {
        name: name.to_owned(),
        address,
        pipelined_address: address,
        answers,
        process,
        dir,
        upstream: Vec::new(),
    })
}

/// Starts a server at an address, in a directory of its own, and does not wait for it.
pub(super) fn launch(name: &str, address: SocketAddr, place: Place<'_>) -> Outcome<Process> {
    let (program, arguments) = match name {
        "floor" => (programs::ours("slotilla-bench")?, floor(address, 1)),
        "floor-2" => (programs::ours("slotilla-bench")?, floor(address, 2)),
        "redis" => (
            programs::system("redis-server")?,
            redis(address, place.cluster),
        ),
        "valkey" => (programs::valkey()?, redis(address, place.cluster)),
        "node" => (
            programs::ours("slotilla-node")?,
            node(address, place.cluster, 1),
        ),
        "node-2" => (
            programs::ours("slotilla-node")?,
            node(address, place.cluster, 2),
        ),
        other => return Err(Failure::Usage(format!("{other} is no server"))),
    };
    let preload = match name {
        // The package is built with the C library's allocator; its users' packages are not.
        "valkey" => programs::jemalloc().map(|library| ("LD_PRELOAD", library)),
        _ => None,
    };
    Process::start(Start {
        name,
        program: &program,
        arguments,
        environment: preload.into_iter().collect(),
        cores: place.cores,
        dir: place.dir,
    })
}

fn floor(address: SocketAddr, threads: usize) -> Vec<String> {
    words(&format!(
        "floor --port {} --threads {threads}",
        address.port()
    ))
}

/// Redis and Valkey as a cache: nothing goes to disk, one thread, room for the connections.
fn redis(address: SocketAddr, cluster: bool) -> Vec<String> {
    let (port, cluster) = (address.port(), yes_or_no(cluster));
    let mut arguments = words(&format!(
        "--port {port} --bind 127.0.0.1 --appendonly no --io-threads 1 --maxclients 15000 \
         --cluster-enabled {cluster} --loglevel warning"
    ));
    arguments.extend(["--save".to_owned(), String::new()]);
    arguments
}

fn node(address: SocketAddr, cluster: bool, threads: usize) -> Vec<String> {
    let (port, cluster) = (address.port(), yes_or_no(cluster));
    let mut arguments = words(&format!(
        "--port {port} --bind 127.0.0.1 --io-threads {threads} --maxclients 15000 --dir . \
         --cluster-enabled {cluster}"
    ));
    arguments.extend(["--save".to_owned(), String::new()]);
    arguments
}

pub(super) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
