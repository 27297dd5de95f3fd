//! The cluster thread's loop: events to the core, the core's actions to the world.

use super::links::{self, LinkTasks, Overflow};
use super::writer::Writer;
use super::{Host, Settings, Shared};
use crate::cluster::action::{Action, Command, CommandReply, LinkEvent, Ticket};
use crate::cluster::link::LinkId;
use crate::cluster::nodes_conf::NodesConf;
use crate::cluster::outbox::{Outbox, SaveNumber};
use crate::cluster::publish::Post;
use crate::cluster::routing::Serving;
use crate::cluster::state::{Core, TICK_MS};
use bytes::Bytes;
use slotilla_common::bus::IpText;
use slotilla_common::clock;
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How many connections of strangers are kept. At the limit the oldest goes: a node that is
/// really there dials again.
const STRANGERS_MAX: usize = if cfg!(test) { 64 } else { 1024 };

/// What the driver waits for.
pub(super) enum Event {
    Accepted(TcpStream, SocketAddr),
    Connected(LinkId, TcpStream),
    Closed(LinkId),
    Frame(LinkId, Bytes),
    Saved(SaveNumber),
    SaveFailed(String),
}

/// A CLUSTER command of a client.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<CommandReply>,
}

/// What comes to the driver.
pub(super) struct Inboxes {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) posts: mpsc::Receiver<Post>,
}

/// Messages of clients that are sent before the next event is looked at.
const POSTS_PER_TURN: usize = 32;

pub(super) struct Driver {
    core: Core,
    outbox: Outbox,
    writer: Writer,
    settings: Box<dyn Fn() -> Settings + Send>,
    link_sendbuf_limit: usize,
    host: Arc<dyn Host>,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    links: BTreeMap<LinkId, LinkTasks>,
    dials: BTreeMap<LinkId, AbortHandle>,
    clients: BTreeMap<Ticket, oneshot::Sender<CommandReply>>,
    last_ticket: u64,
    start_unix_ms: i64,
    start: Instant,
}

impl Driver {
    pub(super) fn new(
        conf: Option<&NodesConf>,
        settings: Box<dyn Fn() -> Settings + Send>,
        host: Arc<dyn Host>,
        shared: Arc<Shared>,
        writer: Writer,
        events: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let now_ms = clock::unix_ms();
        let Settings {
            options,
            link_sendbuf_limit,
        } = settings();
        let seed = u64::from_ne_bytes(random()?);
        let core = match conf {
            Some(conf) => Core::restore(options, conf, seed, now_ms),
            None => Core::new(options, NodeId::from_random(random()?), seed, now_ms),
        };
        let id = core.id();
        match conf {
            Some(conf) => tracing::info!(node = %id, known = conf.nodes.len(), "Read nodes.conf"),
            None => tracing::info!(node = %id, "No nodes.conf: a new cluster node"),
        }
        Ok(Self {
            core,
            outbox: Outbox::default(),
            writer,
            settings,
            link_sendbuf_limit,
            host,
            shared,
            events,
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            clients: BTreeMap::new(),
            last_ticket: 0,
            start_unix_ms: now_ms,
            start: Instant::now(),
        })
    }

    /// Sets the slots, publishes the first view, saves the node's name.
    pub(super) fn start(&mut self) {
        let actions = self.core.start(self.now_ms());
        self.carry_out(actions);
    }

    /// Wall-clock time at the start, and from then on as it really passes: a clock that is set
    /// while the node runs makes no node look silent.
    fn now_ms(&self) -> i64 {
        let passed_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.start_unix_ms.saturating_add(passed_ms)
    }

