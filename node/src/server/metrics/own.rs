//! The figures that Redis has no name for.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use slotilla_common::alloc;
use slotilla_common::command::COMMANDS;
use slotilla_common::net::metrics::Scrape;

use super::cumulative;
use crate::replication::primary::Replica;
use crate::server::Server;

/// Upper bounds of the latency buckets, in nanoseconds: from what a GET takes to a second.
const BOUNDS_NANOS: [u64; 13] = [
    250,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

pub(super) fn collect(server: &Server, scrape: &mut Scrape) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    scrape.gauge("slotilla_node_build_info", "The version.", &version, 1.0);
    let help = "Threads that serve clients.";
    scrape.gauge(
        "slotilla_node_worker_threads",
        help,
        &[],
        server.config.io_threads() as f64,
    );
    let help = "Clients sent to another node, by MOVED or ASK.";
    let redirects = server.stats.sum(|worker| &worker.redirects);
    scrape.counter("slotilla_node_redirects_total", help, &[], redirects as f64);
    let help = "Bytes used beyond maxmemory that are still to be made free.";
    scrape.gauge(
        "slotilla_node_excess_memory_bytes",
        help,
        &[],
        server.excess_bytes() as f64,
    );
    let help = "Bytes of values that wait to be freed in the background.";
    let pending = server.store.lazyfree_pending_bytes();
    scrape.gauge(
        "slotilla_node_lazyfree_pending_bytes",
        help,
        &[],
        pending as f64,
    );
    let help = "Bytes kept of entries that changed before the snapshot under way has written them.";
    let (kept, _) = server.store.snapshot_held();
    scrape.gauge(
        "slotilla_node_snapshot_preimage_bytes",
        help,
        &[],
        kept as f64,
    );
    acknowledged(server, scrape);
    replicas(server, scrape);
    log(server, scrape);
    allocator(scrape);
    long_commands(server, scrape);
    workers(server, scrape);
    latencies(server, scrape);
    bus(server, scrape);
}

/// What was done, for replicas and the append-only file.
fn log(server: &Server, scrape: &mut Scrape) {
    let log = server.store.log();
    let help = "Bytes of the log of what was done that are kept, for readers and the backlog.";
    let kept = log.kept_bytes() as f64;
    scrape.gauge("slotilla_node_log_kept_bytes", help, &[], kept);
    let aof = server.aof.figures(log.end());
    let help = "Bytes of the log that the append-only file has not: aof-unwritten-limit at most.";
    let unwritten = aof.unwritten_bytes as f64;
    scrape.gauge("slotilla_node_aof_unwritten_bytes", help, &[], unwritten);
    let help = "Bytes of all append-only files.";
    let size = aof.current_bytes as f64;
    scrape.gauge("slotilla_node_aof_size_bytes", help, &[], size);
    let help = "Whether the append-only file can be written and flushed: 1, or 0 after an error.";
    let well = f64::from(u8::from(!aof.is_failing));
    scrape.gauge("slotilla_node_aof_well", help, &[], well);
    let help = "Flushes of the append-only file that took longer than two seconds.";
    let delayed = aof.delayed as f64;
    scrape.counter(
        "slotilla_node_aof_delayed_flushes_total",
        help,
        &[],
        delayed,
    );
    let help = "Whether the append-only file is being rewritten.";
    let rewriting = f64::from(u8::from(aof.current_rewrite_seconds.is_some()));
    scrape.gauge("slotilla_node_aof_rewriting", help, &[], rewriting);
}

fn allocator(scrape: &mut Scrape) {
    let figures = alloc::jemalloc::figures();
    let help = "Address space that the allocator keeps back, not resident.";
    scrape.gauge(
        "slotilla_node_allocator_retained_bytes",
        help,
        &[],
        figures.retained as f64,
    );
    let help = "Bytes of the allocator's own books.";
    scrape.gauge(
        "slotilla_node_allocator_metadata_bytes",
        help,
        &[],
        figures.metadata as f64,
    );
}

/// How far each replica is.
fn replicas(server: &Server, scrape: &mut Scrape) {
    type Row = (&'static str, &'static str, fn(&Replica) -> f64);
    let rows: [Row; 3] = [
        (
            "slotilla_node_replica_offset",
            "The offset of the stream up to which a replica has said that it has it.",
            |replica| replica.acked() as f64,
        ),
        (
            "slotilla_node_replica_lag_seconds",
            "Seconds since a replica has said how far it is.",
            |replica| replica.lag_seconds() as f64,
        ),
        (
            "slotilla_node_replica_unread_bytes",
            "Bytes of the stream that are kept for a replica, which client-output-buffer-limit bounds.",
            |replica| replica.unread_bytes() as f64,
        ),
    ];
    let replicas = server.replication.as_primary.replicas();
    for (name, help, figure) in rows {
        for replica in &replicas {
            let who = format!("{}:{}", replica.address(), replica.introduction.port);
            let labels = [("replica", who.as_str()), ("state", replica.stage().name())];
            scrape.gauge(name, help, &labels, figure(replica));
        }
    }
}

