//! The append-only file: what was answered is there again after a kill, a redis-server reads what
//! ours has written and ours what a redis-server has, and what is damaged or cannot be written is
//! told, with what to do.
#![cfg(test)]

use std::fs::{self, OpenOptions};
use std::process::Command;

use slotilla_tests::append_only::{
    ON, append, check, digest, directory, last_increment, rewrite, settle, with,
};
use slotilla_tests::differential::seed;
use slotilla_tests::replication::{await_link, await_step, replicate};
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Kind, Server, binaries, run_tool, wait_until};
use tempfile::TempDir;

fn fill(client: &mut Client, random: &mut fastrand::Rng) {
    for db in ["9", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(random) {
            assert_eq!(client.call(&command).error(), None);
        }
    }
}

/// A server of another kind on a copy of the files, and where that is.
fn other(kind: Kind, of: &Server, settings: &[(&str, &str)]) -> (Server, TempDir) {
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(directory(target.path())).unwrap();
    for file in fs::read_dir(directory(of.dir())).unwrap().flatten() {
        let copy = directory(target.path()).join(file.file_name());
        fs::copy(file.path(), copy).unwrap();
    }
    let dir = target.path().to_string_lossy().into_owned();
    let settings = [settings, &[("dir", dir.as_str())]].concat();
    (Server::start(kind, &settings), target)
}

#[test]
fn what_was_done_is_there_after_a_kill_and_a_redis_server_reads_it() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    for preamble in ["yes", "no"] {
        let settings = with(&[("aof-use-rdb-preamble", preamble), ("io-threads", "2")]);
        let mut node = Server::start(Kind::Node, &settings);
        for turn in 0..3 {
            fill(&mut node.client(), &mut random);
            node.client()
                .ok(&["mset", "a", "1", "b", &turn.to_string()]);
            settle(&node);
            let expected = digest(&node);
            node.kill();
            check(node.dir());
            let (redis, _dir) = other(Kind::Redis, &node, &settings[..2]);
            assert_eq!(digest(&redis), expected, "{preamble} {turn}");
            node = node.restart();
            assert_eq!(digest(&node), expected, "{preamble} {turn}");
            assert_eq!(node.info("rdb_changes_since_last_save").unwrap(), "0");
            rewrite(&node);
            assert_eq!(digest(&node), expected, "{preamble} {turn}");
        }
    }
}

/// A transaction that is read in several parts, and what stands behind it.
#[test]
fn a_long_transaction_is_loaded_and_copied_with_what_follows_it() {
    let mut node = Server::start(
        Kind::Node,
        &with(&[
            ("repl-ping-replica-period", "3600"),
            ("repl-diskless-sync-delay", "0"),
        ]),
    );
    let replica = Server::start(Kind::Node, &[]);
    replicate(&replica, node.port());
    await_link(&replica);
    let mut client = node.client();
    client.ok(&["multi"]);
    for n in 0..3000 {
        client.call(&["rpush", "list", &n.to_string()]);
    }
    client.line("exec");
    client.ok(&["set", "behind", "1"]);
    await_step(&node, &replica);
    settle(&node);
    node.kill();
    let node = node.restart();
    for server in [&node, &replica] {
        assert_eq!(server.client().line("llen list").integer(), 3000);
        assert_eq!(server.client().line("get behind").text(), "1");
    }
}

#[test]
fn what_a_redis_server_has_written_is_read() {
    for preamble in ["yes", "no"] {
        let settings = with(&[
            ("aof-use-rdb-preamble", preamble),
            ("aof-timestamp-enabled", "yes"),
        ]);
        let redis = Server::start(Kind::Redis, &settings);
        let mut client = redis.client();
        let mut random = fastrand::Rng::with_seed(seed());
        fill(&mut client, &mut random);
        rewrite(&redis);
        fill(&mut client, &mut random);
        for line in [
            "multi",
            "select 3",
            "set t 1",
            "incr t",
            "select 0",
            "lpush t 1",
            "exec",
        ] {
            assert_eq!(client.line(line).error(), None);
        }
        let (node, dir) = other(Kind::Node, &redis, &settings);
        assert_eq!(digest(&node), digest(&redis), "{preamble}");
        node.client().ok(&["set", "by us", "1"]);
        settle(&node);
        check(dir.path());
        let text = fs::read(last_increment(dir.path())).unwrap();
        let stamps = text.windows(4).filter(|part| part == b"#TS:").count();
        assert!(stamps > 0, "{stamps}");
    }
}

