//! Bytes as short as keys are.

/// Whether two byte strings are the same. Up to 32 bytes, as keys nearly always have, that is two
/// words of each, which overlap; a call to compare memory costs several times as much.
#[must_use]
#[inline(always)]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        8..=16 => ends::<8>(left) == ends::<8>(right),
        17..=32 => ends::<16>(left) == ends::<16>(right),
        4..=7 => ends::<4>(left) == ends::<4>(right),
        _ => left == right,
    }
}

/// The first and the last `N` bytes.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    bytes.first_chunk().zip(bytes.last_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_at_every_length() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).collect();
            assert!(same(&bytes, &bytes.clone()), "{length}");
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x40;
                assert!(!same(&bytes, &other), "byte {at} of {length}");
                assert!(!same(&bytes, &bytes[1..]), "{length}");
            }
        }
    }
}
