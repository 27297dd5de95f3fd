//! Several replies made into one: of a request split by slot, or sent to every primary.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use slotilla_common::clock::Tick;
use slotilla_common::command::{Merge, Spec};
use slotilla_common::resp::{FrameScanner, Protocol, ReplyKind, ReplyWriter, Scan, parse_i64};

use super::request::{Owner, Request};

/// Collects the replies to the parts of a request.
#[derive(Debug)]
pub struct Gather {
    /// The command.
    pub spec: &'static Spec,
    /// When the whole request came.
    pub started: Tick,
    attempts: u16,
    protocol: Protocol,
    owner: Owner,
    /// All has begun anew: what these parts say does not matter.
    is_void: Cell<bool>,
    state: RefCell<Collected>,
}

/// How the replies are put together.
#[derive(Debug)]
pub enum Recipe {
    /// As the command table says, of any number of parts.
    Merge(Merge),
    /// MGET's values, put back in the order of the keys: `positions` are the places of each
    /// part's keys, part after part, and `ends` says where each part's end.
    Values {
        /// Place of each value in the whole reply.
        positions: Vec<u32>,
        /// For each part the end of its places.
        ends: Vec<u32>,
    },
}

#[derive(Debug)]
struct Collected {
    remaining: u32,
    /// How many there are, answered or not.
    parts: u32,
    /// The first error; it becomes the whole's reply.
    error: Option<Vec<u8>>,
    bytes_max: usize,
    is_too_long: bool,
    so_far: SoFar,
}

#[derive(Debug)]
enum SoFar {
    Sum(i64),
    Min(Option<i64>),
    And(Option<Vec<i64>>),
    /// The reply of any part.
    Any(Option<Vec<u8>>),
    /// A reply that is no error, if any part had one.
    One(Option<Vec<u8>>),
    Elements {
        kind: u8,
        count: usize,
        bytes: Vec<u8>,
    },
    Union {
        kind: u8,
        seen: HashSet<Vec<u8>>,
        bytes: Vec<u8>,
    },
    Pairs(Vec<Vec<u8>>, HashMap<Vec<u8>, i64>),
    Values {
        positions: Vec<u32>,
        ends: Vec<u32>,
        /// Where each value lies in `bytes`.
        values: Vec<(usize, usize)>,
        bytes: Vec<u8>,
    },
}

impl Gather {
    /// Waits for the replies to so many parts of `request`, of no more than `bytes_max` together.
    #[must_use]
    pub fn new(request: Request, recipe: Recipe, parts: u32, bytes_max: usize) -> Rc<Self> {
        Rc::new(Self {
            spec: request.spec,
            started: request.started,
            attempts: request.attempts,
            protocol: request.protocol(),
            owner: request.owner,
            is_void: Cell::new(false),
            state: RefCell::new(Collected {
                remaining: parts,
                parts,
                error: None,
                bytes_max,
                is_too_long: false,
                so_far: SoFar::new(recipe),
            }),
        })
    }

    /// The part of this number, which may go to any node until it is said to which.
    #[must_use]
    pub fn part(self: &Rc<Self>, number: u32) -> Request {
        Request {
            spec: self.spec,
            slot: None,
            pinned: None,
            started: self.started,
            attempts: self.attempts,
            owner: Owner::Part(Rc::clone(self), number),
        }
    }

    /// One more part.
    #[must_use]
    pub fn another_part(self: &Rc<Self>) -> Request {
        let mut state = self.state.borrow_mut();
        let number = state.parts;
        state.parts += 1;
        state.remaining += 1;
        drop(state);
        self.part(number)
    }

    /// The whole request, to be sent anew: replies to these parts are dropped from now on. `None`
    /// if that has happened already.
    pub fn begin_anew(&self) -> Option<Request> {
        let Owner::Client(client, sequence) = &self.owner else {
            return None;
        };
        (!self.is_void.replace(true)).then(|| Request {
            spec: self.spec,
            slot: None,
            pinned: None,
            started: self.started,
            attempts: self.attempts,
            owner: Owner::Client(Rc::clone(client), *sequence),
        })
    }

