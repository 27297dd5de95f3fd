//! Which processors a thread runs on, and before whom.

use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::{Failure, Outcome};

/// The processors that this thread may use, lowest first.
pub(crate) fn allowed() -> Outcome<Vec<usize>> {
    let set = sched_getaffinity(None)
        .map_err(|error| Failure::io("read this thread's processors")(error.into()))?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Keeps this thread on `cores`. Children that it starts inherit that.
pub(crate) fn pin(cores: &[usize]) -> Outcome<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        if core >= CpuSet::MAX_CPU {
            return Err(Failure::Usage(format!("there is no processor {core}")));
        }
        set.set(core);
    }
    sched_setaffinity(None, &set)
        .map_err(|error| Failure::io(format!("run on processor {cores:?}"))(error.into()))
}

/// The highest of the usual priorities.
const FIRST: i32 = -20;

/// Lets this thread, and the children that it starts, run before others, so that a stray
/// process disturbs less. Only root may do so; for others everything stays as it is.
pub(crate) fn go_first() {
    let _ = setpriority_process(None, FIRST);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_use_that_processor_alone() {
        let cores = allowed().unwrap();
        let last = *cores.last().unwrap();
        pin(&[last]).unwrap();
        assert_eq!(allowed().unwrap(), [last]);
        pin(&cores).unwrap();
    }
}
