//! What the cluster core is told, and what it wants done.

use super::link::LinkId;
use super::publish::Post;
use super::routing::{Condition, Serving};
use super::view::View;
use bytes::Bytes;
use slotilla_common::bus::IpText;
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use std::sync::Arc;

/// What the core wants done, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Connect to a node's bus port, and tell how it went by a link event.
    Dial {
        /// The link that this will be.
        link: LinkId,
        /// The address.
        ip: IpText,
        /// The bus port.
        cport: u16,
    },
    /// Send a frame on a link.
    Send {
        /// The link.
        link: LinkId,
        /// The frame.
        frame: Bytes,
    },
    /// Send a frame on a link if there is room for it: a channel's message, which may be lost.
    Relay {
        /// The link.
        link: LinkId,
        /// The frame.
        frame: Bytes,
    },
    /// Close a link. The core has forgotten it already and expects no event.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Write nodes.conf, as [`super::Core::nodes_conf`] gives it after this batch of actions.
    Save {
        /// Every later [`Action::Send`] and [`Action::Reply`], of this batch or another, waits
        /// until it is on disk: what others are told must survive a crash. Otherwise saves may
        /// be coalesced.
        must_be_durable: bool,
    },
    /// What this node is to these slots has changed. To be written into the slots under their
    /// locks, those that are lost after the view is published and those that are gained
    /// before, so that no redirect names this node itself.
    SetServing(Vec<(Slot, Serving)>),
    /// Hand a message of another node to this node's subscribers.
    Deliver(Post),
    /// Delete all keys of these slots: another node has taken them over.
    DropKeys(Vec<Slot>),
    /// Whether the cluster takes commands.
    SetCondition(Condition),
    /// What readers shall see from now on.
    Publish(Arc<View>),
    /// Answer a command.
    Reply {
        /// The command.
        ticket: Ticket,
        /// The status reply, or the text of the error.
        reply: CommandReply,
    },
}

/// Names a command that waits for its reply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// A status reply such as `OK`, or an error such as `ERR Slot 7 is already busy`.
pub type CommandReply = Result<String, String>;

/// What CLUSTER commands may change. What only reads is answered from the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// CLUSTER MEET.
    Meet {
        /// The address, in text.
        ip: String,
        /// The client port, as given.
        port: i64,
        /// The bus port, as given; `None`: `port` + 10000.
        cport: Option<i64>,
    },
    /// CLUSTER ADDSLOTS and ADDSLOTSRANGE: ranges as given, both ends included.
    AddSlots(Vec<(Slot, Slot)>),
    /// CLUSTER DELSLOTS and DELSLOTSRANGE.
    DelSlots(Vec<(Slot, Slot)>),
    /// CLUSTER FLUSHSLOTS, by a node without keys; see [`Command::refusal_with_keys`].
    FlushSlots,
    /// CLUSTER FORGET.
    Forget(Vec<u8>),
    /// CLUSTER RESET, by a node without keys as well.
    Reset {
        /// For HARD: the node's new name.
        new_id: Option<NodeId>,
    },
    /// CLUSTER SET-CONFIG-EPOCH.
    SetConfigEpoch(i64),
    /// CLUSTER BUMPEPOCH.
    BumpEpoch,
    /// CLUSTER SAVECONFIG.
    SaveConfig,
    /// No client's: keys were found on disk in slots that are not ours.
    KeepFound(Vec<Slot>),
}

/// What happened to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// A link that the core dialled is connected.
    Connected {
        /// Our end's address.
        local: IpText,
    },
    /// It could not be connected, was closed, or overflowed.
    Closed,
    /// It was closed because more was waiting to be sent than `cluster-link-sendbuf-limit`.
    Overflowed,
}

/// The directives that the core obeys. Those that can be changed at run time are handed in
/// again when they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// `cluster-node-timeout`.
    pub node_timeout_ms: i64,
    /// `cluster-require-full-coverage`.
    pub require_full_coverage: bool,
    /// `cluster-allow-reads-when-down`.
    pub allow_reads_when_down: bool,
    /// `cluster-replica-no-failover`.
    pub replica_no_failover: bool,
    /// The client port that others are told.
    pub port: u16,
    /// The bus port that others are told.
    pub cport: u16,
    /// The plaintext port that others are told, where `port` is the TLS port; else 0.
    pub other_port: u16,
    /// `cluster-announce-ip`; empty: others find it out.
    pub announce_ip: IpText,
    /// `cluster-announce-hostname`.
    pub announce_hostname: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_timeout_ms: 15_000,
            require_full_coverage: true,
            allow_reads_when_down: false,
            replica_no_failover: false,
            port: 6379,
            cport: 16_379,
            other_port: 0,
            announce_ip: IpText::EMPTY,
            announce_hostname: String::new(),
        }
    }
}
