//! One round: servers of its own, clients that write, faults, and what must hold after each.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Deadline, Kind};

use crate::ledger::{Allowed, DATABASE};
use crate::load::{Class, Load};
use crate::member::Member;
use crate::plan::{Setting, Step};
use crate::same;
use crate::tally::Tally;

/// How long replicas may take to be in step once all is well.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Clients that write everything, and those that keep the ledger.
const NOISE: usize = 3;
const LEDGER: usize = 3;
/// Their pause after each batch.
const PAUSE: Duration = Duration::from_millis(2);

/// A round under way.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) tally: &'a mut Tally,
    pub(crate) setting: Setting,
    // Ends before the servers do.
    pub(crate) load: Load,
    pub(crate) members: Vec<Member>,
    /// Which of them is the primary.
    pub(crate) primary: usize,
    /// Nodes acknowledge writes once replicas have them.
    has_acks: bool,
    time: Deadline,
    journal: Vec<String>,
    pub(crate) shows_journal: bool,
}

impl<'a> Round<'a> {
    /// Starts the servers, the first of which is the primary, and the clients.
    pub(crate) fn start(
        setting: Setting,
        seed: u64,
        tally: &'a mut Tally,
        limit: Duration,
    ) -> Self {
        let mut members = vec![Member::start(setting.primary, &setting)];
        let replicas = setting.replicas.iter();
        members.extend(replicas.map(|kind| Member::start(*kind, &setting)));
        let load = Load::start(members[0].port(), seed, NOISE, LEDGER, PAUSE);
        Self {
            tally,
            setting,
            load,
            members,
            primary: 0,
            has_acks: false,
            time: Deadline::after(limit),
            journal: Vec::new(),
            shows_journal: false,
        }
    }

    /// Everything until the time is over; what must not be, if it is.
    pub(crate) fn run(&mut self, plan: &mut Rng) -> Result<(), String> {
        self.join()?;
        while !self.time.is_over() {
            let step = Step::random(plan);
            std::thread::sleep(Duration::from_millis(step.run_ms));
            self.note(format!("{:?}", step.fault));
            let name = step.fault.name();
            let done = self.perform(&step.fault);
            match done.map_err(|fault| format!("{name}: {fault}"))? {
                None => self.tally.fault(name),
                Some(why) => {
                    self.note(format!("not there: {why}"));
                    self.tally.not_there(format!("{name}: {why}"));
                }
            }
            if step.fault.ends_at_once() {
                continue;
            }
            self.settle().map_err(|fault| format!("{name}: {fault}"))?;
            if step.compares {
                self.compare().map_err(|fault| format!("{name}: {fault}"))?;
            }
        }
        self.settle()?;
        self.compare()?;
        for member in &self.members {
            member.assert_no_fault()?;
            self.tally.check("log without a fault");
        }
        Ok(())
    }

    /// Makes replicas of all but the first.
    fn join(&mut self) -> Result<(), String> {
        let setting = self.setting.clone();
        self.note(setting.to_string());
        self.configure_acks();
        let target = self.members[self.primary].port();
        for member in self.members.iter_mut().skip(1) {
            member.way.lead_to(target);
            member.follows = Some(0);
            member.follow_way(true)?;
        }
        self.settle()
    }

    /// Has nodes acknowledge writes once replicas have them, if they can.
    fn configure_acks(&mut self) {
        if self.setting.ack == 0 {
            return;
        }
        let wanted = self.setting.ack.to_string();
        let nodes = self.members.iter_mut();
        let nodes = nodes.filter(|member| member.kind() == Kind::Node);
        let set: Vec<_> = nodes
            .map(|member| member.configure("replica-ack-writes", &wanted))
            .collect();
        self.has_acks = !set.is_empty() && set.iter().all(Option::is_some);
        if !self.has_acks {
            self.note("nodes do not have replica-ack-writes".to_owned());
            self.tally.not_there("replica-ack-writes");
        }
    }

    /// Whether nodes acknowledge only what replicas have.
    pub(crate) fn has_acks(&self) -> bool {
        self.has_acks
    }

    /// Whether the primary does.
    pub(crate) fn acks(&self) -> bool {
        self.has_acks && self.members[self.primary].kind() == Kind::Node
    }

    /// Writes down what happens, for who has to find out why.
    pub(crate) fn note(&mut self, line: String) {
        let ms = self.time.elapsed().as_millis();
        let line = format!("{ms:>7} ms  {line}");
        if self.shows_journal {
            println!("  {line}");
        }
        self.journal.push(line);
    }

