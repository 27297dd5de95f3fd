//! What has happened, counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::ledger::Sums;

/// Everything that is printed at the end.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) makes: BTreeMap<String, u64>,
    /// Per kind of fault.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// What the nodes cannot do yet, or could not do just then.
    pub(crate) not_there: BTreeMap<String, u64>,
    /// How replicas came back, and what peers did that a node must not.
    pub(crate) syncs: BTreeMap<String, u64>,
    /// Commands of the noise: answered, refused; connections that broke.
    pub(crate) noise: [u64; 3],
    pub(crate) ledger: Sums,
    /// What was looked at, and how often it was as it must be.
    pub(crate) checks: BTreeMap<&'static str, u64>,
    pub(crate) keys_compared: u64,
    /// The longest that replicas took to be in step, in milliseconds.
    pub(crate) slowest_ms: u128,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn not_there(&mut self, what: impl Into<String>) {
        *self.not_there.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn sync(&mut self, what: impl Into<String>) {
        *self.syncs.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn check(&mut self, what: &'static str) {
        *self.checks.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lines<K: fmt::Display>(
            f: &mut fmt::Formatter<'_>,
            title: &str,
            of: &BTreeMap<K, u64>,
        ) -> fmt::Result {
            writeln!(f, "{title}")?;
            of.iter()
                .try_for_each(|(name, count)| writeln!(f, "  {count:>7}  {name}"))
        }
        lines(f, "rounds", &self.makes)?;
        lines(f, "faults", &self.faults)?;
        lines(f, "not tried, as it is not there", &self.not_there)?;
        lines(f, "how replicas came back", &self.syncs)?;
        let [answered, refused, broken] = self.noise;
        writeln!(
            f,
            "commands of all kinds: {answered} answered, of these {refused} refused; {broken} broken \
             connections"
        )?;
        let sums = self.ledger;
        writeln!(
            f,
            "numbers written: {} sent, {} acknowledged, {} confirmed by a replica, {} unknown (of \
             these {} found), {} refused, {} lost where that is allowed",
            sums.sent,
            sums.acked,
            sums.confirmed,
            sums.unknown,
            sums.found,
            sums.refused,
            sums.lost
        )?;
        lines(f, "found as it must be", &self.checks)?;
        writeln!(
            f,
            "{} keys compared; in step again after {} ms at most",
            self.keys_compared, self.slowest_ms
        )?;
        let faults: u64 = self.faults.values().sum();
        writeln!(
            f,
            "{} rounds, {faults} faults, {} failures",
            self.rounds,
            self.failures.len()
        )
    }
}
