//! Starts a storage node.

fn main() {}
