//! HyperLogLogs: how many distinct elements were seen, in 16384 registers of 6 bits.
//!
//! They lie in strings that clients can read and write, so the bytes are Redis's, and any of them
//! may be wrong:
//!
//! ```text
//!  0   "HYLL"
//!  4   0 dense, 1 sparse
//!  5   three bytes unused
//!  8   the estimate when it was last worked out, little-endian; bit 63 says it is out of date
//! 16   dense (dense.rs):   12288 bytes, four registers in each three
//!      sparse (sparse.rs): runs of equal registers, one or two bytes each
//! ```
//!
//! An element's hash (`hash.rs`) names a register by its lowest 14 bits. Of the 50 above, the
//! place of the lowest 1, counted from one, is the element's rank; the register keeps the greatest
//! rank seen. `estimate.rs` makes a number of them. Nothing here knows of keys or entries.

mod dense;
mod estimate;
mod hash;
mod sparse;

use estimate::Histogram;

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// The hash's bits that make the rank.
const RANK_BITS: u32 = 64 - INDEX_BITS;
const MAGIC: &[u8; 4] = b"HYLL";
const FORM_AT: usize = 4;
const CACHE: std::ops::Range<usize> = 8..16;
const HEADER: usize = 16;

/// The bytes contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// How the registers are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Six bits each.
    Dense,
    /// As runs.
    Sparse,
}

impl Form {
    /// PFDEBUG ENCODING's answer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The form of a HyperLogLog; `None` if `bytes` do not look like one.
#[must_use]
pub fn form(bytes: &[u8]) -> Option<Form> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes.get(FORM_AT)? {
        0 => (bytes.len() == HEADER + dense::SIZE).then_some(Form::Dense),
        1 => Some(Form::Sparse),
        _ => None,
    }
}

/// One that has seen nothing.
#[must_use]
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    set_header(&mut bytes, MAGIC, Form::Sparse);
    sparse::push_empty(&mut bytes);
    bytes
}

fn set_header(bytes: &mut [u8], magic: &[u8], form: Form) {
    if let Some(place) = bytes.get_mut(..magic.len()) {
        place.copy_from_slice(magic);
    }
    if let Some(place) = bytes.get_mut(FORM_AT) {
        *place = u8::from(form == Form::Sparse);
    }
}

/// The estimate that was last worked out, unless it is out of date.
#[must_use]
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cache = u64::from_le_bytes(*bytes.get(CACHE)?.first_chunk()?);
    (cache >> 63 == 0).then_some(cache)
}

/// Keeps an estimate for [`cached`].
pub fn set_cached(bytes: &mut [u8], estimate: u64) {
    if let Some(place) = bytes.get_mut(CACHE) {
        place.copy_from_slice(&estimate.to_le_bytes());
    }
}

/// Says that the estimate kept is out of date; the rest of it stays, as in Redis.
pub fn forget_cached(bytes: &mut [u8]) {
    if let Some(last) = bytes.get_mut(CACHE.end - 1) {
        *last |= 0x80;
    }
}

/// How many distinct elements were seen, about.
///
/// # Errors
/// [`Corrupted`] if the runs are not of 16384 registers.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupted> {
    let mut histogram = Histogram::default();
    match (form(bytes), body(bytes)) {
        (Some(Form::Dense), body) => dense::tally(body, &mut histogram),
        (Some(Form::Sparse), body) => sparse::tally(body, &mut histogram)?,
        (None, _) => return Err(Corrupted),
    }
    Ok(histogram.estimate())
}

/// What follows the header.
fn body(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER..).unwrap_or_default()
}

/// Adds an element to a dense one, in place; whether that changed it.
pub fn add_dense(bytes: &mut [u8], element: &[u8]) -> bool {
    let (index, rank) = hash::place(element);
    bytes
        .get_mut(HEADER..)
        .is_some_and(|body| dense::raise(body, index, rank))
}

/// Adds an element; whether that changed anything. A sparse one that would be longer than
/// `sparse_max` becomes dense.
///
/// # Errors
/// [`Corrupted`] if the runs end before the element's register.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupted> {
    if form(bytes) == Some(Form::Dense) {
        return Ok(add_dense(bytes, element));
    }
    let (index, rank) = hash::place(element);
    let mut start = sparse::Start::default();
    raise(bytes, index, rank, &mut start, sparse_max)
}

/// Raises a register to `rank`; whether it was lower.
fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    rank: u8,
    start: &mut sparse::Start,
    sparse_max: usize,
) -> Result<bool, Corrupted> {
    if form(bytes) != Some(Form::Dense) {
        match sparse::raise(bytes, index, rank, start, sparse_max)? {
            sparse::Raised::No => return Ok(false),
            sparse::Raised::Yes => {
                forget_cached(bytes);
                return Ok(true);
            }
            sparse::Raised::NoRoom => to_dense(bytes)?,
        };
    }
    let body = bytes.get_mut(HEADER..).unwrap_or_default();
    Ok(dense::raise(body, index, rank))
}

/// Makes it dense; whether it was not.
///
/// # Errors
/// [`Corrupted`] if the runs are not of 16384 registers; nothing has changed then.
pub fn to_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupted> {
    if form(bytes) == Some(Form::Dense) {
        return Ok(false);
    }
    let mut dense = bytes.get(..HEADER).ok_or(Corrupted)?.to_vec();
    dense.resize(HEADER + dense::SIZE, 0);
    set_header(&mut dense, b"", Form::Dense);
    let registers = dense.get_mut(HEADER..).unwrap_or_default();
    sparse::each(body(bytes), |index, rank| {
        dense::raise(registers, index, rank);
    })?;
    *bytes = dense;
    Ok(true)
}

/// The runs of a sparse one in PFDEBUG DECODE's words; `None` if it is dense.
#[must_use]
pub fn describe(bytes: &[u8]) -> Option<String> {
    (form(bytes)? == Form::Sparse).then(|| sparse::describe(body(bytes)))
}

/// All registers, a byte each: what several HyperLogLogs are merged in.
#[derive(Debug)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Takes in another HyperLogLog: each register keeps the greater rank.
    ///
    /// # Errors
    /// [`Corrupted`] if its runs are not of 16384 registers.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupted> {
        match form(bytes).ok_or(Corrupted)? {
            Form::Dense => dense::merge(body(bytes), &mut self.0),
            Form::Sparse => sparse::each(body(bytes), |index, rank| {
                if let Some(register) = self.0.get_mut(index) {
                    *register = rank.max(*register);
                }
            })?,
        }
        Ok(())
    }

    /// Raises the registers of `bytes` to these, and says that its estimate is out of date.
    ///
    /// # Errors
    /// [`Corrupted`] if its runs end early. Those before have been raised.
    pub fn raise_in(&self, bytes: &mut Vec<u8>, sparse_max: usize) -> Result<(), Corrupted> {
        // From left to right, so that each search can begin where the one before ended.
        let mut start = sparse::Start::default();
        for (index, rank) in self.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            raise(bytes, index, *rank, &mut start, sparse_max)?;
        }
        forget_cached(bytes);
        Ok(())
    }

    /// How many distinct elements were seen by any of those merged, about.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let mut histogram = Histogram::default();
        for rank in self.0.iter() {
            histogram.add(*rank, 1);
        }
        histogram.estimate()
    }

    /// The registers.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

#[cfg(test)]
mod tests;
