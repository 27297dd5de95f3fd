//! REPLICAOF, SLAVEOF, FAILOVER, ROLE, WAIT; and what replicas say: REPLCONF, PSYNC, SYNC.

use super::{Args, CommandError, Ctx, Handler};
use crate::replication::failover::{self, Plan};
use crate::replication::primary::{self, Introduction, Request, Stage, Wish};
use crate::replication::{Address, ReplId};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("failover", failover),
    ("psync", psync),
    ("replconf", replconf),
    ("replicaof", replicaof),
    ("role", role),
    ("slaveof", replicaof),
    ("sync", sync),
    ("wait", wait),
];

/// REPLICAOF host port | NO ONE.
fn replicaof(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.server.cluster_enabled {
        return Err(CommandError::fixed(
            "ERR REPLICAOF not allowed in cluster mode.",
        ));
    }
    if ctx.server.replication.failover.is_on() {
        return Err(CommandError::fixed(
            "ERR REPLICAOF not allowed while failing over.",
        ));
    }
    let primary = if args.is(1, "no") && args.is(2, "one") {
        None
    } else {
        Some(address(args)?)
    };
    let current = ctx.server.replication.primary();
    if let (Some(primary), Some(current)) = (&primary, &current)
        && primary.host.eq_ignore_ascii_case(&current.host)
        && primary.port == current.port
    {
        tracing::info!(
            "REPLICAOF would result into synchronization with the master we are already connected \
             with. No operation performed."
        );
        ctx.reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    let client = &ctx.session.client;
    let who = format!("user request from 'id={} addr={}'", client.id, client.addr);
    ctx.in_background(move |server, reply| {
        server
            .replication
            .as_primary
            .restart
            .note_order(server, primary.is_none());
        server.set_primary(primary, &who);
        reply.ok();
        Ok(())
    });
    Ok(())
}

fn address(args: &Args<'_>) -> Result<Address, CommandError> {
    let invalid = CommandError::fixed("ERR Invalid master port");
    let port = args.int(2).ok().and_then(|port| u16::try_from(port).ok());
    Ok(Address {
        port: port.ok_or(invalid)?,
        host: String::from_utf8_lossy(args.get(1)).into_owned(),
    })
}

fn role(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let replication = &ctx.server.replication;
    let reply = &mut ctx.reply;
    let Some(primary) = replication.primary() else {
        reply.array(3);
        reply.bulk(b"master");
        reply.integer(ctx.server.replication.offset());
        let mut replicas = replication.as_primary.replicas();
        replicas.retain(|replica| replica.stage() == Stage::Online);
        reply.array(replicas.len());
        for replica in replicas {
            reply.array(3);
            reply.bulk(replica.address().as_bytes());
            reply.bulk(replica.introduction.port.to_string().as_bytes());
            reply.bulk(replica.acked().to_string().as_bytes());
        }
        return Ok(());
    };
    let is_up = replication.link.is_up();
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(primary.host.as_bytes());
    reply.integer(i64::from(primary.port));
    reply.bulk(replication.link.state().name().as_bytes());
    reply.integer(if is_up { replication.offset() } else { -1 });
    Ok(())
}

/// REPLCONF option value …: what a replica says of itself before it asks for data.
fn replconf(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    for at in (1..args.len()).step_by(2) {
        // Those of a replica are heard by its own thread: of anybody else they mean nothing, and as in
        // Redis they have no answer.
        if args.is(at, "ack") || args.is(at, "getack") {
            return Ok(());
        }
        let known = ctx.session.introduction.get_or_insert_default();
        introduce(known, args, at)?;
    }
    ctx.reply.ok();
    Ok(())
}

fn introduce(known: &mut Introduction, args: &Args<'_>, at: usize) -> Result<(), CommandError> {
    let value = args.get(at + 1);
    if args.is(at, "listening-port") {
        let port = args.int(at + 1)?;
        known.port = u16::try_from(port).map_err(|_| NOT_A_PORT)?;
    } else if args.is(at, "ip-address") {
        if value.len() > ADDRESS_MAX {
            return Err(CommandError::err(format_args!(
                "REPLCONF ip-address provided by replica instance is too long: {} bytes",
                value.len()
            )));
        }
        let address = String::from_utf8_lossy(value).into_owned();
        known.address = (!address.is_empty()).then_some(address);
    } else if args.is(at, "capa") {
        known.knows_end_mark |= args.is(at + 1, "eof");
        known.knows_new_names |= args.is(at + 1, "psync2");
    } else if args.is(at, "rdb-only") {
        known.wants_data_alone = args.int(at + 1)? != 0;
    } else if args.is(at, "rdb-filter-only") {
        if !value.is_empty() {
            return Err(CommandError::fixed(
                "ERR Unsupported rdb-filter-only option: all data is sent, or none is asked for",
            ));
        }
    } else {
        return Err(CommandError::quoting(
            "Unrecognized REPLCONF option: ",
            args.get(at),
            "",
        ));
    }
    Ok(())
}

const NOT_A_PORT: CommandError = CommandError::fixed("ERR value is not an integer or out of range");
/// The longest address that a replica may give itself: Redis's bound.
const ADDRESS_MAX: usize = 255;

/// PSYNC replid offset.
fn psync(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let replication = &ctx.server.replication;
    let replid = ReplId::parse(args.get(1));
    let takes_over = args.len() > 3 && args.is(3, "failover");
    if takes_over {
        tracing::warn!(
            "Failover request received for replid {}.",
            args.get(1).escape_ascii()
        );
        if !replication.is_replica() {
            return Err(CommandError::fixed(
                "ERR PSYNC FAILOVER can't be sent to a master.",
            ));
        }
        if replid != Some(replication.history().replid) {
            return Err(CommandError::fixed(
                "ERR PSYNC FAILOVER replid must match my replid.",
            ));
        }
    }
    let offset = args.int(2).inspect_err(|_| {
        let known = ctx.session.introduction.clone().unwrap_or_default();
        tracing::warn!(
            "Replica {} asks for synchronization but with a wrong offset",
            known.shown_at(&ctx.session.client.addr)
        );
    })?;
    let known = replid.zip(u64::try_from(offset).ok());
    if takes_over {
        return hand_over(ctx, Request::TakeOver(known));
    }
    if replication.is_replica() && !replication.link.is_up() {
        return Err(NO_LINK);
    }
    hand_over(ctx, Request::After(known))
}

const NO_LINK: CommandError =
    CommandError::fixed("NOMASTERLINK Can't SYNC while not connected with my master");

fn sync(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let replication = &ctx.server.replication;
    if replication.is_replica() && !replication.link.is_up() {
        return Err(NO_LINK);
    }
    hand_over(ctx, Request::Data)
}

fn hand_over(ctx: &mut Ctx<'_>, request: Request) -> Result<(), CommandError> {
    let restart = &ctx.server.replication.as_primary.restart;
    if restart.waits() {
        let known = ctx.session.introduction.take().unwrap_or_default();
        let asked = match request {
            Request::Data => None,
            Request::After(asked) | Request::TakeOver(asked) => asked,
        };
        restart.hear(ctx.server, &known, &ctx.session.client.addr, asked);
        // It asks again, as it does of a primary without data.
        return Err(CommandError::fixed(
            "NOMASTERLINK This primary has restarted, and waits to hear from its replicas",
        ));
    }
    let introduction = ctx.session.introduction.take().unwrap_or_default();
    ctx.hand_over(move |taken| primary::attach(taken, *introduction, request));
    Ok(())
}

/// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms].
fn failover(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.server.cluster_enabled {
        return Err(CommandError::fixed(
            "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.",
        ));
    }
    if args.len() == 2 && args.is(1, "abort") {
        if !ctx.server.replication.failover.is_on() {
            return Err(CommandError::fixed("ERR No failover in progress."));
        }
        ctx.in_background(|server, reply| {
            // It may have come to its end meanwhile.
            let _aborted = failover::abort(server, "Failover manually aborted");
            reply.ok();
            Ok(())
        });
        return Ok(());
    }
    let plan = failover_plan(args, ctx.now_ms)?;
    check_failover(ctx, &plan)?;
    let Some(number) = ctx.server.replication.failover.begin(plan.clone()) else {
        return Err(CommandError::fixed("ERR FAILOVER already in progress."));
    };
    ctx.in_background(move |server, reply| {
        failover::start(server, number, plan);
        reply.ok();
        Ok(())
    });
    Ok(())
}

fn failover_plan(args: &Args<'_>, now_ms: i64) -> Result<Plan, CommandError> {
    let mut plan = Plan {
        target: None,
        until_ms: None,
        force: false,
    };
    let mut at = 1;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "timeout") && left >= 1 && plan.until_ms.is_none() {
            let timeout_ms = args.int(at + 1)?;
            if timeout_ms <= 0 {
                return Err(CommandError::fixed(
                    "ERR FAILOVER timeout must be greater than 0",
                ));
            }
            plan.until_ms = Some(now_ms.saturating_add(timeout_ms));
            at += 2;
        } else if args.is(at, "to") && left >= 2 && plan.target.is_none() {
            // No replica has a port that is none.
            let port = u16::try_from(args.int(at + 2)?).unwrap_or(0);
            let host = String::from_utf8_lossy(args.get(at + 1)).into_owned();
            plan.target = Some(Address { host, port });
            at += 3;
        } else if args.is(at, "force") && !plan.force {
            plan.force = true;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(plan)
}

fn check_failover(ctx: &Ctx<'_>, plan: &Plan) -> Result<(), CommandError> {
    let replication = &ctx.server.replication;
    let text = if replication.failover.is_on() {
        "ERR FAILOVER already in progress."
    } else if replication.is_replica() {
        "ERR FAILOVER is not valid when server is a replica."
    } else if replication.as_primary.count() == 0 {
        "ERR FAILOVER requires connected replicas."
    } else if plan.force && (plan.until_ms.is_none() || plan.target.is_none()) {
        "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
    } else if let Some(target) = &plan.target {
        let replicas = replication.as_primary.replicas();
        let found = replicas.iter().find(|one| one.listens_at() == *target);
        match found.map(|replica| replica.stage()) {
            None => "ERR FAILOVER target HOST and PORT is not a replica.",
            Some(Stage::Online) => return Ok(()),
            Some(_) => "ERR FAILOVER target replica is not online.",
        }
    } else {
        return Ok(());
    };
    Err(CommandError::fixed(text))
}

/// WAIT numreplicas timeout: until so many replicas have what was written before, by anybody.
fn wait(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let server = ctx.server;
    if server.replication.is_replica() {
        return Err(CommandError::fixed(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
             if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let wanted = usize::try_from(args.int(1)?).unwrap_or(0);
    let timeout_ms = args.int(2).map_err(|_| NO_TIMEOUT)?;
    let timeout_ms =
        u64::try_from(timeout_ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))?;
    let offset = server.store.history().end();
    let have = server.replication.as_primary.have(offset);
    if have >= wanted || ctx.session.transaction.running {
        ctx.reply.integer(have as i64);
        return Ok(());
    }
    let wish = Wish {
        replicas: wanted,
        offset,
    };
    let (client, protocol) = (&ctx.session.client, ctx.session.protocol);
    let answer = primary::wait(server, client, protocol, wish, timeout_ms);
    ctx.answer_later(answer);
    Ok(())
}

const NO_TIMEOUT: CommandError =
    CommandError::fixed("ERR timeout is not an integer or out of range");
