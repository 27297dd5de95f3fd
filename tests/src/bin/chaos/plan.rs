//! What happens in a round, in which order: a function of its seed alone.

use std::fmt;

use fastrand::Rng;
use slotilla_tests::Kind;

use crate::options::Options;

/// Who is who in a round, and how they are set up.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) primary: Kind,
    pub(crate) replicas: Vec<Kind>,
    /// `no`, or how the append-only file is flushed.
    pub(crate) append_only: &'static str,
    /// How many replicas a write is acknowledged by.
    pub(crate) ack: u32,
    pub(crate) backlog_bytes: u64,
    pub(crate) threads: u32,
    pub(crate) diskless_load: &'static str,
    pub(crate) diskless_sync: &'static str,
}

/// The makes of the rounds, in turn, unless they are asked for.
const MAKES: [(Kind, Kind); 8] = [
    (Kind::Node, Kind::Node),
    (Kind::Node, Kind::Redis),
    (Kind::Redis, Kind::Node),
    (Kind::Node, Kind::Node),
    (Kind::Node, Kind::Valkey),
    (Kind::Node, Kind::Node),
    (Kind::Valkey, Kind::Node),
    (Kind::Node, Kind::Node),
];

impl Setting {
    /// Of the round with this number.
    pub(crate) fn random(random: &mut Rng, round: u64, options: &Options) -> Self {
        let turn = usize::try_from(round).unwrap_or(0) % MAKES.len();
        let (primary, replica) = MAKES[turn];
        let count = options.replicas.unwrap_or_else(|| random.usize(1..=2));
        // With two replicas of another make, one is ours: two of ours can be a chain.
        let kinds = (0..count).map(|number| match number {
            0 => replica,
            _ => Kind::Node,
        });
        let kinds = kinds.map(|kind| options.replica.unwrap_or(kind));
        let append_only = ["no", "no", "everysec", "always"][random.usize(..4)];
        let ack = u32::from(random.bool());
        Self {
            primary: options.primary.unwrap_or(primary),
            replicas: kinds.collect(),
            append_only: options.append_only.unwrap_or(append_only),
            ack: options.ack.unwrap_or(ack),
            backlog_bytes: [64 << 10, 1 << 20, 16 << 20][random.usize(..3)],
            threads: random.u32(1..=3),
            diskless_load: ["disabled", "on-empty-db", "swapdb"][random.usize(..3)],
            diskless_sync: ["yes", "yes", "no"][random.usize(..3)],
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            primary, replicas, ..
        } = self;
        write!(
            f,
            "{primary:?} -> {replicas:?}, appendonly {}, ack {}, backlog {} KiB, io-threads {}, \
             diskless load {}, sync {}",
            self.append_only,
            self.ack,
            self.backlog_bytes >> 10,
            self.threads,
            self.diskless_load,
            self.diskless_sync
        )
    }
}

/// Whom a fault meets: the primary, or the replica with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Primary,
    Replica(usize),
}

/// Which bytes do not come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Both,
    Up,
    Down,
}

/// How a replica becomes the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Succession {
    /// The old primary hears of it.
    InOrder,
    /// The old primary was killed.
    AfterDeath,
    /// The old primary does not run just then, and comes back.
    WhileFrozen,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut {
        replica: usize,
        resets: bool,
    },
    Flap {
        replica: usize,
        gaps_ms: Vec<u64>,
    },
    Hold {
        replica: usize,
        lane: Lane,
        ms: u64,
    },
    Slow {
        replica: usize,
        bytes: usize,
        ms: u64,
    },
    CutCopy {
        replica: usize,
        after: Vec<u64>,
    },
    CutHandshake {
        replica: usize,
        after: Vec<u64>,
    },
    CloseClients {
        of: Who,
        kind: &'static str,
    },
    Freeze {
        who: Who,
        ms: u64,
    },
    Kill {
        who: Who,
        away_ms: u64,
    },
    KillAll {
        away_ms: u64,
    },
    Terminate {
        who: Who,
        away_ms: u64,
    },
    Promote {
        how: Succession,
    },
    Failover,
    Rejoin {
        replica: usize,
        away_ms: u64,
    },
    Chain {
        first: usize,
        second: usize,
    },
    Unchain,
    Backlog {
        bytes: u64,
    },
    Save {
        who: Who,
    },
    Rewrite {
        who: Who,
    },
    FlushAll {
        is_async: bool,
    },
}

/// A fault, how long clients write before it, and whether all is compared after it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) run_ms: u64,
    pub(crate) fault: Fault,
    pub(crate) compares: bool,
}

impl Step {
    pub(crate) fn random(random: &mut Rng) -> Self {
        Self {
            run_ms: random.u64(50..900),
            fault: Fault::random(random),
            compares: random.u8(..4) == 0,
        }
    }
}

/// `repl-timeout` of all servers, in seconds.
pub(crate) const TIMEOUT_SECONDS: u64 = 3;

/// As long as nobody notices, or longer than anybody waits.
fn silence_ms(random: &mut Rng) -> u64 {
    if random.bool() {
        random.u64(100..1200)
    } else {
        1000 * TIMEOUT_SECONDS + random.u64(1500..2500)
    }
}

fn who(random: &mut Rng) -> Who {
    if random.bool() {
        Who::Primary
    } else {
        Who::Replica(random.usize(..8))
    }
}

