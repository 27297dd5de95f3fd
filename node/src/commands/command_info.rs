//! COMMAND and its subcommands: what this node can do.

use slotilla_common::command::{self, Spec};

use super::{Args, CommandError, Ctx, Handler};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("command", command),
    ("command|count", command),
    ("command|docs", command),
    ("command|getkeys", command),
    ("command|getkeysandflags", command),
    ("command|help", command),
    ("command|info", command),
    ("command|list", command),
];

fn command(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let handlers = &ctx.server.handlers;
    let implemented = |spec: &Spec| handlers.implements(spec);
    command::answer(&mut ctx.reply, ctx.spec, args, &implemented).map_err(CommandError::err)
}

/// HELP of any container: its subcommands that this node has, from the command table.
pub(super) fn help(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let handlers = &ctx.server.handlers;
    let container = ctx.spec.parent().unwrap_or(ctx.spec);
    command::help(&mut ctx.reply, container, &|spec| handlers.implements(spec));
    Ok(())
}

/// A subcommand whose arguments are too many, in the words of those of Redis's commands that
/// check it themselves.
pub(super) fn wrong_use(args: &Args<'_>, container: &str) -> CommandError {
    CommandError::quoting(
        "unknown subcommand or wrong number of arguments for '",
        args.get(1),
        &format!("'. Try {container} HELP."),
    )
}
