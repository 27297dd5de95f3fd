//! SAVE: all data into the snapshot's file.
//!
//! The data is written at the gate: it is that of one instant, and all clients wait, as they do in
//! Redis. They do not wait for the disk to have it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use slotilla_common::clock;
use slotilla_common::rdb::{KeyInfo, Writer};
use slotilla_common::slot::Slot;

use super::file::{SaveError, Unfinished};
use super::head::{Head, write_head};
use super::{Phase, delay, path};
use crate::config::{Config, ShutdownFlags};
use crate::rdb::{SaveOptions, save as save_value, value_type};
use crate::replication::{Position, Still, primary};
use crate::server::Server;
use crate::server::gate::{Exclusive, Gate};
use crate::server::long::InLine;
use crate::server::pause::Purpose;
use crate::store::{Db, Entry, Scope};

/// Writes a snapshot of all data. Not for a worker: it waits for the gate, and for the disk. Nothing
/// if one is being written already.
///
/// # Errors
/// It could not be written, which is in the log already.
pub fn save(server: &Arc<Server>) -> Option<Result<(), SaveError>> {
    if server.persistence.background.is_running() {
        return None;
    }
    server.persistence.saves.fetch_add(1, Ordering::Relaxed);
    let still = server.replication.hold_still(!Gate::is_closed_here());
    let in_line = InLine::everything(server);
    let written = server
        .gate
        .exclusive(None, |gate| write(server, gate, still.as_ref()));
    drop((in_line, still));
    Some(told(written.and_then(Written::finish)))
}

/// Stops the node, once its replicas have what it has, and its data is saved if it is to be; false if
/// it was told to go on, or could not save. Not for a worker.
#[must_use]
pub fn stop(server: &Arc<Server>, how: ShutdownFlags) -> bool {
    if !how.now && !primary::let_replicas_catch_up(server) {
        return false;
    }
    let stopped = save_and_stop(server, how).is_ok();
    if !stopped {
        server.end_pause(Purpose::Shutdown);
    }
    stopped
}

fn save_and_stop(server: &Arc<Server>, how: ShutdownFlags) -> Result<(), SaveError> {
    let has_points = || !server.config.save_points().is_empty();
    // What is being loaded is on disk already.
    if server.loading() || !how.save.unwrap_or_else(has_points) {
        server.shutdown.cancel();
        return Ok(());
    }
    tracing::info!("Saving the final RDB snapshot before exiting.");
    let saved = save_and_close(server, how.force);
    match &saved {
        Err(_) if how.force => Ok(()),
        Err(_) => {
            tracing::warn!("Error trying to save the DB, can't exit.");
            saved
        }
        Ok(()) => saved,
    }
}

/// As [`save`]; and from the snapshot's instant on, nothing changes any more: the node stops. With
/// `even_if_it_fails` that is so, too, if it could not be written.
///
/// # Errors
/// It could not be written, which is in the log already.
fn save_and_close(server: &Arc<Server>, even_if_it_fails: bool) -> Result<(), SaveError> {
    let still = server.replication.hold_still(!Gate::is_closed_here());
    let in_line = InLine::everything(server);
    let saved = server.gate.exclusive(None, |gate| {
        let saved = save_at_gate(server, gate, still.as_ref());
        if saved.is_ok() || even_if_it_fails {
            server.persistence.set_phase(Phase::Closed);
            server.shutdown.cancel();
        }
        saved
    });
    drop(in_line);
    saved
}

/// Writes a snapshot, and comes back when it is on disk: for who has the gate longer.
pub(super) fn save_at_gate(
    server: &Server,
    gate: &Exclusive,
    still: Option<&Still<'_>>,
) -> Result<(), SaveError> {
    told(write(server, gate, still).and_then(Written::finish))
}

fn told(saved: Result<(), SaveError>) -> Result<(), SaveError> {
    match &saved {
        Ok(()) => tracing::info!("DB saved on disk"),
        Err(error) => tracing::error!("{error}"),
    }
    saved
}

/// A snapshot that is to get its name.
struct Written<'s> {
    server: &'s Server,
    file: Unfinished,
    /// Changes that it has.
    changes: u64,
    /// Two would have the same temporary name.
    writing: MutexGuard<'s, ()>,
}

impl Written<'_> {
    fn finish(self) -> Result<(), SaveError> {
        let finished = self.file.finish();
        if finished.is_ok() {
            self.server.persistence.note_saved(self.changes);
            self.server.persistence.background.note_well(self.server);
        }
        drop(self.writing);
        finished
    }
}

/// Writes all data under the temporary name.
fn write<'s>(
    server: &'s Server,
    gate: &Exclusive,
    still: Option<&Still<'_>>,
) -> Result<Written<'s>, SaveError> {
    // Who has it waits for the disk alone, not for the gate.
    let writing = server.persistence.writing.lock();
    server.persistence.background.cancel(server, gate);
    let config = &server.config;
    let changes = server.store.counters().changes;
    let name = format!("temp-{}.rdb", std::process::id());
    let mut file = Unfinished::create(&path(config), &name, config.rdb_save_incremental_fsync())?;
    let position = still.and_then(|still| server.replication.position(still));
    let written = write_all(server, config, position, &mut file);
    written.map_err(|error| file.failed(error))?;
    Ok(Written {
        server,
        file,
        changes,
        writing,
    })
}

fn write_all(
    server: &Server,
    config: &Config,
    position: Option<Position>,
    file: &mut Unfinished,
) -> io::Result<()> {
    let compressed_max = if config.rdbcompression() {
        usize::MAX
    } else {
        0
    };
    let mut out = Writer::new(file, compressed_max);
    if !config.rdbchecksum() {
        out = out.without_checksum();
    }
    let now_ms = clock::unix_ms();
    write_head(&Head::now(server, now_ms, position), &mut out)?;
    for db in 0..server.store.databases() {
        let scope = Scope {
            db,
            now_ms,
            thread: 0,
        };
        write_database(server, scope, &mut out)?;
    }
    out.end()
}

fn write_database(
    server: &Server,
    scope: Scope,
    out: &mut Writer<&mut Unfinished>,
) -> io::Result<()> {
    let store = &server.store;
    let totals = store.totals(scope.db, scope.now_ms);
    if totals.keys == 0 {
        return Ok(());
    }
    out.select_db(u64::from(scope.db))?;
    let options = SaveOptions {
        plain_from: store.settings().list_alone_bytes(),
    };
    // Of no slot: it tells what the access words mean.
    let view = Db::new(store, None, scope);
    let key_delay = server.config.rdb_key_save_delay();
    for slot in Slot::all() {
        let mut written = Ok(());
        let is_in = store.visit_slot(slot, scope.db, |entry| {
            if written.is_ok() {
                written = write_entry(&view, entry, options, out);
                delay(key_delay, &|| false);
            }
        });
        written?;
        if !is_in {
            // Never at the gate, but a snapshot without a slot would be worse than none.
            return Err(io::Error::other(format!("slot {slot} is in use")));
        }
    }
    Ok(())
}

fn write_entry(
    view: &Db<'_>,
    entry: &Entry,
    options: SaveOptions,
    out: &mut Writer<&mut Unfinished>,
) -> io::Result<()> {
    let policy = view.store().settings().policy();
    let access = entry.access();
    let info = KeyInfo {
        expiry_ms: entry.expiry(),
        idle_seconds: policy
            .is_lru()
            .then(|| view.idle_ms(access).unsigned_abs() / 1000),
        frequency: policy.is_lfu().then(|| view.frequency(access)),
    };
    out.key(entry.key(), value_type(entry.value()), info)?;
    save_value(entry.value(), options, out)
}
