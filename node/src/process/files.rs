//! The pid file, and as many open files as the clients need.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Key};

/// Files that the node itself needs open besides its clients: listeners, bus links, logs.
const OWN_FILES: u64 = 32;

/// The file with the process id, removed when this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes the file, if the configuration asks for one. One that cannot be written is warned
    /// of and no reason to stop, as for redis-server.
    #[must_use]
    pub fn create(config: &Config) -> Option<Self> {
        let path = config.pidfile()?;
        match fs::write(&path, pid_line()) {
            Ok(()) => Some(Self { path }),
            Err(error) => {
                tracing::warn!("Cannot write the pid file {}: {error}", path.display());
                None
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another node may have been given the same path since.
        if fs::read_to_string(&self.path).is_ok_and(|line| line == pid_line()) {
            // A file that is gone already is what we want.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn pid_line() -> String {
    format!("{}\n", std::process::id())
}

/// Raises the limit of open files to what `maxclients` needs, now and whenever it changes. Where
/// the system allows fewer, `maxclients` is lowered at the start, and refused later.
pub fn limit_clients(config: &Config) {
    let wanted = config.size(Key::Maxclients);
    let possible = raise_open_files(wanted);
    if possible < wanted {
        tracing::warn!(
            "maxclients is {possible} and not {wanted}: the system allows no more open files. \
             Raise its limit (ulimit -n, LimitNOFILE=) to {} for as many clients",
            wanted.saturating_add(OWN_FILES),
        );
        let possible = possible.max(1).to_string();
        if let Err(error) = config.set(&[(b"maxclients", possible.as_bytes())], true) {
            tracing::warn!("{error}");
        }
    }
    config.on_change(
        &[Key::Maxclients],
        Box::new(|config| {
            let wanted = config.size(Key::Maxclients);
            match raise_open_files(wanted) {
                possible if possible < wanted => Err(format!(
                    "The operating system is not able to handle the specified number of clients, try with {possible}"
                )),
                _ => Ok(()),
            }
        }),
    );
}

/// Raises the soft limit for so many clients, and the hard one if we may; gives how many fit.
fn raise_open_files(clients: u64) -> u64 {
    let wanted = clients.saturating_add(OWN_FILES);
    let now = getrlimit(Resource::Nofile);
    let Some(soft) = now.current.filter(|soft| *soft < wanted) else {
        return clients;
    };
    // Root may exceed the hard limit; others go up to it.
    let hard = now.maximum.map_or(wanted, |hard| hard.max(wanted));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: Some(hard),
        },
    );
    if raised.is_ok() {
        return clients;
    }
    let most = now.maximum.unwrap_or(wanted).min(wanted);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(most),
            ..now
        },
    );
    let have = if raised.is_ok() { most } else { soft };
    have.saturating_sub(OWN_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &[&str]) -> Config {
        Config::load(args.iter().map(|arg| (*arg).to_owned())).unwrap()
    }

    #[test]
    fn the_pid_file_comes_and_goes_but_not_another_s() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.pid");
        let config = load(&["--pidfile", path.to_str().unwrap()]);
        let file = PidFile::create(&config).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), pid_line());
        drop(file);
        assert!(!path.exists());

        let file = PidFile::create(&config).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
        assert!(PidFile::create(&load(&[])).is_none());
        assert!(PidFile::create(&load(&["--pidfile", "/nonexistent/x"])).is_none());
    }

    #[test]
    fn open_files_are_raised_for_the_clients() {
        let config = load(&["--maxclients", "600"]);
        limit_clients(&config);
        assert_eq!(config.maxclients(), 600);
        let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(soft >= 632, "{soft}");
        // No kernel has so many.
        let most = "4294967295";
        let error = config
            .set(&[(b"maxclients", most.as_bytes())], true)
            .unwrap_err();
        assert!(
            error.to_string().contains("is not able to handle"),
            "{error}"
        );
        assert_eq!(config.maxclients(), 600);
    }
}
