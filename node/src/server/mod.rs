//! The server: threads, connections, sessions, and what they share.
//!
//! ```text
//! main thread     acceptor, timers, signals
//! worker 0..N     connection -> session -> dispatch -> a command's handler
//! cluster thread  gossip (crate::cluster)
//! background      per worker, for what goes slot by slot; one for freeing, one for expiry
//! long 0..N       commands that own their slots for longer (long.rs)
//! ```

pub mod acceptor;
pub mod admin;
mod admission;
pub mod batch;
pub mod blocked;
pub mod client;
pub mod connection;
pub mod cron;
pub mod dispatch;
pub mod durations;
pub(crate) mod exec;
pub mod gate;
pub mod host;
pub mod keyspace_events;
pub mod latency;
mod listeners;
pub mod long;
pub mod machine;
mod mailbox;
pub mod metrics;
pub mod monitor;
pub mod output_limit;
pub mod pause;
pub mod pubsub;
pub mod reconfigure;
pub mod redact;
pub mod session;
pub mod slowlog;
pub mod socket;
pub mod start;
pub mod stats;
pub mod targets;
pub mod transaction;
pub mod unblock;
pub mod unconfirmed;
mod unsent;
pub mod worker;

use slotilla_common::alloc;
use slotilla_common::clock::Monotonic;
use slotilla_common::net::http::HttpAlarm;
use slotilla_common::slot::Slot;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

use crate::aof::Aof;
use crate::cluster::{self, routing};
use crate::commands::Handlers;
use crate::config::Config;
use crate::persistence::{Persistence, Phase};
use crate::replication::Replication;
use crate::store::{Room, Scope, Store};
use client::Registry;
use gate::Gate;
use latency::LatencyMonitor;
use long::LongThreads;
use pause::Pause;
use slowlog::SlowLog;
use stats::Stats;

/// What all threads of one node share.
#[derive(Debug)]
pub struct Server {
    /// The directives.
    pub config: Arc<Config>,
    /// The keyspace.
    pub store: Store,
    /// The clients.
    pub clients: Registry,
    /// What has been counted.
    pub stats: Stats,
    /// Where all threads can be stopped for an instant.
    pub gate: Gate,
    /// What is kept on disk, and whether it is being loaded.
    pub persistence: Persistence,
    /// The append-only file.
    pub aof: Aof,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// A snapshot that kept as much as it may has room again.
    pub snapshot_room: tokio::sync::Notify,
    /// Who listens to which channels.
    pub pubsub: pubsub::Hub,
    /// SLOWLOG.
    pub slowlog: SlowLog,
    /// LATENCY.
    pub latency: LatencyMonitor,
    /// Tells of clients that send HTTP.
    pub http_alarm: HttpAlarm,
    /// Connections to the nodes that MIGRATE sends keys to.
    pub targets: targets::Targets,
    /// The threads of long commands.
    pub long_threads: LongThreads,
    /// What each command does.
    pub handlers: Handlers,
    /// Whether this node is of a cluster: fixed at start.
    pub cluster_enabled: bool,
    /// The cluster thread; see [`Server::cluster`].
    cluster: OnceLock<cluster::shell::Handle>,
    /// Whether the cluster takes commands on keys; always up outside a cluster.
    pub cluster_health: routing::Health,
    /// Cancelled when the node is to stop.
    pub shutdown: CancellationToken,
    /// Calibrated once; workers clone it.
    pub clock: Monotonic,
    /// 40 random hex digits, new at each start.
    pub run_id: String,
    /// Its role, and the history of its data.
    pub replication: Replication,
    /// When the node started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// Bytes that the process held before the first key.
    pub startup_bytes: u64,
}

impl Server {
    /// Whether the data set is being loaded.
    #[must_use]
    pub fn loading(&self) -> bool {
        self.persistence.phase() == Phase::Loading
    }

    /// Evicts keys until used memory is within `maxmemory`, or for as long as
    /// `maxmemory-eviction-tenacity` allows. False if nothing more may be evicted. Must not be
    /// called with a slot locked. Evicts nothing while clients are paused: those that would add
    /// wait. Nor on a replica, which leaves it to its primary.
    #[must_use]
    pub fn make_room(&self, scope: Scope) -> bool {
        if self.pause.is_active() || self.leaves_eviction() {
            return true;
        }
        self.store.make_room(scope, || self.excess_bytes()) != Room::NoVictim
    }

