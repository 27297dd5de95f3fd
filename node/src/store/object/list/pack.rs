//! What lists do within one listpack.

use super::super::listpack::{Item, Iter, Listpack};
use super::End;
use crate::store::object::word::PackMut;

/// Elements from the one at `position` on; `None` if there is none.
pub(super) fn from(pack: &Listpack, position: usize) -> Option<Iter<'_>> {
    let at = pack.nth(i64::try_from(position).ok()?)?;
    Some(pack.iter_from(at))
}

/// Adds an element at an end.
pub(super) fn push(pack: &mut PackMut<'_>, end: End, element: &[u8]) {
    match end {
        End::Head => pack.push_front(element),
        End::Tail => pack.push(element),
    }
}

/// Shows up to `count` elements, from an end on.
pub(super) fn visit(pack: &Listpack, end: End, count: usize, visit: impl FnMut(Item<'_>)) {
    match end {
        End::Head => pack.iter().take(count).for_each(visit),
        End::Tail => pack.iter().rev().take(count).for_each(visit),
    }
}

/// Takes up to `count` elements off an end.
pub(super) fn cut(pack: &mut PackMut<'_>, end: End, count: usize) {
    let first = match end {
        End::Head => pack.first(),
        End::Tail => {
            let index = i64::try_from(count).unwrap_or(i64::MAX);
            pack.nth(-index).or_else(|| pack.first())
        }
    };
    if let Some(at) = first {
        pack.remove(at, count);
    }
}

/// Takes out elements that are `element`, up to `most` from an end on; how many there were.
pub(super) fn remove(pack: &mut PackMut<'_>, element: &[u8], end: End, most: usize) -> usize {
    let wanted = element.into();
    let mut gone = 0;
    let mut at = match end {
        End::Head => pack.first(),
        End::Tail => pack.last(),
    };
    while let Some(here) = at
        && gone < most
    {
        let before = pack.prev(here);
        let behind = if pack.item(here).is(wanted) {
            gone += 1;
            pack.remove(here, 1)
        } else {
            pack.next(here)
        };
        at = match end {
            End::Head => behind,
            End::Tail => before,
        };
    }
    gone
}
