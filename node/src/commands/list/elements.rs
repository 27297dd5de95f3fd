//! What is inside of a list, by index and by value: LLEN, LINDEX, LRANGE, LSET, LINSERT, LREM,
//! LTRIM.

use super::super::collection::reply_item;
use super::super::effort::{ELEMENT, stays};
use super::{Args, CommandError, Ctx, Handler, limit};
use crate::store::{End, EventClass, List, Side};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("lindex", lindex),
    ("linsert", linsert),
    ("llen", llen),
    ("lrange", lrange),
    ("lrem", lrem),
    ("lset", lset),
    ("ltrim", ltrim),
];

// === Reading ===

fn llen(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let list = ctx.db.read_as::<List>(args.get(1))?;
    ctx.reply.integer(list.map_or(0, List::len) as i64);
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let Some(list) = ctx.db.read_as::<List>(args.get(1))? else {
        ctx.reply.null();
        return Ok(());
    };
    match list.get(args.int(2)?) {
        Some(element) => reply_item(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let Some(list) = ctx.db.read_as::<List>(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (position, count) = span(start, stop, list.len());
    stays(count as u64 * ELEMENT, ctx.session)?;
    ctx.reply.array(count);
    for element in list.iter_from(position).take(count) {
        reply_item(&mut ctx.reply, element);
    }
    Ok(())
}

/// Position and count of what two indexes enclose, negative ones counting from the end.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_start = |index: i64| if index < 0 { index + len } else { index };
    let start = from_start(start).max(0);
    let stop = from_start(stop).min(len - 1);
    let count = usize::try_from(stop.saturating_sub(start) + 1).unwrap_or(0);
    // Not negative, as the lines above see to it.
    (usize::try_from(start).unwrap_or(0), count)
}

// === Changing ===

fn lset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (index, limit) = (args.int(2), limit(ctx.server));
    let mut outcome = Err(CommandError::NoSuchKey);
    ctx.db.update(args.get(1), |list: &mut List| {
        outcome = match index {
            Ok(index) if list.set(index, args.get(3), limit) => Ok(()),
            Ok(_) => Err(CommandError::IndexOutOfRange),
            Err(error) => Err(error),
        };
        outcome.is_ok().then_some(())
    })?;
    outcome?;
    ctx.db.notify(EventClass::List, "lset", args.get(1));
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let side = if args.is(2, "before") {
        Side::Before
    } else if args.is(2, "after") {
        Side::After
    } else {
        return Err(CommandError::Syntax);
    };
    let limit = limit(ctx.server);
    let mut answer = 0;
    ctx.db.update(args.get(1), |list: &mut List| {
        let is_done = list.insert(args.get(3), side, args.get(4), limit);
        answer = if is_done { list.len() as i64 } else { -1 };
        is_done.then_some(())
    })?;
    if answer > 0 {
        ctx.db.notify(EventClass::List, "linsert", args.get(1));
    }
    ctx.reply.integer(answer);
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let count = args.int(2)?;
    let end = if count < 0 { End::Tail } else { End::Head };
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    };
    let gone = ctx.db.update(args.get(1), |list: &mut List| {
        let gone = list.remove(args.get(3), end, most);
        (gone > 0).then_some(gone as i64)
    })?;
    if gone.is_some() {
        ctx.db.notify_taken(EventClass::List, "lrem", args.get(1));
    }
    ctx.reply.integer(gone.unwrap_or(0));
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let trimmed = ctx.db.update(args.get(1), |list: &mut List| {
        let before = list.len();
        let (position, count) = span(start, stop, before);
        list.keep(position, count);
        // To those who watch the key it is a change, even if nothing goes, as in Redis.
        Some(list.len() != before)
    })?;
    if let Some(is_shorter) = trimmed {
        if !is_shorter {
            ctx.db.forget_change();
        }
        ctx.db.notify_taken(EventClass::List, "ltrim", args.get(1));
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_to_what_is_there() {
        for (start, stop, len, expected) in [
            (0, -1, 3, (0, 3)),
            (-100, 100, 3, (0, 3)),
            (1, 1, 3, (1, 1)),
            (2, 1, 3, (2, 0)),
            (5, 9, 3, (5, 0)),
            (-2, -1, 3, (1, 2)),
            (i64::MIN, i64::MAX, 3, (0, 3)),
            (i64::MAX, i64::MIN, 3, (i64::MAX as usize, 0)),
            (0, -5, 3, (0, 0)),
        ] {
            assert_eq!(span(start, stop, len), expected, "{start} {stop}");
        }
    }
}
