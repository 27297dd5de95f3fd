//! What tests of files share: what a node has left behind, and whether it is sound.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{binaries, run_tool};

/// The files of a server's directory but for its log, in order.
///
/// # Panics
/// If the directory cannot be read.
#[must_use]
pub fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().flatten();
    let names = names.map(|file| file.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "output.log").collect();
    names.sort();
    names
}

/// Has redis-check-rdb look at a file.
///
/// # Panics
/// If it finds a fault.
pub fn check(file: &Path) {
    let mut check = Command::new(binaries::system("redis-check-rdb"));
    let checked = run_tool(check.arg(file));
    assert!(checked.success, "{}{}", checked.out, checked.err);
    assert!(checked.out.contains("RDB looks OK!"), "{}", checked.out);
}