    /// Whether replies to the parts are dropped.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.is_void.get()
    }

    /// Who gets the whole.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether the replies so far exceed what they may have together.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.state.borrow().is_too_long
    }

    /// Takes the reply of one part. The whole's reply, once all parts are there.
    pub fn add(&self, part: u32, reply: &[u8]) -> Option<Vec<u8>> {
        if self.is_void.get() {
            return None;
        }
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.add(part, reply);
        state.remaining = state.remaining.saturating_sub(1);
        (state.remaining == 0).then(|| state.finish(self.protocol))
    }
}

impl Collected {
    fn add(&mut self, part: u32, reply: &[u8]) {
        let is_error = matches!(reply.first(), Some(b'-' | b'!'));
        if is_error {
            self.error.get_or_insert_with(|| reply.to_vec());
            return;
        }
        if self.error.is_some() && !matches!(self.so_far, SoFar::One(_)) {
            return;
        }
        let fits = self.so_far.bytes() + reply.len() <= self.bytes_max;
        if !fits {
            self.is_too_long = true;
            self.error = Some(
                b"-ERR the merged reply would exceed merged-reply-max; ask for less at a time\r\n"
                    .to_vec(),
            );
            self.so_far = SoFar::Any(None);
        } else if self.so_far.add(part, reply).is_none() {
            self.error = Some(b"-ERR a node gave a reply that cannot be merged\r\n".to_vec());
        }
    }

    fn finish(&mut self, protocol: Protocol) -> Vec<u8> {
        let so_far = std::mem::replace(&mut self.so_far, SoFar::Any(None));
        match (self.error.take(), so_far) {
            (_, SoFar::One(Some(reply))) => reply,
            (Some(error), _) => error,
            (None, so_far) => so_far.finish(protocol),
        }
    }
}

