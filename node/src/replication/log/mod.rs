//! The replication log: all changes of the data as one sequence of commands, as Redis's replication
//! stream has them, numbered by its bytes.
//!
//! ```text
//! a thread, its slots locked            who reads
//!   Effects ─► append ─► its Stage ──┐
//!   Effects ─► append ─► its Stage ──┼─► merge ─► Backlog: blocks ─► Reader, Reader, …
//!   Effects ─► append ─► its Stage ──┘  (stage.rs)  (backlog.rs)     (reader.rs)
//! ```
//!
//! A command has its effects written down while it runs ([`Effects`]), and appends them before it
//! lets its slots go: it reserves their place by one atomic exchange, and copies them into its
//! thread's stage. So the order in the log is the order in every slot; and what one command,
//! transaction or served client did lies together. Whoever reads merges the stages first; if nobody
//! does, whoever has filled a stage.
//!
//! Between two appends the stream is outside of any transaction. Which database is selected there is
//! told together with the place (`tail.rs`), so a SELECT stands only where the database changes, and
//! where somebody begins to read who does not know it.
//!
//! While nobody needs the log, a command that writes reads one flag of it, and that is all.

mod backlog;
mod effects;
mod reader;
mod stage;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use backlog::{Backlog, Chunk};
use effects::Sealed;
pub use effects::{ANY_DB, Effects};
pub use reader::{Reader, Watch};
use stage::{Batch, Merge};
pub use tail::OFFSET_MAX;
use tail::{DB_MAX, Tail};

/// Stages; threads beyond share them. As many as `Log::filled` has bits.
const STAGES: usize = u64::BITS as usize;
/// A stage that nobody has merged is merged by its own thread from this size on.
const STAGE_BYTES_MAX: usize = 256 * 1024;

/// Who needs the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Follower {
    /// The append-only file.
    File = 1,
    /// Replicas, or the backlog for those to come.
    Replicas = 2,
}

/// The log of one node.
pub struct Log {
    /// Who needs it, a bit for each; commands write their effects down for any.
    followers: AtomicU8,
    /// Where the next append begins, and in which database.
    tail: Tail,
    /// The oldest byte that is kept, as of the last look.
    start: AtomicU64,
    /// What makes an offset here one of the append-only file, which goes from one log to another.
    file_shift: AtomicU64,
    stages: Box<[Stage]>,
    /// Which stages have something, perhaps: a bit for each.
    filled: AtomicU64,
    merged: Mutex<Merged>,
    /// Somebody waits for more.
    is_awaited: AtomicBool,
    /// Guards nothing but the wait.
    waiting: Mutex<()>,
    grown: Condvar,
    /// What belongs together is under way, and goes here until it is whole.
    gathers: AtomicBool,
    gathered: Mutex<Effects>,
}

/// What one thread has appended. On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Stage {
    batch: Mutex<Batch>,
    /// Where its last append ended.
    last: AtomicU64,
    is_full: AtomicBool,
}

struct Merged {
    merge: Merge,
    backlog: Backlog,
}

