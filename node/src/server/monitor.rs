//! MONITOR: every command to those who watch, once it has run: so SELECT shows the new database,
//! as in Redis.

use bytes::Bytes;
use slotilla_common::clock;
use slotilla_common::command::{Flags, Spec};
use std::io::Write;

use super::Server;
use super::client::flag;
use super::redact;
use super::session::SessionState;
use crate::commands::Args;
use crate::config::OutputLimit;

/// Unread lines a monitor may pile up before it is closed. Redis counts a monitor among the
/// normal clients, whose limit is none by default; a watcher that does not read must still not
/// take the node's memory.
const UNREAD: OutputLimit = OutputLimit {
    hard_bytes: 32 * 1024 * 1024,
    soft_bytes: 0,
    soft_seconds: 0,
};

/// Sends one command to all monitors.
#[cold]
pub fn feed(server: &Server, session: &SessionState, spec: &Spec, args: &Args<'_>) {
    if spec.flags.intersects(Flags::ADMIN) || spec.flags.intersects(Flags::SKIP_MONITOR) {
        return;
    }
    let line = Bytes::from(line(clock::unix_us(), session, redact::shown(spec, args)));
    for client in server.clients.all() {
        if client.has(flag::MONITOR) {
            client.post(line.clone(), UNREAD);
        }
    }
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`
fn line<'a>(now_us: i64, session: &SessionState, args: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let client = &session.client;
    let unix = if client.has(flag::UNIX_SOCKET) {
        "unix:"
    } else {
        ""
    };
    let addr = client
        .addr
        .strip_suffix(":0")
        .filter(|_| !unix.is_empty())
        .unwrap_or(&client.addr);
    let mut line = format!(
        "+{}.{:06} [{} {unix}{addr}]",
        now_us / 1_000_000,
        now_us % 1_000_000,
        session.db,
    )
    .into_bytes();
    for arg in args {
        line.push(b' ');
        quote(&mut line, arg);
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Appends `bytes` in double quotes, escaped as redis-cli reads them back.
fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            // Writing to a vector cannot fail.
            other => write!(out, "\\x{other:02x}").unwrap_or_default(),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_redis_cli_reads_them() {
        let mut out = Vec::new();
        quote(&mut out, b"a\"b\\c\n\r\t\x07\x08\x00\xff~ ");
        assert_eq!(out, br#""a\"b\\c\n\r\t\a\b\x00\xff~ ""#);
    }
}
