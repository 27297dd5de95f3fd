//! BGSAVE and save points: what is written while clients write is what there was at one instant;
//! and what they mean for everybody else.
#![cfg(test)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotilla_tests::differential::seed;
use slotilla_tests::snapshots::{check, files};
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Kind, Server, wait_until};

const LIMIT: Duration = Duration::from_secs(20);
/// What all counters come to.
const SUM: i64 = 1_000_000;
const COUNTERS: usize = 400;

fn is_saving(server: &Server) -> bool {
    server.info("rdb_bgsave_in_progress").unwrap() == "1"
}

fn await_save(server: &Server) {
    wait_until("the background save to end", || !is_saving(server));
}

fn status(server: &Server) -> String {
    server.info("rdb_last_bgsave_status").unwrap()
}

/// The file of a node, in a redis-server.
fn loaded_by_redis(node: &Server) -> Server {
    let dir = node.dir().to_string_lossy().into_owned();
    Server::start(Kind::Redis, &[("dir", &dir)])
}

fn give(client: &mut Client, from: usize, to: usize) -> bool {
    // Kept in every way that a number can be: by keys, in a hash, a sorted set and a list.
    let amount = ["1", "-1"];
    let mut all_well = true;
    for line in ["multi".to_owned()]
        .into_iter()
        .chain([from, to].iter().zip(amount).flat_map(|(n, by)| {
            [
                format!("incrby counter:{n} {by}"),
                format!("hincrby hash field:{n} {by}"),
                format!("zincrby scores {by} member:{n}"),
                format!("hincrby small:{} f{n} {by}", n % 40),
            ]
        }))
        .chain(["rpoplpush ring ring".to_owned(), "exec".to_owned()])
    {
        match client.try_call(&line.split(' ').collect::<Vec<_>>()) {
            Ok(reply) => all_well &= reply.error().is_none(),
            Err(_) => return false,
        }
    }
    all_well
}

fn fill(server: &Server) {
    let mut client = server.client();
    for n in 0..COUNTERS {
        let amount = if n == 0 { SUM } else { 0 };
        client.line(&format!("incrby counter:{n} {amount}"));
        client.line(&format!("hset hash field:{n} {amount}"));
        client.line(&format!("zadd scores {amount} member:{n}"));
        client.line(&format!("hset small:{} f{n} {amount}", n % 40));
    }
    for n in 0..5000 {
        client.line(&format!("rpush ring element:{n}"));
    }
}

/// What the counters come to, kept in each way.
fn sums(server: &Server) -> [i64; 4] {
    let mut client = server.client();
    let number = |text: String| text.parse::<f64>().unwrap() as i64;
    let mut keys = vec!["mget".to_owned()];
    keys.extend((0..COUNTERS).map(|n| format!("counter:{n}")));
    let by_key = client.call(&keys);
    let by_key = by_key
        .items()
        .iter()
        .map(|value| number(value.text()))
        .sum();
    let by_field = client.line("hvals hash");
    let by_field = by_field
        .items()
        .iter()
        .map(|value| number(value.text()))
        .sum();
    let by_member = client.line("zrange scores 0 -1 withscores");
    let scores = by_member.items().iter().skip(1).step_by(2);
    let by_member = scores.map(|value| number(value.text())).sum();
    let small = (0..40).map(|n| {
        let values = client.line(&format!("hvals small:{n}"));
        let values = values.items();
        values.iter().map(|value| number(value.text())).sum::<i64>()
    });
    [by_key, by_field, by_member, small.sum()]
}

#[test]
fn a_snapshot_is_of_one_instant_while_clients_write() {
    let mut random = fastrand::Rng::with_seed(seed());
    let settings = [("io-threads", "2"), ("rdb-key-save-delay", "20")];
    let node = Server::start(Kind::Node, &settings);
    fill(&node);
    let stop = AtomicBool::new(false);
    let port = node.port();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (stop, mut random) = (&stop, random.fork());
            scope.spawn(move || {
                let mut client = Client::connect(port);
                while !stop.load(Ordering::Relaxed) {
                    let (from, to) = (random.usize(..COUNTERS), random.usize(..COUNTERS));
                    assert!(give(&mut client, from, to));
                }
            });
        }
        for _ in 0..6 {
            assert_eq!(
                node.client().line("bgsave").text(),
                "Background saving started"
            );
            await_save(&node);
            assert_eq!(status(&node), "ok", "{}", node.log());
            let redis = loaded_by_redis(&node);
            assert_eq!(sums(&redis), [SUM; 4]);
            assert_eq!(redis.client().line("llen ring").integer(), 5000);
            let distinct = redis.client().line("sort ring alpha limit 0 6000");
            let mut elements: Vec<String> = distinct
                .items()
                .iter()
                .map(|element| element.text())
                .collect();
            elements.dedup();
            assert_eq!(elements.len(), 5000, "each once");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(sums(&node), [SUM; 4]);
    assert_eq!(node.info("current_cow_size").unwrap(), "0");
}

