//! KEYS, SCAN, DBSIZE: going through all keys.

use std::convert::Infallible;
use std::sync::Arc;

use slotilla_common::resp::ReplyWriter;
use slotilla_common::{cursor, glob};

use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::store::{Entry, Scope};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] =
    &[("dbsize", dbsize), ("keys", keys), ("scan", scan)];

/// Keys that are visited on the client's thread; more are left to a background thread.
const INLINE_MAX: usize = 2000;
/// Keys that a background thread visits before it lets exclusive work pass.
const BACKGROUND_STEP: usize = 2000;

fn dbsize(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let keys = ctx.server.store.len(ctx.db.index());
    ctx.reply.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    Ok(())
}

/// Which keys are wanted.
#[derive(Debug, Default)]
struct Filter {
    pattern: Option<Vec<u8>>,
    type_name: Option<Vec<u8>>,
}

impl Filter {
    fn of_pattern(pattern: &[u8]) -> Self {
        Self {
            // A lone star fits the empty key too, which as a pattern it would not.
            pattern: (pattern != b"*").then(|| pattern.to_vec()),
            type_name: None,
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        let name_fits =
            |name: &Vec<u8>| name.eq_ignore_ascii_case(entry.value().type_name().as_bytes());
        self.type_name.as_ref().is_none_or(name_fits)
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| glob::matches(pattern, entry.key()))
    }
}

/// Keys found, already written as a reply's elements.
#[derive(Debug, Default)]
struct Found {
    count: usize,
    bulks: Vec<u8>,
}

impl Found {
    fn push(&mut self, key: &[u8], protocol: slotilla_common::resp::Protocol) {
        self.count += 1;
        ReplyWriter::new(&mut self.bulks, protocol).bulk(key);
    }

    fn reply(&self, reply: &mut ReplyWriter<'_>) {
        reply.array(self.count);
        reply.raw(&self.bulks);
    }
}

fn keys(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let filter = Filter::of_pattern(args.get(1));
    let scope = ctx.db.scope();
    if ctx.server.store.len(scope.db) <= INLINE_MAX as u64 {
        let mut found = Found::default();
        let protocol = ctx.reply.protocol;
        let visit = |entry: &Entry| {
            if filter.fits(entry) {
                found.push(entry.key(), protocol);
            }
        };
        // Others may be adding keys: this visits what a scan must, and ends.
        let step = |cursor, visit: &mut _| ctx.server.store.scan(scope, cursor, INLINE_MAX, visit);
        scan_all(visit, step).map_err(CommandError::out)?;
        found.reply(&mut ctx.reply);
        return Ok(());
    }
    ctx.in_background(move |server, reply| {
        let mut found = Found::default();
        let protocol = reply.protocol;
        let visit = |entry: &Entry| {
            if filter.fits(entry) {
                found.push(entry.key(), protocol);
            }
        };
        let Ok(()) = scan_all(visit, |cursor, visit: &mut _| {
            Ok::<_, Infallible>(scan_as_guest(server, scope, cursor, BACKGROUND_STEP, visit))
        });
        found.reply(reply);
        Ok(())
    });
    Ok(())
}

/// Scans from the first cursor to the last.
fn scan_all<V: FnMut(&Entry), E>(
    mut visit: V,
    mut step: impl FnMut(u64, &mut V) -> Result<u64, E>,
) -> Result<(), E> {
    let mut cursor = 0;
    loop {
        cursor = step(cursor, &mut visit)?;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// One step of a scan on a thread without a seat at the gate. What is out is waited for outside.
fn scan_as_guest(
    server: &Arc<Server>,
    scope: Scope,
    cursor: u64,
    count: usize,
    visit: &mut impl FnMut(&Entry),
) -> u64 {
    loop {
        let step = || server.store.scan(scope, cursor, count, &mut *visit);
        match server.gate.guest(step) {
            Ok(cursor) => return cursor,
            Err(slot) => server.store.await_back(slot),
        }
    }
}

fn scan(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let cursor = cursor::parse(args.get(1)).ok_or(CommandError::InvalidCursor)?;
    let mut filter = Filter::default();
    let mut count = 10;
    let mut at = 2;
    while at < args.len() {
        if at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        let value = args.get(at + 1);
        if args.is(at, "count") {
            count = usize::try_from(args.int(at + 1)?).unwrap_or(0);
            if count == 0 {
                return Err(CommandError::Syntax);
            }
        } else if args.is(at, "match") {
            filter.pattern = Filter::of_pattern(value).pattern;
        } else if args.is(at, "type") {
            filter.type_name = Some(value.to_vec());
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let scope = ctx.db.scope();
    if count <= INLINE_MAX {
        let mut found = Found::default();
        let protocol = ctx.reply.protocol;
        let next = ctx.server.store.scan(scope, cursor, count, |entry| {
            if filter.fits(entry) {
                found.push(entry.key(), protocol);
            }
        });
        let next = next.map_err(CommandError::out)?;
        reply_scan(&mut ctx.reply, next, &found);
        return Ok(());
    }
    ctx.in_background(move |server, reply| {
        let mut found = Found::default();
        let protocol = reply.protocol;
        let (mut cursor, mut visited) = (cursor, 0);
        while visited < count {
            let step = (count - visited).min(BACKGROUND_STEP);
            cursor = scan_as_guest(server, scope, cursor, step, &mut |entry: &Entry| {
                visited += 1;
                if filter.fits(entry) {
                    found.push(entry.key(), protocol);
                }
            });
            if cursor == 0 {
                break;
            }
        }
        reply_scan(reply, cursor, &found);
        Ok(())
    });
    Ok(())
}

fn reply_scan(reply: &mut ReplyWriter<'_>, cursor: u64, found: &Found) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    found.reply(reply);
}
