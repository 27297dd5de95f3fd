//! The cluster: who is in it, who owns which slot.

pub mod routing;
