//! SCAN: to the node that the cursor names, or the next that exists.

use std::rc::Rc;

use slotilla_common::resp::encode_command;

use super::pipeline::Whereabouts;
use super::session::{Call, Handled, Outcome};
use crate::error;
use crate::router::{Cursor, Gather, Owner, Recipe, Request};

/// One step of an iteration.
pub(super) fn scan(call: Call<'_>) -> Outcome {
    let Call {
        worker,
        client,
        args,
        spec,
        ..
    } = call;
    let raw = std::str::from_utf8(args.get(1)).ok();
    let cursor = raw.and_then(|raw| raw.parse().ok()).and_then(Cursor::parse);
    let asked = cursor.ok_or("ERR invalid cursor")?;
    let primaries = worker.map.borrow().primaries().to_vec();
    let place = primaries.partition_point(|(number, _)| *number < asked.node);
    let Some((number, node)) = primaries.get(place).copied() else {
        let is_known = !primaries.is_empty();
        worker.shared.refresher.ask();
        client.answer(worker, |out| {
            if is_known {
                // The node and all after it are gone: the iteration is over.
                out.array(2);
                out.bulk(b"0");
                out.array(0);
            } else {
                out.raw(error::NO_MAP);
            }
        });
        return Ok(Handled::Done);
    };
    let cursor = Cursor {
        node: number,
        position: if number == asked.node {
            asked.position
        } else {
            0
        },
        ..asked
    };
    let following = primaries.get(place + 1).map(|(number, _)| *number);
    let next = cursor.next(following, worker.shared.was_unsettled_lately());
    let sequence = client.begin(worker, Whereabouts::Local, true);
    let request = call.request(None, sequence);
    let started = request.started;
    let gather = Rc::new(Gather::new(
        (spec, started),
        request.owner,
        client.protocol(),
        Recipe::Scan { cursor, next },
        1,
        worker.shared.config.merged_reply_max,
    ));
    let position = cursor.position.to_string();
    let mut words: Vec<&[u8]> = args.iter().collect();
    if let Some(word) = words.get_mut(1) {
        *word = position.as_bytes();
    }
    let mut bytes = Vec::new();
    encode_command(&mut bytes, &words);
    let part = Request {
        spec,
        slot: None,
        pinned: Some(node),
        started,
        attempts: 0,
        owner: Owner::Part(gather, 0),
    };
    worker.send(&bytes, part);
    Ok(Handled::Done)
}
