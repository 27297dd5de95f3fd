//! SAVE: all data into the snapshot's file.
//!
//! The data is written at the gate: it is that of one instant, and all clients wait, as they do in
//! Redis. They do not wait for the disk to have it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use slotilla_common::rdb::{KeyInfo, Writer};
use slotilla_common::slot::Slot;
use slotilla_common::{alloc, clock};

use super::file::{SaveError, Unfinished};
use super::{Phase, delay, path};
use crate::commands::connection::REDIS_VERSION;
use crate::config::Config;
use crate::rdb::{SaveOptions, save as save_value, value_type};
use crate::server::Server;
use crate::server::gate::Exclusive;
use crate::server::long::InLine;
use crate::store::{Db, Entry, Scope};

/// Writes a snapshot of all data. Not for a worker: it waits for the gate, and for the disk.
///
/// # Errors
/// It could not be written, which is in the log already.
pub fn save(server: &Arc<Server>) -> Result<(), SaveError> {
    server.persistence.saves.fetch_add(1, Ordering::Relaxed);
    let turn = InLine::everything(server);
    let written = server.gate.exclusive(None, |gate| write(server, gate));
    drop(turn);
    told(written.and_then(Written::finish))
}

/// As [`save`]; and from the snapshot's instant on, nothing changes any more: the node stops. With
/// `even_if_it_fails` that is so, too, if it could not be written.
///
/// # Errors
/// It could not be written, which is in the log already.
pub fn save_and_close(server: &Arc<Server>, even_if_it_fails: bool) -> Result<(), SaveError> {
    let turn = InLine::everything(server);
    let saved = server.gate.exclusive(None, |gate| {
        let saved = save_at_gate(server, gate);
        if saved.is_ok() || even_if_it_fails {
            server.persistence.set_phase(Phase::Closed);
            server.shutdown.cancel();
        }
        saved
    });
    drop(turn);
    saved
}

/// Writes a snapshot, and comes back when it is on disk: for who has the gate longer.
pub(super) fn save_at_gate(server: &Server, gate: &Exclusive) -> Result<(), SaveError> {
    told(write(server, gate).and_then(Written::finish))
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
        }
        drop(self.writing);
        finished
    }
}

/// Writes all data under the temporary name.
fn write<'s>(server: &'s Server, _gate: &Exclusive) -> Result<Written<'s>, SaveError> {
    // Who has it waits for the disk alone, not for the gate.
    let writing = server.persistence.writing.lock();
    let config = &server.config;
    let changes = server.store.counters().changes;
    let mut file = Unfinished::create(&path(config), config.rdb_save_incremental_fsync())?;
    let written = write_all(server, config, &mut file);
    written.map_err(|error| file.failed(error))?;
    Ok(Written {
        server,
        file,
        changes,
        writing,
    })
}

fn write_all(server: &Server, config: &Config, file: &mut Unfinished) -> io::Result<()> {
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
    out.begin()?;
    for (name, value) in [
        ("redis-ver", REDIS_VERSION.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", (now_ms / 1000).to_string()),
        ("used-mem", alloc::used_bytes().to_string()),
        ("aof-base", "0".to_owned()),
    ] {
        out.aux(name.as_bytes(), value.as_bytes())?;
    }
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
    out.resize_db(totals.keys, totals.expires)?;
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
                delay(key_delay);
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
