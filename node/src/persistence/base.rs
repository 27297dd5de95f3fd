//! All data as an append-only file begins with it: a snapshot of one instant or, without
//! `aof-use-rdb-preamble`, commands.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::commands;
use super::file::{SaveError, Unfinished};
use super::stream::{Interrupted, Marked, Pace};
use crate::config::Key;
use crate::server::Server;
use crate::server::gate::Exclusive;

/// The data of one instant, which is to be written still.
#[derive(Debug)]
pub struct Base {
    file: Unfinished,
    /// `None` if all of it is in the file.
    marked: Option<Marked>,
}

/// Why there is no base.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// It was given up.
    #[error("Writing the data of the append-only file: {0}")]
    Interrupted(Interrupted),
}

impl BaseError {
    /// Whether nobody wants it any longer, and nothing is wrong.
    #[must_use]
    pub fn is_unwanted(&self) -> bool {
        matches!(self, Self::Interrupted(Interrupted::Unwanted))
    }

    /// Whether all keys were deleted meanwhile.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Self::Interrupted(Interrupted::Abandoned))
    }
}

impl Base {
    /// Begins a base of what there is now, in a file that will be `target`; `None` if another
    /// snapshot is under way. Commands are written here and now, while all clients wait.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn begin(
        server: &Arc<Server>,
        gate: &Exclusive,
        target: &Path,
    ) -> Result<Option<Self>, SaveError> {
        let config = &server.config;
        let name = format!("temp-rewriteaof-bg-{}.aof", std::process::id());
        let mut file =
            Unfinished::create(target, &name, config.flag(Key::AofRewriteIncrementalFsync))?;
        if config.flag(Key::AofUseRdbPreamble) {
            let marked = Marked::new(server, gate, None).map(Marked::as_base);
            return Ok(marked.map(|marked| Self {
                file,
                marked: Some(marked),
            }));
        }
        let written = commands::write_all(server, &mut file);
        written.map_err(|error| file.failed(error))?;
        Ok(Some(Self { file, marked: None }))
    }

    /// Writes the data of that instant, while it changes, and has the file get its name, durably;
    /// unless `is_off`.
    ///
    /// # Errors
    /// It could not be written, or was given up.
    pub fn finish(self, is_off: impl Fn() -> bool) -> Result<(), BaseError> {
        let Self { mut file, marked } = self;
        if let Some(marked) = marked {
            let written = marked.write(&Pace::default(), &is_off, |piece| file.write_all(piece));
            written.map_err(|error| match error {
                Interrupted::Io(error) => BaseError::Save(file.failed(error)),
                given_up => BaseError::Interrupted(given_up),
            })?;
        }
        Ok(file.finish()?)
    }
}
