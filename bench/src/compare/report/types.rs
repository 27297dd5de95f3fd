//! The tables of the suite of types: a line each, our figure beside its goals.

use super::super::measure::{Comparison, Row};
use super::super::types::{Bytes, Elements};
use super::{SERVER_PEERS, is_disturbed, table};
use crate::stats;

/// What our figure may be at most, as a part of a peer's.
const OF_REDIS_MAX: f64 = 0.75;
const OF_VALKEY_MAX: f64 = 1.0;
/// The same of the better peer's, for costly commands and for bytes.
const LARGE_MAX: f64 = 0.8;
const BYTES_MAX: f64 = 1.0;

/// What stands above the tables.
pub(in crate::compare) fn types_head() -> String {
    "\n## Types\n\nCPU µs per request; pipeline 16, one thread; medians of the \
     rounds, and of their ratios. A figure in bold misses its goal."
        .to_owned()
}

/// The table of redis-benchmark's list.
pub(in crate::compare) fn types_benchmark(keys: &str, lines: &[Comparison]) -> String {
    let table = benchmark(lines);
    format!("\n### redis-benchmark's list, {keys}\n\n{table}")
}

/// The table of costly commands.
pub(in crate::compare) fn types_large(lines: &[Comparison]) -> String {
    format!("\n### Costly commands\n\n{}", large(lines))
}

/// The table of bytes per element.
pub(in crate::compare) fn types_memory(rows: &[Elements]) -> String {
    let table = bytes(rows);
    format!("\n### Bytes per element, by used_memory (by RSS)\n\n{table}")
}

fn benchmark(lines: &[Comparison]) -> String {
    let of_redis = format!("× redis (goal {OF_REDIS_MAX})");
    let of_valkey = format!("× valkey (goal {OF_VALKEY_MAX:.1})");
    let head = [
        "line", "redis", "valkey", "node", &of_redis, &of_valkey, "spread",
    ];
    let rows = lines.iter().map(|line| {
        let mut cells = times(line);
        cells.push(judged(beside(line, "redis"), OF_REDIS_MAX));
        cells.push(judged(beside(line, "valkey"), OF_VALKEY_MAX));
        cells.push(spread(line));
        cells
    });
    table(&head, rows.collect())
}

fn large(lines: &[Comparison]) -> String {
    let of_better = format!("× the better (goal {LARGE_MAX})");
    let head = ["line", "redis", "valkey", "node", &of_better, "spread"];
    let rows = lines.iter().map(|line| {
        let mut cells = times(line);
        let beside = SERVER_PEERS.iter().filter_map(|peer| beside(line, peer));
        cells.push(judged(beside.reduce(f64::max), LARGE_MAX));
        cells.push(spread(line));
        cells
    });
    table(&head, rows.collect())
}

fn bytes(rows: &[Elements]) -> String {
    let of_better = format!("× the better (goal {BYTES_MAX:.1})");
    let head = ["elements", "redis", "valkey", "node", &of_better];
    let rows = rows.iter().map(|row| {
        let of = |name: &str| row.subjects.iter().find(|bytes| bytes.subject == name);
        let shown = |bytes: &Bytes| format!("{:.1} ({:.1})", bytes.used, bytes.resident);
        let cell = |name: &&str| of(name).map_or_else(missing, shown);
        let mut cells = vec![row.what.clone()];
        cells.extend(["redis", "valkey", "node"].iter().map(cell));
        let peers = SERVER_PEERS.iter().filter_map(|peer| of(peer));
        let better = peers.map(|bytes| bytes.used).reduce(f64::min);
        let own = of("node").map(|bytes| bytes.used);
        let ratio = own.zip(better).map(|(own, better)| own / better);
        cells.push(judged(ratio, BYTES_MAX));
        cells
    });
    table(&head, rows.collect())
}

