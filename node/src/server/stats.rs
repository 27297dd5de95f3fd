//! Counters. Each worker writes its own, with plain stores; whoever reads adds them up.

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use slotilla_common::command::{COMMANDS, CommandId};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::durations::{Durations, NANOS_MAX};

/// A counter that one thread writes and any may read. No locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// The value now.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Back to zero (CONFIG RESETSTAT). If the owner adds at the same instant, either may be lost:
    /// what it adds, or the reset.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What one command has done on one worker.
#[derive(Debug, Default)]
pub struct CommandCounters {
    /// Times it ran.
    pub calls: Counter,
    /// Nanoseconds it took in all.
    pub nanos: Counter,
    /// Times it was refused before it ran.
    pub rejected: Counter,
    /// Times it ran and answered an error.
    pub failed: Counter,
    /// How long it took each time, from when it first ran.
    durations: OnceLock<Box<Durations>>,
}

impl CommandCounters {
    /// Counts how long it took; only the owning thread may.
    pub fn note_duration(&self, nanos: u64) {
        self.durations.get_or_init(Box::default).note(nanos);
    }

    /// As [`note_duration`](Self::note_duration), if there is memory for durations like this one:
    /// if not, says so.
    #[inline]
    #[must_use]
    fn note_duration_if_there(&self, nanos: u64) -> bool {
        let durations = self.durations.get();
        durations.is_some_and(|durations| durations.note_if_there(nanos))
    }

    /// Counts a time it ran; only the owning thread may. Whether that is all: if not, its duration
    /// is not counted yet.
    #[inline]
    #[must_use]
    pub fn note_run(&self, nanos: u64, tracked: bool) -> bool {
        self.calls.add(1);
        self.nanos.add(nanos);
        !tracked || self.note_duration_if_there(nanos)
    }
}

/// The counters of one worker.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStats {
    /// By [`CommandId`].
    pub commands: Box<[CommandCounters]>,
    /// Bytes read from clients.
    pub input_bytes: Counter,
    /// Bytes written to clients.
    pub output_bytes: Counter,
    /// Reads from sockets.
    pub reads: Counter,
    /// Writes to sockets.
    pub writes: Counter,
    /// Commands executed.
    pub executed: Counter,
    /// Error replies sent.
    pub error_replies: Counter,
    /// MOVED and ASK replies sent.
    pub redirects: Counter,
    /// Keys looked up and found.
    pub hits: Counter,
    /// Keys looked up and not found.
    pub misses: Counter,
}

impl WorkerStats {
    fn new() -> Self {
        let commands = COMMANDS.len();
        Self {
            commands: (0..commands).map(|_| CommandCounters::default()).collect(),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            reads: Counter::default(),
            writes: Counter::default(),
            executed: Counter::default(),
            error_replies: Counter::default(),
            redirects: Counter::default(),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// The counters of `command`.
    #[inline]
    pub fn command(&self, command: CommandId) -> Option<&CommandCounters> {
        self.commands.get(command.index())
    }
}

/// All counters of the node.
#[derive(Debug)]
pub struct Stats {
    workers: Box<[WorkerStats]>,
    errors: Mutex<BTreeMap<String, u64>>,
    /// Connections accepted since the start.
    pub connections: AtomicU64,
    /// Connections refused for `maxclients` or protected mode.
    pub rejected_connections: AtomicU64,
    /// Commands per second and bytes per second of late; see [`Rates`].
    pub rates: Mutex<Rates>,
}

impl Stats {
    /// Counters for this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| WorkerStats::new()).collect(),
            errors: Mutex::default(),
            connections: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            rates: Mutex::default(),
        }
    }

    /// The counters of worker `n`.
    pub fn worker(&self, n: usize) -> Option<&WorkerStats> {
        self.workers.get(n)
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.workers
            .iter()
            .map(|worker| counter(worker).read())
            .sum()
    }

    /// The sum of one counter of one command over all workers.
    pub fn sum_command(
        &self,
        id: CommandId,
        counter: impl Fn(&CommandCounters) -> &Counter,
    ) -> u64 {
        self.workers
            .iter()
            .filter_map(|worker| worker.command(id))
            .map(|c| counter(c).read())
            .sum()
    }

