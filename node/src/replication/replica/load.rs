//! All data of the primary. What was there stays until the new data is known to be whole, and is
//! served meanwhile if it may be.
//!
//! - Nothing is there: it goes right into the databases (`repl-diskless-load` is no matter).
//! - `swapdb`: it goes beside what is there, which takes the memory for both, and takes its place at
//!   one instant.
//! - Otherwise: it goes into a file, and every value is looked at on its way. Then what was there is
//!   deleted, and the file is loaded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slotilla_common::slot::Slot;

use super::handshake::{Form, MARK};
use super::intake::Chunks;
use crate::config::Key;
use crate::persistence::{Phase, Target, TransferError, Transferred, load_transfer};
use crate::replication::{Position, ReplId};
use crate::server::Server;
use crate::server::long::InLine;

/// The history and the offset of the data.
type Place = (ReplId, i64);

/// Loads what comes; the source behind it, and what it gave already.
///
/// # Errors
/// It cannot be loaded. What was there is there, unless it had to give way already.
pub(super) fn load_all(
    server: &Arc<Server>,
    chunks: Chunks,
    form: Form,
    place: Place,
    is_off: &dyn Fn() -> bool,
) -> Result<Transferred<Chunks>, String> {
    let aside = server.config.choice(Key::ReplDisklessLoad) == "swapdb";
    let is_possible = server.store.aside().is_some();
    let loaded = if server.store.is_empty() {
        tell(form, "parser");
        into_nothing(server, chunks, form, place, is_off)
    } else if aside && is_possible {
        tell(form, "parser");
        beside(server, chunks, form, place, is_off)
    } else {
        tell(form, "disk");
        through_file(server, chunks, form, place, is_off)
    };
    if !aside && !loaded.as_ref().is_err_and(TransferError::is_end) {
        delete_snapshot(server);
    }
    loaded.map_err(|error| {
        if error.is_end() {
            "I/O error trying to sync with MASTER: connection lost".to_owned()
        } else {
            format!("Failed trying to load the MASTER synchronization DB: {error}")
        }
    })
}

/// With `rdb-del-sync-files`: Redis puts what it gets in its snapshot's place, and deletes that where it
/// would have none otherwise. Here what came has had a file of its own, but an older snapshot is to be
/// gone as it would be there.
fn delete_snapshot(server: &Server) {
    let config = &server.config;
    let persists = !config.save_points().is_empty() || config.flag(Key::Appendonly);
    if !config.rdb_del_sync_files() || persists {
        return;
    }
    let path = crate::persistence::path(config);
    match std::fs::remove_file(&path) {
        Ok(()) => tracing::info!(
            "Removing the RDB file obtained from the master. This replica has persistence disabled"
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(
            "Deleting {}, as rdb-del-sync-files wants: {error}; delete it, or it is loaded at the \
             next start",
            path.display()
        ),
    }
}

fn tell(form: Form, whither: &str) {
    match form {
        Form::Sized(bytes) => tracing::info!(
            "MASTER <-> REPLICA sync: receiving {bytes} bytes from master to {whither}"
        ),
        Form::Marked(_) => tracing::info!(
            "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {whither}"
        ),
    }
}

fn ends(form: &Form) -> (Option<u64>, Option<&[u8; MARK]>) {
    match form {
        Form::Sized(bytes) => (Some(*bytes), None),
        Form::Marked(mark) => (None, Some(mark)),
    }
}

/// Clients hear that data is being loaded until this is dropped.
struct Loading<'s>(&'s Server);

impl<'s> Loading<'s> {
    fn begin(server: &'s Server, phase: Phase) -> Self {
        server.gate.exclusive(None, |_| {
            // The last snapshot may be written already.
            if server.persistence.is_serving() {
                server.persistence.set_phase(phase);
            }
        });
        Self(server)
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.gate.exclusive(None, |_| {
            if self.0.persistence.phase() != Phase::Closed {
                self.0.persistence.set_phase(Phase::Serving);
            }
        });
    }
}

fn into_nothing(
    server: &Arc<Server>,
    chunks: Chunks,
    form: Form,
    place: Place,
    is_off: &dyn Fn() -> bool,
) -> Result<Transferred<Chunks>, TransferError> {
    let _loading = Loading::begin(server, Phase::Loading);
    replace(server, place, || {
        load_transfer(server, chunks, ends(&form), Target::Served, is_off)
    })
}

