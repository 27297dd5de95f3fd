//! What the user asked to compare.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{replication, types};
use crate::args::{Args, Flag};
use crate::failure::{Failure, Outcome};
use crate::workload::Shape;

pub(crate) const FLAGS: &[Flag] = &[
    Flag {
        name: "suite",
        value: "NAME,...",
        help: "node, memory, types, proxy, long, replication or all (all)",
    },
    Flag {
        name: "part",
        value: "NAME,...",
        help: "of types: default random large memory; of replication: sync save cost apply acked",
    },
    Flag {
        name: "subjects",
        value: "NAME,...",
        help: "only these (all): floor floor-2 redis valkey node node-2 nutcracker envoy proxy",
    },
    Flag {
        name: "primaries",
        value: "NAME",
        help: "what stands behind the proxies: redis, valkey or node (redis)",
    },
    Flag {
        name: "keys",
        value: "N",
        help: "keys that are copied, saved and loaded in the suite of replication (5000000)",
    },
    Flag {
        name: "rounds",
        value: "N",
        help: "rounds of which the median is taken (3)",
    },
    Flag {
        name: "seconds",
        value: "S",
        help: "length of one measurement (2)",
    },
    Flag {
        name: "counter",
        value: "NAME",
        help: "what counts system calls: perf or strace (perf, if it works)",
    },
    Flag {
        name: "json",
        value: "FILE",
        help: "writes every measurement there",
    },
    Flag {
        name: "quick",
        value: "",
        help: "short runs with few keys: shows that it works, measures nothing well",
    },
    Flag {
        name: "force",
        value: "",
        help: "measure although somebody else uses the processors",
    },
    Flag {
        name: "check",
        value: "",
        help: "only say whether these options are right",
    },
];

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Suite {
    /// Servers by themselves.
    Node,
    /// Memory of keys and of connections.
    Memory,
    /// The types: redis-benchmark's list, costly commands, bytes per element.
    Types,
    /// Proxies in front of three primaries.
    Proxy,
    /// Clients beside one whose commands take long.
    Long,
    /// Full syncs, snapshots, and what replicas cost their primary.
    Replication,
}

impl Suite {
    /// The parts that can be measured by themselves.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Types => types::PARTS,
            Self::Replication => replication::PARTS,
            Self::Node | Self::Memory | Self::Proxy | Self::Long => &[],
        }
    }
}

/// Everything that can be compared, in the order of the tables.
pub(super) const SUBJECTS: &[&str] = &[
    "floor",
    "floor-2",
    "redis",
    "valkey",
    "node",
    "node-2",
    "nutcracker",
    "envoy",
    "proxy",
];

/// Servers that can stand behind the proxies.
const PRIMARIES: &[&str] = &["redis", "valkey", "node"];

/// What the user asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Options {
    pub(super) suites: Vec<Suite>,
    /// Parts of the suites of types and replication.
    pub(super) parts: Vec<String>,
    pub(super) subjects: Vec<String>,
    pub(super) primaries: String,
    pub(super) rounds: usize,
    /// Length of one measurement.
    pub(super) measured: Duration,
    /// Before each of them.
    pub(super) warm_up: Duration,
    /// Keys in the suites of nodes and proxies.
    pub(super) keys: u64,
    /// Requests of one line of redis-benchmark's list; of a costly one fewer.
    pub(super) requests: u64,
    /// Keys in the suite of memory.
    pub(super) memory_keys: u64,
    /// Keys in the suite of replication.
    pub(super) replication_keys: u64,
    /// Connections in the suite of memory.
    pub(super) idle_connections: usize,
    /// What counts system calls; empty for the better one that works.
    pub(super) counter: String,
    pub(super) quick: bool,
    pub(super) force: bool,
    #[serde(skip)]
    pub(super) json: Option<PathBuf>,
}

impl Options {
    pub(super) fn from_args(args: &Args) -> Outcome<Self> {
        let quick = args.has("quick");
        let pick = |usual, short| if quick { short } else { usual };
        let seconds: f64 = args.value("seconds", if quick { 0.3 } else { 2.0 })?;
        if !(0.05..=600.0).contains(&seconds) {
            let text = "--seconds: between 0.05 and 600, please".to_owned();
            return Err(Failure::Usage(text));
        }
        let rounds = args.value("rounds", 3)?;
        if rounds == 0 {
            return Err(Failure::Usage("--rounds: one at least".to_owned()));
        }
        let replication_keys = args.value("keys", pick(5_000_000, 200_000))?;
        let shape = Shape {
            keys: replication_keys,
            ..Shape::default()
        };
        shape.validate()?;
        let suites = suites(args)?;
        Ok(Self {
            parts: parts(args, &suites)?,
            suites,
            subjects: known("subjects", args.list("subjects"), SUBJECTS)?,
            primaries: primaries(args)?,
            rounds,
            measured: Duration::from_secs_f64(seconds),
            warm_up: Duration::from_millis(pick(500, 100)),
            keys: pick(1_000_000, 100_000),
            requests: pick(70_000, 20_000),
            memory_keys: pick(5_000_000, 500_000),
            replication_keys,
            idle_connections: if quick { 1_000 } else { 10_000 },
            counter: counter(args)?,
            quick,
            force: args.has("force"),
            json: args.text("json").map(PathBuf::from),
        })
    }

