//! What stands before the keys in a snapshot.

use std::io::{self, Write};

use slotilla_common::alloc;
use slotilla_common::rdb::Writer;

use crate::commands::connection::REDIS_VERSION;
use crate::replication::Position;
use crate::server::Server;

/// What a snapshot says of itself.
#[derive(Debug, Clone)]
pub(super) struct Head {
    now_ms: i64,
    used_bytes: usize,
    /// Databases that have keys: which, how many keys, how many of them with an expiry.
    databases: Vec<(u16, u64, u64)>,
    /// Where the data is in its history, if that is known.
    position: Option<Position>,
    /// An append-only file begins with it.
    pub(super) is_base: bool,
}

impl Head {
    /// Of a snapshot of what there is now.
    pub(super) fn now(server: &Server, now_ms: i64, position: Option<Position>) -> Self {
        let totals = |db| {
            let totals = server.store.totals(db, now_ms);
            (db, totals.keys, totals.expires)
        };
        let all = (0..server.store.databases()).map(totals);
        Self {
            now_ms,
            used_bytes: alloc::used_bytes(),
            databases: all.filter(|(_, keys, _)| *keys > 0).collect(),
            position,
            is_base: false,
        }
    }

    /// How many keys there are in all.
    pub(super) fn keys(&self) -> u64 {
        self.databases.iter().map(|(_, keys, _)| keys).sum()
    }
}

/// Writes what stands before the keys.
pub(super) fn write_head<W: Write>(head: &Head, out: &mut Writer<W>) -> io::Result<()> {
    out.begin()?;
    for (name, value) in [
        ("redis-ver", REDIS_VERSION.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", (head.now_ms / 1000).to_string()),
        ("used-mem", head.used_bytes.to_string()),
    ] {
        out.aux(name.as_bytes(), value.as_bytes())?;
    }
    if let Some(position) = head.position {
        out.aux(b"repl-stream-db", position.db.to_string().as_bytes())?;
        out.aux(b"repl-id", position.replid.as_str().as_bytes())?;
        out.aux(b"repl-offset", position.offset.to_string().as_bytes())?;
    }
    let is_base: &[u8] = if head.is_base { b"1" } else { b"0" };
    out.aux(b"aof-base", is_base)?;
    for (db, keys, expires) in &head.databases {
        out.select_db(u64::from(*db))?;
        out.resize_db(*keys, *expires)?;
    }
    Ok(())
}
