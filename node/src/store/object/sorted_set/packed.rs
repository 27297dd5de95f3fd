//! A small sorted set: member, score, member, score in a listpack, in order.

use super::super::listpack::{At, Item, Listpack};
use super::super::word::PackMut;
use super::Member;
use slotilla_common::resp::{append_i64, format_double};

/// A score as a listpack has it: an integer if it is one, so that it takes few bytes. A negative
/// zero loses its sign there, as it does in Redis.
pub(super) fn score_text(score: f64) -> Vec<u8> {
    /// Redis turns integers up to here, half of what 64 bits hold, into integers.
    const INTEGER_MAX: f64 = 4_611_686_018_427_387_904.0;
    let mut text = Vec::with_capacity(24);
    if score.trunc() == score && score.abs() <= INTEGER_MAX {
        append_i64(&mut text, score as i64);
    } else {
        format_double(&mut text, score);
    }
    text
}

/// The score behind a member.
pub(super) fn score_of(pack: &Listpack, member: At) -> f64 {
    match pack.next(member).map(|at| pack.item(at)) {
        Some(Item::Int(number)) => number as f64,
        Some(Item::Bytes(text)) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0),
        None => 0.0,
    }
}

/// A score from outside, if it is one.
pub(in super::super) fn packed_score_of(item: Item<'_>) -> Option<f64> {
    let score = match item {
        Item::Int(number) => number as f64,
        Item::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    (!score.is_nan()).then_some(score)
}

/// Whether members are in the order of their scores, those of one score in that of their bytes.
pub(in super::super) fn is_in_order(pack: &Listpack) -> bool {
    let member = |at| Member(pack.item(at)).to_cow();
    let mut pairs = places(pack).map(|at| (score_of(pack, at), at));
    let Some(mut before) = pairs.next() else {
        return true;
    };
    pairs.all(|next| {
        let ((score, at), (last_score, last)) = (next, before);
        before = next;
        last_score < score || (last_score == score && member(last) < member(at))
    })
}

/// Where a member is.
pub(super) fn find(pack: &Listpack, member: &[u8]) -> Option<At> {
    pack.find(pack.first(), member, 2)
}

/// Where the member of a rank is.
pub(super) fn of_rank(pack: &Listpack, rank: usize) -> Option<At> {
    pack.nth(i64::try_from(rank.checked_mul(2)?).ok()?)
}

/// The member behind another, or the one before.
pub(super) fn step(pack: &Listpack, at: At, back: bool) -> Option<At> {
    if back {
        pack.prev(pack.prev(at)?)
    } else {
        pack.next(pack.next(at)?)
    }
}

/// Where the members are, in order.
pub(super) fn places(pack: &Listpack) -> impl Iterator<Item = At> {
    std::iter::successors(pack.first(), |at| step(pack, *at, false))
}

/// How many members come before the first of which `before` is false.
pub(super) fn partition(pack: &Listpack, before: impl Fn(f64, Member<'_>) -> bool) -> usize {
    places(pack)
        .take_while(|at| before(score_of(pack, *at), Member(pack.item(*at))))
        .count()
}

/// Adds a member that is not there, in its place.
pub(super) fn add(pack: &mut PackMut<'_>, member: &[u8], score: f64) {
    let behind = places(pack).find(|at| {
        let other = score_of(pack, *at);
        other > score
            || (other == score && Member(pack.item(*at)).with_text(|other| other > member))
    });
    let text = score_text(score);
    match behind {
        None => {
            pack.push(member);
            pack.push(&text);
        }
        Some(at) => {
            pack.insert_before(at, member);
            pack.insert_after(at, &text);
        }
    }
}
