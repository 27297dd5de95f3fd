//! DEBUG: what tests and the curious need. Off unless `enable-debug-command` allows it.

mod collections;
mod digest;

use slotilla_common::clock;
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use std::time::Duration;

use super::{Args, CommandError, Ctx, Handler, command_info};
use crate::replication::log::{ANY_DB, Follower};
use crate::server::Server;
use crate::store::Expired;
use crate::store::{Db, NewValue, Scope, SetExpiry, ValueRef};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("debug", debug)];

type Subcommand = (&'static str, Handler);

/// DEBUG's subcommands are not rows of the command table, in Redis either.
const SUBCOMMANDS: &[Subcommand] = &[
    ("aof-flush-sleep", aof_flush_sleep),
    ("change-repl-id", change_repl_id),
    ("config-rewrite-force-all", config_rewrite_force_all),
    ("digest", digest::digest),
    ("digest-value", digest::digest_value),
    ("error", error),
    ("help", help),
    ("htstats", collections::htstats),
    ("htstats-key", collections::htstats_key),
    ("listpack", collections::listpack),
    ("loadaof", super::persistence::loadaof),
    ("log", log),
    ("object", object),
    ("populate", populate),
    ("protocol", protocol),
    ("quicklist", collections::quicklist),
    (
        "quicklist-packed-threshold",
        collections::quicklist_packed_threshold,
    ),
    ("reload", super::persistence::reload),
    ("replicate", replicate),
    ("set-active-expire", set_active_expire),
    ("set-skip-checksum-validation", set_skip_checksum_validation),
    ("sleep", sleep),
    ("stringmatch-len", stringmatch_len),
];

fn debug(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    match SUBCOMMANDS.iter().find(|(name, _)| args.is(1, name)) {
        Some((_, subcommand)) => subcommand(ctx, args),
        None => Err(wrong_use(args)),
    }
}

fn wrong_use(args: &Args<'_>) -> CommandError {
    command_info::wrong_use(args, "DEBUG")
}

/// Longest DEBUG SLEEP; beyond it a typing mistake would look like a dead node.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// Stops this worker's thread, as a slow command would, and only it.
fn sleep(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    let seconds: f64 = std::str::from_utf8(args.get(2))
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|seconds: &f64| seconds.is_finite())
        .unwrap_or(0.0);
    std::thread::sleep(Duration::from_secs_f64(
        seconds.clamp(0.0, SLEEP_SECONDS_MAX),
    ));
    ctx.reply.ok();
    Ok(())
}

/// DEBUG AOF-FLUSH-SLEEP microseconds: a slow disk, for tests. What is no number counts as 0.
fn aof_flush_sleep(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    let micros = u64::try_from(args.int(2).unwrap_or(0)).unwrap_or(0);
    ctx.server.aof.sleep_before_writes(micros);
    ctx.reply.ok();
    Ok(())
}

/// DEBUG REPLICATE word ...: what replicas are sent, though nobody has done it.
fn replicate(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() < 3 {
        return Err(wrong_use(args));
    }
    let (log, replication) = (ctx.server.store.log(), &ctx.server.replication);
    if log.has_follower(Follower::File) {
        // The file follows the same log, and could not be loaded any more.
        return Err(CommandError::fixed(
            "ERR DEBUG REPLICATE is not possible with an append-only file: see appendonly",
        ));
    }
    if replication.as_primary.follows() && !replication.is_replica() {
        let words: Vec<&[u8]> = args.iter_from(2).collect();
        log.append_command(ctx.scope.thread, ANY_DB, &words);
    }
    ctx.reply.ok();
    Ok(())
}

fn log(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
    ctx.reply.ok();
    Ok(())
}

fn set_active_expire(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    ctx.server
        .store
        .settings()
        .set_active_expire(!args.is(2, "0"));
    ctx.reply.ok();
    Ok(())
}

fn set_skip_checksum_validation(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    let settings = ctx.server.store.settings();
    settings.set_skips_checksums(!args.is(2, "0"));
    ctx.reply.ok();
    Ok(())
}

fn config_rewrite_force_all(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.server.config.rewrite_all().map_err(CommandError::err)?;
    ctx.reply.ok();
    Ok(())
}

