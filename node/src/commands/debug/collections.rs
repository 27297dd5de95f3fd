//! DEBUG on collections, databases included: how they are kept.

use slotilla_common::config::parse_size;

use super::super::{Args, CommandError, Ctx};
use super::wrong_use;
use crate::server::Server;
use crate::store::{Collection as _, Entry, List, Object, Settings, ValueRef};

/// The collection at argument 2, for a look at how it is kept; `None` if it is a string.
fn with_object<R>(
    ctx: &Ctx<'_>,
    args: &Args<'_>,
    look: impl FnOnce(Option<&Object>) -> R,
) -> Result<R, CommandError> {
    let key = args.get(2);
    let mut db = ctx.db_of(key)?;
    match db.peek(key).map(Entry::value) {
        None => Err(CommandError::NoSuchKey),
        Some(ValueRef::Object(object)) => Ok(look(Some(object))),
        Some(ValueRef::Int(_) | ValueRef::Bytes(_)) => Ok(look(None)),
    }
}

/// DEBUG LISTPACK: what is in a listpack goes to the log, where Redis prints it.
pub(super) fn listpack(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    exactly(args, 3)?;
    let shown = with_object(ctx, args, |object| {
        let elements = object.and_then(Object::packed)?;
        tracing::warn!("DEBUG LISTPACK: {elements}");
        Some(())
    })?;
    shown.ok_or("ERR Not a listpack encoded object.")?;
    ctx.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

/// DEBUG HTSTATS: the tables of a database. There are no chains; how much there is is told.
pub(super) fn htstats(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    exactly(args, 3)?;
    let db = u16::try_from(args.int(2)?).ok();
    let store = &ctx.server.store;
    let db = db.filter(|db| *db < store.databases());
    let db = db.ok_or("ERR Out of range database")?;
    let totals = store.totals(db, ctx.now_ms);
    let mut text = String::new();
    for (name, elements) in [("Dictionary", totals.keys), ("Expires", totals.expires)] {
        text.push_str(&format!(
            "[{name} HT]\nHash table 0 stats (main hash table):\n"
        ));
        text.push_str(&match elements {
            0 => "No stats available for empty dictionaries\n".to_owned(),
            elements => format!(" number of elements: {elements}\n"),
        });
    }
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// DEBUG HTSTATS-KEY: the table of a big collection. It has no chains; what there is is told.
pub(super) fn htstats_key(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    exactly(args, 3)?;
    let text = with_object(ctx, args, |object| {
        let (len, bytes) = object.and_then(Object::table)?;
        Some(format!(
            "Hash table 0 stats (main hash table):\n number of elements: {len}\n bytes: {bytes}\n"
        ))
    })?;
    let text = text.ok_or(
        "ERR The value stored at the specified key is not represented using an hash table",
    )?;
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// DEBUG QUICKLIST key [1]: the listpacks of a list go to the log, with 1 also what is in them.
pub(super) fn quicklist(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if !(3..=4).contains(&args.len()) {
        return Err(wrong_use(args));
    }
    let with_elements = args.get(3) == b"1";
    let shown = with_object(ctx, args, |object| {
        let list = List::of(object?)?;
        let (nodes, bytes) = list.nodes();
        let len = list.len();
        tracing::warn!("DEBUG QUICKLIST: {len} elements in {nodes} listpacks of {bytes} bytes");
        if with_elements {
            for element in list.iter_from(0) {
                tracing::warn!("DEBUG QUICKLIST: {element:?}");
            }
        }
        Some(())
    })?;
    shown.ok_or("ERR Not a quicklist encoded object.")?;
    ctx.reply.simple("Quicklist structure printed on stdout");
    Ok(())
}

/// DEBUG QUICKLIST-PACKED-THRESHOLD: see [`Settings::list_alone_bytes`].
pub(super) fn quicklist_packed_threshold(
    ctx: &mut Ctx<'_>,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    /// Redis stays well below what it could do.
    const MAX: u64 = (1 << 32) - (1 << 20);
    exactly(args, 3)?;
    let text = std::str::from_utf8(args.get(2)).ok();
    let bytes = text.and_then(parse_size).filter(|bytes| *bytes <= MAX);
    let bytes = match bytes.map(usize::try_from) {
        Some(Ok(0)) => Settings::LIST_ALONE_BYTES,
        Some(Ok(bytes)) => bytes,
        _ => {
            return Err(CommandError::fixed(
                "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
            ));
        }
    };
    ctx.server.store.settings().set_list_alone_bytes(bytes);
    ctx.reply.ok();
    Ok(())
}

/// What DEBUG OBJECT says of a list alone.
pub(super) fn of_list(server: &Server, value: &ValueRef<'_>) -> String {
    let ValueRef::Object(object) = value else {
        return String::new();
    };
    let Some(list) = List::of(object) else {
        return String::new();
    };
    let (nodes, bytes) = list.nodes();
    let average = list.len() as f64 / nodes as f64;
    let size = server.config.list_max_listpack_size();
    format!(
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{size} ql_compressed:0 \
         ql_uncompressed_size:{bytes}"
    )
}

fn exactly(args: &Args<'_>, count: usize) -> Result<(), CommandError> {
    if args.len() == count {
        Ok(())
    } else {
        Err(wrong_use(args))
    }
}
