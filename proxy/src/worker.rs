//! One thread: its clients, its connections to nodes, its copy of the slot map.
//!
//! Everything a thread's tasks share is here, behind cells: the tasks of a thread never run at the
//! same time, and nothing is borrowed across an await. What clients and nodes have to be sent is
//! gathered during a turn of the event loop and written at its end, by one task that is woken
//! after all that were ready: so a node gets the requests of all clients in one write, with those
//! that clients answered in the same turn send next.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use slotilla_common::clock::{Monotonic, Tick};
use slotilla_common::resp::{ArgRange, Protocol};

use crate::downstream::{BufferPool, Client};
use crate::metrics::{Counters, Latencies};
use crate::policy::RetryQueue;
use crate::router::{Routes, SlotOfKey};
use crate::shared::Shared;
pub use crate::slotmap::NodeIndex;
use crate::slotmap::{Address, LocalMap};
use crate::upstream::{Upstream, UpstreamId};

/// Bytes that one read takes from a socket at most: the work of one connection in one turn.
pub const READ_BYTES: usize = 64 * 1024;

/// How often a turn looks for more requests, after it has answered clients, before it writes to
/// nodes: fewer and longer writes, for each of which a node wakes up, at the price of a look.
const LOOKS_BEFORE_UPSTREAMS: usize = 3;

/// The state of one thread.
pub struct Worker {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// What this thread counts.
    pub counters: Arc<Counters>,
    /// The clock.
    pub clock: Monotonic,
    now: Cell<Tick>,
    /// The slot map.
    pub map: RefCell<LocalMap>,
    upstreams: RefCell<Vec<Option<Rc<Upstream>>>>,
    /// The clients by id.
    pub clients: RefCell<HashMap<u64, Rc<Client>>>,
    turn: Turn,
    /// Requests that wait to be sent again.
    pub retries: RetryQueue,
    /// Buffers that no client needs just now.
    pub pool: RefCell<BufferPool>,
    /// Where sockets are read into.
    pub read_buffer: RefCell<Box<[u8]>>,
    /// Where requests are parsed into.
    pub args: RefCell<Vec<ArgRange>>,
    /// How long requests took.
    pub latencies: RefCell<Latencies>,
    /// How each command is routed.
    pub routes: Routes,
    /// Where the keys of a request that is split are sorted.
    pub slots_of_keys: RefCell<Vec<SlotOfKey>>,
    /// Clients that are not read because a node's queue is full.
    held_back: RefCell<Vec<Rc<Client>>>,
}

/// What is to be written at the end of the turn.
#[derive(Default)]
struct Turn {
    clients: RefCell<Vec<Rc<Client>>>,
    upstreams: RefCell<Vec<Rc<Upstream>>>,
    waker: RefCell<Option<Waker>>,
    is_due: Cell<bool>,
}

impl Worker {
    /// The state of a thread that is about to start.
    #[must_use]
    pub fn new(shared: Arc<Shared>, counters: Arc<Counters>) -> Rc<Self> {
        let clock = Monotonic::new();
        let now = clock.now();
        Rc::new(Self {
            shared,
            counters,
            now: Cell::new(now),
            clock,
            map: RefCell::default(),
            upstreams: RefCell::default(),
            clients: RefCell::default(),
            turn: Turn::default(),
            retries: RetryQueue::default(),
            pool: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            args: RefCell::default(),
            latencies: RefCell::default(),
            routes: Routes::new(),
            slots_of_keys: RefCell::default(),
            held_back: RefCell::default(),
        })
    }

    /// The time at which the current event came.
    #[inline]
    pub fn now(&self) -> Tick {
        self.now.get()
    }

    /// Reads the clock: an event came.
    #[inline]
    pub fn event(&self) {
        self.now.set(self.clock.now());
    }

    /// Time since `start`.
    pub fn since(&self, start: Tick) -> Duration {
        Duration::from_nanos(self.clock.nanos_between(start, self.now()))
    }

    /// The tick that is `time` from now.
    pub fn after(&self, time: Duration) -> Tick {
        self.clock.later(self.now(), time)
    }

    /// The number of the connection to `node` in `protocol`.
    #[must_use]
    #[inline]
    pub fn upstream_id(node: NodeIndex, protocol: Protocol) -> UpstreamId {
        let resp3 = u16::from(protocol == Protocol::Resp3);
        UpstreamId(node.wrapping_mul(2).wrapping_add(resp3))
    }

    /// The connection to `node`, made anew if there is none. `None` if nothing is known of the
    /// node.
    pub fn upstream(&self, node: NodeIndex, protocol: Protocol) -> Option<Rc<Upstream>> {
        let id = Self::upstream_id(node, protocol);
        let place = usize::from(id.0);
        let mut upstreams = self.upstreams.borrow_mut();
        if let Some(Some(upstream)) = upstreams.get(place) {
            return Some(Rc::clone(upstream));
        }
        let address = self.map.borrow().address(node)?.clone();
        if upstreams.len() <= place {
            upstreams.resize(place + 1, None);
        }
        let upstream = Rc::new(Upstream::new(id, node, address, protocol, self.now()));
        if let Some(entry) = upstreams.get_mut(place) {
            *entry = Some(Rc::clone(&upstream));
        }
        Some(upstream)
    }

    /// All connections there ever were and still may be.
    pub fn all_upstreams(&self) -> Vec<Rc<Upstream>> {
        self.upstreams.borrow().iter().flatten().cloned().collect()
    }

