//! Commands that concern the whole cluster: sent to every primary, or answered by a task that asks
//! nodes. While no primary is known they wait as others do, and when a node that they wait for is
//! no primary any more, they go to those that took over.

use std::rc::Rc;

use slotilla_common::command::{FanOut, Merge, Spec};

use super::gather::{Gather, Recipe};
use super::request::{Owner, Request};
use crate::downstream::{self, Followers, Whereabouts};
use crate::error;
use crate::policy::Retry;
use crate::worker::Worker;

/// Whether a command concerns the whole cluster.
pub(super) fn is_wide(spec: &Spec) -> bool {
    matches!(
        spec.fan_out,
        FanOut::Primaries(_) | FanOut::Scan | FanOut::RandomKey
    )
}

/// Whether a command goes to every primary.
pub(super) fn is_for_all(spec: &Spec) -> bool {
    matches!(spec.fan_out, FanOut::Primaries(_))
}

impl Worker {
    /// Sends a request that concerns the whole cluster on its way.
    pub(super) fn send_wide(self: &Rc<Self>, bytes: &[u8], request: Request) {
        if self.map.borrow().primaries().is_empty() {
            return self.no_owner(bytes, request);
        }
        match request.spec.fan_out {
            FanOut::Primaries(merge) => self.to_primaries(bytes, request, merge),
            FanOut::Scan => downstream::scan(self, bytes, request),
            _ => downstream::random_key(self, bytes, request),
        }
    }

    /// Sends a request to every primary, the replies to be merged.
    fn to_primaries(self: &Rc<Self>, bytes: &[u8], request: Request, merge: Merge) {
        request.owner.is_at(Whereabouts::Everywhere);
        let primaries = self.map.borrow().primaries().to_vec();
        let parts = u32::try_from(primaries.len()).unwrap_or(u32::MAX);
        let bytes_max = self.shared.config.merged_reply_max;
        let gather = Gather::new(request, Recipe::Merge(merge), parts, bytes_max);
        self.counters.fanout_requests.add(1);
        for ((_, node), part) in primaries.into_iter().zip(0u32..) {
            self.send(bytes, gather.part(part).pinned_to(node));
        }
    }

    /// Whether this goes to a node as one of the primaries, and it is none any more.
    pub(super) fn has_lost_its_node(&self, request: &Request) -> bool {
        let is_primary = |node| self.map.borrow().is_primary(node);
        is_wide(request.spec) && request.pinned.is_some_and(|node| !is_primary(node))
    }

    /// What was not executed by a node that is no primary any more: of a read, all begins anew,
    /// since what the others told may be of another time; of a write, which others may have
    /// executed, this part goes to the nodes that own the slots now.
    pub(super) fn left_behind(self: &Rc<Self>, retry: Retry) {
        let Retry {
            bytes,
            request,
            failure,
        } = retry;
        // A task that asked begins anew when it sees that nothing will come.
        let (Owner::Part(gather, _), Some(node)) = (&request.owner, request.pinned) else {
            return;
        };
        if request.is_read() {
            if let Some(whole) = gather.begin_anew() {
                self.retry_later(bytes, whole, &failure);
            }
            return;
        }
        let heirs = self.map.borrow().heirs(node);
        let Some((first, others)) = heirs.split_first() else {
            self.shared.refresher.ask();
            return self.retry_later(bytes, request, &failure);
        };
        for heir in others {
            let part = gather.another_part().pinned_to(*heir);
            self.retry_later(bytes.clone(), part, &failure);
        }
        self.retry_later(bytes, request.pinned_to(*first), &failure);
    }

    /// What has become of later requests of the same client that this must not run after.
    pub(super) fn followers(&self, request: &Request) -> Followers {
        let Some((client, sequence)) = request.owner.client() else {
            return Followers::None;
        };
        match (request.slot, request.pinned) {
            (Some(slot), _) => client.followers(sequence, |other| other == slot),
            _ if !is_for_all(request.spec) => Followers::None,
            (None, None) => client.followers(sequence, |_| true),
            (None, Some(node)) => {
                let map = self.map.borrow();
                client.followers(sequence, |slot| map.owner(slot) == Some(node))
            }
        }
    }
}

impl Request {
    /// Whether it is to go to every primary and is on its way to none.
    pub(super) fn is_whole(&self) -> bool {
        is_for_all(self.spec) && self.pinned.is_none()
    }

    /// The reply if it could not be sent within its time.
    pub(super) fn not_sent(&self) -> &'static [u8] {
        if is_for_all(self.spec) {
            error::NOT_SENT_TO_ALL
        } else {
            error::NOT_SENT
        }
    }
}
