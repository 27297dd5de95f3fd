//! The core: nodes, slots and epochs, and what happens every 100 ms.
//!
//! It holds no socket, reads no clock and draws no randomness but from the seed that it was
//! given: links, times and commands come in, [`Action`]s go out.

use super::action::{Action, CommandReply, Options, Ticket};
use super::gossip::Blacklist;
use super::health::Judge;
use super::link::{Link, LinkId};
use super::node::{Address, Node, NodeKey, NodeTable};
use super::ownership::Slots;
use super::view::{Stats, View};
use slotilla_common::bus::{Body, Header, Kind, MessageFlags, NodeFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot_set::SlotSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often [`Core::tick`] is to be called.
pub const TICK_MS: i64 = 100;

/// A node's part in the cluster, as a state machine.
#[derive(Debug)]
pub struct Core {
    pub(super) options: Options,
    pub(super) nodes: NodeTable,
    pub(super) myself: NodeKey,
    pub(super) slots: Slots,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) last_link: u64,
    /// The greatest epoch seen anywhere.
    pub(super) current_epoch: u64,
    /// The epoch of the last vote given.
    pub(super) last_vote_epoch: u64,
    pub(super) judge: Judge,
    pub(super) blacklist: Blacklist,
    pub(super) stats: Stats,
    /// Our replication offset, for the header.
    pub(super) offset: u64,
    pub(super) now_ms: i64,
    pub(super) rng: fastrand::Rng,
    ticks: u64,
    pub(super) out: Vec<Action>,
    replies: Vec<(Ticket, CommandReply)>,
    /// Something changed that nodes.conf holds and that may be written with the next tick.
    is_save_due: bool,
    /// Something that the view shows changed, but no redirect depends on it.
    pub(super) is_view_stale: bool,
    /// Owners, addresses or roles changed: readers must see it at once.
    pub(super) is_topology_stale: bool,
    /// A tick is ending: what is stale in the view, but not urgent, is brought up to date.
    is_refresh_due: bool,
    pub(super) view: Arc<View>,
}

impl Core {
    /// A node that knows nobody, under the name `id`.
    #[must_use]
    pub fn new(options: Options, id: NodeId, seed: u64, now_ms: i64) -> Self {
        let mut nodes = NodeTable::default();
        let flags = NodeFlags::MYSELF.with(NodeFlags::PRIMARY);
        let myself = nodes.insert(Node::new(id, flags, Address::default(), now_ms));
        let mut core = Self {
            options,
            nodes,
            myself,
            slots: Slots::default(),
            links: BTreeMap::new(),
            last_link: 0,
            current_epoch: 0,
            last_vote_epoch: 0,
            judge: Judge::default(),
            blacklist: Blacklist::default(),
            stats: Stats::default(),
            offset: 0,
            now_ms,
            rng: fastrand::Rng::with_seed(seed),
            ticks: 0,
            out: Vec::new(),
            replies: Vec::new(),
            is_save_due: false,
            is_view_stale: false,
            is_topology_stale: true,
            is_refresh_due: false,
            view: Arc::default(),
        };
        core.announce();
        core
    }

    /// To be called once, before anything else: what the slots must be set to, and the first
    /// view.
    pub fn start(&mut self, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        if self.me().slot_count() > 0 {
            self.judge.start(now_ms);
        }
        self.save(true);
        self.out
            .push(Action::SetCondition(self.judge.condition(&self.options)));
        self.finish()
    }

    /// What happens every [`TICK_MS`].
    pub fn tick(&mut self, now_ms: i64) -> Vec<Action> {
        self.now_ms = now_ms;
        self.ticks = self.ticks.wrapping_add(1);
        self.announce();
        for key in self.nodes.keys() {
            self.keep_link(key);
        }
        if self.ticks.is_multiple_of(10) {
            self.ping_somebody();
            self.close_silent_links();
            self.drop_old_reports();
        }
        self.watch_nodes();
        self.judge_cluster();
        if std::mem::take(&mut self.is_save_due) {
            self.out.push(Action::Save {
                must_be_durable: false,
            });
        }
        self.is_refresh_due = self.is_view_stale;
        self.finish()
    }

