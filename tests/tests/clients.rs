//! Client libraries that others wrote, with their own parsers and their own habits on connect.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

use slotilla_tests::{Cluster, Kind, Server, binaries, one_node_cluster, run_tool};

/// Protocols by which each library is driven; the empty one is the library's own choice.
const PROTOCOLS: [&str; 3] = ["", "2", "3"];

/// Runs both libraries' scripts against a port, in every protocol.
fn drive(port: u16, target: &str) {
    let scripts = binaries::root().join("tests/compat/clients");
    let bin = binaries::python_env().join("bin");
    let libraries = [
        (bin.join("python"), scripts.join("redis_py.py")),
        (bin.join("node"), scripts.join("ioredis.js")),
    ];
    for (program, script) in libraries {
        assert!(installed(&program), "{program:?} is missing: tests/setup");
        for protocol in PROTOCOLS {
            let mut command = Command::new(&program);
            command.env("SLOTILLA_TOOLS_DIR", binaries::tools_dir());
            command.arg(&script).arg(port.to_string());
            command.args(["--target", target]);
            if !protocol.is_empty() {
                command.args(["--protocol", protocol]);
            }
            let run = run_tool(&mut command);
            assert!(run.success, "{command:?}\n{}\n{}", run.out, run.err);
        }
    }
}

fn installed(program: &Path) -> bool {
    program.exists()
}

/// So that a failure below is the server's and not the script's.
#[test]
fn the_scripts_find_nothing_wrong_with_redis() {
    drive(Server::start(Kind::Redis, &[]).port(), "standalone");
    // ioredis takes no node that does not know its own address.
    let announced = [("cluster-announce-ip", "127.0.0.1")];
    drive(one_node_cluster(Kind::Redis, &announced).port(), "cluster");
}

#[test]
fn the_libraries_work_with_a_node() {
    drive(Server::start(Kind::Node, &[]).port(), "standalone");
}

#[test]
fn the_libraries_work_with_a_cluster_node() {
    let announced = [("cluster-announce-ip", "127.0.0.1")];
    drive(one_node_cluster(Kind::Node, &announced).port(), "cluster");
}

#[test]
fn the_libraries_work_with_a_proxy_before_each_make() {
    for kind in [Kind::Node, Kind::Redis, Kind::Valkey] {
        drive(Cluster::start(kind, 3).proxy(&[]).port(), "proxy");
    }
}
