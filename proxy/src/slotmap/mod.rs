//! Which node owns which slot, learned from the nodes and kept fresh.

mod local;
mod map;
mod refresh;
mod source;

pub use local::{Calm, LocalMap, NodeIndex};
pub use map::{Address, Fingerprint, NODES_MAX, NodeNumber, SlotMap};
pub use refresh::{RefreshState, Refresher, run as keep_fresh};
