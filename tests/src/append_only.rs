//! What tests of the append-only file have in common.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Server, binaries, run_tool, wait_until};

/// A file is written.
pub const ON: &[(&str, &str)] = &[("appendonly", "yes")];
/// The same, and nothing is answered that is not on disk.
pub const ALWAYS: &[(&str, &str)] = &[("appendonly", "yes"), ("appendfsync", "always")];

/// Settings of a node with an append-only file, and others.
#[must_use]
pub fn with(settings: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [ON, settings].concat()
}

/// What is the same if all data is.
#[must_use]
pub fn digest(server: &Server) -> String {
    server.client().line("debug digest").text()
}

/// Where the files are of a node that works in `dir`.
#[must_use]
pub fn directory(dir: &Path) -> PathBuf {
    dir.join("appendonlydir")
}

/// The manifest of a node that works in `dir`.
#[must_use]
pub fn manifest(dir: &Path) -> String {
    fs::read_to_string(directory(dir).join("appendonly.aof.manifest")).unwrap()
}

/// What redis-check-aof says of all files.
pub fn check(dir: &Path) {
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
#[must_use]
pub fn last_increment(dir: &Path) -> PathBuf {
    let manifest = manifest(dir);
    let last = manifest.lines().rfind(|line| line.ends_with("type i"));
    let name = last.and_then(|line| line.split(' ').nth(1));
    directory(dir).join(name.unwrap())
}

/// Adds to a file.
pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Waits until all that was done is in the file.
pub fn settle(server: &Server) {
    wait_until("the file to have everything", || {
        server.info("aof_buffer_length").as_deref() == Some("0")
    });
}

/// Has all data written anew, and waits until it is.
pub fn rewrite(server: &Server) {
    let before: u64 = server.info("aof_rewrites").unwrap().parse().unwrap();
    let reply = server.client().line("bgrewriteaof").to_string();
    assert_eq!(reply, "Background append only file rewriting started");
    wait_until("the rewrite to end", || {
        let begun: u64 = server.info("aof_rewrites").unwrap().parse().unwrap();
        begun > before && server.info("aof_rewrite_in_progress").as_deref() == Some("0")
    });
    assert_eq!(server.info("aof_last_bgrewrite_status").unwrap(), "ok");
}

/// Has a server not make files longer than so many bytes.
pub fn limit_files(node: &mut Server, bytes: &str) {
    let pid = node.process().pid().to_string();
    let mut command = Command::new("prlimit");
    let limited = run_tool(command.args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]));
    assert!(limited.success, "{}", limited.err);
}

/// A figure of /metrics.
#[must_use]
pub fn metric(server: &Server, name: &str) -> f64 {
    let (status, text) = server.admin("/metrics");
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap().parse().unwrap()
}
