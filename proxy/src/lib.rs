//! One address in front of a cluster.
//!
//! ```text
//! clients ─► downstream ─► router ─► upstream ─► nodes
//!            order of      which     one connection per
//!            replies       node?     thread and node
//!                            ▲
//!                         slotmap ◄── CLUSTER SLOTS
//! ```
//! Each thread ([`worker`]) has its own clients, connections and copy of the slot map; they share
//! settings and the published map ([`shared`]).
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod dev;
pub mod downstream;
pub mod error;
pub mod files;
pub mod metrics;
pub mod node_metrics;
pub mod outages;
pub mod policy;
pub mod router;
pub mod server;
pub mod shared;
pub mod slotmap;
pub mod thread;
pub mod upstream;
pub mod worker;