    /// The directives have changed.
    pub fn set_options(&mut self, options: Options) {
        if self.options != options {
            self.options = options;
            self.announce();
        }
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// This node's name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.me().id
    }

    pub(super) fn me(&self) -> &Node {
        const NOBODY: &Node = &Node::new(NodeId::ZERO, NodeFlags::NONE, Address::NONE, 0);
        // Nothing removes `myself`; without it nothing below would have an effect.
        self.nodes.get(self.myself).unwrap_or(NOBODY)
    }

    /// The primary of this node's shard: itself, or the one that it follows.
    pub(super) fn my_primary(&self) -> NodeKey {
        let me = self.me();
        if me.is_primary() {
            return self.myself;
        }
        me.primary
            .and_then(|id| self.nodes.key_of(id))
            .unwrap_or(self.myself)
    }

    /// Brings what we say of ourselves in line with the directives.
    fn announce(&mut self) {
        let Some(me) = self.nodes.get_mut(self.myself) else {
            return;
        };
        let options = &self.options;
        let mut address = Address {
            ip: me.address.ip,
            port: options.port,
            cport: options.cport,
            other_port: options.other_port,
        };
        if !options.announce_ip.is_empty() {
            address.ip = options.announce_ip;
        }
        let mut flags = me.flags.without(NodeFlags::NOFAILOVER);
        if options.replica_no_failover {
            flags.set(NodeFlags::NOFAILOVER);
        }
        if me.address == address && me.flags == flags && me.hostname == options.announce_hostname {
            return;
        }
        me.address = address;
        me.flags = flags;
        me.hostname.clone_from(&options.announce_hostname);
        self.save_soon();
    }

    /// Dials a node that has no link, and gives up on one that does not finish its handshake.
    fn keep_link(&mut self, key: NodeKey) {
        let Some(node) = self.nodes.get(key) else {
            return;
        };
        if node.is(NodeFlags::MYSELF.with(NodeFlags::NOADDR)) {
            return;
        }
        let patience_ms = self.options.node_timeout_ms.max(1000);
        let age_ms = self.now_ms.saturating_sub(node.created_ms);
        if node.is(NodeFlags::HANDSHAKE) && age_ms > patience_ms {
            self.remove_node(key);
        } else if node.link.is_none() {
            self.dial(key);
        }
    }

    /// Pings, of five nodes drawn at random, the one that has been silent longest.
    fn ping_somebody(&mut self) {
        let strangers = NodeFlags::MYSELF.with(NodeFlags::HANDSHAKE);
        let oldest = (0..5)
            .filter_map(|_| self.nodes.random(&mut self.rng))
            .filter_map(|key| Some((key, self.nodes.get(key)?)))
            .filter(|(_, node)| !node.is(strangers) && node.ping_sent_ms == 0)
            .filter_map(|(_, node)| Some((node.pong_received_ms, node.link?)))
            .min();
        if let Some((_, link)) = oldest {
            self.send_ping(link, Kind::Ping);
        }
    }

    /// Pings who has been silent for half the timeout, drops links that do not answer, and
    /// notes who may be failing.
    fn watch_nodes(&mut self) {
        let timeout_ms = self.options.node_timeout_ms;
        let half_ms = timeout_ms / 2;
        let now_ms = self.now_ms;
        let ignored = NodeFlags::MYSELF
            .with(NodeFlags::NOADDR)
            .with(NodeFlags::HANDSHAKE);
        for key in self.nodes.keys() {
            let Some(node) = self.nodes.get(key).filter(|node| !node.is(ignored)) else {
                continue;
            };
            let since = |time_ms: i64| now_ms.saturating_sub(time_ms);
            let pings_for_ms = since(node.ping_sent_ms);
            let silent_for_ms = since(node.data_received_ms);
            let waits = node.ping_sent_ms != 0;
            let link = node
                .link
                .and_then(|id| Some((id, self.links.get(&id)?.created_ms)));
            if let Some((id, created_ms)) = link {
                // The connection may be broken without anyone having told us.
                if waits
                    && since(created_ms) > timeout_ms
                    && pings_for_ms > half_ms
                    && silent_for_ms > half_ms
                {
                    self.close(id);
                } else if !waits && since(node.pong_received_ms) > half_ms {
                    self.send_ping(id, Kind::Ping);
                    continue;
                }
            }
            if waits && pings_for_ms.min(silent_for_ms) > timeout_ms {
                self.suspect(key);
            }
        }
    }

