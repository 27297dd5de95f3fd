//! Configuration files with every kind of mistake: one run tells all of them, each with its file,
//! line, key and remedy, and the process ends with an exit code of its own.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

use slotilla_tests::{Kind, Server, binaries, run_tool};

/// A line of a file, and what must be said of it; nothing of a line that is right.
type Line = (&'static str, &'static [&'static str]);

/// What each fault of a redis.conf is told with: the problem, then the remedy.
#[rustfmt::skip]
const CONF: &[Line] = &[
    ("# A file with every kind of mistake", &[]),
    ("port 7000", &[]),
    ("maxmemry 1gb", &["Bad directive", "did you mean maxmemory?"]),
    ("frobnicate yes", &["Bad directive", "frobnicate: see config/node.toml"]),
    ("tcp-keepalive many", &["tcp-keepalive: give "]),
    ("io-threads 129", &["io-threads: give "]),
    ("maxmemory 1x", &["maxmemory: give "]),
    ("maxmemory-policy newest", &["maxmemory-policy: give "]),
    ("appendonly perhaps", &["appendonly: give "]),
    ("timeout 1 2 3", &["wrong number of arguments", "timeout: give "]),
    ("timeout", &["wrong number of arguments", "timeout: give "]),
    ("unixsocketperm 999", &["unixsocketperm: give "]),
    ("requirepass \"open", &["Unbalanced quotes"]),
    ("requirepass 'a'b", &["Unbalanced quotes"]),
    ("save 900", &["save: give "]),
    ("client-output-buffer-limit normal 1", &["client-output-buffer-limit: give "]),
    ("notify-keyspace-events Q", &["notify-keyspace-events: give "]),
    ("include /nonexistent/extra.conf", &["cannot read /nonexistent/extra.conf", "include: correct the path"]),
    ("include", &["include: name a file"]),
    ("user default on nopass", &["users are not supported", "user: leave it out, and set requirepass"]),
    ("rename-command GET \"\"", &["cannot be renamed", "rename-command: leave it out"]),
    ("loadmodule /x.so", &["modules are not supported", "loadmodule: leave it out"]),
    ("sentinel monitor a 1.1.1.1 1 2", &["not in sentinel mode", "sentinel: leave it out"]),
    ("maxclients=5", &["Bad directive", "write --maxclients 5"]),
    ("\u{1}\u{2}\u{7f}", &["Bad directive"]),
    ("admin-port 7000", &["port and admin-port are the same", "admin-port: choose different ports"]),
    ("tls-port 7001", &["TLS is not supported", "tls-port: leave it out"]),
    ("aclfile users.acl", &["users are not supported", "aclfile: leave it out"]),
    ("replicaof 127.0.0.1 x", &["Invalid master port", "give a host and a port"]),
    ("timeout 5", &[]),
];

#[rustfmt::skip]
const TOML: &[Line] = &[
    ("# A file with every kind of mistake", &[]),
    ("port = 7000", &[]),
    ("maxmemry = \"1gb\"", &["Bad directive", "did you mean maxmemory?"]),
    ("frobnicate = true", &["frobnicate: see config/node.toml"]),
    ("tcp-keepalive = \"many\"", &["tcp-keepalive: give "]),
    ("io-threads = 129", &["io-threads: give "]),
    ("maxmemory = \"1x\"", &["maxmemory: give "]),
    ("maxmemory-policy = \"newest\"", &["maxmemory-policy: give "]),
    ("appendonly = \"perhaps\"", &["appendonly: give "]),
    ("timeout = [1, 2, 3]", &["wrong number of arguments", "timeout: give "]),
    ("hz = 1979-05-27", &["no key takes a date", "hz: write it as a string"]),
    ("databases = 99999999999999999999999999999999999999999", &["too large", "databases: write it as a string"]),
    ("save = [[900]]", &["save: give "]),
    ("include = \"/nonexistent/extra.toml\"", &["cannot read", "include: correct the path"]),
    ("admin-port = 7000", &["port and admin-port are the same", "admin-port: choose different ports"]),
    ("[cluster]", &[]),
    ("enabled = \"perhaps\"", &["cluster-enabled: give "]),
    ("node-timeout = -1", &["cluster-node-timeout: give "]),
];

/// A document that is no TOML has its faults told by line, too.
#[rustfmt::skip]
const NO_TOML: &[Line] = &[
    ("port = 7000", &[]),
    ("timeout 5", &["not valid TOML"]),
    ("maxmemory = ", &["not valid TOML", "write KEY = VALUE"]),
    ("port = 7001", &["not valid TOML: duplicate key"]),
    ("maxmemory-policy = newest", &["not valid TOML"]),
    ("loglevel = \"loud\"", &["loglevel: give "]),
];

#[rustfmt::skip]
const PROXY: &[Line] = &[
    ("port = 7000", &[]),
    ("portt = 1", &["there is no such key; did you mean port?"]),
    ("frobnicate = 1", &["there is no such key; config/proxy.toml lists every key"]),
    ("seeds = [\"nowhere\"]", &["seeds: \"nowhere\" is no address of a node; "]),
    ("maxclients = 0", &["maxclients: \"0\" is no number in range; write "]),
    ("request-timeout = 5", &["request-timeout: \"5\" is no time in range; "]),
    ("protected-mode = \"maybe\"", &["protected-mode: \"maybe\" is neither; write yes or no"]),
    ("admin-port = 7000", &["admin-port: is the port for clients, too; choose another one"]),
    ("retry-backoff-max = 1979-05-27", &["retry-backoff-max: no key takes a date; write it as a string"]),
];

/// Runs a program on the file, and gives what it says on both outputs.
fn refusal(program: &Path, args: &[&str], name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    let output = Command::new(program)
        .args(args)
        .arg(name)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|(line, _)| format!("{line}\n")).collect()
}

/// Splits what was said into pieces, one a fault, by the line of the file that it is about, and
/// looks for each fault in its own.
fn assert_told(
    said: &str,
    lines: &[(&str, &[&str])],
    starts: impl Fn(usize) -> String,
    splitter: &str,
) {
    let pieces: Vec<&str> = said.split(splitter).skip(1).collect();
    let mut wrong = 0;
    for (place, (line, parts)) in lines.iter().enumerate() {
        let start = starts(place + 1);
        let told: Vec<&&str> = pieces.iter().filter(|p| p.starts_with(&start)).collect();
        if parts.is_empty() {
            assert!(told.is_empty(), "{line:?} is right: {told:?}");
            continue;
        }
        wrong += 1;
        assert!(!told.is_empty(), "nothing is said of {line:?} in {said}");
        for part in *parts {
            assert!(
                told.iter().any(|t| t.contains(part)),
                "{line:?}: {part:?} in {told:?}"
            );
        }
    }
    assert!(pieces.len() >= wrong, "{said}");
}

fn node_tells(name: &str, lines: &[Line]) {
    let said = refusal(&binaries::node(), &[], name, &text_of(lines));
    let starts = |line| format!(", at line {line}\n");
    assert_told(&said, lines, starts, name);
    // There a fault is one line: the remedy stands behind the problem, the key before both.
    let said = refusal(&binaries::node(), &["check-config"], name, &text_of(lines));
    let parts: Vec<Vec<&str>> = lines.iter().map(|(_, parts)| without_keys(parts)).collect();
    let lines: Vec<(&str, &[&str])> = lines
        .iter()
        .zip(&parts)
        .map(|((line, _), parts)| (*line, parts.as_slice()))
        .collect();
    assert_told(&said, &lines, |line| format!(":{line}: "), name);
}

fn without_keys(parts: &[&'static str]) -> Vec<&'static str> {
    let last = |part: &&'static str| part.rsplit(": ").next().unwrap_or_default();
    parts.iter().map(last).collect()
}

#[test]
fn a_node_tells_all_faults_of_a_redis_conf() {
    node_tells("faulty.conf", CONF);
}

#[test]
fn a_node_tells_all_faults_of_a_toml_file() {
    node_tells("faulty.toml", TOML);
}

#[test]
fn a_node_tells_where_a_file_is_no_toml() {
    node_tells("faulty.toml", NO_TOML);
}

#[test]
fn a_proxy_tells_all_faults_of_its_file() {
    for args in [&[][..], &["check-config"]] {
        let said = refusal(&binaries::proxy(), args, "faulty.toml", &text_of(PROXY));
        assert_told(&said, PROXY, |line| format!(":{line}: "), "faulty.toml");
    }
}

#[test]
fn rubbish_is_refused_by_both() {
    for text in [
        "\0\u{1}\u{2}",
        "[[[[",
        "= = =\n",
        "a = \"\\",
        "\u{feff}x",
        "\"\"\"\n",
    ] {
        for name in ["x.toml", "x.conf", "x"] {
            let said = refusal(&binaries::node(), &[], name, text);
            assert!(said.contains("at line "), "{text:?} as {name}: {said}");
        }
        let said = refusal(&binaries::proxy(), &[], "x.toml", text);
        assert!(said.contains("x.toml:1: "), "{text:?}: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_named_without_a_line() {
    for program in [binaries::node(), binaries::proxy()] {
        let output = Command::new(&program)
            .args(["check-config", "/nonexistent"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("/nonexistent: cannot be read: "), "{said}");
    }
}

#[test]
fn a_file_that_is_right_is_said_to_be_fine_with_what_has_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    // A name that is an option elsewhere, too.
    let file = dir.path().join("--port");
    std::fs::write(&file, "port 7000\nstream-node-max-entries 50\n").unwrap();
    let output = Command::new(binaries::node())
        .args(["check-config", "--port"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--port: fine\n");
    assert!(
        told.contains("--port:2: stream-node-max-entries: accepted, but"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn check_config_takes_one_file() {
    for (program, name) in [
        (binaries::node(), "slotilla-node"),
        (binaries::proxy(), "slotilla-proxy"),
    ] {
        let run = |args: &[&str]| Command::new(&program).args(args).output().unwrap();
        for args in [&["check-config"][..], &["check-config", "a", "b"]] {
            let output = run(args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            let says = format!("{name}: check-config takes one file: {name} check-config FILE\n");
            assert_eq!(said, says);
        }
        let output = run(&["check-config", "--help"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains(&format!("{name} check-config FILE")),
            "{said}"
        );
    }
}

/// Redis's words, which scripts look for in the log, beside ours, which say what to do.
#[test]
fn a_port_that_is_in_use_is_told() {
    let server = Server::start(Kind::Redis, &[]);
    let port = server.port().to_string();
    let mut command = Command::new(binaries::node());
    let dir = tempfile::tempdir().unwrap();
    let told = run_tool(command.args(["--port", &port]).current_dir(dir.path()));
    assert!(!told.success);
    let expected = format!("Failed listening on port {port} (TCP), aborting.");
    assert!(told.out.contains(&expected), "{}", told.out);
    assert!(
        told.err.contains("the port is in use by another process"),
        "{}",
        told.err
    );
    assert!(!told.out.contains("PID: "), "{}", told.out);
}