impl Log {
    /// An empty log, which nobody needs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            followers: AtomicU8::new(0),
            tail: Tail::new(0),
            start: AtomicU64::new(0),
            file_shift: AtomicU64::new(0),
            stages: (0..STAGES).map(|_| Stage::default()).collect(),
            filled: AtomicU64::new(0),
            merged: Mutex::new(Merged {
                merge: Merge::new(STAGES, 0),
                backlog: Backlog::new(0),
            }),
            is_awaited: AtomicBool::new(false),
            waiting: Mutex::new(()),
            grown: Condvar::new(),
            gathers: AtomicBool::new(false),
            gathered: Mutex::new(Effects::default()),
        }
    }

    /// Whether commands are to write their effects down: what every write asks.
    #[must_use]
    #[inline]
    pub fn takes_effects(&self) -> bool {
        self.followers.load(Ordering::Relaxed) != 0
    }

    /// From now on somebody needs the log, or no longer does. To be called at the gate, or before
    /// there are clients: a command writes its effects down from its start to its end, or not at all.
    pub fn set_follower(&self, who: Follower, needs_it: bool) {
        let bit = who as u8;
        if needs_it {
            self.followers.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.followers.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether PUBLISH goes in as well: it does while there are replicas, as in Redis, but the
    /// append-only file has no use for it.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        self.has_follower(Follower::Replicas)
    }

    /// How many bytes there are: the replication offset. At the gate, all of them are of commands
    /// that have ended.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.tail.offset()
    }

    /// Whether this one needs the log.
    #[must_use]
    pub fn has_follower(&self, who: Follower) -> bool {
        self.followers.load(Ordering::Relaxed) & who as u8 != 0
    }

    /// The offset of the append-only file that an offset of this log is.
    #[must_use]
    pub fn file_offset(&self, offset: u64) -> u64 {
        offset.wrapping_add(self.file_shift.load(Ordering::Relaxed))
    }

    /// Where the append-only file ends once it has all of this.
    #[must_use]
    pub fn file_end(&self) -> u64 {
        self.file_offset(self.end())
    }

    /// The append-only file goes on here after the end of `other`. To be called at the gate.
    pub fn take_file_from(&self, other: &Self) {
        let shift = other.file_end().wrapping_sub(self.end());
        self.file_shift.store(shift, Ordering::Relaxed);
        self.tail.select_anyway();
    }

    /// The database that is selected at the end. To be called while nobody appends.
    #[must_use]
    pub fn selected_db(&self) -> u16 {
        self.tail.db()
    }

    /// Who reads from the end on does not know which database is selected: the next command that is in
    /// one selects it. To be called at the gate.
    pub fn select_anyway(&self) {
        self.tail.select_anyway();
    }

    /// What was fed so far has selected this database, and commands append from here on. To be called
    /// at the gate.
    pub fn note_selected(&self, db: u16) {
        if db > DB_MAX {
            let mut select = Vec::new();
            effects::select(&mut select, &mut None, 0);
            self.feed(&select);
        }
        self.tail.note_selected(if db > DB_MAX { 0 } else { db });
    }

    /// Where the last append of a thread ended.
    #[must_use]
    pub fn last_of(&self, thread: usize) -> u64 {
        self.stage(thread).last.load(Ordering::Relaxed)
    }

    /// Appends whole commands. The slots that they change are locked; so the order of appends is
    /// that of changes. What is appended while something gathers belongs to that.
    pub fn append(&self, thread: usize, effects: &mut Effects) {
        if self.is_gathering() {
            self.gathered.lock().absorb(effects);
            return;
        }
        let sealed = effects.seal();
        if !sealed.bytes.is_empty() {
            self.append_sealed(thread, &sealed);
        }
        effects.clear();
    }

    /// As [`append`](Self::append), of a single command; of [`ANY_DB`] if it is in no database.
    pub fn append_command(&self, thread: usize, db: u16, words: &[&[u8]]) {
        let mut effects = Effects::take_spare();
        effects.push(db, words.iter().copied());
        self.append(thread, &mut effects);
        effects.give_back();
    }

    /// As [`append`](Self::append), of a single command as it is encoded, with as little as can be on
    /// the way; whether it was done. If not, it goes by [`append`](Self::append).
    #[inline]
    #[must_use]
    pub fn append_encoded(&self, thread: usize, db: u16, command: &[u8]) -> bool {
        if db > DB_MAX || self.is_gathering() {
            return false;
        }
        self.append_in(thread, (db, db), command);
        true
    }

    fn append_sealed(&self, thread: usize, sealed: &Sealed<'_>) {
        match sealed.dbs {
            Some(dbs) => self.append_in(thread, dbs, sealed.bytes),
            None => self.append_bytes(thread, sealed.bytes),
        }
    }

    /// Appends bytes that begin and end in these databases.
    #[inline]
    fn append_in(&self, thread: usize, (first, last): (u16, u16), bytes: &[u8]) {
        self.put(thread, |batch| {
            let (at, select) = self.tail.reserve(bytes.len(), first, last);
            let select = select.unwrap_or_default();
            if !select.is_empty() {
                batch.push(at, &select);
            }
            let at = at.wrapping_add(select.len() as u64);
            batch.push(at, bytes);
            at.wrapping_add(bytes.len() as u64)
        });
    }

    fn append_bytes(&self, thread: usize, bytes: &[u8]) {
        self.put(thread, |batch| {
            let at = self.tail.reserve_bytes(bytes.len());
            batch.push(at, bytes);
            at.wrapping_add(bytes.len() as u64)
        });
    }

    /// Has bytes put into a thread's stage, and notes where they end.
    fn put(&self, thread: usize, push: impl FnOnce(&mut Batch) -> u64) {
        let stage = self.stage(thread);
        let mut batch = stage.batch.lock();
        // Their place is told under the stage's lock: in a stage, places ascend.
        let end = push(&mut batch);
        let is_full = batch.len() > STAGE_BYTES_MAX;
        // Under the lock: of threads that share a stage none sees less than its own.
        stage.last.store(end, Ordering::Relaxed);
        // Also under the lock: who takes the bit away locks the stage after that, so what was put in
        // while the bit was still there is found.
        let bit = 1 << (thread % STAGES);
        if self.filled.load(Ordering::Relaxed) & bit == 0 {
            self.filled.fetch_or(bit, Ordering::AcqRel);
        }
        drop(batch);
        if is_full {
            stage.is_full.store(true, Ordering::Relaxed);
        }
    }

    /// Wakes who waits for more. To be called by whoever has appended, with no slot locked: once for
    /// any number of appends.
    #[inline]
    pub fn nudge(&self, thread: usize) {
        if !self.takes_effects() {
            return;
        }
        if self.is_awaited.load(Ordering::SeqCst) {
            self.wake();
        }
        let stage = self.stage(thread);
        if stage.is_full.load(Ordering::Relaxed) {
            self.collect();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.is_awaited.swap(false, Ordering::SeqCst) {
            drop(self.waiting.lock());
            self.grown.notify_all();
        }
    }

    /// Has what is appended until the end of `work` be one whole, as a transaction is. To be called
    /// at the gate, while nobody else appends.
    pub fn gather<R>(&self, thread: usize, work: impl FnOnce() -> R) -> R {
        if !self.takes_effects() || self.gathers.swap(true, Ordering::Relaxed) {
            return work();
        }
        let gathering = Gathering { log: self, thread };
        let result = work();
        drop(gathering);
        result
    }

    /// Whether what is appended now waits for the end of a gathering.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        self.gathers.load(Ordering::Relaxed)
    }

    /// What comes next in a gathering is a whole of its own.
    pub fn begin_part(&self) {
        if self.is_gathering() {
            self.gathered.lock().begin_part();
        }
    }

    /// Another history goes on here: at `offset`, with nothing before. To be called while nobody
    /// appends; who has read so far reads no more.
    pub fn adopt(&self, offset: u64) {
        let mut merged = self.merged.lock();
        for stage in &self.stages {
            stage.batch.lock().clear();
        }
        self.tail.restart(offset);
        merged.merge = Merge::new(STAGES, offset);
        merged.backlog.restart(offset);
        self.note_start(&merged);
    }

    /// Appends what another server's log has next. One thread does, and commands do not.
    pub fn feed(&self, bytes: &[u8]) {
        self.append_bytes(0, bytes);
        if self.is_awaited.load(Ordering::SeqCst) {
            self.wake();
        }
        if self.stage(0).is_full.load(Ordering::Relaxed) {
            self.collect();
        }
    }

    /// Keeps at least so many of the last bytes for readers to come.
    pub fn keep(&self, bytes: u64) {
        let mut merged = self.merged.lock();
        merged.backlog.keep(bytes);
        self.note_start(&merged);
    }

    /// About how many bytes are kept, for readers that have not read them or are to come.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let kept = self
            .end()
            .saturating_sub(self.start.load(Ordering::Relaxed));
        usize::try_from(kept).unwrap_or(usize::MAX)
    }

    fn note_start(&self, merged: &Merged) {
        let start = merged.backlog.range().start;
        self.start.store(start, Ordering::Relaxed);
    }

    /// The oldest byte that can be read, and the one after the newest.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        self.collect();
        self.merged.lock().backlog.range()
    }

    /// Reads from `offset` on; `None` if that is not there. What it has not read is kept for it.
    #[must_use]
    pub fn reader(self: &Arc<Self>, offset: u64) -> Option<Reader> {
        self.collect();
        let number = self.merged.lock().backlog.open(offset)?;
        Some(Reader::new(Arc::clone(self), number))
    }

    /// Puts together what the stages have.
    fn collect(&self) {
        let mut merged = self.merged.lock();
        let Merged { merge, backlog } = &mut *merged;
        // What a thread reserved while others were asked is in its stage at the next round.
        let mut filled = self.filled.swap(0, Ordering::AcqRel);
        while filled != 0 {
            let number = filled.trailing_zeros() as usize;
            filled &= filled - 1;
            let stage = self.stage(number);
            let mut batch = stage.batch.lock();
            if !batch.is_empty() {
                merge.take(number, &mut batch);
                stage.is_full.store(false, Ordering::Relaxed);
            }
        }
        merge.run(|bytes| backlog.push(bytes));
        backlog.trim();
        self.note_start(&merged);
    }

    /// Waits until there is more than up to `offset`, at most so long; whether there is.
    fn wait_beyond(&self, offset: u64, timeout: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        self.is_awaited.store(true, Ordering::SeqCst);
        // Either this sees the append, or whoever appended sees this: both are in one order.
        if self.tail.offset() > offset {
            return true;
        }
        let _timed_out = self.grown.wait_for(&mut waiting, timeout);
        drop(waiting);
        self.end() > offset
    }

    /// Ends the wait of whoever waits, though there is nothing.
    pub fn interrupt(&self) {
        self.wake();
    }

    fn read(&self, number: usize) -> Option<Chunk> {
        self.merged.lock().backlog.read(number)
    }

    fn close(&self, number: usize) {
        let mut merged = self.merged.lock();
        merged.backlog.close(number);
        self.note_start(&merged);
    }

    fn position(&self, number: usize) -> Option<u64> {
        self.merged.lock().backlog.position(number)
    }

    fn advance(&self, number: usize, bytes: u64) {
        let mut merged = self.merged.lock();
        merged.backlog.advance(number, bytes);
        merged.backlog.trim();
        self.note_start(&merged);
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the index is below STAGES, of which there are as many"
    )]
    fn stage(&self, thread: usize) -> &Stage {
        &self.stages[thread % STAGES]
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

/// Until it is dropped, what is appended is one whole.
struct Gathering<'l> {
    log: &'l Log,
    thread: usize,
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.log.gathers.store(false, Ordering::Relaxed);
        let mut gathered = std::mem::take(&mut *self.log.gathered.lock());
        self.log.append(self.thread, &mut gathered);
    }
}

#[cfg(test)]
mod tests;
