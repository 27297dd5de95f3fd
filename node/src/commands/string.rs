//! GET, SET and their kin: whole strings.

use slotilla_common::resp::{ReplyWriter, parse_i64};

use super::effort::{BYTES_PER_NANO, stays};
use super::expire::delete_expired;
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Digits, EventClass, LOOK_AHEAD, NewValue, SetExpiry, ValueRef};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("get", get),
    ("getdel", getdel),
    ("getex", getex),
    ("getset", getset),
    ("mget", mget),
    ("mset", mset),
    ("msetnx", msetnx),
    ("psetex", psetex),
    ("set", set),
    ("setex", setex),
    ("setnx", setnx),
    ("strlen", strlen),
];

/// Answers with a string, or null for a key that is not there.
pub(super) fn reply_string(
    reply: &mut ReplyWriter<'_>,
    value: Option<ValueRef<'_>>,
) -> Result<(), CommandError> {
    match value {
        None => reply.null(),
        Some(ValueRef::Bytes(bytes)) => reply.bulk(bytes),
        Some(ValueRef::Int(number)) => reply.bulk(Digits::default().of(number)),
        Some(ValueRef::Object(_)) => return Err(CommandError::WrongType),
    }
    Ok(())
}

fn get(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    match ctx.db.read(args.get(1)) {
        Some(ValueRef::Bytes(bytes)) => {
            stays(bytes.len() as u64 / BYTES_PER_NANO, ctx.session)?;
            ctx.reply.bulk(bytes);
            Ok(())
        }
        other => reply_string(&mut ctx.reply, other),
    }
}

fn getdel(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_string(&mut ctx.reply, ctx.db.read(args.get(1)))?;
    if ctx.db.delete(args.get(1)) {
        ctx.db.effect(&[b"DEL", args.get(1)]);
    }
    Ok(())
}

/// Stores a string, whatever was there, and tells of it.
fn store(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], expiry: SetExpiry) {
    ctx.db.set(key, NewValue::encoded(value), expiry);
    ctx.db.notify(EventClass::String, "set", key);
    if let SetExpiry::At(at) = expiry {
        ctx.db.notify(EventClass::Generic, "expire", key);
        // Elsewhere it is another time when it is told.
        ctx.db
            .effect(&[b"SET", key, value, b"PXAT", Digits::default().of(at)]);
    }
}

fn getset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    reply_string(&mut ctx.reply, ctx.db.read(args.get(1)))?;
    store(ctx, args.get(1), args.get(2), SetExpiry::Clear);
    ctx.db.effect(&[b"SET", args.get(1), args.get(2)]);
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let len = match ctx.db.read(args.get(1)) {
        None => 0,
        Some(value) => value.text_len().ok_or(CommandError::WrongType)?,
    };
    ctx.reply.integer(len as i64);
    Ok(())
}

fn mget(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.array(args.len() - 1);
    for from in (1..args.len()).step_by(LOOK_AHEAD) {
        let keys = args.iter_from(from).take(LOOK_AHEAD);
        let located = ctx.db.look_ahead(ctx.numbers_from(from - 1), keys.clone());
        for (key, located) in keys.zip(located) {
            ctx.db.know(key, located);
            match ctx.db.read(key) {
                None | Some(ValueRef::Object(_)) => ctx.reply.null(),
                Some(ValueRef::Bytes(bytes)) => ctx.reply.bulk(bytes),
                Some(ValueRef::Int(number)) => ctx.reply.bulk(Digits::default().of(number)),
            }
        }
    }
    Ok(())
}

fn mset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    check_pairs(ctx, args)?;
    if args
        .iter_from(1)
        .step_by(2)
        .any(|key| ctx.db.find(key).is_some())
    {
        ctx.reply.integer(0);
        return Ok(());
    }
    set_pairs(ctx, args)?;
    ctx.reply.integer(1);
    Ok(())
}

fn check_pairs(ctx: &Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::WrongArity(ctx.spec.name));
    }
    Ok(())
}

fn set_pairs(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    check_pairs(ctx, args)?;
    for from in (1..args.len()).step_by(2 * LOOK_AHEAD) {
        let places = (from..args.len()).step_by(2).take(LOOK_AHEAD);
        let keys = places.clone().map(|at| args.get(at));
        let located = ctx.db.look_ahead(ctx.numbers_from(from / 2), keys);
        for (at, located) in places.zip(located) {
            ctx.db.know(args.get(at), located);
            store(ctx, args.get(at), args.get(at + 1), SetExpiry::Clear);
        }
    }
    Ok(())
}

fn setnx(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let absent = ctx.db.find(args.get(1)).is_none();
    if absent {
        store(ctx, args.get(1), args.get(2), SetExpiry::Clear);
    }
    ctx.reply.integer(i64::from(absent));
    Ok(())
}

fn setex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_expiring(ctx, args, Unit::Seconds)
}

fn psetex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    set_expiring(ctx, args, Unit::Milliseconds)
}

fn set_expiring(ctx: &mut Ctx<'_>, args: &Args<'_>, unit: Unit) -> Result<(), CommandError> {
    let time = Time {
        at: 2,
        unit,
        relative: true,
    };
    let expiry = time.parse(ctx, args)?;
    store(ctx, args.get(1), args.get(3), SetExpiry::At(expiry));
    ctx.reply.ok();
    Ok(())
}

