//! MEMORY: what takes how much.

use slotilla_common::alloc::{self, jemalloc};
use slotilla_common::resp::ReplyWriter;

use super::{Args, CommandError, Ctx, Handler};
use crate::server::{Server, machine};
use crate::store::memory;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("memory|doctor", doctor),
    ("memory|help", super::command_info::help),
    ("memory|malloc-stats", malloc_stats),
    ("memory|purge", purge),
    ("memory|stats", stats),
    ("memory|usage", usage),
];

fn usage(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let mut at = 3;
    while at < args.len() {
        if !(args.is(at, "samples") && at + 1 < args.len()) {
            return Err(CommandError::Syntax);
        }
        // How much of an aggregate to look at: ours know their sizes.
        if args.int(at + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    match ctx.db.peek(args.get(2)).map(memory::usage) {
        Some(bytes) => ctx.reply.integer(bytes as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn purge(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    // Returning gigabytes of pages takes long.
    ctx.in_background(|_, reply| {
        jemalloc::purge().map_err(|_| CommandError::fixed("ERR Error purging dirty pages"))?;
        reply.ok();
        Ok(())
    });
    Ok(())
}

/// All that is known of the memory in use, at one moment.
struct Picture {
    used: usize,
    peak: usize,
    startup: usize,
    resident: usize,
    heap: jemalloc::Figures,
    entries: usize,
    tables: Vec<(u16, usize)>,
    keys: u64,
    /// Of the log, for replicas to come, for those that there are, and for the append-only file.
    backlog: usize,
    replicas: usize,
    unwritten: usize,
}

impl Picture {
    fn of(server: &Server) -> Self {
        let store = &server.store;
        let in_use = |db: &u16| store.len(*db) > 0;
        alloc::note_peak();
        let (backlog, kept, unwritten) = super::info::log_bytes(server);
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(0);
        Self {
            backlog: bytes(kept.min(backlog)),
            replicas: bytes(kept.saturating_sub(backlog)),
            unwritten: bytes(unwritten),
            used: alloc::used_bytes(),
            peak: alloc::peak_bytes(),
            startup: usize::try_from(server.startup_bytes).unwrap_or(0),
            resident: machine::resident_bytes(),
            heap: jemalloc::figures(),
            entries: store.data_bytes(),
            tables: (0..store.databases())
                .filter(in_use)
                .map(|db| (db, store.table_bytes(db)))
                .collect(),
            keys: (0..store.databases()).map(|db| store.len(db)).sum(),
        }
    }

    /// What is in use beside the entries.
    fn overhead(&self) -> usize {
        self.used.saturating_sub(self.entries)
    }

    /// What came since the start.
    fn net(&self) -> usize {
        self.used.saturating_sub(self.startup)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn difference(large: usize, small: usize) -> i64 {
    signed(large).saturating_sub(signed(small))
}

fn stats(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let picture = Picture::of(ctx.server);
    let mut fields = Vec::new();
    totals(&mut fields, &picture);
    for (db, tables) in &picture.tables {
        fields.push((format!("db.{db}"), Figure::Tables(*tables)));
    }
    shares(&mut fields, &picture);
    allocator(&mut fields, &picture);
    ctx.reply.map(fields.len());
    for (name, figure) in fields {
        ctx.reply.bulk(name.as_bytes());
        figure.reply(&mut ctx.reply);
    }
    Ok(())
}

/// One of the figures of MEMORY STATS.
enum Figure {
    Number(i64),
    Ratio(f64),
    /// Bytes of a database's tables.
    Tables(usize),
}

impl Figure {
    fn bytes(bytes: usize) -> Self {
        Self::Number(signed(bytes))
    }

    fn reply(&self, reply: &mut ReplyWriter<'_>) {
        match self {
            Self::Number(number) => reply.integer(*number),
            Self::Ratio(ratio) => reply.double(*ratio),
            Self::Tables(bytes) => {
                reply.map(3);
                reply.bulk(b"overhead.hashtable.main");
                reply.integer(signed(*bytes));
                // Expiries stand in the entries, and the tables are by slot to begin with.
                for none in [
                    "overhead.hashtable.expires",
                    "overhead.hashtable.slot-to-keys",
                ] {
                    reply.bulk(none.as_bytes());
                    reply.integer(0);
                }
            }
        }
    }
}

type Fields = Vec<(String, Figure)>;

fn totals(fields: &mut Fields, picture: &Picture) {
    for (name, bytes) in [
        ("peak.allocated", picture.peak),
        ("total.allocated", picture.used),
        ("startup.allocated", picture.startup),
        ("replication.backlog", picture.backlog),
        ("clients.slaves", picture.replicas),
        ("clients.normal", 0),
        ("cluster.links", 0),
        ("aof.buffer", picture.unwritten),
        ("lua.caches", 0),
        ("functions.caches", 0),
    ] {
        fields.push((name.to_owned(), Figure::bytes(bytes)));
    }
}

fn shares(fields: &mut Fields, picture: &Picture) {
    let keys = usize::try_from(picture.keys).unwrap_or(0);
    let per_key = picture.net().checked_div(keys).unwrap_or(0);
    let of_dataset = ratio(picture.entries, picture.net()).min(1.0);
    let percent = |share: f64| Figure::Ratio(100.0 * share);
    for (name, figure) in [
        ("overhead.total", Figure::bytes(picture.overhead())),
        ("keys.count", Figure::bytes(keys)),
        ("keys.bytes-per-key", Figure::bytes(per_key)),
        ("dataset.bytes", Figure::bytes(picture.entries)),
        ("dataset.percentage", percent(of_dataset)),
        (
            "peak.percentage",
            percent(ratio(picture.used, picture.peak)),
        ),
    ] {
        fields.push((name.to_owned(), figure));
    }
}

fn allocator(fields: &mut Fields, picture: &Picture) {
    let heap = picture.heap;
    for (name, bytes) in [
        ("allocator.allocated", heap.allocated),
        ("allocator.active", heap.active),
        ("allocator.resident", heap.resident),
    ] {
        fields.push((name.to_owned(), Figure::bytes(bytes)));
    }
    for (name, large, small) in [
        ("allocator-fragmentation", heap.active, heap.allocated),
        ("allocator-rss", heap.resident, heap.active),
        ("rss-overhead", picture.resident, heap.resident),
    ] {
        fields.push((format!("{name}.ratio"), Figure::Ratio(ratio(large, small))));
        fields.push((
            format!("{name}.bytes"),
            Figure::Number(difference(large, small)),
        ));
    }
    let (resident, used) = (picture.resident, picture.used);
    fields.push((
        "fragmentation".to_owned(),
        Figure::Ratio(ratio(resident, used)),
    ));
    let bytes = Figure::Number(difference(resident, used));
    fields.push(("fragmentation.bytes".to_owned(), bytes));
}

fn malloc_stats(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let heap = jemalloc::figures();
    let text = format!(
        "{}\nallocated: {}\nactive: {}\nmetadata: {}\nresident: {}\nretained: {}\n",
        jemalloc::version(),
        heap.allocated,
        heap.active,
        heap.metadata,
        heap.resident,
        heap.retained,
    );
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn doctor(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let text = diagnosis(&Picture::of(ctx.server));
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn diagnosis(picture: &Picture) -> String {
    /// Below this the ratios mean nothing.
    const USED_MIN: usize = 5 << 20;
    /// Bytes that are worth a word, whatever the ratio.
    const WASTE_MIN: i64 = 10 << 20;
    let Picture { used, heap, .. } = *picture;
    if used < USED_MIN {
        return "Too little memory is in use to say anything about it.\n".to_owned();
    }
    let mut findings = Vec::new();
    if ratio(picture.peak, used) > 1.5 {
        findings.push(
            "At its peak this node used over half as much memory again as it does now. The \
             resident size may stay near the peak until new data takes the space.",
        );
    }
    let wasted = |large, small| difference(large, small) > WASTE_MIN;
    if ratio(heap.active, heap.allocated) > 1.1 && wasted(heap.active, heap.allocated) {
        findings.push(
            "Pages in use are over a tenth larger than what is allocated in them: values of \
             other sizes have left holes.",
        );
    }
    if ratio(heap.resident, heap.active) > 1.1 && wasted(heap.resident, heap.active) {
        findings.push(
            "The allocator holds many free pages. It returns them in time; MEMORY PURGE does at \
             once.",
        );
    }
    if ratio(picture.resident, heap.resident) > 1.1 && wasted(picture.resident, heap.resident) {
        findings.push("Much memory is resident that the allocator knows nothing of.");
    }
    if findings.is_empty() {
        return "Nothing stands out.\n".to_owned();
    }
    findings
        .iter()
        .map(|finding| format!("* {finding}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_names_what_stands_out() {
        let mut picture = Picture {
            backlog: 0,
            replicas: 0,
            unwritten: 0,
            used: 100 << 20,
            peak: 100 << 20,
            startup: 0,
            resident: 100 << 20,
            heap: jemalloc::Figures {
                allocated: 100 << 20,
                active: 100 << 20,
                resident: 100 << 20,
                ..jemalloc::Figures::default()
            },
            entries: 0,
            tables: Vec::new(),
            keys: 0,
        };
        assert_eq!(diagnosis(&picture), "Nothing stands out.\n");
        picture.peak = 200 << 20;
        picture.heap.active = 150 << 20;
        assert_eq!(diagnosis(&picture).lines().count(), 2);
        picture.used = 1000;
        assert!(diagnosis(&picture).contains("Too little"));
    }
}
