//! Many cluster cores on one virtual network, disk and clock, all from one seed.
//!
//! Links are streams, as TCP's are: frames arrive in order or the link breaks. A cut hides
//! nodes from each other without telling them. Disks take their time, and a crash loses
//! whatever was not on them.

use slotilla_common::bus::{IpText, Message};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_node::cluster::nodes_conf::NodesConf;
use slotilla_node::cluster::outbox::{Outbox, SaveNumber};
use slotilla_node::cluster::routing::{Condition, Serving};
use slotilla_node::cluster::{
    Action, Command, CommandReply, Core, LinkEvent, LinkId, Options, TICK_MS, Ticket, View,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the network and the disks behave.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// Of a thousand frames, how many break their link instead of arriving.
    pub(crate) break_permille: u32,
    /// The longest a frame travels.
    pub(crate) delay_ms_max: i64,
    /// The longest a write of nodes.conf takes.
    pub(crate) disk_ms_max: i64,
}

impl Weather {
    pub(crate) const FINE: Self = Self {
        break_permille: 0,
        delay_ms_max: 2,
        disk_ms_max: 5,
    };
    pub(crate) const FOUL: Self = Self {
        break_permille: 20,
        delay_ms_max: 80,
        disk_ms_max: 300,
    };
}

/// One machine: what is lost when it crashes, and what is not.
pub(crate) struct Machine {
    pub(crate) core: Option<Core>,
    pub(crate) view: Arc<View>,
    pub(crate) condition: Condition,
    pub(crate) serving: Vec<Serving>,
    pub(crate) disk: Option<String>,
    pub(crate) replies: BTreeMap<Ticket, CommandReply>,
    outbox: Outbox,
    /// Where each of its links ends.
    links: BTreeMap<LinkId, (usize, LinkId)>,
    /// Distinguishes the lives of a machine, so that nothing of an earlier one reaches it.
    life: u32,
}

enum Event {
    Tick,
    Dialled {
        by: usize,
        by_life: u32,
        by_link: LinkId,
    },
    DialFailed(LinkId),
    Connected(LinkId),
    Frame(LinkId, Vec<u8>),
    Closed(LinkId),
    OnDisk(SaveNumber, String),
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now_ms: i64,
    pub(crate) weather: Weather,
    pub(crate) machines: Vec<Machine>,
    /// Machines of different groups do not hear each other.
    pub(crate) groups: Vec<u8>,
    rng: fastrand::Rng,
    events: BTreeMap<(i64, u64), (usize, u32, Event)>,
    last_event: u64,
    /// When the last frame of a link arrives, so that none overtakes it.
    arrivals: BTreeMap<(usize, LinkId), i64>,
    last_ticket: u64,
    /// The greatest config epoch that each node has told anybody.
    told: BTreeMap<NodeId, u64>,
}

const START_MS: i64 = 1_700_000_000_000;
const BUS_PORT: u16 = 16_379;

