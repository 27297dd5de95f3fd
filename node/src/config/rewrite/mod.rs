//! CONFIG REWRITE: the file, changed as little as possible to say what the values are now.
//!
//! A setting that the file already says stays as it was written, comment, unit and all. One that
//! differs is changed in its place; one that the file does not name is added at the end, unless
//! it has its default. Comments, order and unknown lines stay. The new file replaces the old one
//! in one step, so there is always a whole one.

mod conf;
mod toml;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(super) use toml::to_toml;

use super::value::system_text;
use super::{Config, Form, Values};

/// Why the file was not rewritten. The text is Redis's, after `ERR `.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The node started without a file.
    #[error("The server is running without a config file")]
    NoFile,
    /// It cannot be read or written.
    #[error("Rewriting config file: {}", system_text(.0))]
    Io(#[from] io::Error),
    /// A TOML file holds only text, and the value is none.
    #[error("Rewriting config file: the value of {0} is not UTF-8, which TOML cannot hold")]
    NotText(&'static str),
    /// Somebody made it unreadable since the start.
    #[error("Rewriting config file: {0}")]
    Unreadable(String),
}

/// What the file is to say.
struct Wanted<'a> {
    values: &'a Values,
    defaults: &'a Values,
    /// Name everything, defaults too.
    everything: bool,
}

impl Config {
    /// Rewrites the file that the node was started with.
    ///
    /// # Errors
    /// When there is none, or it cannot be read or replaced. The old one stays then.
    pub fn rewrite(&self) -> Result<(), RewriteError> {
        self.rewrite_file(false)
    }

    /// As [`Self::rewrite`], naming every directive (DEBUG CONFIG-REWRITE-FORCE-ALL).
    ///
    /// # Errors
    /// As [`Self::rewrite`].
    pub fn rewrite_all(&self) -> Result<(), RewriteError> {
        self.rewrite_file(true)
    }

    fn rewrite_file(&self, everything: bool) -> Result<(), RewriteError> {
        let file = self.file.as_ref().ok_or(RewriteError::NoFile)?;
        let _writer = self.writer.lock();
        let values = self.values.load_full();
        let wanted = Wanted {
            values: &values,
            defaults: &self.defaults,
            everything,
        };
        let old = match fs::read(&file.path) {
            // It may have been removed since: then it is written anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let new = match file.form {
            Form::Conf => conf::rewritten(&old, &wanted),
            Form::Toml => toml::rewritten(&old, &wanted)?,
        };
        if new != old {
            replace(&file.path, &new)?;
        }
        Ok(())
    }
}

/// Puts a new file in the place of the old one, with its permissions, in one step.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // Behind a symbolic link, the file itself is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().unwrap_or(Path::new("/"));
    let temporary = temporary_name(&path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        // It may not be there at all; then there is nothing to remove.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests;