    /// Forgets a node: its slots, its links, what it said of others.
    pub(super) fn remove_node(&mut self, key: NodeKey) {
        let Some(node) = self.nodes.get(key) else {
            return;
        };
        let id = node.id;
        let links = [node.link, node.inbound];
        self.slots.forget(key);
        links
            .into_iter()
            .flatten()
            .for_each(|link| self.close(link));
        self.nodes.remove(key);
        for (_, other) in self.nodes.iter_mut() {
            other.fail_reports.retain(|(reporter, _)| *reporter != id);
            other.primary = other.primary.filter(|primary| *primary != id);
        }
        self.is_topology_stale = true;
        self.save_soon();
    }

    /// What every message says of us. A replica speaks of its primary's slots and epoch.
    pub(super) fn header(&self, body: &Body<'_>) -> Header {
        let me = self.me();
        let primary = self.nodes.get(self.my_primary());
        let config_epoch = primary.map_or(me.config_epoch, |primary| primary.config_epoch);
        let has_extensions = body
            .gossip()
            .is_some_and(|gossip| !gossip.extensions.is_empty());
        Header {
            sender: me.id,
            port: self.options.port,
            other_port: self.options.other_port,
            cport: self.options.cport,
            ip: self.options.announce_ip,
            flags: me.flags,
            current_epoch: self.current_epoch,
            config_epoch,
            offset: self.offset,
            slots: primary.map(Node::slots).unwrap_or_default(),
            replica_of: me.primary.filter(|_| !me.is_primary()),
            is_down: !self.judge.is_up(),
            message_flags: if has_extensions {
                MessageFlags::EXT_DATA
            } else {
                MessageFlags::default()
            },
        }
    }

    /// All slots that `id` owns, by our view.
    #[must_use]
    pub fn slots_of(&self, id: NodeId) -> SlotSet {
        self.nodes.by_id(id).map(Node::slots).unwrap_or_default()
    }

    /// Asks for nodes.conf to be written: durably before anything more is said to anybody, or
    /// soon.
    pub(super) fn save(&mut self, must_be_durable: bool) {
        self.is_save_due = false;
        self.out.push(Action::Save { must_be_durable });
        self.is_view_stale = true;
    }

    pub(super) fn save_soon(&mut self) {
        self.is_save_due = true;
        self.is_view_stale = true;
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: CommandReply) {
        self.replies.push((ticket, reply));
    }

    /// Ends an event: what it did to slots and to the view, then the replies, so that whoever
    /// reads a reply finds what it says done.
    pub(super) fn finish(&mut self) -> Vec<Action> {
        let changed = self.slots.take_changes(self.myself, self.my_primary());
        let has_changes = !changed.is_empty();
        if self.is_topology_stale || has_changes || self.is_refresh_due {
            for (_, node) in self.nodes.iter_mut() {
                node.keep_ranges();
            }
            let view = if self.is_topology_stale || has_changes {
                self.make_view()
            } else {
                self.refresh_view()
            };
            self.view = Arc::new(view);
            self.is_topology_stale = false;
            self.is_view_stale = false;
            self.is_refresh_due = false;
            self.out.push(Action::Publish(Arc::clone(&self.view)));
        }
        if has_changes {
            self.out.push(Action::SetServing(changed));
        }
        for (ticket, reply) in self.replies.drain(..) {
            self.out.push(Action::Reply { ticket, reply });
        }
        std::mem::take(&mut self.out)
    }
}
