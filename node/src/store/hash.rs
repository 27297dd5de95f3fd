//! The hash of a key within its slot: SipHash-1-3 under a key of this process.
//!
//! Clients see bits of it (SCAN's cursor and order), and choose the keys, so nothing weaker than a
//! keyed hash keeps them from filling one bucket. One pass over a slice, where the standard
//! library's hasher buffers a stream: half its time on a short key.

use std::hash::{BuildHasher, RandomState};

/// Hashes keys. A newtype, so that the function can change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher {
    k0: u64,
    k1: u64,
}

impl KeyHasher {
    /// With a random key, drawn from the operating system.
    #[must_use]
    pub(crate) fn random() -> Self {
        let random = RandomState::new();
        Self {
            k0: random.hash_one(0u8),
            k1: random.hash_one(1u8),
        }
    }

    /// With a given key, so that a test's order can be replayed.
    #[cfg(test)]
    pub(crate) const fn with_key(k0: u64, k1: u64) -> Self {
        Self { k0, k1 }
    }

    /// The hash of `key`.
    #[must_use]
    #[inline]
    pub(crate) fn hash(self, key: &[u8]) -> u64 {
        let mut state = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        let (words, rest) = key.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = (key.len() as u64) << 56;
        for (n, byte) in rest.iter().enumerate() {
            last |= u64::from(*byte) << (8 * n);
        }
        state.absorb(last);
        state.v2 ^= 0xff;
        state.round();
        state.round();
        state.round();
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher};

    proptest! {
        #[test]
        fn it_is_the_standard_librarys_function(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut oracle = DefaultHasher::new();
            oracle.write(&key);
            prop_assert_eq!(KeyHasher::with_key(0, 0).hash(&key), oracle.finish());
        }
    }

    #[test]
    fn two_processes_hash_differently() {
        let (a, b) = (KeyHasher::random(), KeyHasher::random());
        assert_ne!(a.hash(b"centos"), b.hash(b"centos"));
        assert_eq!(a.hash(b"centos"), a.hash(b"centos"));
    }
}
