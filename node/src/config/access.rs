//! The values by name and type, for those who use them. Numbers are plain loads.

use std::path::PathBuf;

use super::ack_writes::AckWrites;
use super::structured::{OutputLimit, SavePoint, ShutdownFlags, shutdown_flags};
use super::{Config, Directive, Key, Value};
use crate::replication::Address;
use crate::store::Policy;

/// Who may do something that can do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nobody.
    Nobody,
    /// Every client.
    Everybody,
    /// Clients on this machine.
    Local,
}

impl Permission {
    fn from_place(place: i64) -> Self {
        match place {
            1 => Self::Everybody,
            2 => Self::Local,
            _ => Self::Nobody,
        }
    }

    /// Whether a client may, being on this machine or not.
    #[must_use]
    pub fn allows(self, local: bool) -> bool {
        self == Self::Everybody || (self == Self::Local && local)
    }
}

/// `cluster-preferred-endpoint-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointType {
    /// The address.
    Ip,
    /// The announced host name.
    Hostname,
    /// Nothing: clients use the address that they already know.
    Unknown,
}

/// Writes accessors of one number each, none of which can be negative.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $key:ident as $type:ty;)*) => {
        impl Config {
            $(
                $(#[$doc])*
                #[must_use]
                #[inline]
                pub fn $name(&self) -> $type {
                    self.size(Key::$key).try_into().unwrap_or(<$type>::MAX)
                }
            )*
        }
    };
}

