//! Sends requests where they belong, and does what the answers ask for: deliver, follow, repeat.

use std::rc::Rc;
use std::time::Duration;

use slotilla_common::command::FanOut;
use slotilla_common::redirect::{Endpoint, Redirect};
use slotilla_common::resp::Protocol;
use slotilla_common::slot::Slot;

use super::request::{Owner, Request};
use super::{split, wide};
use crate::downstream::{Followers, Whereabouts};
use crate::error;
use crate::policy::{self, Retry};
use crate::slotmap::{Address, Calm, NodeIndex};
use crate::upstream::{Upstream, UpstreamId};
use crate::worker::Worker;

/// How long a request waits whose predecessors on the slot are still out.
const TURN_WAIT: Duration = Duration::from_millis(2);

impl Worker {
    /// Sends a request to its node: the pinned one, its slot's owner, or any.
    pub fn send(self: &Rc<Self>, bytes: &[u8], request: Request) {
        let node = match (request.pinned, request.slot) {
            (Some(node), _) => Some(node),
            (None, Some(slot)) => self.map.borrow().owner(slot),
            (None, None) if wide::is_wide(request.spec) => return self.send_wide(bytes, request),
            (None, None) => self.any_primary(),
        };
        match node {
            Some(node) => self.send_to(node, bytes, request, false),
            None => self.no_owner(bytes, request),
        }
    }

    /// Nobody is known to whom a request could be sent: it waits.
    #[cold]
    pub(super) fn no_owner(self: &Rc<Self>, bytes: &[u8], request: Request) {
        let is_known = self.map.borrow().version() > 0;
        let failure = if is_known {
            error::NO_OWNER
        } else {
            error::NO_MAP
        };
        self.shared.refresher.ask();
        self.retry_later(bytes.to_vec(), request, failure);
    }

    /// Sends a request to this node, whoever owns the slot.
    pub fn send_to(self: &Rc<Self>, node: NodeIndex, bytes: &[u8], request: Request, asking: bool) {
        let protocol = request.protocol();
        let Some(upstream) = self.upstream(node, protocol) else {
            let failure = request.not_sent();
            return self.retry_later(bytes.to_vec(), request, failure);
        };
        self.send_over(&upstream, bytes, request, asking);
    }

    /// Sends a request over this connection.
    #[inline]
    pub fn send_over(
        self: &Rc<Self>,
        upstream: &Rc<Upstream>,
        bytes: &[u8],
        request: Request,
        asking: bool,
    ) {
        // The place of a client's own request is known from its beginning.
        if let Some(slot) = request.slot
            && (request.attempts > 0 || matches!(request.owner, Owner::Part(..)))
        {
            request.owner.is_at(Whereabouts::At(slot, upstream.id));
        }
        self.counters.upstream_rq_total.add(1);
        if let Err(request) = upstream.push(self, bytes, request, asking) {
            let failure = request.not_sent();
            self.retry_later(bytes.to_vec(), request, failure);
        }
    }

    /// Some primary, by chance.
    pub fn any_primary(&self) -> Option<NodeIndex> {
        let map = self.map.borrow();
        let primaries = map.primaries();
        let chosen = fastrand::usize(..primaries.len().max(1));
        primaries.get(chosen).map(|(_, node)| *node)
    }

    /// The request is answered.
    #[inline]
    pub fn finish(self: &Rc<Self>, request: Request, reply: &[u8]) {
        match request.owner {
            Owner::Client(client, sequence) => {
                let nanos = self.clock.nanos_between(request.started, self.now());
                self.record(request.spec, nanos, reply);
                client.deliver(self, sequence, reply);
            }
            owner => self.deliver(&owner, reply),
        }
    }

    fn deliver(self: &Rc<Self>, owner: &Owner, reply: &[u8]) {
        match owner {
            Owner::Client(client, sequence) => client.deliver(self, *sequence, reply),
            Owner::Part(gather, part) => {
                if let Owner::Client(client, sequence) = gather.owner() {
                    client.part_answered(*sequence, *part);
                }
                if let Some(whole) = gather.add(*part, reply) {
                    if gather.is_too_long() {
                        self.counters.merged_overflows.add(1);
                    }
                    if matches!(gather.owner(), Owner::Client(..)) {
                        let nanos = self.clock.nanos_between(gather.started, self.now());
                        self.record(gather.spec, nanos, &whole);
                    }
                    self.deliver(gather.owner(), &whole);
                }
            }
            Owner::Task(sender) => {
                if let Some(sender) = sender.take() {
                    // A task that went away wants no reply.
                    let _ = sender.send(reply.to_vec());
                }
            }
            Owner::Nobody => {}
        }
    }

