//! MIGRATE: keys leave for another node, and are deleted here once it has them.
//!
//! It always runs as a long command ([`crate::server::long`]), and so does a transaction that has
//! it: nobody is held up by the other node but those who want the same slots, and those whose own
//! long commands find no place, until it has answered or its time is over.

use std::time::Duration;

use super::dump::payload;
use super::{Args, CommandError, Ctx, Handler};
use crate::rdb::SaveOptions;
use crate::server::targets::{Address, Broken, Target, add_command};
use crate::store::Digits;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("migrate", migrate)];

/// So many bytes are sent before their replies are waited for.
const BATCH_BYTES: usize = 256 * 1024;
const DEFAULT_LIMIT_MS: u64 = 1000;

/// What MIGRATE is told.
#[derive(Debug)]
struct Request<'a> {
    address: Address,
    db: i64,
    limit: Duration,
    copy: bool,
    replace: bool,
    /// User, if one was told, and password.
    auth: Option<(Option<&'a [u8]>, &'a [u8])>,
    /// Where the keys are among the arguments.
    keys: std::ops::Range<usize>,
}

impl<'a> Request<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, CommandError> {
        let (mut copy, mut replace, mut auth, mut keys) = (false, false, None, 3..4);
        let mut at = 6;
        while at < args.len() {
            let more = args.len() - at - 1;
            if args.is(at, "copy") {
                copy = true;
            } else if args.is(at, "replace") {
                replace = true;
            } else if args.is(at, "auth") && more >= 1 {
                auth = Some((None, args.get(at + 1)));
                at += 1;
            } else if args.is(at, "auth2") && more >= 2 {
                auth = Some((Some(args.get(at + 1)), args.get(at + 2)));
                at += 2;
            } else if args.is(at, "keys") {
                if !args.get(3).is_empty() {
                    return Err(CommandError::fixed(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                keys = at + 1..args.len();
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let limit_ms = u64::try_from(args.int(5)?).unwrap_or(0);
        let limit_ms = if limit_ms == 0 {
            DEFAULT_LIMIT_MS
        } else {
            limit_ms
        };
        Ok(Self {
            address: (args.get(1).to_vec(), args.get(2).to_vec()),
            db: args.int(4)?,
            limit: Duration::from_millis(limit_ms),
            copy,
            replace,
            auth,
            keys,
        })
    }
}

/// Why keys are still here.
enum Failure {
    Broken(Broken),
    /// What the other node says of its password or database: nothing was sent to it.
    Refused(String),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

fn migrate(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let request = Request::parse(args)?;
    let keys = args
        .iter_from(request.keys.start)
        .take(request.keys.len())
        .filter(|key| ctx.db.read(key).is_some());
    let keys: Vec<&[u8]> = keys.collect();
    if keys.is_empty() {
        ctx.reply.simple("NOKEY");
        return Ok(());
    }
    let refused = match ctx.server.targets.take(&request.address) {
        None => connect(ctx, &request, &keys),
        Some(target) => match send(ctx, &request, &keys, target) {
            // It was closed while nobody looked, most likely: nothing was done yet.
            Err((Failure::Broken(broken), false)) if !broken.is_timeout() => {
                connect(ctx, &request, &keys)
            }
            result => result.map_err(|(failure, _)| failure),
        },
    };
    write_down(ctx, &keys);
    match refused {
        Ok(None) => {
            ctx.reply.ok();
            Ok(())
        }
        Ok(Some(text)) | Err(Failure::Refused(text)) => Err(CommandError::err(format_args!(
            "Target instance replied with error: {text}"
        ))),
        Err(Failure::Broken(broken)) => Err(CommandError::fixed(match broken {
            Broken::Unknown => "IOERR error or timeout connecting to the client",
            Broken::Writing(_) => "IOERR error or timeout writing to target instance",
            Broken::Reading(_) => "IOERR error or timeout reading to target instance",
        })),
    }
}

/// The keys that the other node has are gone, here and wherever this node's log is followed.
fn write_down(ctx: &mut Ctx<'_>, keys: &[&[u8]]) {
    if !ctx.db.is_logged() || !ctx.db.has_changed() {
        return;
    }
    let mut words: Vec<&[u8]> = vec![b"DEL"];
    words.extend(keys.iter().filter(|key| !ctx.db.contains(key)));
    ctx.db.effect(&words);
}

/// Sends the keys on a new connection.
fn connect(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    keys: &[&[u8]],
) -> Result<Option<String>, Failure> {
    let target = Target::connect(request.address.clone(), request.limit)?;
    send(ctx, request, keys, target).map_err(|(failure, _)| failure)
}

/// Sends the keys; the first error that the other node gave for one. If the connection fails, whether
/// anything was heard on it. Whoever closes the client ends this, too.
fn send(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    keys: &[&[u8]],
    target: Target,
) -> Result<Option<String>, (Failure, bool)> {
    let handle = target.handle().map_err(|broken| (broken.into(), false))?;
    ctx.session.client.set_elsewhere(Some(handle));
    let sent = send_all(ctx, request, keys, target);
    ctx.session.client.set_elsewhere(None);
    sent
}

/// As [`send`]. A key is deleted once the other node has said that it has it.
fn send_all(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    keys: &[&[u8]],
    mut target: Target,
) -> Result<Option<String>, (Failure, bool)> {
    let greeted = target
        .set_limit(request.limit)
        .map_err(Failure::Broken)
        .and_then(|()| greet(request, &mut target));
    let mut heard = greeted.map_err(|failure| (failure, false))?;
    let mut refusal = None;
    let mut left = keys;
    let mut batch = Vec::new();
    while !left.is_empty() {
        batch.clear();
        let mut sent = Vec::new();
        while let Some((key, rest)) = left.split_first()
            && batch.len() < BATCH_BYTES
        {
            left = rest;
            if add_restore(ctx, request, key, &mut batch) {
                sent.push(*key);
            }
        }
        target
            .send(&batch)
            .map_err(|broken| (broken.into(), heard))?;
        for key in sent {
            let reply = target.reply().map_err(|broken| (broken.into(), heard))?;
            heard = true;
            match reply {
                Ok(()) if !request.copy => {
                    ctx.db.delete(key);
                }
                Ok(()) => {}
                Err(text) => refusal = refusal.or(Some(text)),
            }
        }
    }
    ctx.server.targets.keep(target);
    Ok(refusal)
}

/// Says who it is, and goes to the database; whether anything had to be said. What the other node
/// says to that is waited for: keys must not go to another database.
fn greet(request: &Request<'_>, target: &mut Target) -> Result<bool, Failure> {
    let mut commands = Vec::new();
    let mut replies = 0;
    match request.auth {
        Some((Some(user), password)) => add_command(&mut commands, &[b"AUTH", user, password]),
        Some((None, password)) => add_command(&mut commands, &[b"AUTH", password]),
        None => {}
    }
    replies += usize::from(request.auth.is_some());
    if target.db != request.db {
        let mut digits = Digits::default();
        add_command(&mut commands, &[b"SELECT", digits.of(request.db)]);
        replies += 1;
    }
    if replies == 0 {
        return Ok(false);
    }
    target.send(&commands)?;
    let mut refused = None;
    for _ in 0..replies {
        let reply = target.reply()?;
        refused = refused.or(reply.err());
    }
    target.db = request.db;
    refused.map_or(Ok(true), |text| Err(Failure::Refused(text)))
}

/// Adds the command that makes a key over there; whether there is such a key still.
fn add_restore(ctx: &mut Ctx<'_>, request: &Request<'_>, key: &[u8], batch: &mut Vec<u8>) -> bool {
    let server = ctx.server;
    let options = SaveOptions {
        plain_from: server.store.settings().list_alone_bytes(),
    };
    let compressed_max = super::dump::compressed_max(server);
    let now_ms = slotilla_common::clock::unix_ms();
    let Some(entry) = ctx.db.peek(key) else {
        return false;
    };
    let ttl = match entry.expiry() {
        None => 0,
        Some(at) if at < now_ms => return false,
        Some(at) => (at - now_ms).max(1),
    };
    let Ok(payload) = payload(entry.value(), compressed_max, options) else {
        return false;
    };
    let name: &[u8] = if server.cluster_enabled {
        b"RESTORE-ASKING"
    } else {
        b"RESTORE"
    };
    let mut digits = Digits::default();
    let mut words = vec![name, key, digits.of(ttl), &payload];
    if request.replace {
        words.push(b"REPLACE");
    }
    add_command(batch, &words);
    true
}
