//! Requests in parts: by slot, and by key while a slot is on the move.

use std::rc::Rc;

use slotilla_common::command::{Args, FanOut, Merge, Spec};
use slotilla_common::resp::{ArgRange, RequestLimits, RequestParser};
use slotilla_common::slot::Slot;

use super::args::RequestArgs;
use super::gather::{Gather, Recipe};
use super::request::{Owner, Request};
use crate::worker::Worker;

/// A key of a request that is split: its slot, and which of the keys it is.
pub type SlotOfKey = (Slot, u32);

/// Arguments from one key to the next: MSET's keys have a value each.
#[must_use]
pub fn stride(spec: &Spec) -> usize {
    usize::try_from(spec.range.step).unwrap_or(1).max(1)
}

/// The slots of all keys, those of one slot together and in the order of the request.
pub fn slots(spec: &Spec, args: &RequestArgs<'_>, out: &mut Vec<SlotOfKey>) {
    out.clear();
    let keys = (1..args.len()).step_by(stride(spec));
    out.extend(
        keys.zip(0u32..)
            .map(|(index, number)| (Slot::of_key(args.arg(index)), number)),
    );
    out.sort_unstable();
}

/// Whether this is a request of several keys that may be split.
#[must_use]
pub(super) fn has_parts(request: &Request, bytes: &[u8]) -> bool {
    if !request.is_splittable() {
        return false;
    }
    let mut ranges = Vec::new();
    let parsed = RequestParser::default().parse(bytes, &mut ranges, &RequestLimits::default());
    parsed.is_ok() && ranges.len() > 1 + stride(request.spec)
}

/// Sends each group of keys by itself, its replies to be merged. `keys` are in order of their
/// slots; where `by_key`, each key is a group.
pub fn send_parts(
    worker: &Rc<Worker>,
    args: &RequestArgs<'_>,
    keys: &[SlotOfKey],
    request: Request,
    by_key: bool,
) {
    let FanOut::Split(merge) = request.spec.fan_out else {
        return worker.send(args.bytes(), request);
    };
    let groups = || keys.chunk_by(|a, b| !by_key && a.0 == b.0);
    let parts = u32::try_from(groups().count()).unwrap_or(u32::MAX);
    let recipe = match merge {
        Merge::Values => Recipe::Values {
            positions: keys.iter().map(|(_, number)| *number).collect(),
            ends: groups()
                .scan(0u32, |end, group| {
                    *end += u32::try_from(group.len()).unwrap_or(u32::MAX);
                    Some(*end)
                })
                .collect(),
        },
        merge => Recipe::Merge(merge),
    };
    if let Owner::Client(client, sequence) = &request.owner
        && !by_key
    {
        let slots = groups().filter_map(|group| group.first());
        client.split(*sequence, parts, slots.map(|(slot, _)| *slot));
    }
    let gather = Gather::new(
        request,
        recipe,
        parts,
        worker.shared.config.merged_reply_max,
    );
    worker.counters.fanout_requests.add(1);
    let mut bytes = Vec::new();
    for (group, part) in groups().zip(0u32..) {
        bytes.clear();
        encode_part(gather.spec, args, group, &mut bytes);
        let part = Request {
            slot: group.first().map(|(slot, _)| *slot),
            ..gather.part(part)
        };
        worker.send(&bytes, part);
    }
}

/// The command with the keys of `group` only, copied as they came.
fn encode_part(spec: &Spec, args: &RequestArgs<'_>, group: &[SlotOfKey], out: &mut Vec<u8>) {
    let stride = stride(spec);
    out.push(b'*');
    out.extend_from_slice((1 + group.len() * stride).to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    args.copy_frames(0, 1, out);
    for (_, number) in group {
        args.copy_frames(1 + *number as usize * stride, stride, out);
    }
}

/// Sends a request again key by key: its slot is on the move, so some keys are here and some
/// there.
#[cold]
pub(super) fn by_key(worker: &Rc<Worker>, bytes: &[u8], request: Request) {
    let mut ranges: Vec<ArgRange> = Vec::new();
    let parsed = RequestParser::default().parse(bytes, &mut ranges, &RequestLimits::default());
    if parsed.is_err() {
        return worker.send(bytes, request);
    }
    let args = RequestArgs::new(bytes, &ranges);
    let mut keys = Vec::new();
    slots(request.spec, &args, &mut keys);
    send_parts(worker, &args, &keys, request, true);
}
