//! Cluster threads on real sockets and real files, with slots that are only written down.

use super::*;
use parking_lot::RwLock;
use slotilla_common::bus;
use slotilla_common::net::listen;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;

/// What a node's store would have been told.
struct Slots {
    serving: RwLock<Vec<Serving>>,
    condition: Mutex<Condition>,
    has_keys: AtomicBool,
    /// How often a slot was set, and how many were served when they were withdrawn.
    told: AtomicUsize,
    withdrawn: AtomicUsize,
    /// Whoever holds it stops the cluster thread at the next slot.
    busy: Mutex<()>,
}

fn is_ours(serving: &Serving) -> bool {
    *serving == Serving::Ours
}

impl Host for Slots {
    fn set_serving(&self, slot: Slot, serving: Serving) {
        self.told.fetch_add(1, Ordering::Relaxed);
        drop(self.busy.lock());
        self.serving.write()[slot.index()] = serving;
    }
    fn deliver(&self, _post: &Post) {}
    fn set_condition(&self, condition: Condition) {
        *self.condition.lock() = condition;
    }
    fn drop_keys(&self, _slots: &[Slot]) {}
    fn withdraw_if_empty(&self) -> bool {
        let is_empty = !self.has_keys.load(Ordering::Relaxed);
        if is_empty {
            let mut serving = self.serving.write();
            let served = serving.iter().copied().filter(is_ours).count();
            self.withdrawn.fetch_add(served, Ordering::Relaxed);
            serving.fill(Serving::Unassigned);
        }
        is_empty
    }
}

struct Running {
    handle: Handle,
    slots: Arc<Slots>,
    bus: SocketAddr,
    conf_path: PathBuf,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn try_start(dir: &TempDir, limit: usize) -> Result<Self, StartError> {
        let listeners = listen::tcp(&["127.0.0.1"], 0, 512, "cluster-port").unwrap();
        let bus = listeners[0].local_addr().unwrap();
        let settings = Settings {
            options: Options {
                node_timeout_ms: 1000,
                port: bus.port(),
                cport: bus.port(),
                ..Options::default()
            },
            link_sendbuf_limit: limit,
        };
        let slots = Arc::new(Slots {
            serving: RwLock::new(vec![Serving::Unassigned; usize::from(Slot::COUNT)]),
            condition: Mutex::new(Condition::Up),
            has_keys: AtomicBool::new(false),
            told: AtomicUsize::new(0),
            withdrawn: AtomicUsize::new(0),
            busy: Mutex::new(()),
        });
        let shutdown = CancellationToken::new();
        let conf_path = dir.path().join("nodes.conf");
        let setup = Setup {
            conf_path: conf_path.clone(),
            listeners,
            settings: Box::new(move || settings.clone()),
            shutdown: shutdown.clone(),
        };
        let (handle, thread) = start(setup, Arc::clone(&slots) as Arc<dyn Host>)?;
        Ok(Self {
            handle,
            slots,
            bus,
            conf_path,
            shutdown,
            thread: Some(thread),
        })
    }

    fn start(dir: &TempDir) -> Self {
        Self::try_start(dir, 0).unwrap()
    }

    fn add_slots(&self, start: u64, end: u64) -> CommandReply {
        let slot = |n| Slot::from_wire(n).unwrap();
        let ranges = vec![(slot(start), slot(end))];
        self.handle.command(Command::AddSlots(ranges))
    }

    fn meet(&self, other: &Self) {
        let port = i64::from(other.bus.port());
        let command = Command::Meet {
            ip: "127.0.0.1".to_owned(),
            port,
            cport: Some(port),
        };
        assert_eq!(self.handle.command(command), Ok("OK".to_owned()));
    }

    fn is_up(&self) -> bool {
        *self.slots.condition.lock() == Condition::Up
    }

