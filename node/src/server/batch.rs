//! A batch of pipelined requests: parsed and looked up before the first one runs.

use slotilla_common::bytes::same;
use slotilla_common::command::{Flags, LastCommand, Spec, Unresolved};
use slotilla_common::resp::{ArgRange, Parsed, ProtocolError, RequestLimits, RequestParser};
use slotilla_common::slot::Slot;
use smallvec::SmallVec;
use std::ops::Range;

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

/// The slots of several keys, each once and in ascending order; and, if they are several, for each
/// key the number of its own among them.
pub(super) fn slots_of(keys: &[&[u8]]) -> (SmallVec<[Slot; 16]>, Option<Box<[u16]>>) {
    let mut order: SmallVec<[(Slot, u32); 16]> =
        keys.iter().map(|key| Slot::of_key(key)).zip(0..).collect();
    let first = order.first().map(|(slot, _)| *slot);
    if order.iter().all(|(slot, _)| Some(*slot) == first) {
        return (first.into_iter().collect(), None);
    }
    order.sort_unstable_by_key(|(slot, _)| *slot);
    let mut slots = SmallVec::new();
    let mut numbers = vec![0; keys.len()].into_boxed_slice();
    for (slot, key) in order {
        if slots.last() != Some(&slot) {
            slots.push(slot);
        }
        // There are 16384 slots.
        let own = u16::try_from(slots.len() - 1).unwrap_or(u16::MAX);
        if let Some(number) = numbers.get_mut(key as usize) {
            *number = own;
        }
    }
    (slots, Some(numbers))
}

/// The arguments of a request, at these ranges of the input or of rewritten inline requests.
#[inline]
fn args<'a>(
    request: &Request,
    ranges: &'a [ArgRange],
    input: &'a [u8],
    inline: &'a [u8],
) -> Args<'a> {
    let bytes = match request.origin {
        Origin::Input { start } => input.get(start..),
        Origin::Inline { start } => inline.get(start..),
    };
    let ranges = ranges
        .get(request.first_arg..)
        .and_then(|ranges| ranges.get(..request.arg_count));
    Args::new(bytes.unwrap_or_default(), ranges.unwrap_or_default())
}

