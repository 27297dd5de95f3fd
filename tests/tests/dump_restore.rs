//! DUMP and RESTORE between our node, a real redis-server 7.0.15 and Valkey: what one has dumped
//! the others restore, to the same value kept the same way, and they answer alike.
#![cfg(test)]

use std::collections::BTreeSet;

use fastrand::Rng;
use slotilla_tests::differential::{Command, Pair, seed};
use slotilla_tests::values::{every_kind, with, words};
use slotilla_tests::{Client, Kind, Server, Value, one_node_cluster, wait_until};

fn dump(client: &mut Client, key: &[u8]) -> Vec<u8> {
    client.call(&[b"dump", key]).bytes().to_vec()
}

fn restore(client: &mut Client, key: &[u8], payload: &[u8]) {
    let reply = client.call(&[b"restore", key, b"0", payload]);
    let shown = key.escape_ascii();
    assert_eq!(reply, Value::Simple("OK".into()), "RESTORE {shown}");
}

fn keys(client: &mut Client) -> BTreeSet<Vec<u8>> {
    let keys = client.line("keys *");
    keys.items()
        .iter()
        .map(|key| key.bytes().to_vec())
        .collect()
}

fn ask(client: &mut Client, line: &str, key: &[u8]) -> String {
    let mut command = words(line);
    command.push(key.to_vec());
    format!("{:?}", client.call(&command))
}

/// What can be seen of a value from outside, but for its elements' order.
fn digest(client: &mut Client, key: &[u8]) -> String {
    ask(client, "debug digest-value", key)
}

/// Members and their scores, in order.
fn scores(client: &mut Client, key: &[u8]) -> Vec<(String, f64)> {
    let range = client.call(&[b"zrange", key, b"0", b"-1", b"withscores"]);
    let pairs = range.items().chunks(2);
    let pair = |pair: &[Value]| (pair[0].text(), pair[1].text().parse().unwrap());
    pairs.map(pair).collect()
}

/// Restores all that `from` has to `to`, and checks that it is the same.
fn carry(from: &mut Client, to: &mut Client, encodings_too: bool) {
    let all = keys(from);
    for key in &all {
        let payload = dump(from, key);
        restore(to, key, &payload);
        let shown = key.escape_ascii().to_string();
        if shown.starts_with("zset:odd") {
            // Valkey's digest is of other spellings of the scores.
            assert_eq!(scores(from, key), scores(to, key), "{shown}");
        } else {
            assert_eq!(digest(from, key), digest(to, key), "{shown}");
        }
        // A short string that was changed in place is as if it had been set.
        if encodings_too && !matches!(shown.as_str(), "string:raw" | "string:hll") {
            let line = "object encoding";
            assert_eq!(ask(from, line, key), ask(to, line, key), "{shown}");
        }
    }
    assert_eq!(keys(to), all);
}

/// Fills `first`, and carries all to `second` and back.
fn both_ways(first: Kind, second: Kind, settings: &[(&str, &str)], encodings_too: bool) {
    let seed = seed();
    let (first, second) = (
        Server::start(first, settings),
        Server::start(second, settings),
    );
    let (mut there, mut here) = (first.client(), second.client());
    for command in every_kind(&mut Rng::with_seed(seed)) {
        assert_eq!(there.call(&command).error(), None);
    }
    carry(&mut there, &mut here, encodings_too);
    there.ok(&["flushall"]);
    carry(&mut here, &mut there, encodings_too);
}

#[test]
fn values_come_from_redis_and_go_back() {
    both_ways(Kind::Redis, Kind::Node, &[], true);
}

#[test]
fn values_go_to_redis_and_come_back() {
    both_ways(Kind::Node, Kind::Redis, &[("rdbcompression", "no")], true);
}

#[test]
fn valkeys_values_come_to_us() {
    // Valkey writes listpacks of sets, and its newer version of the format; it reads ours.
    both_ways(Kind::Valkey, Kind::Node, &[], false);
}