impl Fault {
    fn random(random: &mut Rng) -> Self {
        let replica = random.usize(..8);
        let away_ms = [random.u64(1..100), random.u64(100..1500)][random.usize(..2)];
        match random.u8(..100) {
            0..41 => Self::of_link(random, replica),
            41..49 => Self::Freeze {
                who: who(random),
                ms: silence_ms(random),
            },
            49..57 => Self::Kill {
                who: Who::Replica(replica),
                away_ms,
            },
            57..63 => Self::Kill {
                who: Who::Primary,
                away_ms,
            },
            63..65 => Self::KillAll { away_ms },
            65..71 => Self::Terminate {
                who: who(random),
                away_ms,
            },
            71..79 => Self::Promote {
                how: [
                    Succession::InOrder,
                    Succession::AfterDeath,
                    Succession::WhileFrozen,
                ][random.usize(..3)],
            },
            79..81 => Self::Failover,
            81..83 => Self::Rejoin { replica, away_ms },
            83..86 => Self::Chain {
                first: replica,
                second: random.usize(..8),
            },
            86..88 => Self::Unchain,
            88..91 => Self::Backlog {
                bytes: [16 << 10, 64 << 10, 1 << 20, 64 << 20][random.usize(..4)],
            },
            91..94 => Self::Save { who: who(random) },
            94..97 => Self::Rewrite { who: who(random) },
            _ => Self::FlushAll {
                is_async: random.bool(),
            },
        }
    }

    fn of_link(random: &mut Rng, replica: usize) -> Self {
        match random.u8(..41) {
            0..10 => Self::Cut {
                replica,
                resets: random.bool(),
            },
            10..16 => Self::Flap {
                replica,
                gaps_ms: (0..random.usize(2..10))
                    .map(|_| random.u64(1..150))
                    .collect(),
            },
            16..23 => Self::Hold {
                replica,
                lane: [Lane::Both, Lane::Up, Lane::Down][random.usize(..3)],
                ms: silence_ms(random),
            },
            23..26 => Self::Slow {
                replica,
                bytes: random.usize(100..5000),
                ms: random.u64(500..2500),
            },
            26..33 => Self::CutCopy {
                replica,
                after: (0..random.usize(1..4))
                    .map(|_| 1 << random.u64(8..20))
                    .collect(),
            },
            33..36 => Self::CutHandshake {
                replica,
                after: (0..random.usize(1..4)).map(|_| random.u64(1..90)).collect(),
            },
            36..39 => Self::CloseClients {
                of: Who::Primary,
                kind: "replica",
            },
            _ => Self::CloseClients {
                of: Who::Replica(replica),
                kind: "master",
            },
        }
    }

    /// What tallies call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Cut { resets: true, .. } => "link reset",
            Self::Cut { .. } => "link closed",
            Self::Flap { .. } => "link that flaps",
            Self::Hold { ms, .. } if is_long(*ms) => "link silent beyond repl-timeout",
            Self::Hold { .. } => "link silent for a moment",
            Self::Slow { .. } => "slow link",
            Self::CutCopy { .. } => "link cut in a full copy",
            Self::CutHandshake { .. } => "link cut in the handshake",
            Self::CloseClients { .. } => "CLIENT KILL",
            Self::Freeze { who, ms } => match (who, is_long(*ms)) {
                (Who::Primary, false) => "primary stopped for a moment",
                (Who::Primary, true) => "primary stopped beyond repl-timeout",
                (Who::Replica(_), false) => "replica stopped for a moment",
                (Who::Replica(_), true) => "replica stopped beyond repl-timeout",
            },
            Self::Kill { who, .. } => match who {
                Who::Primary => "primary killed -9",
                Who::Replica(_) => "replica killed -9",
            },
            Self::KillAll { .. } => "all killed -9",
            Self::Terminate { who, .. } => match who {
                Who::Primary => "primary ended and started",
                Who::Replica(_) => "replica ended and started",
            },
            Self::Promote { how } => match how {
                Succession::InOrder => "replica promoted",
                Succession::AfterDeath => "replica promoted after kill -9",
                Succession::WhileFrozen => "replica promoted, primary stopped",
            },
            Self::Failover => "FAILOVER",
            Self::Rejoin { .. } => "REPLICAOF NO ONE and back",
            Self::Chain { .. } => "replica of a replica",
            Self::Unchain => "chain taken apart",
            Self::Backlog { .. } => "repl-backlog-size changed",
            Self::Save { .. } => "BGSAVE",
            Self::Rewrite { .. } => "BGREWRITEAOF",
            Self::FlushAll { .. } => "FLUSHALL",
        }
    }
}

fn is_long(ms: u64) -> bool {
    ms > 1000 * TIMEOUT_SECONDS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_has_everything() {
        let plan = |seed| {
            let mut random = Rng::with_seed(seed);
            let steps = (0..2000).map(|_| Step::random(&mut random));
            steps.collect::<Vec<_>>()
        };
        let (one, same) = (plan(7), plan(7));
        assert_eq!(format!("{one:?}"), format!("{same:?}"));
        let names: BTreeSet<&str> = one.iter().map(|step| step.fault.name()).collect();
        assert_eq!(names.len(), 29, "{names:?}");
    }
}