#[test]
fn what_is_cut_off_is_dropped_and_what_is_garbage_is_refused() {
    let command = b"*3\r\n$3\r\nSET\r\n$1\r\nq\r\n$1\r\n1\r\n";
    let multi = b"*1\r\n$5\r\nMULTI\r\n";
    let mut node = Server::start(Kind::Node, ON);
    node.client().ok(&["mset", "a", "1", "b", "2"]);
    settle(&node);
    let expected = digest(&node);
    for (tail, word) in [
        (
            &command[..20],
            "loaded anyway because aof-load-truncated is enabled",
        ),
        (
            &command[..1],
            "Truncating the AOF appendonly.aof.1.incr.aof at offset",
        ),
        (
            &[multi.as_slice(), command].concat(),
            "Revert incomplete MULTI/EXEC transaction",
        ),
    ] {
        node.kill();
        let path = last_increment(node.dir());
        let whole = fs::metadata(&path).unwrap().len();
        append(&path, tail);
        node = node.restart();
        assert!(node.log().contains(word), "{}", node.log());
        assert_eq!(digest(&node), expected);
        assert_eq!(fs::metadata(&path).unwrap().len(), whole);
        check(node.dir());
    }
    node.kill();
    let path = last_increment(node.dir());
    let whole = fs::metadata(&path).unwrap().len();
    let refused = |node: &Server, tail: &[u8], settings: &[(&str, &str)]| {
        append(&path, tail);
        let text = refuse(node, settings);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(whole).unwrap();
        text
    };
    let text = refused(&node, &command[..20], &[("aof-load-truncated", "no")]);
    assert!(text.contains("redis-check-aof --fix"), "{text}");
    let text = refused(&node, b"garbage\r\n", &[]);
    assert!(
        text.contains("Bad file format reading the append only file"),
        "{text}"
    );
    let text = refused(&node, b"*1\r\n$6\r\nNOSUCH\r\n", &[]);
    assert!(
        text.contains("Unknown command 'NOSUCH' reading the append only file"),
        "{text}"
    );
    assert_eq!(digest(&node.restart()), expected);
}

/// Has the program start on a node's directory, which it must refuse; what it says.
fn refuse(node: &Server, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(binaries::node());
    let dir = node.dir().to_string_lossy().into_owned();
    let port = node.port().to_string();
    command.args([
        "--port",
        &port,
        "--cluster-enabled",
        "no",
        "--appendonly",
        "yes",
    ]);
    command.args(["--dir", &dir]);
    for (name, value) in settings {
        command.args([&format!("--{name}"), *value]);
    }
    let output = run_tool(&mut command);
    assert!(!output.success, "{}{}", output.out, output.err);
    format!("{}{}", output.out, output.err)
}

