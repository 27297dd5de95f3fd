//! One request of a client: checked as Redis checks it, then on its way.

use std::rc::Rc;

use slotilla_common::command::{
    Args, FanOut, KeyPositions, Need, Spec, Unresolved, first_key, keys, resolve,
};
use slotilla_common::net::http;
use slotilla_common::slot::Slot;

use super::client::{Client, ReplyMode};
use super::commands;
use super::pipeline::Whereabouts;
use crate::error;
use crate::router::{self, Cursor, Gather, Owner, Recipe, Request, RequestArgs, Route, Way};
use crate::slotmap::{Calm, NodeIndex};
use crate::worker::Worker;

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    /// It is answered or on its way.
    Done,
    /// It has to wait; nothing has happened.
    Stalled,
    /// It was the last one.
    Leaving,
    /// The connection is to be closed at once, without the replies that are still to be sent.
    HangUp,
}

/// What Redis answers to an EXEC that is refused before it is looked at begins with [`ABORTED`].
const EXEC: &str = "exec";
const ABORTED: &str = "EXECABORT Transaction discarded because of: ";

/// Handles one request.
#[inline]
pub(super) fn handle(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    if client.in_flight() >= worker.shared.config.client_in_flight_max {
        return Handled::Stalled;
    }
    let spec = match resolve(args) {
        Ok(spec) => spec,
        Err(Unresolved::Command) if http::is_http(args.get(0)) => {
            worker.shared.http_alarm.sound(&client.address);
            return Handled::HangUp;
        }
        Err(unresolved) => return refuse(worker, client, |out| unknown(unresolved, args, out)),
    };
    if !spec.arity_allows(args.len()) {
        return refuse_arity(worker, client, spec);
    }
    if !client.is_authenticated.get() && !commands::needs_no_auth(spec) {
        let text = match spec.name {
            EXEC => format!("{ABORTED}{}", error::NO_AUTH),
            _ => error::NO_AUTH.to_owned(),
        };
        return refuse_with(worker, client, &text);
    }
    let route = worker.routes.of(spec.id);
    let handled = match route.way {
        Way::OneKey | Way::OneSlot => forward(worker, client, args, spec, route),
        Way::Other => other(worker, client, args, spec, route),
    };
    if handled != Handled::Stalled {
        worker.counters.count_command(spec);
        client.last_command.set(spec.name);
        end_of_command(client);
    }
    handled
}

/// CLIENT REPLY SKIP concerns one command only.
fn end_of_command(client: &Client) {
    match client.reply_mode.get() {
        ReplyMode::SkipNext => client.reply_mode.set(ReplyMode::Skip),
        ReplyMode::Skip => client.reply_mode.set(ReplyMode::On),
        ReplyMode::On | ReplyMode::Off => {}
    }
}

/// To the owner of the keys' slot.
#[inline]
fn forward(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
    route: Route,
) -> Handled {
    let Some(first) = first_key(spec, args) else {
        return any_node(worker, client, args, spec, route);
    };
    let slot = Slot::of_key(args.get(first));
    if route.way != Way::OneKey && !is_one_slot(spec, args, slot) {
        if !has_whole_groups(spec, args) {
            return refuse_arity(worker, client, spec);
        }
        return refuse_with(worker, client, error::CROSS_SLOT);
    }
    to_slot(worker, client, args, spec, route, slot)
}

#[inline]
fn to_slot(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
    route: Route,
    slot: Slot,
) -> Handled {
    let map = worker.map.borrow();
    let node = map.owner(slot);
    if map.is_unstable() {
        let target = match map.calm(slot) {
            Calm::Stable => None,
            Calm::Moved => Some(node.map(|n| Worker::upstream_id(n, client.protocol()))),
            Calm::Migrating => Some(None),
        };
        if target.is_some_and(|target| client.new_would_overtake(slot, target)) {
            return Handled::Stalled;
        }
    }
    drop(map);
    if is_held_back(worker, client, node) {
        return Handled::Stalled;
    }
    let whereabouts = match node {
        Some(node) => Whereabouts::At(slot, Worker::upstream_id(node, client.protocol())),
        None => Whereabouts::Held(slot),
    };
    let sequence = client.begin(worker, whereabouts, route.is_read);
    let request = Request {
        spec,
        slot: Some(slot),
        pinned: None,
        started: worker.now(),
        attempts: 0,
        owner: Owner::Client(Rc::clone(client), sequence),
    };
    match node {
        Some(node) => worker.send_to(node, args.bytes(), request, false),
        None => worker.send(args.bytes(), request),
    }
    Handled::Done
}

