//! EXPIRE, TTL and their kin: when keys go.

use super::{Args, CommandError, Ctx, Handler};
use crate::config::Key;
use crate::store::{Digits, EventClass};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("expire", expire),
    ("expireat", expireat),
    ("expiretime", expiretime),
    ("persist", persist),
    ("pexpire", pexpire),
    ("pexpireat", pexpireat),
    ("pexpiretime", pexpiretime),
    ("pttl", pttl),
    ("ttl", ttl),
];

const SECOND_MS: i64 = 1000;

fn expire(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let now = ctx.now_ms;
    set_expiry(ctx, args, SECOND_MS, now)
}

fn pexpire(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let now = ctx.now_ms;
    set_expiry(ctx, args, 1, now)
}

fn expireat(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_expiry(ctx, args, SECOND_MS, 0)
}

fn pexpireat(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_expiry(ctx, args, 1, 0)
}

/// When an expiry is to be set.
#[derive(Debug, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut condition = Self::default();
        for option in args.iter_from(3) {
            let place = match option.to_ascii_lowercase().as_slice() {
                b"nx" => &mut condition.nx,
                b"xx" => &mut condition.xx,
                b"gt" => &mut condition.gt,
                b"lt" => &mut condition.lt,
                _ => {
                    return Err(CommandError::quoting("Unsupported option ", option, ""));
                }
            };
            *place = true;
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(CommandError::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.gt && condition.lt {
            return Err(CommandError::fixed(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Whether a key that expires `old` may be made to expire `new`; no expiry is the latest.
    fn allows(&self, old: Option<i64>, new: i64) -> bool {
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn set_expiry(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    unit_ms: i64,
    base_ms: i64,
) -> Result<(), CommandError> {
    let key = args.get(1);
    let condition = Condition::parse(args)?;
    let when = args
        .int(2)?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or(CommandError::InvalidExpire(ctx.spec.name))?;
    let allowed = ctx
        .db
        .find(key)
        .is_some_and(|entry| condition.allows(entry.expiry(), when));
    if allowed {
        if ctx.db.is_past(when) {
            delete_expired(ctx, key);
        } else {
            ctx.db.set_expiry(key, Some(when));
            ctx.db.notify(EventClass::Generic, "expire", key);
            if ctx.db.is_logged() && ctx.spec.name != "pexpireat" {
                let mut digits = Digits::default();
                let mut words: Vec<&[u8]> = vec![b"PEXPIREAT", key, digits.of(when)];
                words.extend(args.iter_from(3));
                ctx.db.effect(&words);
            }
        }
    }
    ctx.reply.integer(i64::from(allowed));
    Ok(())
}

/// Deletes a key that is to expire at a time that has passed.
pub(super) fn delete_expired(ctx: &mut Ctx<'_>, key: &[u8]) {
    if ctx.db.delete(key) {
        let word = ctx.server.config.deletion(Key::LazyfreeLazyExpire);
        ctx.db.effect(&[word, key]);
    }
}

fn persist(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let found = ctx.db.find(args.get(1)).is_some();
    let done = found && ctx.db.persist(args.get(1));
    if done {
        ctx.db.notify(EventClass::Generic, "persist", args.get(1));
    }
    ctx.reply.integer(i64::from(done));
    Ok(())
}

fn ttl(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let now = ctx.now_ms;
    reply_expiry(ctx, args, |at| to_seconds(at.saturating_sub(now).max(0)))
}

fn pttl(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let now = ctx.now_ms;
    reply_expiry(ctx, args, |at| at.saturating_sub(now).max(0))
}

fn expiretime(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_expiry(ctx, args, to_seconds)
}

fn pexpiretime(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_expiry(ctx, args, |at| at)
}

/// Rounded to the nearest, as Redis does.
fn to_seconds(ms: i64) -> i64 {
    ms.saturating_add(SECOND_MS / 2) / SECOND_MS
}

fn reply_expiry(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    number: impl FnOnce(i64) -> i64,
) -> Result<(), CommandError> {
    const NO_KEY: i64 = -2;
    const NO_EXPIRY: i64 = -1;
    let answer = match ctx.db.look(args.get(1)) {
        None => NO_KEY,
        Some(entry) => entry.expiry().map_or(NO_EXPIRY, number),
    };
    ctx.reply.integer(answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_take_no_expiry_for_the_latest() {
        let gt = Condition {
            gt: true,
            ..Condition::default()
        };
        let lt = Condition {
            lt: true,
            ..Condition::default()
        };
        assert!(gt.allows(Some(5), 6) && !gt.allows(Some(5), 5) && !gt.allows(None, 6));
        assert!(lt.allows(Some(5), 4) && !lt.allows(Some(5), 5) && lt.allows(None, 6));
    }

    #[test]
    fn seconds_are_rounded_to_the_nearest() {
        assert_eq!(to_seconds(499), 0);
        assert_eq!(to_seconds(500), 1);
        assert_eq!(to_seconds(1499), 1);
    }
}
