//! What a replica says of itself: REPLCONF ACK. Whatever has an answer ends the connection, as in
//! Redis, for in the stream is no place for answers.

use std::sync::Arc;

use slotilla_common::clock;
use slotilla_common::command::{Flags, lookup, resolve};
use slotilla_common::resp::{Parsed, RequestLimits, RequestParser};

use super::Replica;
use super::attach::shown;
use crate::commands::client::describe;
use crate::server::Server;
use crate::server::socket::Stream;

/// Bytes that are read at a time.
const PIECE: usize = 4096;
/// A replica has no request that is longer.
const REQUEST_MAX: usize = 64 * 1024;

/// Reads what a replica says until it says no more.
pub(super) fn hear(server: &Arc<Server>, replica: &Replica, socket: &Stream, input: Vec<u8>) {
    let mut pending = input;
    let mut parser = RequestParser::default();
    let mut piece = [0; PIECE];
    loop {
        match take_all(server, replica, &mut parser, &pending) {
            Ok(done) => drop(pending.drain(..done)),
            Err(fault) => {
                tracing::warn!("{fault}");
                return;
            }
        }
        match socket.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => pending.extend_from_slice(piece.get(..read).unwrap_or_default()),
            // It waits for data, and has nothing to say meanwhile: who is silent for too long is
            // seen by `tend`.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if pending.len() > REQUEST_MAX {
            tracing::warn!(
                "Closing replica {}: its request is too long",
                shown(replica)
            );
            return;
        }
    }
}

/// Takes all whole requests; how many bytes they are, or why there are to be no more.
fn take_all(
    server: &Server,
    replica: &Replica,
    parser: &mut RequestParser,
    input: &[u8],
) -> Result<usize, String> {
    let limits = RequestLimits {
        authenticated: true,
        ..RequestLimits::default()
    };
    let mut done = 0;
    loop {
        let rest = input.get(done..).unwrap_or_default();
        let mut ranges = Vec::new();
        match parser.parse(rest, &mut ranges, &limits) {
            Ok(Parsed::Incomplete { .. }) => return Ok(done),
            Ok(Parsed::Complete { consumed } | Parsed::Words { consumed }) => {
                let words: Vec<&[u8]> = ranges.iter().map(|range| range.of(rest)).collect();
                take(server, replica, &words)?;
                done += consumed;
            }
            // None of a replica's words has quotes.
            Ok(Parsed::Inline { consumed, .. }) => done += consumed,
            Err(_) => {
                let name = shown(replica);
                return Err(format!("Closing replica {name}: it sends no requests"));
            }
        }
    }
}

fn take(server: &Server, replica: &Replica, words: &[&[u8]]) -> Result<(), String> {
    let is = |at: usize, word: &str| {
        let found = words.get(at);
        found.is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    };
    if words.is_empty() || (is(0, "replconf") && is(1, "getack")) {
        return Ok(());
    }
    let (true, true, Some(offset)) = (is(0, "replconf"), is(1, "ack"), words.get(2)) else {
        return Err(refusal(replica, words));
    };
    let offset = std::str::from_utf8(offset).ok();
    if let Some(offset) = offset.and_then(|offset| offset.parse::<u64>().ok()) {
        // Nobody has more than there is, whatever it says.
        let offset = offset.min(server.store.history().end());
        server
            .replication
            .as_primary
            .hear_ack(server, replica, offset);
    }
    Ok(())
}

/// What is said of a replica that wants an answer.
fn refusal(replica: &Replica, words: &[&[u8]]) -> String {
    let command = resolve(words).ok();
    let named = command.or_else(|| lookup(words.first().copied().unwrap_or_default()));
    let name = named.map_or("<unknown>", |spec| spec.name);
    let is_of_keys =
        |flags: Flags| flags.intersects(Flags::WRITES) || flags.contains(Flags::READONLY);
    if command.is_some_and(|spec| is_of_keys(spec.flags)) {
        tracing::warn!(
            "== CRITICAL == This master is sending an error to its replica: 'Replica can't \
             interact with the keyspace' after processing the command '{name}'"
        );
    }
    let mut text = format!("Replica generated a reply to command '{name}', disconnecting it: ");
    describe(&mut text, &replica.client, clock::unix_ms());
    text
}
