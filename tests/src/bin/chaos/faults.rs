//! What a fault does, and what may be lost by it.
//!
//! What a node cannot do yet is told by `Some`, and counted: nothing is left out without a word.

use std::time::Duration;

use slotilla_tests::{Deadline, Kind};

use crate::ledger::Allowed;
use crate::plan::{Fault, Lane, Succession, Who};
use crate::round::Round;
use crate::way::{Answer, Flow, Side};

/// How long a fault may take to show.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a primary serves that no replica hears of any more, before it is killed.
const ALONE_MS: u64 = 50;
/// How long FAILOVER may take, in milliseconds.
const FAILOVER_MS: &str = "5000";

/// How long a primary that has restarted may look for what its replicas have.
const SERVICE_LIMIT: Duration = Duration::from_secs(30);

/// Why something could not be done, if it could not; or what must not be.
type Done = Result<Option<String>, String>;

/// A fault lasts so long, by the plan: there is nothing that is waited for.
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

impl Fault {
    /// Whether the next may come right after it, while it lasts.
    pub(crate) fn ends_at_once(&self) -> bool {
        matches!(
            self,
            Self::Backlog { .. } | Self::Save { .. } | Self::Rewrite { .. }
        )
    }
}

impl Round<'_> {
    pub(crate) fn perform(&mut self, fault: &Fault) -> Done {
        match fault {
            Fault::Cut { .. }
            | Fault::Flap { .. }
            | Fault::Hold { .. }
            | Fault::Slow { .. }
            | Fault::CutHandshake { .. } => {
                self.harm_link(fault);
                Ok(None)
            }
            Fault::CutCopy { replica, after } => self.cut_copy(*replica, after),
            Fault::CloseClients { of, kind } => {
                self.send(*of, &["CLIENT", "KILL", "TYPE", kind])?;
                Ok(None)
            }
            Fault::Freeze { who, ms } => {
                let at = self.number(*who);
                self.members[at].freeze(true);
                pause(*ms);
                self.members[at].freeze(false);
                Ok(None)
            }
            Fault::Kill { who, away_ms } => self.kill(&[*who], *away_ms),
            Fault::KillAll { away_ms } => {
                let replicas = (0..self.members.len() - 1).map(Who::Replica);
                let all: Vec<Who> = [Who::Primary].into_iter().chain(replicas).collect();
                self.kill(&all, *away_ms)
            }
            Fault::Terminate { who, away_ms } => self.terminate(*who, *away_ms),
            Fault::Promote { how } => self.promote(*how),
            Fault::Failover => self.fail_over(),
            Fault::Rejoin { replica, away_ms } => self.rejoin(*replica, *away_ms),
            Fault::Chain { first, second } => self.chain(*first, *second),
            Fault::Unchain => Ok(self.unchain()),
            Fault::Backlog { bytes } => {
                let bytes = bytes.to_string();
                self.send(
                    Who::Primary,
                    &["CONFIG", "SET", "repl-backlog-size", &bytes],
                )
            }
            Fault::Save { who } => self.send(*who, &["BGSAVE"]),
            Fault::Rewrite { who } => self.send(*who, &["BGREWRITEAOF"]),
            Fault::FlushAll { is_async } => self.flush_all(*is_async),
        }
    }

    /// The server that is meant.
    fn number(&self, who: Who) -> usize {
        match who {
            Who::Primary => self.primary,
            Who::Replica(number) => self.replica(number),
        }
    }

    fn replica(&self, number: usize) -> usize {
        let all = 0..self.members.len();
        let replicas: Vec<usize> = all.filter(|at| *at != self.primary).collect();
        replicas[number % replicas.len()]
    }

    /// Sends a command whose refusal is no fault, but is told.
    fn send(&mut self, who: Who, command: &[&str]) -> Done {
        let at = self.number(who);
        let reply = self.members[at].tell(command)?;
        Ok(reply.error().map(str::to_owned))
    }

    fn harm_link(&mut self, fault: &Fault) {
        let way = |replica: &usize| &self.members[self.replica(*replica)].way;
        match fault {
            Fault::Cut { replica, resets } => way(replica).cut(*resets),
            Fault::Flap { replica, gaps_ms } => {
                for gap_ms in gaps_ms {
                    way(replica).cut(gap_ms % 2 == 0);
                    pause(*gap_ms);
                }
            }
            Fault::Hold { replica, lane, ms } => {
                for (side, other) in [(Side::Up, Lane::Down), (Side::Down, Lane::Up)] {
                    if *lane != other {
                        way(replica).set_flow(side, Flow::Held);
                    }
                }
                pause(*ms);
            }
            Fault::Slow { replica, bytes, ms } => {
                way(replica).set_flow(Side::Down, Flow::Slow(*bytes));
                pause(*ms);
            }
            Fault::CutHandshake { replica, after } => {
                way(replica).cut_after(after);
                way(replica).cut(false);
                self.await_cuts(self.replica(*replica));
            }
            _ => {}
        }
    }

    /// Waits until all connections have been cut that are to be. One that carries less is not.
    fn await_cuts(&self, at: usize) {
        let way = &self.members[at].way;
        let _cut = Deadline::after(LIMIT).wait(|| (way.cuts_left() == 0).then_some(()));
    }

    /// A replica begins with nothing, and the copy breaks off some times.
    fn cut_copy(&mut self, replica: usize, after: &[u64]) -> Done {
        let at = self.replica(replica);
        self.kill_one(at);
        self.members[at].lose_files();
        let cuts = self.members[at].way.cuts();
        self.members[at].way.cut_after(after);
        self.members[at].restart()?;
        self.await_cuts(at);
        // The last of them is under way.
        let (way, cuts) = (&self.members[at].way, cuts + after.len() as u64);
        let time = Deadline::after(Duration::from_secs(2));
        let _cut = time.wait(|| (way.cuts() >= cuts).then_some(()));
        Ok(None)
    }

    /// A server is gone, and whoever copies it will find another life of it.
    fn kill_one(&mut self, at: usize) {
        self.members[at].kill();
        self.begin_era_of(at);
    }

    fn begin_era_of(&mut self, at: usize) {
        for member in &self.members {
            if member.follows == Some(at) {
                member.way.begin_era();
            }
        }
    }

    fn kill(&mut self, all: &[Who], away_ms: u64) -> Done {
        let all: Vec<usize> = all.iter().map(|who| self.number(*who)).collect();
        // What the primary acknowledges from here on no replica has.
        let is_alone = self.acks() && all == [self.primary] && away_ms.is_multiple_of(2);
        if is_alone {
            let ways = || self.members.iter().map(|member| &member.way);
            ways().for_each(|way| way.set_flow(Side::Down, Flow::Held));
            pause(ALONE_MS);
            ways().for_each(|way| way.cut(true));
        }
        for at in &all {
            self.kill_one(*at);
        }
        if is_alone {
            self.members.iter().for_each(|member| member.way.heal());
        }
        pause(away_ms);
        let has_primary = all.contains(&self.primary);
        if has_primary {
            self.load.rest_all()?;
        }
        for at in &all {
            self.members[*at].restart()?;
        }
        if has_primary {
            // One that acknowledges by replicas alone has to be sent what it lacks by one of them,
            // which it cannot if all were killed.
            if self.acks() {
                if all.len() > 1 {
                    self.accept_loss()?;
                }
                self.await_service()?;
            }
            let by_replicas = self.acks() && all.len() == 1;
            let allowed = if self.setting.append_only == "always" || by_replicas {
                Allowed::Nothing
            } else {
                Allowed::Latest
            };
            self.check_ledger(allowed, true)?;
            self.load.go_on();
        }
        Ok(None)
    }

    /// No replica has what was confirmed: somebody has to say that what the primary has counts.
    fn accept_loss(&self) -> Result<(), String> {
        let primary = &self.members[self.primary];
        for count in ["0".to_owned(), self.setting.ack.to_string()] {
            primary.tell(&["CONFIG", "SET", "replica-ack-writes", &count])?;
        }
        Ok(())
    }

    /// Waits until a primary that has restarted serves: before, it has one of its replicas take over
    /// for as long as it takes to get what that has.
    fn await_service(&mut self) -> Result<(), String> {
        let old = self.primary;
        // It comes for the data by no way that is watched.
        for (at, member) in self.members.iter_mut().enumerate() {
            if at != old {
                member.served = None;
            }
        }
        let mut reply = Err("it was not asked".to_owned());
        let served = Deadline::after(SERVICE_LIMIT).wait(|| {
            reply = self.members[old].tell(&["GET", "any"]);
            let is_replica = self.members[old].facts().map(|facts| facts.is_replica);
            let is_served = reply.as_ref().is_ok_and(|reply| reply.error().is_none());
            (is_served && is_replica == Some(false)).then_some(())
        });
        served.ok_or_else(|| format!("the primary does not serve after its restart: {reply:?}"))
    }

    /// The role has passed from one server to another, by themselves.
    fn hand_over(&mut self, old: usize, new: usize) -> Result<(), String> {
        self.members[new].follows = None;
        self.members[new].plan_to_follow(false);
        self.primary = new;
        self.load.write_to(self.members[new].port());
        self.lead_all_to(new);
        self.members[old].follow_way(true)
    }

    /// It ends in good order, and has all it had when it starts.
    fn terminate(&mut self, who: Who, away_ms: u64) -> Done {
        let at = self.number(who);
        let goes_on = at != self.primary && self.setting.append_only == "no";
        self.begin_era_of(at);
        self.members[at].terminate()?;
        pause(away_ms);
        if at == self.primary {
            self.load.rest_all()?;
        }
        self.members[at].restart()?;
        // Its snapshot tells where it was.
        self.members[at].is_in_step = goes_on;
        if at == self.primary {
            if self.acks() {
                self.await_service()?;
            }
            self.check_ledger(Allowed::Nothing, true)?;
            self.load.go_on();
        }
        Ok(None)
    }

    /// The replica that has most takes over, and all others follow it.
    fn promote(&mut self, how: Succession) -> Done {
        let old = self.primary;
        match how {
            Succession::InOrder => {}
            Succession::AfterDeath => self.kill_one(old),
            Succession::WhileFrozen => self.members[old].freeze(true),
        }
        self.load.rest_all()?;
        let best = self.most_advanced()?;
        self.note(format!("member {best} takes over from {old}"));
        self.members[best].follows = None;
        self.members[best].follow_way(false)?;
        self.primary = best;
        self.load.write_to(self.members[best].port());
        let allowed = match self.has_acked(old) {
            true => Allowed::Nothing,
            false => Allowed::Unconfirmed,
        };
        self.check_ledger(allowed, true)?;
        self.load.go_on();
        self.lead_all_to(best);
        if how == Succession::WhileFrozen {
            self.members[old].freeze(false);
        }
        if how == Succession::AfterDeath {
            self.members[old].plan_to_follow(true);
            self.members[old].restart()?;
        } else {
            self.members[old].follow_way(true)?;
        }
        Ok(None)
    }

    /// Whether what this server has acknowledged is what replicas had.
    fn has_acked(&self, at: usize) -> bool {
        self.members[at].kind() == Kind::Node && self.has_acks()
    }

    /// All but the primary copy it from now on.
    fn lead_all_to(&mut self, primary: usize) {
        let port = self.members[primary].port();
        for (at, member) in self.members.iter_mut().enumerate() {
            // Some of what is asked here may come by other ways, or be heard no more.
            member.served = None;
            if at != primary {
                member.follows = Some(primary);
                member.way.begin_era();
                member.way.lead_to(port);
                member.way.cut(false);
            }
        }
    }

    /// The replica that has applied most, once none applies any more.
    fn most_advanced(&self) -> Result<usize, String> {
        let time = Deadline::after(LIMIT);
        let mut before = Vec::new();
        loop {
            let mut now = Vec::new();
            for (at, member) in self.members.iter().enumerate() {
                if at != self.primary
                    && let Some(facts) = member.facts()
                {
                    now.push((facts.applied, at));
                }
            }
            if now.len() + 1 == self.members.len() && now == before {
                return Ok(now.iter().max().map_or(self.primary, |best| best.1));
            }
            if time.is_over() {
                return Err(format!("replicas do not come to rest: {now:?}"));
            }
            before = now;
            pause(100);
        }
    }

    fn fail_over(&mut self) -> Done {
        let old = self.primary;
        let best = self.replica(0);
        if self.members[best].follows != Some(old) {
            return Ok(Some("the replica copies another replica".to_owned()));
        }
        let port = self.members[best].port().to_string();
        let order = ["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", FAILOVER_MS];
        let reply = self.members[old].tell(&order)?;
        if let Some(error) = reply.error() {
            return Ok(Some(format!("{:?}: {error}", self.members[old].kind())));
        }
        let mut roles = [None; 2];
        let changed = Deadline::after(LIMIT).wait(|| {
            let facts = [old, best].map(|at| self.members[at].facts());
            roles = facts.map(|facts| facts.map(|facts| facts.is_replica));
            (roles == [Some(true), Some(false)]).then_some(())
        });
        if changed.is_none() {
            return match roles {
                [Some(false), Some(true)] => Ok(Some("it was given up".to_owned())),
                roles => Err(format!("after it, who is a replica: {roles:?}")),
            };
        }
        self.load.rest_all()?;
        self.hand_over(old, best)?;
        self.check_ledger(Allowed::Nothing, true)?;
        self.load.go_on();
        Ok(None)
    }

    /// A replica is told to be none, and to be one again.
    fn rejoin(&mut self, replica: usize, away_ms: u64) -> Done {
        let at = self.replica(replica);
        self.members[at].is_in_step = false;
        self.begin_era_of(at);
        self.members[at].way.begin_era();
        self.members[at].follow_way(false)?;
        pause(away_ms);
        self.members[at].follow_way(true)?;
        Ok(None)
    }

    /// A replica copies another one, until something ends that.
    fn chain(&mut self, first: usize, second: usize) -> Done {
        let (first, second) = (self.replica(first), self.replica(second));
        if first == second || self.members[first].follows != Some(self.primary) {
            return Ok(Some("it takes two replicas of the primary".to_owned()));
        }
        self.lead(second, first);
        let answer = Deadline::after(LIMIT).wait(|| self.members[second].way.last_answer());
        match answer {
            Some(Answer::Partial | Answer::Full) => Ok(None),
            Some(Answer::Refused(text)) => {
                // Its link to its own primary may be down just then.
                self.lead(second, self.primary);
                Ok(Some(format!("{:?}: {text}", self.members[first].kind())))
            }
            None => Err(format!("member {second} does not get on with {first}")),
        }
    }

    /// One server copies another from now on.
    fn lead(&mut self, at: usize, to: usize) {
        let port = self.members[to].port();
        for target in [self.members[at].follows, Some(to)].into_iter().flatten() {
            self.members[target].served = None;
        }
        let member = &mut self.members[at];
        member.follows = Some(to);
        member.way.begin_era();
        member.way.lead_to(port);
        member.way.cut(false);
    }

    fn unchain(&mut self) -> Option<String> {
        let primary = self.primary;
        let mut all = self.members.iter();
        let found = all.position(|one| one.follows.is_some_and(|follows| follows != primary));
        match found {
            Some(at) => {
                self.lead(at, primary);
                None
            }
            None => Some("no chain".to_owned()),
        }
    }

    fn flush_all(&mut self, is_async: bool) -> Done {
        self.rest_ledger()?;
        let how = if is_async { "ASYNC" } else { "SYNC" };
        let done = self.send(Who::Primary, &["FLUSHALL", how])?;
        for book in &self.load.books {
            book.lock().expect("no panic").forget();
        }
        self.load.go_on();
        Ok(done)
    }
}
