//! How quiet the machine is: who else uses it, and whether its processors keep their pace.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use slotilla_common::clock::Monotonic;

use super::layout::Layout;
use crate::failure::{Failure, Outcome};
use crate::procfs::MachineTime;
use crate::{affinity, note, stats};

/// How long others are watched before anything is started.
const WATCHED: Duration = Duration::from_secs(1);

/// The part of one processor that others may use.
const OTHERS_MAX: f64 = 0.1;

/// Refuses to measure while others use the processors, or warns if told to go on.
pub(super) fn await_quiet(force: bool) -> Outcome<f64> {
    let before = MachineTime::now()?;
    thread::sleep(WATCHED);
    let used = MachineTime::now()?.busy_seconds_since(before) / WATCHED.as_secs_f64();
    let text = format!("others use {:.0} % of a processor", used * 100.0);
    if used > OTHERS_MAX && !force {
        let text = format!("{text}: no figure would mean anything; wait, or go on with --force");
        return Err(Failure::Busy(text));
    }
    if used > OTHERS_MAX {
        note(&format!("WARNING: {text}; the figures mean little"));
    }
    Ok(used)
}

/// How long the same work took on a processor, several times.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Calibration {
    pub(super) core: usize,
    /// Median of the times, in milliseconds.
    pub(super) median_ms: f64,
    /// The slowest beside the fastest, as a part of the median.
    pub(super) spread: f64,
}

/// Times a fixed piece of work on the subject's and on the generator's processor.
pub(super) fn calibrate(layout: &Layout) -> Outcome<Vec<Calibration>> {
    let own = layout.generator;
    let mut cores = layout.subject.clone();
    cores.push(own);
    let calibrations = cores.into_iter().map(|core| {
        affinity::pin(&[core])?;
        let times: Vec<f64> = (0..20).map(|_| fixed_work_ms()).collect();
        Ok(Calibration {
            core,
            median_ms: stats::median(&times),
            spread: stats::spread(&times),
        })
    });
    let calibrations = calibrations.collect();
    affinity::pin(&[own])?;
    calibrations
}

/// A chain of shifts, each waiting for the one before: no memory, no system call.
fn fixed_work_ms() -> f64 {
    let clock = Monotonic::new();
    let start = clock.now();
    let mut state = black_box(1_u64);
    for _ in 0..1_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
    clock.nanos_between(start, clock.now()) as f64 / 1e6
}