    /// How long one command took on all workers, in nanoseconds; `None` if it has never run.
    pub fn latency(&self, id: CommandId) -> Option<Histogram<u64>> {
        let commands = self.workers.iter().filter_map(|worker| worker.command(id));
        let mut durations = commands
            .filter_map(|command| command.durations.get())
            .peekable();
        durations.peek()?;
        let mut merged = Histogram::new_with_bounds(1, NANOS_MAX, 2).ok()?;
        durations.for_each(|durations| durations.add_to(&mut merged));
        Some(merged).filter(|histogram| !histogram.is_empty())
    }

    /// Counts an error reply by its code, its first word.
    pub fn count_error(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or(text);
        let code = &*String::from_utf8_lossy(code);
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// Error replies by code.
    pub fn errors(&self) -> Vec<(String, u64)> {
        self.errors
            .lock()
            .iter()
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for worker in &self.workers {
            for command in &worker.commands {
                for counter in [
                    &command.calls,
                    &command.nanos,
                    &command.rejected,
                    &command.failed,
                ] {
                    counter.reset();
                }
                if let Some(durations) = command.durations.get() {
                    durations.reset();
                }
            }
            for counter in [
                &worker.input_bytes,
                &worker.output_bytes,
                &worker.reads,
                &worker.writes,
                &worker.executed,
                &worker.error_replies,
                &worker.redirects,
                &worker.hits,
                &worker.misses,
            ] {
                counter.reset();
            }
        }
        self.errors.lock().clear();
        self.connections.store(0, Ordering::Relaxed);
        self.rejected_connections.store(0, Ordering::Relaxed);
        *self.rates.lock() = Rates::default();
    }
}

/// How fast three counters grew over the last 16 readings, as Redis's `instantaneous_*`.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands per second.
    pub commands: Rate,
    /// Bytes per second from clients.
    pub input: Rate,
    /// Bytes per second to clients.
    pub output: Rate,
}

/// The growth of one counter, averaged over the last readings.
#[derive(Debug, Default)]
pub struct Rate {
    samples: [u64; Rate::SAMPLES],
    next: usize,
    last: Option<(i64, u64)>,
}

impl Rate {
    const SAMPLES: usize = 16;

    /// Notes that the counter stood at `value` at `now_ms`.
    pub fn sample(&mut self, now_ms: i64, value: u64) {
        if let Some((then_ms, before)) = self.last {
            let elapsed = u64::try_from(now_ms - then_ms).unwrap_or(0);
            let grown = value.saturating_sub(before);
            let per_second = grown.saturating_mul(1000).checked_div(elapsed).unwrap_or(0);
            if let Some(place) = self.samples.get_mut(self.next) {
                *place = per_second;
            }
            self.next = (self.next + 1) % Self::SAMPLES;
        }
        self.last = Some((now_ms, value));
    }

    /// The average per second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / Self::SAMPLES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code() {
        let stats = Stats::new(1);
        for text in [
            "ERR syntax error",
            "WRONGTYPE x",
            "ERR no such key",
            "SINGLE",
        ] {
            stats.count_error(text.as_bytes());
        }
        let counts: Vec<_> = stats.errors();
        assert_eq!(
            counts,
            [
                ("ERR".into(), 2),
                ("SINGLE".into(), 1),
                ("WRONGTYPE".into(), 1)
            ]
        );
        stats.reset();
        assert!(stats.errors().is_empty());
    }

    #[test]
    fn a_rate_is_the_average_growth() {
        let mut rate = Rate::default();
        for step in 0..=16 {
            rate.sample(step * 100, u64::try_from(step).unwrap() * 50);
        }
        assert_eq!(rate.per_second(), 500);
    }

    #[test]
    fn latencies_of_all_workers_are_merged() {
        let stats = Stats::new(2);
        let id = COMMANDS[0].id;
        assert!(stats.latency(id).is_none());
        for (worker, nanos) in [(0, 1_000), (0, u64::MAX), (1, 0)] {
            let worker = stats.worker(worker).unwrap();
            worker.command(id).unwrap().note_duration(nanos);
        }
        assert_eq!(stats.latency(id).unwrap().len(), 3);
        stats.reset();
        assert!(stats.latency(id).is_none());
    }
}
