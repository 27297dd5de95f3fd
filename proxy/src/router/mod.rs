//! From a request to the nodes that must see it, and from their replies to one.

mod args;
mod dispatch;
mod gather;
mod request;
mod routes;
mod scan;
mod split;
mod wide;

pub use args::RequestArgs;
pub use gather::{Gather, Recipe};
pub use request::{Owner, Request};
pub use routes::{Class, Route, Routes, Way, is_read};
pub use scan::{Cursor, SCAN_TOO_FAR, scanned, write_scanned};
pub use split::{SlotOfKey, send_parts, slots, stride};
