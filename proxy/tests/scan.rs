//! SCAN's promise: what is there from the first call to the last is told, whatever the cluster
//! does meanwhile and whichever proxies are asked.
#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slotilla_common::slot::Slot;
use slotilla_proxy::config::Config;
use slotilla_proxy::server::Server;
use support::{Act, Client, FakeNode, Setup, Words, quick, say, start_proxy, text, wait_for};

/// Which node holds which key, by the nodes' ports.
type Keys = Arc<Mutex<BTreeMap<usize, u16>>>;

const KEYS: usize = 60;
/// Keys that a node tells at a time.
const COUNT: usize = 4;

fn name(key: usize) -> String {
    format!("key:{key}")
}

fn slot(key: usize) -> u16 {
    Slot::of_key(name(key).as_bytes()).number()
}

/// SCAN of one node: keys in their own order, the cursor being the next key.
fn node(keys: &Keys, port: u16) -> impl FnMut(usize, &Words) -> Act + Send + 'static {
    let keys = Arc::clone(keys);
    move |_, words| {
        if words[0] != "SCAN" {
            return say("-ERR what?\r\n");
        }
        let from: usize = words[1].parse().unwrap();
        let keys = keys.lock().unwrap();
        let mut own = keys
            .range(from..)
            .filter(|(_, owner)| **owner == port)
            .map(|(key, _)| *key);
        let told: Vec<usize> = own.by_ref().take(COUNT).collect();
        let next = own.next().unwrap_or(0).to_string();
        let mut reply = format!("*2\r\n${}\r\n{next}\r\n*{}\r\n", next.len(), told.len());
        for key in told.into_iter().map(name) {
            reply += &format!("${}\r\n{key}\r\n", key.len());
        }
        say(reply)
    }
}

struct Cluster {
    setup: Setup,
    keys: Keys,
}

/// The map is looked at only when somebody asks.
fn sleepy() -> Config {
    Config {
        refresh_interval: Duration::from_secs(3600),
        ..quick()
    }
}

impl Cluster {
    fn new() -> Self {
        let setup = Setup::new(3, sleepy());
        let keys = Keys::default();
        for node_ in &setup.nodes {
            node_.answer(node(&keys, node_.port));
        }
        let cluster = Self { setup, keys };
        for key in 0..KEYS {
            let owner = cluster.owner(slot(key));
            cluster.keys.lock().unwrap().insert(key, owner);
        }
        cluster
    }

    fn owner(&self, slot: u16) -> u16 {
        let map = self.setup.map.lock().unwrap();
        let range = map
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot));
        range.expect("an owner").2
    }

    /// Ports in the order in which SCAN visits the nodes.
    fn order(&self) -> Vec<u16> {
        let map = self.setup.proxy.shared().map.load();
        map.primaries.iter().map(|p| p.1.port).collect()
    }

    /// Everything of one node goes to another, the map told to all but the proxy.
    fn hand_over(&self, from: u16, to: u16) {
        for range in self.setup.map.lock().unwrap().iter_mut() {
            if range.2 == from {
                range.2 = to;
            }
        }
        for owner in self.keys.lock().unwrap().values_mut() {
            if *owner == from {
                *owner = to;
            }
        }
    }

    fn another_proxy(&self) -> Server {
        let proxy = start_proxy(sleepy(), &[self.setup.nodes[2].port]);
        wait_for("a whole map", || proxy.shared().map.load().is_complete());
        proxy
    }
}

/// Iterates, asking the proxies in turn; `event` gets the number of each call that was made.
/// How many calls there were, and all keys in the order told.
fn iterate(proxies: &[&Server], mut event: impl FnMut(usize)) -> (usize, Vec<String>) {
    let mut clients: Vec<Client> = proxies.iter().map(|p| Client::connect(p)).collect();
    let (mut cursor, mut told) = ("0".to_owned(), Vec::new());
    for call in 0..1000 {
        let turn = call % clients.len();
        let reply = clients[turn].call(&format!("SCAN {cursor}"));
        let parts = reply.as_elements().unwrap_or_else(|| panic!("{reply:?}"));
        told.extend(parts[1].as_elements().expect("keys").iter().map(text));
        cursor = text(&parts[0]);
        assert!(cursor.parse::<u64>().unwrap() < 1 << 53);
        if cursor == "0" {
            return (call + 1, told);
        }
        event(call);
    }
    panic!("SCAN does not end");
}

fn assert_all(told: &[String]) {
    let told: BTreeSet<&String> = told.iter().collect();
    let missing: Vec<String> = (0..KEYS).map(name).filter(|k| !told.contains(k)).collect();
    assert!(missing.is_empty(), "not told: {missing:?}");
}

#[test]
fn in_a_cluster_at_rest_every_key_is_told_once_whichever_proxies_are_asked() {
    let cluster = Cluster::new();
    let (_, told) = iterate(&[&cluster.setup.proxy], |_| {});
    assert_all(&told);
    assert_eq!(told.len(), KEYS);
    let other = cluster.another_proxy();
    let (_, told) = iterate(&[&cluster.setup.proxy, &other], |_| {});
    assert_all(&told);
    assert_eq!(told.len(), KEYS);
}

