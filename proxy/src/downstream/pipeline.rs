//! Replies in the order of their requests, whatever order they come in.
//!
//! ```text
//! entries   [ waiting | held | held | waiting | … ]     one per request not yet answered
//! out       replies that may leave: everything before the first waiting entry
//! ```
//! A reply to the first waiting request goes to `out` at once, and takes with it the held ones
//! behind it; any other is held in an arena until its turn. No socket in here.

use std::collections::{BTreeMap, VecDeque};

use slotilla_common::slot::Slot;

use crate::upstream::UpstreamId;

/// A request's place in its client's order.
pub type Sequence = u64;

/// Where a request that is not answered yet is, for keeping a client's requests on one slot in
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Nowhere that matters: answered by the proxy itself, or has no key.
    Local,
    /// On its way to or through one node, with the slot of its key.
    At(Slot, UpstreamId),
    /// Waiting to be sent (again), with the slot of its key.
    Held(Slot),
    /// Key by key on its way to several nodes, all keys in this slot.
    Spread(Slot),
    /// In parts, one for each slot of its keys. Each part has its own whereabouts.
    Split,
    /// On its way to every primary.
    Everywhere,
    /// Waiting to be sent to every primary.
    HeldForAll,
}

impl Whereabouts {
    /// Whether what is here might be overtaken by a request on `slot` sent to `target`.
    fn is_overtaken(self, slot: Slot, target: Option<UpstreamId>) -> bool {
        match self {
            Self::Local | Self::Split => false,
            Self::Everywhere | Self::HeldForAll => true,
            Self::Held(other) | Self::Spread(other) => other == slot,
            Self::At(other, upstream) => other == slot && target != Some(upstream),
        }
    }

    /// Whether what is here may run on one of these slots, or has.
    fn is_out(self, concerns: impl Fn(Slot) -> bool) -> bool {
        match self {
            Self::Local | Self::Split | Self::Held(_) | Self::HeldForAll => false,
            Self::Everywhere => true,
            Self::At(slot, _) | Self::Spread(slot) => concerns(slot),
        }
    }

    /// Whether it waits to be sent.
    fn is_held(self) -> bool {
        matches!(self, Self::Held(_) | Self::HeldForAll)
    }
}

/// What has become of later requests on the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followers {
    /// None has been sent.
    None,
    /// Some are out and may run or be refused.
    Out,
    /// Some have been answered by a node.
    Ran,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Part of the arena.
    Held,
    /// No room in the arena: in `large`.
    Large,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    state: State,
    silent: bool,
    is_read: bool,
    whereabouts: Whereabouts,
    start: u32,
    len: u32,
}

/// A part of a request that is split by slot.
#[derive(Debug, Clone, Copy)]
struct Part {
    of: Sequence,
    whereabouts: Whereabouts,
    is_answered: bool,
}

/// The arena takes replies up to this size, and grows up to four times that; what does not fit
/// is allocated by itself. So held replies cost no allocation in the usual case and no
/// compaction ever.
const ARENA_REPLY_MAX: usize = 64 * 1024;
const ARENA_MAX: usize = 4 * ARENA_REPLY_MAX;

/// Capacities that an idle client may keep.
const IDLE_ENTRIES: usize = 4;

/// One client's requests in flight and its replies on their way out.
#[derive(Debug, Default)]
pub struct Pipeline {
    entries: VecDeque<Entry>,
    /// Sequence of the first entry.
    head: Sequence,
    /// The parts of those entries that are split, in the order of the entries.
    parts: VecDeque<Part>,
    arena: Vec<u8>,
    /// Entries held in the arena.
    in_arena: usize,
    /// Those that the arena had no room for. It is full in no time where replies wait for a slow
    /// node, so they may be many.
    large: BTreeMap<Sequence, Vec<u8>>,
    large_bytes: usize,
    /// Replies that may leave.
    out: Vec<u8>,
    /// How much of `out` has left.
    written: usize,
}

