//! Serve or redirect: what a node does with a command on a slot.
//!
//! Each slot carries its [`Serving`] state, which is read under the slot's lock; whether the
//! cluster as a whole is up is one atomic. The rules and their order are Redis 7.0's
//! (`getNodeByQuery`): unbound slot, keys of several slots, cluster down, migrating, importing,
//! replica, moved.
//!
//! This file decides; who owns the slot, and so what a redirect names, is asked of the
//! published view, which only a refused command needs.

use std::sync::atomic::{AtomicU8, Ordering};

/// What this node is to a slot. Kept in the slot and read under its lock, so a command never
/// runs on a slot that was handed over a moment ago.
///
/// A node outside a cluster has every slot [`Serving::Ours`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Serving {
    /// Ours, and nothing is moving.
    #[default]
    Ours,
    /// Ours, on its way to another node: a key that is gone is answered with ASK.
    Migrating,
    /// Another node's, on its way to us: served after ASKING only.
    Importing,
    /// Our primary's: reads are served to READONLY clients.
    Replica,
    /// Another shard's.
    Elsewhere,
    /// Nobody's.
    Unassigned,
}

/// Whether the cluster takes commands on keys: one atomic, written by the cluster thread.
#[derive(Debug, Default)]
pub struct Health(AtomicU8);

/// What [`Health`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Condition {
    /// The cluster is up, or this node is in none.
    Up = 0,
    /// The cluster is down for every command on keys.
    Down = 1,
    /// Down, but `cluster-allow-reads-when-down` lets reads pass.
    ReadsOnly = 2,
}

impl Health {
    /// A health that says `condition`.
    #[must_use]
    pub const fn new(condition: Condition) -> Self {
        Self(AtomicU8::new(condition as u8))
    }

    /// What the cluster thread said last.
    #[must_use]
    #[inline]
    pub fn condition(&self) -> Condition {
        match self.0.load(Ordering::Relaxed) {
            0 => Condition::Up,
            1 => Condition::Down,
            _ => Condition::ReadsOnly,
        }
    }

    /// Tells all workers.
    pub fn set(&self, condition: Condition) {
        self.0.store(condition as u8, Ordering::Relaxed);
    }
}

/// What routing must know of a command and its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// The session said ASKING just before, or the command implies it (RESTORE-ASKING).
    pub asking: bool,
    /// The session said READONLY.
    pub readonly: bool,
    /// The command may change a key (inside EXEC: any of the queued commands).
    pub write: bool,
    /// The command names more than one key.
    pub several_keys: bool,
    /// The command is MIGRATE, which works on open slots by nature.
    pub migrate: bool,
    /// A sharded Pub/Sub command: its channels are not keys, so none can be missing.
    pub shard_pubsub: bool,
    /// `cluster-allow-pubsubshard-when-down`, which counts for such commands.
    pub pubsub_when_down: bool,
}

/// What to do with a command on a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Run it.
    Serve,
    /// The slot is open (migrating or importing): count the keys that are here and ask
    /// [`open_slot`].
    CountKeys(OpenSlot),
    /// Answer an error instead.
    Refuse(Refusal),
}

/// Which way an open slot is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenSlot {
    /// Away from us.
    Migrating,
    /// To us.
    Importing,
}

/// Why a command is not run here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The slot has no owner.
    Unbound,
    /// The keys lie in several slots.
    CrossSlot,
    /// The cluster is down.
    Down,
    /// The cluster is down and takes reads only.
    DownForWrites,
    /// Some keys are here and some are on the other side.
    TryAgain,
    /// The key is, if anywhere, at the node that the slot is migrating to.
    Ask,
    /// The slot is another node's.
    Moved,
}

impl Refusal {
    /// The error reply, for the refusals that name no node.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::Unbound => Some("CLUSTERDOWN Hash slot not served"),
            Self::CrossSlot => Some("CROSSSLOT Keys in request don't hash to the same slot"),
            Self::Down => Some("CLUSTERDOWN The cluster is down"),
            Self::DownForWrites => {
                Some("CLUSTERDOWN The cluster is down and only accepts read commands")
            }
            Self::TryAgain => Some("TRYAGAIN Multiple keys request during rehashing of slot"),
            Self::Ask | Self::Moved => None,
        }
    }
}

