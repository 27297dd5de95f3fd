//! nodes.conf on disk: locked, read, and replaced whole.

use crate::cluster::nodes_conf::{self, ConfError, NodesConf};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why nodes.conf cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodesFileError {
    /// The file cannot be opened, read or locked.
    #[error("cannot use {path}: {source}; check cluster-config-file, dir and their permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another node has it.
    #[error("{path} is in use by another node; give each node its own cluster-config-file or dir")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It is not a nodes.conf.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what to do.
        source: ConfError,
    },
}

/// nodes.conf, locked for as long as this lives.
///
/// The lock is on the file itself, as Redis's is, so neither of the two starts on the other's.
/// Each new version is locked before it takes the old one's name.
#[derive(Debug)]
pub(super) struct NodesFile {
    path: PathBuf,
    locked: File,
}

impl NodesFile {
    /// Locks the file and reads it. `None` is a file that is new or empty: Redis leaves an empty
    /// one if it is killed right after its first start.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<NodesConf>), NodesFileError> {
        let io = |source| NodesFileError::Io {
            path: path.to_owned(),
            source,
        };
        let locked = loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(io)?;
            lock(&file, path)?;
            // Between opening and locking, its owner may have replaced it and gone.
            let same = std::fs::metadata(path).and_then(|named| {
                let opened = file.metadata()?;
                Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
            });
            if same.unwrap_or(false) {
                break file;
            }
        };
        let mut text = Vec::new();
        let mut reader = (&locked).take(nodes_conf::BYTES_MAX);
        reader.read_to_end(&mut text).map_err(io)?;
        let conf = if text.is_empty() {
            None
        } else {
            let conf = NodesConf::parse(&text).map_err(|source| NodesFileError::Damaged {
                path: path.to_owned(),
                source,
            })?;
            Some(conf)
        };
        let file = Self {
            path: path.to_owned(),
            locked,
        };
        Ok((file, conf))
    }

    /// Replaces the file: whoever reads it, at whatever moment the machine stops, finds the old
    /// or the new text whole.
    pub(super) fn replace(&mut self, text: &str) -> io::Result<()> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::from(io::ErrorKind::ResourceBusy),
        })?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.locked = file;
        // The name is durable once the directory is.
        let directory = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn lock(file: &File, path: &Path) -> Result<(), NodesFileError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => NodesFileError::Locked {
            path: path.to_owned(),
        },
        TryLockError::Error(source) => NodesFileError::Io {
            path: path.to_owned(),
            source,
        },
    })
}
