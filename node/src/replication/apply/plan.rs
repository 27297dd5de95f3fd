//! Which pieces of a stream may run beside each other. Those of one slot run in their order; what
//! concerns more than a slot runs alone, after what stands before it and before what follows.

use slotilla_common::resp::parse_u64;
use slotilla_common::slot::Slot;

use super::ApplyError;
use super::intake::{Intake, Piece};
use super::runner::Runnable;
use crate::commands::Args;
use crate::server::Server;
use crate::server::transaction::needs_gate;

/// A piece, and the database that is selected there.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) db: u16,
    pub(super) piece: Piece,
}

/// Pieces that run at one time.
#[derive(Debug)]
pub(super) enum Step {
    /// Those of each thread, in their order.
    Beside(Vec<Vec<Job>>),
    /// One that runs alone.
    Alone(Job),
}

/// All pieces of an intake.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The database that is selected at the end.
    pub(super) db: u16,
    /// The primary wants to know how far this node is.
    pub(super) asked: bool,
    /// Why what follows these cannot be run.
    pub(super) error: Option<ApplyError>,
}

/// Where a piece may run.
enum Place {
    /// It changes nothing.
    Nowhere,
    /// With others of its slot.
    Slot(Slot),
    /// By itself.
    Alone,
}

impl Plan {
    /// For so many threads; up to the first piece that cannot be run.
    pub(super) fn new(server: &Server, intake: &Intake, threads: usize, db: u16) -> Self {
        let mut plan = Self {
            steps: Vec::new(),
            db,
            asked: false,
            error: None,
        };
        for piece in intake.pieces() {
            let job = Job {
                db: plan.db,
                piece: piece.clone(),
            };
            match plan.place(server, intake, piece) {
                Ok(Place::Nowhere) => {}
                Ok(Place::Slot(slot)) => plan.add(slot, job, threads.max(1)),
                Ok(Place::Alone) => plan.steps.push(Step::Alone(job)),
                Err(error) => {
                    plan.error = Some(error);
                    break;
                }
            }
        }
        plan
    }

    fn add(&mut self, slot: Slot, job: Job, threads: usize) {
        if !matches!(self.steps.last(), Some(Step::Beside(_))) {
            self.steps.push(Step::Beside(vec![Vec::new(); threads]));
        }
        if let Some(Step::Beside(lists)) = self.steps.last_mut()
            && let Some(list) = lists.get_mut(slot.index() % threads)
        {
            list.push(job);
        }
    }

    fn place(
        &mut self,
        server: &Server,
        intake: &Intake,
        piece: &Piece,
    ) -> Result<Place, ApplyError> {
        let places = match piece {
            Piece::Command(at) => *at..at.saturating_add(1),
            Piece::Transaction(places) => places.clone(),
        };
        let is_alone = matches!(piece, Piece::Command(_));
        let (mut slots, mut alone, mut is_empty) = (Slots::None, false, true);
        for at in places {
            let Some((request, args)) = intake.request(at).filter(|(_, args)| args.len() > 0)
            else {
                continue;
            };
            // What is the link's own business needs no handler.
            match request.spec.map_or("", |spec| spec.name) {
                "ping" => continue,
                "replconf" => {
                    self.asked |= args.is(1, "getack");
                    continue;
                }
                "select" => {
                    self.db = selected(server, &args)?;
                    if is_alone {
                        continue;
                    }
                    // Within a transaction it is for the commands that follow, too.
                    alone = true;
                }
                _ => {}
            }
            let command = Runnable::new(server, request, &args)?;
            is_empty = false;
            alone |= needs_gate(command.spec(), &args);
            let of_command = command.slots(&args);
            alone |= of_command.is_empty();
            for slot in of_command {
                slots.add(slot);
            }
        }
        Ok(match slots {
            _ if is_empty => Place::Nowhere,
            Slots::One(slot) if !alone => Place::Slot(slot),
            Slots::None | Slots::One(_) | Slots::Several => Place::Alone,
        })
    }
}

/// The slots of a piece.
#[derive(Debug, Clone, Copy)]
enum Slots {
    None,
    One(Slot),
    Several,
}

impl Slots {
    fn add(&mut self, slot: Slot) {
        *self = match *self {
            Self::None => Self::One(slot),
            Self::One(other) if other == slot => Self::One(slot),
            Self::One(_) | Self::Several => Self::Several,
        };
    }
}

fn selected(server: &Server, args: &Args<'_>) -> Result<u16, ApplyError> {
    let number = parse_u64(args.get(1)).and_then(|number| u16::try_from(number).ok());
    let number = number.filter(|db| *db < server.store.databases());
    let number = number.filter(|db| *db == 0 || !server.cluster_enabled);
    number.ok_or_else(|| ApplyError::Database(args.get(1).escape_ascii().to_string()))
}
