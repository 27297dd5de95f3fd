//! Who owns which slot, and by which epoch.
//!
//! A primary claims its slots in every message, with its config epoch. Of two claims the one
//! with the greater epoch wins; whoever hears an outdated one tells the claimant by UPDATE.

use super::action::Action;
use super::node::NodeKey;
use super::routing::Serving;
use super::state::Core;
use slotilla_common::bus::{Body, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;
use std::collections::BTreeMap;

/// The table of owners.
#[derive(Debug)]
pub(super) struct Slots {
    owners: Vec<Option<NodeKey>>,
    assigned: u16,
    /// Slots that their owners, by our view, no longer claim: anybody may take them.
    unclaimed: SlotSet,
    /// Where slots of ours are going.
    pub(super) migrating: BTreeMap<Slot, NodeId>,
    /// Where slots of others come from.
    pub(super) importing: BTreeMap<Slot, NodeId>,
    /// What the store was told last.
    told: Vec<Option<Serving>>,
    is_changed: bool,
}

impl Default for Slots {
    fn default() -> Self {
        let count = usize::from(Slot::COUNT);
        Self {
            owners: vec![None; count],
            assigned: 0,
            unclaimed: SlotSet::new(),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            told: vec![None; count],
            is_changed: true,
        }
    }
}

impl Slots {
    pub(super) fn owner(&self, slot: Slot) -> Option<NodeKey> {
        self.owners.get(slot.index()).copied().flatten()
    }

    pub(super) fn owners(&self) -> &[Option<NodeKey>] {
        &self.owners
    }

    pub(super) fn is_complete(&self) -> bool {
        self.assigned == Slot::COUNT
    }

    /// Takes a removed node out. Its key may be another's from now on.
    pub(super) fn forget(&mut self, key: NodeKey) {
        for owner in self.owners.iter_mut().filter(|owner| **owner == Some(key)) {
            *owner = None;
            self.assigned = self.assigned.saturating_sub(1);
            self.is_changed = true;
        }
    }

    /// Something that [`Serving`] depends on, beside the owners, has changed.
    pub(super) fn touch(&mut self) {
        self.is_changed = true;
    }

    /// The slots whose serving state is another than the store was told.
    pub(super) fn take_changes(
        &mut self,
        myself: NodeKey,
        my_primary: NodeKey,
    ) -> Vec<(Slot, Serving)> {
        if !std::mem::take(&mut self.is_changed) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for ((slot, owner), told) in Slot::all().zip(&self.owners).zip(&mut self.told) {
            let serving = match *owner {
                None => Serving::Unassigned,
                Some(key) if key == myself && self.migrating.contains_key(&slot) => {
                    Serving::Migrating
                }
                Some(key) if key == myself => Serving::Ours,
                Some(_) if self.importing.contains_key(&slot) => Serving::Importing,
                Some(key) if key == my_primary => Serving::Replica,
                Some(_) => Serving::Elsewhere,
            };
            if *told != Some(serving) {
                *told = Some(serving);
                changes.push((slot, serving));
            }
        }
        changes
    }
}

impl Core {
    /// Gives a slot to a node, or to nobody.
    pub(super) fn assign(&mut self, slot: Slot, owner: Option<NodeKey>) {
        self.slots.unclaimed.remove(slot);
        let Some(place) = self.slots.owners.get_mut(slot.index()) else {
            return;
        };
        let old = std::mem::replace(place, owner);
        if old == owner {
            return;
        }
        if let Some(node) = old.and_then(|key| self.nodes.get_mut(key)) {
            node.remove_slot(slot);
            self.slots.assigned = self.slots.assigned.saturating_sub(1);
        }
        if let Some(node) = owner.and_then(|key| self.nodes.get_mut(key)) {
            node.add_slot(slot);
            self.slots.assigned = self.slots.assigned.saturating_add(1);
        }
        if old == Some(self.myself) {
            self.slots.migrating.remove(&slot);
        }
        self.slots.is_changed = true;
        self.is_topology_stale = true;
        self.save_soon();
    }

    /// Takes all slots from a node.
    pub(super) fn strip(&mut self, key: NodeKey) -> SlotSet {
        let slots = self
            .nodes
            .get(key)
            .map(|node| node.slots())
            .unwrap_or_default();
        for slot in slots.iter() {
            self.assign(slot, None);
        }
        slots
    }

    /// A primary says which slots it has, all of them, as of `config_epoch`.
    pub(super) fn hear_claims(&mut self, claimant: NodeKey, config_epoch: u64, claimed: &SlotSet) {
        if claimant == self.myself {
            return;
        }
        let mine = self.my_primary();
        let mut lost = Vec::new();
        for slot in Slot::all() {
            let owner = self.slots.owner(slot);
            if !claimed.contains(slot) {
                if owner == Some(claimant) {
                    // Not taken away: who has it now will say so. Until then it is known where
                    // its keys were last.
                    self.slots.unclaimed.insert(slot);
                }
                continue;
            }
            if owner == Some(claimant) {
                self.slots.unclaimed.remove(slot);
                continue;
            }
            // What is being imported changes owner by SETSLOT alone.
            if self.slots.importing.contains_key(&slot) {
                continue;
            }
            let is_free = owner.is_none_or(|owner| {
                self.slots.unclaimed.contains(slot)
                    || self
                        .nodes
                        .get(owner)
                        .is_none_or(|owner| owner.config_epoch < config_epoch)
            });
            if is_free {
                if owner == Some(mine) {
                    lost.push(slot);
                }
                self.assign(slot, Some(claimant));
            }
        }
        if !lost.is_empty() {
            self.mourn(claimant, lost);
        }
    }

    /// Slots of ours are another's now. Their keys go, or two nodes would answer for them after
    /// the slot comes back.
    fn mourn(&mut self, winner: NodeKey, lost: Vec<Slot>) {
        let winner = self.nodes.get(winner).map(|node| node.id);
        tracing::warn!(
            slots = lost.len(),
            winner = winner.as_ref().map(NodeId::as_str),
            "Slots were taken over by a node with a greater config epoch"
        );
        self.out.push(Action::DropKeys(lost));
        self.save(true);
    }

    /// Tells a claimant, once, of one owner whose epoch beats its claim.
    pub(super) fn correct_claims(&mut self, claimant: NodeKey, epoch: u64, claimed: &SlotSet) {
        let outdated = claimed.iter().find_map(|slot| {
            let owner = self.slots.owner(slot).filter(|key| *key != claimant)?;
            let node = self.nodes.get(owner)?;
            (node.config_epoch > epoch).then_some(node)
        });
        let Some(owner) = outdated else {
            return;
        };
        let body = Body::Update {
            config_epoch: owner.config_epoch,
            node: owner.id,
            slots: owner.slots(),
        };
        if let Some(link) = self.nodes.get(claimant).and_then(|node| node.link) {
            self.send(link, body);
        }
    }

    /// A known node says that our idea of `id`'s slots is out of date.
    pub(super) fn hear_update(&mut self, id: NodeId, config_epoch: u64, slots: &SlotSet) {
        let Some(key) = self.nodes.key_of(id) else {
            return;
        };
        let Some(node) = self
            .nodes
            .get_mut(key)
            .filter(|node| node.config_epoch < config_epoch)
        else {
            return;
        };
        node.config_epoch = config_epoch;
        let was_replica = node.is(NodeFlags::REPLICA);
        if was_replica {
            self.become_primary(key);
        }
        self.save_soon();
        self.is_topology_stale = true;
        self.hear_claims(key, config_epoch, slots);
    }

    /// Two primaries with one epoch: the one with the smaller name takes a new epoch, and
    /// tells nobody before it is on disk.
    pub(super) fn resolve_collision(&mut self, other: NodeKey, epoch: u64) {
        let me = self.me();
        let Some(other) = self.nodes.get(other) else {
            return;
        };
        let both_primaries = me.is_primary() && other.is_primary();
        // The other one acts if its name is the smaller.
        if !both_primaries || epoch != me.config_epoch || other.id <= me.id {
            return;
        }
        self.current_epoch = self.current_epoch.saturating_add(1);
        let new = self.current_epoch;
        tracing::info!(
            epoch = new,
            "Config epoch collided with another primary's, took a new one"
        );
        if let Some(me) = self.nodes.get_mut(self.myself) {
            me.config_epoch = new;
        }
        self.is_topology_stale = true;
        self.save(true);
        self.broadcast_pong();
    }

    /// The greatest epoch that anybody we know has.
    pub(super) fn greatest_epoch(&self) -> u64 {
        let epochs = self.nodes.iter().map(|(_, node)| node.config_epoch);
        epochs.fold(self.current_epoch, u64::max)
    }

    pub(super) fn become_primary(&mut self, key: NodeKey) {
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        node.flags.clear(NodeFlags::REPLICA);
        node.flags.set(NodeFlags::PRIMARY);
        node.primary = None;
        self.slots.touch();
        self.is_topology_stale = true;
        self.save_soon();
    }
}
