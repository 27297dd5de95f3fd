//! The append-only file: what was answered is there again after a kill, a redis-server reads what
//! ours has written and ours what a redis-server has, and what is damaged or cannot be written is
//! told, with what to do.
#![cfg(test)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use slotilla_tests::differential::seed;
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Kind, Server, binaries, run_tool, wait_for, wait_until};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);
const ON: &[(&str, &str)] = &[("appendonly", "yes")];
const ALWAYS: &[(&str, &str)] = &[("appendonly", "yes"), ("appendfsync", "always")];

fn with(settings: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [ON, settings].concat()
}

fn digest(server: &Server) -> String {
    server.client().line("debug digest").text()
}

fn directory(dir: &Path) -> PathBuf {
    dir.join("appendonlydir")
}

fn manifest(dir: &Path) -> String {
    fs::read_to_string(directory(dir).join("appendonly.aof.manifest")).unwrap()
}

/// What redis-check-aof says of all files.
fn check(dir: &Path) {
    let mut check = Command::new(binaries::system("redis-check-aof"));
    let checked = run_tool(check.arg(directory(dir).join("appendonly.aof.manifest")));
    let whole = "All AOF files and manifest are valid";
    assert!(
        checked.out.contains(whole),
        "{}{}",
        checked.out,
        checked.err
    );
}

/// The file that is written.
fn last_increment(dir: &Path) -> PathBuf {
    let manifest = manifest(dir);
    let last = manifest.lines().rfind(|line| line.ends_with("type i"));
    let name = last.and_then(|line| line.split(' ').nth(1));
    directory(dir).join(name.unwrap())
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Waits until all that was done is in the file.
fn settle(server: &Server) {
    wait_until("the file to have everything", || {
        server.info("aof_buffer_length").as_deref() == Some("0")
    });
}

fn rewrite(server: &Server) {
    let before: u64 = server.info("aof_rewrites").unwrap().parse().unwrap();
    let reply = server.client().line("bgrewriteaof").to_string();
    assert_eq!(reply, "Background append only file rewriting started");
    wait_until("the rewrite to end", || {
        let begun: u64 = server.info("aof_rewrites").unwrap().parse().unwrap();
        begun > before && server.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    assert_eq!(server.info("aof_last_bgrewrite_status").unwrap(), "ok");
}

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
    println!("SLOTILLA_SEED={seed}");
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

/// Clients write all along: what was answered before the kill is there.
#[test]
fn rewrites_and_kills_under_writes_lose_nothing_that_was_answered() {
    let mut node = Server::start(Kind::Node, &[ALWAYS, &[("io-threads", "2")]].concat());
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
        text.contains("Unknown command reading the append only file"),
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
        size < 100_000 && node.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    assert!(
        node.log()
            .contains("Starting automatic rewriting of AOF on")
    );
    assert_eq!(node.client().line("get a").text(), value);
}

fn limit_files(node: &mut Server, bytes: &str) {
    let pid = node.process().pid().to_string();
    let mut command = Command::new("prlimit");
    let limited = run_tool(command.args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]));
    assert!(limited.success, "{}", limited.err);
}

#[test]
fn while_the_disk_is_full_writes_are_refused() {
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    settle(&node);
    let size = fs::metadata(last_increment(node.dir())).unwrap().len();
    limit_files(&mut node, &(size + 10).to_string());
    client.ok(&["set", "b", "1"]);
    let refused = wait_for("writes to be refused", LIMIT, || {
        client.line("set c 1").error().map(str::to_owned)
    });
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
