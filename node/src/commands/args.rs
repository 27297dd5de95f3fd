//! The arguments of one request.

use slotilla_common::resp::{ArgRange, as_encoded, parse_i64};

use super::CommandError;

/// The arguments of one request, the command's name first: ranges of the bytes that came in.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    input: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> Args<'a> {
    /// Arguments that lie at `ranges` of `input`.
    #[must_use]
    #[inline]
    pub fn new(input: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { input, ranges }
    }

    /// How many there are, the name included.
    #[must_use]
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "there is always the command's name"
    )]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Argument `index`; empty if there is none.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.ranges
            .get(index)
            .map_or(b"", |range| range.of(self.input))
    }

    /// The arguments from `index` on.
    pub fn iter_from(
        &self,
        index: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let input = self.input;
        self.ranges
            .get(index..)
            .unwrap_or_default()
            .iter()
            .map(move |range| range.of(input))
    }

    /// The request as it came, if it came as it would be written.
    #[must_use]
    #[inline]
    pub fn as_encoded(&self) -> Option<&'a [u8]> {
        as_encoded(self.input, self.ranges)
    }

    /// Whether argument `index` is `word`, in any letter case.
    #[must_use]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Argument `index` as a 64-bit integer, by Redis's strict rules.
    ///
    /// # Errors
    /// [`CommandError::NotInteger`] for anything else.
    pub fn int(&self, index: usize) -> Result<i64, CommandError> {
        parse_i64(self.get(index)).ok_or(CommandError::NotInteger)
    }

    /// Copies of all arguments.
    #[must_use]
    pub fn to_vecs(&self) -> Vec<Vec<u8>> {
        self.iter_from(0).map(<[u8]>::to_vec).collect()
    }
}

impl slotilla_common::command::Args for Args<'_> {
    fn len(&self) -> usize {
        Args::len(self)
    }

    fn arg(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}
