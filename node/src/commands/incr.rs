//! INCR and its kin: strings that are numbers.

use super::long_double::LongDouble;
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, EventClass, NewValue, SetExpiry, ValueRef};
use slotilla_common::resp::parse_i64;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("decr", decr),
    ("decrby", decrby),
    ("incr", incr),
    ("incrby", incrby),
    ("incrbyfloat", incrbyfloat),
];

fn incr(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    add(ctx, args.get(1), 1)
}

fn decr(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    add(ctx, args.get(1), -1)
}

fn incrby(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let by = args.int(2)?;
    add(ctx, args.get(1), by)
}

fn decrby(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let by = args.int(2)?;
    let by = by
        .checked_neg()
        .ok_or(CommandError::DecrementWouldOverflow)?;
    add(ctx, args.get(1), by)
}

fn add(ctx: &mut Ctx<'_>, key: &[u8], by: i64) -> Result<(), CommandError> {
    // Of a key that is not there.
    let mut outcome = Ok(by);
    let edited = ctx.db.edit(key, |entry| {
        outcome = sum(entry.value(), by);
        let sum = outcome.as_ref().ok().copied()?;
        let expiry = entry.expiry();
        drop(entry.replace(NewValue::Int(sum), expiry));
        Some(())
    });
    let sum = outcome?;
    if edited.is_none() {
        ctx.db.set(key, NewValue::Int(sum), SetExpiry::Keep);
    }
    ctx.db.notify(EventClass::String, "incrby", key);
    ctx.reply.integer(sum);
    Ok(())
}

fn sum(old: ValueRef<'_>, by: i64) -> Result<i64, CommandError> {
    let old = match old {
        ValueRef::Int(number) => number,
        ValueRef::Bytes(bytes) => parse_i64(bytes).ok_or(CommandError::NotInteger)?,
        ValueRef::Object(_) => return Err(CommandError::WrongType),
    };
    old.checked_add(by).ok_or(CommandError::WouldOverflow)
}

fn incrbyfloat(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    let mut digits = Digits::default();
    let old = match ctx.db.find(key).map(|entry| entry.value()) {
        None => Some(LongDouble::ZERO),
        Some(value) => LongDouble::parse(value.text(&mut digits).ok_or(CommandError::WrongType)?),
    };
    let by = LongDouble::parse(args.get(2));
    let (Some(old), Some(by)) = (old, by) else {
        return Err(CommandError::NotFloat);
    };
    let sum = old.add(by);
    if !sum.is_finite() {
        return Err(CommandError::NanOrInfinity);
    }
    let text = sum.to_decimal();
    // Never as an integer, even if it is one: OBJECT ENCODING tells.
    ctx.db
        .set(key, NewValue::Bytes(text.as_bytes()), SetExpiry::Keep);
    ctx.db.notify(EventClass::String, "incrbyfloat", key);
    // The sum rather than the addend: no rounding differs then.
    ctx.db.effect(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
    ctx.reply.bulk(text.as_bytes());
    Ok(())
}
