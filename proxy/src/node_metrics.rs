//! What is shown of each node: the connections that the threads have to it, added up.
//!
//! A node is shown while it is a primary in the slot map or has a connection that is in use, so
//! there are never more series than nodes; one that left takes its figures with it.

use std::collections::BTreeMap;

use slotilla_common::net::metrics::Scrape;

use crate::slotmap::Address;
use crate::worker::Worker;

/// The figures of one node, of one thread or of all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeFigures {
    /// Connections open.
    active: u64,
    /// Whether any thread cannot reach it.
    is_down: bool,
    /// Requests without a reply, and their bytes.
    pending: (u64, u64),
    requests: u64,
    errors: u64,
    timeouts: u64,
    connections: u64,
    connect_failures: u64,
    lost: u64,
}

/// The figures of all nodes.
pub type Nodes = BTreeMap<Address, NodeFigures>;

impl NodeFigures {
    fn add(&mut self, other: &Self) {
        self.active += other.active;
        self.is_down |= other.is_down;
        self.pending.0 += other.pending.0;
        self.pending.1 += other.pending.1;
        self.requests += other.requests;
        self.errors += other.errors;
        self.timeouts += other.timeouts;
        self.connections += other.connections;
        self.connect_failures += other.connect_failures;
        self.lost += other.lost;
    }
}

/// What one thread knows.
#[must_use]
pub fn of(worker: &Worker) -> Nodes {
    let map = worker.map.borrow();
    let mut nodes = Nodes::new();
    for upstream in worker.all_upstreams() {
        let is_primary = map
            .primaries()
            .iter()
            .any(|(_, node)| *node == upstream.node);
        if !is_primary && !upstream.is_busy() {
            continue;
        }
        let (requests, bytes) = upstream.load();
        let figures = &upstream.figures;
        let own = NodeFigures {
            active: u64::from(upstream.is_ready()),
            is_down: upstream.is_down(),
            pending: (requests as u64, bytes as u64),
            requests: figures.requests.read(),
            errors: figures.errors.read(),
            timeouts: figures.timeouts.read(),
            connections: figures.connections.read(),
            connect_failures: figures.connect_failures.read(),
            lost: figures.lost.read(),
        };
        nodes.entry(upstream.address.clone()).or_default().add(&own);
    }
    nodes
}

/// Adds one thread's figures to another's.
pub fn add(all: &mut Nodes, more: &Nodes) {
    for (address, figures) in more {
        all.entry(address.clone()).or_default().add(figures);
    }
}

/// Shows them.
pub fn show(scrape: &mut Scrape, nodes: &Nodes) {
    for (address, figures) in nodes {
        let node = address.to_string();
        let labels = [("node", node.as_str())];
        for (name, help, value) in [
            (
                "up",
                "1, or 0 if the last connection to the node could not be made or ended at once.",
                u64::from(!figures.is_down),
            ),
            ("cx_active", "Connections to the node open.", figures.active),
            (
                "rq_pending_active",
                "Requests to the node without a reply yet.",
                figures.pending.0,
            ),
            (
                "rq_pending_bytes",
                "Bytes of requests to the node without a reply yet.",
                figures.pending.1,
            ),
        ] {
            scrape.gauge(&full(name), help, &labels, value as f64);
        }
        for (name, help, value) in [
            (
                "cx_total",
                "Connections to the node made, the repeated ones included.",
                figures.connections,
            ),
            (
                "cx_connect_fail_total",
                "Connections to the node that could not be made.",
                figures.connect_failures,
            ),
            (
                "cx_lost_total",
                "Connections to the node that ended.",
                figures.lost,
            ),
            (
                "rq_total",
                "Requests queued for the node, parts and repetitions included.",
                figures.requests,
            ),
            (
                "rq_error_total",
                "Error replies of the node, redirections included.",
                figures.errors,
            ),
            (
                "rq_timeout_total",
                "Requests that the node did not answer within request-timeout.",
                figures.timeouts,
            ),
        ] {
            scrape.counter(&full(name), help, &labels, value as f64);
        }
    }
}

fn full(name: &str) -> String {
    format!("slotilla_proxy_upstream_node_{name}")
}
