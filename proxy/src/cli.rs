//! The command line.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use slotilla_common::config::arguments;
use slotilla_common::net::log::{Log, Role, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config};
use crate::dev;
use crate::files::make_room;
use crate::server::Server;

const USAGE: &str = "\
slotilla-proxy: one address in front of a Redis-compatible cluster

usage:
  slotilla-proxy [FILE] [--KEY VALUE]...       serve; FILE is a proxy.toml
  slotilla-proxy dev [--primaries N] [--replicas N] [--port P] [--base-port P]
                     [--admin-port P] [--dir DIR]
                                               start a whole cluster on this machine
  slotilla-proxy check-config FILE             say what is wrong with a file
  slotilla-proxy --version | --help

Every key of proxy.toml may be given on the command line, such as
  slotilla-proxy --port 6379 --seeds 10.0.0.1:7000,10.0.0.2:7000
";

/// Runs the program with these arguments (without its name).
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    // A proxy holds buffers, not data: huge pages would only make it bigger. Where the kernel
    // cannot be told, it has none to give.
    let _told = rustix::thread::disable_transparent_huge_pages(true);
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--help" | "-h" | "help"] => say(USAGE),
        ["--version" | "-v"] => say(concat!("slotilla-proxy ", env!("CARGO_PKG_VERSION"), "\n")),
        ["check-config", "--help" | "-h"] => say(USAGE),
        ["check-config", file] => check_config(Path::new(file)),
        ["check-config", ..] => {
            complain("check-config takes one file: slotilla-proxy check-config FILE")
        }
        ["dev", options @ ..] if options.iter().any(|o| matches!(*o, "--help" | "-h")) => {
            say(dev::HELP)
        }
        ["dev", options @ ..] => dev::run(options),
        [dev::NODE_ARGUMENT, rest @ ..] => dev::run_node(rest),
        _ => serve(arguments),
    }
}

fn say(text: &str) -> ExitCode {
    // Nobody is left to tell if standard output is closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Tells what is wrong on standard error.
pub fn complain(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "slotilla-proxy: {text}");
    ExitCode::FAILURE
}

fn check_config(file: &Path) -> ExitCode {
    match config::from_file(file) {
        Ok(_) => say(&format!("{}: fine\n", file.display())),
        Err(errors) => {
            let _ = writeln!(std::io::stderr(), "{errors}");
            ExitCode::FAILURE
        }
    }
}

fn serve(words: Vec<String>) -> ExitCode {
    let config = match config::from_arguments(arguments(words)) {
        Ok(config) => config,
        Err(errors) => {
            let _ = writeln!(std::io::stderr(), "{errors}");
            return ExitCode::FAILURE;
        }
    };
    if config.seeds.is_empty() {
        return complain(
            "no seeds: name at least one node of the cluster with --seeds HOST:PORT, or start one \
             to try with: slotilla-proxy dev",
        );
    }
    match serve_until_told(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => complain(&text),
    }
}

fn serve_until_told(mut config: Config) -> Result<(), String> {
    install_log(&config)?;
    let fitting = make_room(config.maxclients);
    if fitting < config.maxclients {
        tracing::warn!(
            maxclients = fitting,
            "the limit on open files leaves room for fewer clients than maxclients; raise it \
             (ulimit -n, LimitNOFILE=) or lower maxclients"
        );
        config.maxclients = fitting;
    }
    // Signals are caught before the ports open: who can connect can also stop it in order.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let _inside = runtime.enter();
    let catch = |kind| signal(kind).map_err(|error| format!("cannot catch signals: {error}"));
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let server = Server::start(config).map_err(|error| error.to_string())?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(
        addresses = addresses.join(" "),
        "ready to accept connections"
    );
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    tracing::info!("told to stop: finishing what is on its way");
    server.stop();
    Ok(())
}

/// Sends the process's events where the settings say.
pub fn install_log(config: &Config) -> Result<(), String> {
    let file = (!config.logfile.is_empty()).then(|| Path::new(&config.logfile));
    Log::install(&Settings {
        level: config.loglevel,
        format: config.log_format,
        file,
        role: Role::Proxy,
    })
    .map(drop)
    .map_err(|error| error.to_string())
}