pub(crate) fn ip_of(machine: usize) -> IpText {
    IpText::new(&format!("10.0.{}.{}", machine / 250, machine % 250 + 1)).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, machines: usize, weather: Weather) -> Self {
        let mut world = Self {
            seed,
            now_ms: START_MS,
            weather,
            machines: Vec::new(),
            groups: vec![0; machines],
            rng: fastrand::Rng::with_seed(seed),
            events: BTreeMap::new(),
            last_event: 0,
            arrivals: BTreeMap::new(),
            last_ticket: 0,
            told: BTreeMap::new(),
        };
        for machine in 0..machines {
            world.machines.push(Machine {
                core: None,
                view: Arc::default(),
                condition: Condition::Down,
                serving: vec![Serving::Unassigned; usize::from(Slot::COUNT)],
                disk: None,
                replies: BTreeMap::new(),
                outbox: Outbox::default(),
                links: BTreeMap::new(),
                life: 0,
            });
            world.start(machine);
        }
        world
    }

    pub(crate) fn options() -> Options {
        Options {
            node_timeout_ms: 2000,
            ..Options::default()
        }
    }

    /// Starts a machine from its disk, or as a new node if there is nothing on it.
    pub(crate) fn start(&mut self, index: usize) {
        let seed = self.rng.u64(..);
        let mut random = [0; 20];
        self.rng.fill(&mut random);
        let now_ms = self.now_ms;
        let machine = &mut self.machines[index];
        assert!(machine.core.is_none(), "a running machine is not started");
        let mut core = match &machine.disk {
            Some(disk) => {
                let conf = NodesConf::parse(disk.as_bytes()).unwrap();
                Core::restore(Self::options(), &conf, seed, now_ms)
            }
            None => Core::new(Self::options(), NodeId::from_random(random), seed, now_ms),
        };
        let actions = core.start(now_ms);
        machine.core = Some(core);
        self.carry_out(index, actions);
        self.check(index);
        let jitter_ms = self.rng.i64(0..TICK_MS);
        self.schedule(jitter_ms, index, Event::Tick);
    }

    /// Kills a machine: what was not on its disk is gone, and its peers' links break.
    pub(crate) fn crash(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.core = None;
        machine.life += 1;
        machine.outbox = Outbox::default();
        let links = std::mem::take(&mut machine.links);
        for (peer, link) in links.into_values() {
            self.schedule(1, peer, Event::Closed(link));
        }
    }

    pub(crate) fn core(&self, index: usize) -> &Core {
        self.machines[index].core.as_ref().unwrap()
    }

    pub(crate) fn id(&self, index: usize) -> NodeId {
        self.core(index).id()
    }

    /// Gives a command and returns at once; the reply comes once what it says is durable.
    pub(crate) fn command(&mut self, index: usize, command: Command) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let now_ms = self.now_ms;
        let core = self.machines[index].core.as_mut().unwrap();
        let actions = core.on_command(ticket, command, now_ms);
        self.carry_out(index, actions);
        ticket
    }

    pub(crate) fn meet(&mut self, index: usize, other: usize) {
        let command = Command::Meet {
            ip: ip_of(other).to_string(),
            port: 6379,
            cport: None,
        };
        self.command(index, command);
    }

    /// Sends bytes on a link that the machine has never seen, as a stranger would.
    pub(crate) fn shout(&mut self, index: usize, frame: &[u8]) {
        let now_ms = self.now_ms;
        let core = self.machines[index].core.as_mut().unwrap();
        let link = core.accept(IpText::new("10.9.9.9").unwrap(), ip_of(index), now_ms);
        let actions = core.on_frame(link, frame, now_ms);
        self.carry_out(index, actions);
        let core = self.machines[index].core.as_mut().unwrap();
        let actions = core.on_link_event(link, LinkEvent::Closed, now_ms);
        self.carry_out(index, actions);
    }

    /// Lets time pass.
    pub(crate) fn run_ms(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        self.run_until(end_ms, |_| false);
    }

    /// Lets time pass until `is_done`; panics, naming the seed, if it is not after `ms`.
    pub(crate) fn wait_ms(&mut self, ms: i64, what: &str, is_done: impl Fn(&Self) -> bool) {
        let end_ms = self.now_ms + ms;
        let done = self.run_until(end_ms, is_done);
        assert!(done, "seed {}: after {ms} ms not {what}", self.seed);
    }

    fn run_until(&mut self, end_ms: i64, is_done: impl Fn(&Self) -> bool) -> bool {
        let mut checked_ms = 0;
        while let Some(entry) = self.events.first_entry() {
            let (at_ms, _) = *entry.key();
            // A condition over all machines is dear, so it is looked at once a tick.
            if at_ms >= checked_ms + TICK_MS {
                checked_ms = at_ms;
                if is_done(self) {
                    return true;
                }
            }
            if at_ms > end_ms {
                break;
            }
            let (index, life, event) = self.events.pop_first().unwrap().1;
            self.now_ms = at_ms;
            if self.machines[index].life == life && self.machines[index].core.is_some() {
                let is_tick = matches!(event, Event::Tick);
                self.happen(index, event);
                if is_tick {
                    self.check(index);
                }
            } else if let Event::Dialled { by, by_link, .. } = event {
                self.schedule(1, by, Event::DialFailed(by_link));
            }
        }
        self.now_ms = end_ms;
        is_done(self)
    }

    /// What must hold at every moment.
    fn check(&self, index: usize) {
        let machine = &self.machines[index];
        let core = machine.core.as_ref().unwrap();
        let me = machine.view.myself().unwrap();
        // What it said of its own epoch, in this life or an earlier one, still holds.
        let told = self.told.get(&core.id()).copied().unwrap_or(0);
        assert!(
            me.config_epoch >= told,
            "seed {}: machine {index} took back epoch {told}",
            self.seed
        );
        // What the store was told and what the view says of our own slots is the same.
        let served = machine.serving.iter().filter(|s| **s == Serving::Ours);
        assert_eq!(served.count(), me.slot_count(), "seed {}", self.seed);
    }

    fn happen(&mut self, index: usize, event: Event) {
        let now_ms = self.now_ms;
        if let Event::Dialled {
            by,
            by_life,
            by_link,
        } = event
        {
            self.connect(index, by, by_life, by_link);
            return;
        }
        let machine = &mut self.machines[index];
        let core = machine.core.as_mut().unwrap();
        let actions = match event {
            Event::Tick => {
                let actions = core.tick(now_ms);
                self.schedule(TICK_MS, index, Event::Tick);
                actions
            }
            Event::Dialled { .. } => return,
            Event::Connected(link) => {
                let local = ip_of(index);
                core.on_link_event(link, LinkEvent::Connected { local }, now_ms)
            }
            Event::DialFailed(link) | Event::Closed(link) => {
                machine.links.remove(&link);
                core.on_link_event(link, LinkEvent::Closed, now_ms)
            }
            Event::Frame(link, frame) => core.on_frame(link, &frame, now_ms),
            Event::OnDisk(number, conf) => {
                machine.disk = Some(conf);
                let ready = machine.outbox.saved(number);
                self.act(index, ready);
                return;
            }
        };
        self.carry_out(index, actions);
    }

    fn connect(&mut self, index: usize, by: usize, by_life: u32, by_link: LinkId) {
        if self.machines[by].life != by_life {
            return;
        }
        let core = self.machines[index].core.as_mut().unwrap();
        let link = core.accept(ip_of(by), ip_of(index), self.now_ms);
        self.machines[index].links.insert(link, (by, by_link));
        self.machines[by].links.insert(by_link, (index, link));
        let delay_ms = self.delay();
        self.schedule(delay_ms, by, Event::Connected(by_link));
    }

    fn carry_out(&mut self, index: usize, actions: Vec<Action>) {
        let machine = &mut self.machines[index];
        let batch = machine.outbox.push(actions);
        if let Some(number) = batch.save {
            let conf = machine.core.as_ref().unwrap().nodes_conf();
            let busy_ms = self.rng.i64(1..=self.weather.disk_ms_max);
            // One disk does one write after another.
            let key = (index, LinkId(u64::MAX));
            let free_ms = self.arrivals.get(&key).copied().unwrap_or(0);
            let at_ms = free_ms.max(self.now_ms) + busy_ms;
            self.arrivals.insert(key, at_ms);
            self.schedule(at_ms - self.now_ms, index, Event::OnDisk(number, conf));
        }
        self.act(index, batch.now);
    }

    fn act(&mut self, index: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Dial { link, ip, cport } => self.dial(index, link, ip, cport),
                Action::Send { link, frame } => self.send(index, link, &frame),
                Action::Relay { link, frame } => self.send(index, link, &frame),
                // No client publishes here.
                Action::Deliver(_) => {}
                Action::Close { link } => self.close(index, link),
                Action::SetServing(changes) => {
                    for (slot, serving) in changes {
                        self.machines[index].serving[slot.index()] = serving;
                    }
                }
                Action::SetCondition(condition) => self.machines[index].condition = condition,
                Action::Publish(view) => self.machines[index].view = view,
                Action::Reply { ticket, reply } => {
                    self.machines[index].replies.insert(ticket, reply);
                }
                Action::DropKeys(_) => {}
                Action::Save { .. } => panic!("the outbox keeps these"),
            }
        }
    }

    fn dial(&mut self, by: usize, by_link: LinkId, ip: IpText, cport: u16) {
        let by_life = self.machines[by].life;
        let found = (0..self.machines.len()).find(|index| ip_of(*index) == ip);
        let delay_ms = self.delay();
        match found {
            Some(to) if cport == BUS_PORT && self.groups[to] == self.groups[by] => {
                let event = Event::Dialled {
                    by,
                    by_life,
                    by_link,
                };
                self.schedule(delay_ms, to, event);
            }
            // Nobody says no: the dialler gives up by itself.
            _ => self.schedule(1000, by, Event::DialFailed(by_link)),
        }
    }

    fn send(&mut self, from: usize, link: LinkId, frame: &[u8]) {
        let Some((to, far_link)) = self.machines[from].links.get(&link).copied() else {
            return;
        };
        if self.groups[from] != self.groups[to] {
            return;
        }
        let header = Message::decode(frame).unwrap().header;
        let told = self.told.entry(header.sender).or_default();
        *told = header.config_epoch.max(*told);
        if self.rng.u32(0..1000) < self.weather.break_permille {
            self.machines[from].links.remove(&link);
            self.schedule(1, from, Event::Closed(link));
            self.schedule(1, to, Event::Closed(far_link));
            return;
        }
        let last_ms = self.arrivals.get(&(to, far_link)).copied().unwrap_or(0);
        let at_ms = last_ms.max(self.now_ms + self.delay());
        self.arrivals.insert((to, far_link), at_ms);
        let event = Event::Frame(far_link, frame.to_vec());
        self.schedule(at_ms - self.now_ms, to, event);
    }

    fn close(&mut self, index: usize, link: LinkId) {
        if let Some((peer, far_link)) = self.machines[index].links.remove(&link) {
            let delay_ms = self.delay();
            self.schedule(delay_ms, peer, Event::Closed(far_link));
        }
    }

    fn delay(&mut self) -> i64 {
        self.rng.i64(1..=self.weather.delay_ms_max)
    }

    fn schedule(&mut self, in_ms: i64, index: usize, event: Event) {
        self.last_event += 1;
        let key = (self.now_ms + in_ms, self.last_event);
        let life = self.machines[index].life;
        self.events.insert(key, (index, life, event));
    }
}
