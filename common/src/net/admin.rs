//! The admin port: metrics and health over HTTP/1.1.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus's text format |
//! | `/healthz`, `/livez` | 200 while the process does its work; says nothing of the cluster |
//! | `/readyz` | 200 when it can serve, else 503; the JSON says why not |
//!
//! It has a thread and a runtime of its own, so a busy data plane delays no probe and a slow
//! scraper delays no client. Everything is bounded: connections, header size and time, a
//! connection's life. Request bodies are not read. It knows no authentication: bind it to where
//! only the operator gets.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use super::listen::{self, ListenError};
use super::metrics;

/// Connections at one time. One more waits in the backlog until another ends.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must be whole within this time, and a silent connection ends after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request head; longer ones are answered 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// No connection lives longer, however slowly its peer reads. Scrapers reconnect.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);

/// The times that tests shorten.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    header: Duration,
    connection: Duration,
}

const DEADLINES: Deadlines = Deadlines {
    header: HEADER_TIMEOUT,
    connection: CONNECTION_TIME_MAX,
};

/// Whether the process is well, and if not, why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `ok` or what is wrong, one sentence each. Empty means well.
    pub reasons: Vec<String>,
}

impl Health {
    /// Nothing is wrong.
    #[must_use]
    pub fn well() -> Self {
        Self::default()
    }

    /// Something is wrong.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
        }
    }

    /// True when nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// What a binary shows on its admin port. Called on the admin thread.
pub trait Endpoints: Send + Sync + 'static {
    /// The body of `/metrics`.
    fn metrics(&self) -> String;

    /// Whether the process does its work at all (`/healthz`, `/livez`). A supervisor restarts
    /// it when not, so this never depends on other machines.
    fn live(&self) -> Health;

    /// Whether it should get traffic (`/readyz`): loaded, slots covered, not draining.
    fn ready(&self) -> Health;

    /// JSON of a further path (`/slots`, say), if the binary has such.
    fn page(&self, _path: &str) -> Option<String> {
        None
    }
}

/// A running admin port. Dropping it stops the thread.
#[derive(Debug)]
pub struct AdminServer {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The admin port could not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Its sockets could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its thread could not be started.
    #[error("cannot start the admin thread: {0}; check the limits on threads and open files")]
    Thread(#[from] std::io::Error),
}

/// Starts answering on `port` of each address in `bind` (Redis's syntax).
///
/// # Errors
/// When an address cannot be bound, or no thread can be started.
pub fn serve<S: AsRef<str>>(
    bind: &[S],
    port: u16,
    endpoints: Arc<dyn Endpoints>,
) -> Result<AdminServer, AdminError> {
    serve_within(bind, port, endpoints, DEADLINES)
}

fn serve_within<S: AsRef<str>>(
    bind: &[S],
    port: u16,
    endpoints: Arc<dyn Endpoints>,
    deadlines: Deadlines,
) -> Result<AdminServer, AdminError> {
    let listeners = listen::tcp(bind, port, 128, "admin-port")?;
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listeners = {
        let _context = runtime.enter();
        listeners
            .into_iter()
            .map(tokio::net::TcpListener::from_std)
            .collect::<Result<Vec<_>, _>>()?
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
                for listener in listeners {
                    tokio::spawn(accept(
                        listener,
                        Arc::clone(&endpoints),
                        Arc::clone(&slots),
                        deadlines,
                    ));
                }
                // An error means that the sender was dropped, which says stop as well.
                let _ = stopped.await;
            });
            // Dropping the runtime closes listeners and connections.
        })?;
    Ok(AdminServer {
        addresses,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl AdminServer {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported; it is no reason for another one here.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    endpoints: Arc<dyn Endpoints>,
    slots: Arc<Semaphore>,
    deadlines: Deadlines,
) {
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: try again when some may be free.
                tracing::warn!(%error, "the admin port could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let endpoints = Arc::clone(&endpoints);
        tokio::spawn(async move {
            let connection = connection(stream, endpoints, deadlines.header);
            // Whatever a scraper does wrong is its own affair.
            let _ = tokio::time::timeout(deadlines.connection, connection).await;
            drop(slot);
        });
    }
}

fn connection(
    stream: tokio::net::TcpStream,
    endpoints: Arc<dyn Endpoints>,
    header_timeout: Duration,
) -> impl Future<Output = hyper::Result<()>> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request: Request<Incoming>| {
                let response = respond(request.method(), request.uri().path(), &*endpoints);
                async move { Ok::<_, Infallible>(response) }
            }),
        )
}

fn respond(method: &Method, path: &str, endpoints: &dyn Endpoints) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let (status, kind, body) = match path {
        _ if method != Method::GET && method != Method::HEAD => {
            let body = "only GET and HEAD are answered here\n".to_owned();
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "text/plain; charset=utf-8",
                body,
            )
        }
        "/metrics" => (StatusCode::OK, metrics::CONTENT_TYPE, endpoints.metrics()),
        "/healthz" | "/livez" => health(&endpoints.live()),
        "/readyz" => health(&endpoints.ready()),
        other => match endpoints.page(other) {
            Some(json) => (StatusCode::OK, JSON, json),
            None => {
                let body = "there are /metrics, /healthz, /livez and /readyz\n".to_owned();
                (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", body)
            }
        },
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn health(health: &Health) -> (StatusCode, &'static str, String) {
    let status = if health.is_well() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if health.is_well() {
        "ok"
    } else {
        "unavailable"
    };
    let body = serde_json::json!({ "status": word, "reasons": health.reasons });
    (status, "application/json", format!("{body}\n"))
}

#[cfg(test)]
mod tests;