#[test]
fn a_manifest_or_a_file_that_is_not_right_is_refused() {
    let mut node = Server::start(Kind::Node, ON);
    node.client().ok(&["set", "a", "1"]);
    settle(&node);
    node.kill();
    let path = directory(node.dir()).join("appendonly.aof.manifest");
    let good = fs::read_to_string(&path).unwrap();
    let base = "file appendonly.aof.1.base.rdb seq 1 type b\n";
    for (text, word) in [
        ("", "Found an empty AOF manifest"),
        ("file x seq", "too long line"),
        ("nonsense\n", "Invalid AOF manifest file format"),
        (
            &format!("{base}{base}"),
            "Found duplicate base file information",
        ),
        (
            &format!("{good}{good}").replace(base, ""),
            "Found a non-monotonic sequence number",
        ),
        (
            &good.replace("1.incr", "7.incr"),
            "appendonly.aof.7.incr.aof doesn't exist",
        ),
        (
            "file ../x seq 1 type b\n",
            "File can't be a path, just a filename",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let said = refuse(&node, &[]);
        assert!(said.contains(word), "{text:?}: {said}");
    }
    fs::write(&path, &good).unwrap();
    let base = directory(node.dir()).join("appendonly.aof.1.base.rdb");
    let bytes = fs::read(&base).unwrap();
    fs::write(&base, &bytes[..bytes.len() - 3]).unwrap();
    let said = refuse(&node, &[]);
    assert!(said.contains("Loading the snapshot"), "{said}");
    fs::write(&base, bytes).unwrap();
    assert_eq!(node.restart().client().line("get a").text(), "1");
}

#[test]
fn an_old_single_file_becomes_the_base() {
    let mut node = Server::start(Kind::Node, &[]);
    node.kill();
    let old = node.dir().join("appendonly.aof");
    fs::write(&old, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n").unwrap();
    let dir = node.dir().to_string_lossy().into_owned();
    let upgraded = Server::start(Kind::Node, &[("appendonly", "yes"), ("dir", &dir)]);
    assert_eq!(upgraded.client().line("get a").text(), "1");
    assert!(!old.exists());
    let text = fs::read_to_string(node.dir().join("appendonlydir/appendonly.aof.manifest"));
    let expected = "file appendonly.aof seq 1 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\n";
    assert_eq!(text.unwrap(), expected);
    assert!(
        upgraded
            .log()
            .contains("Successfully migrated an old-style AOF configuration")
    );
}

#[test]
fn it_is_turned_on_and_off_at_run_time() {
    let mut node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    client.ok(&["set", "before", "1"]);
    assert_eq!(node.info("aof_enabled").unwrap(), "0");
    for turn in 0..3 {
        client.ok(&["config", "set", "appendonly", "yes"]);
        wait_until("it to be written", || {
            node.info("aof_pending_rewrite").as_deref() == Some("0")
        });
        client.ok(&["set", "while on", &turn.to_string()]);
        client.ok(&["config", "set", "appendonly", "no"]);
        assert_eq!(node.info("aof_enabled").unwrap(), "0");
        client.ok(&["set", "while off", &turn.to_string()]);
    }
    client.ok(&["config", "set", "appendonly", "yes"]);
    wait_until("it to be written", || {
        node.info("aof_pending_rewrite").as_deref() == Some("0")
    });
    client.ok(&["set", "last", "1"]);
    settle(&node);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    let files = fs::read_dir(directory(node.dir())).unwrap().count();
    assert_eq!(files, 3, "what is history is gone");
    let dir = node.dir().to_string_lossy().into_owned();
    let again = Server::start(Kind::Node, &[("appendonly", "yes"), ("dir", &dir)]);
    assert_eq!(digest(&again), expected);
}

/// To turn it on is a rewrite, which is under way when CONFIG SET has answered, and has ended when INFO
/// says so, as in Redis.
#[test]
fn a_rewrite_is_refused_exactly_while_one_is_told() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        for _ in 0..20 {
            client.ok(&["config", "set", "appendonly", "yes"]);
            let refused = client.call(&["bgrewriteaof"]);
            assert_eq!(
                refused.error(),
                Some("ERR Background append only file rewriting already in progress"),
                "{kind:?}"
            );
            wait_until("it to be written", || {
                server.info("aof_rewrite_in_progress").as_deref() == Some("0")
            });
            let begun = client.call(&["bgrewriteaof"]).to_string();
            assert_eq!(begun, "Background append only file rewriting started");
            client.ok(&["config", "set", "appendonly", "no"]);
            wait_until("it to be given up", || {
                server.info("aof_rewrite_in_progress").as_deref() == Some("0")
            });
        }
    }
}

