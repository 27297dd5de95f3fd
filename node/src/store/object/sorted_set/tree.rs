//! Scores and members in order, counted: a B+tree that knows how many elements lie below each
//! node, so that ranks are found as quickly as elements are.
//!
//! ```text
//! Inner  lows    the least item below each child     Leaf  items, in order
//!        counts  how many items below each child
//!        nodes   the children
//! ```
//!
//! A list of pointers per level, as a skip list has them, costs two or three words an element and
//! a cache miss a step. Here an element is two words, in runs of up to [`FULL`], and a search
//! reads about two lines a level.
//!
//! Invariants: no node but the root is empty, all leaves are at one depth, `lows` and `counts`
//! tell the truth.

use std::cmp::Ordering;

/// Items of a leaf, and children of an inner node, at most: a leaf is a kilobyte.
const FULL: usize = if cfg!(test) { 8 } else { 64 };
/// A node that has fewer is joined with a neighbour, if both fit one with room to spare.
const FEW: usize = FULL / 4;

/// An element: ordered by score, then by member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item<M> {
    /// Never NaN.
    pub(super) score: f64,
    pub(super) member: M,
}

impl<M: Ord> Item<M> {
    /// Zeros of both signs are equal, as in Redis.
    #[inline]
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match self.score.partial_cmp(&other.score) {
            Some(Ordering::Equal) | None => self.member.cmp(&other.member),
            Some(order) => order,
        }
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Tree<M> {
    root: Node<M>,
    len: usize,
}

#[derive(Debug)]
enum Node<M> {
    Leaf(Vec<Item<M>>),
    Inner(Box<Inner<M>>),
}

#[derive(Debug)]
struct Inner<M> {
    lows: Vec<Item<M>>,
    counts: Vec<u32>,
    nodes: Vec<Node<M>>,
}

/// A node and what its parent says of it.
struct Child<M> {
    low: Item<M>,
    count: u32,
    node: Node<M>,
}

impl<M> Default for Tree<M> {
    fn default() -> Self {
        Self {
            root: Node::Leaf(Vec::new()),
            len: 0,
        }
    }
}

impl<M: Ord + Copy> Tree<M> {
    /// How many items.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the nodes take, about: what they take when they are two thirds full, as they
    /// are on average.
    pub(super) fn memory(&self) -> usize {
        self.len * size_of::<Item<M>>() * 3 / 2
    }

    /// Adds an item that is not there.
    pub(super) fn insert(&mut self, item: Item<M>) {
        self.len += 1;
        let Some(right) = self.root.insert(item, true) else {
            return;
        };
        let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
        let mut inner = Inner::default();
        if let Some(left) = Child::of(left) {
            inner.push(left);
        }
        inner.push(right);
        self.root = Node::Inner(Box::new(inner));
    }

    /// Takes an item out; whether it was there.
    pub(super) fn remove(&mut self, item: Item<M>) -> bool {
        if !self.root.remove(item) {
            return false;
        }
        self.len -= 1;
        while let Node::Inner(inner) = &mut self.root
            && inner.nodes.len() == 1
            && let Some(only) = inner.nodes.pop()
        {
            self.root = only;
        }
        true
    }

    /// How many items come before the first of which `before` is false; it is false of all that
    /// come behind that.
    #[inline]
    pub(super) fn partition(&self, before: impl Fn(&Item<M>) -> bool) -> usize {
        let (mut node, mut passed) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return passed + items.partition_point(before),
                Node::Inner(inner) => {
                    let Some(at) = inner.lows.partition_point(&before).checked_sub(1) else {
                        return passed;
                    };
                    passed += inner.count_of_first(at);
                    match inner.nodes.get(at) {
                        Some(child) => node = child,
                        None => return passed,
                    }
                }
            }
        }
    }

    /// How many items come before this one.
    pub(super) fn rank(&self, item: Item<M>) -> usize {
        self.partition(|other| other.order(&item) == Ordering::Less)
    }

    /// Items from a rank on, in order.
    pub(super) fn from(&self, rank: usize) -> Forwards<'_, M> {
        let mut walk = Forwards {
            above: Vec::new(),
            leaf: [].iter(),
        };
        let (mut node, mut left) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(items) => {
                    walk.leaf = items.get(left..).unwrap_or_default().iter();
                    return walk;
                }
                Node::Inner(inner) => {
                    let at = inner.of_rank(&mut left);
                    let mut nodes = inner.nodes.get(at..).unwrap_or_default().iter();
                    let Some(child) = nodes.next() else {
                        return walk;
                    };
                    walk.above.push(nodes);
                    node = child;
                }
            }
        }
    }

    /// Items from a rank on towards the first, in reverse order.
    pub(super) fn back_from(&self, rank: usize) -> Backwards<'_, M> {
        let mut walk = Backwards {
            above: Vec::new(),
            leaf: [].iter(),
        };
        let (mut node, mut left) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(items) => {
                    let end = items.len().min(left + 1);
                    walk.leaf = items.get(..end).unwrap_or_default().iter();
                    return walk;
                }
                Node::Inner(inner) => {
                    let at = inner.of_rank(&mut left);
                    let mut nodes = inner.nodes.get(..=at).unwrap_or(&inner.nodes).iter();
                    let Some(child) = nodes.next_back() else {
                        return walk;
                    };
                    walk.above.push(nodes);
                    node = child;
                }
            }
        }
    }
}

