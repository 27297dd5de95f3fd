//! What a node keeps for a client, what CLIENT LIST tells of it, and when it is too much.
#![cfg(test)]

use std::time::Duration;

use slotilla_tests::{Client, Deadline, Kind, Server, wait_for, wait_until};

const MIB: usize = 1024 * 1024;

/// A number of the CLIENT LIST line of the client named `name`; none if there is no such client.
fn shown(watcher: &mut Client, name: &str, field: &str) -> Option<usize> {
    let list = watcher.line("client list").text();
    let line = list
        .lines()
        .find(|line| line.contains(&format!(" name={name} ")))?;
    let words = line.split(' ').filter_map(|word| word.split_once('='));
    let (_, value) = words.into_iter().find(|(key, _)| *key == field).unwrap();
    Some(value.parse().unwrap())
}

fn named(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    client.ok(&["client", "setname", name]);
    client
}

#[test]
fn a_client_sees_the_bytes_that_it_has_sent() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        let info = b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n";
        client.send(info);
        let alone = client.read().text();
        assert!(alone.contains(" qbuf=26 "), "{kind:?}: {alone}");
        client.send(&[info.as_slice(), b"*1\r\n$4\r\nPING\r\n"].concat());
        let with_more = client.read().text();
        assert!(with_more.contains(" qbuf=40 "), "{kind:?}: {with_more}");
    }
}

#[test]
fn a_request_that_is_not_whole_shows_and_is_forgotten_once_it_ran() {
    let node = Server::start(Kind::Node, &[]);
    let (mut client, mut watcher) = (named(&node, "slow"), node.client());
    let idle = shown(&mut watcher, "slow", "tot-mem").unwrap();
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n${MIB}\r\n");
    client.send(head.as_bytes());
    client.send(&vec![b'v'; MIB / 2]);
    wait_until("half of it to show", || {
        shown(&mut watcher, "slow", "qbuf") == Some(head.len() + MIB / 2)
    });
    assert!(shown(&mut watcher, "slow", "tot-mem").unwrap() >= MIB / 2);
    client.send(&vec![b'v'; MIB / 2]);
    client.send(b"\r\n*1\r\n$4\r\nPI");
    assert_eq!(client.read().text(), "OK");
    wait_until("the start of a PING to show", || {
        shown(&mut watcher, "slow", "qbuf") == Some(10)
    });
    assert!(shown(&mut watcher, "slow", "qbuf-free").unwrap() < 100);
    client.send(b"NG\r\n");
    assert_eq!(client.read().text(), "PONG");
    wait_until("nothing to be kept", || {
        ["qbuf", "qbuf-free", "omem"].map(|field| shown(&mut watcher, "slow", field))
            == [Some(0); 3]
    });
    assert_eq!(shown(&mut watcher, "slow", "tot-mem"), Some(idle));
}

/// A server with a value of a mebibyte to ask for, and one who watches its clients.
fn with_much_to_read(kind: Kind) -> (Server, Client) {
    let server = Server::start(kind, &[]);
    let mut watcher = server.client();
    watcher.ok(&["set", "big", &"v".repeat(MIB)]);
    (server, watcher)
}

fn limit_output(watcher: &mut Client, limits: &str) {
    watcher.ok(&["config", "set", "client-output-buffer-limit", limits]);
}