numbers! {
    /// `port`; 0 is none.
    port: Port as u16;
    /// `admin-port`; 0 is none.
    admin_port: AdminPort as u16;
    /// `io-threads`: the threads that serve clients.
    io_threads: IoThreads as usize;
    /// `long-command-threads`: how many long commands run at one time.
    long_command_threads: LongCommandThreads as usize;
    /// `databases`.
    databases: Databases as u16;
    /// `tcp-backlog`.
    tcp_backlog: TcpBacklog as i32;
    /// `tcp-keepalive`, in seconds; 0 is never.
    tcp_keepalive: TcpKeepalive as u32;
    /// `maxclients`.
    maxclients: Maxclients as usize;
    /// `maxmemory`, in bytes; 0 is no limit.
    maxmemory: Maxmemory as usize;
    /// `maxmemory-samples`.
    maxmemory_samples: MaxmemorySamples as u32;
    /// `maxmemory-eviction-tenacity`, 0 to 100.
    maxmemory_eviction_tenacity: MaxmemoryEvictionTenacity as u32;
    /// `lfu-log-factor`.
    lfu_log_factor: LfuLogFactor as u32;
    /// `lfu-decay-time`, in minutes.
    lfu_decay_minutes: LfuDecayTime as u32;
    /// `active-expire-effort`, 1 to 10.
    active_expire_effort: ActiveExpireEffort as u32;
    /// `zset-max-listpack-entries`.
    zset_max_listpack_entries: ZsetMaxListpackEntries as usize;
    /// `zset-max-listpack-value`, in bytes.
    zset_max_listpack_value: ZsetMaxListpackValue as usize;
    /// `notify-keyspace-events`, a bit for each class.
    notify_keyspace_events: NotifyKeyspaceEvents as u32;
    /// `slowlog-max-len`.
    slowlog_max_len: SlowlogMaxLen as usize;
    /// `latency-monitor-threshold`, in milliseconds; 0 is off.
    latency_monitor_threshold_ms: LatencyMonitorThreshold as u64;
    /// `proto-max-bulk-len`, in bytes.
    proto_max_bulk_len: ProtoMaxBulkLen as usize;
    /// `hash-max-listpack-entries`.
    hash_max_listpack_entries: HashMaxListpackEntries as usize;
    /// `hash-max-listpack-value`, in bytes.
    hash_max_listpack_value: HashMaxListpackValue as usize;
    /// `set-max-intset-entries`.
    set_max_intset_entries: SetMaxIntsetEntries as usize;
    /// `hll-sparse-max-bytes`.
    hll_sparse_max_bytes: HllSparseMaxBytes as usize;
    /// `client-query-buffer-limit`, in bytes.
    client_query_buffer_limit: ClientQueryBufferLimit as usize;
    /// `cluster-node-timeout`, in milliseconds.
    cluster_node_timeout_ms: ClusterNodeTimeout as u64;
    /// `cluster-announce-port`; 0 is the port itself.
    cluster_announce_port: ClusterAnnouncePort as u16;
    /// `cluster-announce-bus-port`; 0 is the bus port itself.
    cluster_announce_bus_port: ClusterAnnounceBusPort as u16;
    /// `cluster-announce-tls-port`.
    cluster_announce_tls_port: ClusterAnnounceTlsPort as u16;
    /// `cluster-link-sendbuf-limit`, in bytes; 0 is none.
    cluster_link_sendbuf_limit: ClusterLinkSendbufLimit as usize;
    /// `repl-backlog-size`, in bytes.
    repl_backlog_size: ReplBacklogSize as u64;
    /// `repl-ping-replica-period`, in seconds.
    repl_ping_replica_period_seconds: ReplPingReplicaPeriod as u64;
    /// `repl-backlog-ttl`, in seconds; 0: it is kept for good.
    repl_backlog_ttl_seconds: ReplBacklogTtl as u64;
    /// `repl-diskless-sync-delay`, in seconds.
    repl_diskless_sync_delay_seconds: ReplDisklessSyncDelay as u64;
    /// `repl-diskless-sync-max-replicas`; 0: however many come.
    repl_diskless_sync_max_replicas: ReplDisklessSyncMaxReplicas as usize;
    /// `min-replicas-to-write`; 0: none is needed.
    min_replicas_to_write: MinReplicasToWrite as usize;
    /// `min-replicas-max-lag`, in seconds.
    min_replicas_max_lag: MinReplicasMaxLag as i64;
    /// `replica-ack-timeout`, in milliseconds.
    replica_ack_timeout_ms: ReplicaAckTimeout as u64;
    /// `repl-timeout`, in seconds.
    repl_timeout_seconds: ReplTimeout as u64;
    /// `replica-announce-port`; 0 is the port itself.
    replica_announce_port: ReplicaAnnouncePort as u16;
    /// `replica-priority`.
    replica_priority: ReplicaPriority as u32;
    /// `shutdown-timeout`, in seconds.
    shutdown_timeout_seconds: ShutdownTimeout as u64;
}

/// Writes accessors of one boolean each.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident: $key:ident;)*) => {
        impl Config {
            $(
                $(#[$doc])*
                #[must_use]
                #[inline]
                pub fn $name(&self) -> bool {
                    self.flag(Key::$key)
                }
            )*
        }
    };
}

