//! The thread that has what comes through one connection: it loads all data if that comes first, and
//! then applies the stream.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot};

use super::handshake::Agreed;
use super::load;
use super::pump::Progress;
use crate::aof;
use crate::commands::connection::REDIS_VERSION;
use crate::config::Key;
use crate::replication::LinkState;
use crate::replication::apply::Parallel;
use crate::server::Server;
use crate::server::client::Client;

/// So many bytes are taken before what is whole of them is applied.
const ROUND: usize = 256 * 1024;

/// What the thread of one connection is told.
pub(super) struct Order {
    pub(super) agreed: Agreed,
    /// It stops as soon as there is a later one.
    pub(super) orders: u64,
    pub(super) client: Arc<Client>,
    pub(super) progress: Arc<Progress>,
}

/// Whether a thread has what came through a connection: there is one at most.
#[derive(Debug, Default)]
pub struct DataThread {
    is_busy: AtomicBool,
    ended: Notify,
}

impl DataThread {
    /// Whether there is one.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire)
    }

    /// Returns at its end.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }
}

/// Says so when it is dropped.
struct Busy(Arc<Server>);

impl Drop for Busy {
    fn drop(&mut self) {
        let thread = &self.0.replication.data_thread;
        thread.is_busy.store(false, Ordering::Release);
        thread.ended.notify_waiters();
    }
}

/// Starts the thread; what it gives in the end: nothing, or why what came cannot be used.
pub(super) fn start(
    server: &Arc<Server>,
    order: Order,
    chunks: mpsc::Receiver<Vec<u8>>,
) -> io::Result<oneshot::Receiver<Result<(), String>>> {
    let (answer, done) = oneshot::channel();
    let server = Arc::clone(server);
    server
        .replication
        .data_thread
        .is_busy
        .store(true, Ordering::Release);
    let busy = Busy(Arc::clone(&server));
    let run = move || {
        let ended = run(&server, &order, chunks);
        drop(busy);
        // Nobody hears it if the node follows somebody else by now.
        let _heard = answer.send(ended);
    };
    std::thread::Builder::new()
        .name("replica-data".to_owned())
        .spawn(run)?;
    Ok(done)
}

/// What comes, as bytes.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            receiver,
            chunk: Vec::new(),
            at: 0,
        }
    }

    /// What is left of the last one.
    fn left(&self) -> &[u8] {
        self.chunk.get(self.at..).unwrap_or_default()
    }
}

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left().is_empty() {
            let Some(next) = self.receiver.blocking_recv() else {
                return Ok(0);
            };
            (self.chunk, self.at) = (next, 0);
        }
        let read = self.left().read(out)?;
        self.at = self.at.saturating_add(read);
        Ok(read)
    }
}

fn run(
    server: &Arc<Server>,
    order: &Order,
    receiver: mpsc::Receiver<Vec<u8>>,
) -> Result<(), String> {
    let replication = &server.replication;
    let mut chunks = Chunks::new(receiver);
    let mut first = Vec::new();
    match order.agreed {
        Agreed::Continue(renamed) => {
            // Whoever has it still may not have it any longer.
            let still = replication.hold_still(true);
            let renamed = renamed.filter(|id| *id != replication.history().replid);
            replication.resume(renamed, server.config.repl_backlog_size());
            if let Some(replid) = renamed {
                tracing::warn!("Master replication ID changed to {replid}");
            }
            drop(still);
            tracing::info!("Successful partial resynchronization with master.");
            tracing::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        }
        Agreed::Full {
            replid,
            offset,
            form,
            ..
        } => {
            let is_off = || replication.orders() != order.orders;
            let place = (replid, offset);
            server.aof.note_replaced();
            let loaded = load::load_all(server, chunks, form, place, &is_off)?;
            (chunks, first) = (loaded.source, loaded.unread);
            replication.link.set_received(offset);
            replication.link.add_received(first.len());
            tracing::info!("MASTER <-> REPLICA sync: Finished with success");
            // What a rewrite of meanwhile has is not all.
            server.aof.note_replaced();
            aof::begin_anew(server);
        }
    }
    replication.link.set_state(LinkState::Connected);
    order.progress.begin_stream();
    apply(server, order, chunks, &first)
}

/// Applies the stream until it ends. What is not whole then comes again.
fn apply(
    server: &Arc<Server>,
    order: &Order,
    mut chunks: Chunks,
    first: &[u8],
) -> Result<(), String> {
    let replication = &server.replication;
    let mut stream = Parallel::new(server, &order.client, replication.db())
        .ok_or("No thread can be had to apply the primary's stream")?;
    stream.push(first);
    stream.push(chunks.left());
    loop {
        loop {
            await_snapshot_room(server, order);
            let Some(still) = replication.hold_still(true) else {
                return Ok(());
            };
            if replication.orders() != order.orders {
                return Ok(());
            }
            let ran = stream.run(|bytes, db| replication.advance(bytes, db, &still));
            drop(still);
            tell_failures(server, &mut stream);
            let round = ran.map_err(|error| {
                replication.forsake();
                format!(
                    "The primary's stream cannot be applied: {error}. The data stays as it is, and \
                     all of it is asked for again; version {REDIS_VERSION} of Redis is what this \
                     node can follow"
                )
            })?;
            if round.asked {
                order.progress.ask();
            }
            if round.bytes == 0 {
                break;
            }
        }
        let Some(chunk) = chunks.receiver.blocking_recv() else {
            return Ok(());
        };
        let mut taken = chunk.len();
        stream.push(&chunk);
        while taken < ROUND
            && let Ok(chunk) = chunks.receiver.try_recv()
        {
            taken = taken.saturating_add(chunk.len());
            stream.push(&chunk);
        }
    }
}

/// A snapshot that keeps as much as it may of what has changed has its time, and so has a disk that is
/// to take what was changed.
fn await_snapshot_room(server: &Server, order: &Order) {
    let is_off = || server.shutdown.is_cancelled() || server.replication.orders() != order.orders;
    while (server.store.snapshot_is_full() || server.aof.is_full()) && !is_off() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A primary sends nothing that fails: the data of the two is not the same.
fn tell_failures(server: &Arc<Server>, stream: &mut Parallel) {
    for (command, text) in stream.failures() {
        server.replication.note_failure();
        tracing::warn!(
            "== CRITICAL == This replica is sending an error to its master: '{text}' after \
             processing the command '{command}'"
        );
        if server.config.choice(Key::PropagationErrorBehavior) != "ignore" {
            server.stop_because(&format!(
                "A command of the primary has failed ({command}: {text}), and \
                 propagation-error-behavior is not ignore; start again with another, or without \
                 the data"
            ));
        }
    }
}
