//! Loading a snapshot into the store, key by key.
//!
//! Until it has all of it a node answers no command on keys; a file that cannot be read to its end
//! is no data at all, and the node stops rather than to serve the part that it has. So whoever runs
//! it decides what is to become of the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use slotilla_common::clock;
use slotilla_common::rdb::{Item, KeyInfo, Problem, ReadError, Reader, ValueType};
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;

use super::{Phase, delay, path};
use crate::cluster;
use crate::cluster::routing::Serving;
use crate::config::Config;
use crate::rdb::{KeyError, Limits, LoadError, Loader};
use crate::replication::log::OFFSET_MAX;
use crate::replication::{Position, ReplId};
use crate::server::Server;
use crate::store::{Duplicate, Entry, Feed, NewValue, Scope};

/// The log tells as often how far it is.
const TELL_EVERY_MS: i64 = 5000;
/// So many keys are loaded between two looks at the time, and at whether the node is to stop.
const KEYS_PER_LOOK: u64 = 1024;
/// So many empty values are named in the log; of more, only how many there are.
const EMPTY_NAMED_MAX: u64 = 10;

/// A snapshot cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("Loading the snapshot {}: {cause}; {}", path.display(), cause.remedy())]
pub struct SnapshotError {
    path: PathBuf,
    cause: Cause,
}

impl SnapshotError {
    /// Whether the node was told to stop meanwhile, and nothing is wrong.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self.cause, Cause::Stopped)
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("{0}")]
    Open(io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("in database {db}, {error}")]
    Key { db: u64, error: KeyError },
    #[error("in database {db}, key '{}' is there twice", key.escape_ascii())]
    Duplicate { db: u16, key: Vec<u8> },
    #[error("it has the library of functions '{0}', which this node cannot keep")]
    Library(String),
    #[error("it has database {number}, and there are {databases}")]
    Database { number: u64, databases: u16 },
    #[error("it has keys in database {0}, and a cluster has database 0 alone")]
    ClusterDatabase(u64),
    #[error("a cluster node's keys were loaded, but not their slots claimed: {0}")]
    Claim(String),
    #[error("the node was told to stop")]
    Stopped,
}

impl Cause {
    /// What to do about it if it came from a primary.
    pub(super) fn remedy_of_primary(&self) -> &'static str {
        match self {
            Self::Read(ReadError {
                problem: Problem::Version(_),
                ..
            }) => "replicate from an older version, or move the keys with MIGRATE",
            Self::Read(ReadError {
                problem: Problem::Io(_) | Problem::Ended { .. },
                ..
            }) => "it is tried again",
            Self::Key { error, .. } if matches!(error.error, LoadError::Unsupported(_)) => {
                "delete the key on the primary"
            }
            Self::Library(_) => "delete it on the primary (FUNCTION DELETE)",
            Self::Database { .. } => "set databases to as many as the primary has",
            Self::ClusterDatabase(_) => "move them to database 0",
            Self::Open(_) | Self::Claim(_) | Self::Stopped => "it is tried again",
            Self::Read(_) | Self::Duplicate { .. } | Self::Key { .. } => {
                "it is tried again; if that happens again, see to the primary"
            }
        }
    }

    /// What to do about it.
    fn remedy(&self) -> &'static str {
        const DAMAGED: &str = "see what redis-check-rdb says of it, and put a copy that is whole \
                               in its place, or move it away to start without its data";
        match self {
            Self::Open(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the server's user read it, or set dir and dbfilename to another file"
            }
            Self::Open(_) => "set dir and dbfilename to a file that can be read, or move it away",
            Self::Read(ReadError {
                problem: Problem::Version(_),
                ..
            }) => {
                "start the server that wrote it, and move the keys with MIGRATE or a replica of an \
                 older version; or move the file away to start without its data"
            }
            Self::Read(ReadError {
                problem: Problem::Io(_),
                ..
            }) => "see to the disk, or move the file away to start without its data",
            Self::Read(_) | Self::Duplicate { .. } => DAMAGED,
            Self::Key { error, .. } if matches!(error.error, LoadError::Unsupported(_)) => {
                "delete the key on the server that wrote the file, and save again; or move the \
                 file away to start without its data"
            }
            Self::Key { .. } => DAMAGED,
            Self::Library(_) => {
                "delete it on the server that wrote the file (FUNCTION DELETE), and save again; or \
                 move the file away to start without its data"
            }
            Self::Database { .. } => {
                "set databases to as many as the server that wrote it has, or move the file away \
                 to start without its data"
            }
            Self::ClusterDatabase(_) => {
                "start with cluster-enabled no and move them to database 0, or move the file away \
                 to start without its data"
            }
            Self::Claim(_) => "start the node again",
            Self::Stopped => "start it again to load all of it",
        }
    }
}

