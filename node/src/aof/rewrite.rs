//! New data for the append-only file to go on from, so that it does not grow for ever.
//!
//! ```text
//! before        base 1, increment 1 ◄── writer
//! first         base 1, increment 1, increment 2            the manifest names it before it is used
//! at the gate   data ─► temporary file;  writer ─► increment 2
//! last          base 2, increment 2 ◄── writer              base 1 and increment 1 are deleted
//! ```
//!
//! Whatever fails, and whenever the node is killed, the files that the manifest names have all data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use slotilla_common::clock;

use super::files::{AofError, Directory};
use super::manifest::{Manifest, Part};
use super::sink::Sink;
use super::{AofFigures, Order, begin_following, finish, follow};
use crate::config::Key;
use crate::persistence::{Base, BaseError, Interrupted, SaveError};
use crate::replication::log::{Follower, Reader};
use crate::server::Server;
use crate::server::long::InLine;

/// So many failures in a row are followed by another attempt at once; then it waits, as Redis does.
const FAILURES_MAX: u64 = 3;
/// The longest wait.
const WAIT_MAX_MS: i64 = 60 * 60 * 1000;

/// While another snapshot is under way, it is looked so often whether that is done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why no rewrite was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// One is under way.
    Running,
    /// There is no thread for it.
    Thread,
}

/// What is known of rewrites.
#[derive(Debug)]
pub(super) struct Figures {
    is_running: AtomicBool,
    is_scheduled: AtomicBool,
    begun_ms: AtomicI64,
    begun: AtomicU64,
    /// In a row.
    failures: AtomicU64,
    failed_ms: AtomicI64,
    last_seconds: AtomicI64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            is_running: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
            begun_ms: AtomicI64::new(0),
            begun: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            failed_ms: AtomicI64::new(0),
            last_seconds: AtomicI64::new(-1),
        }
    }
}

impl Figures {
    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    /// One is about to begin; false if one is under way.
    pub(super) fn announce(&self) -> bool {
        let is_first = !self.is_running.swap(true, Ordering::AcqRel);
        if is_first {
            self.begun_ms.store(clock::unix_ms(), Ordering::Relaxed);
        }
        is_first
    }

    /// The one that was announced does not begin.
    pub(super) fn take_back(&self) {
        self.is_running.store(false, Ordering::Release);
    }

    /// As in Redis, who asks for it is not made to wait for what has failed before.
    pub(super) fn schedule(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.is_scheduled.store(true, Ordering::Release);
    }

    /// Figures of INFO, but those that are none of a rewrite's.
    pub(super) fn shown(&self) -> AofFigures {
        let elapsed_ms = clock::unix_ms() - self.begun_ms.load(Ordering::Relaxed);
        AofFigures {
            is_on: false,
            current_bytes: 0,
            base_bytes: 0,
            unwritten_bytes: 0,
            is_failing: false,
            is_flushing: false,
            delayed: 0,
            is_rewrite_scheduled: self.is_scheduled.load(Ordering::Acquire),
            rewrites: self.begun.load(Ordering::Relaxed),
            rewrite_failures: self.failures.load(Ordering::Relaxed),
            last_rewrite_seconds: self.last_seconds.load(Ordering::Relaxed),
            current_rewrite_seconds: self.is_running().then_some(elapsed_ms / 1000),
        }
    }

    /// Whether an attempt without being asked would come too soon after those that failed.
    fn waits(&self) -> bool {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures < FAILURES_MAX {
            return false;
        }
        let doublings = u32::try_from(failures - FAILURES_MAX)
            .unwrap_or(u32::MAX)
            .min(6);
        let wait_ms = (60_000i64 << doublings).min(WAIT_MAX_MS);
        clock::unix_ms() - self.failed_ms.load(Ordering::Relaxed) < wait_ms
    }
}

/// Begins a rewrite on a thread of its own.
///
/// # Errors
/// Why not.
pub fn start_rewrite(server: &Arc<Server>) -> Result<(), Refused> {
    let figures = &server.aof.rewrite;
    let ours = Arc::clone(server);
    let thread = std::thread::Builder::new().name("append-only-new".to_owned());
    // Told from here on, that a second one is refused.
    if !figures.announce() {
        return Err(Refused::Running);
    }
    let spawned = thread.spawn(move || {
        let change = ours.aof.change.lock();
        // What came of it is in the log, and INFO tells it.
        let _rewritten = run(&ours);
        drop(change);
    });
    spawned.map(drop).map_err(|error| {
        figures.take_back();
        tracing::error!("{}", AofError::Thread(error));
        Refused::Thread
    })
}