flags! {
    /// `protected-mode`.
    protected_mode: ProtectedMode;
    /// `cluster-enabled`.
    cluster_enabled: ClusterEnabled;
    /// `cluster-require-full-coverage`.
    cluster_require_full_coverage: ClusterRequireFullCoverage;
    /// `cluster-allow-reads-when-down`.
    cluster_allow_reads_when_down: ClusterAllowReadsWhenDown;
    /// `cluster-allow-pubsubshard-when-down`.
    cluster_allow_pubsubshard_when_down: ClusterAllowPubsubshardWhenDown;
    /// `rdbcompression`.
    rdbcompression: Rdbcompression;
    /// `rdbchecksum`.
    rdbchecksum: Rdbchecksum;
    /// `rdb-del-sync-files`.
    rdb_del_sync_files: RdbDelSyncFiles;
    /// `rdb-save-incremental-fsync`.
    rdb_save_incremental_fsync: RdbSaveIncrementalFsync;
    /// `latency-tracking`.
    latency_tracking: LatencyTracking;
    /// `lazyfree-lazy-user-flush`.
    lazyfree_lazy_user_flush: LazyfreeLazyUserFlush;
    /// `lazyfree-lazy-expire`.
    lazyfree_lazy_expire: LazyfreeLazyExpire;
    /// `lazyfree-lazy-eviction`.
    lazyfree_lazy_eviction: LazyfreeLazyEviction;
    /// `lazyfree-lazy-server-del`.
    lazyfree_lazy_server_del: LazyfreeLazyServerDel;
    /// `jemalloc-bg-thread`.
    jemalloc_bg_thread: JemallocBgThread;
    /// `huge-pages`.
    huge_pages: HugePages;
    /// `replica-read-only`.
    replica_read_only: ReplicaReadOnly;
    /// `replica-serve-stale-data`.
    replica_serve_stale_data: ReplicaServeStaleData;
    /// `replica-ignore-maxmemory`.
    replica_ignore_maxmemory: ReplicaIgnoreMaxmemory;
    /// `replica-lazy-flush`.
    replica_lazy_flush: ReplicaLazyFlush;
    /// `replica-announced`.
    replica_announced: ReplicaAnnounced;
    /// `daemonize`.
    daemonize: Daemonize;
    /// Whether `requirepass` is set.
    has_password: Requirepass;
}

