//! What is measured, and between which two moments.

use hdrhistogram::Histogram;
use serde::Serialize;
use slotilla_common::clock::{Monotonic, Tick};

use crate::failure::{Failure, Outcome};
use crate::procfs::{MachineTime, Usage};

/// Longest latency that is told apart, in nanoseconds: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What a run found. Times of the processors are those between the two ends of the window.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadReport {
    /// Commands answered, all of them rightly.
    pub(crate) commands: u64,
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Commands per second.
    pub(crate) commands_per_second: f64,
    /// From sending a batch to its last reply.
    pub(crate) latency: Latency,
    /// What the generator's process used of the processors, in seconds.
    pub(crate) generator_cpu_seconds: f64,
    /// What all processes together used, in seconds, to a hundredth.
    pub(crate) machine_cpu_seconds: f64,
    /// What the hypervisor took away, in seconds.
    pub(crate) stolen_seconds: f64,
    /// The watched processes, in the order in which they were named.
    pub(crate) watched: Vec<Watched>,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    /// Median.
    pub(crate) p50_us: f64,
    /// 99 of 100 were faster.
    pub(crate) p99_us: f64,
    /// 999 of 1000 were faster.
    pub(crate) p999_us: f64,
    /// The slowest.
    pub(crate) max_us: f64,
}

/// What a watched process used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Watched {
    /// Its id.
    pub(crate) pid: u32,
    /// Microseconds of processor time per command.
    pub(crate) cpu_us: f64,
    /// The part of that in its own code.
    pub(crate) user_us: f64,
    /// The part of that in the kernel.
    pub(crate) system_us: f64,
    /// Seconds of processor time.
    pub(crate) cpu_seconds: f64,
    /// Seconds in which one of its threads could run, but another had its processor.
    pub(crate) waited_seconds: f64,
}

/// The window while it is open.
#[derive(Debug)]
pub(super) struct Window {
    start: Tick,
    commands: u64,
    latency: Histogram<u64>,
    machine: MachineTime,
    generator: Usage,
    watched: Vec<(u32, Usage)>,
}

impl Window {
    /// Opens the window now.
    pub(super) fn open(clock: &Monotonic, watch: &[u32]) -> Outcome<Self> {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
            .map_err(|error| Failure::Missing(format!("no histogram: {error}")))?;
        let machine = MachineTime::now()?;
        let generator = Usage::of(std::process::id())?;
        let usages = watch.iter().map(|&pid| Ok((pid, Usage::of(pid)?)));
        let watched = usages.collect::<Outcome<_>>()?;
        Ok(Self {
            latency,
            machine,
            generator,
            watched,
            commands: 0,
            start: clock.now(),
        })
    }

    /// Counts a batch that was answered.
    #[inline]
    pub(super) fn count(&mut self, commands: u64, latency_ns: u64) {
        self.commands += commands;
        let latency_ns = latency_ns.clamp(1, LATENCY_NS_MAX);
        self.latency.saturating_record_n(latency_ns, commands);
    }

    /// Closes the window now.
    pub(super) fn close(&self, clock: &Monotonic) -> Outcome<LoadReport> {
        let seconds = clock.nanos_between(self.start, clock.now()) as f64 / 1e9;
        let commands = self.commands;
        let watched = self.watched.iter().map(|&(pid, before)| {
            let used = Usage::of(pid)?.since(before);
            Ok(Watched::new(pid, used, commands))
        });
        let watched = watched.collect::<Outcome<_>>()?;
        let generator = Usage::of(std::process::id())?.since(self.generator);
        let machine = MachineTime::now()?;
        let micros = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(LoadReport {
            commands,
            seconds,
            commands_per_second: commands as f64 / seconds,
            latency: Latency {
                p50_us: micros(0.5),
                p99_us: micros(0.99),
                p999_us: micros(0.999),
                max_us: self.latency.max() as f64 / 1e3,
            },
            generator_cpu_seconds: generator.cpu_ns as f64 / 1e9,
            machine_cpu_seconds: machine.busy_seconds_since(self.machine),
            stolen_seconds: machine.stolen_seconds_since(self.machine),
            watched,
        })
    }
}

impl Watched {
    fn new(pid: u32, used: Usage, commands: u64) -> Self {
        let cpu_us = used.cpu_ns as f64 / 1e3 / commands.max(1) as f64;
        let user_us = cpu_us * used.user_share();
        Self {
            pid,
            cpu_us,
            user_us,
            system_us: cpu_us - user_us,
            cpu_seconds: used.cpu_ns as f64 / 1e9,
            waited_seconds: used.waited_ns as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_per_command_is_split_as_the_ticks_are() {
        let used = Usage {
            cpu_ns: 8_000_000,
            waited_ns: 5_000_000,
            user_ticks: 1,
            system_ticks: 3,
        };
        let watched = Watched::new(7, used, 1000);
        assert!((watched.cpu_us - 8.0).abs() < 1e-9);
        assert!((watched.user_us - 2.0).abs() < 1e-9);
        assert!((watched.system_us - 6.0).abs() < 1e-9);
        assert!((watched.waited_seconds - 0.005).abs() < 1e-9);
    }

    #[test]
    fn batches_count_by_their_commands() {
        let clock = Monotonic::new();
        let mut window = Window::open(&clock, &[]).unwrap();
        window.count(99, 1_000);
        window.count(1, 1_000_000);
        let report = window.close(&clock).unwrap();
        assert_eq!(report.commands, 100);
        assert!((report.latency.p99_us - 1.0).abs() < 0.01, "{report:?}");
        assert!(report.latency.max_us > 999.0, "{report:?}");
    }
}
