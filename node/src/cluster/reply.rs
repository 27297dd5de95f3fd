//! What CLUSTER's readers print from a [`View`], and what redirects say: Redis 7.0's forms, in
//! RESP2 and RESP3.

use super::LinkId;
use super::nodes_conf::write_node;
use super::routing::Refusal;
use super::view::{NodeView, View};
use crate::config::EndpointType;
use slotilla_common::bus::NodeFlags;
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use std::fmt::Write;

impl View {
    /// CLUSTER SLOTS. Encoded once for all who ask until an owner, an address or a role
    /// changes.
    pub fn write_slots(&self, reply: &mut ReplyWriter<'_>, endpoints: EndpointType) {
        let protocol = match reply.protocol {
            Protocol::Resp2 => 0,
            Protocol::Resp3 => 3,
        };
        let endpoint = match endpoints {
            EndpointType::Ip => 0,
            EndpointType::Hostname => 1,
            EndpointType::Unknown => 2,
        };
        let make = || {
            let mut out = Vec::new();
            let mut fresh = ReplyWriter::new(&mut out, reply.protocol);
            self.write_slots_anew(&mut fresh, endpoints);
            out
        };
        if let Some(cached) = self.replies.reply(protocol + endpoint, make) {
            reply.raw(cached);
        }
    }

    fn write_slots_anew(&self, reply: &mut ReplyWriter<'_>, endpoints: EndpointType) {
        let owned = self.nodes.iter().flat_map(|node| {
            let ranges = node.slots.iter();
            ranges.map(move |(start, end)| (*start, *end, node))
        });
        let mut ranges: Vec<_> = owned.collect();
        ranges.sort_unstable_by_key(|(start, _, _)| *start);
        reply.array(ranges.len());
        for (start, end, primary) in ranges {
            let replicas = self.replicas_of(primary.id);
            let replicas: Vec<_> = replicas
                .filter(|node| !node.flags.any(NodeFlags::FAIL))
                .collect();
            reply.array(replicas.len().saturating_add(3));
            reply.integer(i64::from(start.number()));
            reply.integer(i64::from(end.number()));
            write_slots_node(reply, primary, endpoints);
            for replica in replicas {
                write_slots_node(reply, replica, endpoints);
            }
        }
    }

    /// CLUSTER SHARDS.
    pub fn write_shards(&self, reply: &mut ReplyWriter<'_>, endpoints: EndpointType) {
        let primaries = self.nodes.iter().filter(|node| node.is_primary());
        let primaries: Vec<_> = primaries.collect();
        reply.array(primaries.len());
        for primary in primaries {
            reply.map(2);
            reply.bulk(b"slots");
            reply.array(primary.slots.len().saturating_mul(2));
            for (start, end) in primary.slots.iter() {
                reply.integer(i64::from(start.number()));
                reply.integer(i64::from(end.number()));
            }
            reply.bulk(b"nodes");
            let replicas: Vec<_> = self.replicas_of(primary.id).collect();
            reply.array(replicas.len().saturating_add(1));
            write_shard_node(reply, primary, endpoints);
            for replica in replicas {
                write_shard_node(reply, replica, endpoints);
            }
        }
    }

    /// CLUSTER NODES.
    #[must_use]
    pub fn nodes_text(&self) -> String {
        let mut text = String::with_capacity(self.nodes.len().saturating_mul(128));
        for node in &self.nodes {
            text.push_str(&self.node_line(node));
            text.push('\n');
        }
        text
    }

    /// A node's line of CLUSTER NODES and CLUSTER REPLICAS.
    #[must_use]
    pub fn node_line(&self, node: &NodeView) -> String {
        let mut line = String::new();
        write_node(&mut line, node, [&self.migrating, &self.importing]);
        line
    }