impl Pipeline {
    /// Requests without an answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that the client has not read yet, held ones included.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.out.len() - self.written + self.arena.len() + self.large_bytes
    }

    /// Takes the next place in the order. A silent request's reply is dropped (CLIENT REPLY).
    #[inline]
    pub fn begin(&mut self, whereabouts: Whereabouts, is_read: bool, silent: bool) -> Sequence {
        let sequence = self.head + self.entries.len() as u64;
        self.entries.push_back(Entry {
            state: State::Waiting,
            silent,
            is_read,
            whereabouts,
            start: 0,
            len: 0,
        });
        sequence
    }

    /// Says where a request is now.
    pub fn moved(&mut self, sequence: Sequence, whereabouts: Whereabouts) {
        if let Some(entry) = self.entry(sequence) {
            entry.whereabouts = whereabouts;
        }
    }

    /// Says that a request goes in so many parts, one for each of these slots.
    pub fn split(&mut self, sequence: Sequence, parts: u32, slots: impl Iterator<Item = Slot>) {
        self.parts.reserve(parts as usize);
        self.parts.extend(slots.map(|slot| Part {
            of: sequence,
            whereabouts: Whereabouts::Held(slot),
            is_answered: false,
        }));
    }

    /// Says where a part of a request is now, if the request is split.
    pub fn part_moved(&mut self, sequence: Sequence, part: u32, whereabouts: Whereabouts) {
        if let Some(part) = self.part(sequence, part) {
            part.whereabouts = whereabouts;
        }
    }

    /// Says that the answer to a part has come, if the request is split.
    pub fn part_answered(&mut self, sequence: Sequence, part: u32) {
        if let Some(part) = self.part(sequence, part) {
            part.is_answered = true;
        }
    }

    fn part(&mut self, sequence: Sequence, part: u32) -> Option<&mut Part> {
        let first = self.parts.partition_point(|part| part.of < sequence);
        let place = first.checked_add(usize::try_from(part).ok()?)?;
        self.parts.get_mut(place).filter(|part| part.of == sequence)
    }

    fn parts_of(&self, sequence: Sequence) -> impl Iterator<Item = &Part> {
        let first = self.parts.partition_point(|part| part.of < sequence);
        let parts = self.parts.iter().skip(first);
        parts.take_while(move |part| part.of == sequence)
    }

    /// Whether a request on `slot` that came before `sequence` and has no answer yet might be
    /// overtaken by one sent to `target`: it is not ahead on that same connection. `None` as
    /// target: nothing may be overtaken, wherever it is.
    #[must_use]
    pub fn would_overtake(
        &self,
        sequence: Sequence,
        slot: Slot,
        target: Option<UpstreamId>,
    ) -> bool {
        let before = usize::try_from(sequence.saturating_sub(self.head)).unwrap_or(usize::MAX);
        let entries = self.entries.iter().zip(self.head..).take(before);
        entries
            .filter(|(entry, _)| entry.state == State::Waiting)
            .any(|(entry, of)| match entry.whereabouts {
                Whereabouts::Split => self
                    .parts_of(of)
                    .any(|part| !part.is_answered && part.whereabouts.is_overtaken(slot, target)),
                whereabouts => whereabouts.is_overtaken(slot, target),
            })
    }

    /// Whether any request waits to be sent: one to all nodes would overtake it.
    #[must_use]
    pub fn holds_any(&self) -> bool {
        let waiting = self.entries.iter().filter(|e| e.state == State::Waiting);
        let parts = self.parts.iter().filter(|part| !part.is_answered);
        waiting.map(|e| e.whereabouts).any(Whereabouts::is_held)
            || parts.map(|p| p.whereabouts).any(Whereabouts::is_held)
    }

    /// What has become of the requests on these slots that came after the one at `sequence`: to run
    /// it now would let it happen after those that ran. Reads may pass reads.
    #[must_use]
    pub fn followers(&self, sequence: Sequence, concerns: impl Fn(Slot) -> bool) -> Followers {
        let place = usize::try_from(sequence.saturating_sub(self.head)).unwrap_or(usize::MAX);
        let is_read = self.entries.get(place).is_some_and(|entry| entry.is_read);
        let mut followers = Followers::None;
        let next = place.saturating_add(1);
        let later = self.entries.iter().skip(next);
        for (entry, of) in later.zip(self.head.saturating_add(next as u64)..) {
            if is_read && entry.is_read {
                continue;
            }
            let (is_out, has_run) = if entry.whereabouts == Whereabouts::Split {
                let mut out = self
                    .parts_of(of)
                    .filter(|p| p.whereabouts.is_out(&concerns));
                let part = out.next();
                (part.is_some(), part.is_some_and(|part| part.is_answered))
            } else {
                let is_out = entry.whereabouts.is_out(&concerns);
                (is_out, is_out && entry.state != State::Waiting)
            };
            if has_run {
                return Followers::Ran;
            }
            if is_out {
                followers = Followers::Out;
            }
        }
        followers
    }

    /// The sequence that the next request gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.head + self.entries.len() as u64
    }

    /// Appends the reply of a request that needs no waiting: straight to `out` if nothing is
    /// before it.
    pub fn answer(&mut self, silent: bool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.entries.is_empty() {
            self.head += 1;
            if silent {
                write(&mut Vec::new());
            } else {
                write(&mut self.out);
            }
            return;
        }
        let sequence = self.begin(Whereabouts::Local, true, silent);
        let mut reply = Vec::new();
        write(&mut reply);
        self.deliver(sequence, &reply);
    }

    /// Takes the reply to a request. Returns whether anything may leave now.
    pub fn deliver(&mut self, sequence: Sequence, reply: &[u8]) -> bool {
        if sequence != self.head {
            self.hold(sequence, reply);
            return false;
        }
        let Some(first) = self.entries.pop_front() else {
            return false;
        };
        self.head += 1;
        if !first.silent {
            self.out.extend_from_slice(reply);
        }
        self.release_held();
        true
    }

    fn entry(&mut self, sequence: Sequence) -> Option<&mut Entry> {
        let index = usize::try_from(sequence.checked_sub(self.head)?).ok()?;
        self.entries.get_mut(index)
    }

    fn hold(&mut self, sequence: Sequence, reply: &[u8]) {
        let fits = reply.len() <= ARENA_REPLY_MAX && self.arena.len() + reply.len() <= ARENA_MAX;
        let start = self.arena.len();
        let Some(entry) = self.entry(sequence) else {
            return;
        };
        if entry.silent {
            entry.state = State::Held;
            entry.len = 0;
            entry.start = 0;
            self.in_arena += 1;
            return;
        }
        let place = (u32::try_from(start), u32::try_from(reply.len()));
        if let (true, (Ok(start), Ok(len))) = (fits, place) {
            entry.state = State::Held;
            (entry.start, entry.len) = (start, len);
            self.in_arena += 1;
            self.arena.extend_from_slice(reply);
        } else {
            entry.state = State::Large;
            self.large_bytes += reply.len();
            self.large.insert(sequence, reply.to_vec());
        }
    }

    /// Moves the replies that were waiting for the one just released.
    fn release_held(&mut self) {
        while let Some(entry) = self.entries.front() {
            match entry.state {
                State::Waiting => break,
                State::Held => {
                    let start = entry.start as usize;
                    let end = start + entry.len as usize;
                    let reply = self.arena.get(start..end).unwrap_or_default();
                    self.out.extend_from_slice(reply);
                    self.in_arena -= 1;
                }
                State::Large => {
                    if let Some(reply) = self.large.remove(&self.head) {
                        self.large_bytes -= reply.len();
                        self.out.extend_from_slice(&reply);
                    }
                }
            }
            self.entries.pop_front();
            self.head += 1;
        }
        if self.in_arena == 0 {
            self.arena.clear();
        }
        while self.parts.front().is_some_and(|part| part.of < self.head) {
            self.parts.pop_front();
        }
    }

    /// What may leave and has not.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// Takes note that `count` bytes of [`Self::unwritten`] have left.
    pub fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > ARENA_MAX && self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    /// Gives the emptied buffers of an idle client to `pool`, so that it holds nothing.
    pub fn release_buffers(&mut self, pool: &mut BufferPool) {
        if self.out.is_empty() && self.out.capacity() > 0 {
            pool.put(std::mem::take(&mut self.out));
        }
        if self.entries.is_empty() {
            if self.arena.capacity() > 0 {
                pool.put(std::mem::take(&mut self.arena));
            }
            if self.entries.capacity() > IDLE_ENTRIES {
                pool.put_entries(std::mem::take(&mut self.entries));
            }
            self.large = BTreeMap::new();
            self.parts = VecDeque::new();
        }
    }

    /// Takes buffers from `pool` for what is about to come.
    pub fn acquire_buffers(&mut self, pool: &mut BufferPool) {
        if self.out.capacity() == 0 {
            self.out = pool.take();
        }
        if self.entries.capacity() == 0 {
            self.entries = pool.take_entries();
        }
    }
}

