//! All data as commands: what an append-only file begins with if it is not to be a snapshot
//! (`aof-use-rdb-preamble no`).
//!
//! Each key is one RESTORE of its value as DUMP gives it, so this needs nothing of its own for any
//! type, and every Redis since 5 reads it.

use std::io::{self, Write};

use slotilla_common::clock;
use slotilla_common::resp::encode_command;
use slotilla_common::slot::Slot;

use crate::commands::dump_payload;
use crate::config::Key;
use crate::server::Server;
use crate::store::{Digits, Entry, Scope};

/// Writes all keys. To be called at the gate.
pub(super) fn write_all(server: &Server, out: &mut impl Write) -> io::Result<()> {
    let (store, now_ms) = (&server.store, clock::unix_ms());
    let mut piece = Vec::new();
    if server.config.flag(Key::AofTimestampEnabled) {
        piece = format!("#TS:{}\r\n", now_ms / 1000).into_bytes();
    }
    for db in 0..store.databases() {
        let scope = Scope {
            db,
            now_ms,
            thread: 0,
        };
        if store.totals(db, now_ms).keys == 0 {
            continue;
        }
        let mut digits = Digits::default();
        encode_command(&mut piece, &[b"SELECT", digits.of(i64::from(db))]);
        for slot in Slot::all() {
            let mut written = Ok(());
            let is_in = store.visit_slot(slot, scope.db, |entry| {
                if written.is_ok() {
                    written = write_key(server, entry, &mut piece, out);
                }
            });
            written?;
            if !is_in {
                // Never at the gate, but a base without a slot would be worse than none.
                return Err(io::Error::other(format!("slot {slot} is in use")));
            }
        }
    }
    out.write_all(&piece)
}

fn write_key(
    server: &Server,
    entry: &Entry,
    piece: &mut Vec<u8>,
    out: &mut impl Write,
) -> io::Result<()> {
    const PIECE_BYTES: usize = 64 * 1024;
    let payload = dump_payload(server, entry.value()).map_err(io::Error::other)?;
    let mut digits = Digits::default();
    let at = digits.of(entry.expiry().unwrap_or(0));
    let mut words: Vec<&[u8]> = vec![b"RESTORE", entry.key(), at, &payload];
    if entry.is_volatile() {
        words.push(b"ABSTTL");
    }
    encode_command(piece, &words);
    if piece.len() >= PIECE_BYTES {
        out.write_all(piece)?;
        piece.clear();
    }
    Ok(())
}
