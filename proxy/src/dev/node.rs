//! The node processes.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use slotilla_common::clock::Monotonic;
use slotilla_common::resp::Value;
use tokio::process::{Child, Command};

use super::cluster::Connection;
use crate::cli::complain;

/// The hidden first argument that makes this program a node.
pub const NODE_ARGUMENT: &str = "dev-node";

/// How long a node may take to answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long nodes may take to end before they are killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at something that will change.
const STEP: Duration = Duration::from_millis(20);

/// Runs one of the nodes: `PARENT`, then the node's own arguments.
pub fn run_node(words: &[&str]) -> ExitCode {
    let Some((parent, arguments)) = words.split_first() else {
        return complain("dev-node is for dev's own use; start a node with slotilla-node");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return complain(&format!("cannot tie the node to its parent: {error}"));
    }
    // The parent may have ended before the line above.
    let is_orphan = rustix::process::getppid()
        .is_none_or(|pid| pid.as_raw_nonzero().get().to_string() != *parent);
    if is_orphan {
        return complain("dev-node: the process that started it has ended");
    }
    slotilla_node::run(arguments.iter().map(|word| (*word).to_owned()))
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    /// Come before the settings.
    first: Vec<OsString>,
}

impl Launcher {
    /// This program as a node.
    ///
    /// # Errors
    /// When the program's own file cannot be found.
    pub fn this_program() -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find this program's file: {error}"))?;
        Ok(Self {
            program,
            first: vec![NODE_ARGUMENT.into(), std::process::id().to_string().into()],
        })
    }

    /// Another server that takes Redis's arguments.
    #[must_use]
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            first: Vec::new(),
        }
    }
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    /// Its port.
    pub port: u16,
    child: Child,
    pid: u32,
    log: PathBuf,
    has_ended: bool,
}

impl Node {
    /// Starts it in a directory of its own below `dir`.
    pub(super) fn start(launcher: &Launcher, port: u16, dir: &Path) -> Result<Self, String> {
        let dir = dir.join(format!("node-{port}"));
        let told = |error: std::io::Error| {
            format!(
                "cannot use the directory {}: {error}; check its permissions or name another with \
                 --dir",
                dir.display()
            )
        };
        std::fs::create_dir_all(&dir).map_err(told)?;
        let log = dir.join("log");
        let output = std::fs::File::create(&log).map_err(told)?;
        let errors = output.try_clone().map_err(told)?;
        let port_text = port.to_string();
        let child = Command::new(&launcher.program)
            .args(&launcher.first)
            .args([
                "--port",
                &port_text,
                "--bind",
                "127.0.0.1",
                "--cluster-enabled",
                "yes",
            ])
            .args([
                "--cluster-config-file",
                "nodes.conf",
                "--save",
                "",
                "--io-threads",
                "1",
            ])
            .arg("--dir")
            .arg(&dir)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // A Ctrl-C in the terminal is for us: we stop the nodes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start a node: {error}"))?;
        let pid = child.id().unwrap_or(0);
        Ok(Self {
            port,
            child,
            pid,
            log,
            has_ended: false,
        })
    }

    /// Its process.
    #[must_use]
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its PONG.
    pub(super) async fn wait_until_up(&mut self) -> Result<(), String> {
        let clock = Monotonic::new();
        let start = clock.now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.has_ended = true;
                return Err(format!(
                    "node 127.0.0.1:{} {} while starting; the end of its log:\n{}",
                    self.port,
                    describe(status),
                    self.log_end()
                ));
            }
            if let Ok(mut connection) = Connection::open(self.port).await
                && let Ok(Value::Simple(_)) = connection.call(&["PING"]).await
            {
                return Ok(());
            }
            if clock.nanos_between(start, clock.now()) > START_LIMIT.as_nanos() as u64 {
                return Err(format!(
                    "node 127.0.0.1:{} did not answer within {START_LIMIT:?}; the end of its log:\n{}",
                    self.port,
                    self.log_end()
                ));
            }
            tokio::time::sleep(STEP).await;
        }
    }

    fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(10);
        lines.get(last..).unwrap_or_default().join("\n")
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It may have ended a moment ago.
            let _ = kill_process(pid, signal);
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Waits until one of the nodes ends, and says so. For ever if none is left.
pub(super) async fn first_end(nodes: &mut [Node]) -> String {
    loop {
        let running = nodes.iter().filter(|node| !node.has_ended).count();
        for node in nodes.iter_mut().filter(|node| !node.has_ended) {
            if let Ok(Some(status)) = node.child.try_wait() {
                node.has_ended = true;
                return format!(
                    "node  127.0.0.1:{}  {}; its keys are gone, {} Ctrl-C and dev again start anew. \
                     The end of its log:\n{}",
                    node.port,
                    describe(status),
                    consequence(running.saturating_sub(1)),
                    node.log_end()
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the end of a node means to clients while so many others run.
const fn consequence(left: usize) -> &'static str {
    match left {
        0 => "and nothing is served.",
        _ => {
            "and its slots are not served. From about 15 s on (cluster-node-timeout) the other \
             nodes serve nothing either, as in Redis (cluster-require-full-coverage)."
        }
    }
}

/// Ends all nodes: in order if they do it in time, else at once.
pub(super) async fn stop_all(nodes: &mut Vec<Node>) {
    for node in nodes.iter() {
        node.signal(Signal::TERM);
    }
    let all_ended = async {
        for node in nodes.iter_mut() {
            // An error means that it was waited for already.
            let _ = node.child.wait().await;
        }
    };
    if tokio::time::timeout(STOP_LIMIT, all_ended).await.is_err() {
        for node in nodes.iter_mut() {
            node.signal(Signal::KILL);
            let _ = node.child.wait().await;
        }
    }
    nodes.clear();
}