/// A snapshot that has been opened, and whose version can be read.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    reader: Reader<File>,
    bytes: u64,
    version: u32,
}

/// Opens the snapshot, if there is one.
///
/// # Errors
/// It cannot be read, or is none.
pub fn find(config: &Config) -> Result<Option<Snapshot>, SnapshotError> {
    match open(config) {
        Err(SnapshotError {
            cause: Cause::Open(error),
            ..
        }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Opens the snapshot.
///
/// # Errors
/// As for [`find`]; or it is not there.
pub(super) fn open(config: &Config) -> Result<Snapshot, SnapshotError> {
    open_at(config, path(config))
}

/// Opens a snapshot, wherever it is.
///
/// # Errors
/// As for [`find`]; or it is not there.
pub(crate) fn open_at(config: &Config, path: PathBuf) -> Result<Snapshot, SnapshotError> {
    let opened = File::open(&path).and_then(|file| {
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok((file, about.len()))
    });
    let begun = opened.map_err(Cause::Open).and_then(|(file, bytes)| {
        let mut reader = Reader::new(file, Some(bytes));
        if !config.rdbchecksum() {
            reader = reader.without_checksum();
        }
        let version = reader.begin()?;
        Ok((reader, bytes, version))
    });
    match begun {
        Ok((reader, bytes, version)) => Ok(Snapshot {
            path,
            reader,
            bytes,
            version,
        }),
        Err(cause) => Err(SnapshotError { path, cause }),
    }
}

impl Server {
    /// From now on clients hear that data is being loaded, until [`load_at_start`] has done so.
    pub fn await_snapshot(&self, snapshot: &Snapshot) {
        self.persistence.progress.begin(snapshot.bytes);
        self.persistence.set_phase(Phase::Loading);
    }
}

/// Loads the snapshot that a node found at its start, and has clients served.
///
/// # Errors
/// It cannot be loaded: the node is not to serve what it has of it.
pub fn load_at_start(server: &Server, snapshot: Snapshot) -> Result<(), SnapshotError> {
    let path = snapshot.path.clone();
    let begun_ms = clock::unix_ms();
    if let Some(position) = load(server, snapshot, false)? {
        let backlog_bytes = server.config.repl_backlog_size();
        server.replication.restore(position, backlog_bytes);
    }
    claim_slots(server).map_err(|text| SnapshotError {
        path,
        cause: Cause::Claim(text),
    })?;
    let seconds = (clock::unix_ms() - begun_ms) as f64 / 1000.0;
    tracing::info!("DB loaded from disk: {seconds:.3} seconds");
    server.persistence.set_phase(Phase::Serving);
    Ok(())
}

/// A cluster node keeps what it loaded, as in Redis: a slot that has keys and no owner is its own
/// from now on, and one that is another's is being imported, until somebody says otherwise.
pub(crate) fn claim_slots(server: &Server) -> Result<(), String> {
    let Some(cluster) = server.cluster() else {
        return Ok(());
    };
    let is_strange = |slot: &Slot| {
        let serving = server.store.serving(*slot);
        matches!(serving, Serving::Unassigned | Serving::Elsewhere)
            && server.store.slot_len(*slot) > 0
    };
    let strange: Vec<Slot> = Slot::all().filter(is_strange).collect();
    if strange.is_empty() {
        return Ok(());
    }
    cluster.command(cluster::Command::KeepFound(strange))?;
    Ok(())
}

/// Loads a snapshot that an append-only file begins with; how long it is.
///
/// # Errors
/// It cannot be loaded.
pub fn load_part(server: &Server, snapshot: Snapshot) -> Result<u64, SnapshotError> {
    let (_, bytes) = load_all(server, snapshot, false)?;
    Ok(bytes)
}

/// Puts all keys of a snapshot into the store. With `replaces`, those that are there give way;
/// otherwise they are an error. Gives where its data is in its history, if it says so.
pub(super) fn load(
    server: &Server,
    snapshot: Snapshot,
    replaces: bool,
) -> Result<Option<Position>, SnapshotError> {
    let (position, _) = load_all(server, snapshot, replaces)?;
    Ok(position)
}

/// As [`load`]; how long the snapshot is, too.
fn load_all(
    server: &Server,
    snapshot: Snapshot,
    replaces: bool,
) -> Result<(Option<Position>, u64), SnapshotError> {
    let Snapshot {
        path,
        mut reader,
        bytes,
        version,
    } = snapshot;
    let progress = &server.persistence.progress;
    progress.begin(bytes);
    let never = || false;
    let mut loading = Loading::new(server, Goal::Databases(0), replaces, &never);
    let loaded = loading.run(&mut reader, version);
    progress.end();
    match loaded {
        Ok(()) => {
            loading.tally.tell();
            let Tally { keys, expired, .. } = loading.tally;
            server.persistence.note_loaded(keys, expired);
            Ok((loading.position(), reader.offset()))
        }
        Err(cause) => Err(SnapshotError { path, cause }),
    }
}

/// Where the keys of a snapshot go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Into the databases, of which this is the first: those that are served, or those beside.
    Databases(u16),
    /// Nowhere: it is only to be seen whether they could.
    Nowhere,
}

/// What became of a snapshot's keys.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) keys: u64,
    pub(super) expired: u64,
    empty: u64,
    /// Of slots that its writer had not all of.
    imported: u64,
}

impl Tally {
    pub(super) fn tell(&self) {
        let Self { keys, expired, .. } = self;
        if self.imported > 0 {
            tracing::warn!(
                "Keys passed by whose slots were being imported: {}",
                self.imported
            );
        }
        let empty = match self.empty {
            0 => String::new(),
            empty => format!(", empty keys skipped: {empty}"),
        };
        tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}{empty}.");
    }
}

