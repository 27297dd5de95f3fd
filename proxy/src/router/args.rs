//! The arguments of a request, where they lie in its bytes.

use slotilla_common::command::Args;
use slotilla_common::resp::ArgRange;

/// A parsed request.
#[derive(Debug, Clone, Copy)]
pub struct RequestArgs<'a> {
    bytes: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> RequestArgs<'a> {
    /// The request in `bytes`, whose arguments lie at `ranges`.
    #[must_use]
    pub fn new(bytes: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { bytes, ranges }
    }

    /// The whole request.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The argument at `index`; empty if there are not so many.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.ranges
            .get(index)
            .map(|range| range.of(self.bytes))
            .unwrap_or_default()
    }

    /// All arguments.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.ranges.iter().map(move |range| range.of(bytes))
    }

    /// Appends `count` arguments from `first` on to `out`, as bulk strings.
    pub fn copy_frames(&self, first: usize, count: usize, out: &mut Vec<u8>) {
        for range in self.ranges.iter().skip(first).take(count) {
            // `$`, the digits and the line end before an argument; its line end after it.
            let header = 3 + decimal_digits(range.len());
            let start = range.start().saturating_sub(header);
            let end = range.start() + range.len() + 2;
            out.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
        }
    }
}

impl Args for RequestArgs<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.ranges.len()
    }

    #[inline]
    fn arg(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}

/// Digits of a length; the parser takes no leading zeros.
fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::resp::{RequestLimits, RequestParser, encode_command};

    #[test]
    fn frames_are_copied_as_they_came() {
        let long = vec![b'x'; 12_345];
        let words: [&[u8]; 4] = [b"MSET", b"", &long, b"123456789"];
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &words);
        let mut ranges = Vec::new();
        RequestParser::default()
            .parse(&bytes, &mut ranges, &RequestLimits::default())
            .unwrap();
        let args = RequestArgs::new(&bytes, &ranges);
        let mut copy = b"*4\r\n".to_vec();
        args.copy_frames(0, 4, &mut copy);
        assert_eq!(copy, bytes);
        assert_eq!(args.get(3), b"123456789");
        assert_eq!(args.get(4), b"");
    }
}
