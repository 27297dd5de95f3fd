//! Sets of names that Redis keeps as bits: command flags, ACL categories, what is done to a key.

/// What kind of command it is: Redis's command flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(pub(super) u32);

/// The ACL categories that a command belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AclCategories(pub(super) u32);

/// What a command does to a key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeyFlags(pub(super) u16);

impl Flags {
    /// Changes data.
    pub const WRITE: Self = Self(1);
    /// Reads data and changes none.
    pub const READONLY: Self = Self(1 << 1);
    /// May need memory: refused when memory is full and nothing may be evicted.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Administers the server.
    pub const ADMIN: Self = Self(1 << 3);
    /// Publishes or subscribes.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not allowed in scripts.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// May make its client wait.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while the server loads its data.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a replica that has lost its primary.
    pub const STALE: Self = Self(1 << 8);
    /// MONITOR does not show it.
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    /// SLOWLOG does not record it.
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    /// Runs on a slot that is being imported, as if ASKING came before it.
    pub const ASKING: Self = Self(1 << 11);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 12);
    /// Needs no authentication.
    pub const NO_AUTH: Self = Self(1 << 13);
    /// May be propagated to replicas although it is not a write. COMMAND INFO does not tell.
    pub const MAY_REPLICATE: Self = Self(1 << 14);
    /// May have something done that others are to do as well.
    pub const WRITES: Self = Self(Self::WRITE.0 | Self::MAY_REPLICATE.0);
    /// Its keys are optional.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 15);
    /// Not for every client: `enable-debug-command` and the like decide. COMMAND INFO does not
    /// tell.
    pub const PROTECTED: Self = Self(1 << 16);
    /// Refused while a replica loads a new data set beside the one that it serves.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 17);
    /// Not allowed in MULTI.
    pub const NO_MULTI: Self = Self(1 << 18);
    /// Where its keys are depends on the arguments. Derived from the key specs.
    pub const MOVABLEKEYS: Self = Self(1 << 19);
    /// Allowed while a script is running for too long.
    pub const ALLOW_BUSY: Self = Self(1 << 20);

    /// Names in the order in which COMMAND INFO gives them.
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_MONITOR, "skip_monitor"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::ASKING, "asking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
        (Self::NO_MULTI, "no_multi"),
        (Self::MOVABLEKEYS, "movablekeys"),
        (Self::ALLOW_BUSY, "allow_busy"),
    ];

    /// Whether all of `other` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    #[must_use]
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names that COMMAND INFO gives, in its order.
    pub fn names(self) -> impl ExactSizeIterator<Item = &'static str> {
        names(self.0, Self::NAMES.iter().map(|(bit, name)| (bit.0, *name)))
    }
}

impl AclCategories {
    /// Keys of any type.
    pub const KEYSPACE: Self = Self(1);
    /// Reads data.
    pub const READ: Self = Self(1 << 1);
    /// Changes data.
    pub const WRITE: Self = Self(1 << 2);
    /// Sets.
    pub const SET: Self = Self(1 << 3);
    /// Sorted sets.
    pub const SORTED_SET: Self = Self(1 << 4);
    /// Lists.
    pub const LIST: Self = Self(1 << 5);
    /// Hashes.
    pub const HASH: Self = Self(1 << 6);
    /// Strings.
    pub const STRING: Self = Self(1 << 7);
    /// Bitmaps.
    pub const BITMAP: Self = Self(1 << 8);
    /// HyperLogLogs.
    pub const HYPERLOGLOG: Self = Self(1 << 9);
    /// Places on the globe.
    pub const GEO: Self = Self(1 << 10);
    /// Streams.
    pub const STREAM: Self = Self(1 << 11);
    /// Publish and subscribe.
    pub const PUBSUB: Self = Self(1 << 12);
    /// Administration.
    pub const ADMIN: Self = Self(1 << 13);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 14);
    /// Everything that is not fast.
    pub const SLOW: Self = Self(1 << 15);
    /// May make its client wait.
    pub const BLOCKING: Self = Self(1 << 16);
    /// May do harm.
    pub const DANGEROUS: Self = Self(1 << 17);
    /// About the connection or other connections.
    pub const CONNECTION: Self = Self(1 << 18);
    /// Transactions.
    pub const TRANSACTION: Self = Self(1 << 19);
    /// Scripts and functions.
    pub const SCRIPTING: Self = Self(1 << 20);

    /// Names, without `@`, in the order in which ACL CAT gives them.
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::KEYSPACE, "keyspace"),
        (Self::READ, "read"),
        (Self::WRITE, "write"),
        (Self::SET, "set"),
        (Self::SORTED_SET, "sortedset"),
        (Self::LIST, "list"),
        (Self::HASH, "hash"),
        (Self::STRING, "string"),
        (Self::BITMAP, "bitmap"),
        (Self::HYPERLOGLOG, "hyperloglog"),
        (Self::GEO, "geo"),
        (Self::STREAM, "stream"),
        (Self::PUBSUB, "pubsub"),
        (Self::ADMIN, "admin"),
        (Self::FAST, "fast"),
        (Self::SLOW, "slow"),
        (Self::BLOCKING, "blocking"),
        (Self::DANGEROUS, "dangerous"),
        (Self::CONNECTION, "connection"),
        (Self::TRANSACTION, "transaction"),
        (Self::SCRIPTING, "scripting"),
    ];

    /// Every category.
    pub const ALL: Self = Self((1 << 21) - 1);

    /// The category of this name (any letter case, without `@`).
    #[must_use]
    pub fn by_name(name: &[u8]) -> Option<Self> {
        let mut rows = Self::NAMES.iter();
        rows.find(|(_, row)| row.as_bytes().eq_ignore_ascii_case(name))
            .map(|(bit, _)| *bit)
    }

    /// Whether all of `other` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names, without `@`, in the order in which ACL CAT gives them.
    pub fn names(self) -> impl ExactSizeIterator<Item = &'static str> {
        names(self.0, Self::NAMES.iter().map(|(bit, name)| (bit.0, *name)))
    }

    /// The categories that follow from a command's flags, with those that its row names.
    pub(super) const fn implied(flags: Flags, named: u32) -> u32 {
        let mut all = named;
        if flags.contains(Flags::WRITE) {
            all |= Self::WRITE.0;
        }
        if flags.contains(Flags::READONLY) && named & Self::SCRIPTING.0 == 0 {
            all |= Self::READ.0;
        }
        if flags.contains(Flags::ADMIN) {
            all |= Self::ADMIN.0 | Self::DANGEROUS.0;
        }
        if flags.contains(Flags::PUBSUB) {
            all |= Self::PUBSUB.0;
        }
        if flags.contains(Flags::BLOCKING) {
            all |= Self::BLOCKING.0;
        }
        all | if flags.contains(Flags::FAST) {
            Self::FAST.0
        } else {
            Self::SLOW.0
        }
    }
}

