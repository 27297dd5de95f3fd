//! nodes.conf: the cluster as this node knew it, in Redis's format.
//!
//! ```text
//! ID IP:PORT@CPORT[,HOSTNAME[,NAME=VALUE]...] FLAGS PRIMARY|- PING PONG EPOCH LINK SLOTS...
//! vars currentEpoch N lastVoteEpoch M
//! ```
//!
//! A line for each node; SLOTS are `7`, `0-5460`, `[93->-ID]` (migrating to) and `[93-<-ID]`
//! (importing from). What Redis 7.0 and Valkey write is read, and what is written here they
//! read. The last line is `vars`: a file that does not end in all of it was cut short, and starting
//! with half a cluster would give slots away, so it is refused.

use super::action::Options;
use super::node::{Address, Node};
use super::state::Core;
use super::view::NodeView;
use slotilla_common::bus::{IpText, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How long a nodes.conf may be: some 100,000 nodes.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a nodes.conf says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodesConf {
    /// The nodes, in the order of their lines.
    pub nodes: Vec<ConfNode>,
    /// The greatest epoch that this node had seen.
    pub current_epoch: u64,
    /// The epoch of its last vote.
    pub last_vote_epoch: u64,
}

/// What a nodes.conf says of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfNode {
    /// Its name.
    pub id: NodeId,
    /// How it is reached.
    pub address: Address,
    /// Its host name, or nothing.
    pub hostname: String,
    /// What it is.
    pub flags: NodeFlags,
    /// Its primary.
    pub primary: Option<NodeId>,
    /// Whether a ping was out.
    pub is_pinged: bool,
    /// Whether it had ever answered one.
    pub has_ponged: bool,
    /// Its config epoch.
    pub config_epoch: u64,
    /// Its slots.
    pub slots: SlotSet,
    /// Slots on their way from it, and where to. For this node only.
    pub migrating: Vec<(Slot, NodeId)>,
    /// Slots on their way to it, and where from.
    pub importing: Vec<(Slot, NodeId)>,
}

/// Why a file is not a nodes.conf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {fault}. Restore the file from a copy, or remove it to start as a new node \
     that knows no other"
)]
pub struct ConfError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not UTF-8.
    #[error("not text")]
    NotText,
    /// The file ends before its last line.
    #[error(
        "the file ends without the whole line \"vars currentEpoch ... lastVoteEpoch ...\", so it was cut short"
    )]
    CutShort,
    /// A node's line ends before its eighth field.
    #[error("a node's line has at least 8 fields, and this one has {0}")]
    Fields(usize),
    /// A field that is not what stands at its place.
    #[error("\"{text}\" is not {what}")]
    Field {
        /// What should stand there.
        what: &'static str,
        /// What does.
        text: String,
    },
    /// Two lines about one node.
    #[error("node {0} has a second line")]
    Twice(NodeId),
    /// One slot, two owners.
    #[error("slot {0} is given to a second node")]
    SlotTwice(Slot),
    /// Not exactly one node is `myself`.
    #[error("{0} nodes are marked \"myself\", and exactly one must be")]
    Myself(usize),
    /// Something after the last line.
    #[error("a line after \"vars\", which must be the last")]
    AfterVars,
}

impl NodesConf {
    /// Reads a whole file.
    ///
    /// # Errors
    /// Names the first line that is damaged.
    pub fn parse(file: &[u8]) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        let mut seen = BTreeSet::new();
        let mut assigned = SlotSet::new();
        let mut has_vars = false;
        let mut last = 0;
        for (line, bytes) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            let at = |fault| ConfError { line, fault };
            let text = std::str::from_utf8(bytes).map_err(|_| at(Fault::NotText))?;
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            let Some(first) = words.first() else {
                continue;
            };
            if has_vars {
                return Err(at(Fault::AfterVars));
            }
            last = line;
            if *first == "vars" {
                conf.read_vars(&words).map_err(at)?;
                has_vars = true;
                continue;
            }
            let node = read_node(&words).map_err(at)?;
            if !seen.insert(node.id) {
                return Err(at(Fault::Twice(node.id)));
            }
            if let Some(slot) = node.slots.iter().find(|slot| !assigned.insert(*slot)) {
                return Err(at(Fault::SlotTwice(slot)));
            }
            conf.nodes.push(node);
        }
        let at_end = |fault| ConfError { line: last, fault };
        // What is left of a number that was cut is a number too.
        if !has_vars || !file.ends_with(b"\n") {
            return Err(at_end(Fault::CutShort));
        }
        let is_myself = |node: &&ConfNode| node.flags.any(NodeFlags::MYSELF);
        match conf.nodes.iter().filter(is_myself).count() {
            1 => Ok(conf),
            count => Err(at_end(Fault::Myself(count))),
        }
    }

    fn read_vars(&mut self, words: &[&str]) -> Result<(), Fault> {
        let (mut current, mut vote) = (None, None);
        for pair in words.get(1..).unwrap_or_default().chunks(2) {
            let [name, value] = pair else {
                return Err(Fault::CutShort);
            };
            match *name {
                "currentEpoch" => current = Some(number(value, "an epoch")?),
                "lastVoteEpoch" => vote = Some(number(value, "an epoch")?),
                // A later version's.
                _ => {}
            }
        }
        self.current_epoch = current.ok_or(Fault::CutShort)?;
        self.last_vote_epoch = vote.ok_or(Fault::CutShort)?;
        Ok(())
    }
}

