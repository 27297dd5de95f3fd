//! Tools that the end-to-end tests share: real processes on loopback, a client that shares no
//! code with what it tests, and ways to wait for a condition instead of sleeping.
//!
//! ```no_run
//! use slotilla_tests::{Cluster, Kind, Server};
//!
//! let redis = Server::start(Kind::Redis, &[("maxmemory", "10mb")]);
//! assert_eq!(redis.client().call(&["SET", "a", "1"]).to_string(), "OK");
//!
//! let cluster = Cluster::start(Kind::Node, 3);
//! let proxy = cluster.proxy(&[]);
//! proxy.client().ok(&["SET", "centos", "7.4"]);
//! ```
//!
//! Everything panics with a sentence when it cannot do what it was asked: that is how a test
//! fails. A process that a test started is killed when its handle is dropped, and what it had
//! printed is shown if the test is failing then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod acknowledged;
pub mod append_only;
pub mod binaries;
mod client;
mod cluster;
pub mod differential;
mod ports;
mod process;
pub mod replication;
mod server;
pub mod snapshots;
pub mod stage;
mod tools;
mod value;
pub mod values;
mod wait;

pub use client::{Client, encode};
pub use cluster::{Cluster, one_node_cluster, slot_of};
pub use ports::{PortBlock, reserve_ports};
pub use process::Process;
pub use server::{Kind, Server};
pub use tools::{
    Output, http_get, promtool_check, redis_benchmark, redis_cli, redis_cli_input, run_tool,
    run_tool_input,
};
pub use value::{Value, read_value};
pub use wait::{Deadline, wait_for, wait_until};
