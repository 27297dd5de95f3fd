//! `slotilla-bench child`: becomes another program, on given processors, that dies with us.
//!
//! What has to happen between fork and exec happens here, in a program of its own: the process
//! keeps its id, so whoever started it can measure and kill it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, setrlimit};

use crate::affinity;
use crate::failure::{Failure, Outcome};

/// `PARENT CORES PROGRAM ARGUMENT...`: the parent's process id, processors between commas.
pub(crate) fn run(words: &[String]) -> Outcome<()> {
    let [parent, cores, program, arguments @ ..] = words else {
        let text = "child needs PARENT CORES PROGRAM ARGUMENT...";
        return Err(Failure::Usage(text.to_owned()));
    };
    let refuse = || Failure::Usage(format!("{cores:?} is no list of processors"));
    let cores: Result<Vec<usize>, _> = cores.split(',').map(str::parse).collect();
    affinity::pin(&cores.map_err(|_| refuse())?)?;
    affinity::go_first();
    die_with(parent)?;
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, all)
        .map_err(|error| Failure::io("allow more open files")(error.into()))?;
    // Only a failure comes back.
    let error = Command::new(program).args(arguments).exec();
    Err(Failure::io(format!("start {program}"))(error))
}

/// Asks the kernel to kill this process when its parent dies, in whatever way.
fn die_with(parent: &str) -> Outcome<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::io("ask to die with the parent")(error.into()))?;
    // It may have died before we asked.
    let now = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if now.as_deref() != Some(parent) {
        return Err(Failure::Interrupted);
    }
    Ok(())
}
