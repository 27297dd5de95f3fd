//! The cluster bus: Redis's binary gossip format.