    /// The servers' numbers, each behind the one that it copies.
    fn in_order(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.members.len()).collect();
        let depth = |mut at: usize| {
            let mut depth = 0;
            while let Some(next) = self.members[at].follows {
                (at, depth) = (next, depth + 1);
            }
            depth
        };
        all.sort_by_key(|at| depth(*at));
        all
    }

    /// Lets all links be, and waits until every replica has what the primary had just then.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for member in &self.members {
            member.way.heal();
        }
        let time = Deadline::after(SETTLE_LIMIT);
        let mut goal: Option<i64> = None;
        for at in self.in_order() {
            let in_step = time.wait(|| self.look_for_step(at, &mut goal).transpose());
            in_step.unwrap_or_else(|| {
                let fault = format!("member {at} was not in step after {SETTLE_LIMIT:?}");
                Err(format!("{fault}; the goal was {goal:?}"))
            })?;
        }
        self.judge_all()?;
        for member in &mut self.members {
            member.is_in_step = member.follows.is_some();
        }
        self.tally.slowest_ms = self.tally.slowest_ms.max(time.elapsed().as_millis());
        self.tally.check("all replicas in step");
        Ok(())
    }

    /// Whether a replica has what is the goal; the primary says what that is.
    fn look_for_step(&mut self, at: usize, goal: &mut Option<i64>) -> Result<Option<()>, String> {
        for member in &mut self.members {
            member.assert_alive()?;
        }
        let Some(facts) = self.members[at].facts() else {
            return Ok(None);
        };
        if at == self.primary {
            *goal = Some(facts.offset);
            return Ok(Some(()));
        }
        let is_there = facts.is_replica && facts.is_link_up && Some(facts.applied) >= *goal;
        Ok(is_there.then_some(()))
    }

    /// Has clients rest, and looks whether all servers have the same, and all that was acknowledged.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        self.note("comparing".to_owned());
        self.load.rest_all()?;
        self.settle()?;
        let time = Deadline::after(SETTLE_LIMIT);
        for at in self.in_order().into_iter().skip(1) {
            let mut fault = String::new();
            let same = time.wait(|| match self.compare_with_primary(at) {
                Ok(keys) => Some(keys),
                Err(difference) => {
                    fault = difference;
                    None
                }
            });
            self.tally.keys_compared +=
                same.ok_or_else(|| format!("member {at} is not as the primary: {fault}"))?;
            self.tally.check("replica as its primary");
        }
        self.note("all have the same".to_owned());
        self.check_ledger(Allowed::Nothing, false)?;
        let mut client = self.members[self.primary].get().client();
        client.ok(&["select", DATABASE]);
        for book in &self.load.books {
            book.lock().expect("no panic").turn_over(&mut client)?;
        }
        self.load.go_on();
        Ok(())
    }

    /// How many keys a replica has, if they and its offset are its primary's.
    fn compare_with_primary(&self, at: usize) -> Result<u64, String> {
        let (primary, member) = (&self.members[self.primary], &self.members[at]);
        let offsets = [primary, member].map(|of| of.facts().map(|facts| facts.offset));
        if offsets[0].is_none() || offsets[0] != offsets[1] {
            return Err(format!("offsets differ: {offsets:?}"));
        }
        same::compare(primary.get(), member.get())
    }

    /// Looks whether the primary has what it has acknowledged. The ledger must rest.
    pub(crate) fn check_ledger(
        &mut self,
        allowed: Allowed,
        is_settled: bool,
    ) -> Result<(), String> {
        let mut client = self.members[self.primary].get().client();
        client.ok(&["select", DATABASE]);
        for book in &self.load.books {
            let mut book = book.lock().expect("no panic");
            let before = book.sums.lost;
            book.check(&mut client, allowed, is_settled)?;
            let (lost, count) = (book.sums.lost - before, book.len());
            drop(book);
            if lost > 0 {
                let ms = self.time.elapsed().as_millis();
                let line =
                    format!("{ms:>7} ms  {lost} of {count} numbers are lost, as they may be");
                self.journal.push(line);
            }
        }
        self.tally.check(match allowed {
            Allowed::Nothing => "ledger, nothing missing",
            Allowed::Unconfirmed => "ledger, nothing missing that a replica had",
            Allowed::Latest => "ledger, without a hole",
        });
        Ok(())
    }

    /// Clients of the ledger rest until all go on.
    pub(crate) fn rest_ledger(&self) -> Result<(), String> {
        self.load.rest(Class::Ledger)
    }

    /// Adds up what clients did.
    pub(crate) fn count(&mut self) {
        for (sum, count) in self.tally.noise.iter_mut().zip(self.load.noise()) {
            *sum += count;
        }
        for book in &self.load.books {
            // One whose client has panicked counts as well.
            let book = book.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            self.tally.ledger.add(book.sums);
        }
    }

    /// Keeps what may tell why a round has failed.
    pub(crate) fn keep(&self, dir: &Path, fault: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut text = self.journal.join("\n");
        text.push_str(&format!("\n{fault}\n"));
        for (at, member) in self.members.iter().enumerate() {
            let kind = member.kind();
            text.push_str(&format!(
                "member {at}: {kind:?} on port {}, follows {:?} by port {}: {:?}\n",
                member.port(),
                member.follows,
                member.way.port(),
                member.facts()
            ));
            let name = format!("{at}-{kind:?}").to_lowercase();
            member.keep_files(&dir.join(name))?;
        }
        std::fs::write(dir.join("journal.txt"), text)
    }

    /// The last that happened.
    pub(crate) fn last_lines(&self, count: usize) -> &[String] {
        &self.journal[self.journal.len().saturating_sub(count)..]
    }
}
