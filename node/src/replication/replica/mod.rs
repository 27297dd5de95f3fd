//! Being a replica: one thread keeps up the connection to the primary, and one for each connection
//! loads and applies what comes.
//!
//! ```text
//! handshake.rs  what the two say to each other before data comes; no socket
//! link.rs       the thread "replica": connects, agrees, hands on what comes, says how far it is
//! pump.rs       one connection, once the two have agreed: socket -> chunks -> the other thread
//! intake.rs     the thread "replica-data": loads all data if it must, then applies the stream
//! load.rs       all data: at once, aside, or through a file; what was there stays until it is whole
//! ```
//!
//! What was received is applied before the next handshake tells an offset to anybody, and a
//! connection that ends is made again at once. Only who is refused waits a while.

pub mod handshake;
mod intake;
mod link;
mod load;
mod pump;

pub use intake::DataThread;
pub use link::spawn;
