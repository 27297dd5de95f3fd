//! Locked slots: nearly always one, which no loop and no length stands in the way of.

use std::ops::{Deref, DerefMut};

use super::slot::SlotGuard;

/// Locked slots, in ascending order. A slice of them in all but its drop.
#[derive(Debug, Default)]
pub enum Guards<'s> {
    /// No slot.
    #[default]
    None,
    /// A single one.
    One(SlotGuard<'s>),
    /// Any number.
    Several(Vec<SlotGuard<'s>>),
}

impl<'s> Guards<'s> {
    /// The only one or, of several, the last.
    pub(super) fn pop(&mut self) -> Option<SlotGuard<'s>> {
        match std::mem::take(self) {
            Self::None => None,
            Self::One(guard) => Some(guard),
            Self::Several(mut guards) => {
                let last = guards.pop();
                *self = Self::Several(guards);
                last
            }
        }
    }

    /// Each in turn, to be let go in some way of its own.
    pub(super) fn into_each(mut self, let_go: impl Fn(SlotGuard<'s>)) {
        while let Some(guard) = self.pop() {
            let_go(guard);
        }
    }
}

impl<'s> From<Option<SlotGuard<'s>>> for Guards<'s> {
    #[inline]
    fn from(guard: Option<SlotGuard<'s>>) -> Self {
        guard.map_or(Self::None, Self::One)
    }
}

impl<'s> FromIterator<SlotGuard<'s>> for Guards<'s> {
    fn from_iter<I: IntoIterator<Item = SlotGuard<'s>>>(guards: I) -> Self {
        Self::Several(guards.into_iter().collect())
    }
}

impl<'s> Deref for Guards<'s> {
    type Target = [SlotGuard<'s>];

    #[inline]
    fn deref(&self) -> &Self::Target {
        match self {
            Self::None => &[],
            Self::One(guard) => std::slice::from_ref(guard),
            Self::Several(guards) => guards,
        }
    }
}

impl DerefMut for Guards<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::None => &mut [],
            Self::One(guard) => std::slice::from_mut(guard),
            Self::Several(guards) => guards,
        }
    }
}
