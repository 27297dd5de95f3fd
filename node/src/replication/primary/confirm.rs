//! Who waits for replicas to have the log up to some offset: writes under `replica-ack-writes`, and
//! WAIT.
//!
//! Whoever waits says for how many replicas and for which offset, and is woken once so many have said
//! that they have it. A replica says so once a second, and when it is asked: with the first who
//! waits, and then whenever an answer has come and somebody has begun to wait since, `REPLCONF GETACK`
//! goes into the log. So one is under way at a time, however many wait.
//!
//! What so many replicas have had counts as had, even if one of them is no longer connected: it has
//! it all the same. That is so within one numbering of the log's bytes, its *era*, which ends when
//! the node becomes a replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::record::{Record, Taken};
use super::{Replica, Stage};
use crate::aof;
use crate::config::AckWrites;
use crate::replication::History;
use crate::replication::log::ANY_DB;
use crate::server::Server;

/// Replicas that are told apart while writes wait for some. Those beyond do not count.
pub const KNOWN_MAX: usize = 64;
/// The stage of the log that a primary's own words are appended to: no worker's, or they would count as
/// written by that worker's commands.
pub(super) const ASKER: usize = 63;

/// What somebody waits for: so many replicas that have so much of the log. A client waits for one
/// thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Replicas.
    pub replicas: usize,
    /// The end of what they are to have.
    pub offset: u64,
}

/// Who waits for replicas, and how far those are.
#[derive(Debug, Default)]
pub struct Confirm {
    /// Whether anybody may have to wait: what every command asks.
    is_used: AtomicBool,
    /// How many replicas a write waits for whose client has said nothing else.
    wanted: AtomicUsize,
    /// How many count.
    online: AtomicUsize,
    /// Of how many there could be: those known, or those connected.
    members: AtomicUsize,
    era: AtomicU64,
    table: Mutex<Table>,
    /// The end of all that somebody has begun to wait for.
    wished: AtomicU64,
    /// What is before this has been asked for.
    asked: AtomicU64,
    /// A question is under way.
    asks: AtomicBool,
    /// Writes that were refused as too few replicas are there.
    pub refused: AtomicU64,
    /// Writes that too few replicas have confirmed in time.
    pub unconfirmed: AtomicU64,
    /// Questions in the log.
    pub questions: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// What one connection's replica has, two have, …, whoever they are: for WAIT.
    connected: Vec<u64>,
    /// What one replica has, two have, … of those that are connected and count.
    have: Vec<u64>,
    /// What they have had in this era.
    had: Vec<u64>,
    waiting: BTreeMap<(usize, u64, u64), Waker>,
    /// Replicas that have counted since the mode was set.
    known: BTreeSet<String>,
    mode: AckWrites,
    /// How many replicas a write waited for at the last look.
    was_wanted: usize,
    /// The fewest that clients have chosen for themselves.
    chosen: Option<usize>,
    /// Some have chosen a majority, of which it is not known once for all how many it is.
    majority_is_chosen: bool,
    /// What the disk has of it.
    saved: Option<Record>,
    /// The append-only files that have all that was answered.
    flushed: Option<String>,
    /// Who has confirmed what was written before another number of replicas, or others, were to.
    before: Option<Before>,
}

/// Replicas that have confirmed writes by another rule than the one that holds now.
#[derive(Debug)]
struct Before {
    wanted: usize,
    replicas: BTreeSet<String>,
    /// All that they have confirmed comes before this, once that is known.
    end: Option<u64>,
}

impl Table {
    /// How many replicas have had this.
    fn had(&self, offset: u64) -> usize {
        self.had.iter().take_while(|had| **had >= offset).count()
    }

    fn has(&self, wish: Wish) -> bool {
        self.had(wish.offset) >= wish.replicas
    }

    /// Who may not have to wait any longer: at least as many are connected as count.
    fn release(&mut self) -> Vec<Waker> {
        let mut released = Vec::new();
        for (number, have) in (1..).zip(&self.connected) {
            let first = (number, 0, 0);
            let last = (number, *have, u64::MAX);
            while let Some((place, _)) = self.waiting.range(first..=last).next() {
                let place = *place;
                released.extend(self.waiting.remove(&place));
            }
        }
        released
    }
}

