//! The restart of a primary whose writes were confirmed by replicas (`replica-ack-writes`).
//!
//! It may have come back with less than it had confirmed. So, if there is a record of replicas that
//! have confirmed writes, it answers no command on data and sends no replica anything, or one that has
//! more would throw that away. It hears from replicas how far they are, as they ask to go on; and once
//! it has heard from so many that one of them must have each confirmed write, it has the one that has
//! most of the history take over, becomes its replica until it has all data, and is its primary again.
//!
//! ```text
//!             record found                heard from enough            all data is here
//!   start ──────────────────► waiting ──────────────────────► fetching ────────────────► serving
//!                                │ ▲                              │
//!              told to serve     │ └──────────────────────────────┘
//!   serving ◄────────────────────┘        that one is gone
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slotilla_common::resp::encode_command;

use super::Introduction;
use super::record::Record;
use crate::replication::{Address, LinkState, ReplId};
use crate::server::Server;

/// How long a replica that is told something may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the data has come.
const LOOK: Duration = Duration::from_millis(20);
/// How long the replica that takes over takes no writes of clients: until it is one again.
const PAUSE_MS: &str = "600000";
/// How often it is told once more that it is a replica.
const TRIES: usize = 20;
/// No answer of a replica is longer.
const ANSWER_MAX: usize = 64 * 1024;

/// Whether the node waits for its replicas.
#[derive(Debug, Default)]
pub struct Restart {
    waits: AtomicBool,
    /// The data is being fetched.
    fetches: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was found at the start; None if it could not be read.
    record: Option<Record>,
    heard: BTreeMap<String, Heard>,
}

/// A replica that would go on.
#[derive(Debug, Clone)]
struct Heard {
    address: Address,
    /// How much of the history it has; None if it has nothing of it.
    offset: Option<u64>,
}

impl Restart {
    /// Whether no data is served.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// What clients are told meanwhile.
    #[must_use]
    pub fn refusal(&self) -> String {
        let state = self.state.lock();
        let what = match &state.record {
            Some(_) if self.fetches.load(Ordering::Acquire) => {
                "fetches its data from the one that has most".to_owned()
            }
            Some(record) => format!(
                "has heard from {} of {} that it must hear from",
                state.heard.len().min(record.needed()),
                record.needed()
            ),
            None => "cannot read which those are".to_owned(),
        };
        format!(
            "MASTERDOWN This primary has restarted, may lack writes that its replicas have confirmed \
             (replica-ack-writes), and {what}. REPLICAOF NO ONE or CONFIG SET replica-ack-writes 0 \
             has it serve what it has, and may lose such writes."
        )
    }

    /// At the start, before clients are served: whether there are writes that replicas have confirmed.
    pub(crate) fn begin(&self, server: &Server) {
        if server.cluster_enabled || server.replication.is_replica() {
            return;
        }
        let record = match Record::load(&server.config.dir()) {
            Ok(None) => return,
            Ok(record) => record,
            Err(error) => {
                tracing::error!("{error}: nothing is served until somebody says so");
                None
            }
        };
        if let Some(record) = &record {
            let names: Vec<&str> = record.replicas.iter().map(String::as_str).collect();
            tracing::warn!(
                "This primary has restarted, and may lack writes that its replicas have confirmed. It \
                 serves nothing before it has heard from {} of {}.",
                record.needed(),
                names.join(", ")
            );
        }
        self.state.lock().record = record;
        self.waits.store(true, Ordering::Release);
        server.replication.as_primary.confirm.use_it();
    }