/// Emptied buffers of one thread, for whoever needs one next.
#[derive(Debug, Default)]
pub struct BufferPool {
    buffers: Vec<Vec<u8>>,
    entries: Vec<VecDeque<Entry>>,
}

/// Buffers kept for reuse, and the largest worth keeping.
const POOLED_MAX: usize = 64;
const POOLED_CAPACITY_MAX: usize = 256 * 1024;

impl BufferPool {
    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps the allocation of `buffer` for later, unless there are enough.
    pub fn put(&mut self, mut buffer: Vec<u8>) {
        let worth_it = (1..=POOLED_CAPACITY_MAX).contains(&buffer.capacity());
        if worth_it && self.buffers.len() < POOLED_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn take_entries(&mut self) -> VecDeque<Entry> {
        self.entries.pop().unwrap_or_default()
    }

    fn put_entries(&mut self, entries: VecDeque<Entry>) {
        let bytes = entries.capacity() * std::mem::size_of::<Entry>();
        if bytes <= POOLED_CAPACITY_MAX && self.entries.len() < POOLED_MAX {
            self.entries.push(entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(number: u64) -> Slot {
        Slot::from_wire(number).unwrap()
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut pipeline = Pipeline::default();
        let places: Vec<_> = (0..3)
            .map(|_| pipeline.begin(Whereabouts::Local, false, false))
            .collect();
        assert!(!pipeline.deliver(places[2], b"c"));
        assert!(!pipeline.deliver(places[1], b"b"));
        assert_eq!(pipeline.unwritten(), b"");
        assert!(pipeline.deliver(places[0], b"a"));
        assert_eq!(pipeline.unwritten(), b"abc");
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn a_local_answer_waits_for_those_before_it() {
        let mut pipeline = Pipeline::default();
        let first = pipeline.begin(Whereabouts::Local, false, false);
        pipeline.answer(false, |out| out.extend_from_slice(b"local"));
        assert_eq!(pipeline.unwritten(), b"");
        pipeline.deliver(first, b"first ");
        assert_eq!(pipeline.unwritten(), b"first local");
    }

    #[test]
    fn silent_requests_leave_nothing_behind() {
        let mut pipeline = Pipeline::default();
        let first = pipeline.begin(Whereabouts::Local, false, true);
        let second = pipeline.begin(Whereabouts::Local, false, true);
        let third = pipeline.begin(Whereabouts::Local, false, false);
        pipeline.answer(true, |out| out.extend_from_slice(b"no"));
        pipeline.deliver(third, b"3");
        pipeline.deliver(second, b"2");
        pipeline.deliver(first, b"1");
        assert_eq!(pipeline.unwritten(), b"3");
        assert_eq!(pipeline.in_flight(), 0);
    }

    #[test]
    fn a_request_overtakes_only_on_another_connection() {
        let (a, b) = (UpstreamId(1), UpstreamId(2));
        let mut pipeline = Pipeline::default();
        let first = pipeline.begin(Whereabouts::At(slot(5), a), false, false);
        let next = pipeline.next_sequence();
        assert!(!pipeline.would_overtake(next, slot(5), Some(a)));
        assert!(pipeline.would_overtake(next, slot(5), Some(b)));
        assert!(pipeline.would_overtake(next, slot(5), None));
        assert!(!pipeline.would_overtake(next, slot(6), Some(b)));
        assert!(!pipeline.would_overtake(first, slot(5), Some(b)));
        pipeline.moved(first, Whereabouts::Held(slot(5)));
        assert!(pipeline.would_overtake(next, slot(5), Some(a)));
        pipeline.deliver(first, b"");
        assert!(!pipeline.would_overtake(next, slot(5), Some(b)));
    }

    #[test]
    fn a_request_is_not_repeated_after_later_ones_on_its_slot_ran() {
        let at = |number| Whereabouts::At(slot(number), UpstreamId(1));
        let mut pipeline = Pipeline::default();
        let first = pipeline.begin(Whereabouts::Held(slot(5)), false, false);
        let read = pipeline.begin(Whereabouts::Held(slot(5)), true, false);
        pipeline.begin(at(6), false, false);
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::None);
        let later = pipeline.begin(at(5), true, false);
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::Out);
        assert_eq!(pipeline.followers(read, |s| s == slot(5)), Followers::None);
        pipeline.deliver(later, b"x");
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::Ran);
        assert_eq!(pipeline.followers(read, |s| s == slot(5)), Followers::None);
    }

    #[test]
    fn what_waits_for_all_nodes_is_not_overtaken_and_has_not_run() {
        let mut pipeline = Pipeline::default();
        let first = pipeline.begin(Whereabouts::At(slot(5), UpstreamId(1)), false, false);
        assert!(!pipeline.holds_any());
        let all = pipeline.begin(Whereabouts::HeldForAll, false, false);
        assert!(pipeline.holds_any());
        let next = pipeline.next_sequence();
        assert!(pipeline.would_overtake(next, slot(9), Some(UpstreamId(1))));
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::None);
        pipeline.moved(all, Whereabouts::Everywhere);
        assert!(!pipeline.holds_any());
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::Out);
        pipeline.moved(first, Whereabouts::Held(slot(5)));
        assert!(pipeline.holds_any());
        pipeline.deliver(all, b"");
        pipeline.deliver(first, b"");
        let split = pipeline.begin(Whereabouts::Split, false, false);
        pipeline.split(split, 1, std::iter::once(slot(5)));
        assert!(pipeline.holds_any());
        pipeline.part_answered(split, 0);
        assert!(!pipeline.holds_any());
    }