impl Table {
    /// How many replicas a write waits for.
    fn wanted(&self) -> usize {
        match self.mode {
            AckWrites::Number(number) => number,
            AckWrites::Majority => majority(self.members()),
        }
    }

    /// How many replicas `majority` counts.
    fn members(&self) -> usize {
        self.known.len().max(self.have.len())
    }

    /// Writes of some clients wait for so many.
    fn choose(&mut self, number: usize) {
        let fewest = self.chosen.map_or(number, |chosen| chosen.min(number));
        self.chosen = Some(fewest);
    }

    /// Another number of replicas is to confirm what comes, or other ones: those who have confirmed
    /// what there is are kept in mind until so many of the others have it.
    fn change_rule(&mut self) {
        if let Some(saved) = &self.saved {
            self.before = Some(Before {
                wanted: saved.wanted,
                replicas: saved.replicas.clone(),
                end: None,
            });
        }
    }

    /// What the disk is to have: who could have a confirmed write, and how many of them have each.
    fn record(&mut self, history: History, wanted: usize, taken: Option<Taken>) -> Record {
        if wanted > self.was_wanted {
            self.change_rule();
        }
        self.was_wanted = wanted;
        let end = self.before.as_ref().and_then(|before| before.end);
        if end.is_some_and(|end| self.have.iter().filter(|have| **have >= end).count() >= wanted) {
            self.before = None;
        }
        if self.majority_is_chosen {
            self.choose(majority(self.members()));
        }
        let mut record = Record {
            replid: history.replid,
            previous: history.previous.map(|(replid, _)| replid),
            wanted: self.chosen.map_or(wanted, |chosen| chosen.min(wanted)),
            replicas: self.known.clone(),
            flushed: self.flushed.clone(),
            taken,
        };
        if let Some(before) = &self.before {
            record.wanted = record.wanted.min(before.wanted);
            record.replicas.extend(before.replicas.iter().cloned());
        }
        record
    }

    /// Has the disk know who confirms what; whether it does.
    fn save(&mut self, server: &Server, wanted: usize) -> bool {
        let replication = &server.replication;
        let is_kept = self.mode != AckWrites::NONE && !self.known.is_empty();
        if !is_kept || server.cluster_enabled || replication.is_replica() {
            return true;
        }
        let taken = replication.as_primary.restart.taken();
        let record = self.record(replication.history(), wanted, taken);
        let is_saved = self.saved.as_ref().is_some_and(|saved| {
            saved.replid == record.replid
                && saved.wanted == record.wanted
                && saved.replicas == record.replicas
                && saved.flushed == record.flushed
                && saved.taken == record.taken
        });
        if is_saved {
            return true;
        }
        match record.save(&server.config.dir()) {
            Ok(()) => {
                self.saved = Some(record);
                true
            }
            Err(error) => {
                let path = Record::path(&server.config.dir());
                tracing::error!(
                    "No replica confirms writes, as the record of them cannot be written to {}: \
                     {error}; see to the disk and its directory, which is tried again, or set \
                     replica-ack-writes to 0",
                    path.display()
                );
                false
            }
        }
    }
}

/// How many replicas are a majority of their primary and `members` of them, with the primary.
const fn majority(members: usize) -> usize {
    // A majority of none but itself would confirm nothing.
    if members < 2 { 1 } else { members.div_ceil(2) }
}

impl Confirm {
    /// Whether anybody may have to wait.
    #[must_use]
    #[inline]
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Somebody may have to wait from now on.
    pub fn use_it(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// A client has chosen for itself; whether it is the first to choose so few.
    fn note_choice(&self, own: AckWrites) -> bool {
        self.use_it();
        let mut table = self.table.lock();
        let before = (table.chosen, table.majority_is_chosen);
        match own {
            AckWrites::NONE => {}
            AckWrites::Number(number) => table.choose(number),
            AckWrites::Majority => table.majority_is_chosen = true,
        }
        before != (table.chosen, table.majority_is_chosen)
    }

    /// How many replicas a write waits for, of a client that has said this of it.
    #[must_use]
    pub fn wanted(&self, own: Option<AckWrites>) -> usize {
        match own {
            None => self.wanted.load(Ordering::Relaxed),
            Some(AckWrites::Number(number)) => number,
            Some(AckWrites::Majority) => majority(self.members.load(Ordering::Relaxed)),
        }
    }

    /// The same, for a write that is done, and for which it was `before` so many: the more of both, or
    /// it might wait for fewer than is on record of what comes after it.
    #[must_use]
    pub fn wanted_after(&self, before: usize, own: Option<AckWrites>) -> usize {
        // Whoever changes the number first stores it, and then asks where the log ends.
        fence(Ordering::SeqCst);
        self.wanted(own).max(before)
    }

    /// How many replicas could confirm a write now.
    #[must_use]
    pub fn online(&self) -> usize {
        self.online.load(Ordering::Relaxed)
    }

    /// How many replicas `majority` counts.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// How many clients wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.table.lock().waiting.len()
    }

