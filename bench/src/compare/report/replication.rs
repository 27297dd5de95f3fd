//! The tables of the suite of replication: what each make of server does, and ours beside the goals.

use super::super::replication::{Acked, Applied, Copy, Cost, Lag, REPLICAS, Saved, Synced};
use super::table;
use super::types::judged;
use crate::load::LoadReport;
use crate::stats;

/// A full sync, a save and a load may take so much of Redis's time.
const TIME_MAX: f64 = 0.7;
/// What clients of a primary may feel meanwhile, 99 of 100 of them.
const P99_MS_MAX: f64 = 2.0;
/// What a full sync may take of memory, as a part of what is taken anyway.
const MEMORY_MAX: f64 = 0.10;
/// What is a goal to this much meets it: 1.1 less 1 is a little more than 0.1.
const ROUNDING: f64 = 1e-9;
/// What a primary may need beyond what it needs by itself, with one replica and with two.
const COST_MAX: [f64; 2] = [0.10, 0.15];
/// How fast a replica is at least, beside its primary.
const APPLY_MIN: f64 = 1.0;
/// What is left at least of the writes when each waits for a replica.
const ACKED_MIN: f64 = 0.6;

/// What stands above the tables.
pub(in crate::compare) fn replication_head(keys: u64) -> String {
    format!(
        "\n## Replication and snapshots: {keys} keys of 16 bytes, values of 64\n\n\
         Medians of the rounds. A figure of ours in bold misses its goal."
    )
}

/// The table of full syncs.
pub(in crate::compare) fn replication_sync(found: &[Synced]) -> String {
    let of_redis = format!("× redis (goal {TIME_MAX})");
    let p99 = format!("p99 ms (goal {P99_MS_MAX:.0})");
    let above = format!("peak above (goal {:.0} %)", MEMORY_MAX * 100.0);
    let head = [
        "primary → replica",
        "writes/s",
        "seconds",
        &of_redis,
        "primary's CPU s",
        "p99 ms before",
        "p50 ms",
        &p99,
        "p99.9 ms",
        "longest ms",
        "steady MB",
        &above,
        "kept MB",
        "unsent MB",
        "stolen",
    ];
    let rows = found.iter().map(|one| {
        let redis = found.iter().find(|other| {
            other.primary == "redis" && other.replica == "redis" && other.writes == one.writes
        });
        sync_row(one, redis)
    });
    format!(
        "\n### A full sync, while four clients GET and SET every 2 ms each\n\n{}",
        table(&head, rows.collect())
    )
}

fn sync_row(one: &Synced, redis: Option<&Synced>) -> Vec<String> {
    let ours = one.primary == "node";
    let median = |of: &Synced, figure: fn(&Copy) -> f64| {
        let figures: Vec<f64> = of.copies.iter().map(figure).collect();
        stats::median(&figures)
    };
    let show = |figure: fn(&Copy) -> f64| format!("{:.2}", median(one, figure));
    let megabytes = |figure: fn(&Copy) -> f64| format!("{:.0}", median(one, figure) / 1e6);
    let seconds = median(one, |copy| copy.seconds);
    let ratio = redis.map(|redis| seconds / median(redis, |copy| copy.seconds));
    let p99 = median(one, |copy| copy.meanwhile.p99_us / 1e3);
    let above = median(one, |copy| {
        copy.memory.peak as f64 / copy.memory.steady as f64 - 1.0
    });
    let mut above_shown = format!("{:.1} %", above * 100.0);
    if ours && above > MEMORY_MAX + ROUNDING {
        above_shown = format!("**{above_shown}**");
    }
    vec![
        format!("{} → {}", one.primary, one.replica),
        format!("{:.0}", median(one, |copy| copy.writes_per_second)),
        format!("{seconds:.2}"),
        if ours {
            judged(ratio, TIME_MAX)
        } else {
            shown(ratio)
        },
        show(|copy| copy.primary_cpu_seconds),
        show(|copy| copy.before.p99_us / 1e3),
        show(|copy| copy.meanwhile.p50_us / 1e3),
        if ours {
            judged(Some(p99), P99_MS_MAX)
        } else {
            shown(Some(p99))
        },
        show(|copy| copy.meanwhile.p999_us / 1e3),
        show(|copy| copy.meanwhile.max_us / 1e3),
        megabytes(|copy| copy.memory.steady as f64),
        above_shown,
        megabytes(|copy| copy.memory.kept as f64),
        megabytes(|copy| copy.memory.unsent as f64),
        format!("{:.0} %", median(one, |copy| copy.stolen) * 100.0),
    ]
}

