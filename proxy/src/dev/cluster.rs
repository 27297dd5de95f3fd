//! Makes the nodes one cluster, over the wire, as any operator would.

use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::resp::{Value, decode};
use slotilla_common::slot::Slot;
use slotilla_common::topology::{Topology, parse_slots};
use tokio::net::TcpStream;

use super::node::Node;
use crate::upstream::call;

/// How long the nodes may take to agree.
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// How long a node may take to answer one command.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks.
const STEP: Duration = Duration::from_millis(50);
/// The longest answer that is of interest here.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to one node.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    port: u16,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(port: u16) -> Result<Self, String> {
        let connecting = TcpStream::connect(("127.0.0.1", port));
        match tokio::time::timeout(ANSWER_LIMIT, connecting).await {
            Ok(Ok(stream)) => Ok(Self { stream, port }),
            Ok(Err(error)) => Err(format!("cannot connect to node 127.0.0.1:{port}: {error}")),
            Err(_) => Err(format!(
                "no connection to node 127.0.0.1:{port} in {ANSWER_LIMIT:?}"
            )),
        }
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Value, String> {
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let port = self.port;
        let failed = |why: &str| format!("node 127.0.0.1:{port}: {}: {why}", words.join(" "));
        let calling = call(&mut self.stream, &bytes, ANSWER_BYTES_MAX);
        let reply = tokio::time::timeout(ANSWER_LIMIT, calling)
            .await
            .map_err(|_| failed("no reply"))?
            .map_err(|error| failed(&error.to_string()))?;
        match decode(&reply) {
            Ok(Some((value, _))) => Ok(value),
            Ok(None) => Err(failed("half a reply")),
            Err(error) => Err(failed(&error.to_string())),
        }
    }

    /// Sends a command that must be answered with OK.
    async fn ok(&mut self, words: &[&str]) -> Result<(), String> {
        match self.call(words).await? {
            Value::Simple(text) if text == b"OK" => Ok(()),
            other => Err(self.unexpected(words, &other)),
        }
    }

    fn unexpected(&self, words: &[&str], reply: &Value) -> String {
        let said = match reply {
            Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        format!("node 127.0.0.1:{}: {}: {said}", self.port, words.join(" "))
    }

    async fn topology(&mut self) -> Result<Topology, String> {
        let value = self.call(&["CLUSTER", "SLOTS"]).await?;
        parse_slots(&value).map_err(|error| format!("node 127.0.0.1:{}: {error}", self.port))
    }

    /// The value of a field of CLUSTER INFO.
    async fn info(&mut self, field: &str) -> Result<String, String> {
        let value = self.call(&["CLUSTER", "INFO"]).await?;
        let Some(text) = value.as_bytes().map(String::from_utf8_lossy) else {
            return Err(self.unexpected(&["CLUSTER", "INFO"], &value));
        };
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.unwrap_or_default().trim().to_owned())
    }
}

/// The slots of the node at `place` of `count`.
fn share(place: usize, count: usize) -> (u16, u16) {
    let edge = |place: usize| {
        let slots = usize::from(Slot::COUNT) * place / count.max(1);
        u16::try_from(slots).unwrap_or(Slot::COUNT)
    };
    (edge(place), edge(place + 1).saturating_sub(1))
}

/// Gives each node its slots, introduces them, waits until all agree. Nodes that come back to a
/// directory where they were a cluster are one already.
pub(super) async fn join(nodes: &[Node]) -> Result<(), String> {
    let mut connections = Vec::new();
    for node in nodes {
        connections.push(Connection::open(node.port).await?);
    }
    let mut is_new = true;
    for connection in &mut connections {
        let known = connection.info("cluster_known_nodes").await?;
        let assigned = connection.info("cluster_slots_assigned").await?;
        is_new &= known == "1" && assigned == "0";
    }
    if is_new {
        introduce(nodes, &mut connections).await?;
    }
    let clock = Monotonic::new();
    let start = clock.now();
    loop {
        if agree(&mut connections).await? {
            return Ok(());
        }
        if clock.nanos_between(start, clock.now()) > JOIN_LIMIT.as_nanos() as u64 {
            return Err(format!(
                "the nodes did not agree on the cluster within {JOIN_LIMIT:?}; if --dir holds \
                 another cluster, name an empty directory"
            ));
        }
        tokio::time::sleep(STEP).await;
    }
}

async fn introduce(nodes: &[Node], connections: &mut [Connection]) -> Result<(), String> {
    let count = connections.len();
    for (place, connection) in connections.iter_mut().enumerate() {
        let (first, last) = share(place, count);
        let (first, last) = (first.to_string(), last.to_string());
        connection
            .ok(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
            .await?;
        // Distinct from the start: nodes whose epochs collide need some time to settle it.
        let epoch = (place + 1).to_string();
        connection
            .ok(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])
            .await?;
    }
    let Some(meeting_place) = nodes.first().map(|node| node.port.to_string()) else {
        return Ok(());
    };
    for connection in connections.iter_mut().skip(1) {
        connection
            .ok(&["CLUSTER", "MEET", "127.0.0.1", &meeting_place])
            .await?;
    }
    Ok(())
}

/// Whether every node knows every other, finds the cluster well and tells the same owners.
async fn agree(connections: &mut [Connection]) -> Result<bool, String> {
    let count = connections.len().to_string();
    let mut first: Option<Vec<String>> = None;
    for connection in connections {
        if connection.info("cluster_state").await? != "ok"
            || connection.info("cluster_known_nodes").await? != count
        {
            return Ok(false);
        }
        let topology = connection.topology().await?;
        if topology.slots_covered() != usize::from(Slot::COUNT) {
            return Ok(false);
        }
        let mut owners: Vec<String> = topology
            .shards
            .iter()
            .map(|shard| format!("{:?} {}", shard.slots, shard.primary.endpoint.port))
            .collect();
        owners.sort_unstable();
        match &first {
            None => first = Some(owners),
            Some(known) if *known == owners => {}
            Some(_) => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_slots_once() {
        for count in [1, 2, 3, 7, 100] {
            let mut next = 0;
            for place in 0..count {
                let (first, last) = share(place, count);
                assert_eq!(first, next);
                next = last + 1;
            }
            assert_eq!(next, Slot::COUNT);
        }
    }
}
