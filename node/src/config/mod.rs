//! The node's directives, from files and arguments, and while it runs.
//!
//! [`TABLE`] has a row for each directive. [`Config`] holds a value for each row: an immutable
//! snapshot behind one pointer, and beside it the numbers that the hot path reads as plain atomics.
//! CONFIG SET builds a new snapshot, stores it, and lets the parts that depend on what changed
//! apply it; if one of them cannot, the old snapshot comes back, so a change happens whole or
//! not at all.

mod access;
mod ack_writes;
mod directive;
mod load;
mod rewrite;
mod set;
mod structured;
mod table;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use slotilla_common::glob;

pub use access::{EndpointType, Permission};
pub use ack_writes::AckWrites;
pub use directive::{Access, Directive, Effect, Group, Kind, Unit};
pub use load::fatal_text;
pub use rewrite::RewriteError;
pub(crate) use set::UNKNOWN;
pub use set::{Applier, SetError};
pub use structured::{OutputLimit, SavePoint, ShutdownFlags};
pub use table::{COUNT, Key, TABLE};
pub use value::Value;

/// A value for each row of [`TABLE`], in its order.
type Values = Vec<Value>;

/// The configuration of a running node.
pub struct Config {
    values: ArcSwap<Values>,
    /// What the hot path reads, by key.
    hot: [AtomicU64; COUNT],
    /// What each key is when nobody says otherwise.
    defaults: Values,
    /// The file that was read, for CONFIG REWRITE.
    file: Option<ConfigFile>,
    /// What the start should warn of.
    warnings: Vec<String>,
    /// Held while values change and while the file is rewritten.
    writer: Mutex<()>,
    appliers: RwLock<Vec<Arc<set::Registered>>>,
}

/// The file that the configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) form: Form,
}

/// The form of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// redis.conf's: a directive and words to a line.
    Conf,
    /// TOML.
    Toml,
}

impl Config {
    fn new(
        values: Values,
        defaults: Values,
        file: Option<ConfigFile>,
        warnings: Vec<String>,
    ) -> Self {
        let config = Self {
            values: ArcSwap::from_pointee(Values::new()),
            hot: [const { AtomicU64::new(0) }; COUNT],
            defaults,
            file,
            warnings,
            writer: Mutex::new(()),
            appliers: RwLock::default(),
        };
        config.publish(Arc::new(values));
        config
    }

    /// Makes these the values from now on.
    fn publish(&self, values: Arc<Values>) {
        for (hot, value) in self.hot.iter().zip(values.iter()) {
            hot.store(value.hot(), Ordering::Relaxed);
        }
        self.values.store(values);
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: Key) -> Value {
        let values = self.values.load();
        values
            .get(key as usize)
            .cloned()
            .unwrap_or(Value::Number(0))
    }

    /// A number: an integer, a boolean, the place of a choice. Plain loads: for the hot path.
    #[must_use]
    #[inline]
    pub fn number(&self, key: Key) -> i64 {
        self.size(key).cast_signed()
    }

    /// A size in bytes, or the length of a text. A plain load.
    #[must_use]
    #[inline]
    pub fn size(&self, key: Key) -> u64 {
        #[expect(clippy::indexing_slicing, reason = "there is one for each key")]
        self.hot[key as usize].load(Ordering::Relaxed)
    }

    /// A boolean. A plain load.
    #[must_use]
    #[inline]
    pub fn flag(&self, key: Key) -> bool {
        self.size(key) != 0
    }

    /// A text; anything else as CONFIG GET shows it.
    #[must_use]
    pub fn text(&self, key: Key) -> String {
        String::from_utf8_lossy(&self.shown(key)).into_owned()
    }

    /// A value as CONFIG GET shows it.
    #[must_use]
    pub fn shown(&self, key: Key) -> Vec<u8> {
        self.value(key).show(Directive::of(key).kind)
    }

    /// The directives that a pattern of CONFIG GET means, with their values. A name without
    /// wildcards is answered as it was asked, hidden or not.
    #[must_use]
    pub fn get(&self, pattern: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let values = self.values.load();
        let show = |directive: &Directive| {
            values
                .get(directive.key as usize)
                .map_or_else(Vec::new, |v| v.show(directive.kind))
        };
        if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
            let named = std::str::from_utf8(pattern).ok().and_then(Directive::named);
            return named
                .map(|directive| (pattern.to_vec(), show(directive)))
                .into_iter()
                .collect();
        }
        TABLE
            .iter()
            .filter(|directive| directive.access != Access::Hidden)
            .flat_map(|directive| directive.names().map(move |name| (name, directive)))
            .filter(|(name, _)| glob::matches_nocase(pattern, name.as_bytes()))
            .map(|(name, directive)| (name.as_bytes().to_vec(), show(directive)))
            .collect()
    }

    /// The file that CONFIG REWRITE writes, absolute; none when the node started without one.
    #[must_use]
    pub fn file_path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// What the start should log as warnings: directives that are accepted and do nothing.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the values: there are passwords among them.
        f.debug_struct("Config")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