    #[test]
    fn of_a_request_that_is_split_each_part_has_its_own_place() {
        let (a, b) = (UpstreamId(1), UpstreamId(2));
        let mut pipeline = Pipeline::default();
        let places: Vec<_> = (0..2)
            .map(|_| {
                let place = pipeline.begin(Whereabouts::Split, false, false);
                pipeline.split(place, 2, [5, 6].into_iter().map(slot));
                place
            })
            .collect();
        let (first, second) = (places[0], places[1]);
        let overtakes =
            |pipeline: &Pipeline, n, target| pipeline.would_overtake(second, slot(n), target);
        // Both wait for slot 5: the second for the first, and not the other way round as well.
        assert!(overtakes(&pipeline, 5, Some(a)));
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::None);
        pipeline.part_moved(first, 0, Whereabouts::At(slot(5), a));
        assert!(!overtakes(&pipeline, 5, Some(a)));
        assert!(overtakes(&pipeline, 5, Some(b)) && overtakes(&pipeline, 6, Some(a)));
        pipeline.part_answered(first, 1);
        assert!(!overtakes(&pipeline, 6, None));
        // What runs on slot 6 does not concern slot 5.
        pipeline.part_moved(second, 1, Whereabouts::At(slot(6), b));
        pipeline.part_answered(second, 1);
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::None);
        assert_eq!(pipeline.followers(first, |s| s == slot(6)), Followers::Ran);
        pipeline.part_moved(second, 0, Whereabouts::Spread(slot(5)));
        assert_eq!(pipeline.followers(first, |s| s == slot(5)), Followers::Out);
        pipeline.deliver(second, b"");
        assert_eq!(pipeline.parts.len(), 4);
        pipeline.deliver(first, b"");
        assert_eq!(pipeline.parts.len(), 0);
    }

    #[test]
    fn an_idle_pipeline_holds_no_memory() {
        let mut pool = BufferPool::default();
        let mut pipeline = Pipeline::default();
        let places: Vec<_> = (0..100)
            .map(|_| pipeline.begin(Whereabouts::Local, false, false))
            .collect();
        for place in places.into_iter().rev() {
            pipeline.deliver(place, &[b'x'; 100_000]);
        }
        let len = pipeline.unwritten().len();
        assert_eq!((len, pipeline.unread_bytes()), (10_000_000, 10_000_000));
        pipeline.wrote(len);
        pipeline.release_buffers(&mut pool);
        let capacities = [
            pipeline.out.capacity(),
            pipeline.arena.capacity(),
            pipeline.entries.capacity(),
        ];
        assert_eq!((capacities, pipeline.unread_bytes()), ([0, 0, 0], 0));
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_order_of_requests(
            sizes in proptest::collection::vec(
                prop_oneof![19 => 0usize..50, 1 => 65_000usize..66_000], 1..40),
            order in any::<u64>(),
            write in 1usize..5000,
        ) {
            let mut pipeline = Pipeline::default();
            let mut waiting: Vec<_> = sizes
                .iter()
                .map(|size| (pipeline.begin(Whereabouts::Local, false, false), *size))
                .collect();
            fastrand::Rng::with_seed(order).shuffle(&mut waiting);
            let mut got = Vec::new();
            for (place, size) in waiting {
                let byte = u8::try_from(place % 251).unwrap();
                pipeline.deliver(place, &vec![byte; size]);
                let part = pipeline.unwritten().len().min(write);
                got.extend_from_slice(&pipeline.unwritten()[..part]);
                pipeline.wrote(part);
            }
            got.extend_from_slice(pipeline.unwritten());
            let expected: Vec<u8> = sizes
                .iter()
                .enumerate()
                .flat_map(|(place, size)| vec![u8::try_from(place % 251).unwrap(); *size])
                .collect();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(pipeline.in_flight(), 0);
        }
    }
}
