//! Whether a client may run a command at all: the checks of Redis's `processCommand` that need no
//! lock, in its order, before those of [`super::dispatch`].

use slotilla_common::command::{Flags, Spec, Unresolved};

use std::sync::Arc;

use super::batch::Request;
use super::session::SessionState;
use super::unconfirmed::check_replicas;
use super::worker::Worker;
use super::{Server, dispatch};
use crate::commands::{Args, CommandError, Handler, quoted};
use crate::persistence::Phase;

/// The command and its handler.
///
/// # Errors
/// There is none, or not for this client.
#[inline]
pub(super) fn admit(
    session: &SessionState,
    server: &Server,
    request: &Request,
    args: &Args<'_>,
) -> Result<(&'static Spec, Handler), CommandError> {
    let spec = match request.spec {
        Ok(spec) => spec,
        Err(Unresolved::Command) => return Err(unknown(args, None)),
        Err(Unresolved::Subcommand(container)) => return Err(unknown(args, Some(container))),
    };
    let Some(handler) = server.handlers.of(spec.id) else {
        return Err(without_handler(server, spec, args));
    };
    if !spec.arity_allows(args.len()) {
        return Err(CommandError::WrongArity(spec.name));
    }
    if spec.flags.contains(Flags::PROTECTED) {
        check_protected(session, server, spec)?;
    }
    if !session.authenticated
        && !spec.flags.contains(Flags::NO_AUTH)
        && server.config.has_password()
    {
        return Err(CommandError::NoAuth);
    }
    if server.replication.is_replica() {
        check_replica(session, server, spec)?;
    }
    if !server.persistence.is_serving() {
        check_phase(server, spec)?;
    }
    if server.replication.as_primary.refuses_writes() {
        check_good_replicas(session, spec)?;
    }
    if server.replication.as_primary.confirm.is_used() {
        check_replicas(session, server, spec)?;
    }
    if server.persistence.background.refuses_writes() {
        check_snapshot(spec)?;
    }
    Ok((spec, handler))
}

/// The error of a command that was turned away: as in Redis, what another node should run is not
/// refused for what this one lacks.
#[cold]
pub(super) fn redirected(
    session: &mut SessionState,
    worker: &Worker,
    server: &Arc<Server>,
    request: &Request,
    args: &Args<'_>,
    error: CommandError,
) -> CommandError {
    let is_lack = [b"NOREPLICAS ".as_slice(), b"MISCONF "]
        .iter()
        .any(|kind| error.bytes().starts_with(kind));
    let (true, true, Ok(spec)) = (server.cluster_enabled, is_lack, request.spec) else {
        return error;
    };
    let scope = worker.scope(session.db);
    match dispatch::ask(session, server, request, spec, args, scope) {
        Ok(()) | Err(CommandError::Busy(_)) => error,
        Err(elsewhere) => elsewhere,
    }
}

/// The error of a command that has no handler: a container by itself, whose arity is wrong, or one
/// that is not there.
#[cold]
fn without_handler(server: &Server, spec: &'static Spec, args: &Args<'_>) -> CommandError {
    if server.handlers.implements(spec) {
        CommandError::WrongArity(spec.name)
    } else {
        unknown(args, spec.parent())
    }
}

/// What a primary with too few replicas refuses: writes, and transactions that have some.
#[cold]
fn check_good_replicas(session: &SessionState, spec: &Spec) -> Result<(), CommandError> {
    let queue = session.transaction.queue().filter(|_| spec.name == "exec");
    let writes = spec.flags.contains(Flags::WRITE) || queue.is_some_and(|q| q.union().write);
    if writes && session.stream.is_none() {
        return Err(CommandError::fixed(
            "NOREPLICAS Not enough good replicas to write.",
        ));
    }
    Ok(())
}

/// What a replica refuses: writes, and answers from data that its primary may have changed.
#[cold]
fn check_replica(session: &SessionState, server: &Server, spec: &Spec) -> Result<(), CommandError> {
    let queue = session.transaction.queue().filter(|_| spec.name == "exec");
    let writes = spec.flags.contains(Flags::WRITE) || queue.is_some_and(|q| q.union().write);
    // In a cluster the primary is where a command with keys is sent.
    let is_redirected = server.cluster_enabled && !spec.keys.is_empty();
    if writes && !is_redirected && server.config.replica_read_only() {
        return Err(CommandError::fixed(
            "READONLY You can't write against a read only replica.",
        ));
    }
    let needs_data = !spec.flags.contains(Flags::STALE) || queue.is_some_and(|q| !q.union().stale);
    if needs_data && !server.config.replica_serve_stale_data() && !server.replication.link.is_up() {
        return Err(CommandError::fixed(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ));
    }
    Ok(())
}