/// Asks for so much that no socket takes it.
fn ask_for_much(client: &mut Client) {
    client.send(&b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n".repeat(ASKED));
}

fn read_much(client: &mut Client) {
    for _ in 0..ASKED {
        assert_eq!(client.read().text().len(), MIB);
    }
}

const ASKED: usize = 20;

fn wait_for_a_pile(watcher: &mut Client, name: &str) {
    wait_until("replies to pile up", || {
        shown(watcher, name, "omem").unwrap() > MIB
    });
}

#[test]
fn unread_replies_show_and_are_forgotten_once_read() {
    let (node, mut watcher) = with_much_to_read(Kind::Node);
    let mut client = named(&node, "slow");
    ask_for_much(&mut client);
    wait_for_a_pile(&mut watcher, "slow");
    assert_eq!(shown(&mut watcher, "slow", "oll"), Some(1));
    assert!(shown(&mut watcher, "slow", "tot-mem").unwrap() > MIB);
    read_much(&mut client);
    wait_until("nothing to be kept", || {
        ["oll", "omem"].map(|field| shown(&mut watcher, "slow", field)) == [Some(0); 2]
    });
}

#[test]
fn a_client_that_reads_is_not_idle() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let (mut client, mut watcher) = (named(&server, "slow"), server.client());
        watcher.ok(&["set", "big", &"v".repeat(MIB)]);
        ask_for_much(&mut client);
        wait_until("it to be idle", || {
            shown(&mut watcher, "slow", "idle") > Some(1)
        });
        // It counts as busy when the server sends, which is while the sockets do not hold the rest.
        let idle: Vec<_> = (0..ASKED)
            .map(|_| {
                assert_eq!(client.read().text().len(), MIB);
                shown(&mut watcher, "slow", "idle")
            })
            .collect();
        assert!(idle.iter().min() <= Some(&Some(1)), "{kind:?}: {idle:?}");
    }
}

/// A client that always has more to read than its socket takes: what it has read is not kept.
#[test]
fn replies_that_were_read_are_forgotten_while_others_wait() {
    let (node, mut watcher) = with_much_to_read(Kind::Node);
    let mut client = named(&node, "steady");
    const AHEAD: usize = 60;
    let ask = |client: &mut Client| client.send(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n");
    (0..AHEAD).for_each(|_| ask(&mut client));
    for _ in 0..5 * AHEAD {
        ask(&mut client);
        assert_eq!(client.read().text().len(), MIB);
        let held = shown(&mut watcher, "steady", "omem").unwrap();
        // What waits, and the rest of a reply of which half is sent.
        assert!(held <= (AHEAD + 4) * MIB, "{held} bytes");
    }
}

/// Nothing that it asked for: so its limit is not the one for replies.
#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let node = Server::start(Kind::Node, &[]);
    let (mut monitor, mut client) = (named(&node, "monitor"), node.client());
    monitor.ok(&["monitor"]);
    let value = "v".repeat(MIB);
    let is_closed = (0..100).any(|_| {
        client.ok(&["set", "big", &value]);
        shown(&mut client, "monitor", "omem").is_none()
    });
    assert!(is_closed, "100 MiB are kept for it");
}

/// One client asks for more than the soft limit and does not read. In a node another one, which
/// asks again and again and reads all, stays; Redis may find it above its limit at each look.
fn the_soft_limit_ends_who_does_not_read(kind: Kind) {
    let (server, mut watcher) = with_much_to_read(kind);
    limit_output(&mut watcher, "normal 0 1mb 1");
    let (mut reader, mut sleeper) = (named(&server, "reader"), named(&server, "sleeper"));
    let allowed = Deadline::after(Duration::from_secs(1));
    ask_for_much(&mut sleeper);
    wait_for("the sleeper to be closed", Duration::from_secs(15), || {
        if kind == Kind::Node {
            ask_for_much(&mut reader);
            read_much(&mut reader);
        }
        let gone = shown(&mut watcher, "sleeper", "omem").is_none();
        gone.then_some(())
    });
    assert!(allowed.is_over(), "{kind:?} allowed less than a second");
    assert_eq!(reader.line("ping").text(), "PONG");
}

#[test]
fn redis_closes_who_stays_above_the_soft_limit() {
    the_soft_limit_ends_who_does_not_read(Kind::Redis);
}

#[test]
fn a_node_closes_who_stays_above_the_soft_limit() {
    the_soft_limit_ends_who_does_not_read(Kind::Node);
}

#[test]
fn a_lower_limit_concerns_those_who_wait_already() {
    let (node, mut watcher) = with_much_to_read(Kind::Node);
    let mut sleeper = named(&node, "sleeper");
    ask_for_much(&mut sleeper);
    wait_for_a_pile(&mut watcher, "sleeper");
    limit_output(&mut watcher, "normal 1mb 0 0");
    wait_until("the sleeper to be closed", || {
        shown(&mut watcher, "sleeper", "omem").is_none()
    });
    let log = node.log();
    assert!(
        log.contains("client-output-buffer-limit allows 1048576 bytes"),
        "{log}"
    );
}
