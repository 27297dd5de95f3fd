//! The program as its users call it: what it prints, how it ends, what it leaves behind.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_slotilla-bench");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A floor server on a port of its own, killed when let go.
struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("the floor said {line:?}"));
        Self { child, address }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn floor() -> Floor {
    let mut command = Command::new(PROGRAM);
    command.args(["floor", "--port", "0", "--threads", "2"]);
    Floor::start(command)
}

#[test]
fn load_reports_what_it_saw_as_json() {
    let floor = floor();
    let pid = floor.child.id().to_string();
    let load = ["load", "--target", &floor.address, "--watch", &pid];
    let what = "--mix set:1,mget:2 --pipeline 8 --requests 2000 --answers ok";
    let arguments: Vec<&str> = load.into_iter().chain(what.split(' ')).collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).and_then(serde_json::Value::as_f64);
    assert!(number("/commands").unwrap() >= 2000.0, "{report}");
    assert!(number("/latency/p50_us").unwrap() > 0.0, "{report}");
    assert_eq!(number("/watched/0/pid"), Some(f64::from(floor.child.id())));
}

#[test]
fn a_wrong_answer_ends_the_run() {
    let floor = floor();
    // The floor does not store anything, so it cannot give values.
    let output = run(&["load", "--target", &floor.address, "--requests", "10"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("wrong answer: expected \"$64"), "{said}");
    assert!(said.contains(r#"got "+OK\r\n""#), "{said}");
    let output = run(&["hold", "--target", &floor.address, "--connections", "3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("GET key:000000000000 answered \"OK\""));
}

#[test]
fn nobody_to_ask_is_said_with_the_address() {
    let output = run(&["load", "--target", "127.0.0.1:1", "--requests", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("connect to 127.0.0.1:1:"));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_is_right() {
    for (arguments, says) in [
        (&["lood"][..], "unknown subcommand lood"),
        (&["load", "--pipelines", "2"], "--pipeline N"),
        (&["load", "--pipeline", "0"], "the least"),
        (&["load", "--mix", "del"], "get:9,set:1"),
        (&["load", "--value-size", "7"], "values need 8 bytes"),
        (&["fill", "--target", "nowhere"], "no HOST:PORT"),
        (
            &["compare", "--suite", "x"],
            "none of node, memory, types, proxy",
        ),
        (
            &["compare", "--suite", "replication", "--part", "large"],
            "none of sync, save, cost, apply, acked",
        ),
        (
            &["compare", "--check", "--wrong"],
            "unknown argument --wrong",
        ),
        (
            &[
                "compare",
                "--check",
                "--suite",
                "node",
                "--subjects",
                "envoy",
            ],
            "none of them takes part",
        ),
    ] {
        let output = run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn options_can_be_checked_without_a_comparison() {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--check", "--suite", "node", "--quick"]);
    let output = command
        .env("SLOTILLA_BIN_DIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_missing_program_is_named_before_anything_starts() {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--suite", "node", "--subjects", "node"]);
    let output = command
        .env("SLOTILLA_BIN_DIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("/nowhere/slotilla-node does not exist"),
        "{said}"
    );
    assert!(
        said.contains("cargo build --release --bin slotilla-node"),
        "{said}"
    );
}

#[test]
fn a_child_runs_the_program_on_the_processors_that_it_was_given() {
    let own = std::process::id().to_string();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = allowed_processors(&status);
    let first = allowed.split([',', '-']).next().unwrap().to_owned();
    let mut command = Command::new(PROGRAM);
    command.args(["child", &own, &first, PROGRAM, "floor", "--port", "0"]);
    let floor = Floor::start(command);
    let path = format!("/proc/{}/status", floor.child.id());
    let status = std::fs::read_to_string(path).unwrap();
    assert_eq!(allowed_processors(&status), first);
}

#[test]
fn a_child_of_somebody_else_does_not_start() {
    let output = run(&["child", "1", "0", "/bin/echo", "started"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}

fn allowed_processors(status: &str) -> String {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap().trim().to_owned()
}
