//! Values in Redis's serialised form: for DUMP and RESTORE, for snapshots and replication.
//!
//! ```text
//! save.rs     a value → bytes that Redis 7.0 loads, in steps of bounded length
//! load.rs     bytes of any version that `slotilla_common::rdb` reads → a value, built as it comes
//! packed.rs   the packed forms that are only read: ziplists, zipmaps
//! ```
//!
//! Lengths, strings, checksums and what stands between values are `slotilla_common::rdb`'s. What is
//! packed alike here and there (listpacks, intsets) is copied, after a look at every byte.

mod load;
mod packed;
mod save;

pub use load::{KeyError, LoadError, Loader, fuzz_dump};
pub use save::{SaveOptions, Saving, save, value_type};

use crate::server::Server;
use crate::store::{NodeLimit, PackedLimits};

/// How large packed collections may be, for what is loaded: the configuration's.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of hashes.
    pub hash: PackedLimits,
    /// Of sorted sets.
    pub sorted_set: PackedLimits,
    /// Integers that a set has while it is an intset.
    pub ints_max: usize,
    /// Of a list's nodes.
    pub list: NodeLimit,
}

impl Limits {
    /// What the configuration says now.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        let config = &server.config;
        let alone = server.store.settings().list_alone_bytes();
        Self {
            hash: PackedLimits {
                entries: config.hash_max_listpack_entries(),
                bytes: config.hash_max_listpack_value(),
            },
            sorted_set: PackedLimits {
                entries: config.zset_max_listpack_entries(),
                bytes: config.zset_max_listpack_value(),
            },
            ints_max: config.set_max_intset_entries(),
            list: NodeLimit::from_config(config.list_max_listpack_size(), alone),
        }
    }
}