    /// Which numbering of the log's bytes there is.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// How many replicas have had this much of the log, if it is of this era.
    #[must_use]
    pub fn had(&self, offset: u64, era: u64) -> usize {
        let table = self.table.lock();
        if self.era() == era {
            table.had(offset)
        } else {
            0
        }
    }

    /// The first of the wishes, from the last to the first, that is still to come true.
    #[must_use]
    pub fn open_wish(&self, mut wishes: impl Iterator<Item = (Wish, u64)>) -> Option<(Wish, u64)> {
        let table = self.table.lock();
        let current = self.era();
        wishes.find(|(wish, era)| *era != current || !table.has(*wish))
    }

    /// Ready once so many replicas have had so much; `who` is woken then. In a later era that is
    /// never: it is ready at once, for whoever waits to see.
    pub fn poll(&self, wish: Wish, era: u64, who: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut table = self.table.lock();
        if table.has(wish) || self.era() != era {
            return Poll::Ready(());
        }
        let place = (wish.replicas, wish.offset, who);
        table.waiting.insert(place, cx.waker().clone());
        Poll::Pending
    }

    /// Ready once so many of the replicas that are connected have so much.
    pub fn poll_connected(&self, wish: Wish, who: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut table = self.table.lock();
        let have = wish
            .replicas
            .checked_sub(1)
            .and_then(|at| table.connected.get(at));
        if wish.replicas == 0 || have.is_some_and(|have| *have >= wish.offset) {
            return Poll::Ready(());
        }
        let place = (wish.replicas, wish.offset, who);
        table.waiting.insert(place, cx.waker().clone());
        Poll::Pending
    }

    /// Waits no longer.
    pub fn forget(&self, wish: Wish, who: u64) {
        let place = (wish.replicas, wish.offset, who);
        self.table.lock().waiting.remove(&place);
    }

    /// Asks replicas how far they are, unless that is being asked, for somebody who waits for what is
    /// before `offset`. To be called by whoever has a seat at the gate.
    pub fn ask(&self, server: &Server, offset: u64) {
        // Whoever gets the answer looks at the wish after it has noted that none is under way: so one
        // of the two asks.
        self.wished.fetch_max(offset, Ordering::SeqCst);
        if offset > self.asked.load(Ordering::SeqCst) && !self.asks.swap(true, Ordering::SeqCst) {
            self.append_question(server);
        }
    }

