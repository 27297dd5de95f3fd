//! A storage node: owns some of the 16384 slots and serves them on every core.

pub mod aof;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod persistence;
pub mod process;
pub mod rdb;
pub mod replication;
mod run;
pub mod server;
pub mod store;

pub use run::run;
