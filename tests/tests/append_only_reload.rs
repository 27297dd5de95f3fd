//! DEBUG LOADAOF, and the base that the append-only file has from the first start on.
#![cfg(test)]

use std::fs;
use std::path::PathBuf;

use slotilla_tests::differential::seed;
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Kind, Server, wait_until};

const ON: (&str, &str) = ("appendonly", "yes");

fn digest(server: &Server) -> String {
    server.client().line("debug digest").text()
}

fn file(server: &Server, name: &str) -> PathBuf {
    server.dir().join("appendonlydir").join(name)
}

fn fill(client: &mut Client) {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    for db in ["9", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut random) {
            assert_eq!(client.call(&command).error(), None);
        }
    }
}

/// What the files have takes the place of what is there, and what is done then is written as before.
#[test]
fn it_is_loaded_again_while_the_node_runs() {
    for preamble in ["yes", "no"] {
        let settings = [ON, ("aof-use-rdb-preamble", preamble)];
        let mut node = Server::start(Kind::Node, &settings);
        let mut client = node.client();
        fill(&mut client);
        client.line("bgrewriteaof");
        client.ok(&["set", "ahead", "1"]);
        let before = digest(&node);
        let changes = node.info("rdb_changes_since_last_save");
        for _ in 0..2 {
            client.ok(&["debug", "loadaof"]);
            assert_eq!(digest(&node), before);
        }
        assert_eq!(node.info("rdb_changes_since_last_save"), changes);
        client.ok(&["set", "behind", "1"]);
        let expected = digest(&node);
        wait_until("the file to have everything", || {
            node.info("aof_buffer_length").as_deref() == Some("0")
        });
        node.kill();

        // One that does not write it loads it all the same.
        let dir = node.dir().to_string_lossy().into_owned();
        let other = Server::start(Kind::Node, &[("dir", &dir), settings[1]]);
        let mut client = other.client();
        client.ok(&["set", "of the other alone", "1"]);
        client.ok(&["debug", "loadaof"]);
        assert_eq!(digest(&other), expected);
    }
}

#[test]
fn files_that_cannot_be_loaded_stop_the_node() {
    let mut node = Server::start(Kind::Node, &[ON]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["config", "set", "appendonly", "no"]);
    wait_until("the file to be closed", || {
        let manifest = fs::read_to_string(file(&node, "appendonly.aof.manifest")).unwrap();
        client.line("debug loadaof").error().is_none() && manifest.contains("type i")
    });
    let name = "appendonly.aof.1.incr.aof";
    fs::remove_file(file(&node, name)).unwrap();
    // Whether the answer comes first is a matter of luck.
    client.send(b"debug loadaof\r\n");
    let mut status = None;
    wait_until("the node to stop", || {
        status = node.process().exit_status();
        status.is_some()
    });
    assert!(!status.unwrap().success());
    let expected = format!("The append log file {name} doesn't exist: No such file or directory");
    assert!(node.log().contains(&expected), "{}", node.log());
}

/// As in Redis, of either form; and one of commands says when it was written, if that is wanted.
#[test]
fn a_base_is_there_from_the_start() {
    for (preamble, form) in [("yes", "rdb"), ("no", "aof")] {
        let settings = [
            ON,
            ("aof-use-rdb-preamble", preamble),
            ("aof-timestamp-enabled", "yes"),
        ];
        let node = Server::start(Kind::Node, &settings);
        let manifest = fs::read_to_string(file(&node, "appendonly.aof.manifest")).unwrap();
        let expected = format!(
            "file appendonly.aof.1.base.{form} seq 1 type b\n\
             file appendonly.aof.1.incr.aof seq 1 type i\n"
        );
        assert_eq!(manifest, expected);
        let base = fs::read(file(&node, &format!("appendonly.aof.1.base.{form}"))).unwrap();
        let begin: &[u8] = if form == "rdb" { b"REDIS" } else { b"#TS:" };
        assert!(base.starts_with(begin), "{}", base.escape_ascii());
    }
}