/// What a snapshot says of where its data is in a history; all of it, or nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    replid: Option<ReplId>,
    offset: Option<i64>,
    db: Option<u16>,
}

/// A load that is under way.
pub(super) struct Loading<'s> {
    server: &'s Server,
    goal: Goal,
    told: Told,
    /// Nobody wants it any longer.
    is_off: &'s dyn Fn() -> bool,
    feed: Feed<'s>,
    loader: Loader,
    now_ms: i64,
    /// Keys that expire before are not loaded.
    gone_before_ms: i64,
    db: u64,
    importing: SlotSet,
    pub(super) tally: Tally,
    /// Keys that were read, whatever became of them.
    read: u64,
    next_word_ms: i64,
    key_delay: i64,
}

impl<'s> Loading<'s> {
    pub(super) fn new(
        server: &'s Server,
        goal: Goal,
        replaces: bool,
        is_off: &'s dyn Fn() -> bool,
    ) -> Self {
        let now_ms = clock::unix_ms();
        let scope = Scope {
            now_ms,
            ..Scope::default()
        };
        // A replica has them until its primary says otherwise.
        let gone_before_ms = if server.store.settings().hide_expired() {
            i64::MIN
        } else {
            now_ms
        };
        Self {
            server,
            goal,
            told: Told::default(),
            is_off,
            feed: Feed::new(&server.store, scope, replaces),
            loader: Loader::new(Limits::of(server)),
            now_ms,
            gone_before_ms,
            db: 0,
            importing: SlotSet::new(),
            tally: Tally::default(),
            read: 0,
            next_word_ms: now_ms + TELL_EVERY_MS,
            key_delay: server.config.key_load_delay(),
        }
    }