impl Config {
    /// How a key is deleted without a client's doing, by a `lazyfree-lazy-*`.
    #[must_use]
    pub fn deletion(&self, key: Key) -> &'static [u8] {
        if self.flag(key) { b"UNLINK" } else { b"DEL" }
    }

    /// `bind`.
    #[must_use]
    pub fn bind(&self) -> Vec<String> {
        self.addresses(Key::Bind)
    }

    /// `admin-bind`.
    #[must_use]
    pub fn admin_bind(&self) -> Vec<String> {
        self.addresses(Key::AdminBind)
    }

    fn addresses(&self, key: Key) -> Vec<String> {
        match self.value(key) {
            Value::Addresses(addresses) => addresses,
            _ => Vec::new(),
        }
    }

    /// The port of the cluster bus: `cluster-port`, or the client port and 10000.
    #[must_use]
    pub fn bus_port(&self) -> u16 {
        match self.number(Key::ClusterPort) {
            0 => self.port().saturating_add(10_000),
            port => u16::try_from(port).unwrap_or(u16::MAX),
        }
    }

    /// `timeout`, in milliseconds.
    #[must_use]
    pub fn timeout_ms(&self) -> Option<i64> {
        match self.number(Key::Timeout) {
            0 => None,
            seconds => Some(seconds.saturating_mul(1000)),
        }
    }

    /// `hz`, within the 1 to 500 that it is used with.
    #[must_use]
    pub fn hz(&self) -> u32 {
        u32::try_from(self.number(Key::Hz))
            .unwrap_or(10)
            .clamp(1, 500)
    }

    /// `slowlog-log-slower-than`, in microseconds; negative is never.
    #[must_use]
    #[inline]
    pub fn slowlog_log_slower_than_us(&self) -> i64 {
        self.number(Key::SlowlogLogSlowerThan)
    }

    /// `rdb-key-save-delay`, in microseconds; negative: one of them once in so many keys.
    #[must_use]
    pub fn rdb_key_save_delay(&self) -> i64 {
        self.number(Key::RdbKeySaveDelay)
    }

    /// `key-load-delay`, as [`rdb_key_save_delay`](Self::rdb_key_save_delay).
    #[must_use]
    pub fn key_load_delay(&self) -> i64 {
        self.number(Key::KeyLoadDelay)
    }

    /// `list-max-listpack-size`: elements, or -1 to -5 for 4 to 64 KiB.
    #[must_use]
    #[inline]
    pub fn list_max_listpack_size(&self) -> i64 {
        self.number(Key::ListMaxListpackSize)
    }

    /// `latency-tracking-info-percentiles`.
    #[must_use]
    pub fn latency_tracking_percentiles(&self) -> Vec<f64> {
        match self.value(Key::LatencyTrackingInfoPercentiles) {
            Value::Percentiles(percentiles) => percentiles,
            _ => Vec::new(),
        }
    }

    /// `client-output-buffer-limit`: normal clients, replicas, subscribers.
    #[must_use]
    pub fn output_limits(&self) -> [OutputLimit; 3] {
        match self.value(Key::ClientOutputBufferLimit) {
            Value::OutputLimits(limits) => limits,
            _ => Default::default(),
        }
    }

    /// `replicaof`.
    #[must_use]
    pub fn replicaof(&self) -> Option<Address> {
        match self.value(Key::Replicaof) {
            Value::ReplicaOf(primary) => primary.map(|(host, port)| Address { host, port }),
            _ => None,
        }
    }

    /// `masteruser` and `masterauth`, if there is a password.
    #[must_use]
    pub fn primary_auth(&self) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
        let filled = |key| Some(self.shown(key)).filter(|text| !text.is_empty());
        let password = filled(Key::Masterauth)?;
        Some((filled(Key::Masteruser), password))
    }

    /// `replica-announce-ip`.
    #[must_use]
    pub fn replica_announce_ip(&self) -> Option<String> {
        Some(self.text(Key::ReplicaAnnounceIp)).filter(|text| !text.is_empty())
    }

    /// The part of `client-output-buffer-limit` for subscribers.
    #[must_use]
    pub fn subscribers_limit(&self) -> OutputLimit {
        let [_, _, pubsub] = self.output_limits();
        pubsub
    }

    /// `stop-writes-on-bgsave-error`.
    #[must_use]
    pub fn stop_writes_on_bgsave_error(&self) -> bool {
        self.flag(Key::StopWritesOnBgsaveError)
    }

    /// `snapshot-preimage-limit`, in bytes.
    #[must_use]
    pub fn snapshot_preimage_limit(&self) -> usize {
        usize::try_from(self.size(Key::SnapshotPreimageLimit)).unwrap_or(usize::MAX)
    }

    /// `replica-ack-writes`.
    #[must_use]
    pub fn replica_ack_writes(&self) -> AckWrites {
        AckWrites::of_stored(self.number(Key::ReplicaAckWrites))
    }

    /// `shutdown-on-sigint`.
    #[must_use]
    pub fn shutdown_on_sigint(&self) -> ShutdownFlags {
        shutdown_flags::of_bits(self.number(Key::ShutdownOnSigint))
    }

    /// `shutdown-on-sigterm`.
    #[must_use]
    pub fn shutdown_on_sigterm(&self) -> ShutdownFlags {
        shutdown_flags::of_bits(self.number(Key::ShutdownOnSigterm))
    }

    /// `repl-diskless-sync`.
    #[must_use]
    pub fn repl_diskless_sync(&self) -> bool {
        self.flag(Key::ReplDisklessSync)
    }

    /// `save`.
    #[must_use]
    pub fn save_points(&self) -> Vec<SavePoint> {
        match self.value(Key::Save) {
            Value::SavePoints(points) => points,
            _ => Vec::new(),
        }
    }

    /// `maxmemory-clients` in bytes, a percentage being of `maxmemory`; 0 is no limit.
    #[must_use]
    pub fn maxmemory_clients(&self) -> u64 {
        match self.number(Key::MaxmemoryClients) {
            bytes @ 0.. => bytes.unsigned_abs(),
            percent => self.size(Key::Maxmemory) / 100 * percent.unsigned_abs(),
        }
    }

    /// Whether this is the password. Takes the same time wherever it differs.
    #[must_use]
    pub fn password_matches(&self, given: &[u8]) -> bool {
        let Value::Text(password) = self.value(Key::Requirepass) else {
            return false;
        };
        // Runs over the given one, whose length its sender knows.
        let mut differs = usize::from(password.len() != given.len());
        for (place, byte) in given.iter().enumerate() {
            let expected = password.get(place).copied().unwrap_or(!byte);
            differs |= usize::from(expected ^ byte);
        }
        std::hint::black_box(differs) == 0
    }

    /// `maxmemory-policy`.
    #[must_use]
    pub fn maxmemory_policy(&self) -> Policy {
        Policy::from_name(self.choice(Key::MaxmemoryPolicy)).unwrap_or_default()
    }

    /// The word of a choice.
    #[must_use]
    pub fn choice(&self, key: Key) -> &'static str {
        let super::Kind::Choice(words) = Directive::of(key).kind else {
            return "";
        };
        let place = usize::try_from(self.number(key)).unwrap_or(usize::MAX);
        words.get(place).copied().unwrap_or_default()
    }

    /// `cluster-preferred-endpoint-type`.
    #[must_use]
    pub fn cluster_preferred_endpoint_type(&self) -> EndpointType {
        match self.number(Key::ClusterPreferredEndpointType) {
            0 => EndpointType::Ip,
            1 => EndpointType::Hostname,
            _ => EndpointType::Unknown,
        }
    }

    /// `enable-protected-configs`.
    #[must_use]
    pub fn protected_configs(&self) -> Permission {
        Permission::from_place(self.number(Key::EnableProtectedConfigs))
    }

    /// `enable-debug-command`.
    #[must_use]
    pub fn debug_command(&self) -> Permission {
        Permission::from_place(self.number(Key::EnableDebugCommand))
    }

    /// `enable-module-command`.
    #[must_use]
    pub fn module_command(&self) -> Permission {
        Permission::from_place(self.number(Key::EnableModuleCommand))
    }

    /// `dir`, absolute.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(self.text(Key::Dir))
    }

    /// A file that a directive names: itself if absolute, else in `dir`; none if it names none.
    #[must_use]
    pub fn file_of(&self, key: Key) -> Option<PathBuf> {
        let name = self.text(key);
        if name.is_empty() {
            None
        } else {
            Some(self.dir().join(name))
        }
    }

    /// `unixsocket`, in `dir` unless absolute.
    #[must_use]
    pub fn unixsocket(&self) -> Option<PathBuf> {
        self.file_of(Key::Unixsocket)
    }

    /// `unixsocketperm`; none leaves it to the umask.
    #[must_use]
    pub fn unixsocketperm(&self) -> Option<u32> {
        u32::try_from(self.number(Key::Unixsocketperm))
            .ok()
            .filter(|mode| *mode != 0)
    }

    /// `cluster-config-file`, in `dir` unless absolute.
    #[must_use]
    pub fn cluster_config_file(&self) -> PathBuf {
        self.dir().join(self.text(Key::ClusterConfigFile))
    }

    /// `logfile`, in `dir` unless absolute; none is standard output.
    #[must_use]
    pub fn logfile(&self) -> Option<PathBuf> {
        self.file_of(Key::Logfile)
    }

    /// `pidfile`, in `dir` unless absolute; a daemon has one even when none is named.
    #[must_use]
    pub fn pidfile(&self) -> Option<PathBuf> {
        let default = || {
            self.daemonize()
                .then(|| PathBuf::from("/var/run/redis.pid"))
        };
        self.file_of(Key::Pidfile).or_else(default)
    }

    /// `loglevel`.
    #[must_use]
    pub fn loglevel(&self) -> slotilla_common::net::log::Level {
        use slotilla_common::net::log::Level;
        Level::from_name(self.choice(Key::Loglevel)).unwrap_or(Level::Notice)
    }

    /// `log-format`.
    #[must_use]
    pub fn log_format(&self) -> slotilla_common::net::log::Format {
        use slotilla_common::net::log::Format;
        if self.flag(Key::LogFormat) {
            Format::Json
        } else {
            Format::Text
        }
    }

    /// `supervised`: whether to tell the service manager, and which.
    #[must_use]
    pub fn supervised(&self) -> &'static str {
        self.choice(Key::Supervised)
    }
}