/// Whether the node's queue is so full that the client has to wait.
fn is_held_back(worker: &Rc<Worker>, client: &Rc<Client>, node: Option<NodeIndex>) -> bool {
    let Some(upstream) = node.and_then(|node| worker.upstream(node, client.protocol())) else {
        return false;
    };
    let is_full = upstream.is_full(worker.shared.config.upstream_queue_max);
    if is_full {
        worker.counters.upstream_queue_full.add(1);
        worker.hold_back(client);
    }
    is_full
}

fn is_one_slot(spec: &Spec, args: &RequestArgs<'_>, slot: Slot) -> bool {
    let mut found = KeyPositions::new();
    // What cannot be told is for the node to complain of.
    keys(spec, args, &mut found).is_err()
        || found
            .iter()
            .all(|key| Slot::of_key(args.get(key.index)) == slot)
}

/// To any node: the answer is the same everywhere.
fn any_node(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
    route: Route,
) -> Handled {
    let sequence = client.begin(worker, Whereabouts::Local, route.is_read);
    let request = Request {
        spec,
        slot: None,
        pinned: None,
        started: worker.now(),
        attempts: 0,
        owner: Owner::Client(Rc::clone(client), sequence),
    };
    worker.send(args.bytes(), request);
    Handled::Done
}

/// What is neither one key nor one slot.
fn other(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
    route: Route,
) -> Handled {
    match spec.fan_out {
        FanOut::Slot => forward(worker, client, args, spec, route),
        FanOut::Split(_) => split(worker, client, args, spec, route),
        FanOut::AnyNode => any_node(worker, client, args, spec, route),
        FanOut::Primaries(merge) => {
            let sequence = client.begin(worker, Whereabouts::Scattered, route.is_read);
            let request = whole(worker, client, spec, sequence);
            router::to_primaries(worker, args.bytes(), request, merge);
            Handled::Done
        }
        FanOut::Scan => scan(worker, client, args, spec),
        FanOut::RandomKey => {
            commands::random_key(worker, client, spec);
            Handled::Done
        }
        FanOut::Local => commands::local(worker, client, args, spec),
        FanOut::BlockingIf(word) => {
            let blocks = args
                .iter()
                .skip(1)
                .any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
            if blocks {
                return refuse_connection(worker, client, spec, Need::Blocking);
            }
            forward(worker, client, args, spec, route)
        }
        FanOut::Connection(need) => refuse_connection(worker, client, spec, need),
        FanOut::Refused(why) => {
            let name = spec.name.replace('|', " ").to_uppercase();
            let text = format!("ERR {name} does not go through the proxy: {why}");
            refuse_with(worker, client, &text)
        }
    }
}

fn whole(
    worker: &Worker,
    client: &Rc<Client>,
    spec: &'static Spec,
    sequence: super::Sequence,
) -> Request {
    Request {
        spec,
        slot: None,
        pinned: None,
        started: worker.now(),
        attempts: 0,
        owner: Owner::Client(Rc::clone(client), sequence),
    }
}

fn split(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
    route: Route,
) -> Handled {
    if !has_whole_groups(spec, args) {
        return refuse_arity(worker, client, spec);
    }
    let mut found = worker.slots_of_keys.take();
    router::slots(spec, args, &mut found);
    let (first, last) = (found.first().copied(), found.last().copied());
    let handled = match (first, last) {
        (Some((first, _)), Some((last, _))) if first == last => {
            to_slot(worker, client, args, spec, route, first)
        }
        _ if !may_scatter(worker, client, &found) => Handled::Stalled,
        _ => {
            let sequence = client.begin(worker, Whereabouts::Scattered, route.is_read);
            let request = whole(worker, client, spec, sequence);
            router::send_parts(worker, args, &found, request, false);
            Handled::Done
        }
    };
    worker.slots_of_keys.replace(found);
    handled
}

