//! Starts a storage node.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: slotilla_common::alloc::Counting = slotilla_common::alloc::Counting;

fn main() -> ExitCode {
    slotilla_node::run(std::env::args().skip(1))
}
