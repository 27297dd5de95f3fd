//! INFO: what tools look for in a single Redis server, and the proxy's own figures.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::metrics::{commands_processed, sum};
use crate::shared::Shared;

/// Sections in the order of Redis. The last is ours.
const SECTIONS: [&str; 9] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "cluster",
    "proxy",
];

/// The text of INFO for the sections asked for; none: all.
#[must_use]
pub(super) fn text(shared: &Shared, asked: &[String]) -> String {
    let wants_all = asked.is_empty()
        || asked
            .iter()
            .any(|a| matches!(a.as_str(), "default" | "all" | "everything"));
    let mut out = String::new();
    for section in SECTIONS {
        if !wants_all && !asked.iter().any(|a| a == section) {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        let mut title = section.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let title = if section == "cpu" { "CPU" } else { &title };
        let _ = write!(out, "# {title}\r\n");
        for (name, value) in fields(shared, section) {
            let _ = write!(out, "{name}:{value}\r\n");
        }
    }
    out
}

type Fields = Vec<(&'static str, String)>;

fn fields(shared: &Shared, section: &str) -> Fields {
    match section {
        "server" => server(shared),
        "clients" => vec![
            ("connected_clients", shared.clients().to_string()),
            ("maxclients", shared.config.maxclients.to_string()),
            ("blocked_clients", "0".into()),
            ("tracking_clients", "0".into()),
        ],
        "memory" => memory(),
        "persistence" => vec![
            ("loading", "0".into()),
            ("async_loading", "0".into()),
            ("rdb_bgsave_in_progress", "0".into()),
            ("aof_enabled", "0".into()),
        ],
        "stats" => stats(shared),
        "replication" => vec![
            ("role", "master".into()),
            ("connected_slaves", "0".into()),
            ("master_replid", shared.run_id.clone()),
            ("master_repl_offset", "0".into()),
        ],
        "cpu" => cpu(),
        "cluster" => vec![("cluster_enabled", "0".into())],
        _ => proxy(shared),
    }
}

fn server(shared: &Shared) -> Fields {
    let uptime = shared.uptime().as_secs();
    vec![
        // What tools compare against: the commands are those of this version.
        ("redis_version", "7.0.15".into()),
        ("slotilla_version", env!("CARGO_PKG_VERSION").into()),
        ("redis_mode", "standalone".into()),
        ("os", std::env::consts::OS.into()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("run_id", shared.run_id.clone()),
        ("tcp_port", shared.port.load(Ordering::Relaxed).to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
        ("io_threads_active", "1".into()),
    ]
}

fn memory() -> Fields {
    let used = slotilla_common::alloc::used_bytes();
    vec![
        ("used_memory", used.to_string()),
        (
            "used_memory_human",
            format!("{:.2}M", used as f64 / 1_048_576.0),
        ),
        ("used_memory_rss", resident_bytes().to_string()),
        ("maxmemory", "0".into()),
        ("maxmemory_policy", "noeviction".into()),
        ("mem_fragmentation_ratio", "1.00".into()),
    ]
}

/// Resident memory of this process, as the kernel tells it; 0 where it does not.
#[must_use]
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|p| p.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

fn stats(shared: &Shared) -> Fields {
    let all = shared.counters();
    let total = |figure: fn(&crate::metrics::Counters) -> &crate::metrics::Counter| {
        sum(all, figure).to_string()
    };
    vec![
        (
            "total_connections_received",
            total(|c| &c.downstream_cx_total),
        ),
        (
            "total_commands_processed",
            commands_processed(all).to_string(),
        ),
        ("instantaneous_ops_per_sec", "0".into()),
        ("total_net_input_bytes", total(|c| &c.downstream_rx_bytes)),
        ("total_net_output_bytes", total(|c| &c.downstream_tx_bytes)),
        (
            "rejected_connections",
            shared.rejected.load(Ordering::Relaxed).to_string(),
        ),
        ("expired_keys", "0".into()),
        ("evicted_keys", "0".into()),
        ("keyspace_hits", "0".into()),
        ("keyspace_misses", "0".into()),
    ]
}

fn cpu() -> Fields {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in parentheses and may hold anything; the numbers come after.
    let after = usage.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = |place: usize| -> f64 {
        let field = after.split_whitespace().nth(place);
        field.and_then(|f| f.parse().ok()).unwrap_or(0.0)
    };
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    vec![
        ("used_cpu_sys", format!("{:.6}", ticks(12) / per_second)),
        ("used_cpu_user", format!("{:.6}", ticks(11) / per_second)),
    ]
}

fn proxy(shared: &Shared) -> Fields {
    let map = shared.map.load();
    let all = shared.counters();
    vec![
        ("threads", shared.threads().len().to_string()),
        ("map_version", map.version.to_string()),
        ("map_slots_covered", map.covered().to_string()),
        ("map_primaries", map.primaries.len().to_string()),
        (
            "upstream_connections",
            sum(all, |c| &c.upstream_cx_active).to_string(),
        ),
        (
            "upstream_requests",
            sum(all, |c| &c.upstream_rq_total).to_string(),
        ),
        ("redirects_moved", sum(all, |c| &c.moved).to_string()),
        ("redirects_ask", sum(all, |c| &c.asked).to_string()),
        ("retries", sum(all, |c| &c.retries).to_string()),
        (
            "writes_in_doubt",
            sum(all, |c| &c.writes_in_doubt).to_string(),
        ),
    ]
}
