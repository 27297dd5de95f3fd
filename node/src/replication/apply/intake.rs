//! What has come of a stream, and is still to run: cut into commands, and transactions, which are
//! one piece from MULTI to EXEC.

use std::ops::Range;

use slotilla_common::resp::{RequestLimits, RequestParser};

use super::ApplyError;
use crate::commands::Args;
use crate::server::batch::{Batch, Request};
use crate::store::Store;

/// So many requests are parsed before those that are whole run.
const REQUESTS: usize = 1024;
/// A buffer that has grown beyond this is given back once it is empty.
const KEPT_BYTES: usize = 1024 * 1024;

/// What may stand between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Line ends, by which a primary says that it is there.
    Primary,
    /// Lines that begin with `#`.
    File,
}

/// What is next to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// One command, by its place.
    Command(usize),
    /// The commands between MULTI and EXEC, by their places; EXEC stands behind them.
    Transaction(Range<usize>),
}

/// Bytes of a stream, and the requests that begin there.
#[derive(Debug)]
pub(super) struct Intake {
    source: Source,
    /// As many bytes at most may wait for the end of one piece.
    most_bytes: usize,
    input: Vec<u8>,
    /// What stands before is done with. All other places count from here.
    start: usize,
    /// Up to here the input is in the batch, or stands between requests.
    parsed: usize,
    parser: RequestParser,
    batch: Batch,
    pieces: Vec<Piece>,
    /// Where the pieces end.
    end: usize,
    /// Where the MULTI is that has no EXEC yet.
    open: Option<usize>,
    /// So many requests are known to have none.
    looked: usize,
}

impl Intake {
    pub(super) fn new(source: Source, most_bytes: usize) -> Self {
        Self {
            source,
            most_bytes,
            input: Vec::new(),
            start: 0,
            parsed: 0,
            parser: RequestParser::default(),
            batch: Batch::default(),
            pieces: Vec::new(),
            end: 0,
            open: None,
            looked: 0,
        }
    }

    /// Takes what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// How many bytes wait.
    pub(super) fn pending(&self) -> usize {
        self.input.len().saturating_sub(self.start)
    }

    /// What waits.
    fn rest(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    /// Whether they begin with a MULTI whose EXEC has not come yet.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.open == Some(0)
    }

    /// Finds whole pieces at the start of the input; false if there is none.
    ///
    /// # Errors
    /// What is there is no request, or too long to wait for its end. Whole pieces before it were found
    /// already.
    pub(super) fn look(
        &mut self,
        limits: &RequestLimits,
        store: &Store,
    ) -> Result<bool, ApplyError> {
        let mut parsed = Ok(true);
        // A transaction may have any number of requests: nobody looks again before more bytes come.
        while matches!(parsed, Ok(true)) {
            let from = self.batch.len();
            while matches!(parsed, Ok(true)) && self.batch.len() < from.saturating_add(REQUESTS) {
                parsed = self.parse_one(limits, store);
            }
            self.cut();
            if self.end > 0 {
                break;
            }
        }
        if self.end == 0 {
            parsed?;
        }
        if self.end == 0 && self.pending() > self.most_bytes {
            return Err(ApplyError::TooLong(self.pending()));
        }
        Ok(self.end > 0)
    }

    /// Parses the next request, or passes by what stands before it; false if it is not whole yet.
    fn parse_one(&mut self, limits: &RequestLimits, store: &Store) -> Result<bool, ApplyError> {
        let input = self.input.get(self.start..).unwrap_or_default();
        let rest = input.get(self.parsed..).unwrap_or_default();
        match (rest.first(), self.source) {
            (None, _) => return Ok(false),
            (Some(b'*'), _) => {}
            (Some(b'\n' | b'\r'), Source::Primary) => {
                self.parsed = self.parsed.saturating_add(1);
                return Ok(true);
            }
            (Some(b'#'), Source::File) => {
                let Some(line) = memchr::memchr(b'\n', rest) else {
                    return Ok(false);
                };
                self.parsed = self.parsed.saturating_add(line).saturating_add(1);
                return Ok(true);
            }
            (Some(byte), _) => return Err(ApplyError::NotACommand(*byte)),
        }
        let parsed = self
            .batch
            .parse_one(&mut self.parser, input, self.parsed, limits, store);
        match parsed {
            Ok(Some(next)) => {
                self.parsed = next;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(ApplyError::Malformed(error)),
        }
    }

    /// Cuts what has been parsed into pieces.
    fn cut(&mut self) {
        self.pieces.clear();
        self.end = 0;
        // A long transaction comes in many parts: its commands are not looked at again and again.
        let mut open = self.open.take().map(|at| (at, 0));
        let looked = std::mem::take(&mut self.looked);
        for (at, request) in self.batch.requests().enumerate().skip(looked) {
            match (name_of(request), open) {
                ("multi", None) => open = Some((at, self.end)),
                ("exec", Some((multi, _))) => {
                    self.pieces
                        .push(Piece::Transaction(multi.saturating_add(1)..at));
                    open = None;
                }
                ("discard", Some(_)) => open = None,
                (_, Some(_)) => {}
                (_, None) => self.pieces.push(Piece::Command(at)),
            }
            if open.is_none() {
                self.end = request.end();
            }
        }
        match open {
            None => self.end = self.parsed,
            Some((multi, end)) => {
                self.open = Some(multi);
                self.looked = self.batch.len();
                self.end = end;
            }
        }
    }

    /// Starts to load the memory of all keys.
    pub(super) fn prefetch(&self, store: &Store) {
        self.batch.prefetch(store);
    }

    /// The pieces that were found, in the order in which they came.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The request at a place.
    pub(super) fn request(&self, at: usize) -> Option<(&Request, Args<'_>)> {
        let request = self.batch.request(at)?;
        Some((request, self.batch.args(request, self.rest())))
    }

    /// The bytes of all pieces that were found.
    pub(super) fn bytes(&self) -> &[u8] {
        self.rest().get(..self.end).unwrap_or_default()
    }

    /// Those pieces are done with.
    pub(super) fn consume(&mut self) {
        if self.end == 0 {
            return;
        }
        self.start = self.start.saturating_add(self.end);
        // What is left moves to the front once that is worth it.
        if self.start >= KEPT_BYTES || self.start >= self.input.len() {
            self.input.drain(..self.start.min(self.input.len()));
            self.start = 0;
        }
        self.batch.clear();
        self.pieces.clear();
        self.parser = RequestParser::default();
        (self.parsed, self.end, self.open, self.looked) = (0, 0, None, 0);
        if self.input.is_empty() {
            self.input.shrink_to(KEPT_BYTES);
        }
    }
}

/// The command's name; none for what is no command.
fn name_of(request: &Request) -> &'static str {
    request.spec.map_or("", |spec| spec.name)
}
