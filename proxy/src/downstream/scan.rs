//! SCAN: one step of an iteration over all primaries. See [`crate::router::Cursor`].

use std::rc::Rc;

use slotilla_common::command::find;
use slotilla_common::cursor;
use slotilla_common::resp::{ReplyWriter, encode_command};
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;

use super::commands::{Reply, ask_node, later};
use super::pipeline::Whereabouts;
use super::session::{Call, Handled, Outcome};
use crate::error;
use crate::router::{Cursor, Gather, Recipe, SCAN_TOO_FAR, scanned, write_scanned};
use crate::slotmap::{Fingerprint, NodeIndex, NodeNumber};
use crate::worker::Worker;

/// Primaries asked at one time who owns what: each answer tells of all nodes.
const ASKED_AT_ONCE: usize = 16;

/// To the node that the cursor names, or the next that exists.
pub(super) fn scan(call: Call<'_>) -> Outcome {
    let mut cursor = cursor::parse(call.args.get(1))
        .map(Cursor::parse)
        .ok_or(INVALID)?;
    let worker = call.worker;
    let map = worker.map.borrow();
    if map.primaries().is_empty() {
        drop(map);
        worker.shared.refresher.ask();
        call.client.answer(worker, |out| out.raw(error::NO_MAP));
        return Ok(Handled::Done);
    }
    if cursor == Cursor::default() {
        cursor.fingerprint = map.fingerprint().short();
    }
    let place = map.primaries().partition_point(|p| p.0 < cursor.node);
    let here = map.primaries().get(place).copied();
    let following = map.primaries().get(place + 1).map(|p| p.0);
    drop(map);
    if call.is_held_back(here.map(|(_, node)| node)) {
        return Ok(Handled::Stalled);
    }
    match (here, following) {
        (Some((number, node)), Some(following)) => {
            let cursor = start_at(cursor, number);
            on_the_way(call, cursor, node, following);
        }
        (Some((number, node)), None) => last(call, start_at(cursor, number), Some(node)),
        // The node and all after it are gone.
        (None, _) => last(call, cursor, None),
    }
    Ok(Handled::Done)
}

const INVALID: &str = "ERR invalid cursor";

/// The cursor on this node: at the beginning, if it is not the one that was meant.
fn start_at(cursor: Cursor, number: NodeNumber) -> Cursor {
    if cursor.node == number {
        cursor
    } else {
        cursor.on(number)
    }
}

/// The client's request, as the node is to get it.
fn for_node(call: Call<'_>, cursor: Cursor) -> Vec<u8> {
    let position = cursor.position.to_string();
    let mut words: Vec<&[u8]> = call.args.iter().collect();
    if let Some(word) = words.get_mut(1) {
        *word = position.as_bytes();
    }
    let mut bytes = Vec::new();
    encode_command(&mut bytes, &words);
    bytes
}

/// Asks a node after which there is another.
fn on_the_way(call: Call<'_>, cursor: Cursor, node: NodeIndex, following: NodeNumber) {
    let Call { worker, client, .. } = call;
    let sequence = client.begin(worker, Whereabouts::Local, true);
    let request = call.request(None, sequence);
    let recipe = Recipe::Scan { cursor, following };
    let gather = Gather::new(request, recipe, 1, worker.shared.config.merged_reply_max);
    let part = gather.part(0).pinned_to(node);
    worker.send(&for_node(call, cursor), part);
}

/// Asks the last node of a lap. When that is through, so is the lap.
fn last(call: Call<'_>, cursor: Cursor, node: Option<NodeIndex>) {
    let (spec, started) = (call.spec, call.worker.now());
    let asked = node.map(|node| ask_node(call.worker, node, spec, &for_node(call, cursor)));
    later(call, async move |worker| {
        let reply = match asked {
            Some(reply) => reply.await.unwrap_or_default(),
            None => b"*2\r\n$1\r\n0\r\n*0\r\n".to_vec(),
        };
        worker.event();
        let nanos = worker.clock.nanos_between(started, worker.now());
        worker.record(spec, nanos, &reply);
        let is_error = matches!(reply.first(), Some(b'-' | b'!'));
        let next = match scanned(&reply) {
            Ok((0, _)) => Ok(after_lap(&worker, cursor).await),
            Ok((position, _)) => cursor.at(position).map(Some).ok_or(SCAN_TOO_FAR),
            Err(text) => Err(text),
        };
        let write = move |out: &mut ReplyWriter<'_>| match (next, scanned(&reply)) {
            (Ok(next), Ok((_, keys))) => write_scanned(out, next.map_or(0, Cursor::raw), keys),
            _ if is_error => out.raw(&reply),
            (Err(text), _) | (_, Err(text)) => out.error(text),
        };
        Box::new(write) as Reply
    });
}