/// The table of saves and loads.
pub(in crate::compare) fn replication_save(found: &[Saved]) -> String {
    let of_redis = format!("× redis (goal {TIME_MAX})");
    let head = [
        "subject",
        "BGSAVE s",
        &of_redis,
        "its CPU s",
        "load s",
        &of_redis,
        "its CPU s",
        "file MB",
    ];
    let redis = found.iter().find(|saved| saved.subject == "redis");
    let rows = found.iter().map(|saved| {
        let mut cells = vec![saved.subject.clone()];
        for (of, theirs) in [
            (&saved.saves, redis.map(|redis| &redis.saves)),
            (&saved.loads, redis.map(|redis| &redis.loads)),
        ] {
            let seconds: Vec<f64> = of.iter().map(|took| took.seconds).collect();
            let cpu_seconds: Vec<f64> = of.iter().map(|took| took.cpu_seconds).collect();
            let theirs = theirs.map(|theirs| {
                let seconds: Vec<f64> = theirs.iter().map(|took| took.seconds).collect();
                stats::median(&seconds)
            });
            let ratio = theirs.map(|theirs| stats::median(&seconds) / theirs);
            cells.push(format!("{:.2}", stats::median(&seconds)));
            cells.push(if saved.subject == "node" {
                judged(ratio, TIME_MAX)
            } else {
                shown(ratio)
            });
            cells.push(format!("{:.2}", stats::median(&cpu_seconds)));
        }
        cells.push(format!("{:.0}", saved.file_bytes as f64 / 1e6));
        cells
    });
    format!(
        "\n### BGSAVE, and load at the start, on one processor\n\n{}",
        table(&head, rows.collect())
    )
}

/// The table of what replicas cost.
pub(in crate::compare) fn replication_cost(found: &[Cost]) -> String {
    let goals: Vec<String> = COST_MAX
        .iter()
        .zip(REPLICAS.iter().skip(1))
        .map(|(most, replicas)| format!("with {replicas} (goal +{:.0} %)", most * 100.0))
        .collect();
    let mut head = vec!["subject", "µs with 0", "µs with 1", "µs with 2"];
    head.extend(goals.iter().map(String::as_str));
    head.push("spread");
    let rows = found.iter().map(|cost| {
        let mut cells = vec![cost.subject.clone()];
        let medians = cost.cpu_us.iter().map(|figures| stats::median(figures));
        cells.extend(medians.map(|median| format!("{median:.3}")));
        let goals = cost.cpu_us.iter().skip(1).zip(COST_MAX);
        cells.extend(goals.map(|(figures, most)| {
            let more = more(&cost.cpu_us[0], figures);
            let text = format!("{:+.0} %", more * 100.0);
            if cost.subject == "node" && more > most + ROUNDING {
                format!("**{text}**")
            } else {
                text
            }
        }));
        let spreads = cost.cpu_us.iter().map(|figures| stats::spread(figures));
        cells.push(format!("{:.0} %", spreads.fold(0.0, f64::max) * 100.0));
        cells
    });
    format!(
        "\n### A primary's CPU µs per SET, pipeline 16, by its replicas\n\n{}",
        table(&head, rows.collect())
    )
}

/// What is needed beyond: the median of the rounds' ratios, less one. What disturbs a round disturbs
/// both.
fn more(base: &[f64], figures: &[f64]) -> f64 {
    let ratios: Vec<f64> = figures
        .iter()
        .zip(base)
        .map(|(figure, base)| figure / base)
        .collect();
    stats::median(&ratios) - 1.0
}

