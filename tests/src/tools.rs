//! Other people's programs: redis-cli, redis-benchmark, promtool, and a GET for admin ports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::binaries;
use crate::process::run_to_end;

/// What a program printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Standard output, without trailing line ends.
    pub out: String,
    /// Standard error, without trailing line ends.
    pub err: String,
    /// Whether it ended with status 0.
    pub success: bool,
}

/// How long any tool may take.
const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// Runs `redis-cli -p PORT` with these arguments.
#[must_use]
pub fn redis_cli(port: u16, args: &[&str]) -> Output {
    redis_cli_input(port, args, b"")
}

/// Runs `redis-cli -p PORT` with these arguments and this standard input.
#[must_use]
pub fn redis_cli_input(port: u16, args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(binaries::system("redis-cli"));
    command.args(["-p", &port.to_string()]).args(args);
    run(&mut command, input)
}

/// Runs `redis-benchmark -p PORT` with these arguments.
#[must_use]
pub fn redis_benchmark(port: u16, args: &[&str]) -> Output {
    let mut command = Command::new(binaries::system("redis-benchmark"));
    command.args(["-p", &port.to_string()]).args(args);
    run(&mut command, b"")
}

/// Runs any program to its end.
#[must_use]
pub fn run_tool(command: &mut Command) -> Output {
    run(command, b"")
}

/// Runs any program to its end with this standard input.
#[must_use]
pub fn run_tool_input(command: &mut Command, input: &[u8]) -> Output {
    run(command, input)
}

/// What `promtool check metrics` says of a page of metrics.
#[must_use]
pub fn promtool_check(metrics: &str) -> Output {
    let mut command = Command::new(binaries::system("promtool"));
    run(command.args(["check", "metrics"]), metrics.as_bytes())
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let (status, out, err) = run_to_end(command, input, TOOL_LIMIT);
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end_matches(['\r', '\n']).to_owned()
    };
    Output {
        out: text(out),
        err: text(err),
        success: status.success(),
    }
}

/// GETs `path` from a port on loopback: the status and the body.
///
/// # Panics
/// If nothing listens, or what comes is no HTTP.
#[must_use]
pub fn http_get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("connect to admin port {port}: {error}"));
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("set a read timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("send a GET");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("read the answer");
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let (head, body) = reply.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("an HTTP status"), body.to_owned())
}
