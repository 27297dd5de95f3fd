//! SAVE, SHUTDOWN SAVE and DEBUG RELOAD: what is written is what there was at one instant, other
//! servers take it, and whatever fails, the file that was there is as it was.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slotilla_tests::differential::seed;
use slotilla_tests::snapshots::{check, files};
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Kind, Server, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(20);
const ALLOWED: (&str, &str) = ("enable-protected-configs", "yes");

fn digest(server: &Server) -> String {
    server.client().line("debug digest").text()
}

/// A server of another make with a node's file.
fn start_with(kind: Kind, file: &Path) -> Server {
    let dir = file.parent().unwrap().to_string_lossy();
    let name = file.file_name().unwrap().to_string_lossy();
    Server::start(kind, &[("dir", &dir), ("dbfilename", &name)])
}

fn fill(server: &Server) {
    let seed = seed();
    let mut client = server.client();
    for db in ["9", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut fastrand::Rng::with_seed(seed)) {
            assert_eq!(client.call(&command).error(), None);
        }
        client.line("pexpireat hash:2000 4102444800000");
    }
    for part in 0..10 {
        let mut command = vec!["sadd".to_owned(), "big".to_owned()];
        command.extend((0..2000).map(|n| format!("a member of a big set: {part} {n}")));
        client.call(&command);
    }
}

#[test]
fn what_is_saved_is_loaded_by_redis_and_by_valkey_and_again() {
    for settings in [
        [
            ("rdbcompression", "yes"),
            ("rdbchecksum", "yes"),
            ("maxmemory-policy", "noeviction"),
        ],
        [
            ("rdbcompression", "no"),
            ("rdbchecksum", "no"),
            ("maxmemory-policy", "allkeys-lru"),
        ],
        [
            ("rdbcompression", "yes"),
            ("rdbchecksum", "yes"),
            ("maxmemory-policy", "allkeys-lfu"),
        ],
    ] {
        let node = Server::start(Kind::Node, &settings);
        fill(&node);
        let expected = digest(&node);
        let before = node.client().line("lastsave").integer();
        node.client().ok(&["save"]);
        assert!(node.client().line("lastsave").integer() >= before);
        assert_eq!(files(node.dir()), ["dump.rdb"]);
        let file = node.dir().join("dump.rdb");
        check(&file);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(
            bytes.ends_with(&[0; 8]),
            settings[1].1 == "no",
            "its checksum"
        );
        let redis = start_with(Kind::Redis, &file);
        assert_eq!(digest(&redis), expected, "{settings:?}");
        let of = |server: &Server| server.info("db9").unwrap();
        assert_eq!(
            of(&redis).split(",avg").next(),
            of(&node).split(",avg").next()
        );
        let valkey = start_with(Kind::Valkey, &file);
        assert_eq!(valkey.client().line("dbsize"), node.client().line("dbsize"));
        let node = node.restart();
        assert_eq!(digest(&node), expected, "{settings:?}");
    }
}

#[test]
fn what_is_told_of_saving_is_what_redis_tells() {
    let fields = [
        "rdb_changes_since_last_save",
        "rdb_last_bgsave_status",
        "rdb_saves",
    ];
    let scripts = [
        "set a 1",
        "save",
        "set b 1",
        "incr b",
        "save now",
        "config set dir /proc",
        "save",
        "debug reload",
        "shutdown save",
        "shutdown save nosave",
        "multi",
        "save",
        "exec",
        "config resetstat",
        "flushall",
        "flushall",
        "mset a 1 b 2",
        "flushdb",
        "multi",
        "set c 3",
        "exec",
        "debug reload foo",
        "debug reload nosave",
        "debug reload nosave noflush",
    ];
    let told = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[ALLOWED]);
        let mut client = server.client();
        let run = |line: &&str| {
            let reply = client.line(line).to_string();
            let state = fields.map(|field| server.info(field).unwrap());
            (line.to_string(), reply, state)
        };
        scripts.iter().map(run).collect::<Vec<_>>()
    });
    let [redis, node] = told;
    for (node, redis) in node.iter().zip(&redis) {
        assert_eq!(node, redis);
    }
}

