//! Tables of made-up measurements.

use super::super::measure::Sample;
use super::*;

pub(super) fn sample(cpu_us: f64, busy: f64, waited: f64) -> Sample {
    Sample {
        per_second: 1e5,
        cpu_us,
        user_us: cpu_us / 4.0,
        system_us: cpu_us * 0.75,
        upstream_us: 1.0,
        p50_us: 400.0,
        p99_us: 600.0,
        resident_bytes: 5_000_000,
        busy,
        generator_busy: 0.5,
        waited,
        others: 0.0,
        stolen: 0.0,
    }
}

pub(super) fn row(subject: &str, samples: &[Sample]) -> Row {
    Row {
        subject: subject.to_owned(),
        samples: samples.to_vec(),
    }
}

fn comparison() -> Comparison {
    let own = [
        sample(4.0, 1.0, 0.0),
        sample(5.0, 1.0, 0.0),
        sample(4.0, 1.0, 0.0),
    ];
    Comparison {
        workload: "GET".to_owned(),
        rows: vec![
            row("redis", &[sample(8.0, 1.0, 0.0)]),
            row("node", &own),
            row("node-2", &[sample(5.0, 0.5, 0.3)]),
        ],
    }
}

#[test]
fn columns_line_up_in_characters_not_in_bytes() {
    let rows = vec![vec!["µµ".to_owned(), "1".to_owned()]];
    let text = table(&["a", "CPU µs"], rows);
    assert_eq!(text, "| a  | CPU µs |\n|----|-------:|\n| µµ |      1 |\n");
}

#[test]
fn ratios_are_of_medians_and_peers_that_are_absent_have_no_column() {
    let text = comparison_table(&comparison(), SERVER_PEERS, false);
    let node = text
        .lines()
        .find(|line| line.starts_with("| node "))
        .unwrap();
    assert!(node.contains("4.000 |") && node.contains("25 %"), "{text}");
    assert!(node.ends_with("0.50 |"), "{text}");
    assert!(!text.contains("valkey"), "{text}");
}

#[test]
fn a_subject_below_its_limit_could_do_more() {
    let text = comparison_table(&comparison(), SERVER_PEERS, false);
    let with = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(with("| node-2").contains("≥ 100000"), "{text}");
    assert!(!with("| redis").contains('≥'), "{text}");
}

#[test]
fn rows_that_others_disturbed_are_marked() {
    assert!(is_disturbed(&row("node", &[sample(1.0, 1.0, 0.5)])));
    assert!(!is_disturbed(&row("node-2", &[sample(1.0, 1.0, 0.5)])));
    let mut stolen = sample(1.0, 1.0, 0.0);
    stolen.stolen = 0.2;
    assert!(is_disturbed(&row("node-2", &[stolen])));
    assert!(!is_disturbed(&row("node", &[sample(1.0, 1.0, 0.0)])));
}

#[test]
fn the_summary_has_a_row_for_each_of_ours() {
    let text = summary(&[comparison()], &["node", "node-2"], SERVER_PEERS);
    assert!(
        text.contains("| GET      |    node |    0.50 |        - |"),
        "{text}"
    );
    assert!(text.contains("node-2"), "{text}");
    assert_eq!(summary(&[comparison()], &["proxy"], PROXY_PEERS), "");
}
