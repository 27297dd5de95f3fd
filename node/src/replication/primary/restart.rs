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
//!
//! Which replica takes over is on disk before it hears of it. A primary that ends while it fetches makes
//! it a replica again when it starts, and hears from it as from any other.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Introduction;
use super::record::{Record, Taken};
use super::talk::{LIMIT, Talk};
use crate::aof;
use crate::config::Key;
use crate::replication::{Address, LinkState, ReplId};
use crate::server::Server;

/// How often it is looked whether the data has come.
const LOOK: Duration = Duration::from_millis(20);
/// How long the replica that takes over takes no writes of clients: until it is one again.
const PAUSE_MS: &str = "600000";
/// How often it is told once more that it is a replica.
const TRIES: usize = 20;
/// How often it is looked whether there is something to see to.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// Whether the node waits for its replicas.
#[derive(Debug, Default)]
pub struct Restart {
    /// It was looked whether it does.
    has_begun: AtomicBool,
    waits: AtomicBool,
    /// The data is being fetched.
    fetches: AtomicBool,
    state: Mutex<State>,
    /// A replica that was told to take over, and not yet to be a replica again.
    taken: Mutex<Option<Taken>>,
}

#[derive(Debug, Default)]
struct State {
    /// What was found at the start; None if it could not be read.
    record: Option<Record>,
    heard: BTreeMap<String, Heard>,
    /// The record as the disk has it, if the append-only files have all that was answered.
    by_files: Option<Record>,
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
    pub(crate) fn begin(&self, server: &Arc<Server>) {
        self.has_begun.store(true, Ordering::Release);
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
        *self.taken.lock() = record.as_ref().and_then(|record| record.taken.clone());
        let is_loaded = server.config.flag(Key::Appendonly);
        let by_files = record.clone().filter(|record| {
            is_loaded && record.taken.is_none() && record.flushed == Some(aof::name(server))
        });
        let has_files = by_files.is_some();
        *self.state.lock() = State {
            record: record.map(|record| Record {
                flushed: None,
                ..record
            }),
            heard: BTreeMap::new(),
            by_files,
        };
        self.waits.store(true, Ordering::Release);
        server.replication.as_primary.confirm.use_it();
        if has_files {
            tracing::info!(
                "The append-only file has all that this primary has answered: it serves once that \
                 is loaded"
            );
        } else {
            self.begin_waiting(server);
        }
    }

