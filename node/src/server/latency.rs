//! The latency monitor: spikes of at least `latency-monitor-threshold` milliseconds, by event.

use parking_lot::Mutex;
use slotilla_common::clock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

/// Spikes kept of one event, as in Redis.
const SPIKES_KEPT: usize = 160;

/// One spike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spike {
    /// Seconds since the epoch. Of several spikes in one second the longest is kept.
    pub time_s: i64,
    /// How long it took.
    pub latency_ms: u64,
}

/// The spikes of one event.
#[derive(Debug, Clone, Default)]
pub struct Spikes {
    /// Oldest first.
    pub recent: VecDeque<Spike>,
    /// The longest since the last reset.
    pub longest_ms: u64,
}

/// The latency monitor.
#[derive(Debug)]
pub struct LatencyMonitor {
    /// 0 is off.
    threshold_ms: AtomicU64,
    /// The same in nanoseconds, but that the highest number is off: every command asks.
    spike_nanos: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Spikes>>,
}

impl LatencyMonitor {
    /// A monitor of spikes from `threshold_ms` on; 0 turns it off.
    #[must_use]
    pub fn new(threshold_ms: u64) -> Self {
        let monitor = Self {
            threshold_ms: AtomicU64::default(),
            spike_nanos: AtomicU64::default(),
            events: Mutex::default(),
        };
        monitor.configure(threshold_ms);
        monitor
    }

    /// Takes a changed threshold.
    pub fn configure(&self, threshold_ms: u64) {
        let nanos = match threshold_ms {
            0 => u64::MAX,
            on => on.saturating_mul(1_000_000),
        };
        self.threshold_ms.store(threshold_ms, Ordering::Relaxed);
        self.spike_nanos.store(nanos, Ordering::Relaxed);
    }

    /// The length in milliseconds from which on a moment is a spike; 0 is off.
    pub fn threshold_ms(&self) -> u64 {
        self.threshold_ms.load(Ordering::Relaxed)
    }

    /// Whether what took `nanos` is a spike.
    #[inline]
    pub fn is_spike(&self, nanos: u64) -> bool {
        let threshold = self.spike_nanos.load(Ordering::Relaxed);
        nanos >= threshold && threshold != u64::MAX
    }

    /// Notes that `event` took `nanos`, if that is a spike.
    #[inline]
    pub fn note(&self, event: &'static str, nanos: u64) {
        if self.is_spike(nanos) {
            self.add(event, clock::unix_ms() / 1000, nanos / 1_000_000);
        }
    }

    #[cold]
    fn add(&self, event: &'static str, time_s: i64, latency_ms: u64) {
        let mut events = self.events.lock();
        let spikes = events.entry(event).or_default();
        spikes.longest_ms = spikes.longest_ms.max(latency_ms);
        match spikes.recent.back_mut() {
            Some(last) if last.time_s == time_s => {
                last.latency_ms = last.latency_ms.max(latency_ms);
            }
            _ => {
                spikes.recent.push_back(Spike { time_s, latency_ms });
                if spikes.recent.len() > SPIKES_KEPT {
                    spikes.recent.pop_front();
                }
            }
        }
    }

    /// All events that have had a spike.
    pub fn events(&self) -> Vec<(&'static str, Spikes)> {
        self.events
            .lock()
            .iter()
            .map(|(event, spikes)| (*event, spikes.clone()))
            .collect()
    }

    /// The spikes of one event.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, Spikes)> {
        let events = self.events.lock();
        events
            .iter()
            .find(|(event, _)| event.as_bytes().eq_ignore_ascii_case(name))
            .map(|(event, spikes)| (*event, spikes.clone()))
    }

    /// Forgets one event, or all; gives how many there were to forget.
    pub fn reset(&self, name: Option<&[u8]>) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        match name {
            None => events.clear(),
            Some(name) => events.retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name)),
        }
        before - events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spikes_are_kept_and_one_a_second() {
        let monitor = LatencyMonitor::new(10);
        monitor.note("command", 9_999_999);
        assert!(monitor.events().is_empty());
        monitor.add("command", 5, 12);
        monitor.add("command", 5, 30);
        monitor.add("command", 6, 11);
        let (_, spikes) = monitor.event(b"COMMAND").unwrap();
        assert_eq!(spikes.longest_ms, 30);
        assert_eq!(
            spikes
                .recent
                .iter()
                .map(|s| s.latency_ms)
                .collect::<Vec<_>>(),
            [30, 11]
        );
        for second in 0..400 {
            monitor.add("command", second, 20);
        }
        assert_eq!(
            monitor.event(b"command").unwrap().1.recent.len(),
            SPIKES_KEPT
        );
        assert_eq!((monitor.reset(Some(b"other")), monitor.reset(None)), (0, 1));
    }

    #[test]
    fn a_threshold_of_zero_is_off() {
        let monitor = LatencyMonitor::new(0);
        monitor.note("command", u64::MAX);
        assert!(monitor.events().is_empty());
    }
}
