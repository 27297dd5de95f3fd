//! Channels and who listens to them.

use parking_lot::{Mutex, MutexGuard};
use slotilla_common::slot::Slot;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Name;
use crate::server::client::Client;

/// Locks over which the slots are spread.
const SHARDS: usize = 64;

/// Who listens, by client id.
pub(super) type Subscribers = HashMap<u64, Arc<Client>>;

type Channels = HashMap<Name, Subscribers>;
type Shard = HashMap<Slot, Channels>;

/// Channels by slot, as keys are: for shard channels that is what they are asked by, for others
/// it spreads them as well as any hash.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    len: AtomicUsize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }

    /// How many channels there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by SHARDS, of which there are as many"
    )]
    fn lock(&self, slot: Slot) -> MutexGuard<'_, Shard> {
        self.shards[slot.index() % SHARDS].lock()
    }

    pub(super) fn add(&self, name: Name, client: &Arc<Client>) {
        let slot = Slot::of_key(&name);
        let mut shard = self.lock(slot);
        let subscribers = shard.entry(slot).or_default().entry(name).or_default();
        if subscribers.is_empty() {
            self.len.fetch_add(1, Ordering::Release);
        }
        subscribers.insert(client.id, Arc::clone(client));
    }

    pub(super) fn remove(&self, name: &[u8], client: &Client) {
        let slot = Slot::of_key(name);
        let mut shard = self.lock(slot);
        let Some(channels) = shard.get_mut(&slot) else {
            return;
        };
        let Some(subscribers) = channels.get_mut(name) else {
            return;
        };
        subscribers.remove(&client.id);
        if subscribers.is_empty() {
            channels.remove(name);
            self.len.fetch_sub(1, Ordering::Release);
            if channels.is_empty() {
                shard.remove(&slot);
            }
        }
    }

    /// Does `work` with who listens to a channel, nobody else coming to or leaving it meanwhile.
    pub(super) fn with<R>(&self, name: &[u8], work: impl FnOnce(Option<&Subscribers>) -> R) -> R {
        let slot = Slot::of_key(name);
        let shard = self.lock(slot);
        work(shard.get(&slot).and_then(|channels| channels.get(name)))
    }

    /// Takes out all channels of a slot.
    pub(super) fn take_slot(&self, slot: Slot) -> Channels {
        if self.len() == 0 {
            return Channels::new();
        }
        let taken = self.lock(slot).remove(&slot).unwrap_or_default();
        self.len.fetch_sub(taken.len(), Ordering::Release);
        taken
    }

    /// The names that fit.
    pub(super) fn names(&self, fits: impl Fn(&[u8]) -> bool) -> Vec<Name> {
        let mut names = Vec::new();
        if self.len() == 0 {
            return names;
        }
        for shard in &self.shards {
            let shard = shard.lock();
            let all = shard.values().flat_map(HashMap::keys);
            names.extend(all.filter(|name| fits(name)).cloned());
        }
        names
    }
}