    /// There are no append-only files, whatever the record says of them.
    pub(crate) fn note_missing(&self, server: &Arc<Server>) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.by_files.take().is_none() {
            return Ok(());
        }
        if let Some(record) = &state.record {
            record.save(&server.config.dir())?;
        }
        drop(state);
        self.begin_waiting(server);
        Ok(())
    }

    /// The append-only files are loaded, and are written again.
    pub(crate) fn note_loaded(&self, server: &Arc<Server>) {
        let Some(record) = self.state.lock().by_files.take() else {
            return;
        };
        let confirm = &server.replication.as_primary.confirm;
        confirm.resume(record);
        // Another `appendfsync` may hold from now on.
        if server.aof.waits_for_disk() || confirm.tell_flushed(server, false) {
            self.end("its append-only file has all that it has answered");
            server.replication.as_primary.configure(server);
        } else {
            self.begin_waiting(server);
        }
    }

    fn begin_waiting(&self, server: &Arc<Server>) {
        let state = self.state.lock();
        let Some(record) = &state.record else {
            return;
        };
        let names: Vec<&str> = record.replicas.iter().map(String::as_str).collect();
        tracing::warn!(
            "This primary has restarted, and may lack writes that its replicas have confirmed. It \
             serves nothing before it has heard from {} of {}.",
            record.needed(),
            names.join(", ")
        );
        drop(state);
        let ours = Arc::clone(server);
        let look = move || look_around(&ours);
        let spawned = std::thread::Builder::new()
            .name("restart-look".into())
            .spawn(look);
        if let Err(error) = spawned {
            tracing::error!("Replicas that do not ask by themselves are not asked: {error}");
        }
    }

    /// A replica that was told to take over, and not yet to be a replica again.
    #[must_use]
    pub(super) fn taken(&self) -> Option<Taken> {
        self.taken.lock().clone()
    }

    /// A replica is to take over, or is a replica again: on disk, while nothing is served.
    fn note_taken(&self, server: &Server, taken: Option<&Taken>) -> io::Result<()> {
        *self.taken.lock() = taken.cloned();
        let mut state = self.state.lock();
        if let Some(record) = &mut state.record {
            record.taken = taken.cloned();
            return record.save(&server.config.dir());
        }
        drop(state);
        server.replication.as_primary.settle(server);
        Ok(())
    }

    /// Whether this is a name of the history.
    fn knows(&self, server: &Server, replid: ReplId) -> bool {
        let state = self.state.lock();
        let history = server.replication.history();
        let (own, before) = (history.replid, history.previous.map(|(one, _)| one));
        state
            .record
            .as_ref()
            .map_or(own == replid || before == Some(replid), |record| {
                record.knows(replid)
            })
    }

    /// Asks those that have not said how far they are: one that copies another replica does not ask
    /// here by itself. One that copies somebody else may be right to.
    fn ask_others(&self, server: &Arc<Server>) {
        let state = self.state.lock();
        let Some(record) = &state.record else {
            return;
        };
        let missing = record.replicas.iter();
        let missing = missing.filter(|name| !state.heard.contains_key(*name));
        let missing: Vec<Address> = missing.filter_map(|name| Address::parse(name)).collect();
        drop(state);
        for address in missing {
            // Who does not answer is asked again.
            if let Ok(Some((replid, offset))) = position_of(server, &address) {
                let mut state = self.state.lock();
                let is_ours = state
                    .record
                    .as_ref()
                    .is_some_and(|record| record.knows(replid));
                if is_ours && self.waits() {
                    let name = address.to_string();
                    tracing::info!("Replica {name} copies another one, and has {offset} bytes");
                    let offset = Some(offset);
                    state.heard.insert(name, Heard { address, offset });
                    drop(state);
                    self.fetch_if_enough(server);
                }
            }
        }
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

    fn end_by_order(&self, why: &str) -> bool {
        let waited = self.end(why);
        if waited && let Some(taken) = self.taken.lock().take() {
            tracing::warn!(
                "{} was told to take over, and is left as it is: see to it",
                taken.address
            );
        }
        waited
    }

    /// Somebody says that what the node has counts, whatever its replicas have.
    pub fn force(&self, server: &Server, why: &str) {
        // At the start there is nothing to be said yet.
        if self.end_by_order(why) || self.has_begun.load(Ordering::Acquire) {
            server.replication.as_primary.confirm.forget_record(server);
        }
    }

    /// Somebody says whose replica the node is, or that it is none: nothing is confirmed then. Until a
    /// replica has another's data it keeps the record, in case it starts again as what it was.
    pub fn note_order(&self, server: &Server, is_of_primary: bool) {
        let waited = self.end_by_order("it was told whom to replicate");
        if is_of_primary && (waited || server.replication.is_replica()) {
            server.replication.as_primary.confirm.forget_record(server);
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
        let State { record, heard, .. } = &mut *state;
        let Some(record) = record else {
            return;
        };
        let name = address.to_string();
        if !record.replicas.contains(&name) {
            return;
        }
        let of_history = asked.filter(|(replid, _)| record.knows(*replid));
        let offset = of_history.and_then(|(_, next)| next.checked_sub(1));
        tracing::info!("Replica {name} has {offset:?} bytes of the history");
        heard.insert(name, Heard { address, offset });
        drop(state);
        self.fetch_if_enough(server);
    }

    /// Takes the data of the one that has most, once enough were heard.
    fn fetch_if_enough(&self, server: &Arc<Server>) {
        let state = self.state.lock();
        let State { record, heard, .. } = &*state;
        let needed = record.as_ref().map_or(usize::MAX, Record::needed);
        if heard.len() < needed || self.fetches.swap(true, Ordering::AcqRel) {
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
    let restart = &server.replication.as_primary.restart;
    let mut replica = Talk::open(server, &from.address)?;
    let primary = replica.facts()?.primary;
    let (host, port) = primary.ok_or_else(|| io::Error::other("it is no replica any more"))?;
    let taken = Taken {
        address: from.address.clone(),
        host,
        port,
    };
    // First: if this node ends meanwhile, it is to know of it when it starts again.
    restart.note_taken(server, Some(&taken))?;
    let has_taken_over = take_over(server, &mut replica);
    let result = has_taken_over.and_then(|()| take_data(server, &from.address, offset));
    // Whatever came of it: it is this node's replica again, and takes no writes until it is.
    let mut given_back = give_back(server, &taken);
    for _ in 0..TRIES {
        if given_back.is_ok() {
            break;
        }
        std::thread::sleep(LIMIT / 10);
        given_back = give_back(server, &taken);
    }
    result.and(given_back)
}

fn take_over(server: &Server, replica: &mut Talk) -> io::Result<()> {
    replica.tell(&["CLIENT", "PAUSE", PAUSE_MS, "WRITE"])?;
    replica.tell(&["REPLICAOF", "NO", "ONE"])?;
    let [replid, _] = replica.facts()?.replids;
    let replid = replid.ok_or_else(|| io::Error::other("it does not say which history it has"))?;
    server.replication.as_primary.restart.learn(server, replid)
}

/// Has the replica that has taken over copy whom it had copied.
fn give_back(server: &Server, taken: &Taken) -> io::Result<()> {
    let restart = &server.replication.as_primary.restart;
    let mut replica = Talk::open(server, &taken.address)?;
    let facts = replica.facts()?;
    if facts.primary.is_none() {
        if !facts
            .replids
            .iter()
            .flatten()
            .any(|one| restart.knows(server, *one))
        {
            tracing::warn!(
                "{} is the primary of a history that this node does not know, and stays it",
                taken.address
            );
            return restart.note_taken(server, None);
        }
        if let [Some(replid), _] = facts.replids {
            // By that it will ask.
            restart.learn(server, replid)?;
        }
        replica.tell(&["REPLICAOF", &taken.host, &taken.port])?;
    }
    replica.tell(&["CLIENT", "UNPAUSE"])?;
    restart.note_taken(server, None)
}

/// Where a replica is, if it copies this node by way of others.
fn position_of(server: &Server, address: &Address) -> io::Result<Option<(ReplId, u64)>> {
    let facts = Talk::open(server, address)?.facts()?;
    let ([replid, _], offset) = (facts.replids, facts.offset);
    let leads_here = facts.leads_here(server)?;
    Ok(replid.zip(offset).filter(|_| leads_here))
}

/// Sees to what nobody comes for by himself, until the node serves: a replica that has taken over for
/// a start of before, which did not come to its end; and replicas that copy one of those that were
/// heard.
fn look_around(server: &Arc<Server>) {
    let restart = &server.replication.as_primary.restart;
    while !server.shutdown.is_cancelled() {
        let taken = restart.taken();
        if restart.fetches.load(Ordering::Acquire) {
            // That sees to it itself.
        } else if let Some(taken) = &taken {
            if let Err(error) = give_back(server, taken) {
                tracing::info!("Having {} be a replica again: {error}", taken.address);
            }
        } else if restart.waits() {
            restart.ask_others(server);
        } else {
            return;
        }
        std::thread::sleep(LOOK_AROUND);
    }
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
