//! ROLE, and what INFO tells of replication.

use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("role", role)];

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
