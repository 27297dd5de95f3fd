//! The section that tells whose replica this is, or whose primary.

use std::sync::atomic::{AtomicU64, Ordering};

use super::line;
use crate::replication::primary::Stage;
use crate::replication::{Link, ReplId};
use crate::server::Server;

pub(super) fn replication(text: &mut String, server: &Server) {
    let replication = &server.replication;
    match replication.primary() {
        None => line(text, "role", "master"),
        Some(primary) => {
            line(text, "role", "slave");
            line(text, "master_host", primary.host);
            line(text, "master_port", primary.port);
            link_to_primary(text, &replication.link, replication.offset());
            let config = &server.config;
            line(text, "slave_priority", config.replica_priority());
            line(
                text,
                "slave_read_only",
                u8::from(config.replica_read_only()),
            );
            line(
                text,
                "replica_announced",
                u8::from(config.replica_announced()),
            );
        }
    }
    let history = replication.history();
    let (previous, second_offset) = history.previous.unwrap_or((ReplId::NONE, -1));
    replicas(text, server);
    line(
        text,
        "master_failover_state",
        replication.failover.state_name(),
    );
    line(text, "master_replid", history.replid);
    line(text, "master_replid2", previous);
    line(text, "master_repl_offset", server.replication.offset());
    line(text, "second_repl_offset", second_offset);
    backlog(text, server);
}

fn replicas(text: &mut String, server: &Server) {
    let primary = &server.replication.as_primary;
    let replicas = primary.replicas();
    line(text, "connected_slaves", replicas.len());
    if server.config.min_replicas_to_write() > 0 && server.config.min_replicas_max_lag() > 0 {
        line(text, "min_slaves_good_slaves", primary.good());
    }
    if primary.confirm.is_used() {
        acknowledged(text, server);
    }
    for (number, replica) in replicas.iter().enumerate() {
        let state = format_args!(
            "ip={},port={},state={},offset={},lag={}",
            replica.address(),
            replica.introduction.port,
            replica.stage().name(),
            replica.acked(),
            if replica.stage() == Stage::Online {
                replica.lag_seconds()
            } else {
                0
            },
        )
        .to_string();
        line(text, &format!("slave{number}"), state);
    }
}

/// Redis has nothing like it, so it is told only where it is used.
fn acknowledged(text: &mut String, server: &Server) {
    let confirm = &server.replication.as_primary.confirm;
    let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mode = server.config.replica_ack_writes();
    line(text, "replica_ack_writes", mode);
    line(text, "replica_ack_wanted", confirm.wanted(None));
    line(text, "replica_ack_online", confirm.online());
    line(text, "replica_ack_known", confirm.members());
    line(text, "replica_ack_waiting_clients", confirm.waiting());
    line(
        text,
        "replica_ack_unconfirmed",
        figure(&confirm.unconfirmed),
    );
    line(text, "replica_ack_refused", figure(&confirm.refused));
}

/// Offsets are told as those of bytes, the first of which is 1.
fn backlog(text: &mut String, server: &Server) {
    let is_kept = server.replication.as_primary.follows();
    let range = if is_kept {
        server.store.history().range()
    } else {
        0..0
    };
    let first = if is_kept {
        range.start.saturating_add(1)
    } else {
        0
    };
    line(text, "repl_backlog_active", u8::from(is_kept));
    line(text, "repl_backlog_size", server.config.repl_backlog_size());
    line(text, "repl_backlog_first_byte_offset", first);
    line(text, "repl_backlog_histlen", range.end - range.start);
}

fn link_to_primary(text: &mut String, link: &Link, applied: i64) {
    let transfer = link.transfer();
    let state = if link.is_up() { "up" } else { "down" };
    line(text, "master_link_status", state);
    let idle_seconds = link.idle_seconds().unwrap_or(-1);
    line(text, "master_last_io_seconds_ago", idle_seconds);
    line(
        text,
        "master_sync_in_progress",
        u8::from(transfer.is_some()),
    );
    // What was received, and not applied, is asked for again.
    let received = if link.is_up() {
        link.received()
    } else {
        applied
    };
    line(text, "slave_read_repl_offset", received.max(applied));
    line(text, "slave_repl_offset", applied);
    if let Some(transfer) = transfer {
        // As Redis tells it: 0 is not known.
        let total = transfer.total_bytes.unwrap_or(0);
        let left = total.saturating_sub(transfer.read_bytes);
        let percent = transfer.read_bytes as f64 * 100.0 / total.max(1) as f64;
        let percent = if total == 0 { 0.0 } else { percent };
        line(text, "master_sync_total_bytes", total);
        line(text, "master_sync_read_bytes", transfer.read_bytes);
        line(text, "master_sync_left_bytes", left);
        line(text, "master_sync_perc", format_args!("{percent:.2}"));
        line(
            text,
            "master_sync_last_io_seconds_ago",
            transfer.idle_seconds,
        );
    }
    if !link.is_up() {
        let seconds = link.down_seconds().unwrap_or(-1);
        line(text, "master_link_down_since_seconds", seconds);
    }
}
