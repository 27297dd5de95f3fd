//! The node as a process: going into the background, telling the service manager, the pid file,
//! open files, signals, the log.
//!
//! No unsafe code, so no fork: a daemon is a new run of the same program.

mod daemon;
mod files;
mod notify;
mod signals;

use rustix::thread;
use slotilla_common::alloc::jemalloc;
use slotilla_common::net::log::{Log, LogError, Role, Settings};

use crate::config::{Config, Key};

pub use daemon::{Started, daemonize};
pub use files::{PidFile, limit_clients};
pub use notify::{is_supervised, tell_ready, tell_stopping};
pub use signals::{Request, on_signals};

/// Opens the log as the configuration says, and follows its changes from then on.
///
/// # Errors
/// When the log file cannot be opened.
pub fn start_log(config: &Config) -> Result<Log, LogError> {
    let file = config.logfile();
    let log = Log::install(&Settings {
        level: config.loglevel(),
        format: config.log_format(),
        file: file.as_deref(),
        role: Role::Primary,
    })?;
    let changed = log.clone();
    config.on_change(
        &[Key::Loglevel, Key::LogFormat],
        Box::new(move |config| {
            changed.set_format(config.log_format());
            changed.set_level(config.loglevel());
            Ok(())
        }),
    );
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(log)
}

/// Lets the allocator work in the background as the configuration says, and follows its changes.
pub fn start_allocator(config: &Config) {
    // The allocator asks for huge pages wherever it maps memory (`.cargo/config.toml`); this
    // decides whether the kernel listens. Said either way: a child inherits it, and `dev` runs
    // nodes as children of a proxy, which wants none.
    let apply = |config: &Config| {
        thread::disable_transparent_huge_pages(!config.huge_pages())
            .map_err(|error| format!("the kernel does not change its pages: {error}"))
    };
    if let Err(reason) = apply(config) {
        tracing::warn!("Setting huge-pages: {reason}");
    }
    config.on_change(&[Key::HugePages], Box::new(apply));
    let apply = |config: &Config| {
        jemalloc::background_thread(config.jemalloc_bg_thread())
            .map_err(|_| "the allocator has no background threads".to_owned())
    };
    if let Err(reason) = apply(config) {
        tracing::warn!("Freed memory returns to the system late: {reason}");
    }
    config.on_change(&[Key::JemallocBgThread], Box::new(apply));
}
