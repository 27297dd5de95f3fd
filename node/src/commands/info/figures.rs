//! The sections of INFO that have a line per command, error or database.

use slotilla_common::clock;
use slotilla_common::command::COMMANDS;

use super::line;
use crate::server::Server;
use crate::server::stats::CommandCounters;

pub(super) fn commandstats(text: &mut String, server: &Server) {
    for spec in &COMMANDS {
        let sum = |counter: fn(&CommandCounters) -> &crate::server::stats::Counter| {
            server.stats.sum_command(spec.id, counter)
        };
        let (calls, rejected, failed) =
            (sum(|c| &c.calls), sum(|c| &c.rejected), sum(|c| &c.failed));
        if calls == 0 && rejected == 0 && failed == 0 {
            continue;
        }
        let usec = sum(|c| &c.nanos) / 1000;
        let per_call = if calls == 0 {
            0.0
        } else {
            usec as f64 / calls as f64
        };
        line(
            text,
            &format!("cmdstat_{}", spec.name),
            format_args!(
                "calls={calls},usec={usec},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

pub(super) fn errorstats(text: &mut String, server: &Server) {
    for (code, count) in server.stats.errors() {
        line(
            text,
            &format!("errorstat_{code}"),
            format_args!("count={count}"),
        );
    }
}

pub(super) fn latencystats(text: &mut String, server: &Server) {
    if !server.config.latency_tracking() {
        return;
    }
    let percentiles = server.config.latency_tracking_percentiles();
    for spec in &COMMANDS {
        let Some(histogram) = server.stats.latency(spec.id) else {
            continue;
        };
        let values: Vec<String> = percentiles
            .iter()
            .map(|percentile| {
                let nanos = histogram.value_at_percentile(*percentile);
                format!("p{percentile}={:.3}", nanos as f64 / 1000.0)
            })
            .collect();
        line(
            text,
            &format!("latency_percentiles_usec_{}", spec.name),
            values.join(","),
        );
    }
}

pub(super) fn keyspace(text: &mut String, server: &Server) {
    for db in 0..server.store.databases() {
        let totals = server.store.totals(db, clock::unix_ms());
        if totals.keys > 0 {
            line(
                text,
                &format!("db{db}"),
                format_args!(
                    "keys={},expires={},avg_ttl={}",
                    totals.keys, totals.expires, totals.average_ttl_ms
                ),
            );
        }
    }
}
