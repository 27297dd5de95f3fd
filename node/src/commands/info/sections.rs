//! The sections of INFO with a fixed list of fields.

use slotilla_common::{alloc, clock};
use std::sync::atomic::Ordering;

use super::super::connection::REDIS_VERSION;
use super::{human_bytes, line};
use crate::config::Key;
use crate::persistence::Phase;
use crate::server::client::{Client, flag};
use crate::server::pubsub::Topic;
use crate::server::{Server, machine};

/// Writes `name:value` lines, top to bottom.
macro_rules! fields {
    ($text:expr; $($name:literal: $value:expr),* $(,)?) => {
        $( line($text, $name, $value); )*
    };
}

pub(super) fn server(text: &mut String, server: &Server) {
    let config = &server.config;
    let uptime_s = (clock::unix_ms() - server.started_ms).max(0) / 1000;
    let mode = if config.cluster_enabled() {
        "cluster"
    } else {
        "standalone"
    };
    let executable = std::env::current_exe().unwrap_or_default();
    fields!(text;
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": mode,
        "slotilla_version": env!("CARGO_PKG_VERSION"),
        "os": machine::os(),
        "arch_bits": usize::BITS,
        "monotonic_clock": "TSC or POSIX clock_gettime",
        "multiplexing_api": "epoll",
        "atomicvar_api": "rust-core",
        "gcc_version": "0.0.0",
        "process_id": std::process::id(),
        "process_supervised": config.supervised(),
        "run_id": &server.run_id,
        "tcp_port": config.port(),
        "server_time_usec": clock::unix_us(),
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s / 86_400,
        "hz": config.hz(),
        "configured_hz": config.hz(),
        "lru_clock": (clock::unix_ms() / 1000) & 0xff_ffff,
        "executable": executable.display(),
        "config_file": config.file_path().map(|path| path.display().to_string()).unwrap_or_default(),
        "io_threads_active": usize::from(config.io_threads() > 1),
        "io_threads": config.io_threads(),
    );
    if let Some(left_ms) = server.replication.as_primary.leaves_in_ms() {
        fields!(text; "shutdown_in_milliseconds": left_ms);
    }
}

pub(super) fn clients(text: &mut String, server: &Server) {
    let clients = server.clients.all();
    let most = |size: fn(&Client) -> &std::sync::atomic::AtomicUsize| {
        clients
            .iter()
            .map(|client| size(client).load(Ordering::Relaxed))
            .max()
            .unwrap_or(0)
    };
    fields!(text;
        "connected_clients": clients.len(),
        "cluster_connections": server.cluster_links(),
        "maxclients": server.config.maxclients(),
        "client_recent_max_input_buffer": most(|client| &client.input_bytes),
        "client_recent_max_output_buffer": most(|client| &client.output_bytes),
        "blocked_clients": clients.iter().filter(|client| client.has(flag::BLOCKED)).count(),
        "tracking_clients": 0,
        "clients_in_timeout_table": clients.iter().filter(|client| client.has(flag::TIMED)).count(),
    );
}

