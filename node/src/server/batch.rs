//! A batch of pipelined requests: parsed and looked up before the first one runs.

use slotilla_common::command::{self, Flags, Spec, Unresolved};
use slotilla_common::resp::{ArgRange, Parsed, ProtocolError, RequestLimits, RequestParser};
use slotilla_common::slot::Slot;

use crate::commands::Args;
use crate::store::Store;

/// One request of a batch.
#[derive(Debug)]
pub struct Request {
    /// Its arguments among the batch's ranges.
    first_arg: usize,
    arg_count: usize,
    origin: Origin,
    /// Where the next one starts.
    end: usize,
    /// Its command, or the subcommand of a container.
    pub spec: Result<&'static Spec, Unresolved>,
    /// Its only key, when it has exactly one at a fixed place.
    pub key: Option<KeyAt>,
}

/// What the ranges of a request's arguments count from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// This offset of the input.
    Input { start: usize },
    /// This offset of the batch's rewritten inline requests, which had quotes.
    Inline { start: usize },
}

/// A request's only key.
#[derive(Debug, Clone, Copy)]
pub struct KeyAt {
    /// Which argument it is.
    pub arg: usize,
    /// Its slot.
    pub slot: Slot,
    /// Its hash in the store.
    pub hash: u64,
}

impl Request {
    /// Where the next request starts in the input.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }
}

/// Which argument is the only key, for the commands that have exactly one at a fixed place.
#[inline]
fn only_key(spec: &Spec) -> Option<usize> {
    let range = spec.range;
    let one = range.first > 0 && range.first == range.last;
    let fixed = one && !spec.flags.contains(Flags::MOVABLEKEYS);
    if fixed {
        usize::try_from(range.first).ok()
    } else {
        None
    }
}

/// The requests of one turn. Kept by the worker, so its vectors are allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    ranges: Vec<ArgRange>,
    requests: Vec<Request>,
    /// Inline requests with quotes, rewritten as multibulk ones.
    inline: Vec<u8>,
}

impl Batch {
    /// Requests that are parsed and prefetched together: enough for the memory latencies of one
    /// to hide behind the others, few enough that what was prefetched is still in the cache.
    pub const MOST: usize = 32;

    /// How many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The requests in the order in which they came.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Parses the request at `start` of `input`, and finds its command and key. `Some` gives
    /// where the next request starts; `None` if this one is not whole yet.
    ///
    /// # Errors
    /// It is no request.
    #[inline]
    pub fn parse_one(
        &mut self,
        parser: &mut RequestParser,
        input: &[u8],
        start: usize,
        limits: &RequestLimits,
        store: &Store,
    ) -> Result<Option<usize>, ProtocolError> {
        let first_arg = self.ranges.len();
        let rest = input.get(start..).unwrap_or_default();
        let (consumed, origin) = match parser.parse(rest, &mut self.ranges, limits) {
            Ok(Parsed::Complete { consumed } | Parsed::Words { consumed }) => {
                (consumed, Origin::Input { start })
            }
            Ok(Parsed::Inline { consumed, request }) => {
                let at = self.inline.len();
                self.inline.extend_from_slice(&request);
                (consumed, Origin::Inline { start: at })
            }
            Ok(Parsed::Incomplete { .. }) => {
                self.ranges.truncate(first_arg);
                return Ok(None);
            }
            Err(error) => {
                self.ranges.truncate(first_arg);
                return Err(error);
            }
        };
        let mut request = Request {
            first_arg,
            arg_count: self.ranges.len().saturating_sub(first_arg),
            origin,
            end: start.saturating_add(consumed),
            spec: Err(Unresolved::Command),
            key: None,
        };
        let args = self.args(&request, input);
        let spec = command::resolve(&args);
        let only_key = spec.ok().and_then(only_key).filter(|arg| *arg < args.len());
        if let Some(arg) = only_key {
            let key = args.get(arg);
            request.key = Some(KeyAt {
                arg,
                slot: Slot::of_key(key),
                hash: store.key_hash(key),
            });
        }
        request.spec = spec;
        let end = request.end;
        self.requests.push(request);
        Ok(Some(end))
    }

    /// The arguments of `request`, which came in `input`.
    #[must_use]
    #[inline]
    pub fn args<'a>(&'a self, request: &Request, input: &'a [u8]) -> Args<'a> {
        let bytes = match request.origin {
            Origin::Input { start } => input.get(start..),
            Origin::Inline { start } => self.inline.get(start..),
        };
        let ranges = self
            .ranges
            .get(request.first_arg..)
            .and_then(|r| r.get(..request.arg_count));
        Args::new(bytes.unwrap_or_default(), ranges.unwrap_or_default())
    }

    /// Starts to load the memory of all requests' keys, so that the waits overlap.
    pub fn prefetch(&self, store: &Store) {
        // One request has nothing to overlap with.
        if self.requests.len() < 2 {
            return;
        }
        let keys = || self.requests.iter().filter_map(|request| request.key);
        for key in keys() {
            store.prefetch_slot(key.slot);
        }
        for key in keys() {
            store.prefetch_bucket(key.slot, key.hash);
        }
        for key in keys() {
            store.prefetch_entry(key.slot, key.hash);
        }
    }

    /// Forgets them, keeping the memory unless it has grown large.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.ranges.clear();
        // One MSET of a million keys must not cost 8 MB for ever.
        self.ranges.shrink_to(4096);
        self.inline.clear();
        self.inline.shrink_to(4096);
    }
}