/// The error of a command that is not there, with the arguments that came along, as Redis quotes
/// them: 128 bytes of the name, and of the arguments until 128 bytes are full.
#[cold]
fn unknown(args: &Args<'_>, container: Option<&'static Spec>) -> CommandError {
    fn clip(given: &[u8], most: usize) -> &[u8] {
        let given = quoted(given);
        given.get(..most).unwrap_or(given)
    }
    if let Some(container) = container {
        return CommandError::unknown_subcommand(args.get(1), container.name);
    }
    let name = clip(args.get(0), 128);
    let mut text = [
        b"ERR unknown command '",
        name,
        b"', with args beginning with: ",
    ]
    .concat();
    let begin = text.len();
    for arg in args.iter_from(1) {
        let used = text.len() - begin;
        if used >= 128 {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(clip(arg, 128 - used));
        text.extend_from_slice(b"' ");
    }
    CommandError::Quote(text.into())
}

/// While data is loaded, few commands run; once the last snapshot is written, none does.
#[cold]
fn check_phase(server: &Server, spec: &Spec) -> Result<(), CommandError> {
    let waits = match server.persistence.phase() {
        Phase::Loading => !spec.flags.contains(Flags::LOADING) && !ends_transfer(server, spec),
        Phase::LoadingAside => {
            spec.flags.contains(Flags::NO_ASYNC_LOADING) && !ends_transfer(server, spec)
        }
        Phase::Serving => false,
        Phase::Closed => return Err(CommandError::fixed("ERR The server is shutting down")),
    };
    if waits {
        return Err(CommandError::fixed(
            "LOADING Redis is loading the dataset in memory",
        ));
    }
    Ok(())
}

/// Data that a primary sends goes into memory as it comes, so a whole transfer counts as loading: a
/// replica must be able to turn from a primary that is slow. (In Redis only the load of the file
/// counts that it has put the transfer into.)
fn ends_transfer(server: &Server, spec: &Spec) -> bool {
    matches!(spec.name, "replicaof" | "slaveof") && server.replication.link.transfer().is_some()
}

/// While snapshots fail, nothing that could not be saved is taken; and who looks with PING whether the
/// node is well is told.
#[cold]
fn check_snapshot(spec: &Spec) -> Result<(), CommandError> {
    if !spec.flags.contains(Flags::WRITE) && spec.name != "ping" {
        return Ok(());
    }
    Err(CommandError::fixed(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist \
         to disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the \
         RDB error.",
    ))
}

/// While the append-only file cannot be written, nothing that it would have to have is done. As in
/// Redis, PING tells of it.
#[cold]
pub(super) fn check_disk(server: &Server, spec: &Spec) -> Result<(), Hindrance> {
    let writes = spec.flags.contains(Flags::WRITE);
    if server.aof.is_failing() && (writes || spec.name == "ping") {
        return Err(Hindrance::Failing(disk_error(server)));
    }
    if server.aof.is_full() && writes {
        return Err(Hindrance::Full);
    }
    Ok(())
}

/// What the disk of the append-only file does to a command.
#[derive(Debug)]
pub(super) enum Hindrance {
    /// It is refused.
    Failing(CommandError),
    /// It waits.
    Full,
}

/// The error of a write that could not be written down.
#[cold]
pub(super) fn disk_error(server: &Server) -> CommandError {
    let failure = server.aof.failure();
    CommandError::Quote(
        format!("MISCONF Errors writing to the AOF file: {failure}")
            .into_bytes()
            .into(),
    )
}

/// DEBUG and MODULE run only when the configuration allows them to this client.
#[cold]
fn check_protected(
    session: &SessionState,
    server: &Server,
    spec: &Spec,
) -> Result<(), CommandError> {
    let container = spec.parent().unwrap_or(spec).name;
    let (directive, permission) = if container == "debug" {
        ("enable-debug-command", server.config.debug_command())
    } else {
        ("enable-module-command", server.config.module_command())
    };
    if permission.allows(session.client.is_local()) {
        return Ok(());
    }
    Err(CommandError::err(format_args!(
        "{} command not allowed. If the {directive} option is set to \"local\", you can run it \
         from a local connection, otherwise you need to set this option in the configuration \
         file, and then restart the server.",
        container.to_ascii_uppercase(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::resp::multibulk;

    /// Each was sent to a redis-server 7.0.15.
    #[test]
    fn what_is_unknown_is_quoted_as_redis_does() {
        let long = [b'b'; 130];
        let shown = "b".repeat(128);
        let cases: [(&[&[u8]], String); 3] = [
            (
                &[b"foo\0bar", b"a\0b", b"c"],
                "'foo', with args beginning with: 'a' 'c' ".into(),
            ),
            (
                &[b"x", &long, b"c"],
                format!("'x', with args beginning with: '{shown}' "),
            ),
            (
                &[b"x", &long[..100], &long],
                format!(
                    "'x', with args beginning with: '{}' '{}' ",
                    &shown[..100],
                    &shown[..25]
                ),
            ),
        ];
        for (words, expected) in cases {
            let (bytes, ranges) = multibulk(words.iter().copied());
            let error = unknown(&Args::new(&bytes, &ranges), None);
            let shown = String::from_utf8_lossy(&error.bytes()).into_owned();
            assert_eq!(shown, format!("ERR unknown command {expected}"));
        }
    }
}
