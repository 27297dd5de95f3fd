//! What a server says of its replication.

use std::time::Duration;

use slotilla_tests::{Client, Value};

/// Who does not answer in this time is not asked again at once.
const LIMIT: Duration = Duration::from_millis(1500);

/// INFO replication, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) is_replica: bool,
    pub(crate) is_link_up: bool,
    pub(crate) replid: String,
    pub(crate) replid2: String,
    /// How far the history is here.
    pub(crate) offset: i64,
    /// Up to which byte `replid2` is good.
    pub(crate) second: i64,
    /// How much of its primary's stream a replica has applied.
    pub(crate) applied: i64,
    /// The first byte of the backlog and how many there are, if there is one.
    pub(crate) backlog: Option<(i64, i64)>,
}

impl Facts {
    /// Asks whoever listens on a port, if it answers.
    pub(crate) fn of(port: u16) -> Option<Self> {
        let text = ask(port, &["INFO", "replication"])?;
        let number = |name: &str| field(&text, name).and_then(|text| text.parse().ok());
        let is_kept = number("repl_backlog_active") == Some(1);
        Some(Self {
            is_replica: field(&text, "role")? == "slave",
            is_link_up: field(&text, "master_link_status") == Some("up"),
            replid: field(&text, "master_replid")?.to_owned(),
            replid2: field(&text, "master_replid2")?.to_owned(),
            offset: number("master_repl_offset")?,
            second: number("second_repl_offset")?,
            applied: number("slave_repl_offset").unwrap_or(-1),
            backlog: is_kept
                .then(|| {
                    let first = number("repl_backlog_first_byte_offset")?;
                    Some((first, number("repl_backlog_histlen")?))
                })
                .flatten(),
        })
    }

    /// Whether it can send what follows for a replica that asks for this byte of this history.
    pub(crate) fn can_go_on(&self, replid: &str, next: i64) -> bool {
        let is_known = replid == self.replid || (replid == self.replid2 && next <= self.second);
        let has_it = |(first, count)| first <= next && next <= first + count;
        is_known && self.backlog.is_some_and(has_it)
    }

    /// Whether it knows this history at all.
    pub(crate) fn knows(&self, replid: &str) -> bool {
        replid == self.replid || replid == self.replid2
    }
}

/// How often replicas were served, in all of a process's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) full: u64,
    pub(crate) partial: u64,
    pub(crate) denied: u64,
}

impl Served {
    pub(crate) fn add(&mut self, more: Self) {
        self.full += more.full;
        self.partial += more.partial;
        self.denied += more.denied;
    }

    pub(crate) fn of(port: u16) -> Option<Self> {
        let text = ask(port, &["INFO", "stats"])?;
        let number = |name: &str| field(&text, name).and_then(|text| text.parse().ok());
        Some(Self {
            full: number("sync_full")?,
            partial: number("sync_partial_ok")?,
            denied: number("sync_partial_err")?,
        })
    }
}

/// The text that a command answers, if it does.
pub(crate) fn ask(port: u16, command: &[&str]) -> Option<String> {
    match call(port, command)? {
        reply @ (Value::Bulk(_) | Value::Simple(_) | Value::Verbatim(..)) => Some(reply.text()),
        _ => None,
    }
}

/// What a command answers, if anything comes.
pub(crate) fn call(port: u16, command: &[&str]) -> Option<Value> {
    let mut client = Client::try_connect(port).ok()?;
    client.set_reply_limit(LIMIT);
    client.try_call(command).ok()
}

/// A field of INFO.
pub(crate) fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| *field == name);
    found.map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_serves_who_asks_for_a_byte_of_it_or_the_next() {
        let facts = Facts {
            replid: "a".into(),
            replid2: "b".into(),
            second: 15,
            backlog: Some((10, 10)),
            ..Facts::default()
        };
        let can = |replid, next| facts.can_go_on(replid, next);
        assert_eq!([can("a", 9), can("a", 10)], [false, true]);
        assert_eq!([can("a", 20), can("a", 21)], [true, false]);
        assert_eq!([can("b", 15), can("b", 16)], [true, false]);
        assert!(!can("c", 12));
        assert!(!Facts::default().can_go_on("a", 0));
    }
}
