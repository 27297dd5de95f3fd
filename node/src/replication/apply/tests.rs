//! Streams on one thread, without a network.

use super::*;
use crate::config::Config;
use crate::server::pause::{Purpose, Scope};
use crate::server::session::Session;
use crate::server::worker::Worker;
use slotilla_common::clock;
use slotilla_common::resp::encode_command;

/// A node, and what a client finds there.
struct Node {
    server: Arc<Server>,
    worker: Worker,
}

impl Node {
    fn new(arguments: &[&str]) -> Self {
        let mut all = vec![
            "--port",
            "1",
            "--cluster-enabled",
            "no",
            "--io-threads",
            "1",
        ];
        all.extend(arguments);
        let config = Config::load(all.into_iter().map(str::to_owned)).unwrap();
        let server = Arc::new(Server::new(Arc::new(config)));
        let seat = server.gate.seat(0).unwrap();
        let worker = Worker::new(Arc::clone(&server), 0, seat);
        Self { server, worker }
    }

    fn ask(&mut self, line: &str) -> String {
        let client = Client::unlisted(Introduction {
            addr: "127.0.0.1:5".into(),
            laddr: "".into(),
            fd: 9,
            unix_socket: false,
        });
        let (mut session, mut out) = (Session::new(client, true), Vec::new());
        let input = stream(line);
        session.run(&mut self.worker, &self.server, &input, &mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    fn applier(&self) -> Applier {
        Applier::of_file(&self.server, 1 << 20).unwrap()
    }

    /// Applies a stream as a whole; how much of it.
    fn apply(&self, bytes: &[u8]) -> Result<u64, ApplyError> {
        let (mut applier, mut done) = (self.applier(), 0);
        applier.push(bytes);
        applier.run(&mut done)?;
        Ok(done)
    }
}

/// Words between spaces, commands between semicolons.
fn stream(commands: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands.split(';') {
        let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        encode_command(&mut bytes, &words);
    }
    bytes
}

#[test]
fn commands_are_applied_in_the_database_that_is_selected() {
    let mut node = Node::new(&[]);
    let bytes = stream("set a 1;select 3;set a 2;incr a;mset b 1 c 2;select 0;rename a d");
    assert_eq!(node.apply(&bytes).unwrap(), bytes.len() as u64);
    assert_eq!(node.ask("get d"), "$1 1 ");
    assert_eq!(node.ask("select 3;mget a b c"), "+OK *3 $1 3 $1 1 $1 2 ");
    assert_eq!(node.ask("dbsize;select 3;dbsize"), ":1 +OK :3 ");
}

#[test]
fn nothing_is_refused() {
    let mut node = Node::new(&["--requirepass", "secret", "--maxmemory", "1"]);
    node.server
        .pause_clients(Purpose::Client, Scope::All, i64::MAX);
    node.apply(&stream("set a 1;multi;set b 1;incr b;exec;sadd s x"))
        .unwrap();
    node.server.end_pause(Purpose::Client);
    assert_eq!(node.ask("auth secret;mget a b"), "+OK *2 $1 1 $1 2 ");
    assert_eq!(node.ask("auth secret;smembers s"), "+OK *1 $1 x ");
}

#[test]
fn a_cluster_node_applies_what_it_does_not_serve() {
    let node = Node::new(&["--cluster-enabled", "yes"]);
    let bytes = stream("set a 1;mset {b}1 1 {b}2 2;multi;set c 1;set d 1;exec");
    assert_eq!(node.apply(&bytes).unwrap(), bytes.len() as u64);
    assert_eq!(node.server.store.len(0), 5);
}

#[test]
fn nobody_waits_and_what_fails_is_passed_by() {
    let mut node = Node::new(&[]);
    let bytes =
        stream("blpop l 0;rpush l x;blpop l 0;lpush l y;incr l;get;multi;incr l;set a 1;exec");
    assert_eq!(node.apply(&bytes).unwrap(), bytes.len() as u64);
    assert_eq!(node.ask("lrange l 0 -1;get a"), "*1 $1 y $1 1 ");
    assert_eq!(node.ask("info errorstats").matches("count=").count(), 2);
}

#[test]
fn what_needs_the_whole_keyspace_is_applied() {
    let mut node = Node::new(&[]);
    node.apply(&stream(
        "set a 1;flushall;set b 1;swapdb 0 1;multi;swapdb 1 2;set c 1;exec",
    ))
    .unwrap();
    assert_eq!(node.ask("get c;select 2;get b;dbsize"), "$1 1 +OK $1 1 :1 ");
    node.apply(&stream("multi;set d 1;flushall;set e 1;exec"))
        .unwrap();
    assert_eq!(node.ask("keys *"), "*1 $1 e ");
}

#[test]
fn keys_whose_time_has_come_are_there() {
    let mut node = Node::new(&[]);
    let past = clock::unix_ms() - 1000;
    node.server.store.settings().set_active_expire(false);
    let commands = format!("set a 5;pexpireat a {past};set b 5 pxat {past};rpush l x");
    node.server.store.settings().set_hide_expired(true);
    node.apply(&stream(&format!("{commands};incr b;persist b")))
        .unwrap();
    assert_eq!(node.ask("get b"), "$1 6 ");
    node.apply(&stream(&format!("set c 7;multi;pexpireat c {past};exec")))
        .unwrap();
    assert_eq!(node.ask("get c"), "$-1 ");
    node.apply(&stream("multi;incr c;persist c;exec")).unwrap();
    assert_eq!(node.ask("get c"), "$1 8 ");
}

#[test]
fn a_transaction_is_applied_once_its_end_has_come() {
    let mut node = Node::new(&[]);
    let (mut applier, mut done) = (node.applier(), 0);
    let first = stream("set a 1;multi;set a 2");
    applier.push(&first);
    applier.run(&mut done).unwrap();
    assert_eq!(done, stream("set a 1").len() as u64);
    assert!(applier.is_in_transaction());
    assert_eq!(node.ask("get a"), "$1 1 ");
    applier.push(&stream("set b 2;exec;multi;set a 3;discard;set c 1"));
    applier.run(&mut done).unwrap();
    assert_eq!((applier.pending(), applier.is_in_transaction()), (0, false));
    assert_eq!(node.ask("mget a b c"), "*3 $1 2 $1 2 $1 1 ");
}

#[test]
fn a_stream_may_come_in_any_pieces() {
    let bytes = [
        b"#TS:1\r\n".to_vec(),
        stream("set a 1;multi;incr a;rpush l x y;exec"),
        b"#TS:2\r\n".to_vec(),
        stream("append a 0;multi;exec"),
    ]
    .concat();
    for cut in 0..bytes.len() {
        let mut node = Node::new(&[]);
        let (mut applier, mut done) = (node.applier(), 0);
        for part in [&bytes[..cut], &bytes[cut..]] {
            applier.push(part);
            applier.run(&mut done).unwrap();
        }
        assert_eq!((done, applier.pending()), (bytes.len() as u64, 0), "{cut}");
        assert_eq!(node.ask("get a;llen l"), "$2 20 :2 ", "{cut}");
    }
}

#[test]
fn what_is_no_stream_of_commands_is_an_error() {
    let node = Node::new(&[]);
    let fails = |bytes: &[u8]| node.apply(bytes).unwrap_err().to_string();
    assert!(fails(b"set a 1\r\n").contains("'s'"));
    assert!(fails(b"\r\n*1\r\n").contains("'\\r'"));
    assert!(fails(b"*1\r\n:1\r\n").contains("expected '$'"));
    assert!(fails(&stream("nosuch x")).ends_with("the command nosuch"));
    assert!(fails(&stream("multi;set a 1;xadd s * a 1;exec")).ends_with("the command xadd"));
    assert_eq!(node.server.store.len(0), 0);
    let endless = [
        b"*2\r\n$3\r\nGET\r\n$99999999\r\n".to_vec(),
        vec![b'x'; 1 << 21],
    ]
    .concat();
    assert!(fails(&endless).contains("has no end"));
    let endless = stream(&format!("multi{}", ";set a 1".repeat(1 << 16)));
    assert!(fails(&endless).contains("has no end"));
}

#[test]
fn who_waits_for_a_slot_that_is_out_lets_the_gate_close() {
    let mut node = Node::new(&[]);
    let slot = slotilla_common::slot::Slot::of_key(b"a");
    node.server.store.set_long_places(1);
    let guards = node.server.store.lock_many(&[slot]);
    let taken = node.server.store.take_out(guards, None).unwrap();
    std::thread::scope(|scope| {
        let applied = scope.spawn(|| node.apply(&stream("set b 1;incr a;incr a")));
        let store = &node.server.store;
        while store.long_totals().waiting == 0 {
            std::thread::yield_now();
        }
        // It waits, and is in nobody's way.
        node.server.gate.exclusive(None, |_| ());
        store.end_long(taken);
        applied.join().unwrap().unwrap();
    });
    assert_eq!(node.ask("mget a b"), "*2 $1 2 $1 1 ");
}

/// Commands of every kind: of one slot, of several, of all; in transactions; in two databases.
fn mixed(random: &mut fastrand::Rng) -> String {
    let command = |random: &mut fastrand::Rng| {
        let (key, other) = (random.u8(..60), random.u8(..60));
        match random.u8(..40) {
            0..20 => format!("append k{key} {other}"),
            20..26 => format!("rpush l{key} {other} {key}"),
            26..30 => format!("lmove l{key} l{other} left right"),
            30 => format!("rename l{key} l{other}"),
            31 => format!("mset k{key} {other} k{other} {key}"),
            32 => "swapdb 0 1".to_owned(),
            33 => format!("select {}", key % 2),
            34 => "ping".to_owned(),
            35 if key == 0 => "flushdb".to_owned(),
            36 => format!("move k{key} {}", other % 2),
            _ => format!("bitop xor k{key} k{key} k{other}"),
        }
    };
    if random.u8(..10) > 0 {
        return command(random);
    }
    let mut all = vec!["multi".to_owned()];
    all.extend((0..random.usize(..4)).map(|_| command(random)));
    all.push("exec".to_owned());
    all.join(";")
}

#[test]
fn threads_leave_what_one_leaves() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let commands: Vec<String> = (0..6000).map(|_| mixed(&mut random)).collect();
    let bytes = stream(&commands.join(";"));
    let mut alone = Node::new(&[]);
    alone.apply(&bytes).unwrap();

    let mut several = Node::new(&["--io-threads", "4"]);
    let client = Client::unlisted(Introduction {
        addr: "127.0.0.1:1".into(),
        laddr: "".into(),
        fd: 9,
        unix_socket: false,
    });
    let mut parallel = Parallel::new(&several.server, &client, 0).unwrap();
    let mut applied = Vec::new();
    for part in bytes.chunks(random.usize(1..20_000)) {
        parallel.push(part);
        while parallel
            .run(|bytes, _| applied.extend_from_slice(bytes))
            .unwrap()
            .bytes
            > 0
        {}
    }
    assert!(applied == bytes, "all of it, in its order");
    let look = |node: &mut Node| node.ask("debug digest");
    assert_eq!(look(&mut several), look(&mut alone));
    assert_eq!(several.server.store.len(0), alone.server.store.len(0));
    assert_eq!(several.server.store.len(1), alone.server.store.len(1));
}

#[test]
fn a_primary_that_asks_is_told_and_its_line_ends_count() {
    let node = Node::new(&[]);
    let client = Client::unlisted(Introduction {
        addr: "127.0.0.1:1".into(),
        laddr: "".into(),
        fd: 9,
        unix_socket: false,
    });
    let mut parallel = Parallel::new(&node.server, &client, 1).unwrap();
    let bytes = [
        b"\n\r\n".to_vec(),
        stream("set a 1;replconf getack *"),
        b"\n".to_vec(),
    ]
    .concat();
    parallel.push(&bytes);
    let mut selected = None;
    let round = parallel.run(|_, db| selected = Some(db)).unwrap();
    assert_eq!(round.bytes, bytes.len());
    assert!(round.asked);
    assert_eq!((selected, node.server.store.len(1)), (Some(1), 1));
}