#[test]
fn a_snapshot_is_of_one_instant() {
    let node = Server::start(Kind::Node, &[("io-threads", "2")]);
    fill(&node);
    let stop = AtomicBool::new(false);
    let port = node.port();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let value = n.to_string();
                    let keys = ["a", "b", "c", "d", "e"].map(|key| format!("w{writer}:{key}"));
                    let pairs = keys.iter().flat_map(|key| [key.as_str(), &value]);
                    let command: Vec<&str> = std::iter::once("mset").chain(pairs).collect();
                    client.ok(&command);
                }
            });
        }
        let mut client = node.client();
        wait_until("all writers to write", || {
            client.line("exists w0:a w1:a w2:a w3:a").integer() == 4
        });
        for turn in 0..5 {
            let before = client.line("mget w0:a w1:a w2:a w3:a").to_string();
            client.ok(&["save"]);
            let redis = start_with(Kind::Redis, &node.dir().join("dump.rdb"));
            let mut theirs = redis.client();
            for writer in 0..4 {
                let line = ["a", "b", "c", "d", "e"].map(|key| format!("w{writer}:{key}"));
                let values = theirs.line(&format!("mget {}", line.join(" ")));
                let values: Vec<String> = values.items().iter().map(|value| value.text()).collect();
                assert!(values.windows(2).all(|two| two[0] == two[1]), "{values:?}");
            }
            wait_until("the writers to go on", || {
                client.line("mget w0:a w1:a w2:a w3:a").to_string() != before
            });
            assert!(turn < 5);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Errors that the log must name, with what to do; the old file stays.
#[test]
fn a_file_that_may_not_grow_leaves_the_old_one() {
    let wrapper = ["prlimit", "--fsize=500000"];
    let node = Server::start_wrapped(Kind::Node, &wrapper, &[("rdbcompression", "no")]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["save"]);
    let file = node.dir().join("dump.rdb");
    let old = fs::read(&file).unwrap();
    for n in 0..100 {
        client.ok(&["set", &format!("key:{n}"), &"x".repeat(10_000)]);
    }
    assert_eq!(client.line("save").error(), Some("ERR"));
    assert_eq!(
        client.line("shutdown save").error(),
        Some("ERR Errors trying to SHUTDOWN. Check logs.")
    );
    assert_eq!(client.line("debug reload").error(), Some("ERR"));
    assert_eq!(fs::read(&file).unwrap(), old);
    assert_eq!(files(node.dir()), ["dump.rdb"]);
    let log = node.log();
    assert!(
        log.contains("raise the limit of a file's size (ulimit -f)"),
        "{log}"
    );
    assert_eq!(client.line("dbsize").integer(), 101, "it serves as before");
    client.ok(&["flushall"]);
    client.ok(&["save"]);
    assert_ne!(fs::read(&file).unwrap(), old);
}

#[test]
fn a_directory_that_is_gone_is_told() {
    let node = Server::start(Kind::Node, &[ALLOWED]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    let sub = node.dir().join("sub");
    fs::create_dir(&sub).unwrap();
    client.ok(&["config", "set", "dir", &sub.to_string_lossy()]);
    client.ok(&["save"]);
    check(&sub.join("dump.rdb"));
    fs::remove_dir_all(&sub).unwrap();
    assert_eq!(client.line("save").error(), Some("ERR"));
    assert!(node.log().contains("make the directory"), "{}", node.log());
    client.ok(&["config", "set", "dir", "/proc"]);
    assert_eq!(client.line("save").error(), Some("ERR"));
    assert_eq!(client.line("get a").text(), "1");
}

/// Whenever it is killed, the file is the old one or the new one.
#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut node = Server::start(Kind::Node, &[("rdb-key-save-delay", "100")]);
    let mut client = node.client();
    for n in 0..500 {
        client.ok(&["set", &format!("key:{n}"), &"x".repeat(500)]);
    }
    client.ok(&["set", "round", "0"]);
    client.ok(&["save"]);
    let mut saved = 0;
    for round in 1..=8 {
        let mut client = node.client();
        client.ok(&["set", "round", &round.to_string()]);
        let dir = node.dir().to_owned();
        client.send(b"SAVE\r\n");
        // Until it has so many bytes, or has its name already.
        let temporary = dir.join(format!("temp-{}.rdb", node.process().pid()));
        let bytes = random.u64(0..260_000);
        let mut is_begun = false;
        wait_until("the file to grow", || {
            let written = fs::metadata(&temporary).map(|file| file.len());
            let is_there = written.is_ok();
            is_begun |= is_there;
            written.is_ok_and(|written| written >= bytes) || (is_begun && !is_there)
        });
        node.kill();
        check(&dir.join("dump.rdb"));
        node = node.restart();
        let found: u64 = node.client().line("get round").text().parse().unwrap();
        assert!(found == round || found == saved, "{found} after {round}");
        saved = found;
        assert_eq!(node.client().line("dbsize").integer(), 501);
    }
}

#[test]
fn nothing_that_was_answered_is_lost_by_a_shutdown_that_saves() {
    for turn in 0..4 {
        let mut node = Server::start(Kind::Node, &[("io-threads", "2")]);
        fill(&node);
        let port = node.port();
        let acked: Vec<u64> = std::thread::scope(|scope| {
            let write = move |writer: u64| {
                let mut client = Client::connect(port);
                let mut acked = 0;
                let line = if writer == 0 { "multi" } else { "ping" };
                loop {
                    // One of them in transactions.
                    let begun = client
                        .try_call(&[line])
                        .is_ok_and(|reply| reply.error().is_none());
                    let reply = client.try_call(&["incr", &format!("counter:{writer}")]);
                    let reply = if writer == 0 {
                        client.try_call(&["exec"])
                    } else {
                        reply
                    };
                    if !begun || reply.is_err() || reply.is_ok_and(|reply| reply.error().is_some())
                    {
                        return acked;
                    }
                    acked += 1;
                }
            };
            let writers: Vec<_> = (0..4)
                .map(|writer| scope.spawn(move || write(writer)))
                .collect();
            let mut client = node.client();
            wait_until("the writers to write", || {
                client
                    .line("exists counter:0 counter:1 counter:2 counter:3")
                    .integer()
                    == 4
            });
            client.send(b"SHUTDOWN SAVE\r\n");
            assert_eq!(client.read_to_close(), b"", "turn {turn}");
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        assert!(node.process().wait_exit(LIMIT).success());
        let node = node.restart();
        for (writer, acked) in acked.iter().enumerate() {
            let kept: u64 = node
                .client()
                .line(&format!("get counter:{writer}"))
                .text()
                .parse()
                .unwrap();
            assert!(
                kept >= *acked,
                "writer {writer} had {acked}, {kept} were kept"
            );
        }
    }
}

#[test]
fn a_forced_shutdown_needs_no_file() {
    let mut node = Server::start(Kind::Node, &[ALLOWED]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["config", "set", "dir", "/proc"]);
    client.send(b"SHUTDOWN SAVE FORCE\r\n");
    assert_eq!(client.read_to_close(), b"");
    assert!(node.process().wait_exit(LIMIT).success());
}

#[test]
fn a_reload_changes_nothing() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        fill(&server);
        let expected = digest(&server);
        let mut client = server.client();
        client.ok(&["debug", "reload"]);
        assert_eq!(digest(&server), expected);
        client.ok(&["set", "new", "1"]);
        client.ok(&["debug", "reload", "nosave"]);
        assert_eq!(client.line("exists new").integer(), 0);
        client.ok(&["set", "new", "1"]);
        client.ok(&["set", "string:same:1", "changed"]);
        client.ok(&["debug", "reload", "merge", "noflush", "nosave"]);
        assert_eq!(client.line("get new").text(), "1");
        client.line("del new");
        assert_eq!(digest(&server), expected, "{kind:?}");
        // Who waits for a key goes on waiting.
        let mut waiter = server.client();
        waiter.send(b"BLPOP waited 0\r\n");
        wait_until("the waiter", || {
            server.info("blocked_clients").unwrap() == "1"
        });
        client.ok(&["multi"]);
        client.line("set in:transaction 1");
        client.line("debug reload");
        client.line("get in:transaction");
        let replies = client.line("exec").to_string();
        assert_eq!(replies, "[OK, OK, 1]", "{kind:?}");
        client.line("rpush waited x");
        assert_eq!(waiter.read().to_string(), "[waited, x]");
    }
}

#[test]
fn a_reload_breaks_the_watches_that_it_breaks_in_redis() {
    let outcomes = [Kind::Redis, Kind::Node].map(|kind| {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        client.ok(&["set", "there", "1"]);
        ["there", "missing"].map(|key| {
            ["debug reload", "debug reload noflush merge"].map(|reload| {
                let mut watcher = server.client();
                watcher.ok(&["watch", key]);
                client.line(reload);
                watcher.ok(&["multi"]);
                watcher.line("ping");
                watcher.line("exec").to_string()
            })
        })
    });
    let [redis, node] = outcomes;
    assert_eq!(node, redis);
    assert!(
        redis
            .as_flattened()
            .iter()
            .any(|outcome| outcome == "[PONG]")
    );
}

/// As in Redis, a key that is there twice ends the server: what it has is neither the old data nor
/// the new.
#[test]
fn a_reload_into_other_data_stops_at_a_key_that_is_there() {
    let mut node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["save"]);
    let before = fs::read(node.dir().join("dump.rdb")).unwrap();
    client.send(b"DEBUG RELOAD NOSAVE NOFLUSH\r\n");
    let status = node.process().wait_exit(LIMIT);
    assert_eq!(status.code(), Some(1));
    assert!(
        node.log().contains("key 'a' is there twice"),
        "{}",
        node.log()
    );
    assert_eq!(fs::read(node.dir().join("dump.rdb")).unwrap(), before);
    assert_eq!(node.restart().client().line("get a").text(), "1");
}