impl SoFar {
    fn new(recipe: Recipe) -> Self {
        let elements = |kind| Self::Elements {
            kind,
            count: 0,
            bytes: Vec::new(),
        };
        match recipe {
            Recipe::Merge(Merge::Sum) => Self::Sum(0),
            Recipe::Merge(Merge::Min) => Self::Min(None),
            Recipe::Merge(Merge::And) => Self::And(None),
            Recipe::Merge(Merge::AllSucceeded) => Self::Any(None),
            Recipe::Merge(Merge::OneSucceeded) => Self::One(None),
            Recipe::Merge(Merge::Concat | Merge::Values) => elements(b'*'),
            Recipe::Merge(Merge::Union) => Self::Union {
                kind: b'*',
                seen: HashSet::new(),
                bytes: Vec::new(),
            },
            Recipe::Merge(Merge::SumPairs) => Self::Pairs(Vec::new(), HashMap::new()),
            Recipe::Values { positions, ends } => Self::Values {
                values: vec![(0, 0); positions.len()],
                positions,
                ends,
                bytes: Vec::new(),
            },
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Elements { bytes, .. }
            | Self::Union { bytes, .. }
            | Self::Values { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// `None` if the reply is not of the form that this merge takes.
    fn add(&mut self, part: u32, reply: &[u8]) -> Option<()> {
        match self {
            Self::Sum(sum) => *sum = sum.checked_add(integer(reply)?)?,
            Self::Min(least) => {
                let number = integer(reply)?;
                *least = Some(least.map_or(number, |least| least.min(number)));
            }
            Self::And(all) => {
                let mut numbers = Vec::new();
                for_each_element(reply, |element| {
                    numbers.extend(integer(element));
                })?;
                match all {
                    None => *all = Some(numbers),
                    Some(all) if all.len() == numbers.len() => {
                        for (have, new) in all.iter_mut().zip(numbers) {
                            *have = (*have).min(new);
                        }
                    }
                    Some(_) => return None,
                }
            }
            Self::Any(any) | Self::One(any) => {
                any.get_or_insert_with(|| reply.to_vec());
            }
            Self::Elements { kind, count, bytes } => {
                *kind = aggregate_kind(reply, *kind);
                *count += for_each_element(reply, |e| bytes.extend_from_slice(e))?;
            }
            Self::Union { kind, seen, bytes } => {
                *kind = aggregate_kind(reply, *kind);
                for_each_element(reply, |element| {
                    if !seen.contains(element) {
                        seen.insert(element.to_vec());
                        bytes.extend_from_slice(element);
                    }
                })?;
            }
            Self::Pairs(names, sums) => add_pairs(names, sums, reply)?,
            Self::Values {
                positions,
                ends,
                values,
                bytes,
            } => {
                let part = usize::try_from(part).ok()?;
                let start = match part {
                    0 => 0,
                    part => *ends.get(part - 1)? as usize,
                };
                let places = positions.get(start..*ends.get(part)? as usize)?;
                let mut places = places.iter();
                for_each_element(reply, |element| {
                    let place = places.next().and_then(|p| values.get_mut(*p as usize));
                    if let Some(place) = place {
                        *place = (bytes.len(), bytes.len() + element.len());
                        bytes.extend_from_slice(element);
                    }
                })?;
                // Fewer values than keys must never pass for nulls.
                return places.next().is_none().then_some(());
            }
        }
        Some(())
    }

    fn finish(self, protocol: Protocol) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ReplyWriter::new(&mut out, protocol);
        match self {
            Self::Sum(sum) => writer.integer(sum),
            Self::Min(least) => writer.integer(least.unwrap_or(0)),
            Self::And(all) => {
                let all = all.unwrap_or_default();
                writer.array(all.len());
                for number in all {
                    writer.integer(number);
                }
            }
            Self::Any(Some(reply)) | Self::One(Some(reply)) => return reply,
            Self::Any(None) | Self::One(None) => writer.ok(),
            Self::Elements { kind, count, bytes } => {
                header(&mut out, kind, count);
                out.extend_from_slice(&bytes);
            }
            Self::Union { kind, seen, bytes } => {
                header(&mut out, kind, seen.len());
                out.extend_from_slice(&bytes);
            }
            Self::Pairs(names, sums) => {
                writer.array(names.len() * 2);
                for name in names {
                    writer.raw(&name);
                    writer.integer(sums.get(&name).copied().unwrap_or(0));
                }
            }
            Self::Values { values, bytes, .. } => {
                out.reserve(bytes.len() + 16);
                header(&mut out, b'*', values.len());
                for (start, end) in values {
                    out.extend_from_slice(bytes.get(start..end).unwrap_or_default());
                }
            }
        }
        out
    }
}

fn header(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `~` if the nodes answer with sets, else what was there before.
fn aggregate_kind(reply: &[u8], before: u8) -> u8 {
    match reply.first() {
        Some(b'~') => b'~',
        _ => before,
    }
}

fn integer(reply: &[u8]) -> Option<i64> {
    parse_i64(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
}

fn add_pairs(
    names: &mut Vec<Vec<u8>>,
    sums: &mut HashMap<Vec<u8>, i64>,
    reply: &[u8],
) -> Option<()> {
    let mut name: Option<Vec<u8>> = None;
    let mut is_good = true;
    for_each_element(reply, |element| match name.take() {
        None => name = Some(element.to_vec()),
        Some(of) => match integer(element) {
            None => is_good = false,
            Some(number) => match sums.get_mut(&of) {
                Some(sum) => *sum = sum.saturating_add(number),
                None => {
                    names.push(of.clone());
                    sums.insert(of, number);
                }
            },
        },
    })?;
    (is_good && name.is_none()).then_some(())
}

/// Calls `take` with each element of an array or set, undecoded. How many there were; `None` if
/// this is neither.
pub(super) fn for_each_element<'a>(
    reply: &'a [u8],
    mut take: impl FnMut(&'a [u8]),
) -> Option<usize> {
    let end = memchr::memchr(b'\r', reply)?;
    let (first, count) = reply.get(..end)?.split_first()?;
    if !matches!(first, b'*' | b'~') {
        return None;
    }
    let count = match parse_i64(count)? {
        -1 => 0,
        count => usize::try_from(count).ok()?,
    };
    let mut rest = reply.get(end + 2..)?;
    for _ in 0..count {
        match FrameScanner::default().scan(rest) {
            Ok(Scan::Complete { len, kind }) if kind != ReplyKind::Push => {
                let (element, after) = rest.split_at_checked(len)?;
                take(element);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::clock::Monotonic;
    use slotilla_common::command::lookup;

    fn gather(recipe: Recipe, parts: u32) -> Rc<Gather> {
        let request = Request {
            spec: lookup(b"mget").unwrap(),
            slot: None,
            pinned: None,
            started: Monotonic::new().now(),
            attempts: 0,
            owner: Owner::Nobody,
        };
        Gather::new(request, recipe, parts, 1000)
    }

    fn merged(merge: Merge, replies: &[&str]) -> String {
        let gather = gather(Recipe::Merge(merge), u32::try_from(replies.len()).unwrap());
        let mut whole = None;
        for (part, reply) in replies.iter().enumerate() {
            assert!(whole.is_none());
            whole = gather.add(u32::try_from(part).unwrap(), reply.as_bytes());
        }
        String::from_utf8(whole.unwrap()).unwrap()
    }

    #[test]
    fn each_merge_makes_one_reply() {
        let cases: &[(Merge, &[&str], &str)] = &[
            (Merge::Sum, &[":1\r\n", ":0\r\n", ":41\r\n"], ":42\r\n"),
            (Merge::Min, &[":5\r\n", ":3\r\n"], ":3\r\n"),
            (
                Merge::And,
                &["*2\r\n:1\r\n:1\r\n", "*2\r\n:1\r\n:0\r\n"],
                "*2\r\n:1\r\n:0\r\n",
            ),
            (Merge::AllSucceeded, &["+OK\r\n", "+OK\r\n"], "+OK\r\n"),
            (
                Merge::AllSucceeded,
                &["+OK\r\n", "-ERR a\r\n", "-ERR b\r\n"],
                "-ERR a\r\n",
            ),
            (Merge::OneSucceeded, &["-ERR a\r\n", "+OK\r\n"], "+OK\r\n"),
            (
                Merge::OneSucceeded,
                &["-ERR a\r\n", "-ERR b\r\n"],
                "-ERR a\r\n",
            ),
            (
                Merge::Concat,
                &[
                    "*1\r\n$1\r\na\r\n",
                    "*0\r\n",
                    "*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
                ],
                "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
            ),
            (
                Merge::Union,
                &["*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$1\r\nb\r\n"],
                "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            ),
            (
                Merge::SumPairs,
                &[
                    "*2\r\n$1\r\na\r\n:1\r\n",
                    "*4\r\n$1\r\nb\r\n:5\r\n$1\r\na\r\n:2\r\n",
                ],
                "*4\r\n$1\r\na\r\n:3\r\n$1\r\nb\r\n:5\r\n",
            ),
        ];
        for (merge, replies, whole) in cases {
            assert_eq!(merged(*merge, replies), *whole, "{merge:?}");
        }
    }

    #[test]
    fn an_error_of_any_part_is_the_wholes_reply() {
        for merge in [Merge::Sum, Merge::Concat, Merge::Union, Merge::Min] {
            let replies = ["-WRONGTYPE no\r\n", ":1\r\n"];
            assert_eq!(merged(merge, &replies), "-WRONGTYPE no\r\n");
        }
    }

    #[test]
    fn replies_of_another_form_are_an_error_not_a_guess() {
        for (merge, reply) in [
            (Merge::Sum, "+OK\r\n"),
            (Merge::Concat, ":1\r\n"),
            (Merge::SumPairs, "*1\r\n$1\r\na\r\n"),
        ] {
            assert!(merged(merge, &[reply]).starts_with("-ERR"));
        }
    }

    #[test]
    fn values_return_to_the_places_of_their_keys() {
        let recipe = Recipe::Values {
            positions: vec![1, 3, 0, 2],
            ends: vec![2, 4],
        };
        let gather = gather(recipe, 2);
        assert_eq!(gather.add(1, b"*2\r\n$1\r\na\r\n$-1\r\n"), None);
        assert_eq!(
            gather.add(0, b"*2\r\n$1\r\nb\r\n$1\r\nd\r\n").unwrap(),
            b"*4\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n$1\r\nd\r\n"
        );
    }

    #[test]
    fn missing_values_are_an_error_not_nulls() {
        let recipe = || Recipe::Values {
            positions: vec![0, 1],
            ends: vec![2],
        };
        let whole = gather(recipe(), 1).add(0, b"*1\r\n$1\r\na\r\n").unwrap();
        assert!(whole.starts_with(b"-ERR"));
        let whole = gather(recipe(), 1).add(0, b"-LOADING x\r\n").unwrap();
        assert_eq!(whole, b"-LOADING x\r\n");
    }

    #[test]
    fn a_merged_reply_is_bounded() {
        let big = format!("*1\r\n$600\r\n{}\r\n", "x".repeat(600));
        assert!(merged(Merge::Concat, &[&big, &big]).contains("merged-reply-max"));
    }
}
