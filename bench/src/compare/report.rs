//! Tables, in Markdown, so that they can be read here and pasted there.

use super::Results;
use super::measure::{Comparison, Row};
use super::noise::Calibration;
use super::{long, memory, node, proxy};

mod replication;
mod types;

pub(super) use replication::{
    replication_acked, replication_apply, replication_cost, replication_head, replication_save,
    replication_sync,
};
pub(super) use types::{types_benchmark, types_head, types_large, types_memory};

/// Peers that servers are compared with, and peers that proxies are.
const SERVER_PEERS: &[&str] = &["redis", "valkey"];
const PROXY_PEERS: &[&str] = &["nutcracker", "envoy"];

/// A subject that kept its processor busy less than this was not at its limit.
const AT_ITS_LIMIT: f64 = 0.9;

/// From these shares on, a row is marked as disturbed.
const WAITED_MAX: f64 = 0.02;
const OTHERS_MAX: f64 = 0.05;

/// What stands above the tables.
pub(super) fn head(results: &Results) -> String {
    let (machine, options) = (&results.machine, &results.options);
    let mut text = format!(
        "{} × {}, {:.0} GiB, Linux {}\n{}\n{}\n{} rounds of {:.1} s each",
        machine.processors,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.programs.join("; "),
        results.layout.describe(),
        options.rounds,
        options.measured.as_secs_f64(),
    );
    if options.quick {
        text.push_str("\nQUICK: few keys and short runs. These figures show that it works.");
    }
    text
}

/// The tables of the suite of nodes.
pub(super) fn node(results: &node::Results) -> String {
    let mut text = "\n## Servers\n".to_owned();
    for comparison in &results.comparisons {
        text.push_str(&comparison_table(comparison, SERVER_PEERS, false));
    }
    text.push_str(&summary(
        &results.comparisons,
        &["node", "node-2", "floor-2"],
        &[SERVER_PEERS, &["node", "floor"]].concat(),
    ));
    text
}

/// The tables of the suite of memory.
pub(super) fn memory(results: &memory::Results) -> String {
    let mut text = "\n## Memory\n".to_owned();
    let keys = results.per_key.iter().map(|row| {
        vec![
            row.subject.clone(),
            format!("{:.1}", row.used_bytes),
            format!("{:.1}", row.resident_bytes),
        ]
    });
    let count = results.keys;
    text.push_str(&format!(
        "\n### Bytes per key: {count} keys of 16 bytes, values of 32\n\n{}",
        table(&["subject", "by used_memory", "by RSS"], keys.collect())
    ));
    let connections = results.per_connection.iter().map(|row| {
        vec![
            row.subject.clone(),
            format!("{:.2}", row.resident_bytes / 1024.0),
            format!("{:.2}", row.resident_bytes_at_once / 1024.0),
        ]
    });
    let count = results.connections;
    text.push_str(&format!(
        "\n### KiB of RSS per idle connection: {count} that each did one GET\n\n{}",
        table(&["subject", "settled", "at once"], connections.collect())
    ));
    text
}

/// The table of the suite of long commands.
pub(super) fn long(results: &long::Results) -> String {
    let rows = results.rows.iter().map(|row| {
        vec![
            row.meanwhile.to_owned(),
            row.subject.clone(),
            format!("{:.1}", row.command_ms),
            format!("{:.2}", row.p50_ms),
            format!("{:.2}", row.p99_ms),
            format!("{:.2}", row.most_ms),
            row.gets.to_string(),
        ]
    });
    let columns = [
        "meanwhile",
        "subject",
        "it takes ms",
        "p50 ms",
        "p99 ms",
        "most ms",
        "GETs",
    ];
    format!(
        "\n## Long commands\n\n### GETs of another key while one client unites a set of {} members \
         or deletes one of {}\n\n{}",
        results.united,
        results.deleted,
        table(&columns, rows.collect())
    )
}

/// The tables of the suite of proxies.
pub(super) fn proxy(results: &proxy::Results) -> String {
    let mut text = format!("\n## Proxies in front of three {}\n", results.primaries);
    for comparison in &results.comparisons {
        text.push_str(&comparison_table(comparison, PROXY_PEERS, true));
    }
    text.push_str(&summary(&results.comparisons, &["proxy"], PROXY_PEERS));
    if results.calls.rows.is_empty() {
        return text;
    }
    let rows = results.calls.rows.iter().map(|row| {
        let calls = format!("{:.2}", row.per_command);
        vec![row.workload.clone(), row.subject.clone(), calls]
    });
    text.push_str(&format!(
        "\n### System calls per request, counted by {}\n\n{}",
        results.calls.counter,
        table(&["workload", "subject", "calls"], rows.collect())
    ));
    text
}

/// What stands below the tables: how far they can be trusted.
pub(super) fn noise(results: &Results) -> String {
    let mut lines = vec!["\n## Noise\n".to_owned()];
    let before = results.others_before * 100.0;
    lines.push(format!(
        "Before the start others used {before:.0} % of a processor."
    ));
    let pairs = results
        .calibrated_before
        .iter()
        .zip(&results.calibrated_after);
    for (before, after) in pairs {
        lines.push(calibration(before, after));
    }
    let of_node = results.node.iter().flat_map(|suite| &suite.comparisons);
    let of_proxy = results.proxy.iter().flat_map(|suite| &suite.comparisons);
    let of_types = results.types.iter().flat_map(|suite| suite.comparisons());
    let comparisons = of_node.chain(of_types).chain(of_proxy);
    let rows: Vec<&Row> = comparisons.flat_map(|c| &c.rows).collect();
    let worst = |figure: fn(&Row) -> f64| rows.iter().map(|row| figure(row)).fold(0.0, f64::max);
    if !rows.is_empty() {
        lines.push(format!(
            "Worst of all rows: spread of the rounds {:.0} %; others used {:.0} % of a processor; \
             the hypervisor took {:.0} %. {} of {} rows were disturbed (marked ~).",
            worst(Row::spread) * 100.0,
            worst(|row| row.largest(|sample| sample.others)) * 100.0,
            worst(|row| row.largest(|sample| sample.stolen)) * 100.0,
            rows.iter().filter(|row| is_disturbed(row)).count(),
            rows.len()
        ));
    }
    lines.join("\n")
}