/// The line's name and everybody's processor time; `~` where others disturbed.
fn times(line: &Comparison) -> Vec<String> {
    let mut cells = vec![line.workload.clone()];
    cells.extend(["redis", "valkey", "node"].iter().map(|name| {
        let Some(row) = line.row(name) else {
            return missing();
        };
        let mark = if is_disturbed(row) { " ~" } else { "" };
        format!("{:.3}{mark}", row.median(|sample| sample.cpu_us))
    }));
    cells
}

/// Our processor time beside a peer's: the median of the rounds' ratios. What disturbs a round
/// disturbs both, as they follow each other within a second.
fn beside(line: &Comparison, peer: &str) -> Option<f64> {
    let (own, peer) = (line.row("node")?, line.row(peer)?);
    let rounds = own.samples.iter().zip(&peer.samples);
    let ratios: Vec<f64> = rounds.map(|(own, peer)| own.cpu_us / peer.cpu_us).collect();
    Some(stats::median(&ratios))
}

/// The worst of all subjects' spreads.
fn spread(line: &Comparison) -> String {
    let worst = line.rows.iter().map(Row::spread).fold(0.0, f64::max);
    format!("{:.0} %", worst * 100.0)
}

/// A ratio, in bold if it misses its goal as shown.
pub(super) fn judged(ratio: Option<f64>, most: f64) -> String {
    let Some(ratio) = ratio.map(|ratio| format!("{ratio:.2}")) else {
        return missing();
    };
    if ratio.parse().is_ok_and(|shown: f64| shown > most) {
        format!("**{ratio}**")
    } else {
        ratio
    }
}

fn missing() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{row, sample};
    use super::*;

    fn line(figures: &[(&str, f64)]) -> Comparison {
        let rows = figures
            .iter()
            .map(|(name, cpu_us)| row(name, &[sample(*cpu_us, 1.0, 0.0)]));
        Comparison {
            workload: "ZADD".to_owned(),
            rows: rows.collect(),
        }
    }

    #[test]
    fn figures_above_their_goal_are_bold() {
        let lines = [line(&[("redis", 2.0), ("valkey", 1.0), ("node", 1.5)])];
        let text = benchmark(&lines);
        assert!(
            text.contains(" 0.75 |") && text.contains(" **1.50** |"),
            "{text}"
        );
        assert!(large(&lines).contains("**1.50**"));
        let lines = [line(&[("redis", 1.0), ("valkey", 4.0), ("node", 0.8)])];
        let text = benchmark(&lines);
        assert!(
            text.contains("**0.80**") && text.contains(" 0.20 |"),
            "{text}"
        );
        assert!(large(&lines).contains(" 0.80 |"));
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let samples = |figures: [f64; 3]| figures.map(|cpu_us| sample(cpu_us, 1.0, 0.0));
        let line = Comparison {
            workload: "ZADD".to_owned(),
            rows: vec![
                row("redis", &samples([1.0, 4.0, 2.0])),
                row("node", &samples([0.5, 2.0, 3.0])),
            ],
        };
        let ratio = beside(&line, "redis").unwrap();
        assert!((ratio - 0.5).abs() < 1e-9, "{ratio}");
        assert_eq!(beside(&line, "valkey"), None);
    }

    #[test]
    fn who_took_no_part_has_no_figure() {
        let text = benchmark(&[line(&[("node", 1.5)])]);
        assert!(text.contains("| ZADD |     - |      - | 1.500 |"), "{text}");
    }

    #[test]
    fn bytes_are_compared_with_the_better_peer() {
        let of = |(name, used): (&str, f64)| Bytes {
            subject: name.to_owned(),
            used,
            resident: used + 1.0,
        };
        let rows = [Elements {
            what: "sets".to_owned(),
            subjects: [("redis", 8.0), ("valkey", 10.0), ("node", 9.0)]
                .map(of)
                .into(),
        }];
        let text = bytes(&rows);
        assert!(
            text.contains("9.0 (10.0) |") && text.contains("**1.12**"),
            "{text}"
        );
    }
}
