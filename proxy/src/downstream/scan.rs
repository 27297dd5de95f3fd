//! SCAN: one step of an iteration over all primaries. See [`crate::router::Cursor`].

use std::rc::Rc;

use slotilla_common::command::find;
use slotilla_common::cursor;
use slotilla_common::resp::{ArgRange, RequestLimits, RequestParser, encode_command};
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;

use super::commands::{ask_node, begin_anew, finish};
use super::pipeline::Whereabouts;
use super::session::{Call, Handled, Outcome};
use crate::router::{Cursor, Request, RequestArgs, SCAN_TOO_FAR, scanned, write_scanned};
use crate::slotmap::{Fingerprint, NodeIndex, NodeNumber};
use crate::worker::Worker;

/// Primaries asked at one time who owns what: each answer tells of all nodes.
const ASKED_AT_ONCE: usize = 16;

/// One step: to the node that the cursor names, or the next that exists.
pub(super) fn begin(call: Call<'_>) -> Outcome {
    let cursor = cursor::parse(call.args.get(1)).ok_or(INVALID)?;
    let (_, node, _) = place(call.worker, Cursor::parse(cursor));
    if call.is_held_back(node) {
        return Ok(Handled::Stalled);
    }
    Ok(call.whole_cluster(Whereabouts::Local))
}

const INVALID: &str = "ERR invalid cursor";

/// The cursor where it goes on from here, the node that it is on, and the number of the one that
/// follows. No node: that one and all after it are gone.
fn place(worker: &Worker, mut cursor: Cursor) -> (Cursor, Option<NodeIndex>, Option<NodeNumber>) {
    let map = worker.map.borrow();
    if cursor == Cursor::default() {
        cursor.fingerprint = map.fingerprint().short();
    }
    let place = map.primaries().partition_point(|p| p.0 < cursor.node);
    let following = map.primaries().get(place + 1).map(|p| p.0);
    match map.primaries().get(place) {
        Some((number, node)) if *number == cursor.node => (cursor, Some(*node), following),
        Some((number, node)) => (cursor.on(*number), Some(*node), following),
        None => (cursor, None, None),
    }
}

/// Asks the node, and answers with its keys and where to go on. When the last node of a lap is
/// through, so is the lap.
pub(crate) fn scan(worker: &Rc<Worker>, bytes: &[u8], request: Request) {
    let mut ranges: Vec<ArgRange> = Vec::new();
    let parsed = RequestParser::default().parse(bytes, &mut ranges, &RequestLimits::default());
    let args = RequestArgs::new(bytes, &ranges);
    let (Ok(_), Some(cursor)) = (parsed, cursor::parse(args.get(1))) else {
        return finish(worker, request, |out| out.error(INVALID));
    };
    let (cursor, node, following) = place(worker, Cursor::parse(cursor));
    let asked = node.map(|node| {
        let command = for_node(&args, cursor);
        ask_node(worker, node, request.spec, &command, request.started)
    });
    let (worker, bytes) = (Rc::clone(worker), bytes.to_vec());
    tokio::task::spawn_local(async move {
        let reply = match asked {
            Some(reply) => reply.await,
            None => Ok(b"*2\r\n$1\r\n0\r\n*0\r\n".to_vec()),
        };
        let Ok(reply) = reply else {
            return begin_anew(&worker, bytes, request);
        };
        worker.event();
        if matches!(reply.first(), Some(b'-' | b'!')) {
            return worker.finish(request, &reply);
        }
        let next = match (scanned(&reply), following) {
            (Ok((0, _)), Some(following)) => Ok(Some(cursor.on(following))),
            (Ok((0, _)), None) => Ok(after_lap(&worker, cursor).await),
            (Ok((position, _)), _) => cursor.at(position).map(Some).ok_or(SCAN_TOO_FAR),
            (Err(text), _) => Err(text),
        };
        finish(&worker, request, |out| match (next, scanned(&reply)) {
            (Ok(next), Ok((_, keys))) => write_scanned(out, next.map_or(0, Cursor::raw), keys),
            (Err(text), _) | (_, Err(text)) => out.error(text),
        });
    });
}

/// The client's request, as the node is to get it.
fn for_node(args: &RequestArgs<'_>, cursor: Cursor) -> Vec<u8> {
    let position = cursor.position.to_string();
    let mut words: Vec<&[u8]> = args.iter().collect();
    if let Some(word) = words.get_mut(1) {
        *word = position.as_bytes();
    }
    let mut bytes = Vec::new();
    encode_command(&mut bytes, &words);
    bytes
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
            let asked = ask_node(worker, node, spec, NODES, worker.now());
            Some((*place, *number, asked))
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
