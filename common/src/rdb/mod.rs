//! Redis's serialised form of values: what DUMP gives and RESTORE takes.
//!
//! ```text
//! DUMP payload    value … | version, 2 bytes, little-endian | CRC64 of all before, 8 bytes, little-endian
//! ```

mod crc64;

pub use crc64::{Crc64, crc64};

/// The version of the format that Redis 7.0 writes.
pub const VERSION: u16 = 10;

/// Bytes of version and checksum.
const FOOTER: usize = 10;

/// A payload is damaged, or newer than [`VERSION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("DUMP payload version or checksum are wrong")]
pub struct BadPayload;

/// Ends a payload: appends version and checksum.
pub fn seal(payload: &mut Vec<u8>) {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

/// What a payload holds, without its version and checksum.
///
/// # Errors
/// [`BadPayload`] if they are wrong.
pub fn open(payload: &[u8]) -> Result<&[u8], BadPayload> {
    let split = payload.len().checked_sub(FOOTER).ok_or(BadPayload)?;
    let (value, footer) = payload.split_at_checked(split).ok_or(BadPayload)?;
    let (version, sum) = footer.split_first_chunk::<2>().ok_or(BadPayload)?;
    let sum: [u8; 8] = sum.try_into().map_err(|_| BadPayload)?;
    let checked = payload.get(..payload.len() - 8).ok_or(BadPayload)?;
    if u16::from_le_bytes(*version) > VERSION || u64::from_le_bytes(sum) != crc64(checked) {
        return Err(BadPayload);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_payload_opens() {
        let mut payload = b"\x00\x03abc".to_vec();
        seal(&mut payload);
        assert_eq!(open(&payload), Ok(&b"\x00\x03abc"[..]));
        for place in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[place] ^= 1;
            assert_eq!(open(&damaged), Err(BadPayload), "byte {place}");
        }
        for len in 0..payload.len() {
            assert_eq!(open(&payload[..len]), Err(BadPayload), "{len} bytes");
        }
    }

    #[test]
    fn what_redis_dumps_for_no_functions_is_what_we_do() {
        let mut payload = Vec::new();
        seal(&mut payload);
        assert_eq!(payload, b"\x0a\x00\x5d\x9b\x5c\x40\x0f\x7f\xa2\xda");
    }
}