    fn served(&self) -> usize {
        let serving = self.slots.serving.read();
        serving.iter().copied().filter(is_ours).count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn wait(what: &str, is_done: impl Fn() -> bool) {
    for _ in 0..1500 {
        if is_done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 15 s: {what}");
}

#[test]
fn nodes_meet_agree_and_remember() {
    let dirs: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let mut nodes: Vec<Running> = dirs.iter().map(Running::start).collect();
    for (node, (start, end)) in nodes
        .iter()
        .zip([(0, 5460), (5461, 10_922), (10_923, 16_383)])
    {
        assert_eq!(node.add_slots(start, end), Ok("OK".to_owned()));
        assert_eq!(
            node.served() as u64,
            end - start + 1,
            "served once answered"
        );
    }
    nodes[1].meet(&nodes[0]);
    nodes[2].meet(&nodes[0]);
    let whole = |nodes: &[Running]| {
        nodes.iter().all(|node| {
            let view = node.handle.view();
            node.is_up() && view.nodes.len() == 3 && view.slot_health() == [16_384, 16_384, 0, 0]
        })
    };
    wait("three nodes agree", || whole(&nodes));
    let (links, _) = nodes[0].handle.link_totals();
    assert_eq!(links, 4, "two to and two from");
    // A node that comes back elsewhere is found by what is in its file and theirs.
    let id = nodes[1].handle.view().my_id;
    drop(nodes.remove(1));
    nodes.insert(1, Running::start(&dirs[1]));
    assert_eq!(nodes[1].handle.view().my_id, id);
    assert_eq!(nodes[1].served(), 5462, "before anything else is done");
    wait("three nodes agree again", || whole(&nodes));
}

#[test]
fn what_is_answered_is_on_disk() {
    let dir = TempDir::new().unwrap();
    let node = Running::start(&dir);
    for slot in 0..20 {
        node.add_slots(slot, slot).unwrap();
        let file = std::fs::read_to_string(&node.conf_path).unwrap();
        let range = if slot == 0 {
            "connected 0\n".to_owned()
        } else {
            format!("connected 0-{slot}\n")
        };
        assert!(file.contains(&range), "{file}");
    }
}

#[test]
fn a_node_with_keys_keeps_its_slots() {
    let dir = TempDir::new().unwrap();
    let node = Running::start(&dir);
    node.add_slots(0, 9).unwrap();
    node.slots.has_keys.store(true, Ordering::Relaxed);
    for (command, refusal) in [
        (
            Command::FlushSlots,
            "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.",
        ),
        (
            Command::Reset { new_id: None },
            "ERR CLUSTER RESET can't be called with master nodes containing keys",
        ),
    ] {
        let reply = node.handle.command(command);
        assert_eq!((reply, node.served()), (Err(refusal.to_owned()), 10));
    }
    node.slots.has_keys.store(false, Ordering::Relaxed);
    assert_eq!(
        node.handle.command(Command::FlushSlots),
        Ok("OK".to_owned())
    );
    assert_eq!(node.served(), 0);
}

/// Else the slots that an earlier command adds would be served after the look for keys.
#[test]
fn slots_are_withdrawn_in_the_order_of_the_commands() {
    let dir = TempDir::new().unwrap();
    let node = Running::start(&dir);
    let told = || node.slots.told.load(Ordering::Relaxed);
    let before = told();
    let stopped = node.slots.busy.lock();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| node.add_slots(0, 9));
        wait("the slots to be added", || told() > before);
        let flushing = scope.spawn(|| node.handle.command(Command::FlushSlots));
        wait("the other command to be asked for", || {
            node.handle.commands.capacity() < COMMANDS_MAX
        });
        drop(stopped);
        assert_eq!(adding.join().unwrap(), Ok("OK".to_owned()));
        assert_eq!(flushing.join().unwrap(), Ok("OK".to_owned()));
    });
    assert_eq!(node.slots.withdrawn.load(Ordering::Relaxed), 10);
    assert_eq!(node.served(), 0);
}