    fn append_question(&self, server: &Server) {
        let (log, replication) = (server.store.history(), &server.replication);
        // While a replica is to have all there is, there is to be no more.
        let is_still = replication.is_replica() || replication.failover.is_on();
        if is_still || !replication.as_primary.follows() {
            self.asks.store(false, Ordering::SeqCst);
            return;
        }
        // What is answered is at least this.
        self.asked.store(log.end(), Ordering::SeqCst);
        log.append_command(ASKER, ANY_DB, &[b"REPLCONF", b"GETACK", b"*"]);
        log.nudge(ASKER);
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    /// A replica has answered, or has said by itself that it has so much.
    fn note_answer(&self, server: &Server, offset: u64) {
        if offset < self.asked.load(Ordering::SeqCst) {
            return;
        }
        self.asks.store(false, Ordering::SeqCst);
        let is_open = || self.wished.load(Ordering::SeqCst) > self.asked.load(Ordering::SeqCst);
        if is_open() && !self.asks.swap(true, Ordering::SeqCst) {
            server.gate.guest(|| self.append_question(server));
        }
    }

    /// Looks anew how far replicas are, and wakes who waited for that.
    fn settle(&self, server: &Server, replicas: &Mutex<Vec<Arc<Replica>>>) {
        let mut table = self.table.lock();
        let counts = |replica: &&Arc<Replica>| {
            replica.stage() == Stage::Online
                && replica.has_acked.load(Ordering::Acquire)
                && !replica.is_gone()
        };
        let here: Vec<Arc<Replica>> = replicas.lock().iter().filter(counts).cloned().collect();
        let Table {
            connected,
            have,
            known,
            mode,
            ..
        } = &mut *table;
        *connected = here.iter().map(|replica| replica.acked()).collect();
        connected.sort_unstable_by(|one, other| other.cmp(one));
        if *mode == AckWrites::NONE {
            known.clear();
        }
        *have = each_once(&here, known, *mode);
        have.sort_unstable_by(|one, other| other.cmp(one));
        let wanted = table.wanted();
        if !table.save(server, wanted) {
            // After a restart nobody would know that they have something.
            table.have.clear();
        }
        for (at, have) in table.have.clone().into_iter().enumerate() {
            match table.had.get_mut(at) {
                Some(had) => *had = have.max(*had),
                None => table.had.push(have),
            }
        }
        let members = table.members();
        self.online.store(table.have.len(), Ordering::Relaxed);
        self.members.store(members, Ordering::Relaxed);
        self.wanted.store(wanted, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(before) = &mut table.before {
            // What was confirmed by the old rule was written before the new one was told.
            before
                .end
                .get_or_insert_with(|| server.store.history().end());
        }
        let released = table.release();
        drop(table);
        released.into_iter().for_each(Waker::wake);
    }

    /// `replica-ack-writes` is set: which replicas there are is found out anew.
    fn set_mode(&self, mode: AckWrites) {
        let mut table = self.table.lock();
        table.mode = mode;
        table.known.clear();
        table.change_rule();
        if mode == AckWrites::NONE {
            table.before = None;
        }
        if mode != AckWrites::NONE {
            self.use_it();
        }
    }

    /// From here on the append-only file has all that was answered, on disk; or that is not to be
    /// believed any longer, before it ceases to be so. Whether the disk knows.
    #[must_use]
    pub fn tell_flushed(&self, server: &Server, is_flushed: bool) -> bool {
        let mut table = self.table.lock();
        // What a replica answers is its primary's.
        let is_flushed = is_flushed && !server.replication.is_replica();
        if table.flushed.is_some() != is_flushed {
            table.flushed = is_flushed.then(|| aof::name(server));
        }
        let flushed = table.flushed.clone();
        let Some(saved) = table
            .saved
            .as_mut()
            .filter(|saved| saved.flushed != flushed)
        else {
            return true;
        };
        let record = Record {
            flushed,
            ..saved.clone()
        };
        match record.save(&server.config.dir()) {
            Ok(()) => *saved = record,
            Err(error) => {
                // As it was.
                table.flushed = table.saved.as_ref().and_then(|saved| saved.flushed.clone());
                let path = Record::path(&server.config.dir());
                tracing::error!(
                    "Whether the append-only file has all that was answered cannot be written to \
                     {}: {error}; see to the disk and its directory",
                    path.display()
                );
                return false;
            }
        }
        true
    }

    /// The node goes on by itself with all that was confirmed by this record, which is on disk.
    pub(super) fn resume(&self, record: Record) {
        let mut table = self.table.lock();
        table.saved = Some(record);
        table.change_rule();
    }

    /// Nothing is confirmed any more.
    pub(super) fn forget_record(&self, server: &Server) {
        let mut table = self.table.lock();
        table.saved = None;
        table.before = None;
        Record::remove(&server.config.dir());
    }

    /// What is done from here on is no more of what replicas have confirmed, and who waits is told so.
    /// If the data is the same for now, those who have confirmed some of it are kept in mind until
    /// others have all of it.
    pub(in crate::replication) fn begin_era(&self, has_same_data: bool) {
        let mut table = self.table.lock();
        self.era.fetch_add(1, Ordering::AcqRel);
        table.connected.clear();
        table.have.clear();
        table.had.clear();
        table.known.clear();
        table.before = None;
        if has_same_data {
            table.change_rule();
        }
        let waiting = std::mem::take(&mut table.waiting);
        self.online.store(0, Ordering::Relaxed);
        self.wished.store(0, Ordering::SeqCst);
        self.asked.store(0, Ordering::SeqCst);
        self.asks.store(false, Ordering::SeqCst);
        drop(table);
        waiting.into_values().for_each(Waker::wake);
    }
}

/// How much each replica has, of those that count. One that comes again while a connection of before is
/// still open is one.
fn each_once(here: &[Arc<Replica>], known: &mut BTreeSet<String>, mode: AckWrites) -> Vec<u64> {
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    let mut unnamed = Vec::new();
    for replica in here {
        match name(replica) {
            Some(name) if mode == AckWrites::NONE || admit(known, &name) => {
                let have = named.entry(name).or_default();
                *have = replica.acked().max(*have);
            }
            // Of those that nobody could find after a restart, none is sure to be another one.
            None if mode == AckWrites::NONE => unnamed.push(replica.acked()),
            Some(_) | None => {}
        }
    }
    named.into_values().chain(unnamed).collect()
}

/// What a replica is known by: where it serves, if it has said so.
fn name(replica: &Replica) -> Option<String> {
    (replica.introduction.port != 0).then(|| replica.listens_at().to_string())
}

/// Whether a replica counts: it is known, or there is room to know it.
fn admit(known: &mut BTreeSet<String>, name: &str) -> bool {
    if known.contains(name) {
        return true;
    }
    known.len() < KNOWN_MAX && known.insert(name.to_owned())
}

impl super::Primary {
    /// A replica has come, gone or said how far it is, or what counts has been set.
    pub(super) fn settle(&self, server: &Server) {
        self.note_good(server);
        self.confirm.settle(server, &self.replicas);
    }

    /// A replica has said that it has so much.
    pub(super) fn hear_ack(&self, server: &Server, replica: &Replica, offset: u64) {
        self.note_ack(replica, offset);
        self.settle(server);
        self.confirm.note_answer(server, offset);
    }

    /// A replica is sent what happens from now on: how far it is counts at once.
    pub(super) fn note_online(&self, server: &Server) {
        self.settle(server);
        if self.confirm.is_used() {
            let end = server.store.history().end();
            server.gate.guest(|| self.confirm.ask(server, end));
        }
    }

    /// A client has chosen how many replicas its own writes wait for. It is to hear so after this: then
    /// the disk knows of it.
    pub fn choose(&self, server: &Server, own: AckWrites) {
        if self.confirm.note_choice(own) {
            self.settle(server);
        }
    }

    /// What replicas must do for a write has been set.
    pub fn configure(&self, server: &Server) {
        self.settle(server);
    }

    /// `replica-ack-writes` has been set.
    pub fn set_ack_writes(&self, server: &Server) {
        let mode = server.config.replica_ack_writes();
        self.confirm.set_mode(mode);
        if mode == AckWrites::NONE {
            self.restart.force(server, "replica-ack-writes is 0");
        }
        self.settle(server);
    }

    /// This node takes over from a primary, which is its replica from now on and has all that was ever
    /// confirmed. Before that is told so.
    pub(super) fn expect(&self, server: &Server, replica: &Replica) {
        self.confirm.forget_record(server);
        let mut table = self.confirm.table.lock();
        if table.mode == AckWrites::NONE {
            return;
        }
        table.known.extend(name(replica));
        let wanted = table.wanted();
        // If it cannot be saved, that is tried again before a replica counts.
        let _saved = table.save(server, wanted);
    }

    /// The history has a new name: it is on disk before a replica hears of it, which may have all there
    /// is and ask by that name after a restart.
    pub fn note_name(&self, server: &Server) {
        let mut table = self.confirm.table.lock();
        let history = server.replication.history();
        let Some(saved) = table
            .saved
            .as_mut()
            .filter(|saved| saved.replid != history.replid)
        else {
            return;
        };
        let renamed = Record {
            replid: history.replid,
            previous: Some(saved.replid),
            ..saved.clone()
        };
        match renamed.save(&server.config.dir()) {
            Ok(()) => *saved = renamed,
            // It is tried again before a replica counts.
            Err(error) => tracing::warn!("The record of replicas is not written: {error}"),
        }
    }

    /// The node is a replica from now on, or has other data. Must run at the gate.
    pub(in crate::replication) fn end_confirming(&self, server: &Server, has_same_data: bool) {
        // If that cannot be written, the log has it: there is no way but on.
        let _told = self.confirm.tell_flushed(server, false);
        self.confirm.begin_era(has_same_data);
    }
}
