//! Several values at once, for commands that combine them.

use super::super::entry::{Entry, ValueRef};
use super::Db;

impl Db<'_> {
    /// The values at several keys, for a command that reads: counts hits and misses and the use.
    pub fn read_several(&mut self, keys: &[&[u8]]) -> Vec<Option<ValueRef<'_>>> {
        for key in keys {
            self.read_entry(key);
        }
        self.all_of(keys)
    }

    fn all_of(&self, keys: &[&[u8]]) -> Vec<Option<ValueRef<'_>>> {
        let value = |key: &&[u8]| self.here(key).map(Entry::value);
        keys.iter().map(value).collect()
    }
}
