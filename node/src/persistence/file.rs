//! The snapshot's file: it is written under a temporary name, and gets its own when it is whole and
//! on disk. Whatever fails before, the old file is there as it was.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// As many bytes are left to the system at most before they are flushed to disk, so that the end of
/// a large file does not take long.
const UNSYNCED_MAX: u64 = 32 * 1024 * 1024;

/// Why a snapshot could not be written.
#[derive(Debug, thiserror::Error)]
#[error("Saving: {step} {}: {error}; {}. {OLD_FILE}", path.display(), remedy(error))]
pub struct SaveError {
    step: &'static str,
    path: PathBuf,
    error: io::Error,
}

const OLD_FILE: &str = "The snapshot that was there before, if any, is unchanged";

/// What to do about an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on its disk, or set dir to a directory of another"
        }
        io::ErrorKind::FileTooLarge => "raise the limit of a file's size (ulimit -f)",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the server's user write to the directory, or set dir to another one"
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "make the directory, or set dir to one that is there"
        }
        io::ErrorKind::IsADirectory => {
            "move that directory away, or set dbfilename to another name"
        }
        _ => "see to the disk, or set dir to a directory of another",
    }
}

/// A file under its temporary name, which is deleted unless it gets its own.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    unsynced: u64,
    syncs_in_steps: bool,
    is_finished: bool,
}

impl Unfinished {
    /// Begins a file that will be `target`, and is called `name` beside it until then. `syncs_in_steps` is `rdb-save-incremental-fsync`.
    pub(super) fn create(
        target: &Path,
        name: &str,
        syncs_in_steps: bool,
    ) -> Result<Self, SaveError> {
        let temporary = target.with_file_name(name);
        let file = File::create(&temporary).map_err(|error| SaveError {
            step: "creating",
            path: temporary.clone(),
            error,
        })?;
        // Tells whoever looks for leftovers that it is none. Not all file systems have locks.
        let _locked = file.try_lock();
        Ok(Self {
            file,
            temporary,
            target: target.to_owned(),
            unsynced: 0,
            syncs_in_steps,
            is_finished: false,
        })
    }

    /// What it is to say that writing has failed.
    pub(super) fn failed(&self, error: io::Error) -> SaveError {
        SaveError {
            step: "writing",
            path: self.temporary.clone(),
            error,
        }
    }

    /// Has the disk have all of it.
    pub(super) fn flush_to_disk(&self) -> Result<(), SaveError> {
        self.file.sync_all().map_err(|error| SaveError {
            step: "flushing",
            path: self.temporary.clone(),
            error,
        })
    }

    /// Gives it its name, durably.
    pub(super) fn finish(mut self) -> Result<(), SaveError> {
        self.flush_to_disk()?;
        let temporary = &self.temporary;
        let fault = |step, path: &Path| {
            let path = path.to_owned();
            move |error| SaveError { step, path, error }
        };
        let renaming = fault("replacing", &self.target);
        fs::rename(temporary, &self.target).map_err(renaming)?;
        self.is_finished = true;
        // The name is durable once the directory is.
        let directory = self.target.parent().unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(fault("flushing", directory))
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced = self.unsynced.saturating_add(written as u64);
        if self.syncs_in_steps && self.unsynced >= UNSYNCED_MAX {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // The next one takes the same name, so it is in nobody's way.
            let _removed = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let files = fs::read_dir(dir).unwrap();
        let name = |file: io::Result<fs::DirEntry>| file.unwrap().file_name();
        files
            .map(|file| name(file).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_has_its_name_once_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("dump.rdb");
        fs::write(&target, "old").unwrap();
        let mut file = Unfinished::create(&target, "temp-1.rdb", true).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["dump.rdb"]);
    }

    #[test]
    fn what_is_not_finished_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("dump.rdb");
        fs::write(&target, "old").unwrap();
        let mut file = Unfinished::create(&target, "temp-1.rdb", false).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(names(dir.path()), ["dump.rdb"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn an_error_names_the_file_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("gone/dump.rdb");
        let error = Unfinished::create(&target, "temp-1.rdb", false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("gone/temp-"), "{error}");
        assert!(error.contains("make the directory"), "{error}");
        let target = dir.path().join("a directory");
        fs::create_dir_all(target.join("that is not empty")).unwrap();
        let file = Unfinished::create(&target, "temp-1.rdb", false).unwrap();
        let error = file.finish().unwrap_err().to_string();
        assert!(error.contains("replacing"), "{error}");
        assert!(error.contains("move that directory away"), "{error}");
        assert_eq!(names(dir.path()), ["a directory"]);
    }
}
