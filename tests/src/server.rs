//! Servers of every make, started the same way.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::ports::{PortBlock, reserve_ports};
use crate::process::Process;
use crate::tools::{self, Output};
use crate::value::Value;
use crate::{binaries, wait};

/// Whose server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Debian's redis-server, the measure of compatibility.
    Redis,
    /// Valkey's newest.
    Valkey,
    /// Our storage node. Like the peers it starts with `cluster-enabled no` here.
    Node,
    /// Our proxy.
    Proxy,
}

/// A server with a directory and ports of its own, gone when this is dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    // Declared before the directory and the ports: the process ends first.
    process: Process,
    wrapper: Vec<String>,
    args: Vec<String>,
    dir: TempDir,
    ports: PortBlock,
}

/// How long a server may take to answer its first PING.
const START_LIMIT: Duration = Duration::from_secs(20);

impl Server {
    /// Starts a server with these settings on top of a quiet default, and waits for its PONG.
    #[must_use]
    pub fn start(kind: Kind, settings: &[(&str, &str)]) -> Self {
        Self::start_wrapped(kind, &[], settings)
    }

    /// Starts a server through a program that ends by executing its arguments, such as
    /// `taskset -c 0` or `env NAME=VALUE`, and waits for its PONG.
    #[must_use]
    pub fn start_wrapped(kind: Kind, wrapper: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::launched(kind, wrapper, settings).wait_ready()
    }

    /// Starts a server and does not wait until it answers.
    #[must_use]
    pub fn start_unready(kind: Kind, settings: &[(&str, &str)]) -> Self {
        Self::launched(kind, &[], settings)
    }

    fn launched(kind: Kind, wrapper: &[&str], settings: &[(&str, &str)]) -> Self {
        // Two neighbours: the second is for the admin port.
        let ports = reserve_ports(2);
        let dir = TempDir::new().expect("a temporary directory");
        let args = arguments(kind, &ports, dir.path(), settings);
        let wrapper: Vec<String> = wrapper.iter().map(ToString::to_string).collect();
        let process = launch(kind, ports.first(), &wrapper, &args, dir.path());
        Self {
            kind,
            process,
            wrapper,
            args,
            dir,
            ports,
        }
    }

    fn wait_ready(mut self) -> Self {
        let what = format!("{:?} to answer on port {}", self.kind, self.port());
        wait::wait_for(&what, START_LIMIT, || {
            if let Some(status) = self.process.exit_status() {
                panic!("{:?} ended at its start: {status}", self.kind);
            }
            self.answers().then_some(())
        });
        self
    }

    /// Whether it answers PING now, be it by saying that a password is needed.
    #[must_use]
    pub fn answers(&self) -> bool {
        let reply = Client::try_connect(self.port()).and_then(|mut c| c.try_call(&["PING"]));
        match reply {
            Ok(Value::Error(text)) => text.starts_with("NOAUTH"),
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// Whose server this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The port for clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.first()
    }

    /// The port of metrics and health, where the server has one.
    #[must_use]
    pub fn admin_port(&self) -> u16 {
        self.ports.first() + 1
    }

    /// Its working directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// A new connection.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.port())
    }

    /// Runs redis-cli against it.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> Output {
        tools::redis_cli(self.port(), args)
    }

    /// GETs a path of its admin port: the status and the body.
    #[must_use]
    pub fn admin(&self, path: &str) -> (u16, String) {
        tools::http_get(self.admin_port(), path)
    }

    /// One field of INFO.
    #[must_use]
    pub fn info(&self, field: &str) -> Option<String> {
        let info = self.client().call(&["INFO", "everything"]).text();
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value.trim().to_owned())
    }

    /// The process, for signals and memory.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Kills it with no chance to say goodbye.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, and gives how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.terminate()
    }

    /// Changes a setting for its next start; `None` takes it away. Words between spaces are words of
    /// their own, as all makes take them.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let option = format!("--{name}");
        if let Some(at) = self.args.iter().position(|arg| *arg == option) {
            let rest = &self.args[at + 1..];
            let values = rest.iter().take_while(|arg| !arg.starts_with("--")).count();
            self.args.drain(at..=at + values);
        }
        if let Some(value) = value {
            self.args.push(option);
            self.args.extend(value.split(' ').map(str::to_owned));
        }
    }

    /// Starts it again after its end, on the same port and directory.
    #[must_use]
    pub fn restart(self) -> Self {
        self.restart_unready().wait_ready()
    }

    /// Starts it again and does not wait until it answers.
    #[must_use]
    pub fn restart_unready(mut self) -> Self {
        self.process.kill();
        self.process = launch(
            self.kind,
            self.port(),
            &self.wrapper,
            &self.args,
            self.dir.path(),
        );
        self
    }
}

fn launch(kind: Kind, port: u16, wrapper: &[String], args: &[String], dir: &Path) -> Process {
    let program = match kind {
        Kind::Redis => binaries::redis_server(),
        Kind::Valkey => binaries::valkey_server(),
        Kind::Node => binaries::node(),
        Kind::Proxy => binaries::proxy(),
    };
    let name = format!("{kind:?} on port {port}");
    let mut words: Vec<String> = wrapper.to_vec();
    words.push(program.to_string_lossy().into_owned());
    words.extend_from_slice(args);
    let first = words.remove(0);
    Process::start(
        &name,
        Path::new(&first),
        &words,
        dir,
        &dir.join("output.log"),
    )
}

fn arguments(kind: Kind, ports: &PortBlock, dir: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let port = ports.first().to_string();
    let admin_port = (ports.first() + 1).to_string();
    let dir = dir.to_string_lossy();
    let mut all: Vec<(&str, &str)> = vec![("port", &port), ("bind", "127.0.0.1")];
    let storage = [("dir", &*dir), ("save", ""), ("appendonly", "no")];
    match kind {
        Kind::Redis | Kind::Valkey => {
            all.extend(storage);
            all.push(("enable-debug-command", "yes"));
        }
        Kind::Node => {
            all.extend(storage);
            all.push(("cluster-enabled", "no"));
            all.push(("admin-port", &admin_port));
            all.push(("enable-debug-command", "yes"));
        }
        Kind::Proxy => all.push(("admin-port", &admin_port)),
    }
    for (name, value) in settings {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some(slot) => slot.1 = value,
            None => all.push((name, value)),
        }
    }
    let pairs = all.into_iter();
    pairs
        .flat_map(|(name, value)| [format!("--{name}"), value.to_owned()])
        .collect()
}
