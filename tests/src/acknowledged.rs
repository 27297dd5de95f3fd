//! What tests of writes that replicas acknowledge have in common.

use std::io::ErrorKind;
use std::time::Duration;

use crate::replication::{await_link, replicate};
use crate::{Client, Kind, Server, wait_for};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(30);
/// `replica-ack-timeout`: nobody waits for that to end.
pub const LONG: &str = "60000";
/// What is under way is done long before.
pub const SHORT: &str = "300";
/// What is in the directory of a primary whose writes were confirmed.
pub const RECORD: &str = "replica-acks.state";

/// A node that copies at once.
#[must_use]
pub fn primary(settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("repl-diskless-sync-delay", "0"), ("io-threads", "2")];
    all.extend(settings);
    Server::start(Kind::Node, &all)
}

/// One that a primary counts.
#[must_use]
pub fn replica_of(primary: &Server, kind: Kind) -> Server {
    let before = online(primary);
    let replica = Server::start(kind, &[]);
    replicate(&replica, primary.port());
    await_link(&replica);
    await_online(primary, before + 1);
    replica
}

/// How many replicas confirm writes; none if that is not used.
#[must_use]
pub fn online(primary: &Server) -> u64 {
    let field = primary.info("replica_ack_online");
    field.map_or(0, |field| field.parse().expect("a number"))
}

/// Waits until so many do.
pub fn await_online(primary: &Server, count: u64) {
    wait_for("replicas to count", LIMIT, || {
        (online(primary) == count).then_some(())
    });
}

/// Waits until so many clients wait for replicas.
pub fn await_waiting(primary: &Server, count: u64) {
    wait_for("clients to wait", LIMIT, || {
        (number(primary, "replica_ack_waiting_clients") == count).then_some(())
    });
}

/// A field of INFO that is a number.
#[must_use]
pub fn number(server: &Server, field: &str) -> u64 {
    let text = server.info(field).expect("a field of INFO");
    text.parse().expect("a number")
}

/// What a client is told when [`SHORT`] is over.
#[must_use]
pub fn unconfirmed(had: u64, wanted: u64) -> String {
    format!(
        "UNCONFIRMED The write was done here, but only {had} of {wanted} replicas have confirmed it \
         within {SHORT} ms: it may be lost in a failover"
    )
}

/// What too few replicas are told by.
#[must_use]
pub fn too_few(online: u64, wanted: u64) -> String {
    format!(
        "NOREPLICAS Not enough replicas to confirm a write: {online} of {wanted} are connected. It \
         was not done."
    )
}

/// Whether nothing comes for a while.
pub fn is_silent(client: &mut Client) -> bool {
    client.set_reply_limit(Duration::from_millis(150));
    let reply = client.try_read();
    client.set_reply_limit(LIMIT);
    reply.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A connection that claims to be a replica which serves on `port`, and has taken all data, of which
/// there is little. It says nothing more by itself.
#[must_use]
pub fn claim_to_be_replica(primary: &Server, port: Option<u16>) -> Client {
    let mut replica = primary.client();
    if let Some(port) = port {
        replica.ok(&["replconf", "listening-port", &port.to_string()]);
    }
    replica.send(b"psync ? -1\r\n");
    let answer = replica.read_text_line();
    assert!(answer.starts_with("+FULLRESYNC "), "{answer}");
    let length = await_length(&mut replica);
    let _data = replica.read_bytes(length);
    replica
}

/// The length that comes before a copy, after signs of life.
fn await_length(replica: &mut Client) -> usize {
    loop {
        let line = replica.read_text_line();
        if let Some(length) = line.trim().strip_prefix('$') {
            return length.parse().expect("a length");
        }
        assert!(line.trim().is_empty(), "{line:?}");
    }
}
