//! A big list: listpacks in a row, each with the count of its elements.
//!
//! An index is found by the counts; then one listpack is walked. No node is empty, `len` is the sum
//! of the counts, `bytes` that of what the listpacks take.
//!
//! A copy of a row, such as a snapshot makes of one that is about to change, shares its nodes: who
//! changes a node that others have too gets one of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::super::memory::size_class;
use super::super::listpack::{At, Listpack};
use super::super::word::PackMut;
use super::{Elements, End, NodeLimit, Side, pack};
use crate::store::object::Item;

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(super) nodes: VecDeque<Arc<Node>>,
    pub(super) len: usize,
    pub(super) bytes: usize,
    /// Bytes of nodes that were shared, and are so no more.
    copied: usize,
}

/// What a node takes beside its listpack.
fn node_memory() -> usize {
    // An `Arc` has two counters beside what it shares.
    size_class(size_of::<Node>() + 2 * size_of::<usize>())
}

/// One listpack of a row.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(super) pack: Listpack,
    pub(super) count: u32,
}

/// Where an element is, until the list changes.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: usize,
    at: At,
}

impl Node {
    fn of(element: &[u8]) -> Self {
        let mut pack = Listpack::default();
        pack.push(element);
        Self { pack, count: 1 }
    }

    fn allows(&self, element: &[u8], limit: NodeLimit) -> bool {
        limit.allows(&self.pack, self.count as usize, element.len())
    }
}

impl From<Listpack> for Node {
    fn from(pack: Listpack) -> Self {
        // A node has at most as many elements as bytes, of which a listpack has below 2^32.
        let count = pack.len() as u32;
        Self { pack, count }
    }
}

impl From<Listpack> for Row {
    fn from(pack: Listpack) -> Self {
        let mut row = Self::default();
        if !pack.is_empty() {
            row.add_node(0, pack.into());
        }
        row
    }
}

impl Row {
    /// How many elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many listpacks.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// A listpack.
    pub(crate) fn node(&self, number: usize) -> Option<&Listpack> {
        self.nodes.get(number).map(|node| &node.pack)
    }

    /// Adds a listpack, which is not empty, at the end.
    pub(crate) fn append(&mut self, pack: Listpack) {
        self.add_node(self.nodes.len(), pack.into());
    }

    /// Bytes of the listpacks, as Redis's limits count them.
    pub(super) fn packed_bytes(&self) -> usize {
        self.nodes.iter().map(|node| node.pack.byte_len()).sum()
    }

    /// Bytes held. Takes the same time for every size.
    pub(crate) fn memory(&self) -> usize {
        let places = self.nodes.capacity() * size_of::<Arc<Node>>();
        self.bytes + places + self.nodes.len() * node_memory()
    }

    /// About what its nodes take that are shared with copies no more.
    pub(in super::super) fn copied(&self) -> usize {
        self.copied
    }