/// Where to go on after a lap: asks every primary what it owns.
async fn after_lap(worker: &Rc<Worker>, cursor: Cursor) -> Option<Cursor> {
    let map = worker.shared.map.load_full();
    let spec = find(b"cluster|nodes")?;
    let mut told = Fingerprint::default();
    let (mut is_as_known, mut is_calm) = (true, !worker.shared.was_unsettled_lately());
    let places: Vec<usize> = (0..map.primaries.len()).collect();
    for some in places.chunks(ASKED_AT_ONCE) {
        let asked = some.iter().filter_map(|place| {
            let (number, address) = map.primaries.get(*place)?;
            let node = worker.node(address)?;
            Some((*place, *number, ask_node(worker, node, spec, NODES)))
        });
        for (place, number, reply) in asked.collect::<Vec<_>>() {
            let claim = claim(&reply.await.unwrap_or_default());
            // Who gives no answer says nothing against the map.
            is_as_known &= claim.owned.is_none_or(|owned| owned == map.owned(place));
            is_calm &= claim.open.is_empty();
            told.add_slots(number, &map.owned(place));
            told.add(number, claim.open.as_bytes());
        }
    }
    let next = cursor.after_lap(told.short(), is_as_known, is_calm);
    if !is_as_known {
        worker.shared.unsettle();
        new_map(worker, map.version).await;
    }
    next
}

/// Waits for a newer map, but not for long.
async fn new_map(worker: &Rc<Worker>, known: u64) {
    let mut changed = worker.shared.map_changed.subscribe();
    worker.shared.refresher.ask();
    let limit = worker.shared.config.refresh_interval_min * 2;
    // Without one, the next lap is over the old nodes, and does not end the iteration.
    let _ = tokio::time::timeout(limit, changed.wait_for(|version| *version > known)).await;
}

const NODES: &[u8] = b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n";

/// What a node says of its own slots.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claim {
    /// Those that it owns; `None` if it gave no answer.
    owned: Option<SlotSet>,
    /// Those on the move.
    open: String,
}

fn claim(reply: &[u8]) -> Claim {
    let reply = String::from_utf8_lossy(reply);
    let own = reply.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let is_own = fields.nth(2)?.split(',').any(|flag| flag == "myself");
        is_own.then(|| fields.skip(5))
    });
    let Some(slots) = own else {
        return Claim::default();
    };
    let (open, ranges): (Vec<&str>, Vec<&str>) = slots.partition(|slots| slots.starts_with('['));
    Claim {
        owned: set_of(&ranges),
        open: open.join(" "),
    }
}

/// The slots in ranges such as `5-9` and `11`.
fn set_of(ranges: &[&str]) -> Option<SlotSet> {
    let mut set = SlotSet::new();
    for range in ranges {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        for number in first.parse::<u64>().ok()?..=last.parse().ok()? {
            set.insert(Slot::from_wire(number)?);
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_its_own_slots_on_the_line_that_is_its_own() {
        let reply = b"$9\r\n07c 127.0.0.1:1@2 master - 0 1 2 connected 0-99\n\
            67e 127.0.0.1:3@4,host myself,master - 0 0 1 connected 100-199 300 [300->-07c]\n\r\n";
        let told = claim(reply);
        let ranges = told.owned.map(|owned| owned.ranges()).unwrap();
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(a, b)| (a.number(), b.number()))
            .collect();
        assert_eq!(ranges, [(100, 199), (300, 300)]);
        assert_eq!(told.open, "[300->-07c]");
        assert_eq!(claim(b"-NOPERM no\r\n"), Claim::default());
    }
}