fn bad(what: &'static str, text: &str) -> Fault {
    // A damaged line can be megabytes long.
    let text = text.chars().take(60).collect();
    Fault::Field { what, text }
}

fn number<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, Fault> {
    text.parse().map_err(|_| bad(what, text))
}

fn name(text: &str) -> Result<NodeId, Fault> {
    NodeId::parse(text.as_bytes()).ok_or_else(|| bad("a node's name", text))
}

fn read_node(words: &[&str]) -> Result<ConfNode, Fault> {
    let [
        id,
        address,
        flags,
        primary,
        ping,
        pong,
        epoch,
        _link,
        slots @ ..,
    ] = words
    else {
        return Err(Fault::Fields(words.len()));
    };
    let (address, hostname) = read_address(address)?;
    let mut node = ConfNode {
        id: name(id)?,
        address,
        hostname,
        flags: read_flags(flags)?,
        primary: match *primary {
            "-" => None,
            primary => Some(name(primary)?),
        },
        is_pinged: number::<i64>(ping, "a time")? != 0,
        has_ponged: number::<i64>(pong, "a time")? != 0,
        config_epoch: number(epoch, "an epoch")?,
        slots: SlotSet::new(),
        migrating: Vec::new(),
        importing: Vec::new(),
    };
    for text in slots {
        node.read_slots(text)?;
    }
    Ok(node)
}

/// `IP:PORT@CPORT[,HOSTNAME[,NAME=VALUE]...]`. Before Redis 4 there was no `@CPORT`.
fn read_address(text: &str) -> Result<(Address, String), Fault> {
    let fault = || bad("an address such as 10.0.0.1:6379@16379", text);
    let (socket, extras) = text.split_once(',').unwrap_or((text, ""));
    let hostname = extras.split(',').next().unwrap_or_default();
    let (ip, ports) = socket.rsplit_once(':').ok_or_else(fault)?;
    let (port, cport) = match ports.split_once('@') {
        Some((port, cport)) => (port, cport.parse().map_err(|_| fault())?),
        None => {
            let port: u16 = ports.parse().map_err(|_| fault())?;
            (ports, port.checked_add(10_000).ok_or_else(fault)?)
        }
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if !hostname.bytes().all(is_host) {
        return Err(bad("a host name", hostname));
    }
    let address = Address {
        ip: IpText::new(ip).ok_or_else(fault)?,
        port: port.parse().map_err(|_| fault())?,
        cport,
        other_port: 0,
    };
    Ok((address, hostname.to_owned()))
}

/// The names of flags, in the order in which Redis prints them.
const FLAG_NAMES: [(&str, NodeFlags); 8] = [
    ("myself", NodeFlags::MYSELF),
    ("master", NodeFlags::PRIMARY),
    ("slave", NodeFlags::REPLICA),
    ("fail?", NodeFlags::PFAIL),
    ("fail", NodeFlags::FAIL),
    ("handshake", NodeFlags::HANDSHAKE),
    ("noaddr", NodeFlags::NOADDR),
    ("nofailover", NodeFlags::NOFAILOVER),
];

fn read_flags(text: &str) -> Result<NodeFlags, Fault> {
    let mut flags = NodeFlags::NONE;
    for word in text.split(',').filter(|word| *word != "noflags") {
        let known = FLAG_NAMES.iter().find(|(name, _)| *name == word);
        flags.set(known.ok_or_else(|| bad("a node's flag", word))?.1);
    }
    Ok(flags)
}

fn read_slot(text: &str) -> Result<Slot, Fault> {
    let number = text.parse().ok().and_then(Slot::from_wire);
    number.ok_or_else(|| bad("a slot", text))
}

impl ConfNode {
    fn read_slots(&mut self, text: &str) -> Result<(), Fault> {
        let open = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(open) = open {
            if let Some((slot, to)) = open.split_once("->-") {
                self.migrating.push((read_slot(slot)?, name(to)?));
            } else if let Some((slot, from)) = open.split_once("-<-") {
                self.importing.push((read_slot(slot)?, name(from)?));
            } else {
                return Err(bad("an open slot", text));
            }
            return Ok(());
        }
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        let (start, end) = (read_slot(start)?, read_slot(end)?);
        if start > end {
            return Err(bad("a range of slots", text));
        }
        let slots = Slot::all().skip(start.index());
        for slot in slots.take_while(|slot| *slot <= end) {
            self.slots.insert(slot);
        }
        Ok(())
    }
}

/// Writes a node's line as CLUSTER NODES prints it, without the newline. `open` are the open
/// slots, which are printed of this node only: those migrating, and those importing.
pub fn write_node(out: &mut String, node: &NodeView, open: [&[(Slot, NodeId)]; 2]) {
    // Writing to a String cannot fail.
    let address = node.address;
    let _ = write!(
        out,
        "{} {}:{}@{}",
        node.id, address.ip, address.port, address.cport
    );
    if !node.hostname.is_empty() {
        let _ = write!(out, ",{}", node.hostname);
    }
    out.push(' ');
    write_flags(out, node.flags);
    let _ = match node.primary {
        Some(primary) => write!(out, " {primary}"),
        None => write!(out, " -"),
    };
    let _ = write!(
        out,
        " {} {} {} {}",
        node.ping_sent_ms,
        node.pong_received_ms,
        node.config_epoch,
        if node.is_linked {
            "connected"
        } else {
            "disconnected"
        }
    );
    for (start, end) in node.slots.iter() {
        let _ = if start == end {
            write!(out, " {start}")
        } else {
            write!(out, " {start}-{end}")
        };
    }
    let [migrating, importing] = open;
    if node.flags.any(NodeFlags::MYSELF) {
        for (slot, to) in migrating {
            let _ = write!(out, " [{slot}->-{to}]");
        }
        for (slot, from) in importing {
            let _ = write!(out, " [{slot}-<-{from}]");
        }
    }
}

fn write_flags(out: &mut String, flags: NodeFlags) {
    let names: Vec<&str> = FLAG_NAMES
        .iter()
        .filter(|(_, flag)| flags.any(*flag))
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        out.push_str("noflags");
    } else {
        out.push_str(&names.join(","));
    }
}