    /// A replica takes over, and gives the history this name: by that it will ask, if nothing comes of
    /// it, and it must not seem to have nothing then.
    fn learn(&self, server: &Server, replid: ReplId) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(record) = state.record.as_mut().filter(|one| one.replid != replid) else {
            return Ok(());
        };
        record.previous = Some(std::mem::replace(&mut record.replid, replid));
        record.save(&server.config.dir())
    }

    /// The data is all that there is, in memory: another restart must ask the same replicas, one of
    /// which has it by the name that it gave the history when it took over.
    fn keep(&self, server: &Server) -> io::Result<()> {
        let state = self.state.lock();
        let Some(record) = &state.record else {
            return Ok(());
        };
        let history = server.replication.history();
        let record = Record {
            replid: history.replid,
            previous: history.previous.map(|(replid, _)| replid),
            ..record.clone()
        };
        record.save(&server.config.dir())
    }

    fn end(&self, why: &str) -> bool {
        let waited = self.waits.swap(false, Ordering::AcqRel);
        if waited {
            *self.state.lock() = State::default();
            tracing::warn!("This primary waits for its replicas no longer: {why}");
        }
        waited
    }

    /// Somebody says that what the node has counts, whatever its replicas have.
    pub fn force(&self, server: &Server, why: &str) {
        if self.end(why) {
            Record::remove(&server.config.dir());
        }
    }

    /// Somebody says whose replica the node is, or that it is none: nothing is confirmed then. Until a
    /// replica has another's data it keeps the record, in case it starts again as what it was.
    pub fn note_order(&self, server: &Server, is_of_primary: bool) {
        let waited = self.end("it was told whom to replicate");
        if is_of_primary && (waited || server.replication.is_replica()) {
            Record::remove(&server.config.dir());
        }
    }

    /// A replica asks to go on after so much of a history.
    pub fn hear(
        &self,
        server: &Arc<Server>,
        introduction: &Introduction,
        peer: &str,
        asked: Option<(ReplId, u64)>,
    ) {
        let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
        let host = introduction.address.as_deref().unwrap_or(host).to_owned();
        let address = Address {
            host,
            port: introduction.port,
        };
        let mut state = self.state.lock();
        let State { record, heard } = &mut *state;
        let Some(record) = record else {
            return;
        };
        let name = address.to_string();
        if !record.replicas.contains(&name) {
            return;
        }
        let of_history = asked
            .filter(|(replid, _)| *replid == record.replid || Some(*replid) == record.previous);
        let offset = of_history.and_then(|(_, next)| next.checked_sub(1));
        tracing::info!("Replica {name} has {offset:?} bytes of the history");
        heard.insert(name, Heard { address, offset });
        if heard.len() < record.needed() || self.fetches.swap(true, Ordering::AcqRel) {
            return;
        }
        let most = heard.values().max_by_key(|heard| heard.offset).cloned();
        drop(state);
        let ours = Arc::clone(server);
        let fetch = move || {
            let restart = &ours.replication.as_primary.restart;
            if let Some(most) = most
                && let Err(error) = fetch(&ours, &most)
            {
                tracing::warn!("Fetching the data from {}: {error}", most.address);
                // Whoever is there says so again.
                restart.state.lock().heard.clear();
            }
            restart.fetches.store(false, Ordering::Release);
        };
        let spawned = std::thread::Builder::new()
            .name("restart".into())
            .spawn(fetch);
        if let Err(error) = spawned {
            tracing::error!("No thread to fetch the data: {error}");
            self.fetches.store(false, Ordering::Release);
        }
    }
}

/// Has a replica take over, takes its data, and takes over again.
fn fetch(server: &Arc<Server>, from: &Heard) -> io::Result<()> {
    let Some(offset) = from.offset else {
        return Err(io::Error::other(
            "no replica has any of what they had confirmed: somebody must say which data counts",
        ));
    };
    let mut replica = Talk::open(server, &from.address)?;
    let (host, port) = replica.its_primary()?;
    replica.tell(&["CLIENT", "PAUSE", PAUSE_MS, "WRITE"])?;
    replica.tell(&["REPLICAOF", "NO", "ONE"])?;
    let restart = &server.replication.as_primary.restart;
    let learned = replica.history().and_then(|it| restart.learn(server, it));
    let taken = learned.and_then(|()| take_data(server, &from.address, offset));
    // Whatever came of it: it is this node's replica again, and takes no writes until it is.
    let give_back = || {
        let mut replica = Talk::open(server, &from.address)?;
        replica.tell(&["REPLICAOF", &host, &port])?;
        replica.tell(&["CLIENT", "UNPAUSE"])
    };
    let mut given_back = give_back();
    for _ in 0..TRIES {
        if given_back.is_ok() {
            break;
        }
        std::thread::sleep(LIMIT / 10);
        given_back = give_back();
    }
    taken.and(given_back)
}

