//! Who owns which slots, as a node tells it: the replies of CLUSTER SLOTS and CLUSTER SHARDS.

mod shards;
mod slots;

pub use shards::parse_shards;
pub use slots::parse_slots;

use std::ops::RangeInclusive;

use crate::redirect::Endpoint;
use crate::resp::Value;
use crate::slot::Slot;

/// A cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// The shards, in the order told. One shard may be told in several parts.
    pub shards: Vec<Shard>,
}

/// Some slots and the nodes that hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Ascending ranges of slots, both ends included.
    pub slots: Vec<RangeInclusive<Slot>>,
    /// The node that takes writes.
    pub primary: Node,
    /// Its replicas.
    pub replicas: Vec<Node>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name of 40 hexadecimal digits, where told (since Redis 4).
    pub id: Option<Box<str>>,
    /// Where clients reach it.
    pub endpoint: Endpoint,
}

/// Why a reply says nothing about the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The node answered with an error, quoted.
    #[error("the node answered: {0}")]
    Refused(String),
    /// The reply has another form than Redis, Valkey or Slotilla gives it.
    #[error("the reply has an unknown form: {0}")]
    Malformed(&'static str),
}

impl Topology {
    /// How many slots have an owner. A slot told twice counts once.
    #[must_use]
    pub fn slots_covered(&self) -> usize {
        let mut covered = vec![false; usize::from(Slot::COUNT)];
        for range in self.shards.iter().flat_map(|shard| &shard.slots) {
            let (start, end) = (range.start().index(), range.end().index());
            if let Some(part) = covered.get_mut(start..=end) {
                part.fill(true);
            }
        }
        covered.iter().filter(|c| **c).count()
    }
}

/// The elements of `reply`, or why there are none.
fn elements(reply: &Value) -> Result<&[Value], TopologyError> {
    if let Value::Error(text) = reply.without_attributes() {
        let text = String::from_utf8_lossy(text).into_owned();
        return Err(TopologyError::Refused(text));
    }
    reply
        .as_elements()
        .ok_or(TopologyError::Malformed("not an array"))
}

fn slot_range(start: &Value, end: &Value) -> Result<RangeInclusive<Slot>, TopologyError> {
    let slot = |value: &Value| {
        let number = u64::try_from(value.as_integer()?).ok()?;
        Slot::from_wire(number)
    };
    match (slot(start), slot(end)) {
        (Some(start), Some(end)) if start <= end => Ok(start..=end),
        _ => Err(TopologyError::Malformed("a slot range")),
    }
}

fn text(value: &Value) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()?).ok()
}

fn port(value: &Value) -> Option<u16> {
    let port = u16::try_from(value.as_integer()?).ok()?;
    (port != 0).then_some(port)
}
