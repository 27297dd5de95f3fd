//! `slotilla-proxy dev`: a cluster of our own nodes behind a proxy, with one command.
#![cfg(test)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use slotilla_tests::{Client, PortBlock, Process, binaries, reserve_ports, wait_for, wait_until};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

struct Dev {
    process: Process,
    ports: PortBlock,
    dir: TempDir,
}

/// `dev` with its proxy on the first port, the admin port next, then the nodes.
fn start(more: &[&str]) -> Dev {
    let ports = reserve_ports(5);
    let dir = TempDir::new().expect("a directory");
    let process = launch(&ports, dir.path(), more);
    Dev {
        process,
        ports,
        dir,
    }
}

fn launch(ports: &PortBlock, dir: &Path, more: &[&str]) -> Process {
    let port = |place: u16| (ports.first() + place).to_string();
    let mut args: Vec<String> = ["dev", "--port", &port(0), "--admin-port", &port(1)]
        .into_iter()
        .chain(["--base-port", &port(2)])
        .map(str::to_owned)
        .collect();
    args.extend(more.iter().map(|word| (*word).to_owned()));
    Process::start(
        "dev",
        &binaries::proxy(),
        &args,
        dir,
        &dir.join("output.log"),
    )
}

impl Dev {
    fn wait_ready(&mut self) {
        wait_for("PING through the proxy", LIMIT, || {
            let reply =
                Client::try_connect(self.ports.first()).and_then(|mut c| c.try_call(&["PING"]));
            reply.ok()
        });
    }

    /// Whether anybody listens on a port of the block.
    fn is_open(&self, place: u16) -> bool {
        Client::try_connect(self.ports.first() + place).is_ok()
    }
}

#[test]
fn one_command_gives_a_cluster_and_its_end_leaves_nothing() {
    let mut dev = start(&[]);
    dev.wait_ready();
    let mut client = Client::connect(dev.ports.first());
    client.ok(&["SET", "hello", "world"]);
    client.ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
    assert_eq!(
        client.line("MGET hello a b c").to_string(),
        "[world, 1, 2, 3]"
    );
    assert_eq!(client.line("DBSIZE").integer(), 4);
    wait_until("the next steps", || {
        dev.process.output().contains("redis-cli -p")
    });
    let printed = dev.process.output();
    assert_eq!(printed.matches("is up, process").count(), 3, "{printed}");
    let kept = printed
        .lines()
        .find_map(|line| line.strip_prefix("The nodes' files and logs are in "))
        .expect("the directory is told");
    assert!(Path::new(kept).is_dir());
    assert!(dev.process.terminate().success());
    for place in 0..5 {
        assert!(
            !dev.is_open(place),
            "port {place} of the block is still open"
        );
    }
    assert!(!Path::new(kept).exists(), "{kept} is still there");
}

#[test]
fn nodes_end_with_a_parent_that_is_killed_and_come_back_with_their_slots() {
    let kept = TempDir::new().expect("a directory");
    let words = ["--dir", &kept.path().to_string_lossy()];
    let mut dev = start(&words);
    dev.wait_ready();
    dev.process.kill();
    wait_until("the nodes to end", || {
        (2..5).all(|place| !dev.is_open(place))
    });
    dev.process = launch(&dev.ports, dev.dir.path(), &words);
    dev.wait_ready();
    Client::connect(dev.ports.first()).ok(&["SET", "a", "1"]);
    assert!(dev.process.terminate().success());
}

#[test]
fn what_the_end_of_a_node_means_is_told() {
    let mut dev = start(&["--primaries", "2"]);
    dev.wait_ready();
    wait_until("the next steps", || {
        dev.process.output().contains("Ctrl-C stops everything")
    });
    for (place, part) in [
        (2, "the other nodes serve nothing either"),
        (3, "and nothing is served"),
    ] {
        let start = format!("node  127.0.0.1:{}  ", dev.ports.first() + place);
        let up = format!("{start}is up, process ");
        let printed = dev.process.output();
        let pid = printed.lines().find_map(|line| line.strip_prefix(&up));
        let pid: i32 = pid.and_then(|pid| pid.parse().ok()).expect("its process");
        let pid = Pid::from_raw(pid).expect("a process");
        kill_process(pid, Signal::KILL).expect("it is there");
        wait_until("its end to be told", || {
            let printed = dev.process.output();
            let mut ends = printed.lines().filter(|line| !line.starts_with(&up));
            ends.any(|line| line.starts_with(&start) && line.contains(part))
        });
    }
    assert!(dev.process.terminate().success());
}

#[test]
fn the_options_are_told() {
    for words in [&["--help"][..], &["-h"], &["--primaries", "1", "--help"]] {
        let output = Command::new(binaries::proxy())
            .arg("dev")
            .args(words)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {text}");
        assert!(text.contains("--base-port P"), "{words:?}: {text}");
    }
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    for (words, part) in [
        (&["--port", port.as_str()][..], "in use"),
        (&["--replicas", "1"], "do not replicate yet"),
        (&["--dir", "/proc/none"], "--dir"),
        (&["--nodes", "3"], "there is no option"),
    ] {
        let ports = reserve_ports(5);
        let base = (ports.first() + 2).to_string();
        let admin = (ports.first() + 1).to_string();
        let own = (ports.first()).to_string();
        let output = Command::new(binaries::proxy())
            .arg("dev")
            .args(["--base-port", &base, "--admin-port", &admin, "--port", &own])
            .args(words)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(text.contains(part), "{words:?}: {text}");
        assert!(Client::try_connect(ports.first() + 2).is_err());
    }
}
