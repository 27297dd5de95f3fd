//! A session's transaction: what is queued, what is watched.

use slotilla_common::command::{self, Flags, Group, KeyPositions, Spec};
use slotilla_common::resp::ArgRange;
use slotilla_common::slot::Slot;
use smallvec::SmallVec;
use std::sync::atomic::Ordering;

use super::batch::{KeyAt, Request};
use super::client::{Client, NO_TRANSACTION};
use crate::commands::{Args, Handler, sort};
use crate::store::{Db, Store, Touched, Watched};

/// What MULTI and WATCH leave in a session.
#[derive(Debug, Default)]
pub struct Transaction {
    /// There from MULTI to EXEC or DISCARD.
    queue: Option<Box<Queue>>,
    watched: Vec<Watched>,
    watched_bytes: usize,
    /// There since the first WATCH.
    touched: Option<Touched>,
    /// EXEC runs its commands: none of them may wait.
    pub running: bool,
}

/// The commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub struct Queue {
    /// The arguments of all commands, one after the other, and where each is. A command's ranges
    /// count from its own first byte.
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
    commands: Vec<Queued>,
    /// Slots of the keys, each command's as they came.
    slots: Vec<Slot>,
    union: Union,
    /// A command could not be queued, so EXEC will refuse.
    aborted: bool,
}

/// What is true of any of the queued commands.
#[derive(Debug, Clone, Copy)]
pub struct Union {
    /// Changes data.
    pub write: bool,
    /// May change data or what replicas hear.
    pub may_replicate: bool,
    /// All of them may run on data that a primary may have changed.
    pub stale: bool,
    /// May need memory.
    pub denyoom: bool,
    /// Runs on a slot that is being imported.
    pub asking: bool,
    /// Works on shard channels.
    pub shard_pubsub: bool,
    /// Needs more than the slots of its keys.
    pub gate: bool,
}

/// One command that waits for EXEC.
#[derive(Debug, Clone, Copy)]
pub struct Queued {
    /// Its row of the table.
    pub spec: &'static Spec,
    /// What it does.
    pub handler: Handler,
    /// Its only key, when it has exactly one at a fixed place.
    pub key: Option<KeyAt>,
    /// Where its arguments begin and how many there are.
    bytes: usize,
    first_arg: usize,
    args: usize,
    /// Its slots among those of the queue.
    first_slot: usize,
    slots: usize,
}

impl Queued {
    /// Whether it has keys.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.slots > 0
    }
}