#[test]
fn slots_that_move_behind_the_scan_are_told() {
    // From every node not visited yet to one visited already, at every moment.
    for moment in 0..15 {
        let cluster = Cluster::new();
        let order = cluster.order();
        let (_, told) = iterate(&[&cluster.setup.proxy], |call| {
            if call == moment {
                cluster.hand_over(order[2], order[0]);
            }
        });
        assert_all(&told);
    }
}

#[test]
fn slots_that_move_again_in_the_second_lap_are_told() {
    let cluster = Cluster::new();
    let order = cluster.order();
    let mut moves = vec![(6, order[2], order[0]), (22, order[1], order[0])];
    let (_, told) = iterate(&[&cluster.setup.proxy], |call| {
        moves.retain(|(moment, from, to)| {
            if call == *moment {
                cluster.hand_over(*from, *to);
            }
            call != *moment
        });
    });
    assert_eq!(moves, []);
    assert_all(&told);
}

#[test]
fn keys_of_a_slot_that_is_on_its_way_are_told_and_an_open_slot_is_no_endless_loop() {
    let cluster = Cluster::new();
    let order = cluster.order();
    let target = |port: u16| cluster.setup.nodes.iter().find(|n| n.port == port).unwrap();
    target(order[0]).opens(" [93-<-x]");
    let (calls, told) = iterate(&[&cluster.setup.proxy], |call| {
        if call == 6 {
            for owner in cluster.keys.lock().unwrap().values_mut() {
                if *owner == order[2] {
                    *owner = order[0];
                }
            }
        }
    });
    assert_all(&told);
    assert!(calls < 45, "{calls} calls");
}

#[test]
fn a_node_that_joins_and_takes_over_slots_is_visited() {
    for moment in [0, 3, 6, 9, 12, 14] {
        let cluster = Cluster::new();
        let order = cluster.order();
        let map = Arc::clone(&cluster.setup.map);
        let new = FakeNode::start_on(0, map, |_, _| say("+OK\r\n"));
        new.answer(node(&cluster.keys, new.port));
        let (_, told) = iterate(&[&cluster.setup.proxy], |call| {
            if call == moment {
                cluster.hand_over(order[1], new.port);
            }
        });
        assert_all(&told);
    }
}

#[test]
fn a_proxy_that_starts_meanwhile_goes_on_where_the_other_stopped() {
    for moment in [0, 3, 6, 9, 12] {
        let cluster = Cluster::new();
        let order = cluster.order();
        let mut first = Client::connect(&cluster.setup.proxy);
        let (mut cursor, mut told) = ("0".to_owned(), Vec::new());
        let mut step = |client: &mut Client, cursor: &mut String| {
            let reply = client.call(&format!("SCAN {cursor}"));
            let parts = reply.as_elements().unwrap();
            told.extend(parts[1].as_elements().unwrap().iter().map(text));
            *cursor = text(&parts[0]);
        };
        for _ in 0..=moment {
            step(&mut first, &mut cursor);
        }
        // The new one has seen nothing of this.
        cluster.hand_over(order[2], order[0]);
        let other = cluster.another_proxy();
        let mut second = Client::connect(&other);
        for _ in 0..200 {
            if cursor == "0" {
                break;
            }
            step(&mut second, &mut cursor);
        }
        assert_eq!(cursor, "0");
        assert_all(&told);
    }
}

#[test]
fn a_failover_in_the_middle_hides_no_key() {
    for moment in [1, 4, 7, 10, 13] {
        let cluster = Cluster::new();
        let order = cluster.order();
        let map = Arc::clone(&cluster.setup.map);
        let replica = FakeNode::start_on(0, map, |_, _| say("+OK\r\n"));
        replica.answer(node(&cluster.keys, replica.port));
        let (_, told) = iterate(&[&cluster.setup.proxy], |call| {
            if call == moment {
                // The old primary comes back as an empty replica.
                cluster.hand_over(order[1], replica.port);
                cluster.setup.proxy.shared().refresher.ask();
                wait_for("the new map", || cluster.order().contains(&replica.port));
            }
        });
        assert_all(&told);
    }
}

/// What a redis-server 7.0.15 answers to the same cursors, keys aside.
#[test]
fn cursors_are_taken_and_refused_as_redis_does() {
    let cluster = Cluster::new();
    let mut client = cluster.setup.client();
    let start = client.call("SCAN 0");
    for cursor in ["", "-0", "+0", "00", "\0", "0\0x", "9007199254740992"] {
        assert_eq!(client.call(&format!("SCAN {cursor}")), start, "{cursor:?}");
    }
    for cursor in ["-1", "+1", "18446744073709551615", "-18446744073709551615"] {
        let reply = client.call(&format!("SCAN {cursor}"));
        assert_eq!(reply.as_elements().map(<[_]>::len), Some(2), "{cursor}");
    }
    for cursor in ["-", "+", "--1", "x", "0x10", "\t0", "0\t"] {
        let reply = text(&client.call(&format!("SCAN {cursor}")));
        assert_eq!(reply, "-ERR invalid cursor", "{cursor:?}");
    }
    for cursor in ["18446744073709551616", "-18446744073709551616"] {
        let reply = text(&client.call(&format!("SCAN {cursor}")));
        assert_eq!(reply, "-ERR invalid cursor", "{cursor:?}");
    }
}