    /// A node said: elsewhere, or later.
    #[cold]
    pub fn redirected(
        self: &Rc<Self>,
        from: &Rc<Upstream>,
        mut request: Request,
        bytes: Vec<u8>,
        redirect: &Redirect,
        reply: &[u8],
    ) {
        // A script without keys may have run in part.
        let is_result = *redirect == Redirect::ReadOnly && !wide::is_for_all(request.spec);
        if is_result || matches!(request.owner, Owner::Nobody) || request.owner.is_gone() {
            return self.finish(request, reply);
        }
        self.counters.count_redirect(redirect);
        request.attempts += 1;
        let config = &self.shared.config;
        if request.attempts > config.retries_max
            || self.since(request.started) >= config.request_timeout
        {
            let reply = match redirect {
                // Where the cluster's nodes are is nothing for a client to see.
                Redirect::Moved(..) | Redirect::Ask(..) => error::TOO_MANY_REDIRECTS,
                _ => reply,
            };
            return self.give_up(request, reply);
        }
        match redirect {
            Redirect::Moved(slot, endpoint) => {
                self.shared.unsettle();
                self.shared.refresher.ask();
                match self.learn(from, endpoint) {
                    Some(node) => {
                        let until = self.unstable_until();
                        self.map.borrow_mut().moved(*slot, node, until);
                        self.follow(node, &bytes, request, false);
                    }
                    None => self.retry_later(bytes, request, error::TOO_MANY_REDIRECTS),
                }
            }
            Redirect::Ask(slot, endpoint) => {
                self.shared.unsettle();
                self.disturb(*slot, Calm::Migrating);
                if split::has_parts(&request, &bytes) {
                    return self.by_key(bytes, request, error::TOO_MANY_REDIRECTS);
                }
                match self.learn(from, endpoint) {
                    Some(node) => self.follow(node, &bytes, request, true),
                    None => self.retry_later(bytes, request, error::TOO_MANY_REDIRECTS),
                }
            }
            Redirect::TryAgain => {
                if let Some(slot) = request.slot {
                    self.disturb(slot, Calm::Migrating);
                }
                if split::has_parts(&request, &bytes) {
                    return self.by_key(bytes, request, reply);
                }
                self.retry_later(bytes, request, reply);
            }
            Redirect::ClusterDown
            | Redirect::Loading
            | Redirect::PrimaryDown
            | Redirect::ReadOnly => {
                self.shared.refresher.ask();
                self.retry_later(bytes, request, reply);
            }
        }
    }

    /// The node that `from` named.
    fn learn(&self, from: &Upstream, endpoint: &Endpoint) -> Option<NodeIndex> {
        let (host, port) = endpoint.resolve(&from.address.host)?;
        self.node(&Address { host, port })
    }

    /// Sends a redirected request on, unless it would pass an earlier one of its client.
    fn follow(self: &Rc<Self>, node: NodeIndex, bytes: &[u8], request: Request, asking: bool) {
        let target = Self::upstream_id(node, request.protocol());
        if request.would_overtake(Some(target)) {
            self.wait_for_turn(bytes.to_vec(), request, error::TOO_MANY_REDIRECTS.to_vec());
        } else {
            self.send_to(node, bytes, request, asking);
        }
    }

    /// Sends each key by itself, unless that would undo the order in which its client sent: what
    /// came before may be out still, and what followed may have found its keys and run.
    fn by_key(self: &Rc<Self>, bytes: Vec<u8>, request: Request, failure: &[u8]) {
        match self.followers(&request) {
            Followers::Ran => return self.give_up(request, failure),
            Followers::Out => return self.wait_for_turn(bytes, request, failure.to_vec()),
            Followers::None => {}
        }
        if request.would_overtake(None) {
            return self.wait_for_turn(bytes, request, failure.to_vec());
        }
        if let Some(slot) = request.slot {
            request.owner.is_at(Whereabouts::Spread(slot));
        }
        split::by_key(self, &bytes, request);
    }

    /// The connection of this request was lost.
    #[cold]
    pub fn lost(self: &Rc<Self>, bytes: Vec<u8>, mut request: Request, was_sent: bool) {
        if matches!(request.owner, Owner::Nobody) || request.owner.is_gone() {
            return;
        }
        if was_sent && !request.is_read() {
            self.counters.writes_in_doubt.add(1);
            return self.finish(request, error::REPLY_LOST);
        }
        request.attempts += 1;
        let failure = if was_sent {
            error::REPLY_LOST
        } else {
            request.not_sent()
        };
        self.retry_later(bytes, request, failure);
    }

    /// Sends a request that was not executed again after a while; if there is no time or room
    /// left, `failure` is its reply.
    #[cold]
    pub fn retry_later(self: &Rc<Self>, bytes: Vec<u8>, mut request: Request, failure: &[u8]) {
        let config = &self.shared.config;
        request.attempts = request.attempts.saturating_add(1);
        let wait = self.backoff(request.attempts);
        let too_late = self.since(request.started) + wait >= config.request_timeout;
        let too_often = request.attempts > config.retries_max;
        if too_late || too_often || !self.has_room_for(&bytes) {
            return self.give_up(request, failure);
        }
        self.counters.retries.add(1);
        self.hold(bytes, request, failure.to_vec(), wait);
    }

