//! Commands that wait: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP, BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! What each takes from a key is the same whether it finds something at once or is served later.

use slotilla_common::resp::ReplyWriter;
use std::ops::Range;
use std::sync::Arc;

use super::collection::MultiPop;
use super::list::ends as list;
use super::long_double::LongDouble;
use super::sorted_set::pop as sorted_set;
use super::{After, Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::server::blocked::Blocked;
use crate::server::client::flag;
use crate::store::{Db, End, Kind, Waiting};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("blmove", blmove),
    ("blmpop", blmpop),
    ("blpop", blpop),
    ("brpop", brpop),
    ("brpoplpush", brpoplpush),
    ("bzmpop", bzmpop),
    ("bzpopmax", bzpopmax),
    ("bzpopmin", bzpopmin),
];

/// What a blocking command takes.
#[derive(Debug)]
pub enum Wanted {
    /// An element of a list.
    Element(End),
    /// So many elements of a list, if there are.
    Elements(End, usize),
    /// An element of a list, to be put into another.
    Move {
        /// The end it comes from.
        from: End,
        /// The end it goes to.
        to: End,
        /// The list it goes to.
        target: Box<[u8]>,
        /// It was asked for by BRPOPLPUSH.
        rotates: bool,
    },
    /// A member of a sorted set.
    Member(sorted_set::End),
    /// So many members of a sorted set, if there are.
    Members(sorted_set::End, usize),
}

impl Wanted {
    fn kind(&self) -> Kind {
        match self {
            Self::Element(_) | Self::Elements(..) | Self::Move { .. } => Kind::List,
            Self::Member(_) | Self::Members(..) => Kind::SortedSet,
        }
    }

    fn target(&self) -> Option<&[u8]> {
        match self {
            Self::Move { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Takes it from a key and answers with it; false if there is no such key. `answered` is called
    /// where the reply belongs among the events of the keys.
    ///
    /// # Errors
    /// The key has a value of another type, or it cannot be put where it should go. Then nothing is
    /// written.
    pub fn take(
        &self,
        server: &Server,
        db: &mut Db<'_>,
        reply: &mut ReplyWriter<'_>,
        key: &[u8],
        answered: impl FnOnce(),
    ) -> Result<bool, CommandError> {
        match self {
            Self::Move {
                from,
                to,
                target,
                rotates,
            } => {
                let (source, to_end) = ((key, *from), (&**target, *to));
                let is_there = list::move_element(server, db, reply, source, to_end, answered)?;
                if is_there && *rotates {
                    db.effect(&[b"RPOPLPUSH", key, target]);
                } else if is_there {
                    db.effect(&[b"LMOVE", key, target, side(*from), side(*to)]);
                }
                Ok(is_there)
            }
            Self::Element(end) => {
                answered();
                let is_there = list::pop_each(db, reply, key, *end, 1, |reply, _| {
                    reply.array(2);
                    reply.bulk(key);
                })?;
                if is_there {
                    db.effect(&[list::popping(*end), key]);
                }
                Ok(is_there)
            }
            Self::Elements(end, count) => {
                answered();
                list::pop_first(db, reply, key, *end, *count)
            }
            Self::Member(end) => {
                answered();
                let popped = sorted_set::pop(db, key, *end, 1)?;
                if popped.is_some() {
                    db.effect(&[sorted_set::popping(*end), key]);
                }
                for (member, score) in popped.iter().flatten() {
                    reply.array(3);
                    reply.bulk(key);
                    reply.bulk(member);
                    reply.double(*score);
                }
                Ok(popped.is_some())
            }
            Self::Members(end, count) => {
                answered();
                let popped = sorted_set::pop_first(db, key, *end, *count)?;
                if let Some(popped) = &popped {
                    sorted_set::write_pairs(reply, key, popped);
                }
                Ok(popped.is_some())
            }
        }
    }
}

/// A client that is to wait, as its connection is told.
#[derive(Debug)]
pub struct Wait {
    /// The wait, which has begun.
    pub waiting: Arc<Waiting<Blocked>>,
    /// After how many milliseconds it ends; `None` if never.
    pub timeout_ms: Option<u64>,
}

// === The commands ===

fn blpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, Wanted::Element(End::Head))
}

fn brpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, Wanted::Element(End::Tail))
}

