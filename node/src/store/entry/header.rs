//! An entry's first word, and the tag above its address.

use super::{INLINE_MAX, NewValue};

const ACCESS: u64 = 0xff_ffff;
const STORAGE: u64 = 0b11 << 24;
const RAW: u64 = 1 << 26;
const HAS_EXPIRY: u64 = 1 << 27;
const LONG_KEY: u64 = 1 << 28;
const KEY_LEN_AT: u32 = 32;
const INLINE_LEN_AT: u32 = 48;
const LEN_MAX: u64 = 0xffff;

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// A string behind the key.
    Inline,
    /// An integer in the entry.
    Int,
    /// A string in an allocation of its own.
    Bytes,
    /// Anything else.
    Object,
}

impl Storage {
    #[inline]
    pub(super) const fn fixed_size(self) -> usize {
        match self {
            Self::Inline => 0,
            Self::Int | Self::Object => 8,
            Self::Bytes => size_of::<Vec<u8>>(),
        }
    }

    const fn bits(self) -> u64 {
        (match self {
            Self::Inline => 0,
            Self::Int => 1,
            Self::Bytes => 2,
            Self::Object => 3,
        }) << 24
    }
}

const _: () = assert!(INLINE_MAX as u64 <= LEN_MAX, "an inline length has 16 bits");
const _: () = assert!(
    size_of::<Vec<u8>>().is_multiple_of(8) && size_of::<super::Object>() == 8,
    "what precedes the key keeps words aligned"
);

/// The first word: `entry`'s page draws it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Header(u64);

impl Header {
    pub(super) fn new(access: u32, key_len: usize, expires: bool, value: &NewValue<'_>) -> Self {
        let (storage, inline_len) = match value {
            NewValue::Int(_) => (Storage::Int, 0),
            NewValue::Bytes(bytes) => (Storage::Inline, bytes.len()),
            NewValue::Owned(_) => (Storage::Bytes, 0),
            NewValue::Object(_) => (Storage::Object, 0),
        };
        let key = match key_len as u64 {
            short if short < LEN_MAX => short << KEY_LEN_AT,
            _ => LONG_KEY,
        };
        Self(u64::from(access) & ACCESS | storage.bits() | key)
            .with_expiry(expires)
            .with_inline_len(inline_len)
    }

    #[inline]
    pub(super) const fn access(self) -> u32 {
        (self.0 & ACCESS) as u32
    }

    #[inline]
    pub(super) const fn with_access(self, access: u32) -> Self {
        Self(self.0 & !ACCESS | access as u64 & ACCESS)
    }

    #[inline]
    pub(super) const fn storage(self) -> Storage {
        match (self.0 & STORAGE) >> 24 {
            0 => Storage::Inline,
            1 => Storage::Int,
            2 => Storage::Bytes,
            _ => Storage::Object,
        }
    }

    #[inline]
    pub(super) const fn expiry_size(self) -> usize {
        if self.0 & HAS_EXPIRY == 0 { 0 } else { 8 }
    }

    pub(super) const fn with_expiry(self, expires: bool) -> Self {
        let bit = if expires { HAS_EXPIRY } else { 0 };
        Self(self.0 & !HAS_EXPIRY | bit)
    }

    #[inline]
    pub(super) const fn is_long_key(self) -> bool {
        self.0 & LONG_KEY != 0
    }

    #[inline]
    pub(super) const fn long_key_size(self) -> usize {
        if self.is_long_key() { 8 } else { 0 }
    }

    #[inline]
    pub(super) const fn short_key_len(self) -> usize {
        (self.0 >> KEY_LEN_AT & LEN_MAX) as usize
    }

    #[inline]
    pub(super) const fn inline_len(self) -> usize {
        (self.0 >> INLINE_LEN_AT) as usize
    }

    /// `len` is at most [`INLINE_MAX`], which 16 bits hold.
    pub(super) const fn with_inline_len(self, len: usize) -> Self {
        Self(self.0 & !(LEN_MAX << INLINE_LEN_AT) | (len as u64) << INLINE_LEN_AT)
    }

    pub(super) const fn is_raw(self) -> bool {
        self.0 & RAW != 0
    }

    /// The string was changed in place, so Redis would call it `raw` however short it is.
    pub(super) const fn with_raw(self) -> Self {
        Self(self.0 | RAW)
    }
}

/// An expiry in 16 bits: zero for none, else its 256-millisecond tick modulo 65535, plus one.
///
/// It comes round every 4.66 hours, so a tag says "not due before" only within a window; an entry
/// of another round that shares the tag of a due one costs one needless look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ExpiryTag(pub(super) u16);

impl ExpiryTag {
    /// Milliseconds in a tick, as a shift.
    pub(crate) const TICK_SHIFT: u32 = 8;
    /// Ticks until tags repeat.
    pub(crate) const ROUND: i64 = 65_535;

    #[inline]
    pub(crate) fn of(expiry: Option<i64>) -> Self {
        match expiry {
            None => Self(0),
            // Below 65535, so one more fits 16 bits.
            Some(at) => Self((at >> Self::TICK_SHIFT).rem_euclid(Self::ROUND) as u16 + 1),
        }
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// How many ticks from tick `from` on this one comes up first; `None` for no expiry.
    #[inline]
    pub(crate) fn ticks_after(self, from: i64) -> Option<i64> {
        if self.is_none() {
            return None;
        }
        Some((i64::from(self.0) - 1 - from).rem_euclid(Self::ROUND))
    }
}
