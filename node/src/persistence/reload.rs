//! DEBUG RELOAD: saves, and loads what was saved, at one instant for everybody else.

use std::sync::Arc;

use super::file::SaveError;
use super::load::{self, SnapshotError};
use super::save::save_at_gate;
use crate::server::Server;
use crate::server::gate::Gate;
use crate::server::long::InLine;

/// What DEBUG RELOAD is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Writes the file first. Without, it is loaded as it is.
    pub saves: bool,
    /// Deletes all keys before it loads.
    pub flushes: bool,
    /// Keys of the file take the place of those that are there, rather than being an error.
    pub merges: bool,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The snapshot could not be written. Nothing has changed.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// It could not be read. Nothing has changed if that shows at its beginning; otherwise the node
    /// stops, as it has but a part of its data.
    #[error(transparent)]
    Load(#[from] SnapshotError),
}

/// Saves, deletes and loads all data, as the options say. Not for a worker: it waits for the gate.
///
/// # Errors
/// See [`ReloadError`]. It is in the log already.
pub fn reload(server: &Arc<Server>, options: Reload) -> Result<(), ReloadError> {
    let still = server.replication.hold_still(!Gate::is_closed_here());
    let in_line = InLine::everything(server);
    let reloaded = server.gate.exclusive(None, |gate| {
        if options.saves {
            save_at_gate(server, gate, still.as_ref())?;
        }
        let snapshot =
            load::open(&server.config).inspect_err(|error| tracing::error!("{error}"))?;
        if options.flushes {
            flush(server);
        }
        // What it says of its history is no news.
        let _position = load::load(server, snapshot, options.merges)
            .inspect_err(|error| server.stop_because(&error.to_string()))?;
        Ok(())
    });
    drop((in_line, still));
    if reloaded.is_ok() {
        tracing::warn!("DB reloaded by DEBUG RELOAD");
    }
    reloaded
}

/// Deletes all keys, for the file's to come: no change.
fn flush(server: &Server) {
    let flushed = server.store.flush(None);
    server.persistence.forgive(flushed.keys() as u64);
}