/// All data is another's from here on, which no file has.
pub fn begin_anew(server: &Arc<Server>) {
    if server.aof.is_on() {
        // One that is under way gives up its data, and takes this.
        let _begun = start_rewrite(server);
    }
}

/// Whether another snapshot is being written, which as in Redis a rewrite waits for.
#[must_use]
pub fn has_to_wait(server: &Server) -> bool {
    server.persistence.background.is_running() || server.replication.as_primary.is_copying()
}

/// Begins a rewrite that was asked for while another snapshot was written, or if the files have grown.
pub fn rewrite_if_due(server: &Arc<Server>) {
    let figures = &server.aof.rewrite;
    if !figures.is_scheduled.load(Ordering::Acquire) {
        rewrite_if_grown(server);
    } else if !has_to_wait(server) {
        // One that runs already may have begun before.
        if start_rewrite(server) != Err(Refused::Running) {
            figures.is_scheduled.store(false, Ordering::Release);
        }
    }
}

/// Begins a rewrite if the files have grown as `auto-aof-rewrite-percentage` and `-min-size` say.
fn rewrite_if_grown(server: &Arc<Server>) {
    let (aof, config) = (&server.aof, &server.config);
    let percentage = config.size(Key::AutoAofRewritePercentage);
    let current = aof.current_bytes();
    if percentage == 0
        || !aof.is_on()
        || aof.rewrite.is_running()
        || current <= config.size(Key::AutoAofRewriteMinSize)
        || aof.rewrite.waits()
    {
        return;
    }
    let base = aof.base_bytes.load(Ordering::Relaxed).max(1);
    let growth = current.saturating_mul(100) / base;
    let growth = growth.saturating_sub(100);
    if growth >= percentage {
        tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
        // One that runs already is as good.
        let _begun = start_rewrite(server);
    }
}

/// Rewrites, and begins to write if `appendonly` says so and nobody does; whether it could. Who calls
/// it is the only one who changes files.
pub(super) fn run(server: &Arc<Server>) -> bool {
    let figures = &server.aof.rewrite;
    let begun_ms = clock::unix_ms();
    figures.begun_ms.store(begun_ms, Ordering::Relaxed);
    figures.begun.fetch_add(1, Ordering::Relaxed);
    figures.is_running.store(true, Ordering::Release);
    tracing::info!("Background append only file rewriting started");
    let mut rewritten = rewrite(server);
    while matches!(&rewritten, Err(AofError::Base(error)) if error.is_abandoned()) {
        // All keys were deleted meanwhile: that is quickly written.
        rewritten = rewrite(server);
    }
    match &rewritten {
        Err(error) if error.is_unwanted() => {
            // Redis's word for it: what ends is a thread.
            tracing::info!("Killing running AOF rewrite child: it is no longer wanted");
        }
        Ok(()) => {
            figures.failures.store(0, Ordering::Relaxed);
            tracing::info!("Background AOF rewrite finished successfully");
        }
        Err(error) => {
            figures.failures.fetch_add(1, Ordering::Relaxed);
            figures.failed_ms.store(clock::unix_ms(), Ordering::Relaxed);
            tracing::error!("Background AOF rewrite failed: {error}");
        }
    }
    let seconds = (clock::unix_ms() - begun_ms) / 1000;
    figures.last_seconds.store(seconds, Ordering::Relaxed);
    figures.is_running.store(false, Ordering::Release);
    rewritten.is_ok()
}

