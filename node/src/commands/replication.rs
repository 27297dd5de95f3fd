//! REPLICAOF, SLAVEOF, ROLE.

use super::{Args, CommandError, Ctx, Handler};
use crate::replication::Address;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("replicaof", replicaof),
    ("role", role),
    ("slaveof", replicaof),
];

/// REPLICAOF host port | NO ONE.
fn replicaof(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.server.cluster_enabled {
        return Err(CommandError::fixed(
            "ERR REPLICAOF not allowed in cluster mode.",
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
        reply.integer(replication.offset());
        reply.array(0);
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
