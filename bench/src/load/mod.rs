//! The load generator: a closed loop on one thread.
//!
//! Each connection sends a batch of commands, waits for all its replies, checks them, and sends
//! the next. Everything that can be is prepared before, because the generator has one core, as
//! the subject has, and should cost less than the subject does.

mod connection;
mod engine;
mod window;

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

pub(crate) use engine::drive;
#[cfg(test)]
pub(crate) use window::Watched;
pub(crate) use window::{Latency, LoadReport};

use crate::args::{Args, Flag};
use crate::failure::{Failure, Outcome};
use crate::workload::{Answers, Kind, Mix, Order, Shape, Work};
use crate::{affinity, say};

/// Everything about one run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Who is asked.
    pub(crate) target: SocketAddr,
    /// Connections.
    pub(crate) connections: usize,
    /// Commands that a connection sends at once.
    pub(crate) pipeline: usize,
    /// Which commands, and what must come back.
    pub(crate) work: Work,
    /// Which keys.
    pub(crate) order: Order,
    /// When it ends.
    pub(crate) extent: Extent,
    /// Processes whose use of the processors is read at both ends of what is measured.
    pub(crate) watch: Vec<u32>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// Some time that is not measured, then some that is.
    Time {
        /// Not measured.
        warm_up: Duration,
        /// Measured.
        measured: Duration,
    },
    /// At least this many commands, all of them measured.
    Commands(u64),
}

pub(crate) const TARGET: Flag = Flag {
    name: "target",
    value: "HOST:PORT",
    help: "who is asked (127.0.0.1:6379)",
};
pub(crate) const KEYS: Flag = Flag {
    name: "keys",
    value: "N",
    help: "how many keys there are (1000000)",
};
pub(crate) const KEY_SIZE: Flag = Flag {
    name: "key-size",
    value: "BYTES",
    help: "length of a key (16)",
};
pub(crate) const VALUE_SIZE: Flag = Flag {
    name: "value-size",
    value: "BYTES",
    help: "length of a value (64)",
};
const CONNECTIONS: Flag = Flag {
    name: "connections",
    value: "N",
    help: "connections (50)",
};
const PIPELINE: Flag = Flag {
    name: "pipeline",
    value: "N",
    help: "commands that a connection sends at once (load 1, fill 64)",
};
const CORE: Flag = Flag {
    name: "core",
    value: "N",
    help: "the processor that the generator runs on (any)",
};

pub(crate) const FLAGS: &[Flag] = &[
    TARGET,
    CONNECTIONS,
    PIPELINE,
    Flag {
        name: "mix",
        value: "KIND[:SHARE],...",
        help: "get, set, mget, mset and their shares (get)",
    },
    KEYS,
    KEY_SIZE,
    VALUE_SIZE,
    Flag {
        name: "keys-per-command",
        value: "N",
        help: "keys of one MGET or MSET (10)",
    },
    Flag {
        name: "answers",
        value: "values|ok",
        help: "what is right: values, or +OK to everything (values)",
    },
    Flag {
        name: "requests",
        value: "N",
        help: "end after so many commands",
    },
    Flag {
        name: "seconds",
        value: "S",
        help: "or after so many seconds (5)",
    },
    Flag {
        name: "warmup",
        value: "S",
        help: "seconds before that which are not measured (0.5)",
    },
    Flag {
        name: "seed",
        value: "N",
        help: "which random keys (1)",
    },
    Flag {
        name: "watch",
        value: "PID,...",
        help: "processes whose processor time is reported",
    },
    CORE,
];

pub(crate) const FILL_FLAGS: &[Flag] = &[
    TARGET,
    CONNECTIONS,
    PIPELINE,
    KEYS,
    KEY_SIZE,
    VALUE_SIZE,
    CORE,
];

/// The `load` subcommand.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let answers = match args.text("answers").unwrap_or("values") {
        "values" => Answers::Values,
        "ok" => Answers::AlwaysOk,
        other => {
            let text = format!("--answers: {other:?} is neither values nor ok");
            return Err(Failure::Usage(text));
        }
    };
    let extent = match args.text("requests") {
        Some(_) => Extent::Commands(args.value("requests", 0)?),
        None => Extent::Time {
            warm_up: seconds(args, "warmup", 0.5)?,
            measured: seconds(args, "seconds", 5.0)?,
        },
    };
    let watch = args.list("watch").into_iter().map(|pid| {
        let refuse = || Failure::Usage(format!("--watch: {pid:?} is no process id"));
        pid.parse().map_err(|_| refuse())
    });
    let plan = Plan {
        target: target(args)?,
        connections: args.value("connections", 50)?,
        pipeline: args.value("pipeline", 1)?,
        work: Work::Keys {
            mix: Mix::parse(args.text("mix").unwrap_or("get"))?,
            shape: shape(args)?,
            answers,
        },
        order: Order::Random(fastrand::Rng::with_seed(args.value("seed", 1)?)),
        extent,
        watch: watch.collect::<Outcome<_>>()?,
    };
    pin(args)?;
    print(&drive(plan)?)
}

/// The `fill` subcommand.
pub(crate) fn run_fill(args: &Args) -> Outcome<()> {
    let plan = Plan {
        connections: args.value("connections", 50)?,
        pipeline: args.value("pipeline", 64)?,
        ..sequential(target(args)?, Kind::Set, shape(args)?)
    };
    pin(args)?;
    print(&drive(plan)?)
}

/// A run over every key once: SET fills, GET checks.
pub(crate) fn sequential(target: SocketAddr, kind: Kind, shape: Shape) -> Plan {
    Plan {
        target,
        connections: 50,
        pipeline: 64,
        extent: Extent::Commands(shape.keys),
        work: Work::Keys {
            mix: Mix::only(kind),
            shape,
            answers: Answers::Values,
        },
        order: Order::Sequential(0),
        watch: Vec::new(),
    }
}

/// The address in `--target`.
pub(crate) fn target(args: &Args) -> Outcome<SocketAddr> {
    let text = args.text("target").unwrap_or("127.0.0.1:6379");
    let resolved = text.to_socket_addrs().ok();
    resolved
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| Failure::Usage(format!("--target: {text:?} is no HOST:PORT")))
}

/// The form of keys and values that the flags give.
pub(crate) fn shape(args: &Args) -> Outcome<Shape> {
    let usual = Shape::default();
    let shape = Shape {
        keys: args.value("keys", usual.keys)?,
        key_size: args.value("key-size", usual.key_size)?,
        value_size: args.value("value-size", usual.value_size)?,
        keys_per_command: args.value("keys-per-command", usual.keys_per_command)?,
        ..usual
    };
    shape.validate()?;
    Ok(shape)
}

fn seconds(args: &Args, name: &str, default: f64) -> Outcome<Duration> {
    let refuse = || Failure::Usage(format!("--{name} needs a number of seconds"));
    let seconds = args.value(name, default)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| refuse())
}

fn pin(args: &Args) -> Outcome<()> {
    match args.text("core") {
        Some(_) => affinity::pin(&[args.value("core", 0)?]),
        None => Ok(()),
    }
}

fn print(report: &LoadReport) -> Outcome<()> {
    let json = serde_json::to_string(report);
    let json = json.map_err(|error| Failure::io("write JSON")(error.into()))?;
    say(&json)
}
