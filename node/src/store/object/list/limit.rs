//! How much of a list may lie in one listpack.

use super::super::listpack::Listpack;

/// How large a node may be: `list-max-listpack-size`, and what DEBUG QUICKLIST-PACKED-THRESHOLD
/// says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    elements: usize,
    bytes: usize,
    alone: usize,
}

impl NodeLimit {
    /// What a node of few elements may take.
    const FEW_BYTES_MAX: usize = 8192;
    /// What an element takes beside its content, at most, within such bounds.
    const OVERHEAD: usize = 11;

    /// What a value of the directive means: a count, whose bytes are bounded too; or -1 to -5 for
    /// 4 to 64 KiB. An element of `alone` bytes shares its node with no other.
    #[must_use]
    pub fn from_config(value: i64, alone: usize) -> Self {
        let (elements, bytes) = match usize::try_from(value) {
            Ok(count) => (count.max(1), Self::FEW_BYTES_MAX),
            Err(_) => (usize::MAX, 4096 << (value.unsigned_abs().min(5) - 1)),
        };
        Self {
            elements,
            bytes,
            alone,
        }
    }

    /// Whether a node of `count` elements may get another of `more` bytes.
    #[inline]
    pub(super) fn allows(self, pack: &Listpack, count: usize, more: usize) -> bool {
        let bytes = pack.byte_len();
        count < self.elements
            && bytes + more + Self::OVERHEAD <= self.bytes
            && more < self.alone
            && !self.is_alone(pack, count)
    }

    /// Whether a node has but one element, which is to stay so.
    pub(super) fn is_alone(self, pack: &Listpack, count: usize) -> bool {
        let only = || pack.first().map(|at| pack.item(at).len());
        count == 1 && only().is_some_and(|len| len >= self.alone)
    }

    /// Whether in a node of `count` elements one of `old` bytes may become one of `new`.
    pub(super) fn allows_in_place(
        self,
        pack: &Listpack,
        count: usize,
        old: usize,
        new: usize,
    ) -> bool {
        let bytes = pack.byte_len() + new + Self::OVERHEAD;
        count == 1 || new <= old || (bytes - old <= self.bytes && new < self.alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_means_a_count_or_a_size() {
        let most = usize::MAX;
        for (value, elements, bytes) in [
            (-1, most, 4096),
            (-2, most, 8192),
            (-5, most, 65_536),
            (-99, most, 65_536),
            (0, 1, 8192),
            (128, 128, 8192),
        ] {
            let limit = NodeLimit::from_config(value, most);
            assert_eq!((limit.elements, limit.bytes), (elements, bytes), "{value}");
        }
    }

    #[test]
    fn long_elements_stand_alone() {
        let limit = NodeLimit::from_config(-2, 100);
        let mut pack = Listpack::default();
        pack.push(&[b'x'; 99]);
        assert!(limit.allows(&pack, 1, 99));
        assert!(!limit.allows(&pack, 1, 100));
        assert!(!limit.allows_in_place(&pack, 2, 99, 100));
        let mut pack = Listpack::default();
        pack.push(&[b'x'; 100]);
        assert!(!limit.allows(&pack, 1, 1));
        assert!(limit.allows_in_place(&pack, 1, 100, 5000));
    }
}
