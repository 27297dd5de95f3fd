//! Accepts connections and deals them out to the workers.
//!
//! One task per listening socket, on the main thread. Each connection goes to the worker that has
//! fewest, so four connections on two threads are two and two.

use slotilla_common::net::listen;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

use super::Server;
use super::client::Introduction;
use super::connection::Accepted;
use super::socket::Raw;
use super::worker::Inbox;

/// A listening socket, in non-blocking mode.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix domain, with its path.
    Unix(std::os::unix::net::UnixListener, String),
}

/// How long accepting rests when the process has no file descriptors left: connections wait in
/// the kernel's backlog meanwhile.
const EXHAUSTED_REST: Duration = Duration::from_millis(100);

/// Accepts from `listener` until the server shuts down.
///
/// # Errors
/// The runtime could not watch the socket.
pub async fn accept(
    server: Arc<Server>,
    listener: Listener,
    inboxes: Arc<[Inbox]>,
) -> io::Result<()> {
    match listener {
        Listener::Tcp(socket) => {
            let socket = TcpListener::from_std(socket)?;
            loop {
                let accepted = tokio::select! {
                    accepted = socket.accept() => accepted,
                    () = server.shutdown.cancelled() => return Ok(()),
                };
                let introduced = accepted
                    .and_then(|(stream, peer)| introduce_tcp(&server, stream.into_std()?, peer));
                deal(&server, &inboxes, introduced).await;
            }
        }
        Listener::Unix(socket, path) => {
            let socket = UnixListener::from_std(socket)?;
            loop {
                let accepted = tokio::select! {
                    accepted = socket.accept() => accepted,
                    () = server.shutdown.cancelled() => return Ok(()),
                };
                let introduced =
                    accepted.and_then(|(stream, _)| Ok(introduce_unix(stream.into_std()?, &path)));
                deal(&server, &inboxes, introduced).await;
            }
        }
    }
}

/// Admits a connection, or waits a little if there is no room for any.
async fn deal(
    server: &Server,
    inboxes: &[Inbox],
    introduced: io::Result<(Accepted, Option<IpAddr>)>,
) {
    match introduced {
        Ok((accepted, peer)) => admit(server, inboxes, accepted, peer),
        Err(error) if is_exhausted(&error) => {
            tracing::warn!(
                "Accepting a client connection: {error}; raise the limit of open files (ulimit \
                 -n) or lower maxclients"
            );
            tokio::time::sleep(EXHAUSTED_REST).await;
        }
        // The peer was gone before we took it.
        Err(error) => tracing::debug!("Accepting a client connection: {error}"),
    }
}

fn introduce_unix(
    stream: std::os::unix::net::UnixStream,
    path: &str,
) -> (Accepted, Option<IpAddr>) {
    let introduction = Introduction {
        addr: format!("{path}:0").into(),
        laddr: format!("{path}:0").into(),
        fd: stream.as_raw_fd(),
        unix_socket: true,
    };
    (
        Accepted {
            socket: Raw::Unix(stream),
            introduction,
        },
        None,
    )
}

fn is_exhausted(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no ErrorKind of their own.
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOBUFS)
    )
}

fn introduce_tcp(
    server: &Server,
    stream: std::net::TcpStream,
    peer: SocketAddr,
) -> io::Result<(Accepted, Option<IpAddr>)> {
    listen::prepare(&stream, server.config.tcp_keepalive())?;
    let introduction = Introduction {
        addr: peer.to_string().into(),
        laddr: stream.local_addr()?.to_string().into(),
        fd: stream.as_raw_fd(),
        unix_socket: false,
    };
    Ok((
        Accepted {
            socket: Raw::Tcp(stream),
            introduction,
        },
        Some(peer.ip()),
    ))
}

/// Hands a connection to the worker with fewest, or refuses it.
fn admit(server: &Server, inboxes: &[Inbox], accepted: Accepted, peer: Option<IpAddr>) {
    server.stats.connections.fetch_add(1, Ordering::Relaxed);
    if let Some(refusal) = refusal(server, inboxes, peer) {
        refuse(server, &accepted, refusal);
        return;
    }
    let fewest = inboxes
        .iter()
        .min_by_key(|inbox| inbox.connections.load(Ordering::Relaxed));
    if !fewest.is_some_and(|inbox| inbox.deliver(accepted)) {
        server
            .stats
            .rejected_connections
            .fetch_add(1, Ordering::Relaxed);
    }
}

fn refusal(server: &Server, inboxes: &[Inbox], peer: Option<IpAddr>) -> Option<&'static str> {
    // Those on their way to their worker count, so a burst cannot slip through.
    let open: usize = inboxes
        .iter()
        .map(|inbox| inbox.connections.load(Ordering::Relaxed))
        .sum();
    if open >= server.config.maxclients() {
        return Some(if server.config.cluster_enabled() {
            "-ERR max number of clients + cluster connections reached\r\n"
        } else {
            "-ERR max number of clients reached\r\n"
        });
    }
    let outside = peer.is_some_and(|ip| !ip.to_canonical().is_loopback());
    if outside && server.config.protected_mode() && !server.config.has_password() {
        return Some(
            "-DENIED Redis is running in protected mode: no password is set, so only clients on \
             this machine are let in. Set a password (requirepass) or, if the network is \
             trusted, turn the protection off (protected-mode no); from this machine, CONFIG SET \
             does either without a restart.\r\n",
        );
    }
    None
}

/// Says why and closes. One attempt: a new socket takes a line, and nobody waits for this.
fn refuse(server: &Server, accepted: &Accepted, text: &str) {
    use std::io::Write;
    server
        .stats
        .rejected_connections
        .fetch_add(1, Ordering::Relaxed);
    let sent = match &accepted.socket {
        Raw::Tcp(stream) => (&mut &*stream).write(text.as_bytes()),
        Raw::Unix(stream) => (&mut &*stream).write(text.as_bytes()),
    };
    tracing::debug!(
        "Refused {}: {} ({sent:?})",
        accepted.introduction.addr,
        text.trim_end()
    );
}
