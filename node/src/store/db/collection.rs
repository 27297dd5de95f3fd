//! Collections as commands see them: of one type, or of the wrong one.

use super::super::entry::{NewValue, ValueRef};
use super::super::object::Collection;
use super::{Db, SetExpiry};

/// A key holds another type than the command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

impl Db<'_> {
    /// The collection at a key, for a command that reads: counts a hit or a miss and the use.
    ///
    /// # Errors
    /// [`WrongType`] if the key has a value of another type.
    pub fn read_as<C: Collection>(&mut self, key: &[u8]) -> Result<Option<&C>, WrongType> {
        match self.read(key) {
            None => Ok(None),
            Some(ValueRef::Object(object)) => C::of(object).map(Some).ok_or(WrongType),
            Some(_) => Err(WrongType),
        }
    }

    /// Changes the collection at a key, if there is one; with no element left, the key goes. What
    /// `change` says with `Some` is a change.
    ///
    /// # Errors
    /// [`WrongType`] if the key has a value of another type.
    pub fn update<C: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> Option<R>,
    ) -> Result<Option<R>, WrongType> {
        let (mut is_wrong, mut is_empty) = (false, false);
        let result = self.edit(key, |entry| {
            let Some(collection) = entry.object_mut().and_then(C::of_mut) else {
                is_wrong = true;
                return None;
            };
            let result = change(collection);
            is_empty = collection.is_empty();
            result
        });
        if is_wrong {
            return Err(WrongType);
        }
        if is_empty {
            self.forget_empty(key);
        }
        Ok(result)
    }

    /// As [`update`](Self::update), with a new collection if there is none.
    ///
    /// # Errors
    /// [`WrongType`] if the key has a value of another type.
    pub fn upsert<C: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> Option<R>,
    ) -> Result<Option<R>, WrongType> {
        if self.contains(key) {
            return self.update(key, change);
        }
        let mut collection = C::default();
        let result = change(&mut collection);
        if result.is_some() && !collection.is_empty() {
            let object = Box::new(collection.into_object());
            self.set(key, NewValue::Object(object), SetExpiry::Clear);
        }
        Ok(result)
    }
}
