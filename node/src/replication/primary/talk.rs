//! What a primary that has restarted asks its replicas, and tells them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use slotilla_common::resp::encode_command;

use crate::replication::{Address, ReplId};
use crate::server::Server;

/// How long a replica that is told something may take to answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// No answer of a replica is longer.
const ANSWER_MAX: usize = 64 * 1024;
/// Replicas of replicas of replicas … are not looked for any further.
const HOPS_MAX: usize = 8;

/// What a replica says of itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// Whose replica it is; None if it is none.
    pub(super) primary: Option<(String, String)>,
    /// The name of the history that its data belongs to, and the one before.
    pub(super) replids: [Option<ReplId>; 2],
    /// How much of it a replica has, unless it is being sent all data.
    pub(super) offset: Option<u64>,
}

/// A connection on which a replica is told what to do.
pub(super) struct Talk(BufReader<TcpStream>);

impl Talk {
    pub(super) fn open(server: &Server, address: &Address) -> io::Result<Self> {
        let mut found = (address.host.as_str(), address.port).to_socket_addrs()?;
        let unknown = || io::Error::other("its name has no address");
        let stream = TcpStream::connect_timeout(&found.next().ok_or_else(unknown)?, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut talk = Self(BufReader::new(stream));
        if let Some((user, password)) = server.config.primary_auth() {
            let words: Vec<Vec<u8>> = [Some(b"AUTH".to_vec()), user, Some(password)]
                .into_iter()
                .flatten()
                .collect();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            talk.ask(&words)?;
        }
        Ok(talk)
    }

    pub(super) fn tell(&mut self, words: &[&str]) -> io::Result<()> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.ask(&words).map(drop)
    }

    /// What it answers.
    fn ask(&mut self, words: &[&[u8]]) -> io::Result<String> {
        let mut request = Vec::new();
        encode_command(&mut request, words);
        self.0.get_mut().write_all(&request)?;
        let mut line = String::new();
        let most = ANSWER_MAX as u64;
        self.0.by_ref().take(most).read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(length) = line.strip_prefix('$') {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut bulk = vec![0; length.min(ANSWER_MAX) + 2];
            self.0.read_exact(&mut bulk)?;
            return Ok(String::from_utf8_lossy(&bulk).into_owned());
        }
        if line.starts_with('+') {
            return Ok(line.to_owned());
        }
        let shown = line.escape_debug();
        Err(io::Error::other(format!("it answers '{shown}'")))
    }

    /// Fields of a section of INFO.
    fn fields<const N: usize>(
        &mut self,
        section: &[u8],
        names: [&str; N],
    ) -> io::Result<[Option<String>; N]> {
        let info = self.ask(&[b"INFO", section])?;
        Ok(names.map(|name| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            let line = lines.find(|(field, _)| *field == name);
            line.map(|(_, value)| value.to_owned())
        }))
    }

    /// What it says of its replication.
    pub(super) fn facts(&mut self) -> io::Result<Facts> {
        let [role, host, port, replid, before, offset, copies] = self.fields(
            b"replication",
            [
                "role",
                "master_host",
                "master_port",
                "master_replid",
                "master_replid2",
                "slave_repl_offset",
                "master_sync_in_progress",
            ],
        )?;
        let is_replica = role.as_deref() == Some("slave");
        let replid_of = |text: Option<String>| ReplId::parse(text?.as_bytes());
        let is_whole = copies.as_deref() == Some("0");
        Ok(Facts {
            primary: host.zip(port).filter(|_| is_replica),
            replids: [replid_of(replid), replid_of(before)],
            offset: offset
                .filter(|_| is_whole)
                .and_then(|offset| offset.parse().ok()),
        })
    }

    /// Whether it is this very process.
    fn is_this(&mut self, server: &Server) -> io::Result<bool> {
        let [run_id] = self.fields(b"server", ["run_id"])?;
        Ok(run_id.as_deref() == Some(&server.run_id))
    }
}

impl Facts {
    /// Whether the primary that it copies is this node, or copies it in turn, by whatever names and
    /// ways.
    pub(super) fn leads_here(self, server: &Server) -> io::Result<bool> {
        let mut next = self.primary;
        for _ in 0..HOPS_MAX {
            let Some((host, port)) = next else {
                return Ok(false);
            };
            let port = port.parse().map_err(io::Error::other)?;
            let mut talk = Talk::open(server, &Address { host, port })?;
            if talk.is_this(server)? {
                return Ok(true);
            }
            next = talk.facts()?.primary;
        }
        Ok(false)
    }
}
