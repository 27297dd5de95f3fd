//! Transactions through a session, without a network.

use std::sync::Arc;

use proptest::prelude::*;
use slotilla_common::resp::encode_command;
use slotilla_common::slot::Slot;

use super::super::Server;
use super::super::client::Introduction;
use super::super::session::{Session, Then};
use super::super::worker::Worker;
use crate::cluster::routing::{Condition, Serving};
use crate::config::Config;

struct Node {
    server: Arc<Server>,
    worker: Worker,
}

impl Node {
    fn new(cluster: bool) -> Self {
        let enabled = if cluster { "yes" } else { "no" };
        let arguments = ["--port", "1", "--cluster-enabled", enabled].map(str::to_owned);
        let server = Arc::new(Server::new(Arc::new(Config::load(arguments).unwrap())));
        let seat = server.gate.seat(0).unwrap();
        let worker = Worker::new(Arc::clone(&server), 0, seat);
        if cluster {
            server.cluster_health.set(Condition::Up);
            for slot in Slot::all() {
                server.store.lock(slot).set_serving(Serving::Ours);
            }
        }
        Self { server, worker }
    }

    fn session(&self) -> Session {
        let client = self.server.clients.admit(Introduction {
            addr: "127.0.0.1:5".into(),
            laddr: "127.0.0.1:6".into(),
            fd: 9,
            unix_socket: false,
        });
        Session::new(client, true)
    }

    /// Sends words between spaces, commands between semicolons; what is answered.
    fn send(&mut self, session: &mut Session, commands: &str) -> String {
        let mut input = Vec::new();
        for command in commands.split(';') {
            let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
            encode_command(&mut input, &words);
        }
        self.send_bytes(session, &input)
    }

    fn send_bytes(&mut self, session: &mut Session, input: &[u8]) -> String {
        let (consumed, answer) = self.turn(session, input);
        assert_eq!(consumed, input.len());
        answer
    }

