//! What ends a wait but a push, through sessions without a network.

use std::task::Waker;

use slotilla_common::resp::encode_command;

use super::super::client::Introduction;
use super::super::host::ClusterHost;
use super::super::session::{Session, Then};
use super::super::worker::Worker;
use super::*;
use crate::cluster::shell::Host;
use crate::config::Config;

struct Node {
    server: Arc<Server>,
    host: ClusterHost,
    worker: Worker,
}

impl Node {
    fn new() -> Self {
        let arguments = ["--port", "1", "--cluster-enabled", "yes"].map(str::to_owned);
        let server = Arc::new(Server::new(Arc::new(Config::load(arguments).unwrap())));
        let seat = server.gate.seat(0).unwrap();
        let host = ClusterHost::new(&server);
        host.set_condition(Condition::Up);
        for slot in Slot::all() {
            host.set_serving(slot, Serving::Ours);
        }
        Self {
            worker: Worker::new(Arc::clone(&server), 0, seat),
            host,
            server,
        }
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

    /// Sends words between spaces; what is answered at once, and the wait if that is not all.
    fn send(
        &mut self,
        session: &mut Session,
        command: &str,
    ) -> (String, Option<Box<BlockedCommand>>) {
        let (mut input, mut out) = (Vec::new(), Vec::new());
        let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
        encode_command(&mut input, &words);
        let turn = session.run(&mut self.worker, &self.server, &input, &mut out);
        assert_eq!(turn.consumed, input.len());
        let out = String::from_utf8(out).unwrap().replace("\r\n", " ");
        match turn.then {
            Then::Read => (out, None),
            Then::Wait(command) => (out, Some(command)),
            other => panic!("{other:?}"),
        }
    }

    fn block(&mut self, command: &str) -> (Session, Box<BlockedCommand>) {
        let mut session = self.session();
        let (out, wait) = self.send(&mut session, command);
        assert_eq!(out, "");
        (session, wait.unwrap())
    }

    fn push(&mut self, key: &str) -> String {
        let mut session = self.session();
        self.send(&mut session, &format!("rpush {key} x")).0
    }
}

fn outcome(command: &mut BlockedCommand) -> Option<Outcome> {
    match command.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn refused(error: &str, close: bool) -> Option<Outcome> {
    let error = error.to_owned();
    Some(Outcome::Refused { error, close })
}

#[test]
fn a_slot_that_leaves_tells_those_who_wait() {
    let mut node = Node::new();
    let slot = Slot::of_key(b"{t}");
    for (serving, expected) in [
        (Serving::Migrating, None),
        (Serving::Importing, None),
        // Where to is the cluster thread's to say, of which there is none here.
        (Serving::Elsewhere, refused("", false)),
        (
            Serving::Unassigned,
            refused("CLUSTERDOWN Hash slot not served", false),
        ),
        (Serving::Replica, refused(DEMOTED, true)),
    ] {
        node.host.set_serving(slot, Serving::Ours);
        let (session, mut wait) = node.block("blpop {t}a {t}b 0");
        let (_other, mut elsewhere) = node.block("blpop {u} 0");
        assert!(session.state.client.has(flag::BLOCKED));
        node.host.set_serving(slot, serving);
        assert_eq!(outcome(&mut wait), expected, "{serving:?}");
        assert_eq!(outcome(&mut elsewhere), None, "{serving:?}");
        let is_waiting = expected.is_none();
        assert_eq!(session.state.client.has(flag::BLOCKED), is_waiting);
        assert_eq!(node.server.store.has_waiters(slot), is_waiting);
        wait.abandon();
        elsewhere.abandon();
        assert!(!node.server.store.has_waiters(slot));
    }
}

#[test]
fn nobody_waits_while_the_cluster_is_down() {
    const DOWN: &str = "CLUSTERDOWN The cluster is down";
    let mut node = Node::new();
    for condition in [Condition::Down, Condition::ReadsOnly] {
        node.host.set_condition(Condition::Up);
        let (_a, mut first) = node.block("blpop a 0");
        let (_b, mut second) = node.block("bzpopmin b 5");
        node.host.set_condition(condition);
        assert_eq!(outcome(&mut first), refused(DOWN, false));
        assert_eq!(outcome(&mut second), refused(DOWN, false));
        // A slot that leaves as well says no more than that.
        node.host.set_condition(Condition::Up);
        let (_c, mut third) = node.block("blpop a 0");
        node.server.cluster_health.set(condition);
        node.host
            .set_serving(Slot::of_key(b"a"), Serving::Unassigned);
        assert_eq!(outcome(&mut third), refused(DOWN, false));
        node.host.set_serving(Slot::of_key(b"a"), Serving::Ours);
    }
}

#[test]
fn a_client_that_is_closed_is_not_served() {
    let mut node = Node::new();
    let (session, mut wait) = node.block("blpop a 0");
    session.state.client.kill();
    assert!(!session.state.client.has(flag::BLOCKED));
    assert!(!node.server.unblock(&session.state.client, false));
    assert_eq!(node.push("a"), ":1 ");
    assert_eq!(outcome(&mut wait), None);
    wait.abandon();
    assert!(!node.server.store.has_waiters(Slot::of_key(b"a")));
    // One that was closed just before it waits is not either.
    let mut session = node.session();
    session.state.client.kill();
    let (_, wait) = node.send(&mut session, "blpop b 0");
    assert_eq!(node.push("b"), ":1 ");
    assert_eq!(node.push("b"), ":2 ");
    wait.unwrap().abandon();
    // Nor does it take what came after its end.
    let mut session = node.session();
    session.state.client.kill();
    let (_, wait) = node.send(&mut session, "blpop b 0");
    assert_eq!(node.push("b"), ":3 ");
    wait.unwrap().abandon();
}

#[test]
fn a_client_is_told_once_who_ended_its_wait() {
    let mut node = Node::new();
    let (session, mut wait) = node.block("blmove {t}a {t}b left right 100");
    let client = &session.state.client;
    assert!(client.has(flag::BLOCKED | flag::TIMED));
    assert_eq!(node.push("{t}a"), ":1 ");
    assert!(!client.has(flag::BLOCKED) && !client.has(flag::TIMED));
    assert!(!node.server.unblock(client, false));
    let served = outcome(&mut wait);
    assert!(
        matches!(&served, Some(Outcome::Served { reply, error: None, .. }) if reply == b"$1\r\nx\r\n"),
        "{served:?}"
    );
    assert!(client.waiting().is_none());
    assert_eq!(node.push("{t}b"), ":2 ");
}
