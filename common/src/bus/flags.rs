//! Bits that say what a node is, and what a message is.

/// What a node is, as its own header and others' gossip say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct NodeFlags(pub u16);

impl NodeFlags {
    /// A primary ("master" on the wire).
    pub const PRIMARY: Self = Self(1);
    /// A replica ("slave" on the wire).
    pub const REPLICA: Self = Self(2);
    /// Not heard of for the node timeout, by one node's view.
    pub const PFAIL: Self = Self(4);
    /// Failing, by the agreement of a majority.
    pub const FAIL: Self = Self(8);
    /// The sender itself; always set in a header.
    pub const MYSELF: Self = Self(16);
    /// Met, but its real name is not known yet.
    pub const HANDSHAKE: Self = Self(32);
    /// Its address is not known.
    pub const NOADDR: Self = Self(64);
    /// The first message to it shall be MEET.
    pub const MEET: Self = Self(128);
    /// A primary that replicas of others may migrate to.
    pub const MIGRATE_TO: Self = Self(256);
    /// A replica that will not stand for election.
    pub const NOFAILOVER: Self = Self(512);

    /// No flag.
    pub const NONE: Self = Self(0);

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags and `other`'s.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags without `other`'s.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Sets `other`'s bits.
    pub fn set(&mut self, other: Self) {
        *self = self.with(other);
    }

    /// Clears `other`'s bits.
    pub fn clear(&mut self, other: Self) {
        *self = self.without(other);
    }
}

/// What a message says of itself, in the first byte of its flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageFlags(pub u8);

impl MessageFlags {
    /// The sender, a primary, has paused its clients for a manual failover.
    pub const PAUSED: Self = Self(1);
    /// Vote although the primary is up: the failover is manual.
    pub const FORCE_ACK: Self = Self(2);
    /// The sender knows of extensions; the message may carry some.
    pub const EXT_DATA: Self = Self(4);

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags and `other`'s.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
