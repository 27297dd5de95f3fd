//! DEBUG LOADAOF: the data of the append-only files in the place of what there is.

use std::sync::Arc;

use super::files::{AofError, Directory};
use super::{finish, load};
use crate::persistence::Phase;
use crate::server::Server;
use crate::server::long::InLine;

/// Has all that was done on disk, deletes all keys and loads the files, as at a start. Clients hear
/// that data is being loaded. Not for a worker: it waits for the gate.
///
/// # Errors
/// The files cannot be loaded. The node stops, as it has but a part of its data; the reason is in the
/// log already.
pub fn reload(server: &Arc<Server>) -> Result<(), AofError> {
    let change = server.aof.change.lock();
    let still = server.replication.hold_still(true);
    let is_on = server.aof.is_on();
    let line = InLine::everything(server);
    server.gate.exclusive(None, |_| {
        server.persistence.progress.begin(0);
        server.persistence.set_phase(Phase::Loading);
        // What is loaded is not told to them.
        server.forget_replicas();
    });
    drop(line);
    finish(server);
    let loaded = load_anew(server, is_on);
    server.persistence.progress.end();
    drop((still, change));
    match &loaded {
        Ok(()) => {
            server.persistence.set_phase(Phase::Serving);
            tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
        }
        Err(error) => server.stop_because(&error.to_string()),
    }
    loaded
}

fn load_anew(server: &Arc<Server>, is_on: bool) -> Result<(), AofError> {
    let line = InLine::everything(server);
    let flushed = server.gate.exclusive(None, |_| server.store.flush(None));
    drop(line);
    // They are to come again: no change.
    server.persistence.forgive(flushed.keys() as u64);
    drop(flushed);
    let directory = Directory::of(&server.config);
    let manifest = load::load_files(server, &directory)?;
    if is_on {
        load::begin(server, &directory, manifest.unwrap_or_default())?;
    }
    Ok(())
}