fn rewrite(server: &Arc<Server>) -> Result<(), AofError> {
    let aof = &server.aof;
    let directory = Directory::of(&server.config);
    directory.create()?;
    let mut manifest = aof.manifest.lock().clone();
    let (is_on, is_wanted) = (aof.is_on(), server.config.flag(Key::Appendonly));
    let follows = is_on || is_wanted;
    let increment = manifest.next_increment(&directory.file_name);
    let opened = follows
        .then(|| directory.append_to(&increment))
        .transpose()?;
    if is_on {
        // Before anything is written there.
        manifest.increments.push(increment.clone());
        keep(server, &directory, &manifest)?;
    }
    let part = manifest.next_base(
        &directory.file_name,
        server.config.flag(Key::AofUseRdbPreamble),
    );
    let rotated = if is_on {
        opened.map(|(file, _)| Turn::Rotate(file))
    } else {
        opened.map(Turn::Begin)
    };
    if is_on {
        sync_early(server);
    }
    let (base, begun, replaced) = take(server, &directory, &part, rotated)?;
    let begins = begun.is_some();
    if let Some((reader, file)) = begun {
        // From here on, that what is done while the base is written need not be kept in memory.
        let followed = follow(server, reader, file);
        followed.inspect_err(|_| server.store.log().set_follower(Follower::File, false))?;
    }
    let first = follows.then_some(increment.number);
    let is_off = || is_given_up(server, follows);
    let kept = base.finish(is_off).map_err(AofError::from).and_then(|()| {
        let mut manifest = manifest.clone();
        manifest.replace_base(part, first);
        if !is_on && follows {
            manifest.increments.push(increment);
        }
        keep(server, &directory, &manifest)
    });
    if let Err(error) = kept {
        if begins {
            // Without a base it is no use.
            finish(server);
        }
        return Err(error);
    }
    if follows {
        aof.note_whole(replaced);
    }
    let mut manifest = aof.manifest.lock().clone();
    if !server.config.flag(Key::AofDisableAutoGc) {
        directory.forget_history(&mut manifest)?;
        *aof.manifest.lock() = manifest.clone();
    }
    aof.note_sizes(&directory, &manifest);
    aof.base_bytes.store(aof.current_bytes(), Ordering::Relaxed);
    Ok(())
}

/// Whether the file that this is for is no longer written.
fn is_given_up(server: &Server, follows: bool) -> bool {
    follows && server.aof.gives_up.load(Ordering::Acquire)
}

/// Flushes the file that ends at the instant of the new base: the writer does so then, while replies
/// wait for it, and will not have much left.
fn sync_early(server: &Server) {
    let file = server
        .aof
        .sink
        .lock()
        .as_mut()
        .and_then(Sink::take_unsynced);
    if let Some(file) = file
        && file.sync_data().is_err()
        && let Some(sink) = server.aof.sink.lock().as_mut()
    {
        // It is tried again, and told if that fails.
        sink.note_unsynced();
    }
}

/// Has a manifest on disk, and goes by it.
fn keep(server: &Server, directory: &Directory, manifest: &Manifest) -> Result<(), AofError> {
    directory.save(manifest)?;
    *server.aof.manifest.lock() = manifest.clone();
    Ok(())
}

/// What is done at the instant of the new base.
enum Turn {
    /// The writer goes on in another file.
    Rotate(std::fs::File),
    /// The log is followed from here on.
    Begin((std::fs::File, u64)),
}

type Begun = Option<(Reader, (std::fs::File, u64))>;

/// Marks the instant of the new base, at which the log goes on elsewhere. Waits for another snapshot
/// that is under way.
fn take(
    server: &Arc<Server>,
    directory: &Directory,
    part: &Part,
    mut turn: Option<Turn>,
) -> Result<(Base, Begun, u64), AofError> {
    let path = directory.path_of(&part.name);
    let follows = turn.is_some();
    loop {
        let line = InLine::everything(server);
        let taken = server.gate.exclusive(None, |gate| {
            let base = Base::begin(server, gate, &path)?;
            let replaced = server.aof.replaced();
            Ok::<_, SaveError>(base.map(|base| (base, turn_over(server, turn.take()), replaced)))
        });
        drop(line);
        if let Some(taken) = taken? {
            return Ok(taken);
        }
        if server.shutdown.is_cancelled() {
            return Err(AofError::Stopped);
        }
        if is_given_up(server, follows) {
            return Err(BaseError::Interrupted(Interrupted::Unwanted).into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Has the log go on elsewhere, or be followed. At the gate: it is between two commands.
fn turn_over(server: &Server, turn: Option<Turn>) -> Begun {
    let log = server.store.log();
    let at = log.end();
    match turn? {
        Turn::Rotate(file) => {
            // Each file begins in database 0.
            log.select_anyway();
            let order = Order::Rotate { at, file };
            server.aof.orders.lock().push_back(order);
            log.interrupt();
            None
        }
        Turn::Begin(file) => begin_following(server).map(|reader| (reader, file)),
    }
}
