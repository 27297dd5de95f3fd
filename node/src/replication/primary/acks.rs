//! What a replica says of itself: REPLCONF ACK, and nothing else that matters.

use std::sync::Arc;

use slotilla_common::resp::{Parsed, RequestLimits, RequestParser};

use super::Replica;
use super::attach::shown;
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
            Some(done) => drop(pending.drain(..done)),
            None => {
                tracing::warn!("Closing replica {}: it sends no requests", shown(replica));
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

/// Takes all whole requests; how many bytes they are, or nothing if they are none.
fn take_all(
    server: &Server,
    replica: &Replica,
    parser: &mut RequestParser,
    input: &[u8],
) -> Option<usize> {
    let limits = RequestLimits {
        authenticated: true,
        ..RequestLimits::default()
    };
    let mut done = 0;
    loop {
        let rest = input.get(done..).unwrap_or_default();
        let mut ranges = Vec::new();
        match parser.parse(rest, &mut ranges, &limits) {
            Ok(Parsed::Incomplete { .. }) => return Some(done),
            Ok(Parsed::Complete { consumed } | Parsed::Words { consumed }) => {
                let words: Vec<&[u8]> = ranges.iter().map(|range| range.of(rest)).collect();
                take(server, replica, &words);
                done += consumed;
            }
            // None of a replica's words has quotes.
            Ok(Parsed::Inline { consumed, .. }) => done += consumed,
            Err(_) => return None,
        }
    }
}

fn take(server: &Server, replica: &Replica, words: &[&[u8]]) {
    let [name, what, offset, ..] = words else {
        return;
    };
    if !name.eq_ignore_ascii_case(b"replconf") || !what.eq_ignore_ascii_case(b"ack") {
        return;
    }
    let offset = std::str::from_utf8(offset).ok();
    if let Some(offset) = offset.and_then(|offset| offset.parse::<u64>().ok()) {
        // Nobody has more than there is, whatever it says.
        let offset = offset.min(server.store.history().end());
        server
            .replication
            .as_primary
            .hear_ack(server, replica, offset);
    }
}
