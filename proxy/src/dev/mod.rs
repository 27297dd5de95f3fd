//! A whole cluster on this machine, behind a proxy: one command to try it all.
//!
//! The program starts itself again as the nodes, makes them one cluster as any operator would,
//! over the wire, and serves as the proxy in front. The nodes are processes of their own, so that
//! one can be killed; they end with this one, whatever ends it.

mod cluster;
mod node;
mod options;

pub use node::{Launcher, NODE_ARGUMENT, run_node};
pub use options::{HELP, Options};

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use slotilla_common::net::log::Level;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{complain, install_log};
use crate::config::Config;
use crate::server::Server;
use crate::slotmap::Address;
use node::Node;

/// Time that clients of the proxy get to finish; the nodes' own end has to fit into five seconds,
/// too.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs `slotilla-proxy dev`.
pub fn run(words: &[&str]) -> ExitCode {
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(text) => return complain(&text),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let launcher = Launcher::this_program()?;
            until_told(&options, &launcher).await
        }),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => complain(&text),
    }
}

/// Where the nodes keep their files.
enum Place {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Place {
    fn open(options: &Options) -> Result<Self, String> {
        match &options.dir {
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|error| {
                    format!(
                        "cannot make the directory {}: {error}; name another with --dir, or leave \
                         --dir out for a temporary one",
                        dir.display()
                    )
                })?;
                Ok(Self::Given(dir.clone()))
            }
            None => TempDir::with_prefix("slotilla-dev-")
                .map(Self::Temporary)
                .map_err(|error| {
                    format!("cannot make a temporary directory: {error}; name one with --dir")
                }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// The two signals that mean: stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn catch() -> Result<Self, String> {
        let catch = |kind| signal(kind).map_err(|error| format!("cannot catch signals: {error}"));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Brings everything up, waits for a signal, takes everything down.
async fn until_told(options: &Options, launcher: &Launcher) -> Result<(), String> {
    let mut stop = Stop::catch()?;
    options.check_ports()?;
    let place = Place::open(options)?;
    let mut nodes = Vec::new();
    let outcome = tokio::select! {
        up = bring_up(options, launcher, place.path(), &mut nodes) => match up {
            Ok(server) => {
                watch(&mut nodes, &mut stop).await;
                say("stopping");
                // Its threads are waited for; nothing else happens in this one meanwhile.
                server.stop();
                Ok(())
            }
            Err(text) => Err(text),
        },
        () = stop.told() => Ok(()),
    };
    node::stop_all(&mut nodes).await;
    outcome
}

fn say(line: &str) {
    // Nobody is left to read if standard output is closed.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

async fn bring_up(
    options: &Options,
    launcher: &Launcher,
    dir: &Path,
    nodes: &mut Vec<Node>,
) -> Result<Server, String> {
    for port in options.node_ports() {
        nodes.push(Node::start(launcher, port, dir)?);
    }
    for node in nodes.iter_mut() {
        node.wait_until_up().await?;
        say(&format!(
            "node  127.0.0.1:{}  is up, process {}",
            node.port,
            node.pid()
        ));
    }
    cluster::join(nodes).await?;
    let slots = if nodes.len() == 1 {
        "it owns all slots"
    } else {
        "they share all slots"
    };
    say(&format!("the nodes are one cluster; {slots}"));
    let server = start_proxy(options)?;
    wait_for_map(&server).await?;
    say(&format!("proxy 127.0.0.1:{}  is up\n", options.port));
    say("Now, in another terminal:");
    say(&format!("  redis-cli -p {} set hello world", options.port));
    say(&format!("  redis-cli -p {} get hello", options.port));
    if let Some(first) = nodes.first() {
        say(&format!(
            "  redis-cli --cluster check 127.0.0.1:{}",
            first.port
        ));
    }
    if options.admin_port != 0 {
        say(&format!(
            "  curl http://127.0.0.1:{}/metrics",
            options.admin_port
        ));
    }
    say(&format!(
        "The nodes' files and logs are in {}",
        dir.display()
    ));
    say("Ctrl-C stops everything.");
    Ok(server)
}

fn start_proxy(options: &Options) -> Result<Server, String> {
    let local = || vec!["127.0.0.1".to_owned(), "-::1".to_owned()];
    let config = Config {
        port: options.port,
        bind: local(),
        admin_bind: local(),
        admin_port: options.admin_port,
        loglevel: Level::Warning,
        shutdown_timeout: SHUTDOWN_TIMEOUT,
        seeds: options
            .node_ports()
            .map(|port| Address {
                host: "127.0.0.1".into(),
                port,
            })
            .collect(),
        ..Config::default()
    };
    install_log(&config)?;
    Server::start(config).map_err(|error| error.to_string())
}

/// The nodes agree already, so the first look gives a whole map.
async fn wait_for_map(server: &Server) -> Result<(), String> {
    let mut changed = server.shared().map_changed.subscribe();
    let is_complete = async {
        while !server.shared().map.load().is_complete() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_complete)
        .await
        .map_err(|_| "the proxy got no slot map from the nodes within 10 s".to_owned())
}

/// Waits for a signal; tells when a node ends.
async fn watch(nodes: &mut [Node], stop: &mut Stop) {
    loop {
        tokio::select! {
            () = stop.told() => return,
            line = node::first_end(nodes) => say(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_is_named_with_the_remedy() {
        let options = Options {
            dir: Some("/proc/none/such".into()),
            ..Options::default()
        };
        let Err(text) = Place::open(&options) else {
            panic!("made a directory in /proc");
        };
        assert!(
            text.contains("/proc/none/such") && text.contains("--dir"),
            "{text}"
        );
    }

    #[test]
    fn a_temporary_directory_goes_with_its_owner() {
        let place = Place::open(&Options::default()).unwrap();
        let path = place.path().to_owned();
        assert!(path.is_dir());
        drop(place);
        assert!(!path.exists());
    }
}
