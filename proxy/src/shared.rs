//! What all threads share: settings, the slot map, who the other threads are.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc as std_mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use slotilla_common::clock::{self, Monotonic, Tick};
use slotilla_common::net::http::HttpAlarm;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Config;
use crate::downstream::ClientFilter;
use crate::metrics::{Counters, Latencies};
use crate::node_metrics::Nodes;
use crate::outages::Outages;
use crate::slotmap::{Refresher, SlotMap};

/// Figures that a thread keeps to itself until it is asked.
#[derive(Debug, Default)]
pub struct Figures {
    /// How long requests took.
    pub latencies: Latencies,
    /// Its connections to each node.
    pub nodes: Nodes,
}

/// What one thread may be asked by another.
#[derive(Debug)]
pub enum Message {
    /// Serve this client.
    Serve(std::net::TcpStream, SocketAddr),
    /// Tell what only the thread itself knows.
    Figures(std_mpsc::SyncSender<Figures>),
    /// Describe the clients that the filter finds, as CLIENT LIST does.
    List(ClientFilter, oneshot::Sender<Vec<(u64, String)>>),
    /// Close the clients that the filter finds; tell how many.
    Kill(ClientFilter, oneshot::Sender<usize>),
    /// Let clients finish what is on its way and close them.
    Drain,
    /// End the thread.
    End,
}

/// The way to one thread.
#[derive(Debug)]
pub struct Thread {
    /// Its queue.
    pub sender: mpsc::Sender<Message>,
    /// What it counts.
    pub counters: Arc<Counters>,
}

impl Thread {
    /// Clients that it has or is about to get.
    #[must_use]
    pub fn assigned(&self) -> u64 {
        let assigned = self.counters.assigned.load(Ordering::Relaxed);
        assigned.saturating_sub(self.counters.left.read())
    }
}

/// Messages that may wait for a thread.
pub const MESSAGES_MAX: usize = 1024;

/// A node that answers is trusted again after this time at most, however long
/// `retry-backoff-max` is.
const CALM_MAX: Duration = Duration::from_secs(10);

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub config: Arc<Config>,
    /// The slot map.
    pub map: ArcSwap<SlotMap>,
    /// Tells the threads that there is a new map.
    pub map_changed: watch::Sender<u64>,
    /// Gets the map from the nodes.
    pub refresher: Refresher,
    /// The nodes that fail just now.
    pub outages: Outages,
    /// The threads that serve clients.
    threads: OnceLock<Vec<Thread>>,
    /// Everyone's counters.
    counters: OnceLock<Vec<Arc<Counters>>>,
    clients: AtomicUsize,
    next_client_id: AtomicU64,
    /// Clients refused because there were maxclients already.
    pub rejected: AtomicU64,
    /// Bytes that clients with much of it have left unread.
    pub output_bytes: AtomicUsize,
    draining: AtomicBool,
    /// Tells of clients that send HTTP.
    pub http_alarm: HttpAlarm,
    /// When a slot was last seen on the move, in milliseconds since 1970; 0: never.
    unsettled_ms: AtomicI64,
    started: (Monotonic, Tick),
    /// When the process started, in seconds since 1970.
    pub started_unix: i64,
    /// Forty random hexadecimal digits, INFO's run_id.
    pub run_id: String,
    /// The port that clients connect to.
    pub port: AtomicUsize,
}

impl Shared {
    /// With these settings and no map yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let clock = Monotonic::new();
        let now = clock.now();
        let digit = |_| char::from_digit(fastrand::u32(..16), 16).unwrap_or('0');
        Self {
            port: AtomicUsize::new(usize::from(config.port)),
            refresher: Refresher::new(),
            outages: Outages::new((config.retry_backoff_max * 2).min(CALM_MAX)),
            config: Arc::new(config),
            map: ArcSwap::default(),
            map_changed: watch::Sender::new(0),
            threads: OnceLock::new(),
            counters: OnceLock::new(),
            clients: AtomicUsize::new(0),
            next_client_id: AtomicU64::new(1),
            rejected: AtomicU64::new(0),
            output_bytes: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            http_alarm: HttpAlarm::default(),
            unsettled_ms: AtomicI64::new(0),
            started: (clock, now),
            started_unix: clock::unix_ms() / 1000,
            run_id: (0..40).map(digit).collect(),
        }
    }

    /// Says who the threads are. Once.
    pub fn set_threads(&self, threads: Vec<Thread>) {
        let counters = threads.iter().map(|t| Arc::clone(&t.counters)).collect();
        // A second call would be a bug without consequences.
        let _ = self.counters.set(counters);
        let _ = self.threads.set(threads);
    }

    /// The threads.
    #[must_use]
    pub fn threads(&self) -> &[Thread] {
        self.threads.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// The threads' counters.
    #[must_use]
    pub fn counters(&self) -> &[Arc<Counters>] {
        self.counters.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// A number for a new client.
    pub fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes note of a new client, unless there are as many as may be.
    pub fn client_came(&self) -> bool {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        if before >= self.config.maxclients {
            self.client_left();
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Takes note that a client has gone.
    pub fn client_left(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Clients connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        let (clock, start) = &self.started;
        Duration::from_nanos(clock.nanos_between(*start, clock.now()))
    }

    /// A slot is on the move, or has just moved.
    pub fn unsettle(&self) {
        self.unsettled_ms.store(clock::unix_ms(), Ordering::Relaxed);
    }

    /// Whether any slot was on the move while a SCAN that ends now may have been under way.
    #[must_use]
    pub fn was_unsettled_lately(&self) -> bool {
        /// No iteration takes longer.
        const LATELY_MS: i64 = 3_600_000;
        let last = self.unsettled_ms.load(Ordering::Relaxed);
        last > 0 && clock::unix_ms().saturating_sub(last) < LATELY_MS
    }

    /// No new clients from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the proxy is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
