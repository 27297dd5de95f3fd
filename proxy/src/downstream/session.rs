//! One request of a client: checked as Redis checks it, then on its way.

use std::rc::Rc;

use slotilla_common::command::{
    Args as _, FanOut, KeyPositions, Need, Spec, Unresolved, first_key, keys, resolve,
};
use slotilla_common::net::http;
use slotilla_common::slot::Slot;

use super::client::{Client, ReplyMode};
use super::commands;
use super::pipeline::{Sequence, Whereabouts};
use super::refusal::Refusal;
use crate::router::{self, Owner, Request, RequestArgs, Route, Way};
use crate::slotmap::{Calm, NodeIndex};
use crate::upstream::Upstream;
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

/// What a command's own part says: handled, or refused before anything happened.
pub(super) type Outcome = Result<Handled, Refusal>;

/// A request of a client whose command is known.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: &'a Rc<Client>,
    pub(super) args: &'a RequestArgs<'a>,
    pub(super) spec: &'static Spec,
    route: Route,
}

/// Handles one request.
#[inline]
pub(super) fn handle(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    if client.in_flight() >= worker.shared.config.client_in_flight_max {
        worker.counters.in_flight_full.add(1);
        return Handled::Stalled;
    }
    let spec = match resolve(args) {
        Ok(spec) => spec,
        Err(Unresolved::Command) if http::is_http(args.get(0)) => {
            worker.shared.http_alarm.sound(&client.address);
            return Handled::HangUp;
        }
        Err(unresolved) => {
            refuse(worker, client, None, &Refusal::unknown(unresolved, args));
            end_of_command(client);
            return Handled::Done;
        }
    };
    let call = Call {
        worker,
        client,
        args,
        spec,
        route: worker.routes.of(spec.id),
    };
    let handled = match call.handle() {
        Ok(handled) => handled,
        Err(refusal) => {
            refuse(worker, client, Some(spec), &refusal);
            Handled::Done
        }
    };
    if handled != Handled::Stalled {
        worker.counters.count_command(spec);
        client.last_command.set(spec.name);
        end_of_command(client);
    }
    handled
}

/// CLIENT REPLY SKIP concerns one command only.
pub(super) fn end_of_command(client: &Client) {
    match client.reply_mode.get() {
        ReplyMode::SkipNext => client.reply_mode.set(ReplyMode::Skip),
        ReplyMode::Skip => client.reply_mode.set(ReplyMode::On),
        ReplyMode::On | ReplyMode::Off => {}
    }
}

/// Answers with an error, and counts it.
#[cold]
fn refuse(worker: &Rc<Worker>, client: &Rc<Client>, spec: Option<&Spec>, refusal: &Refusal) {
    worker.counters.refused_requests.add(1);
    client.answer(worker, |out| out.error_bytes(&refusal.text(spec)));
}