#[test]
fn our_values_go_to_valkey() {
    let (ours, theirs) = (
        Server::start(Kind::Node, &[]),
        Server::start(Kind::Valkey, &[]),
    );
    let (mut ours, mut theirs) = (ours.client(), theirs.client());
    for command in every_kind(&mut Rng::with_seed(seed())) {
        assert_eq!(ours.call(&command).error(), None);
    }
    carry(&mut ours, &mut theirs, false);
}

#[test]
fn what_has_an_order_is_dumped_byte_for_byte_as_redis_dumps_it() {
    let (theirs, ours) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = Pair {
        theirs: theirs.client(),
        ours: ours.client(),
        seed: seed(),
    };
    let mut random = Rng::with_seed(pair.seed);
    pair.run(&every_kind(&mut random));
    let (mut same, mut pairs) = (0, Vec::new());
    for key in keys(&mut pair.theirs) {
        let encoding = pair.theirs.call(&[b"object", &b"encoding"[..], &key]);
        // A list of several nodes may be cut elsewhere.
        if encoding.text() != "hashtable" && !key.starts_with(b"list:names:2000") {
            pairs.push(key);
        }
    }
    for key in &pairs {
        let shown = key.escape_ascii();
        let (expected, found) = (dump(&mut pair.theirs, key), dump(&mut pair.ours, key));
        same += usize::from(expected == found);
        // Of two places where something has been before, either is right.
        let most = expected.len() + 4 + expected.len() / 50;
        assert!(
            found.len() <= most,
            "{shown}: {} {}",
            expected.len(),
            found.len()
        );
    }
    assert!(
        same * 10 > pairs.len() * 7,
        "only {same} of {} are the same",
        pairs.len()
    );
    pair.run(&[words("config set rdbcompression no")]);
    let dumps: Vec<Command> = pairs
        .iter()
        .map(|key| vec![b"dump".to_vec(), key.clone()])
        .collect();
    pair.run(&dumps);
}

#[test]
fn plain_nodes_of_lists_go_both_ways() {
    let (theirs, ours) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = Pair {
        theirs: theirs.client(),
        ours: ours.client(),
        seed: 0,
    };
    let long = "l".repeat(200);
    pair.run(&[
        words("debug quicklist-packed-threshold 100b"),
        words(&format!("rpush list a b {long} c {long} {long} 1")),
        words("dump list"),
    ]);
    let payload = dump(&mut pair.ours, b"list");
    for client in [&mut pair.theirs, &mut pair.ours] {
        restore(client, b"copy", &payload);
    }
    pair.run(&[words("lrange copy 0 -1"), words("dump copy")]);
}

