//! The thread that keeps up the connection to the primary.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::handshake::{Agreed, Handshake, Introduction, Refusal};
use super::pump::{self, End};
use crate::persistence::Phase;
use crate::replication::{Address, LinkState, failover};
use crate::server::Server;

/// Who is refused, or has lost a connection that brought nothing, waits so long.
const PAUSE: Duration = Duration::from_secs(1);
/// How often somebody who waits for the data at the start looks again.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Why there is no connection to agree on.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("Error condition on socket for SYNC: {0}")]
    Socket(#[from] io::Error),
    #[error("Timeout connecting to the MASTER...")]
    Timeout,
    #[error("{0}")]
    Refused(#[from] Refusal),
}

impl ConnectError {
    /// Whether the other has answered PSYNC, and does not want to.
    fn is_refusal_of_psync(&self) -> bool {
        matches!(self, Self::Refused(Refusal::Later(_) | Refusal::Psync(_)))
    }
}

/// Starts the thread. It sleeps for as long as the node is no replica, and ends with the node.
///
/// # Errors
/// The thread or its runtime could not be made.
pub fn spawn(server: Arc<Server>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    let run = move || {
        let stop = server.shutdown.clone();
        runtime.block_on(async {
            tokio::select! {
                () = follow(&server) => {}
                () = stop.cancelled() => {}
            }
        });
        // A name that is being looked up may take its time.
        runtime.shutdown_background();
    };
    std::thread::Builder::new()
        .name("replica".to_owned())
        .spawn(run)
}

/// Follows whoever the node is told to follow.
async fn follow(server: &Arc<Server>) {
    while server.persistence.phase() != Phase::Serving {
        sleep(LOOK).await;
    }
    loop {
        let replication = &server.replication;
        let ordered = replication.ordered.notified();
        tokio::pin!(ordered);
        // Before the order is read, so that none is missed.
        ordered.as_mut().enable();
        let orders = replication.orders();
        match replication.primary() {
            None => ordered.await,
            Some(primary) => {
                tokio::select! {
                    () = follow_one(server, &primary, orders) => {}
                    () = ordered => {}
                }
            }
        }
        // What came is applied or dropped by a thread that looks at the orders itself.
        pump::await_data_thread(server).await;
    }
}

/// Connects to a primary again and again.
async fn follow_one(server: &Arc<Server>, primary: &Address, orders: u64) {
    let link = &server.replication.link;
    tracing::info!("Connecting to MASTER {primary}");
    loop {
        let begun_at = server.replication.offset();
        link.set_state(LinkState::Connecting);
        tracing::info!("MASTER <-> REPLICA sync started");
        let mut is_refused = true;
        match agree(server, primary).await {
            Err(error) => {
                tracing::warn!("{error}");
                if error.is_refusal_of_psync() {
                    failover::refused(server);
                }
            }
            Ok((stream, agreed, rest)) => {
                failover::complete(server);
                let end = pump::run(server, stream, agreed, rest, orders).await;
                match end {
                    End::Lost => {
                        is_refused = false;
                        tracing::warn!("Connection with master lost.");
                    }
                    End::Failed(reason) => tracing::warn!("{reason}"),
                    End::Ordered => return,
                }
            }
        }
        link.set_state(LinkState::Down);
        pump::await_data_thread(server).await;
        // One that brings nothing is as good as none.
        if is_refused || server.replication.offset() == begun_at {
            sleep(PAUSE).await;
        }
        if is_refused {
            tracing::info!("Connecting to MASTER {primary}");
        } else {
            tracing::info!("Caching the disconnected master state.");
            tracing::info!("Reconnecting to MASTER {primary}");
        }
    }
}

/// Connects, and comes to an agreement with the primary; what has come behind it.
async fn agree(
    server: &Arc<Server>,
    primary: &Address,
) -> Result<(TcpStream, Agreed, Vec<u8>), ConnectError> {
    let limit = Duration::from_secs(server.config.repl_timeout_seconds());
    let connecting = TcpStream::connect((primary.host.as_str(), primary.port));
    let mut stream = timeout(limit, connecting)
        .await
        .map_err(|_| ConnectError::Timeout)??;
    // What is sent is short, and somebody waits for it.
    stream.set_nodelay(true)?;
    tracing::info!("Non blocking connect for SYNC fired the event.");
    server.replication.link.set_state(LinkState::Handshake);
    let mut handshake = Handshake::new(introduction(server));
    let mut buffer = vec![0; PIECE];
    loop {
        let output = handshake.take_output();
        timeout(limit, stream.write_all(&output))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        let read = timeout(limit, stream.read(&mut buffer))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        server.replication.link.heard(read);
        let input = buffer.get(..read).unwrap_or_default();
        let (taken, agreed) = handshake.input(input)?;
        if handshake.awaits_data() {
            server.replication.link.begin_transfer(None);
            server.replication.link.set_state(LinkState::Sync);
        }
        if let Some(agreed) = agreed {
            let rest = input.get(taken..).unwrap_or_default().to_vec();
            return Ok((stream, agreed, rest));
        }
    }
}

fn introduction(server: &Server) -> Introduction {
    let config = &server.config;
    let port = match config.replica_announce_port() {
        0 => config.port(),
        port => port,
    };
    Introduction {
        auth: config.primary_auth(),
        port,
        address: config.replica_announce_ip(),
        position: server.replication.resumption(),
        hands_over: server.replication.failover.is_in_progress(),
    }
}
