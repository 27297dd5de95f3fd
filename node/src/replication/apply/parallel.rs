//! Applies a primary's stream on several threads, slot by slot.
//!
//! The thread that has the stream cuts it into pieces, hands each to the thread of its slot, does its
//! own share, and waits for the others: so at the end of each round all that was taken has been
//! applied, and nothing else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::intake::{Intake, Source};
use super::plan::{Job, Plan, Step};
use super::runner::Runner;
use super::{APPLIERS_MAX, ApplyError, limits, run_piece};
use crate::server::Server;
use crate::server::client::Client;

/// Fewer pieces than this are not worth to wake a thread for.
const SHARED_MIN: usize = 32;

/// What runs a stream's commands.
pub struct Parallel {
    server: Arc<Server>,
    /// There but while threads share it.
    intake: Option<Intake>,
    runner: Runner,
    helpers: Vec<Helper>,
    db: u16,
}

/// A round of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// How many bytes were applied.
    pub bytes: usize,
    /// The primary wants to know how far this node is.
    pub asked: bool,
}

/// A thread that applies what it is handed.
struct Helper {
    work: SyncSender<Work>,
    done: Receiver<Done>,
}

/// Jobs of one thread, by their place in the step.
struct Work {
    intake: Arc<Intake>,
    jobs: Vec<Job>,
}

/// What came of them.
struct Done {
    failed: Vec<(&'static str, String)>,
    error: Option<ApplyError>,
}

impl Parallel {
    /// Of a primary's stream that has this database selected; its commands are `client`'s. None if
    /// there is no seat, or no thread, for it.
    #[must_use]
    pub fn new(server: &Arc<Server>, client: &Arc<Client>, db: u16) -> Option<Self> {
        let threads = server.config.io_threads().clamp(1, APPLIERS_MAX);
        let runner = Runner::new(server, Arc::clone(client), server.applier_seat(0)?);
        let helpers = (1..threads).map_while(|place| Helper::start(server, client, place));
        let most_bytes = server.config.client_query_buffer_limit().max(LONGEST_MIN);
        Some(Self {
            server: Arc::clone(server),
            intake: Some(Intake::new(Source::Primary, most_bytes)),
            runner,
            helpers: helpers.collect(),
            db,
        })
    }

    /// Takes what comes next.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(intake) = &mut self.intake {
            intake.push(bytes);
        }
    }

    /// Applies what is whole, or a part of it that is not long. Tells `applied` of it before
    /// anything else may happen to it: its bytes, and the database that is selected after it.
    ///
    /// # Errors
    /// It cannot be applied, and the data is none that the primary has had.
    pub fn run(&mut self, applied: impl FnOnce(&[u8], u16)) -> Result<Round, ApplyError> {
        let Some(mut intake) = self.intake.take() else {
            return Ok(Round::default());
        };
        let limits = limits(&self.server);
        if !intake.look(&limits, &self.server.store)? {
            self.intake = Some(intake);
            return Ok(Round::default());
        }
        let threads = self.helpers.len().saturating_add(1);
        let plan = Plan::new(&self.server, &intake, threads, self.db);
        intake.prefetch(&self.server.store);
        for step in plan.steps {
            intake = self.step(step, intake)?;
        }
        if let Some(error) = plan.error {
            return Err(error);
        }
        self.db = plan.db;
        applied(intake.bytes(), self.db);
        let round = Round {
            bytes: intake.bytes().len(),
            asked: plan.asked,
        };
        intake.consume();
        self.intake = Some(intake);
        Ok(round)
    }

    /// Commands that have failed since this was asked, and what they said.
    pub fn failures(&mut self) -> Vec<(&'static str, String)> {
        self.runner.failures()
    }

    fn step(&mut self, step: Step, intake: Intake) -> Result<Intake, ApplyError> {
        match step {
            Step::Alone(job) => {
                self.run_here(&intake, &[job])?;
                Ok(intake)
            }
            Step::Beside(lists) if lists.iter().map(Vec::len).sum::<usize>() < SHARED_MIN => {
                for jobs in &lists {
                    self.run_here(&intake, jobs)?;
                }
                Ok(intake)
            }
            Step::Beside(lists) => self.share(lists, intake),
        }
    }

    fn run_here(&mut self, intake: &Intake, jobs: &[Job]) -> Result<(), ApplyError> {
        run_jobs(&self.server, &mut self.runner, intake, jobs)
    }

    /// Runs each list on a thread of its own.
    fn share(&mut self, lists: Vec<Vec<Job>>, intake: Intake) -> Result<Intake, ApplyError> {
        let intake = Arc::new(intake);
        let mut lists = lists.into_iter();
        let own = lists.next().unwrap_or_default();
        let mut busy = Vec::with_capacity(self.helpers.len());
        let mut left = Vec::new();
        for (helper, jobs) in self.helpers.iter().zip(lists) {
            let work = Work {
                intake: Arc::clone(&intake),
                jobs,
            };
            match helper.work.send(work) {
                Ok(()) => busy.push(helper),
                // Its thread is gone.
                Err(work) => left.push(work.0.jobs),
            }
        }
        let mut result = run_jobs(&self.server, &mut self.runner, &intake, &own);
        for jobs in left {
            result = result.and(run_jobs(&self.server, &mut self.runner, &intake, &jobs));
        }
        let mut failed = Vec::new();
        for helper in busy {
            match helper.done.recv() {
                Ok(done) => {
                    failed.extend(done.failed);
                    result = done.error.map_or(result, Err);
                }
                Err(_) => result = Err(ApplyError::Thread),
            }
        }
        self.runner.note_failures(failed);
        result?;
        Arc::into_inner(intake).ok_or(ApplyError::Thread)
    }
}

/// A transaction may be so long, whatever clients' requests may.
const LONGEST_MIN: usize = 1024 * 1024 * 1024;

impl Helper {
    fn start(server: &Arc<Server>, client: &Arc<Client>, place: usize) -> Option<Self> {
        let seat = server.applier_seat(place)?;
        let (work, jobs) = sync_channel::<Work>(1);
        let (answer, done) = sync_channel(1);
        let (server, client) = (Arc::clone(server), Arc::clone(client));
        let run = move || {
            let mut runner = Runner::new(&server, client, seat);
            for Work { intake, jobs } in jobs {
                let error = run_jobs(&server, &mut runner, &intake, &jobs).err();
                // Before it says so: the other wants it back.
                drop(intake);
                let failed = runner.failures();
                if answer.send(Done { failed, error }).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("apply-{place}"));
        match thread.spawn(run) {
            Ok(_) => Some(Self { work, done }),
            Err(error) => {
                tracing::warn!(%error, "fewer threads than wanted apply the primary's stream");
                None
            }
        }
    }
}

fn run_jobs(
    server: &Arc<Server>,
    runner: &mut Runner,
    intake: &Intake,
    jobs: &[Job],
) -> Result<(), ApplyError> {
    if jobs.is_empty() {
        return Ok(());
    }
    runner.seated(|runner| {
        for job in jobs {
            runner.select(job.db);
            run_piece(server, runner, intake, &job.piece)?;
        }
        Ok(())
    })
}