    pub(super) async fn run(
        mut self,
        listeners: Vec<TcpListener>,
        mut inboxes: Inboxes,
        shutdown: CancellationToken,
    ) {
        for listener in listeners {
            tokio::spawn(links::accept(listener, self.events.clone()));
        }
        let period = Duration::from_millis(TICK_MS.unsigned_abs());
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The clock first: no flood of events may stop it.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => self.tick(),
                Some(event) = inboxes.events.recv() => {
                    self.on_event(event);
                    // Events may come without a break, and messages must not wait for one.
                    self.publish_some(&mut inboxes.posts);
                }
                request = inboxes.requests.recv() => match request {
                    Some(request) => self.on_request(request),
                    None => break,
                },
                Some(post) = inboxes.posts.recv() => {
                    self.publish(&post);
                    self.publish_some(&mut inboxes.posts);
                }
            }
        }
        drop(inboxes);
        self.writer.stop();
    }

    fn tick(&mut self) {
        let Settings {
            options,
            link_sendbuf_limit,
        } = (self.settings)();
        self.core.set_options(options);
        self.link_sendbuf_limit = link_sendbuf_limit;
        self.writer.watch();
        let actions = self.core.tick(self.now_ms());
        self.carry_out(actions);
    }

    fn on_event(&mut self, event: Event) {
        let now_ms = self.now_ms();
        let actions = match event {
            Event::Accepted(stream, peer) => {
                self.limit_strangers();
                let local = links::ip_text(stream.local_addr());
                let id = self.core.accept(links::ip_text(Ok(peer)), local, now_ms);
                self.open(id, stream);
                Vec::new()
            }
            Event::Connected(id, stream) => {
                // A dial that the core has given up meanwhile.
                if self.dials.remove(&id).is_none() {
                    return;
                }
                let local = links::ip_text(stream.local_addr());
                self.open(id, stream);
                let event = LinkEvent::Connected { local };
                self.core.on_link_event(id, event, now_ms)
            }
            Event::Closed(id) => {
                self.forget(id);
                self.core.on_link_event(id, LinkEvent::Closed, now_ms)
            }
            Event::Frame(id, frame) => {
                let actions = self.core.on_frame(id, &frame, now_ms);
                // From now on it may send long frames.
                if let Some(link) = self.links.get(&id)
                    && !link.is_known()
                    && self.core.is_known(id)
                {
                    link.set_known();
                }
                actions
            }
            Event::Saved(number) => {
                let ready = self.outbox.saved(number);
                self.act(ready);
                return;
            }
            Event::SaveFailed(error) => {
                let told = self.outbox.failed(&error);
                self.act(told);
                return;
            }
        };
        self.carry_out(actions);
    }

    /// Sends what clients have published, for one turn.
    fn publish_some(&mut self, posts: &mut mpsc::Receiver<Post>) {
        for _ in 0..POSTS_PER_TURN {
            match posts.try_recv() {
                Ok(post) => self.publish(&post),
                Err(_) => return,
            }
        }
    }

    fn publish(&mut self, post: &Post) {
        let posted = &self.shared.posted_bytes;
        posted.fetch_sub(post.bytes(), Ordering::Relaxed);
        let actions = self.core.publish(post, self.now_ms());
        self.carry_out(actions);
    }

    fn on_request(&mut self, request: Request) {
        // Only this thread has slots served. So none is again, whatever was asked before or at the
        // same time, until the core has carried the command out.
        if let Some(refusal) = request.command.refusal_with_keys()
            && !self.host.withdraw_if_empty()
        {
            // A client that has gone does not hear it.
            drop(request.reply.send(Err(refusal.to_owned())));
            return;
        }
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        self.clients.insert(ticket, request.reply);
        let now_ms = self.now_ms();
        let actions = self.core.on_command(ticket, request.command, now_ms);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let batch = self.outbox.push(actions);
        if let Some(number) = batch.save {
            self.writer.save(number, self.core.nodes_conf());
        }
        self.act(batch.now);
    }

    fn act(&mut self, actions: Vec<Action>) {
        // A slot that is gained is served before the view names us its owner, and one that is
        // lost until the view names the new one: a redirect never names this node.
        for action in &actions {
            if let Action::SetServing(changes) = action {
                self.set_serving(changes, true);
            }
        }
        for action in actions {
            match action {
                Action::Dial { link, ip, cport } => self.dial(link, ip, cport),
                Action::Send { link, frame } => self.send(link, frame),
                Action::Relay { link, frame } => self.relay(link, frame),
                Action::Deliver(post) => self.host.deliver(&post),
                Action::Close { link } => self.forget(link),
                Action::SetServing(changes) => self.set_serving(&changes, false),
                Action::DropKeys(slots) => self.host.drop_keys(&slots),
                Action::SetCondition(condition) => self.host.set_condition(condition),
                Action::Publish(view) => self.shared.view.store(view),
                Action::Reply { ticket, reply } => {
                    if let Some(client) = self.clients.remove(&ticket) {
                        // A client that has gone does not hear it.
                        drop(client.send(reply));
                    }
                }
                // The outbox has taken these.
                Action::Save { .. } => {}
            }
        }
    }

    fn set_serving(&self, changes: &[(Slot, Serving)], gained: bool) {
        for (slot, serving) in changes {
            let is_served = matches!(serving, Serving::Ours | Serving::Migrating);
            if is_served == gained {
                self.host.set_serving(*slot, *serving);
            }
        }
    }

    fn dial(&mut self, id: LinkId, ip: IpText, cport: u16) {
        let patience_ms = self.core.options().node_timeout_ms.max(1000).unsigned_abs();
        let patience = Duration::from_millis(patience_ms);
        let task = links::dial(id, ip, cport, patience, self.events.clone());
        self.dials.insert(id, task);
    }

    fn open(&mut self, id: LinkId, stream: TcpStream) {
        // A ping is small and wants to leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(link = id.0, %error, "TCP_NODELAY");
        }
        let tasks = LinkTasks::start(id, stream, &self.events);
        self.shared.queues.lock().insert(id, tasks.queued());
        self.links.insert(id, tasks);
    }

    fn forget(&mut self, id: LinkId) {
        if let Some(dial) = self.dials.remove(&id) {
            dial.abort();
        }
        if self.links.remove(&id).is_some() {
            self.shared.queues.lock().remove(&id);
        }
    }

    fn send(&mut self, id: LinkId, frame: Bytes) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        if let Err(Overflow) = link.send(frame, self.link_sendbuf_limit) {
            tracing::warn!(link = id.0, "Cluster link closed: its peer does not read");
            self.forget(id);
            let actions = self
                .core
                .on_link_event(id, LinkEvent::Overflowed, self.now_ms());
            self.carry_out(actions);
        }
    }

    fn relay(&mut self, id: LinkId, frame: Bytes) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        if link.has_room(frame.len(), self.link_sendbuf_limit) {
            self.send(id, frame);
        } else {
            self.shared.posts_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn limit_strangers(&mut self) {
        let mut strangers = self.links.iter().filter(|(_, link)| !link.is_known());
        let oldest = strangers.next().map(|(id, _)| *id);
        if let Some(oldest) = oldest.filter(|_| strangers.count() >= STRANGERS_MAX) {
            self.forget(oldest);
            let now_ms = self.now_ms();
            let actions = self.core.on_link_event(oldest, LinkEvent::Closed, now_ms);
            self.carry_out(actions);
        }
    }
}

/// Bytes from the system's generator. Names of nodes must differ across a cluster that was
/// started at one moment from one image.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
