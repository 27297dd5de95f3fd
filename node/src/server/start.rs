//! Starting and stopping a node, in order.

use slotilla_common::net::admin;
use slotilla_common::net::http::HttpAlarm;
use slotilla_common::net::listen;
use slotilla_common::{alloc, clock};
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::acceptor::Listener;
use super::admin::AdminPort;
use super::client::Registry;
use super::gate::Gate;
use super::latency::LatencyMonitor;
use super::listeners::{self, Listeners};
use super::long::LongThreads;
use super::pause::Pause;
use super::pubsub::Hub;
use super::slowlog::SlowLog;
use super::stats::Stats;
use super::{Server, cron, worker};
use crate::aof::{self, Aof, AofError};
use crate::cluster::routing::{Condition, Health, Serving};
use crate::cluster::shell as cluster;
use crate::commands::Handlers;
use crate::commands::connection::REDIS_VERSION;
use crate::config::{Config, Key};
use crate::persistence::{self, Persistence, Phase, Snapshot, SnapshotError};
use crate::replication::apply::APPLIERS_MAX;
use crate::replication::{Replication, replica};
use crate::store::{Expirer, PLACES_MAX, STEP_MS, Step, Store};

/// Why a node could not start. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be opened.
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    /// The admin port could not be served.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The cluster thread could not start.
    #[error(transparent)]
    Cluster(#[from] cluster::StartError),
    /// The snapshot that is there cannot be loaded.
    #[error("Fatal error loading the DB: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The append-only files that are there cannot be.
    #[error(transparent)]
    Aof(#[from] AofError),
    /// A thread or a runtime could not be made.
    #[error("Starting a thread: {0}; raise the limit of processes (ulimit -u) or lower io-threads")]
    Thread(#[from] io::Error),
}

/// A node that runs until it is told to stop.
#[derive(Debug)]
pub struct Node {
    /// What its threads share.
    pub server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
    /// To be loaded before clients are served.
    snapshot: Option<Snapshot>,
    /// Owned here and not by the server, which it holds.
    _admin: Arc<AdminPort>,
}

impl StartError {
    /// Whether the node was told to stop meanwhile, and nothing is wrong.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        match self {
            Self::Snapshot(error) => error.is_stop(),
            Self::Aof(error) => matches!(error, AofError::Stopped),
            _ => false,
        }
    }
}

impl Node {
    /// Opens the sockets, then starts the threads. Clients hear that data is being loaded until
    /// [`load`](Self::load) has returned.
    ///
    /// # Errors
    /// A socket, a file or a thread that could not be had. Threads that were started already
    /// are told to stop.
    pub fn start(config: Arc<Config>) -> Result<Self, StartError> {
        let listeners = listeners::open(&config)?;
        introduce(&config);
        let server = Arc::new(Server::new(config));
        super::reconfigure::follow(&server);
        server.replication.as_primary.restart.begin(&server);
        let events = super::keyspace_events::Publisher::new(&server);
        server.store.set_event_sink(Box::new(events));
        let snapshot = if server.config.flag(Key::Appendonly) {
            // As in Redis, the append-only file is the data then, even if there is none yet.
            server.persistence.set_phase(Phase::Loading);
            None
        } else {
            persistence::find(&server.config)?
        };
        if let Some(snapshot) = &snapshot {
            server.await_snapshot(snapshot);
        }
        let started = Self::start_threads(&server, listeners, snapshot);
        if started.is_err() {
            server.shutdown.cancel();
        }
        started
    }

    fn start_threads(
        server: &Arc<Server>,
        listeners: Vec<Listener>,
        snapshot: Option<Snapshot>,
    ) -> Result<Self, StartError> {
        let mut threads = Vec::new();
        if server.cluster_enabled {
            threads.push(start_cluster(server)?);
        }
        let mut inboxes = Vec::new();
        for number in 0..server.config.io_threads() {
            let Some(seat) = server.gate.seat(number) else {
                continue;
            };
            let (inbox, thread) = worker::spawn(Arc::clone(server), number, seat)?;
            inboxes.push(inbox);
            threads.push(thread);
        }
        threads.push(spawn_expirer(Arc::clone(server))?);
        threads.push(replica::spawn(Arc::clone(server))?);
        // Before clients are served, so that whoever has been answered finds it open.
        let admin = AdminPort::open(server)?;
        threads.push(spawn_main_loop(
            Arc::clone(server),
            listeners,
            inboxes.into(),
        )?);
        Ok(Self {
            server: Arc::clone(server),
            threads,
            snapshot,
            _admin: admin,
        })
    }

    /// Loads the append-only files or the snapshot, whichever there is to be.
    ///
    /// # Errors
    /// It cannot be loaded, and the node is to stop; or it was told to, meanwhile.
    pub fn load(&mut self) -> Result<(), StartError> {
        persistence::clear_leftovers(&self.server.config);
        if self.server.loading() && self.snapshot.is_none() {
            return Ok(aof::load(&self.server)?);
        }
        Ok(self.snapshot.take().map_or(Ok(()), |snapshot| {
            persistence::load_at_start(&self.server, snapshot)
        })?)
    }

