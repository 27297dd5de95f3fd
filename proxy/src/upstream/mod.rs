//! Connections to nodes: one per thread, node and protocol, shared by all clients of the thread.

mod connection;
mod in_flight;
mod reader;

pub use connection::{Figures, Upstream, UpstreamError};
pub use in_flight::{InFlight, Lost};
pub use reader::{call, open, read_more};

/// One connection's number on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u16);
