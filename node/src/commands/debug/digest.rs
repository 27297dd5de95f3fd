//! DEBUG DIGEST: a signature of all keys and values, the same that Redis 7.0 gives for the same data.
//!
//! What has an order (elements of a list; a key, its type, its value) is mixed in: the SHA-1 of the
//! signature so far, after it took in the next part. What has none (members, fields, keys) is added
//! by exclusive or. So how a value is kept does not matter.

use sha1::{Digest as _, Sha1};
use slotilla_common::resp::format_double;
use slotilla_common::slot::Slot;

use super::super::{Args, CommandError, Ctx};
use super::wrong_use;
use crate::store::{
    Collection as _, Digits, Entry, Hash, Item, List, Object, Set, SortedSet, ValueRef,
};

/// The signature of something.
#[derive(Default)]
struct Signature([u8; 20]);

impl Signature {
    /// Takes in something among others without an order.
    fn add(&mut self, bytes: &[u8]) {
        for (mine, new) in self.0.iter_mut().zip(Sha1::digest(bytes)) {
            *mine ^= new;
        }
    }

    /// Takes in what comes next.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_item(&mut self, item: Item<'_>) {
        self.mix(item.text(&mut Digits::default()));
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes in a value: its type, what is in it, and whether it will expire.
    fn mix_value(&mut self, entry: &Entry) {
        let value = entry.value();
        self.mix(&type_number(&value).to_be_bytes());
        match value {
            ValueRef::Int(number) => self.mix(Digits::default().of(number)),
            ValueRef::Bytes(bytes) => self.mix(bytes),
            ValueRef::Object(object) => self.mix_elements(object),
        }
        if entry.expiry().is_some() {
            self.add(b"!!expire!!");
        }
    }

    fn mix_elements(&mut self, object: &Object) {
        if let Some(list) = List::of(object) {
            list.iter_from(0).for_each(|item| self.mix_item(item));
        } else if let Some(set) = Set::of(object) {
            set.iter()
                .for_each(|item| self.add(item.text(&mut Digits::default())));
        } else if let Some(sorted) = SortedSet::of(object) {
            for (member, score) in sorted.iter() {
                let mut text = Vec::new();
                format_double(&mut text, score);
                self.add_pair(|element| {
                    element.mix(&member.to_cow());
                    element.mix(&text);
                });
            }
        } else if let Some(hash) = Hash::of(object) {
            for (field, value) in hash.iter() {
                self.add_pair(|element| {
                    element.mix_item(field);
                    element.mix_item(value);
                });
            }
        }
    }

    fn add_pair(&mut self, mix: impl FnOnce(&mut Self)) {
        let mut element = Self::default();
        mix(&mut element);
        self.add(&element.0);
    }
}

/// The number that Redis has for a type.
fn type_number(value: &ValueRef<'_>) -> u32 {
    match value.type_name() {
        "list" => 1,
        "set" => 2,
        "zset" => 3,
        "hash" => 4,
        _ => 0,
    }
}

/// DEBUG DIGEST-VALUE key...: zeros for a key that is not there.
pub(super) fn digest_value(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut signatures = Vec::new();
    for key in args.iter_from(2) {
        let mut db = ctx.db_of(key)?;
        let mut signature = Signature::default();
        if let Some(entry) = db.peek(key) {
            signature.mix_value(entry);
        }
        signatures.push(signature.hex());
    }
    ctx.reply.array(signatures.len());
    for signature in signatures {
        ctx.reply.simple(&signature);
    }
    Ok(())
}

/// DEBUG DIGEST. Slots are taken one after the other: it says most while nobody writes.
pub(super) fn digest(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 2 {
        return Err(wrong_use(args));
    }
    ctx.in_background(|server, reply| {
        let mut all = Signature::default();
        for db in 0..server.store.databases() {
            if server.store.len(db) == 0 {
                continue;
            }
            all.mix(&u32::from(db).to_be_bytes());
            for slot in Slot::all() {
                let mut visit = || {
                    server.store.visit_slot(slot, db, |entry| {
                        let mut signature = Signature::default();
                        signature.mix(entry.key());
                        signature.mix_value(entry);
                        all.add(&signature.0);
                    })
                };
                while !server.gate.guest(&mut visit) {
                    server.store.await_back(slot);
                }
            }
        }
        reply.simple(&all.hex());
        Ok(())
    });
    Ok(())
}