    pub(super) fn get(&self, position: usize) -> Option<Item<'_>> {
        let place = self.locate(position)?;
        Some(self.nodes.get(place.node)?.pack.item(place.at))
    }

    /// Elements from a position on, in order.
    pub(super) fn iter_from(&self, position: usize) -> Elements<'_> {
        let (node, skip) = self.node_of(position);
        let here = self
            .nodes
            .get(node)
            .and_then(|node| pack::from(&node.pack, skip));
        let rest = self.nodes.range(self.nodes.len().min(node + 1)..);
        Elements::new(here, Some(rest))
    }

    /// Elements from the last to the first.
    pub(super) fn backwards(&self) -> impl Iterator<Item = Item<'_>> {
        let nodes = self.nodes.iter().rev();
        nodes.flat_map(|node| node.pack.iter().rev())
    }

    pub(super) fn push(&mut self, end: End, element: &[u8], limit: NodeLimit) {
        let number = self.last_at(end);
        match self.nodes.get(number) {
            Some(node) if node.allows(element, limit) => {
                self.change(number, |pack| {
                    pack::push(&mut PackMut::of(pack), end, element)
                });
            }
            _ => {
                let number = match end {
                    End::Head => 0,
                    End::Tail => self.nodes.len(),
                };
                self.add_node(number, Node::of(element));
            }
        }
    }

    /// Takes up to `count` elements off an end. `seen` is shown each listpack before, and told how
    /// many of its elements go.
    pub(super) fn cut(&mut self, end: End, count: usize, mut seen: impl FnMut(&Listpack, usize)) {
        let mut left = count;
        while left > 0 {
            let number = self.last_at(end);
            let Some(node) = self.nodes.get(number) else {
                return;
            };
            let here = left.min(node.count as usize);
            seen(&node.pack, here);
            if here == node.count as usize {
                self.take_node(number);
            } else {
                self.change(number, |pack| pack::cut(&mut PackMut::of(pack), end, here));
            }
            left -= here;
        }
    }

    /// See [`List::set`](super::List::set).
    pub(super) fn set(&mut self, position: usize, element: &[u8], limit: NodeLimit) {
        let Some(Place { node: number, at }) = self.locate(position) else {
            return;
        };
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        let old = node.pack.item(at).len();
        let count = node.count as usize;
        let next = self.nodes.get(number + 1);
        if limit.is_alone(&node.pack, count) && next.is_some_and(|next| next.allows(element, limit))
        {
            // As in Redis, one that needs no node of its own any more goes to those behind it.
            self.take_node(number);
            self.change(number, |pack| pack.push_front(element));
            return;
        }
        if limit.allows_in_place(&node.pack, count, old, element.len()) {
            self.change(number, |pack| pack.replace(at, element));
            return;
        }
        // It has neighbours, or it would be allowed.
        let mut behind = None;
        self.change(number, |pack| behind = pack.remove(at, 1));
        self.put(number, behind, element, limit);
    }

    /// See [`List::insert`](super::List::insert).
    pub(super) fn insert(
        &mut self,
        pivot: &[u8],
        side: Side,
        element: &[u8],
        limit: NodeLimit,
    ) -> bool {
        let Some(Place { node, at }) = self.find(pivot) else {
            return false;
        };
        let before = match side {
            Side::Before => Some(at),
            Side::After => self.nodes.get(node).and_then(|node| node.pack.next(at)),
        };
        self.put(node, before, element, limit);
        true
    }

    /// See [`List::remove`](super::List::remove).
    pub(super) fn remove(&mut self, element: &[u8], end: End, most: usize) -> usize {
        let (mut gone, mut steps) = (0, 0);
        let nodes = self.nodes.len();
        while gone < most && steps < nodes {
            let number = match end {
                End::Head => steps,
                End::Tail => nodes - 1 - steps,
            };
            let node = self.nodes.get(number);
            // One that has none is not to be copied if it is shared.
            if node.is_some_and(|node| node.pack.find(node.pack.first(), element, 1).is_some()) {
                // Emptied nodes stay for now: taking each out on its own would move the others.
                self.change(number, |pack| {
                    gone += pack::remove(&mut PackMut::of(pack), element, end, most - gone);
                });
            }
            steps += 1;
        }
        if gone > 0 {
            let bytes = &mut self.bytes;
            self.nodes.retain(|node| {
                if node.count == 0 {
                    *bytes -= node.pack.memory();
                }
                node.count > 0
            });
            self.give_back();
        }
        gone
    }

    /// The only listpack, if there is no other; the row is of no use without it.
    pub(super) fn take_only(&mut self) -> Option<Listpack> {
        if self.nodes.len() > 1 {
            return None;
        }
        Some(
            self.nodes
                .pop_front()
                .map(|node| Arc::unwrap_or_clone(node).pack)
                .unwrap_or_default(),
        )
    }

    // === Within ===

    /// The node at an end.
    fn last_at(&self, end: End) -> usize {
        match end {
            End::Head => 0,
            End::Tail => self.nodes.len().saturating_sub(1),
        }
    }

    /// The node of a position, and which of its elements is meant.
    fn node_of(&self, position: usize) -> (usize, usize) {
        if position > self.len / 2 {
            let mut end = self.len;
            for (number, node) in self.nodes.iter().enumerate().rev() {
                let start = end - node.count as usize;
                if position >= start {
                    return (number, position - start);
                }
                end = start;
            }
        }
        let mut left = position;
        for (number, node) in self.nodes.iter().enumerate() {
            if left < node.count as usize {
                return (number, left);
            }
            left -= node.count as usize;
        }
        (self.nodes.len(), 0)
    }

    fn locate(&self, position: usize) -> Option<Place> {
        let (node, skip) = self.node_of(position);
        let at = self.nodes.get(node)?.pack.nth(skip as i64)?;
        Some(Place { node, at })
    }

    fn find(&self, element: &[u8]) -> Option<Place> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find_map(|(number, node)| {
            let at = node.pack.find(node.pack.first(), element, 1)?;
            Some(Place { node: number, at })
        })
    }

    /// Puts an element into a node, before another or at its end. If the node has no room, it is
    /// split there, and the element goes to the half that has, or between them.
    fn put(&mut self, number: usize, before: Option<At>, element: &[u8], limit: NodeLimit) {
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        if node.allows(element, limit) {
            self.change(number, |pack| match before {
                Some(at) => drop(pack.insert_before(at, element)),
                None => pack.push(element),
            });
            return;
        }
        let is_first = before.is_some() && before == node.pack.first();
        let behind = if is_first { number } else { number + 1 };
        if let Some(at) = before.filter(|_| !is_first) {
            let mut upper = Listpack::default();
            self.change(number, |pack| upper = pack.split_off(at));
            self.add_node(behind, upper.into());
        }
        let has_room = |number: usize| {
            let node = self.nodes.get(number);
            node.is_some_and(|node| node.allows(element, limit))
        };
        if let Some(left) = behind.checked_sub(1).filter(|left| has_room(*left)) {
            self.change(left, |pack| pack.push(element));
        } else if has_room(behind) {
            self.change(behind, |pack| pack.push_front(element));
        } else {
            self.add_node(behind, Node::of(element));
        }
    }

    /// Changes a node, keeping the sums right.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Listpack)) {
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        self.bytes -= node.pack.memory();
        self.len -= node.count as usize;
        if Arc::strong_count(node) > 1 {
            self.copied += node.pack.memory() + node_memory();
        }
        let node = Arc::make_mut(node);
        change(&mut node.pack);
        // A node has at most as many elements as bytes, of which a listpack has below 2^32.
        node.count = node.pack.len() as u32;
        self.len += node.count as usize;
        self.bytes += node.pack.memory();
    }

    fn add_node(&mut self, number: usize, node: Node) {
        self.len += node.count as usize;
        self.bytes += node.pack.memory();
        self.nodes.insert(number, Arc::new(node));
    }

    fn take_node(&mut self, number: usize) {
        if let Some(node) = self.nodes.remove(number) {
            self.len -= node.count as usize;
            self.bytes -= node.pack.memory();
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }
}
