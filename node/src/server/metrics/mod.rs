//! The node's figures for Prometheus, read when the admin port is scraped.
//!
//! `redis_*` are the names of the exporter for Redis, so that dashboards and alerts made for it
//! work without it; they are INFO's fields, and one table says which. `slotilla_node_*` are our
//! own. No name of a key and no address of a client ever becomes a label: their number has no end.

mod exporter;
mod own;

use std::sync::Arc;

use slotilla_common::net::metrics::{Scrape, Source};

use super::Server;

/// The node as a source of figures.
pub struct NodeMetrics(pub Arc<Server>);

impl Source for NodeMetrics {
    fn collect(&self, scrape: &mut Scrape) {
        exporter::collect(&self.0, scrape);
        own::collect(&self.0, scrape);
    }
}

/// For each bound, how many values are at or below it.
fn cumulative<const N: usize>(
    histogram: &hdrhistogram::Histogram<u64>,
    bounds_nanos: [u64; N],
) -> [u64; N] {
    let mut below = [0; N];
    for step in histogram.iter_recorded() {
        let value = step.value_iterated_to();
        for (bound, count) in bounds_nanos.iter().zip(&mut below) {
            if value <= *bound {
                *count += step.count_since_last_iteration();
            }
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_what_is_at_or_below_them() {
        let mut histogram = hdrhistogram::Histogram::new_with_bounds(1, 1_000_000_000, 2).unwrap();
        for nanos in [500, 1500, 1500, 900_000, 999_000_000] {
            histogram.record(nanos).unwrap();
        }
        let below = cumulative(&histogram, [1000, 2000, 1_000_000, u64::MAX]);
        assert_eq!(below, [1, 3, 4, 5]);
    }

    #[test]
    fn a_fresh_node_has_figures_without_a_fault() {
        let config = crate::config::Config::load(
            [
                "--port",
                "0",
                "--unixsocket",
                "/tmp/none",
                "--cluster-enabled",
                "no",
            ]
            .map(str::to_owned),
        );
        let server = Arc::new(Server::new(Arc::new(config.unwrap())));
        let scrape = Scrape::of(&NodeMetrics(server));
        assert!(scrape.faults().is_empty(), "{:#?}", scrape.faults());
        assert!(scrape.names().count() > 100, "{}", scrape.names().count());
    }
}