impl<M> Default for Inner<M> {
    fn default() -> Self {
        Self {
            lows: Vec::with_capacity(FULL),
            counts: Vec::with_capacity(FULL),
            nodes: Vec::with_capacity(FULL),
        }
    }
}

impl<M: Ord + Copy> Inner<M> {
    fn push(&mut self, child: Child<M>) {
        self.put(self.nodes.len(), child);
    }

    fn put(&mut self, at: usize, child: Child<M>) {
        self.lows.insert(at, child.low);
        self.counts.insert(at, child.count);
        self.nodes.insert(at, child.node);
    }

    fn take(&mut self, at: usize) -> Child<M> {
        Child {
            low: self.lows.remove(at),
            count: self.counts.remove(at),
            node: self.nodes.remove(at),
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self::default();
        right.lows.extend(self.lows.drain(at..));
        right.counts.extend(self.counts.drain(at..));
        right.nodes.extend(self.nodes.drain(at..));
        right
    }

    /// The child that has, or would have, an item.
    #[inline]
    fn of_item(&self, item: &Item<M>) -> usize {
        let not_after = |low: &Item<M>| low.order(item) != Ordering::Greater;
        self.lows.partition_point(not_after).saturating_sub(1)
    }

    /// The child that has the item of a rank; the rank becomes that within the child.
    #[inline]
    fn of_rank(&self, rank: &mut usize) -> usize {
        let last = self.counts.len().saturating_sub(1);
        for (at, count) in self.counts.iter().enumerate() {
            let count = *count as usize;
            if *rank < count || at == last {
                return at;
            }
            *rank -= count;
        }
        last
    }

    fn count_of_first(&self, children: usize) -> usize {
        let counts = self.counts.get(..children).unwrap_or(&self.counts);
        counts.iter().map(|count| *count as usize).sum()
    }

    /// Corrects what is said of a child that has changed.
    fn tell_of(&mut self, at: usize) {
        let told = self.nodes.get(at).and_then(|node| {
            let low = node.first()?;
            Some((low, node.count()))
        });
        if let (Some((low, count)), Some(low_place), Some(count_place)) =
            (told, self.lows.get_mut(at), self.counts.get_mut(at))
        {
            (*low_place, *count_place) = (low, count);
        }
    }

    fn insert(&mut self, item: Item<M>, is_last: bool) -> Option<Child<M>> {
        let at = self.of_item(&item);
        let is_last_child = at + 1 == self.nodes.len();
        let right = self
            .nodes
            .get_mut(at)?
            .insert(item, is_last && is_last_child);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        if let Some(low) = self.lows.get_mut(at)
            && item.order(low) == Ordering::Less
        {
            *low = item;
        }
        let right = right?;
        if let Some(count) = self.counts.get_mut(at) {
            *count -= right.count;
        }
        if self.nodes.len() < FULL {
            self.put(at + 1, right);
            return None;
        }
        // At the end of everything the next items are likely to come there too.
        let split = if is_last && is_last_child {
            FULL - 1
        } else {
            FULL / 2
        };
        let mut upper = self.split_off(split);
        if at + 1 >= split {
            upper.put(at + 1 - split, right);
        } else {
            self.put(at + 1, right);
        }
        Child::of(Node::Inner(Box::new(upper)))
    }

    fn remove(&mut self, item: Item<M>) -> bool {
        let at = self.of_item(&item);
        let Some(child) = self.nodes.get_mut(at) else {
            return false;
        };
        if !child.remove(item) {
            return false;
        }
        match child.size() {
            0 => drop(self.take(at)),
            size => {
                self.tell_of(at);
                if size < FEW {
                    self.join(at);
                }
            }
        }
        true
    }

    /// Joins a child with a neighbour, if one node has room for both and for more.
    fn join(&mut self, at: usize) {
        let size = |at: usize| self.nodes.get(at).map(Node::size);
        let fits = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => a + b <= FULL * 3 / 4,
            _ => false,
        };
        let left = if at > 0 && fits(size(at - 1), size(at)) {
            at - 1
        } else if fits(size(at), size(at + 1)) {
            at
        } else {
            return;
        };
        let right = self.take(left + 1);
        if let Some(node) = self.nodes.get_mut(left) {
            node.append(right.node);
            self.tell_of(left);
        }
    }
}

