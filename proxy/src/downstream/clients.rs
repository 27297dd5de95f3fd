//! CLIENT LIST and CLIENT KILL: which clients are meant, and what is told of them.

use std::fmt::Write as _;
use std::rc::Rc;

use slotilla_common::command::Args;
use slotilla_common::resp::parse_i64;

use super::client::Client;
use crate::router::RequestArgs;
use crate::worker::Worker;

/// Which clients are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFilter {
    /// These only; none: all.
    pub ids: Option<Vec<u64>>,
    /// From this address only.
    pub address: Option<String>,
    /// Connected to this address only.
    pub local_address: Option<String>,
    /// Normal clients; the proxy has no others.
    pub is_normal: bool,
    /// Those of this user; there is only `default`.
    pub is_default_user: bool,
    /// Not this one.
    pub skip: Option<u64>,
}

impl Default for ClientFilter {
    fn default() -> Self {
        Self {
            ids: None,
            address: None,
            local_address: None,
            is_normal: true,
            is_default_user: true,
            skip: None,
        }
    }
}

/// Types of clients that Redis knows. `Some(true)` for the one that the proxy has.
fn kind(name: &[u8]) -> Option<bool> {
    let name = name.to_ascii_lowercase();
    match &name[..] {
        b"normal" => Some(true),
        b"master" | b"replica" | b"slave" | b"pubsub" => Some(false),
        _ => None,
    }
}

impl ClientFilter {
    /// Reads the options of CLIENT LIST.
    ///
    /// # Errors
    /// Redis's text.
    pub fn of_list(args: &RequestArgs<'_>) -> Result<Self, String> {
        let mut filter = Self::default();
        match (args.len(), args.get(2).to_ascii_lowercase().as_slice()) {
            (2, _) => Ok(filter),
            (4, b"type") => {
                let name = args.get(3);
                filter.is_normal = kind(name).ok_or_else(|| {
                    format!(
                        "ERR Unknown client type '{}'",
                        String::from_utf8_lossy(name)
                    )
                })?;
                Ok(filter)
            }
            (4.., b"id") => {
                // Any number will do; no client has one below 1.
                let any = |id: &[u8]| Some(u64::try_from(parse_i64(id)?).unwrap_or(0));
                let ids: Option<Vec<u64>> = args.iter().skip(3).map(any).collect();
                filter.ids = Some(ids.ok_or("ERR Invalid client ID")?);
                Ok(filter)
            }
            _ => Err("ERR syntax error".to_owned()),
        }
    }

    /// Reads the options of CLIENT KILL in its newer form.
    ///
    /// # Errors
    /// Redis's text.
    pub fn of_kill(args: &RequestArgs<'_>, own_id: u64) -> Result<Self, String> {
        let mut filter = Self {
            skip: Some(own_id),
            ..Self::default()
        };
        let mut index = 2;
        while index < args.len() {
            if index + 1 >= args.len() {
                return Err("ERR syntax error".to_owned());
            }
            let (option, value) = (args.get(index).to_ascii_lowercase(), args.get(index + 1));
            let text = || String::from_utf8_lossy(value).into_owned();
            match &option[..] {
                b"id" => match id(value) {
                    Some(id) => filter.ids = Some(vec![id]),
                    None => return Err("ERR client-id should be greater than 0".to_owned()),
                },
                b"addr" => filter.address = Some(text()),
                b"laddr" => filter.local_address = Some(text()),
                b"type" => {
                    filter.is_normal = kind(value)
                        .ok_or_else(|| format!("ERR Unknown client type '{}'", text()))?;
                }
                b"user" if value == b"default" => filter.is_default_user = true,
                b"user" => return Err(format!("ERR No such user '{}'", text())),
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip = Some(own_id),
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip = None,
                _ => return Err("ERR syntax error".to_owned()),
            }
            index += 2;
        }
        Ok(filter)
    }

    /// Whether this client is meant.
    pub(super) fn matches(&self, client: &Client) -> bool {
        let is = |wanted: &Option<String>, address: std::net::SocketAddr| {
            wanted.as_ref().is_none_or(|w| *w == address.to_string())
        };
        self.is_normal
            && self.is_default_user
            && self.skip != Some(client.id)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && is(&self.address, client.address)
            && is(&self.local_address, client.local_address)
    }

    /// Closes this thread's clients that are meant. How many there were.
    pub fn kill(&self, worker: &Worker) -> usize {
        let clients = worker.clients.borrow();
        let meant = clients.values().filter(|client| self.matches(client));
        meant.map(|client| client.close()).count()
    }
}

fn id(text: &[u8]) -> Option<u64> {
    let id = parse_i64(text)?;
    u64::try_from(id).ok().filter(|id| *id > 0)
}

/// This thread's clients that are meant, each with its line.
#[must_use]
pub fn describe(worker: &Rc<Worker>, filter: &ClientFilter) -> Vec<(u64, String)> {
    let clients = worker.clients.borrow();
    let meant = clients.values().filter(|client| filter.matches(client));
    meant
        .map(|client| (client.id, line(worker, client)))
        .collect()
}

/// A client as CLIENT INFO and CLIENT LIST show it.
#[must_use]
pub(super) fn line(worker: &Worker, client: &Client) -> String {
    let mut line = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags=N db=0 sub=0 psub=0 ssub=0 \
         multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll={} omem={} \
         tot-mem={} events=r cmd={} user=default redir=-1 resp={}",
        client.id,
        client.address,
        client.local_address,
        client.name.borrow(),
        worker.since(client.since).as_secs(),
        worker.since(client.last_active.get()).as_secs(),
        client.unread_bytes(),
        client.in_flight(),
        client.unread_bytes(),
        client.unread_bytes(),
        client.last_command.get(),
        client.protocol().version(),
    );
    line.push('\n');
    line
}