/// Deletes what is there, and loads. While it lasts, the data is that of no history.
fn replace<R>(
    server: &Arc<Server>,
    place: Place,
    load: impl FnOnce() -> Result<Transferred<R>, TransferError>,
) -> Result<Transferred<R>, TransferError> {
    server.replication.forsake();
    tracing::info!("MASTER <-> REPLICA sync: Flushing old data");
    flush(server);
    tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
    match load() {
        Ok(loaded) => {
            adopt(server, place, loaded.db);
            Ok(loaded)
        }
        Err(error) => {
            // A part of the data is none.
            flush(server);
            Err(error)
        }
    }
}

/// Deletes all keys at one instant.
fn flush(server: &Arc<Server>) {
    let turn = InLine::everything(server);
    let flushed = server.gate.exclusive(None, |_| server.store.flush(None));
    drop(turn);
    if server.config.replica_lazy_flush() {
        flushed.free_in_background(&server.store);
    }
}

fn beside(
    server: &Arc<Server>,
    chunks: Chunks,
    form: Form,
    place: Place,
    is_off: &dyn Fn() -> bool,
) -> Result<Transferred<Chunks>, TransferError> {
    // Data of another history must not be served as if it were the primary's.
    let is_same = server.replication.history().replid == place.0;
    let phase = if is_same {
        Phase::LoadingAside
    } else {
        Phase::Loading
    };
    let _loading = Loading::begin(server, phase);
    // None begins meanwhile, and what is beside belongs into none.
    server
        .gate
        .exclusive(None, |_| server.store.abandon_snapshot());
    tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
    let loaded = load_transfer(server, chunks, ends(&form), Target::Aside, is_off);
    if let Ok(loaded) = &loaded {
        let turn = InLine::everything(server);
        server.gate.exclusive(None, |_| {
            server.store.exchange_aside();
            adopt(server, place, loaded.db);
        });
        drop(turn);
        tracing::info!("MASTER <-> REPLICA sync: Swapping active DB with loaded DB");
    }
    for slot in Slot::all() {
        let old = server.gate.guest(|| server.store.flush_aside(slot));
        old.free_in_background(&server.store);
    }
    loaded
}

fn through_file(
    server: &Arc<Server>,
    chunks: Chunks,
    form: Form,
    place: Place,
    is_off: &dyn Fn() -> bool,
) -> Result<Transferred<Chunks>, TransferError> {
    let spool = Spool::create(server).map_err(TransferError::of_file)?;
    let tee = Tee {
        source: chunks,
        file: &spool.file,
        path: &spool.path,
    };
    let loaded = load_transfer(server, tee, ends(&form), Target::Nowhere, is_off)?;
    let Transferred {
        source,
        unread,
        bytes,
        db,
    } = loaded;
    let _loading = Loading::begin(server, Phase::Loading);
    replace(server, place, || {
        let file = File::open(&spool.path)
            .map_err(|error| TransferError::of_file(failed("opening", &spool.path, error)))?;
        let source = file.take(bytes);
        load_transfer(server, source, (Some(bytes), None), Target::Checked, is_off)
    })?;
    Ok(Transferred {
        source: source.source,
        unread,
        bytes,
        db,
    })
}

/// The data that has been loaded is the primary's, in whose stream this database is selected.
fn adopt(server: &Server, (replid, offset): Place, db: u16) {
    let position = Position { replid, offset, db };
    let backlog_bytes = server.config.repl_backlog_size();
    server.replication.adopt(position, backlog_bytes);
}

/// The file that data is kept in until it is whole; deleted when this is dropped.
struct Spool {
    file: File,
    path: PathBuf,
}

impl Spool {
    fn create(server: &Server) -> io::Result<Self> {
        let name = format!("temp-replica-{}.rdb", std::process::id());
        let path = server.config.dir().join(name);
        let file = File::create(&path).map_err(|error| failed("creating", &path, error))?;
        Ok(Self { file, path })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!("Deleting {path}, which is of no use any longer: {error}");
        }
    }
}

fn failed(step: &str, path: &Path, error: io::Error) -> io::Error {
    let path = path.display();
    io::Error::other(format!(
        "{step} {path}: {error}; see to the disk, or set repl-diskless-load to swapdb, which needs \
         none. The data that was there is unchanged"
    ))
}

/// Keeps what is read in a file.
struct Tee<'f> {
    source: Chunks,
    file: &'f File,
    path: &'f Path,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(out)?;
        let bytes = out.get(..read).unwrap_or_default();
        self.file
            .write_all(bytes)
            .map_err(|error| failed("writing", self.path, error))?;
        Ok(read)
    }
}
