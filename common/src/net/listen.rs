//! Listening sockets, bound as Redis's `bind`, `port`, `tcp-backlog` and `unixsocket` say.
//!
//! An element of `bind` is an address, a host name, `*` (every IPv4 address) or `::*` (every IPv6
//! address); with a `-` before it, an address that this machine does not have is passed over.
//! Families that the kernel does not know are always passed over, so that the default `* -::*`
//! works where IPv6 is off.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// Why a socket could not be opened. The text names the address and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A TCP address could not be bound.
    #[error("cannot listen on {address}: {}", explain(source, port_key))]
    Tcp {
        /// The address as asked for.
        address: String,
        /// The key that sets the port, for the remedy.
        port_key: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A host name in `bind` means nothing here.
    #[error(
        "cannot listen on {host}: the name has no address ({source}); use an address of this machine, or * for all"
    )]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// No element of `bind` could be used.
    #[error(
        "cannot listen: none of the addresses in bind ({bind}) exists on this machine; use * for all"
    )]
    NoAddress {
        /// The elements, as given.
        bind: String,
    },
    /// The Unix socket could not be opened.
    #[error("cannot listen on the Unix socket {path}: {reason}")]
    Unix {
        /// The path as given.
        path: PathBuf,
        /// What went wrong and what to do.
        reason: String,
    },
}

fn explain(error: &io::Error, port_key: &str) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => format!(
            "the port is in use by another process; stop that one, or choose another port with --{port_key}"
        ),
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, so choose a higher one with --{port_key}"
        ),
        Some(Errno::ADDRNOTAVAIL) => {
            "this machine has no such address; correct bind, or write -ADDRESS to pass over it when it is absent".to_owned()
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            "too many open files; raise the limit (ulimit -n, LimitNOFILE=)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// One element of `bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BindElement<'a> {
    host: &'a str,
    optional: bool,
}

impl<'a> BindElement<'a> {
    fn parse(text: &'a str) -> Self {
        match text.strip_prefix('-') {
            Some(host) => Self {
                host,
                optional: true,
            },
            None => Self {
                host: text,
                optional: false,
            },
        }
    }

    fn addresses(self, port: u16) -> Result<Vec<SocketAddr>, ListenError> {
        match self.host {
            "*" => Ok(vec![(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()]),
            "::*" => Ok(vec![(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into()]),
            host => {
                let found: Vec<SocketAddr> = (host, port)
                    .to_socket_addrs()
                    .map_err(|source| ListenError::Resolve {
                        host: host.to_owned(),
                        source,
                    })?
                    .collect();
                // A name with several addresses means its first, as in Redis.
                Ok(found.into_iter().take(1).collect())
            }
        }
    }
}

/// Opens a listener for each element of `bind`, or none at all if one of them fails.
///
/// `port_key` is the name of the key that set the port, for the error's remedy. The sockets do not
/// block, and are ready for `tokio::net::TcpListener::from_std`.
///
/// # Errors
/// When an address that is not optional cannot be bound, or when every one was passed over.
pub fn tcp<S: AsRef<str>>(
    bind: &[S],
    port: u16,
    backlog: i32,
    port_key: &'static str,
) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    for element in bind {
        let element = BindElement::parse(element.as_ref());
        for address in element.addresses(port)? {
            match open(address, backlog) {
                Ok(listener) => listeners.push(listener),
                Err(error) if passes_over(&error, element.optional) => {}
                Err(source) => {
                    let address = address.to_string();
                    return Err(ListenError::Tcp {
                        address,
                        port_key,
                        source,
                    });
                }
            }
        }
    }
    if listeners.is_empty() && !bind.is_empty() {
        let bind = bind.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        return Err(ListenError::NoAddress { bind });
    }
    Ok(listeners)
}

fn passes_over(error: &io::Error, optional: bool) -> bool {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRNOTAVAIL) => optional,
        Some(
            Errno::NOPROTOOPT
            | Errno::PROTONOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::PFNOSUPPORT
            | Errno::AFNOSUPPORT,
        ) => true,
        _ => false,
    }
}