    /// Waits until the node has been told to stop and has stopped.
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has said so in the log.
            drop(thread.join());
        }
    }
}

/// Says who starts here. Scripts look for the words `PID: ` and `Server initialized`.
fn introduce(config: &Config) {
    let mode = if config.cluster_enabled() {
        "cluster"
    } else {
        "standalone"
    };
    tracing::info!(
        "Slotilla node {} (Redis {REDIS_VERSION}), {mode} mode, port: {}, PID: {}. \
         Server initialized",
        env!("CARGO_PKG_VERSION"),
        config.port(),
        std::process::id(),
    );
}

fn start_cluster(server: &Arc<Server>) -> Result<JoinHandle<()>, StartError> {
    let setup = cluster::Setup::from_config(&server.config, server.shutdown.clone())?;
    let host = Arc::new(super::host::ClusterHost::new(server));
    let (handle, thread) = cluster::start(setup, host)?;
    // Set once, here, before any worker runs.
    let _first = server.cluster.set(handle);
    Ok(thread)
}

/// The thread that deletes keys whose time has come, in short steps.
fn spawn_expirer(server: Arc<Server>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("expire".to_owned())
        .spawn(move || {
            let mut expirer = Expirer::default();
            let thread = server.config.io_threads();
            runtime.block_on(async {
                let mut timer = tokio::time::interval(std::time::Duration::from_millis(STEP_MS));
                timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ = timer.tick() => {}
                        () = server.shutdown.cancelled() => return,
                    }
                    let now_ms = clock::unix_ms();
                    let mut step = || {
                        server.gate.guest(|| {
                            // What is loaded says itself what has expired.
                            if server.loading() {
                                return Step::default();
                            }
                            if server.pause.is_over() {
                                server.end_late_pauses();
                            }
                            expirer.step(&server.store, now_ms, thread)
                        })
                    };
                    // Whatever waits at the gate passes between two.
                    while step().more {}
                    server.store.log().nudge(thread);
                }
            });
        })
}

impl Server {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let workers = config.io_threads();
        // In a cluster a slot is served once the cluster thread has said so.
        let serving = if config.cluster_enabled() {
            Serving::Unassigned
        } else {
            Serving::Ours
        };
        let store = Store::new(config.databases(), serving);
        let primary = config.replicaof();
        store.settings().set_hide_expired(primary.is_some());
        store.set_copy(primary.is_some());
        let started_ms = clock::unix_ms();
        Self {
            slowlog: SlowLog::new(
                config.slowlog_log_slower_than_us(),
                config.slowlog_max_len(),
            ),
            latency: LatencyMonitor::new(config.latency_monitor_threshold_ms()),
            http_alarm: HttpAlarm::default(),
            clients: Registry::default(),
            stats: Stats::new(workers + PLACES_MAX + APPLIERS_MAX),
            gate: Gate::new(workers + PLACES_MAX + APPLIERS_MAX),
            targets: super::targets::Targets::default(),
            long_threads: LongThreads::new(PLACES_MAX),
            aof: Aof::default(),
            pause: Pause::default(),
            snapshot_room: tokio::sync::Notify::new(),
            pubsub: Hub::default(),
            handlers: Handlers::new(),
            cluster_enabled: config.cluster_enabled(),
            cluster_health: Health::new(Condition::Up),
            shutdown: CancellationToken::new(),
            clock: clock::Monotonic::new(),
            run_id: random_hex(),
            replication: Replication::new(primary, Arc::clone(store.history())),
            persistence: Persistence::new(started_ms),
            started_ms,
            startup_bytes: alloc::used_bytes() as u64,
            cluster: OnceLock::new(),
            store,
            config,
        }
    }
}

/// 40 hex digits, as Redis names runs.
pub(super) fn random_hex() -> String {
    let mut random = [0; 20];
    fastrand::fill(&mut random);
    slotilla_common::ids::NodeId::from_random(random).to_string()
}

/// The thread that accepts, keeps time and hears signals.
fn spawn_main_loop(
    server: Arc<Server>,
    listeners: Vec<Listener>,
    inboxes: Arc<[worker::Inbox]>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let socket_files: Vec<String> = listeners
        .iter()
        .filter_map(|listener| match listener {
            Listener::Unix(_, path) => Some(path.clone()),
            Listener::Tcp(_) => None,
        })
        .collect();
    let accepting = Listeners::new(Arc::clone(&server), inboxes);
    let thread = std::thread::Builder::new()
        .name("acceptor".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::spawn(accepting.run(listeners));
                cron::run(server).await;
            });
            for path in socket_files {
                // Gone already if somebody tidied up.
                let _removed = std::fs::remove_file(path);
            }
        })?;
    Ok(thread)
}
