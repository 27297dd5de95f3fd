//! A request on its way: what is known of it besides its bytes, and who waits for its reply.

use std::cell::RefCell;
use std::rc::Rc;

use slotilla_common::clock::Tick;
use slotilla_common::command::Spec;
use slotilla_common::slot::Slot;
use tokio::sync::oneshot;

use super::gather::Gather;
use crate::downstream::{Client, Sequence, Whereabouts};
use crate::worker::NodeIndex;

/// Travels with the request's bytes through connections, redirections and retries.
#[derive(Debug)]
pub struct Request {
    /// The command.
    pub spec: &'static Spec,
    /// The slot of its keys; `None` if it has none.
    pub slot: Option<Slot>,
    /// The node that it must go to, if it is not routed by its slot.
    pub pinned: Option<NodeIndex>,
    /// When it came, for its deadline and for the latency histogram.
    pub started: Tick,
    /// How often it was redirected or sent again.
    pub attempts: u16,
    /// Who gets the reply.
    pub owner: Owner,
}

/// Who gets a reply.
#[derive(Debug)]
pub enum Owner {
    /// A client, at a place in its order.
    Client(Rc<Client>, Sequence),
    /// One part of a request that was split.
    Part(Rc<Gather>, u32),
    /// A task of the proxy itself.
    Task(RefCell<Option<oneshot::Sender<Vec<u8>>>>),
    /// Nobody: ASKING, and requests whose deadline is over.
    Nobody,
}

impl Request {
    /// The same, to go to this node wherever its slot is.
    #[must_use]
    pub fn pinned_to(self, node: NodeIndex) -> Self {
        Self {
            pinned: Some(node),
            ..self
        }
    }
}

impl Owner {
    /// The client at the end of the chain, and the place in its order.
    #[must_use]
    pub fn client(&self) -> Option<(&Rc<Client>, Sequence)> {
        match self {
            Self::Client(client, sequence) => Some((client, *sequence)),
            Self::Part(gather, _) => gather.owner().client(),
            Self::Task(_) | Self::Nobody => None,
        }
    }

    /// Says where the request is now, for the order of its client's requests.
    pub fn is_at(&self, whereabouts: Whereabouts) {
        match self {
            Self::Client(client, sequence) => client.is_at(*sequence, whereabouts),
            Self::Part(gather, part) => {
                if let Self::Client(client, sequence) = gather.owner() {
                    client.part_is_at(*sequence, *part, whereabouts);
                }
            }
            Self::Task(_) | Self::Nobody => {}
        }
    }

    /// Whether nobody is there to take the reply any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Task(sender) => sender
                .borrow()
                .as_ref()
                .is_none_or(oneshot::Sender::is_closed),
            Self::Nobody => true,
            Self::Part(gather, _) if gather.is_void() => true,
            owner => owner.client().is_none_or(|(client, _)| client.is_closed()),
        }
    }
}
