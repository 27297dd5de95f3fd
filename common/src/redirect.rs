//! What a node says when a command cannot run there, or not now; parsed and printed.
//!
//! ```text
//! MOVED 3999 127.0.0.1:6381      the slot lives there: learn it
//! ASK 3999 cache-1.example:6381  this one command goes there, after ASKING
//! MOVED 3999 :6381               the same host as this node's
//! TRYAGAIN …, CLUSTERDOWN …, LOADING …
//! ```

use std::fmt;

use crate::slot::Slot;

/// How a node names the host of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An empty or null endpoint: the host under which the node that was asked is known.
    Same,
    /// `?`: the node is to be named by a hostname but has told none yet. Not reachable.
    Unknown,
    /// An IP address or a hostname.
    Name(Box<str>),
}

/// Where a node can be reached, as another one tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port for clients.
    pub port: u16,
}

impl Host {
    /// Reads a host as it stands in a redirection or in a CLUSTER reply.
    #[must_use]
    pub fn from_wire(host: &str) -> Self {
        match host {
            "" => Self::Same,
            "?" => Self::Unknown,
            name => Self::Name(name.into()),
        }
    }
}

impl Endpoint {
    /// Reads `host:port`. The last colon counts, since IPv6 addresses stand without brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self {
            host: Host::from_wire(host),
            port: port.parse().ok().filter(|port| *port != 0)?,
        })
    }

    /// Host and port to connect to, told by the node known as `asked`. `None` if the host is
    /// not known.
    #[must_use]
    pub fn resolve(&self, asked: &str) -> Option<(Box<str>, u16)> {
        let host = match &self.host {
            Host::Same => asked.into(),
            Host::Unknown => return None,
            Host::Name(name) => name.clone(),
        };
        Some((host, self.port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Same => write!(f, ":{}", self.port),
            Host::Unknown => write!(f, "?:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// An error reply that says: elsewhere, or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// The slot is owned by another node, for good.
    Moved(Slot, Endpoint),
    /// The slot is on its way to another node, and the key may be there already: send ASKING
    /// and this one command.
    Ask(Slot, Endpoint),
    /// Some of the command's keys have moved on already and some not: later.
    TryAgain,
    /// The cluster, or the slot, has no one to serve it.
    ClusterDown,
    /// The node is still reading its data from disk.
    Loading,
    /// A replica that has lost its primary and may not serve stale data.
    PrimaryDown,
    /// A replica, asked to write what has no key to tell where it belongs.
    ReadOnly,
}

impl Redirect {
    /// Understands the text of an error reply, without its `-` and line end. `None` for any
    /// error that is the command's own result.
    #[must_use]
    pub fn parse(error: &[u8]) -> Option<Self> {
        // Almost every error is of another kind; the first byte sorts most of them out.
        match error.first()? {
            b'M' | b'A' | b'T' | b'C' | b'L' | b'R' => {}
            _ => return None,
        }
        let (code, rest) = match memchr::memchr(b' ', error) {
            Some(at) => (error.get(..at)?, error.get(at.saturating_add(1)..)?),
            None => (error, &[][..]),
        };
        match code {
            b"MOVED" => Self::target(rest).map(|(slot, to)| Self::Moved(slot, to)),
            b"ASK" => Self::target(rest).map(|(slot, to)| Self::Ask(slot, to)),
            b"TRYAGAIN" => Some(Self::TryAgain),
            b"CLUSTERDOWN" => Some(Self::ClusterDown),
            b"LOADING" => Some(Self::Loading),
            b"MASTERDOWN" => Some(Self::PrimaryDown),
            b"READONLY" => Some(Self::ReadOnly),
            _ => None,
        }
    }

    fn target(rest: &[u8]) -> Option<(Slot, Endpoint)> {
        let text = std::str::from_utf8(rest).ok()?;
        let mut words = text.split(' ');
        let slot = Slot::from_wire(words.next()?.parse().ok()?)?;
        let endpoint = Endpoint::parse(words.next()?)?;
        Some((slot, endpoint))
    }
}

impl fmt::Display for Redirect {
    /// The text of the error reply, in Redis's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(slot, endpoint) => write!(f, "MOVED {slot} {endpoint}"),
            Self::Ask(slot, endpoint) => write!(f, "ASK {slot} {endpoint}"),
            Self::TryAgain => {
                f.write_str("TRYAGAIN Multiple keys request during rehashing of slot")
            }
            Self::ClusterDown => f.write_str("CLUSTERDOWN The cluster is down"),
            Self::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
            Self::PrimaryDown => f.write_str(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ),
            Self::ReadOnly => f.write_str("READONLY You can't write against a read only replica."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(number: u64) -> Slot {
        Slot::from_wire(number).unwrap()
    }

    fn endpoint(host: Host, port: u16) -> Endpoint {
        Endpoint { host, port }
    }

    #[test]
    fn redirections_are_understood_with_every_kind_of_endpoint() {
        let name = |name: &str| Host::Name(name.into());
        let cases = [
            (
                "MOVED 3999 127.0.0.1:6381",
                Redirect::Moved(slot(3999), endpoint(name("127.0.0.1"), 6381)),
            ),
            (
                "ASK 0 cache-1.example:7000",
                Redirect::Ask(slot(0), endpoint(name("cache-1.example"), 7000)),
            ),
            (
                "MOVED 16383 ::1:7000",
                Redirect::Moved(slot(16383), endpoint(name("::1"), 7000)),
            ),
            (
                "MOVED 1 :7000",
                Redirect::Moved(slot(1), endpoint(Host::Same, 7000)),
            ),
            (
                "MOVED 1 ?:7000",
                Redirect::Moved(slot(1), endpoint(Host::Unknown, 7000)),
            ),
        ];
        for (text, redirect) in cases {
            assert_eq!(
                Redirect::parse(text.as_bytes()),
                Some(redirect.clone()),
                "{text}"
            );
            assert_eq!(redirect.to_string(), text);
        }
        for redirect in [
            Redirect::TryAgain,
            Redirect::ClusterDown,
            Redirect::Loading,
            Redirect::PrimaryDown,
            Redirect::ReadOnly,
        ] {
            let text = redirect.to_string();
            assert_eq!(Redirect::parse(text.as_bytes()), Some(redirect));
        }
        assert_eq!(
            Redirect::parse(b"CLUSTERDOWN Hash slot not served"),
            Some(Redirect::ClusterDown)
        );
    }

    #[test]
    fn other_errors_are_the_commands_own() {
        let cases: &[&[u8]] = &[
            b"",
            b"ERR no",
            b"MOVED",
            b"MOVED ",
            b"MOVED x 1.2.3.4:5",
            b"MOVED 16384 a:1",
            b"MOVED 1 a",
            b"MOVED 1 a:0",
            b"MOVED 1 a:65536",
            b"MOVED 1 \xff:1",
            b"MOVEDX 1 a:1",
            b"ASKING",
            b"TRYAGAINX",
            b"READONLYX",
            b"CROSSSLOT Keys in request don't hash to the same slot",
        ];
        for case in cases {
            assert_eq!(Redirect::parse(case), None, "{}", case.escape_ascii());
        }
    }

    #[test]
    fn an_empty_host_is_the_one_that_was_asked() {
        let port = 7000;
        assert_eq!(
            endpoint(Host::Same, port).resolve("10.0.0.1"),
            Some(("10.0.0.1".into(), port))
        );
        assert_eq!(
            endpoint(Host::Name("b".into()), port).resolve("a"),
            Some(("b".into(), port))
        );
        assert_eq!(endpoint(Host::Unknown, port).resolve("a"), None);
    }

    proptest! {
        #[test]
        fn no_error_text_breaks_the_parser(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Redirect::parse(&[b"MOVED 1 ", &text[..]].concat());
            let _ = Redirect::parse(&text);
        }
    }
}
