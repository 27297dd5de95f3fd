//! Who is failing: by our own view (PFAIL), by reports of others, by agreement (FAIL).
//!
//! A node that does not answer for the node timeout is suspected, and gossip carries the
//! suspicion. Once a majority of the primaries that have slots suspect it, it is failing, and
//! whoever counts the majority tells all.

use super::node::NodeKey;
use super::state::Core;
use slotilla_common::bus::{Body, NodeFlags};
use slotilla_common::ids::NodeId;

/// A report is worth nothing after this many node timeouts.
const REPORT_TIMEOUTS: i64 = 2;

/// A primary whose slots nobody took over within this many node timeouts may come back.
const UNDO_TIMEOUTS: i64 = 2;

impl Core {
    /// A node has not answered for too long.
    pub(super) fn suspect(&mut self, key: NodeKey) {
        let known = NodeFlags::PFAIL.with(NodeFlags::FAIL);
        if let Some(node) = self.nodes.get_mut(key).filter(|node| !node.is(known)) {
            tracing::info!(node = %node.id, "Node possibly failing");
            node.flags.set(NodeFlags::PFAIL);
            self.is_topology_stale = true;
            self.agree_on_failure(key);
        }
    }

    /// What `reporter` says of a node's health, in gossip. Only primaries are heard.
    pub(super) fn hear_report(&mut self, reporter: NodeKey, key: NodeKey, is_failing: bool) {
        let Some(reporter) = self.nodes.get(reporter).filter(|node| node.is_primary()) else {
            return;
        };
        let reporter = reporter.id;
        let now_ms = self.now_ms;
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        let mut reports = node.fail_reports.iter_mut();
        let old = reports.find(|(by, _)| *by == reporter);
        match (old, is_failing) {
            (Some((_, at_ms)), true) => *at_ms = now_ms,
            (None, true) => node.fail_reports.push((reporter, now_ms)),
            (Some(_), false) => node.fail_reports.retain(|(by, _)| *by != reporter),
            (None, false) => {}
        }
        if is_failing {
            self.agree_on_failure(key);
        }
    }

    /// Reports about a node that still count.
    pub(super) fn count_reports(&mut self, key: NodeKey) -> usize {
        let valid_ms = self.options.node_timeout_ms.saturating_mul(REPORT_TIMEOUTS);
        let oldest_ms = self.now_ms.saturating_sub(valid_ms);
        let Some(node) = self.nodes.get_mut(key) else {
            return 0;
        };
        node.fail_reports.retain(|(_, at_ms)| *at_ms >= oldest_ms);
        node.fail_reports.len()
    }

    /// Reports that are not repeated lose their worth, and CLUSTER COUNT-FAILURE-REPORTS shows it.
    pub(super) fn drop_old_reports(&mut self) {
        for key in self.nodes.keys() {
            if self
                .nodes
                .get(key)
                .is_some_and(|node| !node.fail_reports.is_empty())
            {
                self.count_reports(key);
                self.is_view_stale = true;
            }
        }
    }

    /// Marks a suspect as failing, and tells all, if a majority suspects it.
    fn agree_on_failure(&mut self, key: NodeKey) {
        let is_suspect = self
            .nodes
            .get(key)
            .is_some_and(|node| node.is(NodeFlags::PFAIL) && !node.is(NodeFlags::FAIL));
        if !is_suspect {
            return;
        }
        let own = usize::from(self.me().is_primary());
        let votes = self.count_reports(key).saturating_add(own);
        if votes < self.majority() {
            return;
        }
        let Some(id) = self.nodes.get(key).map(|node| node.id) else {
            return;
        };
        tracing::warn!(node = %id, "Node failing, by agreement of a majority");
        self.mark_failing(key);
        self.broadcast(Body::Fail(id));
    }

    /// How many of the primaries that have slots are more than half of them.
    pub(super) fn majority(&self) -> usize {
        let voters = self.nodes.iter().filter(|(_, node)| node.is_voter());
        (voters.count() / 2).saturating_add(1)
    }

    /// A known node says that a majority holds `id` for failing.
    pub(super) fn hear_failure(&mut self, id: NodeId) {
        let settled = NodeFlags::FAIL.with(NodeFlags::MYSELF);
        if let Some(key) = self.nodes.key_of(id)
            && self.nodes.get(key).is_some_and(|node| !node.is(settled))
        {
            tracing::warn!(node = %id, "Node failing, by another's word");
            self.mark_failing(key);
        }
    }

    fn mark_failing(&mut self, key: NodeKey) {
        let now_ms = self.now_ms;
        if let Some(node) = self.nodes.get_mut(key) {
            node.flags.clear(NodeFlags::PFAIL);
            node.flags.set(NodeFlags::FAIL);
            node.fail_time_ms = now_ms;
        }
        self.is_topology_stale = true;
        self.save_soon();
        self.judge_cluster();
    }

    /// A node has answered a ping of ours.
    pub(super) fn clear_failure(&mut self, key: NodeKey) {
        let now_ms = self.now_ms;
        let undo_ms = self.options.node_timeout_ms.saturating_mul(UNDO_TIMEOUTS);
        let Some(node) = self.nodes.get_mut(key) else {
            return;
        };
        let failing_ms = now_ms.saturating_sub(node.fail_time_ms);
        if node.is(NodeFlags::PFAIL) {
            node.flags.clear(NodeFlags::PFAIL);
        } else if node.is(NodeFlags::FAIL) && (!node.is_voter() || failing_ms > undo_ms) {
            // A primary with slots is given time to be replaced first: its replicas may be
            // standing for election.
            tracing::info!(node = %node.id, "Node is back");
            node.flags.clear(NodeFlags::FAIL);
        } else {
            return;
        }
        self.is_topology_stale = true;
        self.save_soon();
    }
}
