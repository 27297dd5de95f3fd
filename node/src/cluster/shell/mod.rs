//! The core's shell: one thread with its own runtime, which owns the bus's sockets, the clock
//! and nodes.conf, and carries out what the core wants.
//!
//! ```text
//! sockets ── link tasks ──┐
//! 100 ms ─────────────────┤ driver: Core ── Outbox ──┬─ link queues
//! CLUSTER commands ───────┤                          ├─ serving states, View, condition
//! writer thread: saved ───┘                          └─ writer thread: nodes.conf
//! ```
//!
//! All channels are bounded. The driver waits for none of them but its own inbox, so nothing can
//! stop its clock: a peer that does not read has its link closed, a disk that does not write
//! holds back what must not be told before. For a slot's lock, or for the gate, it waits for as
//! long as commands take.

mod driver;
mod file;
mod links;
mod setup;
mod writer;

use super::action::{Command, CommandReply, Options};
use super::link::LinkId;
use super::publish::Post;
use super::routing::{Condition, Serving};
use super::view::View;
use arc_swap::{ArcSwap, Guard};
use driver::{Driver, Event, Inboxes, Request};
use file::NodesFile;
use parking_lot::Mutex;
use slotilla_common::slot::Slot;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use file::NodesFileError;

/// How many CLUSTER commands may wait for the cluster thread.
const COMMANDS_MAX: usize = 256;

/// How many events may wait for the driver; link tasks that have more stop reading.
const EVENTS_MAX: usize = 1024;

/// How many messages of channels may wait for the cluster thread, and how many bytes of them.
const POSTS_MAX: usize = 16_384;
const POSTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the cluster thread needs of the node.
pub trait Host: Send + Sync + 'static {
    /// Writes what this node is to a slot into the slot, under its lock.
    fn set_serving(&self, slot: Slot, serving: Serving);
    /// Hands a channel's message, of another node, to this node's subscribers.
    fn deliver(&self, post: &Post);
    /// Whether the cluster takes commands has changed.
    fn set_condition(&self, condition: Condition);
    /// Deletes all keys of slots that another node has taken over.
    fn drop_keys(&self, slots: &[Slot]);
    /// Serves no slot of its own any more, from an instant on at which no slot has a key; false,
    /// and nothing is changed, if some slot has one.
    fn withdraw_if_empty(&self) -> bool;
}

/// Directives that may change at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the core obeys.
    pub options: Options,
    /// `cluster-link-sendbuf-limit`; 0: no limit in bytes.
    pub link_sendbuf_limit: usize,
}

/// What the cluster thread starts with.
pub struct Setup {
    /// nodes.conf.
    pub conf_path: PathBuf,
    /// The bus port, bound to each address.
    pub listeners: Vec<TcpListener>,
    /// Gives the directives as they are now; asked every tick.
    pub settings: Box<dyn Fn() -> Settings + Send>,
    /// Cancelled when the node is to stop.
    pub shutdown: CancellationToken,
}

/// Why the cluster thread could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// nodes.conf cannot be used.
    #[error(transparent)]
    File(#[from] NodesFileError),
    /// The system refused a thread, a runtime or randomness.
    #[error("cannot start the cluster thread: {0}")]
    System(#[from] io::Error),
}

/// The way to the cluster thread, for all others.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Request>,
    posts: mpsc::Sender<Post>,
}

/// What the cluster thread publishes.
#[derive(Debug, Default)]
pub(super) struct Shared {
    view: ArcSwap<View>,
    queues: Mutex<BTreeMap<LinkId, Arc<AtomicUsize>>>,
    /// Bytes of the posts that wait for the cluster thread.
    posted_bytes: AtomicUsize,
    /// Posts that were dropped, here or on their way to a link.
    posts_dropped: AtomicU64,
}

impl Handle {
    /// The cluster as it was a moment ago.
    #[must_use]
    pub fn view(&self) -> Guard<Arc<View>> {
        self.shared.view.load()
    }

    /// Has the cluster thread carry out a command, and waits until what it changes is on disk.
    /// Not for a thread that runs a runtime.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn command(&self, command: Command) -> CommandReply {
        let (reply, answer) = oneshot::channel();
        let stopping = || Err("ERR the node is shutting down".to_owned());
        let request = Request { command, reply };
        if self.commands.blocking_send(request).is_err() {
            return stopping();
        }
        answer.blocking_recv().unwrap_or_else(|_| stopping())
    }

    /// Sends a channel's message to other nodes. Waits for nothing: where too many wait, at the
    /// cluster thread or for a link, it is dropped and counted, as PUBLISH promises no more.
    pub fn publish(&self, post: Post) {
        let shared = &self.shared;
        let bytes = post.bytes();
        let before = shared.posted_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == 0 || before.saturating_add(bytes) <= POSTED_BYTES_MAX;
        if !fits || self.posts.try_send(post).is_err() {
            shared.posted_bytes.fetch_sub(bytes, Ordering::Relaxed);
            shared.posts_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a message of a channel could not be sent to another node.
    #[must_use]
    pub fn posts_dropped(&self) -> u64 {
        self.shared.posts_dropped.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be sent on a link.
    #[must_use]
    pub fn queued_bytes(&self, link: LinkId) -> usize {
        let queues = self.shared.queues.lock();
        queues
            .get(&link)
            .map_or(0, |bytes| bytes.load(Ordering::Relaxed))
    }

    /// How many links are open, and how many bytes wait on them.
    #[must_use]
    pub fn link_totals(&self) -> (usize, usize) {
        let queues = self.shared.queues.lock();
        let bytes = queues.values().map(|bytes| bytes.load(Ordering::Relaxed));
        (queues.len(), bytes.sum())
    }
}

/// Reads nodes.conf, or makes a new node, and starts the cluster thread. When this returns, the
/// slots of `host` are set and the first view is published.
///
/// # Errors
/// nodes.conf is damaged or another node's, or the system refuses something.
pub fn start(setup: Setup, host: Arc<dyn Host>) -> Result<(Handle, JoinHandle<()>), StartError> {
    let (file, conf) = NodesFile::open(&setup.conf_path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listeners = {
        let _entered = runtime.enter();
        let listeners = setup.listeners.into_iter();
        listeners
            .map(tokio::net::TcpListener::from_std)
            .collect::<io::Result<Vec<_>>>()?
    };
    let shared = Arc::new(Shared::default());
    let (commands, requests) = mpsc::channel(COMMANDS_MAX);
    let (posts, posted) = mpsc::channel(POSTS_MAX);
    let (events, inbox) = mpsc::channel::<Event>(EVENTS_MAX);
    let writer = writer::Writer::start(file, events.clone())?;
    let mut driver = Driver::new(
        conf.as_ref(),
        setup.settings,
        host,
        Arc::clone(&shared),
        writer,
        events,
    )?;
    driver.start();
    let shutdown = setup.shutdown;
    let thread = std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || {
            let inboxes = Inboxes {
                events: inbox,
                requests,
                posts: posted,
            };
            runtime.block_on(driver.run(listeners, inboxes, shutdown));
        })?;
    let handle = Handle {
        shared,
        commands,
        posts,
    };
    Ok((handle, thread))
}

#[cfg(test)]
mod tests;