/// Whether none of the parts would overtake a request that is out, and no node is too busy.
fn may_scatter(worker: &Rc<Worker>, client: &Rc<Client>, keys: &[router::SlotOfKey]) -> bool {
    let map = worker.map.borrow();
    let is_unstable = map.is_unstable();
    for group in keys.chunk_by(|a, b| a.0 == b.0) {
        let Some((slot, _)) = group.first() else {
            continue;
        };
        if is_unstable && map.calm(*slot) != Calm::Stable && client.new_would_overtake(*slot, None)
        {
            return false;
        }
        if is_held_back(worker, client, map.owner(*slot)) {
            return false;
        }
    }
    true
}

/// SCAN: to the node that the cursor names, or the next that exists.
fn scan(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
) -> Handled {
    let raw = std::str::from_utf8(args.get(1)).ok();
    let cursor = raw.and_then(|raw| raw.parse().ok()).and_then(Cursor::parse);
    let Some(asked) = cursor else {
        return refuse_with(worker, client, "ERR invalid cursor");
    };
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
        return Handled::Done;
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
    let request = whole(worker, client, spec, sequence);
    let gather = Rc::new(Gather::new(
        (spec, request.started),
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
    slotilla_common::resp::encode_command(&mut bytes, &words);
    let part = Request {
        spec,
        slot: None,
        pinned: Some(node),
        started: worker.now(),
        attempts: 0,
        owner: Owner::Part(gather, 0),
    };
    worker.send(&bytes, part);
    Handled::Done
}

fn refuse_connection(worker: &Rc<Worker>, client: &Rc<Client>, spec: &Spec, need: Need) -> Handled {
    let name = spec.name.replace('|', " ").to_uppercase();
    let why = match need {
        Need::Transaction => "transactions need a connection of their own",
        Need::Blocking => "a command that waits needs a connection of its own",
        Need::Subscription => "subscriptions need a connection of their own",
        Need::Monitor => "MONITOR needs a connection of its own",
        Need::Tracking => "client-side caching needs a connection of its own",
    };
    let text = format!("ERR {name} is not supported by the proxy yet: {why}");
    refuse_with(worker, client, &text)
}

fn unknown(unresolved: Unresolved, args: &RequestArgs<'_>, out: &mut Vec<u8>) {
    let limited = |text: &[u8], max: usize| text.get(..max).unwrap_or(text).to_vec();
    match unresolved {
        Unresolved::Command => {
            out.extend_from_slice(b"ERR unknown command '");
            out.extend_from_slice(&limited(args.get(0), 128));
            out.extend_from_slice(b"', with args beginning with: ");
            let before = out.len();
            for arg in args.iter().skip(1) {
                let used = out.len() - before;
                if used >= 128 {
                    break;
                }
                out.push(b'\'');
                out.extend_from_slice(&limited(arg, 128 - used));
                out.extend_from_slice(b"' ");
            }
        }
        Unresolved::Subcommand(spec) => {
            out.extend_from_slice(b"ERR unknown subcommand '");
            out.extend_from_slice(&limited(args.get(1), 128));
            out.extend_from_slice(b"'. Try ");
            out.extend_from_slice(spec.name.to_uppercase().as_bytes());
            out.extend_from_slice(b" HELP.");
        }
    }
}

#[cold]
fn refuse_arity(worker: &Rc<Worker>, client: &Rc<Client>, spec: &Spec) -> Handled {
    let text = format!("wrong number of arguments for '{}' command", spec.name);
    let text = match spec.name {
        EXEC => format!("{ABORTED}{text}"),
        _ => format!("ERR {text}"),
    };
    refuse_with(worker, client, &text)
}

/// Whether nothing is missing from the last of a command's groups of arguments: MSET's keys have
/// a value each.
fn has_whole_groups(spec: &Spec, args: &RequestArgs<'_>) -> bool {
    let stride = usize::try_from(spec.range.step).unwrap_or(1).max(1);
    (args.len() - 1).is_multiple_of(stride)
}

/// Answers with an error, and counts it.
pub(super) fn refuse_with(worker: &Rc<Worker>, client: &Rc<Client>, text: &str) -> Handled {
    refuse(worker, client, |out| out.extend_from_slice(text.as_bytes()))
}

#[cold]
fn refuse(worker: &Rc<Worker>, client: &Rc<Client>, write: impl FnOnce(&mut Vec<u8>)) -> Handled {
    let mut text = Vec::new();
    write(&mut text);
    worker.counters.refused_requests.add(1);
    client.answer(worker, |out| out.error_bytes(&text));
    end_of_command(client);
    Handled::Done
}