/// What a node that is `serving` does with `request`, whose keys all lie in that one slot.
///
/// To be asked under the slot's lock. For keys of several slots see [`cross_slot`].
#[must_use]
#[inline]
pub fn admit(serving: Serving, health: &Health, request: Request) -> Verdict {
    if serving == Serving::Ours && health.condition() == Condition::Up {
        return Verdict::Serve;
    }
    admit_slowly(serving, health.condition(), request)
}

#[cold]
fn admit_slowly(serving: Serving, condition: Condition, request: Request) -> Verdict {
    if serving == Serving::Unassigned {
        return Verdict::Refuse(Refusal::Unbound);
    }
    match condition {
        Condition::Down | Condition::ReadsOnly if request.shard_pubsub => {
            if !request.pubsub_when_down {
                return Verdict::Refuse(Refusal::Down);
            }
        }
        Condition::Down => return Verdict::Refuse(Refusal::Down),
        Condition::ReadsOnly if request.write => {
            return Verdict::Refuse(Refusal::DownForWrites);
        }
        Condition::ReadsOnly | Condition::Up => {}
    }
    match serving {
        Serving::Ours => Verdict::Serve,
        Serving::Migrating if request.migrate || request.shard_pubsub => Verdict::Serve,
        Serving::Migrating => Verdict::CountKeys(OpenSlot::Migrating),
        Serving::Importing if request.migrate => Verdict::Serve,
        Serving::Importing if request.asking => {
            if request.several_keys && !request.shard_pubsub {
                Verdict::CountKeys(OpenSlot::Importing)
            } else {
                Verdict::Serve
            }
        }
        Serving::Replica if (request.readonly || request.shard_pubsub) && !request.write => {
            Verdict::Serve
        }
        Serving::Importing | Serving::Replica | Serving::Elsewhere | Serving::Unassigned => {
            Verdict::Refuse(Refusal::Moved)
        }
    }
}

/// What an open slot does with a command of which `present` of its `named` keys are here.
///
/// # Errors
/// The refusal to answer with.
pub fn open_slot(direction: OpenSlot, present: usize, named: usize) -> Result<(), Refusal> {
    if present >= named {
        return Ok(());
    }
    match direction {
        OpenSlot::Migrating if present == 0 => Err(Refusal::Ask),
        OpenSlot::Migrating | OpenSlot::Importing => Err(Refusal::TryAgain),
    }
}

