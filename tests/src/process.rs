//! A child process: its output in a file, its end guaranteed.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use std::{io, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{Deadline, wait_for};

/// A running child. Dropping it kills it, and shows its output if the test is failing.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program with its arguments; what it prints goes to the file `output`, after what
    /// an earlier process left there.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, program: &Path, args: &[String], dir: &Path, output: &Path) -> Self {
        let append = || {
            let file = File::options().create(true).append(true).open(output);
            file.unwrap_or_else(|error| panic!("open {}: {error}", output.display()))
        };
        // `setpriv` asks the kernel to kill the child when this process dies in whatever way.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(append())
            .stderr(append());
        let child = spawn(command)
            .unwrap_or_else(|error| panic!("start {name} ({}): {error}", program.display()));
        Self {
            name: name.to_owned(),
            child,
            output: output.to_owned(),
            status: None,
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How the process ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("wait for a child");
        }
        self.status
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If the process has ended: its id may belong to somebody else by now.
    pub fn signal(&mut self, signal: Signal) {
        assert!(
            self.exit_status().is_none(),
            "{} has ended: no signal can reach it",
            self.name
        );
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
    }

    /// Stops it from running (`SIGSTOP`): its sockets stay open and say nothing. When this returns no
    /// thread of it runs any more: one of them has to notice the signal first.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.pid());
        wait_for("all threads to stop", Duration::from_secs(10), || {
            let tasks = fs::read_dir(&tasks).ok()?;
            let is_stopped = |task: io::Result<fs::DirEntry>| {
                let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
                // The name before may have anything in it.
                let stat = stat.unwrap_or_default();
                let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
                state.is_none_or(|state| state.starts_with('T'))
            };
            tasks.into_iter().all(is_stopped).then_some(())
        });
    }

    /// Lets it run again (`SIGCONT`).
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Kills it at once (`SIGKILL`) and waits for its end.
    pub fn kill(&mut self) {
        if self.exit_status().is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    /// Asks it to end (`SIGTERM`) and gives how it ended.
    ///
    /// # Panics
    /// If that takes over ten seconds.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_exit(Duration::from_secs(10))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If that takes over `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, limit, || self.exit_status())
    }

    /// Resident memory in bytes, as the kernel counts it.
    ///
    /// # Panics
    /// If the process has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.and_then(|text| text.parse().ok()).unwrap_or(0);
        kilobytes * 1024
    }

    /// How many file descriptors it has open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    fn end(&mut self) {
        // A frozen process takes no other signal, but it does take SIGKILL.
        self.kill();
    }

    fn show_output(&mut self) {
        let how = match self.exit_status() {
            Some(status) => match status.signal() {
                Some(signal) => format!("ended by signal {signal}"),
                None => format!("ended with {:?}", status.code()),
            },
            None => "running".to_owned(),
        };
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        let shown = lines[lines.len().saturating_sub(80)..].join("\n");
        #[expect(clippy::print_stderr, reason = "for whoever reads the failing test")]
        {
            eprintln!("---- {} ({how}) printed:\n{shown}\n----", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_output();
        }
        self.end();
    }
}

type SpawnReply = SyncSender<io::Result<Child>>;

/// Spawns on a thread that lives as long as this process: the kernel's "parent died" means
/// the thread, and a test's thread ends before a server that several tests share.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<SyncSender<(Command, SpawnReply)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = sync_channel::<(Command, SpawnReply)>(16);
        thread::spawn(move || {
            for (mut command, reply) in receiver {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (sender, receiver) = sync_channel(1);
    spawner.send((command, sender)).map_err(io::Error::other)?;
    receiver.recv().map_err(io::Error::other)?
}

/// Runs a program to its end and gives its output, or panics after `limit`.
pub(crate) fn run_to_end(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> (ExitStatus, Vec<u8>, Vec<u8>) {
    let shown = format!("{command:?}");
    let stdout = tempfile::NamedTempFile::new().expect("a temporary file");
    let stderr = tempfile::NamedTempFile::new().expect("a temporary file");
    let stdin = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(stdin.path(), input).expect("write a temporary file");
    let mut child = command
        .stdin(stdin.reopen().expect("reopen a temporary file"))
        .stdout(stdout.reopen().expect("reopen a temporary file"))
        .stderr(stderr.reopen().expect("reopen a temporary file"))
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let deadline = Deadline::after(limit);
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            break Some(status);
        }
        if deadline.is_over() {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let read = |file: &tempfile::NamedTempFile| fs::read(file.path()).unwrap_or_default();
    let (out, err) = (read(&stdout), read(&stderr));
    let Some(status) = status else {
        panic!(
            "{shown} did not end within {limit:?}; it printed:\n{}\n{}",
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&err)
        );
    };
    (status, out, err)
}
