//! Two servers of which one copies the other: waiting until they are in step, telling whether they
//! have the same, writing meanwhile, and cutting what is between them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;

use crate::differential::Command;
use crate::values::{every_kind, words};
use crate::{Client, Deadline, Kind, Server, Value, wait_for};

/// How long two servers may take to be in step.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that begins a full copy as soon as it is asked for one, and keeps enough of its stream
/// for whoever was away for a while.
#[must_use]
pub fn start_eager(kind: Kind, settings: &[(&str, &str)]) -> Server {
    let mut all = vec![
        ("repl-diskless-sync-delay", "0"),
        ("repl-backlog-size", "64mb"),
    ];
    all.extend(settings);
    Server::start(kind, &all)
}

/// Has `replica` copy whatever listens on a port.
pub fn replicate(replica: &Server, port: u16) {
    tell(replica, "127.0.0.1", &port.to_string());
}

/// Has a server copy nobody.
pub fn stop_replicating(replica: &Server) {
    tell(replica, "NO", "ONE");
}

/// While a server loads it does not listen.
fn tell(replica: &Server, host: &str, port: &str) {
    wait_for("REPLICAOF to be heard", LIMIT, || {
        let reply = replica.client().call(&["REPLICAOF", host, port]);
        match reply.error() {
            Some(error) if error.starts_with("LOADING") => None,
            error => {
                assert_eq!(error, None);
                Some(())
            }
        }
    });
}

/// Waits until a replica has its link up.
pub fn await_link(replica: &Server) {
    wait_for("the link to be up", LIMIT, || {
        (field(replica, "master_link_status")? == "up").then_some(())
    });
}

/// A field of INFO replication: cheaper than all of INFO, and often asked for.
fn field(server: &Server, name: &str) -> Option<String> {
    let text = server.client().call(&["INFO", "replication"]).text();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| *field == name);
    found.map(|(_, value)| value.to_owned())
}

/// Waits until a replica has applied all that its primary has written. Nobody may write meanwhile.
pub fn await_step(primary: &Server, replica: &Server) {
    wait_for("both to be at one offset", LIMIT, || {
        let theirs = field(primary, "master_repl_offset")?;
        let is_up = field(replica, "master_link_status")? == "up";
        (is_up && field(replica, "slave_repl_offset")? == theirs).then_some(())
    });
}

/// What DEBUG DIGEST says of all data, and how many keys there are in each database.
#[must_use]
pub fn fingerprint(server: &Server) -> (String, String) {
    let mut client = server.client();
    let digest = client.call(&["DEBUG", "DIGEST"]).text();
    let keyspace = client.call(&["INFO", "keyspace"]).text();
    let counts = keyspace
        .lines()
        .filter_map(|line| line.split(",avg").next());
    (digest, counts.collect::<Vec<_>>().join(" "))
}

/// Waits until both are in step and have the same. That may take a while, as keys go whose time has
/// come; but nobody may write.
pub fn assert_same(primary: &Server, replica: &Server) {
    await_step(primary, replica);
    // Valkey's digest is another where scores are written otherwise.
    let look = match (primary.kind(), replica.kind()) {
        (Kind::Valkey, _) | (_, Kind::Valkey) => {
            |server: &Server| (format!("{:?}", all_values(server)), String::new())
        }
        _ => fingerprint,
    };
    let deadline = Deadline::after(LIMIT);
    while look(replica) != look(primary) {
        if deadline.is_over() {
            assert_eq!(look(replica), look(primary));
        }
        await_step(primary, replica);
    }
}