/// Writes that wait for replicas (`replica-ack-writes`).
fn acknowledged(server: &Server, scrape: &mut Scrape) {
    let confirm = &server.replication.as_primary.confirm;
    let help = "Replicas that can confirm a write.";
    let online = confirm.online() as f64;
    scrape.gauge("slotilla_node_replica_ack_online", help, &[], online);
    let help = "Clients that wait for replicas: with the replies of writes, or in WAIT.";
    let waiting = confirm.waiting() as f64;
    scrape.gauge(
        "slotilla_node_replica_ack_waiting_clients",
        help,
        &[],
        waiting,
    );
    let counters = [
        (
            "slotilla_node_replica_ack_unconfirmed_total",
            "Writes that too few replicas have confirmed within replica-ack-timeout.",
            &confirm.unconfirmed,
        ),
        (
            "slotilla_node_replica_ack_refused_total",
            "Writes refused, as fewer replicas were connected than replica-ack-writes wants.",
            &confirm.refused,
        ),
        (
            "slotilla_node_replica_ack_questions_total",
            "Times that replicas were asked at once how far they are.",
            &confirm.questions,
        ),
    ];
    for (name, help, counter) in counters {
        scrape.counter(name, help, &[], counter.load(Ordering::Relaxed) as f64);
    }
}

/// Commands that have their slots to themselves, and who waits for that.
fn long_commands(server: &Server, scrape: &mut Scrape) {
    let totals = server.store.long_totals();
    let help = "Long commands that have begun, each on a thread of its own.";
    let begun = totals.begun as f64;
    scrape.counter("slotilla_node_long_commands_total", help, &[], begun);
    let help = "Long commands under way: long-command-threads at most.";
    let running = totals.running as f64;
    scrape.gauge("slotilla_node_long_commands_running", help, &[], running);
    let help = "Clients that wait for a slot that a long command has, or for a thread.";
    let waiting = totals.waiting as f64;
    scrape.gauge("slotilla_node_slot_waiters", help, &[], waiting);
}

/// How evenly the threads are loaded.
fn workers(server: &Server, scrape: &mut Scrape) {
    for number in 0..server.config.io_threads() {
        let Some(worker) = server.stats.worker(number) else {
            continue;
        };
        let name = number.to_string();
        let labels = [("worker", name.as_str())];
        let help = "Commands executed, by thread.";
        let executed = worker.executed.read() as f64;
        scrape.counter(
            "slotilla_node_worker_commands_total",
            help,
            &labels,
            executed,
        );
    }
}

/// Latency by group of commands: few series, fine bounds.
fn latencies(server: &Server, scrape: &mut Scrape) {
    let mut groups: BTreeMap<&str, (Histogram<u64>, u64)> = BTreeMap::new();
    for spec in &COMMANDS {
        let Some(histogram) = server.stats.latency(spec.id) else {
            continue;
        };
        let nanos = server.stats.sum_command(spec.id, |command| &command.nanos);
        match groups.entry(spec.group.name()) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((histogram, nanos));
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                let (sum, sum_nanos) = place.get_mut();
                // Same bounds and digits on both sides, so adding cannot fail.
                sum.add(&histogram).unwrap_or_default();
                *sum_nanos += nanos;
            }
        }
    }
    for (group, (histogram, nanos)) in groups {
        let below = cumulative(&histogram, BOUNDS_NANOS);
        let seconds = BOUNDS_NANOS.iter().map(|nanos| *nanos as f64 / 1e9);
        let buckets: Vec<(f64, u64)> = seconds.zip(below).collect();
        let total = (histogram.len(), nanos as f64 / 1e9);
        let help = "How long commands take, by their group.";
        let labels = [("group", group)];
        scrape.histogram(
            "slotilla_node_command_duration_seconds",
            help,
            &labels,
            &buckets,
            total,
        );
    }
}

fn bus(server: &Server, scrape: &mut Scrape) {
    let Some(cluster) = server.cluster() else {
        return;
    };
    let (links, bytes) = cluster.link_totals();
    let help = "Open links of the cluster bus.";
    scrape.gauge("slotilla_node_bus_links", help, &[], links as f64);
    let help = "Bytes that wait to be sent on the cluster bus.";
    scrape.gauge("slotilla_node_bus_queued_bytes", help, &[], bytes as f64);
    let help = "Messages of channels that could not be sent to a node: too many waited.";
    let dropped = cluster.posts_dropped() as f64;
    scrape.counter(
        "slotilla_node_bus_messages_dropped_total",
        help,
        &[],
        dropped,
    );
    let view = cluster.view();
    let help = "Links dropped because more waited than cluster-link-sendbuf-limit.";
    let overflowed = view.stats.links_overflowed as f64;
    scrape.counter(
        "slotilla_node_bus_links_overflowed_total",
        help,
        &[],
        overflowed,
    );
}