/// A payload's checksum, made right again.
fn resealed(mut payload: Vec<u8>) -> Vec<u8> {
    payload.truncate(payload.len().saturating_sub(8));
    let sum = slotilla_common::rdb::crc64(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

fn restore_command(key: &str, ttl: &str, payload: &[u8], options: &str) -> Command {
    let mut command = words(&format!("restore {key} {ttl}"));
    command.push(payload.to_vec());
    let options = options.split_whitespace();
    command.extend(options.map(|word| word.as_bytes().to_vec()));
    command
}

/// A value's bytes with a version and a checksum that are right.
fn sealed(value: &[u8]) -> Vec<u8> {
    resealed([value, b"\x0a\0", &[0; 8]].concat())
}

#[test]
fn both_answer_the_same_to_options() {
    let (theirs, ours) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = Pair {
        theirs: theirs.client(),
        ours: ours.client(),
        seed: 0,
    };
    pair.run(&[words("set key hello")]);
    let payload = dump(&mut pair.theirs, b"key");
    let mut commands = Vec::new();
    for options in [
        "",
        "replace",
        "REPLACE REPLACE",
        "absttl",
        "replace absttl",
        "idletime",
        "idletime x",
        "idletime -1",
        "idletime 5",
        "replace idletime 99999999999",
        "idletime 5 freq 6",
        "freq 256",
        "freq -1",
        "freq x",
        "freq",
        "freq 5 idletime 5",
        "freq 5 freq 6",
        "replace x",
        "replace idletime 5 idletime 6",
        "replace freq 200",
    ] {
        for key in ["key", "none"] {
            for ttl in ["0", "x", "-1", "1", "9223372036854775807", "100000", ""] {
                // A millisecond from now is over for one server and not for the other.
                if ttl == "1" && !options.contains("absttl") {
                    continue;
                }
                commands.push(restore_command(key, ttl, &payload, options));
                commands.push(words(&format!("get {key}")));
                commands.push(words(&format!("exists {key}")));
                commands.push(words("del none"));
            }
        }
        commands.push(words("set key hello"));
    }
    for line in [
        "restore a",
        "restore a 0",
        "restore-asking a 0",
        "get a",
        "dump key",
        "dump none",
        "dump",
        "dump a b",
    ] {
        commands.push(words(line));
    }
    let mut asking = restore_command("asked", "0", &payload, "");
    asking[0] = b"restore-asking".to_vec();
    commands.extend([asking, words("get asked")]);
    pair.run(&commands);
}

#[test]
fn both_answer_the_same_to_bad_payloads() {
    let (theirs, ours) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut pair = Pair {
        theirs: theirs.client(),
        ours: ours.client(),
        seed: 0,
    };
    let payload = sealed(b"\x00\x05hello");
    let version = |number: u8| {
        let mut other = payload.clone();
        let at = other.len() - 10;
        other[at] = number;
        resealed(other)
    };
    for bad in [
        b"".to_vec(),
        b"x".to_vec(),
        payload[1..].to_vec(),
        payload[..payload.len() - 1].to_vec(),
        version(9),
        version(1),
        version(12),
        sealed(b""),
        sealed(b"\x08\x00"),
        sealed(b"\xfa\x00"),
        sealed(b"\x00\x05hello and more"),
        sealed(b"\x02\x00"),
        sealed(b"\x02\x02\x01a\x01a"),
        sealed(b"\x10\x07\x07\0\0\0\0\0\xff"),
        sealed(b"\x12\x01\x03\x01a"),
    ] {
        pair.run(&[
            restore_command("bad", "0", &bad, ""),
            words("get bad"),
            words("del bad"),
        ]);
    }
}

#[test]
fn what_this_node_cannot_keep_is_refused_by_name() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    client.line("set {key} kept");
    for (kind, what) in [
        (b"\x0f", "a stream"),
        (b"\x13", "a stream"),
        (b"\x07", "a value of a module"),
    ] {
        let payload = sealed(&[&kind[..], b"\x00"].concat());
        let reply = client.call(&restore_command("{key}", "0", &payload, "replace"));
        let expected =
            format!("ERR Bad data format: key '{{key}}': {what} cannot be kept by this node");
        assert_eq!(reply.error(), Some(&*expected));
        assert_eq!(client.line("get {key}").text(), "kept");
    }
}

#[test]
fn a_hash_whose_fields_expire_is_refused_by_name() {
    let (theirs, ours) = (
        Server::start(Kind::Valkey, &[]),
        Server::start(Kind::Node, &[]),
    );
    let mut theirs = theirs.client();
    theirs.line("hset h f v g w");
    let reply = theirs.line("hexpire h 1000 fields 1 f");
    assert_eq!(reply.error(), None);
    let payload = dump(&mut theirs, b"h");
    let reply = ours
        .client()
        .call(&[b"restore", &b"key"[..], b"0", &payload]);
    let expected =
        "ERR Bad data format: key 'key': a hash whose fields expire cannot be kept by this node";
    assert_eq!(reply.error(), Some(expected));
}

/// A payload that is damaged is told in the log, and DEBUG SET-SKIP-CHECKSUM-VALIDATION lets one be
/// looked at whose checksum is wrong.
#[test]
fn what_is_wrong_with_a_payload_is_in_the_log() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    assert_eq!(client.line("hset h field value").integer(), 1);
    let payload = dump(&mut client, b"h");
    let mut damaged = payload.clone();
    // How long the listpack is, by its own account.
    damaged[2] ^= 1;
    let mut restored = |payload: &[u8]| {
        let reply = client.call(&[b"restore", &b"key"[..], b"0", payload, b"replace"]);
        reply.error().map(str::to_owned)
    };
    let unchecked = "ERR DUMP payload version or checksum are wrong";
    assert_eq!(restored(&damaged).as_deref(), Some(unchecked));
    node.client()
        .ok(&["debug", "set-skip-checksum-validation", "1"]);
    assert_eq!(restored(&damaged).as_deref(), Some("ERR Bad data format"));
    let told = "RESTORE of the key 'key' refused: Hash listpack integrity check failed: ";
    assert!(node.log().contains(told), "{}", node.log());
    assert_eq!(restored(&payload), None);
    node.client()
        .ok(&["debug", "set-skip-checksum-validation", "0"]);
    assert_eq!(restored(&damaged).as_deref(), Some(unchecked));
}

