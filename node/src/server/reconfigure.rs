//! What follows a directive that changes while the node runs.
//!
//! Most directives are read where they are used, as plain atomics, and need nothing. Here is the
//! rest: values that a part keeps a copy of, and changes that are an act in themselves.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use slotilla_common::clock;

use super::Server;
use super::client::flag;
use super::keyspace_events;
use crate::aof;
use crate::config::{Applier, Config, Key};
use crate::store::Scope;

/// A part that takes its values from the configuration.
type Part = fn(&Server, &Config);

/// Gives the parts their values now, and again whenever they change.
pub fn follow(server: &Arc<Server>) {
    follow_aof(server);
    let parts: [(&[Key], Part); 9] = [
        (
            &[
                Key::MaxmemoryPolicy,
                Key::MaxmemorySamples,
                Key::MaxmemoryEvictionTenacity,
                Key::LfuLogFactor,
                Key::LfuDecayTime,
                Key::ActiveExpireEffort,
                Key::NotifyKeyspaceEvents,
                Key::LongCommandThreads,
                Key::LazyfreeLazyExpire,
                Key::LazyfreeLazyEviction,
                Key::LazyfreeLazyServerDel,
            ],
            store_settings,
        ),
        (&[Key::SlowlogLogSlowerThan, Key::SlowlogMaxLen], slowlog),
        (&[Key::LatencyMonitorThreshold], latency_monitor),
        (&[Key::Maxmemory], make_room),
        (&[Key::ClientOutputBufferLimit], wake_slow_readers),
        (&[Key::Save, Key::StopWritesOnBgsaveError], refusal),
        (&[Key::SnapshotPreimageLimit], snapshot_limit),
        (
            &[Key::MinReplicasToWrite, Key::MinReplicasMaxLag],
            good_replicas,
        ),
        (&[Key::ReplicaAckWrites], ack_writes),
    ];
    for (keys, part) in parts {
        part(server, &server.config);
        server.config.on_change(keys, applier(server, part));
    }
}

/// What is written follows `appendonly`.
fn follow_aof(server: &Arc<Server>) {
    let server = Arc::downgrade(server);
    let keys = [Key::Appendonly, Key::Appendfsync];
    let owner = server.clone();
    if let Some(server) = server.upgrade() {
        let applier: Applier = Box::new(move |_| {
            if let Some(server) = owner.upgrade() {
                aof::prepare(&server)?;
                aof::settle(&server);
                // Whoever writes looks at how it is flushed.
                server.store.log().interrupt();
            }
            Ok(())
        });
        server.config.on_change(&keys, applier);
    }
}

/// Calls `part` with the server, for as long as there is one. The configuration belongs to the
/// server, so it must not hold it.
fn applier(server: &Arc<Server>, part: Part) -> Applier {
    let server: Weak<Server> = Arc::downgrade(server);
    Box::new(move |config| {
        if let Some(server) = server.upgrade() {
            part(&server, config);
        }
        Ok(())
    })
}

fn store_settings(server: &Server, config: &Config) {
    let settings = server.store.settings();
    settings.set_policy(config.maxmemory_policy());
    settings.set_samples(config.maxmemory_samples());
    settings.set_eviction_tenacity(config.maxmemory_eviction_tenacity());
    settings.set_lfu_log_factor(config.lfu_log_factor());
    settings.set_lfu_decay_minutes(config.lfu_decay_minutes());
    settings.set_active_expire_effort(config.active_expire_effort());
    settings.set_unlinks_expired(config.lazyfree_lazy_expire());
    settings.set_unlinks_evicted(config.lazyfree_lazy_eviction());
    settings.set_unlinks_flushed(config.lazyfree_lazy_server_del());
    server.store.set_long_places(config.long_command_threads());
    settings.set_events(keyspace_events::classes(config.notify_keyspace_events()));
}

fn slowlog(server: &Server, config: &Config) {
    server.slowlog.configure(
        config.slowlog_log_slower_than_us(),
        config.slowlog_max_len(),
    );
}

fn latency_monitor(server: &Server, config: &Config) {
    server
        .latency
        .configure(config.latency_monitor_threshold_ms());
}

/// Whether writes are refused since snapshots fail.
fn refusal(server: &Server, _config: &Config) {
    server.persistence.background.note_config(server);
}

fn snapshot_limit(server: &Server, config: &Config) {
    server
        .store
        .set_snapshot_limit(config.snapshot_preimage_limit());
    server.snapshot_room.notify_waiters();
}

fn good_replicas(server: &Server, _config: &Config) {
    server.replication.as_primary.configure(server);
}

fn ack_writes(server: &Server, _config: &Config) {
    server.replication.as_primary.set_ack_writes(server);
}

/// A lower limit concerns those who have long waited for their socket, too.
fn wake_slow_readers(server: &Server, _config: &Config) {
    for client in server.clients.all() {
        if client.output_bytes.load(Ordering::Relaxed) > 0 || client.has(flag::MAIL) {
            client.wake();
        }
    }
}

/// A lower limit holds from now on, not from the next write on.
fn make_room(server: &Server, config: &Config) {
    if server.excess_bytes() == 0 {
        return;
    }
    tracing::warn!(
        "maxmemory is now {} bytes, less than what is used: keys are evicted, or writes refused, \
         as maxmemory-policy ({}) says",
        config.maxmemory(),
        config.maxmemory_policy().name(),
    );
    // Beyond the workers' numbers: whoever sets it, it is nobody's command.
    let scope = Scope {
        db: 0,
        now_ms: clock::unix_ms(),
        thread: config.io_threads(),
    };
    let _enough = server.make_room(scope);
}
