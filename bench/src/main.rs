//! Load generator and floor server.

fn main() {}
