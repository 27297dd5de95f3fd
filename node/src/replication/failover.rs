//! FAILOVER: a primary gives its role to a replica that has all that it has, and becomes its replica.
//!
//! ```text
//! waiting for sync   writes are paused until a replica has all, or the time is over
//! in progress        the role has changed; PSYNC … FAILOVER tells the other that it is the primary
//! ```
//!
//! Before the second step nothing is lost by giving up; in it, to give up is to be the primary again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slotilla_common::clock;

use super::{Address, primary};
use crate::server::Server;
use crate::server::pause::{Purpose, Scope};

/// How often it is looked whether a replica has all.
const LOOK: Duration = Duration::from_millis(2);

/// What FAILOVER was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which replica; any, if none is named.
    pub target: Option<Address>,
    /// When it is over.
    pub until_ms: Option<i64>,
    /// Then the role changes even if the replica has not all.
    pub force: bool,
}

/// How far a failover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Waiting,
    InProgress,
}

/// The failover of a node, if one is under way.
#[derive(Debug, Default)]
pub struct Failover {
    /// With the number of the attempt.
    current: Mutex<Option<(u64, Plan, Step)>>,
    attempts: Mutex<u64>,
}

impl Failover {
    /// What INFO calls it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match &*self.current.lock() {
            None => "no-failover",
            Some((_, _, Step::Waiting)) => "waiting-for-sync",
            Some((_, _, Step::InProgress)) => "failover-in-progress",
        }
    }

    /// Whether one is under way.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.current.lock().is_some()
    }

    /// Whether the node that is asked for data is to become the primary.
    pub(super) fn is_in_progress(&self) -> bool {
        matches!(&*self.current.lock(), Some((_, _, Step::InProgress)))
    }

    /// Begins one, unless there is one; its number.
    #[must_use]
    pub fn begin(&self, plan: Plan) -> Option<u64> {
        let mut current = self.current.lock();
        if current.is_some() {
            return None;
        }
        let mut attempts = self.attempts.lock();
        *attempts = attempts.wrapping_add(1);
        *current = Some((*attempts, plan, Step::Waiting));
        Some(*attempts)
    }

    /// Attempt `number` goes on to the second step, if it is still wanted.
    fn proceed(&self, number: u64) -> bool {
        match &mut *self.current.lock() {
            Some((current, _, step)) if *current == number => {
                *step = Step::InProgress;
                true
            }
            _ => false,
        }
    }

    fn is_current(&self, number: u64) -> bool {
        matches!(&*self.current.lock(), Some((current, ..)) if *current == number)
    }

    fn take(&self) -> Option<(Plan, Step)> {
        let taken = self.current.lock().take();
        taken.map(|(_, plan, step)| (plan, step))
    }
}

/// Pauses writes and waits on a thread of its own, which then changes the role. Not for a worker.
pub fn start(server: &Arc<Server>, number: u64, plan: Plan) {
    match &plan.target {
        Some(target) => tracing::info!("FAILOVER requested to {target}."),
        None => tracing::info!("FAILOVER requested to any replica."),
    }
    server.gate.exclusive(None, |_| {
        server.pause_clients(Purpose::Failover, Scope::Writes, i64::MAX);
        primary::ask_for_acks(server);
    });
    if !server.replication.failover.is_current(number) {
        // It was given up before there was a pause to end.
        server.end_pause(Purpose::Failover);
        return;
    }
    let ours = Arc::clone(server);
    let spawned = std::thread::Builder::new()
        .name("failover".to_owned())
        .spawn(move || wait(&ours, number, &plan));
    if let Err(error) = spawned {
        abort(server, &format!("there is no thread for it: {error}"));
    }
}

/// Waits until the role can change, or the attempt ends.
fn wait(server: &Arc<Server>, number: u64, plan: &Plan) {
    let failover = &server.replication.failover;
    while failover.is_current(number) && !server.shutdown.is_cancelled() {
        let is_late = plan.until_ms.is_some_and(|until| clock::unix_ms() >= until);
        let target = match (&plan.target, is_late) {
            (Some(target), true) if plan.force => {
                tracing::info!("FAILOVER to {target} time out exceeded, failing over.");
                Some(target.clone())
            }
            (_, true) => {
                abort(server, "Replica never caught up before timeout");
                return;
            }
            (wanted, false) => in_step(server, wanted.as_ref()).inspect(|target| {
                tracing::info!("Failover target {target} is synced, failing over.");
            }),
        };
        match target {
            Some(target) if failover.proceed(number) => {
                server.set_primary(Some(target), "failover");
                if !failover.is_current(number) {
                    // It was given up meanwhile.
                    server.set_primary(None, "failover aborted");
                }
                return;
            }
            _ => std::thread::sleep(LOOK),
        }
    }
}

/// The address of a replica that has all; of the one that is wanted.
fn in_step(server: &Server, wanted: Option<&Address>) -> Option<Address> {
    let end = server.store.history().end();
    let primary = &server.replication.as_primary;
    let has_all = |replica: &Arc<primary::Replica>| {
        let address = replica.listens_at();
        let is_wanted = wanted.is_none_or(|wanted| *wanted == address);
        (is_wanted && replica.acked() == end).then_some(address)
    };
    primary.replicas().iter().find_map(has_all)
}

/// Gives up the attempt that is under way; false if there is none. Not for a worker.
pub fn abort(server: &Arc<Server>, reason: &str) -> bool {
    let Some((plan, step)) = server.replication.failover.take() else {
        return false;
    };
    match &plan.target {
        Some(target) => tracing::info!("FAILOVER to {target} aborted: {reason}"),
        None => tracing::info!("FAILOVER to any replica aborted: {reason}"),
    }
    if step == Step::InProgress {
        server.set_primary(None, "failover aborted");
    }
    server.end_pause(Purpose::Failover);
    true
}

/// The other has taken over, or sends its data: clients are told to write there.
pub(super) fn complete(server: &Server) {
    let failover = &server.replication.failover;
    if failover.is_in_progress() && failover.take().is_some() {
        server.end_pause(Purpose::Failover);
    }
}

/// The other refuses to take over: this node is the primary again. On a thread of its own, for that
/// takes the gate.
pub(super) fn refused(server: &Arc<Server>) {
    if !server.replication.failover.is_in_progress() {
        return;
    }
    let ours = Arc::clone(server);
    let abort = move || {
        let _aborted = abort(&ours, "Failover target rejected psync request");
    };
    if let Err(error) = std::thread::Builder::new()
        .name("failover".into())
        .spawn(abort)
    {
        tracing::error!("The failover goes on, there is no thread to end it: {error}");
    }
}