    /// CLUSTER INFO.
    #[must_use]
    pub fn info_text(&self) -> String {
        let [assigned, ok, suspected, failing] = self.slot_health();
        let state = if self.is_up { "ok" } else { "fail" };
        let my_epoch = self.myself().map_or(0, |node| node.config_epoch);
        let mut text = format!(
            "cluster_state:{state}\r\n\
             cluster_slots_assigned:{assigned}\r\n\
             cluster_slots_ok:{ok}\r\n\
             cluster_slots_pfail:{suspected}\r\n\
             cluster_slots_fail:{failing}\r\n\
             cluster_known_nodes:{}\r\n\
             cluster_size:{}\r\n\
             cluster_current_epoch:{}\r\n\
             cluster_my_epoch:{my_epoch}\r\n",
            self.nodes.len(),
            self.size,
            self.current_epoch,
        );
        let mut count = |direction, counts: &mut dyn Iterator<Item = _>| {
            let mut total = 0u64;
            for (kind, count) in counts.filter(|(_, count): &(_, u64)| *count > 0) {
                let kind: slotilla_common::bus::Kind = kind;
                total = total.saturating_add(count);
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "cluster_stats_messages_{}_{direction}:{count}\r\n",
                    kind.name()
                );
            }
            let _ = write!(text, "cluster_stats_messages_{direction}:{total}\r\n");
        };
        count("sent", &mut self.stats.sent());
        count("received", &mut self.stats.received());
        let _ = write!(
            text,
            "total_cluster_links_buffer_limit_exceeded:{}\r\n",
            self.stats.links_overflowed
        );
        text
    }

    /// CLUSTER LINKS. `queued_bytes` tells how many bytes wait on a link.
    pub fn write_links(&self, reply: &mut ReplyWriter<'_>, queued_bytes: impl Fn(LinkId) -> usize) {
        reply.array(self.links.len());
        for link in &self.links {
            let queued = queued_bytes(link.link);
            let bytes = i64::try_from(queued).unwrap_or(i64::MAX);
            reply.map(6);
            reply.bulk(b"direction");
            reply.bulk(if link.is_outbound { b"to" } else { b"from" });
            reply.bulk(b"node");
            reply.bulk(link.node.as_bytes());
            reply.bulk(b"create-time");
            reply.integer(link.created_ms);
            reply.bulk(b"events");
            reply.bulk(if queued > 0 { b"rw" } else { b"r" });
            reply.bulk(b"send-buffer-allocated");
            reply.integer(bytes);
            reply.bulk(b"send-buffer-used");
            reply.integer(bytes);
        }
    }

    /// The error reply to a command that is not run here.
    #[must_use]
    pub fn refusal_text(&self, refusal: Refusal, slot: Slot, endpoints: EndpointType) -> String {
        let (word, target) = match refusal {
            Refusal::Ask => ("ASK", self.migrating_to(slot)),
            Refusal::Moved
            | Refusal::Unbound
            | Refusal::CrossSlot
            | Refusal::Down
            | Refusal::DownForWrites
            | Refusal::TryAgain => ("MOVED", self.owner(slot)),
        };
        if let Some(text) = refusal.text() {
            return text.to_owned();
        }
        match target {
            Some(node) => {
                let host = endpoint(node, endpoints).unwrap_or_default();
                format!("{word} {slot} {host}:{}", node.address.port)
            }
            // The slot lost its owner between the look under its lock and this one.
            None => Refusal::Unbound.text().unwrap_or_default().to_owned(),
        }
    }
}

/// The host that clients are told; `None`: the one that they know already.
fn endpoint(node: &NodeView, endpoints: EndpointType) -> Option<&str> {
    match endpoints {
        EndpointType::Ip => Some(node.address.ip.as_str()),
        EndpointType::Hostname if node.hostname.is_empty() => Some("?"),
        EndpointType::Hostname => Some(&node.hostname),
        EndpointType::Unknown => None,
    }
}

