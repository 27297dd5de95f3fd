//! The figures under the names of the exporter for Redis.

use slotilla_common::clock;
use slotilla_common::command::COMMANDS;
use slotilla_common::net::metrics::Scrape;

use super::cumulative;
use crate::commands::connection::REDIS_VERSION;
use crate::commands::info;
use crate::server::Server;
use crate::server::stats::CommandCounters;

/// What a field of INFO becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A figure that goes up and down.
    Gauge,
    /// A count.
    Counter,
    /// `ok` is 1, anything else 0.
    Status,
}

use Kind::{Counter, Gauge, Status};

/// Fields of INFO and CLUSTER INFO, the exporter's names for them, and what they mean.
#[rustfmt::skip] // One row, one line: a table is read down its columns.
const FIELDS: &[(&str, &str, Kind, &str)] = &[
    ("uptime_in_seconds", "redis_uptime_in_seconds", Gauge, "Seconds since the start."),
    ("process_id", "redis_process_id", Gauge, "The process id."),
    ("io_threads_active", "redis_io_threads_active", Gauge, "Whether more than one thread serves clients."),
    ("connected_clients", "redis_connected_clients", Gauge, "Clients connected."),
    ("maxclients", "redis_max_clients", Gauge, "The most clients allowed, maxclients."),
    ("client_recent_max_input_buffer", "redis_client_recent_max_input_buffer_bytes", Gauge, "The largest request being received."),
    ("client_recent_max_output_buffer", "redis_client_recent_max_output_buffer_bytes", Gauge, "The most unread replies of a client."),
    ("blocked_clients", "redis_blocked_clients", Gauge, "Clients that wait in a blocking command."),
    ("tracking_clients", "redis_tracking_clients", Gauge, "Clients with client-side caching."),
    ("clients_in_timeout_table", "redis_clients_in_timeout_table", Gauge, "Blocked clients with a timeout."),
    ("cluster_connections", "redis_cluster_connections", Gauge, "Links of the cluster bus."),
    ("used_memory", "redis_memory_used_bytes", Gauge, "Bytes allocated."),
    ("used_memory_rss", "redis_memory_used_rss_bytes", Gauge, "Bytes resident in memory."),
    ("used_memory_peak", "redis_memory_used_peak_bytes", Gauge, "The most bytes allocated so far."),
    ("used_memory_overhead", "redis_memory_used_overhead_bytes", Gauge, "Bytes allocated for other than keys and values."),
    ("used_memory_startup", "redis_memory_used_startup_bytes", Gauge, "Bytes allocated before the first key."),
    ("used_memory_dataset", "redis_memory_used_dataset_bytes", Gauge, "Bytes allocated for keys and values."),
    ("used_memory_lua", "redis_memory_used_lua_bytes", Gauge, "Bytes of the script engine."),
    ("used_memory_scripts", "redis_memory_used_scripts_bytes", Gauge, "Bytes of cached scripts."),
    ("number_of_cached_scripts", "redis_number_of_cached_scripts", Gauge, "Scripts cached."),
    ("total_system_memory", "redis_total_system_memory_bytes", Gauge, "Bytes of memory of the machine."),
    ("maxmemory", "redis_memory_max_bytes", Gauge, "The limit of memory, maxmemory; 0 is none."),
    ("allocator_allocated", "redis_allocator_allocated_bytes", Gauge, "Bytes that the allocator has handed out."),
    ("allocator_active", "redis_allocator_active_bytes", Gauge, "Bytes of pages in use by the allocator."),
    ("allocator_resident", "redis_allocator_resident_bytes", Gauge, "Bytes of the allocator resident in memory."),
    ("allocator_frag_ratio", "redis_allocator_frag_ratio", Gauge, "Active to allocated bytes of the allocator."),
    ("allocator_frag_bytes", "redis_allocator_frag_bytes", Gauge, "Active less allocated bytes of the allocator."),
    ("allocator_rss_ratio", "redis_allocator_rss_ratio", Gauge, "Resident to active bytes of the allocator."),
    ("allocator_rss_bytes", "redis_allocator_rss_bytes", Gauge, "Resident less active bytes of the allocator."),
    ("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", Gauge, "Resident to allocated bytes of the process."),
    ("mem_fragmentation_ratio", "redis_memory_fragmentation_ratio", Gauge, "Resident to allocated bytes of the process, under its older name."),
    ("mem_fragmentation_bytes", "redis_mem_fragmentation_bytes", Gauge, "Resident less allocated bytes of the process."),
    ("mem_clients_normal", "redis_mem_clients_normal", Gauge, "Bytes of clients' buffers."),
    ("mem_clients_slaves", "redis_mem_clients_slaves", Gauge, "Bytes of replicas' buffers."),
    ("mem_cluster_links", "redis_mem_cluster_links_bytes", Gauge, "Bytes of the cluster bus's buffers."),
    ("mem_replication_backlog", "redis_mem_replication_backlog_bytes", Gauge, "Bytes of the replication backlog."),
    ("mem_aof_buffer", "redis_mem_aof_buffer_bytes", Gauge, "Bytes of the append-only file's buffers."),
    ("lazyfree_pending_objects", "redis_lazyfree_pending_objects", Gauge, "Values that wait to be freed in the background."),
    ("lazyfreed_objects", "redis_lazyfreed_objects", Gauge, "Values freed in the background."),
    ("active_defrag_running", "redis_active_defrag_running", Gauge, "Whether memory is being defragmented."),
    ("active_defrag_hits", "redis_defrag_hits", Gauge, "Values moved by defragmentation."),
    ("active_defrag_misses", "redis_defrag_misses", Gauge, "Values left in place by defragmentation."),
    ("active_defrag_key_hits", "redis_defrag_key_hits", Gauge, "Keys moved by defragmentation."),
    ("active_defrag_key_misses", "redis_defrag_key_misses", Gauge, "Keys left in place by defragmentation."),
    ("loading", "redis_loading_dump_file", Gauge, "Whether data is being loaded."),
    ("async_loading", "redis_async_loading", Gauge, "Whether data is being loaded while old data is served."),
    ("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", Gauge, "Changes since the last snapshot."),
    ("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", Gauge, "Whether a snapshot is being written."),
    ("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", Gauge, "When the last snapshot was written."),
    ("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", Status, "Whether the last snapshot went well."),
    ("rdb_last_bgsave_time_sec", "redis_rdb_last_bgsave_duration_sec", Gauge, "Seconds that the last snapshot took; -1 if there was none."),
    ("rdb_current_bgsave_time_sec", "redis_rdb_current_bgsave_duration_sec", Gauge, "Seconds that the present snapshot has taken; -1 if there is none."),
    ("aof_enabled", "redis_aof_enabled", Gauge, "Whether writes are logged to a file."),
    ("aof_rewrite_in_progress", "redis_aof_rewrite_in_progress", Gauge, "Whether the append-only file is being rewritten."),
    ("aof_rewrite_scheduled", "redis_aof_rewrite_scheduled", Gauge, "Whether a rewrite of the append-only file waits."),
    ("aof_last_rewrite_time_sec", "redis_aof_last_rewrite_duration_sec", Gauge, "Seconds that the last rewrite took; -1 if there was none."),
    ("aof_current_rewrite_time_sec", "redis_aof_current_rewrite_duration_sec", Gauge, "Seconds that the present rewrite has taken; -1 if there is none."),
    ("aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status", Status, "Whether the last rewrite went well."),
    ("aof_last_write_status", "redis_aof_last_write_status", Status, "Whether the last write to the append-only file went well."),
    ("total_connections_received", "redis_connections_received_total", Counter, "Connections accepted."),
    ("total_commands_processed", "redis_commands_processed_total", Counter, "Commands executed."),
    ("instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec", Gauge, "Commands executed in the last second or so."),
    ("total_net_input_bytes", "redis_net_input_bytes_total", Counter, "Bytes received from clients."),
    ("total_net_output_bytes", "redis_net_output_bytes_total", Counter, "Bytes sent to clients."),
    ("rejected_connections", "redis_rejected_connections_total", Counter, "Connections turned away, for maxclients or protected-mode."),
    ("sync_full", "redis_replica_resyncs_full", Counter, "Full copies sent to replicas."),
    ("sync_partial_ok", "redis_replica_partial_resync_accepted", Counter, "Replicas that could go on where they had been."),
    ("sync_partial_err", "redis_replica_partial_resync_denied", Counter, "Replicas that could not."),
    ("expired_keys", "redis_expired_keys_total", Counter, "Keys deleted because their time had come."),
    ("expired_stale_perc", "redis_expired_stale_percentage", Gauge, "Estimated percentage of keys whose time has come and that are still there."),
    ("expired_time_cap_reached_count", "redis_expired_time_cap_reached_total", Counter, "Sweeps for expired keys that ended because their time was up."),
    ("expire_cycle_cpu_milliseconds", "redis_expire_cycle_cpu_time_ms_total", Counter, "Milliseconds spent looking for expired keys."),
    ("evicted_keys", "redis_evicted_keys_total", Counter, "Keys deleted to make room."),
    ("evicted_clients", "redis_evicted_clients_total", Counter, "Clients closed to make room."),
    ("keyspace_hits", "redis_keyspace_hits_total", Counter, "Lookups for reading that found their key."),
    ("keyspace_misses", "redis_keyspace_misses_total", Counter, "Lookups for reading that did not."),
    ("pubsub_channels", "redis_pubsub_channels", Gauge, "Channels with subscribers."),
    ("pubsub_patterns", "redis_pubsub_patterns", Gauge, "Patterns with subscribers."),
    ("pubsubshard_channels", "redis_pubsubshard_channels", Gauge, "Sharded channels with subscribers."),
    ("latest_fork_usec", "redis_latest_fork_usec", Gauge, "Microseconds of the last fork; this server never forks."),
    ("migrate_cached_sockets", "redis_migrate_cached_sockets_total", Gauge, "Connections kept for MIGRATE."),
    ("slave_expires_tracked_keys", "redis_slave_expires_tracked_keys", Gauge, "Keys with an expiry written to a replica."),
    ("tracking_total_keys", "redis_tracking_total_keys", Gauge, "Keys remembered for client-side caching."),
    ("tracking_total_items", "redis_tracking_total_items", Gauge, "Keys times clients remembered for client-side caching."),
    ("tracking_total_prefixes", "redis_tracking_total_prefixes", Gauge, "Prefixes remembered for client-side caching."),
    ("unexpected_error_replies", "redis_unexpected_error_replies", Counter, "Error replies of a primary to its replica."),
    ("total_error_replies", "redis_total_error_replies", Counter, "Error replies sent."),
    ("dump_payload_sanitizations", "redis_dump_payload_sanitizations", Counter, "Payloads of RESTORE checked."),
    ("total_reads_processed", "redis_total_reads_processed", Counter, "Reads from clients' sockets."),
    ("total_writes_processed", "redis_total_writes_processed", Counter, "Writes to clients' sockets."),
    ("connected_slaves", "redis_connected_slaves", Gauge, "Replicas connected."),
    ("master_repl_offset", "redis_master_repl_offset", Gauge, "The replication offset."),
    ("second_repl_offset", "redis_second_repl_offset", Gauge, "The offset up to which the previous history is valid."),
    ("repl_backlog_active", "redis_repl_backlog_is_active", Gauge, "Whether there is a replication backlog."),
    ("repl_backlog_size", "redis_replication_backlog_bytes", Gauge, "The size of the replication backlog."),
    ("repl_backlog_first_byte_offset", "redis_repl_backlog_first_byte_offset", Gauge, "The first offset in the replication backlog."),
    ("repl_backlog_histlen", "redis_repl_backlog_history_bytes", Gauge, "Bytes in the replication backlog."),
    ("used_cpu_sys", "redis_cpu_sys_seconds_total", Counter, "Seconds of processor time in the kernel."),
    ("used_cpu_user", "redis_cpu_user_seconds_total", Counter, "Seconds of processor time in the program."),
    ("used_cpu_sys_children", "redis_cpu_sys_children_seconds_total", Counter, "Seconds of processor time of children in the kernel."),
    ("used_cpu_user_children", "redis_cpu_user_children_seconds_total", Counter, "Seconds of processor time of children in the program."),
    ("used_cpu_sys_main_thread", "redis_cpu_sys_main_thread_seconds_total", Counter, "Seconds of processor time of the main thread in the kernel."),
    ("used_cpu_user_main_thread", "redis_cpu_user_main_thread_seconds_total", Counter, "Seconds of processor time of the main thread in the program."),
    ("cluster_enabled", "redis_cluster_enabled", Gauge, "Whether this is a node of a cluster."),
    ("cluster_state", "redis_cluster_state", Status, "Whether the cluster takes commands."),
    ("cluster_slots_assigned", "redis_cluster_slots_assigned", Gauge, "Slots with an owner."),
    ("cluster_slots_ok", "redis_cluster_slots_ok", Gauge, "Slots whose owner is well."),
    ("cluster_slots_pfail", "redis_cluster_slots_pfail", Gauge, "Slots whose owner is suspected of having failed."),
    ("cluster_slots_fail", "redis_cluster_slots_fail", Gauge, "Slots whose owner has failed."),
    ("cluster_known_nodes", "redis_cluster_known_nodes", Gauge, "Nodes known."),
    ("cluster_size", "redis_cluster_size", Gauge, "Primaries with slots."),
    ("cluster_current_epoch", "redis_cluster_current_epoch", Gauge, "The greatest epoch seen."),
    ("cluster_my_epoch", "redis_cluster_my_epoch", Gauge, "The config epoch of this node."),
    ("cluster_stats_messages_sent", "redis_cluster_messages_sent_total", Counter, "Messages sent on the cluster bus."),
    ("cluster_stats_messages_received", "redis_cluster_messages_received_total", Counter, "Messages received on the cluster bus."),
];

