//! PFADD, PFCOUNT, PFMERGE, and what looks into HyperLogLogs: how many distinct elements.

use super::{Args, CommandError, Ctx, Handler, raw};
use crate::store::hyperloglog::{self as hll, Corrupted, Form, Registers};
use crate::store::{Encoding, Entry, EventClass, ValueRef};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("pfadd", pfadd),
    ("pfcount", pfcount),
    ("pfdebug", pfdebug),
    ("pfmerge", pfmerge),
    ("pfselftest", pfselftest),
];

const NOT_ONE: CommandError =
    CommandError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
const NO_KEY: CommandError = CommandError::fixed("ERR The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::fixed("ERR HLL encoding is not sparse");
const TEST_FAILED: CommandError =
    CommandError::fixed("TESTFAILED the estimate is too far from the number of elements");

impl From<Corrupted> for CommandError {
    fn from(Corrupted: Corrupted) -> Self {
        Self::fixed("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The bytes of a value that looks like a HyperLogLog.
fn recognise(value: ValueRef<'_>) -> Result<(Form, &[u8]), CommandError> {
    match value {
        ValueRef::Object(_) => Err(CommandError::WrongType),
        ValueRef::Int(_) => Err(NOT_ONE),
        ValueRef::Bytes(bytes) => Ok((hll::form(bytes).ok_or(NOT_ONE)?, bytes)),
    }
}

/// What PFADD did to an entry.
struct Added {
    changed: bool,
    /// Those before the element that found the bytes corrupted have been added.
    result: Result<(), CommandError>,
}

impl Added {
    const fn nothing(result: Result<(), CommandError>) -> Self {
        Self {
            changed: false,
            result,
        }
    }
}

fn add_to<'a>(
    entry: &mut Entry,
    elements: impl Iterator<Item = &'a [u8]>,
    sparse_max: usize,
) -> Added {
    let (form, bytes) = match recognise(entry.value()) {
        Ok(found) => found,
        Err(error) => return Added::nothing(Err(error)),
    };
    if form == Form::Sparse {
        let mut bytes = bytes.to_vec();
        let added = add_all(&mut bytes, elements, sparse_max);
        if added.changed {
            raw::replace(entry, &bytes);
        } else {
            entry.bytes_mut(0);
        }
        return added;
    }
    let Some(bytes) = entry.bytes_mut(0) else {
        return Added::nothing(Err(CommandError::WrongType));
    };
    let mut changed = false;
    for element in elements {
        changed |= hll::add_dense(bytes, element);
    }
    if changed {
        hll::forget_cached(bytes);
    }
    Added {
        changed,
        result: Ok(()),
    }
}

fn add_all<'a>(
    bytes: &mut Vec<u8>,
    elements: impl Iterator<Item = &'a [u8]>,
    sparse_max: usize,
) -> Added {
    let mut changed = false;
    for element in elements {
        match hll::add(bytes, element, sparse_max) {
            Ok(more) => changed |= more,
            Err(corrupted) => {
                let result = Err(corrupted.into());
                return Added { changed, result };
            }
        }
    }
    if changed {
        hll::forget_cached(bytes);
    }
    Added {
        changed,
        result: Ok(()),
    }
}

fn pfadd(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    let sparse_max = ctx.server.config.hll_sparse_max_bytes();
    let mut found = None;
    ctx.db.edit(key, |entry| {
        let added = add_to(entry, args.iter_from(2), sparse_max);
        let changed = added.changed;
        found = Some(added);
        changed.then_some(())
    });
    let changed = match found {
        Some(Added { changed, result }) => result.map(|()| changed)?,
        None => {
            let mut bytes = hll::empty();
            add_all(&mut bytes, args.iter_from(2), sparse_max).result?;
            hll::forget_cached(&mut bytes);
            raw::store(&mut ctx.db, key, bytes);
            true
        }
    };
    if changed {
        ctx.db.notify(EventClass::String, "pfadd", key);
    }
    ctx.reply.integer(i64::from(changed));
    Ok(())
}

fn pfcount(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let estimate = if args.len() == 2 {
        count_one(ctx, args.get(1))?
    } else {
        merged(ctx, args.iter_from(1))?.registers.estimate()
    };
    ctx.reply.integer(estimate.cast_signed());
    Ok(())
}

/// The estimate of one key, which is kept in its header.
fn count_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<u64, CommandError> {
    let Some(entry) = ctx.db.read_entry(key) else {
        return Ok(0);
    };
    let (_, bytes) = recognise(entry.value())?;
    let is_raw = entry.encoding() == Encoding::Raw;
    let (cached, estimate) = match hll::cached(bytes) {
        Some(cached) => (true, Ok(cached)),
        None => (false, hll::estimate(bytes)),
    };
    if !is_raw {
        raw::make(&mut ctx.db, key);
    }
    let estimate = estimate?;
    if !cached {
        ctx.db.edit(key, |entry| {
            hll::set_cached(entry.bytes_mut(0)?, estimate);
            Some(())
        });
    }
    Ok(estimate)
}

struct Merged {
    registers: Registers,
    any_dense: bool,
}

fn merged<'a>(
    ctx: &mut Ctx<'_>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Merged, CommandError> {
    let mut registers = Registers::default();
    let mut any_dense = false;
    for key in keys {
        if let Some(value) = ctx.db.read(key) {
            let (form, bytes) = recognise(value)?;
            any_dense |= form == Form::Dense;
            registers.merge(bytes)?;
        }
    }
    Ok(Merged {
        registers,
        any_dense,
    })
}

fn pfmerge(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    let sparse_max = ctx.server.config.hll_sparse_max_bytes();
    // The destination is one of those merged.
    let sum = merged(ctx, args.iter_from(1))?;
    let old = match ctx.db.find(key).map(|entry| entry.value()) {
        None => None,
        Some(value) => Some(recognise(value)?.1.to_vec()),
    };
    let is_new = old.is_none();
    let mut bytes = old.unwrap_or_else(hll::empty);
    if sum.any_dense {
        hll::to_dense(&mut bytes)?;
    }
    sum.registers.raise_in(&mut bytes, sparse_max)?;
    if is_new {
        raw::store(&mut ctx.db, key, bytes);
    } else {
        ctx.db.edit(key, |entry| {
            raw::replace(entry, &bytes);
            Some(())
        });
    }
    // By the name of the other command, as in Redis.
    ctx.db.notify(EventClass::String, "pfadd", key);
    ctx.reply.ok();
    Ok(())
}

fn pfdebug(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(2);
    recognise(ctx.db.find(key).ok_or(NO_KEY)?.value())?;
    raw::make(&mut ctx.db, key);
    let value = ctx.db.peek(key).ok_or(NO_KEY)?.value();
    let (form, bytes) = recognise(value)?;
    if args.is(1, "GETREG") {
        let mut registers = Registers::default();
        registers.merge(bytes)?;
        to_dense(ctx, key)?;
        ctx.reply.array(hll::REGISTERS);
        for rank in registers.as_slice() {
            ctx.reply.integer(i64::from(*rank));
        }
    } else if args.is(1, "DECODE") {
        let text = hll::describe(bytes).ok_or(NOT_SPARSE)?;
        ctx.reply.bulk(text.as_bytes());
    } else if args.is(1, "ENCODING") {
        ctx.reply.simple(form.name());
    } else if args.is(1, "TODENSE") {
        let converted = to_dense(ctx, key)?;
        ctx.reply.integer(i64::from(converted));
    } else {
        let given = args.get(1);
        return Err(CommandError::quoting(
            "Unknown PFDEBUG subcommand '",
            given,
            "'",
        ));
    }
    Ok(())
}

/// Makes the HyperLogLog at `key` dense; whether it was not.
fn to_dense(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, CommandError> {
    let mut result = Ok(false);
    ctx.db.recode(key, |entry| {
        result = entry_to_dense(entry);
        matches!(result, Ok(true)).then_some(())
    });
    result
}

fn entry_to_dense(entry: &mut Entry) -> Result<bool, CommandError> {
    let mut bytes = recognise(entry.value())?.1.to_vec();
    let converted = hll::to_dense(&mut bytes)?;
    if converted {
        raw::replace(entry, &bytes);
    }
    Ok(converted)
}

/// The self-test counts up to so many elements,
const SELF_TEST_ELEMENTS: u64 = 100_000;
/// and has the sparse form for as long as it is within this.
const SELF_TEST_SPARSE_MAX: usize = 3000;

fn pfselftest(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.in_background(|_, reply| {
        if !self_test() {
            return Err(TEST_FAILED);
        }
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// Whether both forms agree, and come close enough, at 1, 10, 100 ... elements.
fn self_test() -> bool {
    let (mut sparse, mut dense) = (hll::empty(), hll::empty());
    let mut checkpoint = 1;
    let random = fastrand::u64(..);
    for count in 1..=SELF_TEST_ELEMENTS {
        let element = (random ^ count).to_le_bytes();
        let added = hll::add(&mut sparse, &element, SELF_TEST_SPARSE_MAX).and_then(|_| {
            hll::to_dense(&mut dense)?;
            hll::add(&mut dense, &element, 0)
        });
        if added.is_err() {
            return false;
        }
        if count == checkpoint {
            let estimates = (hll::estimate(&sparse), hll::estimate(&dense));
            let (Ok(one), Ok(other)) = estimates else {
                return false;
            };
            // Six times the standard error of 0.81 %, and one for rounding.
            let slack = count / 20 + 1;
            if one != other || one.abs_diff(count) > slack {
                return false;
            }
            checkpoint *= 10;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_passes() {
        assert!(self_test());
    }
}
