//! One server of a round: its process, and its way to whom it copies.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use slotilla_tests::{Deadline, Kind, Process, Server, Value};

use crate::facts::{Facts, Served, ask, call, field};
use crate::plan::Setting;
use crate::way::Way;

/// How long a server may take to start, with all it has to load.
const START_LIMIT: Duration = Duration::from_secs(40);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A server of a round.
#[derive(Debug)]
pub(crate) struct Member {
    server: Option<Server>,
    pub(crate) way: Way,
    /// Whom it copies.
    pub(crate) follows: Option<usize>,
    /// It was in step, and has lost nothing since: it must not ask for all data at first.
    pub(crate) is_in_step: bool,
    /// It is meant to run.
    is_running: bool,
    /// How often it had served replicas when that was last looked at, in this life.
    pub(crate) served: Option<Served>,
    /// How often it was seen to since then, and how often nobody saw what it has answered.
    pub(crate) seen: (Served, u64),
}

impl Member {
    pub(crate) fn start(kind: Kind, setting: &Setting) -> Self {
        let backlog = setting.backlog_bytes.to_string();
        let threads = setting.threads.to_string();
        let mut settings = vec![
            ("repl-timeout", "3"),
            ("repl-ping-replica-period", "1"),
            ("repl-diskless-sync-delay", "0"),
            ("repl-diskless-load", setting.diskless_load),
            ("repl-diskless-sync", setting.diskless_sync),
            ("repl-backlog-size", &backlog),
            ("save", "3600 1"),
            ("shutdown-timeout", "2"),
        ];
        if kind == Kind::Node {
            settings.push(("io-threads", &threads));
        }
        if setting.append_only != "no" {
            settings.push(("appendonly", "yes"));
            settings.push(("appendfsync", setting.append_only));
        }
        Self {
            server: Some(Server::start(kind, &settings)),
            way: Way::start(),
            follows: None,
            is_in_step: false,
            is_running: true,
            served: None,
            seen: (Served::default(), 0),
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it is put back at once")
    }

    fn process(&mut self) -> &mut Process {
        let server = self.server.as_mut().expect("it is put back at once");
        server.process()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.server().kind()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server().port()
    }

    pub(crate) fn get(&self) -> &Server {
        self.server()
    }

    pub(crate) fn facts(&self) -> Option<Facts> {
        Facts::of(self.port())
    }

    /// A setting, now and after the next start. None if there is no such setting.
    pub(crate) fn configure(&mut self, name: &str, value: &str) -> Option<()> {
        let known = call(self.port(), &["CONFIG", "GET", name])?;
        if known.pairs().is_empty() {
            return None;
        }
        let server = self.server.as_mut().expect("it is put back at once");
        server.set(name, Some(value));
        let set = call(self.port(), &["CONFIG", "SET", name, value])?;
        set.error().is_none().then_some(())
    }

    /// Sends a command until it is taken; an error that says "later" is none.
    pub(crate) fn tell(&self, command: &[&str]) -> Result<Value, String> {
        let mut last = None;
        let taken = Deadline::after(START_LIMIT).wait(|| {
            let reply = call(self.port(), command)?;
            let later = reply
                .error()
                .is_some_and(|text| text.starts_with("LOADING") || text.starts_with("BUSY"));
            last = later.then(|| reply.clone());
            (!later).then_some(reply)
        });
        taken.ok_or_else(|| format!("{} got no answer: {last:?}", command.join(" ")))
    }

    /// Has it copy whoever its way leads to, after its next start as well; or nobody.
    pub(crate) fn follow_way(&mut self, follows: bool) -> Result<(), String> {
        self.plan_to_follow(follows);
        let port = self.way.port().to_string();
        let reply = match follows {
            true => self.tell(&["REPLICAOF", "127.0.0.1", &port])?,
            false => self.tell(&["REPLICAOF", "NO", "ONE"])?,
        };
        match reply.error() {
            None => Ok(()),
            Some(error) => Err(format!("REPLICAOF: {error}")),
        }
    }

    /// Has it copy whoever its way leads to after its next start, or nobody.
    pub(crate) fn plan_to_follow(&mut self, follows: bool) {
        let value = format!("127.0.0.1 {}", self.way.port());
        let server = self.server.as_mut().expect("it is put back at once");
        server.set("replicaof", follows.then_some(&value));
    }

    /// Kills it with no chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.end_life();
        self.process().kill();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> Result<(), String> {
        self.end_life();
        self.process().signal(Signal::TERM);
        match Deadline::after(END_LIMIT).wait(|| self.process().exit_status()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("SIGTERM ended it with {status}")),
            None => Err("it did not end within 30 s of SIGTERM".to_owned()),
        }
    }

    fn end_life(&mut self) {
        self.is_running = false;
        self.is_in_step = false;
        self.served = None;
    }

    /// Starts it again and waits until it has loaded what it has.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.server = self.server.take().map(Server::restart_unready);
        self.is_running = true;
        self.await_loaded()
    }

    fn await_loaded(&mut self) -> Result<(), String> {
        let loaded = Deadline::after(START_LIMIT).wait(|| {
            if let Err(fault) = self.assert_alive() {
                return Some(Err(fault));
            }
            let text = ask(self.port(), &["INFO", "persistence"]).unwrap_or_default();
            (field(&text, "loading") == Some("0")).then_some(Ok(()))
        });
        loaded.unwrap_or_else(|| Err("it did not start within 40 s".to_owned()))
    }

    /// Deletes all files but its log, as it does not run.
    pub(crate) fn lose_files(&self) {
        for file in fs::read_dir(self.server().dir())
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = file.path();
            if path.is_dir() {
                fs::remove_dir_all(path).expect("a directory is deleted");
            } else if file.file_name() != "output.log" {
                fs::remove_file(path).expect("a file is deleted");
            }
        }
    }

    /// Stops it from running, or has it run again.
    pub(crate) fn freeze(&mut self, is_frozen: bool) {
        if is_frozen {
            self.process().freeze();
        } else {
            self.process().thaw();
        }
    }

    /// That it has not ended by itself.
    pub(crate) fn assert_alive(&mut self) -> Result<(), String> {
        if !self.is_running {
            return Ok(());
        }
        match self.process().exit_status() {
            Some(status) => Err(format!(
                "{:?} on port {} has ended by itself: {status}",
                self.kind(),
                self.port()
            )),
            None => Ok(()),
        }
    }

    /// That it has written nothing of a fault of its own.
    pub(crate) fn assert_no_fault(&self) -> Result<(), String> {
        let log = self.server().log();
        for sign in ["panicked at", "== CRITICAL ==", "=== REDIS BUG REPORT"] {
            if let Some(line) = log.lines().find(|line| line.contains(sign)) {
                return Err(format!("{:?} has logged: {line}", self.kind()));
            }
        }
        Ok(())
    }

    /// Keeps its files where they are found after the end.
    pub(crate) fn keep_files(&self, dir: &Path) -> std::io::Result<()> {
        copy_all(self.server().dir(), dir)
    }
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy_all(&file.path(), &target)?;
        } else {
            fs::copy(file.path(), target)?;
        }
    }
    Ok(())
}
