//! nodes.conf survives what happens to it, and is refused when it did not.
#![cfg(test)]

use slotilla_tests::{Cluster, Kind, Server, wait_for, wait_until};
use std::time::Duration;

const SETTINGS: [(&str, &str); 2] = [("cluster-enabled", "yes"), ("cluster-node-timeout", "3000")];

#[test]
fn a_node_killed_at_any_moment_knows_what_it_had_answered() {
    let mut node = Server::start(Kind::Node, &SETTINGS);
    let id = node.client().call(&["CLUSTER", "MYID"]).text();
    for round in 0..8 {
        let slot = round.to_string();
        node.client().ok(&["CLUSTER", "ADDSLOTS", &slot]);
        node.kill();
        node = node.restart();
        let nodes = node.client().call(&["CLUSTER", "NODES"]).text();
        assert!(nodes.starts_with(&id), "{nodes}");
        let slots = match round {
            0 => " 0\n".to_owned(),
            last => format!(" 0-{last}\n"),
        };
        assert!(nodes.ends_with(&slots), "round {round}: {nodes}");
    }
    let bumped = node.client().call(&["CLUSTER", "BUMPEPOCH"]).text();
    assert_eq!(bumped, "BUMPED 1");
    node.kill();
    let node = node.restart();
    assert_eq!(
        node.client().call(&["CLUSTER", "BUMPEPOCH"]).text(),
        "STILL 1"
    );
}

#[test]
fn a_cluster_comes_back_from_its_files_alone() {
    let mut cluster = Cluster::start(Kind::Node, 3);
    for node in &mut cluster.nodes {
        node.kill();
    }
    let nodes = std::mem::take(&mut cluster.nodes);
    cluster.nodes = nodes.into_iter().map(Server::restart).collect();
    cluster.wait_ok();
}

#[test]
fn a_damaged_file_stops_the_start_with_file_line_and_remedy() {
    let id = "1234567890123456789012345678901234567890";
    let good = format!(
        "{id} 127.0.0.1:1@10001 myself,master - 0 0 1 connected 0-5\nvars currentEpoch 1 lastVoteEpoch 0\n"
    );
    let cases = [
        (good[..good.len() - 45].to_owned(), "line 1", "cut short"),
        (
            good.replace("0-5", "0-99999"),
            "line 1",
            "\"99999\" is not a slot",
        ),
        (good.replace("myself,", ""), "line 2", "myself"),
        ("\u{0}\u{1}\u{2}".to_owned(), "line 1", "at least 8 fields"),
    ];
    for (text, line, fault) in cases {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("nodes.conf");
        std::fs::write(&path, &text).unwrap();
        let dir_text = dir.path().to_string_lossy().into_owned();
        let settings = [&SETTINGS[..], &[("dir", &dir_text)]].concat();
        let mut node = Server::start_unready(Kind::Node, &settings);
        let status = node.process().wait_exit(Duration::from_secs(20));
        assert!(!status.success());
        let log = node.log();
        for part in ["nodes.conf", line, fault, "Restore the file from a copy"] {
            assert!(log.contains(part), "{part} is not in {log}");
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "left as it was"
        );
    }
}

/// Three shards, the first one's node being this one.
const WHOLE: &str = "\
1111111111111111111111111111111111111111 127.0.0.1:1@2 myself,master - 0 0 11 connected 0-5460
2222222222222222222222222222222222222222 127.0.0.1:3@4 master - 0 1 12 connected 5461-10922
3333333333333333333333333333333333333333 127.0.0.1:5@6 master - 0 1 13 connected 10923-16383
vars currentEpoch 130 lastVoteEpoch 456
";

/// What a node knows of its cluster: names, epochs and slots; then the last line of its file.
fn known(node: &Server) -> Vec<String> {
    let nodes = node.client().call(&["CLUSTER", "NODES"]).text();
    let mut known: Vec<String> = nodes
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} {} {}", words[0], words[6], words[8..].join(" "))
        })
        .collect();
    known.sort();
    node.client().ok(&["CLUSTER", "SAVECONFIG"]);
    let file = std::fs::read_to_string(node.dir().join("nodes.conf")).unwrap();
    known.extend(file.lines().last().map(str::to_owned));
    known
}

