//! A connection becomes a replica's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use slotilla_common::clock;

use super::{Introduction, Replica, Stage, acks, copies, feed};
use crate::commands::Taken;
use crate::replication::log::{Follower, Reader};
use crate::replication::{History, ReplId};
use crate::server::Server;
use crate::server::client::flag;

/// What a replica asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// SYNC: all data, and no word before.
    Data,
    /// PSYNC: what comes after an offset of a history, or all data.
    After(Option<(ReplId, u64)>),
    /// The same, of the primary itself: this node is to take over before.
    TakeOver(Option<(ReplId, u64)>),
}

/// Takes over the connection of a replica.
pub fn attach(taken: Taken, introduction: Introduction, request: Request) {
    let Taken {
        server,
        client,
        socket,
        input,
        alive,
    } = taken;
    client.set(flag::REPLICA, true);
    let timeout = Duration::from_secs(server.config.repl_timeout_seconds());
    let other = socket
        .set_timeouts(timeout, timeout)
        .and_then(|()| socket.try_clone());
    let other = match other {
        Ok(other) => other,
        Err(error) => {
            tracing::warn!("Closing replica {}: {error}", client.addr);
            return;
        }
    };
    let replica = Arc::new(Replica {
        introduction,
        client,
        socket,
        stage: AtomicU8::new(Stage::Waiting as u8),
        sent: AtomicU64::new(0),
        acked: AtomicU64::new(0),
        acked_ms: AtomicI64::new(clock::unix_ms()),
        behind_since_ms: AtomicI64::new(0),
        is_gone: AtomicBool::new(false),
        has_acked: AtomicBool::new(false),
    });
    let run = {
        let (server, replica) = (Arc::clone(&server), Arc::clone(&replica));
        move || {
            // Closes the connection at the end, for others, too.
            let _alive = alive;
            if matches!(request, Request::TakeOver(_)) {
                let who = format!("failover request from 'id={}'", replica.client.id);
                server.set_primary(None, &who);
                server.replication.as_primary.expect(&server, &replica);
            }
            server.replication.as_primary.add(&replica);
            serve(&server, &replica, request);
            replica.disconnect();
            server.replication.as_primary.forget(&server, &replica);
            tracing::warn!("Connection with replica {} lost.", shown(&replica));
        }
    };
    let hear = {
        let (server, replica) = (Arc::clone(&server), Arc::clone(&replica));
        move || {
            acks::hear(&server, &replica, &other, input);
            replica.disconnect();
        }
    };
    let spawned = std::thread::Builder::new()
        .name("replica-acks".to_owned())
        .spawn(hear)
        .and_then(|_| {
            std::thread::Builder::new()
                .name("replica-feed".to_owned())
                .spawn(run)
        });
    if let Err(error) = spawned {
        tracing::warn!("Closing replica {}: no thread: {error}", shown(&replica));
        replica.disconnect();
    }
}

/// Its address and port, as logs have them.
pub(super) fn shown(replica: &Replica) -> String {
    replica.introduction.shown_at(&replica.client.addr)
}

fn serve(server: &Arc<Server>, replica: &Arc<Replica>, request: Request) {
    tracing::info!("Replica {} asks for synchronization", shown(replica));
    follow(server);
    let primary = &server.replication.as_primary;
    if !primary.follows() {
        return;
    }
    let plain = request == Request::Data;
    if let Request::After(Some((replid, offset))) | Request::TakeOver(Some((replid, offset))) =
        request
    {
        if let Some((reader, history)) = missing(server, replid, offset) {
            primary.partial.fetch_add(1, Ordering::Relaxed);
            go_on(server, replica, reader, history);
            return;
        }
        primary.denied.fetch_add(1, Ordering::Relaxed);
    }
    primary.full.fetch_add(1, Ordering::Relaxed);
    let (pieces, copy) = copies::channel();
    copies::ask(server, replica, pieces, plain);
    feed::copy_then_log(server, replica, &copy, plain);
}

/// Sends what was missing, and what comes.
fn go_on(server: &Arc<Server>, replica: &Arc<Replica>, reader: Reader, history: History) {
    let answer = if replica.introduction.knows_new_names {
        format!("+CONTINUE {}\r\n", history.replid)
    } else {
        "+CONTINUE\r\n".to_owned()
    };
    let behind = reader.end() - reader.position().unwrap_or_default();
    tracing::info!(
        "Partial resynchronization request from {} accepted. Sending {behind} bytes of backlog \
         starting from offset {}.",
        shown(replica),
        reader.position().unwrap_or_default() + 1,
    );
    if replica.socket.write_all(answer.as_bytes()).is_ok() {
        feed::note_sent(replica, &reader);
        replica.set_stage(Stage::Online);
        server.replication.as_primary.note_online(server);
        feed::log(server, replica, reader);
    }
}

/// What a replica of this history lacks from this byte on, if it is there; and which history that is
/// now. Both are of one moment: a replica that was told of another history would go on with what is
/// none of its own.
fn missing(server: &Server, replid: ReplId, next: u64) -> Option<(Reader, History)> {
    let history = server.replication.history.lock();
    let is_of_before = |(previous, second): (ReplId, i64)| {
        previous == replid && i64::try_from(next).is_ok_and(|next| next <= second)
    };
    if replid != history.replid && !history.previous.is_some_and(is_of_before) {
        tracing::info!(
            "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for \
             '{replid}', my replication IDs are '{}' and '{}')",
            history.replid,
            history
                .previous
                .map_or(ReplId::NONE, |(previous, _)| previous),
        );
        return None;
    }
    // It asks for the byte after those that it has, and counts from 1.
    let reader = next
        .checked_sub(1)
        .and_then(|offset| server.store.history().reader(offset));
    if reader.is_none() {
        tracing::info!(
            "Unable to partial resync with replica for lack of backlog (Replica request was: \
             {next})."
        );
    }
    reader.map(|reader| (reader, *history))
}

/// Has what happens be kept for replicas from now on. What happened before is in no log, so the
/// history has a new name. A replica keeps what it applies in any case.
fn follow(server: &Arc<Server>) {
    let primary = &server.replication.as_primary;
    if primary.follows() {
        return;
    }
    server.gate.exclusive(None, |_| {
        // It may have become a replica since it was asked; then nobody is served.
        let offset = server.replication.offset();
        if server.replication.is_replica() || primary.follows.swap(true, Ordering::AcqRel) {
            return;
        }
        server.replication.change_replid();
        primary.note_name(server);
        let log = server.store.history();
        if !log.takes_effects() {
            // Offsets go on from where the data is.
            log.adopt(u64::try_from(offset).unwrap_or_default());
        }
        log.keep(server.config.repl_backlog_size());
        log.set_follower(Follower::Replicas, true);
        tracing::info!(
            "Replication backlog created, my new replication IDs are '{}' and '{}'",
            server.replication.history().replid,
            ReplId::NONE,
        );
    });
}
