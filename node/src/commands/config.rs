//! CONFIG: the directives of the running node.

use std::collections::HashSet;

use slotilla_common::alloc;

use super::{Args, CommandError, Ctx, Handler};
use crate::config::{RewriteError, SetError, UNKNOWN};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("config|get", get),
    ("config|help", super::command_info::help),
    ("config|resetstat", reset_statistics),
    ("config|rewrite", rewrite),
    ("config|set", set),
];

fn get(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for pattern in args.iter_from(2) {
        for (name, value) in ctx.server.config.get(pattern) {
            // Patterns may overlap; each directive is answered once.
            if seen.insert(name.to_ascii_lowercase()) {
                found.push((name, value));
            }
        }
    }
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(&name);
        ctx.reply.bulk(&value);
    }
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let names = args.iter_from(2).step_by(2);
    let pairs: Vec<(&[u8], &[u8])> = names.zip(args.iter_from(3).step_by(2)).collect();
    let local = ctx.session.client.is_local();
    ctx.server
        .config
        .set(&pairs, local)
        .map_err(|error| match error {
            SetError::Unknown(name) => CommandError::quoting(UNKNOWN, &name, "'"),
            failed @ SetError::Failed { .. } => CommandError::err(failed),
        })?;
    ctx.reply.ok();
    Ok(())
}

/// Flushing a file to disk can take its time: not on a thread that serves clients.
fn rewrite(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.in_background(|server, reply| {
        match server.config.rewrite() {
            Ok(()) => tracing::info!("CONFIG REWRITE executed with success"),
            Err(RewriteError::NoFile) => return Err(CommandError::err(RewriteError::NoFile)),
            Err(error) => {
                tracing::warn!("CONFIG REWRITE failed: {error}");
                return Err(CommandError::err(error));
            }
        }
        reply.ok();
        Ok(())
    });
    Ok(())
}

fn reset_statistics(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    ctx.server.stats.reset();
    ctx.server.store.reset_counters();
    ctx.server.persistence.reset_counters();
    ctx.server.replication.as_primary.reset_counts();
    alloc::reset_peak();
    ctx.reply.ok();
    Ok(())
}
