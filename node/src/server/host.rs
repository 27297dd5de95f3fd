//! What the cluster thread may do to the node: tell slots what this node is to them, and drop
//! keys that others have taken over.

use slotilla_common::slot::Slot;
use std::sync::{Arc, Weak};

use super::Server;
use crate::cluster::Post;
use crate::cluster::routing::{Condition, Serving};
use crate::cluster::shell::Host;

/// The node, as its cluster thread sees it. Weak, because the server holds the cluster's handle.
#[derive(Debug)]
pub struct ClusterHost(Weak<Server>);

impl ClusterHost {
    /// For this server.
    #[must_use]
    pub fn new(server: &Arc<Server>) -> Self {
        Self(Arc::downgrade(server))
    }
}

impl Host for ClusterHost {
    fn set_serving(&self, slot: Slot, serving: Serving) {
        if let Some(server) = self.0.upgrade() {
            // Not in the midst of a transaction at the gate, which locks its slots one by one.
            server.gate.guest(|| {
                let mut guard = server.store.lock(slot);
                guard.set_serving(serving);
                server.release_waiters(slot, serving);
            });
            if !matches!(
                serving,
                Serving::Ours | Serving::Migrating | Serving::Replica
            ) {
                server.leave_slot(slot);
            }
        }
    }

    fn deliver(&self, post: &Post) {
        if let Some(server) = self.0.upgrade() {
            server.deliver(post);
        }
    }

    fn set_condition(&self, condition: Condition) {
        if let Some(server) = self.0.upgrade() {
            server.cluster_health.set(condition);
            server.release_waiters_if_down(condition);
        }
    }

    fn drop_keys(&self, slots: &[Slot]) {
        let Some(server) = self.0.upgrade() else {
            return;
        };
        for slot in slots {
            let dropped = server.gate.guest(|| server.store.flush_slot(*slot));
            if dropped.keys() > 0 {
                tracing::warn!(
                    "Dropped {} keys of slot {slot}: it is another node's now",
                    dropped.keys()
                );
            }
            dropped.free_in_background(&server.store);
        }
    }

    fn withdraw_if_empty(&self) -> bool {
        let Some(server) = self.0.upgrade() else {
            return false;
        };
        let withdrawn = server.gate.exclusive(None, |_| {
            if !server.store.is_empty() {
                return false;
            }
            for slot in Slot::all() {
                let mut slot = server.store.lock(slot);
                if slot.serving() == Serving::Ours {
                    slot.set_serving(Serving::Unassigned);
                    server.release_waiters(slot.slot(), Serving::Unassigned);
                }
            }
            true
        });
        if withdrawn {
            Slot::all().for_each(|slot| server.leave_slot(slot));
        }
        withdrawn
    }
}
