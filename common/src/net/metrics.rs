//! Metrics: what a binary counts, as Prometheus's text format.
//!
//! The parts keep plain atomics; nothing is registered anywhere. When the admin port is scraped,
//! each [`Source`] reads its atomics into a [`Scrape`], which checks what Prometheus demands: a
//! help text for each name, one type for each name, no series twice. A breach is a bug of ours;
//! it never fails a scrape: the offending sample is left out and named by [`Scrape::faults`],
//! which the tests require to be empty.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder, TextEncoder};

/// Something that has figures to show.
pub trait Source: Send + Sync {
    /// Reads the current figures into `scrape`.
    fn collect(&self, scrape: &mut Scrape);
}

/// The content type of what [`Scrape::text`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Labels of one sample, as (name, value).
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The figures of one moment.
#[derive(Debug, Default)]
pub struct Scrape {
    families: BTreeMap<String, MetricFamily>,
    series: BTreeSet<String>,
    faults: Vec<String>,
}

impl Scrape {
    /// An empty scrape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one source into a new scrape.
    pub fn of(source: &(impl Source + ?Sized)) -> Self {
        let mut scrape = Self::new();
        source.collect(&mut scrape);
        scrape
    }

    /// A count that only grows. The name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        self.push(name, help, MetricType::COUNTER, labels, metric);
    }

    /// A figure that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::default();
        metric.set_gauge(gauge);
        self.push(name, help, MetricType::GAUGE, labels, metric);
    }

    /// A distribution: `buckets` are (upper bound, how many are at or below it), ascending; the
    /// last bound, infinity, is implied by `count`.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        buckets: &[(f64, u64)],
        (count, sum): (u64, f64),
    ) {
        let mut histogram = Histogram::default();
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum);
        let buckets = buckets.iter().map(|&(bound, below)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, labels, metric);
    }

    fn push(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        labels: Labels<'_>,
        metric: Metric,
    ) {
        if let Err(fault) = check_name(name, help, kind, labels) {
            self.faults.push(fault);
            return;
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        if !self.series.insert(format!("{name}{sorted:?}")) {
            self.faults
                .push(format!("{name}: the series {sorted:?} appears twice"));
            return;
        }
        let family = self.families.entry(name.to_owned()).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        if family.get_field_type() != kind || family.help() != help {
            self.faults
                .push(format!("{name}: two types or two help texts for one name"));
            return;
        }
        let mut metric = metric;
        metric.set_label(
            labels
                .iter()
                .map(|&(name, value)| pair(name, value))
                .collect(),
        );
        family.mut_metric().push(metric);
    }

    /// What was left out, and why. Empty unless this program has a bug.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Every name with a figure, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// Prometheus's text format.
    #[must_use]
    pub fn text(self) -> String {
        let families: Vec<MetricFamily> = self.families.into_values().collect();
        let mut text = Vec::new();
        // Writing to memory cannot fail, and an empty family, which the encoder refuses, cannot
        // come about: a family begins with its first sample.
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::warn!(%error, "a metric could not be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn check_name(name: &str, help: &str, kind: MetricType, labels: Labels<'_>) -> Result<(), String> {
    let valid = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !valid(name) {
        return Err(format!("{name}: not a metric name"));
    }
    if help.is_empty() {
        return Err(format!("{name}: no help text"));
    }
    // The exporter's own names, which dashboards ask for, break this rule; ours do not.
    let ours = !name.starts_with("redis_");
    if ours && (kind == MetricType::COUNTER) != name.ends_with("_total") {
        return Err(format!("{name}: counters, and only they, end in _total"));
    }
    match labels
        .iter()
        .find(|(label, _)| !valid(label) || *label == "le")
    {
        Some((label, _)) => Err(format!("{name}: the label {label} is not allowed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_out_in_the_text_format() {
        let mut scrape = Scrape::new();
        scrape.gauge("x_bytes", "Bytes.", &[], 1.5);
        scrape.counter("x_total", "Things.", &[("cmd", "a\"b\\c\n")], 3.0);
        scrape.counter("x_total", "Things.", &[("cmd", "get")], 4.0);
        scrape.histogram("x_seconds", "Time.", &[], &[(0.1, 2), (1.0, 3)], (4, 9.5));
        assert!(scrape.faults().is_empty(), "{:?}", scrape.faults());
        assert_eq!(
            scrape.text(),
            "# HELP x_bytes Bytes.\n# TYPE x_bytes gauge\nx_bytes 1.5\n\
             # HELP x_seconds Time.\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{le=\"0.1\"} 2\nx_seconds_bucket{le=\"1\"} 3\n\
             x_seconds_bucket{le=\"+Inf\"} 4\nx_seconds_sum 9.5\nx_seconds_count 4\n\
             # HELP x_total Things.\n# TYPE x_total counter\n\
             x_total{cmd=\"a\\\"b\\\\c\\n\"} 3\nx_total{cmd=\"get\"} 4\n"
        );
    }

    #[test]
    fn what_prometheus_would_refuse_is_left_out_and_named() {
        let mut scrape = Scrape::new();
        scrape.gauge("x", "Help.", &[("a", "1"), ("b", "2")], 1.0);
        scrape.gauge("x", "Help.", &[("b", "2"), ("a", "1")], 1.0);
        scrape.gauge("x", "Another help.", &[], 1.0);
        scrape.counter("x", "Help.", &[], 1.0);
        scrape.gauge("y_total", "A gauge that ends like a counter.", &[], 1.0);
        scrape.gauge("no_help", "", &[], 1.0);
        scrape.gauge("bad-name", "Help.", &[], 1.0);
        scrape.gauge("bad_label", "Help.", &[("le", "1")], 1.0);
        assert_eq!(scrape.faults().len(), 7, "{:#?}", scrape.faults());
        assert_eq!(scrape.names().collect::<Vec<_>>(), ["x"]);
        assert_eq!(
            scrape
                .text()
                .lines()
                .filter(|l| !l.starts_with('#'))
                .count(),
            1
        );
    }
}
