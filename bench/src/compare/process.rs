//! The processes that are compared: started on their processors, killed when let go.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use slotilla_common::clock::Monotonic;

use crate::failure::{Failure, Outcome};
use crate::interrupt;

/// How long anything may take to get ready.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// What to start.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    pub(super) cores: &'a [usize],
    pub(super) dir: &'a Path,
}

/// A running child. The kernel kills it if this process dies; letting it go kills it too.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a directory of its own.
    pub(super) fn start(start: Start<'_>) -> Outcome<Self> {
        let Start { name, dir, .. } = start;
        fs::create_dir_all(dir).map_err(Failure::io(format!("create {}", dir.display())))?;
        let log = dir.join("output.log");
        let open = || File::options().create(true).append(true).open(&log);
        let opened = open().and_then(|out| Ok((out, open()?)));
        let (out, err) = opened.map_err(Failure::io(format!("open {}", log.display())))?;
        let this = std::env::current_exe().map_err(Failure::io("find this program"))?;
        let cores: Vec<String> = start.cores.iter().map(ToString::to_string).collect();
        let child = Command::new(this)
            .args(["child", &std::process::id().to_string(), &cores.join(",")])
            .arg(start.program)
            .args(start.arguments)
            .envs(start.environment)
            .current_dir(dir)
            // Ctrl-C is for us; we end our children when we have stopped measuring them.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(Failure::io(format!("start {name}")))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its output, once it has ended.
    pub(super) fn check(&mut self) -> Outcome<()> {
        let status = self.child.try_wait();
        let Some(status) = status.map_err(Failure::io("wait for a child"))? else {
            return Ok(());
        };
        let (name, tail) = (&self.name, self.tail());
        let text = format!("{name} ended ({status}) after printing:\n{tail}");
        Err(Failure::Subject(text))
    }

    fn tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().rev().take(20).rev();
        last.map(|line| format!("    | {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine: its id is ours until it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` gives something; its errors count as "not yet" until time is up.
pub(super) fn wait_for<T>(
    what: &str,
    processes: &mut [&mut Process],
    condition: impl FnMut() -> Outcome<T>,
) -> Outcome<T> {
    wait_within(READY_LIMIT, what, processes, condition)
}

/// As [`wait_for`], for what may take longer.
pub(super) fn wait_within<T>(
    limit: Duration,
    what: &str,
    processes: &mut [&mut Process],
    mut condition: impl FnMut() -> Outcome<T>,
) -> Outcome<T> {
    let clock = Monotonic::new();
    let start = clock.now();
    loop {
        interrupt::check()?;
        for process in processes.iter_mut() {
            process.check()?;
        }
        let failure = match condition() {
            Ok(value) => return Ok(value),
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => failure,
        };
        let waited = Duration::from_nanos(clock.nanos_between(start, clock.now()));
        if waited > limit {
            let text = format!("{what}: not after {} s: {failure}", limit.as_secs());
            return Err(Failure::Subject(text));
        }
        thread::sleep(POLL);
    }
}

/// A port on loopback that is free, as is the one 10000 above it for a cluster's bus. Both lie
/// below those that the system gives to outgoing connections.
pub(super) fn free_address() -> Outcome<SocketAddr> {
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let is_free = |port: u16| TcpListener::bind(address(port)).is_ok();
    let mut candidates = (0..1000).map(|_| fastrand::u16(11_000..21_900));
    candidates
        .find(|&port| is_free(port) && is_free(port + 10_000))
        .map(address)
        .ok_or_else(|| Failure::Missing("no free port between 11000 and 21900".to_owned()))
}