pub(super) fn memory(text: &mut String, server: &Server) {
    let used = alloc::used_bytes() as u64;
    alloc::note_peak();
    let peak = alloc::peak_bytes() as u64;
    let resident = machine::resident_bytes() as u64;
    let total = machine::total_memory_bytes();
    let heap = alloc::jemalloc::figures();
    let (allocated, active, heap_resident) = (
        heap.allocated as u64,
        heap.active as u64,
        heap.resident as u64,
    );
    let startup = server.startup_bytes;
    let dataset = server.store.data_bytes() as u64;
    let maxmemory = server.config.maxmemory() as u64;
    let percent = |part: u64, whole: u64| format!("{:.2}%", 100.0 * ratio(part, whole));
    let net = used.saturating_sub(startup);
    let (backlog, kept, unwritten) = log_bytes(server);
    fields!(text;
        "used_memory": used,
        "used_memory_human": human_bytes(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human_bytes(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human_bytes(peak),
        "used_memory_peak_perc": percent(used, peak),
        "used_memory_overhead": used.saturating_sub(dataset),
        "used_memory_startup": startup,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": percent(dataset.min(net), net),
        "allocator_allocated": allocated,
        "allocator_active": active,
        "allocator_resident": heap_resident,
        "total_system_memory": total,
        "total_system_memory_human": human_bytes(total),
        "used_memory_lua": 0,
        "used_memory_vm_eval": 0,
        "used_memory_lua_human": human_bytes(0),
        "used_memory_scripts_eval": 0,
        "number_of_cached_scripts": 0,
        "number_of_functions": 0,
        "number_of_libraries": 0,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": 0,
        "used_memory_vm_total_human": human_bytes(0),
        "used_memory_functions": 0,
        "used_memory_scripts": 0,
        "used_memory_scripts_human": human_bytes(0),
        "maxmemory": maxmemory,
        "maxmemory_human": human_bytes(maxmemory),
        "maxmemory_policy": server.config.maxmemory_policy().name(),
        "allocator_frag_ratio": format_args!("{:.2}", ratio(active, allocated)),
        "allocator_frag_bytes": active.saturating_sub(allocated),
        "allocator_rss_ratio": format_args!("{:.2}", ratio(heap_resident, active)),
        "allocator_rss_bytes": heap_resident.saturating_sub(active),
        "rss_overhead_ratio": format_args!("{:.2}", ratio(resident, heap_resident)),
        "rss_overhead_bytes": resident as i64 - heap_resident as i64,
        "mem_fragmentation_ratio": format_args!("{:.2}", ratio(resident, used)),
        "mem_fragmentation_bytes": resident as i64 - used as i64,
        "mem_not_counted_for_evict": server.not_evictable_bytes(),
        "mem_replication_backlog": kept.min(backlog),
        "mem_total_replication_buffers": kept,
        "mem_clients_slaves": kept.saturating_sub(backlog),
        "mem_clients_normal": 0,
        "mem_cluster_links": 0,
        "mem_aof_buffer": unwritten,
        "mem_allocator": format_args!("jemalloc-{}", alloc::jemalloc::version()),
        "active_defrag_running": 0,
        "lazyfree_pending_objects": server.store.lazyfree_pending(),
        "lazyfreed_objects": server.store.lazyfreed(),
    );
}

/// What the log keeps: how much of it at most for replicas to come, for all replicas, and for the
/// append-only file.
pub(in crate::commands) fn log_bytes(server: &Server) -> (u64, u64, u64) {
    let log = server.store.log();
    let unwritten = server.aof.unwritten_bytes(log.end());
    if !server.replication.as_primary.follows() {
        return (0, 0, unwritten);
    }
    let backlog = server.config.repl_backlog_size();
    (backlog, log.kept_bytes() as u64, unwritten)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn percent((done, total): (u64, u64)) -> f64 {
    100.0 * ratio(done, total)
}

/// What is called copy-on-write is what is kept of entries that change while a snapshot is written:
/// nothing forks. A copy for replicas is a save that goes to no file.
pub(super) fn persistence(text: &mut String, server: &Server) {
    let persistence = &server.persistence;
    let aof = server.aof.figures(server.store.log().file_end());
    let is_enabled = server.config.flag(Key::Appendonly);
    let status = |is_failed: bool| if is_failed { "err" } else { "ok" };
    let changes = server.store.counters().changes;
    let (loaded, expired) = persistence.last_load();
    let background = persistence.background.info();
    let (held, peak) = server.store.snapshot_held();
    let is_copying = server.replication.as_primary.is_copying();
    fields!(text;
        "loading": u8::from(server.loading()),
        "async_loading": u8::from(persistence.phase() == Phase::LoadingAside),
        "current_cow_peak": if held == 0 { 0 } else { peak },
        "current_cow_size": held,
        "current_cow_size_age": 0,
        "current_fork_perc": format_args!("{:.2}", percent(background.keys)),
        "current_save_keys_processed": background.keys.0,
        "current_save_keys_total": background.keys.1,
        "rdb_changes_since_last_save": persistence.changes_since_save(changes),
        "rdb_bgsave_in_progress": u8::from(background.running || is_copying),
        "rdb_last_save_time": persistence.last_save_ms() / 1000,
        "rdb_last_bgsave_status": if background.is_well { "ok" } else { "err" },
        "rdb_last_bgsave_time_sec": background.last_seconds,
        "rdb_current_bgsave_time_sec": background.current_seconds,
        "rdb_saves": persistence.saves(),
        "rdb_last_cow_size": background.last_held,
        "rdb_last_load_keys_expired": expired,
        "rdb_last_load_keys_loaded": loaded,
        "aof_enabled": u8::from(is_enabled),
        "aof_rewrite_in_progress": u8::from(aof.current_rewrite_seconds.is_some()),
        "aof_rewrite_scheduled": u8::from(aof.is_rewrite_scheduled),
        "aof_last_rewrite_time_sec": aof.last_rewrite_seconds,
        "aof_current_rewrite_time_sec": aof.current_rewrite_seconds.unwrap_or(-1),
        "aof_last_bgrewrite_status": status(aof.rewrite_failures > 0),
        "aof_rewrites": aof.rewrites,
        "aof_rewrites_consecutive_failures": aof.rewrite_failures,
        "aof_last_write_status": status(aof.is_failing),
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    );
    if is_enabled {
        fields!(text;
            "aof_current_size": aof.current_bytes,
            "aof_base_size": aof.base_bytes,
            "aof_pending_rewrite": u8::from(!aof.is_on || aof.is_rewrite_scheduled),
            "aof_buffer_length": aof.unwritten_bytes,
            "aof_pending_bio_fsync": u8::from(aof.is_flushing),
            "aof_delayed_fsync": aof.delayed,
        );
    }
    if let Some(progress) = persistence.progress.shown() {
        fields!(text;
            "loading_start_time": progress.start_time,
            "loading_total_bytes": progress.total_bytes,
            "loading_rdb_used_mem": progress.used_memory,
            "loading_loaded_bytes": progress.loaded_bytes,
            "loading_loaded_perc": format_args!("{:.2}", progress.percent),
            "loading_eta_seconds": progress.eta_seconds,
        );
    }
}

pub(super) fn stats(text: &mut String, server: &Server) {
    let stats = &server.stats;
    let (ops, input_kbps, output_kbps) = {
        let rates = stats.rates.lock();
        let kbps = |bytes: u64| bytes as f64 / 1024.0;
        let bytes_in = rates.input.per_second();
        (
            rates.commands.per_second(),
            kbps(bytes_in),
            kbps(rates.output.per_second()),
        )
    };
    let kept = server.store.counters();
    let primary = &server.replication.as_primary;
    fields!(text;
        "total_connections_received": stats.connections.load(Ordering::Relaxed),
        "total_commands_processed": stats.sum(|w| &w.executed),
        "instantaneous_ops_per_sec": ops,
        "total_net_input_bytes": stats.sum(|w| &w.input_bytes),
        "total_net_output_bytes": stats.sum(|w| &w.output_bytes),
        "total_net_repl_input_bytes": server.replication.link.input_bytes(),
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": format_args!("{input_kbps:.2}"),
        "instantaneous_output_kbps": format_args!("{output_kbps:.2}"),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": stats.rejected_connections.load(Ordering::Relaxed),
        "sync_full": primary.full.load(Ordering::Relaxed),
        "sync_partial_ok": primary.partial.load(Ordering::Relaxed),
        "sync_partial_err": primary.denied.load(Ordering::Relaxed),
        "expired_keys": kept.expired,
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": kept.expire_steps_cut_short,
        "expire_cycle_cpu_milliseconds": kept.expire_nanos / 1_000_000,
        "evicted_keys": kept.evicted,
        "evicted_clients": 0,
        "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0,
        "keyspace_hits": kept.hits,
        "keyspace_misses": kept.misses,
        "pubsub_channels": server.pubsub.channels(Topic::Channel),
        "pubsub_patterns": server.pubsub.patterns(),
        "pubsubshard_channels": server.pubsub.channels(Topic::ShardChannel),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": server.targets.count(),
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": 0,
        "tracking_total_items": 0,
        "tracking_total_prefixes": 0,
        "unexpected_error_replies": server.replication.failures(),
        "total_error_replies": stats.sum(|w| &w.error_replies),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": stats.sum(|w| &w.reads),
        "total_writes_processed": stats.sum(|w| &w.writes),
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
    );
}

pub(super) fn cpu(text: &mut String, _server: &Server) {
    let all = machine::cpu_time();
    let main = machine::main_thread_cpu_time();
    let seconds = |time: std::time::Duration| format!("{:.6}", time.as_secs_f64());
    fields!(text;
        "used_cpu_sys": seconds(all.system),
        "used_cpu_user": seconds(all.user),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": seconds(main.system),
        "used_cpu_user_main_thread": seconds(main.user),
    );
}

pub(super) fn cluster(text: &mut String, server: &Server) {
    line(
        text,
        "cluster_enabled",
        u8::from(server.config.cluster_enabled()),
    );
}