fn open(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Or "* ::*" would ask for the same IPv4 port twice.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Opens a Unix socket, replacing a socket that an earlier process left at `path`.
///
/// # Errors
/// When the path cannot be used, or holds something that is not a socket (which is left alone).
pub fn unix(path: &Path, mode: Option<u32>, backlog: i32) -> Result<UnixListener, ListenError> {
    let failed = |reason: String| ListenError::Unix {
        path: path.to_owned(),
        reason,
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|e| {
                failed(format!(
                    "the old socket cannot be removed ({e}); check the directory's permissions"
                ))
            })?;
        }
        Ok(_) => {
            return Err(failed(
                "something that is not a socket is there; remove it, or choose another path with --unixsocket".to_owned(),
            ));
        }
        Err(_) => {}
    }
    open_unix(path, backlog)
        .and_then(|listener| {
            if let Some(mode) = mode {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            }
            Ok(listener)
        })
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => failed("its directory does not exist; create it".to_owned()),
            io::ErrorKind::PermissionDenied => {
                failed("permission denied; check who may write to the directory".to_owned())
            }
            io::ErrorKind::InvalidInput => {
                failed("the path is too long for a Unix socket (at most 107 bytes)".to_owned())
            }
            _ => failed(e.to_string()),
        })
}

fn open_unix(path: &Path, backlog: i32) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Prepares an accepted or outgoing TCP connection: no delay, and probes after `keepalive`
/// seconds of silence (0: none), so that a peer that vanished is noticed after about twice that.
///
/// # Errors
/// The system's, when the connection is already gone.
pub fn prepare<S: AsFd>(stream: &S, keepalive_seconds: u32) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    if keepalive_seconds > 0 {
        let idle = Duration::from_secs(keepalive_seconds.into());
        let interval = Duration::from_secs((keepalive_seconds / 3).max(1).into());
        let probes = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(interval)
            .with_retries(3);
        socket.set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_port() -> u16 {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap().port()
    }

    #[test]
    fn several_addresses_listen_on_one_port() {
        let port = free_port();
        let listeners = tcp(
            &["127.0.0.1", "127.0.0.2", "-198.51.100.1"],
            port,
            16,
            "port",
        )
        .unwrap();
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        assert_eq!(addresses.len(), 2, "{addresses:?}");
        for address in addresses {
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn the_default_bind_works_with_and_without_ipv6() {
        let port = free_port();
        let listeners = tcp(&["*", "-::*"], port, 16, "port").unwrap();
        assert!(!listeners.is_empty());
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_port_in_use_names_address_and_remedy() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = tcp(&["127.0.0.1"], port, 16, "admin-port")
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(
            error.contains("in use") && error.contains("--admin-port"),
            "{error}"
        );
    }

    #[test]
    fn an_absent_address_is_an_error_unless_optional() {
        let port = free_port();
        let error = tcp(&["198.51.100.1"], port, 16, "port")
            .unwrap_err()
            .to_string();
        assert!(error.contains("no such address"), "{error}");
        let error = tcp(&["-198.51.100.1"], port, 16, "port")
            .unwrap_err()
            .to_string();
        assert!(error.contains("none of the addresses"), "{error}");
        assert!(tcp::<&str>(&[], port, 16, "port").unwrap().is_empty());
    }

    #[test]
    fn a_failure_leaves_no_listener_behind() {
        let port = free_port();
        tcp(&["127.0.0.1", "198.51.100.1"], port, 16, "port").unwrap_err();
        TcpListener::bind(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_unix_socket_replaces_a_stale_one_but_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.sock");
        drop(unix(&path, None, 16).unwrap());
        assert!(path.exists(), "a socket stays when its process ends");
        let _again = unix(&path, Some(0o700), 16).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::os::unix::net::UnixStream::connect(&path).unwrap();

        let file = dir.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        let error = unix(&file, None, 16).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");

        let error = unix(&dir.path().join("no/where.sock"), None, 16)
            .unwrap_err()
            .to_string();
        assert!(error.contains("directory does not exist"), "{error}");
        let error = unix(&dir.path().join("x".repeat(200)), None, 16)
            .unwrap_err()
            .to_string();
        assert!(error.contains("too long"), "{error}");
    }

    #[test]
    fn connections_get_keepalive_and_no_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        prepare(&stream, 300).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(300)
        );
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(100)
        );
    }
}