/// Copies a primary until all data is here, and is one again.
fn take_data(server: &Arc<Server>, from: &Address, offset: u64) -> io::Result<()> {
    let replication = &server.replication;
    server.set_primary(Some(from.clone()), "restart of a primary");
    let orders = replication.orders();
    let has_all = || {
        let have = u64::try_from(replication.offset()).unwrap_or_default();
        replication.link.state() == LinkState::Connected
            && replication.is_sound.load(Ordering::Acquire)
            && have >= offset
    };
    let mut silent = Duration::ZERO;
    let limit = Duration::from_secs(server.config.repl_timeout_seconds());
    while !has_all() {
        if replication.orders() != orders || server.shutdown.is_cancelled() {
            return Err(io::Error::other("the node was told to do something else"));
        }
        silent = match replication.link.state() {
            LinkState::Sync | LinkState::Connected => Duration::ZERO,
            // It may have to wait for its turn, and is closed if it hears nothing.
            LinkState::Handshake => silent,
            LinkState::Down | LinkState::Connecting => silent + LOOK,
        };
        if silent > limit {
            server.set_primary(None, "restart of a primary");
            return Err(io::Error::other("it cannot be reached any more"));
        }
        std::thread::sleep(LOOK);
    }
    server.set_primary(None, "restart of a primary");
    let restart = &replication.as_primary.restart;
    restart.keep(server)?;
    restart.end("it has all that its replicas had confirmed");
    Ok(())
}

/// A connection on which a replica is told what to do.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn open(server: &Server, address: &Address) -> io::Result<Self> {
        let stream = TcpStream::connect((address.host.as_str(), address.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut talk = Self(BufReader::new(stream));
        if let Some((user, password)) = server.config.primary_auth() {
            let words: Vec<Vec<u8>> = [Some(b"AUTH".to_vec()), user, Some(password)]
                .into_iter()
                .flatten()
                .collect();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            talk.ask(&words)?;
        }
        Ok(talk)
    }

    fn tell(&mut self, words: &[&str]) -> io::Result<()> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.ask(&words).map(drop)
    }

    /// What it answers.
    fn ask(&mut self, words: &[&[u8]]) -> io::Result<String> {
        let mut request = Vec::new();
        encode_command(&mut request, words);
        self.0.get_mut().write_all(&request)?;
        let mut line = String::new();
        let most = ANSWER_MAX as u64;
        self.0.by_ref().take(most).read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(length) = line.strip_prefix('$') {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut bulk = vec![0; length.min(ANSWER_MAX) + 2];
            self.0.read_exact(&mut bulk)?;
            return Ok(String::from_utf8_lossy(&bulk).into_owned());
        }
        if line.starts_with('+') {
            return Ok(line.to_owned());
        }
        let shown = line.escape_debug();
        Err(io::Error::other(format!("it answers '{shown}'")))
    }

    /// Fields of what it says of its replication.
    fn fields<const N: usize>(&mut self, names: [&str; N]) -> io::Result<[Option<String>; N]> {
        let info = self.ask(&[b"INFO", b"replication"])?;
        Ok(names.map(|name| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            let line = lines.find(|(field, _)| *field == name);
            line.map(|(_, value)| value.to_owned())
        }))
    }

    /// How it calls the primary that it copies: this node.
    fn its_primary(&mut self) -> io::Result<(String, String)> {
        let [host, port] = self.fields(["master_host", "master_port"])?;
        let primary = host.zip(port);
        primary.ok_or_else(|| io::Error::other("it is no replica any more"))
    }

    /// The name of the history that its data belongs to.
    fn history(&mut self) -> io::Result<ReplId> {
        let [replid] = self.fields(["master_replid"])?;
        let replid = replid.and_then(|replid| ReplId::parse(replid.as_bytes()));
        replid.ok_or_else(|| io::Error::other("it does not say which history it has"))
    }
}
