//! A million commands sent before the first reply is read: all are answered in order, and what
//! the server holds meanwhile stays in proportion to the replies.
#![cfg(test)]

use slotilla_tests::{Client, Cluster, Kind, Server, wait_until};

const COMMANDS: usize = 1_000_000;
/// Commands of one write.
const WRITE: usize = 10_000;
/// More than the replies, the socket buffers and what growing a buffer takes; far less than the
/// requests would take if they were kept, 41 bytes each.
const MEMORY_MAX: u64 = 40 * 1024 * 1024;

/// INCR of one key: each reply tells the place of its request.
fn a_million_before_the_first_read(server: &mut Server) {
    let mut client = server.client();
    let one = b"*2\r\n$4\r\nINCR\r\n$20\r\nthe-key-that-counts-\r\n";
    let many = one.repeat(WRITE);
    let before = server.process().resident_bytes();
    for _ in 0..COMMANDS / WRITE {
        client.send(&many);
    }
    // Another client sees when all have run.
    let total = COMMANDS.to_string();
    let mut watcher = server.client();
    wait_until("all to have run", || {
        watcher.call(&["GET", "the-key-that-counts-"]).text() == total
    });
    let held = server.process().resident_bytes().saturating_sub(before);
    assert!(held < MEMORY_MAX, "{held} bytes");
    read_in_order(&mut client);
    assert_eq!(client.line("PING").text(), "PONG");
}

fn read_in_order(client: &mut Client) {
    for number in 1..=COMMANDS {
        assert_eq!(client.read_text_line(), format!(":{number}"));
    }
}

#[test]
fn a_node_answers_a_million_commands_before_the_first_read() {
    let mut node = Server::start(Kind::Node, &[]);
    a_million_before_the_first_read(&mut node);
    let kept = node.info("used_memory").unwrap_or_default();
    assert!(
        kept.parse::<u64>().is_ok_and(|kept| kept < MEMORY_MAX),
        "{kept}"
    );
}

#[test]
fn a_proxy_answers_a_million_commands_before_the_first_read() {
    let cluster = Cluster::start(Kind::Node, 3);
    a_million_before_the_first_read(&mut cluster.proxy(&[]));
}
