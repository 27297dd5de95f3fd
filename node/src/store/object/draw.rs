//! Picking elements by lot.

use std::collections::HashSet;

use super::Fields;
use super::field::Field;

/// How many elements to pick, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// So many different ones, or all if there are fewer.
    Distinct(usize),
    /// So many, each drawn from all.
    Repeated(usize),
}

impl Draw {
    /// How many a collection of `len` elements gives.
    #[must_use]
    pub fn count(self, len: usize) -> usize {
        match self {
            Self::Distinct(count) => count.min(len),
            Self::Repeated(_) if len == 0 => 0,
            Self::Repeated(count) => count,
        }
    }
}

/// Picks from a list, each with the same chance.
pub(super) fn from_list<T: Copy>(
    mut items: Vec<T>,
    draw: Draw,
    random: &mut fastrand::Rng,
    mut visit: impl FnMut(T),
) {
    let len = items.len();
    for index in 0..draw.count(len) {
        let from = match draw {
            Draw::Repeated(_) => random.usize(..len),
            Draw::Distinct(count) if count >= len => index,
            Draw::Distinct(_) => {
                // What is drawn goes to the front, and the lot falls on the others.
                items.swap(index, random.usize(index..len));
                index
            }
        };
        if let Some(item) = items.get(from) {
            visit(*item);
        }
    }
}

/// Picks from a table, each with the same chance; does not look at all of it for a few.
pub(super) fn from_fields<'f>(
    fields: &'f Fields,
    draw: Draw,
    random: &mut fastrand::Rng,
    mut visit: impl FnMut(&'f Field),
) {
    match draw {
        Draw::Distinct(count) if count >= fields.len() => fields.iter().for_each(visit),
        // Later draws would fall on what is drawn already too often.
        Draw::Distinct(count) if count > fields.len() / 3 => {
            from_list(fields.iter().collect(), draw, random, visit);
        }
        Draw::Distinct(count) => {
            let mut drawn = HashSet::with_capacity(count);
            while drawn.len() < count {
                let Some(entry) = fields.random(random) else {
                    return;
                };
                if drawn.insert(std::ptr::from_ref(entry)) {
                    visit(entry);
                }
            }
        }
        Draw::Repeated(count) => {
            for _ in 0..count {
                fields.random(random).into_iter().for_each(&mut visit);
            }
        }
    }
}