/// What SET and GETEX are told beside key and value.
#[derive(Debug, Default)]
struct Options {
    only_absent: bool,
    only_present: bool,
    get: bool,
    keep: bool,
    persist: bool,
    time: Option<Time>,
}

/// An expiry among the arguments.
#[derive(Clone, Copy, Debug)]
struct Time {
    /// Which argument has the number.
    at: usize,
    unit: Unit,
    /// From now, rather than from 1970.
    relative: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

impl Options {
    /// Reads the options from argument `first` on; SET's, or GETEX's.
    fn parse(args: &Args<'_>, first: usize, of_set: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = first;
        while at < args.len() {
            let is = |word: &str| args.is(at, word);
            if of_set && is("nx") && !options.only_present {
                options.only_absent = true;
            } else if of_set && is("xx") && !options.only_absent {
                options.only_present = true;
            } else if of_set && is("get") {
                options.get = true;
            } else if of_set && is("keepttl") && options.time.is_none() {
                options.keep = true;
            } else if !of_set && is("persist") && options.time.is_none() {
                options.persist = true;
            } else {
                let time = Time::named(args, at).ok_or(CommandError::Syntax)?;
                // The same option again is allowed, and the last one counts.
                let clashes = options
                    .time
                    .is_some_and(|old| (old.unit, old.relative) != (time.unit, time.relative));
                if options.keep || options.persist || clashes {
                    return Err(CommandError::Syntax);
                }
                options.time = Some(time);
                at += 1;
            }
            at += 1;
        }
        Ok(options)
    }
}

impl Time {
    /// The option of this kind at argument `at`, if it is one and its number follows.
    fn named(args: &Args<'_>, at: usize) -> Option<Self> {
        let (unit, relative) = match args.get(at).to_ascii_lowercase().as_slice() {
            b"ex" => (Unit::Seconds, true),
            b"px" => (Unit::Milliseconds, true),
            b"exat" => (Unit::Seconds, false),
            b"pxat" => (Unit::Milliseconds, false),
            _ => return None,
        };
        (at + 1 < args.len()).then_some(Self {
            at: at + 1,
            unit,
            relative,
        })
    }

    /// The time in Unix milliseconds.
    fn parse(self, ctx: &Ctx<'_>, args: &Args<'_>) -> Result<i64, CommandError> {
        let invalid = CommandError::InvalidExpire(ctx.spec.name);
        let number = parse_i64(args.get(self.at)).ok_or(CommandError::NotInteger)?;
        if number <= 0 {
            return Err(invalid);
        }
        let ms = match self.unit {
            Unit::Seconds => number.checked_mul(1000),
            Unit::Milliseconds => Some(number),
        };
        let base = if self.relative { ctx.now_ms } else { 0 };
        ms.and_then(|ms| ms.checked_add(base)).ok_or(invalid)
    }
}

fn set(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (key, value) = (args.get(1), args.get(2));
    if args.len() == 3 {
        store(ctx, key, value, SetExpiry::Clear);
        ctx.reply.ok();
        return Ok(());
    }
    let options = Options::parse(args, 3, true)?;
    let expiry = match options.time {
        Some(time) => SetExpiry::At(time.parse(ctx, args)?),
        None if options.keep => SetExpiry::Keep,
        None => SetExpiry::Clear,
    };
    if options.get {
        reply_string(&mut ctx.reply, ctx.db.read(key))?;
    }
    if options.only_absent || options.only_present {
        let present = ctx.db.find(key).is_some();
        if present == options.only_absent {
            if !options.get {
                ctx.reply.null();
            }
            return Ok(());
        }
    }
    store(ctx, key, value, expiry);
    if !options.get {
        ctx.reply.ok();
    } else if options.time.is_none() && ctx.db.is_logged() {
        let mut words = vec![args.get(0), key, value];
        words.extend(
            args.iter_from(3)
                .filter(|word| !word.eq_ignore_ascii_case(b"get")),
        );
        ctx.db.effect(&words);
    }
    Ok(())
}

fn getex(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    let options = Options::parse(args, 2, false)?;
    match ctx.db.read(key) {
        None => {
            ctx.reply.null();
            return Ok(());
        }
        Some(ValueRef::Object(_)) => return Err(CommandError::WrongType),
        Some(ValueRef::Int(_) | ValueRef::Bytes(_)) => {}
    }
    let expiry = options.time.map(|time| time.parse(ctx, args)).transpose()?;
    reply_string(&mut ctx.reply, ctx.db.peek(key).map(|entry| entry.value()))?;
    match expiry {
        // Only a time since 1970 can have passed; the key goes now.
        Some(at) if ctx.db.is_past(at) => delete_expired(ctx, key),
        Some(at) => {
            ctx.db.set_expiry(key, Some(at));
            ctx.db.notify(EventClass::Generic, "expire", key);
            ctx.db
                .effect(&[b"PEXPIREAT", key, Digits::default().of(at)]);
        }
        None if options.persist && ctx.db.persist(key) => {
            ctx.db.notify(EventClass::Generic, "persist", key);
            ctx.db.effect(&[b"PERSIST", key]);
        }
        None => {}
    }
    Ok(())
}
