//! The whole program: from arguments to an exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Config, fatal_text};
use crate::persistence;
use crate::process::{self, PidFile, Request, Started};
use crate::server::Server;
use crate::server::start::{Node, StartError};
use slotilla_common::config::ConfigError;
use slotilla_common::net::log::Role;

/// Runs a node until it is told to stop. `args` are the program's arguments without its name.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    if let [only] = args.as_slice()
        && let Some(text) = about(only)
    {
        say(&text);
        return ExitCode::SUCCESS;
    }
    if let [command, rest @ ..] = args.as_slice()
        && command == "check-config"
    {
        return check_config(rest);
    }
    let config = match Config::load(args.iter().cloned()) {
        Ok(config) => Arc::new(config),
        Err(faults) => return refuse(&faults),
    };
    if config.daemonize() && !process::is_supervised(&config) {
        match process::daemonize(args) {
            Ok(Started::Daemon) => {}
            Ok(Started::Parent(_)) => return ExitCode::SUCCESS,
            Err(error) => return fail(&format!("Going into the background: {error}")),
        }
    }
    let dir = config.dir();
    if let Err(error) = std::env::set_current_dir(&dir) {
        return fail(&format!(
            "Changing to the directory dir = {}: {error}",
            dir.display()
        ));
    }
    let log = match process::start_log(&config) {
        Ok(log) => log,
        Err(error) => return fail(&error.to_string()),
    };
    process::start_allocator(&config);
    process::limit_clients(&config);
    let node = match Node::start(Arc::clone(&config)) {
        Ok(node) => node,
        Err(error) => return fail_to_start(&error, &config),
    };
    let marked = log.clone();
    node.server.replication.on_role(move |is_replica| {
        marked.set_role(if is_replica {
            Role::Replica
        } else {
            Role::Primary
        });
    });
    // Only now: a start that fails must not touch the file of the node that runs.
    let pid_file = PidFile::create(&config);
    let server = Arc::clone(&node.server);
    let watched = process::on_signals(move |request| match request {
        Request::Terminate | Request::Interrupt => stop(&server, request),
        Request::Reopen => {
            if let Err(error) = log.reopen() {
                tracing::warn!("{error}");
            }
        }
    });
    if let Err(error) = watched {
        return fail(&format!("Watching for signals: {error}"));
    }
    let exit = serve(node, &config);
    drop(pid_file);
    exit
}

fn fail_to_start(error: &StartError, config: &Config) -> ExitCode {
    tracing::error!("{error}");
    if matches!(error, StartError::Listen(_)) {
        tracing::error!(
            "Failed listening on port {} (TCP), aborting.",
            config.port()
        );
    }
    fail(&error.to_string())
}

/// Stops the node for a signal. Another one while its data is saved ends the process, so this comes
/// back at once.
fn stop(server: &Arc<Server>, request: Request) {
    let (name, how) = match request {
        Request::Interrupt => ("SIGINT", server.config.shutdown_on_sigint()),
        _ => ("SIGTERM", server.config.shutdown_on_sigterm()),
    };
    tracing::warn!("Received {name} scheduling shutdown...");
    let server = Arc::clone(server);
    let stopping = Arc::clone(&server);
    let save = move || {
        tracing::warn!("User requested shutdown...");
        if !persistence::stop(&stopping, how) {
            tracing::warn!(
                "{name} received but errors trying to shut down the server, check the logs for \
                 more information. Another signal stops it without saving."
            );
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("stop".to_owned())
        .spawn(save)
    {
        tracing::warn!("Nothing is saved: no thread: {error}");
        server.shutdown.cancel();
    }
}

/// Loads the data, and serves it until the node is told to stop.
fn serve(mut node: Node, config: &Config) -> ExitCode {
    match node.load() {
        Ok(()) => {
            tracing::info!("Ready to accept connections");
            process::tell_ready(config);
        }
        Err(error) if error.is_stop() => tracing::warn!("{error}"),
        Err(error) => {
            node.server.stop_because(&error.to_string());
            if matches!(error, StartError::Snapshot(_)) {
                tracing::error!("Terminating server after rdb file reading failure.");
            }
        }
    }
    let server = Arc::clone(&node.server);
    node.join();
    crate::aof::finish(&server);
    server.persistence.await_writer();
    process::tell_stopping(config);
    if let Some(reason) = server.persistence.fatal() {
        return fail(reason);
    }
    tracing::warn!("Ready to exit, bye bye");
    ExitCode::SUCCESS
}

/// What `--version` and `--help` print; nothing for any other argument.
fn about(argument: &str) -> Option<String> {
    let version = env!("CARGO_PKG_VERSION");
    match argument {
        "-v" | "--version" => Some(format!("Slotilla node v={version}")),
        "-h" | "--help" => Some(format!(
            "Slotilla node {version}\n\n\
             slotilla-node [FILE] [--KEY VALUE]... [-]      serve\n\
             slotilla-node check-config FILE                say what is wrong with a file\n\n\
             FILE is a node.toml or a redis.conf; - reads settings from standard input.\n\
             The keys are those of config/node.toml, such as --port 7000 --dir /var/lib/slotilla."
        )),
        _ => None,
    }
}

/// Says what is wrong with a file, without starting anything: each fault on a line of its own. What
/// a start would warn of is told, too, and is no fault.
fn check_config(words: &[String]) -> ExitCode {
    let file = match words {
        [only] if matches!(only.as_str(), "-h" | "--help") => {
            say(
                "slotilla-node check-config FILE: say what is wrong with a node.toml or redis.conf",
            );
            return ExitCode::SUCCESS;
        }
        [file] => file,
        _ => {
            return fail(
                "slotilla-node: check-config takes one file: slotilla-node check-config FILE",
            );
        }
    };
    match Config::from_file(Path::new(file)) {
        Ok(config) => {
            for warning in config.warnings() {
                complain(warning);
            }
            say(&format!("{file}: fine"));
            ExitCode::SUCCESS
        }
        Err(faults) => {
            for fault in &faults {
                complain(&fault.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// All that is wrong with the configuration, in the shape that tools look for in Redis's output.
fn refuse(faults: &[ConfigError]) -> ExitCode {
    fail(&fatal_text(faults))
}

fn fail(text: &str) -> ExitCode {
    complain(text);
    ExitCode::FAILURE
}

fn say(text: &str) {
    // Nobody is left to tell if standard output is gone.
    let _written = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    // Nobody is left to tell if standard error is gone.
    let _written = writeln!(std::io::stderr(), "{text}");
}
