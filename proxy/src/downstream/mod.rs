//! Clients: their connections, their order, what the proxy answers by itself.

mod client;
mod clients;
mod commands;
mod connection;
mod info;
mod pipeline;
mod refusal;
mod scan;
mod session;

pub use client::Client;
pub use clients::{ClientFilter, describe};
pub(crate) use commands::random_key;
pub use connection::serve;
pub use info::resident_bytes;
pub use pipeline::{BufferPool, Followers, Pipeline, Sequence, Whereabouts};
pub(crate) use scan::scan;