    /// How much of the input was whole requests, and what was answered.
    fn turn(&mut self, session: &mut Session, input: &[u8]) -> (usize, String) {
        let (mut out, mut start) = (Vec::new(), 0);
        loop {
            let turn = session.run(&mut self.worker, &self.server, &input[start..], &mut out);
            start += turn.consumed;
            match turn.then {
                Then::Again => {}
                Then::Read => break,
                Then::Background(work) => {
                    let reply = work.run(&self.server, session.state.protocol);
                    if session.hears() {
                        out.extend(reply);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        (start, String::from_utf8(out).unwrap().replace("\r\n", " "))
    }

    fn set_serving(&self, key: &str, serving: Serving) {
        self.server
            .store
            .lock(Slot::of_key(key.as_bytes()))
            .set_serving(serving);
    }
}

const TRY_AGAIN: &str = "-TRYAGAIN Multiple keys request during rehashing of slot ";
const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors. ";
/// MOVED and ASK: where to is the cluster thread's to say, of which there is none here.
const REDIRECTED: &str = "- ";

#[test]
fn a_slot_on_its_way_out_is_asked_key_by_key_and_all_at_once_by_exec() {
    let mut node = Node::new(true);
    let mut session = node.session();
    node.send(&mut session, "set {t}a 1");
    node.set_serving("{t}a", Serving::Migrating);
    let mut check = |commands: &str, expected: &str| {
        assert_eq!(node.send(&mut session, commands), expected, "{commands}");
    };
    check("multi;get {t}a;exec", "+OK +QUEUED *1 $1 1 ");
    check("multi;get {t}b;exec", &format!("+OK {REDIRECTED}{ABORTED}"));
    check(
        "multi;mget {t}a {t}b;exec",
        &format!("+OK {TRY_AGAIN}{ABORTED}"),
    );
    // What is there when it is queued may be gone when EXEC comes.
    let mut other = node.session();
    assert_eq!(
        node.send(&mut session, "multi;get {t}a;get {t}a"),
        "+OK +QUEUED +QUEUED "
    );
    assert_eq!(node.send(&mut other, "del {t}a"), ":1 ");
    assert_eq!(
        node.send(&mut session, "exec;exec"),
        format!("{REDIRECTED}-ERR EXEC without MULTI ")
    );
}

#[test]
fn asking_holds_from_multi_to_exec() {
    let mut node = Node::new(true);
    let mut session = node.session();
    node.set_serving("{t}", Serving::Importing);
    let send = |node: &mut Node, session: &mut Session, commands: &str| {
        session.state.asking = true;
        node.send(session, commands)
    };
    assert_eq!(
        send(
            &mut node,
            &mut session,
            "multi;set {t}b 1;incr {t}b;exec;get {t}b"
        ),
        format!("+OK +QUEUED +QUEUED *2 +OK :2 {REDIRECTED}")
    );
    // Queued one by one they pass; together they are keys of which one is not here.
    assert_eq!(
        send(&mut node, &mut session, "multi;get {t}b;set {t}c 1;exec"),
        format!("+OK +QUEUED +QUEUED {TRY_AGAIN}")
    );
    assert!(!session.state.asking);
    assert_eq!(
        node.send(&mut session, "multi;get {t}b;exec"),
        format!("+OK {REDIRECTED}{ABORTED}")
    );
}

#[test]
fn a_slot_that_leaves_between_multi_and_exec_runs_nothing() {
    let mut node = Node::new(true);
    let mut session = node.session();
    node.send(&mut session, "multi;set a 1;dbsize");
    node.set_serving("a", Serving::Elsewhere);
    assert_eq!(node.send(&mut session, "exec"), REDIRECTED);
    // Watched keys may be of other slots than those that are written; theirs leaving breaks it.
    node.send(&mut session, "watch c;multi;set b 1");
    node.set_serving("c", Serving::Elsewhere);
    assert_eq!(node.send(&mut session, "exec;get b"), "*-1 $-1 ");
}

#[test]
fn a_replica_takes_transactions_that_only_read() {
    let mut node = Node::new(true);
    let mut session = node.session();
    node.set_serving("a", Serving::Replica);
    session.state.readonly = true;
    assert_eq!(
        node.send(&mut session, "multi;get a;exec"),
        "+OK +QUEUED *1 $-1 "
    );
    assert_eq!(
        node.send(&mut session, "multi;get a;set a 1;exec"),
        format!("+OK +QUEUED {REDIRECTED}{ABORTED}")
    );
}

#[test]
fn a_session_that_ends_leaves_no_watch() {
    let mut node = Node::new(false);
    let mut session = node.session();
    node.send(&mut session, "watch a b;select 1;watch a;multi;set a 1");
    let state = &mut session.state;
    state.transaction.close(&state.client, &node.server.store);
    assert_eq!(state.client.queued(), None);
    let bytes = &state.client.transaction_bytes;
    assert_eq!(bytes.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(
        node.send(&mut session, "set a 1;multi;get a;exec"),
        "+OK +OK +QUEUED *1 $1 1 "
    );
}

fn command() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "multi",
        "exec",
        "exec",
        "discard",
        "watch a",
        "watch b c",
        "unwatch",
        "set a 1",
        "set b x",
        "incr a",
        "incr b",
        "get a",
        "mget a b c",
        "del a b",
        "select 1",
        "select 0",
        "swapdb 0 1",
        "flushdb",
        "dbsize",
        "keys a",
        "nosuch",
        "get",
        "ping",
        "lcs a b",
        "client reply skip",
        "config get port",
        "reset",
        "asking",
        "mset a 1 c 2",
        "hello 3",
        "hello 2",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 100 }))]

    /// However a pipeline is cut into reads, and whoever else is there.
    #[test]
    fn the_answers_do_not_depend_on_how_the_bytes_come(
        commands in prop::collection::vec(command(), 1..40),
        cuts in prop::collection::vec(0usize..2000, 0..8),
    ) {
        let mut input = Vec::new();
        for command in &commands {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            encode_command(&mut input, &words);
        }
        let mut whole = Node::new(false);
        let mut session = whole.session();
        let expected = whole.send_bytes(&mut session, &input);
        let mut node = Node::new(false);
        let mut session = node.session();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % input.len()).collect();
        cuts.push(input.len());
        cuts.sort_unstable();
        let (mut pending, mut start, mut answered) = (Vec::new(), 0, String::new());
        for cut in cuts {
            pending.extend_from_slice(&input[start..cut]);
            start = cut;
            let (consumed, answer) = node.turn(&mut session, &pending);
            pending.drain(..consumed);
            answered.push_str(&answer);
        }
        prop_assert_eq!(answered, expected);
    }
}
