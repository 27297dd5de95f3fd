//! The cluster thread's settings, from the node's directives.

use super::{Settings, Setup};
use crate::cluster::action::Options;
use crate::config::{Config, Key};
use slotilla_common::bus::IpText;
use slotilla_common::net::listen::{self, ListenError};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Setup {
    /// Opens the bus port, on the addresses that clients are served on.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn from_config(
        config: &Arc<Config>,
        shutdown: CancellationToken,
    ) -> Result<Self, ListenError> {
        let listeners = listen::tcp(
            &config.bind(),
            config.bus_port(),
            config.tcp_backlog(),
            "cluster-port",
        )?;
        let config = Arc::clone(config);
        Ok(Self {
            conf_path: config.cluster_config_file(),
            listeners,
            settings: Box::new(move || settings(&config)),
            shutdown,
        })
    }
}

fn settings(config: &Config) -> Settings {
    let or = |announced: u16, own: u16| if announced == 0 { own } else { announced };
    let timeout_ms = i64::try_from(config.cluster_node_timeout_ms()).unwrap_or(i64::MAX);
    let options = Options {
        node_timeout_ms: timeout_ms,
        require_full_coverage: config.cluster_require_full_coverage(),
        allow_reads_when_down: config.cluster_allow_reads_when_down(),
        replica_no_failover: config.number(Key::ClusterReplicaNoFailover) != 0,
        port: or(config.cluster_announce_port(), config.port()),
        cport: or(config.cluster_announce_bus_port(), config.bus_port()),
        other_port: 0,
        // What is no address for the bus is announced as none: peers then use the one that
        // they see.
        announce_ip: IpText::new(&config.text(Key::ClusterAnnounceIp)).unwrap_or_default(),
        announce_hostname: config.text(Key::ClusterAnnounceHostname),
    };
    Settings {
        options,
        link_sendbuf_limit: config.cluster_link_sendbuf_limit(),
    }
}