impl Core {
    /// nodes.conf as it should be now. Nodes in handshake are not kept: their names are not
    /// real.
    #[must_use]
    pub fn nodes_conf(&self) -> String {
        let view = self.refresh_view();
        let mut out = String::with_capacity(view.nodes.len().saturating_mul(128));
        for node in &view.nodes {
            if !node.flags.any(NodeFlags::HANDSHAKE) {
                write_node(&mut out, node, [&view.migrating, &view.importing]);
                out.push('\n');
            }
        }
        let _ = writeln!(
            out,
            "vars currentEpoch {} lastVoteEpoch {}",
            self.current_epoch, self.last_vote_epoch
        );
        out
    }

    /// The node that a nodes.conf tells of.
    #[must_use]
    pub fn restore(options: Options, conf: &NodesConf, seed: u64, now_ms: i64) -> Self {
        let is_myself = |node: &&ConfNode| node.flags.any(NodeFlags::MYSELF);
        let my_id = conf.nodes.iter().find(is_myself).map(|node| node.id);
        let mut core = Self::new(options, my_id.unwrap_or(NodeId::ZERO), seed, now_ms);
        for node in &conf.nodes {
            core.restore_node(node, now_ms);
        }
        core.last_vote_epoch = conf.last_vote_epoch;
        core.current_epoch = conf.current_epoch;
        core.current_epoch = core.greatest_epoch();
        core
    }

    fn restore_node(&mut self, conf: &ConfNode, now_ms: i64) {
        let key = if conf.flags.any(NodeFlags::MYSELF) {
            self.myself
        } else {
            let node = Node::new(conf.id, conf.flags, conf.address, now_ms);
            self.nodes.insert(node)
        };
        if let Some(node) = self.nodes.get_mut(key) {
            let time = |is_set| if is_set { now_ms } else { 0 };
            node.flags = conf.flags.without(NodeFlags::HANDSHAKE);
            node.primary = conf.primary;
            node.config_epoch = conf.config_epoch;
            node.hostname.clone_from(&conf.hostname);
            node.ping_sent_ms = time(conf.is_pinged);
            node.pong_received_ms = time(conf.has_ponged);
            node.fail_time_ms = time(conf.flags.any(NodeFlags::FAIL));
            if key == self.myself {
                node.address.ip = conf.address.ip;
            }
        }
        for slot in conf.slots.iter() {
            self.assign(slot, Some(key));
        }
        if key == self.myself {
            self.slots.migrating = conf.migrating.iter().copied().collect();
            self.slots.importing = conf.importing.iter().copied().collect();
        }
    }
}

/// Reads arbitrary bytes as a nodes.conf and, where that succeeds, checks that a node restored
/// from it writes a file that says the same. For the random tests and cargo-fuzz.
pub fn fuzz_nodes_conf(data: &[u8]) {
    let Ok(conf) = NodesConf::parse(data) else {
        return;
    };
    let core = Core::restore(Options::default(), &conf, 1, 1);
    let written = core.nodes_conf();
    let again = NodesConf::parse(written.as_bytes());
    assert!(again.is_ok(), "what is written can be read: {again:?}");
}

#[cfg(test)]
#[path = "nodes_conf_tests.rs"]
mod tests;