    /// Whether any connection to `node` has work.
    fn is_busy(&self, node: NodeIndex) -> bool {
        [Protocol::Resp2, Protocol::Resp3].into_iter().any(|p| {
            let place = usize::from(Self::upstream_id(node, p).0);
            let upstreams = self.upstreams.borrow();
            matches!(upstreams.get(place), Some(Some(upstream)) if upstream.is_busy())
        })
    }

    /// The node at `address`. A place in the list that is reused loses its idle connections.
    pub fn node(&self, address: &Address) -> Option<NodeIndex> {
        let node = self
            .map
            .borrow_mut()
            .node(address, |node| self.is_busy(node))?;
        self.forget_stale_upstreams();
        Some(node)
    }

    /// Drops connections whose place in the list of nodes now belongs to another address.
    pub fn forget_stale_upstreams(&self) {
        let map = self.map.borrow();
        for entry in self.upstreams.borrow_mut().iter_mut() {
            let is_stale = entry
                .as_ref()
                .is_some_and(|upstream| map.address(upstream.node) != Some(&upstream.address));
            if is_stale && let Some(upstream) = entry.take() {
                upstream.close();
            }
        }
    }

    /// Takes over the map that all threads share.
    pub fn take_over_map(&self) {
        self.event();
        let map = self.shared.map.load_full();
        let until = self.unstable_until();
        self.map
            .borrow_mut()
            .take_over(&map, until, |node| self.is_busy(node));
        self.forget_stale_upstreams();
        self.retries.hurry(self.now());
    }

    /// Until when a slot that changes now counts as changing: every request that was out then
    /// is over by that time.
    pub fn unstable_until(&self) -> Tick {
        self.after(self.shared.config.request_timeout * 2)
    }

    /// Writes `client`'s replies at the end of this turn.
    #[inline]
    pub fn write_client(&self, client: &Rc<Client>) {
        if !client.is_due.replace(true) {
            self.turn.clients.borrow_mut().push(Rc::clone(client));
            self.end_turn();
        }
    }

    /// Writes to the node at the end of this turn.
    #[inline]
    pub fn write_upstream(&self, upstream: &Rc<Upstream>) {
        if !upstream.is_due.replace(true) {
            self.turn.upstreams.borrow_mut().push(Rc::clone(upstream));
            self.end_turn();
        }
    }

    #[inline]
    fn end_turn(&self) {
        if !self.turn.is_due.replace(true)
            && let Some(waker) = self.turn.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// The task that writes at the end of each turn.
    pub async fn write_at_end_of_turns(self: Rc<Self>) {
        loop {
            self.anything_due().await;
            // Clients come first: those that are answered send their next request at once, and
            // it leaves with what already waits for a node.
            for _ in 0..LOOKS_BEFORE_UPSTREAMS {
                let has_answered = self.write_clients();
                if !has_answered || self.turn.upstreams.borrow().is_empty() {
                    break;
                }
                // Sockets are looked at, and the tasks that this wakes run, before it goes on.
                tokio::task::yield_now().await;
            }
            self.turn.is_due.set(false);
            self.write_clients();
            self.write_upstreams();
        }
    }

    /// Waits until a client or a node has to be written to. What becomes due from then on wakes
    /// nobody until the turn is over.
    async fn anything_due(&self) {
        poll_fn(|cx| {
            self.turn
                .waker
                .borrow_mut()
                .get_or_insert_with(|| cx.waker().clone());
            if self.turn.is_due.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Writes to the clients that are due; whether there were any.
    fn write_clients(self: &Rc<Self>) -> bool {
        let mut clients = self.turn.clients.take();
        let has_any = !clients.is_empty();
        for client in clients.drain(..) {
            client.is_due.set(false);
            client.write(self);
        }
        keep_room(&self.turn.clients, clients);
        has_any
    }

    fn write_upstreams(self: &Rc<Self>) {
        let mut upstreams = self.turn.upstreams.take();
        for upstream in upstreams.drain(..) {
            upstream.is_due.set(false);
            upstream.write(self);
        }
        keep_room(&self.turn.upstreams, upstreams);
    }

    /// Has `client` read again once some node's queue has room.
    pub fn hold_back(&self, client: &Rc<Client>) {
        self.held_back.borrow_mut().push(Rc::clone(client));
    }

    /// Lets the clients that were held back try again if `upstream` has room now.
    #[inline]
    pub fn made_room(&self, upstream: &Upstream) {
        if !self.held_back.borrow().is_empty()
            && !upstream.is_full(self.shared.config.upstream_queue_max / 2)
        {
            self.release_held_back();
        }
    }

    /// Lets the clients that were held back try again.
    pub fn release_held_back(&self) {
        for client in self.held_back.take() {
            client.wake();
        }
    }

    /// What is due many times a second: deadlines, slots that have come to rest.
    pub fn tick(self: &Rc<Self>) {
        self.event();
        self.map.borrow_mut().settle(self.now());
        for upstream in self.all_upstreams() {
            upstream.check_deadlines(self);
        }
        self.release_held_back();
    }

    /// Closes clients that have been silent for longer than the timeout key allows.
    pub fn close_silent_clients(&self) {
        let timeout = self.shared.config.timeout;
        if timeout > 0 {
            for client in self.clients.borrow().values() {
                if client.is_idle() && self.since(client.last_active.get()).as_secs() >= timeout {
                    client.close();
                }
            }
        }
    }
}

/// Gives an emptied list its room back, unless it has got new entries meanwhile.
fn keep_room<T>(list: &RefCell<Vec<T>>, emptied: Vec<T>) {
    let mut list = list.borrow_mut();
    if list.is_empty() {
        *list = emptied;
    }
}
