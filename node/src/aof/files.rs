//! The append-only files: where they are, and what is done to them so that none is ever half there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, ManifestError, Part};
use crate::config::{Config, Key};

/// Why the append-only files cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AofError {
    /// The system refuses something.
    #[error("{step} {}: {error}; see to the disk and the permissions of its directory, or set dir and appenddirname to another", path.display())]
    File {
        /// What was tried.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The manifest is none.
    #[error(
        "FATAL AOF MANIFEST FILE ERROR: {0}; put a copy that is whole in its place, or move the directory away to start without its data"
    )]
    Manifest(#[from] ManifestError),
    /// A file of the manifest is not there.
    #[error(
        "The append log file {0} doesn't exist: No such file or directory; put it back, or move the directory away to start without its data"
    )]
    Missing(String),
    /// A file ends in the middle of a command.
    #[error(
        "Unexpected end of file reading the append only file {0}. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server."
    )]
    Truncated(String),
    /// One that is not the last does.
    #[error(
        "Fatal error: the truncated file {0} is not the last file; make a backup, then use redis-check-aof --fix on the manifest"
    )]
    TruncatedWithin(String),
    /// It is not a sequence of commands.
    #[error(
        "Bad file format reading the append only file {name}: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>: {error}"
    )]
    Format {
        /// The file.
        name: String,
        /// What is wrong.
        error: crate::replication::apply::ApplyError,
    },
    /// It has something that this node does not.
    #[error(
        "Unknown command '{command}' reading the append only file {name}: this node does not have it"
    )]
    Unknown {
        /// The file.
        name: String,
        /// What.
        command: String,
    },
    /// A snapshot in it cannot be loaded, or one could not be written.
    #[error(transparent)]
    Load(#[from] crate::persistence::SnapshotError),
    /// The file of one could not be begun.
    #[error(transparent)]
    Save(#[from] crate::persistence::SaveError),
    /// One could not be written.
    #[error(transparent)]
    Base(#[from] crate::persistence::BaseError),
    /// There is no thread for it.
    #[error(
        "Starting a thread for the append-only file: {0}; raise the limit of processes (ulimit -u)"
    )]
    Thread(io::Error),
    /// The node was told to stop.
    #[error("The node was told to stop while it loaded the append-only file")]
    Stopped,
}

impl AofError {
    /// Whether what was written for `appendonly yes` was given up for `appendonly no`.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(self, Self::Base(error) if error.is_unwanted())
    }
}

/// The directory of the append-only files.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    path: PathBuf,
    /// What all names begin with.
    pub(super) file_name: String,
}

impl Directory {
    pub(super) fn of(config: &Config) -> Self {
        let text = |key| config.text(key);
        Self {
            path: config.dir().join(text(Key::Appenddirname)),
            file_name: text(Key::Appendfilename),
        }
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The old form: a single file, beside the directory.
    fn old_file(&self) -> PathBuf {
        self.path.with_file_name(&self.file_name)
    }

    fn manifest_name(&self) -> String {
        format!("{}.manifest", self.file_name)
    }

    pub(super) fn create(&self) -> Result<(), AofError> {
        match fs::create_dir(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path.is_dir() => {
                Ok(())
            }
            Err(error) => Err(self.fault("Creating the directory", &self.path)(error)),
        }
    }

    fn fault(&self, step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AofError + use<> {
        let path = path.to_owned();
        move |error| AofError::File { step, path, error }
    }

    /// What the manifest says; `None` if there is none. An old single file becomes the base of one.
    pub(super) fn open(&self) -> Result<Option<Manifest>, AofError> {
        let path = self.path_of(&self.manifest_name());
        let manifest = match fs::read(&path) {
            Ok(bytes) => Some(Manifest::parse(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.fault("Reading", &path)(error)),
        };
        let old = self.old_file();
        let is_old = old.is_file() && self.takes_old(manifest.as_ref());
        if !is_old {
            return Ok(manifest);
        }
        let manifest = Manifest {
            base: Some(Part {
                name: self.file_name.clone(),
                number: 1,
            }),
            ..Manifest::default()
        };
        self.create()?;
        self.save(&manifest)?;
        let target = self.path_of(&self.file_name);
        fs::rename(&old, &target).map_err(self.fault("Moving into its directory", &old))?;
        self.sync()?;
        tracing::info!(
            "Successfully migrated an old-style AOF configuration ({}) into the AOF directory ({}).",
            self.file_name,
            self.path.display()
        );
        Ok(Some(manifest))
    }

    /// Whether an old single file is the data: there is no manifest; or it names that file alone, for
    /// the move was not finished.
    fn takes_old(&self, manifest: Option<&Manifest>) -> bool {
        let Some(manifest) = manifest else {
            return true;
        };
        let names_it = |base: &Part| base.name == self.file_name;
        manifest.increments.is_empty()
            && manifest.base.as_ref().is_some_and(names_it)
            && !self.path_of(&self.file_name).exists()
    }

    /// Puts a manifest in the place of the one before, durably.
    pub(super) fn save(&self, manifest: &Manifest) -> Result<(), AofError> {
        let name = self.manifest_name();
        let (path, temporary) = (self.path_of(&name), self.path_of(&format!("temp_{name}")));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(manifest.text().as_bytes())?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(self.fault("Writing the manifest", &path))?;
        self.sync()
    }

    /// Makes names durable.
    fn sync(&self) -> Result<(), AofError> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(self.fault("Flushing", &self.path))
    }

    /// Opens a file to append to it, and says how long it is.
    pub(super) fn append_to(&self, part: &Part) -> Result<(File, u64), AofError> {
        let path = self.path_of(&part.name);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let opened = opened.and_then(|file| {
            let len = file.metadata()?.len();
            Ok((file, len))
        });
        opened.map_err(self.fault("Opening", &path))
    }

    pub(super) fn len_of(&self, part: &Part) -> u64 {
        fs::metadata(self.path_of(&part.name)).map_or(0, |about| about.len())
    }

    /// Opens a file of the manifest.
    pub(super) fn read(&self, part: &Part) -> Result<File, AofError> {
        let path = self.path_of(&part.name);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(AofError::Missing(part.name.clone()))
            }
            Err(error) => Err(self.fault("Reading", &path)(error)),
        }
    }

    /// What reading a file has failed with.
    pub(super) fn unreadable(&self, part: &Part, error: io::Error) -> AofError {
        self.fault("Reading", &self.path_of(&part.name))(error)
    }

    /// Cuts a file off.
    pub(super) fn truncate(&self, part: &Part, len: u64) -> Result<(), AofError> {
        let path = self.path_of(&part.name);
        let opened = OpenOptions::new().write(true).open(&path);
        let cut = opened.and_then(|file| {
            file.set_len(len)?;
            file.sync_all()
        });
        cut.map_err(self.fault("Truncating", &path))
    }

    /// Deletes what is history, and then forgets it.
    pub(super) fn forget_history(&self, manifest: &mut Manifest) -> Result<(), AofError> {
        if manifest.history.is_empty() {
            return Ok(());
        }
        for part in manifest.history.drain(..) {
            match fs::remove_file(self.path_of(&part.name)) {
                Ok(()) => {
                    tracing::info!("Removing the history file {} in the background", part.name)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!("Removing the history file {}: {error}", part.name),
            }
        }
        self.save(manifest)
    }
}
