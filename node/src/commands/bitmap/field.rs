//! BITFIELD and BITFIELD_RO: integers inside a string.

use slotilla_common::resp::ReplyWriter;
use smallvec::SmallVec;

use super::super::{Args, CommandError, Ctx};
use super::integer::{Overflow, Shape};
use super::{bit_offset, bytes_at, write};
use crate::store::{Digits, EventClass};

const BAD_SHAPE: CommandError = CommandError::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 \
     is.",
);
const BAD_OVERFLOW: CommandError = CommandError::fixed("ERR Invalid OVERFLOW type specified");
const READS_ONLY: CommandError =
    CommandError::fixed("ERR BITFIELD_RO only supports the GET subcommand");

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Set(i64),
    IncrBy(i64),
}

/// One subcommand.
#[derive(Clone, Copy)]
struct Step {
    verb: Verb,
    shape: Shape,
    offset: u64,
    overflow: Overflow,
}

/// What a subcommand did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It only read, or would have overflown.
    None,
    /// It wrote what was there.
    Same,
    /// It changed something.
    Changed,
}

type Steps = SmallVec<[Step; 4]>;

pub(super) fn bitfield(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let steps = parse(ctx, args)?;
    let last_written = steps.iter().filter_map(Step::last_written).max();
    let key = args.get(1);
    let Some(last) = last_written else {
        return read_all(ctx, key, &steps);
    };
    let Ctx { db, reply, .. } = ctx;
    let (mut wrote, mut changed) = (false, false);
    let resized = write(db, key, last, |bytes| {
        reply.array(steps.len());
        for step in &steps {
            let effect = step.run(bytes, reply);
            wrote |= effect != Effect::None;
            changed |= effect == Effect::Changed;
        }
        changed
    })?;
    // Where nothing was written, for it would have overflown, Redis tells of no change, though the
    // string may have grown.
    if changed || wrote && resized {
        db.notify(EventClass::String, "setbit", key);
    }
    Ok(())
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let steps = parse(ctx, args)?;
    if steps.iter().any(|step| step.last_written().is_some()) {
        return Err(READS_ONLY);
    }
    read_all(ctx, args.get(1), &steps)
}

fn read_all(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> Result<(), CommandError> {
    let mut digits = Digits::default();
    let bytes = bytes_at(&mut ctx.db, key, &mut digits)?.unwrap_or_default();
    ctx.reply.array(steps.len());
    for step in steps {
        ctx.reply.integer(step.shape.read(bytes, step.offset));
    }
    Ok(())
}

fn parse(ctx: &Ctx<'_>, args: &Args<'_>) -> Result<Steps, CommandError> {
    let mut steps = Steps::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - at - 1;
        if args.is(at, "OVERFLOW") && more >= 1 {
            overflow = parse_overflow(args, at + 1)?;
            at += 2;
            continue;
        }
        let writes = match () {
            () if args.is(at, "GET") && more >= 2 => None,
            () if args.is(at, "SET") && more >= 3 => Some(Verb::Set as fn(i64) -> Verb),
            () if args.is(at, "INCRBY") && more >= 3 => Some(Verb::IncrBy as fn(i64) -> Verb),
            () => return Err(CommandError::Syntax),
        };
        let shape = Shape::parse(args.get(at + 1)).ok_or(BAD_SHAPE)?;
        let offset = bit_offset(ctx, args.get(at + 2), Some(shape.bits))?;
        let verb = match writes {
            Some(verb) => verb(args.int(at + 3)?),
            None => Verb::Get,
        };
        steps.push(Step {
            verb,
            shape,
            offset,
            overflow,
        });
        at += if writes.is_some() { 4 } else { 3 };
    }
    Ok(steps)
}

fn parse_overflow(args: &Args<'_>, index: usize) -> Result<Overflow, CommandError> {
    let names = [
        ("WRAP", Overflow::Wrap),
        ("SAT", Overflow::Saturate),
        ("FAIL", Overflow::Fail),
    ];
    let named = names.into_iter().find(|(name, _)| args.is(index, name));
    named.map(|(_, overflow)| overflow).ok_or(BAD_OVERFLOW)
}

impl Step {
    /// The last bit that may be written; `None` if this only reads.
    fn last_written(&self) -> Option<u64> {
        match self.verb {
            Verb::Get => None,
            Verb::Set(_) | Verb::IncrBy(_) => Some(self.offset + u64::from(self.shape.bits) - 1),
        }
    }

    /// Does it and replies.
    fn run(&self, bytes: &mut [u8], reply: &mut ReplyWriter<'_>) -> Effect {
        let old = self.shape.read(bytes, self.offset);
        let (new, told) = match self.verb {
            Verb::Get => {
                reply.integer(old);
                return Effect::None;
            }
            Verb::Set(number) => (self.shape.fit(number, self.overflow), Some(old)),
            Verb::IncrBy(by) => (self.shape.add(old, by, self.overflow), None),
        };
        let Some(new) = new else {
            reply.null();
            return Effect::None;
        };
        reply.integer(told.unwrap_or(new));
        if new != old && self.shape.write(bytes, self.offset, new) {
            Effect::Changed
        } else {
            Effect::Same
        }
    }
}
