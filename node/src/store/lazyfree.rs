//! Freeing big values away from the commands that drop them.
//!
//! One thread, started by the first value that is worth it, behind a queue of [`QUEUE_MAX`]
//! values. When the queue is full, whoever drops a value frees it: memory is never owed without
//! bound.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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

/// The way to the freeing thread.
#[derive(Default)]
pub(crate) struct LazyFree {
    queue: OnceLock<Option<SyncSender<Job>>>,
    counters: Arc<Pending>,
}

#[derive(Default)]
struct Pending {
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

    fn send(&self, job: Job) {
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.counters)));
        self.counters.begin(&job);
        let unsent = match queue {
            // Full, or the thread could not be started: the job comes back.
            Some(queue) => queue.try_send(job).err().map(|error| match error {
                std::sync::mpsc::TrySendError::Full(job)
                | std::sync::mpsc::TrySendError::Disconnected(job) => job,
            }),
            None => Some(job),
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
    fn begin(&self, job: &Job) {
        self.values.fetch_add(job.values, Ordering::Relaxed);
        self.bytes.fetch_add(job.bytes, Ordering::Relaxed);
    }

    fn finish(&self, job: Job) {
        let (values, bytes) = (job.values, job.bytes);
        drop(job.load);
        self.values.fetch_sub(values, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.freed
            .fetch_add(values.unsigned_abs(), Ordering::Relaxed);
    }
}

fn start(counters: Arc<Pending>) -> Option<SyncSender<Job>> {
    let (sender, receiver): (_, Receiver<Job>) = sync_channel(QUEUE_MAX);
    let run = move || receiver.into_iter().for_each(|job| counters.finish(job));
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
        let (sender, _receiver) = sync_channel(1);
        let lazy = LazyFree::default();
        assert!(lazy.queue.set(Some(sender)).is_ok());
        for _ in 0..3 {
            lazy.value(Garbage::Bytes(Vec::with_capacity(BYTES_MIN)));
        }
        assert_eq!((lazy.pending(), lazy.freed()), (1, 2));
    }
}