    fn wait_for_turn(self: &Rc<Self>, bytes: Vec<u8>, request: Request, failure: Vec<u8>) {
        let too_late = self.since(request.started) >= self.shared.config.request_timeout;
        if too_late || !self.has_room_for(&bytes) {
            return self.give_up(request, &failure);
        }
        self.hold(bytes, request, failure, TURN_WAIT);
    }

    /// Whether another request may wait to be sent again.
    fn has_room_for(&self, bytes: &[u8]) -> bool {
        let has_room = self.retries.bytes() + bytes.len() <= self.shared.config.retry_queue_max;
        if !has_room {
            self.counters.retry_queue_overflows.add(1);
        }
        has_room
    }

    fn hold(&self, bytes: Vec<u8>, request: Request, failure: Vec<u8>, wait: Duration) {
        if let Some(slot) = request.slot {
            self.disturb(slot, Calm::Moved);
            request.owner.is_at(Whereabouts::Held(slot));
        } else if request.is_whole() {
            request.owner.is_at(Whereabouts::HeldForAll);
        }
        let retry = Retry {
            bytes,
            request,
            failure,
        };
        self.retries.push(self.after(wait), retry);
    }

    /// Answers a request that was never executed.
    fn give_up(self: &Rc<Self>, request: Request, reply: &[u8]) {
        request.owner.is_at(Whereabouts::Local);
        self.finish(request, reply);
    }

    fn disturb(&self, slot: Slot, calm: Calm) {
        let until = self.unstable_until();
        self.map.borrow_mut().disturb(slot, calm, until);
    }

    /// How long the attempt after `attempts` others waits.
    pub fn backoff(&self, attempts: u16) -> Duration {
        let config = &self.shared.config;
        let (min, max) = (config.retry_backoff_min, config.retry_backoff_max);
        policy::backoff(attempts, min, max, fastrand::f64())
    }

    /// The task that sends requests again when they are due.
    pub async fn send_retries(self: Rc<Self>) {
        loop {
            self.event();
            while let Some(retry) = self.retries.pop(self.now()) {
                self.resend(retry);
            }
            let wait = self
                .retries
                .first_due()
                .map(|due| self.clock.nanos_between(self.now(), due));
            match wait {
                None => self.retries.changed().await,
                Some(nanos) => {
                    let wait = Duration::from_nanos(nanos).max(Duration::from_millis(1));
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.retries.changed() => {}
                    }
                }
            }
        }
    }

    fn resend(self: &Rc<Self>, retry: Retry) {
        if retry.request.owner.is_gone() {
            return;
        }
        if self.has_lost_its_node(&retry.request) {
            return self.left_behind(retry);
        }
        let Retry {
            bytes,
            request,
            failure,
        } = retry;
        match self.followers(&request) {
            // To run it now would undo the order that the client sent.
            Followers::Ran => return self.give_up(request, &failure),
            Followers::Out => return self.wait_for_turn(bytes, request, failure),
            Followers::None => {}
        }
        if request.would_overtake(self.next_stop(&request)) {
            return self.wait_for_turn(bytes, request, failure);
        }
        if self.since(request.started) >= self.shared.config.request_timeout {
            return self.give_up(request, &failure);
        }
        self.send(&bytes, request);
    }

    /// The connection on which a request may follow others of its client: that to the slot's
    /// owner, and none while the slot is being migrated.
    fn next_stop(&self, request: &Request) -> Option<UpstreamId> {
        let map = self.map.borrow();
        let slot = request.slot?;
        let owner = map
            .owner(slot)
            .filter(|_| map.calm(slot) != Calm::Migrating)?;
        Some(Self::upstream_id(owner, request.protocol()))
    }
}

impl Request {
    /// What is spoken where the reply goes.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.owner
            .client()
            .map_or(Protocol::Resp2, |(client, _)| client.protocol())
    }

    /// Whether it would pass an earlier one of its client on its slot, if sent to `target`.
    fn would_overtake(&self, target: Option<UpstreamId>) -> bool {
        match (self.owner.client(), self.slot) {
            (Some((client, sequence)), Some(slot)) => client.would_overtake(sequence, slot, target),
            _ => false,
        }
    }

    /// Whether it may be repeated when nobody knows whether it ran.
    #[must_use]
    pub fn is_read(&self) -> bool {
        super::is_read(self.spec)
    }

    /// Whether the command is one that may be split.
    #[must_use]
    pub fn is_splittable(&self) -> bool {
        matches!(self.spec.fan_out, FanOut::Split(_))
    }

    /// The same request of nobody.
    #[must_use]
    pub fn copy_without_owner(&self) -> Self {
        Self {
            owner: Owner::Nobody,
            ..*self
        }
    }
}