pub(super) fn collect(server: &Server, scrape: &mut Scrape) {
    scrape.gauge("redis_up", "Whether the node answers; it does.", &[], 1.0);
    let mut text = info::text(server, &[]);
    if let Some(cluster) = server.cluster() {
        text.push_str(&cluster.view().info_text());
    }
    for line in text.lines() {
        if let Some((field, value)) = line.split_once(':') {
            fields(scrape, field, value.trim_end());
        }
    }
    settings(server, scrape);
    commands(server, scrape);
    databases(server, scrape);
    slow_log(server, scrape);
    latency_spikes(server, scrape);
    for (code, count) in server.stats.errors() {
        let help = "Error replies by their first word.";
        scrape.counter("redis_errors_total", help, &[("err", &code)], count as f64);
    }
}

fn fields(scrape: &mut Scrape, field: &str, value: &str) {
    for (_, name, kind, help) in FIELDS.iter().filter(|(known, ..)| *known == field) {
        let number = match kind {
            Kind::Status => f64::from(u8::from(value == "ok")),
            Kind::Gauge | Kind::Counter => match value.parse() {
                Ok(number) => number,
                Err(_) => continue,
            },
        };
        match kind {
            Kind::Counter => scrape.counter(name, help, &[], number),
            Kind::Gauge | Kind::Status => scrape.gauge(name, help, &[], number),
        }
    }
}