fn write_slots_node(reply: &mut ReplyWriter<'_>, node: &NodeView, endpoints: EndpointType) {
    reply.array(4);
    match endpoint(node, endpoints) {
        Some(host) => reply.bulk(host.as_bytes()),
        None => reply.null(),
    }
    reply.integer(i64::from(node.address.port));
    reply.bulk(node.id.as_bytes());
    // What else is known of where it is.
    let ip = (endpoints != EndpointType::Ip).then_some(("ip", node.address.ip.as_str()));
    let is_named = endpoints != EndpointType::Hostname && !node.hostname.is_empty();
    let hostname = is_named.then_some(("hostname", node.hostname.as_str()));
    let known = [ip, hostname];
    reply.map(known.iter().flatten().count());
    for (name, value) in known.into_iter().flatten() {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

fn write_shard_node(reply: &mut ReplyWriter<'_>, node: &NodeView, endpoints: EndpointType) {
    let has_name = !node.hostname.is_empty();
    let health = if node.flags.any(NodeFlags::FAIL) {
        "failed"
    } else if !node.is_primary() && node.offset == 0 {
        "loading"
    } else {
        "online"
    };
    let role = if node.is_primary() {
        "master"
    } else {
        "replica"
    };
    reply.map(if has_name { 8 } else { 7 });
    reply.bulk(b"id");
    reply.bulk(node.id.as_bytes());
    reply.bulk(b"port");
    reply.integer(i64::from(node.address.port));
    reply.bulk(b"ip");
    reply.bulk(node.address.ip.as_str().as_bytes());
    reply.bulk(b"endpoint");
    reply.bulk(endpoint(node, endpoints).unwrap_or_default().as_bytes());
    if has_name {
        reply.bulk(b"hostname");
        reply.bulk(node.hostname.as_bytes());
    }
    reply.bulk(b"role");
    reply.bulk(role.as_bytes());
    reply.bulk(b"replication-offset");
    reply.integer(i64::try_from(node.offset).unwrap_or(i64::MAX));
    reply.bulk(b"health");
    reply.bulk(health.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::nodes_conf::NodesConf;
    use crate::cluster::{Action, Core, Options};
    use std::sync::Arc;

    const CONF: &str = "\
1111111111111111111111111111111111111111 10.0.0.1:7001@17001,one.example myself,master - 0 0 1 connected 0-99 16383 [7->-2222222222222222222222222222222222222222]
2222222222222222222222222222222222222222 10.0.0.2:7002@17002 master - 0 0 2 connected 5000
3333333333333333333333333333333333333333 10.0.0.3:7003@17003 slave 2222222222222222222222222222222222222222 0 0 2 connected
vars currentEpoch 2 lastVoteEpoch 0
";

    fn view() -> Arc<View> {
        let conf = NodesConf::parse(CONF.as_bytes()).unwrap();
        let options = Options {
            port: 7001,
            cport: 17_001,
            announce_hostname: "one.example".to_owned(),
            ..Options::default()
        };
        let mut core = Core::restore(options, &conf, 1, 1000);
        let published = core
            .start(1000)
            .into_iter()
            .find_map(|action| match action {
                Action::Publish(view) => Some(view),
                _ => None,
            });
        published.unwrap()
    }

    fn written(protocol: Protocol, write: impl Fn(&mut ReplyWriter<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut ReplyWriter::new(&mut out, protocol));
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn slots_are_in_order_with_replicas_and_metadata() {
        let view = view();
        let one = "*4 $8 10.0.0.1 :7001 $40 1111111111111111111111111111111111111111 %1 $8 hostname $11 one.example ";
        let two = "*4 $8 10.0.0.2 :7002 $40 2222222222222222222222222222222222222222 %0 ";
        let three = "*4 $8 10.0.0.3 :7003 $40 3333333333333333333333333333333333333333 %0 ";
        let expected =
            format!("*3 *3 :0 :99 {one}*4 :5000 :5000 {two}{three}*3 :16383 :16383 {one}");
        // The second time from the cache.
        for _ in 0..2 {
            let got = written(Protocol::Resp3, |reply| {
                view.write_slots(reply, EndpointType::Ip);
            });
            assert_eq!(got, expected);
        }
        let got = written(Protocol::Resp2, |reply| {
            view.write_slots(reply, EndpointType::Hostname);
        });
        assert!(got.starts_with("*3 *3 :0 :99 *4 $11 one.example :7001 $40 1111111111111111111111111111111111111111 *2 $2 ip $8 10.0.0.1 *4 :5000 :5000 *4 $1 ? :7002"), "{got}");
        let got = written(Protocol::Resp3, |reply| {
            view.write_slots(reply, EndpointType::Unknown);
        });
        assert!(got.starts_with("*3 *3 :0 :99 *4 _ :7001 $40 1111111111111111111111111111111111111111 %2 $2 ip $8 10.0.0.1 $8 hostname"), "{got}");
    }

    #[test]
    fn shards_name_each_node_once() {
        let got = written(Protocol::Resp2, |reply| {
            view().write_shards(reply, EndpointType::Ip);
        });
        let expected = "*2 \
            *4 $5 slots *4 :0 :99 :16383 :16383 $5 nodes *1 *16 $2 id $40 1111111111111111111111111111111111111111 $4 port :7001 $2 ip $8 10.0.0.1 $8 endpoint $8 10.0.0.1 $8 hostname $11 one.example $4 role $6 master $18 replication-offset :0 $6 health $6 online \
            *4 $5 slots *2 :5000 :5000 $5 nodes *2 *14 $2 id $40 2222222222222222222222222222222222222222 $4 port :7002 $2 ip $8 10.0.0.2 $8 endpoint $8 10.0.0.2 $4 role $6 master $18 replication-offset :0 $6 health $6 online \
            *14 $2 id $40 3333333333333333333333333333333333333333 $4 port :7003 $2 ip $8 10.0.0.3 $8 endpoint $8 10.0.0.3 $4 role $7 replica $18 replication-offset :0 $6 health $7 loading ";
        assert_eq!(got, expected);
    }

    #[test]
    fn redirects_name_the_owner_or_where_the_slot_goes() {
        let view = view();
        let text = |refusal, slot, endpoints| {
            let slot = Slot::from_wire(slot).unwrap();
            view.refusal_text(refusal, slot, endpoints)
        };
        for (refusal, slot, endpoints, expected) in [
            (
                Refusal::Moved,
                5000,
                EndpointType::Ip,
                "MOVED 5000 10.0.0.2:7002",
            ),
            (
                Refusal::Moved,
                5000,
                EndpointType::Hostname,
                "MOVED 5000 ?:7002",
            ),
            (
                Refusal::Moved,
                99,
                EndpointType::Hostname,
                "MOVED 99 one.example:7001",
            ),
            (
                Refusal::Moved,
                5000,
                EndpointType::Unknown,
                "MOVED 5000 :7002",
            ),
            (Refusal::Ask, 7, EndpointType::Ip, "ASK 7 10.0.0.2:7002"),
            (
                Refusal::Moved,
                6000,
                EndpointType::Ip,
                "CLUSTERDOWN Hash slot not served",
            ),
            (
                Refusal::Down,
                5000,
                EndpointType::Ip,
                "CLUSTERDOWN The cluster is down",
            ),
        ] {
            assert_eq!(text(refusal, slot, endpoints), expected);
        }
    }

    #[test]
    fn info_and_nodes_read_as_redis_writes_them() {
        let view = view();
        let info = view.info_text();
        assert!(info.starts_with("cluster_state:fail\r\ncluster_slots_assigned:102\r\ncluster_slots_ok:102\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:3\r\n"), "{info}");
        assert!(
            info.contains(
                "cluster_current_epoch:2\r\ncluster_my_epoch:1\r\ncluster_stats_messages_sent:0\r\n"
            ),
            "{info}"
        );
        let nodes = view.nodes_text();
        let mut lines = nodes.lines();
        assert_eq!(lines.next(), CONF.lines().next());
        let other = "2222222222222222222222222222222222222222 10.0.0.2:7002@17002 master - 0 0 2 disconnected 5000";
        assert_eq!(lines.next(), Some(other));
    }
}
