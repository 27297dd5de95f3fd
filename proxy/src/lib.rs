//! One address in front of a cluster.

pub mod dev;
pub mod downstream;
pub mod policy;
pub mod router;
pub mod slotmap;
pub mod upstream;
