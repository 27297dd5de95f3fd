//! Starts the proxy.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use slotilla_common::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    slotilla_proxy::cli::run(std::env::args().skip(1))
}
