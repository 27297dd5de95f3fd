//! Which nodes are in trouble and why: for `/readyz`, and so that the log tells the beginning and
//! the end of each outage once, however many threads, connections and looks at the slot map notice.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use slotilla_common::clock::{Monotonic, Tick};

use crate::slotmap::Address;

/// Nodes remembered. Beyond it the one that failed longest ago is forgotten: its next failure
/// counts as its first.
const NODES_MAX: usize = 1024;

/// The nodes that failed last time.
#[derive(Debug)]
pub struct Outages {
    clock: Monotonic,
    /// A node is trusted again when it has answered and not failed for this long.
    calm: Duration,
    nodes: Mutex<HashMap<Address, Outage>>,
}

#[derive(Debug)]
struct Outage {
    /// Attempts at reaching the node that failed.
    attempts: u64,
    last: Tick,
    reason: String,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A connection that had served for some time ended.
    Loss,
    /// The node could not be reached, or ended what had just begun.
    Attempt,
}

impl Outages {
    /// Every node is well.
    #[must_use]
    pub fn new(calm: Duration) -> Self {
        Self {
            clock: Monotonic::new(),
            calm,
            nodes: Mutex::default(),
        }
    }

    /// How long a node must not have failed to be trusted again.
    #[must_use]
    pub fn calm(&self) -> Duration {
        self.calm
    }

    /// Takes note of a failure. Whether it begins an outage, and so belongs into the log.
    pub fn failed(&self, node: &Address, failure: Failure, reason: String) -> bool {
        let attempts = u64::from(failure == Failure::Attempt);
        let last = self.clock.now();
        let mut nodes = self.nodes.lock();
        if let Some(outage) = nodes.get_mut(node) {
            outage.attempts += attempts;
            outage.last = last;
            outage.reason = reason;
            return false;
        }
        if nodes.len() >= NODES_MAX {
            let oldest = nodes.iter().min_by_key(|(_, outage)| outage.last);
            if let Some(oldest) = oldest.map(|(node, _)| node.clone()) {
                nodes.remove(&oldest);
            }
        }
        let outage = Outage {
            attempts,
            last,
            reason,
        };
        nodes.insert(node.clone(), outage);
        true
    }

    /// Takes note that a node answers. Whether it is trusted; ends its outage, if there is one
    /// and no failure was too short a time ago.
    pub fn answered(&self, node: &Address) -> bool {
        let mut nodes = self.nodes.lock();
        let Some(outage) = nodes.get(node) else {
            return true;
        };
        let quiet = self.clock.nanos_between(outage.last, self.clock.now());
        if Duration::from_nanos(quiet) < self.calm {
            return false;
        }
        let failed_attempts = outage.attempts;
        nodes.remove(node);
        drop(nodes);
        // As grave as the beginning, so that whoever was told of that is told of this.
        tracing::warn!(%node, failed_attempts, "the node answers again");
        true
    }

    /// Why a node failed last; none if it is well.
    #[must_use]
    pub fn reason(&self, node: &Address) -> Option<String> {
        let nodes = self.nodes.lock();
        nodes.get(node).map(|outage| outage.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> Address {
        Address {
            host: "10.0.0.1".into(),
            port,
        }
    }

    #[test]
    fn an_outage_begins_once_and_ends_with_an_answer() {
        let outages = Outages::new(Duration::ZERO);
        assert!(outages.answered(&node(1)));
        assert!(outages.failed(&node(1), Failure::Loss, "closed".to_owned()));
        for _ in 0..3 {
            assert!(!outages.failed(&node(1), Failure::Attempt, "refused".to_owned()));
        }
        assert!(outages.failed(&node(2), Failure::Attempt, "silent".to_owned()));
        assert_eq!(outages.nodes.lock().get(&node(1)).unwrap().attempts, 3);
        assert_eq!(outages.reason(&node(1)).as_deref(), Some("refused"));
        assert!(outages.answered(&node(1)));
        assert_eq!(outages.reason(&node(1)), None);
        assert_eq!(outages.reason(&node(2)).as_deref(), Some("silent"));
        assert!(outages.failed(&node(1), Failure::Loss, "closed".to_owned()));
    }

    #[test]
    fn a_node_that_failed_a_moment_ago_is_not_trusted() {
        let outages = Outages::new(Duration::from_secs(3600));
        assert!(outages.failed(&node(1), Failure::Attempt, "refused".to_owned()));
        assert!(!outages.answered(&node(1)));
        assert!(!outages.failed(&node(1), Failure::Attempt, "refused".to_owned()));
    }

    #[test]
    fn no_more_nodes_are_remembered_than_the_limit() {
        let outages = Outages::new(Duration::ZERO);
        for port in 0..=u16::try_from(NODES_MAX).unwrap() {
            assert!(outages.failed(&node(port), Failure::Attempt, String::new()));
        }
        assert_eq!(outages.nodes.lock().len(), NODES_MAX);
        assert_eq!(outages.reason(&node(0)), None);
        assert!(outages.reason(&node(1)).is_some());
    }
}
