//! Listeners, the admin port, metrics, logs: what both binaries need from the outside world.
//!
//! The only part of the crate that owns sockets, threads and files.

pub mod admin;
pub mod http;
pub mod listen;
pub mod log;
pub mod metrics;