fn settings(server: &Server, scrape: &mut Scrape) {
    let config = &server.config;
    let start = server.started_ms as f64 / 1000.0;
    scrape.gauge(
        "redis_start_time_seconds",
        "When the node started.",
        &[],
        start,
    );
    let help = "The most clients allowed, maxclients.";
    scrape.gauge(
        "redis_config_maxclients",
        help,
        &[],
        config.maxclients() as f64,
    );
    let help = "The limit of memory, maxmemory; 0 is none.";
    scrape.gauge(
        "redis_config_maxmemory",
        help,
        &[],
        config.maxmemory() as f64,
    );
    let (port, threads) = (config.port().to_string(), config.io_threads().to_string());
    let labels = [
        ("role", server.replication.role_name()),
        ("redis_version", REDIS_VERSION),
        ("slotilla_version", env!("CARGO_PKG_VERSION")),
        (
            "redis_mode",
            if server.cluster_enabled {
                "cluster"
            } else {
                "standalone"
            },
        ),
        ("os", &crate::server::machine::os()),
        ("maxmemory_policy", config.maxmemory_policy().name()),
        ("tcp_port", &port),
        ("io_threads", &threads),
        ("run_id", &server.run_id),
    ];
    scrape.gauge("redis_instance_info", "What the node is.", &labels, 1.0);
}

