//! Reading configuration: files, arguments, sizes, durations.
//!
//! What the node's redis.conf and node.toml and the proxy's proxy.toml have in common: how a line
//! becomes words, how a TOML document becomes keys with line numbers, how values are
//! written, and what an error says. The keys themselves belong to the binaries.

mod args;
mod error;
mod lines;
mod tables;
mod units;
mod words;

pub use args::{Arguments, arguments};
pub use error::{ConfigError, Origin, nearest};
pub use lines::lines;
pub use tables::tables;
pub use units::{format_size, parse_bool, parse_duration, parse_size};
pub use words::{UnbalancedQuotes, quote, split};

/// One setting as somebody wrote it, before anybody knows what the key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it was written.
    pub origin: Origin,
    /// The key, in the letter case it was written in.
    pub key: String,
    /// The words after the key. Bytes: a password may hold any.
    pub words: Vec<Vec<u8>>,
    /// The line as written, for errors.
    pub shown: String,
}

impl Entry {
    /// An error about this entry.
    #[must_use]
    pub fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> ConfigError {
        ConfigError {
            origin: self.origin.clone(),
            key: self.key.clone(),
            shown: self.shown.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}
