//! CLIENT: what clients tell of themselves and do to each other.

use slotilla_common::clock;
use slotilla_common::resp::parse_i64;
use std::fmt::Write;
use std::sync::Arc;

use super::command_info::wrong_use;
use super::connection::DEFAULT_USER;
use super::{Args, CommandError, Ctx, Handler};
use crate::config::AckWrites;
use crate::server::client::{Client, flag};
use crate::server::pause::{Purpose, Scope};
use crate::server::session::ReplyMode;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("client|ack-writes", ack_writes),
    ("client|caching", caching),
    ("client|getname", getname),
    ("client|getredir", getredir),
    ("client|help", super::command_info::help),
    ("client|id", id),
    ("client|info", info),
    ("client|kill", kill),
    ("client|list", list),
    ("client|no-evict", no_evict),
    ("client|pause", pause),
    ("client|reply", reply),
    ("client|setname", setname),
    ("client|trackinginfo", trackinginfo),
    ("client|unblock", unblock),
    ("client|unpause", unpause),
];

fn id(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply
        .integer(i64::try_from(ctx.session.client.id).unwrap_or(i64::MAX));
    Ok(())
}

/// CLIENT ACK-WRITES number | majority | default: how many replicas must have what this client writes
/// before it hears of it.
fn ack_writes(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.is(2, "default") {
        ctx.session.ack_writes = None;
    } else {
        let own = AckWrites::parse(args.get(2));
        let own = own.ok_or(CommandError::fixed(NO_ACK_WRITES))?;
        ctx.server.replication.as_primary.choose(ctx.server, own);
        ctx.session.ack_writes = Some(own);
    }
    ctx.reply.ok();
    Ok(())
}

const NO_ACK_WRITES: &str =
    "ERR argument must be a number of replicas between 0 and 32, majority or default";

fn getname(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let name = ctx.session.client.name();
    if name.is_empty() {
        ctx.reply.null();
    } else {
        ctx.reply.bulk(&name);
    }
    Ok(())
}

fn setname(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    check_name(args.get(2))?;
    ctx.session.client.set_name(args.get(2));
    ctx.reply.ok();
    Ok(())
}

