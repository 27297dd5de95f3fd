//! Freeing big values away from the commands that drop them.
//!
//! One thread, started by the first value that is worth it, behind a queue of [`QUEUE_MAX`]
//! values. When the queue is full, whoever drops a value frees it: memory is never owed without
//! bound.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use super::entry::{Entry, Garbage};
use super::table::Table;

/// Values waiting to be freed.
const QUEUE_MAX: usize = 32_768;
/// A string is worth the thread from this size on: the allocator returns such blocks to the
/// operating system one by one.
const BYTES_MIN: usize = 1 << 20;
/// Anything else is, from this many allocations on.
const EFFORT_MIN: usize = 64;

thread_local! {
    /// Whether this is the freeing thread.
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Lets other threads run, on the freeing thread: it has no locks then, and what it does can wait,
/// but for whoever shares its processor it would be as busy as a client's thread. Called for each
/// thousand elements or so that are freed.
pub(super) fn give_way() {
    if GIVES_WAY.get() {
        std::thread::yield_now();
    }
}

/// The way to the freeing thread.
#[derive(Default)]
pub(crate) struct LazyFree {
    /// Bounded by [`Pending::begin`]: a channel with a bound of its own would take the memory for
    /// all of it at once.
    queue: OnceLock<Option<Sender<Job>>>,
    counters: Arc<Pending>,
}

#[derive(Default)]
struct Pending {
    jobs: AtomicUsize,
    values: AtomicI64,
    bytes: AtomicI64,
    freed: AtomicU64,
}

struct Job {
    load: Load,
    values: i64,
    bytes: i64,
}

enum Load {
    Value(#[expect(dead_code, reason = "held to be dropped")] Garbage),
    Table(#[expect(dead_code, reason = "held to be dropped")] Table),
    Leavings(#[expect(dead_code, reason = "held to be dropped")] Box<dyn Send>),
}

impl LazyFree {
    /// Frees an entry: its value elsewhere if it is big.
    #[inline]
    pub(crate) fn entry(&self, mut entry: Entry) {
        if entry.has_value_apart()
            && let Some(garbage) = entry.take_garbage()
        {
            self.value(garbage);
        }
    }

    /// Frees a value: elsewhere if it is big.
    pub(crate) fn value(&self, garbage: Garbage) {
        let big = match &garbage {
            Garbage::Bytes(bytes) => bytes.capacity() >= BYTES_MIN,
            Garbage::Object(object) => object.free_effort() >= EFFORT_MIN,
        };
        if big {
            let bytes = garbage.memory() as i64;
            self.send(Job {
                load: Load::Value(garbage),
                values: 1,
                bytes,
            });
        }
    }

    /// Frees a table elsewhere, and its entries, which take so many bytes.
    pub(crate) fn table(&self, table: Table, entries: u64) {
        let job = Job {
            values: table.len() as i64,
            bytes: entries as i64 + table.memory() as i64,
            load: Load::Table(table),
        };
        self.send(job);
    }

    /// Frees what is no value: it is not counted as one.
    pub(crate) fn leavings(&self, leavings: Box<dyn Send>) {
        self.send(Job {
            load: Load::Leavings(leavings),
            values: 0,
            bytes: 0,
        });
    }

    fn send(&self, job: Job) {
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.counters)));
        let room = self.counters.begin(&job);
        let unsent = match queue {
            Some(queue) if room => queue.send(job).err().map(|error| error.0),
            // Full, or the thread could not be started.
            _ => Some(job),
        };
        if let Some(job) = unsent {
            self.counters.finish(job);
        }
    }

    /// Values waiting to be freed.
    pub(crate) fn pending(&self) -> u64 {
        u64::try_from(self.counters.values.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Their bytes: still allocated, but no longer anybody's.
    pub(crate) fn pending_bytes(&self) -> usize {
        usize::try_from(self.counters.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Values freed so far.
    pub(crate) fn freed(&self) -> u64 {
        self.counters.freed.load(Ordering::Relaxed)
    }

    /// CONFIG RESETSTAT.
    pub(crate) fn reset_freed(&self) {
        self.counters.freed.store(0, Ordering::Relaxed);
    }
}

impl Pending {
    /// Counts a job; whether it may wait.
    fn begin(&self, job: &Job) -> bool {
        self.values.fetch_add(job.values, Ordering::Relaxed);
        self.bytes.fetch_add(job.bytes, Ordering::Relaxed);
        self.jobs.fetch_add(1, Ordering::Relaxed) < QUEUE_MAX
    }

    fn finish(&self, job: Job) {
        let (values, bytes) = (job.values, job.bytes);
        drop(job.load);
        self.jobs.fetch_sub(1, Ordering::Relaxed);
        self.values.fetch_sub(values, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.freed
            .fetch_add(values.unsigned_abs(), Ordering::Relaxed);
    }
}

fn start(counters: Arc<Pending>) -> Option<Sender<Job>> {
    let (sender, receiver): (_, Receiver<Job>) = channel();
    let run = move || {
        GIVES_WAY.set(true);
        for job in receiver {
            counters.finish(job);
            give_way();
        }
    };
    match std::thread::Builder::new()
        .name("lazyfree".to_owned())
        .spawn(run)
    {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, "no thread to free big values: they are freed in place");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_values_are_counted_until_they_are_freed() {
        let lazy = LazyFree::default();
        for _ in 0..3 {
            lazy.value(Garbage::Bytes(Vec::with_capacity(BYTES_MIN)));
        }
        lazy.value(Garbage::Bytes(Vec::with_capacity(10)));
        while lazy.pending() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(lazy.freed(), 3);
        assert_eq!(lazy.pending_bytes(), 0);
    }

    #[test]
    fn a_full_queue_frees_in_place() {
        let (sender, _receiver) = channel();
        let lazy = LazyFree::default();
        assert!(lazy.queue.set(Some(sender)).is_ok());
        lazy.counters.jobs.store(QUEUE_MAX - 1, Ordering::Relaxed);
        for _ in 0..3 {
            lazy.value(Garbage::Bytes(Vec::with_capacity(BYTES_MIN)));
        }
        assert_eq!((lazy.pending(), lazy.freed()), (1, 2));
    }
}
