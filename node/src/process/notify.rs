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

/// Says that clients are served now, if somebody wants to know: systemd under `supervised systemd`
/// or `auto`, the parent under `daemonize`.
pub fn tell_ready(config: &Config) {
    tell(config, "READY=1\nSTATUS=Ready to accept connections\n");
}

/// Says that the node is shutting down.
pub fn tell_stopping(config: &Config) {
    tell(config, "STOPPING=1\nSTATUS=Shutting down\n");
}

fn tell(config: &Config, message: &str) {
    let supervised = matches!(config.supervised(), "systemd" | "auto");
    if !supervised && !daemon::is_daemon() {
        return;
    }
    match send(message) {
        Ok(true) => {}
        // `auto` means: systemd if it is there.
        Ok(false) if config.supervised() == "systemd" => {
            tracing::warn!("systemd supervision requested, but NOTIFY_SOCKET is not set");
        }
        Ok(false) => {}
        Err(error) => tracing::warn!("The service manager could not be told: {error}"),
    }
}

/// Sends the message; false if nobody wants to know.
fn send(message: &str) -> io::Result<bool> {
    let Some(name) = env::var_os(SOCKET_VARIABLE) else {
        return Ok(false);
    };
    let address = address(name.as_bytes())?;
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(true)
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