impl Transaction {
    /// Whether commands are queued rather than run: asked before each one.
    #[must_use]
    #[inline]
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// What is queued.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.as_deref()
    }

    /// MULTI; false if there has been one.
    pub fn open(&mut self, client: &Client) -> bool {
        let fresh = self.queue.is_none();
        if fresh {
            self.queue = Some(Box::default());
            self.publish(client);
        }
        fresh
    }

    /// Queues a command, unless EXEC will refuse anyway.
    pub fn push(
        &mut self,
        client: &Client,
        request: &Request,
        args: &Args<'_>,
        what: (&'static Spec, Handler),
    ) {
        let touched = self.is_touched();
        if let Some(queue) = self
            .queue
            .as_mut()
            .filter(|queue| !queue.aborted && !touched)
        {
            queue.push(request.key, args, what);
            self.publish(client);
        }
    }

    /// A command could not be queued.
    pub fn abort(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.aborted = true;
        }
    }

    /// Takes what is queued, for EXEC. CLIENT LIST shows it until [`Transaction::close`].
    pub fn take(&mut self) -> Option<Box<Queue>> {
        self.queue.take()
    }

    /// EXEC comes again: puts back what it took.
    pub fn put_back(&mut self, queue: Box<Queue>) {
        self.queue = Some(queue);
    }

    /// The end of EXEC, DISCARD, RESET: nothing is queued and nothing watched.
    pub fn close(&mut self, client: &Client, store: &Store) {
        self.queue = None;
        self.running = false;
        self.unwatch(client, store);
    }

    /// Watches a key, whose slot is locked.
    pub fn watch(&mut self, client: &Client, db: &mut Db<'_>, key: &[u8]) {
        let touched = self.touched.get_or_insert_with(|| client.touched());
        if let Some(watched) = db.watch(key, touched) {
            self.watched_bytes += watched.memory();
            self.watched.push(watched);
        }
        self.publish(client);
    }

    /// Whether a watched key has changed since.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        let touched = self.touched.as_ref();
        touched.is_some_and(|touched| touched.load(Ordering::Relaxed))
    }

    /// As [`Transaction::is_touched`], or its time has come. The slots must be locked.
    #[must_use]
    pub fn is_broken(&self, db: &Db<'_>) -> bool {
        let Some(touched) = &self.touched else {
            return false;
        };
        self.is_touched() || self.watched.iter().any(|key| db.has_expired(key, touched))
    }

    /// EXEC begins to run its commands: none of them may wait, and nothing is watched any longer.
    pub fn start(&mut self, client: &Client, store: &Store) {
        let shown = client.queued.load(Ordering::Relaxed);
        self.running = true;
        self.unwatch(client, store);
        client.queued.store(shown, Ordering::Relaxed);
    }

    /// Watches nothing any longer.
    pub fn unwatch(&mut self, client: &Client, store: &Store) {
        if let Some(touched) = &self.touched {
            for watched in self.watched.drain(..) {
                store.unwatch(&watched, touched);
            }
            // Nobody else can reach it now.
            touched.store(false, Ordering::Relaxed);
        }
        self.watched = Vec::new();
        self.watched_bytes = 0;
        self.publish(client);
    }

    /// Appends the slots of the watched keys.
    pub fn watched_slots(&self, out: &mut Vec<Slot>) {
        out.extend(self.watched.iter().map(Watched::slot));
    }

    /// Tells CLIENT LIST.
    fn publish(&self, client: &Client) {
        let queue = self.queue.as_ref();
        let commands = queue.map_or(NO_TRANSACTION, |queue| queue.commands.len());
        let bytes = self.watched_bytes + queue.map_or(0, |queue| queue.memory());
        client.queued.store(commands, Ordering::Relaxed);
        client.transaction_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the arguments that are queued: with those still to be parsed they must keep within
    /// `client-query-buffer-limit`.
    #[must_use]
    pub fn argument_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes.len())
    }
}