fn bzpopmin(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, Wanted::Member(sorted_set::End::Min))
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, Wanted::Member(sorted_set::End::Max))
}

fn pop(ctx: &mut Ctx<'_>, args: &Args<'_>, wanted: Wanted) -> Result<(), CommandError> {
    let last = args.len() - 1;
    let timeout_ms = timeout(args, last)?;
    take_or_wait(ctx, args, 1..last, timeout_ms, wanted)
}

fn blmpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let MultiPop { keys, end, count } = MultiPop::parse(args, 2, super::list::end)?;
    let timeout_ms = timeout(args, 1)?;
    take_or_wait(ctx, args, keys, timeout_ms, Wanted::Elements(end, count))
}

fn bzmpop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let MultiPop { keys, end, count } = MultiPop::parse(args, 2, sorted_set::end)?;
    let timeout_ms = timeout(args, 1)?;
    take_or_wait(ctx, args, keys, timeout_ms, Wanted::Members(end, count))
}

fn blmove(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (from, to) = (super::list::end(args, 3)?, super::list::end(args, 4)?);
    move_element(ctx, args, (from, to), 5)
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    move_element(ctx, args, (End::Tail, End::Head), 3)
}

fn move_element(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    (from, to): (End, End),
    timeout_at: usize,
) -> Result<(), CommandError> {
    let timeout_ms = timeout(args, timeout_at)?;
    let wanted = Wanted::Move {
        from,
        to,
        target: args.get(2).into(),
        rotates: ctx.spec.name == "brpoplpush",
    };
    take_or_wait(ctx, args, 1..2, timeout_ms, wanted)
}

/// How LMOVE names an end.
fn side(end: End) -> &'static [u8] {
    match end {
        End::Head => b"left",
        End::Tail => b"right",
    }
}

/// Takes what is wanted from the first key that has it, or has the client wait.
fn take_or_wait(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
    keys: Range<usize>,
    timeout_ms: Option<u64>,
    wanted: Wanted,
) -> Result<(), CommandError> {
    // One that has been killed takes nothing along that came after: its keys are locked, so whoever
    // has killed it has put nothing into them yet, or this flag is seen.
    let is_there = !ctx.session.client.has(flag::KILLED);
    let keys = keys.map(|at| args.get(at));
    for key in keys.clone() {
        if is_there && wanted.take(ctx.server, &mut ctx.db, &mut ctx.reply, key, || ())? {
            return Ok(());
        }
    }
    let session = &*ctx.session;
    if session.transaction.running {
        match wanted {
            Wanted::Move { .. } => ctx.reply.null(),
            _ => ctx.reply.null_array(),
        }
        return Ok(());
    }
    let (kind, target) = (wanted.kind(), wanted.target().map(<[u8]>::to_vec));
    let blocked = Blocked::new(ctx.server, &session.client, session.protocol, wanted);
    let db = ctx.db.index();
    let waiting = Arc::new(Waiting::new(db, kind, keys, target.as_deref(), blocked));
    Blocked::begin(&waiting, &ctx.db, timeout_ms.is_some());
    ctx.afterwards(After::Wait(Wait {
        waiting,
        timeout_ms,
    }));
    Ok(())
}

/// How long to wait, in milliseconds, from a number of seconds; `None` for ever. What is less than a
/// millisecond counts as one.
fn timeout(args: &Args<'_>, at: usize) -> Result<Option<u64>, CommandError> {
    let seconds = LongDouble::parse(args.get(at)).ok_or(CommandError::fixed(
        "ERR timeout is not a float or out of range",
    ))?;
    // Beyond what an integer holds, Redis's becomes negative.
    let milliseconds = seconds.thousandfold().and_then(|ms| u64::try_from(ms).ok());
    let milliseconds = milliseconds.ok_or(CommandError::fixed("ERR timeout is negative"))?;
    Ok(Some(milliseconds).filter(|milliseconds| *milliseconds > 0))
}
