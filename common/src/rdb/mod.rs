//! Redis's serialised form: of values, as DUMP gives them and RESTORE takes them; of all data, as
//! snapshots and full synchronisations have it.
//!
//! ```text
//! DUMP payload    type 1 byte | value … | version 2, little-endian | CRC64 of all before it 8, the same
//! file            see file.rs
//!
//! length          00xxxxxx │ 01xxxxxx + 1 byte, big end first │ 80 + 4 bytes │ 81 + 8 bytes
//! string          length and bytes │ C0 + i8 │ C1 + i16 │ C2 + i32, little-endian: a number
//!                 │ C3 + compressed length + length + bytes: LZF
//! score           8 bytes, little-endian │ in old files a length of one byte and text;
//!                 253 NaN, 254 infinite, 255 negative infinite
//! time            Unix milliseconds 8 bytes, little-endian │ in old files seconds in 4
//! ```
//!
//! [`Writer`] and [`Reader`] know these and what stands between values; the values are put together
//! and taken apart by `slotilla_node::rdb`. Both go through anything piece by piece, and hold no
//! more than a piece and one string.

mod crc64;
mod file;
mod kinds;
mod lzf;
mod read;
mod write;

pub use crc64::{Crc64, crc64};
pub use file::{Item, KeyInfo};
pub use kinds::{Opcode, ValueType};
pub use lzf::{BadLzf, Compressor, can_expand_to, decompress};
pub use read::{Problem, ReadError, Reader};
pub use write::Writer;

/// The version of the format that is written: that of Redis 7.0, which all peers read.
pub const VERSION: u16 = 10;

/// Whether what has this version can be read: everything up to Redis 7.2 and Valkey 8, and Valkey
/// 9.0 and 9.1. What lies between is of later Redis versions, and written otherwise.
#[must_use]
pub const fn is_readable(version: u32) -> bool {
    matches!(version, 1..=11 | 80)
}

/// Bytes of version and checksum.
const FOOTER: usize = 10;

/// A payload is damaged, or of a version that cannot be read.
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
    let value = open_unchecked(payload)?;
    let (checked, sum) = payload.split_last_chunk::<8>().ok_or(BadPayload)?;
    if u64::from_le_bytes(*sum) == crc64(checked) {
        Ok(value)
    } else {
        Err(BadPayload)
    }
}

/// As [`open`], whatever the checksum is.
///
/// # Errors
/// [`BadPayload`] if the version is none that can be read.
pub fn open_unchecked(payload: &[u8]) -> Result<&[u8], BadPayload> {
    let split = payload.len().checked_sub(FOOTER).ok_or(BadPayload)?;
    let (value, footer) = payload.split_at_checked(split).ok_or(BadPayload)?;
    let version = footer.first_chunk::<2>().ok_or(BadPayload)?;
    if is_readable(u32::from(u16::from_le_bytes(*version))) {
        Ok(value)
    } else {
        Err(BadPayload)
    }
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
            let version = payload.len() - FOOTER;
            if !(version..version + 2).contains(&place) {
                let value = &damaged[..version];
                assert_eq!(open_unchecked(&damaged), Ok(value), "byte {place}");
            }
        }
        for len in 0..payload.len() {
            assert_eq!(open(&payload[..len]), Err(BadPayload), "{len} bytes");
            if len < FOOTER {
                assert_eq!(open_unchecked(&payload[..len]), Err(BadPayload));
            }
        }
    }

    #[test]
    fn payloads_of_later_versions_are_read_where_that_can_be() {
        for (version, is_read) in [(1, true), (11, true), (12, false), (79, false), (80, true)] {
            let mut payload = b"\x00\x01a".to_vec();
            payload.extend_from_slice(&u16::to_le_bytes(version));
            payload.extend_from_slice(&crc64(&payload).to_le_bytes());
            assert_eq!(open(&payload).is_ok(), is_read, "{version}");
        }
    }

    #[test]
    fn what_redis_dumps_for_no_functions_is_what_we_do() {
        let mut payload = Vec::new();
        seal(&mut payload);
        assert_eq!(payload, b"\x0a\x00\x5d\x9b\x5c\x40\x0f\x7f\xa2\xda");
    }
}