    pub(super) fn run<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        version: u32,
    ) -> Result<(), Cause> {
        loop {
            match reader.item(version)? {
                Item::Key {
                    key,
                    value_type,
                    info,
                } => self.key(&key, value_type, info, reader)?,
                Item::SelectDb(number) => self.db = number,
                Item::Aux { name, value } => self.aux(&name, &value),
                Item::SlotImport { ranges, .. } => self.import(&ranges),
                Item::Function(source) => return Err(Cause::Library(library_name(&source))),
                // Tables grow as their keys come.
                Item::ResizeDb { .. } | Item::SlotInfo { .. } => {}
                Item::End => return self.flush(),
            }
        }
    }

    fn key<R: Read>(
        &mut self,
        key: &[u8],
        value_type: ValueType,
        info: KeyInfo,
        reader: &mut Reader<R>,
    ) -> Result<(), Cause> {
        let db = self.database()?;
        let is_late = info.expiry_ms.is_some_and(|at| at < self.gone_before_ms);
        let is_gone = is_late && !self.is_kept();
        let value = match self.loader.value(value_type, reader) {
            Ok(value) => Some(value),
            Err(LoadError::Empty) => None,
            Err(error) => {
                let (db, error) = (self.db, error.of_key(key));
                return Err(Cause::Key { db, error });
            }
        };
        let is_full = match value {
            None => {
                self.tally.note_empty(key);
                false
            }
            Some(_) if self.importing.contains(Slot::of_key(key)) => {
                self.tally.imported += 1;
                false
            }
            Some(_) if is_gone => {
                self.tally.expired += 1;
                false
            }
            Some(value) => {
                // One that replicas have counts as expired: it is there until they hear of it.
                let count = if is_late {
                    &mut self.tally.expired
                } else {
                    &mut self.tally.keys
                };
                *count += 1;
                match self.goal {
                    Goal::Databases(first) => {
                        let db = first.saturating_add(db);
                        push(&mut self.feed, db, key, value, info)
                    }
                    Goal::Nowhere => false,
                }
            }
        };
        if is_full {
            self.flush()?;
        }
        self.read += 1;
        let progress = &self.server.persistence.progress;
        progress.advance(reader.offset(), self.read);
        if self.read.is_multiple_of(KEYS_PER_LOOK) || self.key_delay != 0 {
            self.look_up()?;
        }
        Ok(())
    }

    /// Whether replicas may have these keys, and are to hear that one has expired.
    fn is_kept(&self) -> bool {
        self.position().is_some() || self.server.replication.as_primary.follows()
    }

    /// The number of the database, if there is one here.
    fn database(&self) -> Result<u16, Cause> {
        let databases = self.server.store.databases();
        let number = u16::try_from(self.db).ok().filter(|db| *db < databases);
        match number {
            Some(db) if db == 0 || !self.server.cluster_enabled => Ok(db),
            Some(_) => Err(Cause::ClusterDatabase(self.db)),
            None => Err(Cause::Database {
                number: self.db,
                databases,
            }),
        }
    }

    fn flush(&mut self) -> Result<(), Cause> {
        let feed = &mut self.feed;
        let flushed = self.server.gate.guest(|| feed.flush());
        flushed.map_err(|Duplicate { db, key }| Cause::Duplicate { db, key })
    }

    /// Tells how far it is, now and then; and whether the node is to stop.
    fn look_up(&mut self) -> Result<(), Cause> {
        delay(self.key_delay, self.is_off);
        if self.server.shutdown.is_cancelled() || (self.is_off)() {
            return Err(Cause::Stopped);
        }
        let now_ms = clock::unix_ms();
        if now_ms >= self.next_word_ms {
            self.next_word_ms = now_ms + TELL_EVERY_MS;
            if let Some(progress) = self.server.persistence.progress.shown() {
                tracing::info!(
                    "Loading: {:.0}% of {} bytes, {} keys; about {} s left",
                    progress.percent,
                    progress.total_bytes,
                    progress.keys,
                    progress.eta_seconds
                );
            }
        }
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        match name {
            b"repl-id" => self.told.replid = ReplId::parse(value.as_bytes()),
            b"repl-offset" => self.told.offset = value.parse().ok(),
            b"repl-stream-db" => self.told.db = value.parse().ok(),
            b"redis-ver" | b"valkey-ver" => {
                tracing::info!("Loading RDB produced by version {value}");
            }
            b"ctime" => {
                let age = value.parse::<i64>().map(|at| self.now_ms / 1000 - at);
                tracing::info!("RDB age {} seconds", age.unwrap_or(0).max(0));
            }
            b"used-mem" => {
                let bytes: u64 = value.parse().unwrap_or(0);
                let progress = &self.server.persistence.progress;
                progress.used_memory.store(bytes, Ordering::Relaxed);
                let megabytes = bytes as f64 / (1024.0 * 1024.0);
                tracing::info!("RDB memory usage when created {megabytes:.2} Mb");
            }
            // Of an append-only file, of slots' sizes: nothing for a start.
            _ => {}
        }
    }

    /// The database that a stream behind it has selected.
    pub(super) fn stream_db(&self) -> u16 {
        let is_here = |db: &u16| *db < self.server.store.databases();
        self.told.db.filter(is_here).unwrap_or(0)
    }

    /// Where its data is in a history, if it has said so.
    fn position(&self) -> Option<Position> {
        let Told { replid, offset, db } = self.told;
        Some(Position {
            replid: replid?,
            offset: offset
                .filter(|offset| u64::try_from(*offset).is_ok_and(|offset| offset <= OFFSET_MAX))?,
            db: db.filter(|db| *db < self.server.store.databases())?,
        })
    }

    fn import(&mut self, ranges: &[(u64, u64)]) {
        for (from, to) in ranges {
            let is_within = |slot: &Slot| (*from..=*to).contains(&(slot.index() as u64));
            for slot in Slot::all().filter(is_within) {
                self.importing.insert(slot);
            }
        }
    }
}

