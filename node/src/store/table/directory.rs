//! Many segments under one directory: extendible hashing.
//!
//! The directory has 2^depth rows; row `r` names the segment of all positions that begin with the
//! bits of `r`. A segment of depth `d` has 2^(depth-d) rows in succession. Splitting one segment
//! moves its entries alone; doubling the directory copies its rows, four bytes each.
//!
//! Invariant: every row is a segment's number, and a segment's rows are those of its prefix.

use super::super::lazyfree::give_way;
use super::{KeyHasher, Keyed, POSITION_BITS, POSITIONS, SEGMENT_BUCKETS, Segment};
use super::{make_room, position};

pub(super) struct Directory<E> {
    pub(super) len: usize,
    depth: u32,
    /// How many segments have the directory's depth: with none it can be halved.
    deepest: usize,
    rows: Vec<u32>,
    nodes: Vec<Node<E>>,
    /// Bytes of all segments.
    bytes: usize,
}

struct Node<E> {
    depth: u32,
    prefix: u32,
    segment: Segment<E>,
}

impl<E> Node<E> {
    fn first_position(&self) -> u32 {
        self.prefix << (POSITION_BITS - self.depth)
    }

    /// Where the next segment's positions start.
    fn end(&self) -> Option<u32> {
        let end = self.first_position() + (POSITIONS >> self.depth);
        (end < POSITIONS).then_some(end)
    }
}

/// Segment by segment, so that a thread that frees for others can let them run in between.
impl<E> Drop for Directory<E> {
    fn drop(&mut self) {
        while let Some(node) = self.nodes.pop() {
            drop(node);
            give_way();
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "positions lead to rows and rows to nodes, by the module's invariant; a miss would \
              mean lost keys, which must not be papered over"
)]
impl<E: Keyed> Directory<E> {
    /// Of one segment.
    pub(super) fn new(segment: Segment<E>) -> Self {
        Self {
            len: segment.len(),
            bytes: segment.memory(),
            depth: 0,
            deepest: 1,
            rows: vec![0],
            nodes: vec![Node {
                depth: 0,
                prefix: 0,
                segment,
            }],
        }
    }

    #[inline]
    fn number(&self, position: u32) -> usize {
        self.rows[(position >> (POSITION_BITS - self.depth)) as usize] as usize
    }

    /// The segment of a hash, and its number.
    #[inline]
    pub(super) fn of_hash(&self, hash: u64) -> (usize, &Segment<E>) {
        let number = self.number(position(hash));
        (number, &self.nodes[number].segment)
    }

    /// The number of a position's segment, and where the next segment starts.
    pub(super) fn at_position(&self, position: u32) -> (usize, Option<u32>) {
        let number = self.number(position.min(POSITIONS - 1));
        (number, self.nodes[number].end())
    }

    #[inline]
    pub(super) fn segment(&self, number: usize) -> Option<&Segment<E>> {
        self.nodes.get(number).map(|node| &node.segment)
    }

    #[inline]
    pub(super) fn segment_mut(&mut self, number: usize) -> Option<&mut Segment<E>> {
        self.nodes.get_mut(number).map(|node| &mut node.segment)
    }

