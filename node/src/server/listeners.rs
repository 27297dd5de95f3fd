//! The listening sockets, as tasks of the acceptor's thread, and CONFIG SET of `port` and `bind`.
//!
//! A change closes the TCP sockets and opens the new ones: they may overlap, and the kernel gives
//! an address to one socket only. If the new ones cannot be had, CONFIG SET puts the old values
//! back and asks again, which opens the old ones. Connected clients notice nothing.

use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use slotilla_common::net::listen::{self, ListenError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Server;
use super::acceptor::{self, Listener};
use super::worker::Inbox;
use crate::config::{Applier, Config, Key};

/// Changes that may wait. CONFIG SET is one at a time.
const REQUESTS_MAX: usize = 4;
/// How long CONFIG SET waits for the acceptor's thread, which is never busy for long.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Asks for the TCP sockets to be opened as the configuration says now.
type Request = blocking::SyncSender<Result<(), ListenError>>;

/// The sockets that a configuration asks for.
pub(super) fn open(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = open_tcp(config)?;
    if let Some(path) = config.unixsocket() {
        let socket = listen::unix(&path, config.unixsocketperm(), config.tcp_backlog())?;
        listeners.push(Listener::Unix(socket, path.display().to_string()));
    }
    Ok(listeners)
}

fn open_tcp(config: &Config) -> Result<Vec<Listener>, ListenError> {
    if config.port() == 0 {
        return Ok(Vec::new());
    }
    let sockets = listen::tcp(&config.bind(), config.port(), config.tcp_backlog(), "port")?;
    Ok(sockets.into_iter().map(Listener::Tcp).collect())
}

/// The sockets of a running server.
pub(super) struct Listeners {
    server: Arc<Server>,
    inboxes: Arc<[Inbox]>,
    requests: mpsc::Receiver<Request>,
    tcp: JoinSet<()>,
    /// What the TCP sockets are bound to; nothing while they are closed.
    bound: Option<(Vec<String>, u16)>,
}

impl Listeners {
    /// For `server`, whose CONFIG SET of `port` and `bind` comes here from now on.
    pub(super) fn new(server: Arc<Server>, inboxes: Arc<[Inbox]>) -> Self {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        for (key, refusal) in [
            (
                Key::Port,
                "Unable to listen on this port. Check server logs.",
            ),
            (Key::Bind, "Failed to bind to specified addresses."),
        ] {
            server
                .config
                .on_change(&[key], applier(sender.clone(), refusal));
        }
        Self {
            server,
            inboxes,
            requests,
            tcp: JoinSet::new(),
            bound: None,
        }
    }

    /// Accepts from these sockets, and follows changes, until the server shuts down.
    pub(super) async fn run(mut self, listeners: Vec<Listener>) {
        let mut unix = JoinSet::new();
        for listener in listeners {
            let tasks = match listener {
                Listener::Tcp(_) => &mut self.tcp,
                Listener::Unix(..) => &mut unix,
            };
            tasks.spawn(accept(
                Arc::clone(&self.server),
                listener,
                Arc::clone(&self.inboxes),
            ));
        }
        self.bound = Some(wanted(&self.server.config));
        loop {
            let request = tokio::select! {
                request = self.requests.recv() => request,
                () = self.server.shutdown.cancelled() => return,
            };
            let Some(answer) = request else { return };
            let result = self.rebind().await;
            if let Err(error) = &result {
                tracing::warn!("Changing port or bind: {error}");
            }
            // Nobody waits any more if it took too long.
            let _ = answer.try_send(result);
        }
    }

    async fn rebind(&mut self) -> Result<(), ListenError> {
        let wanted = wanted(&self.server.config);
        if self.bound.as_ref() == Some(&wanted) {
            return Ok(());
        }
        self.bound = None;
        // Ends the tasks, and with them their sockets.
        self.tcp.shutdown().await;
        for listener in open_tcp(&self.server.config)? {
            let (server, inboxes) = (Arc::clone(&self.server), Arc::clone(&self.inboxes));
            self.tcp.spawn(accept(server, listener, inboxes));
        }
        self.bound = Some(wanted);
        Ok(())
    }
}

fn wanted(config: &Config) -> (Vec<String>, u16) {
    (config.bind(), config.port())
}

async fn accept(server: Arc<Server>, listener: Listener, inboxes: Arc<[Inbox]>) {
    if let Err(error) = acceptor::accept(server, listener, inboxes).await {
        tracing::error!("A listening socket is lost: {error}");
    }
}

/// Has the acceptor's thread follow a change, and waits for it: on a worker's thread, whose other
/// clients wait for the fraction of a millisecond that it takes.
fn applier(requests: mpsc::Sender<Request>, refusal: &'static str) -> Applier {
    Box::new(move |_| {
        let (answer, answered) = blocking::sync_channel(1);
        let refused = || refusal.to_owned();
        requests.try_send(answer).map_err(|_| refused())?;
        match answered.recv_timeout(ANSWER_LIMIT) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(refused()),
        }
    })
}
