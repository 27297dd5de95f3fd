//! Directories that take no file: whoever wants one hears it, the log says what, where and what to do,
//! what was there before is there still, and the node goes on.
//!
//! Nothing is forbidden to root, so a directory stands where a file is to be made; and nobody makes
//! files in /proc.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slotilla_tests::append_only::{ON, check, digest, rewrite, settle, with};
use slotilla_tests::replication::{await_link, await_step, replicate};
use slotilla_tests::{Kind, Server, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

/// A directory with something in it in the place of a file.
fn obstruct(path: &Path) -> PathBuf {
    wait_until("the place to be free", || fs::create_dir(path).is_ok());
    fs::write(path.join("in the way"), "").unwrap();
    path.to_owned()
}

fn clear(path: &Path) {
    fs::remove_dir_all(path).unwrap();
}

/// What the log says, all in one line.
fn await_said(node: &Server, said: &[&str]) {
    wait_until(&format!("{said:?} in the log"), || {
        let log = node.log();
        assert!(!log.contains("panicked"), "{log}");
        log.lines()
            .any(|line| said.iter().all(|part| line.contains(part)))
    });
}

fn await_field(node: &Server, field: &str, value: &str) {
    wait_until(&format!("{field} to be {value}"), || {
        node.info(field).as_deref() == Some(value)
    });
}

/// Of the files of a directory, all bytes; directories are none.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file() && path.extension().is_none_or(|it| it != "log"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_snapshot_that_has_no_place_leaves_the_old_one() {
    for (command, temporary, answer) in [
        ("save", "temp-PID.rdb", "ERR"),
        ("bgsave", "temp-bgsave-PID.rdb", ""),
    ] {
        let mut node = Server::start(Kind::Node, &[]);
        let mut client = node.client();
        client.ok(&["set", "a", "1"]);
        client.ok(&["save"]);
        client.ok(&["set", "a", "2"]);
        let name = temporary.replace("PID", &node.process().pid().to_string());
        // First the file's place before it has its name, then that of its name.
        let dump = node.dir().join("dump.rdb");
        let old = fs::read(&dump).unwrap();
        let obstacle = obstruct(&node.dir().join(&name));
        if command == "save" {
            assert_eq!(client.line(command).error(), Some(answer));
        } else {
            client.line(command);
            await_field(&node, "rdb_last_bgsave_status", "err");
        }
        await_said(&node, &["creating", &name, "move that directory away"]);
        assert_eq!(fs::read(&dump).unwrap(), old, "{command}");
        clear(&obstacle);
        fs::remove_file(&dump).unwrap();
        obstruct(&dump);
        client.line(command);
        await_said(&node, &["dump.rdb", "move that directory away"]);
        await_field(&node, "rdb_bgsave_in_progress", "0");
        assert!(!node.dir().join(&name).exists(), "{command}");
        clear(&dump);
        client.ok(&["set", "a", "3"]);
        client.ok(&["save"]);
        node.kill();
        assert_eq!(node.restart().client().line("get a").text(), "3");
    }
}

#[test]
fn a_rewrite_that_has_no_place_leaves_all_files() {
    let mut node = Server::start(Kind::Node, ON);
    let mut client = node.client();
    for n in 0..50 {
        client.ok(&["set", &format!("key:{n}"), &n.to_string()]);
    }
    rewrite(&node);
    settle(&node);
    let dir = node.dir().join("appendonlydir");
    let before = files(&dir);
    // The manifest that tells of the next files has its place taken, so there are none.
    let temporary = dir.join("temp_appendonly.aof.manifest");
    let obstacle = obstruct(&temporary);
    let answer = client.line("bgrewriteaof");
    if answer.error().is_none() {
        await_field(&node, "aof_last_bgrewrite_status", "err");
    }
    await_said(&node, &["manifest", "see to the disk and the permissions"]);
    let after = files(&dir);
    for (path, bytes) in &before {
        let there = after.iter().find(|(name, _)| name == path);
        assert_eq!(there.map(|(_, bytes)| bytes), Some(bytes), "{path:?}");
    }
    clear(&obstacle);
    client.ok(&["set", "after", "1"]);
    settle(&node);
    let expected = digest(&node);
    rewrite(&node);
    node.kill();
    check(node.dir());
    assert_eq!(digest(&node.restart()), expected);
}

