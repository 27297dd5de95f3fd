//! The node's side of the admin port: is it alive, does it serve, what has it counted.

use slotilla_common::net::admin::{Endpoints, Health};
use slotilla_common::net::metrics::Scrape;
use std::sync::Arc;

use super::Server;
use super::metrics::NodeMetrics;
use crate::cluster::routing::Condition;

/// What the admin port asks.
#[derive(Debug)]
pub struct NodeEndpoints(Arc<Server>);

impl NodeEndpoints {
    /// For this server.
    #[must_use]
    pub fn new(server: Arc<Server>) -> Self {
        Self(server)
    }
}

impl Endpoints for NodeEndpoints {
    fn metrics(&self) -> String {
        Scrape::of(&NodeMetrics(Arc::clone(&self.0))).text()
    }

    fn live(&self) -> Health {
        Health::well()
    }

    fn ready(&self) -> Health {
        let server = &self.0;
        if server.shutdown.is_cancelled() {
            return Health::because("the node is shutting down");
        }
        match server.cluster_health.condition() {
            Condition::Up => Health::well(),
            Condition::ReadsOnly => Health::because("the cluster is down and takes reads only"),
            Condition::Down => Health::because(
                "the cluster is down: not all slots are covered, or most primaries are out of reach",
            ),
        }
    }
}
