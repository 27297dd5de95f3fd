//! What the cluster thread may do to the node: tell slots what this node is to them, and drop
//! keys that others have taken over.

use slotilla_common::slot::Slot;
use std::sync::{Arc, Weak};

use super::Server;
use crate::cluster::Post;
use crate::cluster::routing::{Condition, Serving};
use crate::cluster::shell::Host;
use crate::store::{Errand, SlotGuard};

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

fn drop_keys(server: &Server, guard: &mut SlotGuard<'_>) {
    let dropped = server.store.flush_slot(guard);
    if dropped.keys() > 0 {
        let (keys, slot) = (dropped.keys(), guard.slot());
        tracing::warn!("Dropped {keys} keys of slot {slot}: it is another node's now");
    }
    dropped.free_in_background(&server.store);
}

impl Host for ClusterHost {
    fn set_serving(&self, slot: Slot, serving: Serving) {
        if let Some(server) = self.0.upgrade() {
            let node = Arc::clone(&server);
            let store = &server.store;
            // Not in the midst of a transaction at the gate, which locks its slots one by one; nor of
            // a long command, which has its slots to itself.
            server.gate.guest(|| {
                store.when_in(slot, Errand::Serving, move |guard| {
                    guard.set_serving(serving);
                    node.release_waiters(slot, serving);
                });
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
            let node = Arc::clone(&server);
            server.gate.guest(|| {
                let drop_keys = move |guard: &mut SlotGuard<'_>| drop_keys(&node, guard);
                server.store.when_in(*slot, Errand::DropKeys, drop_keys);
            });
        }
    }

    fn withdraw_if_empty(&self) -> bool {
        let Some(server) = self.0.upgrade() else {
            return false;
        };
        let withdrawn = server.gate.exclusive(None, |_| {
            // What is out may be about to have keys.
            if !server.store.is_empty() || !server.store.is_quiet() {
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
