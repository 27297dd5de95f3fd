//! APPEND, GETRANGE, SETRANGE: parts of strings.

use slotilla_common::resp::parse_i64;

use super::effort::{BYTES_PER_NANO, stays};
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, EventClass, NewValue, SetExpiry};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("append", append),
    ("getrange", getrange),
    ("setrange", setrange),
    ("substr", getrange),
];

/// Refuses strings longer than `proto-max-bulk-len`.
fn check_len(ctx: &Ctx<'_>, len: usize, more: usize) -> Result<usize, CommandError> {
    let limit = ctx.server.config.proto_max_bulk_len();
    len.checked_add(more)
        .filter(|total| *total <= limit)
        .ok_or(CommandError::StringTooLong)
}

/// The length of the string at `key` for a command that will change it; `None` if it is not there.
fn len_to_change(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Option<usize>, CommandError> {
    match ctx.db.find(key) {
        None => Ok(None),
        Some(entry) => {
            let len = entry.value().text_len().ok_or(CommandError::WrongType)?;
            Ok(Some(len))
        }
    }
}

/// Writes `bytes` at `offset` of the string at `key`, which is there and grows to fit.
fn write(ctx: &mut Ctx<'_>, key: &[u8], offset: usize, bytes: &[u8]) {
    let len = offset + bytes.len();
    ctx.db.edit(key, |entry| {
        let place = entry.bytes_mut(len)?.get_mut(offset..len)?;
        place.copy_from_slice(bytes);
        Some(())
    });
}

fn append(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (key, more) = (args.get(1), args.get(2));
    let total = match len_to_change(ctx, key)? {
        None => {
            ctx.db.set(key, NewValue::encoded(more), SetExpiry::Clear);
            more.len()
        }
        Some(len) => {
            let total = check_len(ctx, len, more.len())?;
            write(ctx, key, len, more);
            total
        }
    };
    ctx.db.notify(EventClass::String, "append", key);
    ctx.reply.integer(total as i64);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (key, bytes) = (args.get(1), args.get(3));
    let offset = parse_i64(args.get(2)).ok_or(CommandError::NotInteger)?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::OffsetOutOfRange)?;
    let found = len_to_change(ctx, key)?;
    let len = found.unwrap_or(0);
    if bytes.is_empty() {
        ctx.reply.integer(len as i64);
        return Ok(());
    }
    let end = check_len(ctx, offset, bytes.len())?;
    if found.is_none() {
        ctx.db.set(key, NewValue::Bytes(b""), SetExpiry::Clear);
    }
    write(ctx, key, offset, bytes);
    ctx.db.notify(EventClass::String, "setrange", key);
    ctx.reply.integer(len.max(end) as i64);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let start = args.int(2)?;
    let end = args.int(3)?;
    let mut digits = Digits::default();
    let text = match ctx.db.read(args.get(1)) {
        None => b"",
        Some(value) => value.text(&mut digits).ok_or(CommandError::WrongType)?,
    };
    let wanted = range(text, start, end);
    stays(wanted.len() as u64 / BYTES_PER_NANO, ctx.session)?;
    ctx.reply.bulk(wanted);
    Ok(())
}

/// From `start` to `end`, both counted from the end if negative, `end` included.
fn range(text: &[u8], start: i64, end: i64) -> &[u8] {
    let len = text.len() as i64;
    // Before the string, "from -3 to -5" is nothing; clamped it would be the first byte.
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let clamp = |at: i64| {
        if at < 0 {
            (at.saturating_add(len)).max(0)
        } else {
            at
        }
    };
    let (start, end) = (clamp(start), clamp(end).min(len - 1));
    let index = |at: i64| usize::try_from(at).unwrap_or(usize::MAX);
    if start > end {
        return b"";
    }
    text.get(index(start)..=index(end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_as_redis_clamps_them() {
        let cases: &[(i64, i64, &[u8])] = &[
            (0, 3, b"This"),
            (-3, -1, b"ing"),
            (0, -1, b"This is a string"),
            (10, 100, b"string"),
            (-100, 3, b"This"),
            (-100, -50, b"T"),
            (-50, -100, b""),
            (5, 3, b""),
            (100, 200, b""),
            (i64::MIN, i64::MAX, b"This is a string"),
        ];
        for (start, end, expected) in cases {
            assert_eq!(
                range(b"This is a string", *start, *end),
                *expected,
                "{start} {end}"
            );
        }
        assert_eq!(range(b"", 0, -1), b"");
        assert_eq!(range(b"", 0, 0), b"");
    }
}
