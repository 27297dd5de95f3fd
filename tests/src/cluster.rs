//! Clusters of any make: every slot owned, every node agreed.

use std::time::Duration;

use slotilla_common::slot::Slot;

use crate::client::Client;
use crate::server::{Kind, Server};
use crate::value::Value;
use crate::wait::wait_for;

/// How long nodes may take to find each other.
const JOIN_LIMIT: Duration = Duration::from_secs(30);

/// What every cluster node is started with; short timeouts keep the tests short.
const SETTINGS: [(&str, &str); 2] = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];

/// Primaries that share all slots evenly.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries, in the order of their slots.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts `count` primaries of one make.
    #[must_use]
    pub fn start(kind: Kind, count: usize) -> Self {
        Self::start_mixed(&vec![kind; count], &[])
    }

    /// Starts a primary of each make, with these settings on top of a cluster's own, and waits
    /// until each says that the cluster is ok and knows all the others.
    #[must_use]
    pub fn start_mixed(kinds: &[Kind], settings: &[(&str, &str)]) -> Self {
        Self::start_wrapped(kinds, &[], settings)
    }

    /// The same, each node through a wrapper as [`Server::start_wrapped`] takes it.
    #[must_use]
    pub fn start_wrapped(kinds: &[Kind], wrapper: &[&str], settings: &[(&str, &str)]) -> Self {
        let settings = [&SETTINGS, settings].concat();
        let nodes: Vec<Server> = kinds
            .iter()
            .map(|kind| Server::start_wrapped(*kind, wrapper, &settings))
            .collect();
        for (place, node) in nodes.iter().enumerate() {
            let (first, last) = share(place, nodes.len());
            let mut client = node.client();
            client.ok(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &first.to_string(),
                &last.to_string(),
            ]);
            // Distinct from the start: nodes that collide settle it only over some seconds.
            client.ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
        }
        let cluster = Self { nodes };
        let meeting_place = cluster.nodes[0].port().to_string();
        for node in &cluster.nodes[1..] {
            let mut client = node.client();
            client.ok(&["CLUSTER", "MEET", "127.0.0.1", &meeting_place]);
        }
        cluster.wait_ok();
        cluster
    }

    /// Waits until every node sees every slot served by a node that it knows.
    pub fn wait_ok(&self) {
        let known = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
        let size = format!("cluster_size:{}\r\n", self.nodes.len());
        wait_for("the cluster to agree", JOIN_LIMIT, || {
            let agreed = self.nodes.iter().all(|node| {
                let info = node.client().call(&["CLUSTER", "INFO"]).text();
                let has = |line: &str| info.contains(line);
                has("cluster_state:ok\r\n") && has(&known) && has(&size)
            });
            agreed.then_some(())
        });
    }

    /// `127.0.0.1:PORT,…`, as the proxy's `seeds` wants it.
    #[must_use]
    pub fn seeds(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Server::address).collect();
        addresses.join(",")
    }

    /// The node that owned the key's slot when the cluster was made.
    #[must_use]
    pub fn node_of(&self, key: impl AsRef<[u8]>) -> &Server {
        let slot = slot_of(key);
        let owner = (0..self.nodes.len()).find(|place| slot <= share(*place, self.nodes.len()).1);
        &self.nodes[owner.expect("every slot has an owner")]
    }

    /// A connection to the key's node.
    #[must_use]
    pub fn client_of(&self, key: impl AsRef<[u8]>) -> Client {
        self.node_of(key).client()
    }

    /// Our proxy in front of this cluster.
    #[must_use]
    pub fn proxy(&self, settings: &[(&str, &str)]) -> Server {
        let seeds = self.seeds();
        let own = [("seeds", seeds.as_str())];
        Server::start(Kind::Proxy, &[&own, settings].concat())
    }
}

/// A node alone in its cluster, owner of all slots.
#[must_use]
pub fn one_node_cluster(kind: Kind, settings: &[(&str, &str)]) -> Server {
    let mut cluster = Cluster::start_mixed(&[kind], settings);
    cluster.nodes.remove(0)
}

/// The first and last slot of one of `count` even shares.
fn share(place: usize, count: usize) -> (u16, u16) {
    let edge = |place: usize| {
        let slots = usize::from(Slot::COUNT) * place / count;
        u16::try_from(slots).expect("a slot number")
    };
    (edge(place), edge(place + 1) - 1)
}

/// The slot of a key, asked of nobody.
#[must_use]
pub fn slot_of(key: impl AsRef<[u8]>) -> u16 {
    Slot::of_key(key.as_ref()).number()
}

impl Cluster {
    /// CLUSTER KEYSLOT of the first node, for tests that doubt [`slot_of`].
    #[must_use]
    pub fn key_slot(&self, key: &str) -> i64 {
        match self.nodes[0].client().call(&["CLUSTER", "KEYSLOT", key]) {
            Value::Integer(slot) => slot,
            other => panic!("CLUSTER KEYSLOT {key}: {other}"),
        }
    }
}