/// Why keys of several slots are refused, given what this node is to the first key's slot: an
/// unbound slot is told before the crossing.
#[must_use]
pub const fn cross_slot(first: Serving) -> Refusal {
    match first {
        Serving::Unassigned => Refusal::Unbound,
        Serving::Ours
        | Serving::Migrating
        | Serving::Importing
        | Serving::Replica
        | Serving::Elsewhere => Refusal::CrossSlot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Request = Request {
        asking: false,
        readonly: false,
        write: false,
        several_keys: false,
        migrate: false,
        shard_pubsub: false,
        pubsub_when_down: false,
    };
    const WRITE: Request = Request {
        write: true,
        ..READ
    };

    fn refused(refusal: Refusal) -> Verdict {
        Verdict::Refuse(refusal)
    }

    #[test]
    fn a_healthy_cluster_serves_its_own_and_moves_the_rest() {
        let up = Health::new(Condition::Up);
        for (serving, expected) in [
            (Serving::Ours, Verdict::Serve),
            (Serving::Migrating, Verdict::CountKeys(OpenSlot::Migrating)),
            (Serving::Importing, refused(Refusal::Moved)),
            (Serving::Replica, refused(Refusal::Moved)),
            (Serving::Elsewhere, refused(Refusal::Moved)),
            (Serving::Unassigned, refused(Refusal::Unbound)),
        ] {
            assert_eq!(admit(serving, &up, WRITE), expected, "{serving:?}");
            assert_eq!(admit(serving, &up, READ), expected, "{serving:?}");
        }
    }

    #[test]
    fn an_unbound_slot_is_told_before_the_cluster_is_down() {
        let down = Health::new(Condition::Down);
        assert_eq!(
            admit(Serving::Unassigned, &down, READ),
            refused(Refusal::Unbound)
        );
        for serving in [Serving::Ours, Serving::Elsewhere, Serving::Migrating] {
            assert_eq!(admit(serving, &down, READ), refused(Refusal::Down));
        }
        assert_eq!(cross_slot(Serving::Unassigned), Refusal::Unbound);
        assert_eq!(cross_slot(Serving::Elsewhere), Refusal::CrossSlot);
    }

    #[test]
    fn reads_pass_when_they_may() {
        let reads = Health::new(Condition::ReadsOnly);
        assert_eq!(admit(Serving::Ours, &reads, READ), Verdict::Serve);
        assert_eq!(
            admit(Serving::Ours, &reads, WRITE),
            refused(Refusal::DownForWrites)
        );
    }

    #[test]
    fn shard_channels_have_rules_of_their_own() {
        let channel = Request {
            shard_pubsub: true,
            several_keys: true,
            ..READ
        };
        let when_down = Request {
            pubsub_when_down: true,
            ..channel
        };
        let up = Health::new(Condition::Up);
        for serving in [Serving::Ours, Serving::Migrating, Serving::Replica] {
            assert_eq!(admit(serving, &up, channel), Verdict::Serve, "{serving:?}");
        }
        assert_eq!(
            admit(Serving::Elsewhere, &up, channel),
            refused(Refusal::Moved)
        );
        for condition in [Condition::Down, Condition::ReadsOnly] {
            let down = Health::new(condition);
            assert_eq!(admit(Serving::Ours, &down, channel), refused(Refusal::Down));
            assert_eq!(admit(Serving::Ours, &down, when_down), Verdict::Serve);
            assert_eq!(
                admit(Serving::Unassigned, &down, when_down),
                refused(Refusal::Unbound)
            );
        }
    }

    #[test]
    fn importing_slots_are_served_after_asking_only() {
        let up = Health::new(Condition::Up);
        let asking = Request {
            asking: true,
            ..WRITE
        };
        let several = Request {
            several_keys: true,
            ..asking
        };
        assert_eq!(admit(Serving::Importing, &up, asking), Verdict::Serve);
        assert_eq!(
            admit(Serving::Importing, &up, several),
            Verdict::CountKeys(OpenSlot::Importing)
        );
        // ASKING opens no other door.
        assert_eq!(
            admit(Serving::Elsewhere, &up, asking),
            refused(Refusal::Moved)
        );
    }

    #[test]
    fn replicas_serve_reads_to_readonly_clients() {
        let up = Health::new(Condition::Up);
        let readonly = Request {
            readonly: true,
            ..READ
        };
        assert_eq!(admit(Serving::Replica, &up, readonly), Verdict::Serve);
        let write = Request {
            write: true,
            ..readonly
        };
        assert_eq!(admit(Serving::Replica, &up, write), refused(Refusal::Moved));
    }

    #[test]
    fn missing_keys_of_open_slots_are_asked_for_or_tried_again() {
        for (direction, present, named, expected) in [
            (OpenSlot::Migrating, 1, 1, Ok(())),
            (OpenSlot::Migrating, 0, 1, Err(Refusal::Ask)),
            (OpenSlot::Migrating, 0, 3, Err(Refusal::Ask)),
            (OpenSlot::Migrating, 2, 3, Err(Refusal::TryAgain)),
            (OpenSlot::Importing, 3, 3, Ok(())),
            (OpenSlot::Importing, 0, 3, Err(Refusal::TryAgain)),
            (OpenSlot::Importing, 2, 3, Err(Refusal::TryAgain)),
        ] {
            assert_eq!(open_slot(direction, present, named), expected);
        }
    }
}