/// All keys with what they have and when they expire, in each database.
#[must_use]
pub fn all_values(server: &Server) -> BTreeMap<(usize, String), (Vec<String>, i64)> {
    let mut all = BTreeMap::new();
    let mut client = server.client();
    for db in 0..16 {
        client.ok(&["select", &db.to_string()]);
        for key in client.scan(&[]) {
            let kind = client.call(&["TYPE", &key]).text();
            let read: &[&str] = match kind.as_str() {
                "string" => &["GET", &key],
                "list" => &["LRANGE", &key, "0", "-1"],
                "set" => &["SMEMBERS", &key],
                "hash" => &["HGETALL", &key],
                _ => &["ZRANGE", &key, "0", "-1", "WITHSCORES"],
            };
            let value = client.call(read);
            let mut items: Vec<String> = match &value {
                Value::Array(items) => items.iter().map(|item| shown(&item.text())).collect(),
                value => vec![format!("{value:?}")],
            };
            match kind.as_str() {
                "set" => items.sort(),
                "hash" => {
                    let mut pairs: Vec<&[String]> = items.chunks(2).collect();
                    pairs.sort();
                    items = pairs.concat();
                }
                _ => {}
            }
            let expiry = client.call(&["PEXPIRETIME", &key]).integer();
            all.insert((db, key), (items, expiry));
        }
    }
    all
}

/// A score in one form, whoever has written it; anything else as it is.
fn shown(text: &str) -> String {
    text.parse::<f64>()
        .map_or_else(|_| text.to_owned(), |number| number.to_string())
}