/// Upper bounds of the latency buckets, in microseconds: the powers of two, as LATENCY HISTOGRAM.
const BOUNDS_US: [u64; 20] = {
    let mut bounds = [1; 20];
    let mut place = 1;
    #[expect(clippy::indexing_slicing, reason = "checked when this is compiled")]
    while place < bounds.len() {
        bounds[place] = bounds[place - 1] * 2;
        place += 1;
    }
    bounds
};

fn commands(server: &Server, scrape: &mut Scrape) {
    for spec in &COMMANDS {
        let sum = |counter: fn(&CommandCounters) -> &crate::server::stats::Counter| {
            server.stats.sum_command(spec.id, counter)
        };
        let (calls, nanos) = (sum(|c| &c.calls), sum(|c| &c.nanos));
        let (rejected, failed) = (sum(|c| &c.rejected), sum(|c| &c.failed));
        if calls == 0 && rejected == 0 && failed == 0 {
            continue;
        }
        let labels = [("cmd", spec.name)];
        let seconds = nanos as f64 / 1e9;
        scrape.counter(
            "redis_commands_total",
            "Calls by command.",
            &labels,
            calls as f64,
        );
        let help = "Seconds spent by command.";
        scrape.counter(
            "redis_commands_duration_seconds_total",
            help,
            &labels,
            seconds,
        );
        let help = "Calls refused before they ran, by command.";
        scrape.counter(
            "redis_commands_rejected_calls_total",
            help,
            &labels,
            rejected as f64,
        );
        let help = "Calls that ran and answered an error, by command.";
        scrape.counter(
            "redis_commands_failed_calls_total",
            help,
            &labels,
            failed as f64,
        );
        if let Some(histogram) = server.stats.latency(spec.id) {
            let below = cumulative(&histogram, BOUNDS_US.map(|us| us * 1000));
            let buckets: Vec<(f64, u64)> =
                BOUNDS_US.iter().map(|us| *us as f64).zip(below).collect();
            let total = (histogram.len(), nanos as f64 / 1000.0);
            let help = "Microseconds by command.";
            scrape.histogram(
                "redis_commands_latencies_usec",
                help,
                &labels,
                &buckets,
                total,
            );
        }
    }
}