/// The table of whether replicas keep up.
pub(in crate::compare) fn replication_apply(found: &[Applied]) -> String {
    let ratio = format!("applied / produced (goal above {APPLY_MIN:.0})");
    let head = [
        "subject",
        "writes/s",
        "behind, median",
        "most",
        "at the end",
        "seconds after it",
        "produces/s",
        "applies/s",
        &ratio,
    ];
    let rows = found.iter().map(|one| {
        let Lag {
            writes_per_second,
            bytes,
            per_write,
            after_seconds,
        } = &one.lag;
        let writes = |bytes: f64| format!("{:.0}", bytes / per_write.max(1.0));
        let all: Vec<f64> = bytes.iter().map(|bytes| *bytes as f64).collect();
        let (produced, applied) = (stats::median(&one.produced), stats::median(&one.applied));
        let ratio = format!("{:.2}", applied / produced);
        vec![
            one.subject.clone(),
            format!("{writes_per_second:.0}"),
            writes(stats::median(&all)),
            writes(all.iter().copied().fold(0.0, f64::max)),
            writes(all.last().copied().unwrap_or(0.0)),
            format!("{after_seconds:.2}"),
            format!("{produced:.0}"),
            format!("{applied:.0}"),
            if one.subject == "node" && applied <= produced * APPLY_MIN {
                format!("**{ratio}**")
            } else {
                ratio
            },
        ]
    });
    format!(
        "\n### A replica at its primary's full load (writes that it is behind), and each by itself\n\n{}",
        table(&head, rows.collect())
    )
}