/// Starts a node again with a file that holds this; whether it started.
fn starts_with(mut node: Server, file: &[u8]) -> (Server, bool) {
    node.kill();
    let path = node.dir().join("nodes.conf");
    std::fs::write(&path, file).unwrap();
    let mut node = node.restart_unready();
    let is_up = wait_for("a start or a refusal", Duration::from_secs(20), || {
        let exit = node.process().exit_status();
        assert!(exit.is_none_or(|exit| !exit.success()));
        match exit {
            Some(_) => Some(false),
            None => node.answers().then_some(true),
        }
    });
    if !is_up {
        assert_eq!(std::fs::read(&path).unwrap(), file, "left as it was");
    }
    (node, is_up)
}

#[test]
fn a_file_cut_anywhere_is_refused_or_loses_nothing() {
    let whole = WHOLE.as_bytes();
    let (mut node, mut is_up) = starts_with(Server::start(Kind::Node, &SETTINGS), whole);
    assert!(is_up, "the whole file is good");
    let expected = known(&node);
    assert_eq!(
        expected.last().unwrap(),
        "vars currentEpoch 130 lastVoteEpoch 456"
    );
    let last_line = whole.len() - 45;
    let cuts = (1..last_line).step_by(29).chain(last_line..whole.len());
    let mut refused = 0;
    for cut in cuts {
        (node, is_up) = starts_with(node, &whole[..cut]);
        if is_up {
            assert_eq!(known(&node), expected, "cut at {cut}");
            continue;
        }
        refused += 1;
        let log = node.log();
        for part in ["nodes.conf", "line ", "Restore the file from a copy"] {
            assert!(log.contains(part), "cut at {cut}: {log}");
        }
        assert!(!log.contains("panicked"), "cut at {cut}: {log}");
    }
    assert!(refused > 40, "{refused}");
}

#[test]
fn an_empty_file_is_a_new_node_as_in_redis() {
    for kind in [Kind::Redis, Kind::Node] {
        let (node, is_up) = starts_with(Server::start(kind, &SETTINGS), b"");
        assert!(is_up, "{kind:?}");
        let nodes = node.client().call(&["CLUSTER", "NODES"]).text();
        assert_eq!(nodes.lines().count(), 1, "{kind:?}: {nodes}");
    }
}

#[test]
fn two_nodes_of_any_make_do_not_share_a_file() {
    let first = Server::start(Kind::Node, &SETTINGS);
    let dir = first.dir().to_string_lossy().into_owned();
    for kind in [Kind::Node, Kind::Redis] {
        let settings = [&SETTINGS[..], &[("dir", &dir)]].concat();
        let mut second = Server::start_unready(kind, &settings);
        let status = second.process().wait_exit(Duration::from_secs(20));
        assert!(!status.success(), "{kind:?}");
    }
    first.client().ok(&["CLUSTER", "ADDSLOTS", "1"]);
    let redis = Server::start(Kind::Redis, &SETTINGS);
    let dir = redis.dir().to_string_lossy().into_owned();
    let settings = [&SETTINGS[..], &[("dir", &dir)]].concat();
    let mut second = Server::start_unready(Kind::Node, &settings);
    second.process().wait_exit(Duration::from_secs(20));
    assert!(
        second.log().contains("in use by another node"),
        "{}",
        second.log()
    );
}

#[test]
fn a_disk_that_takes_nothing_is_told_to_who_changes_something() {
    let node = Server::start(Kind::Node, &SETTINGS);
    let mut client = node.client();
    // A directory in the place of the temporary file.
    let obstacle = node.dir().join("nodes.conf.tmp");
    // The node may be at writing its first view just now, and the file be there.
    wait_until("a directory in the file's place", || {
        std::fs::create_dir(&obstacle).is_ok()
    });
    let reply = client.call(&["CLUSTER", "ADDSLOTS", "7"]);
    let text = reply.error().unwrap();
    assert!(
        text.starts_with("ERR error saving the cluster node config: "),
        "{text}"
    );
    assert_eq!(client.call(&["PING"]).text(), "PONG");
    std::fs::remove_dir(&obstacle).unwrap();
    wait_for("the claim is on disk", Duration::from_secs(10), || {
        let file = std::fs::read_to_string(node.dir().join("nodes.conf")).unwrap();
        file.contains(" connected 7\n").then_some(())
    });
    client.ok(&["CLUSTER", "SAVECONFIG"]);
    wait_until("nothing is left behind", || !obstacle.exists());
}