impl KeyFlags {
    /// The value may be read, never changed.
    pub const RO: Self = Self(1);
    /// Changed, in a way that depends on the value there.
    pub const RW: Self = Self(1 << 1);
    /// Overwritten, whatever the value there.
    pub const OW: Self = Self(1 << 2);
    /// Removed.
    pub const RM: Self = Self(1 << 3);
    /// What the user stored is returned or copied, or the reply tells something of it.
    pub const ACCESS: Self = Self(1 << 4);
    /// What the user stored is changed.
    pub const UPDATE: Self = Self(1 << 5);
    /// Something is added to what the user stored, nothing changed.
    pub const INSERT: Self = Self(1 << 6);
    /// Something that the user stored is deleted.
    pub const DELETE: Self = Self(1 << 7);
    /// Not a key, but routed like one: a shard channel.
    pub const NOT_KEY: Self = Self(1 << 8);
    /// The spec may not find all keys.
    pub const INCOMPLETE: Self = Self(1 << 9);
    /// What is done depends on the arguments.
    pub const VARIABLE_FLAGS: Self = Self(1 << 10);

    /// Names in the order in which COMMAND INFO gives them.
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::RO, "RO"),
        (Self::RW, "RW"),
        (Self::OW, "OW"),
        (Self::RM, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
        (Self::NOT_KEY, "not_key"),
        (Self::INCOMPLETE, "incomplete"),
        (Self::VARIABLE_FLAGS, "variable_flags"),
    ];

    /// Whether all of `other` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names that COMMAND INFO and COMMAND GETKEYSANDFLAGS give, in their order.
    pub fn names(self) -> impl ExactSizeIterator<Item = &'static str> {
        let rows = Self::NAMES.iter();
        names(
            u32::from(self.0),
            rows.map(|(bit, name)| (u32::from(bit.0), *name)),
        )
    }
}

fn names(
    bits: u32,
    table: impl Iterator<Item = (u32, &'static str)>,
) -> impl ExactSizeIterator<Item = &'static str> {
    let set: smallvec::SmallVec<[&'static str; 8]> = table
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| name)
        .collect();
    set.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_a_name_that_finds_it() {
        assert_eq!(AclCategories::ALL.names().len(), AclCategories::NAMES.len());
        for (bit, name) in AclCategories::NAMES {
            assert_eq!(
                AclCategories::by_name(name.to_uppercase().as_bytes()),
                Some(*bit)
            );
        }
        assert_eq!(AclCategories::by_name(b"@read"), None);
    }

    #[test]
    fn categories_follow_from_flags() {
        let write_fast = Flags(Flags::WRITE.0 | Flags::FAST.0);
        let set = AclCategories(AclCategories::implied(write_fast, AclCategories::STRING.0));
        assert_eq!(set.names().collect::<Vec<_>>(), ["write", "string", "fast"]);
    }
}
