//! ACL: there is one user, so there is little to say.

use super::command_info::help;
use super::connection::DEFAULT_USER;
use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("acl|help", help), ("acl|whoami", whoami)];

fn whoami(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.reply.bulk(DEFAULT_USER.as_bytes());
    Ok(())
}
