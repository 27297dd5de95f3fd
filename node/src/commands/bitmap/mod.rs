//! Bitmaps: strings seen as arrays of bits, the most significant bit of the first byte first.
//!
//! `bits` finds bits and counts them in a range, `ones` all of them, `range` has BITCOUNT and
//! BITPOS, `combine` BITOP, `field` BITFIELD, and `integer` what its integers do when they
//! overflow.

mod bits;
mod combine;
mod field;
mod integer;
mod ones;
mod range;

use slotilla_common::resp::parse_i64;

use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Db, Digits, EventClass, NewValue, SetExpiry, ValueRef};

/// The commands of this folder.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("bitcount", range::bitcount),
    ("bitfield", field::bitfield),
    ("bitfield_ro", field::bitfield_ro),
    ("bitop", combine::bitop),
    ("bitpos", range::bitpos),
    ("getbit", getbit),
    ("setbit", setbit),
];

const BAD_OFFSET: CommandError =
    CommandError::fixed("ERR bit offset is not an integer or out of range");
const BAD_BIT: CommandError = CommandError::fixed("ERR bit is not an integer or out of range");

/// A place in a bitmap. With a `width`, `#n` is the place of the `n`th field of so many bits.
fn bit_offset(ctx: &Ctx<'_>, text: &[u8], width: Option<u32>) -> Result<u64, CommandError> {
    let (number, unit) = match (text, width) {
        ([b'#', number @ ..], Some(width)) => (number, i64::from(width)),
        _ => (text, 1),
    };
    // Redis multiplies without a check, so a huge number of fields may come out small.
    let offset = parse_i64(number).ok_or(BAD_OFFSET)?.wrapping_mul(unit);
    let limit = ctx.server.config.proto_max_bulk_len() as u64;
    u64::try_from(offset)
        .ok()
        .filter(|offset| offset / 8 < limit)
        .ok_or(BAD_OFFSET)
}

/// The byte of a bit, and the bit's mask in it.
fn position(offset: u64) -> (usize, u8) {
    let byte = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    (byte, 0x80 >> (offset % 8))
}

/// The bytes of the string at `key` for a command that reads; `None` if there is none.
fn bytes_at<'a>(
    db: &'a mut Db<'_>,
    key: &[u8],
    digits: &'a mut Digits,
) -> Result<Option<&'a [u8]>, CommandError> {
    match db.read(key) {
        None => Ok(None),
        Some(value) => value.text(digits).ok_or(CommandError::WrongType).map(Some),
    }
}

/// Lets `change` write into the string at `key`, which grows to hold bit `last`, and appears if it
/// is not there. `change` says whether it changed anything; whether the string is new or has grown.
fn write(
    db: &mut Db<'_>,
    key: &[u8],
    last: u64,
    change: impl FnOnce(&mut [u8]) -> bool,
) -> Result<bool, CommandError> {
    let len = position(last).0 + 1;
    let old_len = match db.peek(key).map(|entry| entry.value()) {
        Some(ValueRef::Object(_)) => return Err(CommandError::WrongType),
        Some(value) => value.text_len(),
        None => None,
    };
    if old_len.is_none() {
        db.set(key, NewValue::Bytes(b""), SetExpiry::Clear);
    }
    let grows = old_len.is_some_and(|old| old < len);
    db.edit(key, |entry| {
        let changed = change(entry.bytes_mut(len)?);
        // A key that is new has been counted as a change already.
        (grows || changed && old_len.is_some()).then_some(())
    });
    Ok(grows || old_len.is_none())
}

fn setbit(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let offset = bit_offset(ctx, args.get(2), None)?;
    let on = match parse_i64(args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BAD_BIT),
    };
    let (byte, mask) = position(offset);
    let mut was = false;
    let resized = write(&mut ctx.db, args.get(1), offset, |bytes| {
        let Some(byte) = bytes.get_mut(byte) else {
            return false;
        };
        was = *byte & mask != 0;
        if on {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
        was != on
    })?;
    if resized || was != on {
        ctx.db.notify(EventClass::String, "setbit", args.get(1));
    }
    ctx.reply.integer(i64::from(was));
    Ok(())
}

fn getbit(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (byte, mask) = position(bit_offset(ctx, args.get(2), None)?);
    let mut digits = Digits::default();
    let bytes = bytes_at(&mut ctx.db, args.get(1), &mut digits)?.unwrap_or_default();
    let on = bytes.get(byte).is_some_and(|byte| byte & mask != 0);
    ctx.reply.integer(i64::from(on));
    Ok(())
}
