//! What the node and the proxy both speak: RESP, slots, the command table, the cluster bus.
//!
//! Formats and facts. Nothing here owns a socket or a thread, save [`net`].
#![deny(missing_docs)]

pub mod alloc;
pub mod bus;
pub mod bytes;
pub mod clock;
pub mod command;
pub mod config;
pub mod cursor;
pub mod glob;
pub mod ids;
pub mod net;
pub mod rdb;
pub mod redirect;
pub mod resp;
pub mod slot;
pub mod slot_set;
pub mod topology;