fn pttl(client: &mut Client, key: &str) -> i64 {
    client.line(&format!("pttl {key}")).integer()
}

#[test]
fn times_and_uses_are_restored() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[("maxmemory-policy", "allkeys-lru")]);
        let mut client = server.client();
        client.line("set key value");
        let payload = dump(&mut client, b"key");
        let restored = |client: &mut Client, options: &[&[u8]]| {
            let mut command: Vec<&[u8]> = vec![b"restore", b"key"];
            command.push(options[0]);
            command.push(&payload);
            command.extend(&options[1..]);
            client.ok(&command);
        };
        restored(&mut client, &[b"5000", b"replace"]);
        assert!((1..=5000).contains(&pttl(&mut client, "key")));
        restored(&mut client, &[b"99999999999999", b"replace", b"absttl"]);
        assert_eq!(client.line("pexpiretime key").integer(), 99_999_999_999_999);
        restored(&mut client, &[b"0", b"replace"]);
        assert_eq!(pttl(&mut client, "key"), -1);
        restored(&mut client, &[b"0", b"replace", b"idletime", b"1000"]);
        assert_eq!(client.line("object idletime key").integer(), 1000);
        restored(&mut client, &[b"0", b"replace", b"freq", b"100"]);
        assert_eq!(client.line("object idletime key").integer(), 0);
        client.ok(&["config", "set", "maxmemory-policy", "allkeys-lfu"]);
        restored(&mut client, &[b"0", b"replace", b"freq", b"100"]);
        assert_eq!(client.line("object freq key").integer(), 100);
        restored(&mut client, &[b"0", b"replace", b"idletime", b"1000"]);
        assert!(client.line("object freq key").integer() <= 5);
    }
}

#[test]
fn changes_are_counted_and_told_as_by_redis() {
    let sides = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[("notify-keyspace-events", "KEAmn")]);
        let (mut actor, mut listener) = (server.client(), server.client());
        actor.line("set from value");
        let payload = dump(&mut actor, b"from");
        listener.line("psubscribe __key*");
        let mut story = Vec::new();
        let steps: [&[&[u8]]; 10] = [
            &[b"restore", b"key", b"0", b""],
            &[b"restore", b"key", b"0", b""],
            &[b"restore", b"key", b"0", b"", b"replace"],
            &[b"restore", b"key", b"100000", b"", b"replace"],
            &[b"restore", b"key", b"1", b"", b"replace", b"absttl"],
            &[b"restore", b"key", b"1", b"", b"replace", b"absttl"],
            &[b"restore", b"key", b"1", b"", b"absttl"],
            &[b"restore-asking", b"key", b"0", b""],
            &[b"dump", b"key"],
            &[b"dump", b"from"],
        ];
        for step in steps {
            let step: Vec<&[u8]> = step
                .iter()
                .map(|word| if word.is_empty() { &payload[..] } else { *word })
                .collect();
            story.push(format!("{:?}", actor.call(&step)));
            listener.send(b"ping\r\n");
            loop {
                let told = listener.read();
                if let [_, _, channel, text] = told.items() {
                    story.push(format!("{} {}", channel.text(), text.text()));
                } else {
                    break;
                }
            }
            story.push(server.info("rdb_changes_since_last_save").unwrap());
        }
        story.push(server.info("keyspace_hits").unwrap());
        story.push(server.info("keyspace_misses").unwrap());
        story
    });
    assert_eq!(sides[0], sides[1]);
}

