//! PING, ECHO, HELLO, AUTH, SELECT, QUIT, RESET: a client and its connection.

use slotilla_common::resp::{Protocol, parse_i64};

use super::{Args, CommandError, Ctx, Handler, client};
use crate::server::client::flag;
use crate::server::session::ReplyMode;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("auth", auth),
    ("echo", echo),
    ("hello", hello),
    ("ping", ping),
    ("quit", quit),
    ("reset", reset),
    ("select", select),
];

/// The only user until access control lists are there.
pub(crate) const DEFAULT_USER: &str = "default";

/// The version of Redis whose commands, replies and texts this node has.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

fn ping(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let subscriber = ctx.reply.protocol == Protocol::Resp2 && ctx.session.client.has(flag::PUBSUB);
    match args.len() {
        // A subscriber hears nothing but messages, so this looks like one.
        1 | 2 if subscriber => {
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            ctx.reply.bulk(args.get(1));
        }
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(args.get(1)),
        _ => return Err(CommandError::WrongArity("ping")),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.bulk(args.get(1));
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.ok();
    ctx.close();
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let number = args.int(1)?;
    if i32::try_from(number).is_err() {
        return Err(CommandError::fixed(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    if number != 0 && ctx.server.config.cluster_enabled() {
        return Err(CommandError::SelectInCluster);
    }
    ctx.session.db = u16::try_from(number)
        .ok()
        .filter(|db| *db < ctx.server.store.databases())
        .ok_or(CommandError::DbOutOfRange)?;
    ctx.reply.ok();
    Ok(())
}

fn auth(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (user, password) = match args.len() {
        2 if !ctx.server.config.has_password() => return Err(CommandError::AuthWithoutPassword),
        2 => (DEFAULT_USER.as_bytes(), args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(CommandError::Syntax),
    };
    authenticate(ctx, user, password)?;
    ctx.reply.ok();
    Ok(())
}

/// Lets the session in, or says that it may not.
fn authenticate(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    // Without a password set, any will do, as for Redis's `nopass` users.
    let fits = !ctx.server.config.has_password() || ctx.server.config.password_matches(password);
    if user != DEFAULT_USER.as_bytes() || !fits {
        return Err(CommandError::WrongPass);
    }
    ctx.session.authenticated = true;
    Ok(())
}

fn hello(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let asked = if args.len() > 1 {
        Some(protocol_asked(args.get(1))?)
    } else {
        None
    };
    // Each takes effect when it is read, whatever follows.
    let mut at = 2;
    while at < args.len() {
        let following = args.len() - at - 1;
        if args.is(at, "auth") && following >= 2 {
            authenticate(ctx, args.get(at + 1), args.get(at + 2))?;
            at += 3;
        } else if args.is(at, "setname") && following >= 1 {
            client::check_name(args.get(at + 1))?;
            ctx.session.client.set_name(args.get(at + 1));
            at += 2;
        } else {
            let before = "Syntax error in HELLO option '";
            return Err(CommandError::quoting(before, args.get(at), "'"));
        }
    }
    if ctx.server.config.has_password() && !ctx.session.authenticated {
        return Err(CommandError::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(protocol) = asked {
        speak(ctx, protocol);
    }
    greet(ctx);
    Ok(())
}

/// From now on replies, and messages of channels too, are in this protocol.
fn speak(ctx: &mut Ctx<'_>, protocol: Protocol) {
    ctx.session.protocol = protocol;
    ctx.session.client.set_protocol(protocol);
    ctx.reply.protocol = protocol;
}

fn protocol_asked(version: &[u8]) -> Result<Protocol, CommandError> {
    match parse_i64(version) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(CommandError::fixed("NOPROTO unsupported protocol version")),
        None => Err(CommandError::fixed(
            "ERR Protocol version is not an integer or out of range",
        )),
    }
}

fn greet(ctx: &mut Ctx<'_>) {
    let mode = if ctx.server.config.cluster_enabled() {
        "cluster"
    } else {
        "standalone"
    };
    let version = ctx.session.protocol.version();
    let id = i64::try_from(ctx.session.client.id).unwrap_or(i64::MAX);
    let reply = &mut ctx.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(i64::from(version));
    reply.bulk(b"id");
    reply.integer(id);
    reply.bulk(b"mode");
    reply.bulk(mode.as_bytes());
    reply.bulk(b"role");
    reply.bulk(ctx.server.replication.role_name().as_bytes());
    reply.bulk(b"modules");
    reply.array(0);
}

/// Everything back to what it was when the client connected.
fn reset(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    speak(ctx, Protocol::Resp2);
    let session = &mut *ctx.session;
    session.authenticated = !ctx.server.config.has_password();
    session.db = 0;
    session.asking = false;
    session
        .transaction
        .close(&session.client, &ctx.server.store);
    session.readonly = false;
    session.ack_writes = None;
    // CLIENT REPLY SKIP was for this very command: it holds.
    if session.reply_mode != ReplyMode::Skip {
        session.reply_mode = ReplyMode::On;
    }
    session.client.set_name(b"");
    ctx.server.clients.set_monitor(&session.client, false);
    ctx.server.pubsub.forget(&session.client);
    ctx.reply.simple("RESET");
    Ok(())
}
