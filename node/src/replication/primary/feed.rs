//! What a replica is sent: all data if it must, then the log.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use slotilla_common::clock;

use super::attach::shown;
use super::copies::Piece;
use super::{Replica, Stage};
use crate::replication::ReplId;
use crate::replication::log::Reader;
use crate::server::Server;

/// So often something is sent to who waits, or it would think that nobody is here.
const ALIVE_MS: i64 = 1000;
/// How long the log, or a piece of the copy, is waited for at a time.
const LOOK: Duration = Duration::from_millis(100);
/// Pieces in which a file is sent.
const PIECE: usize = 64 * 1024;

/// Sends all data as it comes, and then what happens.
pub(super) fn copy_then_log(
    server: &Server,
    replica: &Replica,
    copy: &Receiver<Piece>,
    plain: bool,
) {
    let sent = send_copy(server, replica, copy, plain);
    let reader = match sent {
        Ok(Some(reader)) => reader,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!("Closing replica {}: {error}", shown(replica));
            return;
        }
    };
    if replica.introduction.wants_data_alone {
        return;
    }
    tracing::info!("Synchronization with replica {} succeeded", shown(replica));
    note_sent(replica, &reader);
    replica.set_stage(Stage::Online);
    server.replication.as_primary.note_online(server);
    log(server, replica, reader);
}

/// The reader of what comes after the data; `None` if there was none to send.
fn send_copy(
    server: &Server,
    replica: &Replica,
    copy: &Receiver<Piece>,
    plain: bool,
) -> io::Result<Option<Reader>> {
    let Some((reader, replid)) = await_begin(replica, copy)? else {
        return Ok(None);
    };
    if !plain {
        let offset = reader.position().unwrap_or_default();
        let answer = format!("+FULLRESYNC {replid} {offset}\r\n");
        replica.socket.write_all(answer.as_bytes())?;
    }
    let is_whole = if replica.introduction.knows_end_mark {
        send_marked(replica, copy)?
    } else {
        send_measured(server, replica, copy)?
    };
    if !is_whole {
        return Err(io::Error::other("the data could not be sent to its end"));
    }
    // What it has said until now is about other data.
    replica.acked.store(0, Ordering::Release);
    replica.has_acked.store(false, Ordering::Release);
    // One that knows the mark looks for it at the end of what it has read: nothing may come behind
    // before it has said that it has all.
    if replica.introduction.knows_end_mark && !replica.introduction.wants_data_alone {
        await_ack(server, replica)?;
    }
    Ok(Some(reader))
}

fn await_begin(replica: &Replica, copy: &Receiver<Piece>) -> io::Result<Option<(Reader, ReplId)>> {
    match next_piece(replica, copy, true)? {
        Some(Piece::Begin(reader, replid)) => {
            note_sent(replica, &reader);
            Ok(Some((reader, replid)))
        }
        _ => Ok(None),
    }
}

/// What comes next of the copy, however long that takes; `None` if nothing does, or the replica has
/// gone: what is kept for it is not kept until there is something to send. One that reads no data yet
/// is told meanwhile that somebody is here.
fn next_piece(replica: &Replica, copy: &Receiver<Piece>, tells: bool) -> io::Result<Option<Piece>> {
    let mut told_ms = clock::unix_ms();
    loop {
        match copy.recv_timeout(LOOK) {
            Ok(piece) => return Ok(Some(piece)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if replica.is_gone() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if tells && clock::unix_ms() - told_ms >= ALIVE_MS {
            told_ms = clock::unix_ms();
            replica.socket.write_all(b"\n")?;
        }
    }
}

/// Sends pieces as they come, between two marks; whether all came.
fn send_marked(replica: &Replica, copy: &Receiver<Piece>) -> io::Result<bool> {
    // Any 40 bytes that no data has.
    let mark = ReplId::random();
    replica
        .socket
        .write_all(format!("$EOF:{mark}\r\n").as_bytes())?;
    let is_whole = each_piece(replica, copy, false, |piece| {
        replica.socket.write_all(piece)
    })?;
    if is_whole {
        replica.socket.write_all(mark.as_str().as_bytes())?;
    }
    Ok(is_whole)
}

/// Sends a length first, which is known once all is in a file; whether all came.
fn send_measured(server: &Server, replica: &Replica, copy: &Receiver<Piece>) -> io::Result<bool> {
    // Nobody else sees it, and it goes with this handle.
    let mut file = unnamed(server)?;
    let mut kept_alive_ms = clock::unix_ms();
    let is_whole = each_piece(replica, copy, true, |piece| {
        if clock::unix_ms() - kept_alive_ms >= ALIVE_MS {
            kept_alive_ms = clock::unix_ms();
            replica.socket.write_all(b"\n")?;
        }
        file.write_all(piece)
    })?;
    if !is_whole {
        return Ok(false);
    }
    let length = file.stream_position()?;
    file.rewind()?;
    replica
        .socket
        .write_all(format!("${length}\r\n").as_bytes())?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        replica
            .socket
            .write_all(piece.get(..read).unwrap_or_default())?;
    }
}

/// A file without a name, in the node's directory.
fn unnamed(server: &Server) -> io::Result<File> {
    let name = format!("temp-sync-{}-{}.rdb", std::process::id(), ReplId::random());
    let path = server.config.dir().join(name);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Whether the end came.
fn each_piece(
    replica: &Replica,
    copy: &Receiver<Piece>,
    tells: bool,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    loop {
        match next_piece(replica, copy, tells)? {
            Some(Piece::Data(bytes)) => send(&bytes)?,
            Some(Piece::End) => return Ok(true),
            Some(Piece::Begin(..)) | None => return Ok(false),
        }
    }
}

fn await_ack(server: &Server, replica: &Replica) -> io::Result<()> {
    let begun_ms = clock::unix_ms();
    let timeout_ms = server.config.repl_timeout_seconds().saturating_mul(1000);
    while !replica.has_acked.load(Ordering::Acquire) {
        if replica.is_gone() || server.shutdown.is_cancelled() {
            return Err(io::Error::other("it was closed"));
        }
        let waited_ms = (clock::unix_ms() - begun_ms).max(0).unsigned_abs();
        if waited_ms > timeout_ms {
            return Err(io::Error::other("it does not say that it has the data"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Sends the log, as long as the replica takes it.
pub(super) fn log(server: &Server, replica: &Replica, mut reader: Reader) {
    loop {
        if replica.is_gone() || server.shutdown.is_cancelled() {
            return;
        }
        let Some(chunk) = reader.peek() else {
            // Another history has begun.
            return;
        };
        if chunk.is_empty() {
            reader.wait(LOOK);
            continue;
        }
        note_sent(replica, &reader);
        if replica.socket.write_all(&chunk).is_err() {
            return;
        }
        reader.advance(chunk.len());
        note_sent(replica, &reader);
    }
}

pub(super) fn note_sent(replica: &Replica, reader: &Reader) {
    if let Some(position) = reader.position() {
        replica.sent.store(position, Ordering::Release);
    }
}
