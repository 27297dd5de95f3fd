//! Hashes.

use super::listpack::{At, Item, Listpack};
use super::{Collection, Fields, Kind, Object, PackedLimits};
use crate::store::entry::{Digits, Entry, NewValue, ValueRef};

/// Fields, each with a value: pairs in a listpack while small, then a table.
#[derive(Debug)]
pub struct Hash(Form);

#[derive(Debug)]
enum Form {
    /// Field, value, field, value, in the order in which fields came.
    Packed(Listpack),
    Table(Fields),
}

impl Default for Hash {
    fn default() -> Self {
        Self(Form::Packed(Listpack::default()))
    }
}

impl<'a> From<Item<'a>> for ValueRef<'a> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Int(number) => Self::Int(number),
            Item::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

impl Hash {
    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.len() / 2,
            Form::Table(fields) => fields.len(),
        }
    }

    /// A field's value.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<ValueRef<'_>> {
        match &self.0 {
            Form::Packed(pack) => {
                let value = pack.next(find(pack, field)?)?;
                Some(pack.item(value).into())
            }
            Form::Table(fields) => fields.get(field),
        }
    }

    /// Whether a field is there.
    #[must_use]
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.0 {
            Form::Packed(pack) => find(pack, field).is_some(),
            Form::Table(fields) => fields.contains(field),
        }
    }

    /// Sets a field; whether it is new. Beyond `limits` the hash gets a table.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: PackedLimits) -> bool {
        if field.len().max(value.len()) > limits.bytes {
            self.unpack();
        }
        let is_new = match &mut self.0 {
            Form::Packed(pack) => set_packed(pack, field, value),
            Form::Table(fields) => fields.set(field, NewValue::encoded(value)),
        };
        if is_new && self.len() > limits.entries {
            self.unpack();
        }
        is_new
    }

    /// Takes a field out; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(pack) => find(pack, field).map(|at| pack.remove(at, 2)).is_some(),
            Form::Table(fields) => fields.remove(field).is_some(),
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (ValueRef<'_>, ValueRef<'_>)> {
        let (packed, table) = match &self.0 {
            Form::Packed(pack) => (Some(pairs(pack)), None),
            Form::Table(fields) => (None, Some(fields.iter().map(pair))),
        };
        packed
            .into_iter()
            .flatten()
            .chain(table.into_iter().flatten())
    }

    fn unpack(&mut self) {
        let Form::Packed(pack) = &self.0 else {
            return;
        };
        let mut fields = Fields::default();
        for (field, value) in pairs(pack) {
            let mut digits = (Digits::default(), Digits::default());
            let (field, value) = (field.text(&mut digits.0), value.text(&mut digits.1));
            if let (Some(field), Some(value)) = (field, value) {
                fields.set(field, NewValue::encoded(value));
            }
        }
        self.0 = Form::Table(fields);
    }
}

fn find(pack: &Listpack, field: &[u8]) -> Option<At> {
    pack.find(pack.first(), field, 2)
}

fn set_packed(pack: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    if let Some(at) = find(pack, field).and_then(|at| pack.next(at)) {
        pack.replace(at, value);
        return false;
    }
    pack.push(field);
    pack.push(value);
    true
}

fn pairs(pack: &Listpack) -> impl Iterator<Item = (ValueRef<'_>, ValueRef<'_>)> {
    let mut items = pack.iter();
    std::iter::from_fn(move || Some((items.next()?.into(), items.next()?.into())))
}

fn pair(entry: &Entry) -> (ValueRef<'_>, ValueRef<'_>) {
    (ValueRef::Bytes(entry.key()), entry.value())
}

impl Collection for Hash {
    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Hash(hash) => Some(hash),
        }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Self> {
        match object {
            Object::Hash(hash) => Some(hash),
        }
    }

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    fn is_empty(&self) -> bool {
        match &self.0 {
            Form::Packed(pack) => pack.is_empty(),
            Form::Table(fields) => fields.len() == 0,
        }
    }
}

impl Kind for Hash {
    fn type_name(&self) -> &'static str {
        "hash"
    }

    fn encoding(&self) -> &'static str {
        match self.0 {
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    fn memory(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.memory(),
            Form::Table(fields) => fields.memory(),
        }
    }

    fn free_effort(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Table(fields) => fields.len(),
        }
    }

    fn duplicate(&self) -> Object {
        let form = match &self.0 {
            Form::Packed(pack) => Form::Packed(pack.clone()),
            Form::Table(fields) => Form::Table(fields.duplicate()),
        };
        Object::Hash(Self(form))
    }
}