/// Clients that write everything a node knows, until this is dropped or stopped.
#[derive(Debug)]
pub struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// So many connections to a server, which may refuse and close them now and then.
    #[must_use]
    pub fn start(port: u16, count: u64, seed: u64) -> Self {
        let (stop, written) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..count).map(|number| {
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            std::thread::spawn(move || {
                let mut random = Rng::with_seed(seed.wrapping_add(number));
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(client) = Client::try_connect(port) {
                        write(client, &mut random, &stop, &written);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            written,
            threads,
        }
    }

    /// Waits until so many commands more have been answered.
    pub fn await_more(&self, commands: u64) {
        let enough = self.written.load(Ordering::Relaxed) + commands;
        wait_for("more to be written", LIMIT, || {
            (self.written.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// Has them stop; how many commands were answered.
    #[must_use]
    pub fn stop(mut self) -> u64 {
        self.end();
        self.written.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("a writer has panicked");
            }
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes until told to stop, or the connection breaks.
fn write(mut client: Client, random: &mut Rng, stop: &AtomicBool, written: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Command> = (0..20).flat_map(|_| some_write(random)).collect();
        let mut bytes = Vec::new();
        for command in &batch {
            crate::encode(&mut bytes, command);
        }
        if client.try_send(&bytes).is_err() {
            return;
        }
        for _ in &batch {
            if client.try_read().is_err() {
                return;
            }
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A command that may change something, or a transaction of some.
#[must_use]
pub fn some_write(random: &mut Rng) -> Vec<Command> {
    if random.u8(..20) > 0 {
        return vec![one_write(random)];
    }
    let mut all = vec![words("multi")];
    all.extend((0..random.usize(1..5)).map(|_| one_write(random)));
    all.push(words("exec"));
    all
}

fn one_write(random: &mut Rng) -> Command {
    let (key, other) = (random.u16(..100), random.u16(..100));
    // Few members, or what works on all of them takes most of the time.
    let (value, field) = (random.i16(-300..300), random.u8(..60));
    let kind = match random.u8(..44) {
        // What works on all of several collections is rare.
        18 | 27 | 31 | 41 if random.u8(..8) > 0 => 0,
        kind => kind,
    };
    let line = match kind {
        0 => format!("set s:{key} {value}"),
        1 => format!("incrby n:{key} {value}"),
        2 => format!("incrbyfloat n:{key} 0.5"),
        3 => format!("append s:{key} {value}"),
        4 => format!("setrange s:{key} {field} {value}"),
        5 => format!("set s:{key} {value} px {}", 1 + field),
        6 => format!("getex s:{key} px {}", 100 + value.unsigned_abs()),
        7 => format!("getdel s:{key}"),
        8 => format!("mset s:{key} {value} s:{other} {value} n:{key} 1"),
        9 => format!("lpush l:{key} {value} {field} x"),
        10 => format!("rpop l:{key} {}", field % 3),
        11 => format!("lmove l:{key} l:{other} left right"),
        12 => format!("ltrim l:{key} 0 {field}"),
        13 => format!("linsert l:{key} before x {value}"),
        14 => format!("lmpop 2 l:{key} l:{other} left count 2"),
        15 => format!("sadd set:{key} {value} {field} m{field}"),
        16 => format!("spop set:{key} {}", field % 4),
        17 => format!("spop set:{key}"),
        18 => format!("sunionstore set:{key} set:{key} set:{other}"),
        19 => format!("smove set:{key} set:{other} {field}"),
        20 => format!("hset h:{key} f{field} {value} g{field} x"),
        21 => format!("hincrby h:{key} n{field} {value}"),
        22 => format!("hincrbyfloat h:{key} n{field} 1.25"),
        23 => format!("hdel h:{key} f{field} g{field}"),
        24 => format!("zadd z:{key} {value} m{field} {field} {value}"),
        25 => format!("zincrby z:{key} 1.5 m{field}"),
        26 => format!("zpopmin z:{key} {}", field % 3),
        27 => format!("zunionstore z:{key} 2 z:{key} z:{other}"),
        28 => format!("zremrangebyrank z:{key} 0 {}", field % 3),
        29 => format!("geoadd g:{key} {field} {} m{field}", field % 80),
        30 => format!("pfadd hll:{key} {value} {field}"),
        31 => format!("pfmerge hll:{key} hll:{other}"),
        32 => format!("setbit b:{key} {} 1", value.unsigned_abs()),
        33 => format!("bitop or b:{key} b:{key} b:{other}"),
        34 => format!("bitfield b:{key} incrby u8 {field} {value}"),
        35 => format!("pexpire s:{key} {}", 1 + 10 * value.unsigned_abs()),
        36 => format!("expire l:{key} {field}"),
        37 => format!("persist s:{key}"),
        38 => format!("rename s:{key} s:{other}"),
        39 => format!("copy h:{key} h:{other} replace"),
        40 => format!("select {}", if field == 0 { 1 } else { 0 }),
        41 => format!("sort l:{key} alpha store l:{other}"),
        42 => format!("blpop l:{key} 0.001"),
        _ => format!("del s:{key} l:{other}"),
    };
    words(&line)
}

/// One key of every kind, in two databases.
pub fn fill(server: &Server, seed: u64) {
    let mut client = server.client();
    for db in ["9", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut Rng::with_seed(seed)) {
            assert_eq!(client.call(&command).error(), None);
        }
        client.line("pexpireat hash:2000 4102444800000");
    }
}

/// A way to a server that can be cut: connections end, at once or after so many bytes.
#[derive(Debug)]
pub struct Cutter {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Vec<TcpStream>>,
    /// Bytes from the server after which each connection that comes is cut; 0: never.
    most: AtomicU64,
    cuts: AtomicU64,
    stop: AtomicBool,
}

impl Cutter {
    /// Listens on a port of its own, and passes on to `target`.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port to listen on");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = stream else { continue };
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                    inner.join(&client, &server);
                }
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().expect("no panic").drain(..) {
            // It may have ended by itself.
            let _cut = stream.shutdown(Shutdown::Both);
        }
        self.shared.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Cuts connections that come from now on after so many bytes from the server; 0: never.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.most.store(bytes, Ordering::Relaxed);
    }

    /// How often something was cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that listens.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a socket twice");
        self.open
            .lock()
            .expect("no panic")
            .extend([copy(client), copy(server)]);
        let (from, to) = (copy(client), copy(server));
        std::thread::spawn(move || pass(from, to, 0));
        let (from, to) = (copy(server), copy(client));
        let (shared, most) = (Arc::clone(self), self.most.load(Ordering::Relaxed));
        std::thread::spawn(move || {
            if pass(from, to, most) {
                shared.cuts.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// Passes on until either end is there, or so many bytes; whether it was the bytes.
fn pass(mut from: TcpStream, mut to: TcpStream, most: u64) -> bool {
    let mut buffer = [0; 16 * 1024];
    let mut passed = 0;
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let room = if most == 0 { u64::MAX } else { most - passed };
        let kept = read.min(usize::try_from(room).unwrap_or(usize::MAX));
        let is_cut = kept < read;
        if read == 0 || to.write_all(&buffer[..kept]).is_err() || is_cut {
            // Either may have gone already.
            let _ended = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
            return is_cut;
        }
        passed += kept as u64;
    }
}