impl<M: Ord + Copy> Node<M> {
    fn first(&self) -> Option<Item<M>> {
        match self {
            Self::Leaf(items) => items.first().copied(),
            Self::Inner(inner) => inner.lows.first().copied(),
        }
    }

    /// Items below.
    fn count(&self) -> u32 {
        match self {
            // A leaf has few.
            Self::Leaf(items) => items.len() as u32,
            Self::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    /// Items of a leaf, children of an inner node.
    fn size(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(inner) => inner.nodes.len(),
        }
    }

    /// Adds an item; the right half of this node if it was full. `is_last` is true along the right
    /// edge of the tree.
    fn insert(&mut self, item: Item<M>, is_last: bool) -> Option<Child<M>> {
        let items = match self {
            Self::Inner(inner) => return inner.insert(item, is_last),
            Self::Leaf(items) => items,
        };
        let at = items.partition_point(|other| other.order(&item) == Ordering::Less);
        if items.len() < FULL {
            items.insert(at, item);
            return None;
        }
        let split = if is_last && at == FULL {
            FULL
        } else {
            FULL / 2
        };
        let mut upper = Vec::with_capacity(FULL);
        upper.extend(items.drain(split..));
        if at >= split {
            upper.insert(at - split, item);
        } else {
            items.insert(at, item);
        }
        Child::of(Self::Leaf(upper))
    }

    fn remove(&mut self, item: Item<M>) -> bool {
        let items = match self {
            Self::Inner(inner) => return inner.remove(item),
            Self::Leaf(items) => items,
        };
        let found = items.binary_search_by(|other| other.order(&item));
        if let Ok(at) = found {
            items.remove(at);
        }
        found.is_ok()
    }

    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Leaf(items), Self::Leaf(more)) => items.extend(more),
            (Self::Inner(inner), Self::Inner(more)) => {
                inner.lows.extend(more.lows);
                inner.counts.extend(more.counts);
                inner.nodes.extend(more.nodes);
            }
            // Neighbours are at one depth.
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {}
        }
    }
}

impl<M: Ord + Copy> Child<M> {
    /// `None` for a node without items.
    fn of(node: Node<M>) -> Option<Self> {
        Some(Self {
            low: node.first()?,
            count: node.count(),
            node,
        })
    }
}

/// Items in order.
#[derive(Clone, Debug)]
pub(super) struct Forwards<'t, M> {
    /// The nodes still to come, of each level above the leaf.
    above: Vec<std::slice::Iter<'t, Node<M>>>,
    leaf: std::slice::Iter<'t, Item<M>>,
}

impl<'t, M> Iterator for Forwards<'t, M> {
    type Item = &'t Item<M>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.leaf.next() {
                return Some(item);
            }
            match self.above.last_mut()?.next() {
                None => drop(self.above.pop()),
                Some(Node::Leaf(items)) => self.leaf = items.iter(),
                Some(Node::Inner(inner)) => self.above.push(inner.nodes.iter()),
            }
        }
    }
}

/// Items in reverse order.
#[derive(Clone, Debug)]
pub(super) struct Backwards<'t, M> {
    above: Vec<std::slice::Iter<'t, Node<M>>>,
    leaf: std::slice::Iter<'t, Item<M>>,
}

impl<'t, M> Iterator for Backwards<'t, M> {
    type Item = &'t Item<M>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.leaf.next_back() {
                return Some(item);
            }
            match self.above.last_mut()?.next_back() {
                None => drop(self.above.pop()),
                Some(Node::Leaf(items)) => self.leaf = items.iter(),
                Some(Node::Inner(inner)) => self.above.push(inner.nodes.iter()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