    /// Whether a part of a suite is measured.
    pub(super) fn wants_part(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }

    /// Whether a subject takes part.
    pub(super) fn wants(&self, subject: &str) -> bool {
        self.subjects.iter().any(|wanted| wanted == subject)
    }
}

fn suites(args: &Args) -> Outcome<Vec<Suite>> {
    let all = [
        Suite::Node,
        Suite::Memory,
        Suite::Types,
        Suite::Proxy,
        Suite::Long,
        Suite::Replication,
    ];
    let names = args.list("suite");
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let mut suites = Vec::new();
    for name in names {
        match name.as_str() {
            "node" => suites.push(Suite::Node),
            "memory" => suites.push(Suite::Memory),
            "types" => suites.push(Suite::Types),
            "proxy" => suites.push(Suite::Proxy),
            "long" => suites.push(Suite::Long),
            "replication" => suites.push(Suite::Replication),
            "all" => suites.extend(all),
            other => {
                let text = format!(
                    "--suite: {other:?} is none of node, memory, types, proxy, long, replication, \
                     all"
                );
                return Err(Failure::Usage(text));
            }
        }
    }
    suites.dedup();
    Ok(suites)
}

/// The names given, or all that are known.
fn known(flag: &str, given: Vec<String>, known: &[&str]) -> Outcome<Vec<String>> {
    if let Some(wrong) = given.iter().find(|name| !known.contains(&name.as_str())) {
        let text = format!("--{flag}: {wrong:?} is none of {}", known.join(", "));
        return Err(Failure::Usage(text));
    }
    if given.is_empty() {
        return Ok(known.iter().map(|&name| name.to_owned()).collect());
    }
    Ok(given)
}

/// The parts given, which these suites have; or all that they have.
fn parts(args: &Args, suites: &[Suite]) -> Outcome<Vec<String>> {
    let parts: Vec<&str> = suites
        .iter()
        .flat_map(|suite| suite.parts())
        .copied()
        .collect();
    if parts.is_empty() && !args.list("part").is_empty() {
        let text = "--part: none of these suites has parts".to_owned();
        return Err(Failure::Usage(text));
    }
    known("part", args.list("part"), &parts)
}

fn counter(args: &Args) -> Outcome<String> {
    let name = args.text("counter").unwrap_or_default();
    known("counter", args.list("counter"), &["perf", "strace"])?;
    Ok(name.to_owned())
}

fn primaries(args: &Args) -> Outcome<String> {
    let name = args.text("primaries").unwrap_or("redis");
    known("primaries", vec![name.to_owned()], PRIMARIES)?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Outcome<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::from_args(&Args::parse(&words, FLAGS)?)
    }

    #[test]
    fn everything_is_compared_unless_told_otherwise() {
        let all = options("").unwrap();
        assert_eq!(
            all.suites,
            [
                Suite::Node,
                Suite::Memory,
                Suite::Types,
                Suite::Proxy,
                Suite::Long,
                Suite::Replication
            ]
        );
        assert_eq!(all.parts, [types::PARTS, replication::PARTS].concat());
        assert!(SUBJECTS.iter().all(|subject| all.wants(subject)));
        assert_eq!((all.rounds, all.keys), (3, 1_000_000));
        let few = options("--suite proxy --subjects envoy,nutcracker --quick").unwrap();
        assert_eq!(few.suites, [Suite::Proxy]);
        assert!(few.wants("envoy") && !few.wants("proxy"));
        assert!(few.keys < all.keys && few.measured < all.measured);
    }

    #[test]
    fn what_does_not_exist_is_refused_by_name() {
        let said = |line: &str| options(line).unwrap_err().to_string();
        assert!(said("--suite nodes").contains("\"nodes\" is none of node"));
        assert!(said("--subjects keydb").contains("\"keydb\" is none of floor, floor-2"));
        assert!(said("--primaries floor").contains("none of redis, valkey, node"));
        assert!(said("--part small").contains("\"small\" is none of default, random"));
        assert!(said("--suite types --part sync").contains("\"sync\" is none of default"));
        assert!(said("--suite node --part sync").contains("none of these suites has parts"));
        assert!(said("--keys 0").contains("between one and a hundred million keys"));
        assert!(said("--counter ltrace").contains("none of perf, strace"));
        assert!(said("--seconds 0").contains("--seconds"));
        assert!(said("--rounds 0").contains("--rounds"));
    }
}