#[test]
fn an_append_only_file_that_has_no_place_is_not_turned_on() {
    let node = Server::start(Kind::Node, &[]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    // A file where the directory of the files is to be.
    let place = node.dir().join("appendonlydir");
    fs::write(&place, "mine").unwrap();
    let refused = client.line("config set appendonly yes");
    assert_eq!(
        refused.error(),
        Some(
            "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on \
             AOF. Check server logs."
        )
    );
    await_said(&node, &["appendonlydir", "see to"]);
    assert_eq!(client.line("config get appendonly").items()[1].text(), "no");
    assert_eq!(fs::read(&place).unwrap(), b"mine");
    client.ok(&["set", "a", "2"]);
    fs::remove_file(&place).unwrap();
    client.ok(&["config", "set", "appendonly", "yes"]);
    await_field(&node, "aof_rewrite_in_progress", "0");
    await_field(&node, "aof_last_bgrewrite_status", "ok");
    client.ok(&["set", "a", "3"]);
    settle(&node);
    check(node.dir());
}

#[test]
fn a_replica_that_has_no_place_for_all_data_keeps_its_own() {
    let primary = Server::start(Kind::Node, &[("repl-diskless-sync-delay", "0")]);
    primary.client().ok(&["set", "new", "1"]);
    let mut replica = Server::start(Kind::Node, &[]);
    let mut client = replica.client();
    client.ok(&["set", "old", "1"]);
    let name = format!("temp-replica-{}.rdb", replica.process().pid());
    let obstacle = obstruct(&replica.dir().join(&name));
    replicate(&replica, primary.port());
    await_said(
        &replica,
        &[
            &name,
            "see to the disk",
            "The data that was there is unchanged",
        ],
    );
    assert_eq!(client.line("get old").text(), "1");
    clear(&obstacle);
    await_link(&replica);
    await_step(&primary, &replica);
    assert_eq!(client.line("get new").text(), "1");
    assert!(client.line("get old").is_null());
}

#[test]
fn without_a_place_for_their_record_no_replica_confirms_writes() {
    let settings = [
        ("repl-diskless-sync-delay", "0"),
        ("replica-ack-writes", "1"),
        ("replica-ack-timeout", "300"),
    ];
    let mut primary = Server::start(Kind::Node, &settings);
    let obstacle = obstruct(&primary.dir().join("temp-replica-acks.state"));
    let replica = Server::start(Kind::Node, &[]);
    replicate(&replica, primary.port());
    await_link(&replica);
    await_said(&primary, &["replica-acks.state", "see to the disk"]);
    let mut client = primary.client();
    let refused = client.line("set a 1");
    assert!(refused.error().is_some(), "{refused}");
    assert!(client.line("get nothing").is_null(), "it serves readers");
    assert!(!primary.dir().join("replica-acks.state").exists());
    clear(&obstacle);
    wait_for("a confirmed write", LIMIT, || {
        client.line("set a 1").error().is_none().then_some(())
    });
    // The old record is there as it was, and the replicas of before are good for it.
    let record = primary.dir().join("replica-acks.state");
    let old = fs::read(&record).unwrap();
    let obstacle = obstruct(&primary.dir().join("temp-replica-acks.state"));
    let second = Server::start(Kind::Node, &[]);
    replicate(&second, primary.port());
    await_link(&second);
    wait_until("the second failure", || {
        primary.log().matches("No replica confirms writes").count() >= 2
    });
    assert_eq!(fs::read(&record).unwrap(), old);
    clear(&obstacle);
    wait_for("a confirmed write", LIMIT, || {
        client.line("set a 2").error().is_none().then_some(())
    });
    assert!(!primary.log().contains("panicked"));
    primary.kill();
}

#[test]
fn where_nothing_can_be_made_all_say_so() {
    let allowed = ("enable-protected-configs", "yes");
    let mut node = Server::start(Kind::Node, &with(&[allowed]));
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["save"]);
    settle(&node);
    let old = files(node.dir());
    client.ok(&["config", "set", "dir", "/proc"]);
    assert_eq!(client.line("save").error(), Some("ERR"));
    client.line("bgsave");
    await_field(&node, "rdb_last_bgsave_status", "err");
    await_said(&node, &["/proc/temp-", "set dir to"]);
    client.line("bgrewriteaof");
    await_field(&node, "aof_rewrite_in_progress", "0");
    assert_eq!(files(node.dir()), old);
    client.ok(&["config", "set", "save", ""]);
    client.ok(&["set", "b", "1"]);
    settle(&node);
    let expected = digest(&node);
    node.kill();
    check(node.dir());
    assert_eq!(digest(&node.restart()), expected);
}