#[test]
fn memory_is_refused_and_waiting_clients_are_not_woken_for_nothing() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    client.line("rpush list a b");
    let payload = dump(&mut client, b"list");
    client.ok(&["config", "set", "maxmemory", "1"]);
    let reply = client.call(&[b"restore", &b"other"[..], b"0", &payload]);
    let expected = "OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(reply.error(), Some(expected));
    assert_eq!(dump(&mut client, b"list"), payload);
    client.ok(&["config", "set", "maxmemory", "0"]);
    let mut waiting = node.client();
    waiting.send(b"blpop other 0\r\n");
    wait_until("the client to wait", || {
        node.info("blocked_clients").as_deref() == Some("1")
    });
    restore(&mut client, b"other", &payload);
    let popped = waiting.read();
    let texts: Vec<String> = popped.items().iter().map(Value::text).collect();
    assert_eq!(texts, ["other", "a"]);
}

/// Payloads that are wrong somewhere, with a checksum that is right, must cost nothing but an error.
#[test]
fn damaged_payloads_never_hurt() {
    let seed = seed();
    let mut random = Rng::with_seed(seed);
    let (ours, theirs, modern) = (
        Server::start(Kind::Node, &[]),
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Valkey, &[]),
    );
    let mut client = ours.client();
    let mut payloads = Vec::new();
    for source in [&theirs, &modern] {
        let mut source = source.client();
        for command in every_kind(&mut random) {
            source.call(&command);
        }
        for key in keys(&mut source) {
            payloads.push(dump(&mut source, &key));
        }
    }
    payloads.retain(|payload| payload.len() < 3000);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..60 {
        let commands: Vec<Command> = (0..100)
            .map(|_| {
                let mut payload = payloads[random.usize(..payloads.len())].clone();
                let body = payload.len() - 10;
                for _ in 0..random.usize(1..4) {
                    let at = random.usize(..body);
                    payload[at] ^= 1 << random.u8(..8);
                }
                if random.u8(..4) == 0 {
                    payload.drain(random.usize(1..body)..body);
                }
                let key = format!("key:{}", random.u8(..50));
                let mut command = words(&format!("restore {key} 0"));
                command.extend([resealed(payload), b"replace".to_vec()]);
                command
            })
            .collect();
        for reply in client.pipeline(&commands) {
            match reply.error() {
                None => taken += 1,
                Some(text) => {
                    assert!(text.starts_with("ERR Bad data format"), "{text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(
        taken > 300 && refused > 300,
        "{taken} taken, {refused} refused"
    );
    // What was taken is whole: another server takes it, too.
    let mut there = theirs.client();
    there.ok(&["flushall"]);
    carry(&mut client, &mut there, true);
}

#[test]
fn a_big_value_holds_up_its_own_slot_alone() {
    for node in [
        Server::start(Kind::Node, &[("io-threads", "1")]),
        one_node_cluster(Kind::Node, &[("io-threads", "1")]),
    ] {
        let mut client = node.client();
        for part in 0..20 {
            let members = (0..10_000).map(|n| format!("member:{part}:{n}"));
            let added = client.call(&with("sadd {big}set", members));
            assert_eq!(added, Value::Integer(10_000));
        }
        let mut other = node.client();
        let before = long_commands(&node);
        let payload = dump(&mut client, b"{big}set");
        restore(&mut client, b"{big}copy", &payload);
        assert_eq!(long_commands(&node), before + 2);
        assert_eq!(other.line("scard {big}copy"), Value::Integer(200_000));
        let (set, copy) = (
            digest(&mut client, b"{big}set"),
            digest(&mut client, b"{big}copy"),
        );
        assert_eq!(set, copy);
        let reply = client.pipeline(&[words("multi"), words("dump {big}set"), words("exec")]);
        assert_eq!(reply[2].items()[0].bytes().len(), payload.len());
    }
}

/// How many commands have run on threads of their own.
fn long_commands(node: &Server) -> u64 {
    let (_, text) = node.admin("/metrics");
    let line = text
        .lines()
        .find(|line| line.starts_with("slotilla_node_long_commands_total"));
    let line = line.expect("a metric of long commands");
    line.split_whitespace()
        .last()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