impl Call<'_> {
    #[inline]
    fn handle(self) -> Outcome {
        if !self.spec.arity_allows(self.args.len()) {
            return Err(Refusal::Arity);
        }
        if !self.client.is_authenticated.get() && !commands::needs_no_auth(self.spec) {
            return Err(Refusal::NoAuth);
        }
        match self.route.way {
            Way::OneKey | Way::OneSlot => self.forward(),
            Way::Other => self.other(),
        }
    }

    /// A request of this client, made of this call.
    #[inline]
    pub(super) fn request(self, slot: Option<Slot>, sequence: Sequence) -> Request {
        Request {
            spec: self.spec,
            slot,
            pinned: None,
            started: self.worker.now(),
            attempts: 0,
            owner: Owner::Client(Rc::clone(self.client), sequence),
        }
    }

    #[inline]
    fn begin(self, whereabouts: Whereabouts) -> Sequence {
        self.client
            .begin(self.worker, whereabouts, self.route.is_read)
    }

    /// To the owner of the keys' slot.
    #[inline]
    fn forward(self) -> Outcome {
        let Some(first) = first_key(self.spec, self.args) else {
            return Ok(self.any_node());
        };
        let slot = Slot::of_key(self.args.get(first));
        if self.route.way != Way::OneKey && !self.is_one_slot(slot) {
            self.check_groups()?;
            return Err(Refusal::CrossSlot);
        }
        Ok(self.to_slot(slot))
    }

    #[inline]
    fn to_slot(self, slot: Slot) -> Handled {
        let Self { worker, client, .. } = self;
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
        let whereabouts = match node {
            Some(node) => Whereabouts::At(slot, Worker::upstream_id(node, client.protocol())),
            None => Whereabouts::Held(slot),
        };
        self.send_on(node, Some(slot), whereabouts)
    }

    /// To this node, unless its queue is full; where none is known, to the one that will be.
    #[inline]
    fn send_on(
        self,
        node: Option<NodeIndex>,
        slot: Option<Slot>,
        whereabouts: Whereabouts,
    ) -> Handled {
        let Self { worker, client, .. } = self;
        let upstream = node.and_then(|node| worker.upstream(node, client.protocol()));
        if upstream.as_ref().is_some_and(|u| self.waits_for(u)) {
            return Handled::Stalled;
        }
        let sequence = self.begin(whereabouts);
        let request = self.request(slot, sequence);
        match &upstream {
            Some(upstream) => worker.send_over(upstream, self.args.bytes(), request, false),
            None => worker.send(self.args.bytes(), request),
        }
        Handled::Done
    }

    /// Whether the node's queue is so full that the client has to wait.
    pub(super) fn is_held_back(self, node: Option<NodeIndex>) -> bool {
        let Self { worker, client, .. } = self;
        let upstream = node.and_then(|node| worker.upstream(node, client.protocol()));
        upstream.is_some_and(|upstream| self.waits_for(&upstream))
    }

    /// As [`Self::is_held_back`], of the connection to the node.
    #[inline]
    fn waits_for(self, upstream: &Upstream) -> bool {
        let Self { worker, client, .. } = self;
        let is_full = upstream.is_full(worker.shared.config.upstream_queue_max);
        if is_full {
            worker.counters.upstream_queue_full.add(1);
            worker.hold_back(client);
        }
        is_full
    }

    fn is_one_slot(self, slot: Slot) -> bool {
        let mut found = KeyPositions::new();
        // What cannot be told is for the node to complain of.
        keys(self.spec, self.args, &mut found).is_err()
            || found
                .iter()
                .all(|key| Slot::of_key(self.args.get(key.index)) == slot)
    }

    /// To any node: the answer is the same everywhere.
    fn any_node(self) -> Handled {
        self.send_on(self.worker.any_primary(), None, Whereabouts::Local)
    }

    /// What is neither one key nor one slot.
    fn other(self) -> Outcome {
        match self.spec.fan_out {
            FanOut::Slot => self.forward(),
            FanOut::Split(_) => self.split(),
            FanOut::AnyNode => Ok(self.any_node()),
            FanOut::Primaries(_) => Ok(self.all_primaries()),
            FanOut::Scan => super::scan::begin(self),
            FanOut::RandomKey => Ok(self.whole_cluster(Whereabouts::Local)),
            FanOut::Local => commands::local(self),
            FanOut::BlockingIf(option) if self.has_option(option) => {
                Err(Refusal::Connection(Need::Blocking))
            }
            FanOut::BlockingIf(_) => self.forward(),
            FanOut::Connection(need) => Err(Refusal::Connection(need)),
            FanOut::Refused(why) => Err(Refusal::NotThroughProxy(why)),
        }
    }

    /// To every primary.
    fn all_primaries(self) -> Handled {
        let primaries = self.worker.map.borrow().primaries().to_vec();
        if primaries
            .iter()
            .any(|(_, node)| self.is_held_back(Some(*node)))
        {
            return Handled::Stalled;
        }
        self.whole_cluster(Whereabouts::Everywhere)
    }

    /// To whatever nodes it concerns, when all that the client sent before is on its way.
    pub(super) fn whole_cluster(self, whereabouts: Whereabouts) -> Handled {
        if self.client.has_held() {
            return Handled::Stalled;
        }
        let sequence = self.begin(whereabouts);
        let request = self.request(None, sequence);
        self.worker.send(self.args.bytes(), request);
        Handled::Done
    }

    /// Whether XREAD or XREADGROUP has this option: a group, a consumer or a key may be called like
    /// it, too.
    fn has_option(self, option: &str) -> bool {
        let mut index = 1;
        while index < self.args.len() {
            let word = self.args.get(index);
            if word.eq_ignore_ascii_case(option.as_bytes()) {
                return true;
            }
            if word.eq_ignore_ascii_case(b"STREAMS") {
                return false;
            }
            // What an option takes is none.
            index += match word {
                group if group.eq_ignore_ascii_case(b"GROUP") => 3,
                count if count.eq_ignore_ascii_case(b"COUNT") => 2,
                _ => 1,
            };
        }
        false
    }

    /// Refuses it if something is missing from the last of its groups of arguments: MSET's keys
    /// have a value each.
    fn check_groups(self) -> Result<(), Refusal> {
        if (self.args.len() - 1).is_multiple_of(router::stride(self.spec)) {
            Ok(())
        } else {
            Err(Refusal::Arity)
        }
    }

    fn split(self) -> Outcome {
        self.check_groups()?;
        let Self { worker, args, .. } = self;
        let mut found = worker.slots_of_keys.take();
        router::slots(self.spec, args, &mut found);
        let (first, last) = (found.first().copied(), found.last().copied());
        let handled = match (first, last) {
            (Some((first, _)), Some((last, _))) if first == last => self.to_slot(first),
            _ if !self.may_scatter(&found) => Handled::Stalled,
            _ => {
                let sequence = self.begin(Whereabouts::Split);
                let request = self.request(None, sequence);
                router::send_parts(worker, args, &found, request, false);
                Handled::Done
            }
        };
        worker.slots_of_keys.replace(found);
        Ok(handled)
    }

    /// Whether none of the parts would overtake a request that is out, and no node is too busy.
    fn may_scatter(self, keys: &[router::SlotOfKey]) -> bool {
        let map = self.worker.map.borrow();
        let is_unstable = map.is_unstable();
        for group in keys.chunk_by(|a, b| a.0 == b.0) {
            let Some((slot, _)) = group.first() else {
                continue;
            };
            if is_unstable
                && map.calm(*slot) != Calm::Stable
                && self.client.new_would_overtake(*slot, None)
            {
                return false;
            }
            if self.is_held_back(map.owner(*slot)) {
                return false;
            }
        }
        true
    }
}
