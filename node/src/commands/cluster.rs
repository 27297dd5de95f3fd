//! CLUSTER, ASKING, READONLY, READWRITE.
//!
//! What reads is answered from the view that the cluster thread published last. What changes
//! something is carried out by that thread, while the client waits and its worker serves others;
//! the reply comes once the change is on disk.

use slotilla_common::ids::NodeId;
use slotilla_common::resp::parse_i64;
use slotilla_common::slot::Slot;

use super::{Args, CommandError, Ctx, Handler};
use crate::cluster::shell::Handle;
use crate::cluster::{Command, NodeView, View};
use crate::store::Store;

/// The commands of this file.
#[rustfmt::skip] // One row, one line.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("asking", asking),
    ("readonly", readonly),
    ("readwrite", readwrite),
    ("cluster|addslots", add_slots),
    ("cluster|addslotsrange", add_slots_range),
    ("cluster|bumpepoch", bump_epoch),
    ("cluster|count-failure-reports", count_failure_reports),
    ("cluster|countkeysinslot", count_keys_in_slot),
    ("cluster|delslots", del_slots),
    ("cluster|delslotsrange", del_slots_range),
    ("cluster|failover", failover),
    ("cluster|flushslots", flush_slots),
    ("cluster|forget", forget),
    ("cluster|getkeysinslot", keys_in_slot),
    ("cluster|help", help),
    ("cluster|info", info),
    ("cluster|keyslot", key_slot),
    ("cluster|links", links),
    ("cluster|meet", meet),
    ("cluster|myid", my_id),
    ("cluster|nodes", nodes),
    ("cluster|replicas", replicas),
    ("cluster|replicate", replicate),
    ("cluster|reset", reset),
    ("cluster|saveconfig", save_config),
    ("cluster|set-config-epoch", set_config_epoch),
    ("cluster|setslot", set_slot),
    ("cluster|shards", shards),
    ("cluster|slaves", replicas),
    ("cluster|slots", slots),
];

const DISABLED: CommandError =
    CommandError::fixed("ERR This instance has cluster support disabled");

/// The way to the cluster thread; a node alone has none.
fn cluster<'a>(ctx: &Ctx<'a>) -> Result<&'a Handle, CommandError> {
    ctx.server.cluster().ok_or(DISABLED)
}

/// Has the cluster thread carry out a command.
fn change(ctx: &mut Ctx<'_>, command: Command) -> Result<(), CommandError> {
    cluster(ctx)?;
    ctx.in_background(move |server, reply| {
        let handle = server.cluster().ok_or(DISABLED)?;
        let status = handle.command(command);
        reply.simple(&status.map_err(|text| CommandError::Text(text.into()))?);
        Ok(())
    });
    Ok(())
}

/// A command with more arguments than it takes, as containers answer it.
fn too_many(args: &Args<'_>) -> CommandError {
    super::command_info::wrong_use(args, "CLUSTER")
}

fn slot_at(args: &Args<'_>, index: usize) -> Result<Slot, CommandError> {
    parse_i64(args.get(index))
        .and_then(|number| u64::try_from(number).ok())
        .and_then(Slot::from_wire)
        .ok_or(CommandError::fixed("ERR Invalid or out of range slot"))
}

/// The node that argument `index` names.
fn node_at<'v>(
    view: &'v View,
    args: &Args<'_>,
    index: usize,
) -> Result<&'v NodeView, CommandError> {
    let name = args.get(index);
    let node = NodeId::parse(name).and_then(|id| view.node(id));
    node.ok_or_else(|| CommandError::quoting("Unknown node ", name, ""))
}

fn asking(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    ctx.session.asking = true;
    ctx.reply.ok();
    Ok(())
}

fn readonly(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    ctx.session.readonly = true;
    ctx.reply.ok();
    Ok(())
}

fn readwrite(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    ctx.session.readonly = false;
    ctx.reply.ok();
    Ok(())
}

/// Slots one by one.
fn single_slots(args: &Args<'_>) -> Result<Vec<(Slot, Slot)>, CommandError> {
    let slots = (2..args.len()).map(|index| slot_at(args, index));
    slots.map(|slot| slot.map(|slot| (slot, slot))).collect()
}

/// Slots as pairs of first and last.
fn slot_ranges(args: &Args<'_>) -> Result<Vec<(Slot, Slot)>, CommandError> {
    if !args.len().is_multiple_of(2) {
        let name = if args.is(1, "addslotsrange") {
            "cluster|addslotsrange"
        } else {
            "cluster|delslotsrange"
        };
        return Err(CommandError::WrongArity(name));
    }
    let pairs = (2..args.len()).step_by(2);
    let ranges = pairs.map(|index| {
        let (start, end) = (slot_at(args, index)?, slot_at(args, index + 1)?);
        if start > end {
            return Err(CommandError::err(format_args!(
                "start slot number {start} is greater than end slot number {end}"
            )));
        }
        Ok((start, end))
    });
    ranges.collect()
}

fn add_slots(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    change(ctx, Command::AddSlots(single_slots(args)?))
}

fn add_slots_range(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    change(ctx, Command::AddSlots(slot_ranges(args)?))
}

fn del_slots(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    change(ctx, Command::DelSlots(single_slots(args)?))
}

fn del_slots_range(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    change(ctx, Command::DelSlots(slot_ranges(args)?))
}

fn flush_slots(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    change(ctx, Command::FlushSlots)
}

fn bump_epoch(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    change(ctx, Command::BumpEpoch)
}

fn set_config_epoch(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    let epoch = args.int(2)?;
    change(ctx, Command::SetConfigEpoch(epoch))
}

fn save_config(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    change(ctx, Command::SaveConfig)
}

