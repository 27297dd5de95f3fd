//! A storage node.

pub mod cluster;
pub mod commands;
pub mod config;
pub mod process;
pub mod server;
pub mod store;