fn calibration(before: &Calibration, after: &Calibration) -> String {
    format!(
        "Processor {}: the same work took {:.2} ms before and {:.2} ms after; repeated at once, \
         it varied by {:.0} % and {:.0} %.",
        before.core,
        before.median_ms,
        after.median_ms,
        before.spread * 100.0,
        after.spread * 100.0
    )
}

fn comparison_table(comparison: &Comparison, peers: &[&str], upstream: bool) -> String {
    let peers: Vec<&Row> = peers
        .iter()
        .filter_map(|peer| comparison.row(peer))
        .collect();
    let mut head = vec![
        "subject",
        "requests/s",
        "CPU µs/request",
        "user",
        "system",
        "spread",
    ];
    if upstream {
        head.push("primaries' µs");
    }
    head.extend(["p50 µs", "p99 µs", "RSS MB"]);
    let ratios: Vec<String> = peers
        .iter()
        .map(|row| format!("CPU × {}", row.subject))
        .collect();
    head.extend(ratios.iter().map(String::as_str));
    let rows = comparison.rows.iter().map(|row| {
        let cpu_us = row.median(|sample| sample.cpu_us);
        let user_us = cpu_us * row.user_share();
        let mut cells = vec![
            row.subject.clone(),
            rate(row),
            format!("{cpu_us:.3}"),
            format!("{user_us:.3}"),
            format!("{:.3}", cpu_us - user_us),
            format!("{:.0} %", row.spread() * 100.0),
        ];
        if upstream {
            cells.push(format!("{:.3}", row.median(|sample| sample.upstream_us)));
        }
        let megabytes = row.median(|sample| sample.resident_bytes as f64) / 1e6;
        cells.push(format!("{:.0}", row.median(|sample| sample.p50_us)));
        cells.push(format!("{:.0}", row.median(|sample| sample.p99_us)));
        cells.push(format!("{megabytes:.1}"));
        cells.extend(peers.iter().map(|peer| ratio(row, peer)));
        if is_disturbed(row)
            && let Some(subject) = cells.first_mut()
        {
            subject.push_str(" ~");
        }
        cells
    });
    let rows = rows.collect();
    format!("\n### {}\n\n{}", comparison.workload, table(&head, rows))
}

/// Requests per second. A subject that was not at its limit could do more than this.
fn rate(row: &Row) -> String {
    let at_least = if row.median(|sample| sample.busy) < AT_ITS_LIMIT {
        "≥ "
    } else {
        ""
    };
    format!("{at_least}{:.0}", row.median(|sample| sample.per_second))
}

fn ratio(row: &Row, peer: &Row) -> String {
    let (own, other) = (row.median(|s| s.cpu_us), peer.median(|s| s.cpu_us));
    if other > 0.0 {
        format!("{:.2}", own / other)
    } else {
        "-".to_owned()
    }
}

/// Whether others kept a subject from running. One whose processors are the generator's too
/// waits for it by design, so waiting is judged only where it had a processor of its own.
fn is_disturbed(row: &Row) -> bool {
    let waits_by_design = row.subject.ends_with("-2");
    let waited = row.largest(|sample| sample.waited) > WAITED_MAX;
    let others = row.largest(|sample| sample.others.max(sample.stolen)) > OTHERS_MAX;
    others || (waited && !waits_by_design)
}

/// Our processor time per request beside each peer's, for all workloads at a glance.
fn summary(comparisons: &[Comparison], ours: &[&str], peers: &[&str]) -> String {
    let mut rows = Vec::new();
    for comparison in comparisons {
        let present = |name: &&str| comparison.row(name);
        for row in ours.iter().filter_map(present) {
            let mut cells = vec![comparison.workload.clone(), row.subject.clone()];
            cells.extend(peers.iter().map(|peer| {
                let peer = comparison.row(peer);
                peer.map_or_else(|| "-".to_owned(), |peer| ratio(row, peer))
            }));
            rows.push(cells);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<String> = peers.iter().map(|peer| format!("× {peer}")).collect();
    let mut head = vec!["workload", "subject"];
    head.extend(heads.iter().map(String::as_str));
    format!(
        "\n### Our CPU time per request, relative\n\n{}",
        table(&head, rows)
    )
}

/// A Markdown table whose columns line up; all but the first are set to the right.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                if column == 0 {
                    format!(" {cell}{space} |")
                } else {
                    format!(" {space}{cell} |")
                }
            });
        format!("|{}\n", padded.collect::<String>())
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if column == 0 {
            format!("{dashes}-|")
        } else {
            format!("{dashes}:|")
        }
    });
    let mut text = line(&head);
    text.push_str(&format!("|{}\n", rule.collect::<String>()));
    for row in &rows {
        text.push_str(&line(row));
    }
    text
}

#[cfg(test)]
mod tests;
