//! A whole cluster on this machine, behind a proxy: for trying out.

use std::process::ExitCode;

use crate::cli::complain;

/// The hidden first argument that makes this program a node.
pub const NODE_ARGUMENT: &str = "dev-node";

/// Runs `slotilla-proxy dev`.
pub fn run(_options: &[&str]) -> ExitCode {
    complain("dev is not there yet")
}

/// Runs one of its nodes.
pub fn run_node(_arguments: &[&str]) -> ExitCode {
    complain("dev is not there yet")
}