#[test]
fn two_nodes_do_not_share_a_file() {
    let dir = TempDir::new().unwrap();
    let first = Running::start(&dir);
    first.add_slots(0, 0).unwrap();
    let error = Running::try_start(&dir, 0).err().unwrap();
    assert!(
        error.to_string().contains("in use by another node"),
        "{error}"
    );
    drop(first);
    Running::start(&dir);
}

#[test]
fn a_damaged_file_is_refused_with_its_line() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("nodes.conf");
    std::fs::write(&path, "nonsense\n").unwrap();
    let error = Running::try_start(&dir, 0).err().unwrap().to_string();
    assert!(error.contains("nodes.conf is damaged: line 1: "), "{error}");
    // Nothing was done to it.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
}

#[test]
fn a_disk_that_cannot_be_written_is_told_and_tried_again() {
    let dir = TempDir::new().unwrap();
    let node = Running::start(&dir);
    node.add_slots(0, 0).unwrap();
    // A directory where the temporary file should be: no write can succeed.
    let obstacle = dir.path().join("nodes.conf.tmp");
    std::fs::create_dir(&obstacle).unwrap();
    let error = node.add_slots(1, 1).unwrap_err();
    assert!(
        error.starts_with("ERR error saving the cluster node config: "),
        "{error}"
    );
    std::fs::remove_dir(&obstacle).unwrap();
    wait("the claim is on disk", || {
        let file = std::fs::read_to_string(&node.conf_path).unwrap();
        file.contains("connected 0-1\n")
    });
    assert_eq!(node.add_slots(2, 2), Ok("OK".to_owned()));
}

/// Whether the node has closed a connection; whatever it sends meanwhile is read away.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn rubbish_ends_its_own_connection_only() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (node, peer) = (Running::start(&dir), Running::start(&other));
    node.add_slots(0, 16_383).unwrap();
    peer.meet(&node);
    wait("met", || {
        node.handle.view().nodes.len() == 2 && node.is_up()
    });
    let frame = |len: u32| [&b"RCmb"[..], &len.to_be_bytes()].concat();
    let too_long = u32::try_from(bus::FRAME_MAX_UNKNOWN + 1).unwrap();
    for rubbish in [
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        frame(0),
        frame(2255),
        frame(too_long),
        frame(u32::MAX),
    ] {
        let mut stream = TcpStream::connect(node.bus).unwrap();
        stream.write_all(&rubbish).unwrap();
        assert!(is_closed(&mut stream), "{rubbish:?}");
    }
    // Cut short, or of no known type: nothing happens.
    let mut quiet = TcpStream::connect(node.bus).unwrap();
    quiet.write_all(&frame(3000)).unwrap();
    let mut odd = TcpStream::connect(node.bus).unwrap();
    let mut bytes = frame(2256);
    bytes.resize(2256, 0xff);
    odd.write_all(&bytes).unwrap();
    // More strangers than are kept: the oldest go, the node stays.
    let crowd: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(node.bus).unwrap())
        .collect();
    wait("still a cluster of two", || {
        let view = node.handle.view();
        node.is_up() && view.nodes.iter().all(|node| node.is_linked)
    });
    let (links, _) = node.handle.link_totals();
    assert!((2..80).contains(&links), "{links}");
    drop(crowd);
    assert_eq!(
        node.add_slots(0, 0),
        Err("ERR Slot 0 is already busy".to_owned())
    );
}

#[test]
fn a_peer_that_does_not_read_loses_its_link() {
    let dir = TempDir::new().unwrap();
    let node = Running::try_start(&dir, 1000).unwrap();
    // A PING of redis-server 7.0.15, and no more: each is answered by more than the limit.
    let ping = include_bytes!("../../../../common/src/bus/testdata/redis-7.0.15-ping.bin");
    let mut stream = TcpStream::connect(node.bus).unwrap();
    stream.write_all(ping).unwrap();
    assert!(is_closed(&mut stream));
    wait("it is counted", || {
        node.handle.view().stats.links_overflowed == 1
    });
}
