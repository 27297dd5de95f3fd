//! `daemonize yes`.
//!
//! The process starts the same program again, in a session of its own and without the terminal,
//! and waits until that one serves clients. So a start that fails (a port in use, say) fails in
//! the foreground, with its message, where redis-server would have gone silent.

use std::env;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::notify;

/// Marks the new run as the daemon.
const MARK: &str = "SLOTILLA_DAEMON_OF";
/// How often the parent looks whether the daemon still runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What `daemonize` has come to.
#[derive(Debug)]
pub enum Started {
    /// This process is the daemon: go on.
    Daemon,
    /// The daemon runs with this pid; this process has nothing left to do.
    Parent(u32),
}

/// Whether this process was started as a daemon. A node starts no programs, so nobody else
/// inherits the mark.
pub(super) fn is_daemon() -> bool {
    env::var_os(MARK).is_some()
}

/// Goes into the background. `args` are the program's arguments without its name.
///
/// # Errors
/// When the daemon could not be started, or ended before it was ready; the error holds what it
/// said.
pub fn daemonize(args: impl IntoIterator<Item = String>) -> io::Result<Started> {
    if is_daemon() {
        // Fails only for a leader of its group, which is detached already.
        let _ = rustix::process::setsid();
        return Ok(Started::Daemon);
    }
    let (ready, name) = notify::listen()?;
    ready.set_read_timeout(Some(LOOK_EVERY))?;
    let mut daemon = Command::new(env::current_exe()?)
        .args(args)
        .env(MARK, "yes")
        .env(notify::variable(), name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut message = [0; 64];
    loop {
        match ready.recv(&mut message) {
            Ok(_) => return Ok(Started::Parent(daemon.id())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if daemon.try_wait()?.is_some() {
            return Err(last_words(&mut daemon));
        }
    }
}

fn last_words(daemon: &mut Child) -> io::Error {
    let mut text = String::new();
    if let Some(mut errors) = daemon.stderr.take() {
        // What could be read is what there is to tell.
        let _ = errors.read_to_string(&mut text);
    }
    let text = match text.trim() {
        "" => "the daemon ended before it was ready; its log says why",
        text => text,
    };
    io::Error::other(text.to_owned())
}