    /// How many bytes are used beyond `maxmemory`. What only waits to be freed does not count, nor
    /// what is kept for a snapshot alone.
    #[must_use]
    pub fn excess_bytes(&self) -> usize {
        let limit = self.config.maxmemory();
        if limit == 0 {
            return 0;
        }
        let (kept, _) = self.store.snapshot_held();
        // Evicting keys would not make what replicas or the disk are slow to take any less.
        let extra = self
            .store
            .lazyfree_pending_bytes()
            .saturating_add(kept)
            .saturating_add(self.not_evictable_bytes());
        alloc::used_bytes()
            .saturating_sub(extra)
            .saturating_sub(limit)
    }

    /// Bytes of the replication log beyond the backlog: what replicas or the append-only file have
    /// not taken yet.
    #[must_use]
    pub fn not_evictable_bytes(&self) -> usize {
        let (log, history) = (self.store.log(), self.store.history());
        let own = if Arc::ptr_eq(log, history) {
            0
        } else {
            log.kept_bytes()
        };
        let backlog = usize::try_from(self.config.repl_backlog_size()).unwrap_or(usize::MAX);
        own.saturating_add(history.kept_bytes().saturating_sub(backlog))
    }

    /// Sends a message to a channel's subscribers, on this node and, in a cluster, all others; to
    /// how many on this node.
    #[must_use]
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        self.send_to_others(channel, message, false);
        self.publish_here(channel, message)
    }

    /// Sends a message to a shard channel's subscribers, on this node and the others of its shard;
    /// to how many on this node.
    #[must_use]
    pub fn publish_to_shard(&self, channel: &[u8], message: &[u8]) -> usize {
        self.send_to_others(channel, message, true);
        self.publish_to_shard_here(channel, message)
    }

    fn send_to_others(&self, channel: &[u8], message: &[u8], to_shard: bool) {
        if let Some(cluster) = self.cluster() {
            cluster.publish(cluster::Post {
                to_shard,
                channel: channel.into(),
                message: message.into(),
            });
        }
    }

    /// Hands a message of another node to this node's subscribers.
    pub fn deliver(&self, post: &cluster::Post) {
        // How many there are is told nobody.
        let _receivers = if post.to_shard {
            self.publish_to_shard_here(&post.channel, &post.message)
        } else {
            self.publish_here(&post.channel, &post.message)
        };
    }

    /// A slot is another node's: its channels' subscribers are told.
    pub fn leave_slot(&self, slot: Slot) {
        self.pubsub
            .leave_slot(slot, self.config.subscribers_limit());
    }

    /// Sends a message to a channel's subscribers on this node alone; to how many.
    pub(super) fn publish_here(&self, channel: &[u8], message: &[u8]) -> usize {
        if self.pubsub.is_silent() {
            return 0;
        }
        let limit = self.config.subscribers_limit();
        self.pubsub.publish(channel, message, limit)
    }

    fn publish_to_shard_here(&self, channel: &[u8], message: &[u8]) -> usize {
        let limit = self.config.subscribers_limit();
        self.pubsub.publish_to_shard(channel, message, limit)
    }

    /// The cluster thread; `None` on a node that stands alone.
    #[must_use]
    pub fn cluster(&self) -> Option<&cluster::shell::Handle> {
        self.cluster.get()
    }

    /// Links to other nodes of the cluster.
    #[must_use]
    pub fn cluster_links(&self) -> usize {
        self.cluster().map_or(0, |cluster| cluster.link_totals().0)
    }

    /// The text that sends a client to where `slot` is.
    #[must_use]
    pub fn redirect(&self, refusal: routing::Refusal, slot: Slot) -> String {
        let endpoints = self.config.cluster_preferred_endpoint_type();
        self.cluster()
            .map(|cluster| cluster.view().refusal_text(refusal, slot, endpoints))
            .unwrap_or_default()
    }
}