/// Refuses names that would break the lines of CLIENT LIST.
pub(super) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(CommandError::fixed(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn info(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let mut text = String::new();
    describe(&mut text, &ctx.session.client, clock::unix_ms());
    text.push('\n');
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let chosen = match (args.len(), args.get(2)) {
        (2, _) => ctx.server.clients.all(),
        (4, option) if option.eq_ignore_ascii_case(b"type") => {
            let kind = Kind::parse(args.get(3))?;
            ctx.server
                .clients
                .all()
                .into_iter()
                .filter(|client| kind.fits(client))
                .collect()
        }
        (5.., option) | (4, option) if option.eq_ignore_ascii_case(b"id") => {
            let mut chosen = Vec::new();
            for id in args.iter_from(3) {
                let id = parse_i64(id).ok_or(CommandError::fixed("ERR Invalid client ID"))?;
                chosen.extend(
                    u64::try_from(id)
                        .ok()
                        .and_then(|id| ctx.server.clients.by_id(id)),
                );
            }
            chosen
        }
        _ => return Err(CommandError::Syntax),
    };
    let now_ms = clock::unix_ms();
    let mut text = String::new();
    for client in &chosen {
        describe(&mut text, client, now_ms);
        text.push('\n');
    }
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// One line of CLIENT LIST, its fields as Redis 7.0 names and orders them.
pub(crate) fn describe(text: &mut String, client: &Client, now_ms: i64) {
    let seconds = |since_ms: i64| (now_ms - since_ms).max(0) / 1000;
    let active_ms = client.active_ms.load(std::sync::atomic::Ordering::Relaxed);
    let load = |n: &std::sync::atomic::AtomicUsize| n.load(std::sync::atomic::Ordering::Relaxed);
    let (input, input_free) = (load(&client.input_bytes), load(&client.input_free));
    // Replies go into the worker's buffer, and a connection has buffers of its own only for what
    // its socket did not take: no fixed part (rbs, rbp, obl), and a list that counts as one.
    let mail = client.mail_bytes();
    let transaction = load(&client.transaction_bytes);
    let output = load(&client.output_bytes) + mail;
    let output_held = load(&client.output_held) + mail;
    let name = client.name();
    let subscribed = client.subscription_counts();
    // Writing to a string cannot fail.
    let _: Result<(), std::fmt::Error> = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={} qbuf={input} qbuf-free={input_free} argv-mem=0 multi-mem={transaction} rbs=0 rbp=0 obl=0 \
         oll={} omem={output_held} tot-mem={} events={} cmd={} user={DEFAULT_USER} redir=-1 resp={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        String::from_utf8_lossy(&name),
        seconds(client.connected_ms),
        seconds(active_ms),
        letters(client),
        client.db.load(std::sync::atomic::Ordering::Relaxed),
        subscribed.channels,
        subscribed.patterns,
        subscribed.shard_channels,
        client.queued().map_or(-1, |queued| queued as i64),
        usize::from(output > 0),
        CONNECTION_BYTES + input + input_free + output_held + transaction + name.len(),
        if output > 0 { "rw" } else { "r" },
        client.last_command().map_or("NULL", |command| command.name),
        client.protocol().version(),
    );
}

/// What a connection takes beside its buffers: task, socket, session and shared part.
const CONNECTION_BYTES: usize = 1536;

fn letters(client: &Client) -> String {
    let has = |bit| client.has(bit);
    let letters = [
        (has(flag::MONITOR), 'O'),
        (has(flag::PRIMARY), 'M'),
        (has(flag::REPLICA), 'S'),
        (has(flag::PUBSUB), 'P'),
        (client.queued().is_some(), 'x'),
        (has(flag::BLOCKED), 'b'),
        (client.is_touched(), 'd'),
        (has(flag::CLOSE_AFTER_REPLY), 'c'),
        (has(flag::KILLED), 'A'),
        (has(flag::UNIX_SOCKET), 'U'),
        (has(flag::READONLY), 'r'),
        (has(flag::NO_EVICT), 'e'),
    ];
    let shown = letters.iter().filter(|(on, _)| *on);
    let set: String = shown.map(|(_, letter)| *letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}

/// The classes of clients that CLIENT LIST and KILL tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Pubsub,
    Primary,
    Replica,
}

impl Kind {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        if is("normal") {
            Ok(Self::Normal)
        } else if is("pubsub") {
            Ok(Self::Pubsub)
        } else if is("master") {
            Ok(Self::Primary)
        } else if is("replica") || is("slave") {
            Ok(Self::Replica)
        } else {
            Err(CommandError::quoting("Unknown client type '", name, "'"))
        }
    }

    fn fits(self, client: &Client) -> bool {
        match self {
            Self::Normal => client.flags() & (flag::PUBSUB | flag::PRIMARY | flag::REPLICA) == 0,
            Self::Pubsub => client.has(flag::PUBSUB),
            Self::Primary => client.has(flag::PRIMARY),
            Self::Replica => client.has(flag::REPLICA),
        }
    }
}

/// Which clients CLIENT KILL closes.
#[derive(Default)]
struct KillFilter {
    id: Option<u64>,
    kind: Option<Kind>,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    spare_me: bool,
}

impl KillFilter {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut filter = Self {
            spare_me: true,
            ..Self::default()
        };
        if !args.len().is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        for at in (2..args.len()).step_by(2) {
            let value = args.get(at + 1);
            if args.is(at, "id") {
                let id = parse_i64(value)
                    .and_then(|id| u64::try_from(id).ok())
                    .filter(|id| *id > 0);
                filter.id = Some(id.ok_or(CommandError::fixed(
                    "ERR client-id should be greater than 0",
                ))?);
            } else if args.is(at, "type") {
                filter.kind = Some(Kind::parse(value)?);
            } else if args.is(at, "addr") {
                filter.addr = Some(value.to_vec());
            } else if args.is(at, "laddr") {
                filter.laddr = Some(value.to_vec());
            } else if args.is(at, "user") {
                if value != DEFAULT_USER.as_bytes() {
                    return Err(CommandError::quoting("No such user '", value, "'"));
                }
            } else if args.is(at, "skipme") {
                filter.spare_me = yes_or_no(value)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, me: u64) -> bool {
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind.fits(client))
            && self
                .addr
                .as_ref()
                .is_none_or(|addr| addr == client.addr.as_bytes())
            && self
                .laddr
                .as_ref()
                .is_none_or(|laddr| laddr == client.laddr.as_bytes())
            && !(self.spare_me && client.id == me)
    }
}

fn yes_or_no(value: &[u8]) -> Result<bool, CommandError> {
    if value.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

fn kill(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let me = ctx.session.client.id;
    // The old form: an address, which may be one's own.
    let by_address = args.len() == 3;
    let filter = if by_address {
        KillFilter {
            addr: Some(args.get(2).to_vec()),
            ..KillFilter::default()
        }
    } else {
        KillFilter::parse(args)?
    };
    let clients = ctx.server.clients.all();
    let found: Vec<&Arc<Client>> = clients
        .iter()
        .filter(|client| filter.fits(client, me))
        .collect();
    if by_address {
        if found.is_empty() {
            return Err(CommandError::fixed("ERR No such client"));
        }
        ctx.reply.ok();
    } else {
        ctx.reply
            .integer(i64::try_from(found.len()).unwrap_or(i64::MAX));
    }
    for client in found {
        if client.id == me {
            // It gets its reply first.
            client.set(flag::CLOSE_AFTER_REPLY, true);
            ctx.close();
        } else {
            client.kill();
        }
    }
    Ok(())
}

fn pause(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let scope = match args.len() {
        3 => Scope::All,
        4 if args.is(3, "write") => Scope::Writes,
        4 if args.is(3, "all") => Scope::All,
        _ => {
            return Err(CommandError::fixed(
                "ERR CLIENT PAUSE mode must be WRITE or ALL",
            ));
        }
    };
    let timeout_ms = parse_i64(args.get(2)).ok_or(CommandError::fixed(
        "ERR timeout is not an integer or out of range",
    ))?;
    if timeout_ms < 0 {
        return Err(CommandError::fixed("ERR timeout is negative"));
    }
    // A time that no integer holds is one that is over, as in Redis.
    let until_ms = ctx.now_ms.checked_add(timeout_ms).unwrap_or(0);
    ctx.exclusively(move |server, reply| {
        server.pause_clients(Purpose::Client, scope, until_ms);
        reply.ok();
        Ok(())
    });
    Ok(())
}

fn unpause(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.server.end_pause(Purpose::Client);
    ctx.reply.ok();
    Ok(())
}

fn reply(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.is(2, "on") {
        ctx.session.reply_mode = ReplyMode::On;
        ctx.reply.ok();
    } else if args.is(2, "off") {
        ctx.session.reply_mode = ReplyMode::Off;
    } else if args.is(2, "skip") {
        // While replies are off there is nothing to skip.
        if ctx.session.reply_mode != ReplyMode::Off {
            ctx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn no_evict(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let on = if args.is(2, "on") {
        true
    } else if args.is(2, "off") {
        false
    } else {
        return Err(CommandError::Syntax);
    };
    ctx.session.client.set(flag::NO_EVICT, on);
    ctx.reply.ok();
    Ok(())
}

/// Client tracking is not there yet, so it is always off.
fn trackinginfo(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(1);
    ctx.reply.bulk(b"off");
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(-1);
    ctx.reply.bulk(b"prefixes");
    ctx.reply.array(0);
    Ok(())
}

fn getredir(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(-1);
    Ok(())
}

fn caching(_ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    Err(CommandError::fixed(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))
}

fn unblock(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let with_error = match args.len() {
        3 => false,
        4 if args.is(3, "timeout") => false,
        4 if args.is(3, "error") => true,
        4 => {
            return Err(CommandError::fixed(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => return Err(wrong_use(args, "CLIENT")),
    };
    let id = u64::try_from(args.int(2)?).ok();
    let client = id.and_then(|id| ctx.server.clients.by_id(id));
    let was_blocked = client.is_some_and(|client| ctx.server.unblock(&client, with_error));
    ctx.reply.integer(i64::from(was_blocked));
    Ok(())
}
