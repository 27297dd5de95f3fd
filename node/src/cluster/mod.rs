//! The cluster: who is in it, who owns which slot.
//!
//! [`Core`] is the whole of it, as a state machine: messages, link events, commands and a clock
//! reading in, [`Action`]s out. Its parts are in the files named for them:
//!
//! ```text
//! state       the Core, and what happens every 100 ms      node      what is known of a node
//! link        two connections between each pair            receive   what each message does
//! gossip      what nodes tell of third nodes               failure   PFAIL, FAIL
//! ownership   slots, claims, epochs                        health    is the cluster up?
//! command     what CLUSTER commands change                 view      what readers see
//! nodes_conf  the file that survives a crash               routing   serve or redirect
//! publish     messages of channels
//! reply       CLUSTER SLOTS and its like, from a view
//! outbox      what waits until that file is on disk    shell     sockets, clock, disk
//! ```
//!
//! Elections and manual failover will have a file of their own; until then a node asks for no
//! vote and gives none.

mod action;
mod command;
mod failure;
mod gossip;
mod health;
mod link;
mod node;
pub mod nodes_conf;
pub mod outbox;
mod ownership;
mod publish;
mod receive;
mod reply;
pub mod routing;
pub mod shell;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub use action::{Action, Command, CommandReply, LinkEvent, Options, Ticket};
pub use link::LinkId;
pub use node::Address;
pub use publish::Post;
pub use state::{Core, TICK_MS};
pub use view::{LinkView, NodeView, ReplyCache, Stats, View};
