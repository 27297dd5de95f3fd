//! Applies a stream of commands to the data: an append-only file's, or a primary's.
//!
//! ```text
//! intake.rs   bytes -> requests -> commands and whole transactions
//! runner.rs   runs them on one thread
//! plan.rs     which of them may run beside each other: those of different slots
//! parallel.rs runs them on all threads
//! ```
//!
//! They are what has happened, and not what somebody asks for: none is refused, none waits for keys,
//! a transaction is applied as one, and keys whose time has come are there until the stream says that
//! they are not. A command that fails is noted, and the stream goes on, as in Redis.

mod fuzz;
mod intake;
mod parallel;
mod plan;
mod runner;

use std::sync::Arc;

use slotilla_common::resp::{ProtocolError, RequestLimits};

use crate::commands::Args;
use crate::server::Server;
use crate::server::client::{Client, Introduction};
use crate::server::gate::SeatId;
use crate::store::PLACES_MAX;
pub use fuzz::fuzz_stream;
use intake::{Intake, Piece, Source};
pub use parallel::Parallel;
use runner::{Runnable, Runner};

/// A stream cannot be applied any further.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not cut into commands.
    #[error("a command was expected, and it begins with {:?}", char::from(*.0))]
    NotACommand(u8),
    /// A command is not written as it should be.
    #[error("a command is malformed: {0}")]
    Malformed(ProtocolError),
    /// A command, or a transaction, does not end.
    #[error("a command or transaction has no end after {0} bytes")]
    TooLong(usize),
    /// To pass the command by would leave the data behind.
    #[error("this node does not have the command {0}")]
    Unsupported(String),
    /// The stream selects a database that is not here.
    #[error("the database {0:?} is selected, and this node does not have it")]
    Database(String),
    /// A thread that applied a part of it has come to grief.
    #[error("a thread that applied a part of the stream has ended")]
    Thread,
}

/// Runs the commands of a stream on the thread that calls it.
#[derive(Debug)]
pub struct Applier {
    server: Arc<Server>,
    intake: Intake,
    runner: Runner,
}

impl Applier {
    /// Of an append-only file, of which a command or transaction may have so many bytes. One at a
    /// time, and on no replica: all have the same seat.
    #[must_use]
    pub fn of_file(server: &Arc<Server>, most_bytes: usize) -> Option<Self> {
        let client = Client::unlisted(Introduction {
            addr: "append-only file".into(),
            laddr: "".into(),
            fd: -1,
            unix_socket: false,
        });
        Some(Self {
            intake: Intake::new(Source::File, most_bytes),
            runner: Runner::new(server, client, server.applier_seat(0)?),
            server: Arc::clone(server),
        })
    }

    /// Takes what comes next of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.intake.push(bytes);
    }

    /// Runs all commands and transactions that are whole, and adds to `done` how many bytes they have.
    ///
    /// # Errors
    /// What follows cannot be run.
    pub fn run(&mut self, done: &mut u64) -> Result<(), ApplyError> {
        let limits = limits(&self.server);
        while self.intake.look(&limits, &self.server.store)? {
            self.intake.prefetch(&self.server.store);
            let (intake, runner, server) = (&self.intake, &mut self.runner, &self.server);
            runner.seated(|runner| {
                let mut pieces = intake.pieces().iter();
                pieces.try_for_each(|piece| run_piece(server, runner, intake, piece))
            })?;
            *done = done.saturating_add(self.intake.bytes().len() as u64);
            self.intake.consume();
        }
        for (command, text) in self.runner.failures() {
            tracing::warn!("{command} failed: {text}");
        }
        Ok(())
    }

    /// How many bytes wait for the rest of their command or transaction.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.intake.pending()
    }

    /// Whether they begin with a MULTI whose EXEC has not come.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.intake.is_in_transaction()
    }
}

/// How long a stream's requests may be: their sender has let them in.
fn limits(server: &Server) -> RequestLimits {
    RequestLimits {
        max_bulk: server.config.proto_max_bulk_len().max(BULK_MAX),
        ..RequestLimits::default()
    }
}

/// As Redis's `proto-max-bulk-len` is, unless it is set.
const BULK_MAX: usize = 512 * 1024 * 1024;

/// So many threads apply streams at most.
pub const APPLIERS_MAX: usize = 9;

impl Server {
    /// The number and the seat of a thread that applies streams; after those of workers and of long
    /// commands.
    fn applier_seat(&self, place: usize) -> Option<(usize, SeatId)> {
        let number = self.config.io_threads() + PLACES_MAX + place;
        Some((number, self.gate.seat(number)?))
    }
}

fn run_piece(
    server: &Server,
    runner: &mut Runner,
    intake: &Intake,
    piece: &Piece,
) -> Result<(), ApplyError> {
    let found = |at: usize| {
        let request = intake.request(at);
        request.filter(|(_, args)| args.len() > 0)
    };
    match piece {
        Piece::Command(at) => {
            if let Some((request, args)) = found(*at) {
                runner.run(Runnable::new(server, request, &args)?, &args);
            }
        }
        Piece::Transaction(places) => {
            let requests = places.clone().filter_map(found);
            let commands = requests.map(|(request, args)| {
                let command = Runnable::new(server, request, &args)?;
                Ok((command, args))
            });
            let commands: Vec<(Runnable, Args<'_>)> =
                commands.collect::<Result<_, ApplyError>>()?;
            if !commands.is_empty() {
                runner.run_transaction(&commands);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
