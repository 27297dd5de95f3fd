//! DUMP and RESTORE: a value as bytes that another server takes.

use slotilla_common::rdb::{self, Reader, ValueType, Writer};
use slotilla_common::resp::parse_i64;

use super::{Args, CommandError, Ctx, Handler};
use crate::config::Key;
use crate::rdb::{Limits, LoadError, Loader, SaveOptions, save, value_type};
use crate::server::Server;
use crate::store::{Digits, Entry, EventClass, NewValue, ValueRef};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("dump", dump),
    ("restore", restore),
    ("restore-asking", restore),
];

const BUSY: CommandError = CommandError::fixed("BUSYKEY Target key name already exists.");
const BAD_DATA: CommandError = CommandError::fixed("ERR Bad data format");

fn dump(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let server = ctx.server;
    let compressed_max = compressed_max(server);
    let options = SaveOptions {
        plain_from: server.store.settings().list_alone_bytes(),
    };
    let Some(value) = ctx.db.read(args.get(1)) else {
        ctx.reply.null();
        return Ok(());
    };
    ctx.reply.bulk(&payload(value, compressed_max, options)?);
    Ok(())
}

/// Up to which length strings in payloads are compressed.
pub(super) fn compressed_max(server: &Server) -> usize {
    if server.config.rdbcompression() {
        usize::MAX
    } else {
        0
    }
}

/// A value with its type in front, version and checksum behind.
pub(super) fn payload(
    value: ValueRef<'_>,
    compressed_max: usize,
    options: SaveOptions,
) -> Result<Vec<u8>, CommandError> {
    let mut out = Writer::new(Vec::new(), compressed_max);
    out.byte(value_type(value).number())
        .and_then(|()| save(value, options, &mut out))
        .and_then(|()| out.seal())
        .and_then(|()| out.finish())
        // Memory takes what it is given; if it does not, the client is to know.
        .map_err(CommandError::err)
}

/// A value as DUMP gives it.
pub(crate) fn dump_payload(server: &Server, value: ValueRef<'_>) -> Result<Vec<u8>, String> {
    let options = SaveOptions {
        plain_from: server.store.settings().list_alone_bytes(),
    };
    payload(value, compressed_max(server), options).map_err(|error| error.to_string())
}

/// RESTORE's options.
#[derive(Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 4;
        while at < args.len() {
            let has_more = at + 1 < args.len();
            if args.is(at, "replace") {
                options.replace = true;
            } else if args.is(at, "absttl") {
                options.absolute = true;
            } else if args.is(at, "idletime") && has_more && options.frequency.is_none() {
                at += 1;
                let seconds = args.int(at)?;
                if seconds < 0 {
                    return Err(CommandError::fixed(
                        "ERR Invalid IDLETIME value, must be >= 0",
                    ));
                }
                options.idle_seconds = Some(seconds);
            } else if args.is(at, "freq") && has_more && options.idle_seconds.is_none() {
                at += 1;
                let frequency = u8::try_from(args.int(at)?);
                options.frequency = Some(frequency.map_err(|_| {
                    CommandError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255")
                })?);
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn restore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    let options = Options::parse(args)?;
    if !options.replace && ctx.db.find(key).is_some() {
        return Err(BUSY);
    }
    let ttl = parse_i64(args.get(2)).ok_or(CommandError::NotInteger)?;
    if ttl < 0 {
        return Err(CommandError::fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let opened = if ctx.server.store.settings().skips_checksums() {
        rdb::open_unchecked(args.get(3))
    } else {
        rdb::open(args.get(3))
    };
    let payload = opened.map_err(CommandError::err)?;
    let mut loader = Loader::new(Limits::of(ctx.server));
    let value = load(&mut loader, key, payload)?;
    let expiry = match ttl {
        0 => None,
        at if options.absolute => Some(at),
        // A time that no number tells is over, as it is in Redis.
        ms => Some(ms.wrapping_add(ctx.now_ms)),
    };
    if expiry.is_some_and(|at| ctx.db.is_past(at)) {
        // Whatever was there is replaced by what is gone already.
        if ctx.db.delete(key) {
            let word = ctx.server.config.deletion(Key::LazyfreeLazyServerDel);
            ctx.db.effect(&[word, key]);
        }
    } else {
        let idle_ms = options
            .idle_seconds
            .map(|seconds| seconds.saturating_mul(1000));
        let access = ctx.db.access_of(idle_ms, options.frequency);
        ctx.db.put(Entry::new(key, value, expiry, access));
        ctx.db.notify(EventClass::Generic, "restore", key);
        if let Some(at) = expiry.filter(|_| !options.absolute && ctx.db.is_logged()) {
            let mut digits = Digits::default();
            let mut words: Vec<&[u8]> = vec![args.get(0), key, digits.of(at)];
            words.extend(args.iter_from(3));
            words.push(b"ABSTTL");
            ctx.db.effect(&words);
        }
    }
    ctx.reply.ok();
    Ok(())
}

/// The value in a payload. What is behind it is passed by, as it is in Redis.
fn load<'l>(
    loader: &'l mut Loader,
    key: &[u8],
    payload: &[u8],
) -> Result<NewValue<'l>, CommandError> {
    let mut reader = Reader::of(payload);
    let number = reader.byte("a type").map_err(|_| BAD_DATA)?;
    let value_type = ValueType::from_number(number).ok_or(BAD_DATA)?;
    loader
        .value(value_type, &mut reader)
        .map_err(|error| match error {
            LoadError::Unsupported(_) => {
                CommandError::err(format_args!("Bad data format: {}", error.of_key(key)))
            }
            LoadError::Read(_) | LoadError::Invalid { .. } | LoadError::Empty => {
                tracing::warn!(
                    "RESTORE of the key '{}' refused: {} integrity check failed: {error}",
                    key.escape_ascii(),
                    value_type.name()
                );
                BAD_DATA
            }
        })
}
