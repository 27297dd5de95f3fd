//! What goes into an entry, what is seen in it, and what is left of it.

use super::{INLINE_MAX, Object, size_class};

/// A value to store.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// An integer.
    Int(i64),
    /// A string to copy.
    Bytes(&'a [u8]),
    /// A string in an allocation of its own, spare capacity and all.
    Owned(Vec<u8>),
    /// Anything else.
    Object(Object),
}

impl<'a> NewValue<'a> {
    /// What SET stores for `bytes`: an integer if it is one in its only spelling, as Redis does.
    #[must_use]
    #[inline]
    pub fn encoded(bytes: &'a [u8]) -> Self {
        match strict_integer(bytes) {
            Some(number) => Self::Int(number),
            None => Self::Bytes(bytes),
        }
    }

    /// With a string that is too long to be inline in an allocation of its own.
    #[inline]
    pub(super) fn settled(self) -> Self {
        match self {
            Self::Bytes(bytes) if bytes.len() > INLINE_MAX => {
                let mut own = Vec::with_capacity(size_class(bytes.len()));
                own.extend_from_slice(bytes);
                Self::Owned(own)
            }
            other => other,
        }
    }
}

/// `bytes` as an integer, if printing the integer gives `bytes` again.
#[inline]
pub(crate) fn strict_integer(bytes: &[u8]) -> Option<i64> {
    // Most values are ruled out by their first byte or their length.
    let (first, rest) = bytes.split_first()?;
    if bytes.len() > 20 || !(first.is_ascii_digit() || *first == b'-') {
        return None;
    }
    let (negative, digits) = match (*first, rest) {
        (b'0', []) => return Some(0),
        (b'-', digits) => (true, digits),
        (_, _) => (false, bytes),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    digits.iter().try_fold(0i64, |number, digit| {
        let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        let shifted = number.checked_mul(10)?;
        if negative {
            shifted.checked_sub(digit)
        } else {
            shifted.checked_add(digit)
        }
    })
}

/// A value as it lies in an entry.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string that is an integer.
    Int(i64),
    /// A string.
    Bytes(&'a [u8]),
    /// Anything else.
    Object(&'a Object),
}

impl<'a> ValueRef<'a> {
    /// The string's bytes, an integer's written into `digits`; `None` if it is no string.
    #[must_use]
    #[inline]
    pub fn text<'b>(self, digits: &'b mut Digits) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::Int(number) => Some(digits.of(number)),
            Self::Bytes(bytes) => Some(bytes),
            Self::Object(_) => None,
        }
    }

    /// The string's length; `None` if it is no string.
    #[must_use]
    pub fn text_len(self) -> Option<usize> {
        self.text(&mut Digits::default()).map(<[u8]>::len)
    }

    /// TYPE's answer.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) | Self::Bytes(_) => "string",
            Self::Object(object) => object.type_name(),
        }
    }
}

/// Room for an integer in decimal.
#[derive(Debug)]
pub struct Digits([u8; 20]);

impl Default for Digits {
    #[inline]
    fn default() -> Self {
        Self([0; 20])
    }
}

impl Digits {
    /// `number` in decimal.
    #[inline]
    pub fn of(&mut self, number: i64) -> &[u8] {
        let mut rest = number.unsigned_abs();
        let mut from = self.0.len();
        for (index, place) in self.0.iter_mut().enumerate().rev() {
            // The remainder is below 10.
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            from = index;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            from = from.saturating_sub(1);
            if let Some(place) = self.0.get_mut(from) {
                *place = b'-';
            }
        }
        self.0.get(from..).unwrap_or_default()
    }
}

/// OBJECT ENCODING's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// An integer.
    Int,
    /// A short string as it was set.
    Embstr,
    /// A long string, or one that was changed in place.
    Raw,
    /// What an object says.
    Object(&'static str),
}

impl Encoding {
    /// As Redis spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Object(name) => name,
        }
    }
}

/// A value that is no longer in an entry, to be freed here or by the freeing thread.
#[derive(Debug)]
pub enum Garbage {
    /// A string's allocation.
    Bytes(Vec<u8>),
    /// Anything else.
    Object(Object),
}

impl Garbage {
    /// Bytes that freeing it gives back.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self {
            Self::Bytes(bytes) => size_class(bytes.capacity()),
            Self::Object(object) => object.memory(),
        }
    }
}
