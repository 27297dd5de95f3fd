//! Telling whoever started us that we are ready: systemd's notification protocol, one datagram
//! to the socket that `NOTIFY_SOCKET` names. The parent of a daemon listens for it as well.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::daemon;
use crate::config::Config;

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Whether systemd, or what speaks its protocol, wants to be told how the node is. As for
/// redis-server, such a node stays in the foreground, whatever `daemonize` says.
pub fn is_supervised(config: &Config) -> bool {
    matches!(config.supervised(), "systemd" | "auto")
        && env::var_os(SOCKET_VARIABLE).is_some()
        // A daemon's socket is its parent's.
        && !daemon::is_daemon()
}

/// Says that clients are served now: to the service manager, or to a daemon's parent, which waits
/// for that and ends.
pub fn tell_ready(config: &Config) {
    if is_supervised(config) || daemon::is_daemon() {
        tell("READY=1\nSTATUS=Ready to accept connections\n");
    } else if config.supervised() == "systemd" {
        tracing::warn!("systemd supervision requested, but {SOCKET_VARIABLE} is not set");
    }
}

/// Says that the node is shutting down, to the service manager alone: nobody else is there by now.
pub fn tell_stopping(config: &Config) {
    if is_supervised(config) {
        tell("STOPPING=1\nSTATUS=Shutting down\n");
    }
}

fn tell(message: &str) {
    if let Err(error) = send(message) {
        tracing::warn!("The service manager could not be told: {error}");
    }
}

fn send(message: &str) -> io::Result<()> {
    let Some(name) = env::var_os(SOCKET_VARIABLE) else {
        return Ok(());
    };
    let address = address(name.as_bytes())?;
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

/// `@name` is an abstract socket, anything else a path.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsString::from_vec(name.to_vec())),
    }
}

/// A socket for a child to tell us on, and the value of `NOTIFY_SOCKET` that leads to it.
pub(super) fn listen() -> io::Result<(UnixDatagram, String)> {
    let name = format!("slotilla-{}-{:016x}", std::process::id(), fastrand::u64(..));
    let address = SocketAddr::from_abstract_name(name.as_bytes())?;
    Ok((UnixDatagram::bind_addr(&address)?, format!("@{name}")))
}

/// The variable that leads a child to the socket.
pub(super) const fn variable() -> &'static str {
    SOCKET_VARIABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_by_abstract_name_and_by_path() {
        let (socket, name) = listen().unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender
            .send_to_addr(b"READY=1", &address(name.as_bytes()).unwrap())
            .unwrap();
        let mut message = [0; 16];
        assert_eq!(socket.recv(&mut message).unwrap(), 7);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let address = address(path.as_os_str().as_bytes()).unwrap();
        sender.send_to_addr(b"READY=1", &address).unwrap();
        assert_eq!(socket.recv(&mut message).unwrap(), 7);
    }
}
