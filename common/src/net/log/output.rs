//! Where lines go: standard output, or a file that may be moved away under us.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::LogError;
use crate::clock;

/// How often a line makes us look whether the file is still the one of that name.
const CHECK_EVERY_MS: i64 = 1000;

#[derive(Debug)]
pub(super) struct Output(Mutex<Sink>);

#[derive(Debug)]
enum Sink {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        checked_ms: i64,
    },
}

impl Output {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, LogError> {
        Ok(Self(Mutex::new(Sink::open(path)?)))
    }

    /// Goes on in another place. The old one stays in use when the new one cannot be opened.
    pub(super) fn change(&self, path: Option<&Path>) -> Result<(), LogError> {
        let sink = Sink::open(path)?;
        *self.0.lock() = sink;
        Ok(())
    }

    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let mut sink = self.0.lock();
        if let Sink::File { path, .. } = &*sink {
            let again = Sink::open(Some(path))?;
            *sink = again;
        }
        Ok(())
    }

    /// Writes one line by one system call, so that lines of several processes do not mix.
    /// A line that cannot be written is lost: there is nowhere left to say so.
    pub(super) fn write(&self, line: &str) {
        let mut sink = self.0.lock();
        sink.follow_the_name();
        let _ = match &mut *sink {
            Sink::Stdout => std::io::stdout().lock().write_all(line.as_bytes()),
            Sink::File { file, .. } => file.write_all(line.as_bytes()),
        };
    }
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self, LogError> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Ok(Self::File {
                path: path.to_owned(),
                file,
                checked_ms: clock::unix_ms(),
            }),
            Err(source) => Err(LogError {
                path: path.display().to_string(),
                source,
            }),
        }
    }

    /// Opens the file anew if its name no longer means the file that is open.
    fn follow_the_name(&mut self) {
        let Self::File {
            path,
            file,
            checked_ms,
        } = self
        else {
            return;
        };
        let now = clock::unix_ms();
        if now.abs_diff(*checked_ms) < CHECK_EVERY_MS.unsigned_abs() {
            return;
        }
        *checked_ms = now;
        let same = match (std::fs::metadata(&*path), file.metadata()) {
            (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
            _ => false,
        };
        if !same && let Ok(again) = Self::open(Some(path)) {
            *self = again;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moved_away_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let output = Output::open(Some(&path)).unwrap();
        output.write("one\n");
        std::fs::rename(&path, &old).unwrap();
        if let Sink::File { checked_ms, .. } = &mut *output.0.lock() {
            *checked_ms -= CHECK_EVERY_MS;
        }
        output.write("two\n");
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        std::fs::remove_file(&path).unwrap();
        output.reopen().unwrap();
        output.write("three\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_place_that_cannot_be_opened_leaves_the_old_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let output = Output::open(Some(&path)).unwrap();
        output.change(Some(&dir.path().join("no/log"))).unwrap_err();
        output.write("here\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "here\n");
    }
}
