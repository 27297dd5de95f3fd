//! Every directive, one row each.
//!
//! A row is data: key, name, alias, kind with bounds and unit, default, who may change it, whether
//! it does something, and what it means. Everything else (files, CONFIG GET, SET and REWRITE, the
//! reference in `config/node.toml`) reads this table. The names, defaults and bounds of the
//! directives that Redis has are Redis 7.0.15's; a test asks a real one.

use super::directive::{Access, Directive, Effect, Group, Kind, Unit};

const BOOL: Kind = Kind::Bool;
const TEXT: Kind = Kind::Text { secret: false };
const SECRET: Kind = Kind::Text { secret: true };
const I64_MAX: u64 = i64::MAX.cast_unsigned();

const MUTABLE: Access = Access::Mutable;
const IMMUTABLE: Access = Access::Immutable;
const PROTECTED: Access = Access::Protected;
const HIDDEN: Access = Access::Hidden;

/// Stands for what the machine decides: here, a thread per core.
pub(super) const AUTO: &str = "one per core";

const fn int(min: i64, max: i64, unit: Unit) -> Kind {
    Kind::Int { min, max, unit }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn choice(words: &'static [&'static str]) -> Kind {
    Kind::Choice(words)
}

/// The values of `maxmemory-policy`, in the order in which Redis's errors list them.
pub(super) const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

/// Makes an enum of the keys and a table of the rows, in the same order.
macro_rules! directives {
    ($(
        @ $title:literal;
        $($key:ident, $name:literal, $alias:expr, $kind:expr, $default:expr, $access:expr, $effect:ident,
            $doc:literal;)*
    )*) => {
        /// A directive.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Key {
            $($(
                #[doc = $doc]
                $key,
            )*)*
        }

        /// The directives, in the order of [`Key`].
        pub static TABLE: &[Directive] = &[
            $($(
                Directive {
                    key: Key::$key,
                    name: $name,
                    alias: $alias,
                    kind: $kind,
                    default: $default,
                    access: $access,
                    effect: Effect::$effect,
                    doc: $doc,
                    group: Group { title: $title },
                },
            )*)*
        ];

        /// How many directives there are.
        pub const COUNT: usize = [$($(Key::$key,)*)*].len();
    };
}

