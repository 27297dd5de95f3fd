//! Keeps the slot map fresh: one task for the whole process, asked by anybody, never hurried.
//!
//! However many redirections ask for a new map, one look at the nodes answers them all, and
//! between two looks lies `refresh-interval-min` at least, jittered, so that many proxies do not
//! ask at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use slotilla_common::clock;
use slotilla_common::slot::Slot;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::map::{Address, SlotMap};
use super::source::{self, SourceError};
use crate::outages::Failure;
use crate::shared::Shared;

/// Nodes asked at one time: one that hangs must not hold up the others.
const ASKED_AT_ONCE: usize = 3;

/// The way to the task.
#[derive(Debug)]
pub struct Refresher {
    asked: Notify,
    state: RefreshState,
}

/// What the task has done.
#[derive(Debug)]
pub struct RefreshState {
    /// Looks that gave a map.
    pub succeeded: AtomicU64,
    /// Looks that gave none.
    pub failed: AtomicU64,
    /// When a look last gave a map, in milliseconds since 1970; 0: never.
    pub last_success_ms: AtomicI64,
}

impl Refresher {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            asked: Notify::new(),
            state: RefreshState {
                succeeded: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                last_success_ms: AtomicI64::new(0),
            },
        }
    }

    /// Somebody has reason to doubt the map.
    pub fn ask(&self) {
        // One permit is kept at most, so that asking twice is asking once.
        self.asked.notify_one();
    }

    /// What it has done.
    #[must_use]
    pub fn state(&self) -> &RefreshState {
        &self.state
    }
}

impl Default for Refresher {
    fn default() -> Self {
        Self::new()
    }
}

/// The task.
pub async fn run(shared: Arc<Shared>) {
    loop {
        let config = &shared.config;
        let has_succeeded = refresh(&shared).await;
        let pause = jittered(config.refresh_interval_min);
        tokio::time::sleep(pause).await;
        if !has_succeeded && shared.map.load().version == 0 {
            // Nothing is served without a map.
            continue;
        }
        tokio::select! {
            () = shared.refresher.asked.notified() => {}
            () = tokio::time::sleep(jittered(config.refresh_interval)) => {}
        }
    }
}

/// Up to a quarter longer, by chance.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 + fastrand::f64() / 4.0)
}

/// Looks once. Whether any node told a map.
async fn refresh(shared: &Arc<Shared>) -> bool {
    let mut candidates = candidates(shared).into_iter();
    let mut asked: JoinSet<(Address, Result<_, SourceError>)> = JoinSet::new();
    let ask = |asked: &mut JoinSet<_>, address: Address| {
        let config = Arc::clone(&shared.config);
        asked.spawn(async move {
            let told = source::ask(&config, &address).await;
            (address, told)
        });
    };
    for address in candidates.by_ref().take(ASKED_AT_ONCE) {
        ask(&mut asked, address);
    }
    let version = shared.map.load().version + 1;
    let mut best: Option<SlotMap> = None;
    while let Some(answer) = asked.join_next().await {
        let Ok((address, told)) = answer else {
            continue;
        };
        match told {
            Ok(topology) => {
                shared.outages.answered(&address);
                let map = SlotMap::paint(&topology, &address.host, version);
                let is_complete = map.is_complete();
                if best.as_ref().is_none_or(|b| map.covered() > b.covered()) {
                    best = Some(map);
                }
                if is_complete {
                    break;
                }
            }
            Err(error) => {
                let outages = &shared.outages;
                if outages.failed(&address, Failure::Attempt, error.to_string()) {
                    tracing::warn!(node = %address, "no slot map: {error}");
                } else {
                    tracing::debug!(node = %address, "no slot map: {error}");
                }
            }
        }
        if let Some(address) = candidates.next() {
            ask(&mut asked, address);
        }
    }
    let state = shared.refresher.state();
    let Some(map) = best else {
        state.failed.fetch_add(1, Ordering::Relaxed);
        return false;
    };
    state.succeeded.fetch_add(1, Ordering::Relaxed);
    state
        .last_success_ms
        .store(clock::unix_ms(), Ordering::Relaxed);
    publish(shared, map);
    true
}

/// Everybody who may know: the nodes of the present map first, by chance, then the seeds.
fn candidates(shared: &Shared) -> Vec<Address> {
    let map = shared.map.load();
    let primaries = map.primaries.iter().map(|(_, address)| address.clone());
    let mut candidates: Vec<Address> = primaries.collect();
    fastrand::shuffle(&mut candidates);
    let mut others = map.replicas.clone();
    others.extend(shared.config.seeds.iter().cloned());
    fastrand::shuffle(&mut others);
    for address in others {
        if !candidates.contains(&address) {
            candidates.push(address);
        }
    }
    candidates
}

fn publish(shared: &Shared, map: SlotMap) {
    if shared.map.load().says_the_same(&map) {
        return;
    }
    let version = map.version;
    if version > 1 {
        shared.unsettle();
    }
    tracing::info!(
        version,
        primaries = map.primaries.len(),
        replicas = map.replicas.len(),
        slots_without_owner = usize::from(Slot::COUNT) - map.covered(),
        "new slot map"
    );
    shared.map.store(Arc::new(map));
    shared.map_changed.send_replace(version);
}
