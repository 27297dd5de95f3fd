//! Collections as commands see them: of one type, or of the wrong one.

use super::super::entry::{Entry, NewValue, ValueRef};
use super::super::event::EventClass;
use super::super::object::Collection;
use super::super::observe::Change;
use super::super::table::Place;
use super::{Db, SetExpiry};

/// A key holds another type than the command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

fn as_kind<C: Collection>(value: Option<ValueRef<'_>>) -> Result<Option<&C>, WrongType> {
    match value {
        None => Ok(None),
        Some(ValueRef::Object(object)) => C::of(object).map(Some).ok_or(WrongType),
        Some(_) => Err(WrongType),
    }
}

impl Db<'_> {
    /// The collection at a key, for a command that reads: counts a hit or a miss and the use.
    ///
    /// # Errors
    /// [`WrongType`] if the key has a value of another type.
    pub fn read_as<C: Collection>(&mut self, key: &[u8]) -> Result<Option<&C>, WrongType> {
        as_kind(self.read(key))
    }

    /// The collection at a key, for a command that will write: counts the use alone.
    ///
    /// # Errors
    /// [`WrongType`] if the key has a value of another type.
    pub fn find_as<C: Collection>(&mut self, key: &[u8]) -> Result<Option<&C>, WrongType> {
        as_kind(self.find(key).map(Entry::value))
    }

    /// The collections at several keys, as [`read_as`](Self::read_as) gives them.
    ///
    /// # Errors
    /// [`WrongType`] if one of the keys has a value of another type.
    pub fn read_all_as<'k, C: Collection>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<&C>>, WrongType> {
        for key in keys.clone() {
            self.read_as::<C>(key)?;
        }
        let there = |key| match self.here(key).map(Entry::value) {
            Some(ValueRef::Object(object)) => C::of(object),
            _ => None,
        };
        Ok(keys.map(there).collect())
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
        match self.live(key) {
            Some(found) => self.update_at(key, found, change),
            None => Ok(None),
        }
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
        if let Some(found) = self.live(key) {
            return self.update_at(key, found, change);
        }
        let mut collection = C::default();
        let result = change(&mut collection);
        if result.is_some() && !collection.is_empty() {
            self.set_collection(key, collection);
        }
        Ok(result)
    }

    /// Stores a collection, whatever was there; an empty one is no key.
    pub fn set_collection<C: Collection>(&mut self, key: &[u8], collection: C) {
        if collection.is_empty() {
            self.remove(key);
        } else {
            let object = NewValue::Object(collection.into_object());
            self.set(key, object, SetExpiry::Clear);
        }
    }

    /// Stores what a command has made, and tells of it by this event; what is empty deletes the
    /// key.
    pub fn store_collection<C: Collection>(
        &mut self,
        key: &[u8],
        collection: C,
        class: EventClass,
        event: &'static str,
    ) {
        if collection.is_empty() {
            self.delete(key);
        } else {
            self.set_collection(key, collection);
            self.notify(class, event, key);
        }
    }

    fn update_at<C: Collection, R>(
        &mut self,
        key: &[u8],
        found: (usize, Place),
        change: impl FnOnce(&mut C) -> Option<R>,
    ) -> Result<Option<R>, WrongType> {
        let (mut is_wrong, mut is_empty) = (false, false);
        let result = self.edit_at(key, found, Change::Written, |entry| {
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
}
