//! Signals.
//!
//! SIGTERM and SIGINT ask for a graceful shutdown, as `shutdown-on-sigterm` and
//! `shutdown-on-sigint` say; a second one while the first is under way ends the process at once.
//! SIGHUP opens the log file again: redis-server ignores it, which also keeps the server alive
//! when its terminal closes. SIGPIPE is ignored, as Rust always does; so is SIGXFSZ, for a file that
//! may not grow is an error of whoever writes it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM: shut down as `shutdown-on-sigterm` says.
    Terminate,
    /// SIGINT: shut down as `shutdown-on-sigint` says.
    Interrupt,
    /// SIGHUP: open the log again.
    Reopen,
}

/// Calls `react` for each signal, on a thread of its own, for as long as the process lives.
///
/// # Errors
/// When the thread or a handler cannot be had.
pub fn on_signals(react: impl Fn(Request) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let (mut terminate, mut interrupt, mut hangup, _ignored) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(too_large)?,
        )
    };
    let listen = async move {
        let mut stopping = false;
        loop {
            let request = tokio::select! {
                Some(()) = terminate.recv() => Request::Terminate,
                Some(()) = interrupt.recv() => Request::Interrupt,
                Some(()) = hangup.recv() => Request::Reopen,
                else => return,
            };
            if request != Request::Reopen {
                if stopping {
                    tracing::warn!("A second signal: exiting at once");
                    std::process::exit(1);
                }
                stopping = true;
            }
            react(request);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(listen))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn signals_become_requests() {
        let (tell, told) = mpsc::sync_channel(4);
        on_signals(move |request| tell.send(request).unwrap()).unwrap();
        for (signal, request) in [
            (Signal::HUP, Request::Reopen),
            (Signal::HUP, Request::Reopen),
            (Signal::TERM, Request::Terminate),
        ] {
            kill_process(getpid(), signal).unwrap();
            assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), request);
        }
    }
}