fn databases(server: &Server, scrape: &mut Scrape) {
    for number in 0..server.store.databases() {
        let totals = server.store.totals(number, clock::unix_ms());
        if totals.keys == 0 && number != 0 {
            continue;
        }
        let name = format!("db{number}");
        let labels = [("db", name.as_str())];
        scrape.gauge(
            "redis_db_keys",
            "Keys by database.",
            &labels,
            totals.keys as f64,
        );
        let help = "Keys with an expiry, by database.";
        scrape.gauge(
            "redis_db_keys_expiring",
            help,
            &labels,
            totals.expires as f64,
        );
        let help = "How long keys with an expiry have to go on average, by database.";
        let seconds = totals.average_ttl_ms as f64 / 1000.0;
        scrape.gauge("redis_db_avg_ttl_seconds", help, &labels, seconds);
    }
}

fn slow_log(server: &Server, scrape: &mut Scrape) {
    let newest = server.slowlog.newest(1);
    let last = newest.first();
    let help = "Entries in the slow log.";
    scrape.gauge(
        "redis_slowlog_length",
        help,
        &[],
        server.slowlog.len() as f64,
    );
    let help = "The number of the newest entry of the slow log.";
    scrape.gauge(
        "redis_slowlog_last_id",
        help,
        &[],
        last.map_or(0.0, |e| e.id as f64),
    );
    let help = "Seconds that the newest entry of the slow log took.";
    let seconds = last.map_or(0.0, |entry| entry.duration_us as f64 / 1e6);
    scrape.gauge(
        "redis_last_slow_execution_duration_seconds",
        help,
        &[],
        seconds,
    );
}

fn latency_spikes(server: &Server, scrape: &mut Scrape) {
    for (event, spikes) in server.latency.events() {
        let Some(last) = spikes.recent.back() else {
            continue;
        };
        let labels = [("event_name", event)];
        let help = "When the event was last slow.";
        scrape.gauge(
            "redis_latency_spike_last",
            help,
            &labels,
            last.time_s as f64,
        );
        let help = "Seconds that the event took when it was last slow.";
        let seconds = last.latency_ms as f64 / 1000.0;
        scrape.gauge(
            "redis_latency_spike_duration_seconds",
            help,
            &labels,
            seconds,
        );
    }
}