impl Queue {
    /// One command.
    #[must_use]
    pub fn of(key: Option<KeyAt>, args: &Args<'_>, what: (&'static Spec, Handler)) -> Self {
        let mut queue = Self::default();
        queue.push(key, args, what);
        queue
    }

    /// Adds a command.
    pub fn push(
        &mut self,
        key: Option<KeyAt>,
        args: &Args<'_>,
        (spec, handler): (&'static Spec, Handler),
    ) {
        let (bytes, first_arg, first_slot) =
            (self.bytes.len(), self.ranges.len(), self.slots.len());
        for arg in args.iter_from(0) {
            // A request has at most so many bytes that ranges can count them.
            let range = ArgRange::new(self.bytes.len() - bytes, arg.len());
            self.ranges.extend(range);
            self.bytes.extend_from_slice(arg);
        }
        match key {
            Some(key) => self.slots.push(key.slot),
            None => self
                .slots
                .extend(keys(spec, args).iter().map(|key| Slot::of_key(key))),
        }
        self.union.add(spec, args);
        self.commands.push(Queued {
            spec,
            handler,
            key,
            bytes,
            first_arg,
            args: args.len(),
            first_slot,
            slots: self.slots.len() - first_slot,
        });
    }

    /// How many commands there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// Command `index`.
    #[must_use]
    pub fn command(&self, index: usize) -> Option<&Queued> {
        self.commands.get(index)
    }

    /// The arguments of a command.
    #[must_use]
    pub fn args(&self, command: &Queued) -> Args<'_> {
        let bytes = self.bytes.get(command.bytes..).unwrap_or_default();
        let ranges = self.ranges.get(command.first_arg..);
        Args::new(
            bytes,
            ranges
                .and_then(|r| r.get(..command.args))
                .unwrap_or_default(),
        )
    }

    /// The slots of a command's keys, ascending, each once.
    #[must_use]
    pub fn slots_of(&self, command: &Queued) -> SmallVec<[Slot; 8]> {
        let slots = self.slots.get(command.first_slot..);
        let slots = slots.and_then(|slots| slots.get(..command.slots));
        let mut slots = SmallVec::from_slice(slots.unwrap_or_default());
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The slots of all keys, in the order in which they were named.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The keys of all commands.
    #[must_use]
    pub fn keys(&self) -> Vec<&[u8]> {
        let mut all = Vec::new();
        for command in &self.commands {
            let args = self.args(command);
            match command.key {
                Some(key) => all.push(args.get(key.arg)),
                None => all.extend(keys(command.spec, &args)),
            }
        }
        all
    }

    /// What is true of any of the commands.
    #[must_use]
    pub fn union(&self) -> Union {
        self.union
    }

    /// Whether EXEC will refuse.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.ranges.capacity() * size_of::<ArgRange>()
            + self.commands.capacity() * size_of::<Queued>()
            + self.slots.capacity() * size_of::<Slot>()
    }
}

/// The keys of a request, or none if it is no request of its command: the handler will say so.
fn keys<'a>(spec: &Spec, args: &Args<'a>) -> SmallVec<[&'a [u8]; 8]> {
    let mut positions = KeyPositions::new();
    if spec.keys.is_empty() || command::keys(spec, args, &mut positions).is_err() {
        return SmallVec::new();
    }
    positions.iter().map(|key| args.get(key.index)).collect()
}

impl Default for Union {
    fn default() -> Self {
        Self {
            write: false,
            may_replicate: false,
            stale: true,
            denyoom: false,
            asking: false,
            shard_pubsub: false,
            gate: false,
        }
    }
}

impl Union {
    fn add(&mut self, spec: &Spec, args: &Args<'_>) {
        let has = |flag| spec.flags.contains(flag);
        self.write |= has(Flags::WRITE);
        self.may_replicate |= has(Flags::WRITE) || has(Flags::MAY_REPLICATE);
        self.stale &= has(Flags::STALE);
        self.denyoom |= has(Flags::DENYOOM);
        self.asking |= has(Flags::ASKING);
        self.shard_pubsub |= spec.group == Group::Pubsub && !spec.keys.is_empty();
        self.gate |= needs_gate(spec, args);
    }
}

/// Whether a command works on more than the slots of its keys, so that a transaction that has it
/// runs at the gate. All commands without keys do, but for those that are known not to look at the
/// keyspace; and those whose keys cannot all be told from their arguments.
pub(crate) fn needs_gate(spec: &Spec, args: &Args<'_>) -> bool {
    if !spec.keys.is_empty() {
        return matches!(spec.name, "sort" | "sort_ro") && sort::may_need_other_keys(args);
    }
    !matches!(
        spec.name,
        "asking"
            | "auth"
            | "client|getname"
            | "client|getredir"
            | "client|id"
            | "client|info"
            | "client|list"
            | "client|reply"
            | "client|setname"
            | "echo"
            | "hello"
            | "ping"
            | "psubscribe"
            | "publish"
            | "pubsub|channels"
            | "pubsub|numpat"
            | "pubsub|numsub"
            | "pubsub|shardchannels"
            | "pubsub|shardnumsub"
            | "punsubscribe"
            | "readonly"
            | "readwrite"
            | "select"
            | "subscribe"
            | "time"
            | "unsubscribe"
            | "unwatch"
    )
}