#[test]
fn a_long_command_ends_before_a_snapshot_is_written() {
    let node = Server::start(Kind::Node, &[("io-threads", "2")]);
    let mut client = node.client();
    for part in 0..20 {
        let members = (0..5000).map(|n| format!("{part}:{n}"));
        let command: Vec<String> = ["sadd".into(), "{t}big".into()]
            .into_iter()
            .chain(members)
            .collect();
        client.call(&command);
    }
    let mut other = node.client();
    for turn in 0..5 {
        other.send(format!("SUNIONSTORE {{t}}copy:{turn} {{t}}big\r\n").as_bytes());
        client.ok(&["save"]);
        assert_eq!(other.read().integer(), 100_000);
    }
    let expected = digest(&node);
    client.ok(&["save"]);
    assert_eq!(
        digest(&start_with(Kind::Redis, &node.dir().join("dump.rdb"))),
        expected
    );
}

#[test]
fn saving_takes_no_memory_that_grows_with_the_data() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    for n in 0..64 {
        client.ok(&["set", &format!("big:{n}"), &"x".repeat(1_000_000)]);
    }
    let number = |field: &str| -> i64 { node.info(field).unwrap().parse().unwrap() };
    client.ok(&["config", "set", "rdbcompression", "no"]);
    let (used, resident) = (number("used_memory"), node_resident(&node));
    client.ok(&["save"]);
    wait_for("the peak to be noted", LIMIT, || {
        (number("used_memory_peak") >= used).then_some(())
    });
    assert!(number("used_memory") - used < 1 << 20);
    assert!(node_resident(&node) < resident + (4 << 20));
}

fn node_resident(node: &Server) -> u64 {
    let text = node.info("used_memory_rss").unwrap();
    text.parse().unwrap()
}