impl Tally {
    fn note_empty(&mut self, key: &[u8]) {
        self.empty += 1;
        if self.empty <= EMPTY_NAMED_MAX {
            tracing::warn!("Loading: skipping empty key: {}", key.escape_ascii());
        }
    }
}

/// Hands a key on; whether it is time to flush.
fn push(feed: &mut Feed<'_>, db: u16, key: &[u8], value: NewValue<'_>, info: KeyInfo) -> bool {
    let idle_ms = info.idle_seconds.map(|seconds| {
        let ms = seconds.saturating_mul(1000);
        i64::try_from(ms).unwrap_or(i64::MAX)
    });
    let access = feed.access_of(idle_ms, info.frequency);
    feed.push(db, Entry::new(key, value, info.expiry_ms, access))
}

/// The name in the first line of a library, `#!lua name=NAME`.
fn library_name(source: &[u8]) -> String {
    let line = source.split(|byte| *byte == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let name = line
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("name="));
    name.unwrap_or("without a name").escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_its_first_line() {
        assert_eq!(library_name(b"#!lua name=mylib\nredis..."), "mylib");
        assert_eq!(library_name(b"#!lua engine=x name=a\rb"), "a");
        assert_eq!(library_name(b"return 1"), "without a name");
        assert_eq!(library_name(b""), "without a name");
    }
}