#[test]
fn values_of_every_kind_are_saved() {
    let seed = seed();
    let node = Server::start(Kind::Node, &[("maxmemory-policy", "allkeys-lru")]);
    let mut client = node.client();
    for db in ["5", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut fastrand::Rng::with_seed(seed)) {
            assert_eq!(client.call(&command).error(), None);
        }
    }
    client.ok(&["set", "long", &"x".repeat(3_000_000)]);
    for part in 0..20 {
        let mut command = vec!["sadd".to_owned(), "big".to_owned()];
        command.extend((0..2000).map(|n| format!("a member of a big set: {part} {n}")));
        client.call(&command);
    }
    let expected = client.line("debug digest").text();
    client.line("bgsave");
    await_save(&node);
    check(&node.dir().join("dump.rdb"));
    assert_eq!(
        loaded_by_redis(&node).client().line("debug digest").text(),
        expected
    );
    let node = node.restart();
    assert_eq!(node.client().line("debug digest").text(), expected);
}

/// What it means for other commands, beside a redis-server.
#[test]
fn what_is_told_of_background_saves_is_what_redis_tells() {
    let scripts = [
        "bgsave foo",
        "bgsave",
        "bgsave",
        "bgsave schedule",
        "save",
        "multi",
        "bgsave",
        "exec",
        "flushall",
    ];
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        // Long enough for all of the script.
        let server = Server::start(kind, &[("rdb-key-save-delay", "10000000")]);
        let mut client = server.client();
        client.ok(&["set", "a", "1"]);
        let replies: Vec<_> = scripts
            .iter()
            .map(|line| (line.to_string(), client.line(line).to_string()))
            .collect();
        await_save(&server);
        (replies, status(&server), client.line("dbsize").integer())
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

#[test]
fn a_save_point_saves_by_itself() {
    let node = Server::start(Kind::Node, &[("save", "1 3")]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    let before = node.info("rdb_last_save_time").unwrap();
    client.line("mset b 2 c 3 d 4");
    let file = node.dir().join("dump.rdb");
    wait_until("the save point", || file.exists() && !is_saving(&node));
    assert_eq!(node.info("rdb_changes_since_last_save").unwrap(), "0");
    assert!(node.info("rdb_last_save_time").unwrap() >= before);
    assert!(node.log().contains("3 changes in 1 seconds. Saving..."));
    check(&file);
}

#[test]
fn writes_are_refused_while_saves_fail_as_in_redis() {
    let lines = [
        "ping",
        "set a 2",
        "get a",
        "config set stop-writes-on-bgsave-error no",
        "set a 3",
        "config set stop-writes-on-bgsave-error yes",
        "incr a",
        "config set save \"\"",
        "incr a",
        "config set save \"3600 1\"",
        "del a",
    ];
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let allowed = ("enable-protected-configs", "yes");
        let server = Server::start(kind, &[allowed, ("save", "3600 1")]);
        let dir = server.dir().to_string_lossy().into_owned();
        let mut client = server.client();
        client.ok(&["set", "a", "1"]);
        client.ok(&["config", "set", "dir", "/proc"]);
        client.line("bgsave");
        wait_until("the save to fail", || status(&server) == "err");
        let told = lines.map(|line| {
            let words: Vec<&str> = line
                .split('"')
                .enumerate()
                .flat_map(|(n, part)| {
                    // A quoted word is one, even if it is empty.
                    if n % 2 == 1 {
                        vec![part]
                    } else {
                        part.split_whitespace().collect()
                    }
                })
                .collect();
            (line, client.call(&words).to_string())
        });
        client.ok(&["config", "set", "dir", &dir]);
        client.line("bgsave");
        await_save(&server);
        (told, status(&server), client.line("set a 9").to_string())
    });
    let [redis, node] = told;
    assert_eq!(node, redis);
}