fn meet(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    if args.len() > 5 {
        return Err(too_many(args));
    }
    let port_at = |index, what: &str| {
        parse_i64(args.get(index)).ok_or_else(|| {
            let before = format!("Invalid TCP {what} port specified: ");
            CommandError::quoting(&before, args.get(index), "")
        })
    };
    let port = port_at(3, "base")?;
    let cport = match args.len() {
        4 => None,
        _ => Some(port_at(4, "bus")?),
    };
    let ip = String::from_utf8_lossy(args.get(2)).into_owned();
    change(ctx, Command::Meet { ip, port, cport })
}

fn forget(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    change(ctx, Command::Forget(args.get(2).to_vec()))
}

fn reset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    let is_hard = match args.len() {
        2 => false,
        3 if args.is(2, "hard") => true,
        3 if args.is(2, "soft") => false,
        3 => return Err(CommandError::Syntax),
        _ => return Err(too_many(args)),
    };
    let new_id = is_hard.then(|| {
        let mut random = [0; NodeId::LEN / 2];
        fastrand::fill(&mut random);
        NodeId::from_random(random)
    });
    change(ctx, Command::Reset { new_id })
}

/// SETSLOT: no slot is ever open here, so STABLE is true already. Moving slots with their keys
/// needs MIGRATE.
fn set_slot(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    slot_at(args, 2)?;
    let is_one_of = |words: &[&str]| words.iter().any(|word| args.is(3, word));
    match args.len() {
        4 if is_one_of(&["stable"]) => {
            ctx.reply.ok();
            Ok(())
        }
        5 if is_one_of(&["node"]) => {
            node_at(&view, args, 4)?;
            Err(CommandError::fixed(
                "ERR CLUSTER SETSLOT NODE is not supported by this version of slotilla-node",
            ))
        }
        5 if is_one_of(&["migrating", "importing"]) => Err(CommandError::fixed(
            "ERR moving slots is not supported by this version of slotilla-node",
        )),
        _ => Err(CommandError::fixed(
            "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP",
        )),
    }
}

fn replicate(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    let node = node_at(&view, args, 2)?;
    Err(CommandError::fixed(if node.id == view.my_id {
        "ERR Can't replicate myself"
    } else if !node.is_primary() {
        "ERR I can only replicate a master, not a replica."
    } else if view.myself().is_some_and(|me| !me.slots.is_empty()) || !ctx.server.store.is_empty() {
        "ERR To set a master the node must be empty and without assigned slots."
    } else {
        "ERR replication is not supported by this version of slotilla-node"
    }))
}

fn failover(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    match args.len() {
        2 => {}
        3 if args.is(2, "force") || args.is(2, "takeover") => {}
        3 => return Err(CommandError::Syntax),
        _ => return Err(too_many(args)),
    }
    // Without replication every node is a primary.
    Err(CommandError::fixed(
        "ERR You should send CLUSTER FAILOVER to a replica",
    ))
}

fn my_id(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    ctx.reply.bulk(view.my_id.as_bytes());
    Ok(())
}

fn slots(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let endpoints = ctx.server.config.cluster_preferred_endpoint_type();
    let view = cluster(ctx)?.view();
    view.write_slots(&mut ctx.reply, endpoints);
    Ok(())
}

fn shards(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let endpoints = ctx.server.config.cluster_preferred_endpoint_type();
    let view = cluster(ctx)?.view();
    view.write_shards(&mut ctx.reply, endpoints);
    Ok(())
}

fn nodes(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    ctx.reply.verbatim(b"txt", view.nodes_text().as_bytes());
    Ok(())
}

fn info(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    ctx.reply.verbatim(b"txt", view.info_text().as_bytes());
    Ok(())
}

fn links(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let handle = cluster(ctx)?;
    let view = handle.view();
    view.write_links(&mut ctx.reply, |link| handle.queued_bytes(link));
    Ok(())
}

fn replicas(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    let node = node_at(&view, args, 2)?;
    if !node.is_primary() {
        return Err(CommandError::fixed(
            "ERR The specified node is not a master",
        ));
    }
    let lines: Vec<String> = view
        .replicas_of(node.id)
        .map(|replica| view.node_line(replica))
        .collect();
    ctx.reply.array(lines.len());
    for line in lines {
        ctx.reply.bulk(line.as_bytes());
    }
    Ok(())
}

fn count_failure_reports(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let view = cluster(ctx)?.view();
    let reports = node_at(&view, args, 2)?.fail_reports;
    ctx.reply
        .integer(i64::try_from(reports).unwrap_or(i64::MAX));
    Ok(())
}

fn key_slot(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    let slot = Slot::of_key(args.get(2));
    ctx.reply.integer(i64::from(slot.number()));
    Ok(())
}

fn count_keys_in_slot(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    let number = args.int(2)?;
    let slot = u64::try_from(number).ok().and_then(Slot::from_wire);
    let slot = slot.ok_or(CommandError::fixed("ERR Invalid slot"))?;
    let keys = ctx.server.store.slot_len(slot);
    ctx.reply.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    Ok(())
}

fn keys_in_slot(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    let (number, most) = (args.int(2)?, args.int(3)?);
    let slot = u64::try_from(number).ok().and_then(Slot::from_wire);
    let (Some(slot), Ok(most)) = (slot, usize::try_from(most)) else {
        return Err(CommandError::fixed("ERR Invalid slot or number of keys"));
    };
    let guard = ctx.server.store.lock_in_turn(slot, ctx.session.ticket())?;
    let keys = Store::slot_keys(&guard, most);
    drop(guard);
    ctx.reply.array(keys.len());
    for key in keys {
        ctx.reply.bulk(&key);
    }
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    cluster(ctx)?;
    super::command_info::help(ctx, args)
}
