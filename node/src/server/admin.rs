//! The node's side of the admin port: is it alive, does it serve, what has it counted; and CONFIG
//! SET of `admin-port` and `admin-bind`.

use parking_lot::Mutex;
use slotilla_common::net::admin::{self, AdminError, AdminServer, Endpoints, Health};
use slotilla_common::net::metrics::Scrape;
use std::sync::Arc;

use super::Server;
use super::metrics::NodeMetrics;
use crate::cluster::routing::Condition;
use crate::config::{Config, Key};

/// The admin port as the configuration says, which may change while the node runs.
#[derive(Debug)]
pub struct AdminPort {
    server: Arc<Server>,
    bound: Mutex<Bound>,
}

#[derive(Debug, Default)]
struct Bound {
    /// Addresses and port; none while it could not be opened.
    to: Option<(Vec<String>, u16)>,
    /// None while the port is 0.
    listening: Option<AdminServer>,
}

impl AdminPort {
    /// Opens it, and follows CONFIG SET for as long as the result is kept.
    ///
    /// # Errors
    /// It could not be opened.
    pub fn open(server: &Arc<Server>) -> Result<Arc<Self>, AdminError> {
        let port = Arc::new(Self {
            server: Arc::clone(server),
            bound: Mutex::default(),
        });
        port.follow(&server.config)?;
        let weak = Arc::downgrade(&port);
        let apply = move |config: &Config| {
            weak.upgrade().map_or(Ok(()), |port| {
                port.follow(config).map_err(|error| {
                    tracing::warn!("Changing admin-port or admin-bind: {error}");
                    "Unable to listen on this port. Check server logs.".to_owned()
                })
            })
        };
        server
            .config
            .on_change(&[Key::AdminPort, Key::AdminBind], Box::new(apply));
        Ok(port)
    }

    /// Closes before it opens, as old and new may overlap. If the new cannot be had, CONFIG SET
    /// puts the old values back and comes here again.
    fn follow(&self, config: &Config) -> Result<(), AdminError> {
        let wanted = (config.admin_bind(), config.admin_port());
        let mut bound = self.bound.lock();
        if bound.to.as_ref() == Some(&wanted) {
            return Ok(());
        }
        *bound = Bound::default();
        if wanted.1 != 0 {
            let endpoints = Arc::new(NodeEndpoints::new(Arc::clone(&self.server)));
            bound.listening = Some(admin::serve(&wanted.0, wanted.1, endpoints)?);
        }
        bound.to = Some(wanted);
        Ok(())
    }
}

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
        if let Some(progress) = server.persistence.progress.shown() {
            let percent = progress.percent;
            return Health::because(format!(
                "the snapshot is being loaded: {percent:.0}% so far"
            ));
        }
        if server.loading() {
            return Health::because("the snapshot is being loaded");
        }
        if server.replication.as_primary.restart.waits() {
            return Health::because("the node has restarted, and waits to hear from its replicas");
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