/// DEBUG ERROR message: a client's view of an error.
fn error(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    // No line of its own may begin within the error.
    let message = args.get(2).iter();
    let line = message.map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte });
    let line: Vec<u8> = line.collect();
    ctx.reply.error_bytes(&line);
    Ok(())
}

/// Longest text that DEBUG STRINGMATCH-LEN matches: time grows with it.
const MATCHED_MAX: i64 = 1 << 24;

/// DEBUG STRINGMATCH-LEN length pattern: how long a hostile pattern takes.
fn stringmatch_len(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 4 {
        return Err(wrong_use(args));
    }
    let len = args.int(2)?;
    let text = vec![b'A'; usize::try_from(len.clamp(0, MATCHED_MAX)).unwrap_or(0)];
    let is_match = slotilla_common::glob::matches(args.get(3), &text);
    ctx.reply.integer(i64::from(is_match));
    Ok(())
}

fn change_repl_id(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 2 {
        return Err(wrong_use(args));
    }
    ctx.server.replication.change_replid();
    ctx.server.replication.as_primary.note_name(ctx.server);
    ctx.reply.ok();
    Ok(())
}

/// DEBUG PROTOCOL: one reply of each type, for the tests of clients.
fn protocol(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    let kind = args.get(2).to_ascii_lowercase();
    let reply = &mut ctx.reply;
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        #[expect(
            clippy::approx_constant,
            reason = "the number that Redis answers, no pi"
        )]
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => attributed(reply),
        b"push" => pushed(reply)?,
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            return Err(CommandError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn attributed(reply: &mut ReplyWriter<'_>) {
    if reply.protocol == Protocol::Resp3 {
        reply.attribute(1);
        reply.bulk(b"key-popularity");
        reply.array(2);
        reply.bulk(b"key:123");
        reply.integer(90);
    }
    reply.bulk(b"Some real reply following the attribute");
}

fn pushed(reply: &mut ReplyWriter<'_>) -> Result<(), CommandError> {
    if reply.protocol == Protocol::Resp2 {
        return Err(CommandError::fixed(
            "ERR RESP2 is not supported by this command",
        ));
    }
    reply.push(2);
    reply.bulk(b"server-cpu-usage");
    reply.integer(42);
    reply.bulk(b"Some real reply following the push reply");
    Ok(())
}

/// Keys that one hold of the gate's seat writes: the node stays responsive meanwhile.
const POPULATE_STEP: u64 = 1000;

/// DEBUG POPULATE count [prefix] [size]: keys `prefix:0` and so on, those missing. In a cluster
/// only those of the slots that are served here, as nothing else could be read again.
fn populate(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if !(3..=5).contains(&args.len()) {
        return Err(wrong_use(args));
    }
    let positive = |at: usize| u64::try_from(args.int(at)?).map_err(|_| CommandError::NotPositive);
    let count = positive(2).map_err(|_| CommandError::NotPositive)?;
    let prefix = if args.len() > 3 {
        args.get(3).to_vec()
    } else {
        b"key".to_vec()
    };
    let size = if args.len() == 5 {
        Some(positive(4)?)
    } else {
        None
    };
    let size = match size.map(usize::try_from) {
        Some(Ok(size)) if size > ctx.server.config.proto_max_bulk_len() => {
            return Err(CommandError::StringTooLong);
        }
        Some(size) => Some(size.map_err(|_| CommandError::NotPositive)?),
        None => None,
    };
    let db = ctx.session.db;
    ctx.in_background(move |server, reply| {
        for step in (0..count).step_by(1000) {
            let end = count.min(step.saturating_add(POPULATE_STEP));
            let mut next = step;
            while next < end {
                // As many as go without a slot that is out.
                let populate = || {
                    let mut numbers = next..end;
                    let stop = numbers.find(|n| !populate_one(server, db, &prefix, *n, size));
                    stop.unwrap_or(end)
                };
                next = server.gate.guest(populate);
                if next < end {
                    server
                        .store
                        .await_back(Slot::of_key(&populated(&prefix, next)));
                }
            }
        }
        reply.ok();
        Ok(())
    });
    Ok(())
}

fn populated(prefix: &[u8], n: u64) -> Vec<u8> {
    [prefix, format!(":{n}").as_bytes()].concat()
}

/// False if the slot is out.
fn populate_one(server: &Server, db: u16, prefix: &[u8], n: u64, size: Option<usize>) -> bool {
    let key = populated(prefix, n);
    let Some(guard) = server.store.try_lock(Slot::of_key(&key)) else {
        return false;
    };
    let mut value = format!("value:{n}").into_bytes();
    // 0 is none.
    if let Some(size) = size.filter(|size| *size > 0) {
        value.resize(size, 0);
    }
    let scope = Scope {
        db,
        now_ms: clock::unix_ms(),
        thread: 0,
    };
    let mut db = Db::one(guard, scope);
    if !db.contains(&key) {
        db.set(&key, NewValue::encoded(&value), SetExpiry::Clear);
    }
    true
}

fn object(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() != 3 {
        return Err(wrong_use(args));
    }
    let key = args.get(2);
    let mut db = ctx.db_of(key)?;
    // One that is hidden, or about to go, is shown as well.
    db.set_expired(Expired::Keep);
    let entry = db.peek(key).ok_or(CommandError::NoSuchKey)?;
    let (encoding, access) = (entry.encoding().name(), entry.access());
    let address = std::ptr::from_ref(entry).addr();
    let serialized = serialized_len(&entry.value());
    let more = collections::of_list(ctx.server, &entry.value());
    let idle_s = db.idle_ms(access) / 1000;
    ctx.reply.simple(&format!(
        "Value at:{address:#x} refcount:1 encoding:{encoding} serializedlength:{serialized} \
         lru:{access} lru_seconds_idle:{idle_s}{more}",
    ));
    Ok(())
}

/// Bytes of the value in an RDB file, before compression.
fn serialized_len(value: &ValueRef<'_>) -> usize {
    match value {
        ValueRef::Int(number) => match number {
            -0x80..=0x7f => 2,
            -0x8000..=0x7fff => 3,
            -0x8000_0000..=0x7fff_ffff => 5,
            _ => number.to_string().len() + 1,
        },
        ValueRef::Bytes(bytes) => {
            let prefix = match bytes.len() {
                0..=0x3f => 1,
                0x40..=0x3fff => 2,
                0x4000..=0xffff_ffff => 5,
                _ => 9,
            };
            bytes.len() + prefix
        }
        ValueRef::Object(object) => object.memory(),
    }
}

fn help(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.help(
        "DEBUG",
        &[
            "AOF-FLUSH-SLEEP <microseconds>",
            "    Wait for so long before each write to the append-only file.",
            "CHANGE-REPL-ID",
            "    Take a new replication ID.",
            "CONFIG-REWRITE-FORCE-ALL",
            "    As CONFIG REWRITE, with every directive written out.",
            "LOADAOF",
            "    Delete the data and load that of the append-only files.",
            "LOG <message>",
            "    Write a line to the server's log.",
            "OBJECT <key>",
            "    Tell how the value of a key is kept.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Create keys <prefix>:<number>, each value padded or cut to <size> bytes, unless that is 0.",
            "DIGEST",
            "    Tell a signature of all keys and values: Redis's own.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    Tell the signatures of these keys' values.",
            "ERROR <message>",
            "    Answer with this error.",
            "HTSTATS <dbid>",
            "    Tell how many keys a database has, and how many of them expire.",
            "HTSTATS-KEY <key>",
            "    Tell the size of the table that a big collection has.",
            "LISTPACK <key>",
            "    Write the elements of a small collection to the log.",
            "PROTOCOL <type>",
            "    Answer with a value of this type of the protocol.",
            "QUICKLIST <key> [(0|1)]",
            "    Write the listpacks of a list to the log; with 1 also their elements.",
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    How long an element of a list is that has a listpack of its own; 0 is 1gb.",
            "RELOAD [option ...]",
            "    Save the data and load it again. Options: NOSAVE loads the file that is there;",
            "    NOFLUSH keeps the keys that are there, MERGE lets those of the file replace them.",
            "REPLICATE <word> [<word> ...]",
            "    Send replicas a command that has not run here.",
            "SET-ACTIVE-EXPIRE (0|1)",
            "    Whether expired keys are removed before somebody asks for them.",
            "SET-SKIP-CHECKSUM-VALIDATION (0|1)",
            "    Whether RESTORE takes payloads whose checksum is wrong.",
            "SLEEP <seconds>",
            "    Stop this connection's thread for so long.",
            "STRINGMATCH-LEN <length> <pattern>",
            "    Match the pattern with so many letters A.",
        ],
    );
    Ok(())
}
