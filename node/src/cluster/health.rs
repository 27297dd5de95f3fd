//! Whether the cluster is up, by this node's view.

use super::action::{Action, Options};
use super::routing::Condition;
use super::state::Core;
use slotilla_common::bus::NodeFlags;

/// A primary that comes back with slots waits this long before it serves them: the cluster may
/// have given them away meanwhile, and will say so.
const START_DELAY_MS: i64 = 2000;

/// What was found last, and since when.
#[derive(Debug, Default)]
pub(super) struct Judge {
    is_up: bool,
    /// When we came back with slots.
    returned_ms: Option<i64>,
    /// When we were last among a minority of primaries.
    minority_ms: Option<i64>,
    told: Option<Condition>,
    /// How many primaries have slots.
    pub(super) size: usize,
}

impl Judge {
    pub(super) fn start(&mut self, now_ms: i64) {
        self.returned_ms = Some(now_ms);
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn condition(&self, options: &Options) -> Condition {
        if self.is_up {
            Condition::Up
        } else if options.allow_reads_when_down {
            Condition::ReadsOnly
        } else {
            Condition::Down
        }
    }
}

impl Core {
    /// Finds whether the cluster is up, and tells the workers if that has changed.
    pub(super) fn judge_cluster(&mut self) {
        self.judge_again();
        let condition = self.judge.condition(&self.options);
        if self.judge.told != Some(condition) {
            self.judge.told = Some(condition);
            self.out.push(Action::SetCondition(condition));
            self.is_topology_stale = true;
        }
    }

    fn judge_again(&mut self) {
        let is_primary = self.me().is_primary();
        let is_recent = |time_ms: Option<i64>, delay_ms| {
            time_ms.is_some_and(|time_ms| self.now_ms.saturating_sub(time_ms) < delay_ms)
        };
        if is_primary && !self.judge.is_up && is_recent(self.judge.returned_ms, START_DELAY_MS) {
            return;
        }
        let failing = NodeFlags::FAIL.with(NodeFlags::PFAIL);
        let voters = self.nodes.iter().filter(|(_, node)| node.is_voter());
        let (size, reachable) = voters.fold((0usize, 0usize), |(size, reachable), (_, node)| {
            let reached = usize::from(!node.is(failing));
            (size.saturating_add(1), reachable.saturating_add(reached))
        });
        self.is_view_stale |= size != self.judge.size;
        self.judge.size = size;
        let is_minority = reachable < (size / 2).saturating_add(1);
        // Where nobody has slots, nobody can have taken ours meanwhile.
        if is_minority && size > 0 {
            self.judge.minority_ms = Some(self.now_ms);
        }
        let is_covered = !self.options.require_full_coverage || self.is_covered();
        let is_up = is_covered && !is_minority;
        if is_up == self.judge.is_up {
            return;
        }
        // Back among the majority, but the majority may have moved on: it is given the time to
        // say so.
        let delay_ms = self.options.node_timeout_ms.clamp(500, 5000);
        if is_up && is_primary && is_recent(self.judge.minority_ms, delay_ms) {
            return;
        }
        tracing::info!(is_up, "Cluster state changed");
        self.judge.is_up = is_up;
        self.is_view_stale = true;
    }

    /// Whether every slot has an owner that is not failing.
    fn is_covered(&self) -> bool {
        self.slots.is_complete()
            && !self
                .nodes
                .iter()
                .any(|(_, node)| node.slot_count() > 0 && node.is(NodeFlags::FAIL))
    }
}