#[test]
fn flushing_all_keys_gives_a_save_up() {
    let node = Server::start(Kind::Node, &[("rdb-key-save-delay", "2000")]);
    let mut client = node.client();
    for n in 0..2000 {
        client.line(&format!("set key:{n} {n}"));
    }
    client.ok(&["save"]);
    let old = fs::read(node.dir().join("dump.rdb")).unwrap();
    client.line("bgsave");
    client.ok(&["flushall"]);
    await_save(&node);
    assert_eq!(status(&node), "ok");
    assert_eq!(fs::read(node.dir().join("dump.rdb")).unwrap(), old);
    assert_eq!(files(node.dir()), ["dump.rdb"]);
    // And the next one can be had.
    client.ok(&["set", "a", "1"]);
    client.line("bgsave");
    await_save(&node);
    assert_eq!(loaded_by_redis(&node).client().line("dbsize").integer(), 1);
}

/// Writers wait at the bound: none fails, none writes what the snapshot would have to keep.
#[test]
fn what_is_kept_for_a_snapshot_is_bounded() {
    const LIMIT_BYTES: usize = 1 << 20;
    const VALUE: usize = 10_000;
    let limit = LIMIT_BYTES.to_string();
    let settings = [
        ("snapshot-preimage-limit", limit.as_str()),
        ("rdbcompression", "no"),
        ("rdb-key-save-delay", "1000"),
    ];
    let node = Server::start(Kind::Node, &settings);
    let mut client = node.client();
    for n in 0..1500 {
        client.ok(&["set", &format!("key:{n}"), &"x".repeat(VALUE)]);
    }
    client.line("bgsave");
    let mut most = 0;
    for n in 0..1500 {
        client.ok(&["set", &format!("key:{n}"), &"y".repeat(VALUE)]);
        if n % 20 == 0 {
            let held: usize = node.info("current_cow_size").unwrap().parse().unwrap();
            most = most.max(held);
        }
    }
    assert!(most <= LIMIT_BYTES + 2 * VALUE, "{most} bytes were kept");
    assert!(
        most > LIMIT_BYTES / 2,
        "{most} bytes: the bound was not met"
    );
    client.ok(&["config", "set", "rdb-key-save-delay", "0"]);
    await_save(&node);
    assert_eq!(status(&node), "ok");
    let redis = loaded_by_redis(&node);
    let mut theirs = redis.client();
    assert_eq!(theirs.line("dbsize").integer(), 1500);
    for n in 0..1500 {
        assert!(
            theirs.line(&format!("get key:{n}")).text().starts_with('x'),
            "key:{n}"
        );
    }
}

#[test]
fn a_signal_saves_if_there_are_save_points() {
    for (save, saves) in [("3600 1", true), ("", false)] {
        let mut node = Server::start(Kind::Node, &[("save", save)]);
        let mut client = node.client();
        client.ok(&["set", "a", "1"]);
        client.line("bgsave");
        await_save(&node);
        client.ok(&["set", "a", "2"]);
        assert!(node.terminate().success());
        let redis = loaded_by_redis(&node);
        let expected = if saves { "2" } else { "1" };
        assert_eq!(redis.client().line("get a").text(), expected);
    }
    for (line, saves) in [("SHUTDOWN\r\n", true), ("SHUTDOWN NOSAVE\r\n", false)] {
        let mut node = Server::start(Kind::Node, &[("save", "3600 1")]);
        let mut client = node.client();
        client.ok(&["set", "a", "1"]);
        client.send(line.as_bytes());
        assert_eq!(client.read_to_close(), b"");
        assert!(node.process().wait_exit(LIMIT).success());
        assert_eq!(node.dir().join("dump.rdb").exists(), saves);
    }
}

/// One that stops while it saves leaves nothing that is not whole.
#[test]
fn a_shutdown_takes_the_temporary_file_away() {
    let mut node = Server::start(Kind::Node, &[("rdb-key-save-delay", "100000")]);
    let mut client = node.client();
    for n in 0..200 {
        client.line(&format!("set key:{n} {n}"));
    }
    client.line("bgsave");
    wait_until("the file", || !files(node.dir()).is_empty());
    assert!(node.terminate().success());
    assert_eq!(files(node.dir()), [""; 0]);
}
