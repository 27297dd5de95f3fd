//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.

use parking_lot::Mutex;
use slotilla_common::clock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::client::Client;

/// Arguments kept of one command, the last place telling how many were left out.
const ARGS_KEPT: usize = 32;
/// Bytes kept of one argument, what was left out told behind them.
const ARG_BYTES_KEPT: usize = 128;

/// One slow command.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Ascending, never reused, not even by a reset.
    pub id: u64,
    /// Seconds since the epoch.
    pub time_s: i64,
    /// How long it took.
    pub duration_us: u64,
    /// Its arguments, shortened.
    pub args: Vec<Box<[u8]>>,
    /// Who sent it, `ip:port`.
    pub client: Box<str>,
    /// That client's name; empty if it has none.
    pub client_name: Box<[u8]>,
}

impl Entry {
    /// What is kept of a command that took `nanos`.
    #[must_use]
    pub fn new<'a>(
        nanos: u64,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        client: &Client,
    ) -> Self {
        let count = args.len();
        let shown = if count > ARGS_KEPT {
            ARGS_KEPT - 1
        } else {
            count
        };
        let mut kept: Vec<Box<[u8]>> = args.take(shown).map(shorten).collect();
        if count > shown {
            let left = count - shown;
            kept.push(format!("... ({left} more arguments)").into_bytes().into());
        }
        Self {
            id: 0,
            time_s: clock::unix_ms() / 1000,
            duration_us: nanos / 1000,
            args: kept,
            client: client.addr.clone(),
            client_name: client.name(),
        }
    }
}

impl Entry {
    /// The same of a command that took `nanos` in the end.
    #[must_use]
    pub fn lasting(self, nanos: u64) -> Self {
        Self {
            time_s: clock::unix_ms() / 1000,
            duration_us: nanos / 1000,
            ..self
        }
    }
}

fn shorten(arg: &[u8]) -> Box<[u8]> {
    match arg.split_at_checked(ARG_BYTES_KEPT) {
        Some((shown, hidden)) if !hidden.is_empty() => {
            let mut kept = shown.to_vec();
            kept.extend_from_slice(format!("... ({} more bytes)", hidden.len()).as_bytes());
            kept.into()
        }
        _ => arg.into(),
    }
}

/// The slow log. Bounded by `slowlog-max-len`; the oldest entry makes room.
#[derive(Debug)]
pub struct SlowLog {
    threshold_nanos: AtomicI64,
    most: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<Entry>,
}

impl SlowLog {
    /// A log of at most `most` commands that took `threshold_us` or longer; none if that is
    /// negative.
    #[must_use]
    pub fn new(threshold_us: i64, most: usize) -> Self {
        let log = Self {
            threshold_nanos: AtomicI64::new(0),
            most: AtomicUsize::new(0),
            entries: Mutex::default(),
        };
        log.configure(threshold_us, most);
        log
    }

    /// Takes changed limits.
    pub fn configure(&self, threshold_us: i64, most: usize) {
        self.threshold_nanos
            .store(threshold_us.saturating_mul(1000), Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }

    /// Whether any command belongs in the log.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.threshold_nanos.load(Ordering::Relaxed) >= 0
    }

    /// Whether a command that took `nanos` belongs in the log.
    #[inline]
    pub fn is_slow(&self, nanos: u64) -> bool {
        let threshold = self.threshold_nanos.load(Ordering::Relaxed);
        // Below zero it is off, and then more than any time.
        nanos >= threshold.cast_unsigned() && threshold >= 0
    }

    /// Adds an entry, giving it its id.
    pub fn push(&self, mut entry: Entry) {
        let most = self.most.load(Ordering::Relaxed);
        let mut entries = self.entries.lock();
        entry.id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(entry);
        entries.newest_first.truncate(most);
    }

    /// The newest `most` entries, newest first.
    pub fn newest(&self, most: usize) -> Vec<Entry> {
        self.entries
            .lock()
            .newest_first
            .iter()
            .take(most)
            .cloned()
            .collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.lock().newest_first.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many commands have been logged since the start, which is the next entry's id.
    pub fn next_id(&self) -> u64 {
        self.entries.lock().next_id
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries.lock().newest_first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::client::{Introduction, Registry};

    fn entry(args: &[&[u8]]) -> Entry {
        let introduction = Introduction {
            addr: "a:1".into(),
            laddr: "b:2".into(),
            fd: 3,
            unix_socket: false,
        };
        let client = Registry::default().admit(introduction);
        Entry::new(5_000, args.iter().copied(), &client)
    }

    #[test]
    fn the_oldest_entries_make_room_and_ids_go_on() {
        let log = SlowLog::new(0, 2);
        for name in [b"a", b"b", b"c"] {
            log.push(entry(&[name]));
        }
        let ids: Vec<_> = log.newest(10).iter().map(|e| e.id).collect();
        assert_eq!(ids, [2, 1]);
        log.reset();
        log.push(entry(&[b"d"]));
        assert_eq!(log.newest(1)[0].id, 3);
    }

    #[test]
    fn a_negative_threshold_logs_nothing() {
        assert!(!SlowLog::new(-1, 5).is_slow(u64::MAX));
        assert!(SlowLog::new(0, 5).is_slow(0));
        assert!(!SlowLog::new(10, 5).is_slow(9_999));
    }

    #[test]
    fn long_commands_are_shortened() {
        let long = [b'x'; 200];
        let short = entry(&[b"set", &long]);
        assert_eq!(short.args[1].len(), 128 + "... (72 more bytes)".len());
        let many: Vec<&[u8]> = (0..40).map(|_| &b"k"[..]).collect();
        let kept = entry(&many).args;
        assert_eq!(
            (kept.len(), &*kept[31]),
            (32, &b"... (9 more arguments)"[..])
        );
        assert_eq!(entry(&many[..32]).args.len(), 32);
    }
}