directives! {
    @ "Where it listens, and what it grants a connection";
    Port, "port", None, int(0, 65_535, Unit::Port), "6379", MUTABLE, Now,
        "The TCP port for clients; the cluster bus is this plus 10000. 0 listens on no TCP port.";
    Bind, "bind", None, Kind::Bind, "* -::*", MUTABLE, Now,
        "The addresses to listen on. * is every IPv4 address, ::* every IPv6 address; -ADDRESS is passed over when the machine does not have it.";
    BindSourceAddr, "bind-source-addr", None, TEXT, "", MUTABLE, Later,
        "The address that connections to other nodes come from; empty leaves it to the system.";
    ProtectedMode, "protected-mode", None, BOOL, "yes", MUTABLE, Now,
        "Refuse connections from other machines while no password is set.";
    Unixsocket, "unixsocket", None, TEXT, "", IMMUTABLE, Now,
        "A Unix socket to listen on as well; empty for none.";
    Unixsocketperm, "unixsocketperm", None, Kind::Octal { max: 0o777 }, "0", IMMUTABLE, Now,
        "The mode of the Unix socket; 0 leaves it to the umask.";
    TcpBacklog, "tcp-backlog", None, int(0, 2_147_483_647, Unit::Count), "511", IMMUTABLE, Now,
        "Connections that wait to be accepted. The kernel caps it (net.core.somaxconn).";
    TcpKeepalive, "tcp-keepalive", None, int(0, 2_147_483_647, Unit::Seconds), "300", MUTABLE, Now,
        "Silence after which the kernel probes whether the client is still there; 0 never.";
    Timeout, "timeout", None, int(0, 2_147_483_647, Unit::Seconds), "0", MUTABLE, Now,
        "Close a client that has been idle for so long; 0 never.";
    Maxclients, "maxclients", None, int(1, 4_294_967_295, Unit::Count), "10000", MUTABLE, Now,
        "Clients at one time; more are refused. Limited by the open files that the system allows.";
    Requirepass, "requirepass", None, SECRET, "", MUTABLE, Now,
        "The password that clients must give with AUTH; empty for none.";
    ClientQueryBufferLimit, "client-query-buffer-limit", None, size(1_048_576, I64_MAX), "1073741824", MUTABLE, Now,
        "Bytes of a request not yet complete; a client that sends more is closed.";
    ClientOutputBufferLimit, "client-output-buffer-limit", None, Kind::OutputLimits, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", MUTABLE, Now,
        "For each class of client (normal, replica, pubsub): bytes of unread replies at which it is closed at once, and bytes at which it is closed when they last for the seconds that follow. 0 is no limit. For now those of normal clients and of subscribers are enforced.";
    MaxmemoryClients, "maxmemory-clients", None, Kind::SizeOrPercent, "0", MUTABLE, Later,
        "Bytes that all clients' buffers may take together, or a percentage of maxmemory; 0 is no limit.";
    ProtoMaxBulkLen, "proto-max-bulk-len", None, size(1_048_576, I64_MAX), "536870912", MUTABLE, Now,
        "The longest single argument of a request, and the longest string value.";
    SocketMarkId, "socket-mark-id", None, int(0, 4_294_967_295, Unit::Count), "0", IMMUTABLE, Never,
        "The mark on every socket, for the packet filter.";

    @ "The admin port, threads, the process";
    AdminPort, "admin-port", None, int(0, 65_535, Unit::Port), "0", MUTABLE, Now,
        "The HTTP port of /metrics, /healthz and /readyz; 0 for none.";
    AdminBind, "admin-bind", None, Kind::Bind, "127.0.0.1 -::1", MUTABLE, Now,
        "The addresses of the admin port. It knows no password: only the operator should reach it.";
    IoThreads, "io-threads", None, int(1, 128, Unit::Threads), AUTO, IMMUTABLE, Now,
        "Threads that serve clients. Default: one per core that the process may use.";
    IoThreadsDoReads, "io-threads-do-reads", None, BOOL, "no", IMMUTABLE, Never,
        "Here the threads always read as well.";
    LongCommandThreads, "long-command-threads", None, int(1, 16, Unit::Threads), "4", MUTABLE, Now,
        "Commands and transactions of more than about a millisecond that may run at one time, each on a thread of its own, with its slots to itself; more wait for their turn.";
    HugePages, "huge-pages", None, BOOL, "yes", MUTABLE, Now,
        "Ask the kernel for huge pages for the data, from now on: fewer waits for memory when there are many keys. Redis avoids them (disable-thp) because its snapshots fork; nothing forks here.";
    Daemonize, "daemonize", None, BOOL, "no", IMMUTABLE, Now,
        "Go on in the background, detached from the terminal; not when a service manager is told (supervised).";
    Supervised, "supervised", None, choice(&["upstart", "systemd", "auto", "no"]), "no", IMMUTABLE, Now,
        "Tell the service manager when the server is ready (systemd's notification socket).";
    Pidfile, "pidfile", None, TEXT, "", IMMUTABLE, Now,
        "A file to write the process id to; a daemon without one writes /var/run/redis.pid if it can.";
    Dir, "dir", None, Kind::Dir, ".", PROTECTED, Now,
        "The directory of the files that are named without a path.";
    Loglevel, "loglevel", None, choice(&["debug", "verbose", "notice", "warning"]), "notice", MUTABLE, Now,
        "How much to log: debug, verbose, notice or warning.";
    Logfile, "logfile", None, TEXT, "", IMMUTABLE, Now,
        "The log file; empty logs to standard output.";
    LogFormat, "log-format", None, choice(&["text", "json"]), "text", MUTABLE, Now,
        "What a line of the log looks like: text in Redis's layout, or a JSON object.";
    SyslogEnabled, "syslog-enabled", None, BOOL, "no", IMMUTABLE, Never,
        "Log to syslog too; the service manager does that here.";
    SyslogIdent, "syslog-ident", None, TEXT, "redis", IMMUTABLE, Never,
        "The name used in syslog.";
    SyslogFacility, "syslog-facility", None, choice(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), "local0", IMMUTABLE, Never,
        "The facility used in syslog.";
    Hz, "hz", None, int(0, 2_147_483_647, Unit::PerSecond), "10", MUTABLE, Never,
        "How often the background work runs, from 1 to 500 times a second; here it keeps its own time.";
    DynamicHz, "dynamic-hz", None, BOOL, "yes", MUTABLE, Never,
        "Run the background work more often when there are many clients; here it follows the work itself.";
    ShutdownOnSigint, "shutdown-on-sigint", None, Kind::ShutdownFlags, "default", MUTABLE, Now,
        "What SIGINT does: default (it saves if there are save points), or any of save, nosave, now, force (it stops even if it cannot save).";
    ShutdownOnSigterm, "shutdown-on-sigterm", None, Kind::ShutdownFlags, "default", MUTABLE, Now,
        "What SIGTERM does: default (it saves if there are save points), or any of save, nosave, now, force (it stops even if it cannot save).";
    ShutdownTimeout, "shutdown-timeout", None, int(0, 2_147_483_647, Unit::Seconds), "10", MUTABLE, Now,
        "How long a shutdown waits for replicas that lag behind.";
    EnableProtectedConfigs, "enable-protected-configs", None, choice(&["no", "yes", "local"]), "no", IMMUTABLE, Now,
        "Who may change dir and dbfilename with CONFIG SET: no for nobody, local for connections from this machine.";
    EnableDebugCommand, "enable-debug-command", None, choice(&["no", "yes", "local"]), "no", IMMUTABLE, Now,
        "Who may use DEBUG: no for nobody, local for connections from this machine.";
    EnableModuleCommand, "enable-module-command", None, choice(&["no", "yes", "local"]), "no", IMMUTABLE, Now,
        "Who may use MODULE: no for nobody, local for connections from this machine.";
    SetProcTitle, "set-proc-title", None, BOOL, "yes", IMMUTABLE, Never,
        "Show the state in the process's title.";
    ProcTitleTemplate, "proc-title-template", None, Kind::TitleTemplate, "{title} {listen-addr} {server-mode}", MUTABLE, Never,
        "The layout of the process's title.";
    AlwaysShowLogo, "always-show-logo", None, BOOL, "no", IMMUTABLE, Never,
        "Show a logo at start.";
    CrashLogEnabled, "crash-log-enabled", None, BOOL, "yes", MUTABLE, Never,
        "Log a report when the process crashes.";
    CrashMemcheckEnabled, "crash-memcheck-enabled", None, BOOL, "yes", MUTABLE, Never,
        "Test the memory after a crash.";
    UseExitOnPanic, "use-exit-on-panic", None, BOOL, "no", HIDDEN, Never,
        "End a process that has a bug without a dump of its memory.";
    IgnoreWarnings, "ignore-warnings", None, TEXT, "", MUTABLE, Never,
        "Warnings of the start that are no reason to stop.";
    DisableThp, "disable-thp", None, BOOL, "yes", IMMUTABLE, Never,
        "Turn transparent huge pages off for the process; here huge-pages says so.";
    OomScoreAdj, "oom-score-adj", None, choice(&["no", "yes", "relative", "absolute"]), "no", MUTABLE, Never,
        "Adjust what the kernel kills first when memory runs out; the service manager does that here.";
    OomScoreAdjValues, "oom-score-adj-values", None, Kind::OomScores, "0 200 800", MUTABLE, Never,
        "The adjustments for a primary, a replica and a child.";
    ServerCpulist, "server_cpulist", None, TEXT, "", IMMUTABLE, Never,
        "The cores of the main threads; use the service manager's CPUAffinity instead.";
    BioCpulist, "bio_cpulist", None, TEXT, "", IMMUTABLE, Never,
        "The cores of the background threads; use the service manager's CPUAffinity instead.";
    AofRewriteCpulist, "aof_rewrite_cpulist", None, TEXT, "", IMMUTABLE, Never,
        "The cores of the rewriting process; use the service manager's CPUAffinity instead.";
    BgsaveCpulist, "bgsave_cpulist", None, TEXT, "", IMMUTABLE, Never,
        "The cores of the saving process; use the service manager's CPUAffinity instead.";

    @ "How much to keep, and what goes when it is full";
    Maxmemory, "maxmemory", None, size(0, u64::MAX), "0", MUTABLE, Now,
        "Bytes of memory to use; 0 is no limit.";
    MaxmemoryPolicy, "maxmemory-policy", None, choice(POLICIES), "noeviction", MUTABLE, Now,
        "What to evict at maxmemory: noeviction refuses writes; the others choose among all keys or those with an expiry, by last use (lru), frequency (lfu), chance (random) or nearness of their expiry (ttl).";
    MaxmemorySamples, "maxmemory-samples", None, int(1, 2_147_483_647, Unit::Count), "5", MUTABLE, Now,
        "Keys compared for each eviction: more is closer to exact, and slower.";
    MaxmemoryEvictionTenacity, "maxmemory-eviction-tenacity", None, int(0, 100, Unit::Count), "10", MUTABLE, Now,
        "How long one command may take to make room for itself: 10 is half a millisecond, 100 without end.";
    LfuLogFactor, "lfu-log-factor", None, int(0, 2_147_483_647, Unit::Count), "10", MUTABLE, Now,
        "How many uses it takes to count up in the lfu policies.";
    LfuDecayTime, "lfu-decay-time", None, int(0, 2_147_483_647, Unit::Minutes), "1", MUTABLE, Now,
        "Time after which the lfu counter of an idle key goes down by one; 0 never.";
    ActiveExpireEffort, "active-expire-effort", None, int(1, 10, Unit::Count), "1", MUTABLE, Now,
        "How hard to look for expired keys in the background, from 1 to 10.";
    LazyfreeLazyEviction, "lazyfree-lazy-eviction", None, BOOL, "no", MUTABLE, Now,
        "Tell replicas and the append-only file of evicted keys by UNLINK rather than DEL; large values are freed in the background either way.";
    LazyfreeLazyExpire, "lazyfree-lazy-expire", None, BOOL, "no", MUTABLE, Now,
        "Tell replicas and the append-only file of expired keys by UNLINK rather than DEL; large values are freed in the background either way.";
    LazyfreeLazyServerDel, "lazyfree-lazy-server-del", None, BOOL, "no", MUTABLE, Now,
        "Tell replicas and the append-only file of keys that go with their slot by UNLINK rather than DEL; large values are freed in the background either way.";
    LazyfreeLazyUserDel, "lazyfree-lazy-user-del", None, BOOL, "no", MUTABLE, Never,
        "Make DEL free in the background, as UNLINK does; here large values always are.";
    LazyfreeLazyUserFlush, "lazyfree-lazy-user-flush", None, BOOL, "no", MUTABLE, Now,
        "Make FLUSHALL and FLUSHDB without SYNC or ASYNC free in the background.";
    JemallocBgThread, "jemalloc-bg-thread", None, BOOL, "yes", MUTABLE, Now,
        "Let the allocator return freed memory to the system in the background.";
    Activerehashing, "activerehashing", None, BOOL, "yes", MUTABLE, Never,
        "Use idle time to finish growing hash tables; here each write grows its own.";
    Activedefrag, "activedefrag", None, BOOL, "no", MUTABLE, Never,
        "Move values to free fragmented memory.";
    ActiveDefragIgnoreBytes, "active-defrag-ignore-bytes", None, size(1, I64_MAX), "104857600", MUTABLE, Never,
        "Fragmentation below which nothing is moved.";
    ActiveDefragThresholdLower, "active-defrag-threshold-lower", None, int(0, 1000, Unit::Percent), "10", MUTABLE, Never,
        "Fragmentation at which moving begins.";
    ActiveDefragThresholdUpper, "active-defrag-threshold-upper", None, int(0, 1000, Unit::Percent), "100", MUTABLE, Never,
        "Fragmentation at which moving is at its hardest.";
    ActiveDefragCycleMin, "active-defrag-cycle-min", None, int(1, 99, Unit::Percent), "1", MUTABLE, Never,
        "The least processor time spent on it.";
    ActiveDefragCycleMax, "active-defrag-cycle-max", None, int(1, 99, Unit::Percent), "25", MUTABLE, Never,
        "The most processor time spent on it.";
    ActiveDefragMaxScanFields, "active-defrag-max-scan-fields", None, int(1, i64::MAX, Unit::Count), "1000", MUTABLE, Never,
        "Fields of a value handled at once.";

    @ "Slow commands, latency, notifications";
    SlowlogLogSlowerThan, "slowlog-log-slower-than", None, int(-1, i64::MAX, Unit::Microseconds), "10000", MUTABLE, Now,
        "Commands that take longer go to the slow log; 0 logs all, -1 none.";
    SlowlogMaxLen, "slowlog-max-len", None, int(0, i64::MAX, Unit::Count), "128", MUTABLE, Now,
        "Entries that the slow log keeps.";
    LatencyMonitorThreshold, "latency-monitor-threshold", None, int(0, i64::MAX, Unit::Milliseconds), "0", MUTABLE, Now,
        "Events that take longer are remembered for LATENCY; 0 for none.";
    LatencyTracking, "latency-tracking", None, BOOL, "yes", MUTABLE, Now,
        "Keep a distribution of each command's latency.";
    LatencyTrackingInfoPercentiles, "latency-tracking-info-percentiles", None, Kind::Percentiles, "50 99 99.9", MUTABLE, Now,
        "The percentiles that INFO latencystats shows.";
    NotifyKeyspaceEvents, "notify-keyspace-events", None, Kind::NotifyFlags, "", MUTABLE, Now,
        "Which events of keys are published: K E for the two kinds of channel, then g $ l s h z t d x e n m, or A for all but the last two.";
    TrackingTableMaxKeys, "tracking-table-max-keys", None, int(0, i64::MAX, Unit::Count), "1000000", MUTABLE, Later,
        "Keys remembered for client-side caching.";
    BusyReplyThreshold, "busy-reply-threshold", Some("lua-time-limit"), int(0, i64::MAX, Unit::Milliseconds), "5000", MUTABLE, Later,
        "Time after which a script no longer runs alone and others are told BUSY.";

    @ "Databases and how values are stored";
    Databases, "databases", None, int(1, 2_147_483_647, Unit::Count), "16", IMMUTABLE, Now,
        "Databases for SELECT; a cluster node uses database 0 only.";
    HashMaxListpackEntries, "hash-max-listpack-entries", Some("hash-max-ziplist-entries"), int(0, i64::MAX, Unit::Count), "512", MUTABLE, Now,
        "The most elements of a hash in its compact form.";
    HashMaxListpackValue, "hash-max-listpack-value", Some("hash-max-ziplist-value"), size(0, I64_MAX), "64", MUTABLE, Now,
        "The longest element of a hash in its compact form.";
    ZsetMaxListpackEntries, "zset-max-listpack-entries", Some("zset-max-ziplist-entries"), int(0, i64::MAX, Unit::Count), "128", MUTABLE, Now,
        "The most elements of a sorted set in its compact form.";
    ZsetMaxListpackValue, "zset-max-listpack-value", Some("zset-max-ziplist-value"), size(0, I64_MAX), "64", MUTABLE, Now,
        "The longest element of a sorted set in its compact form.";
    ListMaxListpackSize, "list-max-listpack-size", Some("list-max-ziplist-size"), int(-2_147_483_648, 2_147_483_647, Unit::Count), "-2", MUTABLE, Now,
        "The size of a list's compact pieces: elements, or -1 to -5 for 4 to 64 KiB.";
    ListCompressDepth, "list-compress-depth", None, int(0, 2_147_483_647, Unit::Count), "0", MUTABLE, Never,
        "Pieces at each end of a list that stay uncompressed in Redis; here all do.";
    SetMaxIntsetEntries, "set-max-intset-entries", None, int(0, i64::MAX, Unit::Count), "512", MUTABLE, Now,
        "The most elements of a set of integers in its compact form.";
    HllSparseMaxBytes, "hll-sparse-max-bytes", None, size(0, I64_MAX), "3000", MUTABLE, Now,
        "The largest HyperLogLog in its compact form.";
    StreamNodeMaxBytes, "stream-node-max-bytes", None, size(0, I64_MAX), "4096", MUTABLE, Later,
        "The size of a stream's pieces.";
    StreamNodeMaxEntries, "stream-node-max-entries", None, int(0, i64::MAX, Unit::Count), "100", MUTABLE, Later,
        "The entries of a stream's pieces.";
    SanitizeDumpPayload, "sanitize-dump-payload", None, choice(&["no", "yes", "clients"]), "no", MUTABLE, Never,
        "Check payloads of RESTORE thoroughly; here they always are.";

    @ "The cluster";
    ClusterEnabled, "cluster-enabled", None, BOOL, "no", IMMUTABLE, Now,
        "Be a node of a cluster. A redis.conf that does not say so means no, a node.toml or no file at all yes.";
    ClusterConfigFile, "cluster-config-file", None, TEXT, "nodes.conf", IMMUTABLE, Now,
        "The file, in dir, where the node keeps what it knows of the cluster. The node writes it, nobody else.";
    ClusterPort, "cluster-port", None, int(0, 65_535, Unit::Port), "0", IMMUTABLE, Now,
        "The port of the cluster bus; 0 is port plus 10000.";
    ClusterNodeTimeout, "cluster-node-timeout", None, int(0, i64::MAX, Unit::Milliseconds), "15000", MUTABLE, Now,
        "Silence after which a node counts as failing.";
    ClusterAnnounceIp, "cluster-announce-ip", None, TEXT, "", MUTABLE, Now,
        "The address that other nodes and clients are told; empty lets the nodes find out.";
    ClusterAnnouncePort, "cluster-announce-port", None, int(0, 65_535, Unit::Port), "0", MUTABLE, Now,
        "The port that they are told; 0 is port.";
    ClusterAnnounceTlsPort, "cluster-announce-tls-port", None, int(0, 65_535, Unit::Port), "0", MUTABLE, Later,
        "The TLS port that they are told.";
    ClusterAnnounceBusPort, "cluster-announce-bus-port", None, int(0, 65_535, Unit::Port), "0", MUTABLE, Now,
        "The bus port that they are told; 0 is the bus port itself.";
    ClusterAnnounceHostname, "cluster-announce-hostname", None, Kind::HostName, "", MUTABLE, Now,
        "The host name that they are told.";
    ClusterPreferredEndpointType, "cluster-preferred-endpoint-type", None, choice(&["ip", "hostname", "unknown-endpoint"]), "ip", MUTABLE, Now,
        "What redirections and CLUSTER SLOTS name: the ip, the hostname, or nothing (unknown-endpoint).";
    ClusterRequireFullCoverage, "cluster-require-full-coverage", None, BOOL, "yes", MUTABLE, Now,
        "Serve nothing while a slot has no owner.";
    ClusterAllowReadsWhenDown, "cluster-allow-reads-when-down", None, BOOL, "no", MUTABLE, Now,
        "Serve reads of the node's own slots while the cluster is down.";
    ClusterAllowPubsubshardWhenDown, "cluster-allow-pubsubshard-when-down", None, BOOL, "yes", MUTABLE, Now,
        "Serve sharded channels while the cluster is down.";
    ClusterLinkSendbufLimit, "cluster-link-sendbuf-limit", None, size(0, u64::MAX), "0", MUTABLE, Now,
        "Bytes that may wait on a bus link before it is dropped; 0 is no limit.";
    ClusterMigrationBarrier, "cluster-migration-barrier", None, int(0, 2_147_483_647, Unit::Count), "1", MUTABLE, Later,
        "Replicas that a primary keeps before one of them may move to a primary without.";
    ClusterAllowReplicaMigration, "cluster-allow-replica-migration", None, BOOL, "yes", MUTABLE, Later,
        "Let replicas move to a primary without any.";
    ClusterReplicaValidityFactor, "cluster-replica-validity-factor", Some("cluster-slave-validity-factor"), int(0, 2_147_483_647, Unit::Count), "10", MUTABLE, Later,
        "How stale a replica may be to stand for election; 0 for any.";
    ClusterReplicaNoFailover, "cluster-replica-no-failover", Some("cluster-slave-no-failover"), BOOL, "no", MUTABLE, Later,
        "Never stand for election.";

    @ "Replication";
    Replicaof, "replicaof", Some("slaveof"), Kind::ReplicaOf, "", IMMUTABLE, Now,
        "The primary to copy: host and port. Not for a cluster node.";
    Masterauth, "masterauth", None, SECRET, "", MUTABLE, Now,
        "The password to give to the primary.";
    Masteruser, "masteruser", None, TEXT, "", MUTABLE, Now,
        "The user name to give to the primary.";
    ReplicaServeStaleData, "replica-serve-stale-data", Some("slave-serve-stale-data"), BOOL, "yes", MUTABLE, Now,
        "Answer while the primary is not connected.";
    ReplicaReadOnly, "replica-read-only", Some("slave-read-only"), BOOL, "yes", MUTABLE, Now,
        "Refuse writes on a replica.";
    ReplicaLazyFlush, "replica-lazy-flush", Some("slave-lazy-flush"), BOOL, "no", MUTABLE, Now,
        "Free the old data in the background when a full copy arrives.";
    ReplicaIgnoreMaxmemory, "replica-ignore-maxmemory", Some("slave-ignore-maxmemory"), BOOL, "yes", MUTABLE, Now,
        "Leave eviction to the primary: a replica evicts nothing, and refuses nothing for want of memory.";
    ReplicaIgnoreDiskWriteErrors, "replica-ignore-disk-write-errors", None, BOOL, "no", MUTABLE, Later,
        "Go on replicating when the disk fails.";
    ReplicaPriority, "replica-priority", Some("slave-priority"), int(0, 2_147_483_647, Unit::Count), "100", MUTABLE, Now,
        "The rank of a replica for promotion; 0 never.";
    ReplicaAnnounced, "replica-announced", None, BOOL, "yes", MUTABLE, Now,
        "Be listed to those who ask for replicas.";
    ReplicaAnnounceIp, "replica-announce-ip", Some("slave-announce-ip"), TEXT, "", MUTABLE, Now,
        "The address that the primary is told.";
    ReplicaAnnouncePort, "replica-announce-port", Some("slave-announce-port"), int(0, 65_535, Unit::Port), "0", MUTABLE, Now,
        "The port that the primary is told.";
    ReplTimeout, "repl-timeout", None, int(1, 2_147_483_647, Unit::Seconds), "60", MUTABLE, Now,
        "Silence after which a replication link counts as lost.";
    ReplPingReplicaPeriod, "repl-ping-replica-period", Some("repl-ping-slave-period"), int(1, 2_147_483_647, Unit::Seconds), "10", MUTABLE, Now,
        "How often the primary pings its replicas.";
    ReplBacklogSize, "repl-backlog-size", None, size(1, I64_MAX), "1048576", MUTABLE, Now,
        "The least history kept for replicas that come back.";
    ReplBacklogTtl, "repl-backlog-ttl", None, int(0, i64::MAX, Unit::Seconds), "3600", MUTABLE, Now,
        "How long the history is kept when no replica is left; 0 for ever.";
    ReplDisableTcpNodelay, "repl-disable-tcp-nodelay", None, BOOL, "no", MUTABLE, Later,
        "Send fewer, larger packets to replicas.";
    ReplDisklessSync, "repl-diskless-sync", None, BOOL, "yes", MUTABLE, Now,
        "Send full copies without writing them to disk; here always.";
    ReplDisklessSyncDelay, "repl-diskless-sync-delay", None, int(0, 2_147_483_647, Unit::Seconds), "5", MUTABLE, Now,
        "Time to wait for more replicas before a full copy.";
    ReplDisklessSyncMaxReplicas, "repl-diskless-sync-max-replicas", None, int(0, 2_147_483_647, Unit::Count), "0", MUTABLE, Now,
        "Replicas that end that wait early; 0 never.";
    ReplDisklessLoad, "repl-diskless-load", None, choice(&["disabled", "on-empty-db", "swapdb"]), "disabled", MUTABLE, Now,
        "How a full copy is loaded where there is data already: disabled and on-empty-db keep it in a file in dir until it is whole, and load it in place of the data; swapdb loads it beside the data, which takes the memory of both, and has them change places. Where there is no data it is loaded as it comes.";
    MinReplicasToWrite, "min-replicas-to-write", Some("min-slaves-to-write"), int(0, 2_147_483_647, Unit::Count), "0", MUTABLE, Now,
        "Replicas that must be well for writes to be accepted; 0 for none.";
    MinReplicasMaxLag, "min-replicas-max-lag", Some("min-slaves-max-lag"), int(0, 2_147_483_647, Unit::Seconds), "10", MUTABLE, Now,
        "The lag up to which a replica is well.";
    ReplicaAckWrites, "replica-ack-writes", None, Kind::AckWrites, "0", MUTABLE, Now,
        "Replicas that must have a write before its reply leaves: a number up to 32, or majority, which is of the primary and the replicas that have been there since this was set. While fewer are connected, writes are refused. 0 for none. Setting it again forgets replicas that are gone for good.";
    ReplicaAckTimeout, "replica-ack-timeout", None, int(1, 2_147_483_647, Unit::Milliseconds), "1000", MUTABLE, Now,
        "How long a reply waits for those replicas; then the client is told that the write is unconfirmed.";
    PropagationErrorBehavior, "propagation-error-behavior", None, choice(&["ignore", "panic", "panic-on-replicas"]), "ignore", MUTABLE, Now,
        "What a replica does when a command of its primary fails: go on (ignore), or stop.";

    @ "Files";
    Save, "save", None, Kind::SavePoints, "3600 1 300 100 60 10000", MUTABLE, Now,
        "When to save: pairs of seconds and changes. Empty for never.";
    Dbfilename, "dbfilename", None, Kind::FileName, "dump.rdb", PROTECTED, Now,
        "The snapshot's file, in dir: loaded at start, written by SAVE.";
    StopWritesOnBgsaveError, "stop-writes-on-bgsave-error", None, BOOL, "yes", MUTABLE, Now,
        "Refuse writes while saving fails.";
    SnapshotPreimageLimit, "snapshot-preimage-limit", None, size(1_048_576, I64_MAX), "268435456", MUTABLE, Now,
        "How much a snapshot may keep of entries that change before it has written them, in bytes; beyond, writers to their slots wait for it.";
    Rdbcompression, "rdbcompression", None, BOOL, "yes", MUTABLE, Now,
        "Compress long strings in DUMP payloads and snapshots.";
    Rdbchecksum, "rdbchecksum", None, BOOL, "yes", IMMUTABLE, Now,
        "End snapshots with a checksum, and believe none whose checksum is wrong.";
    RdbDelSyncFiles, "rdb-del-sync-files", None, BOOL, "no", MUTABLE, Now,
        "On a replica without persistence, delete the snapshot that its directory has once the primary's data came by way of the disk.";
    RdbSaveIncrementalFsync, "rdb-save-incremental-fsync", None, BOOL, "yes", MUTABLE, Now,
        "Flush snapshots to disk in steps.";
    Appendonly, "appendonly", None, BOOL, "no", MUTABLE, Now,
        "Log every write to a file.";
    AofUnwrittenLimit, "aof-unwritten-limit", None, size(1_048_576, I64_MAX), "268435456", MUTABLE, Now,
        "How much of what was done may wait for a disk that does not take it, in bytes; beyond, writes wait for it.";
    Appendfilename, "appendfilename", None, Kind::FileName, "appendonly.aof", IMMUTABLE, Now,
        "The append-only file's base name.";
    Appenddirname, "appenddirname", None, Kind::DirName, "appendonlydir", IMMUTABLE, Now,
        "The append-only files' directory, in dir.";
    Appendfsync, "appendfsync", None, choice(&["everysec", "always", "no"]), "everysec", MUTABLE, Now,
        "When the append-only file is flushed to disk.";
    NoAppendfsyncOnRewrite, "no-appendfsync-on-rewrite", None, BOOL, "no", MUTABLE, Now,
        "Do not flush while a rewrite runs.";
    AutoAofRewritePercentage, "auto-aof-rewrite-percentage", None, int(0, 2_147_483_647, Unit::Percent), "100", MUTABLE, Now,
        "Growth at which the append-only file is rewritten; 0 never.";
    AutoAofRewriteMinSize, "auto-aof-rewrite-min-size", None, size(0, I64_MAX), "67108864", MUTABLE, Now,
        "The least size for that.";
    AofLoadTruncated, "aof-load-truncated", None, BOOL, "yes", MUTABLE, Now,
        "Load an append-only file whose end is cut short.";
    AofUseRdbPreamble, "aof-use-rdb-preamble", None, BOOL, "yes", MUTABLE, Now,
        "Begin a rewritten append-only file with a snapshot.";
    AofTimestampEnabled, "aof-timestamp-enabled", None, BOOL, "no", MUTABLE, Now,
        "Write times into the append-only file.";
    AofDisableAutoGc, "aof-disable-auto-gc", None, BOOL, "no", MUTABLE, Now,
        "Keep append-only files that are no longer needed.";
    AofRewriteIncrementalFsync, "aof-rewrite-incremental-fsync", None, BOOL, "yes", MUTABLE, Now,
        "Flush rewritten append-only files to disk in steps.";
    RdbKeySaveDelay, "rdb-key-save-delay", None, int(-2_147_483_648, 2_147_483_647, Unit::Microseconds), "0", HIDDEN, Now,
        "For tests: time to wait after each key saved.";
    KeyLoadDelay, "key-load-delay", None, int(-2_147_483_648, 2_147_483_647, Unit::Microseconds), "0", HIDDEN, Now,
        "For tests: time to wait after each key loaded.";
    LoadingProcessEventsIntervalBytes, "loading-process-events-interval-bytes", None, int(1024, 2_147_483_647, Unit::Count), "2097152", HIDDEN, Never,
        "How much is loaded at a time before clients are heard.";
    WatchdogPeriod, "watchdog-period", None, int(0, 2_147_483_647, Unit::Milliseconds), "0", HIDDEN, Never,
        "For finding bugs: log a command that takes longer.";

    @ "Users";
    Aclfile, "aclfile", None, TEXT, "", IMMUTABLE, Later,
        "The file of users.";
    AclPubsubDefault, "acl-pubsub-default", None, choice(&["allchannels", "resetchannels"]), "resetchannels", MUTABLE, Later,
        "Channels that a new user may use.";
    AcllogMaxLen, "acllog-max-len", None, int(0, i64::MAX, Unit::Count), "128", MUTABLE, Later,
        "Refusals that ACL LOG keeps.";

    @ "TLS";
    TlsPort, "tls-port", None, int(0, 65_535, Unit::Port), "0", MUTABLE, Later,
        "The TCP port for clients with TLS; 0 for none.";
    TlsCertFile, "tls-cert-file", None, TEXT, "", MUTABLE, Later,
        "The server's certificate.";
    TlsKeyFile, "tls-key-file", None, TEXT, "", MUTABLE, Later,
        "Its key.";
    TlsKeyFilePass, "tls-key-file-pass", None, SECRET, "", MUTABLE, Later,
        "The key's password.";
    TlsClientCertFile, "tls-client-cert-file", None, TEXT, "", MUTABLE, Later,
        "The certificate for connections to other nodes.";
    TlsClientKeyFile, "tls-client-key-file", None, TEXT, "", MUTABLE, Later,
        "Its key.";
    TlsClientKeyFilePass, "tls-client-key-file-pass", None, SECRET, "", MUTABLE, Later,
        "That key's password.";
    TlsDhParamsFile, "tls-dh-params-file", None, TEXT, "", MUTABLE, Later,
        "Diffie-Hellman parameters.";
    TlsCaCertFile, "tls-ca-cert-file", None, TEXT, "", MUTABLE, Later,
        "The file of trusted certificates.";
    TlsCaCertDir, "tls-ca-cert-dir", None, TEXT, "", MUTABLE, Later,
        "The directory of trusted certificates.";
    TlsProtocols, "tls-protocols", None, TEXT, "", MUTABLE, Later,
        "The protocol versions.";
    TlsCiphers, "tls-ciphers", None, TEXT, "", MUTABLE, Later,
        "The ciphers up to TLS 1.2.";
    TlsCiphersuites, "tls-ciphersuites", None, TEXT, "", MUTABLE, Later,
        "The ciphers of TLS 1.3.";
    TlsAuthClients, "tls-auth-clients", None, choice(&["no", "yes", "optional"]), "yes", MUTABLE, Later,
        "Whether clients must show a certificate.";
    TlsReplication, "tls-replication", None, BOOL, "no", MUTABLE, Later,
        "Use TLS for replication.";
    TlsCluster, "tls-cluster", None, BOOL, "no", MUTABLE, Later,
        "Use TLS on the cluster bus.";
    TlsPreferServerCiphers, "tls-prefer-server-ciphers", None, BOOL, "no", MUTABLE, Later,
        "Let the server choose the cipher.";
    TlsSessionCaching, "tls-session-caching", None, BOOL, "yes", MUTABLE, Later,
        "Let clients resume sessions.";
    TlsSessionCacheSize, "tls-session-cache-size", None, int(0, 2_147_483_647, Unit::Count), "20480", MUTABLE, Later,
        "Sessions kept.";
    TlsSessionCacheTimeout, "tls-session-cache-timeout", None, int(0, 2_147_483_647, Unit::Seconds), "300", MUTABLE, Later,
        "How long they are kept.";
}
