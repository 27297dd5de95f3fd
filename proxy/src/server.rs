//! The running proxy: its threads, its listeners, its way to an end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use slotilla_common::net::admin::{self, AdminError, AdminServer};
use slotilla_common::net::listen::{self, ListenError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::admin::ProxyEndpoints;
use crate::config::Config;
use crate::metrics::Counters;
use crate::shared::{MESSAGES_MAX, Message, Shared, Thread};
use crate::{slotmap, thread};

/// A proxy that is up. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    admin: Option<AdminServer>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its port could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its admin port could not be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}; check the limits on threads and open files")]
    Thread(#[from] io::Error),
}

impl Server {
    /// Opens the ports and starts the threads. The slot map is learned afterwards.
    ///
    /// # Errors
    /// When a port cannot be opened or a thread cannot be started.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let backlog = i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX);
        let listeners = listen::tcp(&config.bind, config.port, backlog, "port")?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let shared = Arc::new(Shared::new(config));
        if let Some(first) = addresses.first() {
            shared.port.store(first.port().into(), Ordering::Relaxed);
        }
        let mut threads = Vec::new();
        let mut ways = Vec::new();
        for number in 0..shared.config.threads() {
            let (sender, messages) = mpsc::channel(MESSAGES_MAX);
            let counters = Arc::new(Counters::default());
            ways.push(Thread {
                sender,
                counters: Arc::clone(&counters),
            });
            let its = Arc::clone(&shared);
            threads.push(spawn(&format!("worker-{number}"), move || {
                if let Err(error) = thread::run(its, counters, messages) {
                    tracing::error!("a worker cannot start: {error}");
                }
            })?);
        }
        shared.set_threads(ways);
        let (stop, stopped) = oneshot::channel();
        let its = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        threads.push(spawn("control", move || {
            runtime.block_on(control(its, listeners, stopped));
        })?);
        let mut server = Self {
            addresses,
            admin: None,
            stop: Some(stop),
            threads,
            shared,
        };
        let config = Arc::clone(&server.shared.config);
        if config.admin_port != 0 {
            let endpoints = Arc::new(ProxyEndpoints::new(Arc::clone(&server.shared)));
            server.admin = Some(admin::serve(
                &config.admin_bind,
                config.admin_port,
                endpoints,
            )?);
        }
        Ok(server)
    }

    /// Where clients may connect.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What its threads share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes no new clients, gives those it has the time to finish, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(stop) = self.stop.take() else {
            return;
        };
        self.shared.drain();
        // The control thread may have ended by itself.
        let _ = stop.send(());
        let limit = self.shared.config.shutdown_timeout;
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.shared.clients() > 0 && waited < limit {
            std::thread::sleep(step);
            waited += step;
        }
        for thread in self.shared.threads() {
            // A full queue is that of a busy thread, which is waited for in any case.
            while let Err(TrySendError::Full(_)) = thread.sender.try_send(Message::End) {
                std::thread::sleep(step);
            }
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

/// The thread that accepts clients and keeps the map fresh.
async fn control(
    shared: Arc<Shared>,
    listeners: Vec<std::net::TcpListener>,
    stopped: oneshot::Receiver<()>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(slotmap::keep_fresh(Arc::clone(&shared)));
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                tasks.spawn(accept(Arc::clone(&shared), listener));
            }
            Err(error) => tracing::error!("cannot listen: {error}"),
        }
    }
    // Stopped or dropped: both end it.
    let _ = stopped.await;
    tasks.shutdown().await;
    for thread in shared.threads() {
        if thread.sender.send(Message::Drain).await.is_err() {
            tracing::debug!("a worker has ended already");
        }
    }
}

/// Deals new clients out, one thread after the other, to the one that has the fewest.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut next = 0usize;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                next = next.wrapping_add(1);
                admit(&shared, stream, address, next).await;
            }
            Err(error) => {
                // Out of file descriptors, most likely: some time has to pass.
                tracing::warn!("cannot accept a client: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn admit(shared: &Arc<Shared>, stream: TcpStream, address: SocketAddr, next: usize) {
    let config = &shared.config;
    if config.protected_mode && config.requirepass.is_empty() && !address.ip().is_loopback() {
        shared.rejected.fetch_add(1, Ordering::Relaxed);
        return refuse(&stream, PROTECTED);
    }
    if !shared.client_came() {
        return refuse(&stream, b"-ERR max number of clients reached\r\n");
    }
    if let Err(error) = listen::prepare(&stream, config.tcp_keepalive) {
        tracing::debug!(client = %address, "gone before it was served: {error}");
        return shared.client_left();
    }
    let threads = shared.threads();
    let count = threads.len().max(1);
    let least = (0..count)
        .map(|step| (next + step) % count)
        .filter_map(|place| threads.get(place))
        .min_by_key(|thread| thread.assigned());
    let (Some(thread), Ok(stream)) = (least, stream.into_std()) else {
        return shared.client_left();
    };
    thread.counters.assigned.fetch_add(1, Ordering::Relaxed);
    if thread
        .sender
        .send(Message::Serve(stream, address))
        .await
        .is_err()
    {
        shared.client_left();
    }
}

const PROTECTED: &[u8] = b"-DENIED the proxy is running in protected mode because no password is \
    set, so it takes clients from this machine only. Set requirepass, or switch protected-mode \
    off if the network is trusted.\r\n";

/// One try: a client that is refused is not waited for.
fn refuse(stream: &TcpStream, reply: &[u8]) {
    if let Err(error) = stream.try_write(reply) {
        tracing::debug!("a client was gone before it was refused: {error}");
    }
}