/// The requests of one turn. Kept by the worker, so its vectors are allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    ranges: Vec<ArgRange>,
    requests: Vec<Request>,
    last_command: LastCommand,
    /// The keys that will be looked up, but none twice in a row.
    keys: Vec<KeyAt>,
    /// Where in the input the last of them is, if it is there.
    last_key: Option<Range<usize>>,
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

    /// One of them, by its place.
    #[must_use]
    pub fn request(&self, place: usize) -> Option<&Request> {
        self.requests.get(place)
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
        let args = args(&request, &self.ranges, input, &self.inline);
        let spec = self.last_command.resolve(&args);
        let only_key = spec.ok().and_then(only_key).filter(|arg| *arg < args.len());
        request.spec = spec;
        if let Some(arg) = only_key {
            request.key = Some(self.locate(&request, arg, input, store));
        }
        let end = request.end;
        self.requests.push(request);
        Ok(Some(end))
    }

    /// Where the key of `request` belongs. A pipeline often names the key that it has just named
    /// (INCR and EXPIRE, the HSETs of one hash), and then this is known.
    #[inline]
    fn locate(&mut self, request: &Request, arg: usize, input: &[u8], store: &Store) -> KeyAt {
        let key = self.args(request, input).get(arg);
        let last = self.last_key.clone().and_then(|range| input.get(range));
        if let Some(located) = self.keys.last()
            && last.is_some_and(|last| same(last, key))
        {
            return KeyAt { arg, ..*located };
        }
        let located = KeyAt {
            arg,
            slot: Slot::of_key(key),
            hash: store.key_hash(key),
        };
        self.keys.push(located);
        self.last_key = self.place_in_input(request, arg);
        located
    }

    /// Where in the input an argument is, if it is there.
    #[inline]
    fn place_in_input(&self, request: &Request, arg: usize) -> Option<Range<usize>> {
        let Origin::Input { start } = request.origin else {
            return None;
        };
        let range = self.ranges.get(request.first_arg.saturating_add(arg))?;
        let first = start.saturating_add(range.start());
        Some(first..first.saturating_add(range.len()))
    }

    /// The arguments of `request`, which came in `input`.
    #[must_use]
    #[inline]
    pub fn args<'a>(&'a self, request: &Request, input: &'a [u8]) -> Args<'a> {
        args(request, &self.ranges, input, &self.inline)
    }

    /// Starts to load the memory of all requests' keys, so that the waits overlap.
    pub fn prefetch(&self, store: &Store) {
        // One key has nothing to overlap with.
        if self.keys.len() < 2 {
            return;
        }
        for key in &self.keys {
            store.prefetch_slot(key.slot);
        }
        for key in &self.keys {
            store.prefetch_bucket(key.slot, key.hash);
        }
        for key in &self.keys {
            store.prefetch_entry(key.slot, key.hash);
        }
    }

    /// Forgets them, keeping the memory unless it has grown large.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.keys.clear();
        self.last_key = None;
        self.ranges.clear();
        // One MSET of a million keys must not cost 8 MB for ever.
        self.ranges.shrink_to(4096);
        self.inline.clear();
        self.inline.shrink_to(4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::routing::Serving;
    use proptest::prelude::*;
    use slotilla_common::resp::encode_command;

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let key = prop_oneof!["", "k", "[ab]{1,2}", "\\{a\\}[xy]", "[a-z]{20}"];
        let command = prop_oneof![
            "get", "GET", "incr", "hset", "echo", "mget", "ping", "object"
        ];
        (command, key, 0..3u8).prop_map(|(command, key, form)| match form {
            // An inline request with quotes is rewritten, and its key is not in the input.
            0 => format!("{command} \"{key}\" x\r\n").into_bytes(),
            1 if !key.is_empty() => format!("{command} {key} x\r\n").into_bytes(),
            _ => {
                let mut request = Vec::new();
                encode_command(&mut request, &[command.as_bytes(), key.as_bytes(), b"x"]);
                request
            }
        })
    }

    proptest! {
        /// As many as there are, in whatever order.
        #[test]
        fn the_slots_of_keys_are_told_once_and_each_key_its_own(
            keys in proptest::collection::vec("[a-c]{1,2}|\\{x\\}[a-z]", 1..40),
        ) {
            let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
            let (slots, numbers) = slots_of(&keys);
            prop_assert!(slots.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(numbers.is_some(), slots.len() > 1);
            let numbers = numbers.unwrap_or_else(|| vec![0; keys.len()].into());
            let own: Vec<Slot> = numbers.iter().map(|n| slots[usize::from(*n)]).collect();
            let expected: Vec<Slot> = keys.iter().map(|key| Slot::of_key(key)).collect();
            prop_assert_eq!(own, expected);
        }

        /// Whatever came before it in the pipeline.
        #[test]
        fn each_request_knows_its_own_command_and_key(
            batches in proptest::collection::vec(
                proptest::collection::vec(request(), 1..20), 1..4),
        ) {
            let store = Store::new(1, Serving::Ours);
            let mut batch = Batch::default();
            for requests in batches {
                let input = requests.concat();
                let (mut parser, limits) = (RequestParser::default(), RequestLimits::default());
                let mut start = 0;
                for _ in &requests {
                    let next = batch.parse_one(&mut parser, &input, start, &limits, &store);
                    start = next.unwrap().unwrap();
                }
                for request in batch.requests() {
                    let args = batch.args(request, &input);
                    let spec = slotilla_common::command::resolve(&args).ok();
                    prop_assert_eq!(request.spec.ok().map(|s| s.name), spec.map(|s| s.name));
                    let only_key = spec.and_then(only_key);
                    prop_assert_eq!(request.key.map(|key| key.arg), only_key);
                    if let Some(at) = request.key {
                        let key = args.get(at.arg);
                        prop_assert_eq!(at.slot, Slot::of_key(key));
                        prop_assert_eq!(at.hash, store.key_hash(key));
                    }
                }
                batch.prefetch(&store);
                batch.clear();
            }
        }
    }
}
