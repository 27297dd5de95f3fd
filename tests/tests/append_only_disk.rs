//! The append-only file when things go wrong: kills at any moment, and disks that are full, take
//! nothing, or have what a killed node has left.
#![cfg(test)]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use slotilla_tests::append_only::{
    ALWAYS, ON, append, check, digest, directory, last_increment, limit_files, manifest, metric,
    rewrite, settle, with,
};
use slotilla_tests::differential::seed;
use slotilla_tests::replication::{await_link, await_step, replicate, stop_replicating};
use slotilla_tests::{Client, Kind, Server, binaries, encode, run_tool, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn with_always_kills_and_rewrites_lose_nothing_that_was_answered() {
    rewrites_and_kills("always");
}

#[test]
fn with_everysec_kills_and_rewrites_lose_nothing_that_was_answered() {
    rewrites_and_kills("everysec");
}

#[test]
fn with_no_kills_and_rewrites_lose_nothing_that_was_answered() {
    rewrites_and_kills("no");
}

/// A primary that begins to send all data, and then goes.
fn break_off(replica: &Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = replica.client();
    client.ok(&["replicaof", "127.0.0.1", &port.to_string()]);
    let (mut socket, _) = listener.accept().unwrap();
    let mut said = vec![0; 4096];
    loop {
        let length = socket.read(&mut said).unwrap();
        assert_ne!(length, 0, "the replica has gone");
        let said = String::from_utf8_lossy(&said[..length]).to_ascii_uppercase();
        if said.contains("PSYNC\r\n") {
            break;
        }
        let answers = said.matches("PING").count() + said.matches("REPLCONF").count();
        socket
            .write_all("+OK\r\n".repeat(answers).as_bytes())
            .unwrap();
    }
    let (replid, mark) = ("a".repeat(40), "e".repeat(40));
    let begin = format!("+FULLRESYNC {replid} 100\r\n$EOF:{mark}\r\nREDIS0010");
    socket.write_all(begin.as_bytes()).unwrap();
    socket.write_all(b"\xfe\x00").unwrap();
    wait_until("it to load", || client.line("get a").error().is_some());
    drop((socket, listener));
    wait_until("it to have given up", || {
        client.line("get a").error().is_none()
    });
}

#[test]
fn who_is_promoted_with_half_of_the_data_goes_on_writing() {
    let primary = Server::start(Kind::Node, &[("repl-diskless-sync-delay", "0")]);
    primary.client().ok(&["set", "old", "1"]);
    let settings = with(&[("repl-diskless-load", "on-empty-db")]);
    let mut node = Server::start(Kind::Node, &settings);
    replicate(&node, primary.port());
    await_link(&node);
    stop_replicating(&node);
    node.client().ok(&["flushall"]);
    replicate(&node, primary.port());
    await_link(&node);
    primary.client().ok(&["flushall"]);
    await_step(&primary, &node);
    break_off(&node);
    let before = node.info("aof_rewrites").unwrap();
    stop_replicating(&node);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    wait_until("the file to be written anew", || {
        node.info("aof_rewrites").unwrap() != before
            && node.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    client.ok(&["set", "b", "1"]);
    node.kill();
    let node = node.restart();
    assert_eq!(
        node.client().line("mget a b old").to_string(),
        "[1, 1, (nil)]"
    );
    check(node.dir());
}

/// What Redis writes ends in any database, and so does a file whose end is missing.
#[test]
fn what_is_written_behind_the_end_of_a_file_is_in_its_own_database() {
    // The end of the second one is missing, whole words at a time or not.
    let ends: [&[u8]; 4] = [b"", b"*2\r\n", b"*1\r\n$5\r\nMULTI\r\n", b"*2\r\n$6\r\nSEL"];
    for end in ends {
        let mut node = Server::start(Kind::Node, ALWAYS);
        node.client().ok(&["set", "before", "1"]);
        node.kill();
        let torn = [b"*2\r\n$6\r\nselect\r\n$1\r\n9\r\n".as_slice(), end].concat();
        append(&last_increment(node.dir()), &torn);
        let mut node = node.restart();
        node.client().ok(&["set", "a", "1"]);
        node.kill();
        let mut node = node.restart();
        let mut client = node.client();
        assert_eq!(
            client.line("mget before a").to_string(),
            "[1, 1]",
            "{end:?}"
        );
        // And behind that, too.
        client.line("select 3");
        client.ok(&["set", "a", "3"]);
        node.client().ok(&["set", "b", "1"]);
        node.kill();
        let node = node.restart();
        assert_eq!(node.client().line("mget a b").to_string(), "[1, 1]");
        check(node.dir());
    }
}

/// Clients write all along: what was answered before the kill is there.
fn rewrites_and_kills(policy: &'static str) {
    let settings = with(&[("appendfsync", policy), ("io-threads", "2")]);
    let mut node = Server::start(Kind::Node, &settings);
    let mut acked = [0u64; 3];
    for turn in 0..4 {
        let (port, is_last) = (node.port(), turn == 3);
        let told: Vec<u64> = std::thread::scope(|scope| {
            let write = |writer: usize| {
                let mut client = Client::connect(port);
                let key = format!("counter:{writer}");
                let mut last = 0;
                while let Ok(reply) = client.try_call(&["incr", &key]) {
                    if reply.error().is_some() {
                        break;
                    }
                    last = reply.integer() as u64;
                    // Not the same length each time.
                    let filler = "x".repeat((last % 50) as usize);
                    if client
                        .try_call(&["set", &format!("{key}:v"), &filler])
                        .is_err()
                    {
                        break;
                    }
                }
                last
            };
            let writers: Vec<_> = (0..acked.len())
                .map(|writer| scope.spawn(move || write(writer)))
                .collect();
            let mut client = node.client();
            let count = |client: &mut Client| {
                let values = client.line("mget counter:0 counter:1 counter:2");
                let values = values.items().iter().filter(|value| !value.is_null());
                values
                    .map(|value| value.text().parse::<u64>().unwrap())
                    .sum::<u64>()
            };
            let before = count(&mut client);
            rewrite(&node);
            wait_until("the writers to go on", || count(&mut client) > before + 50);
            if is_last {
                assert!(node.terminate().success());
            } else {
                node.kill();
            }
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        check(node.dir());
        node = node.restart();
        for (writer, (told, acked)) in told.iter().zip(&mut acked).enumerate() {
            let key = format!("counter:{writer}");
            let found: u64 = node.client().call(&["get", &key]).text().parse().unwrap();
            // One more may have been done, and not been answered.
            assert!(found == *told || found == told + 1, "{found}, told {told}");
            assert!(found > *acked);
            *acked = found;
        }
    }
    assert!(manifest(node.dir()).contains("type b"));
}

#[test]
fn a_blocked_client_is_answered_once_its_pop_is_on_disk() {
    let mut node = Server::start(Kind::Node, ALWAYS);
    let (mut waiting, mut pushing) = (node.client(), node.client());
    for n in 0..20 {
        waiting.send(b"*3\r\n$5\r\nblpop\r\n$1\r\nl\r\n$1\r\n0\r\n");
        pushing.line(&format!("rpush l {n} more"));
        assert_eq!(waiting.read().to_string(), format!("[l, {n}]"));
        pushing.line("del l");
    }
    pushing.line("rpush l left");
    waiting.line("blpop l 0");
    node.kill();
    let node = node.restart();
    assert_eq!(node.client().line("exists l").integer(), 0);
}

/// Has a node's disk full after `a` and a part of `b` are on it: how large its file is without that
/// part, and what it says to who writes.
fn fill_disk(node: &mut Server) -> (u64, String) {
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    settle(node);
    let size = fs::metadata(last_increment(node.dir())).unwrap().len();
    limit_files(node, &(size + 10).to_string());
    client.ok(&["set", "b", "1"]);
    let refused = wait_for("writes to be refused", LIMIT, || {
        client.line("set c 1").error().map(str::to_owned)
    });
    (size, refused)
}

#[test]
fn while_the_disk_is_full_writes_are_refused() {
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    let (size, refused) = fill_disk(&mut node);
    assert_eq!(
        refused,
        "MISCONF Errors writing to the AOF file: File too large"
    );
    assert_eq!(client.line("get b").text(), "1");
    assert_eq!(client.line("ping").error(), Some(refused.as_str()));
    assert_eq!(node.info("aof_last_write_status").unwrap(), "err");
    client.ok(&["multi"]);
    assert_eq!(client.line("set c 1").error(), Some(refused.as_str()));
    client.line("exec");
    assert_eq!(
        fs::metadata(last_increment(node.dir())).unwrap().len(),
        size
    );
    limit_files(&mut node, "unlimited");
    wait_until("writes to work again", || {
        client.line("set d 1").error().is_none()
    });
    settle(&node);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    assert_eq!(digest(&node.restart()), expected);
}

#[test]
fn a_full_disk_is_of_no_matter_once_the_file_is_off() {
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    fill_disk(&mut node);
    client.ok(&["config", "set", "appendonly", "no"]);
    client.ok(&["set", "c", "1"]);
    assert_eq!(client.line("ping").to_string(), "PONG");
    assert_eq!(node.info("aof_enabled").unwrap(), "0");
    assert_eq!(node.info("aof_last_write_status").unwrap(), "ok");
    // The disk is as full as before: what is turned on is off again, and writes go on.
    client.ok(&["config", "set", "appendonly", "yes"]);
    client.ok(&["config", "set", "appendonly", "no"]);
    client.ok(&["set", "d", "1"]);
    limit_files(&mut node, "unlimited");
    client.ok(&["config", "set", "appendonly", "yes"]);
    wait_until("it to be written", || {
        node.info("aof_pending_rewrite").as_deref() == Some("0")
    });
    client.ok(&["set", "e", "1"]);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    let node = node.restart();
    assert_eq!(digest(&node), expected);
    let values = node.client().line("mget a b c d e").to_string();
    assert_eq!(values, "[1, 1, 1, 1, 1]");
}

/// Each reply is a redis-server 7.0.15's.
#[test]
fn who_asks_while_another_snapshot_is_written_hears_what_redis_says() {
    // A save or a rewrite lasts until the delay is taken from it.
    const LONG: &str = "100000";
    let node = Server::start(Kind::Node, &with(&[("save", "")]));
    let mut client = node.client();
    for n in 0..600 {
        client.ok(&["set", &format!("key:{n}"), "1"]);
    }
    let mut ask = |line: &str| client.line(line).to_string();
    let hurry = |delay: &str| {
        let mut client = node.client();
        client.ok(&["config", "set", "rdb-key-save-delay", delay]);
    };
    let is = |field: &str, value: &str| node.info(field).as_deref() == Some(value);
    hurry(LONG);
    assert_eq!(ask("bgsave"), "Background saving started");
    let saving = "(error) ERR Background save already in progress";
    for command in ["bgsave", "bgsave schedule", "save"] {
        assert_eq!(ask(command), saving, "{command}");
    }
    let scheduled = "Background append only file rewriting scheduled";
    assert_eq!(ask("bgrewriteaof"), scheduled);
    assert!(is("aof_rewrite_scheduled", "1"));
    assert_eq!(ask("bgrewriteaof"), scheduled);
    let before: u64 = node.info("aof_rewrites").unwrap().parse().unwrap();
    hurry("0");
    wait_until("the rewrite to be done", || {
        let rewrites = node.info("aof_rewrites").unwrap();
        rewrites.parse::<u64>().unwrap() > before && is("aof_rewrite_in_progress", "0")
    });
    assert!(is("aof_rewrite_scheduled", "0"));

    hurry(LONG);
    let started = "Background append only file rewriting started";
    assert_eq!(ask("bgrewriteaof"), started);
    let rewriting = "(error) ERR Background append only file rewriting already in progress";
    assert_eq!(ask("bgrewriteaof"), rewriting);
    let other = "(error) ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE \
                 SCHEDULE in order to schedule a BGSAVE whenever possible.";
    assert_eq!(ask("bgsave"), other);
    assert_eq!(ask("bgsave schedule"), "Background saving scheduled");
    assert!(is("aof_rewrite_in_progress", "1") && is("rdb_bgsave_in_progress", "0"));
    hurry("0");
    wait_until("the save to be done", || {
        let saved = "Background saving terminated with success";
        node.log().matches(saved).count() == 2
    });
}

#[test]
fn what_a_killed_node_has_left_is_removed() {
    let node = Server::start(Kind::Node, ON);
    let an_hour_ago = slotilla_common::clock::unix_ms() - 3_600_000;
    let long_ago = std::time::SystemTime::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(an_hour_ago).unwrap());
    // No Linux gives a process this number.
    let left = node.dir().join("temp-bgsave-4200000.rdb");
    let rewritten = directory(node.dir()).join("temp-rewriteaof-bg-4200000.aof");
    let mine = node.dir().join(format!("temp-{}.rdb", std::process::id()));
    for path in [&left, &rewritten, &mine] {
        let file = fs::File::create(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let node = node.restart();
    assert!(!left.exists() && !rewritten.exists() && mine.exists());
    assert!(
        node.log()
            .contains("temp-bgsave-4200000.rdb, left by process 4200000")
    );
}

/// What is killed while it saves or rewrites, at whatever byte, has all that it has answered.
#[test]
fn a_kill_at_any_moment_of_a_save_or_rewrite_leaves_the_data() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let settings = with(&[("save", ""), ("rdb-key-save-delay", "-20")]);
    let mut node = Server::start(Kind::Node, &settings);
    let mut client = node.client();
    for n in 0..500 {
        client.ok(&["set", &format!("key:{n}"), &"x".repeat(n)]);
    }
    client.ok(&["save"]);
    for turn in 0..25 {
        let mut client = node.client();
        client.ok(&["set", "turn", &turn.to_string()]);
        client.ok(&["set", &format!("key:{}", random.u32(0..500)), "y"]);
        let expected = digest(&node);
        let command = *random.choice(&["bgsave", "bgrewriteaof"]).unwrap();
        client.line(command);
        std::thread::sleep(Duration::from_micros(random.u64(0..30_000)));
        node.kill();
        check(node.dir());
        let mut dump = Command::new(binaries::system("redis-check-rdb"));
        let checked = run_tool(dump.arg(node.dir().join("dump.rdb")));
        assert!(checked.success, "{turn}: {}{}", checked.out, checked.err);
        node = node.restart();
        assert_eq!(digest(&node), expected, "{turn}: {command}");
    }
}

/// A pipe that nobody empties is a disk that takes nothing: replies wait, and so do writes once as
/// much is kept as may.
#[test]
fn what_a_stalled_disk_does_not_take_is_bounded() {
    const VALUE: usize = 50_000;
    const CLIENTS: usize = 120;
    let settings = with(&[
        ("appendfsync", "no"),
        ("aof-unwritten-limit", "1mb"),
        ("io-threads", "2"),
    ]);
    let node = Server::start(Kind::Node, &settings);
    let pipe = directory(node.dir()).join("appendonly.aof.2.incr.aof");
    assert!(run_tool(Command::new("mkfifo").arg(&pipe)).success);
    let mut reader = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    rewrite(&node);
    node.client().ok(&["set", "a", "1"]);
    let value = "x".repeat(VALUE);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| node.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let key = format!("key:{number}");
        let mut request = Vec::new();
        encode(&mut request, &["set", &key, &value]);
        client.send(&request);
    }
    let unwritten = || metric(&node, "slotilla_node_aof_unwritten_bytes ");
    wait_until("writes to wait", || {
        node.log()
            .contains("It is as much as aof-unwritten-limit allows")
    });
    // Each worker may have been at one when the bound was reached, and a client had begun another.
    let most = (1 << 20) as f64 + 4.0 * VALUE as f64;
    for _ in 0..20 {
        let kept = unwritten();
        assert!(kept > 1e6 && kept < most, "{kept}");
    }
    let empties = std::thread::spawn(move || {
        use std::io::Read;
        let mut piece = vec![0; 1 << 16];
        let mut read = 0;
        while read < CLIENTS * VALUE {
            read += reader.read(&mut piece).unwrap();
        }
        reader
    });
    for client in &mut clients {
        assert_eq!(client.read().to_string(), "OK");
    }
    drop(empties.join().unwrap());
    let mut client = node.client();
    for number in 0..CLIENTS {
        let len = client.line(&format!("strlen key:{number}")).integer();
        assert_eq!(len, VALUE as i64);
    }
}

#[test]
fn with_always_nothing_is_answered_that_is_not_on_disk() {
    let mut node = Server::start(Kind::Node, ALWAYS);
    let mut client = node.client();
    // More than the log, which must not be held up.
    client.ok(&["set", "long", &"x".repeat(100_000)]);
    client.ok(&["set", "a", "1"]);
    let size = fs::metadata(last_increment(node.dir())).unwrap().len();
    limit_files(&mut node, &(size + 10).to_string());
    assert!(client.try_call(&["set", "b", "1"]).is_err(), "no answer");
    let status = node.process().wait_exit(LIMIT);
    assert!(!status.success());
    let log = node.log();
    assert!(
        log.contains("when the AOF fsync policy is 'always'"),
        "{log}"
    );
    let node = node.restart();
    assert_eq!(node.client().line("mget a b").to_string(), "[1, (nil)]");
}

#[test]
fn a_rewrite_that_fails_leaves_all_data_in_the_files() {
    let mut node = Server::start(Kind::Node, &with(&[("rdbcompression", "no")]));
    let mut client = node.client();
    for n in 0..200 {
        client.ok(&["set", &format!("key:{n}"), &format!("{n:0>600}")]);
    }
    rewrite(&node);
    limit_files(&mut node, "20000");
    client.line("bgrewriteaof");
    wait_until("the rewrite to fail", || {
        node.info("aof_last_bgrewrite_status").as_deref() == Some("err")
    });
    assert!(
        node.log().contains("raise the limit of a file's size"),
        "{}",
        node.log()
    );
    client.ok(&["set", "after", "1"]);
    settle(&node);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    assert_eq!(digest(&node.restart()), expected);
}
