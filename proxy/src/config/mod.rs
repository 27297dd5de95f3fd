//! What the proxy can be told: its keys, their defaults and bounds.

mod keys;
mod load;

pub use keys::{KEYS, Key};
pub use load::{LoadError, from_arguments, from_file};

use std::time::Duration;

use slotilla_common::net::log::{Format, Level};

use crate::slotmap::Address;

/// All settings. Names and units of the keys that Redis has, too, are Redis's.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port for clients.
    pub port: u16,
    /// Addresses to listen on.
    pub bind: Vec<String>,
    /// Refuse clients from elsewhere while there is no password.
    pub protected_mode: bool,
    /// Length of the queue of connections not accepted yet.
    pub tcp_backlog: u32,
    /// Seconds between probes of silent clients; 0: none.
    pub tcp_keepalive: u32,
    /// Close clients silent for so many seconds; 0: never.
    pub timeout: u64,
    /// Most clients at one time.
    pub maxclients: usize,
    /// What clients must say in AUTH; empty: nothing.
    pub requirepass: String,
    /// Worker threads; 0: one per core.
    pub io_threads: usize,
    /// Addresses of the admin port.
    pub admin_bind: Vec<String>,
    /// Port of metrics and health; 0: none.
    pub admin_port: u16,
    /// Least level of the log.
    pub loglevel: Level,
    /// Log file; empty: standard output.
    pub logfile: String,
    /// Form of the log.
    pub log_format: Format,
    /// Nodes to ask for the slot map at the start.
    pub seeds: Vec<Address>,
    /// User that the proxy is to the nodes; empty: the default one.
    pub upstream_username: String,
    /// Password that the nodes want; empty: none.
    pub upstream_password: String,
    /// Time for a connection to a node to be made.
    pub connect_timeout: Duration,
    /// Time for a request, redirections and retries included.
    pub request_timeout: Duration,
    /// Wait before a request is first sent again; doubles each time.
    pub retry_backoff_min: Duration,
    /// Longest wait before a request is sent again.
    pub retry_backoff_max: Duration,
    /// Most redirections and retries of one request.
    pub retries_max: u16,
    /// Bytes of requests that wait to be sent again, per thread.
    pub retry_queue_max: usize,
    /// Time between two routine looks at the slot map.
    pub refresh_interval: Duration,
    /// Least time between two looks, however many redirections ask for one.
    pub refresh_interval_min: Duration,
    /// Bytes of requests queued for one connection to a node before its clients are not read.
    pub upstream_queue_max: usize,
    /// Longest reply taken from a node.
    pub upstream_reply_max: usize,
    /// Requests of one client on their way before it is not read further.
    pub client_in_flight_max: usize,
    /// Bytes of replies that a client has not read before it is closed.
    pub client_output_max: usize,
    /// Bytes that all clients together may leave unread; 0: no limit.
    pub maxmemory_clients: usize,
    /// Longest request in bytes.
    pub client_query_buffer_limit: usize,
    /// Longest argument.
    pub proto_max_bulk_len: usize,
    /// Bytes that the reply of a request sent to several nodes may have.
    pub merged_reply_max: usize,
    /// Time that clients get to finish when the proxy is told to stop.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let mb = |n: usize| n * 1024 * 1024;
        Self {
            port: 6379,
            bind: vec!["*".into(), "-::*".into()],
            protected_mode: true,
            tcp_backlog: 511,
            tcp_keepalive: 300,
            timeout: 0,
            maxclients: 10_000,
            requirepass: String::new(),
            io_threads: 0,
            admin_bind: vec!["127.0.0.1".into(), "-::1".into()],
            admin_port: 0,
            loglevel: Level::Notice,
            logfile: String::new(),
            log_format: Format::Text,
            seeds: Vec::new(),
            upstream_username: String::new(),
            upstream_password: String::new(),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            retry_backoff_min: Duration::from_millis(10),
            retry_backoff_max: Duration::from_millis(500),
            retries_max: 1000,
            retry_queue_max: mb(64),
            refresh_interval: Duration::from_secs(10),
            refresh_interval_min: Duration::from_millis(250),
            upstream_queue_max: mb(64),
            upstream_reply_max: mb(1024),
            client_in_flight_max: 4096,
            client_output_max: mb(256),
            maxmemory_clients: mb(2048),
            client_query_buffer_limit: mb(1024),
            proto_max_bulk_len: mb(512),
            merged_reply_max: mb(512),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}

impl Config {
    /// Worker threads to start.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.io_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}