/// The reply of a write is not sent while the file does not have it.
#[test]
fn a_reply_waits_for_a_write_that_takes_long() {
    let node = Server::start(Kind::Node, &with(&[("enable-debug-command", "yes")]));
    let mut client = node.client();
    client.ok(&["debug", "aof-flush-sleep", "300000"]);
    for turn in 0..3u8 {
        let file = last_increment(node.dir());
        let before = fs::metadata(&file).unwrap().len();
        client.ok(&["set", "key", &turn.to_string()]);
        assert!(fs::metadata(&file).unwrap().len() > before, "{turn}");
    }
    client.ok(&["debug", "aof-flush-sleep", "0"]);
    let refused = client.call(&["debug", "replicate", "nonsense"]);
    assert!(refused.error().unwrap().contains("appendonly"), "{refused}");
}

#[test]
fn it_is_rewritten_once_it_has_grown() {
    let settings = with(&[
        ("auto-aof-rewrite-min-size", "100kb"),
        ("auto-aof-rewrite-percentage", "100"),
    ]);
    let node = Server::start(Kind::Node, &settings);
    let mut client = node.client();
    let value = "x".repeat(1000);
    for _ in 0..300 {
        client.ok(&["set", "a", &value]);
    }
    wait_until("a rewrite", || {
        let size: u64 = node.info("aof_current_size").unwrap().parse().unwrap();
        // What was written after the last rewrite may be just too little for another.
        size <= 100 * 1024 && node.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    assert!(
        node.log()
            .contains("Starting automatic rewriting of AOF on")
    );
    assert_eq!(node.client().line("get a").text(), value);
}

#[test]
fn a_replicas_file_has_what_its_primary_sent() {
    let redis = Server::start(Kind::Redis, &[("repl-diskless-sync-delay", "0")]);
    let mut primary = redis.client();
    let mut random = fastrand::Rng::with_seed(seed());
    fill(&mut primary, &mut random);
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    client.ok(&["set", "lost", "1"]);
    let port = redis.port().to_string();
    client.ok(&["replicaof", "127.0.0.1", &port]);
    wait_until("the full copy", || {
        node.info("master_link_status").as_deref() == Some("up")
    });
    fill(&mut primary, &mut random);
    for line in [
        "multi",
        "incr n",
        "rpush l a b",
        "lpop l",
        "exec",
        "expire n 1000",
    ] {
        assert_eq!(primary.line(line).error(), None);
    }
    wait_until("the stream to be applied", || {
        digest(&node) == digest(&redis)
    });
    wait_until("the files to begin anew", || {
        node.info("aof_rewrites").as_deref() == Some("1")
            && node.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    settle(&node);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    let node = node.restart();
    assert_eq!(digest(&node), expected);
    assert_eq!(node.client().line("exists lost").integer(), 0);
}

/// As it is if the node is killed while it goes on to another file: that one is named already.
#[test]
fn the_end_of_a_file_may_be_cut_short_if_nothing_comes_behind() {
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["set", "b", "2"]);
    settle(&node);
    node.kill();
    let dir = node.dir().to_owned();
    append(
        &last_increment(&dir),
        b"*3\r\n$3\r\nset\r\n$1\r\nc\r\n$100\r\nxxx",
    );
    let next = "appendonly.aof.2.incr.aof";
    fs::write(directory(&dir).join(next), "").unwrap();
    let line = format!("file {next} seq 2 type i\n");
    append(
        &directory(&dir).join("appendonly.aof.manifest"),
        line.as_bytes(),
    );
    let node = node.restart();
    let mut client = node.client();
    assert_eq!(client.line("mget a b c").to_string(), "[1, 2, (nil)]");
    client.ok(&["set", "c", "3"]);
    settle(&node);
    check(&dir);
    let node = node.restart();
    assert_eq!(node.client().line("mget a b c").to_string(), "[1, 2, 3]");
}

/// A full disk would not take it.
#[test]
fn a_manifest_that_says_what_it_said_is_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let node = Server::start(Kind::Node, ON);
    node.client().ok(&["set", "a", "1"]);
    settle(&node);
    let path = directory(node.dir()).join("appendonly.aof.manifest");
    let before = fs::metadata(&path).unwrap().ino();
    let node = node.restart();
    assert_eq!(node.client().line("get a").text(), "1");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
}