/// The table of writes that wait for a replica.
pub(in crate::compare) fn replication_acked(found: &[Acked]) -> String {
    let ratio = format!("ratio (goal {ACKED_MIN})");
    let head = [
        "subject",
        "writes/s",
        "acknowledged by 1",
        &ratio,
        "p50 µs",
        "acknowledged",
        "p99 µs",
        "acknowledged",
    ];
    let rows = found.iter().map(|one| {
        let mut cells = vec![one.subject.clone()];
        let Some([plain, acked]) = &one.reports else {
            cells.resize(head.len(), "not there".to_owned());
            return cells;
        };
        let median = |of: &[LoadReport], figure: fn(&LoadReport) -> f64| {
            let figures: Vec<f64> = of.iter().map(figure).collect();
            stats::median(&figures)
        };
        let rate = |of: &[LoadReport]| median(of, |report| report.commands_per_second);
        let ratio = rate(acked) / rate(plain);
        cells.push(format!("{:.0}", rate(plain)));
        cells.push(format!("{:.0}", rate(acked)));
        cells.push(if ratio < ACKED_MIN {
            format!("**{ratio:.2}**")
        } else {
            format!("{ratio:.2}")
        });
        let quantiles: [fn(&LoadReport) -> f64; 2] = [
            |report| report.latency.p50_us,
            |report| report.latency.p99_us,
        ];
        for figure in quantiles {
            cells.push(format!("{:.0}", median(plain, figure)));
            cells.push(format!("{:.0}", median(acked, figure)));
        }
        cells
    });
    format!(
        "\n### SETs that one replica must have before they are answered, 50 clients, pipeline 16\n\n{}",
        table(&head, rows.collect())
    )
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::replication::{Memory, Took};
    use super::*;
    use crate::load::Latency;

    fn latency(p99_us: f64) -> Latency {
        Latency {
            p50_us: 50.0,
            p99_us,
            p999_us: 2.0 * p99_us,
            max_us: 3.0 * p99_us,
        }
    }

    fn synced(name: &str, seconds: f64, p99_us: f64, peak: u64) -> Synced {
        Synced {
            primary: name.to_owned(),
            replica: name.to_owned(),
            writes: 20_000,
            copies: vec![Copy {
                seconds,
                primary_cpu_seconds: seconds,
                before: latency(100.0),
                meanwhile: latency(p99_us),
                longest_at: 0.5,
                writes_per_second: 19_990.0,
                stolen: 0.0,
                memory: Memory {
                    steady: 1_000_000_000,
                    peak,
                    kept: 7_000_000,
                    unsent: 8_000_000,
                },
            }],
        }
    }

    #[test]
    fn a_sync_that_is_slow_or_takes_much_is_bold_if_it_is_ours() {
        let text = replication_sync(&[
            synced("redis", 10.0, 5_000.0, 2_000_000_000),
            synced("node", 7.5, 2_500.0, 1_110_000_000),
        ]);
        let rows: Vec<&str> = text.lines().rev().take(2).collect();
        assert!(!rows[1].contains("**"), "{text}");
        assert!(rows[1].contains(" 100.0 % |"), "{text}");
        for bold in ["**0.75**", "**2.50**", "**11.0 %**"] {
            assert!(rows[0].contains(bold), "{bold}: {text}");
        }
        let text = replication_sync(&[
            synced("redis", 10.0, 5_000.0, 2_000_000_000),
            synced("node", 7.0, 1_900.0, 1_100_000_000),
        ]);
        assert!(!text.contains("**"), "{text}");
    }

    #[test]
    fn saves_and_loads_are_judged_by_redis() {
        let took = |seconds| Took {
            seconds,
            cpu_seconds: seconds,
        };
        let saved = |subject: &str, save, load| Saved {
            subject: subject.to_owned(),
            file_bytes: 3_000_000,
            saves: vec![took(save)],
            loads: vec![took(load)],
        };
        let text = replication_save(&[saved("redis", 2.0, 4.0), saved("node", 1.0, 3.0)]);
        assert!(
            text.contains(" 0.50 |") && text.contains("**0.75**"),
            "{text}"
        );
        let alone = replication_save(&[saved("node", 1.0, 3.0)]);
        assert!(alone.contains(" - |") && !alone.contains("**"), "{alone}");
    }

    #[test]
    fn a_replicas_cost_is_that_beyond_none_round_by_round() {
        let cost = |subject: &str| Cost {
            subject: subject.to_owned(),
            cpu_us: [
                vec![1.0, 2.0, 4.0],
                vec![1.1, 2.2, 9.0],
                vec![1.2, 2.4, 4.8],
            ],
        };
        let text = replication_cost(&[cost("redis"), cost("node")]);
        assert!(
            text.contains(" +10 % |") && text.contains("**+20 %**"),
            "{text}"
        );
        assert!(!text.contains("**+10 %**"), "{text}");
    }

    #[test]
    fn a_replica_that_is_slower_than_its_primary_is_bold() {
        let one = |applied| Applied {
            subject: "node".to_owned(),
            lag: Lag {
                writes_per_second: 1e5,
                bytes: vec![0, 1000, 500],
                per_write: 100.0,
                after_seconds: 0.5,
            },
            produced: vec![1e5],
            applied: vec![applied],
        };
        let text = replication_apply(&[one(9e4)]);
        assert!(
            text.contains("**0.90**") && text.contains(" 10 |"),
            "{text}"
        );
        assert!(replication_apply(&[one(2e5)]).contains(" 2.00 |"));
    }

    #[test]
    fn who_cannot_wait_for_replicas_is_said_to() {
        let report = |rate| LoadReport {
            commands: 1,
            seconds: 1.0,
            commands_per_second: rate,
            latency: latency(100.0),
            generator_cpu_seconds: 0.0,
            machine_cpu_seconds: 0.0,
            stolen_seconds: 0.0,
            watched: Vec::new(),
        };
        let found = [
            Acked {
                subject: "redis".to_owned(),
                reports: None,
            },
            Acked {
                subject: "node".to_owned(),
                reports: Some([vec![report(1000.0)], vec![report(500.0)]]),
            },
        ];
        let text = replication_acked(&found);
        assert!(
            text.contains("not there") && text.contains("**0.50**"),
            "{text}"
        );
    }
}