    /// Any segment, each with the same chance.
    pub(super) fn random(&self, random: &mut fastrand::Rng) -> Option<&Segment<E>> {
        self.segment(random.usize(0..self.nodes.len()))
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment<E>> {
        self.nodes.iter().map(|node| &node.segment)
    }

    /// Bytes of everything but the entries. Takes the same time for every size.
    pub(super) fn memory(&self) -> usize {
        self.bytes
            + self.rows.capacity() * size_of::<u32>()
            + self.nodes.capacity() * size_of::<Node<E>>()
            + size_of::<Self>()
    }

    pub(super) fn insert(&mut self, hash: u64, entry: E, hasher: KeyHasher) {
        loop {
            let number = self.number(position(hash));
            let node = &mut self.nodes[number];
            let before = node.segment.memory();
            // Keys that agree in every bit of their positions cannot be split any further.
            if make_room(&mut node.segment, hasher) || node.depth == POSITION_BITS {
                node.segment.insert(hash, entry, hasher);
                self.bytes += node.segment.memory() - before;
                self.len += 1;
                return;
            }
            self.split(number, hasher);
        }
    }

    fn split(&mut self, number: usize, hasher: KeyHasher) {
        if self.nodes[number].depth == self.depth {
            self.rows = self.rows.iter().flat_map(|row| [*row, *row]).collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let node = &mut self.nodes[number];
        let old = std::mem::take(&mut node.segment);
        let bytes = old.memory();
        let half = || Segment::with_room(old.len() / 2);
        let (mut low, mut high) = (half(), half());
        node.depth += 1;
        node.prefix <<= 1;
        let bit = 1 << (POSITION_BITS - node.depth);
        for entry in old {
            let hash = hasher.hash(entry.key());
            let side = if position(hash) & bit == 0 {
                &mut low
            } else {
                &mut high
            };
            side.insert(hash, entry, hasher);
        }
        self.bytes += low.memory() + high.memory();
        self.bytes -= bytes;
        node.segment = low;
        let upper = Node {
            depth: node.depth,
            prefix: node.prefix | 1,
            segment: high,
        };
        if upper.depth == self.depth {
            self.deepest += 2;
        }
        self.nodes.push(upper);
        self.point_rows(self.nodes.len() - 1);
    }

    /// After entries left the segment: shrinks it, or merges it with the segment that it was once
    /// split from. The last segment if only one is left: the directory is no longer needed.
    pub(super) fn shrink(&mut self, number: usize, hasher: KeyHasher) -> Option<Segment<E>> {
        let mut number = number;
        while self.nodes[number].segment.len() < SEGMENT_BUCKETS {
            match self.merge(number, hasher) {
                Some(merged) => number = merged,
                None => break,
            }
        }
        let segment = &mut self.nodes[number].segment;
        self.bytes -= segment.memory();
        segment.shrink(hasher);
        self.bytes += segment.memory();
        if self.nodes.len() == 1 {
            return self.nodes.pop().map(|node| node.segment);
        }
        None
    }

    /// Merges the segment with its buddy if the result is at most half full; its number.
    fn merge(&mut self, number: usize, hasher: KeyHasher) -> Option<usize> {
        let node = &self.nodes[number];
        let depth = node.depth;
        if depth == 0 {
            return None;
        }
        let buddy = self.number((node.prefix ^ 1) << (POSITION_BITS - depth));
        let together = node.segment.len() + self.nodes[buddy].segment.len();
        if self.nodes[buddy].depth != depth || together > SEGMENT_BUCKETS * 3 {
            return None;
        }
        let moved = std::mem::take(&mut self.nodes[number].segment);
        let into = &mut self.nodes[buddy];
        self.bytes -= moved.memory() + into.segment.memory();
        for entry in moved {
            let hash = hasher.hash(entry.key());
            into.segment.insert(hash, entry, hasher);
        }
        self.bytes += into.segment.memory();
        into.depth -= 1;
        into.prefix >>= 1;
        self.point_rows(buddy);
        if depth == self.depth {
            self.deepest -= 2;
        }
        self.nodes.swap_remove(number);
        let merged = if buddy == self.nodes.len() {
            number
        } else {
            buddy
        };
        if number < self.nodes.len() {
            self.point_rows(number);
        }
        while self.deepest == 0 {
            self.halve();
        }
        Some(merged)
    }

    fn halve(&mut self) {
        self.rows = self.rows.iter().step_by(2).copied().collect();
        self.depth -= 1;
        self.deepest = self
            .nodes
            .iter()
            .filter(|node| node.depth == self.depth)
            .count();
    }

    /// Makes the rows of a segment's prefix name it.
    fn point_rows(&mut self, number: usize) {
        let node = &self.nodes[number];
        let below = self.depth - node.depth;
        let first = (node.prefix as usize) << below;
        // Segment numbers are below 2^20, or the positions would have run out.
        self.rows[first..first + (1 << below)].fill(number as u32);
    }
}
